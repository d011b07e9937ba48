"""Talking: messages and mails to customers. Each is a delivery with the guard's recorded answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from router.actions import opening, outgoing, signing, suppressing
from router.actions.bouncing import bounced
from router.actions.guarding import permit, refund
from router.book import Writing
from router.model.addresses import folded, written
from router.model.budgets import MESSAGE_COST
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.model.handouts import SUBJECT as HANDOUT
from router.model.phone import international
from router.model.unsubscribes import Unsubscribe
from router.model.vault import hash_token
from router.ports import RECIPIENT, Channel, Enclosure, MailOrder, MailReturned, MessageMoved, MessageStage
from router.store import addresses, blobs, budgets, deliveries
from router.wording import wording

TEXTS = "texts"
"""The vault's purpose for message texts at rest."""
MAIL = "mail"
"""The guard's word for e-mail."""


@dataclass(frozen=True)
class Text:
    """A message to a customer. `body` may hold a link or a code; `shown` is the same with `[link]` and `[code]` there.
    `dedupe_key` makes the same message once. `subject` is our word for what it is, e.g. "offer" or "code". On WhatsApp
    the campaign must have a number there."""

    body: str
    shown: str
    subject: str
    purpose: Purpose
    dedupe_key: str
    channel: Channel = Channel.sms


async def send_text(
    w: Writing, campaign: Campaign, contact: Contact, text: Text, *, lead_id: int | None = None,
    signing_id: int | None = None,
) -> Delivery:
    """Queues a text message to the contact's number. Raises NotAllowedNow when the guard or a budget says no."""
    attempt, verdict = await permit(
        w, campaign, contact, channel=text.channel.value, purpose=text.purpose, lead_id=lead_id
    )
    if not verdict.allowed:
        raise NotAllowedNow("This number may not be texted now (%(rules)s).", rules=", ".join(verdict.rules))
    delivery = await outgoing.post(
        w, DeliveryKind.message, text.dedupe_key, _addressed(campaign, contact, text.channel), to_customer=True,
        shown_text=text.shown, sealed_text=w.vault.seal(TEXTS, text.body.encode()), purpose=text.subject,
        campaign_id=campaign.id, lead_id=lead_id, signing_id=signing_id, attempt_id=attempt.id,
    )
    w.spend(
        MESSAGE_COST, await budgets.scopes_of(w.session, campaign, contact.phone, lead_id=lead_id, at=w.now)
    )
    return delivery


def _addressed(campaign: Campaign, contact: Contact, channel: Channel) -> dict[str, str]:
    if channel is Channel.whatsapp and campaign.whatsapp:
        return {"to": contact.phone, "sender": campaign.whatsapp, "channel": channel.value}
    return {"to": contact.phone, "sender": campaign.sender}


@dataclass(frozen=True)
class Paper:
    """A kept document that goes with a mail: its name there, and its SHA-256."""

    name: str
    media_type: str
    sha256: bytes


@dataclass(frozen=True)
class Letter:
    """A mail to a customer. `template` is a pair in templates/email/, filled with `values` and with `links`, which are
    shown to nobody else. `about` is our word for what it is, e.g. "offer". `dedupe_key` makes the same mail once."""

    template: str
    about: str
    purpose: Purpose
    dedupe_key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    papers: Sequence[Paper] = ()


class _Sealed(msgspec.Struct, frozen=True):
    """A mail's words at rest."""

    subject: str
    text: str
    html: str
    unsubscribe: str = ""


async def send_mail(
    w: Writing, campaign: Campaign, contact: Contact, address: str, letter: Letter, *, lead_id: int | None = None,
    signing_id: int | None = None,
) -> Delivery:
    """Queues a mail to this address of the contact's. A commercial one brings a link that ends such mails.

    Raises NotAllowedNow when there is no e-mail here, the address takes none, or the guard says no.
    """
    to = written(address)
    if not (w.can_mail and campaign.mail_from):
        raise NotAllowedNow("There is no e-mail here: the house needs a mail server and the campaign an address.")
    reason = await addresses.suppression(w.session, to) if to else "unwritable"
    if reason:
        raise NotAllowedNow("This address may not be written to (%(reason)s).", reason=reason)
    attempt, verdict = await permit(w, campaign, contact, channel=MAIL, purpose=letter.purpose, lead_id=lead_id)
    if not verdict.allowed:
        raise NotAllowedNow("This person may not be written to now (%(rules)s).", rules=", ".join(verdict.rules))
    link = await _unsubscribe_link(w, contact, to, lead_id) if letter.purpose is Purpose.commercial else ""
    said = _words(campaign, contact, letter, {**letter.links, "unsubscribe": link})
    links = [*letter.links, *(["unsubscribe"] if link else [])]
    shown = _words(campaign, contact, letter, dict.fromkeys(links, "[link]"))
    order = {
        "to": to, "sender": campaign.mail_from, "sender_name": campaign.name, "contact": contact.id,
        "papers": [[one.name, one.media_type, one.sha256.hex()] for one in letter.papers],
    }
    sealed = w.vault.seal(TEXTS, msgspec.json.encode(_Sealed(*said, link)))
    return await outgoing.post(
        w, DeliveryKind.mail, letter.dedupe_key, order, to_customer=True, shown_text="\n\n".join(shown[:2]),
        sealed_text=sealed, purpose=letter.about, campaign_id=campaign.id, lead_id=lead_id, signing_id=signing_id,
        attempt_id=attempt.id,
    )


def _words(
    campaign: Campaign, contact: Contact, letter: Letter, links: Mapping[str, str]
) -> tuple[str, str, str]:
    phone = str(campaign.company.get("phone", ""))
    company = {
        "name": campaign.company_name, "brand": campaign.name, "address": str(campaign.company.get("address", "")),
        "phone": phone, "phone_shown": international(phone), "privacy_url": campaign.privacy_url,
    }
    return wording().mail(
        letter.template, contact.locale, **{"unsubscribe": "", "company": company, **letter.values, **links}
    )


async def _unsubscribe_link(w: Writing, contact: Contact, address: str, lead_id: int | None) -> str:
    token = w.vault.token("unsubscribe", str(contact.id), folded(address))
    await addresses.keep_link(w.session, Unsubscribe(
        campaign_id=contact.campaign_id, contact_id=contact.id, lead_id=lead_id, address=address,
        token_hash=hash_token(token), created_at=w.now,
    ))
    return f"{w.public_url}/u/{token}"


async def mail_order(w: Writing, delivery: Delivery) -> MailOrder:
    """The port's order from the row's, at the moment the mail leaves.

    A mail may have waited for hours: raises NotAllowedNow when its address takes none any more. Of the person the guard
    was asked once more just before, and holds his number's lock.
    """
    order = delivery.order
    to = str(order["to"])
    if unwanted := await addresses.suppression(w.session, to):
        raise NotAllowedNow("This address may not be written to (%(reason)s).", reason=unwanted)
    said = msgspec.json.decode(w.vault.open(TEXTS, delivery.sealed_text or b""), type=_Sealed)
    return MailOrder(
        ref=delivery.ref, to=to, sender=str(order["sender"]), sender_name=str(order["sender_name"]),
        subject=said.subject, text=said.text, html=said.html, unsubscribe_url=said.unsubscribe,
        enclosures=[await _enclosed(w, *one) for one in order["papers"]],
    )


async def _enclosed(w: Writing, name: str, media_type: str, sha256: str) -> Enclosure:
    content = await blobs.content(w.session, bytes.fromhex(sha256))
    if content is None:
        raise LookupError("a document of the mail is gone")
    return Enclosure(name, media_type, content)


async def mail_returned(w: Writing, campaign_id: int, event: MailReturned) -> None:
    """A mail server tells that a mail of this campaign was not delivered. Told again, or of a mail that is not ours, it
    changes nothing. It also proves that an uncertain mail was taken."""
    delivery = await deliveries.by_ref(w.session, event.ref)
    if delivery is None or delivery.kind is not DeliveryKind.mail or delivery.campaign_id != campaign_id:
        w.fact("mail.ignored", campaign_id=campaign_id, reason="not_ours")
        return
    await _taken(w, delivery, delivery.carrier_id)
    delivery.error = event.status
    await _progress(w, delivery, MessageStage.failed, "")
    if event.gone:
        await bounced(w, str(delivery.order["to"]))


_STAGES = list(MessageStage)


async def message_placed(w: Writing, delivery: Delivery, carrier_id: str) -> None:
    """The carrier took the message, or the mail server the mail: that is all it ever tells of one that arrives."""
    stage = MessageStage.sent if delivery.kind is DeliveryKind.mail else MessageStage.queued
    await _progress(w, delivery, stage, carrier_id)


async def message_failed(w: Writing, delivery: Delivery, code: str) -> None:
    """The carrier refused the message, for good: it never left, so its place in the caps is free again. An abandoned
    one may have been sent, and keeps it. What a mail server says of an address for good is remembered."""
    if delivery.attempt_id is not None and delivery.state is not DeliveryState.abandoned:
        await refund(w, delivery.attempt_id)
    delivery.error = code
    await _progress(w, delivery, MessageStage.failed, "")
    if delivery.kind is DeliveryKind.mail and code.startswith(RECIPIENT):
        await bounced(w, str(delivery.order["to"]))


async def message_moved(w: Writing, event: MessageMoved) -> None:
    """The carrier tells how far a message of ours has come. A late or repeated word changes nothing.

    It also proves that an uncertain message was taken.
    """
    delivery = await deliveries.by_ref(w.session, event.ref)
    if delivery is None:
        return
    await _taken(w, delivery, event.carrier_id)
    delivery.error = event.error_code or delivery.error
    await _progress(w, delivery, event.stage, event.carrier_id)
    if event.nobody:
        await suppressing.nobody_there(w, delivery)


async def _taken(w: Writing, delivery: Delivery, carrier_id: str) -> None:
    """Word has come of it: it left, whatever we were unsure of."""
    if delivery.state in (DeliveryState.started, DeliveryState.unknown):
        await w.move(Delivery, delivery.id, DeliveryState.done, carrier_id=carrier_id, sealed_text=None,
                     ended_at=w.now, lease_until=None, data={"by": "callback"})


async def _progress(w: Writing, delivery: Delivery, stage: MessageStage, carrier_id: str) -> None:
    """A message's progress only rises; its end is never undone."""
    rank = _STAGES.index(stage) + 1
    if delivery.progress >= rank or delivery.progress - 1 == _STAGES.index(MessageStage.delivered):
        return
    delivery.progress = rank
    delivery.carrier_id = delivery.carrier_id or carrier_id
    await w.session.flush()
    channel: dict[str, Any] = {"channel": MAIL} if delivery.kind is DeliveryKind.mail else {}
    w.fact(f"message.{stage.value}", campaign_id=delivery.campaign_id, lead_id=delivery.lead_id,
           subject_id=delivery.id, purpose=delivery.purpose, error=delivery.error, **channel)
    if delivery.signing_id is not None:
        await signing.message_moved(w, delivery.signing_id, delivery.purpose, stage)
    elif delivery.purpose == HANDOUT:
        await opening.message_moved(w, delivery, stage)
