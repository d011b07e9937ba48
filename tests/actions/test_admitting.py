"""Admitting: one transaction for many requests, in which nobody pays for his neighbour."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import admitting
from router.actions.intake import Raced
from router.book import Batcher, Book
from router.model.campaigns import Line, Site
from router.model.contacts import Contact
from router.model.intake import Agreed, Brought, Taken, Wanted
from router.model.leads import Intent, Lead
from router.model.protection import Asked
from router.model.rates import STRICT, Counted, Limit, Rate
from router.model.vault import new_token
from tests import making

ADDRESS = Counted("address", "address:a", Limit(2, 600))


@pytest.fixture
async def site(book: Book) -> Site:
    async with book.writing() as w:
        return await making.site(w, await making.queue(w, await making.campaign(w)))


def brought(site: Site, phone: str, *, weighed: bool = True, token: str = "", **values: Any) -> Brought:
    wanted = Wanted(
        line=Line(site.queue_id, site.campaign_id), site_id=site.id, phone=phone, name="", locale="es",
        intent=Intent.call_now, method="widget", status_token=token or new_token(),
        agreed=(Agreed(("requested",), "Sí", "1"),), **values,
    )
    return Brought(wanted, Asked(site.id, STRICT, (ADDRESS,)) if weighed else None)


async def test_all_are_answered_in_order_and_counted(book: Book, site: Site) -> None:
    numbers = [f"+1202555010{place}" for place in range(3)]
    async with book.writing() as w:
        answers = await admitting.admit(w, [
            *(brought(site, number) for number in numbers[:2]), brought(site, numbers[2], weighed=False),
        ])
    async with book.reading() as r:
        stored = {lead.id: lead.contact_id for lead in await r.session.scalars(select(Lead))}
        phones = {contact.id: contact.phone for contact in await r.session.scalars(select(Contact))}
        (rate,) = await r.session.scalars(select(Rate))
    assert {lead_id: phones[contact_id] for lead_id, contact_id in stored.items()} == {
        answer.lead_id: number for answer, number in zip(answers, numbers, strict=True)
    }
    assert rate.used == 2


async def test_the_same_request_counts_once_however_often_it_comes_and_another_under_its_key_counts_too(
    book: Book, site: Site
) -> None:
    request = brought(site, "+12025550101", token="one", key="key-0001", request_sha256=b"one")
    for _ in range(3):
        async with book.writing() as w:
            await admitting.admit(w, [request, request])
    other = brought(site, "+12025550102", token="one", key="key-0001", request_sha256=b"other")
    async with book.writing() as w:
        (answer,) = await admitting.admit(w, [other])
    async with book.reading() as r:
        (rate,) = await r.session.scalars(select(Rate))
    assert (answer.mismatch, rate.used) == (True, 2)
    with pytest.raises(admitting.Refusing):
        async with book.writing() as w:
            await admitting.admit(w, [other])


async def test_where_one_is_refused_nothing_is_stored_and_his_neighbours_come_in_by_themselves(
    book: Book, site: Site
) -> None:
    batcher = Batcher(book, admitting.admit)
    asked = [asyncio.ensure_future(batcher.ask(brought(site, f"+1202555010{place}"))) for place in range(4)]
    await asyncio.sleep(0)
    writing = asyncio.create_task(batcher.run())
    answers = await asyncio.gather(*asked, return_exceptions=True)
    writing.cancel()
    assert [type(answer) for answer in answers] == [Taken, Taken, admitting.Refusing, admitting.Refusing]
    async with book.reading() as r:
        assert len(await r.session.scalars(select(Lead))) == 2
        (rate,) = await r.session.scalars(select(Rate))
    assert rate.used == 2


async def test_what_another_replica_has_just_taken_is_not_counted_either(book: Book, site: Site) -> None:
    async with book.writing() as w:
        await admitting.admit(w, [brought(site, "+12025550101", token="same", weighed=False)])
    with pytest.raises(Raced):
        async with book.writing() as w:
            await admitting.admit(w, [brought(site, "+12025550102"), brought(site, "+12025550101", token="same")])
    async with book.reading() as r:
        assert len(await r.session.scalars(select(Lead).order_by(Lead.id))) == 1
        assert await r.session.scalars(select(Rate)) == []
