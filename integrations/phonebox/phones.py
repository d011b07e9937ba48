"""The buttons of a phone, for its page and for outsiders: call, press keys, answer, decline, hang up, write; and
watching it live."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from urllib.parse import quote

from aiohttp import web

from integrations.phonebox.bodies import bad, read_fields, read_object
from integrations.phonebox.exchange import NotPossible
from integrations.phonebox.legs import PHONE, Leg, LegState, is_address
from integrations.phonebox.messages import plain
from integrations.phonebox.pages import Pages
from integrations.phonebox.shapes import Record
from integrations.phonebox.switchboard import Switchboard
from integrations.phonebox.writing import read_message

LONGEST_WAIT = 25.0
PING_SECONDS = 5.0
_BUTTONS = {"answer": LegState.ringing, "decline": LegState.ringing, "hangup": LegState.in_progress}


class Phones:
    def __init__(self, board: Switchboard, pages: Pages, *, test_switches: bool) -> None:
        self._board, self._pages, self._test_switches = board, pages, test_switches

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.index),
            web.get("/phones", self.find),
            web.get("/phones/{number}.json", self.state),
            web.get("/phones/{number}/events", self.events),
            web.get("/phones/{number}", self.page),
            web.post("/phones/{number}/messages", self.write),
            web.post("/phones/{number}/call", self.call),
            web.post("/phones/{number}/keys", self.press_keys),
            web.get("/troubles", self.troubles),
            web.get("/troubles.json", self.troubles),
            web.post("/phones/{number}/{button:answer|decline|hangup}", self.press),
            web.post("/faults", self.set_faults),
        ]

    async def index(self, request: web.Request) -> web.Response:
        return self._pages.index(request, self._board.numbers())

    async def find(self, request: web.Request) -> web.Response:
        """The form on the index: off to the phone asked for."""
        wanted = "".join(request.query.get("number", "").split())
        raise web.HTTPSeeOther(f"/phones/{quote(wanted, safe='+:')}" if is_address(wanted) else "/")

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(self._board.phone(_number(request)))

    async def page(self, request: web.Request) -> web.Response:
        return self._pages.phone(request, self._board.phone(_number(request)))

    async def press(self, request: web.Request) -> web.StreamResponse:
        """Answer, decline or hang up the call `sid`, or the only one there can be."""
        number, button = _number(request), request.match_info["button"]
        leg = self._leg(number, _BUTTONS[button], (await read_fields(request)).get("sid"))
        exchange = self._board.exchange
        press: dict[str, Callable[[str, datetime], None]] = {
            "answer": exchange.answer,
            "decline": exchange.decline,
            "hangup": self._hang_up,
        }
        press[button](leg.sid, self._board.now())
        self._board.settle()
        return self._done(request, number)

    def _hang_up(self, sid: str, now: datetime) -> None:
        """Also while a call of its own is not answered yet."""
        exchange = self._board.exchange
        leg = exchange.find_leg(sid)
        if leg.inbound and leg.state is LegState.ringing:
            exchange.turn_away(leg, LegState.no_answer, now)
        else:
            exchange.hang_up(sid, now)

    def _leg(self, number: str, state: LegState, sid: str | None) -> Leg:
        for leg in self._board.exchange.legs_of(number):
            # A call of its own rings at the other side: it can be hung up, not answered.
            fits = leg.state is state if not leg.inbound else state is LegState.in_progress
            if fits and sid in (None, "", leg.sid):
                return leg
        what = "rings" if state is LegState.ringing else "is being talked"
        raise NotPossible(f"No such call {what} on this phone", code=21220, status=409)

    async def write(self, request: web.Request) -> web.StreamResponse:
        """Send a message from this phone (see `writing.read_message`)."""
        number = _number(request)
        message = await read_message(request, number, self._last_sender(number), self._board.now())
        # On the disk before it is told: what the other side has heard of must survive a restart.
        await self._board.log.add(
            "phone", action="message", sid=message.sid, to=message.to, body=message.body, more=message.more,
            media=[each.as_json() for each in message.enclosures], **{"from": message.sender},
        )  # fmt: skip
        self._board.post.receive(message, self._board.inbound_url)
        self._board.settle()
        return self._done(request, number)

    def _last_sender(self, number: str) -> str:
        return next((plain(each.sender) for each in self._board.post.of_phone(number) if not each.inbound), "")

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Call the number `to`. `withheld` hides the caller's."""
        number, fields = _number(request), await read_fields(request)
        to = "".join(fields.get("to", "").split())
        if not PHONE.fullmatch(to) or not PHONE.fullmatch(number):
            raise NotPossible("A phone calls a number such as +34600000000", code=21211, status=400)
        await self._board.call_in(number, to, withheld=bool(fields.get("withheld")))
        return self._done(request, number)

    async def press_keys(self, request: web.Request) -> web.StreamResponse:
        """Press these `keys` in the call."""
        number, fields = _number(request), await read_fields(request)
        keys = fields.get("keys", "")
        if not re.fullmatch(r"[0-9*#]{1,32}", keys):
            raise bad("'keys' are 1 to 32 of 0-9, * and #")
        leg = self._leg(number, LegState.in_progress, fields.get("sid"))
        if self._board.scripts:
            self._board.scripts.press(leg, keys)
        return self._done(request, number)

    async def troubles(self, request: web.Request) -> web.Response:
        """What was wrong with the other side's answers to calls, newest first."""
        found = self._board.troubles.all()
        if request.path.endswith(".json"):
            return web.json_response([{**asdict(each), "at": each.at.isoformat()} for each in found])
        return self._pages.troubles(request, found)

    def _done(self, request: web.Request, number: str) -> web.StreamResponse:
        if "text/html" in request.headers.get("Accept", ""):
            raise web.HTTPSeeOther(f"/phones/{quote(number, safe='+:')}")
        return web.json_response(self._board.phone(number))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """A stream of states for `Accept: text/event-stream`; otherwise one state, as soon as it differs from `after`.

        `seconds` (at most 25) limits the waiting; when it is over the present state is answered.
        """
        number = _number(request)
        after = _int(request, "after", -1, highest=10**15)
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._stream(request, number, after)
        await self._board.wait(number, after, _int(request, "seconds", 20, highest=LONGEST_WAIT))
        return web.json_response(self._board.phone(number))

    async def _stream(self, request: web.Request, number: str, after: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        try:
            while not self._board.closing.is_set():
                if await self._board.wait(number, after, PING_SECONDS):
                    state = self._board.phone(number)
                    after = state["version"]
                    await response.write(_event(state, self._pages.parts(request, state)))
                else:
                    await response.write(b"event: ping\ndata: 1\n\n")
        except (ConnectionError, RuntimeError):
            return response  # the watcher has gone
        return response

    async def set_faults(self, request: web.Request) -> web.Response:
        """For tests only: the switches of `faults.py`, and `undeliverable`, the list of numbers nothing reaches."""
        if not self._test_switches:
            raise web.HTTPNotFound
        wanted = await read_object(request)
        numbers = wanted.pop("undeliverable", [])
        if not isinstance(numbers, list) or not all(isinstance(each, str) for each in numbers):
            raise bad("undeliverable is a list of numbers")
        try:
            self._board.faults.set(wanted)
        except ValueError as error:
            raise bad(str(error)) from None
        self._board.faults.undeliverable.clear()
        self._board.faults.undeliverable.update(numbers)
        return web.json_response({})


def _event(state: Record, parts: dict[str, str]) -> bytes:
    return f"id: {state['version']}\ndata: {json.dumps({**state, 'parts': parts})}\n\n".encode()


def _number(request: web.Request) -> str:
    number = request.match_info["number"]
    if not is_address(number):
        raise NotPossible("A phone is a number such as +34600000000, or client:name", code=21211, status=404)
    return number


def _int(request: web.Request, name: str, default: int, *, highest: float) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= highest):
        raise bad(f"{name} must be a whole number, at most {highest:.0f}")
    return int(text)
