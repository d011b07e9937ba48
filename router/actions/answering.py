"""Answering: what becomes of a call that comes in.

The carrier asks again after every sentence, so what a caller hears follows from the rows alone: the same question twice
has the same answer, and whoever is killed in between loses nothing. Locks: call, reservation, task, then the arrival.
"""

from datetime import timedelta

from babel.dates import format_timedelta

from router.actions import attaching, calling, conversing, dispatch, waiting
from router.actions.intake import take_in
from router.actions.promising import opening_of
from router.book import Writing
from router.model import hours
from router.model.arrivals import (
    ASK_AGAIN,
    CALL_BACK_AFTER,
    LONGEST_LINE,
    LONGEST_MESSAGE,
    MOST_AN_HOUR,
    Arrival,
    ArrivalState,
)
from router.model.base import vouched
from router.model.calls import CallState
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.errors import Invalid
from router.model.intake import Wanted, Work
from router.model.leads import Intent, Lead
from router.model.phone import E164, e164
from router.model.tasks import TIER_FRESH, TIER_NOW, Task, TaskKind, TaskState, kept_for, placed
from router.model.vault import new_token
from router.ports import (
    CallArrived,
    CallerMoved,
    CallerTurned,
    HangUp,
    LeaveMessage,
    LegMoved,
    LegOutcome,
    LegStage,
    Listen,
    MessageSpoken,
    Prompt,
    TurnAway,
)
from router.store import arrivals, calls, tasks
from router.store.arrivals import Route
from router.store.staffing import staffing
from router.wording import known, wording

CALL_BACK = "1"
RACES = 3
_SOONEST = 60
"""Seconds. A wait is told in whole minutes, and only when it is a minute at least."""


class _Changed(Exception):
    """The rows moved between the look and the lock."""


async def arrived(w: Writing, event: CallArrived) -> Prompt:
    """Somebody calls. The same call told twice is one arrival, and hears the same."""
    await w.session.lock_word(f"caller:{event.carrier_id}")
    before = await arrivals.by_call(w.session, event.carrier_id)
    if before is None:
        before = await _welcome(w, event)
        if before.state is ArrivalState.waiting:
            return await _wait(w, before, first=True)
    return await _prompt(w, before)


async def _welcome(w: Writing, event: CallArrived) -> Arrival:
    caller = event.caller if E164.fullmatch(event.caller) else ""
    route = await arrivals.route_of(w.session, event.dialled, caller)
    arrival = Arrival(
        carrier_id=event.carrier_id, ref=new_token(), state=ArrivalState.refused, caller=caller,
        dialled=event.dialled[:100], created_at=w.now, heard_at=w.now,
        locale=known(route.campaign.locale) if route else known(""),
    )
    w.session.add(arrival)
    await w.session.flush()
    if route is None:
        await _refuse(w, arrival, "unknown_number")
        return arrival
    arrival.campaign_id, arrival.queue_id = route.campaign.id, route.queue.id
    if caller and await arrivals.calls_since(w.session, caller, w.now - timedelta(hours=1)) > MOST_AN_HOUR:
        await _refuse(w, arrival, "too_often")
    else:
        await _take(w, arrival, route, event)
    return arrival


async def _refuse(w: Writing, arrival: Arrival, reason: str) -> None:
    arrival.reason, arrival.ended_at = reason, w.now
    await w.session.flush()
    w.fact("arrival.refused", campaign_id=arrival.campaign_id, subject_id=arrival.id, reason=reason)
    w.hint("wallboard")


async def _take(w: Writing, arrival: Arrival, route: Route, event: CallArrived) -> None:
    """His request is a lead. Open: he waits for an agent. Closed: he is called back, unless he hides his number."""
    opening = opening_of(route.campaign, route.queue)
    is_open = hours.is_open(opening, w.now)
    work: Work | None = Work(TaskKind.call, TIER_NOW)
    if not is_open:
        opens = hours.next_open(opening, w.now)
        work = Work(TaskKind.call, TIER_FRESH, opens) if opens and _callable(arrival.caller, route.campaign) else None
    taken = (await take_in(w, [_wanted(arrival, route, event, work)]))[0]
    arrival.lead_id, arrival.task_id = taken.lead_id, taken.task_id
    if is_open and taken.task_id is None:
        arrival.task_id = await _task_of_person(w, taken.lead_id)
    arrival.state = ArrivalState.waiting if is_open else ArrivalState.message
    arrival.reason = "" if is_open else "closed"
    await w.session.flush()
    w.fact(f"arrival.{arrival.state.value}", campaign_id=route.campaign.id, lead_id=taken.lead_id,
           subject_id=arrival.id, task=arrival.task_id)


def _wanted(arrival: Arrival, route: Route, event: CallArrived, work: Work | None) -> Wanted:
    source = {"party": "telephone", "dialled": arrival.dialled}
    if route.source.startswith("offline:"):
        source["offline"] = route.source.removeprefix("offline:")
    elif route.source:
        source["utm_source"] = route.source
    if event.forwarded_from:
        source["forwarded_from"] = event.forwarded_from[:40]
    return Wanted(
        line=route.queue.line,
        phone=arrival.caller, name="", locale=arrival.locale, intent=Intent.inbound_call, method="telephone",
        status_token=new_token(), work=work, source=source, scope="carrier:call", key=arrival.carrier_id,
    )


async def _task_of_person(w: Writing, lead_id: int) -> int | None:
    """He waits for the same already, e.g. because he asked to be called: that task is served here."""
    lead = vouched(await w.session.get(Lead, lead_id))
    waiting = await tasks.waiting_call_of(w.session, lead.contact_id)
    return waiting.id if waiting else None


def _callable(phone: str, campaign: Campaign) -> bool:
    try:
        return bool(phone) and e164(phone, campaign.country) == phone
    except Invalid:
        return False


async def turned(w: Writing, event: CallerTurned) -> Prompt:
    """A caller asks what now: he has heard the sentence, pressed a key, spoken, or come out of a room."""
    arrival = await arrivals.by_call(w.session, event.carrier_id)
    if arrival is None or arrival.ref != event.ref:
        return Prompt(HangUp())
    if event.gone:
        await left(w, event.carrier_id)
        return Prompt(HangUp())
    if arrival.state is ArrivalState.waiting:
        task = await _serve_on(w, arrival)
        arrival = vouched(await w.session.locked(Arrival, arrival.id))
        if event.key == CALL_BACK and arrival.state is ArrivalState.waiting:
            await _call_back(w, arrival, task)
        elif arrival.state is ArrivalState.waiting:
            return await _wait(w, arrival)
    elif arrival.state is ArrivalState.message:
        arrival = vouched(await w.move(Arrival, arrival.id, ArrivalState.ended, ended_at=w.now))
        return Prompt(HangUp(), (_say("Thank you. We will call you back. Goodbye.", arrival),), arrival.locale)
    return await _prompt(w, arrival)


async def _serve_on(w: Writing, arrival: Arrival) -> Task | None:
    """The task the caller waits for, locked. One that ended without him is followed by another of the same age."""
    task = await w.session.locked(Task, arrival.task_id) if arrival.task_id else None
    if task is not None and not task.state.final and task.state is not TaskState.wrapping:
        return task
    lead = vouched(await w.session.get(Lead, vouched(arrival.lead_id)))
    queue = vouched(await w.session.get(Queue, vouched(arrival.queue_id)))
    contact = vouched(await w.session.get(Contact, lead.contact_id))
    made = await tasks.enqueue(w.session, {
        **placed(queue.line, TaskKind.call, TIER_NOW, task.since_ms if task else arrival.created_at),
        **kept_for(queue.line, contact.agent_id, w.now),
        "lead_id": lead.id, "contact_id": lead.contact_id,
        "state": TaskState.queued, "enqueued_at": arrival.created_at,
        "continues": task.id if task else None,
        "expected_at": task.expected_at if task else None, "expected_present": task.expected_present if task else 0,
    })
    if made is not None:
        w.fact("task.queued", campaign_id=queue.campaign_id, lead_id=lead.id, subject_id=made, tier=TIER_NOW,
               reason="on_the_line")
        w.hint("dispatch", "wallboard")
    arrival.task_id = made or await _task_of_person(w, lead.id)
    await w.session.flush()
    return await w.session.locked(Task, arrival.task_id) if arrival.task_id else None


async def _call_back(w: Writing, arrival: Arrival, task: Task | None) -> None:
    """He hangs up and keeps his place: the task stays as it is, and calls him. Not once an agent is at it."""
    campaign = vouched(await w.session.get(Campaign, vouched(arrival.campaign_id)))
    if task is None or task.state is not TaskState.queued or not _callable(arrival.caller, campaign):
        return
    await w.move(Arrival, arrival.id, ArrivalState.callback, ended_at=w.now, data={"task": task.id})
    await w.session.flush()


async def _prompt(w: Writing, arrival: Arrival) -> Prompt:
    """What a caller hears whose request stands like this."""
    arrival.heard_at = w.now
    match arrival.state:
        case ArrivalState.waiting:
            return await _wait(w, arrival)
        case ArrivalState.message:
            return Prompt(LeaveMessage(arrival.ref, LONGEST_MESSAGE), await _closed(w, arrival), arrival.locale)
        case ArrivalState.callback:
            said = _say("Thank you. You keep your place, and we will call you. Goodbye.", arrival)
            return Prompt(HangUp(), (said,), arrival.locale)
        case ArrivalState.refused if arrival.reason in ("unknown_number", "too_often"):
            return Prompt(TurnAway())
        case ArrivalState.refused:
            said = _say("All our lines are busy. Please call again later. Goodbye.", arrival)
            return Prompt(HangUp(), (said,), arrival.locale)
        case _:
            return Prompt(HangUp())


async def _closed(w: Writing, arrival: Arrival) -> tuple[str, ...]:
    campaign = vouched(await w.session.get(Campaign, vouched(arrival.campaign_id)))
    return (
        _say("You have called %(brand)s. We are closed at the moment.", arrival, brand=campaign.name),
        _say("Please leave a message after the tone. Press hash when you have finished.", arrival),
    )


async def _wait(w: Writing, arrival: Arrival, *, first: bool = False) -> Prompt:
    """His place and an honest wait. Nothing is said about a wait nobody can know."""
    arrival.heard_at = w.now
    campaign = vouched(await w.session.get(Campaign, vouched(arrival.campaign_id)))
    queue = vouched(await w.session.get(Queue, vouched(arrival.queue_id)))
    task = await w.session.get(Task, arrival.task_id) if arrival.task_id else None
    said = [_say("Welcome to %(brand)s.", arrival, brand=campaign.name)] if first else []
    if task is None or task.state is not TaskState.queued:
        said.append(_say("One moment, please. We are connecting you.", arrival))
        return Prompt(Listen(arrival.ref, ASK_AGAIN), tuple(said), arrival.locale)
    ahead = await arrivals.ahead_of(w.session, task, LONGEST_LINE + 1)
    if first and ahead > LONGEST_LINE:
        return await _too_long(w, arrival, task)
    people = await staffing(w.session, queue.pool, list(queue.skills), w.now)
    said.append(_place(arrival, ahead))
    told = await waiting.tell(w, task, people)
    if told is not None and not people.ready:
        said.append(_duration(arrival, (told.at - w.now).total_seconds()))
    if _callable(arrival.caller, campaign):
        said.append(_say("Press 1 to hang up and keep your place: we will call you back.", arrival))
    return Prompt(Listen(arrival.ref, ASK_AGAIN), tuple(said), arrival.locale)


async def _too_long(w: Writing, arrival: Arrival, task: Task) -> Prompt:
    """The line is full: he is told at once, and nobody is rung for him."""
    if task.lead_id == arrival.lead_id:
        await dispatch.abandon(w, task.id, "line_full")
    arrival.state = ArrivalState.refused
    await _refuse(w, arrival, "line_full")
    return await _prompt(w, arrival)


def _place(arrival: Arrival, ahead: int) -> str:
    if not ahead:
        return _say("You are the next in line.", arrival)
    return _say("You are number %(place)s in line.", arrival, place=str(ahead + 1))


def _duration(arrival: Arrival, seconds: float) -> str:
    if seconds <= 0:
        return _say("It is your turn any moment now.", arrival)
    wait = timedelta(seconds=max(_SOONEST, seconds))
    span = format_timedelta(wait, granularity="minute", threshold=1.5, locale=arrival.locale)
    return _say("Your wait is about %(span)s.", arrival, span=span)


def _say(sentence: str, arrival: Arrival, **values: str) -> str:
    return wording().say(sentence, arrival.locale, **values)


async def moved(w: Writing, event: CallerMoved) -> None:
    """A call that came in has moved on. Its end may be told before its beginning: then it is never answered."""
    if event.stage is LegStage.ended:
        await left(w, event.carrier_id)


async def left_the_line(w: Writing, carrier_id: str) -> None:
    """A line we dialled has ended. If its person had been handed on, he waits, or talks, as one who called us."""
    if carrier_id and await arrivals.by_call(w.session, carrier_id) is not None:
        await left(w, carrier_id)


async def left(w: Writing, carrier_id: str) -> None:
    """He has hung up, whatever came of his call."""
    for _ in range(RACES):
        try:
            async with w.attempt():
                return await _left(w, carrier_id)
        except _Changed:
            continue
    raise _Changed


async def _left(w: Writing, carrier_id: str) -> None:
    arrival = await arrivals.by_call(w.session, carrier_id)
    if arrival is None:
        await w.session.lock_word(f"caller:{carrier_id}")
        if await arrivals.by_call(w.session, carrier_id) is None:
            w.session.add(Arrival(
                carrier_id=carrier_id, ref=new_token(), state=ArrivalState.left, caller="", dialled="",
                locale=known(""), created_at=w.now, heard_at=w.now, reason="ended_before", ended_at=w.now,
                hung_up_at=w.now,
            ))
        return
    leg = await calls.live_leg_of_call(w.session, carrier_id)
    if leg is not None:
        # He was on his way into a room, or in it: what the room's call comes to decides about his task.
        await calling.on_event(w, LegMoved(leg.ref, carrier_id, LegStage.ended, LegOutcome.completed))
    elif arrival.state is ArrivalState.waiting:
        await _gave_up(w, arrival)
    arrival = vouched(await w.session.locked(Arrival, arrival.id))
    if arrival.state is ArrivalState.waiting:
        await w.move(Arrival, arrival.id, ArrivalState.left, ended_at=w.now, hung_up_at=w.now)
        await _owe_a_call(w, arrival)
    elif arrival.state in (ArrivalState.talking, ArrivalState.message):
        await w.move(Arrival, arrival.id, ArrivalState.ended, ended_at=w.now, hung_up_at=w.now)
    elif arrival.hung_up_at is None:
        arrival.hung_up_at = w.now
    await w.session.flush()


async def _owe_a_call(w: Writing, arrival: Arrival) -> None:
    """Who waited in vain is called back with his old age, once for each person; it is his own request still."""
    task = await w.session.get(Task, arrival.task_id) if arrival.task_id else None
    if task is None or task.state is not TaskState.abandoned or arrival.campaign_id is None:
        return
    campaign = vouched(await w.session.get(Campaign, arrival.campaign_id))
    if (w.now - arrival.created_at).total_seconds() < CALL_BACK_AFTER or not _callable(arrival.caller, campaign):
        return
    await conversing.enqueue(
        w, await tasks.queue_of(w.session, task), TaskKind.call, TIER_FRESH, campaign_id=task.campaign_id,
        lead_id=task.lead_id, contact_id=task.contact_id, since_ms=task.since_ms, continues=task.id,
    )


async def _gave_up(w: Writing, arrival: Arrival) -> None:
    """He waited in vain. What he had asked for before, on our page, is left standing: he is called."""
    if arrival.task_id is None:
        return
    call = await calls.live_of_task(w.session, arrival.task_id)
    task = await w.session.get(Task, arrival.task_id)
    if task is None or task.lead_id != arrival.lead_id:
        return
    if call is not None and call.state is not CallState.talking:
        await calling.end_call(w, call.id, calling.Ended("caller_left", abandoned=True))
    elif call is None and not await dispatch.abandon(w, task.id):
        now = await w.session.locked(Task, task.id)
        if now is not None and now.state is TaskState.connecting:
            raise _Changed


async def spoken(w: Writing, event: MessageSpoken) -> None:
    """His spoken message can be fetched."""
    arrival = await arrivals.by_ref(w.session, event.ref)
    if arrival is None or arrival.lead_id is None or arrival.campaign_id is None:
        return
    found = attaching.Found(attaching.VOICEMAIL, event.carrier_id, event.url, "audio/wav", event.seconds)
    await attaching.expect(w, arrival.campaign_id, arrival.lead_id, found)
    w.fact("arrival.spoken", campaign_id=arrival.campaign_id, lead_id=arrival.lead_id, subject_id=arrival.id,
           seconds=event.seconds)
