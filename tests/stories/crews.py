"""A crew of agents at two replicas: who is rung answers in his own way. One of ten answers at a door of a replica that
is there; the others by the same verbs from here, as a third replica would, so that no page is drawn for each."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import aiohttp
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from router.actions import dispatch, presence, replying
from router.actions.intake import take_in
from router.book import Book, Writing
from router.model.agents import Wish
from router.model.campaigns import Queue, WrapMode
from router.model.errors import Conflict
from router.model.intake import Agreed, Wanted, Work
from router.model.leads import Intent
from router.model.tasks import TaskKind
from router.store import sessions
from router.store.db import contended
from router.store.sessions import Opened
from tests import making
from tests.stories.staging import House

LOST = (aiohttp.ClientError, OSError, TimeoutError)
BEAT_SECONDS = 3.0
LOOK_SECONDS = 0.05
AT_ONCE = 6
"""Buttons pressed in the same moment: more would only wait for the processors, and for the connections from here."""

AT_DOORS = 0.1

Act = Callable[[], Awaitable[object]]

_RINGING = text("select id, agent_id, task_id from reservations where state = 'pending'")
_HELD = text("select id, agent_id from tasks where state = 'engaged'")
_AWAY = text("select id from agents where wish in ('paused', 'off')")
_LEFT = text("select state, count(*) from tasks group by state")


@dataclass
class Crew:
    """`answers` counts what the doors said; `yes` is who was told that the task is his, by task."""

    book: Book
    houses: tuple[House, House]
    session: aiohttp.ClientSession
    chance: random.Random
    keys: dict[int, Opened] = field(default_factory=dict)
    yes: dict[int, list[int]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    queue: Queue = field(init=False)
    _asked: set[tuple[str, int]] = field(default_factory=set)
    _missed: set[int] = field(default_factory=set)
    _doors: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def hire(self, agents: int, ring_seconds: int) -> None:
        """Agents signed in at both replicas, ready."""
        async with self.book.writing() as w:
            self.queue = await making.queue(
                w, await making.campaign(w), ring_seconds=ring_seconds, exclude_seconds=1,
                wrap_mode=WrapMode.none,
            )
            for n in range(agents):
                agent = await making.agent(w, f"agent{n}")
                self.keys[agent.id] = await sessions.open_session(w.session, agent.id, w.now)

    async def leads(self, count: int, first: int) -> None:
        """So many persons begin to wait for a chat."""
        wanted = [
            Wanted(
                line=self.queue.line, phone=f"+1202{n:07d}", name="Carmen", locale="es", intent=Intent.chat,
                method="widget", status_token=f"token-{n}", agreed=(Agreed(("requested",), "Sí", "1"),),
                work=Work(TaskKind.chat),
            )
            for n in range(first, first + count)
        ]
        for start in range(0, count, 50):
            async with self.book.writing() as w:
                await take_in(w, wanted[start : start + 50])

    async def beat(self) -> None:
        """The browsers answer the pings, as both replicas would write it."""
        while True:
            await self._do(lambda w: presence.beat(w, sorted(self.keys)))
            await asyncio.sleep(BEAT_SECONDS)

    async def work(self) -> None:
        """Looks at all desks, and lets everybody do the next thing, until cancelled."""
        async with asyncio.TaskGroup() as doing:
            while True:
                for verb, key, act in await self._to_do():
                    # Nobody presses a button again while he waits for its answer.
                    if (verb, key) not in self._asked:
                        self._asked.add((verb, key))
                        doing.create_task(self._once((verb, key), act))
                await asyncio.sleep(LOOK_SECONDS)

    async def _to_do(self) -> list[tuple[str, int, Act]]:
        async with self.book.reading() as r:
            ringing = [tuple(row) for row in await r.session.rows(_RINGING)]
            held = [tuple(row) for row in await r.session.rows(_HELD)]
            away = [row[0] for row in await r.session.rows(_AWAY)]
        return [
            *(("ring", ring, partial(self._answer, ring, agent, task)) for ring, agent, task in ringing),
            *(("held", task, partial(self._end, task, agent)) for task, agent in held),
            *(("back", agent, partial(self._wish, agent, Wish.ready)) for agent in away),
        ]

    async def _end(self, task: int, agent: int) -> None:
        """He finishes the chat; its queue asks for no word on how it went."""
        await self._do(lambda w: replying.finish(w, task, agent))

    async def _do(self, verb: Callable[[Writing], Awaitable[object]]) -> bool:
        """False when it is refused. Whoever is in the way is waited for, as the doors ask it."""
        for _ in range(20):
            try:
                async with self.book.writing() as w:
                    await verb(w)
            except Conflict:
                return False
            except DBAPIError as error:
                if not contended(error):
                    raise
                self.answers["contended"] += 1
            else:
                return True
        return False

    async def _once(self, what: tuple[str, int], act: Act) -> None:
        async with self._doors:
            await act()
        self._asked.discard(what)

    async def _answer(self, ring: int, agent: int, task: int) -> None:
        mood = 0.0 if ring in self._missed else self.chance.random()
        if mood < 0.02:
            self._missed.add(ring)  # he has gone for a coffee, and hears nothing
            return
        if mood < 0.05:
            await self._do(lambda w: dispatch.reject(w, ring, agent))
            return
        if mood < 0.08:
            await self._wish(agent, self.chance.choice((Wish.paused, Wish.off)))
        if self.chance.random() < AT_DOORS:
            taken = await self._press(agent, f"reservations/{ring}/accept") == 200
        else:
            taken = await self._do(lambda w: dispatch.accept(w, ring, agent))
        if taken:
            self.yes.setdefault(task, []).append(agent)

    async def _wish(self, agent: int, wish: Wish) -> None:
        if self.chance.random() < AT_DOORS:
            await self._press(agent, "state", {"wish": wish.value})
        else:
            await self._do(lambda w: presence.set_wish(w, agent, wish))

    async def _press(self, agent: int, path: str, fields: dict[str, str] | None = None) -> int:
        """Presses a button at one replica, or at the other when it is not there; the answer's status, 0 for none."""
        first = self.chance.randrange(2)
        for house in (self.houses[first], self.houses[1 - first]):
            headers = {"X-CSRF": self.keys[agent].csrf, "Origin": house.url}
            cookies = {"hablemos": self.keys[agent].token}
            try:
                async with self.session.post(
                    f"{house.url}/desk/{path}", data=fields or {}, headers=headers, cookies=cookies
                ) as answer:
                    self.answers[f"{path.split('/')[-1]} {answer.status}"] += 1
                    assert answer.status in (200, 409, 503), await answer.text()
                    return answer.status
            except LOST:
                self.answers["lost"] += 1
        return 0

    async def left(self) -> dict[str, int]:
        """How many tasks are in each state."""
        async with self.book.reading() as r:
            return {row[0]: row[1] for row in await r.session.rows(_LEFT)}
