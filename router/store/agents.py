"""Agents as queries."""

from datetime import datetime

from sqlalchemy import ColumnElement, or_

from router.model.agents import HEARTBEAT_LEASE, Agent


def absent(now: datetime) -> ColumnElement[bool]:
    """The agent's browser has not answered within its lease."""
    return or_(Agent.heartbeat_at.is_(None), Agent.heartbeat_at <= now - HEARTBEAT_LEASE)
