"""Entrusted: what third parties of trust answer, and what follows from it.

Their word moves our states only forwards, and only by words we know. A signature counts when our own offer was found in
the document they call signed; document and proofs are kept the moment they come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from router import printing
from router.actions import crediting, entrusting, inviting, keeping, nurturing, sealing, signing
from router.actions.entrusting import LOOK, errand
from router.actions.guarding import refund
from router.actions.nurturing import quote_ended
from router.book import Writing
from router.model.base import vouched
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.entrusted import LINKS, PROOF_PATIENCE, Entrusted, EntrustedProof
from router.model.errors import Conflict, NotAllowedNow
from router.model.evidence import canonical_json, instant
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.signing_accounts import SigningAccount
from router.model.signings import ALIVE, OPENABLE, Signing, SigningState
from router.model.vault import hash_token
from router.model.visitors import Visitor
from router.ports import Heard, Hint, ProviderStatus, SignStage
from router.store import alarms, blobs, entrusted, signings

__all__ = ["created", "done", "errand", "failed", "heard", "hinted", "holds", "opened_here"]

TIME_SOURCE = "provider"


def holds(signed: bytes, said: Sequence[str] | None, offer: bytes) -> str:
    """How our offer is found in the signed document: "prefix", "words", or "" for not at all. `said` are its pages."""
    if offer and signed.startswith(offer):
        return "prefix"
    try:
        return "words" if said and printing.contains(said, offer) else ""
    except Conflict:
        return ""


async def _held(w: Writing, delivery: Delivery) -> tuple[Signing, Entrusted, SigningAccount]:
    """Signing first, then what is entrusted of it, as everywhere."""
    held = vouched(await w.session.locked(Signing, vouched(delivery.signing_id)))
    row = vouched(await entrusting.of(w, held))
    return held, row, vouched(await w.session.get(SigningAccount, row.account_id))


async def created(w: Writing, delivery: Delivery, foreign_id: str, link: str) -> None:
    """The provider has the offer; the signer hears of it from the provider, or from us."""
    held, row, account = await _held(w, delivery)
    row.foreign_id = foreign_id
    row.sealed_link = w.vault.seal(LINKS, link.encode()) if link else None
    await w.session.flush()
    await signing.record(w, held, "provider.created", {
        "provider": account.provider.value, "foreign_id": foreign_id, "ref": row.ref,
    })  # fmt: skip
    await entrusting.watch(w, row)
    if row.hinted:
        await entrusting.enquire(w, row)
    if held.state not in ALIVE:
        await entrusting.revoke(w, held, "ended")
    elif account.house_sends:
        await _send_link(w, held)
    else:
        await w.move(Signing, held.id, to=SigningState.sent)
    await _tell(w, held)


async def _send_link(w: Writing, held: Signing) -> None:
    try:
        async with w.attempt():
            await inviting.text_link(w, held)
    except NotAllowedNow:
        await signing.record(w, held, "provider.not_sent", {})
        await w.move(Signing, held.id, to=SigningState.undeliverable, data={"reason": "guard"})


async def failed(w: Writing, delivery: Delivery, code: str) -> None:
    """The provider did not do it, for good. An offer that did not reach it waits for a person to send it again; never
    does our own ceremony step in."""
    held, row, _ = await _held(w, delivery)
    if delivery.attempt_id is not None and delivery.state is not DeliveryState.abandoned:
        await refund(w, delivery.attempt_id)
    if delivery.kind is DeliveryKind.entrust and held.state in ALIVE:
        await signing.record(w, held, "provider.failed", {"code": code})
        await w.move(Signing, held.id, to=SigningState.undeliverable, data={"reason": f"provider.{code}"})
    elif delivery.kind is DeliveryKind.revoke and row.over_at is None:
        # It may have ended there already, and not as we wished.
        await entrusting.enquire(w, row)
    await _tell(w, held)


async def done(w: Writing, delivery: Delivery) -> None:
    """It was taken back, or its signer was reminded: what that came to, the provider tells when it is asked."""
    held, row, _ = await _held(w, delivery)
    await signing.record(w, held, f"provider.{delivery.kind.value}", {})
    if row.over_at is None:
        await entrusting.enquire(w, row)


async def hinted(w: Writing, account_id: int, hint: Hint, body_sha256: str, entrusted_id: int | None = None) -> None:
    """Somebody who knows the secret tells that something has changed: it is written down, and the provider is asked."""
    found = await w.session.get(Entrusted, entrusted_id) if entrusted_id is not None else None
    found = found or await entrusted.named(w.session, account_id, hint.foreign_id, hint.ref)
    if found is None:
        w.fact("provider.stranger", subject_id=account_id)
        return
    held = vouched(await w.session.locked(Signing, found.signing_id))
    row = vouched(await entrusting.of(w, held))
    await signing.record(w, held, "provider.hint", {"event": hint.event[:100], "body_sha256": body_sha256})
    if not row.foreign_id:
        row.hinted = True
    elif row.over_at is None and not row.waiting:
        await entrusting.enquire(w, row)


async def heard(w: Writing, delivery: Delivery, told: Heard) -> None:
    """What the provider answered."""
    held, row, account = await _held(w, delivery)
    status = told.status
    if status.raw != row.status:
        row.status = status.raw
        stage = status.stage.value if status.stage else None
        await signing.record(w, held, "provider.status", {"raw": status.raw, "stage": stage, "at": _at(status)})
    fresh = told.signed is not None and row.signed_sha256 is None
    if fresh:
        await _keep_signed(w, held, row, account, told)
    if told.proofs and row.proved_at is None:
        await _keep_proofs(w, held, row, told)
    # Older than what we know already: written down, and nothing else.
    if status.stage is not None and status.stage.rank >= row.rank:
        first = row.rank < status.stage.rank or fresh
        row.rank = status.stage.rank
        await w.session.flush()
        if first:
            await _follow(w, held, row, account, told)
    if held.state in ALIVE and held.expires_at <= w.now and status.stage is not SignStage.signed:
        await signing.record(w, held, "expired", {})
        await signing.end(w, held, SigningState.expired, QuoteState.expired, "expired")
    await _over(w, held, row, status)
    await _tell(w, held)


async def _follow(w: Writing, held: Signing, row: Entrusted, account: SigningAccount, told: Heard) -> None:
    """The first time it has come so far."""
    stage = told.status.stage
    match stage:
        case SignStage.sent | SignStage.delivered | SignStage.undeliverable:
            await w.move(Signing, held.id, to=SigningState(stage.value))
        case SignStage.opened:
            await _opened(w, held, told.status)
        case SignStage.signed:
            await _signed(w, held, row, account, told)
        case SignStage.declined if held.state in ALIVE:
            await signing.touch(w, held)
            await signing.end(w, held, SigningState.declined, QuoteState.declined, "provider")
        case SignStage.expired if held.state in ALIVE:
            await signing.end(w, held, SigningState.expired, QuoteState.expired, "expired")
        case SignStage.canceled if held.state in ALIVE:
            await signing.end(w, held, SigningState.void, QuoteState.void, "provider")


async def _opened(w: Writing, held: Signing, status: ProviderStatus) -> None:
    if held.state not in OPENABLE:
        return
    quote = await signing.touch(w, held)
    quote.open_before_at, quote.last_open_at = quote.last_open_at, w.now
    await w.session.flush()
    await w.move(Signing, held.id, to=SigningState.opened, opened_at=held.opened_at or status.at or w.now)
    await w.move(Quote, quote.id, to=QuoteState.opened)


async def _keep_signed(w: Writing, held: Signing, row: Entrusted, account: SigningAccount, told: Heard) -> None:
    row.signed_sha256 = await blobs.keep(w.session, told.signed or b"", "application/pdf", w.now)
    row.signed_at = told.status.at or w.now
    await w.session.flush()
    await signing.record(w, held, "provider.signed", {
        "provider": account.provider.value, "foreign_id": row.foreign_id, "sha256": row.signed_sha256.hex(),
        "offer_found_by": told.holds or None, "at": _at(told.status),
    })  # fmt: skip


async def _keep_proofs(w: Writing, held: Signing, row: Entrusted, told: Heard) -> None:
    known = {one.name for one in await entrusted.proofs(w.session, row.id)}
    for proof in told.proofs:
        if proof.name not in known:
            sha256 = await blobs.keep(w.session, proof.content, proof.media_type, w.now)
            w.session.add(EntrustedProof(
                entrusted_id=row.id, name=proof.name, media_type=proof.media_type, sha256=sha256, fetched_at=w.now,
            ))  # fmt: skip
    row.proved_at = w.now if told.proved else None
    await w.session.flush()
    await signing.record(w, held, "provider.proofs", {"documents": await _listed(w, row)})


async def _listed(w: Writing, row: Entrusted) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "media_type": one.media_type, "sha256": one.sha256.hex()}
        for one in await entrusted.proofs(w.session, row.id)
    ]


async def _signed(w: Writing, held: Signing, row: Entrusted, account: SigningAccount, told: Heard) -> None:
    """The legal moment, if the document is ours and nothing came before it. The race: an agent takes the offer back
    while its customer signs it there. Here ours came first; the signature is kept, and a supervisor is told."""
    quote = vouched(await w.session.locked(Quote, held.quote_id))
    reason = "" if told.holds else "another_document"
    if held.state not in ALIVE or quote.state not in OPEN:
        reason = reason or "too_late"
    if reason:
        w.fact("signing.unfit", campaign_id=held.campaign_id, lead_id=held.lead_id, subject_id=held.id, reason=reason,
               agent_id=quote.agent_id)  # fmt: skip
        w.hint("wallboard")
        return
    await signing.touch(w, held)
    await w.move(Quote, quote.id, to=QuoteState.opened)
    await w.move(Signing, held.id, to=SigningState.signed, signed_at=row.signed_at, data={"by": account.provider.value})
    await w.move(Quote, quote.id, to=QuoteState.signed, data={"once": quote.total_once, "month": quote.total_month})
    await alarms.cancel(w.session, signing.EXPIRE, held.id, w.now)
    await quote_ended(w, quote.id, "signed")
    await keeping.not_wanted(w, quote.contact_id, "signed")
    await crediting.to_author(w, quote)
    await _sealed(w, held, row, account, quote, told.level)


async def _sealed(
    w: Writing, held: Signing, row: Entrusted, account: SigningAccount, quote: Quote, level: str
) -> None:
    """The provider's document is the sealed one; nothing of ours is put over it. Level and time are called theirs."""
    named = f"{level} {account.provider.spoken}"
    bundle = await sealing.evidence_of(w, held, quote) | {
        "statement": f"Electronic signature ({level}) taken by {account.provider.spoken}.",
        "provider": {"name": account.provider.value, "foreign_id": row.foreign_id, "ref": row.ref},
        "signed_sha256": vouched(row.signed_sha256).hex(), "provider_documents": await _listed(w, row),
    }
    held.evidence_sha256 = await blobs.keep(w.session, canonical_json(bundle), "application/json", w.now)
    await w.session.flush()
    await w.move(
        Signing, held.id, to=SigningState.sealed, sealed_sha256=row.signed_sha256, level=named,
        time_source=TIME_SOURCE, data={"level": named, "time_source": TIME_SOURCE},
    )  # fmt: skip
    await signing.record(w, held, "sealed", {
        "sha256": vouched(row.signed_sha256).hex(), "level": named, "time_source": TIME_SOURCE,
    })  # fmt: skip
    await alarms.set_alarm(w.session, sealing.COPY, held.id, w.now)
    w.hint("alarms")


async def _over(w: Writing, held: Signing, row: Entrusted, status: ProviderStatus) -> None:
    """Nothing more is to come: ended there, and proved where there is something to prove, or no proof for too long."""
    if row.over_at is not None or status.stage is None or not status.stage.ended:
        return
    if status.stage is SignStage.signed and row.proved_at is None:
        if w.now - vouched(row.signed_at) < PROOF_PATIENCE:
            return
        w.fact("signing.unproved", campaign_id=held.campaign_id, lead_id=held.lead_id, subject_id=held.id)
    row.over_at = w.now
    await alarms.cancel(w.session, LOOK, row.id, w.now)


@dataclass(frozen=True)
class Elsewhere:
    """Where somebody who opened our link reads and signs: the provider's name as people write it, the signer's link
    there ("" where only the provider sends it), and whether it was asked just now to send it again."""

    signing: Signing
    signer: str
    link: str
    reminded: bool


async def opened_here(w: Writing, token: str, visitor: Visitor) -> Elsewhere | None:
    """Somebody presses the button of our own landing page of an offer that a third party holds; None for any other. It
    moves nothing: whether the offer was opened, the provider says."""
    found = await signings.by_link(w.session, hash_token(token), w.now)
    if found is None or not found.is_entrusted:
        return None
    held = vouched(await w.session.locked(Signing, found.id))
    row = vouched(await entrusting.of(w, held))
    account = vouched(await w.session.get(SigningAccount, row.account_id))
    await signing.record(w, held, "link.opened", visitor.as_data())
    quote = vouched(await w.session.locked(Quote, held.quote_id))
    link = w.vault.open(LINKS, row.sealed_link).decode() if row.sealed_link else ""
    reminded = False
    if await nurturing.opened(w, quote, held, visitor.user_agent):
        await signing.touch(w, held)
        reminded = not link and await entrusting.remind(w, held)
    return Elsewhere(held, account.provider.spoken, link, reminded)


async def _tell(w: Writing, held: Signing) -> None:
    quote = vouched(await w.session.get(Quote, held.quote_id))
    w.hint(f"signing:{held.id}", f"agent:{quote.agent_id}", "alarms")


def _at(status: ProviderStatus) -> str | None:
    return instant(status.at) if status.at is not None else None
