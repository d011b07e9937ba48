"""Seeking: the number is somebody else's. The person's own is looked for, by whoever works on the line of the call."""

from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.tasks import Task
from router.store import number_searches, suppressions

WRONG_NUMBER = "wrong_number"


async def wrong_number(w: Writing, task: Task) -> None:
    """The agent has said that somebody else has this number. One search for a person, however often that is said and
    by whichever of his contacts. The caller holds the person's lock."""
    contact = vouched(await w.session.get(Contact, task.contact_id))
    persons = await suppressions.persons(w.session, contact.id)
    if not contact.phone or await number_searches.any_open(w.session, persons):
        return
    search_id = await number_searches.begin(w.session, {
        "campaign_id": task.campaign_id, "lead_id": task.lead_id, "contact_id": contact.id, "queue_id": task.queue_id,
        "created_at": w.now,
    })
    if search_id is not None:
        w.fact("numbersearch.open", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=search_id,
               agent_id=task.agent_id, reason=WRONG_NUMBER)
        w.hint(f"agent:{task.agent_id}")
