"""The demonstration's plan and what then happens: the same file, the same older quotes, the same fourteen days."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router import demo, demo_quotes
from router import plan as planner
from router.actions import configuring, planning
from router.book import Book
from router.model.configuration import read
from router.model.foreseeing import play
from router.model.planning import Ahead, Contacted, drawn, forecast, lots_of
from router.model.tasks import Disposition
from router.store import configuration
from router.store.planning import campaigns
from tests.conftest import Clock
from tests.mailing import catching
from tests.outside import RecordingCarrier
from tests.stories.test_planning import DAYS, differing, outside
from tests.stories.virtual_house import Post, VirtualHouse
from tests.web.browsing import PICTURES

pytestmark = pytest.mark.usefixtures("unhurried")

PLAYS = 20
LOTS = "those that come"


async def the_demonstration(book: Book) -> Ahead:
    """As `hablemos demo` begins it, and what is ahead of it."""
    plan = read(demo.PLAN)
    book.can_mail = True
    async with book.writing() as w:
        assert await configuration.deployment_kind(w.session, "demo", w.now) == "demo"
        await configuring.apply(w, plan, {agent.login: "!" for agent in plan.agents}, demo=True)
    assert await demo_quotes.bring(book, demo.SITE, demo.QUEUE) == len(demo_quotes.OLD)
    async with book.reading() as r:
        return await planning.read(r.session, r.now, DAYS, await campaigns(r.session))


@asynccontextmanager
async def a_house(book: Book, clock: Clock, ahead: Ahead) -> AsyncIterator[VirtualHouse]:
    """The real house, whose calls end by LOTS, and whose texts and mails leave it."""
    def ends(person_id: int, key: str, n: int, tries: int, chance: float) -> Disposition:
        return drawn(chance, ahead.mix, lots_of(LOTS, person_id, key, n, tries))

    async with catching() as server:
        yield VirtualHouse(book, clock, ends, Post(server, RecordingCarrier()))


async def test_the_demonstrations_fortnight_is_as_planned_hour_by_hour(book: Book, clock: Clock) -> None:
    ahead = await the_demonstration(book)
    plan = forecast(ahead, play, plays=PLAYS, seed=1)
    if PICTURES:
        await asyncio.to_thread((Path(PICTURES) / "plan.svg").write_text, planner.picture(plan), encoding="utf-8")
    async with a_house(book, clock, ahead) as house:
        await house.live(ahead.until)
        calls = [one for one in await house.contacts() if one.what == "call"]
        seen = [*calls, *(Contacted(at, what, 0) for at, what in house.left)]
    assert differing(ahead, play(ahead, LOTS).contacts, seen) == []
    assert outside(ahead, plan, seen, PLAYS) == []
    for what in ("calls", "texts", "mails"):
        assert plan.total(what) > len(demo_quotes.OLD) / 3, what
    assert sum(not hour.is_empty for hour in plan.hours) > 50, "a living picture"


async def test_older_quotes_come_once_and_bring_nothing_twice(book: Book) -> None:
    await the_demonstration(book)
    assert await demo_quotes.bring(book, demo.SITE, demo.QUEUE) == 0
