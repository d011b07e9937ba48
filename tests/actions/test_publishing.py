"""Publishing: a pack counts at once and everywhere, its history is a chain, and whom it moves is said before."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from router.actions import guarding, publishing
from router.book import Book
from router.live import Hub
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.guard import Purpose
from router.model.packs import WrongPack
from router.model.tasks import TIER_LIST, TaskState
from router.model.vault import Vault
from router.store import alarms, packs
from tests import making
from tests.conftest import Clock

STANDARD = packs.of_program()["standard"]
LATER = STANDARD.replace("version = 1", "version = 2", 1).replace("10:00", "12:00")
PHONE = "+34910000001"


async def planned(book: Book, clock: Clock) -> datetime:
    """A list call that rests until ten o'clock on Tuesday in Madrid."""
    at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w, rule_pack="standard"))
        lead = await making.lead(w, queue, PHONE)
        task = await making.task(w, queue, lead, state=TaskState.scheduled, tier=TIER_LIST)
        await alarms.set_alarm(w.session, "task.due", task.id, at)
    return at


async def allowed(book: Book, at: datetime, clock: Clock) -> bool:
    clock.now = at
    async with book.writing() as w:
        contact = vouched(await w.session.get(Contact, 1))
        campaign = vouched(await w.session.get(Campaign, 1))
        return (await guarding.ask_guard(w, campaign, contact, Purpose.commercial)).allowed


async def publish(book: Book, body: str) -> None:
    async with book.writing() as w:
        await publishing.publish(w, body)


async def test_what_is_published_counts_at_once_in_every_replica(
    book: Book, clock: Clock, engine: object, vault: Vault
) -> None:
    at = await planned(book, clock)
    other = Book(engine, Hub(), vault, book.public_url, clock=clock)  # type: ignore[arg-type]
    assert await allowed(book, at, clock) and await allowed(other, at, clock)  # noqa: PT018
    await publish(book, LATER)
    assert not await allowed(other, at, clock)
    assert not await allowed(book, at, clock)


async def test_whom_a_pack_would_move_is_said_before_it_is_published(book: Book, clock: Clock) -> None:
    at = await planned(book, clock)
    async with book.reading() as r:
        proposal = await publishing.propose(r.session, LATER, r.now)
        nothing = await publishing.propose(r.session, STANDARD, r.now)
    assert (proposal.before, proposal.version, proposal.looked_at) == (1, 2, 1)
    (moved,) = proposal.moved
    assert (moved.planned.what, moved.planned.at, moved.word) == ("task", at, "defer")
    assert moved.until == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
    assert moved.rules == ("standard.hours",)
    assert any(line.startswith("~ standard-hours: week: ") for line in proposal.differences)
    assert "1 task: defer" in proposal.lines()
    assert (nothing.differences, nothing.moved) == ([], [])
    assert await allowed(book, at, clock), "looking publishes nothing"


async def test_a_version_is_published_once_and_never_goes_back(book: Book) -> None:
    async with book.writing() as w:
        assert await publishing.publish_shipped(w) == []
    await publish(book, LATER)
    for body in (LATER, STANDARD, LATER.replace("12:00", "13:00")):
        with pytest.raises(Conflict):
            await publish(book, body)
    with pytest.raises(WrongPack):
        await publish(book, LATER.replace("version = 2", "version = 3").replace("20:00", "25:00"))
    async with book.writing() as w:
        assert await publishing.publish_shipped(w) == [], "what the house published is newer than the program's own"
        facts = await w.session.rows(text("select count(*) from facts where kind = 'pack.published'"))
    assert facts[0][0] == len(packs.of_program()) + 1


async def test_a_pack_that_campaigns_may_name_never_becomes_a_part_of_others(book: Book) -> None:
    part = LATER.replace("reviewer =", "part = true\nreviewer =")
    with pytest.raises(WrongPack, match="cannot become a part"):
        await publish(book, part)
    async with book.reading() as r:
        with pytest.raises(WrongPack, match="cannot become a part"):
            await publishing.propose(r.session, part, r.now)


async def test_the_history_of_packs_is_a_chain(book: Book) -> None:
    for body in (STANDARD, LATER):
        await publish(book, body)
    async with book.reading() as r:
        newest, first = await packs.history(r.session)
    assert (newest.version, first.version) == (2, 1)
    assert newest.digest != first.digest


@pytest.mark.parametrize(("body", "is_one"), [
    (STANDARD, True), ("", False), ("= no toml", False), ('[[campaigns]]\nkey = "luz"\n', False),
])
def test_a_pack_is_told_from_a_configuration(body: str, is_one: bool) -> None:
    assert publishing.is_pack(body) is is_one
