"""Country packs as they were published: which version of the rules held from when on."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class PublishedPack(Numbered):
    """A version of a pack as its file says it (TOML), never changed. The newest row of a `key` is in force.

    `digest` is the SHA-256 of the digest before it and of this row's key and body: it stands for all rules in force,
    and a row changed afterwards breaks the chain. `published_by` is None for what came with the program, or was applied
    at the command line."""

    __tablename__ = "packs"
    __table_args__ = (UniqueConstraint("key", "version"),)
    key: Mapped[str]
    version: Mapped[int]
    body: Mapped[str]
    digest: Mapped[bytes]
    published_at: Mapped[datetime]
    published_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
