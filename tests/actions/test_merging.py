"""Merging: a claim proposes, a person decides, undoing gives back exactly what went."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import merging
from router.actions.intake import take_in
from router.book import Book
from router.model.campaigns import Queue
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.facts import Fact
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Intent, Lead
from router.model.merges import Claim, ClaimKind, Merge, MergeState
from router.model.tasks import Task, TaskState
from router.model.vault import new_token
from router.store import merges, screens
from tests import making
from tests.invariants import check
from tests.journal import read_on

MINE, HIS = "+12025550101", "+12025550199"


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        await making.agent(w, "eva")
        return await making.queue(w, await making.campaign(w))


async def posts(book: Book, queue: Queue, phone: str, email: str = "ana@example.org", work: bool = False) -> Taken:
    """A stranger's lead, and what the journal's reader makes of it."""
    async with book.writing() as w:
        (taken,) = await take_in(w, [Wanted(
            line=queue.line, phone=phone, name="", locale="es",
            intent=Intent.call_now, method="widget", status_token=new_token(), claims={"email": email} if email else {},
            work=Work() if work else None, agreed=(Agreed(("requested",), "Sí", "1"),),
        )])
    await read_on(book)
    return taken


async def all_of(book: Book, noun: Any) -> Sequence[Any]:
    async with book.reading() as r:
        await check(r.session)
        return await r.session.scalars(select(noun).order_by(noun.id))


async def contacts_of_leads(book: Book) -> list[int]:
    return [lead.contact_id for lead in await all_of(book, Lead)]


async def decide(book: Book, action: Any, merge_id: int = 1) -> None:
    async with book.writing() as w:
        await action(w, merge_id, 1)


async def test_the_same_address_from_another_number_is_proposed_once_and_moves_nothing(
    book: Book, queue: Queue
) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS, " ANA@example.org ")
    await posts(book, queue, HIS)
    (proposed,) = await all_of(book, Merge)
    assert (proposed.into_id, proposed.from_id, proposed.state) == (1, 2, MergeState.proposed)
    assert await contacts_of_leads(book) == [1, 2, 2]
    assert [contact.merged_into for contact in await all_of(book, Contact)] == [None, None]


@pytest.mark.parametrize("email", ["", "nobody", "eva@example.org"])
async def test_what_is_no_address_or_another_one_proposes_nothing(book: Book, queue: Queue, email: str) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS, email)
    assert await all_of(book, Merge) == []


async def test_another_campaign_is_another_world(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        other = await making.queue(w, await making.campaign(w, "otra"))
    await posts(book, queue, MINE)
    await posts(book, other, MINE)
    assert await all_of(book, Merge) == []


async def test_an_address_that_everybody_gives_does_not_flood_the_agents(book: Book, queue: Queue) -> None:
    for n in range(merging.MOST_OPEN + 5):
        await posts(book, queue, f"+1202555{101 + n:04d}")
    assert len(await all_of(book, Merge)) == merging.MOST_OPEN


async def test_merging_joins_the_history_and_undoing_gives_it_back_exactly(book: Book, queue: Queue) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS)
    await posts(book, queue, HIS, "")
    async with book.writing() as w:
        lead = await w.session.get(Lead, 2)
        assert lead is not None
        await making.task(w, queue, lead, state=TaskState.closed)
    await decide(book, merging.merge)
    assert await contacts_of_leads(book) == [1, 1, 1]
    assert [task.contact_id for task in await all_of(book, Task)] == [1]
    assert [contact.merged_into for contact in await all_of(book, Contact)] == [None, 1]
    assert [receipt.contact_id for receipt in await all_of(book, Receipt)] == [1, 2, 2]  # consent stays with the number
    await decide(book, merging.undo)
    assert await contacts_of_leads(book) == [1, 2, 2]
    assert [task.contact_id for task in await all_of(book, Task)] == [2]
    assert [contact.merged_into for contact in await all_of(book, Contact)] == [None, None]


async def test_what_comes_in_later_follows_when_it_is_over_and_comes_back_too(book: Book, queue: Queue) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS)
    await decide(book, merging.merge)
    await posts(book, queue, HIS, "", work=True)
    assert await contacts_of_leads(book) == [1, 1, 2]  # his telephone rings, with his consent
    async with book.writing() as w:
        await w.move(Task, 1, TaskState.withdrawn, ended_at=w.now)
    await read_on(book)
    assert await contacts_of_leads(book) == [1, 1, 1]
    await decide(book, merging.undo)
    assert await contacts_of_leads(book) == [1, 2, 2]


async def test_a_call_under_way_keeps_its_number_and_shows_the_whole_history(book: Book, queue: Queue) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS, work=True)
    await decide(book, merging.merge)
    async with book.writing() as w:
        await w.move(Task, 1, TaskState.reserved, agent_id=1)
    async with book.reading() as r:
        view = await screens.desk(r.session, 1, r.now)
    assert view.work is not None
    assert view.work.contact.phone == HIS
    assert {told.fact.lead_id for told in view.work.timeline} == {1, 2}


async def test_a_decision_is_made_once_and_what_was_declined_is_not_proposed_again(book: Book, queue: Queue) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS)
    await decide(book, merging.decline)
    with pytest.raises(Conflict):
        await decide(book, merging.undo)
    await posts(book, queue, HIS)
    assert [merge.state for merge in await all_of(book, Merge)] == [MergeState.declined]


async def test_of_two_merges_in_a_row_the_later_is_undone_first(book: Book, queue: Queue) -> None:
    await posts(book, queue, MINE, "a@example.org")
    await posts(book, queue, HIS, "b@example.org")
    await posts(book, queue, "+12025550150", "b@example.org")
    async with book.reading() as r:
        (claimed,) = await merges.emails_of(r.session, [2])
    async with book.writing() as w:
        await merging.said(w, claimed, ClaimKind.email, "a@example.org")
    await decide(book, merging.merge, 1)  # the third into the second
    await decide(book, merging.merge, 2)  # the second into the first
    assert [contact.merged_into for contact in await all_of(book, Contact)] == [None, 1, 1]
    assert await contacts_of_leads(book) == [1, 1, 1]
    with pytest.raises(Conflict):
        await decide(book, merging.undo, 1)
    await decide(book, merging.undo, 2)
    assert [contact.merged_into for contact in await all_of(book, Contact)] == [None, None, 2]
    assert await contacts_of_leads(book) == [1, 2, 2]
    await decide(book, merging.undo, 1)
    assert await contacts_of_leads(book) == [1, 2, 3]


async def test_no_claim_is_stored_in_words(book: Book, queue: Queue) -> None:
    await posts(book, queue, MINE)
    await posts(book, queue, HIS)
    async with book.reading() as r:
        told = str(await r.session.scalars(select(Fact.data)))
        claims = await r.session.scalars(select(Claim))
    assert "example" not in told
    assert all(b"example" not in claim.mac for claim in claims)
