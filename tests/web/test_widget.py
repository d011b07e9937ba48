import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
from jinja2 import Environment

from router.book import Book
from router.paths import TEMPLATES
from router.wording import wording
from tests import making
from tests.conftest import Clock
from tests.web.visiting import House, visiting


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


async def _panel_address(house: House, visitor: aiohttp.ClientSession) -> str:
    source = await (await visitor.get(f"{house.url}/w.js", headers={"Accept-Encoding": "identity"})).text()
    return f"{house.url}/w/" + source.split('"/w/')[1].split('"')[0]


async def test_the_loader_weighs_at_most_3_kilobytes(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.get(f"{house.url}/w.js", headers={"Accept-Encoding": "gzip"})
    body = await answer.read()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(body) <= 3 * 1024
    assert "__WORDS__" not in gzip.decompress(body).decode()


async def test_the_panel_weighs_at_most_20_kilobytes(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.get(await _panel_address(house, visitor), headers={"Accept-Encoding": "gzip"})
    assert len(await answer.read()) <= 20 * 1024
    assert "immutable" in answer.headers["Cache-Control"]


async def test_scripts_may_be_used_by_any_page(house: House, visitor: aiohttp.ClientSession) -> None:
    for address in (f"{house.url}/w.js", await _panel_address(house, visitor)):
        answer = await visitor.get(address)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.content_type == "text/javascript"


async def test_an_unchanged_script_is_not_sent_again(house: House, visitor: aiohttp.ClientSession) -> None:
    first = await visitor.get(f"{house.url}/w.js")
    again = await visitor.get(f"{house.url}/w.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304


async def test_an_old_loader_gets_the_present_panel_but_may_not_keep_it(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    answer = await visitor.get(f"{house.url}/w/0123456789abcdef/panel.js")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_configuration_speaks_the_asked_language(house: House, visitor: aiohttp.ClientSession) -> None:
    words = {}
    for locale in ("es-MX", "en", "fr", "%00", "x" * 500):
        answer = await visitor.get(f"{house.url}/v1/sites/landing/widget", params={"locale": locale})
        words[locale] = (await answer.json())["words"]["press"]
    assert words["es-MX"] == "Llámeme ahora"
    assert words["en"] == "Call me now"
    assert words["fr"] == "Llámeme ahora", "the campaign's own language when we do not speak the visitor's"


async def test_every_word_of_the_widget_exists_in_spanish(house: House, visitor: aiohttp.ClientSession) -> None:
    spoken = [
        await (await visitor.get(f"{house.url}/v1/sites/landing/widget", params={"locale": locale})).json()
        for locale in ("en", "es")
    ]
    english, spanish = (
        one["words"] | {"notice": one["notice"], "more": one["consent"]["commercial"]} for one in spoken
    )
    assert [name for name in english if english[name] == spanish[name]] == []


async def test_the_configuration_says_who_is_there(house: House, visitor: aiohttp.ClientSession, clock: Clock) -> None:
    async def people() -> dict[str, bool]:
        answer = await visitor.get(f"{house.url}/v1/sites/landing/widget")
        people: dict[str, bool] = (await answer.json())["people"]
        return people

    assert await people() == {"there": False, "free": False}
    async with house.book.writing() as w:
        await making.agent(w, "ana", load=1)
    assert await people() == {"there": True, "free": False}
    async with house.book.writing() as w:
        await making.agent(w, "eva")
    assert await people() == {"there": True, "free": True}
    clock.forward(60)
    assert await people() == {"there": False, "free": False}, "their heartbeats are too old"


async def test_only_the_sites_own_pages_read_its_configuration(house: House, visitor: aiohttp.ClientSession) -> None:
    ours = await visitor.get(f"{house.url}/v1/sites/landing/widget", headers={"Origin": house.page})
    foreign = await visitor.get(f"{house.url}/v1/sites/landing/widget", headers={"Origin": "https://evil.example"})
    assert ours.headers["Access-Control-Allow-Origin"] == house.page
    assert foreign.status == 403
    assert "Access-Control-Allow-Origin" not in foreign.headers


@pytest.mark.parametrize("key", ["nobody", "%F0%9F%93%9E", "a" * 300, "..%2F..%2Fetc"])
async def test_an_unknown_site_is_not_found(house: House, visitor: aiohttp.ClientSession, key: str) -> None:
    answer = await visitor.get(f"{house.url}/v1/sites/{key}/widget")
    assert answer.status == 404


async def test_the_landing_page_allows_nothing_inline(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.get(house.page, headers={"Accept-Language": "es", "Accept-Encoding": "identity"})
    page = await answer.text()
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert " style=" not in page
    assert "Llámeme ahora" in page


def test_every_sentence_of_the_visitors_pages_exists_in_spanish() -> None:
    reader = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
    sentences = {
        str(message)
        for path in sorted((TEMPLATES / "widget").iterdir())
        for _, _, message in reader.extract_translations(path.read_text())  # type: ignore[attr-defined]
    }
    assert len(sentences) > 50
    assert {one for one in sentences if wording().say(one, "es") == one} == {"Solar"}
