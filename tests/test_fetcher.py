"""Announced leads are fetched outside every transaction: again if need be, kept once, and visible if in vain."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from integrations.ads.graphbox import Graphbox
from integrations.ads.meta import Graph
from integrations.http import client_session
from router.book import Book
from router.fetcher import LEASE, MOST_FAILURES, Fetcher, pause
from router.model.connectors import Connector
from router.model.consent import Receipt
from router.model.inbox import InboxRow, InboxState
from router.model.tasks import TaskState
from router.ports import PartyLead
from tests import making
from tests.conftest import Clock
from tests.parties import PHONE, Listening, connector, meta

TOKEN = "page-token"


@pytest.fixture
def box() -> Graphbox:
    return Graphbox(TOKEN)


@pytest.fixture
async def graph(box: Graphbox) -> AsyncIterator[Graph]:
    async with box.running() as url, client_session() as session:
        yield Graph(session, url)


@pytest.fixture
async def page(book: Book) -> Connector:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        return await connector(w, queue, "meta", secrets={"token": TOKEN}, settings={
            "graph_version": "v21.0", "consent_text": "We may call you.",
            "consents": {"offers": {"purpose": "commercial", "text": "Offers too.", "version": "2"}}})


@pytest.fixture
def house(book: Book, graph: Graph) -> Listening:
    return Listening(book, {"meta": graph})


@pytest.fixture
def fetcher(book: Book, graph: Graph) -> Fetcher:
    return Fetcher(book, {"meta": graph})


async def announced(book: Book) -> InboxRow:
    async with book.reading() as r:
        row = await r.session.scalar(select(InboxRow).order_by(InboxRow.id.desc()).limit(1))
    assert row is not None
    return row


async def test_an_announced_lead_is_fetched_and_called_with_what_was_ticked(
    house: Listening, book: Book, box: Graphbox, page: Connector, fetcher: Fetcher
) -> None:
    box.put("555", {"full_name": "Joe", "phone_number": PHONE}, ad_id="77",
            custom_disclaimer_responses=[{"checkbox_key": "offers", "is_checked": "1"}])
    await house.hear(page, meta(555))
    assert await house.leads() == []
    assert await fetcher.sweep() == 1
    await house.inbox.sweep()
    (lead,), (task,) = await house.leads(), await house.tasks()
    assert (lead.claims["name"], lead.source["ad_id"], task.state) == ("Joe", "77", TaskState.queued)
    async with book.reading() as r:
        receipts = await r.session.scalars(select(Receipt).order_by(Receipt.id))
    assert [(one.purposes, one.text, one.version) for one in receipts] == [
        (["requested"], "We may call you.", "1"), (["commercial"], "Offers too.", "2")]


async def test_a_lead_announced_twice_and_in_two_notices_is_fetched_and_taken_once(
    house: Listening, box: Graphbox, page: Connector, fetcher: Fetcher
) -> None:
    box.put("555", {"phone_number": PHONE})
    await house.hear(page, meta(555, "555"))
    await house.hear(page, meta("555", page="9"))
    await fetcher.sweep()
    await house.inbox.sweep()
    await house.hear(page, meta("555", page="8"))
    await fetcher.sweep()
    assert (box.asked, len(await house.leads())) == (["555"], 1)


async def test_a_graph_that_fails_is_asked_again_ever_later_until_it_answers(
    house: Listening, book: Book, box: Graphbox, page: Connector, fetcher: Fetcher, clock: Clock
) -> None:
    box.put("555", {"phone_number": PHONE})
    box.faults = [(500, 1), (400, 190), (429, 4)]
    await house.hear(page, meta(555))
    for failures in (1, 2, 3):
        await fetcher.sweep()
        assert await fetcher.sweep() == 0
        clock.forward(pause(failures).total_seconds())
    await fetcher.sweep()
    await house.inbox.sweep()
    assert len(await house.leads()) == 1
    assert len(box.asked) == 4


async def test_a_lead_the_graph_does_not_know_is_parked_at_once_and_visible(
    house: Listening, book: Book, page: Connector, fetcher: Fetcher, caplog: pytest.LogCaptureFixture
) -> None:
    await house.hear(page, meta(555))
    with caplog.at_level(logging.WARNING):
        await fetcher.sweep()
    assert (await announced(book)).state is InboxState.parked
    assert [fact["reason"] for fact in await house.facts("inbox.parked")] == ["fetch.100"]
    assert TOKEN not in caplog.text


async def test_what_fails_for_a_day_is_parked(
    house: Listening, book: Book, box: Graphbox, page: Connector, fetcher: Fetcher, clock: Clock
) -> None:
    box.faults = [(500, 2)] * 50
    await house.hear(page, meta(555))
    began = clock.now
    for failures in range(1, MOST_FAILURES + 3):
        await fetcher.sweep()
        clock.forward(pause(failures).total_seconds())
    assert (await announced(book)).state is InboxState.parked
    assert len(box.asked) == MOST_FAILURES
    assert clock.now - began > timedelta(hours=12)


class Slow:
    """Answers when told to, and tells when it was asked. Meanwhile somebody else may do what he likes."""

    def __init__(self, graph: Graph, meanwhile: Any) -> None:
        self._graph, self._meanwhile = graph, meanwhile

    async def fetch(self, external_id: str, token: str, version: str) -> bytes:
        answer = await self._graph.fetch(external_id, token, version)
        await self._meanwhile()
        return answer

    def understand(self, external_id: str, notice: bytes, answer: bytes) -> PartyLead:
        return self._graph.understand(external_id, notice, answer)


async def test_who_comes_back_after_his_lease_changes_nothing(
    house: Listening, book: Book, box: Graphbox, graph: Graph, page: Connector, fetcher: Fetcher, clock: Clock
) -> None:
    box.put("555", {"phone_number": PHONE})
    moments: list[datetime] = []

    async def meanwhile() -> None:
        moments.append(clock.forward(LEASE.total_seconds() + 1))
        await fetcher.sweep()
        await house.inbox.sweep()

    await house.hear(page, meta(555))
    await Fetcher(book, {"meta": Slow(graph, meanwhile)}).sweep()
    await house.inbox.sweep()
    assert (len(await house.leads()), len(box.asked), len(moments)) == (1, 2, 1)


async def test_who_dies_while_fetching_leaves_it_to_the_next_one(
    house: Listening, book: Book, box: Graphbox, graph: Graph, page: Connector, fetcher: Fetcher, clock: Clock
) -> None:
    class Died(BaseException):
        pass

    async def die() -> None:
        raise Died

    box.put("555", {"phone_number": PHONE})
    await house.hear(page, meta(555))
    with pytest.raises(Died):
        await Fetcher(book, {"meta": Slow(graph, die)}).sweep()
    assert await fetcher.sweep() == 0
    clock.forward(LEASE.total_seconds())
    assert await fetcher.sweep() == 1
    await house.inbox.sweep()
    assert len(await house.leads()) == 1
