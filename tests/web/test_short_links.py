"""Short links: followed, counted, pictured, made and switched."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from sqlalchemy import func, select

from router.book import Book
from router.model.agents import Role
from router.model.base import vouched
from router.model.errors import Conflict, Invalid
from router.model.facts import Fact
from router.model.leads import Lead
from router.model.short_links import ShortLink, shown_code
from tests import making
from tests.conftest import Clock
from tests.web.offline import make_link, supervising
from tests.web.visiting import House, visiting

HTML = {"Accept": "text/html"}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def visits(house: House, link: ShortLink) -> int:
    async with house.book.reading() as r:
        return vouched(await r.session.get(ShortLink, link.id)).visits


async def follow(house: House, visitor: aiohttp.ClientSession, code: str, **headers: str) -> aiohttp.ClientResponse:
    return await visitor.get(f"{house.url}/r/{code}", allow_redirects=False, headers={**HTML, **headers})


async def test_a_link_leads_to_the_form_with_its_code_and_counts_the_visit(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    link = await make_link(house)
    for typed in (link.code, link.code.lower(), shown_code(link.code)):
        answer = await follow(house, visitor, typed)
        assert answer.status == 303
        assert answer.headers["Location"] == f"/f/{house.site.key}?offline={link.code}"
        assert answer.headers["Cache-Control"] == "no-store"
    assert await visits(house, link) == 3


async def test_following_a_link_stores_nothing_about_the_visitor(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house)
    async with house.book.reading() as r:
        before = await r.session.scalar(select(func.count()).select_from(Fact))
    answer = await follow(house, visitor, link.code, **{"User-Agent": "Private Person 1.0"})
    assert "Set-Cookie" not in answer.headers
    async with house.book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Fact)) == before


async def test_visits_at_the_same_moment_are_all_counted(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house)
    await asyncio.gather(*(follow(house, visitor, link.code) for _ in range(20)))
    assert await visits(house, link) == 20


@pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}])
async def test_a_browser_that_looks_ahead_is_no_visit(
    house: House, visitor: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    link = await make_link(house)
    assert (await follow(house, visitor, link.code, **headers)).status == 303
    assert (await visitor.head(f"{house.url}/r/{link.code}", allow_redirects=False)).status == 303
    assert await visits(house, link) == 0


async def test_an_address_of_the_site_keeps_what_it_had_and_gets_the_code(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    link = await make_link(house, target=f"{house.page}/solar?a=1&offline=old#top")
    split = urlsplit((await follow(house, visitor, link.code)).headers["Location"])
    assert f"{split.scheme}://{split.netloc}{split.path}" == f"{house.page}/solar"
    assert parse_qs(split.query) == {"a": ["1"], "offline": [link.code]}
    assert split.fragment == "top"


@pytest.mark.parametrize("target", [
    "https://evil.example/", "javascript:alert(1)", "//evil.example", "{page}@evil.example/", "{page}.evil.example/",
    "{page}\\@evil.example", "ftp://x", "http://[", "{page}/\r\nSet-Cookie: x", "x" * 3000,
])  # fmt: skip
async def test_a_link_never_leads_to_somebody_else(house: House, target: str) -> None:
    with pytest.raises(Invalid) as caught:
        await make_link(house, target=target.replace("{page}", house.page))
    assert caught.value.pointer == "/target"


@pytest.mark.parametrize("code", ["0", "ZZZZZZZZZ", "%00", "..%2f..", "ü" * 9, "x" * 60, "'or 1=1--"])
async def test_an_unknown_code_is_told_to_a_person_with_a_number_to_call(
    house: House, visitor: aiohttp.ClientSession, code: str
) -> None:
    answer = await follow(house, visitor, code, **{"Accept-Language": "en"})
    assert answer.status == 404
    page = await answer.text()
    assert "tel:+34910000000" in page
    assert "We do not know this link" in page


async def test_a_link_that_has_ended_says_so_and_whom_to_call(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    link = await make_link(house, expires_at=clock.now + timedelta(hours=1))
    clock.forward(3599)
    assert (await follow(house, visitor, link.code)).status == 303
    clock.forward(1)
    answer = await follow(house, visitor, link.code, **{"Accept-Language": "ru"})
    assert answer.status == 410
    page = await answer.text()
    assert "tel:+34910000000" in page
    assert '<html lang="ru">' in page
    assert await visits(house, link) == 1


async def test_the_pictures_hold_the_printed_address(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house)
    svg = await visitor.get(f"{house.url}/r/{link.code}.svg")
    assert svg.content_type == "image/svg+xml"
    assert (await svg.text()).startswith("<?xml")
    png = await visitor.get(f"{house.url}/r/{link.code}.png")
    assert png.content_type == "image/png"
    assert (await png.read()).startswith(b"\x89PNG")
    assert (await visitor.get(f"{house.url}/r/000000000.png")).status == 404


async def test_the_lead_of_a_link_says_where_it_came_from(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house)
    body = {
        "site": house.site.key, "phone": "+12025550101", "source": {"offline": link.code.lower()},
        "consent": {"purposes": ["requested"], "text": "Yes", "version": "1"},
    }
    answer = await visitor.post(f"{house.url}/v1/leads", json=body)
    assert answer.status == 201, await answer.text()
    async with house.book.reading() as r:
        lead = vouched(await r.session.get(Lead, (await answer.json())["lead"]))
    assert lead.source["offline"] == "offline:bus-stop"


async def test_the_form_without_script_hands_the_code_on(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house)
    page = await (await visitor.get(f"{house.url}/r/{link.code}", headers={**HTML, "Accept-Language": "en"})).text()
    assert re.search(rf'name="source\.offline" value="{link.code}"', page)


async def test_another_brands_code_says_nothing_here(house: House) -> None:
    link = await make_link(house)
    assert await house.doors.sources.of(link.code, house.site.campaign_id) == "offline:bus-stop"
    assert await house.doors.sources.of(link.code, house.site.campaign_id + 1) == ""
    assert await house.doors.sources.of("", house.site.campaign_id) == ""


async def test_a_piece_has_one_link_however_often_it_is_made(house: House) -> None:
    made = await asyncio.gather(*(make_link(house) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, ShortLink) for one in made) == 1
    assert all(isinstance(one, ShortLink | Conflict) for one in made)


async def test_a_supervisor_makes_prints_and_switches_links_and_sees_what_came_of_them(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    async with supervising(house) as browser:
        fields = {"csrf": browser.csrf, "name": "Bus stop 7", "piece": "bus-stop-7", "site": house.site.key,
                  "target": "kiosk", "expires": "2026-12-31"}
        assert (await browser.post("/links", fields))[0] == 303
        async with house.book.writing() as w:
            link = vouched(await w.session.scalar(select(ShortLink)))
            (await making.lead(w, house.queue)).source = {"offline": "offline:bus-stop-7"}
            (await making.lead(w, house.queue, "+12025550102")).source = {"offline": "offline:other"}
        await follow(house, visitor, link.code)
        status, page = await browser.get("/links")
        assert status == 200
        assert "Bus stop 7" in page
        assert page.count('<td class="figure">1</td>') == 2
        assert "until December 31, 2026" in page
        status, sheet = await browser.get(f"/links/{link.id}/sheet")
        assert status == 200
        assert f"/r/{link.code}.svg" in sheet
        assert '<html lang="es">' in sheet
        assert (await browser.post(f"/links/{link.id}/active", {"on": "0"}))[0] == 303
        assert (await follow(house, visitor, link.code)).status == 410
        assert (await browser.post(f"/links/{link.id}/active", {"on": "1"}))[0] == 303
        assert (await follow(house, visitor, link.code)).status == 303


@pytest.mark.parametrize(("fields", "word"), [
    ({"piece": "Bus Stop"}, "piece"), ({"piece": ""}, "piece"), ({"name": ""}, "name"), ({"name": "x" * 101}, "name"),
    ({"site": "nobody"}, "site"), ({"expires": "yesterday"}, "expires"), ({"expires": "2020-01-01"}, "expires"),
    ({"expires": "9999-12-31"}, "expires"), ({"target": "address", "address": "https://evil.example"}, "target"),
])  # fmt: skip
async def test_a_wrong_field_is_shown_beside_it_and_nothing_is_made(
    house: House, fields: dict[str, str], word: str
) -> None:
    async with supervising(house) as browser:
        good = {"name": "Bus", "piece": "bus", "site": house.site.key, "target": "form", "expires": ""}
        status, page = await browser.post("/links", {**good, **fields})
        assert status == 422
        assert f'id="wrong-{word}"' in page
    async with house.book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(ShortLink)) == 0


async def test_links_are_the_supervisors(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house)
    answer = await visitor.get(f"{house.url}/links", headers=HTML, allow_redirects=False)
    assert answer.headers["Location"].startswith("/login")
    async with supervising(house, role=Role.agent) as browser:
        assert (await browser.get("/links"))[0] == 403
        assert (await browser.post(f"/links/{link.id}/active", {"on": "0"}))[0] == 403


async def test_words_from_people_are_shown_and_never_run(house: House) -> None:
    await make_link(house, name='<script>alert(1)</script>"\u202e')
    async with supervising(house) as browser:
        _, page = await browser.get("/links")
    assert "<script>alert" not in page
