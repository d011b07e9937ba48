"""Asking back: the customer reads his offer and asks to be called about it, by whoever made it."""

from datetime import timedelta

from router.actions import resuming
from router.actions.resuming import Coming
from router.actions.signing import record, touch
from router.book import Writing
from router.model.base import vouched
from router.model.signings import Signing
from router.model.tasks import Task
from router.model.visitors import Visitor
from router.store import tasks

KEPT_FOR_OWNER = timedelta(seconds=60)
"""So long the call is kept for the quote's agent, where his line keeps none for longer: who asked for a call now does
not wait for one person's lunch."""


async def ask(w: Writing, signing: Signing, visitor: Visitor, coming: Coming) -> bool:
    """Queues a call about the offer, for its agent first; False when the customer waits for a call, or is in one,
    already. Raises Conflict when nobody could call him."""
    locked = vouched(await w.session.locked(Signing, signing.id))
    quote = await touch(w, locked)
    task_id = await resuming.call_now(w, locked.lead_id, coming)
    if task_id is None:
        return False
    task = vouched(await w.session.locked(Task, task_id))
    task.quote_id = quote.id
    if quote.agent_id is not None:
        queue = await tasks.queue_of(w.session, task)
        kept = max(timedelta(seconds=queue.owner_seconds), KEPT_FOR_OWNER)
        task.prefers, task.prefers_until = quote.agent_id, w.now + kept
    await record(w, locked, "call.asked", visitor.as_data())
    w.fact("quote.asked_about", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
           agent_id=quote.agent_id, task=task_id)  # fmt: skip
    return True
