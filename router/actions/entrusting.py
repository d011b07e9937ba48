"""Entrusting: what we ask of third parties of trust. Each question is a delivery; what they answer is another file's
matter (`router.actions.entrusted`).

A provider that fails is told, and never quietly replaced by our own ceremony: the customer would sign at another level
than the company chose.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from router.actions import outgoing
from router.actions.guarding import ask_guard, permit
from router.book import Writing
from router.model.base import vouched
from router.model.budgets import MESSAGE_COST
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.entrusted import FIRST_LOOK, Entrusted, pause
from router.model.errors import Conflict, NotAllowedNow
from router.model.guard import Purpose
from router.model.quotes import Quote
from router.model.signing_accounts import SECRETS, SigningAccount
from router.model.signings import ALIVE, Signing
from router.model.vault import Vault, new_token
from router.ports import SignerAccount, SignRequest, SignStage
from router.store import alarms, blobs, budgets, deliveries, entrusted, evidence, quotes
from router.wording import wording

LOOK = "entrusted.look"
"""The alarm at which a provider is asked, whether it has told us anything or not; its subject is the request."""
FINAL_RANK = SignStage.signed.rank
REMINDER_PAUSE_SECONDS = 600


@dataclass(frozen=True)
class Errand:
    """What is to be done at a provider. `request` is there when it is to be created, `foreign_id` otherwise. `offer`
    are the bytes a signed document must contain; `fetch_signed`, `fetch_proofs`: what we have not got of it yet."""

    provider: str
    account: SignerAccount
    ref: str
    since: datetime
    foreign_id: str = ""
    request: SignRequest | None = None
    offer: bytes = b""
    fetch_signed: bool = False
    fetch_proofs: bool = False
    reason: str = ""


async def entrust(w: Writing, signing: Signing, quote: Quote, parties: quotes.Parties, account: SigningAccount) -> None:
    """Hands the signing over to the account's provider. Raises NotAllowedNow when the person may not be texted, which
    either of the two will do."""
    row = Entrusted(
        signing_id=signing.id, account_id=account.id, ref=new_token(), hook_key=new_token(), created_at=w.now,
    )
    w.session.add(row)
    signing.account_id = account.id
    await w.session.flush()
    await evidence.append(w.session, signing, w.now, "provider.chosen", {"provider": account.provider.value})
    attempt_id = None
    if account.house_sends:
        verdict = await ask_guard(
            w, parties.campaign, parties.contact, Purpose.service, quote.lead_id, channel="sms"
        )
    else:
        attempt, verdict = await permit(
            w, parties.campaign, parties.contact, channel="sms", purpose=Purpose.service, lead_id=quote.lead_id
        )
        attempt_id = attempt.id
    if not verdict.allowed:
        raise NotAllowedNow("This number may not be texted now (%(rules)s).", rules=", ".join(verdict.rules))
    await outgoing.post_about(
        w, signing, DeliveryKind.entrust, f"entrust:{row.id}", "offer", {"entrusted": row.id},
        to_customer=attempt_id is not None, attempt_id=attempt_id,
    )
    if attempt_id is not None:
        scopes = await budgets.scopes_of(w.session, parties.campaign, signing.phone, lead_id=quote.lead_id, at=w.now)
        w.spend(MESSAGE_COST, scopes)


async def of(w: Writing, signing: Signing) -> Entrusted | None:
    """What is entrusted of this signing, locked. The caller holds the signing's lock."""
    row = await entrusted.of_signing(w.session, signing.id)
    return None if row is None else await w.session.locked(Entrusted, row.id)


async def enquire(w: Writing, row: Entrusted) -> None:
    """Queues the question how far the provider has come. The caller holds the row's lock."""
    row.asked, row.waiting = row.asked + 1, True
    await _post(w, row, DeliveryKind.enquire, str(row.asked))


async def look(w: Writing, entrusted_id: int) -> None:
    """Nobody has told us anything for a while: we ask (an alarm's handler), and ever more rarely, while there may be
    something to hear."""
    found = vouched(await w.session.get(Entrusted, entrusted_id))
    row = await of(w, vouched(await w.session.locked(Signing, found.signing_id)))
    if row is None or row.over_at is not None or not row.foreign_id:
        return
    row.looks += 1
    await alarms.set_alarm(w.session, LOOK, row.id, w.now + pause(row.looks))
    await enquire(w, row)


async def watch(w: Writing, row: Entrusted) -> None:
    """The provider has it: from now on it is looked after."""
    await alarms.set_alarm(w.session, LOOK, row.id, w.now + FIRST_LOOK)


async def ask_now(w: Writing, signing: Signing) -> bool:
    """The offer's time is over: whether it was signed in time, the provider knows. What it answers decides; False when
    it knows nothing of it."""
    row = await of(w, signing)
    if row is None or not row.foreign_id or row.over_at is not None:
        return False
    await enquire(w, row)
    return True


async def revoke(w: Writing, signing: Signing, reason: str) -> None:
    """Takes back what the provider holds, unless it has ended there. What it does not know yet is taken back as soon as
    it does."""
    row = await entrusted.of_signing(w.session, signing.id)
    if row is None or not row.foreign_id or row.rank >= FINAL_RANK:
        return
    await _post(w, row, DeliveryKind.revoke, "", reason=reason)


async def remind(w: Writing, signing: Signing) -> bool:
    """Asks the provider to send its message again; False when it was asked a moment ago, or may not."""
    row = await entrusted.of_signing(w.session, signing.id)
    if row is None or signing.state not in ALIVE or not row.foreign_id:
        return False
    found = vouched(await quotes.parties(w.session, signing.lead_id))
    once = f"remind:{row.id}:{int(w.now.timestamp()) // REMINDER_PAUSE_SECONDS}"
    if await deliveries.known(w.session, once):
        return False
    attempt, verdict = await permit(
        w, found.campaign, found.contact, channel="sms", purpose=Purpose.service, lead_id=signing.lead_id
    )
    if not verdict.allowed:
        return False
    await outgoing.post_about(
        w, signing, DeliveryKind.remind, once, "offer", {"entrusted": row.id}, to_customer=True, attempt_id=attempt.id
    )
    return True


async def _post(w: Writing, row: Entrusted, kind: DeliveryKind, place: str, **order: str) -> None:
    signing = vouched(await w.session.get(Signing, row.signing_id))
    once = f"{kind.value}:{row.id}:{place}"
    if await deliveries.known(w.session, once):
        return
    await outgoing.post_about(w, signing, kind, once, "signature", {"entrusted": row.id, **order})


async def errand(w: Writing, delivery: Delivery) -> Errand:
    """What the courier is to do: read when it is started, so that it is true then. Raises NotAllowedNow when there is
    nothing to do any more."""
    row = vouched(await w.session.locked(Entrusted, int(str(delivery.order["entrusted"]))))
    account = vouched(await w.session.get(SigningAccount, row.account_id))
    signing = vouched(await w.session.get(Signing, row.signing_id))
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    common: dict[str, Any] = {
        "provider": account.provider.value, "account": opened(w.vault, account), "ref": row.ref,
        "since": row.created_at, "foreign_id": row.foreign_id,
    }
    if delivery.kind is DeliveryKind.entrust:
        # What may have been handed over is searched for all the same, to be taken back.
        if signing.state not in ALIVE and delivery.state is not DeliveryState.unknown:
            raise NotAllowedNow("This offer was signed, or has ended already.")
        return Errand(**common, request=await _request(w, row, account, signing, quote))
    if not row.foreign_id:
        raise Conflict("The provider does not know this offer.")
    if delivery.kind is DeliveryKind.enquire:
        row.waiting = False
        await w.session.flush()
        return Errand(
            **common, offer=await blobs.content(w.session, quote.pdf_sha256) or b"",
            fetch_signed=row.signed_sha256 is None, fetch_proofs=row.proved_at is None,
        )
    return Errand(**common, reason=str(delivery.order.get("reason", "")))


def opened(vault: Vault, account: SigningAccount) -> SignerAccount:
    """The account with its secrets, as an adapter takes it."""
    secrets = msgspec.json.decode(vault.open(SECRETS, account.sealed), type=dict[str, str])
    return SignerAccount(account.url, secrets, {key: str(value) for key, value in account.settings.items()})


async def _request(
    w: Writing, row: Entrusted, account: SigningAccount, signing: Signing, quote: Quote
) -> SignRequest:
    found = vouched(await quotes.parties(w.session, signing.lead_id))
    pdf = vouched(await blobs.content(w.session, quote.pdf_sha256))
    subject = wording().say(
        "%(company)s: your offer %(number)s", quote.locale, company=found.campaign.company_name, number=quote.number
    )
    return SignRequest(
        ref=row.ref, pdf=pdf, title=f"{quote.number}-{quote.version}", subject=subject, signer=quote.customer,
        phone=signing.phone, locale=quote.locale, asked_at=w.now, expires_at=signing.expires_at,
        hook_url=f"{w.public_url}/hooks/{account.provider.value}/{row.hook_key}", sends=not account.house_sends,
    )
