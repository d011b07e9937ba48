"""Sealing: the company's authority, what is to be sealed, and what becomes of the sealed document."""

import asyncio
from datetime import timedelta
from typing import Any

from router.actions import attesting, certifying, choosing_services, countersigning, outgoing, recurring, trusting
from router.actions.archiving import ARCHIVE, STAMP
from router.book import Book, Writing
from router.model.archives import OUTSIDE_AFTER
from router.model.authority import AuthorityRow
from router.model.base import vouched
from router.model.deliveries import GIVEN_UP, DeliveryKind
from router.model.errors import Conflict
from router.model.evidence import canonical_json, exported, instant
from router.model.quotes import Quote
from router.model.signings import Signing, SigningState
from router.ports import Sealed, SealOrder, TrustProvider
from router.store import alarms, authority, blobs, deliveries, evidence, signings

COPY = "signing.copy"
"""The alarm that sends the link to the signed copy (`router.actions.inviting.copy`)."""
LATE = "signing.seal_late"
"""The alarm that asks whether what was signed is sealed (`late`)."""
LATE_AFTER = timedelta(minutes=5)
"""A seal takes less than a second: after this long something is wrong."""
EVIDENCE_FORMAT = "hablemos-evidence/1"
STATEMENT = "Simple electronic signature with reinforced evidence (one-time code by text message) and company seal."


async def ensure_authority(book: Book, trust: TrustProvider, company: str) -> bytes:
    """The root certificate (PEM) of the deployment's one authority, made by whoever comes first. `company` is the name
    in its certificates."""
    async with book.reading() as r:
        found, now = await authority.find(r.session), r.now
    if found is not None:
        return found.root_certificate
    made = await asyncio.to_thread(trust.make_authority, company, now, f"{book.public_url}/pki")
    async with book.writing() as w:
        # The race: two replicas start on an empty database. The second finds the first one's and forgets its own.
        await w.session.lock_word("authority")
        found = await authority.find(w.session)
        if found is not None:
            return found.root_certificate
        w.session.add(AuthorityRow(
            id=authority.ONLY, root_certificate=made.keys.root_certificate, sealed_keys=certifying.packed(w, made),
            created_at=now,
        ))  # fmt: skip
        w.fact("authority.made")
    return made.keys.root_certificate


async def ensure_jobs(book: Book, trust: TrustProvider) -> None:
    """What keeps seals good: certificates and lists of now, and the work of every night. Said again, it changes
    nothing. Raises Conflict before the authority is made."""
    async with book.writing() as w:
        await certifying.keep_up(w, trust)
        await trusting.seal_used(w, trust.own_seal)
        await recurring.ensure(w, certifying.KEEP_UP, "daily 01:40")
        await recurring.ensure(w, ARCHIVE, "daily 02:10")


async def order_seal(w: Writing, signing: Signing) -> None:
    """Queues the seal of what has just been signed, once, and looks after it until it is there."""
    await _order(w, signing, f"seal:{signing.id}")
    await alarms.set_alarm(w.session, LATE, signing.id, w.now + LATE_AFTER)


async def _order(w: Writing, signing: Signing, dedupe_key: str) -> None:
    await outgoing.post_about(w, signing, DeliveryKind.seal, dedupe_key, "seal")


async def late(w: Writing, signing_id: int) -> None:
    """Asks whether a signed offer has its seal (an alarm's handler). If not, that is told each time, and the seal is
    ordered again where the last order was given up: an offer that was signed is never left without."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or signing.state is not SigningState.signed:
        return
    newest = await deliveries.newest_seal(w.session, signing_id)
    again = newest is None or newest.state in GIVEN_UP
    if again:
        await _order(w, signing, f"seal:{signing.id}:{newest.id if newest else 0}")
    w.fact("seal.late", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id, again=again)
    await alarms.set_alarm(w.session, LATE, signing.id, w.now + LATE_AFTER)


async def seal_order(w: Writing, signing_id: int) -> SealOrder:
    """What is to be sealed: the offer's bytes, the evidence, the keys and a serial never given before.

    The evidence is fixed by whoever asks first; a second worker seals the same. Raises Conflict when it is not signed,
    or sealed already.
    """
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or signing.state is not SigningState.signed:
        raise Conflict("There is nothing to seal.")
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    if signing.evidence_sha256 is None:
        bundle = canonical_json(await evidence_of(w, signing, quote))
        signing.evidence_sha256 = await blobs.keep(w.session, bundle, "application/json", w.now)
        await w.session.flush()
    pdf = await blobs.content(w.session, quote.pdf_sha256)
    bundle_kept = await blobs.content(w.session, signing.evidence_sha256)
    assert pdf is not None  # noqa: S101  a foreign key says so
    assert bundle_kept is not None  # noqa: S101  likewise
    return SealOrder(
        pdf=pdf, evidence=bundle_kept, keys=await certifying.keys_of(w),
        timestamp_serial=await signings.next_serial(w.session),
        reason=f"Offer {quote.number}/{quote.version}: seal on the evidence of its signature", location=w.public_url,
        time=await choosing_services.time_of(w, signing.campaign_id),
    )  # fmt: skip


async def evidence_of(w: Writing, signing: Signing, quote: Quote) -> dict[str, Any]:
    """All that anyone needs to follow the signature without us. Hashes are SHA-256 in hexadecimal."""
    receipts = await signings.receipts(w.session, quote.lead_id)
    pdf = await blobs.content(w.session, quote.pdf_sha256)
    return {
        "format": EVIDENCE_FORMAT,
        "statement": STATEMENT,
        "offer": {
            "number": quote.number, "version": quote.version, "currency": quote.currency, "lines": quote.canonical,
            "total_once": quote.total_once, "total_month": quote.total_month,
            "lines_sha256": (quote.canonical_sha256 or b"").hex(),
            "pdf_sha256": (quote.pdf_sha256 or b"").hex(), "pdf_bytes": len(pdf or b""), "agent": quote.agent_id,
        },
        "signature": {
            "name": signing.name_typed, "phone": signing.phone, "consents": signing.consents,
            "signed_at": instant(signing.signed_at) if signing.signed_at else None,
        },
        "contact_allowed_by": [
            {"purposes": one.purposes, "text_sha256": one.text_sha256, "version": one.version, "method": one.method,
             "given_at": instant(one.given_at)} for one in receipts
        ],
        "events": exported(await evidence.of_signing(w.session, signing.id)),
    }  # fmt: skip


async def sealed(w: Writing, signing_id: int, sealed: Sealed) -> None:
    """Stores the sealed document once; a second worker's is dropped. The copy for the customer is sent by an alarm of
    its own: a text that may not be sent now never undoes a seal.

    Raises Conflict when the document does not begin with the offer's own bytes.
    """
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or signing.state is not SigningState.signed:
        return
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    offer = await blobs.content(w.session, quote.pdf_sha256)
    if offer is None or not sealed.pdf.startswith(offer):
        raise Conflict("The sealed document does not begin with the offer.")
    await trusting.seal_used(w, sealed.seal)
    sha256 = await blobs.keep(w.session, sealed.pdf, "application/pdf", w.now)
    await w.move(
        Signing, signing_id, to=SigningState.sealed, sealed_sha256=sha256, level=sealed.level,
        time_source=sealed.time_source,
        data={"level": sealed.level, "time_source": sealed.time_source},
    )  # fmt: skip
    await evidence.append(w.session, signing, w.now, "sealed", {
        "sha256": sha256.hex(), "level": sealed.level, "time_source": sealed.time_source,
        **({"time_by": sealed.time_by} if sealed.time_by else {}),
    })  # fmt: skip
    signing.archive_at = await countersigning.ask(w, signing, sealed)
    await w.session.flush()
    await alarms.cancel(w.session, LATE, signing_id, w.now)
    await alarms.set_alarm(w.session, COPY, signing_id, w.now)
    await attesting.order(w, signing)
    if sealed.outside_due:
        await alarms.set_alarm(w.session, STAMP, signing_id, w.now + OUTSIDE_AFTER)
    w.hint(f"signing:{signing_id}", f"agent:{quote.agent_id}", "alarms")
