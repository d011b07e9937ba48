"""Sessions of users, and the one-time link that makes the first administrator."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Numbered

SESSION_LIFE = timedelta(hours=12)


class Session(Base):
    """A login. The cookie holds a random token; here stands only its SHA-256."""

    __tablename__ = "sessions"
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
