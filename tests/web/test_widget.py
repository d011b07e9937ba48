import asyncio
import gzip
import re
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from router.actions.clicking import OF_NETWORK
from router.book import Book
from router.model.facts import Fact
from router.web import widget_scripts
from router.web.widget_scripts import Script
from router.web.widget_words import LOADER_WORDS, PANEL_WORDS
from router.wording import LOCALES, wording
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
    found = re.search(r"/w/[0-9a-f]{16}/panel\.js", source)
    assert found
    return house.url + found[0]


async def test_the_loader_weighs_at_most_3_kilobytes(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.get(f"{house.url}/w.js", headers={"Accept-Encoding": "gzip"})
    body = await answer.read()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(body) <= 3 * 1024
    assert "__WORDS__" not in gzip.decompress(body).decode()


async def test_the_form_and_the_times_weigh_at_most_20_kilobytes(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.get(await _panel_address(house, visitor), headers={"Accept-Encoding": "gzip"})
    packed = len(await answer.read())
    for locale in LOCALES:
        words = await (await visitor.get(f"{house.url}/v1/sites/landing/widget", params={"locale": locale})).read()
        assert packed + len(gzip.compress(words)) <= 20 * 1024
    assert "immutable" in answer.headers["Cache-Control"]


async def test_the_chat_weighs_at_most_15_kilobytes_and_comes_by_itself(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    config = await (await visitor.get(f"{house.url}/v1/sites/landing/widget")).json()
    answer = await visitor.get(house.url + config["chat_script"], headers={"Accept-Encoding": "gzip"})
    body = await answer.read()
    assert len(body) <= 15 * 1024
    assert "immutable" in answer.headers["Cache-Control"]
    panel = await visitor.get(await _panel_address(house, visitor), headers={"Accept-Encoding": "identity"})
    assert "messages?after=" not in await panel.text()


@pytest.mark.skipif(shutil.which("node") is None, reason="no node is installed here")
@pytest.mark.parametrize("name", ["loader", "panel", "chat"])
async def test_a_squeezed_script_can_still_be_read(tmp_path: Path, name: str) -> None:
    makers: dict[str, Callable[[], Script]] = {
        "loader": partial(widget_scripts.loader, wording()), "panel": widget_scripts.panel, "chat": widget_scripts.chat,
    }
    script = makers[name]()
    file = tmp_path / ("script.js" if name == "loader" else "script.mjs")
    file.write_bytes(script.plain)
    node = await asyncio.create_subprocess_exec("node", "--check", str(file), stderr=asyncio.subprocess.PIPE)
    _, complaint = await node.communicate()
    assert node.returncode == 0, complaint.decode()


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
    for locale in ("es-MX", "en", "fr", "", "%00", "x" * 500):
        answer = await visitor.get(f"{house.url}/v1/sites/landing/widget", params={"locale": locale})
        words[locale] = (await answer.json())["words"]["press_call"]
    assert words["es-MX"] == "Llámeme ahora"
    assert words["en"] == "Call me now"
    assert words["fr"] == "Llámeme ahora", "the campaign's own language when we do not speak the visitor's"


SAME_EVERYWHERE = {"go_whatsapp"}


@pytest.mark.parametrize("locale", LOCALES[1:])
def test_every_word_of_the_widget_exists_in_every_language(locale: str) -> None:
    spoken = {name: wording().say(text, locale) for name, text in (LOADER_WORDS | PANEL_WORDS).items()}
    same = {name for name, text in (LOADER_WORDS | PANEL_WORDS).items() if spoken[name] == text}
    assert same == SAME_EVERYWHERE


@pytest.mark.parametrize("locale", LOCALES)
def test_every_translation_keeps_the_places_of_its_values(locale: str) -> None:
    for text in PANEL_WORDS.values():
        assert set(re.findall(r"{\w+}", wording().say(text, locale))) == set(re.findall(r"{\w+}", text))


def test_every_word_the_scripts_ask_for_is_given() -> None:
    source = "".join(path.read_text() for path in widget_scripts.FOLDER.glob("*.js"))
    asked = set(re.findall(r"\bwords\.(\w+)", source))
    given = set(PANEL_WORDS)
    assert asked - given == set()
    said_otherwise = {name for name in given if re.match("go_|title_", name)} | {"retrying", "offline"}
    assert given - asked - said_otherwise == set()


async def test_the_configuration_says_who_is_there(house: House, visitor: aiohttp.ClientSession, clock: Clock) -> None:
    async def people() -> dict[str, bool]:
        answer = await visitor.get(f"{house.url}/v1/sites/landing/widget")
        people: dict[str, bool] = (await answer.json())["people"]
        return people

    assert await people() == {"there": False, "free": False}
    async with house.book.writing() as w:
        await making.agent(w, "ana", call_load=1)
    assert await people() == {"there": True, "free": False}
    async with house.book.writing() as w:
        await making.agent(w, "eva")
    assert await people() == {"there": True, "free": True}
    clock.forward(60)
    assert await people() == {"there": False, "free": False}, "their heartbeats are too old"


async def test_only_what_the_page_offers_is_shown(book: Book, visitor: aiohttp.ClientSession) -> None:
    async with visiting(book, site={"actions": ["chat", "whatsapp", "call"]}) as house:
        config = await (await visitor.get(f"{house.url}/v1/sites/landing/widget")).json()
        assert config["actions"] == ["chat", "call"], "there is no number to write to"


async def test_a_page_that_is_switched_off_offers_nothing(book: Book, visitor: aiohttp.ClientSession) -> None:
    async with visiting(book, site={"closed": True}, whatsapp="+34600000009") as house:
        config = await (await visitor.get(f"{house.url}/v1/sites/landing/widget")).json()
        assert (config["actions"], config["phone"]) == ([], "+34910000000")


async def test_each_text_to_agree_to_says_its_language(book: Book, visitor: aiohttp.ClientSession) -> None:
    texts = [{"purpose": "requested", "version": "7", "texts": {"es": "Llámenme."}},
             {"purpose": "commercial", "version": "7", "texts": {"es": "Ofertas.", "en": "Offers."}}]
    async with visiting(book, consents=texts) as house:
        answer = await visitor.get(f"{house.url}/v1/sites/landing/widget", params={"locale": "en"})
        boxes = (await answer.json())["consents"]
    assert [(one["text"], one["locale"], one["required"]) for one in boxes] == [
        ("Llámenme.", "es", True), ("Offers.", "en", False),
    ]


async def _clicks(house: House) -> list[tuple[int | None, str]]:
    async with house.book.reading() as r:
        rows = await r.session.scalars(select(Fact).where(Fact.kind == "site.clicked"))
        return [(fact.subject_id, fact.data["action"]) for fact in rows]


async def test_a_click_is_a_fact_of_its_site(house: House, visitor: aiohttp.ClientSession) -> None:
    address = f"{house.url}/v1/sites/landing/clicks"
    click = '{"action": "tel", "page": "https://luzclara.example/?e=carmen@luz.example"}'
    answer = await visitor.post(address, data=click, headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert answer.status == 204
    assert await _clicks(house) == [(house.site.id, "tel")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400), ("{}", 422), ('{"action": "call"}', 422), ('{"action": "tel", "phone": "1"}', 422), ("[1]", 422),
        ('{"action": "tel", "page": "' + "a" * 5000 + '"}', 413), ('{"action": 7}', 422), ("\ufeff{}", 400),
    ],
)
async def test_what_is_no_click_is_refused(
    house: House, visitor: aiohttp.ClientSession, body: str, status: int
) -> None:
    answer = await visitor.post(f"{house.url}/v1/sites/landing/clicks", data=body.encode(),
                                headers={"Content-Type": "text/plain"})
    assert answer.status == status
    assert await _clicks(house) == []


async def test_a_program_that_clicks_counts_only_up_to_its_limit(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    async def click() -> int:
        answer = await visitor.post(f"{house.url}/v1/sites/landing/clicks", data='{"action": "whatsapp"}',
                                    headers={"Content-Type": "text/plain"})
        return answer.status

    answers = await asyncio.gather(*(click() for _ in range(OF_NETWORK.most + 5)))
    assert set(answers) == {204}
    assert len(await _clicks(house)) == OF_NETWORK.most
    clock.forward(OF_NETWORK.seconds)
    await click()
    assert len(await _clicks(house)) == OF_NETWORK.most + 1


async def test_a_foreign_pages_clicks_do_not_count(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.post(f"{house.url}/v1/sites/landing/clicks", data='{"action": "tel"}', headers={
        "Content-Type": "text/plain", "Origin": "https://evil.example"})
    assert answer.status == 403
    assert await _clicks(house) == []


async def test_only_the_sites_own_pages_read_its_configuration(house: House, visitor: aiohttp.ClientSession) -> None:
    ours = await visitor.get(f"{house.url}/v1/sites/landing/widget", headers={"Origin": house.page})
    foreign = await visitor.get(f"{house.url}/v1/sites/landing/widget", headers={"Origin": "https://evil.example"})
    assert ours.headers["Access-Control-Allow-Origin"] == house.page
    assert foreign.status == 403
    assert "consents" not in await foreign.json()


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
