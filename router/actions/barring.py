"""Barring: the person says he is never to be called again, at whatever point of a call, and it holds at once."""

from router.actions import calling, keeping, nurturing, presence, suppressing, wrapping
from router.actions.calling import Ended
from router.actions.dispatch import RESERVATION_EXPIRE
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.tasks import HELD, Disposition, Reservation, ReservationState, Task, TaskState
from router.store import alarms, calls, quotes, tasks

REASON = "asked"


async def never_again(w: Writing, task_id: int, agent_id: int) -> None:
    """The person of the task the agent holds is not contacted any more, from this commit on; what was planned for him
    ends. A ring is withdrawn, a call that is being connected is ended. Two who talk go on talking: they say goodbye,
    and the outcome is known. Only a supervisor takes it back.

    Raises Conflict when the task is not his any more.
    """
    task = await w.session.locked(Task, task_id)
    if task is None or task.agent_id != agent_id or task.state not in HELD:
        raise Conflict("This task is not yours any more.")
    if task.state is TaskState.wrapping:
        await wrapping.dispose(w, task_id, agent_id, Disposition.do_not_call)
        return
    if task.disposition is Disposition.do_not_call:
        return
    state, contact = task.state, vouched(await w.session.get(Contact, task.contact_id))
    if state is TaskState.reserved:
        await _stop_ringing(w, task)
    await _nothing_planned(w, contact)
    await suppressing.suppress(w, contact, REASON, lead_id=task.lead_id, agent_id=agent_id)
    if state is TaskState.connecting:
        call = vouched(await calls.live_of_task(w.session, task.id))
        await calling.end_call(w, call.id, Ended("never_again", Disposition.do_not_call))
    elif state is TaskState.engaged:
        task.disposition = Disposition.do_not_call
        await w.session.flush()
    w.hint(f"agent:{agent_id}", "wallboard")


async def _stop_ringing(w: Writing, task: Task) -> None:
    """Of this and whatever else ends the ring one wins."""
    ringing = await tasks.pending_reservation(w.session, task.id)
    ended = ringing and await w.move(Reservation, ringing.id, ReservationState.canceled, ended_at=w.now)
    if ended is None:
        raise Conflict("This call was already answered, missed or taken back.")
    await alarms.cancel(w.session, RESERVATION_EXPIRE, ended.id, w.now)
    await w.move(Task, task.id, TaskState.queued, agent_id=None, held_until=None, data={"reason": "do_not_call"})
    await presence.release(w, ended.agent_id, task.kind)


async def _nothing_planned(w: Writing, contact: Contact) -> None:
    """As a stop word does: quotes, cadences and tasks before the number's lock. What is queued meanwhile, the guard
    denies."""
    if contact.phone:
        for quote_id in await quotes.open_of_number(w.session, contact.phone):
            await nurturing.quote_ended(w, quote_id, "do_not_call")
        await nurturing.stopped(w, contact.phone, "do_not_call")
    await keeping.no_calls_to(w, contact.id, REASON)
