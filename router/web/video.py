"""Video: a visitor's page and an agent's page for one room. The browsers talk with each other; we carry what they say
to find each other, as rows, so that any replica may serve either side.

The visitor's link opens a door; who presses "join" there holds the room by a cookie, one browser at a time. A GET
changes nothing.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions import meeting, replying
from router.book import Reading, Writing
from router.live import Closing, Watcher
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.conversations import ROOM_LIFE, Room, Side
from router.model.errors import Conflict, NotFound, TooMany
from router.model.phone import unbroken
from router.model.tasks import Task, TaskKind, TaskState
from router.model.vault import new_token
from router.store import rooms
from router.store.conversations import Visit
from router.store.db import lost_connection
from router.web import gate
from router.web.chat import headers_for, visit_of
from router.web.doors import Doors, doors
from router.web.gate import not_embedded, require, same_origin, secure
from router.web.parsing import read_json, row_id, row_number, understand
from router.web.places import Places

routes = web.RouteTableDef()
_streams = Places()

COOKIE = "hablemos-room"
PING_SECONDS, LOOK_SECONDS = 5.0, 2.0
"""A lost hint costs LOOK_SECONDS."""
MAY_SEE_AND_HEAR = "geolocation=(), camera=(self), microphone=(self)"

Word = Annotated[str, Meta(max_length=64)]


class Candidate(msgspec.Struct, rename="camel"):
    """An RTCIceCandidateInit."""

    candidate: Annotated[str, Meta(max_length=2_000)] = ""
    sdp_mid: Word | None = None
    sdp_m_line_index: Annotated[int, Meta(ge=0, le=64)] | None = msgspec.field(default=None, name="sdpMLineIndex")
    username_fragment: Annotated[str, Meta(max_length=256)] | None = None


class Signalled(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What one browser tells the other. `peer` is the page that speaks, `to` the page that is meant, `session` the
    offer it belongs to: an answer to an older one is none."""

    kind: Literal["hello", "offer", "answer", "candidate"]
    peer: Word
    to: Word = ""
    session: Word = ""
    reply: bool = False
    sdp: Annotated[str, Meta(max_length=60_000)] = ""
    candidate: Candidate | None = None


@dataclass(frozen=True)
class Place:
    """Where somebody stands in a room."""

    room: Room
    side: Side
    locale: str


# -- the visitor -------------------------------------------------------------------------------------------------------


def _claim(request: web.Request) -> str:
    return request.cookies.get(COOKIE, "")


async def _visitors(request: web.Request) -> Place:
    """The visitor's place, for the browser that joined. Raises NotFound for any other."""
    async with doors(request).book.reading() as r:
        visit = await visit_of(r, request)
        room = await rooms.find(r.session, visit.task.id) if visit.task else None
    if room is None or not meeting.claimed_by(room, _claim(request)):
        raise NotFound("This browser is not in this video call. Join it first.")
    return Place(room, Side.visitor, visit.lead.locale)


@routes.get("/s/{token}/video")
async def visitors_page(request: web.Request) -> web.Response:
    house = doors(request)
    async with house.book.reading() as r:
        visit = await visit_of(r, request)
        room = await rooms.find(r.session, visit.task.id) if visit.task else None
        now = r.now
    over = visit.task is not None and (visit.task.state.final or visit.task.state is TaskState.wrapping)
    over = over or (room is not None and not room.open(now))
    inside = room is not None and not over and meeting.claimed_by(room, _claim(request))
    text = house.wording.page(
        "video/visitor.html", visit.lead.locale, token=request.match_info["token"], brand=visit.campaign.name,
        company=visit.campaign.company_name, address=visit.campaign.company.get("address", ""), phone=visit.phone,
        phone_shown=unbroken(visit.phone), over=over, inside=inside, side="visitor",
        busy="busy" in request.query, ice=_ice(house, f"visitor-{room.id}", now) if room and inside else "[]",
        **_stands(room, visit.task, Side.visitor, visit.agent, now),
    )
    headers = {**headers_for(request, visit), "Permissions-Policy": MAY_SEE_AND_HEAR}
    return web.Response(text=text, content_type="text/html", headers=headers)


def _ice(house: Doors, label: str, now: Any) -> str:
    return msgspec.json.encode(house.turn.servers(label, now) if house.turn else []).decode()


async def _task_to_meet(w: Writing, visit: Visit) -> Task | None:
    """The video task of the visitor's own request: the one he has, or a new one if his person does not wait yet."""
    if visit.task is not None and visit.task.kind is TaskKind.video:
        return visit.task
    return await replying.ask_to_meet(w, visit.lead)


@routes.post("/s/{token}/video/join")
async def join(request: web.Request) -> web.Response:
    """The button: this browser takes the room. Pressed again by the same browser, it changes nothing."""
    same_origin(request)
    claim, token = _claim(request) or new_token(), request.match_info["token"]
    async with doors(request).book.writing() as w:
        task = await _task_to_meet(w, await visit_of(w, request))
        if task is not None:
            await meeting.join(w, task, claim)
    answer = web.Response(status=303, headers={"Location": f"/s/{token}/video{'' if task else '?busy'}"})
    answer.set_cookie(
        COOKIE, claim, max_age=int(ROOM_LIFE.total_seconds()), path=f"/s/{token}/video", httponly=True,
        samesite="Strict", secure=secure(request),
    )
    return answer


@routes.get("/s/{token}/video/stream")
async def visitors_stream(request: web.Request) -> web.StreamResponse:
    not_embedded(request)
    return await _stream(request, await _visitors(request))


@routes.post("/s/{token}/video/signal")
async def visitors_signal(request: web.Request) -> web.Response:
    same_origin(request)
    return await _signal(request, await _visitors(request))


@routes.post("/s/{token}/video/beat")
async def visitors_beat(request: web.Request) -> web.Response:
    same_origin(request)
    return await _beat(request, await _visitors(request))


@routes.post("/s/{token}/video/away")
async def visitors_away(request: web.Request) -> web.Response:
    same_origin(request)
    return await _away(request, await _visitors(request))


@routes.post("/s/{token}/video/leave")
async def visitors_leave(request: web.Request) -> web.Response:
    """The visitor hangs up, or waits no longer."""
    same_origin(request)
    place = await _visitors(request)
    async with doors(request).book.writing() as w:
        await meeting.left(w, place.room.id, Side.visitor)
        await replying.leave(w, place.room.task_id)
    return web.Response(status=303, headers={"Location": f"/s/{request.match_info['token']}/video"})


# -- the agent ---------------------------------------------------------------------------------------------------------


async def _agents(request: web.Request) -> tuple[Place, gate.Signed]:
    """The agent's place in the room of the task he holds. Raises Conflict when he does not hold it."""
    signed = await require(request, Role.agent)
    async with doors(request).book.reading() as r:
        task = await r.session.get(Task, row_id(request))
        room = await rooms.find(r.session, task.id) if task else None
    if (
        task is None or room is None or task.agent_id != signed.agent.id or task.kind is not TaskKind.video
        or task.state is not TaskState.engaged
    ):
        raise Conflict("This video call is over, or somebody else has it.")
    return Place(room, Side.agent, signed.agent.locale), signed


@routes.get(r"/desk/tasks/{id:\d{1,19}}/video")
async def agents_page(request: web.Request) -> web.Response:
    house = doors(request)
    place, signed = await _agents(request)
    async with house.book.reading() as r:
        now = r.now
    return gate.page(
        request, "video/agent.html", signed.agent.locale, headers={"Permissions-Policy": MAY_SEE_AND_HEAR},
        task_id=place.room.task_id, csrf=signed.session.csrf, side="agent",
        ice=_ice(house, f"agent-{place.room.id}", now), **_stands(place.room, None, Side.agent, "", now),
    )


@routes.get(r"/desk/tasks/{id:\d{1,19}}/video/stream")
async def agents_stream(request: web.Request) -> web.StreamResponse:
    not_embedded(request)
    return await _stream(request, (await _agents(request))[0])


@routes.post(r"/desk/tasks/{id:\d{1,19}}/video/signal")
async def agents_signal(request: web.Request) -> web.Response:
    return await _signal(request, (await _agents(request))[0])


@routes.post(r"/desk/tasks/{id:\d{1,19}}/video/beat")
async def agents_beat(request: web.Request) -> web.Response:
    return await _beat(request, (await _agents(request))[0])


@routes.post(r"/desk/tasks/{id:\d{1,19}}/video/away")
async def agents_away(request: web.Request) -> web.Response:
    return await _away(request, (await _agents(request))[0])


@routes.post(r"/desk/tasks/{id:\d{1,19}}/video/leave")
async def agents_leave(request: web.Request) -> web.Response:
    """The agent hangs up."""
    _, signed = await _agents(request)
    async with doors(request).book.writing() as w:
        await replying.finish(w, row_id(request), signed.agent.id)
    return web.Response(status=303, headers={"Location": "/desk"})


# -- both --------------------------------------------------------------------------------------------------------------


async def _signal(request: web.Request, place: Place) -> web.Response:
    told = understand(await read_json(request), Signalled)
    async with doors(request).book.writing() as w:
        await meeting.signal(w, place.room.id, place.side, msgspec.to_builtins(told))
    return web.Response(status=204)


async def _beat(request: web.Request, place: Place) -> web.Response:
    async with doors(request).book.writing() as w:
        await meeting.seen(w, place.room.id, place.side)
    return web.Response(status=204)


async def _away(request: web.Request, place: Place) -> web.Response:
    async with doors(request).book.writing() as w:
        await meeting.left(w, place.room.id, place.side)
    return web.Response(status=204)


def _stands(room: Room | None, task: Task | None, side: Side, agent: str, now: Any) -> dict[str, Any]:
    """How the room stands, for its words: who is in it, and whether it is over."""
    over = room is not None and not room.open(now)
    return {
        "stage": "over" if over else "both" if room and room.has(side.other, now) else
        "alone" if side is Side.agent or (task is not None and task.state is TaskState.engaged) else "waiting",
        "agent": agent,
    }


async def _look(r: Reading, place: Place) -> dict[str, Any]:
    """How the room stands now, for the side that looks."""
    room = vouched(await r.session.get(Room, place.room.id))
    task = vouched(await r.session.get(Task, room.task_id))
    agent = await r.session.get(Agent, task.agent_id) if task.agent_id else None
    stands = _stands(room, task, place.side, next(iter(agent.name.split()), "") if agent else "", r.now)
    if place.side is Side.agent and (agent is None or task.state is not TaskState.engaged):
        stands["stage"] = "over"
    return stands


async def _stream(request: web.Request, place: Place) -> web.StreamResponse:
    """Events: `room` says how it stands, `signal` is a word of the other side, `ping` wants an answer, `over` is the
    last. Who comes in now does not hear what was said before."""
    house = doors(request)
    full = TooMany("This conversation is already followed in too many places.", retry_after=30)
    with _streams.take(house.hub, place.room.id, full), house.hub.watch(f"room:{place.room.id}") as watcher:
        async with house.book.reading() as r:
            after = _last_heard(request) or await rooms.latest(r.session, place.room.id)
        response = web.StreamResponse(headers={
            "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
        })
        await response.prepare(request)
        with suppress(ConnectionError, Closing):
            await _follow(request, response, watcher, place, after)
        return response


def _last_heard(request: web.Request) -> int:
    return row_number(request.headers.get("Last-Event-ID", ""))


async def _follow(
    request: web.Request, response: web.StreamResponse, watcher: Watcher, place: Place, after: int
) -> None:
    house, said, next_ping = doors(request), "", 0.0
    while True:
        events: list[str] = []
        try:
            async with house.book.reading() as r:
                stands = await _look(r, place)
                told = await rooms.signals(r.session, place.room.id, place.side, after)
        except Exception as error:
            if not lost_connection(error):
                raise
        else:
            text = house.wording.text(f"video/{place.side}.txt", place.locale, **stands)
            if text != said:
                said = text
                events.append(_event("room", {"stage": stands["stage"], "text": text}))
            for one in told:
                after = one.id
                events.append(f"id: {one.id}\n" + _event("signal", one.body))
            if stands["stage"] == "over":
                await response.write("".join([*events, _event("over", {})]).encode())
                return
        if time.monotonic() >= next_ping:
            next_ping = time.monotonic() + PING_SECONDS
            events.append(_event("ping", {}))
        if events:
            await response.write("".join(events).encode())
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await watcher.changed()


def _event(name: str, value: object) -> str:
    return f"event: {name}\ndata: {msgspec.json.encode(value).decode()}\n\n"
