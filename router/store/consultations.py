"""Consultations as queries."""

from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import aliased

from router.model.agents import Agent
from router.model.consultations import LIVE, Consultation
from router.store.db import ReadSession


def _fresh(*where: Any) -> Any:
    return select(Consultation).where(*where).execution_options(populate_existing=True)


async def live_of_call(session: ReadSession, call_id: int) -> Consultation | None:
    """The one under way in this call. Who means to change it holds the call's lock."""
    found: Consultation | None = await session.scalar(
        _fresh(Consultation.call_id == call_id, Consultation.state.in_(LIVE))
    )
    return found


async def live_of_leg(session: ReadSession, leg_id: int) -> Consultation | None:
    """The one under way that this telephone was called for."""
    found: Consultation | None = await session.scalar(
        _fresh(Consultation.leg_id == leg_id, Consultation.state.in_(LIVE))
    )
    return found


class ConsultationView(NamedTuple):
    """A consultation, and the names of who is asked and of who asks."""

    about: Consultation
    colleague: str
    asker: str


_ASKER = aliased(Agent)
_VIEW = (
    select(Consultation, Agent.name, _ASKER.name)
    .join(Agent, Agent.id == Consultation.agent_id)
    .join(_ASKER, _ASKER.id == Consultation.asked_by)
    .order_by(Consultation.id.desc())
    .limit(1)
)


async def latest_of_call(session: ReadSession, call_id: int) -> ConsultationView | None:
    """The one under way in this call, or the last there was."""
    rows = await session.rows(_VIEW.where(Consultation.call_id == call_id))
    return ConsultationView(*tuple(rows[0])) if rows else None


async def live_with(session: ReadSession, agent_id: int) -> ConsultationView | None:
    """The one in which this agent is asked."""
    rows = await session.rows(_VIEW.where(Consultation.agent_id == agent_id, Consultation.state.in_(LIVE)))
    return ConsultationView(*tuple(rows[0])) if rows else None
