"""Archives: the later versions of a sealed document: with a timestamp over all of it, so that it outlasts its
certificates, or with the company's countersignature."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

RENEW_BEFORE = timedelta(days=180)
"""So long before the certificate of its last timestamp expires a document gets another one."""
AGAIN_AFTER = timedelta(days=1)
IN_VAIN_AFTER = timedelta(days=7)
"""When to look again after an archiving that is not done yet, and after one that gained nothing."""
OUTSIDE_AFTER = timedelta(minutes=10)
"""When the timestamp from outside is asked for that was not to be had while a document was sealed."""


class Archive(Numbered):
    """A version of a signing's document, or of an `edition` of its certificate of evidence. `base_sha256` names the
    one before, with whose bytes it begins. `until` is when the certificate of the timestamp over it expires; None for
    one that ends with a countersignature, which no timestamp covers yet. Each version is followed by one other at
    most."""

    __tablename__ = "archives"
    __table_args__ = (UniqueConstraint("signing_id", "base_sha256"),)
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"))
    base_sha256: Mapped[bytes] = mapped_column(ForeignKey("blobs.sha256"))
    sha256: Mapped[bytes] = mapped_column(ForeignKey("blobs.sha256"), unique=True)
    level: Mapped[str]
    time_source: Mapped[str]
    until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    edition: Mapped[int | None] = mapped_column(default=None)

    def lasts(self, now: datetime) -> bool:
        """Whether it needs no further timestamp at `now` (aware)."""
        return self.until is not None and self.until > now + RENEW_BEFORE
