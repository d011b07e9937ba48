"""`/s/{token}`: how the visitor's request stands, as a page, as JSON and as a stream.

A GET changes nothing but one thing: what he is told about his wait is written down, because it is kept to. A machine
that follows the link is told it as well, and does no harm by it.
"""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from router.actions import promising, waiting
from router.book import Reading
from router.live import Closing, Watcher
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.errors import NotAllowedNow, NotFound
from router.model.leads import Lead
from router.model.phone import unbroken
from router.model.progress import Progress
from router.model.promises import OPEN, Promise
from router.model.slots import Slot
from router.model.tasks import TaskState
from router.model.vault import hash_token
from router.model.waiting import minutes
from router.store import promises
from router.store import waiting as line
from router.store.db import ReadSession, lost_connection
from router.store.leads import LeadStatus, status_of, status_of_lead
from router.store.resuming import queue_of
from router.store.staffing import Staffing, staffing
from router.web.choosing import by_day
from router.web.doors import Doors, doors
from router.web.places import Places
from router.web.widget import cors
from router.wording import city, moment

routes = web.RouteTableDef()

PING_SECONDS = 15

_streams = Places()


async def status_behind(session: ReadSession, token: str) -> LeadStatus:
    """The status behind a link: the one given when the lead was taken, or the one in a promise's text message.

    Raises NotFound, the same for every token that leads nowhere.
    """
    token_hash = hash_token(token)
    status = await status_of(session, token_hash)
    if status is None:
        lead_id = await promises.lead_of_link(session, token_hash)
        status = await status_of_lead(session, lead_id) if lead_id is not None else None
    if status is None:
        raise NotFound("This link does not lead anywhere. It may be incomplete, or no longer valid.")
    return status


async def look(house: Doors, token: str) -> tuple[LeadStatus, dict[str, Any]]:
    """The status and the values of its templates. Raises NotFound."""
    async with house.book.reading() as r:
        status = await status_behind(r.session, token)
        promise = await promises.newest_of_lead(r.session, status.waits_as)
        people, told, now = Staffing(there=True, free=True), None, r.now
        if status.progress is Progress.waiting:
            people = await staffing(r.session, status.pool, status.skills, r.now)
        queued = status.task if status.task is not None and status.task.state is TaskState.queued else None
        if queued is not None:
            told = await line.meant_for(r.session, queued, people, r.now)
    if queued is not None and told != line.told_before(queued):
        async with house.book.writing() as w:
            told = await waiting.keep(w, queued, told)
    return status, {
        "status": status,
        "promise": promise,
        "people": people,
        "told": told,
        "minutes": minutes(told, now) if told else 0,
        "agent": status.agent or status.brand,
        "company": str(status.company.get("name") or status.brand),
        "phone_shown": unbroken(status.phone),
        "caller_shown": unbroken(status.caller_id),
    }


def as_json(house: Doors, status: LeadStatus, values: dict[str, Any]) -> bytes:
    """What the widget shows: `text` says what happens, `next` what happens then; after `final` nothing more comes."""
    promise: Promise | None = values["promise"]
    said: dict[str, Any] = {
        "state": status.progress.value,
        "text": house.wording.text("widget/now.txt", status.locale, **values),
        "next": house.wording.text("widget/next.txt", status.locale, **values),
        "final": status.progress.final,
    }
    if values["told"] is not None:
        said["expected_at"] = values["told"].at
    if promise is not None and promise.state in OPEN:
        said["promise"] = {"starts_at": promise.starts_at, "zone": promise.zone,
                           "shown": moment(promise.starts_at, promise.zone, status.locale)}
    return msgspec.json.encode(said)


@routes.get("/s/{token}")
async def get_status(request: web.Request) -> web.Response:
    if "application/json" not in request.headers.get("Accept", ""):
        return await page(request)
    house = doors(request)
    status, values = await look(house, request.match_info["token"])
    return web.Response(body=as_json(house, status, values), content_type="application/json",
                        headers=_headers(request, status))


def _headers(request: web.Request, status: LeadStatus) -> dict[str, str]:
    # "same-origin" keeps the link to ourselves, and lets our own forms say where they come from.
    return {**cors(request, status.origins), "Vary": "Origin, Accept", "Cache-Control": "no-store",
            "X-Robots-Tag": "noindex", "Referrer-Policy": "same-origin"}


async def page(request: web.Request, notice: str = "", status_code: int = 200) -> web.Response:
    """The page, with what can be done from it: another time, no call after all, a call now, the chat.

    `notice` says why what was asked a moment ago was not done. Without script a page that waits loads itself again:
    one on which something is to be chosen does not.
    """
    house, token = doors(request), request.match_info["token"]
    status, values = await look(house, token)
    promise: Promise | None = values["promise"]
    promised = promise is not None and promise.state in OPEN
    waiting, scheduled = status.progress is Progress.waiting, status.progress is Progress.scheduled
    choosing = status.progress.final or scheduled or (waiting and "choose" in request.query)
    async with house.book.reading() as r:
        phone, _ = await promises.reach(r.session, status.waits_as)
        reachable = bool(phone) and status.progress is not Progress.refused
        people = await staffing(r.session, status.pool, status.skills, r.now)
        slots: list[Slot] = []
        zone = ""
        if choosing and reachable:
            slots, zone = await _other_times(r, status, promise if promised else None)
        chat = await promises.chats(r.session, hash_token(token))
    text = house.wording.page(
        "widget/status.html", status.locale, address=f"/s/{token}", notice=notice, promised=promised, chat=chat,
        days=by_day(slots, zone, status.locale), zone_shown=city(zone, status.locale), people_now=people,
        can_choose=waiting and reachable and not choosing, can_ask=reachable and (status.progress.final or scheduled),
        reloads=not status.progress.final and not choosing, **values,
    )
    return web.Response(text=text, status=status_code, content_type="text/html", headers=_headers(request, status))


async def _other_times(r: Reading, status: LeadStatus, promise: Promise | None) -> tuple[list[Slot], str]:
    """The free slots of this lead's line, or of whoever has promised him a call, and the zone they are shown in."""
    lead = vouched(await r.session.get(Lead, status.waits_as))
    queue = await queue_of(r.session, lead)
    campaign = await r.session.get(Campaign, lead.campaign_id)
    if queue is None or campaign is None:
        return [], ""
    if promise is None:
        asking = promising.Asking(contact=await r.session.get(Contact, lead.contact_id))
        return await promising.offered(r.session, campaign, queue, r.now, asking), campaign.timezone
    # A promise is kept in its own line, wherever its person has waited since.
    line = vouched(await r.session.get(Queue, promise.queue_id))
    asking = await promising.asking_anew(r.session, promise, r.now)
    return await promising.offered(r.session, campaign, line, r.now, asking), promise.zone


@routes.get("/s/{token}/stream")
async def get_stream(request: web.Request) -> web.StreamResponse:
    """Unnamed events: JSON for the widget, with `?as=html` the page's own partial. 204 ends a browser's reconnecting
    when it has seen the last there is."""
    house, token = doors(request), request.match_info["token"]
    status, _ = await look(house, token)
    headers = {**cors(request, status.origins), "Cache-Control": "no-store", "X-Robots-Tag": "noindex",
               "Referrer-Policy": "same-origin"}
    if status.progress.final and request.headers.get("Last-Event-ID") == status.version:
        return web.Response(status=204, headers=headers)
    # Watched before it is read again: what changes in between is not missed.
    full = NotAllowedNow("This request is already being followed in too many places.")
    with _streams.take(house.hub, status.lead_id, full), house.hub.watch(f"lead:{status.waits_as}") as watcher:
        headers |= {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        with suppress(ConnectionError):
            await _follow(request, response, watcher)
        return response


async def _follow(request: web.Request, response: web.StreamResponse, watcher: Watcher) -> None:
    """Sends the state now and whenever it reads differently, until it is final or the process stops."""
    shown, last = "", False
    while not last:
        event, last = await _event(request)
        if event and event != shown:
            shown = event
            await response.write(event.encode())
        if last:
            return
        try:
            async with asyncio.timeout(PING_SECONDS):
                await watcher.changed()
        except TimeoutError:
            await response.write(b": ping\n\n")
        except Closing:
            return


async def _event(request: web.Request) -> tuple[str, bool]:
    """The event to send, and whether it is the last. While the database is away there is none, and the stream waits."""
    house = doors(request)
    try:
        status, values = await look(house, request.match_info["token"])
    except Exception as error:
        if lost_connection(error):
            return "", False
        raise
    if request.query.get("as") == "html":
        content = house.wording.page("widget/progress.html", status.locale, **values)
    else:
        content = as_json(house, status, values).decode()
    lines = "".join(f"data: {line}\n" for line in content.splitlines())
    return f"id: {status.version}\n{lines}\n", status.progress.final
