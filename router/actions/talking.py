"""Talking: messages to customers. Each is a delivery with the guard's recorded answer."""

from dataclasses import dataclass

from router.actions import outgoing, signing, suppressing
from router.actions.guarding import permit, refund
from router.book import Writing
from router.model.budgets import MESSAGE_COST
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.ports import Channel, MessageMoved, MessageStage
from router.store import budgets, deliveries

TEXTS = "texts"
"""The vault's purpose for message texts at rest."""


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


_STAGES = list(MessageStage)


async def message_placed(w: Writing, delivery: Delivery, carrier_id: str) -> None:
    """The carrier took the message."""
    await _progress(w, delivery, MessageStage.queued, carrier_id)


async def message_failed(w: Writing, delivery: Delivery, code: str) -> None:
    """The carrier refused the message, for good: it never left, so its place in the caps is free again. An abandoned
    one may have been sent, and keeps it."""
    if delivery.attempt_id is not None and delivery.state is not DeliveryState.abandoned:
        await refund(w, delivery.attempt_id)
    delivery.error = code
    await _progress(w, delivery, MessageStage.failed, "")


async def message_moved(w: Writing, event: MessageMoved) -> None:
    """The carrier tells how far a message of ours has come. A late or repeated word changes nothing.

    It also proves that an uncertain message was taken.
    """
    delivery = await deliveries.by_ref(w.session, event.ref)
    if delivery is None:
        return
    if delivery.state in (DeliveryState.started, DeliveryState.unknown):
        await w.move(Delivery, delivery.id, DeliveryState.done, carrier_id=event.carrier_id, sealed_text=None,
                     ended_at=w.now, lease_until=None, data={"by": "callback"})
    delivery.error = event.error_code or delivery.error
    await _progress(w, delivery, event.stage, event.carrier_id)
    if event.nobody:
        await suppressing.nobody_there(w, delivery)


async def _progress(w: Writing, delivery: Delivery, stage: MessageStage, carrier_id: str) -> None:
    """A message's progress only rises; its end is never undone."""
    rank = _STAGES.index(stage) + 1
    if delivery.progress >= rank or delivery.progress - 1 == _STAGES.index(MessageStage.delivered):
        return
    delivery.progress = rank
    delivery.carrier_id = delivery.carrier_id or carrier_id
    await w.session.flush()
    w.fact(f"message.{stage.value}", campaign_id=delivery.campaign_id, lead_id=delivery.lead_id,
           subject_id=delivery.id, purpose=delivery.purpose, error=delivery.error)
    if delivery.signing_id is not None:
        await signing.message_moved(w, delivery.signing_id, delivery.purpose, stage)
