"""Talking: messages to customers. Each is a delivery with the guard's recorded answer."""

from dataclasses import dataclass

from router.actions.nurturing import permit
from router.book import Writing, scopes_of
from router.model.budgets import DEPLOYMENT_CAP, MESSAGE_COST
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.model.vault import new_token

TEXTS = "texts"
"""The vault's purpose for message texts at rest."""


@dataclass(frozen=True)
class Text:
    """A message to a customer. `body` may hold a link or a code; `shown` is the same with `[link]` and `[code]` in their
    places. `dedupe_key` makes the same message once. `subject` is our word for what it is, e.g. "offer" or "code"."""

    body: str
    shown: str
    subject: str
    purpose: Purpose
    dedupe_key: str


async def send_text(
    w: Writing, campaign: Campaign, contact: Contact, text: Text, *, lead_id: int | None = None,
    signing_id: int | None = None,
) -> Delivery:
    """Queues a text message to the contact's number. Raises NotAllowedNow when the guard or a budget says no."""
    attempt, verdict = await permit(w, campaign, contact, channel="sms", purpose=text.purpose, lead_id=lead_id)
    if not verdict.allowed:
        raise NotAllowedNow(f"This number may not be texted now ({', '.join(verdict.rules)}).")
    delivery = Delivery(
        kind=DeliveryKind.message, ref=new_token(), dedupe_key=text.dedupe_key, to_customer=True,
        order={"to": contact.phone, "sender": campaign.sender}, due_at=w.now, created_at=w.now,
        shown_text=text.shown, sealed_text=w.vault.seal(TEXTS, text.body.encode()), purpose=text.subject,
        campaign_id=campaign.id, lead_id=lead_id, signing_id=signing_id, attempt_id=attempt.id,
    )
    w.session.add(delivery)
    await w.session.flush()
    w.fact("delivery.pending", campaign_id=campaign.id, lead_id=lead_id, subject_id=delivery.id,
           what="message", purpose=text.subject)
    w.spend(MESSAGE_COST, scopes_of(contact.phone, campaign.id, campaign.daily_spend_cap, DEPLOYMENT_CAP))
    w.hint("courier")
    return delivery
