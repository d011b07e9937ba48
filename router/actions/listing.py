"""Listing: calls nobody asked for. Why a call is made, and what waits until it is permitted."""

from datetime import datetime, timedelta
from typing import NamedTuple

from router.actions.intake import TASK_DUE
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.carts import SERVICE
from router.model.guard import Purpose, next_open
from router.model.imports import CHUNK
from router.model.leads import Intent, Lead
from router.model.packs import pack_of
from router.model.tasks import Task, TaskKind, TaskState
from router.store import alarms, imports
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
    """A task nobody holds rests until then (aware): the guard has deferred it, it is not lost."""
    moved = await w.move(
        Task, task_id, TaskState.scheduled, frm=(TaskState.queued,), data={"due": until.isoformat(), "reason": "guard"}
    )
    if moved is not None:
        await alarms.set_alarm(w.session, TASK_DUE, task_id, until)


async def waiting_lists(w: Writing) -> list[int]:
    """The campaigns whose lists wait for agents though they may not be called now."""
    found = []
    for campaign_id in await imports.list_campaigns(w.session):
        if await _rest(w, campaign_id) is not None:
            found.append(campaign_id)
    return found


async def _rest(w: Writing, campaign_id: int) -> _Rest | None:
    """Until when the lists of the campaign rest, and why; None when they may be called now."""
    campaign = vouched(await w.session.get(Campaign, campaign_id))
    if campaign.paused:
        return _Rest(w.now + PAUSED_REST, TASK_RESTED, "paused")
    opens = next_open(pack_of(campaign.rule_pack, campaign.country), (campaign.timezone,), w.now)
    if opens is None:
        return _Rest(w.now + PAUSED_REST, TASK_DUE, "hours")
    return _Rest(opens, TASK_DUE, "hours") if opens > w.now else None


async def put_off(w: Writing, campaign_id: int) -> int:
    """Lets some of the campaign's list tasks rest until they may be called; how many. No agent is rung for a call that
    the guard would not allow."""
    rest = await _rest(w, campaign_id)
    if rest is None:
        return 0
    rested = await imports.put_off(w.session, campaign_id, rest.alarm, rest.until)
    for task_id, lead_id in rested:
        w.fact("task.scheduled", campaign_id=campaign_id, lead_id=lead_id, subject_id=task_id,
               due=rest.until.isoformat(), reason=rest.reason)
    if rested:
        w.hint("wallboard")
    return len(rested)


async def wake(w: Writing, campaign_id: int) -> None:
    """The campaign goes on (an alarm's handler): what rested because it was paused is due now, some at a time."""
    if vouched(await w.session.get(Campaign, campaign_id)).paused:
        return
    if await imports.wake(w.session, campaign_id, TASK_RESTED, w.now, CHUNK) == CHUNK:
        await alarms.set_alarm(w.session, LISTS_WAKE, campaign_id, w.now)
    w.hint("alarms")
