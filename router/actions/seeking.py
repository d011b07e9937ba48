"""Seeking: the number is somebody else's. The person's own is looked for, by whoever works on the line of the call, as
long as it is of use to him and us."""

from router.actions import suppressing
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.number_searches import LOOK_AGAIN, SEARCH_LOOK, NumberSearch, SearchState, lapse
from router.model.tasks import Task
from router.store import alarms, number_searches, suppressions

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


async def look(w: Writing, search_id: int) -> None:
    """Whether a number is still needed (an alarm's handler): asked every day, and when something has happened to its
    person. Locked in the order of who finds it."""
    known = await w.session.get(NumberSearch, search_id)
    if known is None or known.state is not SearchState.open:
        return
    await suppressing.lock(w, vouched(await w.session.get(Contact, known.contact_id)))
    search = vouched(await w.session.locked(NumberSearch, search_id))
    if search.state is not SearchState.open:
        return
    why = lapse(search, await number_searches.standing(w.session, search.id), w.now)
    if why is None:
        await alarms.set_alarm(w.session, SEARCH_LOOK, search.id, w.now + LOOK_AGAIN)
    else:
        await w.move(NumberSearch, search.id, SearchState.lapsed, ended_at=w.now, data={"reason": why.value})
        w.hint(f"agent:{search.agent_id}")
