"""Depositing: the evidence of a signing is given to a keeper outside, where its campaign has chosen one, and his
receipt becomes part of it."""

import hashlib
from dataclasses import dataclass

from router.actions import bundling, choosing_services, outgoing
from router.book import Book, Writing
from router.model.base import vouched
from router.model.deliveries import GIVEN_UP, Delivery, DeliveryKind
from router.model.deposits import LATE_AFTER, Deposit
from router.model.errors import NotAllowedNow, TooLarge
from router.model.evidence import instant
from router.model.signings import Signing
from router.model.trust_accounts import ServiceName, TrustAccount
from router.ports import CustodyAccount, CustodyReceipt, Refused, TrustProvider
from router.store import alarms, blobs, deliveries, evidence, trust_accounts

LATE = "custody.late"
"""The alarm that asks whether a keeper has confirmed what he was to get; its subject is the signing."""
BUNDLE = "bundle"


@dataclass(frozen=True)
class DepositOrder:
    """What is to be given to whom: `sha256` alone, or with the `content` it is of. Before the bundle is made it is
    empty."""

    signing_id: int
    account: CustodyAccount
    gives: str
    sha256: bytes = b""
    content: bytes = b""


async def order(w: Writing, signing: Signing) -> None:
    """Queues the deposit of what has just been certified, once, and looks after it, where the campaign has a keeper."""
    account = await trust_accounts.chosen(w.session, signing.campaign_id, ServiceName.custody)
    if account is None:
        return
    w.session.add(Deposit(signing_id=signing.id, account_id=account.id, ordered_at=w.now))
    await w.session.flush()
    await _post(w, signing, f"deposit:{signing.id}")
    await alarms.set_alarm(w.session, LATE, signing.id, w.now + LATE_AFTER)


async def _post(w: Writing, signing: Signing, once: str) -> None:
    await outgoing.post_about(w, signing, DeliveryKind.deposit, once, "custody")


async def late(w: Writing, signing_id: int) -> None:
    """Asks whether the keeper has confirmed it (an alarm's handler). If not, that is told each time, and it is given to
    him again where that was given up."""
    signing = vouched(await w.session.locked(Signing, signing_id))
    row = await w.session.get(Deposit, signing_id)
    if row is None or row.received_at is not None:  # None: it was forgotten
        return
    newest = await deliveries.newest(w.session, signing_id, DeliveryKind.deposit)
    again = newest is None or newest.state in GIVEN_UP
    if again:
        await _post(w, signing, f"deposit:{signing.id}:{newest.id if newest else 0}")
    w.fact("custody.late", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id, again=again)
    w.hint("wallboard")
    await alarms.set_alarm(w.session, LATE, signing.id, w.now + LATE_AFTER)


async def deposit_order(w: Writing, delivery: Delivery) -> DepositOrder:
    """Raises NotAllowedNow when it was confirmed already, or is forgotten."""
    row = await w.session.get(Deposit, delivery.signing_id)
    if row is None:
        raise NotAllowedNow("There is no such evidence any more.")
    if row.received_at is not None:
        raise NotAllowedNow("This evidence is kept already.")
    account = vouched(await w.session.get(TrustAccount, row.account_id))
    return DepositOrder(
        row.signing_id, choosing_services.as_custody(w.vault, account), str(account.settings.get("gives", BUNDLE)),
        row.sha256 or b"", await blobs.content(w.session, row.sha256) or b"",
    )


async def bundled(book: Book, trust: TrustProvider, wanted: DepositOrder) -> DepositOrder:
    """The order with its bundle, which is made and kept when it is asked for first: whatever is tried again gives the
    same bytes. Raises Refused, for good when it is too large to be kept."""
    if wanted.content:
        return wanted
    made = (await bundling.make(book, trust, wanted.signing_id)).content
    try:
        async with book.writing() as w:
            row = vouched(await w.session.locked(Deposit, wanted.signing_id))
            # The race: another worker took longer than its lease, and made one too.
            if row.sha256 is None:
                row.sha256 = await blobs.keep(w.session, made, "application/zip", w.now)
                await w.session.flush()
            content = vouched(await blobs.content(w.session, row.sha256))
    except TooLarge as error:
        raise Refused("the bundle is too large to be kept", permanent=True, code="too-large") from error
    return DepositOrder(wanted.signing_id, wanted.account, wanted.gives, hashlib.sha256(content).digest(), content)


async def deposited(w: Writing, delivery: Delivery, receipt: CustodyReceipt) -> None:
    """The keeper has it: his receipt is written down, once."""
    signing = vouched(await w.session.locked(Signing, vouched(delivery.signing_id)))
    row = vouched(await w.session.locked(Deposit, signing.id))
    if row.received_at is not None:
        return
    account = vouched(await w.session.get(TrustAccount, row.account_id))
    row.keeper, row.reference, row.record = receipt.keeper, receipt.reference, receipt.record
    row.given = str(account.settings.get("gives", BUNDLE))
    row.kept_at, row.received_at = receipt.at, w.now
    await w.session.flush()
    await evidence.append(w.session, signing, w.now, "deposited", {
        "keeper": row.keeper, "reference": row.reference, "given": row.given, "sha256": vouched(row.sha256).hex(),
        "record_sha256": hashlib.sha256(receipt.record).hexdigest(),
        "kept_at": instant(receipt.at) if receipt.at is not None else None,
    })  # fmt: skip
    w.fact("custody.received", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id)
    await alarms.cancel(w.session, LATE, signing.id, w.now)
    w.hint(f"signing:{signing.id}", "wallboard")
