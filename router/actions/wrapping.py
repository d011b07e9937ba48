"""Wrapping: after the conversation. The server's timer ends it if the agent does not."""

from datetime import timedelta

from router.actions import conversing, keeping, presence
from router.actions.nurturing import talked, task_closed
from router.book import Writing
from router.model.base import vouched
from router.model.calls import Call
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.suppressions import Suppression
from router.model.tasks import BY_AGENT, Disposition, Task, TaskKind, TaskState
from router.store import alarms, tasks

TASK_WRAP = "task.wrap"


async def begin(w: Writing, call: Call) -> None:
    """The two have talked: the agent has the queue's time to say how it went."""
    await begin_task(w, vouched(await w.session.get(Task, call.task_id)))


async def begin_task(w: Writing, task: Task) -> None:
    """The same for any task somebody was engaged in. Who still writes meanwhile gets another agent."""
    queue = await tasks.queue_of(w.session, task)
    until = w.now + timedelta(seconds=queue.wrap_seconds)
    if await w.move(Task, task.id, TaskState.wrapping, held_until=until):
        await talked(w, task.contact_id)
        if task.kind is not TaskKind.chat:
            await keeping.talked(w, task)
        await alarms.set_alarm(w.session, TASK_WRAP, task.id, until)
        await conversing.resume(w, task)


async def close_task(w: Writing, task_id: int, disposition: Disposition) -> Task | None:
    """The task is done, with its coded outcome."""
    task = await w.move(
        Task, task_id, TaskState.closed, disposition=disposition, ended_at=w.now, held_until=None,
        data={"disposition": disposition.value},
    )
    if task is not None and task.kind is TaskKind.nurture:
        await task_closed(w, task, disposition)
    if task is not None:
        await keeping.closed(w, task.id, disposition)
        await conversing.resume(w, task)
    return task


async def dispose(w: Writing, task_id: int, agent_id: int, disposition: Disposition) -> Task:
    """The agent's word on how it went; ends the wrap-up. Raises Conflict when it is over, or the code is not his."""
    if disposition not in BY_AGENT:
        raise Conflict("An agent cannot give this outcome.")
    task = await w.session.locked(Task, task_id)
    if task is None or task.agent_id != agent_id or task.state is not TaskState.wrapping:
        raise Conflict("This task is not in wrap-up any more.")
    if disposition is Disposition.do_not_call:
        await suppress(w, task, "asked")
    elif disposition is Disposition.wrong_number:
        await suppress(w, task, "wrong_number")
    closed = await close_by_house(w, task_id, disposition)
    await presence.release(w, agent_id, closed.kind)
    return closed


async def close_by_house(w: Writing, task_id: int, disposition: Disposition) -> Task:
    """Ends a wrap-up; the agent's capacity is not given back yet."""
    closed = vouched(await close_task(w, task_id, disposition))
    await alarms.cancel(w.session, TASK_WRAP, task_id, w.now)
    return closed


async def suppress(w: Writing, task: Task, reason: str) -> None:
    """From this commit on the guard denies the number, in every replica."""
    contact = vouched(await w.session.get(Contact, task.contact_id))
    if not contact.phone:
        return  # he gave no number: there is nothing to deny
    await w.session.lock_word(contact.phone)
    w.session.add(Suppression(phone=contact.phone, reason=reason, created_at=w.now))
    w.fact("contact.suppressed", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=contact.id,
           reason=reason)


async def wrap_up_ends(w: Writing, task_id: int) -> None:
    """The wrap-up's time is over (an alarm's handler): closed as unclassified, for the supervisor to see."""
    task = await w.session.locked(Task, task_id)
    if task is None or task.state is not TaskState.wrapping or task.agent_id is None:
        return
    await close_task(w, task_id, Disposition.unclassified)
    await presence.release(w, task.agent_id, task.kind)
