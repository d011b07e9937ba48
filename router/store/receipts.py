"""Receipts of consent and their withdrawals as queries. Rows are only ever added."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, bindparam, select, text

from router.model.campaigns import Campaign, Site
from router.model.consent import Receipt, Withdrawal
from router.model.leads import Lead
from router.model.tasks import Task, TaskState
from router.store import suppressions
from router.store.db import ReadSession, WriteSession

FOR_THE_PERSON = "commercial"
"""This consent is about the person, not about one request: taking it back takes it back wherever he gave it, also as
somebody he was later found to be the same as."""


@dataclass(frozen=True)
class Kept:
    """A receipt with what was taken back of it, by purpose. `intact`: the text still has the SHA-256 it had then.
    `used_at` is when somebody was last contacted on the strength of it (aware): where the law counts from each use, as
    in Germany, it is kept so long after it."""

    receipt: Receipt
    withdrawn: dict[str, Withdrawal]
    used_at: datetime | None = None

    @property
    def recomputed(self) -> str:
        return hashlib.sha256(self.receipt.text.encode()).hexdigest()

    @property
    def intact(self) -> bool:
        return self.recomputed == self.receipt.text_sha256


@dataclass(frozen=True)
class Agreements:
    """All that was agreed to with one request. `phone` is whom to call about it, E.164 or ""."""

    lead: Lead
    campaign: Campaign
    phone: str
    receipts: list[Kept]


_LEAD = (
    select(Lead, Campaign, Site)
    .join(Campaign, Campaign.id == Lead.campaign_id)
    .outerjoin(Site, Site.id == Lead.site_id)
)


_LAST_USED = text(
    """
    select receipt_id, max(at) from attempts where receipt_id = any(:receipts) and verdict = 'allow'
    group by receipt_id
    """
).bindparams(bindparam("receipts", type_=ARRAY(BigInteger)))


async def of_lead(session: ReadSession, lead_id: int) -> Agreements | None:
    """The receipts of this lead, in the order in which they were given."""
    return await _agreements(session, await session.rows(_LEAD.where(Lead.id == lead_id)))


async def of_status(session: ReadSession, token_hash: bytes) -> Agreements | None:
    """The same behind the SHA-256 of a status link's token."""
    return await _agreements(session, await session.rows(_LEAD.where(Lead.status_hash == token_hash)))


async def _agreements(session: ReadSession, found: Any) -> Agreements | None:
    if not found:
        return None
    lead, campaign, site = found[0]
    rows = await session.rows(
        select(Receipt, Withdrawal)
        .outerjoin(Withdrawal, Withdrawal.receipt_id == Receipt.id)
        .where(Receipt.lead_id == lead.id)
        .order_by(Receipt.id, Withdrawal.id)
    )
    used = dict(map(tuple, await session.rows(_LAST_USED, {"receipts": sorted({row[0].id for row in rows})})))
    kept: dict[int, Kept] = {}
    for receipt, withdrawal in rows:
        one = kept.setdefault(receipt.id, Kept(receipt, {}, used.get(receipt.id)))
        if withdrawal is not None:
            one.withdrawn[withdrawal.purpose] = withdrawal
    return Agreements(lead, campaign, campaign.phone_for(site), list(kept.values()))


_WITHDRAW = text(
    """
    insert into withdrawals (receipt_id, purpose, method, at, agent_id)
    select id, :purpose, :method, :now, :agent_id from receipts
    where :purpose = any(purposes) and ((contact_id = :contact_id and lead_id = any(:lead_ids))
      or (:everywhere and contact_id = any(:persons)))
    order by id
    on conflict (receipt_id, purpose) do nothing
    returning receipt_id
    """
).bindparams(bindparam("lead_ids", type_=ARRAY(BigInteger)), bindparam("agent_id", type_=BigInteger),
             bindparam("persons", type_=ARRAY(BigInteger)))


_IN_FORCE = text(
    """
    select r.id from receipts r
    where r.lead_id = any(:lead_ids) and :purpose = any(r.purposes)
      and not exists (select from withdrawals w where w.receipt_id = r.id and w.purpose = :purpose)
    limit 1
    """
).bindparams(bindparam("lead_ids", type_=ARRAY(BigInteger)))


async def in_force(session: ReadSession, lead: Lead, purpose: str) -> bool:
    """Whether this was agreed to with the request and not taken back since."""
    return bool(await session.rows(_IN_FORCE, {"lead_ids": list(requests_of(lead)), "purpose": purpose}))


_AGREED = text(
    """
    select distinct given.purpose from receipts r join contacts c on c.id = r.contact_id
      cross join unnest(r.purposes) as given(purpose)
    where r.contact_id = :contact_id and (c.renumbered_at is null or r.given_at > c.renumbered_at)
      and not exists (select from withdrawals w where w.receipt_id = r.id and w.purpose = given.purpose)
    """
)


async def agreed(session: ReadSession, contact_id: int) -> frozenset[str]:
    """The purposes the person has agreed to in any request, at the number he has, and not taken back."""
    return frozenset(row[0] for row in await session.rows(_AGREED, {"contact_id": contact_id}))


async def withdraw(session: WriteSession, lead: Lead, purpose: str, **how: Any) -> int:
    """Takes a purpose back from the receipts it concerns; how many had it until now. `how`: method, now, agent_id."""
    concerned = await session.execute(
        _WITHDRAW,
        {"purpose": purpose, "contact_id": lead.contact_id, "lead_ids": list(requests_of(lead)),
         "everywhere": purpose == FOR_THE_PERSON,
         "persons": await suppressions.persons(session, lead.contact_id), **how},
    )
    return len(concerned)


def requests_of(lead: Lead) -> Iterable[int]:
    """The request, and the earlier one whose task serves it."""
    return {lead.id, lead.attached_to or lead.id}


async def waiting_tasks(session: ReadSession, lead: Lead) -> list[int]:
    """The tasks of this request that have not reached an agent."""
    return list(await session.scalars(
        select(Task.id)
        .where(Task.lead_id.in_(requests_of(lead)), Task.state.in_([TaskState.queued, TaskState.scheduled]))
        .order_by(Task.id)
    ))
