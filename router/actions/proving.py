"""Proving: the customer has his signed copy in his hands, and somebody else's word for it: a receipt, or his own act.

A link alone is no durable medium (Court of Justice C-49/11): where an address is known the document itself is mailed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from router.actions import talking
from router.actions.signing import record
from router.actions.talking import Letter, Paper
from router.book import Writing
from router.model.base import vouched
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.model.quotes import Quote
from router.model.signings import MAILED_COPY, Signing
from router.store import addresses, evidence, quotes
from router.wording import wording

PROOF_DUE = "signing.copy_proof"
"""The alarm at which the copy should have been proven to have arrived."""
PROOF_WITHIN = timedelta(hours=24)
SUBJECT = "Your signed copy of %(number)s"
PARAGRAPHS = (
    "Here is the document %(number)s you signed, sealed by the company, with the evidence of your signature inside. "
    "Please keep it.",
    "You may withdraw within 14 calendar days of signing: with the link in our text message, or by a plain statement.",
)
COUNTERSIGNED = "The countersigned copy of %(number)s"
COUNTERSIGNED_PARAGRAPHS = (
    "Here is the document %(number)s you signed, now countersigned by the company, too. It begins with the very bytes "
    "of the copy you have. Please keep it.",
    PARAGRAPHS[1],
)


@dataclass(frozen=True)
class Kept:
    """A document the customer is owed on a durable medium: its SHA-256, what its mail is called, its file's name, and
    what the mail says."""

    sha256: bytes
    key: str
    name: str
    subject: str
    paragraphs: Sequence[str]


async def mail_copy(w: Writing, signing: Signing, quote: Quote, parties: quotes.Parties) -> bool:
    """Sends the sealed document to the person's own address, where one is known and may be written to. Never raises:
    the text with the link has gone."""
    sha256 = vouched(signing.sealed_sha256)
    kept = Kept(sha256, f"{MAILED_COPY}:{signing.id}", f"{quote.number}-signed.pdf", SUBJECT, PARAGRAPHS)
    return await _mail(w, signing, quote, parties, kept)


async def mail_countersigned(
    w: Writing, signing: Signing, quote: Quote, parties: quotes.Parties, sha256: bytes
) -> bool:
    """Sends the countersigned document likewise."""
    key, name = f"{MAILED_COPY}:{signing.id}:countersigned", f"{quote.number}-countersigned.pdf"
    return await _mail(w, signing, quote, parties, Kept(sha256, key, name, COUNTERSIGNED, COUNTERSIGNED_PARAGRAPHS))


async def _mail(w: Writing, signing: Signing, quote: Quote, parties: quotes.Parties, kept: Kept) -> bool:
    address = await addresses.address_of(w.session, parties.contact.id)
    if not address:
        return False
    values = {"number": quote.number}
    say = wording().say
    letter = Letter(
        "letter", MAILED_COPY, Purpose.service, kept.key,
        values={"subject": say(kept.subject, quote.locale, **values),
                "paragraphs": [say(one, quote.locale, **values) for one in kept.paragraphs]},
        papers=[Paper(kept.name, "application/pdf", kept.sha256)],
    )
    try:
        await talking.send_mail(
            w, parties.campaign, parties.contact, address, letter, lead_id=quote.lead_id, signing_id=signing.id
        )
    except NotAllowedNow:
        return False
    await record(w, signing, "copy.mailed", {"sha256": kept.sha256.hex()})
    return True


async def proof_due(w: Writing, signing_id: int) -> None:
    """A day after the copy was sent (an alarm's handler): if neither a receipt nor the customer himself says that it
    arrived, its agent is told."""
    signing = vouched(await w.session.get(Signing, signing_id))
    if await evidence.proves_copy(w.session, signing_id):
        return
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    w.fact("signing.copy_unproven", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id,
           agent_id=quote.agent_id)  # fmt: skip
    w.hint("wallboard", f"agent:{quote.agent_id}")
