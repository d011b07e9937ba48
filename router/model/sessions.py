"""Sessions of users, and the one-time link that makes the first administrator."""

from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Numbered

SESSION_LIFE = timedelta(hours=12)


class Session(Base):
    """A login. The cookie holds a random token; here stands only its SHA-256."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "agent_id"),)
    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    csrf: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SetupLink(Numbered):
    """The one-time link printed by the first start on an empty database."""

    __tablename__ = "setup_links"
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class LoginCount(Base):
    """How often a door was tried since `since`: by login and address, by address, by login. `scope` is a SHA-256:
    people type passwords into the wrong field."""

    __tablename__ = "login_counts"
    scope: Mapped[bytes] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    tries: Mapped[int]


class Deployment(Base):
    """What this database belongs to: a real service, or a demonstration. One row."""

    __tablename__ = "deployment"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    created_at: Mapped[datetime]
