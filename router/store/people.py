"""People as a query: who works here, when who will be away, and what each has promised."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from router.model.absences import Absence
from router.model.agents import Agent
from router.model.campaigns import Campaign
from router.model.promises import OPEN, Promise
from router.store.db import ReadSession


class Person(NamedTuple):
    """Somebody who works here, or did; what he owes is without a word of the persons."""

    agent: Agent
    absences: Sequence[Absence]
    owes: Sequence[Promise]


async def people(session: ReadSession, now: datetime) -> list[Person]:
    """Everybody in the order of their names, with absences not yet over at `now` (aware) and promises not yet kept;
    those who are disabled last."""
    agents = await session.scalars(
        select(Agent).order_by(Agent.disabled_at.is_not(None), Agent.name, Agent.id)
    )
    away: dict[int, list[Absence]] = defaultdict(list)
    for one in await session.scalars(select(Absence).where(Absence.ends_at > now).order_by(Absence.starts_at)):
        away[one.agent_id].append(one)
    owed: dict[int, list[Promise]] = defaultdict(list)
    for promise in await session.scalars(
        select(Promise).where(Promise.agent_id.is_not(None), Promise.state.in_(OPEN)).order_by(Promise.starts_at)
    ):
        owed[promise.agent_id or 0].append(promise)
    return [Person(agent, away[agent.id], owed[agent.id]) for agent in agents]


async def zone(session: ReadSession) -> str:
    """The zone in which the house reckons its working hours: its first campaign's."""
    return await session.scalar(select(Campaign.timezone).order_by(Campaign.id).limit(1)) or "UTC"
