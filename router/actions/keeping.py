"""Keeping: how a promise follows its task, in the task's own transaction."""

from datetime import datetime
from typing import Any

from router.actions import guarding, nurturing
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.promises import (
    KEPT_UNTIL,
    OWNER_FIRST,
    RETRIES,
    Promise,
    PromiseMode,
    PromiseState,
)
from router.model.tasks import (
    NOBODY_ELSE,
    TIER_PROMISE,
    Disposition,
    Task,
    TaskKind,
    TaskState,
    kept_for,
    placed,
)
from router.store import alarms, promises, tasks

TASK_DUE = "task.due"
"""The alarm of a scheduled task."""
MISSED = "promise.missed"
"""The alarm at which a promised call that was not dialled is missed; its subject is the promise."""
LAPSE = "promise.lapse"
"""The alarm at which a held slot becomes free again; its subject is the promise."""
REMIND = "promise.remind"
"""The alarm at which the person is reminded; its subject is the promise."""
WAITS = "promise.waits"
"""The alarm at which it is looked whether the only one who may call is there; its subject is the promise."""
TELL = "promise.tell"
"""The alarm at which the person is told that his promise has come to nothing; its subject is the promise."""

_ENDS = {
    Disposition.no_answer: PromiseState.broken_by_customer,
    Disposition.busy: PromiseState.broken_by_customer,
    Disposition.failed: PromiseState.missed_by_us,
    Disposition.not_permitted: PromiseState.canceled,
}
"""How a promise ends whose call came to nothing. Any other outcome means the two have talked."""


async def end(w: Writing, promise: Promise, to: PromiseState, reason: str = "") -> bool:
    """Ends a promise, once; a place in a slot yet to come is free again."""
    ended = await w.move(Promise, promise.id, to, ended_at=w.now, data={"reason": reason} if reason else None)
    if ended is None:
        return False
    if promise.slot_at is not None and promise.starts_at > w.now:
        await promises.free_place(w.session, promise.queue_id, promise.slot_at)
    for kind in (MISSED, LAPSE, REMIND, WAITS):
        await alarms.cancel(w.session, kind, promise.id, w.now)
    if promise.agent_id is not None:
        w.hint(f"agent:{promise.agent_id}", "dispatch")
    await _nurtured(w, promise, to)
    return True


async def _nurtured(w: Writing, promise: Promise, to: PromiseState) -> None:
    """A cadence that rests for the promise goes on when it comes to nothing; a talk decides by itself."""
    if promise.contact_id is None or promise.lead_id is None:
        return
    if to is PromiseState.broken_by_customer:
        await nurturing.no_show(w, campaign_id=promise.campaign_id, lead_id=promise.lead_id,
                                contact_id=promise.contact_id)
    elif to is PromiseState.canceled:
        await nurturing.promise_over(w, promise.contact_id)


async def withdraw_task(w: Writing, task_id: int, reason: str) -> bool:
    """Takes a promised task out of the queue, or from before it; False when somebody is at it already."""
    gone = await w.move(
        Task, task_id, TaskState.withdrawn, frm=(TaskState.scheduled, TaskState.queued), ended_at=w.now,
        data={"reason": reason},
    )
    await alarms.cancel(w.session, TASK_DUE, task_id, w.now)
    w.hint("wallboard")
    return gone is not None


async def is_promised(w: Writing, task_id: int) -> bool:
    """Whether the call of this task was promised."""
    return await promises.open_of_task(w.session, task_id) is not None


async def offered(w: Writing, task_id: int) -> None:
    """The task of a promise waits for an agent now."""
    promise = await promises.open_of_task(w.session, task_id)
    if promise is None or not await w.move(Promise, promise.id, PromiseState.offered):
        return
    await alarms.set_alarm(w.session, MISSED, promise.id, _called_for(w, promise) + KEPT_UNTIL)
    if promise.mode is PromiseMode.personal_strict:
        await alarms.set_alarm(w.session, WAITS, promise.id, _called_for(w, promise))


def _called_for(w: Writing, promise: Promise) -> datetime:
    """The moment this call is meant for: the promised one, or that of the next try."""
    return promise.starts_at if not promise.tries else w.now


async def owned(w: Writing, task: Task, queue: Queue, spoken_with: int | None) -> dict[str, Any]:
    """The columns that keep a task, as it is queued, for whom it was promised by. Without a promise of his own the
    queue's rule holds, for whom the person has last `spoken_with`."""
    promise = await promises.open_of_task(w.session, task.id)
    if promise is None or promise.agent_id is None:
        return kept_for(queue.line, spoken_with, w.now)
    return kept_as(promise, _called_for(w, promise))


def kept_as(promise: Promise, called_for: datetime) -> dict[str, Any]:
    """The same for a promise, whose call is meant for that moment (aware). Who is known to be away is not waited for,
    unless nobody else may call."""
    strict = promise.mode is PromiseMode.personal_strict
    if promise.mode is PromiseMode.team or (promise.at_risk and not strict):
        return {"prefers": None, "prefers_until": None}
    return {"prefers": promise.agent_id, "prefers_until": NOBODY_ELSE if strict else called_for + OWNER_FIRST}


async def legal_from(w: Writing, promise: Promise, at: datetime) -> datetime | None:
    """The first moment from `at` (aware) on at which the law allows this call; None when there is none.

    What it allows may have changed since it was promised: a rule pack, a holiday, or where the person is.
    """
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    contact = vouched(await w.session.get(Contact, promise.contact_id))
    return await guarding.opens_for(w.session, campaign, contact, at, promise.zone)


async def served_by_another(w: Writing, task: Task) -> None:
    """The person waits in another task for the same, or talks with us: that one keeps the promise of this."""
    promise = await promises.open_of_task(w.session, task.id)
    other = await promises.live_task(w.session, task.contact_id, task.kind)
    if promise is None or other is None:
        return
    if other.state is TaskState.engaged:
        await end(w, promise, PromiseState.kept_by_inbound)
    elif await w.move(Promise, promise.id, PromiseState.offered, task_id=other.id):
        await alarms.set_alarm(w.session, MISSED, promise.id, _called_for(w, promise) + KEPT_UNTIL)


async def talked(w: Writing, task: Task, *, over: bool = False) -> None:
    """The person is talking with us: what was promised to him is kept, be it in another task and for later. When the
    talk is `over`, what was promised in it is yet to be kept."""
    promise = await promises.open_of_contact(w.session, task.contact_id)
    if promise is None:
        return
    began = await promises.talk_began(w.session, task.id) if over else None
    if began is not None and promise.created_at >= began:
        return
    in_time = promise.task_id == task.id and promise.state is PromiseState.offered
    ended = await end(w, promise, PromiseState.kept if in_time else PromiseState.kept_by_inbound)
    if ended and promise.task_id not in (None, task.id):
        await withdraw_task(w, promise.task_id or 0, "talked")


async def closed(w: Writing, task_id: int, disposition: Disposition) -> None:
    """The task of a promise is closed; if the two had talked it was kept before. Who did not answer is called again."""
    promise = await promises.open_of_task(w.session, task_id, locked=True)
    if promise is None:
        return
    to = _ENDS.get(disposition, PromiseState.kept)
    if to is PromiseState.broken_by_customer and await _again(w, promise, disposition):
        return
    ended = await end(w, promise, to, disposition.value)
    if ended and to in (PromiseState.broken_by_customer, PromiseState.missed_by_us):
        await alarms.set_alarm(w.session, TELL, promise.id, w.now)


async def _again(w: Writing, promise: Promise, disposition: Disposition) -> bool:
    """Schedules the next try; False when there were enough, or it would be at an hour at which nobody may be called:
    then he chooses another time himself."""
    if promise.tries >= len(RETRIES) or promise.state is not PromiseState.offered:
        return False
    at = w.now + RETRIES[promise.tries]
    if await legal_from(w, promise, at) != at:
        return False
    task = vouched(await w.session.get(Task, promise.task_id))
    queue = vouched(await w.session.get(Queue, promise.queue_id))
    again = Task(
        **placed(queue.line, TaskKind.call, TIER_PROMISE, w.now), lead_id=task.lead_id, contact_id=task.contact_id,
        state=TaskState.scheduled, enqueued_at=w.now, continues=task.id,
    )
    w.session.add(again)
    await w.session.flush()
    vouched(await w.move(
        Promise, promise.id, PromiseState.no_answer, task_id=again.id, tries=promise.tries + 1,
        data={"reason": disposition.value, "again_at": at.isoformat()},
    ))
    w.fact("task.scheduled", campaign_id=again.campaign_id, lead_id=again.lead_id, subject_id=again.id,
           due=at.isoformat(), reason="no_answer")
    await alarms.set_alarm(w.session, TASK_DUE, again.id, at)
    for kind in (MISSED, WAITS):
        await alarms.cancel(w.session, kind, promise.id, w.now)
    return True


async def withdrawn(w: Writing, task_id: int, reason: str) -> None:
    """The task of a promise was withdrawn for another reason than the promise's own, e.g. a stop word."""
    promise = await promises.open_of_task(w.session, task_id)
    if promise is not None:
        await end(w, promise, PromiseState.canceled, reason)


async def no_calls_to(w: Writing, contact_id: int, reason: str) -> None:
    """Nobody calls this person's number any more: what waits for it is withdrawn, in every campaign."""
    contact = vouched(await w.session.get(Contact, contact_id))
    for task_id in await tasks.waiting_of_number(w.session, contact.phone) if contact.phone else ():
        await withdraw_task(w, task_id, reason)
        await withdrawn(w, task_id, reason)


async def not_wanted(w: Writing, contact_id: int, reason: str) -> None:
    """The person needs no call any more, e.g. because he has signed. One that is being made already goes on."""
    promise = await promises.open_of_contact(w.session, contact_id)
    if promise is not None and await withdraw_task(w, promise.task_id or 0, reason):
        await withdrawn(w, promise.task_id or 0, reason)
