"""Attaching: what came from outside by address is fetched by the courier and kept with its lead."""

from dataclasses import dataclass

from router.actions import outgoing
from router.book import Writing
from router.model.attachments import Attachment, AttachmentState
from router.model.base import vouched
from router.model.deliveries import DeliveryKind
from router.model.leads import Lead
from router.ports import Media
from router.store import attachments, blobs

MEDIUM, VOICEMAIL = "medium", "voicemail"


@dataclass(frozen=True)
class Found:
    """Something to be fetched: `external_id` is its party's name of it."""

    kind: str
    external_id: str
    url: str
    media_type: str
    seconds: int = 0


async def expect(w: Writing, campaign_id: int, lead_id: int, found: Found) -> Attachment:
    """Notes it and has it fetched, once."""
    made = await attachments.expect(
        w.session, campaign_id=campaign_id, lead_id=lead_id, kind=found.kind, external_id=found.external_id,
        media_type=found.media_type[:100], state=AttachmentState.expected, created_at=w.now, seconds=found.seconds,
    )
    if made is None:
        return vouched(await attachments.known(w.session, found.external_id))
    await outgoing.post(
        w, DeliveryKind.fetch, f"fetch:{made.id}", {"url": found.url, "attachment": made.id}, campaign_id=campaign_id,
        lead_id=lead_id,
    )
    return made


async def fetched(w: Writing, attachment_id: int, media: Media) -> None:
    """Its bytes are here."""
    sha256 = await blobs.keep(w.session, media.content, media.media_type, w.now)
    kept = await w.move(
        Attachment, attachment_id, AttachmentState.kept, sha256=sha256, media_type=media.media_type,
        data={"bytes": len(media.content)},
    )
    if kept is not None and kept.kind == VOICEMAIL:
        lead = vouched(await w.session.locked(Lead, kept.lead_id))
        lead.claims = {**lead.claims, "voicemail": {"url": kept.path, "seconds": kept.seconds}}
        await w.session.flush()


async def missing(w: Writing, attachment_id: int, reason: str) -> None:
    """Its bytes cannot be had."""
    await w.move(Attachment, attachment_id, AttachmentState.missing, data={"reason": reason})
