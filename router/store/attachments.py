"""Attachments as queries."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from router.model.attachments import Attachment
from router.model.blobs import Blob
from router.store.db import ReadSession, WriteSession


async def expect(session: WriteSession, **values: Any) -> Attachment | None:
    """A new attachment; None when it is here already."""
    made = await session.execute(
        insert(Attachment).values(**values).on_conflict_do_nothing(index_elements=["external_id"]).returning(Attachment)
    )
    return made[0][0] if made else None


async def known(session: ReadSession, external_id: str) -> Attachment | None:
    """The attachment its party calls so."""
    return await session.scalar(select(Attachment).where(Attachment.external_id == external_id))


async def content(session: ReadSession, attachment_id: int) -> tuple[Attachment, bytes | None] | None:
    """The attachment, with its bytes once they are kept."""
    rows = await session.rows(
        select(Attachment, Blob.content)
        .outerjoin(Blob, Blob.sha256 == Attachment.sha256)
        .where(Attachment.id == attachment_id)
    )
    return (rows[0][0], rows[0][1]) if rows else None
