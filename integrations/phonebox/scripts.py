"""Calls that came in follow the other side's markup, one verb after the other, until somebody hangs up.

What a person would hear is shown on his phone. Times are the markup's own, times `pace`: tests play it fast.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlencode, urljoin

import aiohttp
from yarl import URL

from integrations.http import AnswerTooLong, read_answer
from integrations.phonebox.callbacks import signature
from integrations.phonebox.exchange import Exchange, NotPossible
from integrations.phonebox.legs import Callback, Leg, LegState, Notice
from integrations.phonebox.markup import LONGEST, BadMarkup, Verb, read
from integrations.phonebox.recordings import Recording
from integrations.phonebox.troubles import ANSWERED_BADLY, NO_SUCH_VERB, NOT_REACHED, Trouble

log = logging.getLogger(__name__)

LETTERS_A_SECOND = 15.0
PLAY_SECONDS = 4.0
LEAST_PAUSE = 0.01
"""Real seconds between two answers, so that markup that only leads to itself does not spin."""
LONGEST_RECORD, LONGEST_PAUSE = 3600, 600
_NO_CONNECTION = (aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError, aiohttp.ServerDisconnectedError)


class Board(Protocol):
    """What scripts need of the switchboard."""

    exchange: Exchange

    def settle(self) -> None: ...
    def tell(self, notice: Notice) -> None: ...
    def trouble(self, trouble: Trouble) -> None: ...
    async def keep(self, recording: Recording) -> None: ...

    @property
    def recording_url(self) -> str: ...


class _Gone(Exception):
    """The call has ended."""


class _Jump(Exception):
    """The script goes on elsewhere."""

    def __init__(self, verbs: list[Verb], url: str) -> None:
        super().__init__()
        self.verbs, self.url = verbs, url


class Scripts:
    """All scripts that run."""

    def __init__(self, session: aiohttp.ClientSession, *, account: str, token: str, pace: float) -> None:
        self.session, self.account, self.token, self.pace = session, account, token, pace
        self._runs: dict[str, _Run] = {}

    def start(self, board: Board, leg: Leg, url: str) -> None:
        """The call follows the answer of `url`."""
        self._launch(_Run(self, board, leg), url, None)

    def go_on(self, board: Board, leg: Leg, *, url: str = "", markup: bytes = b"") -> None:
        """The call follows something else from now on. Raises NotPossible for markup that cannot be read."""
        try:
            verbs = read(markup) if markup else None
        except BadMarkup as error:
            raise NotPossible(error.sentence, code=error.code, status=400) from None
        if (running := self._runs.pop(leg.sid, None)) and running.task:
            running.task.cancel()
        board.exchange.leave_room(leg, datetime.now(UTC))
        self._launch(_Run(self, board, leg), url, verbs)

    def _launch(self, run: "_Run", url: str, verbs: list[Verb] | None) -> None:
        self._runs[run.leg.sid] = run
        run.task = asyncio.create_task(run.play(url, verbs))
        run.task.add_done_callback(lambda task: self._over(run, task))

    def _over(self, run: "_Run", task: asyncio.Task[None]) -> None:
        if self._runs.get(run.leg.sid) is run:
            del self._runs[run.leg.sid]
        if not task.cancelled() and task.exception():
            log.error("a script broke", exc_info=task.exception())

    def press(self, leg: Leg, keys: str) -> None:
        """The person pressed these keys."""
        if run := self._runs.get(leg.sid):
            run.keys += keys
            run.wake.set()

    def look(self) -> None:
        """Something changed: each script looks whether it concerns its call."""
        for run in self._runs.values():
            run.wake.set()

    async def close(self) -> None:
        tasks = [run.task for run in self._runs.values() if run.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Run:
    """One call's script. `keys` were pressed and not used yet."""

    def __init__(self, scripts: Scripts, board: Board, leg: Leg) -> None:
        self.leg, self.keys, self.wake = leg, "", asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._scripts, self._board, self._exchange = scripts, board, board.exchange
        self._url = ""

    async def play(self, url: str, verbs: list[Verb] | None) -> None:
        """Until the call ends: by a verb, for want of one, or by the person."""
        self._url = url
        try:
            todo = await self._fetch(url) if verbs is None else verbs
            while True:
                try:
                    for verb in todo:
                        await self._do(verb)
                    break
                except _Jump as jump:
                    todo, self._url = jump.verbs, jump.url
        except _Gone:
            pass
        except (BadMarkup, NotPossible) as error:
            self._trouble(error.code, error.sentence, self._url)
            if self.leg.live:
                self._exchange.pick_up(self.leg, _now())
                with suppress(_Gone):
                    await self._say("An application error has occurred. Goodbye.", "en-US")
        if self.leg.live:
            self._exchange.pick_up(self.leg, _now())
            self._exchange.turn_away(self.leg, LegState.completed, _now())
            self._board.settle()

    async def _do(self, verb: Verb) -> None:
        if not self.leg.live:
            raise _Gone
        if verb.name == "Reject":
            busy = verb.get("reason", "rejected") == "busy"
            ended = LegState.busy if busy else LegState.no_answer
            self._exchange.turn_away(self.leg, LegState.completed if self.leg.answered_at else ended, _now())
            self._board.settle()
            raise _Gone
        self._exchange.pick_up(self.leg, _now())
        await self._verbs()[verb.name](verb)

    def _verbs(self) -> dict[str, Callable[[Verb], Awaitable[None]]]:
        return {
            "Say": self._spoken, "Play": self._played, "Pause": self._paused, "Gather": self._gathered,
            "Record": self._recorded, "Redirect": self._redirected, "Hangup": self._hung_up, "Dial": self._dialled,
        }  # fmt: skip

    # What is heard.

    async def _spoken(self, verb: Verb) -> None:
        await self._say(verb.text, verb.get("language"))

    async def _say(self, text: str, language: str, until: Callable[[], bool] = bool) -> None:
        self._show(verb="say", text=text, language=language)
        await self._lapse(len(text) / LETTERS_A_SECOND, until)

    async def _played(self, verb: Verb) -> None:
        self._show(verb="play", text=verb.text)
        await self._lapse(PLAY_SECONDS)

    async def _paused(self, verb: Verb) -> None:
        self._show(verb="pause", text="")
        await self._lapse(verb.number("length", 1, LONGEST_PAUSE))

    # What the person does.

    async def _gathered(self, verb: Verb) -> None:
        most, finish = verb.number("numDigits", 32, 32) or 32, verb.get("finishOnKey", "#")
        said = [each for each in verb.inside if each.name == "Say"]
        text, language = " ".join(each.text for each in said), said[0].get("language") if said else ""
        self._show(verb="gather", text=text, language=language)
        await self._lapse(len(text) / LETTERS_A_SECOND, lambda: bool(self.keys))
        digits, patience = "", verb.number("timeout", 5, LONGEST_PAUSE)
        while len(digits) < most:
            if not self.keys:
                await self._lapse(patience, lambda: bool(self.keys))
            if not self.keys:
                break
            key, self.keys = self.keys[0], self.keys[1:]
            if key in finish:
                break
            digits += key
        if digits or verb.flag("actionOnEmptyResult", False):
            await self._act(verb, Digits=digits)

    async def _recorded(self, verb: Verb) -> None:
        self.keys, finish = "", verb.get("finishOnKey", "1234567890*#")
        self._show(verb="record", text="", finish=finish[:1])
        longest, begun = max(1, verb.number("maxLength", LONGEST_RECORD, LONGEST_RECORD)), _now()
        gone = False
        try:
            await self._lapse(longest, lambda: any(key in finish for key in self.keys))
        except _Gone:
            gone = True
        key, self.keys = self.keys[:1], ""
        lasted = (_now() - begun).total_seconds() / max(self._scripts.pace, 0.001)
        recording = Recording(self.leg.sid, begun, min(longest, max(1, round(lasted))))
        await self._board.keep(recording)
        fields = {
            "RecordingSid": recording.sid,
            "RecordingUrl": f"{self._board.recording_url}/{recording.sid}",
            "RecordingDuration": str(recording.seconds),
        }
        if hook := verb.get("recordingStatusCallback"):
            more = {"RecordingStatus": "completed", "RecordingChannels": "1", "RecordingSource": "RecordVerb"}
            about = {"CallSid": self.leg.sid, "AccountSid": self._scripts.account}
            self._board.tell(Notice(recording.sid, urljoin(self._url, hook), {**about, **fields, **more}))
        await self._act(verb, **fields, Digits="hangup" if gone else key)

    async def _dialled(self, verb: Verb) -> None:
        if not verb.inside:
            raise NotPossible("The phonebox dials only conferences", code=NO_SUCH_VERB, status=400)
        room, leg = verb.inside[0], self.leg
        events = [room.get("statusCallbackEvent")]
        told = room.get("statusCallback")
        callback = Callback.wanted(urljoin(self._url, told) if told else "", events, "start end")
        leg.label, leg.muted = room.get("participantLabel"), room.flag("muted", False)
        leg.starts_room = room.flag("startConferenceOnEnter", True)
        leg.ends_room = room.flag("endConferenceOnExit", False)
        self._show(verb="room", text=room.text)
        try:
            self._exchange.enter_room(room.text, leg, callback, _now())
        except NotPossible as error:
            self._trouble(error.code, error.sentence, self._url)  # the carrier goes on with the next verb
            return
        self._board.settle()
        try:
            await self._lapse(None, lambda: leg.room is None)
        except _Gone:
            await self._act(verb, DialCallStatus="completed")
        leg.label = ""
        if verb.get("action"):
            await self._act(verb, DialCallStatus="answered")

    async def _redirected(self, verb: Verb) -> None:
        url = urljoin(self._url, verb.text)
        raise _Jump(await self._fetch(url, method=verb.get("method", "POST")), url)

    async def _hung_up(self, _verb: Verb) -> None:
        self._exchange.turn_away(self.leg, LegState.completed, _now())
        self._board.settle()
        raise _Gone

    async def _act(self, verb: Verb, **fields: str) -> None:
        """Ask the verb's action, or the script's own address, what follows; what it says to a call that has ended is
        not followed."""
        url = urljoin(self._url, verb.get("action"))
        verbs = await self._fetch(url, method=verb.get("method", "POST"), **fields)
        if not self.leg.live:
            raise _Gone
        raise _Jump(verbs, url)

    async def _fetch(self, url: str, *, method: str = "POST", **fields: str) -> list[Verb]:
        """The verbs at an address. Raises BadMarkup, with the carrier's number for what was wrong."""
        await asyncio.sleep(LEAST_PAUSE)
        sent = {**self.leg.about(self._scripts.account), **fields}
        try:
            status, kind, body = await self._ask(url.partition("#")[0], method, sent)
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            raise BadMarkup(f"No answer: {type(error).__name__}", NOT_REACHED) from error
        if not 200 <= status < 300:
            raise BadMarkup(f"The answer was {status}", ANSWERED_BADLY)
        if not body:
            return []
        if "xml" not in kind and "html" not in kind:
            raise BadMarkup(f"The answer was {kind}, not XML", 12300)
        return read(body)

    async def _ask(self, url: str, method: str, fields: dict[str, str]) -> tuple[int, str, bytes]:
        get = method.upper() == "GET"
        if get:
            url += ("&" if "?" in url else "?") + urlencode(fields)
        signed = signature(self._scripts.token, url, {} if get else fields)
        headers = {"X-Twilio-Signature": signed, "User-Agent": "TwilioProxy/1.1", "Accept": "*/*"}
        ask = self._scripts.session.get if get else self._scripts.session.post
        for again in (True, False):
            try:
                async with ask(
                    URL(url, encoded=True), data=None if get else fields, headers=headers, allow_redirects=False
                ) as response:
                    return response.status, response.content_type, await read_answer(response, LONGEST)
            except AnswerTooLong:
                raise BadMarkup("The answer is too long", ANSWERED_BADLY) from None
            except _NO_CONNECTION:
                if not again:
                    raise
        raise AssertionError

    def _show(self, **doing: str) -> None:
        self._exchange.show(self.leg, **doing)
        self._board.settle()

    def _trouble(self, code: int, sentence: str, url: str) -> None:
        self._board.trouble(Trouble(_now(), code, sentence, self.leg.sid, url.partition("?")[0]))

    async def _lapse(self, seconds: float | None, until: Callable[[], bool] = bool) -> None:
        """Let time pass (None: as long as it takes), or until something is so. Raises _Gone when the call ends."""
        clock = asyncio.get_running_loop().time
        end = None if seconds is None else clock() + seconds * self._scripts.pace
        while self.leg.live and not until() and (end is None or clock() < end):
            self.wake.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self.wake.wait()
            except TimeoutError:
                break
        if not self.leg.live:
            raise _Gone


def _now() -> datetime:
    return datetime.now(UTC)
