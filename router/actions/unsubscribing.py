"""Unsubscribing: one press, or one request of a mail program, ends commercial mails; nothing is asked."""

from router.actions.withdrawing import withdraw
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.unsubscribes import Unsubscribe
from router.store import addresses

METHOD = "mail"


async def unsubscribe(w: Writing, link: Unsubscribe) -> None:
    """Takes the person's consent to offers back, in every request of his. Doing it twice is doing it once.

    A mail on its way to the mail server is looked at once more before it leaves, under the same lock.
    """
    lead_id = link.lead_id
    if lead_id is None:
        contact = vouched(await w.session.get(Contact, link.contact_id))
        lead_id = await addresses.latest_lead(w.session, contact.merged_into or contact.id)
    if lead_id is not None:
        await withdraw(w, lead_id, "commercial", method=METHOD)
    if await addresses.use(w.session, link.id, w.now):
        w.fact("mail.unsubscribed", campaign_id=link.campaign_id, lead_id=lead_id, subject_id=link.id)
