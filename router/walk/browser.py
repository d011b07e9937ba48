"""A browser with its own cookies: it loads pages, sends the forms that are on them, and listens to streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from router.walk.markup import Element, Form, read

PAGE_SECONDS = 20
STREAM_SILENCE = 12
"""A stream that says nothing for so long is dead: the desk is pinged every five seconds."""
AGENT = "Mozilla/5.0 (walk)"


class Wrong(Exception):
    """What an outsider sees is not what the story says. The message tells both."""


def hold(condition: object, sentence: str) -> None:
    """Raises Wrong with this sentence when the condition does not hold."""
    if not condition:
        raise Wrong(sentence)


@dataclass(frozen=True)
class Answer:
    """What came back. `url` is where the browser stands after following what it was told to follow."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def page(self) -> Element:
        return read(self.text)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Event:
    """One event of a stream. `name` is empty for the unnamed ones."""

    name: str
    data: str


class Browser:
    """One person's browser. `language` is what it asks pages for."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def started(cls, language: str = "es") -> "AsyncIterator[Browser]":
        jar = aiohttp.CookieJar(unsafe=True)  # addresses of this machine are numbers, which jars refuse by default
        headers = {"User-Agent": AGENT, "Accept-Language": language}
        timeout = aiohttp.ClientTimeout(total=PAGE_SECONDS)
        async with aiohttp.ClientSession(cookie_jar=jar, headers=headers, timeout=timeout) as session:
            yield cls(session)

    async def get(self, url: str, *, method: str = "GET", **headers: str) -> Answer:
        return await self._ask(method, url, {"Accept": "text/html", **_named(headers)})

    async def post(self, url: str, data: Any, *, origin: str = "", **headers: str) -> Answer:
        """Sends from a page of `origin`, the address's own if none is given."""
        where = urlsplit(url)
        said = {"Accept": "text/html", "Origin": origin or f"{where.scheme}://{where.netloc}", **_named(headers)}
        return await self._ask("POST", url, said, data)

    async def submit(self, at: Answer, form: Form, **typed: str) -> Answer:
        """Sends a form of the page `at`, with what was typed into it."""
        unknown = set(typed) - {control["name"] for control in form.controls()}
        hold(not unknown, f"the form to {form.action} has no field {', '.join(sorted(unknown))}")
        return await self.post(urljoin(at.url, form.action), {**form.fields(), **typed})

    async def _ask(self, method: str, url: str, headers: dict[str, str], data: Any = None) -> Answer:
        async with self._session.request(method, url, headers=headers, data=data) as response:
            body = await response.read()
            return Answer(response.status, response.headers, body, str(response.url))

    async def events(self, url: str, **headers: str) -> AsyncIterator[Event]:
        """What a stream says, until it ends. Raises aiohttp.ClientError, TimeoutError."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=PAGE_SECONDS, sock_read=STREAM_SILENCE)
        said = {"Accept": "text/event-stream", **_named(headers)}
        async with self._session.get(url, headers=said, timeout=timeout) as response:
            hold(response.status == 200, f"the stream answered {response.status}")
            name, lines = "", list[str]()
            async for raw in response.content:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    lines.append(line[5:].removeprefix(" "))
                elif not line and (name or lines):
                    yield Event(name, "\n".join(lines))
                    name, lines = "", []


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class Bell:
    """Wakes those who wait for something to change. Deadlines in seconds."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.fault: BaseException | None = None

    def ring(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def fail(self, fault: BaseException) -> None:
        self.fault = fault
        self.ring()

    async def until(self, seen: Any, what: str, seconds: float = 10.0) -> Any:
        """Waits until `seen()` gives something true, and gives it. Raises Wrong, saying what was waited for."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := seen()):
                    if self.fault is not None:
                        raise Wrong(f"{what}: the stream broke ({self.fault})")
                    await self._changed.wait()
                return found
        except TimeoutError as error:
            raise Wrong(f"waited {seconds:g} s in vain for {what}") from error
