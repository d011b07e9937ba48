"""What a supervisor turns off and on as queries: campaigns, and what holds for the whole house."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from router.model.agents import Agent
from router.model.campaigns import NURTURE, Campaign, Switch
from router.model.giving import stopped_by
from router.model.tasks import Task
from router.model.trunks import Trunk
from router.store import trunks, trust_accounts
from router.store.db import ReadSession, WriteSession
from router.store.trust_accounts import Failing


@dataclass(frozen=True)
class HouseView:
    """`nurture_off` is since when no nurture is handed out, and `nurture_by` the name of who turned it off; `failing`
    are the lines on which calls fail at the carrier, `resting` the third parties of trust that fail."""

    nurture_off: datetime | None
    nurture_by: str
    campaigns: Sequence[Campaign]
    failing: Sequence[Trunk] = ()
    resting: Sequence[Failing] = ()


async def turn_off(session: WriteSession, name: str, agent_id: int, now: datetime) -> bool:
    """Whether this turned it off: it was on."""
    made = await session.execute(
        insert(Switch).values(name=name, since=now, agent_id=agent_id).on_conflict_do_nothing().returning(Switch.name)
    )
    return bool(made)


async def turn_on(session: WriteSession, name: str) -> bool:
    """Whether this turned it on: it was off."""
    return bool(await session.execute(delete(Switch).where(Switch.name == name).returning(Switch.name)))


async def set_paused(session: WriteSession, campaign_id: int, paused: bool) -> Campaign | None:
    """The campaign, if this changed it."""
    return await session.returning(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.paused.is_(not paused))
        .values(paused=paused)
        .returning(Campaign)
    )


async def house(session: ReadSession) -> HouseView:
    """The switches as they stand: campaigns by name, those that are paused first."""
    off = await session.rows(
        select(Switch.since, Agent.name).join(Agent, Agent.id == Switch.agent_id).where(Switch.name == NURTURE)
    )
    since, by = tuple(off[0]) if off else (None, "")
    campaigns = await session.scalars(select(Campaign).order_by(Campaign.paused.desc(), Campaign.name, Campaign.id))
    return HouseView(since, by, campaigns, await trunks.failing(session), await trust_accounts.failing(session))


async def stops(session: ReadSession, task: Task, now: datetime) -> str:
    """What keeps this task from being handed out at `now` (aware), see `router.model.giving.stopped_by`."""
    off = exists().where(Switch.name == NURTURE)
    rows = await session.rows(
        select(off, Campaign.paused, Trunk).outerjoin(Trunk, Trunk.caller_id == Campaign.caller_id)
        .where(Campaign.id == task.campaign_id)
    )
    nurture_off, paused, trunk = rows[0]
    closed = trunk is not None and trunk.closed_until(now) is not None
    return stopped_by(task.kind, task.tier, nurture_off=nurture_off, campaign_paused=paused, trunk_paused=closed)
