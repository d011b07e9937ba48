"""Withdrawing: consent is taken back as easily as it was given, and counts no more from that moment."""

from router.actions import keeping, suppressing
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.leads import Lead
from router.store import receipts

PURPOSES = ("requested", "commercial", "recording", "measurement")


async def withdraw(w: Writing, lead_id: int, purpose: str, *, method: str, agent_id: int | None = None) -> bool:
    """Takes back what was agreed to for this purpose; False when there was nothing (left) to take back.

    Consent to offers is taken back for the person, in every request of his; the others for this request. Who no longer
    wants to be called about it is taken out of the line.
    """
    lead = vouched(await w.session.get(Lead, lead_id))
    if purpose == "requested" and await receipts.in_force(w.session, lead, purpose):
        # Before the number's lock: who calls holds the task first, too.
        for task_id in await receipts.waiting_tasks(w.session, lead):
            await keeping.withdraw_task(w, task_id, "consent")
            await keeping.withdrawn(w, task_id, "consent")
    # The guard asks under the same locks: what it allows after this, it allows knowing of it.
    await suppressing.lock(w, vouched(await w.session.get(Contact, lead.contact_id)))
    taken = await receipts.withdraw(w.session, lead, purpose, method=method, now=w.now, agent_id=agent_id)
    if not taken:
        return False
    w.fact("consent.withdrawn", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=lead.id, agent_id=agent_id,
           purpose=purpose, method=method, receipts=taken)
    return True
