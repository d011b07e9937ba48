"""Programs have offers made, and send the documents of quotes made elsewhere."""

import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from router.book import Book
from router.model.agents import Role
from router.model.api_keys import Scope
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.leads import Lead
from router.model.quotes import Quote, QuoteState
from router.model.suppressions import Suppression
from tests import closing, making
from tests.web.test_elsewhere import QUOTE, all_of, made, post
from tests.web.visiting import House, visiting


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        async with book.writing() as w:
            await making.agent(w, "root", ready=False, role=Role.admin)
        yield house


@pytest.fixture
async def key(house: House) -> str:
    return await made(house, [Scope.quotes])


ISSUED: dict[str, Any] = {**QUOTE, "sent_on": "2026-11-20", "issue": True, "terms": {"months": 0}}


async def test_a_program_has_an_offer_made_and_sent_once(house: House, key: str) -> None:
    async with house.book.writing() as w:
        campaign = vouched(await w.session.scalar(select(Campaign)))
        campaign.fields = [{"key": "cups", "labels": {"es": "CUPS"}, "secret": True}]
    for _ in range(2):
        status, answer, _ = await post(house, key, {**ISSUED, "fields": {"cups": "ES0021000000001234"}})
        assert (status, answer["quotes"][0]["sent"]) == (201, True)
    old, new = await all_of(house, Quote)
    assert (old.state, new.state, new.version) == (QuoteState.superseded, QuoteState.sent, 2)
    assert answer["quotes"][0]["offer"] == new.id
    assert ("CUPS", "••••1234") in [(one["label"], one["value"]) for one in new.canonical]
    assert len(await closing.texts(house.book, "offer")) == 1
    (lead,) = await all_of(house, Lead)
    assert b"ES0021" not in lead.sealed_fields


async def test_an_offer_that_lacks_something_is_refused_with_pointers_and_nothing_is_stored(
    house: House, key: str
) -> None:
    async with house.book.writing() as w:
        campaign = vouched(await w.session.scalar(select(Campaign)))
        campaign.terms = {name: value for name, value in campaign.terms.items() if name not in ("months", "payment")}
    monthly = {**ISSUED, "terms": {}, "lines": [{"label": "Fibra", "unit_minor": 1, "period": "month"}]}
    status, answer, _ = await post(house, key, {**QUOTE, "number": "A-0", "phone": "+12025550102"}, monthly)
    assert status == 422
    pointers = {one["pointer"] for one in answer["errors"]}
    assert pointers == {"/quotes/1/terms/months", "/campaign/terms/payment"}
    assert await all_of(house, Quote) == []


@pytest.mark.parametrize(
    ("change", "status"),
    [({"lines": [], "once_minor": 5}, 409), ({"state": "declined"}, 409), ({"terms": {"months": 1.5}}, 422),
     ({"terms": {"soul": 1}}, 422), ({"fields": {"x": "y"}}, 422), ({"issue": "yes"}, 422)],
)
async def test_what_no_offer_can_be_made_of_is_refused(
    house: House, key: str, change: dict[str, Any], status: int
) -> None:
    assert (await post(house, key, {**ISSUED, **change}))[0] == status
    assert await all_of(house, Quote) == []


async def test_an_offer_that_could_not_be_sent_says_why_and_is_sent_with_the_same_request(
    house: House, key: str
) -> None:
    async with house.book.writing() as w:
        w.session.add(Suppression(phone="+12025550101", reason="stop", created_at=w.now))
    _, answer, _ = await post(house, key, ISSUED)
    became = answer["quotes"][0]
    assert (became["sent"], became["unsent_reason"]) == (False, "not-allowed-now")
    async with house.book.writing() as w:
        vouched(await w.session.scalar(select(Suppression))).lifted_at = w.now
    _, answer, _ = await post(house, key, ISSUED)
    assert answer["quotes"][0]["sent"] is True


async def send(house: House, key: str, quote: int | str, body: bytes, kind: str = "application/pdf") -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    async with aiohttp.ClientSession() as session, session.post(
        f"{house.url}/v1/quotes/{quote}/pdf", data=io.BytesIO(body), headers=headers
    ) as answer:
        return answer.status


async def test_a_quote_from_elsewhere_keeps_the_document_it_came_with(house: House, key: str) -> None:
    await post(house, key, QUOTE)
    assert [await send(house, key, 1, b"%PDF-1.7 once") for _ in range(2)] == [201, 201]
    assert await send(house, key, 1, b"%PDF-1.7 twice") == 409
    (kept,) = await all_of(house, Quote)
    assert kept.foreign_pdf_sha256 is not None
    assert kept.pdf_sha256 is None  # what we never printed is never verified as ours
    assert await send(house, key, 1, b"GIF89a") == 422
    assert await send(house, key, 1, b"%PDF-", "text/plain") == 415
    assert await send(house, key, 2, b"%PDF-") == 404
    assert await send(house, key, "9" * 19, b"%PDF-") == 404
    assert await send(house, "hbl_" + "x" * 40, 1, b"%PDF-") == 401
    assert await send(house, key, 1, b"%PDF-" + b"x" * (10 * 1024 * 1024)) == 413
