"""Partial forms: who gave his number and agreed to be called, and stopped half-way, is offered help after a while."""

from datetime import timedelta

from msgspec.structs import replace

from router.actions.intake import take_in
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.intake import Wanted
from router.model.leads import Lead
from router.model.tasks import TIER_FRESH, Task, TaskKind, TaskState, placed
from router.store import alarms, intake, partials

PARTIAL_DUE = "partial.due"
HELP_AFTER = timedelta(minutes=5)
"""How long a form may rest before its visitor is called: long enough to look for a bill."""


async def begun(w: Writing, wanted: Wanted, visitor: str) -> int | None:
    """Keeps how far the visitor has come; the lead, or None when his whole form has come already.

    Each sign of him sets the timer anew. `wanted` carries no work: that is made when the timer ends. Raises Raced.
    """
    assert wanted.site_id is not None  # noqa: S101
    if await partials.whole_form(w.session, wanted.site_id, visitor):
        return None
    taken = (await take_in(w, [wanted]))[0]
    if taken.replayed and not await partials.moved_on(w.session, taken.lead_id, wanted.phone, wanted.claims["step"]):
        # He has corrected his number: nobody shall call the wrong one.
        await alarms.cancel(w.session, PARTIAL_DUE, taken.lead_id, w.now)
        key = w.vault.token("partial", visitor, wanted.phone)
        taken = (await take_in(w, [replace(wanted, key=key, status_token=w.vault.token("status", key))]))[0]
    if taken.replayed and await partials.helped(w.session, taken.lead_id):
        return taken.lead_id
    await alarms.set_alarm(w.session, PARTIAL_DUE, taken.lead_id, w.now + HELP_AFTER)
    return taken.lead_id


async def due(w: Writing, lead_id: int) -> None:
    """The form has rested long enough (an alarm's handler): somebody calls, unless the visitor has been heard of since,
    or has taken his consent back."""
    lead = await w.session.locked(Lead, lead_id)
    if lead is None or await partials.heard_since(w.session, lead) or not await partials.may_call(w.session, lead):
        return
    if await intake.attach(w.session, {lead.id: TaskKind.call.value}):
        w.fact("lead.attached", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=lead.id)
        return
    queue = vouched(await w.session.get(Queue, await partials.queue_of(w.session, lead)))
    task = Task(
        **placed(queue.line, TaskKind.call, TIER_FRESH, w.now), lead_id=lead.id, contact_id=lead.contact_id,
        state=TaskState.queued, enqueued_at=w.now,
    )
    w.session.add(task)
    await w.session.flush()
    w.fact("task.queued", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=task.id, tier=TIER_FRESH)
    w.hint("dispatch", "wallboard")
