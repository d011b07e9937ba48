"""`/s/{token}/chat`: the visitor's side of a conversation, as a page, as JSON and as a stream. A GET changes nothing.

Whoever holds the link sees what was written by this link, on any device; a telephone number opens nothing.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions import conversing, replying
from router.actions.conversing import Heard
from router.book import Reading, Writing
from router.live import Closing, Watcher
from router.model.conversations import LONGEST_TEXT, Channel, ConversationState, Direction, Message
from router.model.errors import Conflict, Forbidden, NotFound, TooMany
from router.model.phone import unbroken
from router.model.tasks import TaskState
from router.model.vault import hash_token, new_token
from router.store import conversations
from router.store.conversations import Visit
from router.store.db import lost_connection
from router.store.staffing import Staffing, staffing
from router.web.doors import Doors, doors
from router.web.gate import FORM, from_our_page
from router.web.parsing import read_form, read_json, row_number, understand
from router.web.places import Places
from router.web.widget import cors, may_post

routes = web.RouteTableDef()

PING_SECONDS = 15
A_MINUTE, MOST_A_MINUTE, MOST_EVER = timedelta(minutes=1), 20, 1_000
"""How much may be written by one link: people type slower."""
NOWHERE = "This link does not lead anywhere. It may be incomplete, or no longer valid."

_streams = Places()


class Posted(msgspec.Struct, forbid_unknown_fields=True):
    """A message as a browser posts it. The same `client_id` again is the same message."""

    text: Annotated[str, Meta(max_length=20_000)]
    client_id: Annotated[str, Meta(min_length=8, max_length=64, pattern=r"^[\x21-\x7e]+\Z")]


async def visit_of(r: Reading | Writing, request: web.Request) -> Visit:
    """Raises NotFound, the same for every token that leads nowhere."""
    found = await conversations.visit(r.session, hash_token(request.match_info["token"]))
    if found is None:
        raise NotFound(NOWHERE)
    return found


def check_origin(request: web.Request, visit: Visit) -> None:
    """Only our own pages and the site's may write. Raises Forbidden."""
    origin = request.headers.get("Origin")
    if origin is not None and origin not in visit.origins and not from_our_page(request, origin):
        raise Forbidden("This page may not do that here.")


def headers_for(request: web.Request, visit: Visit) -> dict[str, str]:
    return {**cors(request, visit.origins), "Cache-Control": "no-store", "X-Robots-Tag": "noindex",
            "Referrer-Policy": "same-origin"}


def stage(visit: Visit) -> str:
    """How the visitor's chat stands, in one word."""
    task, thread = visit.task, visit.thread
    open_thread = thread is not None and thread.state is ConversationState.open
    if task is not None and task.state is TaskState.engaged:
        return "talking" if open_thread or thread is None else "moved"
    if task is not None and task.state in (TaskState.scheduled, TaskState.queued, TaskState.reserved):
        return "waiting"
    if open_thread and thread is not None and not thread.answered:
        return "waiting"
    if thread is None and task is None:
        return "new"
    if task is not None and task.state in (TaskState.abandoned, TaskState.withdrawn, TaskState.expired):
        return "left"
    return "ended"


@dataclass(frozen=True)
class Seen:
    """What a visitor sees: his chat, how it stands, and the messages after some id with their agents' names."""

    visit: Visit
    stage: str
    people: Staffing
    messages: Sequence[tuple[Message, str]]
    after: int

    @property
    def last(self) -> int:
        return self.messages[-1][0].id if self.messages else self.after

    def values(self) -> dict[str, Any]:
        return {"stage": self.stage, "people": self.people, "agent": self.visit.agent or self.visit.campaign.name,
                "brand": self.visit.campaign.name}


async def look(request: web.Request, after: int) -> Seen:
    async with doors(request).book.reading() as r:
        visit = await visit_of(r, request)
        now, people = stage(visit), Staffing(there=True, free=True)
        if now == "waiting" and visit.queue is not None:
            people = await staffing(r.session, visit.queue.pool, list(visit.queue.skills), r.now)
        return Seen(visit, now, people, await conversations.of_lead(r.session, visit.lead.id, after), after)


def as_json(house: Doors, seen: Seen) -> dict[str, Any]:
    """`text` says how the chat stands; `state` is the same for programs. `after` is what to ask for next."""
    return {
        "messages": [shown(message, agent) for message, agent in seen.messages],
        "after": seen.last,
        "state": seen.stage,
        "text": house.wording.text("chat/now.txt", seen.visit.lead.locale, **seen.values()),
        "agent": seen.visit.agent,
    }


def shown(message: Message, agent: str) -> dict[str, Any]:
    return {"id": message.id, "mine": message.direction is Direction.incoming, "text": message.text, "agent": agent,
            "at": message.at.isoformat(timespec="seconds"), "client_id": message.client_id}


def _after(request: web.Request) -> int:
    for given in (request.headers.get("Last-Event-ID", ""), request.query.get("after", "")):
        if number := row_number(given):
            return number
    return 0


@routes.options("/s/{token}/messages")
@routes.options("/s/{token}/chat/leave")
async def preflight(request: web.Request) -> web.Response:
    async with doors(request).book.reading() as r:
        visit = await visit_of(r, request)
    return may_post(request, visit.origins, "GET, POST")


@routes.get("/s/{token}/messages")
async def get_messages(request: web.Request) -> web.Response:
    seen = await look(request, _after(request))
    return web.Response(body=msgspec.json.encode(as_json(doors(request), seen)), content_type="application/json",
                        headers=headers_for(request, seen.visit))


@routes.post("/s/{token}/messages")
async def post_message(request: web.Request) -> web.StreamResponse:
    """201 when the message is new, 200 when it was posted before; a form is led back to the page."""
    by_form = request.content_type == FORM
    posted = understand(dict(await read_form(request)) if by_form else await read_json(request), Posted)
    text = conversing.words(posted.text)
    async with doors(request).book.writing() as w:
        visit = await visit_of(w, request)
        check_origin(request, visit)
        queue = visit.queue or await conversations.queue_of_lead(w.session, visit.lead)
        if queue is None:
            raise Conflict("Nobody can answer here. Please call us.")
        lately, ever = await conversations.said_lately(w.session, visit.lead.id, w.now, A_MINUTE)
        if lately >= MOST_A_MINUTE or ever >= MOST_EVER:
            raise TooMany("That is a lot at once. Please wait a minute, or call us.", retry_after=60)
        await conversing.opened(w, [visit.lead.id])
        message, new = await conversing.hear(w, Heard(
            channel=Channel.web_chat, campaign_id=visit.campaign.id, queue=queue, contact_id=visit.contact.id,
            lead_id=visit.lead.id, text=text, client_id=posted.client_id,
        ))
    if by_form:
        raise web.HTTPSeeOther(f"/s/{request.match_info['token']}/chat#end")
    return web.Response(body=msgspec.json.encode(shown(message, "")), status=201 if new else 200,
                        content_type="application/json", headers=headers_for(request, visit))


@routes.post("/s/{token}/chat/leave")
async def leave(request: web.Request) -> web.StreamResponse:
    """The visitor ends his chat or waits no longer. Done twice, it is done once."""
    async with doors(request).book.writing() as w:
        visit = await visit_of(w, request)
        check_origin(request, visit)
        if visit.task is not None:
            await replying.leave(w, visit.task.id)
    if request.headers.get("Accept", "").startswith("application/json"):
        return web.Response(status=204, headers=headers_for(request, visit))
    raise web.HTTPSeeOther(f"/s/{request.match_info['token']}/chat")




@routes.get("/s/{token}/chat")
async def get_page(request: web.Request) -> web.Response:
    house, seen = doors(request), await look(request, 0)
    visit = seen.visit
    text = house.wording.page(
        "chat/page.html", visit.lead.locale, **seen.values(), messages=seen.messages, after=seen.last,
        token=request.match_info["token"], company=visit.campaign.company_name,
        address=visit.campaign.company.get("address", ""),
        phone=visit.phone, phone_shown=unbroken(visit.phone), longest=LONGEST_TEXT, client_id=new_token(),
        zone=ZoneInfo(visit.campaign.timezone), incoming=Direction.incoming,
    )
    return web.Response(text=text, content_type="text/html", headers=headers_for(request, visit))


@routes.get("/s/{token}/chat/stream")
async def get_stream(request: web.Request) -> web.StreamResponse:
    """Unnamed events of JSON, each with what is new since the one before; its id is what `after` means."""
    house, after = doors(request), _after(request)
    async with house.book.reading() as r:
        visit = await visit_of(r, request)
    # Watched before it is read again: what changes in between is not missed.
    full = TooMany("This conversation is already followed in too many places.", retry_after=30)
    with _streams.take(house.hub, visit.lead.id, full), house.hub.watch(f"lead:{visit.lead.id}") as watcher:
        headers = headers_for(request, visit) | {"Content-Type": "text/event-stream; charset=utf-8"}
        response = web.StreamResponse(headers={**headers, "X-Accel-Buffering": "no"})
        await response.prepare(request)
        with suppress(ConnectionError, Closing):
            await _follow(request, response, watcher, after)
        return response


async def _follow(request: web.Request, response: web.StreamResponse, watcher: Watcher, after: int) -> None:
    house, said = doors(request), ""
    while True:
        try:
            seen = await look(request, after)
            event = as_json(house, seen)
            if seen.messages or event["text"] != said:
                after, said = seen.last, event["text"]
                await response.write(f"id: {after}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode())
        except Exception as error:
            if not lost_connection(error):
                raise
        try:
            async with asyncio.timeout(PING_SECONDS):
                await watcher.changed()
        except TimeoutError:
            await response.write(b": ping\n\n")
