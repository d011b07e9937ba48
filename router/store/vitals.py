"""The figures of the house as queries: what waits, since when, and what lies parked."""

from datetime import datetime
from functools import cache
from typing import NamedTuple

from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text

from router.model.alarms import Alarm, AlarmState
from router.model.campaigns import Campaign, Queue
from router.model.inbox import InboxRow, InboxState
from router.model.tasks import Task, TaskState
from router.store import alarms, authority, deliveries, facts, inbox
from router.store import migrations as history
from router.store.db import ReadSession

_REVISION = text("select version_num from alembic_version")


class Vitals(NamedTuple):
    """Ages in seconds, 0 when nothing waits. `queues` maps (campaign key, queue key) to the tasks waiting there.
    `endings` are the seconds until certificates and lists of the signing authority end; less than 0 when they have."""

    oldest_unsent: float
    oldest_alarm: float
    oldest_message: float
    held_back: float
    deliveries: dict[str, int]
    parked_alarms: int
    parked_messages: int
    queues: dict[tuple[str, str], int]
    endings: dict[str, float]


async def read(session: ReadSession, now: datetime) -> Vitals:
    def age(moment: datetime | None) -> float:
        return max(0.0, (now - moment).total_seconds()) if moment else 0.0

    return Vitals(
        oldest_unsent=age(await deliveries.oldest_unsent(session, now)),
        oldest_alarm=age(await alarms.oldest_due(session, now)),
        oldest_message=age(await inbox.oldest_waiting(session)),
        held_back=await facts.held_back_seconds(session, now),
        deliveries=await deliveries.count_by_state(session),
        parked_alarms=await session.scalar(select(func.count()).where(Alarm.state == AlarmState.parked)) or 0,
        parked_messages=await session.scalar(select(func.count()).where(InboxRow.state == InboxState.parked)) or 0,
        queues=await _queues(session),
        endings={name: (at - now).total_seconds() for name, at in (await authority.endings(session)).items()},
    )


async def _queues(session: ReadSession) -> dict[tuple[str, str], int]:
    waiting = (
        select(Task.queue_id, func.count().label("length"))
        .where(Task.state == TaskState.queued)
        .group_by(Task.queue_id)
        .subquery()
    )
    rows = await session.rows(
        select(Campaign.key, Queue.key, func.coalesce(waiting.c.length, 0))
        .join(Queue, Queue.campaign_id == Campaign.id)
        .outerjoin(waiting, waiting.c.queue_id == Queue.id)
    )
    return {(row[0], row[1]): row[2] for row in rows}


@cache
def newest_revision() -> str | None:
    """The schema's revision this program was written for."""
    return ScriptDirectory(str(history.__path__[0])).get_current_head()


async def up_to_date(session: ReadSession) -> bool:
    """Whether the database's schema is the one this program was written for."""
    rows = await session.rows(_REVISION)
    return [row[0] for row in rows] == [newest_revision()]
