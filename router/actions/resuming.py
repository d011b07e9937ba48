"""Resuming: a person comes back by his link, on whatever device, and asks for a call now or at another time."""

from dataclasses import dataclass
from datetime import datetime

from router.actions import promising
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.intake import Agreed
from router.model.leads import Lead
from router.model.promises import OPEN, QUEUED_BEFORE, Promise
from router.model.tasks import TIER_PROMISE, Task, TaskKind, TaskState, placed
from router.store import alarms, promises, resuming, tasks

METHOD = "status_link"


@dataclass(frozen=True)
class Coming:
    """Who comes back, as the server sees him; `text` is what stood on the button he pressed."""

    text: str
    locale: str
    address: str
    user_agent: str
    page: str


async def call_now(w: Writing, lead_id: int, coming: Coming) -> int | None:
    """Queues another call for this lead; its task. None when the person waits for one already. A call promised to him
    for later stays until he has talked. Raises Conflict when nobody could call him."""
    lead, queue = await _callable(w, lead_id)
    task_id = await resuming.call_task(w.session, lead, queue, w.now, later=False)
    if task_id is None:
        return None
    _keep(w, lead, coming)
    w.fact("task.queued", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=task_id, reason="asked_again")
    w.hint("dispatch", "wallboard")
    return task_id


async def choose(w: Writing, lead_id: int, starts_at: datetime, coming: Coming) -> Promise:
    """Promises this lead a call at another time, whether one was promised or not.

    Raises Conflict when the time is not free, or he is being called; TooMany after many changes.
    """
    newest = await promises.newest_of_lead(w.session, lead_id)
    if newest is not None and newest.state in OPEN:
        return await promising.move(w, lead_id, starts_at)
    lead, queue = await _callable(w, lead_id)
    waiting = await promises.live_task(w.session, lead.contact_id, TaskKind.call)
    if waiting is None:
        task_id = vouched(await resuming.call_task(w.session, lead, queue, w.now, later=True))
        w.fact("task.scheduled", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=task_id,
               due=(starts_at - QUEUED_BEFORE).isoformat())
    else:
        task_id = await _put_off(w, waiting, starts_at)
    _keep(w, lead, coming)
    await alarms.set_alarm(w.session, promising.TASK_DUE, task_id, starts_at - QUEUED_BEFORE)
    return await promising.promise(w, lead, queue, starts_at, task_id, coming.locale)


async def _put_off(w: Writing, waiting: Task, starts_at: datetime) -> int:
    """The task in which he waits now waits for that time instead, with the tier of a promise."""
    queue = await tasks.queue_of(w.session, waiting)
    later = await w.move(
        Task, waiting.id, TaskState.scheduled, frm=(TaskState.queued,),
        **placed(queue.line, waiting.kind, TIER_PROMISE, waiting.since_ms),
        data={"due": (starts_at - QUEUED_BEFORE).isoformat(), "reason": "asked_later"},
    )
    if later is None:
        raise Conflict("We are calling you now, or have called already.")
    w.hint("wallboard")
    return later.id


async def _callable(w: Writing, lead_id: int) -> tuple[Lead, Queue]:
    lead = vouched(await w.session.get(Lead, lead_id))
    contact = vouched(await w.session.get(Contact, lead.contact_id))
    queue = await resuming.queue_of(w.session, lead)
    if not contact.phone or queue is None:
        raise Conflict("We have no number to call you at. Please call us, or ask for a call with your number.")
    return lead, queue


def _keep(w: Writing, lead: Lead, coming: Coming) -> None:
    """He has asked for this call: a receipt of its own."""
    text = Agreed(("requested",), coming.text, "1")
    w.session.add(Receipt(
        campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=lead.id, purposes=list(text.purposes),
        text=text.text, text_sha256=text.sha256, version=text.version, method=METHOD, address=coming.address,
        user_agent=coming.user_agent, page=coming.page, given_at=w.now, locale=coming.locale,
    ))
