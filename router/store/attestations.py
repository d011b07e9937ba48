"""Certificates of evidence as queries."""

from sqlalchemy import select

from router.model.attestations import Attestation
from router.store.db import ReadSession


async def of_signing(session: ReadSession, signing_id: int) -> Attestation | None:
    """The signing's newest certificate."""
    return await session.scalar(
        select(Attestation).where(Attestation.signing_id == signing_id).order_by(Attestation.edition.desc()).limit(1)
    )


async def by_sha256(session: ReadSession, sha256: bytes) -> Attestation | None:
    """The certificate that has exactly these bytes."""
    return await session.scalar(select(Attestation).where(Attestation.sha256 == sha256))


async def by_code(session: ReadSession, code: str) -> Attestation | None:
    """The newest certificate on which this code is printed."""
    return await session.scalar(
        select(Attestation).where(Attestation.code == code).order_by(Attestation.edition.desc()).limit(1)
    )
