"""`/s/{token}`: how the visitor's request stands, as a page, as JSON and as a stream. A GET changes nothing."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web

from router.live import Closing, Hub, Watcher
from router.model.errors import NotAllowedNow, NotFound
from router.model.phone import unbroken
from router.model.progress import Progress
from router.model.vault import hash_token
from router.store.db import lost_connection
from router.store.leads import LeadStatus, status_of
from router.store.staffing import Staffing, staffing
from router.web.doors import Doors, doors
from router.web.widget import cors

routes = web.RouteTableDef()

PING_SECONDS = 15
STREAMS_PER_LEAD = 6

_open: WeakKeyDictionary[Hub, Counter[int]] = WeakKeyDictionary()


async def look(house: Doors, token: str) -> tuple[LeadStatus, dict[str, Any]]:
    """The status and the values of its templates. Raises NotFound, the same for every token that leads nowhere."""
    async with house.book.reading() as r:
        status = await status_of(r.session, hash_token(token))
        if status is None:
            raise NotFound("This link does not lead anywhere. It may be incomplete, or no longer valid.")
        people = Staffing(there=True, free=True)
        if status.progress is Progress.waiting:
            people = await staffing(r.session, status.pool, status.skills, r.now)
    return status, {
        "status": status,
        "people": people,
        "agent": status.agent or status.brand,
        "company": str(status.company.get("name") or status.brand),
        "phone_shown": unbroken(status.phone),
        "caller_shown": unbroken(status.caller_id),
    }


def as_json(house: Doors, status: LeadStatus, values: dict[str, Any]) -> bytes:
    """What the widget shows: `text` says what happens, `next` what happens then; after `final` nothing more comes."""
    return msgspec.json.encode(
        {
            "state": status.progress.value,
            "text": house.wording.text("widget/now.txt", status.locale, **values),
            "next": house.wording.text("widget/next.txt", status.locale, **values),
            "final": status.progress.final,
        }
    )


@routes.get("/s/{token}")
async def get_status(request: web.Request) -> web.Response:
    house = doors(request)
    status, values = await look(house, request.match_info["token"])
    headers = {**cors(request, status.origins), "Vary": "Origin, Accept", "Cache-Control": "no-store",
               "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}
    if "application/json" in request.headers.get("Accept", ""):
        return web.Response(body=as_json(house, status, values), content_type="application/json", headers=headers)
    page = house.wording.page("widget/status.html", status.locale, address=request.path, **values)
    return web.Response(text=page, content_type="text/html", headers=headers)


@routes.get("/s/{token}/stream")
async def get_stream(request: web.Request) -> web.StreamResponse:
    """Unnamed events: JSON for the widget, with `?as=html` the page's own partial. 204 ends a browser's reconnecting
    when it has seen the last there is."""
    house, token = doors(request), request.match_info["token"]
    status, _ = await look(house, token)
    headers = {**cors(request, status.origins), "Cache-Control": "no-store", "X-Robots-Tag": "noindex",
               "Referrer-Policy": "no-referrer"}
    if status.progress.final and request.headers.get("Last-Event-ID") == status.version:
        return web.Response(status=204, headers=headers)
    # Watched before it is read again: what changes in between is not missed.
    with _place(house.hub, status.lead_id), house.hub.watch(f"lead:{status.waits_as}") as watcher:
        headers |= {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        with suppress(ConnectionError):
            await _follow(request, response, watcher)
        return response


@contextmanager
def _place(hub: Hub, lead_id: int) -> Iterator[None]:
    """One of the few streams a lead may have in this process. Raises NotAllowedNow; the widget then asks by itself."""
    counts = _open.setdefault(hub, Counter())
    if counts[lead_id] >= STREAMS_PER_LEAD:
        raise NotAllowedNow("This request is already being followed in too many places.")
    counts[lead_id] += 1
    try:
        yield
    finally:
        counts[lead_id] -= 1
        if not counts[lead_id]:
            del counts[lead_id]


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
