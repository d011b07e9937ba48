"""Keys of programs: who may post and read the leads of one campaign from server to server."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

PREFIX = "hbk_"
"""How a key begins, so that people and scanners of source code know one when they see it."""
MOST_NAME = 80


class Scope(StrEnum):
    write = "leads:write"
    read = "leads:read"
    quotes = "quotes:write"


class ApiKey(Numbered):
    """A key of one campaign. What the program holds is shown once; here stands its SHA-256, and `ending`, its last
    four characters, for people to tell keys apart. Leads without a queue of their own go to `queue_id`."""

    __tablename__ = "api_keys"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    name: Mapped[str]
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    ending: Mapped[str]
    scopes: Mapped[list[str]]
    created_by: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    revoked_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)

    def allows(self, scope: Scope) -> bool:
        return self.revoked_at is None and scope.value in self.scopes
