"""Wrapping: after the conversation. The server's timer ends it if the agent does not."""

from datetime import datetime, timedelta

from router.actions import conversing, keeping, presence, seeking, suppressing
from router.actions.nurturing import talked, task_closed
from router.book import Writing
from router.model.agents import WILLING, Agent, Wish
from router.model.base import vouched
from router.model.calls import Call
from router.model.campaigns import WrapMode
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.tasks import BY_AGENT, Disposition, Task, TaskKind, TaskState
from router.store import alarms, tasks

TASK_WRAP = "task.wrap"
WRAP_OVERRUN = "task.wrap_overrun"
"""The alarms of a wrap-up: its time is over; the agent's word, which is needed, has not come at all."""


async def begin(w: Writing, call: Call) -> None:
    """The two have talked: the agent has the queue's time to say how it went."""
    await begin_task(w, vouched(await w.session.get(Task, call.task_id)))


async def begin_task(w: Writing, task: Task) -> None:
    """The same for any task somebody was engaged in. Who still writes meanwhile gets another agent. How it went may be
    known already: then there is nothing to wait for."""
    queue = await tasks.queue_of(w.session, task)
    hard_end = w.now + timedelta(seconds=queue.wrap_most_seconds)
    until = hard_end if queue.wrap_mode is WrapMode.until_done else w.now + timedelta(seconds=queue.wrap_seconds)
    if not await _talked(w, task, until):
        return
    if queue.wrap_mode is WrapMode.none or task.disposition is not None:
        await _end(w, task, task.disposition or Disposition.unclassified)
        return
    if queue.wrap_mode is not WrapMode.until_done:
        await alarms.set_alarm(w.session, TASK_WRAP, task.id, until)
    if queue.wrap_mode is not WrapMode.timed:
        await alarms.set_alarm(w.session, WRAP_OVERRUN, task.id, hard_end)
    await conversing.resume(w, task)


async def _talked(w: Writing, task: Task, until: datetime) -> bool:
    if await w.move(Task, task.id, TaskState.wrapping, held_until=until) is None:
        return False
    await talked(w, task)
    vouched(await w.session.get(Contact, task.contact_id)).agent_id = task.agent_id
    if task.kind is not TaskKind.chat:
        await keeping.talked(w, task, over=True)
    return True


async def goes_on(w: Writing, task: Task, disposition: Disposition) -> None:
    """The conversation goes on in another task: this one needs no wrap-up. The agent's capacity is not given back."""
    if await _talked(w, task, w.now):
        await close_by_house(w, task.id, disposition)


async def close_task(w: Writing, task_id: int, disposition: Disposition, *, by: int | None = None) -> Task | None:
    """The task is done, with its coded outcome; `by` is the supervisor who has ended it."""
    task = await w.move(
        Task, task_id, TaskState.closed, disposition=disposition, ended_at=w.now, held_until=None,
        data={"disposition": disposition.value, **({"by": by} if by else {})},
    )
    if task is not None:
        await keeping.closed(w, task.id, disposition)
        await task_closed(w, task, disposition)
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
        # Before the number's lock: who calls holds the task first, too.
        await keeping.no_calls_to(w, task.contact_id, "asked")
        await _suppress(w, task, "asked")
    elif disposition is Disposition.wrong_number:
        await keeping.not_wanted(w, task.contact_id, "wrong_number")
        await _suppress(w, task, "wrong_number")
        await seeking.wrong_number(w, task)
    if await _must_rest(w, task):
        task.disposition = disposition
        await w.session.flush()
        w.fact("wrap.disposition", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id,
               agent_id=agent_id, disposition=disposition.value)
        w.hint(f"agent:{agent_id}")
        return task
    closed = await close_by_house(w, task_id, disposition)
    await presence.release(w, agent_id, closed.kind)
    return closed


async def _must_rest(w: Writing, task: Task) -> bool:
    """Whether his word alone does not end the wrap-up: its time has to be over too."""
    queue = await tasks.queue_of(w.session, task)
    return queue.wrap_mode is WrapMode.timed_and_done and task.held_until is not None and w.now < task.held_until


async def close_by_house(w: Writing, task_id: int, disposition: Disposition, *, by: int | None = None) -> Task:
    """Ends a wrap-up; the agent's capacity is not given back yet."""
    closed = vouched(await close_task(w, task_id, disposition, by=by))
    await alarms.cancel(w.session, TASK_WRAP, task_id, w.now)
    await alarms.cancel(w.session, WRAP_OVERRUN, task_id, w.now)
    return closed


async def _suppress(w: Writing, task: Task, reason: str) -> None:
    contact = vouched(await w.session.get(Contact, task.contact_id))
    await suppressing.suppress(w, contact, reason, lead_id=task.lead_id, agent_id=task.agent_id)


async def wrap_up_ends(w: Writing, task_id: int) -> None:
    """The wrap-up's time is over (an alarm's handler): closed as unclassified, for the supervisor to see. Where the
    agent's word is needed too and was not given, it goes on until its hard end."""
    task = await _wrapping(w, task_id)
    if task is None:
        return
    queue = await tasks.queue_of(w.session, task)
    if task.disposition is not None or queue.wrap_mode is not WrapMode.timed_and_done:
        await _end(w, task, task.disposition or Disposition.unclassified)


async def overruns(w: Writing, task_id: int) -> None:
    """The agent has not said how it went for longer than the queue bears (an alarm's handler): closed as unclassified,
    and he is paused, for he may not be there at all. A supervisor sees both."""
    task = await _wrapping(w, task_id)
    if task is None:
        return
    agent_id = vouched(task.agent_id)
    await _end(w, task, task.disposition or Disposition.unclassified)
    w.fact("wrap.overrun", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id, agent_id=agent_id)
    if vouched(await w.session.locked(Agent, agent_id)).wish in WILLING:
        await presence.set_wish(w, agent_id, Wish.paused, reason="wrap")


async def end(w: Writing, task_id: int, by: int) -> None:
    """A supervisor ends a wrap-up that is stuck: closed with the outcome its agent has given, if any, else as
    unclassified. Raises Conflict when it is over."""
    task = await _wrapping(w, task_id)
    if task is None:
        raise Conflict("This task is not in wrap-up any more.")
    await _end(w, task, task.disposition or Disposition.unclassified, by=by)


async def _wrapping(w: Writing, task_id: int) -> Task | None:
    task = await w.session.locked(Task, task_id)
    return task if task is not None and task.state is TaskState.wrapping and task.agent_id is not None else None


async def _end(w: Writing, task: Task, disposition: Disposition, *, by: int | None = None) -> None:
    agent_id = vouched(task.agent_id)
    await close_by_house(w, task.id, disposition, by=by)
    await presence.release(w, agent_id, task.kind)
