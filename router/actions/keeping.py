"""Keeping: how a promise follows its task, in the task's own transaction."""

from router.book import Writing
from router.model.promises import KEPT_UNTIL, Promise, PromiseState
from router.model.tasks import Disposition, Task, TaskState
from router.store import alarms, promises

TASK_DUE = "task.due"
"""The alarm of a scheduled task."""
MISSED = "promise.missed"
"""The alarm at which a promised call that was not dialled is missed; its subject is the promise."""
LAPSE = "promise.lapse"
"""The alarm at which a held slot becomes free again; its subject is the promise."""

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
    if promise.starts_at > w.now:
        await promises.free_place(w.session, promise.queue_id, promise.starts_at)
    await alarms.cancel(w.session, MISSED, promise.id, w.now)
    await alarms.cancel(w.session, LAPSE, promise.id, w.now)
    return True


async def withdraw_task(w: Writing, task_id: int, reason: str) -> bool:
    """Takes a promised task out of the queue, or from before it; False when somebody is at it already."""
    gone = await w.move(
        Task, task_id, TaskState.withdrawn, frm=(TaskState.scheduled, TaskState.queued), ended_at=w.now,
        data={"reason": reason},
    )
    await alarms.cancel(w.session, TASK_DUE, task_id, w.now)
    w.hint("wallboard")
    return gone is not None


async def offered(w: Writing, task_id: int) -> None:
    """The task of a promise waits for an agent now."""
    promise = await promises.open_of_task(w.session, task_id)
    if promise is not None and await w.move(Promise, promise.id, PromiseState.offered):
        await alarms.set_alarm(w.session, MISSED, promise.id, promise.starts_at + KEPT_UNTIL)


async def served_by_another(w: Writing, task: Task) -> None:
    """The person waits in another task for the same, or talks with us: that one keeps the promise of this."""
    promise = await promises.open_of_task(w.session, task.id)
    other = await promises.live_task(w.session, task.contact_id, task.kind)
    if promise is None or other is None:
        return
    if other.state is TaskState.engaged:
        await end(w, promise, PromiseState.kept_by_inbound)
    elif await w.move(Promise, promise.id, PromiseState.offered, task_id=other.id):
        await alarms.set_alarm(w.session, MISSED, promise.id, promise.starts_at + KEPT_UNTIL)


async def talked(w: Writing, task: Task) -> None:
    """The person is talking with us: what was promised to him is kept, be it in another task and for later."""
    promise = await promises.open_of_contact(w.session, task.contact_id)
    if promise is None:
        return
    in_time = promise.task_id == task.id and promise.state is PromiseState.offered
    ended = await end(w, promise, PromiseState.kept if in_time else PromiseState.kept_by_inbound)
    if ended and promise.task_id not in (None, task.id):
        await withdraw_task(w, promise.task_id or 0, "talked")


async def closed(w: Writing, task_id: int, disposition: Disposition) -> None:
    """The task of a promise is closed; if the two had talked it was kept before."""
    promise = await promises.open_of_task(w.session, task_id)
    if promise is not None:
        await end(w, promise, _ENDS.get(disposition, PromiseState.kept), disposition.value)


async def withdrawn(w: Writing, task_id: int, reason: str) -> None:
    """The task of a promise was withdrawn for another reason than the promise's own, e.g. a stop word."""
    promise = await promises.open_of_task(w.session, task_id)
    if promise is not None:
        await end(w, promise, PromiseState.canceled, reason)
