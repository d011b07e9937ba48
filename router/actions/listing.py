"""Listing: calls nobody asked for. Why a call is made, and what waits until it is permitted."""

from datetime import datetime, timedelta
from typing import NamedTuple

from router.actions import guarding, keeping, nurturing
from router.actions.enrolling import STEP_DEFER
from router.actions.intake import TASK_DUE
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.carts import SERVICE
from router.model.contacts import Contact
from router.model.guard import Purpose, rests_until
from router.model.imports import CHUNK
from router.model.leads import Intent, Lead
from router.model.tasks import Task, TaskKind, TaskState
from router.store import alarms, cadences, imports, packs
from router.store.tasks import asked_for

PAUSED_REST = timedelta(minutes=15)
"""How long a paused campaign's lists, or those nobody knows an hour for, rest before they are looked at again. A
campaign that goes on wakes its lists before."""
TASK_RESTED = "task.rested"
"""The alarm of a task that rests because its campaign is paused; what rests for its hours has `TASK_DUE`."""
LISTS_WAKE = "lists.wake"


class _Rest(NamedTuple):
    until: datetime
    alarm: str
    reason: str


async def purpose_of(w: Writing, task: Task) -> Purpose:
    """Why the person is called: `requested` when he asked for it himself, in this lead or in one attached to it.

    Everything we start is `commercial`, so that hours, caps and consent bind: a quiet quote, a person of a list, a
    number an agent dials by hand without having been asked to.
    """
    if task.kind is not TaskKind.nurture and await asked_for(w.session, task.lead_id, task.contact_id):
        return Purpose.requested
    lead = vouched(await w.session.get(Lead, task.lead_id))
    # A merchant may have a basis of his own to call about a cart: a service to his buyers.
    if task.kind is TaskKind.call and lead.intent is Intent.cart and lead.source.get("basis") == SERVICE:
        return Purpose.service
    return Purpose.commercial


async def postpone(w: Writing, task_id: int, until: datetime) -> None:
    """A task nobody holds rests until then (aware): the guard has deferred it, it is not lost. A cadence's call goes
    back to its cadence (`router.actions.deferring`)."""
    moved = await w.move(
        Task, task_id, TaskState.scheduled, frm=(TaskState.queued,), data={"due": until.isoformat(), "reason": "guard"}
    )
    if moved is None:
        return
    await alarms.set_alarm(w.session, TASK_DUE, task_id, until)
    if moved.kind is TaskKind.nurture and (step := await cadences.step_of_task(w.session, task_id)) is not None:
        await alarms.set_alarm(w.session, STEP_DEFER, step.id, w.now)
        w.hint("alarms")


async def may_ring(w: Writing, task: Task) -> bool:
    """Whether an agent may be rung for this waiting task: what we start ourselves is asked about once more. What may
    not be done now leaves the queue: until it may, or for good when the person does not want it."""
    purpose = await purpose_of(w, task)
    if purpose is not Purpose.commercial:
        return True
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    contact = vouched(await w.session.get(Contact, task.contact_id))
    announced = await cadences.announcement_of(w.session, task)
    verdict = await guarding.ask_guard(w, campaign, contact, purpose, task.lead_id, announced=announced)
    if verdict.allowed:
        return True
    guarding.told(w, verdict, campaign, purpose, lead_id=task.lead_id, subject_id=task.id, channel="call", when="offer")
    if (until := rests_until(verdict, w.now)) is not None:
        await postpone(w, task.id, until)
    else:
        await _give_up(w, task, verdict.rules[0])
    return False


async def _give_up(w: Writing, task: Task, rule: str) -> None:
    await keeping.withdraw_task(w, task.id, rule)
    await keeping.withdrawn(w, task.id, rule)
    if task.kind is not TaskKind.nurture:
        return
    if task.quote_id is not None:
        await nurturing.quote_ended(w, task.quote_id, rule)
    else:
        await nurturing.lead_ended(w, task.lead_id, rule)


async def waiting_lists(w: Writing) -> list[int]:
    """The campaigns whose lists wait for agents."""
    return await imports.list_campaigns(w.session)


async def put_off(w: Writing, campaign_id: int, after: int = 0) -> tuple[int, int]:
    """Lets some of the campaign's list tasks rest whose persons may not be called at this hour, each by his own clock:
    how many, and the last task looked at (0: there is none behind it). No agent is rung for a call that the guard would
    not allow."""
    campaign = vouched(await w.session.get(Campaign, campaign_id))
    people = await imports.list_people(w.session, campaign_id, after)
    known = await packs.in_force(w.session)
    resting: dict[_Rest, list[int]] = {}
    for task_id, contact in people:
        if (rest := _rest(w, campaign, guarding.bounds(known, campaign, contact))) is not None:
            resting.setdefault(rest, []).append(task_id)
    rested = 0
    for rest, task_ids in sorted(resting.items()):
        for task_id, lead_id in await imports.put_off(w.session, task_ids, rest.alarm, rest.until):
            w.fact("task.scheduled", campaign_id=campaign_id, lead_id=lead_id, subject_id=task_id,
                   due=rest.until.isoformat(), reason=rest.reason)
            rested += 1
    if rested:
        w.hint("wallboard")
    return rested, people[-1][0] if len(people) == CHUNK else 0


def _rest(w: Writing, campaign: Campaign, bound: guarding.Bounds) -> _Rest | None:
    """Until when a call to somebody under these rules rests, and why; None when it may be made now."""
    if campaign.paused:
        return _Rest(w.now + PAUSED_REST, TASK_RESTED, "paused")
    opens = bound.opens(w.now) or w.now + PAUSED_REST
    return _Rest(opens, TASK_DUE, "hours") if opens > w.now else None


async def wake(w: Writing, campaign_id: int) -> None:
    """The campaign goes on (an alarm's handler): what rested because it was paused is due now, some at a time."""
    if vouched(await w.session.get(Campaign, campaign_id)).paused:
        return
    if await imports.wake(w.session, campaign_id, TASK_RESTED, w.now, CHUNK) == CHUNK:
        await alarms.set_alarm(w.session, LISTS_WAKE, campaign_id, w.now)
    w.hint("alarms")
