"""Promising: callbacks promised to a person at a wall-clock time: held, booked, moved, canceled."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import metadata
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

from router.actions import guarding, keeping
from router.actions.talking import Text, send_text
from router.book import Writing
from router.model import slots
from router.model.base import vouched
from router.model.budgets import MESSAGE_COST
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.errors import Conflict, NotAllowedNow, TooMany
from router.model.guard import Purpose
from router.model.hours import Opening, opening
from router.model.leads import Lead
from router.model.packs import pack_of
from router.model.phone import international
from router.model.places import inhabited
from router.model.promises import (
    HOLD,
    HOLDS_EACH,
    KEPT_UNTIL,
    MOVES_EACH,
    OPEN,
    QUEUED_BEFORE,
    Promise,
    PromiseState,
)
from router.model.slots import Rules, Slot
from router.model.tasks import Task, TaskState
from router.model.vault import hash_token, new_token
from router.model.zones import ZoneSource
from router.store import alarms, budgets, promises
from router.store.db import ReadSession
from router.store.sites import Landing
from router.store.staffing import planned
from router.wording import brief, wording

LAPSE, MISSED, TASK_DUE = keeping.LAPSE, keeping.MISSED, keeping.TASK_DUE
TAKEN = "This time is no longer free. Please choose another."
LINK = "promise"
"""The vault's purpose for links in text messages."""
STILL_CONNECTING = timedelta(minutes=2)


@cache
def tzdata_version() -> str:
    """The version of the time zone rules in use: the system's if it has any, else the package's."""
    for folder in TZPATH:
        with contextlib.suppress(OSError), (Path(folder) / "tzdata.zi").open() as file:
            return file.readline().removeprefix("# version").strip()
    return metadata.version("tzdata")


def rules_of(campaign: Campaign, queue: Queue, zone: str = "") -> Rules:
    """What bounds this queue's slots for somebody in `zone` ("": the campaign's)."""
    return Rules(
        opening=opening(campaign.timezone, queue.hours, queue.holidays, queue.closures),
        pack=pack_of(campaign.rule_pack, campaign.country),
        zones=(campaign.timezone, zone or campaign.timezone),
        slot_minutes=queue.slot_minutes,
        handle_seconds=queue.handle_seconds,
    )


async def offered(session: ReadSession, campaign: Campaign, queue: Queue, now: datetime, zone: str = "") -> list[Slot]:
    """The free slots somebody in `zone` is shown at `now` (aware)."""
    shifts = await planned(session, queue, campaign.timezone)
    taken = await promises.taken(session, queue.id, now, now + slots.LATEST)
    return slots.offered(rules_of(campaign, queue, zone), shifts, taken, now)


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
    await _take_place(w, campaign, queue, starts_at, holder.zone)
    promise = _promise(w, campaign, queue, starts_at, holder.zone or campaign.timezone, PromiseState.held)
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


def _promise(
    w: Writing, campaign: Campaign, queue: Queue, starts_at: datetime, zone: str, state: PromiseState
) -> Promise:
    wall = starts_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return Promise(
        campaign_id=campaign.id, queue_id=queue.id, state=state, starts_at=starts_at,
        wall=wall.isoformat("T", "minutes"), zone=zone, tzdata=tzdata_version(), created_at=w.now,
    )


async def _take_place(w: Writing, campaign: Campaign, queue: Queue, starts_at: datetime, zone: str) -> None:
    shifts: Mapping[Opening, int] = await planned(w.session, queue, campaign.timezone)
    slot = slots.at(rules_of(campaign, queue, zone), shifts, starts_at, w.now)
    if slot is None or not await promises.take_place(w.session, queue.id, starts_at, slot.capacity):
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
    before = await _replace(w, contact_id)
    booked = held and await w.move(
        Promise, held.id, PromiseState.scheduled, where=[Promise.held_until > w.now], lead_id=lead_id, task_id=task_id,
        contact_id=contact_id, locale=locale, link_hash=hash_token(_link(w, held)), continues=before and before.id,
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
    await _tell(w, booked, "sms/promise.txt", "promise")
    return booked


async def _replace(w: Writing, contact_id: int) -> Promise | None:
    """Ends what was promised this person before: he gets one call."""
    before = await promises.open_of_contact(w.session, contact_id)
    if before is not None:
        await keeping.end(w, before, PromiseState.moved, "booked_anew")
        if before.task_id is not None:
            await keeping.withdraw_task(w, before.task_id, "moved")
    return before


def _link(w: Writing, promise: Promise) -> str:
    return w.vault.token(LINK, str(promise.id))


async def _tell(w: Writing, promise: Promise, template: str, subject: str) -> None:
    """Queues a text with the time and the link, if the guard and the day's money allow: the promise holds anyway."""
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    contact = vouched(await w.session.get(Contact, promise.contact_id))
    scopes = await budgets.scopes_of(w.session, campaign, contact.phone, lead_id=promise.lead_id, at=w.now)
    if not contact.phone or not await budgets.room_for(w.session, w.now.date(), MESSAGE_COST, scopes):
        return
    values = {
        "company": campaign.company_name,
        "when": brief(promise.starts_at, promise.zone, promise.locale),
        "phone": international(campaign.phone_for(None) or campaign.caller_id),
    }
    body, shown = (
        wording().text(template, promise.locale, what=what, **values)
        for what in (f"{w.public_url}/s/{_link(w, promise)}", "[link]")
    )
    text = Text(body, shown, subject, Purpose.service, f"{subject}:{promise.id}")
    with contextlib.suppress(NotAllowedNow):
        async with w.attempt():
            await send_text(w, campaign, contact, text, lead_id=promise.lead_id)


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
    await _take_place(w, campaign, queue, starts_at, promise.zone)
    if not await keeping.end(w, promise, PromiseState.moved, "asked"):
        raise Conflict("There is no call planned any more.")
    due_at = starts_at - QUEUED_BEFORE
    if task.state is TaskState.queued:
        await w.move(Task, task.id, TaskState.scheduled, data={"due": due_at.isoformat()})
    await alarms.set_alarm(w.session, TASK_DUE, task.id, due_at)
    made = _promise(w, campaign, queue, starts_at, promise.zone, PromiseState.scheduled)
    made.contact_id, made.lead_id, made.task_id = promise.contact_id, promise.lead_id, promise.task_id
    made.locale, made.continues = promise.locale, promise.id
    return await _schedule(w, made)


async def promise(w: Writing, lead: Lead, queue: Queue, starts_at: datetime, task_id: int, locale: str) -> Promise:
    """Promises a lead a slot that was not held before; `task_id` is scheduled already. Raises Conflict, TooMany."""
    if await promises.made_for(w.session, lead.id, w.now - timedelta(days=1)) > MOVES_EACH:
        raise TooMany("This call was moved too often. Please call us.", retry_after=86_400)
    campaign = vouched(await w.session.get(Campaign, lead.campaign_id))
    await _take_place(w, campaign, queue, starts_at, "")
    await _replace(w, lead.contact_id)
    made = _promise(w, campaign, queue, starts_at, campaign.timezone, PromiseState.scheduled)
    made.contact_id, made.lead_id, made.task_id, made.locale = lead.contact_id, lead.id, task_id, locale
    return await _schedule(w, made)


async def _schedule(w: Writing, made: Promise) -> Promise:
    w.session.add(made)
    await w.session.flush()
    made.link_hash = hash_token(_link(w, made))
    w.fact(
        "promise.scheduled", campaign_id=made.campaign_id, lead_id=made.lead_id, subject_id=made.id,
        starts_at=made.starts_at.isoformat(),
    )
    w.hint("wallboard")
    await _tell(w, made, "sms/promise.txt", "promise")
    return made


async def cancel(w: Writing, lead_id: int, reason: str = "asked") -> Promise:
    """The promised call is not wanted any more. Raises Conflict when nothing is promised, or it is being made."""
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
    queue. What is being connected is looked at again."""
    promise = await w.session.locked(Promise, promise_id)
    if promise is None or promise.state not in OPEN:
        return
    task = vouched(await w.session.get(Task, vouched(promise.task_id)))
    if task.state in (TaskState.withdrawn, TaskState.abandoned, TaskState.expired):
        await keeping.end(w, promise, PromiseState.canceled, task.state.value)
    elif task.state in (TaskState.engaged, TaskState.wrapping):
        await keeping.end(w, promise, PromiseState.kept)
    elif task.state is TaskState.connecting:
        await alarms.set_alarm(w.session, MISSED, promise.id, w.now + STILL_CONNECTING)
    elif await keeping.end(w, promise, PromiseState.missed_by_us, f"no_dial_in_{KEPT_UNTIL.seconds // 60}_minutes"):
        await _tell(w, promise, "sms/missed.txt", "promise_missed")
        w.hint("wallboard")
