"""Blobs as queries."""

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from router.model.blobs import MAX_BYTES, Blob
from router.model.errors import TooLarge
from router.store.db import ReadSession, WriteSession


async def keep(session: WriteSession, content: bytes, media_type: str, now: datetime) -> bytes:
    """Stores the document once; its SHA-256. Raises TooLarge."""
    if len(content) > MAX_BYTES:
        raise TooLarge("The document is too large to be kept.")
    sha256 = hashlib.sha256(content).digest()
    await session.execute(
        insert(Blob)
        .values(sha256=sha256, media_type=media_type, content=content, created_at=now)
        .on_conflict_do_nothing(index_elements=["sha256"])
    )
    return sha256


async def content(session: ReadSession, sha256: bytes | None) -> bytes | None:
    """The document of this SHA-256, if it is here."""
    return None if sha256 is None else await session.scalar(select(Blob.content).where(Blob.sha256 == sha256))
