"""The link in every commercial mail: looking changes nothing, pressing ends them, and a mail program may press too."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from sqlalchemy import func, select

from router.actions.talking import Letter, send_mail
from router.book import Book
from router.model.campaigns import Campaign
from router.model.consent import Withdrawal
from router.model.contacts import Contact
from router.model.facts import Fact
from router.model.guard import Purpose
from tests import making
from tests.web.visiting import House, visiting

ADDRESS = "carmen@example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PAGE = {"Accept": "text/html"}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    book.can_mail = True
    async with visiting(book, mail_from="hola@luz.example") as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def written_to(house: House, locale: str = "es") -> str:
    """The path of the link in a mail to Carmen."""
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue, claims={"email": ADDRESS})
        contact, campaign = await w.session.get(Contact, lead.contact_id), await w.session.get(Campaign, 1)
        assert contact is not None
        assert campaign is not None
        contact.locale = locale
        letter = Letter("letter", "nudge", Purpose.commercial, "n:1", {"subject": "Hola", "paragraphs": ["Hola"]})
        await send_mail(w, campaign, contact, ADDRESS, letter, lead_id=lead.id)
        return f"/u/{w.vault.token('unsubscribe', str(contact.id), ADDRESS)}"


async def taken_back(house: House) -> int:
    async with house.book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(Withdrawal)) or 0


async def ends(house: House) -> int:
    async with house.book.reading() as r:
        return await r.session.scalar(
            select(func.count()).select_from(Fact).where(Fact.kind == "mail.unsubscribed")) or 0


async def test_looking_changes_nothing_and_tells_nothing(house: House, visitor: aiohttp.ClientSession) -> None:
    path = await written_to(house)
    async with visitor.head(house.url + path) as response:
        assert response.status == 200
    async with visitor.get(house.url + path, headers=PAGE) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        page = await response.text()
    assert ADDRESS not in page
    assert "Carmen" not in page
    assert await taken_back(house) == 0


@pytest.mark.parametrize(
    ("locale", "words"), [("en", "No more offers from"), ("es", "No más ofertas de"), ("it", "Niente più offerte da"),
                          ("ru", "Больше никаких предложений от")])
async def test_the_page_speaks_the_persons_language(
    house: House, visitor: aiohttp.ClientSession, locale: str, words: str
) -> None:
    async with visitor.get(house.url + await written_to(house, locale), headers=PAGE) as response:
        page = await response.text()
    assert f'<html lang="{locale}">' in page
    assert f"{words} Luz Clara" in page


async def test_pressing_twice_is_pressing_once(house: House, visitor: aiohttp.ClientSession) -> None:
    path = await written_to(house)
    async with visitor.get(house.url + path) as response:
        action = re.search(r'<form method="post" action="([^"]+)"', await response.text())
    assert action is not None
    assert action[1] == path
    for _ in range(2):
        async with visitor.post(house.url + path, data={}, headers=PAGE) as response:
            assert response.status == 200
            assert "Ya no recibirá más ofertas" in await response.text()
    assert (await taken_back(house), await ends(house)) == (1, 1)


@pytest.mark.parametrize("multipart", [True, False])
async def test_a_mail_program_presses_alone_from_nowhere(
    house: House, visitor: aiohttp.ClientSession, multipart: bool
) -> None:
    path = await written_to(house)
    data: object = ONE_CLICK
    if multipart:
        data = aiohttp.FormData(ONE_CLICK, default_to_multipart=True)
    async with visitor.post(
        house.url + path, data=data, headers={"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"}
    ) as response:
        assert (response.status, await response.text()) == (200, "")
        assert "Set-Cookie" not in response.headers
    assert await taken_back(house) == 1


@pytest.mark.parametrize("token", ["t" * 22, "x", "%00", "%F0%9F%92%A9", "a" * 5000, "..%2F.."])
async def test_a_link_nobody_was_sent_leads_nowhere(
    house: House, visitor: aiohttp.ClientSession, token: str
) -> None:
    for ask in (visitor.get, visitor.post):
        async with ask(f"{house.url}/u/{token}", headers=PAGE) as response:
            assert response.status == 404
    assert await taken_back(house) == 0


@pytest.mark.parametrize("body", [b"\xff\xfe", b"x" * 100, b"%", b"a=1&" * 500])
async def test_whatever_is_posted_to_it_ends_the_mails(
    house: House, visitor: aiohttp.ClientSession, body: bytes
) -> None:
    async with visitor.post(house.url + await written_to(house), data=body) as response:
        assert response.status == 200
    assert await taken_back(house) == 1
