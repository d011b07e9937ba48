"""Targets: what an agent is to reach in a week, and how far he is."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from router.actions import crediting, wrapping
from router.actions.configuring import apply
from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.configuration import WrongFile, read
from router.model.quotes import Quote, QuoteState
from router.model.tasks import Disposition, Task, TaskState
from router.store import screens, targets
from tests import closing, making
from tests.conftest import Clock

PLAN = """
[[agents]]
login = "ana"
name = "Ana"
week_target = 12
"""


async def closed(book: Book, *outcomes: Disposition, counts: str = "sold", key: str = "luz") -> None:
    """Ana closes a task for each of these in a campaign that counts so."""
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w, key, target_counts=counts))
        ana = await w.session.get(Agent, 1) or await making.agent(w, week_target=2)
        for n, outcome in enumerate(outcomes):
            lead = await making.lead(w, queue, f"+1202555010{n}")
            task = await making.task(w, queue, lead, state=TaskState.wrapping, agent_id=ana.id)
            await wrapping.close_task(w, task.id, outcome)


async def reached(book: Book) -> dict[int, int]:
    async with book.reading() as r:
        return await targets.reached(r.session, r.now)


async def test_what_was_sold_counts_or_the_talks_where_the_campaign_says_so(book: Book) -> None:
    outcomes = (Disposition.sold, Disposition.not_interested, Disposition.voicemail, Disposition.do_not_call)
    await closed(book, *outcomes)
    assert await reached(book) == {1: 1}
    await closed(book, *outcomes, counts="talks", key="sol")
    assert await reached(book) == {1: 3}


async def test_of_what_was_signed_everybody_has_reached_his_share_until_it_is_withdrawn_from(book: Book) -> None:
    held = await closing.signed(book)
    quote = await closing.quote_of(book, held)
    author = vouched(quote.agent_id)
    assert await reached(book) == {author: 1}
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        await w.move(Task, task.id, TaskState.wrapping)
        await wrapping.close_task(w, task.id, Disposition.sold)
    assert await reached(book) == {author: 1}, "one sale, signed and said"
    async with book.writing() as w:
        bruno = await making.agent(w, "bruno", week_target=2)
        await crediting.split(w, quote.id, {author: 75, bruno.id: 25}, "helped", supervisor_id=author)
    assert await reached(book) == {author: 0.75, bruno.id: 0.25}
    async with book.writing() as w:
        await w.move(Quote, quote.id, QuoteState.withdrawn)
    assert await reached(book) == {}


async def test_the_week_begins_on_monday_by_the_clock_of_the_campaign(book: Book, clock: Clock) -> None:
    clock.now = datetime(2026, 11, 22, 22, 59, tzinfo=UTC)  # Sunday, 23:59 in Madrid
    await closed(book, Disposition.sold)
    assert await reached(book) == {1: 1}
    clock.forward(60)
    assert await reached(book) == {}
    await closed(book, Disposition.sold, key="sol")
    clock.now = datetime(2026, 11, 29, 22, 59, tzinfo=UTC)
    assert await reached(book) == {1: 1}


async def test_the_board_says_how_far_everybody_is(book: Book) -> None:
    await closed(book, Disposition.sold, Disposition.sold, Disposition.sold)
    async with book.reading() as r:
        assert (await screens.board(r.session, r.now)).reached == {1: 3}


async def test_a_file_sets_targets_and_refuses_what_is_none(book: Book, clock: Clock) -> None:
    for turn in range(2):
        async with book.writing() as w:
            changes = await apply(w, read(PLAN), {"ana": "hash"})
        assert bool(changes) is (turn == 0)
    async with book.writing() as w:
        (change,) = await apply(w, read(PLAN.replace("12", "9")), {})
    assert str(change) == "~ agent ana: week_target: 12 → 9"
    clock.forward(timedelta(days=1).total_seconds())
    for wrong in ("-1", "10001", '"many"'):
        with pytest.raises(WrongFile, match="week_target"):
            read(PLAN.replace("12", wrong))
