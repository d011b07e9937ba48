"""Signing: the customer's acts, each one conditional move and one event of evidence in the same transaction.

Who holds the row's lock goes on; rows are locked in the order signing, quote, enrolment, task.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from router.actions import crediting, entrusting, holding, keeping, nurturing
from router.actions.nurturing import quote_ended
from router.actions.sealing import order_seal
from router.book import Writing
from router.model import drawings
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.consent import Receipt
from router.model.errors import Conflict, Invalid
from router.model.offers import WITHDRAWAL_DAYS, readable
from router.model.quotes import Quote, QuoteState
from router.model.signings import (
    ALIVE,
    CONSENTS,
    GRACE,
    MAILED_COPY,
    OPENABLE,
    SESSION_LIFE,
    SIGN_WITHIN,
    SIGNED,
    TRIES_PER_SIGNING,
    DeclineReason,
    Given,
    Signing,
    SigningState,
    asked_for,
)
from router.model.vault import hash_token, new_token
from router.model.visitors import Visitor
from router.ports import MessageStage
from router.store import alarms, archives, blobs, evidence, holds, signings
from router.wording import wording

EXPIRE = "signing.expire"
"""The alarm at which an offer's time is over; its subject is the signing."""
LONGEST_NAME = 120
NOT_TICKED = "Please tick this box to sign."
HELD = "A person of ours looks at this offer before it can be signed."
UNHEARD = "signing.unheard"
"""The alarm at which the carrier should have said that the link arrived."""


async def record(w: Writing, signing: Signing, kind: str, data: dict[str, Any]) -> None:
    """Adds to the signing's evidence. The caller holds the row's lock."""
    await evidence.append(w.session, signing, w.now, kind, data)
    w.hint(f"signing:{signing.id}")


async def touch(w: Writing, signing: Signing) -> Quote:
    """The customer did something: the quote is not quiet any more. The quote, locked."""
    quote = vouched(await w.session.locked(Quote, signing.quote_id))
    quote.idle_base = w.now
    await w.session.flush()
    await nurturing.moved(w, quote)
    w.hint(f"signing:{signing.id}", f"agent:{quote.agent_id}")
    return quote


def code_parts(signing: Signing, quote: Quote) -> tuple[str, ...]:
    """What a code is bound to: this signing, the offer's words, its amounts and the number it was sent to."""
    return (
        str(signing.id), (quote.canonical_sha256 or b"").hex(), str(quote.total_once), str(quote.total_month),
        quote.currency, signing.phone,
    )  # fmt: skip


UNDELIVERED = "signing.undelivered"
"""The alarm after an offer's text that did not arrive."""
_SENT_BY = {"offer_mail": "mail", "offer_whatsapp": "whatsapp", "offer_sms": "sms"}
"""An offer's link that is sent once more, another way: what the message is called, and that way."""


async def message_moved(w: Writing, signing_id: int, purpose: str, stage: MessageStage) -> None:
    """A text of this signing has come so far. Only the offer's moves the signing, and only forwards."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or stage is MessageStage.queued:
        return
    way = "mail" if purpose == MAILED_COPY else _SENT_BY.get(purpose, "sms")
    await record(w, signing, f"{way}.{stage.value}", {"purpose": purpose})
    to = {
        MessageStage.sent: SigningState.sent, MessageStage.delivered: SigningState.delivered,
        MessageStage.failed: SigningState.undeliverable,
    }[stage]  # fmt: skip
    if purpose == "offer" or purpose in _SENT_BY:
        await w.move(Signing, signing_id, to=to)
        if to is not SigningState.sent:
            await alarms.cancel(w.session, UNHEARD, signing_id, w.now)
        if stage is MessageStage.failed:
            await alarms.set_alarm(w.session, UNDELIVERED, signing_id, w.now)
    quote = await w.session.get(Quote, signing.quote_id)
    if quote is not None:
        w.hint(f"agent:{quote.agent_id}")


async def open_link(w: Writing, token: str, visitor: Visitor) -> tuple[Signing, str] | None:
    """The customer presses the landing page's button. The signing and the browser's new secret; None when this link
    opens nothing (any more).

    A second opening starts over: the code proves possession of the telephone only for the browser it was typed into.
    """
    found = await signings.by_link(w.session, hash_token(token), w.now)
    signing = None if found is None else await w.session.locked(Signing, found.id)
    if signing is None or signing.state not in OPENABLE or signing.expires_at <= w.now or signing.is_entrusted:
        return None
    cookie = new_token()
    opened_at = signing.opened_at or w.now
    if signing.state is not SigningState.opened:
        vouched(await w.move(Signing, signing.id, to=SigningState.opened, opened_at=opened_at, code_hmac=None))
    signing.cookie_hash, signing.cookie_until = hash_token(cookie), w.now + SESSION_LIFE
    await alarms.cancel(w.session, UNHEARD, signing.id, w.now)
    await record(w, signing, "link.opened", visitor.as_data())
    await holding.examine(w, signing, visitor)
    quote = vouched(await w.session.locked(Quote, signing.quote_id))
    if await nurturing.opened(w, quote, signing, visitor.user_agent):
        await touch(w, signing)
        await nurturing.at_hand(w, quote)
    w.hint(f"signing:{signing.id}", f"agent:{quote.agent_id}")
    await w.move(Quote, quote.id, to=QuoteState.opened)
    return signing, cookie


async def give_code(w: Writing, signing: Signing, code: str, visitor: Visitor) -> Given:
    """Tries a code. Answers by value and never raises: a wrong try must be committed, or guessing would be free.

    The race: ten guesses at once. Each waits for the row's lock and sees what the ones before it used up.
    """
    locked = await w.session.locked(Signing, signing.id)
    if locked is None or locked.expires_at <= w.now:
        return Given.closed
    if locked.state is SigningState.locked:
        return Given.locked
    if locked.state is not SigningState.code_sent:
        return Given.closed
    if not locked.code_alive(w.now) or locked.code_hmac is None:
        return Given.dead
    quote = await touch(w, locked)
    if w.vault.agrees(locked.code_hmac, "code", *code_parts(locked, quote), "".join(code.split())):
        await w.move(Signing, locked.id, to=SigningState.verified, code_hmac=None, code_expires_at=w.now + SIGN_WITHIN)
        await record(w, locked, "code.verified", {"tries": locked.code_tries + 1, **visitor.as_data()})
        return Given.right
    return await _wrong(w, locked, visitor)


async def _wrong(w: Writing, signing: Signing, visitor: Visitor) -> Given:
    signing.code_tries, signing.tries = signing.code_tries + 1, signing.tries + 1
    await w.session.flush()
    await record(w, signing, "code.wrong", {"tries": signing.tries, **visitor.as_data()})
    common = {"campaign_id": signing.campaign_id, "lead_id": signing.lead_id, "subject_id": signing.id}
    w.fact("signing.wrong_code", **common, tries=signing.tries)
    if signing.tries < TRIES_PER_SIGNING:
        return Given.wrong
    await w.move(Signing, signing.id, to=SigningState.locked, code_hmac=None)
    await record(w, signing, "locked", {})
    return Given.locked


async def sign(
    w: Writing, signing: Signing, name: str, consents: Collection[str], visitor: Visitor, drawing: str = ""
) -> Signing:
    """The legal moment: name typed, consents given, signature recorded, seal ordered. Signed before, nothing happens
    and the same signing is given back. `drawing` is a PNG as a data URL, or "".

    What was begun in time is honoured, be it carried out a moment later. Raises Invalid with a pointer (`/name`,
    `/drawing`, `/consents/offer` …), Conflict when it cannot be signed any more, or not yet.
    """
    locked = await w.session.locked(Signing, signing.id)
    if locked is not None and locked.state in SIGNED:
        return locked
    typed, drawn = readable(name, "/name", LONGEST_NAME), drawings.read(drawing)
    for consent in CONSENTS:
        if consent.required and consent.id not in consents:
            raise Invalid(NOT_TICKED, pointer=f"/consents/{consent.id}")
    if locked is None or locked.is_entrusted or not _in_time(locked, w.now, visitor.since):
        raise Conflict("The code has expired; please ask for a new one.")
    if await holds.open_of(w.session, locked.quote_id):
        raise Conflict(HELD)
    quote, given = await touch(w, locked), await _given(w, locked, consents)
    drawing_sha256 = None if drawn is None else await blobs.keep(w.session, drawn, "image/png", w.now)
    moved = await w.move(
        Signing, locked.id, to=SigningState.signed, frm=(SigningState.verified,), signed_at=w.now, name_typed=typed,
        consents=given, drawing_sha256=drawing_sha256, data={"consents": [one["id"] for one in given]},
    )  # fmt: skip
    bound = None if moved is None else await w.move(
        Quote, quote.id, to=QuoteState.signed, data={"once": quote.total_once, "month": quote.total_month}
    )  # fmt: skip
    if moved is None or bound is None:
        raise Conflict("This offer cannot be signed any more.")
    await record(w, moved, "signed", {
        "name": typed, "consents": [{key: c[key] for key in ("id", "version", "sha256")} for c in given],
        "asked": [one.id for one in asked_for(quote.canonical or [])],
        "offer_sha256": (quote.canonical_sha256 or b"").hex(), "pdf_sha256": (quote.pdf_sha256 or b"").hex(),
        "call": await holds.on_the_line(w.session, moved.lead_id), **visitor.as_data(),
        **({"drawing_sha256": drawing_sha256.hex()} if drawing_sha256 is not None else {}),
    })  # fmt: skip
    await alarms.cancel(w.session, EXPIRE, moved.id, w.now)
    await quote_ended(w, quote.id, "signed")
    await keeping.not_wanted(w, quote.contact_id, "signed")
    await crediting.to_author(w, bound)
    await order_seal(w, moved)
    return moved


def _in_time(signing: Signing, now: datetime, since: timedelta) -> bool:
    """Whether what was begun so long ago may still be done."""
    begun = now - since
    return begun < signing.expires_at and since < GRACE and signing.code_alive(begun)


async def _given(w: Writing, signing: Signing, consents: Collection[str]) -> list[dict[str, Any]]:
    """The consents with the very words they were given to; a commercial one is also a receipt the guard reads."""
    campaign = await w.session.get(Campaign, signing.campaign_id)
    quote = await w.session.get(Quote, signing.quote_id)
    assert campaign is not None  # noqa: S101  a foreign key says so
    assert quote is not None  # noqa: S101  likewise
    given = []
    values = {"company": campaign.company.get("name", campaign.name), "days": WITHDRAWAL_DAYS}
    for consent in asked_for(quote.canonical or []):
        if consent.id in consents:
            text = wording().say(consent.text, quote.locale) % values
            digest = hashlib.sha256(text.encode()).hexdigest()
            given.append({"id": consent.id, "version": consent.version, "text": text, "sha256": digest})
            if consent.id == "commercial":
                w.session.add(Receipt(
                    campaign_id=signing.campaign_id, contact_id=signing.contact_id, lead_id=signing.lead_id,
                    purposes=["commercial"], text=text, text_sha256=digest, version=consent.version, method="signing",
                    address="", user_agent="", page="/q", given_at=w.now,
                ))  # fmt: skip
    return given


async def decline(w: Writing, signing: Signing, reason: DeclineReason, visitor: Visitor) -> bool:
    """The customer says no. False when it was signed, or had ended, before."""
    locked = await w.session.locked(Signing, signing.id)
    if locked is None or locked.state not in ALIVE or locked.state is SigningState.locked:
        return False
    await touch(w, locked)
    await record(w, locked, "declined", {"reason": reason.value, **visitor.as_data()})
    await end(w, locked, SigningState.declined, QuoteState.declined, reason.value)
    return True


async def fetch_copy(w: Writing, signing: Signing, visitor: Visitor) -> bytes | None:
    """The sealed document for whoever holds the link to the copy; that it was fetched is evidence."""
    locked = await w.session.locked(Signing, signing.id)
    if locked is None or locked.sealed_sha256 is None:
        return None
    await record(w, locked, "copy.downloaded", visitor.as_data())
    newest = await archives.newest(w.session, locked.id)
    return await blobs.content(w.session, newest.sha256 if newest else locked.sealed_sha256)


async def unheard(w: Writing, signing_id: int) -> None:
    """The carrier has not said that the link arrived (an alarm's handler): its agent is told, and may ask the person. A
    receipt is evidence and no gate: the signing stays as it is."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or not signing.unheard(w.now):
        return
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    w.fact("signing.unheard", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id,
           agent_id=quote.agent_id)  # fmt: skip
    w.hint(f"agent:{quote.agent_id}")


async def expire(w: Writing, signing_id: int) -> None:
    """The offer's time is over (an alarm's handler)."""
    locked = await w.session.locked(Signing, signing_id)
    if locked is None or locked.state not in ALIVE:
        return
    # Who has typed his code may be sending his signature this very moment.
    ends_at = locked.expires_at + (GRACE if locked.state is SigningState.verified else timedelta(0))
    if ends_at > w.now:
        await alarms.set_alarm(w.session, EXPIRE, locked.id, ends_at)
        return
    if locked.is_entrusted and await entrusting.ask_now(w, locked):
        return
    await record(w, locked, "expired", {})
    await end(w, locked, SigningState.expired, QuoteState.expired, "expired")


async def end(w: Writing, signing: Signing, to: SigningState, quote_to: QuoteState, reason: str) -> None:
    """Ends the signing, and its quote with it. The caller holds the signing's lock."""
    await w.move(Signing, signing.id, to=to, code_hmac=None, data={"reason": reason})
    quote = await w.move(Quote, signing.quote_id, to=quote_to, ended_at=w.now, data={"reason": reason})
    await alarms.cancel(w.session, EXPIRE, signing.id, w.now)
    await quote_ended(w, signing.quote_id, reason)
    if signing.is_entrusted:
        await entrusting.revoke(w, signing, reason)
    if quote is not None:
        w.hint(f"agent:{quote.agent_id}")
