"""Erasing: a person is forgotten, at his own wish or because nothing has happened for long. What evidence needs stays.

He is not contacted any more either: whoever has nobody's number calls nobody.
"""

from collections.abc import Sequence

from router.actions import keeping, nurturing, quoting, suppressing
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.errors import Conflict, NotFound
from router.model.tasks import HELD
from router.store import alarms, erasing, number_searches

SWEEP = "persons.erase"
"""The alarm of every night that forgets whom nothing happened about."""
AT_ONCE = 20
"""Persons forgotten in one transaction; the next one follows at once when there are more."""


async def erase(w: Writing, contact_id: int, *, agent_id: int | None = None, evidence: bool = False) -> None:
    """Forgets this person, whatever contacts he is; with `evidence`, also what he signed. What waits for him is
    withdrawn, his open offers are taken back.

    Raises NotFound, and Conflict while somebody is busy with him.
    """
    contacts = await erasing.person(w.session, contact_id)
    if not contacts:
        raise NotFound("There is no such person.")
    contact = vouched(await w.session.get(Contact, contact_id))
    campaign_id = contact.campaign_id
    await suppressing.lock(w, contact)  # before the offers: so does who sends them again
    await _end(w, contacts)
    await erasing.erase(w.session, contacts, w.now, evidence=evidence)
    await number_searches.look_again(w.session, contacts, w.now)
    w.fact("contact.erased", campaign_id=campaign_id, subject_id=contact_id, agent_id=agent_id, contacts=contacts,
           evidence=evidence)  # fmt: skip


async def _end(w: Writing, contacts: Sequence[int]) -> None:
    """What is still to be done for him is not done."""
    quotes, tasks, leads = await erasing.unfinished(w.session, contacts)
    if any(task.state in HELD for task in tasks):
        raise Conflict("Somebody is busy with this person just now. Nothing was erased.")
    for quote_id in quotes:
        await quoting.end(w, quote_id)
    for task in tasks:
        if await keeping.withdraw_task(w, task.id, "erased"):
            await keeping.withdrawn(w, task.id, "erased")
    for lead_id in leads:
        await nurturing.lead_ended(w, lead_id, "erased")


async def sweep(w: Writing, recurring_id: int) -> None:
    """Forgets persons about whom nothing has happened for longer than their campaign keeps them, and their evidence
    when its own time is over, some at a time."""
    await erasing.forget_spending(w.session, w.now.date())
    proven = await erasing.proven_long_enough(w.session, w.now, AT_ONCE)
    for contact_id in proven:
        await erase(w, contact_id, evidence=True)
    old = await erasing.resting(w.session, w.now, AT_ONCE)
    for contact_id in old:
        await erase(w, contact_id)
    if AT_ONCE in (len(proven), len(old)):
        await alarms.set_alarm(w.session, SWEEP, recurring_id, w.now)
        w.hint("alarms")
