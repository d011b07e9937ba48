"""The agents' side of the house on real sockets: signing in, the desk, the wallboard, their streams."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import aiohttp
from aiohttp import web
from argon2 import PasswordHasher
from yarl import URL

from router.book import Batcher, Book
from router.model.agents import Agent
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.intake import Brought, Taken
from router.model.protection import Verdict
from router.model.tasks import Reservation, ReservationState, Task, TaskState
from router.paths import STATIC
from router.ports import Carrier, TrustProvider
from router.web import (
    agreed,
    brochures,
    desk,
    evidence,
    handed,
    login,
    middleware,
    people,
    quoted,
    sales,
    streams,
    wallboard,
    why,
)
from router.web.doors import DOORS, Doors
from router.web.server import Server
from router.wording import wording
from tests import making

PASSWORD = "correct horse battery"
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""Checked by the same code as any other; its cheapness stands in the hash itself."""


@dataclass
class House:
    url: str
    book: Book
    queue: Queue
    app: web.Application

    async def agent(self, login: str = "ana", *, name: str = "", **values: Any) -> Agent:
        async with self.book.writing() as w:
            made = await making.agent(w, login, **values)
            made.password_hash, made.name = PASSWORD_HASH, name or made.name
            return made


def staff_app(doors: Doors) -> web.Application:
    app = web.Application(middlewares=[middleware.house])
    app[DOORS], app[streams.BEATS] = doors, streams.Beats()
    for module in (login, desk, quoted, evidence, wallboard, streams, why, agreed, people, sales, handed, brochures):
        app.add_routes(module.routes)
    app.router.add_static("/static/", STATIC)
    app.on_response_prepare.append(middleware.set_headers)
    return app


@asynccontextmanager
async def working(book: Book, **doors: Any) -> AsyncIterator[House]:
    """The doors open, one campaign with one queue behind them."""
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))

    async def none_taken(w: object, asked: object) -> list[Taken | Verdict]:
        raise AssertionError("no lead comes in here")

    intake: Batcher[Brought, Taken | Verdict] = Batcher(book, none_taken)
    server = Server("127.0.0.1", 0)
    try:
        app = staff_app(Doors(
            book=book, hub=book.hub, wording=wording(), carrier=cast(Carrier, None), intake=intake,
            root_certificate=b"", **{"public_url": server.url, "trust": cast(TrustProvider, None), **doors},
        ))
        await server.start(app)
        yield House(server.url, book, queue, app)
    finally:
        book.hub.close()
        await server.stop()


class Browser:
    """What a browser does at the doors: keeps cookies, says where a request comes from, knows the page's CSRF word."""

    def __init__(self, house: House, session: aiohttp.ClientSession) -> None:
        self._house, self._session = house, session
        self.csrf = ""

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        sent = {"Accept": "text/html", **headers}
        async with self._session.get(self._house.url + path, headers=sent, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
        sent = {"Origin": self._house.url, "X-CSRF": self.csrf, "Accept": "application/json", **headers}
        sent = {name: value for name, value in sent.items() if value}
        async with self._session.post(
            self._house.url + path, data=fields or {}, headers=sent, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text()

    async def sign_in(self, login: str = "ana", password: str = PASSWORD) -> tuple[int, str]:
        answer = await self.post("/login", {"login": login, "password": password})
        if answer[0] == 303:
            _, page = await self.get("/desk")
            self.csrf = re.search(r'data-csrf="(\w+)"', page)[1]  # type: ignore[index]
        return answer

    @property
    def cookie(self) -> str:
        return self._session.cookie_jar.filter_cookies(self._url)["hablemos"].value

    def bring(self, cookie: str) -> None:
        """A cookie the browser had before, or was given by somebody."""
        self._session.cookie_jar.update_cookies({"hablemos": cookie}, response_url=self._url)

    @property
    def _url(self) -> URL:
        return URL(self._house.url)

    @asynccontextmanager
    async def stream(self, path: str = "/desk/stream", **headers: str) -> AsyncIterator["Events"]:
        async with self._session.get(self._house.url + path, headers=headers) as answer:
            yield Events(answer)


class Events:
    """A stream as a browser reads it."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> tuple[str, str] | None:
        """The next event's name ("" for a partial) and data; None at the end."""
        name, data = "", []
        async with asyncio.timeout(20):
            while line := (await self.answer.content.readline()).decode():
                if line == "\n" and (name or data):
                    return name, "\n".join(data)
                if line.startswith("event: "):
                    name = line[7:-1]
                elif line.startswith("data: "):
                    data.append(line[6:-1])
        return None

    async def region(self, name: str) -> str:
        """The next time this region is sent."""
        while event := await self.next():
            if f'hx-target="#{name}"' in event[1]:
                return event[1]
        raise AssertionError(f"the stream ended before #{name} came")


@asynccontextmanager
async def browsing(house: House) -> AsyncIterator[Browser]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Browser(house, session)


async def ring(house: House, agent: Agent, name: str = "Carmen Ruiz", phone: str = "+12025550101") -> Reservation:
    """A person who waits, and her task held for the agent."""
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue, phone)
        contact = await w.session.get(Contact, lead.contact_id)
        assert contact is not None
        contact.name = name
        lead.claims = {"message": name}
        task = await making.task(w, house.queue, lead)
        await w.move(Task, task.id, TaskState.reserved, agent_id=agent.id)
        held = Reservation(
            task_id=task.id, agent_id=agent.id, state=ReservationState.pending, why=[], created_at=w.now,
            expires_at=w.now + timedelta(seconds=20),
        )
        w.session.add(held)
        locked = await w.session.locked(Agent, agent.id)
        assert locked is not None
        locked.call_load, locked.busy_since = 1, w.now
        await w.session.flush()
        w.hint(f"agent:{agent.id}")
        return held
