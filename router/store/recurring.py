"""Recurring work as queries, and the songs of the canary."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import DateTime, bindparam, select, text

from router.model.recurring import Recurring
from router.store.db import ReadSession, WriteSession

_AT = bindparam("next_at", type_=DateTime(timezone=True))

_ENSURE = text(
    """
    insert into recurring (name, rule, zone, next_at) values (:name, :rule, :zone, :next_at)
    on conflict (name) do update set rule = excluded.rule, zone = excluded.zone, next_at = excluded.next_at
      where (recurring.rule, recurring.zone) <> (excluded.rule, excluded.zone)
    returning id
    """
).bindparams(_AT)


async def ensure(session: WriteSession, name: str, rule: str, zone: str, next_at: datetime) -> int | None:
    """Makes the row, or changes its rule; its number. None when it stands as it is wanted."""
    rows = await session.execute(_ENSURE, {"name": name, "rule": rule, "zone": zone, "next_at": next_at})
    return int(rows[0][0]) if rows else None


async def drop(session: WriteSession, name: str) -> int | None:
    """Forgets recurring work; the number it had. None when there was none."""
    rows = await session.execute(text("delete from recurring where name = :name returning id"), {"name": name})
    return int(rows[0][0]) if rows else None


async def all_of(session: ReadSession) -> Sequence[Recurring]:
    """Everything that recurs, by name."""
    return await session.scalars(select(Recurring).order_by(Recurring.name))


async def idle(session: WriteSession) -> Sequence[Recurring]:
    """The rows whose alarm is not pending any more, locked; those another replica holds are skipped."""
    return await session.scalars(
        select(Recurring)
        .where(text(
            "not exists (select from alarms a where a.kind = recurring.name and a.subject_id = recurring.id "
            "and a.state = 'pending')"
        ))
        .order_by(Recurring.id)
        .with_for_update(skip_locked=True)
    )


async def advance(session: WriteSession, recurring_id: int, next_at: datetime) -> None:
    await session.execute(
        text("update recurring set next_at = :next_at where id = :id").bindparams(_AT),
        {"id": recurring_id, "next_at": next_at},
    )


_SING = text(
    """
    insert into canaries (due_at, claimed_at, done_at)
    select next_at, :now, :now + (clock_timestamp() - now()) from recurring where id = :id
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))

_SILENCE = text("delete from canaries where done_at < :before").bindparams(
    bindparam("before", type_=DateTime(timezone=True))
)


async def sing(session: WriteSession, recurring_id: int, now: datetime, keep: timedelta) -> None:
    """Writes down the canary that rings now, and forgets those older than `keep`."""
    await session.execute(_SING, {"id": recurring_id, "now": now})
    await session.execute(_SILENCE, {"before": now - keep})


class Song(NamedTuple):
    """The canaries of the last hours: the newest one's number (0 when there is none), and the lateness in seconds, from
    due to done, which half of them and all but one of a hundred did not pass."""

    newest: int
    p50: float
    p99: float


_HEARD = text(
    """
    select coalesce(max(id), 0),
      coalesce(percentile_disc(0.5) within group (order by late), 0),
      coalesce(percentile_disc(0.99) within group (order by late), 0)
    from (select id, extract(epoch from done_at - due_at) as late from canaries where done_at > :since) songs
    """
).bindparams(bindparam("since", type_=DateTime(timezone=True)))


async def heard(session: ReadSession, since: datetime) -> Song:
    newest, p50, p99 = (await session.rows(_HEARD, {"since": since}))[0]
    return Song(newest, float(p50), float(p99))
