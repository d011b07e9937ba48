"""Archives of sealed documents as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from router.model.archives import Archive
from router.model.signings import Signing
from router.store.db import ReadSession, WriteSession


async def newest(session: ReadSession, signing_id: int) -> Archive | None:
    """The signing's newest version; None when its document is as it was sealed."""
    return await session.scalar(
        select(Archive).where(Archive.signing_id == signing_id).order_by(Archive.id.desc()).limit(1)
    )


async def by_sha256(session: ReadSession, sha256: bytes) -> Archive | None:
    """The version that has exactly these bytes."""
    return await session.scalar(select(Archive).where(Archive.sha256 == sha256))


async def due(session: WriteSession, now: datetime, most: int) -> Sequence[Signing]:
    """Signings whose documents are to get an archive timestamp, locked; those another replica holds are skipped."""
    return await session.scalars(
        select(Signing)
        .where(Signing.archive_at <= now)
        .order_by(Signing.archive_at, Signing.id)
        .limit(most)
        .with_for_update(skip_locked=True, key_share=True)
    )
