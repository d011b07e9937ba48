"""Agreeing: an agent promises a call to the person he talks with, or has just talked with."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from router.actions import covering, guarding, keeping, nurturing, promising, timing
from router.book import Reading, Writing
from router.model import slots
from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.errors import Conflict, Invalid, NotFound
from router.model.hours import Moment, known_zone, resolved
from router.model.leads import Lead
from router.model.promises import (
    AGENT_LATEST,
    OPEN,
    PERSONAL,
    QUEUED_BEFORE,
    Promise,
    PromiseMode,
    PromiseState,
)
from router.model.tasks import Task, TaskState
from router.store import alarms, promises, resuming, tasks
from router.store.db import ReadSession
from router.store.staffing import planned
from router.wording import brief

NOT_AGREED = "Nobody of the team is planned for that time, or it is taken. Choose another, or promise it for yourself."
SOONEST = timedelta(minutes=2)
"""What is promised sooner than this is a call now."""


@dataclass(frozen=True)
class Asked:
    """What the two agreed on: a time on the wall of `zone` (IANA; "": the person's), and who is to keep it."""

    wall: datetime
    zone: str = ""
    mode: PromiseMode = PromiseMode.personal_preferred


async def zone_of(session: ReadSession, campaign: Campaign, contact_id: int) -> str:
    """The zone (IANA) on whose wall this person looks, as far as it is known: what he chose a time in before, else
    where he seems to live."""
    contact = vouched(await session.get(Contact, contact_id))
    return await promises.last_zone(session, contact_id) or timing.zone_of(campaign, contact)


async def understood(
    r: Reading | Writing, campaign: Campaign, contact: Contact, asked: Asked, locale: str
) -> Moment:
    """The moment that was agreed on, to be read back. `locale` is the agent's.

    Raises Invalid for what is no zone, Conflict for a moment that is past, too far ahead, or at which this person may
    not be called, by the rules where he lives.
    """
    now = r.now
    if not known_zone(asked.zone):
        raise Invalid("This is no time zone. One is written like Europe/Madrid.", pointer="/zone")
    moment = resolved(asked.wall, asked.zone)
    if moment.at < now + SOONEST:
        raise Conflict("This time is over, or too near. Choose a later one.", pointer="/time")
    if moment.at > now + AGENT_LATEST:
        raise Conflict("Nothing is promised more than %(days)s days ahead.", pointer="/day", days=AGENT_LATEST.days)
    legal = await guarding.opens_for(r.session, campaign, contact, moment.at, asked.zone)
    if legal is None:
        raise Conflict("The rules for calls allow none to this person.", pointer="/time")
    if legal != moment.at:
        raise Conflict("The rules for calls do not allow that time. The next possible one is %(when)s.",
                       pointer="/time", when=brief(legal, asked.zone, locale))
    return moment


async def agree(w: Writing, task_id: int, agent_id: int, asked: Asked) -> Promise:
    """Promises the person of this task a call, by the agent who holds it. Who had another call promised has this one
    instead; nothing else is tried until then.

    Raises Invalid, and Conflict when the task is not his any more, the time cannot be promised, or he cannot be there.
    """
    task = await w.session.locked(Task, task_id)
    if task is None or task.agent_id != agent_id or task.state not in (TaskState.engaged, TaskState.wrapping):
        raise Conflict("This task is not yours any more. Nothing was promised.")
    before = await promises.open_of_contact(w.session, task.contact_id)
    if before is not None:
        await promises.locked_with_task(w.session, before.id)
    agent = vouched(await w.session.locked(Agent, agent_id))
    contact = vouched(await w.session.get(Contact, task.contact_id))
    if agent.disabled_at is not None or not contact.phone:
        raise Conflict("There is no number to call this person at. Nothing was promised.")
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    queue = await tasks.queue_of(w.session, task)
    asked = Asked(asked.wall, asked.zone or await zone_of(w.session, campaign, contact.id), asked.mode)
    moment = await understood(w, campaign, contact, asked, agent.locale)
    await promising.replace(w, contact.id)
    made = promising.new(w, campaign, queue, moment.at, asked.zone, PromiseState.scheduled)
    made.slot_at = await _place(w, campaign, queue, made, contact, agent if asked.mode in PERSONAL else None)
    lead = vouched(await w.session.get(Lead, task.lead_id))
    made.task_id = await _call(w, lead, queue, moment.at)
    made.contact_id, made.lead_id, made.locale = contact.id, lead.id, contact.locale or lead.locale
    made.mode, made.agent_id = asked.mode, agent_id if asked.mode in PERSONAL else None
    made.continues = before.id if before is not None else None
    await promising.schedule(w, made)
    await nurturing.promised(w, contact.id)
    w.hint(f"agent:{agent_id}")
    return made


async def _place(
    w: Writing, campaign: Campaign, queue: Queue, made: Promise, contact: Contact, owner: Agent | None
) -> datetime | None:
    """The slot whose place the promise takes. Its owner promises his own time, be the slot full or the line closed; for
    the team a place must be free. Raises Conflict."""
    rules = await promising.rules_of(w.session, campaign, queue, made.zone, contact)
    slot_at = slots.begins(rules.opening, rules.slot_minutes, made.starts_at)
    if owner is None:
        plan = await planned(w.session, queue, campaign.timezone, w.now)
        far = slot_at is not None and slot_at > w.now + slots.LATEST
        if slot_at is None or (not far and slots.at(rules, plan.shifts, slot_at, w.now, plan.loads) is None):
            raise Conflict(NOT_AGREED, pointer="/time")
        if far:
            await promises.take_anyway(w.session, queue.id, slot_at)
        else:
            await promising.take_place(w, campaign, queue, slot_at, promising.Asking(made.zone, contact))
        return slot_at
    if await covering.why_away(w, owner, made.starts_at, campaign.timezone):
        raise Conflict("You are not at work at that time. Choose another, or promise it for the team.", pointer="/time")
    other = await promises.owes_near(w.session, owner.id, made.starts_at)
    if other is not None:
        raise Conflict("You have promised another call for %(when)s.", pointer="/time",
                       when=brief(other.starts_at, other.zone, owner.locale))
    if slot_at is not None:
        await promises.take_anyway(w.session, queue.id, slot_at)
    return slot_at


async def _call(w: Writing, lead: Lead, queue: Queue, at: datetime) -> int:
    """A task that calls this person then, scheduled."""
    task_id = vouched(await resuming.call_task(w.session, lead, queue, w.now, later=True))
    due_at = at - QUEUED_BEFORE
    w.fact("task.scheduled", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=task_id,
           due=due_at.isoformat(), reason="promised")
    await alarms.set_alarm(w.session, keeping.TASK_DUE, task_id, due_at)
    return task_id


async def move(w: Writing, promise_id: int, agent_id: int, asked: Asked) -> Promise:
    """The owner moves what he has promised. Raises Invalid, NotFound, and Conflict as `agree` does, or when the call is
    being made already."""
    promise = await _own(w, promise_id, agent_id)
    agent = vouched(await w.session.locked(Agent, agent_id))
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    queue = vouched(await w.session.get(Queue, promise.queue_id))
    contact = vouched(await w.session.get(Contact, promise.contact_id))
    moment = await understood(w, campaign, contact, Asked(asked.wall, asked.zone or promise.zone), agent.locale)
    if moment.at == promise.starts_at:
        return promise
    task = vouched(await w.session.get(Task, vouched(promise.task_id)))
    if task.state not in (TaskState.scheduled, TaskState.queued):
        raise Conflict("We are calling this person now, or have called already.")
    if not await keeping.end(w, promise, PromiseState.moved, "agent"):
        raise Conflict("There is no call planned any more.")
    made = promising.new(w, campaign, queue, moment.at, asked.zone or promise.zone, PromiseState.scheduled)
    made.slot_at = await _place(w, campaign, queue, made, contact, agent)
    due_at = moment.at - QUEUED_BEFORE
    if task.state is TaskState.queued:
        await w.move(Task, task.id, TaskState.scheduled, data={"due": due_at.isoformat(), "reason": "agent"})
    await alarms.set_alarm(w.session, keeping.TASK_DUE, task.id, due_at)
    promising.take_over(made, promise)
    w.hint(f"agent:{agent_id}")
    return await promising.schedule(w, made)


async def cancel(w: Writing, promise_id: int, agent_id: int) -> None:
    """The owner takes back what he has promised; the person has asked him to. Raises NotFound, and Conflict when the
    call is being made, or nothing is promised any more."""
    promise = await _own(w, promise_id, agent_id)
    if not await keeping.withdraw_task(w, vouched(promise.task_id), "agent"):
        raise Conflict("We are calling this person now, or have called already.")
    await keeping.end(w, promise, PromiseState.canceled, "agent")


async def _own(w: Writing, promise_id: int, agent_id: int) -> Promise:
    promise = await promises.locked_with_task(w.session, promise_id)
    if promise is None or promise.agent_id != agent_id:
        raise NotFound("There is no such promise.")
    if promise.state not in OPEN:
        raise Conflict("There is no call planned any more.")
    return promise
