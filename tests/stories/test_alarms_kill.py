"""Three replicas share the alarms and are killed again and again: each rings once, nothing is sent twice, none is lost.

The judge of what was sent is the phonebox's own log. What a dead replica had under way may have been sent or not: it is
`unknown`, for everybody to see, until the carrier has been asked.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import DateTime, Interval, bindparam, text

from integrations.phonebox import Phonebox
from router.book import Book
from router.unknowns import MESSAGE_PATIENCE
from tests.conftest import PATIENT, until
from tests.invariants import check
from tests.stories import staging
from tests.stories.ringing_doors import KIND, body_of, sends
from tests.stories.staging import House

ALARMS, KILLS = map(int, os.environ.get("HABLEMOS_TEST_ALARMS", "150 1").split())
"""Alarms, kills. The thorough run is "3000 20" and takes about three minutes."""
REPLICAS = 3
EVERY = 2.5
"""Seconds between two moments at which many fall due; within half a second of each somebody is killed."""
MOMENTS = (
    *("alarms.claimed:2", "alarms.handled:2", "alarms.committed:2"),
    *("courier.claimed:2", "courier.before_request:2", "courier.after_request:2", "courier.recorded:2"),
)
"""All the places between claiming an alarm and having told what became of its text."""
LEASE = timedelta(seconds=60)

_SET = text(
    """
    insert into alarms (kind, subject_id, due_at, state, failures)
    select :kind, n, :at + (n - :first) / :each * interval '1 s' * :every, 'pending', 0
    from generate_series(cast(:first as bigint), cast(:last as bigint)) n
    """
).bindparams(bindparam("at", type_=DateTime(timezone=True)))

# A minute goes by for what somebody dead has claimed, a quarter of an hour for what nobody has heard of.
_AGE = text(
    "update deliveries set lease_until = lease_until - interval '60 s', started_at = started_at - interval '60 s' "
    "where state in ('claimed', 'started') and lease_until < :before"
).bindparams(bindparam("before", type_=DateTime(timezone=True)))
_GIVE_UP = text(
    "update deliveries set unknown_at = unknown_at - :patience, lease_until = null where state = 'unknown'"
).bindparams(bindparam("patience", type_=Interval))


@dataclass
class Replicas:
    """`killed` counts deaths. A dead one is started again at once, with the next of the `ahead` moments to die at."""

    book: Book
    box: Phonebox
    houses: list[House]
    ahead: list[str] = field(default_factory=list)
    killed: int = 0
    last: datetime | None = None
    rising: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def _next(self) -> str:
        return self.ahead.pop(0) if self.ahead else ""

    async def open(self) -> None:
        await asyncio.gather(*(house.start(fail_at=self._next()) for house in self.houses))

    async def set_alarms(self, first: int, last: int, each: int) -> datetime:
        """`each` at a time, in a second from now and then every EVERY seconds; when the first of them are due."""
        async with self.book.writing() as w:
            at = w.now + timedelta(seconds=1)
            values = {"kind": KIND, "at": at, "each": each, "every": EVERY, "first": first, "last": last}
            await w.session.execute(_SET, values)
        return at

    async def kill_one(self, chance: random.Random) -> None:
        async def standing() -> list[int]:
            return [place for place, house in enumerate(self.houses) if self._stands(place, house)]

        await until(standing, "somebody to stand up again", staging.START_SECONDS)
        place = chance.choice(await standing())
        process = self.houses[place].process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await self._bury(place)

    def _stands(self, place: int, house: House) -> bool:
        return not house.dead and (place not in self.rising or self.rising[place].done())

    async def _bury(self, place: int) -> None:
        process = self.houses[place].process
        assert process is not None
        assert process.returncode == -signal.SIGKILL, "it ended by itself"
        self.killed += 1
        async with self.book.reading() as r:
            self.last = r.now
            await check(r.session)
        self.rising[place] = asyncio.create_task(self.houses[place].start(fail_at=self._next()))

    async def bury(self) -> None:
        """Starts again whoever has died by himself."""
        for place, house in enumerate(self.houses):
            if house.dead and (place not in self.rising or self.rising[place].done()):
                await self._bury(place)

    async def count(self, question: str) -> int:
        async with self.book.reading() as r:
            return int((await r.session.rows(text(question)))[0][0])

    def none(self, question: str) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            await asyncio.sleep(0.1)
            return await self.count(f"select count(*) from {question}") == 0  # noqa: S608  constants

        return asked

    async def to_the_end(self) -> tuple[int, int]:
        """Until nothing is under way; how many texts were ever unknown, and of how many nobody can tell."""
        await asyncio.gather(*self.rising.values())
        patience = 90 + ALARMS / 10
        await until(self.none(f"alarms where kind = '{KIND}' and state = 'pending'"), "all to ring", patience)
        await until(self.none("deliveries where state = 'pending'"), "all to be sent", patience)
        if self.last is not None:
            async with self.book.writing() as w:
                await w.session.execute(_AGE, {"before": self.last + LEASE})
        flying = "deliveries where state in ('pending', 'claimed', 'started')"
        await until(self.none(flying), "all to be told", patience)
        await until(self.none("deliveries where state = 'unknown' and lease_until is null"), "the carrier's word", 30)
        async with self.book.writing() as w:
            await w.session.execute(_GIVE_UP, {"patience": MESSAGE_PATIENCE})
        await until(self.none("deliveries where state = 'unknown'"), "the rest to be given up", 60)
        unknown = await self.count("select count(*) from facts where kind = 'delivery.unknown'")
        return unknown, await self.count("select count(*) from deliveries where state = 'abandoned'")


@asynccontextmanager
async def three(url: str, ahead: list[str]) -> AsyncIterator[Replicas]:
    async with staging.book_of(url, connections=4, limits=PATIENT) as book, staging.phonebox() as box:
        houses = [House(url, box.url, program="tests.stories.ringing_doors") for _ in range(REPLICAS)]
        try:
            replicas = Replicas(book, box, houses, ahead)
            await replicas.open()
            yield replicas
        finally:
            for house in houses:
                await house.close()


async def judged(replicas: Replicas, count: int) -> None:
    """Prints what came of it as a table, and fails when anything was done twice or is missing."""
    unknown, abandoned = await replicas.to_the_end()
    async with replicas.book.reading() as r:
        await check(r.session)
        rang = Counter(row[0] for row in await r.session.rows(text("select subject_id from facts where kind = 'rang'")))
        rows = await r.session.rows(text(
            "select shown_text, count(*), min(state) from deliveries where purpose = 'ring' group by 1"))
    sent, asked = Counter(staging.texts(replicas.box)), Counter(staging.asked(replicas.box))
    wanted = [body_of(n) for n in range(1, count + 1) if sends(n)]
    told = {row[0]: row[2] for row in rows}
    never = [body for body in wanted if not sent[body]]
    print(f"\n{'replicas killed':44}{replicas.killed:8,}")
    print(f"{'alarms':44}{count:8,}")
    print(f"{'  rang once':44}{sum(n == 1 for n in rang.values()):8,}")
    print(f"{'  rang twice or more':44}{sum(n > 1 for n in rang.values()):8,}")
    print(f"{'  never rang':44}{count - len(rang):8,}")
    print(f"{'texts':44}{len(wanted):8,}")
    print(f"{'  sent once, by the log of the carrier':44}{sum(sent[body] == 1 for body in wanted):8,}")
    print(f"{'  sent twice or more':44}{sum(sent[body] > 1 for body in wanted):8,}")
    print(f"{'  unknown for a time':44}{unknown:8,}")
    print(f"{'  given up, for everybody to see':44}{abandoned:8,}")
    print(f"{'  of these really sent':44}{sum(told[body] == 'abandoned' and bool(sent[body]) for body in wanted):8,}")
    assert dict(rang) == dict.fromkeys(range(1, count + 1), 1)
    assert sorted(told) == sorted(wanted)
    assert all(row[1] == 1 for row in rows)
    assert [order for order, times in asked.items() if times > 1] == []
    assert [body for body, times in sent.items() if times > 1] == []
    assert {told[body] for body in never} <= {"abandoned"}, "lost without a word"


async def test_killed_at_random_each_alarm_rings_once_and_no_text_is_sent_twice(database_url: str) -> None:
    chance = random.Random()  # noqa: S311  any moment will do
    async with three(database_url, []) as replicas:
        first = await replicas.set_alarms(1, ALARMS, each=ALARMS // KILLS)
        for clump in range(KILLS):
            async with replicas.book.reading() as r:
                wait = (first - r.now).total_seconds() + clump * EVERY + chance.uniform(0.0, 0.5)
            await asyncio.sleep(max(0.0, wait))
            await replicas.kill_one(chance)
        await judged(replicas, ALARMS)
        assert replicas.killed == KILLS


@pytest.mark.skipif(len(MOMENTS) > KILLS, reason="a minute of its own; HABLEMOS_TEST_ALARMS=\"300 7\" asks for it")
async def test_killed_at_every_await_of_claim_and_send_each_alarm_rings_once(database_url: str) -> None:
    async with three(database_url, list(MOMENTS)) as replicas:
        count = 0
        async with asyncio.timeout(400):
            # A few more and a few more, until everybody has met his end.
            while replicas.killed < len(MOMENTS):
                await replicas.set_alarms(count + 1, count + 4, each=4)
                count += 4
                await asyncio.sleep(0.5)
                await replicas.bury()
        await judged(replicas, count)
