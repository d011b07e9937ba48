"""Holds as queries: what makes an offer look wrong, and which of them wait for a supervisor."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.elements import ColumnElement

from router.model.agents import Agent
from router.model.calls import Call, Leg
from router.model.holds import ALIKE_WITHIN, DEVICE_MEMORY, OFFERS_WITHIN, Hold, HoldReason, SeenDevice
from router.model.quotes import OPEN, Quote
from router.model.signings import Signing
from router.store.db import ReadSession, WriteSession

MOST_SHOWN = 20


async def open_of(session: ReadSession, quote_id: int) -> Sequence[HoldReason]:
    """Why this quote may not be signed now, the first reason first; empty when it may."""
    return await session.scalars(
        select(Hold.reason).where(Hold.quote_id == quote_id, Hold.ended_at.is_(None)).order_by(Hold.id)
    )


async def add(session: WriteSession, quote_id: int, reasons: Sequence[HoldReason], now: datetime) -> list[HoldReason]:
    """Holds the quote for these reasons; those that were not known before. What a supervisor has looked at holds it no
    second time."""
    if not reasons:
        return []
    rows = await session.execute(
        insert(Hold).values([{"quote_id": quote_id, "reason": reason, "created_at": now} for reason in reasons])
        .on_conflict_do_nothing(index_elements=["quote_id", "reason"]).returning(Hold.reason)
    )
    return [row[0] for row in rows]


async def end(session: WriteSession, quote_id: int, agent_id: int, now: datetime) -> list[HoldReason]:
    """A supervisor has looked at it: what held it."""
    rows = await session.execute(
        update(Hold).where(Hold.quote_id == quote_id, Hold.ended_at.is_(None))
        .values(ended_at=now, agent_id=agent_id).returning(Hold.reason)
    )
    return [row[0] for row in rows]


class Held(NamedTuple):
    """A quote that waits for a supervisor, without a word of its customer."""

    quote: Quote
    agent: str
    reasons: Sequence[str]
    since: datetime


async def waiting(session: ReadSession) -> list[Held]:
    """The open quotes that are held, who waits longest first."""
    held = (
        select(Hold.quote_id, func.array_agg(Hold.reason.op("order by")(Hold.id)), func.min(Hold.created_at))
        .where(Hold.ended_at.is_(None)).group_by(Hold.quote_id).subquery()
    )
    columns = list(held.c)
    rows = await session.rows(
        select(Quote, Agent.name, columns[1], columns[2]).join(held, columns[0] == Quote.id)
        .outerjoin(Agent, Agent.id == Quote.agent_id).where(Quote.state.in_(OPEN))
        .order_by(columns[2], Quote.id).limit(MOST_SHOWN)
    )
    return [Held(row[0], row[1] or "", row[2], row[3]) for row in rows]


async def offers_to(session: ReadSession, phone: str, now: datetime) -> int:
    """How many offers, whatever their versions, were sent to this number lately."""
    return await session.scalar(
        select(func.count(Quote.number.distinct())).join(Signing, Signing.quote_id == Quote.id)
        .where(Signing.phone == phone, Signing.created_at > now - OFFERS_WITHIN)
    ) or 0


async def is_an_agents(session: ReadSession, phone: str) -> bool:
    """Whether an agent's telephone has this number."""
    return await session.scalar(select(Agent.id).where(Agent.address == phone).limit(1)) is not None


async def talked_to(session: ReadSession, lead_id: int) -> str | None:
    """The number (E.164, or what the carrier said) of the last conversation about this request; None when there was
    none on the telephone."""
    return await session.scalar(
        select(Leg.address).join(Call, Call.id == Leg.call_id)
        .where(Call.lead_id == lead_id, Call.talking_at.is_not(None), Leg.role == "customer")
        .order_by(Call.id.desc(), Leg.id.desc()).limit(1)
    )


async def remember(session: WriteSession, signing_id: int, device: bytes, trace: bytes, now: datetime) -> None:
    """This browser opened the signing."""
    await session.execute(
        insert(SeenDevice).values(signing_id=signing_id, device_hash=device, trace_hash=trace, seen_at=now)
        .on_conflict_do_update(index_elements=["signing_id", "device_hash"], set_={"seen_at": now, "trace_hash": trace})
    )


async def others_on(session: ReadSession, phone: str, device: bytes, now: datetime) -> int:
    """How many other customers opened offers with this very browser."""
    return await _others(session, phone, SeenDevice.device_hash == device, SeenDevice.seen_at > now - DEVICE_MEMORY)


async def others_alike(session: ReadSession, phone: str, trace: bytes, now: datetime) -> int:
    """How many other customers lately came with such a browser from this network."""
    return await _others(session, phone, SeenDevice.trace_hash == trace, SeenDevice.seen_at > now - ALIKE_WITHIN)


async def _others(session: ReadSession, phone: str, *where: ColumnElement[bool]) -> int:
    return await session.scalar(
        select(func.count(Signing.phone.distinct())).join(SeenDevice, SeenDevice.signing_id == Signing.id)
        .where(Signing.phone != phone, *where)
    ) or 0


async def forget_devices(session: WriteSession, now: datetime) -> None:
    """Forgets browsers that have not been here for long."""
    await session.execute(delete(SeenDevice).where(SeenDevice.seen_at < now - DEVICE_MEMORY))


_LIVE_CALL = text(
    """
    select c.id, (select bool_or(l.came_in) from legs l where l.call_id = c.id and l.role = 'customer')
    from calls c where c.lead_id = :lead and c.talking_at is not null and c.ended_at is null
    order by c.id desc limit 1
    """
)


async def on_the_line(session: ReadSession, lead_id: int) -> dict[str, object] | None:
    """The call in which somebody talks about this request now, as evidence has it; None when nobody does."""
    rows = await session.rows(_LIVE_CALL, {"lead": lead_id})
    return {"id": rows[0][0], "direction": "inbound" if rows[0][1] else "outbound"} if rows else None
