"""Agents as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, or_, select, text, update

from router.model.agents import HEARTBEAT_LEASE, WILLING, Agent, Role
from router.model.tasks import Reservation, ReservationState
from router.store.db import ReadSession, WriteSession


def absent(now: datetime) -> ColumnElement[bool]:
    """The agent's browser has not answered within its lease."""
    return or_(Agent.heartbeat_at.is_(None), Agent.heartbeat_at <= now - HEARTBEAT_LEASE)


async def by_login(session: ReadSession, login: str) -> Agent | None:
    """The agent of this login, disabled or not."""
    return await session.scalar(select(Agent).where(Agent.login == login))


async def pools(session: ReadSession) -> Sequence[int]:
    """The pools that have agents, rising."""
    return await session.scalars(select(Agent.pool).where(Agent.disabled_at.is_(None)).distinct().order_by(Agent.pool))


async def beat(session: WriteSession, agent_ids: Sequence[int], now: datetime) -> dict[int, datetime | None]:
    """Notes that these agents' browsers answer; which of them had been away, and since when (None: never there). The
    time in which one was away does not count as idle.

    Locked by rising id: an agent's two browsers may hang on two replicas. The commit is not waited for on disk: a
    dispatch round skips who is locked, and a lost heartbeat is told again.
    """
    await session.execute(text("set local synchronous_commit = off"))
    were = await session.execute(
        select(Agent.id, absent(now), Agent.heartbeat_at).where(Agent.id.in_(agent_ids)).order_by(Agent.id)
        .with_for_update(key_share=True)
    )
    away = now - (Agent.heartbeat_at + HEARTBEAT_LEASE)
    idle_since = case(
        (Agent.heartbeat_at > now - HEARTBEAT_LEASE, Agent.idle_since),
        (Agent.wish.in_(WILLING), func.coalesce(Agent.idle_since + away, now)),
        else_=None,
    )
    await session.execute(
        update(Agent)
        .where(Agent.id.in_(agent_ids))
        .values(heartbeat_at=now, idle_since=idle_since)
        .execution_options(synchronize_session=False)
    )
    return {row[0]: row[2] and row[2] + HEARTBEAT_LEASE for row in were if row[1]}


async def rung(session: ReadSession, agent_id: int) -> bool:
    """Whether something rings at this agent."""
    pending = select(Reservation.id).where(
        Reservation.agent_id == agent_id, Reservation.state == ReservationState.pending
    )
    return await session.scalar(pending) is not None


async def administrators(session: ReadSession) -> int:
    """How many can administer the house."""
    found = await session.scalar(
        select(func.count(Agent.id)).where(Agent.role == Role.admin, Agent.disabled_at.is_(None))
    )
    return found or 0


async def absent_reservations(session: WriteSession, now: datetime) -> Sequence[Reservation]:
    """Pending reservations of agents who are away, locked; those another replica holds are skipped."""
    return await session.scalars(
        select(Reservation)
        .join(Agent, Agent.id == Reservation.agent_id)
        .where(Reservation.state == ReservationState.pending, absent(now))
        .order_by(Reservation.id)
        .with_for_update(skip_locked=True, key_share=True, of=Reservation)
    )
