"""Promising: callbacks promised to a person at a wall-clock time: held, booked, moved, canceled."""

import contextlib
import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import metadata
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

from router.actions import covering, guarding, keeping, nurturing, telling
from router.book import Writing
from router.model import slots
from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.errors import Conflict, TooMany
from router.model.hours import Opening, opening, resolved
from router.model.leads import Lead
from router.model.places import inhabited
from router.model.promises import (
    HOLD,
    HOLDS_EACH,
    KEPT_UNTIL,
    MOVES_EACH,
    OPEN,
    PERSONAL,
    QUEUED_BEFORE,
    Promise,
    PromiseMode,
    PromiseState,
)
from router.model.slots import OwnTime, Rules, Slot
from router.model.tasks import Task, TaskState
from router.model.vault import hash_token, new_token
from router.model.zones import ZoneSource
from router.store import alarms, packs, promises
from router.store.db import ReadSession
from router.store.sites import Landing
from router.store.staffing import planned, shares_agents

LAPSE, MISSED, TASK_DUE = keeping.LAPSE, keeping.MISSED, keeping.TASK_DUE
TAKEN = "This time is no longer free. Please choose another."
STILL_CONNECTING = timedelta(minutes=2)


@cache
def tzdata_version() -> str:
    """The version of the time zone rules in use: the system's if it has any, else the package's."""
    for folder in TZPATH:
        with contextlib.suppress(OSError), (Path(folder) / "tzdata.zi").open() as file:
            return file.readline().removeprefix("# version").strip()
    return metadata.version("tzdata")


def opening_of(campaign: Campaign, queue: Queue) -> Opening:
    """When this queue is open."""
    return opening(campaign.timezone, queue.hours, queue.holidays, queue.closures)


async def rules_of(
    session: ReadSession, campaign: Campaign, queue: Queue, zone: str = "", contact: Contact | None = None
) -> Rules:
    """What bounds this queue's slots for `contact`, by the rules in force where he lives. Of whom nothing is known but
    the `zone` ("": the campaign's) he looks from, the campaign's country and zone bind him as well."""
    here = zone or campaign.timezone
    if contact is None:
        pack = guarding.pack_for(await packs.in_force(session), campaign, campaign.country)
        bound = guarding.Bounds(pack, (campaign.timezone, here), ())
    else:
        bound = guarding.Bounds(*await guarding.window_of(session, campaign, contact))
    return Rules(
        opening=opening_of(campaign, queue), pack=bound.pack, zones=bound.zones or (here,),
        slot_minutes=queue.slot_minutes, handle_seconds=queue.handle_seconds, subdivisions=bound.subdivisions,
        line=queue.id,
    )


@dataclass(frozen=True)
class Asking:
    """Who looks for a time. `zone` (IANA) is the clock he looks at, "" for the campaign's; `contact` is none for a
    stranger. `owner` is the agent in whose own time it must lie, none for the team's; `instead_of` the promise that
    would be moved."""

    zone: str = ""
    contact: Contact | None = None
    owner: int | None = None
    instead_of: int = 0


ANYBODY = Asking()


async def offered(
    session: ReadSession, campaign: Campaign, queue: Queue, now: datetime, asking: Asking = ANYBODY
) -> list[Slot]:
    """The free slots whoever asks is shown at `now` (aware)."""
    plan = await planned(session, queue, campaign.timezone, now)
    taken = await promises.taken(session, queue.id, now, now + slots.LATEST)
    rules = await rules_of(session, campaign, queue, asking.zone, asking.contact)
    own = await _own_time(session, campaign, queue, now, asking)
    return slots.offered(rules, plan.shifts, taken, now, plan.loads, own=own)


async def _own_time(
    session: ReadSession, campaign: Campaign, queue: Queue, now: datetime, asking: Asking
) -> OwnTime | None:
    if asking.owner is None:
        return None
    mine = await planned(session, queue, campaign.timezone, now, only=asking.owner)
    busy = await promises.busy_with(session, asking.owner, without=asking.instead_of)
    return OwnTime(tuple(mine.shifts), tuple(busy))


async def asking_anew(session: ReadSession, promise: Promise, now: datetime) -> Asking:
    """How its person looks for another time of this promise: a personal one is its owner's, and moves within his own
    time. Where he has none, and his team may call instead of him, it is the team's."""
    contact = await session.get(Contact, promise.contact_id)
    anybody = Asking(promise.zone, contact, instead_of=promise.id)
    if promise.agent_id is None or promise.mode not in PERSONAL:
        return anybody
    his = dataclasses.replace(anybody, owner=promise.agent_id)
    if promise.mode is PromiseMode.personal_strict:
        return his
    campaign = vouched(await session.get(Campaign, promise.campaign_id))
    queue = vouched(await session.get(Queue, promise.queue_id))
    return his if await offered(session, campaign, queue, now, his) else anybody


@dataclass(frozen=True)
class Holder:
    """Who holds a slot. `network` says whose holds are counted together, without naming him; `zone` (IANA) is the
    visitor's, if known; `instead_of` is a hold given up for this one. The same `key` holds once and gets the same token
    again."""

    network: bytes = b""
    zone: str = ""
    instead_of: str = ""
    key: str = ""


NOBODY = Holder()


async def hold(w: Writing, landing: Landing, starts_at: datetime, holder: Holder = NOBODY) -> str:
    """Holds a slot for HOLD; the token that books it.

    Raises Conflict when the slot is taken or not offered, TooMany when this holder holds too many.
    """
    if landing.site.closed:
        raise Conflict("No times can be chosen here at the moment.", pointer="/slot")
    token = w.vault.token("hold", landing.site.key, holder.key) if holder.key else new_token()
    if holder.key and await _held_before(w, token):
        return token
    if holder.instead_of:
        await release(w, holder.instead_of)
    if holder.network:
        await _one_more(w, holder.network)
    campaign, queue = landing.campaign, landing.queue
    await take_place(w, campaign, queue, starts_at, Asking(holder.zone))
    promise = new(w, campaign, queue, starts_at, holder.zone or campaign.timezone, PromiseState.held)
    promise.hold_hash, promise.holder = hash_token(token), holder.network
    # Booked later than this, its task would be queued too late.
    promise.held_until = min(w.now + HOLD, starts_at - QUEUED_BEFORE)
    w.session.add(promise)
    await w.session.flush()
    w.fact("promise.held", campaign_id=campaign.id, subject_id=promise.id, starts_at=starts_at.isoformat())
    await alarms.set_alarm(w.session, LAPSE, promise.id, promise.held_until)
    return token


async def _held_before(w: Writing, token: str) -> bool:
    """Whether this token holds, or has booked, already. Two requests under one key at once wait for each other."""
    await w.session.lock_word(f"hold:{token}")
    promise = await promises.of_hold(w.session, hash_token(token))
    if promise is None or promise.state is PromiseState.held or promise.lead_id is not None:
        return promise is not None
    promise.hold_hash = None  # it has lapsed: the key may hold anew
    await w.session.flush()
    return False


async def _one_more(w: Writing, network: bytes) -> None:
    await w.session.lock_word(f"holder:{network.hex()}")
    if await promises.held_by(w.session, network, w.now) >= HOLDS_EACH:
        raise TooMany(
            "Too many times are being held for you. Please finish with one of them, or wait some minutes.",
            retry_after=HOLD.seconds,
        )


def new(
    w: Writing, campaign: Campaign, queue: Queue, starts_at: datetime, zone: str, state: PromiseState
) -> Promise:
    """A promise of that queue for a moment (aware) that is shown in `zone`; it is not stored yet."""
    wall = starts_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return Promise(
        campaign_id=campaign.id, queue_id=queue.id, state=state, starts_at=starts_at,
        wall=wall.isoformat("T", "minutes"), zone=zone, tzdata=tzdata_version(), created_at=w.now, slot_at=starts_at,
    )


async def take_place(
    w: Writing, campaign: Campaign, queue: Queue, starts_at: datetime, asking: Asking = ANYBODY
) -> None:
    """Takes a place in the slot that begins then (aware). Raises Conflict."""
    if asking.owner is not None:
        # What two persons take of one agent's time, they take one after the other.
        await w.session.locked(Agent, asking.owner)
    if await shares_agents(w.session, queue):
        # The places of its queues hang together: one after the other.
        await w.session.lock_word(f"slots:{queue.pool}")
    plan = await planned(w.session, queue, campaign.timezone, w.now)
    rules = await rules_of(w.session, campaign, queue, asking.zone, asking.contact)
    slot = slots.at(rules, plan.shifts, starts_at, w.now, plan.loads)
    own = await _own_time(w.session, campaign, queue, w.now, asking)
    if slot is None or (own is not None and not own.free(slot)):
        raise Conflict(TAKEN, pointer="/slot")
    if not await promises.take_place(w.session, queue.id, starts_at, slot.capacity):
        raise Conflict(TAKEN, pointer="/slot")


async def starts_at(session: ReadSession, hold: str) -> datetime | None:
    """When the slot that this token holds, or has booked, begins (aware); None when it holds none, or no longer."""
    promise = await promises.of_hold(session, hash_token(hold))
    if promise is None or (promise.state is not PromiseState.held and promise.lead_id is None):
        return None
    return promise.starts_at


async def release(w: Writing, hold: str) -> None:
    """Gives a held slot up. One that is booked, or lapsed, stays as it is."""
    promise = await promises.of_hold(w.session, hash_token(hold))
    if promise is not None and promise.state is PromiseState.held:
        await keeping.end(w, promise, PromiseState.canceled, "released")


async def lapse(w: Writing, promise_id: int) -> None:
    """A hold's time is over (an alarm's handler). Booked meanwhile: nothing happens."""
    promise = await w.session.locked(Promise, promise_id)
    if promise is not None and promise.state is PromiseState.held:
        await keeping.end(w, promise, PromiseState.lapsed)


async def book(w: Writing, hold: str, *, lead_id: int, task_id: int, contact_id: int, locale: str) -> Promise:
    """Makes the held slot a promise and queues the text that confirms it. `task_id` is scheduled already.

    Who had another call promised has this one instead. Raises Conflict when the hold has lapsed.
    """
    held = await promises.of_hold(w.session, hash_token(hold))
    if held is not None and held.state in OPEN and held.lead_id == lead_id:
        return held
    before = await replace(w, contact_id)
    booked = held and await w.move(
        Promise, held.id, PromiseState.scheduled, where=[Promise.held_until > w.now], lead_id=lead_id, task_id=task_id,
        contact_id=contact_id, locale=locale, link_hash=hash_token(telling.link(w, held)),
        continues=before and before.id,
        data={"starts_at": held.starts_at.isoformat()},
    )
    if booked is None:
        raise Conflict(TAKEN, pointer="/slot")
    await alarms.cancel(w.session, LAPSE, booked.id, w.now)
    campaign = vouched(await w.session.get(Campaign, booked.campaign_id))
    if booked.zone != campaign.timezone and inhabited(booked.zone):
        # He chose his time by this clock.
        contact = vouched(await w.session.get(Contact, contact_id))
        await guarding.lives_by(w, contact, booked.zone, ZoneSource.stated)
    await _announce(w, booked)
    return booked


async def replace(w: Writing, contact_id: int) -> Promise | None:
    """Ends what was promised this person before: he gets one call."""
    before = await promises.open_of_contact(w.session, contact_id)
    if before is not None and (await promises.locked_with_task(w.session, before.id)) is not None:
        before = await promises.open_of_contact(w.session, contact_id)  # moved meanwhile, it is another
    if before is not None:
        await keeping.end(w, before, PromiseState.moved, "booked_anew")
        if before.task_id is not None:
            await keeping.withdraw_task(w, before.task_id, "moved")
    return before


async def move(w: Writing, lead_id: int, starts_at: datetime) -> Promise:
    """Moves the lead's promised call to another slot. The same slot: nothing changes.

    Raises Conflict when nothing is promised any more, the call is being made, or the slot is not free; TooMany when it
    was moved often.
    """
    promise = await _open(w, lead_id)
    if promise.starts_at == starts_at:
        return promise
    if await promises.made_for(w.session, lead_id, w.now - timedelta(days=1)) > MOVES_EACH:
        raise TooMany("This call was moved too often. Please call us.", retry_after=86_400)
    task = vouched(await w.session.locked(Task, vouched(promise.task_id)))
    if task.state not in (TaskState.scheduled, TaskState.queued):
        raise Conflict("We are calling you now, or have called already.")
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    queue = vouched(await w.session.get(Queue, promise.queue_id))
    await take_place(w, campaign, queue, starts_at, await asking_anew(w.session, promise, w.now))
    if not await keeping.end(w, promise, PromiseState.moved, "asked"):
        raise Conflict("There is no call planned any more.")
    due_at = starts_at - QUEUED_BEFORE
    if task.state is TaskState.queued:
        await w.move(Task, task.id, TaskState.scheduled, data={"due": due_at.isoformat()})
    await alarms.set_alarm(w.session, TASK_DUE, task.id, due_at)
    made = new(w, campaign, queue, starts_at, promise.zone, PromiseState.scheduled)
    take_over(made, promise)
    return await schedule(w, made)


async def promise(w: Writing, lead: Lead, queue: Queue, starts_at: datetime, task_id: int, locale: str) -> Promise:
    """Promises a lead a slot that was not held before; `task_id` is scheduled already. Raises Conflict, TooMany."""
    if await promises.made_for(w.session, lead.id, w.now - timedelta(days=1)) > MOVES_EACH:
        raise TooMany("This call was moved too often. Please call us.", retry_after=86_400)
    campaign = vouched(await w.session.get(Campaign, lead.campaign_id))
    contact = vouched(await w.session.get(Contact, lead.contact_id))
    await take_place(w, campaign, queue, starts_at, Asking(contact=contact))
    await replace(w, lead.contact_id)
    made = new(w, campaign, queue, starts_at, campaign.timezone, PromiseState.scheduled)
    made.contact_id, made.lead_id, made.task_id, made.locale = lead.contact_id, lead.id, task_id, locale
    return await schedule(w, made)


def take_over(made: Promise, before: Promise) -> None:
    """The new promise is made to the same person by the same agent, and takes the other's place."""
    made.contact_id, made.lead_id, made.task_id = before.contact_id, before.lead_id, before.task_id
    made.locale, made.continues, made.mode, made.agent_id = before.locale, before.id, before.mode, before.agent_id


async def schedule(w: Writing, made: Promise, said: str = telling.PROMISED) -> Promise:
    """Stores a promise for a task that is scheduled already, and tells its person with the text `said`."""
    w.session.add(made)
    await w.session.flush()
    made.link_hash = hash_token(telling.link(w, made))
    w.fact(
        "promise.scheduled", campaign_id=made.campaign_id, lead_id=made.lead_id, subject_id=made.id,
        agent_id=made.agent_id, starts_at=made.starts_at.isoformat(), mode=made.mode.value,
    )
    w.hint("wallboard")
    await _announce(w, made, said)
    return made


async def _announce(w: Writing, made: Promise, said: str = telling.PROMISED) -> None:
    """Confirms it, sets the reminder, and looks whether its owner will be there. Who books late has just been told, and
    is not reminded."""
    await nurturing.promised(w, vouched(made.contact_id))
    await telling.tell(w, made, said)
    campaign = vouched(await w.session.get(Campaign, made.campaign_id))
    before = timedelta(minutes=campaign.remind_minutes)
    if before and made.starts_at - w.now >= 2 * before:
        await alarms.set_alarm(w.session, keeping.REMIND, made.id, made.starts_at - before)
    await covering.look_at(w, made)


async def cancel(w: Writing, lead_id: int, reason: str = "asked") -> Promise:
    """The promised call is not wanted any more. Raises Conflict when nothing is promised, or it is being made."""
    promise = await _open(w, lead_id)
    # Whoever moves it holds its task: then the newest is another, with the same task.
    await promises.locked_with_task(w.session, promise.id)
    promise = await _open(w, lead_id)
    if not await keeping.withdraw_task(w, vouched(promise.task_id), reason):
        raise Conflict("We are calling you now, or have called already.")
    await keeping.end(w, promise, PromiseState.canceled, reason)
    return promise


async def _open(w: Writing, lead_id: int) -> Promise:
    promise = await promises.newest_of_lead(w.session, lead_id)
    if promise is None or promise.state not in OPEN:
        raise Conflict("There is no call planned any more.")
    return promise


async def missed(w: Writing, promise_id: int) -> None:
    """Fifteen minutes after the promised time (an alarm's handler): who was not dialled is told so, and stays in the
    queue for the next moment at which he may be called. What is being connected is looked at again; so is who was
    dialled in time, did not answer, and waits for the next try."""
    promise = await promises.locked_with_task(w.session, promise_id)
    if promise is None or promise.state not in OPEN:
        return
    task = vouched(await w.session.get(Task, vouched(promise.task_id)))
    if task.state in (TaskState.withdrawn, TaskState.abandoned, TaskState.expired):
        await keeping.end(w, promise, PromiseState.canceled, task.state.value)
    elif task.state in (TaskState.engaged, TaskState.wrapping):
        await keeping.end(w, promise, PromiseState.kept)
    elif task.state is TaskState.connecting:
        await alarms.set_alarm(w.session, MISSED, promise.id, w.now + STILL_CONNECTING)
    elif promise.tries:
        await alarms.set_alarm(w.session, MISSED, promise.id, w.now + KEPT_UNTIL)
    elif await keeping.end(w, promise, PromiseState.missed_by_us, f"no_dial_in_{KEPT_UNTIL.seconds // 60}_minutes"):
        await telling.tell(w, promise, telling.MISSED)
        legal = await keeping.legal_from(w, promise, w.now)
        if task.state is TaskState.queued and legal is not None and legal > w.now:
            await _rest(w, task.id, legal)
        w.hint("wallboard")


async def _rest(w: Writing, task_id: int, until: datetime) -> None:
    """A task that waits rests until then (aware)."""
    await w.move(
        Task, task_id, TaskState.scheduled, frm=(TaskState.queued,), data={"due": until.isoformat(), "reason": "hours"}
    )
    await alarms.set_alarm(w.session, TASK_DUE, task_id, until)


async def may_not_now(w: Writing, task: Task) -> bool:
    """Whether the law, a holiday or the person's zone, known later than the promise, forbid the call that is due. Then
    it is moved to the nearest slot, and the person is told; one more try is not made."""
    promise = await promises.open_of_task(w.session, task.id, locked=True)
    if promise is None:
        return False
    at = w.now if promise.tries else max(w.now, promise.starts_at)
    legal = await keeping.legal_from(w, promise, at)
    if legal == at:
        return False
    if promise.tries or legal is None:
        await keeping.withdraw_task(w, task.id, "hours")
        await keeping.end(w, promise, PromiseState.broken_by_customer, "hours")
        await alarms.set_alarm(w.session, keeping.TELL, promise.id, w.now)
    else:
        await _shift(w, promise, legal, "hours")
    return True


async def put_off(w: Writing, task_id: int, until: datetime) -> bool:
    """The guard has deferred a promised call at the moment of dialling until then (aware): the person is promised
    another time, and told. False when nothing is promised with this task."""
    promise = await promises.open_of_task(w.session, task_id, locked=True)
    if promise is None:
        return False
    await _shift(w, promise, await keeping.legal_from(w, promise, until) or until, "guard")
    return True


async def _shift(w: Writing, promise: Promise, earliest: datetime, reason: str) -> Promise:
    """Moves a promise to the first free slot from that moment (aware) on; where there is none, to that moment."""
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    queue = vouched(await w.session.get(Queue, promise.queue_id))
    contact = vouched(await w.session.get(Contact, promise.contact_id))
    owner = promise.agent_id if promise.mode is PromiseMode.personal_strict else None
    free = await offered(w.session, campaign, queue, w.now, Asking(promise.zone, contact, owner, promise.id))
    found = next((slot.starts_at for slot in free if slot.starts_at >= earliest), None)
    starts_at = found or earliest
    await keeping.end(w, promise, PromiseState.moved, reason)
    if found is not None:
        await promises.take_anyway(w.session, queue.id, found)
    task_id, due_at = vouched(promise.task_id), starts_at - QUEUED_BEFORE
    await w.move(Task, task_id, TaskState.scheduled, frm=(TaskState.queued,), data={"due": due_at.isoformat(),
                                                                                   "reason": reason})
    await alarms.set_alarm(w.session, TASK_DUE, task_id, due_at)
    made = new(w, campaign, queue, starts_at, promise.zone, PromiseState.scheduled)
    made.slot_at = found
    take_over(made, promise)
    return await schedule(w, made, telling.SHIFTED)


async def resolve_again(w: Writing, most: int = 200) -> int:
    """What was promised is a time on the wall. Other rules of its time zone make it another moment: promises reckoned
    by older rules are reckoned anew, `most` at once; how many. Any replica may."""
    found = await promises.resolved_before(w.session, tzdata_version(), most)
    for promise in found:
        await _resolve(w, promise)
    return len(found)


async def _resolve(w: Writing, promise: Promise) -> None:
    promise.tzdata = tzdata_version()
    wall = datetime.fromisoformat(promise.wall)
    if promise.starts_at.astimezone(ZoneInfo(promise.zone)).replace(tzinfo=None) == wall:
        return
    before, promise.starts_at = promise.starts_at, resolved(wall, promise.zone).at
    await w.session.flush()
    w.fact("promise.reckoned", campaign_id=promise.campaign_id, lead_id=promise.lead_id, subject_id=promise.id,
           starts_at=promise.starts_at.isoformat(), before=before.isoformat(), tzdata=promise.tzdata)
    await alarms.set_alarm(w.session, TASK_DUE, vouched(promise.task_id), promise.starts_at - QUEUED_BEFORE)
    await covering.look_at(w, promise)
    w.hint("wallboard")
