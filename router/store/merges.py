"""Merges as queries: who is said to be whom, and the rows that go over and come back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, bindparam, func, select, text
from sqlalchemy.orm import aliased

from router.model.agents import Agent
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.leads import Lead
from router.model.merges import Claim, ClaimKind, Merge, MergeState
from router.store.db import ReadSession, WriteSession

_FINAL = "('closed', 'abandoned', 'expired', 'withdrawn')"

_LIVE_TASK = (
    f"exists (select from tasks t where t.lead_id = leads.id and t.state not in {_FINAL})"
)

# What still has to be done keeps its contact, because that is whose telephone rings: it follows when it is over. Open
# threads belong to the address they come from. Leads are locked last, as everywhere.
GOING_OVER: Mapping[str, str] = {
    "tasks": f"state in {_FINAL}",
    "quotes": "true",
    "conversations": "(state = 'closed' or channel = 'web_chat')",
    "leads": f"not {_LIVE_TASK}",
}

_OVER = {
    name: text(f"update {name} set contact_id = :into where contact_id = :from_id and {which} returning id")  # noqa: S608
    for name, which in GOING_OVER.items()
}
_BACK = {
    name: text(
        f"update {name} set contact_id = :from_id where id = any(:ids) and contact_id = :into"  # noqa: S608
    ).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
    for name in GOING_OVER
}

_POINT = text("update contacts set merged_into = :into where merged_into = :from_id returning id")
_POINT_BACK = text(
    "update contacts set merged_into = :from_id where id = any(:ids) and merged_into = :into"
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))

_CLAIM = text(
    """
    insert into claims (campaign_id, kind, mac, contact_id, lead_id, created_at)
    values (:campaign_id, :kind, :mac, :contact_id, :lead_id, :now) on conflict do nothing
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)), bindparam("mac", type_=LargeBinary))

_PROPOSE = text(
    """
    insert into merges (campaign_id, into_id, from_id, lead_id, kind, state, created_at, moved)
    select :campaign_id, :into, :from_id, :lead_id, :kind, 'proposed', :now, '{}'
    where (select count(*) from merges where into_id = :into and state = 'proposed') < :most
    on conflict do nothing returning id
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


class Claimed(NamedTuple):
    """A lead with an e-mail address on it, and its contact."""

    lead_id: int
    campaign_id: int
    contact_id: int
    email: str


_EMAILS = text(
    """
    select id, campaign_id, contact_id, lower(btrim(claims->>'email')) from leads
    where id = any(:ids) and claims->>'email' like '%_@_%' order by id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


async def emails_of(session: ReadSession, lead_ids: Sequence[int]) -> list[Claimed]:
    """The addresses these leads' persons gave, in lower case."""
    rows = await session.rows(_EMAILS, {"ids": list(lead_ids)})
    return [Claimed(*tuple(row)) for row in rows]


async def first_claimant(session: ReadSession, campaign_id: int, kind: ClaimKind, mac: bytes) -> int | None:
    """The contact who was the first to be said to have this, or whom he was merged into."""
    return await session.scalar(
        select(func.coalesce(Contact.merged_into, Contact.id))
        .join(Claim, Claim.contact_id == Contact.id)
        .where(Claim.campaign_id == campaign_id, Claim.kind == kind, Claim.mac == mac)
        .order_by(Claim.id)
        .limit(1)
    )


async def claim(session: WriteSession, one: Claimed, kind: ClaimKind, mac: bytes, now: datetime) -> None:
    """Remembers what was said of the contact; saying it again changes nothing."""
    await session.execute(_CLAIM, {
        "campaign_id": one.campaign_id, "kind": kind.value, "mac": mac, "contact_id": one.contact_id,
        "lead_id": one.lead_id, "now": now,
    })


async def propose(
    session: WriteSession, one: Claimed, kind: ClaimKind, other: int, now: datetime, most: int
) -> int | None:
    """A new proposal that the lead's contact and the other are one; None when there was one, or too many are open."""
    rows = await session.execute(_PROPOSE, {
        "campaign_id": one.campaign_id, "into": min(other, one.contact_id), "from_id": max(other, one.contact_id),
        "lead_id": one.lead_id, "kind": kind.value, "now": now, "most": most,
    })
    return rows[0][0] if rows else None


async def go_over(session: WriteSession, from_id: int, into: int) -> dict[str, list[int]]:
    """Gives all that is over of the one to the other; the ids of what went, by table."""
    values = {"from_id": from_id, "into": into}
    return {name: sorted(row[0] for row in await session.execute(go, values)) for name, go in _OVER.items()}


async def go_back(session: WriteSession, moved: Mapping[str, Sequence[int]], from_id: int, into: int) -> None:
    for name, ids in moved.items():
        if name in _BACK and ids:
            await session.execute(_BACK[name], {"ids": list(ids), "from_id": from_id, "into": into})


async def point(session: WriteSession, from_id: int, into: int) -> list[int]:
    """Those who had been merged into the one are now merged into the other; who they are."""
    return sorted(row[0] for row in await session.execute(_POINT, {"from_id": from_id, "into": into}))


async def point_back(session: WriteSession, ids: Sequence[int], from_id: int, into: int) -> None:
    if ids:
        await session.execute(_POINT_BACK, {"ids": list(ids), "from_id": from_id, "into": into})


_FOLLOWING = text(
    """
    select distinct m.id from merges m join leads l on l.contact_id = m.from_id
    where m.state = 'merged' and l.id = any(:ids)
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


async def merged_of_leads(session: ReadSession, lead_ids: Sequence[int]) -> list[int]:
    """The merges whose merged contact has one of these leads."""
    return [row[0] for row in await session.rows(_FOLLOWING, {"ids": list(lead_ids)})]


@dataclass(frozen=True)
class Side:
    """One of two who may be one: what he asked, when he was first and last here."""

    contact: Contact
    leads: int
    quotes: int
    last_at: datetime | None


@dataclass(frozen=True)
class MergeView:
    """A proposal, or what became of it, as people see it. `email` is the address the later one gave."""

    merge: Merge
    campaign: Campaign
    elder: Side
    later: Side
    email: str
    decided_by: str | None


_INTO, _FROM = aliased(Contact), aliased(Contact)


async def views(session: ReadSession, states: Sequence[MergeState], limit: int = 50) -> list[MergeView]:
    """Merges in these states, newest first."""
    rows = await session.rows(
        select(Merge, Campaign, _INTO, _FROM, Lead.claims["email"].astext, Agent.name)
        .join(Campaign, Campaign.id == Merge.campaign_id)
        .join(_INTO, _INTO.id == Merge.into_id)
        .join(_FROM, _FROM.id == Merge.from_id)
        .join(Lead, Lead.id == Merge.lead_id)
        .outerjoin(Agent, Agent.id == Merge.decided_by)
        .where(Merge.state.in_(states))
        .order_by(func.coalesce(Merge.decided_at, Merge.created_at).desc(), Merge.id.desc())
        .limit(limit)
    )
    counts = await _counts(session, [contact for row in rows for contact in (row[2].id, row[3].id)])
    return [
        MergeView(row[0], row[1], Side(row[2], *counts[row[2].id]), Side(row[3], *counts[row[3].id]), row[4] or "",
                  row[5])
        for row in rows
    ]


_COUNTS = text(
    """
    select c.id, (select count(*) from leads l where l.contact_id = c.id),
      (select count(*) from quotes q where q.contact_id = c.id),
      (select max(l.created_at) from leads l where l.contact_id = c.id)
    from unnest(:ids) as c(id)
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


async def _counts(session: ReadSession, ids: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    rows = await session.rows(_COUNTS, {"ids": sorted(set(ids))}) if ids else []
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def open_count(session: ReadSession) -> int:
    """How many proposals wait for somebody's word."""
    return await session.scalar(
        select(func.count()).select_from(Merge).where(Merge.state == MergeState.proposed)
    ) or 0
