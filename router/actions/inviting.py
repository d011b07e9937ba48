"""Inviting: the texts of a signing, each with its secret: the link, the code, the link to the copy.

Links and codes stand only in a delivery's encrypted text; what agents and screens see says [link] and [code].
"""

from datetime import timedelta
from urllib.parse import urlsplit

from router.actions import entrusting, holding, nurturing, proving, talking
from router.actions.sealing import COPY
from router.actions.signing import EXPIRE, UNHEARD, code_parts, record, touch
from router.book import Writing
from router.model.base import vouched
from router.model.contract_withdrawals import ContractWithdrawal
from router.model.conversations import Channel as ConversationChannel
from router.model.countersignatures import REFUSALS, Countersignature, RefusalReason
from router.model.errors import Conflict, NotAllowedNow
from router.model.guard import Purpose
from router.model.quotes import Quote, QuoteState
from router.model.signing_accounts import SigningAccount
from router.model.signings import ALIVE, CODE_LIFE, UNHEARD_AFTER, CodeAnswer, Signing, SigningState
from router.model.vault import hash_token, new_code, new_token
from router.ports import Channel
from router.store import alarms, conversations, holds, quotes, signing_accounts, signings
from router.wording import moment, money, wording

__all__ = ["COPY", "NARROW", "acknowledge", "amount", "copy", "invite", "send_code", "tell_countersigned", "void"]

WHATSAPP_DAY = timedelta(hours=24)
_GAP = "\x00"
NARROW = str.maketrans("\u00a0\u202fáíóúÁÍÓÚ", "  aiouAIOU")
"""What is not in the telephone's own alphabet would cut a text's room from 160 letters to 70 (3GPP TS 23.038)."""


async def invite(
    w: Writing, quote: Quote, parties: quotes.Parties, channel: Channel = Channel.sms
) -> Signing:
    """A new signing of the offer and the text with its link, or its way to the third party the campaign has chosen.
    Codes come by SMS, whatever the channel. An offer sent again is signed where it says it is. Raises NotAllowedNow.
    """
    if channel is Channel.whatsapp:
        await _may_write_on_whatsapp(w, parties)
    token, before = new_token(), await signings.of_quote(w.session, quote.id)
    signing = Signing(
        quote_id=quote.id, campaign_id=quote.campaign_id, contact_id=quote.contact_id, lead_id=quote.lead_id,
        state=SigningState.created, phone=parties.contact.phone, link_hash=hash_token(token),
        expires_at=quote.valid_until, created_at=w.now,
    )  # fmt: skip
    w.session.add(signing)
    await w.session.flush()
    w.fact("signing.created", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=signing.id,
           agent_id=quote.agent_id)  # fmt: skip
    await record(w, signing, "offer.sent", {
        "number": quote.number, "version": quote.version, "phone": signing.phone, "agent": quote.agent_id,
        "offer_sha256": (quote.canonical_sha256 or b"").hex(), "pdf_sha256": (quote.pdf_sha256 or b"").hex(),
        "once": quote.total_once, "month": quote.total_month, "currency": quote.currency,
        "call": await holds.on_the_line(w.session, quote.lead_id),
    })  # fmt: skip
    held = await holding.examine(w, signing)
    await alarms.set_alarm(w.session, EXPIRE, signing.id, signing.expires_at)
    if before is None:
        account = await signing_accounts.chosen(w.session, quote.campaign_id)
    else:
        account = await w.session.get(SigningAccount, before.account_id) if before.account_id is not None else None
    if account is not None and held:
        signing.account_id = account.id  # what a third party has been told, no supervisor can hold any more
    elif account is not None:
        await entrusting.entrust(w, signing, quote, parties, account)
    else:
        await alarms.set_alarm(w.session, UNHEARD, signing.id, w.now + UNHEARD_AFTER)
        await _text(w, signing, quote, parties, "offer", f"{w.public_url}/q/{token}", channel=channel)
    w.hint(f"signing:{signing.id}", f"agent:{quote.agent_id}")
    return signing


async def release(w: Writing, quote_id: int, agent_id: int) -> None:
    """A supervisor lets an offer be signed that was held; one that a third party is to take goes there only now. Raises
    Conflict when nothing holds it, NotAllowedNow when the person may not be texted."""
    signing = await holding.release(w, quote_id, agent_id)
    if signing.account_id is None or await entrusting.of(w, signing) is not None:
        return
    quote = vouched(await w.session.get(Quote, quote_id))
    account = vouched(await w.session.get(SigningAccount, signing.account_id))
    parties = vouched(await quotes.parties(w.session, quote.lead_id))
    await entrusting.entrust(w, signing, quote, parties, account)


async def text_link(w: Writing, signing: Signing) -> None:
    """The text with the link of an offer that a third party holds now. The caller holds the signing's lock. Raises
    NotAllowedNow."""
    token, quote = new_token(), vouched(await w.session.get(Quote, signing.quote_id))
    signing.link_hash = hash_token(token)
    await _text(
        w, signing, quote, vouched(await quotes.parties(w.session, signing.lead_id)), "offer",
        f"{w.public_url}/q/{token}",
    )


async def _may_write_on_whatsapp(w: Writing, parties: quotes.Parties) -> None:
    """Raises NotAllowedNow outside of the day in which that service lets a business answer."""
    since = w.now - WHATSAPP_DAY
    wrote = await conversations.wrote_since(w.session, parties.contact.id, ConversationChannel.whatsapp, since)
    if not (parties.campaign.whatsapp and wrote):
        raise NotAllowedNow("WhatsApp takes this only within 24 hours of the person's last message there: send an SMS.")


async def send_code(w: Writing, signing: Signing) -> CodeAnswer:
    """Sends a new code to the frozen number; the old one is dead at once. Never raises for a wait or a denial: what was
    counted and recorded must be committed."""
    locked = await w.session.locked(Signing, signing.id)
    frm = (SigningState.opened, SigningState.code_sent, SigningState.verified)
    if locked is None or locked.state not in frm or locked.expires_at <= w.now or locked.is_entrusted:
        return CodeAnswer.closed
    if await holds.open_of(w.session, locked.quote_id):
        return CodeAnswer.held
    due = locked.next_code_at()
    if due is None or due > w.now:
        return CodeAnswer.none_left if due is None else CodeAnswer.wait
    quote, code = await touch(w, locked), new_code()
    found = await quotes.parties(w.session, quote.lead_id)
    if found is None or found.contact.phone != locked.phone:
        return CodeAnswer.refused
    place = locked.codes_sent + 1
    try:
        await _text(w, locked, quote, found, "code", code, place)
    except NotAllowedNow:
        await record(w, locked, "code.refused", {"place": place})
        return CodeAnswer.refused
    moved = await w.move(
        Signing, locked.id, to=SigningState.code_sent, frm=frm, data={"place": place},
        code_hmac=w.vault.mac("code", *code_parts(locked, quote), code), code_sent_at=w.now, code_tries=0,
        code_expires_at=w.now + CODE_LIFE, codes_sent=place,
    )  # fmt: skip
    assert moved is not None  # noqa: S101  the row is locked
    await record(w, moved, "code.sent", {"place": place, "offer_sha256": (quote.canonical_sha256 or b"").hex()})
    return CodeAnswer.sent


async def copy(w: Writing, signing_id: int) -> None:
    """Sends the link to the signed copy and completes the signing (an alarm's handler). Raises NotAllowedNow: the alarm
    tries again later."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or signing.state is not SigningState.sealed:
        return
    token = new_token()
    await record(w, signing, "copy.sent", {})
    moved = await w.move(Signing, signing.id, to=SigningState.completed, copy_hash=hash_token(token))
    completed = await w.move(Quote, signing.quote_id, to=QuoteState.completed, ended_at=w.now)
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    found = await quotes.parties(w.session, signing.lead_id)
    if moved is None or found is None:
        raise Conflict("The signing has moved on.")
    await _text(w, moved, quote, found, "copy", f"{w.public_url}/q/copy/{token}")
    await proving.mail_copy(w, moved, quote, found)
    await alarms.set_alarm(w.session, proving.PROOF_DUE, moved.id, w.now + proving.PROOF_WITHIN)
    if completed is not None:  # who has withdrawn meanwhile is owed his copy all the same
        await nurturing.sold(w, quote)
    w.hint(f"signing:{signing.id}", f"agent:{quote.agent_id}")


async def acknowledge(w: Writing, withdrawal_id: int) -> None:
    """Texts that a withdrawal was declared, when, and where its sealed acknowledgement is (an alarm's handler). Raises
    NotAllowedNow: the alarm tries again later."""
    made = await w.session.locked(ContractWithdrawal, withdrawal_id)
    if made is None or made.link_hash is not None:
        return
    signing = vouched(await w.session.get(Signing, made.signing_id))
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    found = vouched(await quotes.parties(w.session, signing.lead_id))
    token = new_token()
    made.link_hash = hash_token(token)
    at = moment(made.at, found.campaign.timezone, quote.locale)
    await _text(w, signing, quote, found, "withdrawal", f"{w.public_url}/withdraw/{token}", at=at)


async def tell_countersigned(w: Writing, countersignature_id: int) -> None:
    """Texts the link to the countersigned copy, or that the company has not countersigned and why (an alarm's handler).
    Raises NotAllowedNow: the alarm tries again later."""
    found = await w.session.get(Countersignature, countersignature_id)
    signing = None if found is None else await w.session.locked(Signing, found.signing_id)
    row = await w.session.locked(Countersignature, countersignature_id)
    if signing is None or row is None or row.told_at is not None or not row.state.final:
        return
    if signing.sealed_sha256 is None:  # forgotten meanwhile
        return
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    parties = vouched(await quotes.parties(w.session, signing.lead_id))
    row.told_at = w.now
    if row.sha256 is None:
        why = wording().say(REFUSALS[RefusalReason(row.reason)], quote.locale)
        await _text(w, signing, quote, parties, "not_countersigned", "", why=why)
        return
    token = new_token()
    row.copy_hash = hash_token(token)
    await _text(w, signing, quote, parties, "countersigned", f"{w.public_url}/q/copy/{token}")
    await proving.mail_countersigned(w, signing, quote, parties, row.sha256)
    await alarms.set_alarm(w.session, proving.PROOF_DUE, signing.id, w.now + proving.PROOF_WITHIN)
    w.hint(f"signing:{signing.id}", f"agent:{quote.agent_id}")


async def void(w: Writing, signing_id: int, reason: str) -> None:
    """Ends a signing so that its link, code and browser session are dead. Raises Conflict when it was signed or has
    ended."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is None or signing.state not in ALIVE:
        raise Conflict("This offer was signed, or has ended already.")
    await record(w, signing, "void", {"reason": reason})
    await w.move(Signing, signing_id, to=SigningState.void, code_hmac=None, data={"reason": reason})
    await alarms.cancel(w.session, EXPIRE, signing_id, w.now)
    if signing.is_entrusted:
        await entrusting.revoke(w, signing, reason)


def amount(quote: Quote) -> str:
    """What is to be paid, e.g. "49,00 € + 29,90 €/mes"."""
    once, month = (money(total, quote.currency, quote.locale) for total in (quote.total_once, quote.total_month))
    monthly = wording().say("%(amount)s/month", quote.locale, amount=month)
    parts = [once] if quote.total_once or not quote.total_month else []
    return " + ".join([*parts, *([monthly] if quote.total_month else [])])


async def _text(
    w: Writing, signing: Signing, quote: Quote, parties: quotes.Parties, subject: str, secret: str, place: int = 1,
    channel: Channel = Channel.sms, at: str = "", why: str = "",
) -> None:
    company = parties.campaign.company
    values = {
        "company": company.get("name", parties.campaign.name), "number": quote.number, "amount": amount(quote),
        "phone": company.get("phone", ""), "host": urlsplit(w.public_url).hostname or "",
        "at": at, "why": why,
    }  # fmt: skip

    def said(what: str) -> str:
        text = wording().text(f"sms/{subject}.txt", quote.locale, what=_GAP, **values)
        return text.translate(NARROW).replace(_GAP, what)

    shown = "[code]" if subject == "code" else "[link]"
    purpose = Purpose.code if subject == "code" else Purpose.service
    text = talking.Text(said(secret), said(shown), subject, purpose, f"{subject}:{signing.id}:{place}", channel)
    await talking.send_text(w, parties.campaign, parties.contact, text, lead_id=quote.lead_id, signing_id=signing.id)
