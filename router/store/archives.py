"""Archives of sealed documents as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from router.model.archives import Archive
from router.model.attestations import Attestation
from router.model.signings import Signing
from router.store.db import ReadSession, WriteSession


async def newest(session: ReadSession, signing_id: int, edition: int | None = None) -> Archive | None:
    """The newest version of a signing's document, or of this edition of its certificate; None when that is as it was
    sealed."""
    return await session.scalar(
        select(Archive)
        .where(Archive.signing_id == signing_id, Archive.edition.is_not_distinct_from(edition))
        .order_by(Archive.id.desc()).limit(1)
    )


async def certificate(session: ReadSession, signing_id: int) -> bytes | None:
    """The SHA-256 of the newest version of a signing's newest certificate of evidence, once that is made."""
    made = await session.scalar(
        select(Attestation).where(Attestation.signing_id == signing_id).order_by(Attestation.edition.desc()).limit(1)
    )
    if made is None:
        return None
    archived = await newest(session, signing_id, made.edition)
    return archived.sha256 if archived is not None else made.sha256


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


async def certificates_due(session: WriteSession, now: datetime, most: int) -> Sequence[Attestation]:
    """Certificates of evidence that are to get an archive timestamp, likewise."""
    return await session.scalars(
        select(Attestation)
        .where(Attestation.archive_at <= now)
        .order_by(Attestation.archive_at, Attestation.signing_id)
        .limit(most)
        .with_for_update(skip_locked=True, key_share=True)
    )
