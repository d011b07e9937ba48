"""Brochures: what a campaign's agents send to read: tariffs, price lists, conditions. PDF, PNG or JPEG."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

MOST_MEGABYTES = 10
MOST_BYTES = MOST_MEGABYTES * 1024 * 1024
LONGEST_NAME = 100
PDF, PNG, JPEG = "application/pdf", "image/png", "image/jpeg"
ENDINGS = {PDF: "pdf", PNG: "png", JPEG: "jpg"}
"""What is taken, and how the names of such files end."""
_BEGINNINGS = ((b"%PDF-", PDF), (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", PNG), (b"\xff\xd8\xff", JPEG))


class Brochure(Numbered):
    """A document of the campaign's library. `name` is what people call it, `names` are its names in languages that say
    it otherwise, `size` is in bytes. A retired one is sent no more; links that were sent go on opening it."""

    __tablename__ = "brochures"
    __table_args__ = (
        Index("one_brochure_per_file", "campaign_id", "sha256", unique=True,
              postgresql_where=text("retired_at is null")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(ForeignKey("blobs.sha256"), index=True)
    created_at: Mapped[datetime]
    names: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    retired_at: Mapped[datetime | None] = mapped_column(default=None)

    def named(self, locale: str) -> str:
        """Its name in this language."""
        return str(self.names.get(locale) or self.name)

    @property
    def ending(self) -> str:
        return ENDINGS[self.media_type]

    def disposition(self, locale: str) -> str:
        """How a browser is told to show it, and what to call it when it is saved (RFC 6266)."""
        name = re.sub(r'[\\/:*?"<>|]+', "-", self.named(locale)).strip(". -") or f"{self.id}"
        return (
            f'inline; filename="{self.id}.{self.ending}"; '
            f"filename*=UTF-8''{quote(f'{name}.{self.ending}', safe='')}"
        )


def kind_of(content: bytes) -> str:
    """The media type its first bytes say, whatever it is called; "" for none of ours."""
    return next((kind for beginning, kind in _BEGINNINGS if content.startswith(beginning)), "")
