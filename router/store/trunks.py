"""Trunks as queries: how calls on one have gone lately, and which ones pause."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import DateTime, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert

from router.model.trunks import Trunk
from router.store.db import ReadSession, WriteSession

# Numbers that could not be dialled since somebody was last reached, or was found busy, on the same line.
_FAILED = text(
    """
    with legs_now as (
      select l.id, l.address, l.outcome, l.joined_at from legs l
      join calls c on c.id = l.call_id join leads d on d.id = c.lead_id join campaigns k on k.id = d.campaign_id
      where l.role = 'customer' and not l.came_in and l.created_at > :since and k.caller_id = :caller_id
    )
    select count(distinct address) from legs_now
    where outcome = 'failed' and id > coalesce((
      select max(id) from legs_now where joined_at is not null or outcome in ('busy', 'no_answer', 'completed')), 0)
    """
).bindparams(bindparam("since", type_=DateTime(timezone=True)))


async def failed(session: ReadSession, caller_id: str, since: datetime) -> int:
    """How many different numbers could not be dialled on this line since then (aware), and none could after them."""
    return int((await session.rows(_FAILED, {"caller_id": caller_id, "since": since}))[0][0])


_OF_CALL = text(
    """
    select exists (
      select from calls c join leads d on d.id = c.lead_id join campaigns k on k.id = d.campaign_id
        join trunks t on t.caller_id = k.caller_id
      where c.id = :call_id and t.failing_since is not null)
    """
)
_ATTEMPTS = text(
    """
    select d.attempt_id from legs l join deliveries d on d.dedupe_key = 'leg:' || l.id
    where l.call_id = :call_id and d.attempt_id is not null order by d.id
    """
)


async def failing_under(session: ReadSession, call_id: int) -> bool:
    """Whether the line this call was dialled on fails."""
    return bool((await session.rows(_OF_CALL, {"call_id": call_id}))[0][0])


async def attempts_of(session: ReadSession, call_id: int) -> list[int]:
    """The attempts that were written down for this call."""
    return [row[0] for row in await session.rows(_ATTEMPTS, {"call_id": call_id})]


async def failing(session: ReadSession) -> Sequence[Trunk]:
    """The lines on which calls fail, the one that has for longest first."""
    return await session.scalars(
        select(Trunk).where(Trunk.failing_since.is_not(None)).order_by(Trunk.failing_since, Trunk.id)
    )


async def failing_one(session: WriteSession, caller_id: str) -> Trunk | None:
    """The line if calls fail on it, locked."""
    return await session.scalar(
        select(Trunk).where(Trunk.caller_id == caller_id, Trunk.failing_since.is_not(None))
        .with_for_update().execution_options(populate_existing=True)
    )


async def locked(session: WriteSession, caller_id: str) -> Trunk:
    """The line, locked; made when nobody has asked about it yet."""
    await session.execute(
        insert(Trunk).values(caller_id=caller_id, pauses=0).on_conflict_do_nothing().returning(Trunk.id)
    )
    rows = await session.scalars(
        select(Trunk).where(Trunk.caller_id == caller_id).with_for_update().execution_options(populate_existing=True)
    )
    return rows[0]
