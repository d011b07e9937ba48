"""The customer's door to documents sent in a talk: inert for whoever looks, opened by a press, closed to guesses."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest
from sqlalchemy import update

from router.actions import stocking
from router.book import Book
from router.model.handouts import Handout
from router.model.rates import LENIENT, Limit
from router.model.vault import new_token
from tests import handing
from tests.conftest import Clock
from tests.web.visiting import House, visiting

OURS = {"Origin": "null", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
"""What a browser says of a press on a page that sends no referrer."""


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


@asynccontextmanager
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def sent(house: House, *names: str) -> str:
    """The address of the link a person was sent a minute ago."""
    talk = await handing.talking(house.book, *names, queue=house.queue)
    handout = await handing.hand(house.book, talk)
    async with house.book.writing() as w:
        await w.session.execute(
            update(Handout).where(Handout.id == handout.id).values(created_at=w.now - timedelta(minutes=1))
        )
    return house.url + await handing.link(house.book)


async def get(session: aiohttp.ClientSession, url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    async with session.request(
        method, url, headers={"Accept": "text/html", **headers}, allow_redirects=False
    ) as answer:
        return answer.status, await answer.text()


async def press(session: aiohttp.ClientSession, url: str, **headers: str) -> aiohttp.ClientResponse:
    async with session.post(url, headers={**OURS, **headers}, allow_redirects=False) as answer:
        await answer.read()
    return answer


async def test_a_press_opens_the_document_in_that_browser_and_is_counted(house: House) -> None:
    link = await sent(house, "Tarifas 2027")
    async with browser() as phone:
        status, page = await get(phone, link)
        assert status == 200
        for said in ("Tarifas 2027", "Luz Clara SL", "PDF · ", "kB", "Abrir el documento", "tel:+34910000000"):
            assert said in page
        assert page.count("<form") == 1
        assert await handing.opens(house.book) == [0]
        answer = await press(phone, f"{link}/1")
        assert (answer.status, answer.headers["Location"]) == (303, "/d/-/1")
        assert await handing.opens(house.book) == [1]
        async with phone.get(f"{house.url}/d/-/1") as file:
            assert await file.read() == handing.pdf("Tarifas 2027")
    assert file.content_type == "application/pdf"
    assert file.headers["Content-Disposition"].startswith("inline; filename=")
    for one in (answer, file):
        assert one.headers["Cache-Control"] == "no-store"
        assert one.headers["Referrer-Policy"] == "no-referrer"
        assert one.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert one.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in file.headers["Content-Security-Policy"]
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "Max-Age=600" in cookie
    assert link.rpartition("/")[2] not in cookie


async def test_the_page_says_nothing_of_the_person(house: House) -> None:
    link = await sent(house)
    async with browser() as phone:
        _, page = await get(phone, link)
    for word in ("Carmen", "Ruiz", "2025550101", "5550101"):
        assert word not in page


@pytest.mark.parametrize("agent", ["facebookexternalhit/1.1", "WhatsApp/2.23", "Slackbot-LinkExpanding 1.0", "curl/8"])
async def test_whoever_only_looks_opens_nothing(house: House, agent: str) -> None:
    link = await sent(house)
    async with browser() as scanner:
        for method in ("GET", "HEAD", "GET", "OPTIONS"):
            await get(scanner, link, method, **{"User-Agent": agent, "Sec-Purpose": "prefetch;prerender"})
            await get(scanner, f"{link}/1", method, **{"User-Agent": agent})
            assert (await get(scanner, f"{house.url}/d/-/1", method))[0] in (404, 405)
    assert await handing.opens(house.book) == [0]
    assert [one.kind for one in await handing.told(house.book)] == ["handout.sent"]


async def test_a_program_s_press_counts_for_nothing(house: House) -> None:
    link = await sent(house)
    async with browser() as scanner:
        for agent in ("Mimecast/1", "Mozilla/5.0 (compatible; SafeLinks)", "curl/8.5"):
            assert (await press(scanner, f"{link}/1", **{"User-Agent": agent})).status == 303
    assert await handing.opens(house.book) == [0]
    assert [one.kind for one in await handing.told(house.book)] == ["handout.sent", *["handout.scanned"] * 3]


async def test_a_press_on_a_stranger_s_page_opens_nothing(house: House) -> None:
    link = await sent(house)
    async with browser() as phone:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await press(phone, f"{link}/1", **headers)).status == 403
    assert await handing.opens(house.book) == [0]


async def test_opened_twice_it_is_counted_twice(house: House, clock: Clock) -> None:
    link = await sent(house)
    async with browser() as phone:
        for _ in range(2):
            assert (await press(phone, f"{link}/1")).status == 303
            clock.forward(60)
    assert await handing.opens(house.book) == [2]


async def test_presses_at_the_same_moment_are_one(house: House) -> None:
    link = await sent(house)
    async with browser() as phone:
        answers = await asyncio.gather(*(press(phone, f"{link}/1") for _ in range(6)))
    assert {one.status for one in answers} == {303}
    assert await handing.opens(house.book) == [1]


async def test_of_several_each_has_its_own_button(house: House, clock: Clock) -> None:
    link = await sent(house, "B", "A")
    async with browser() as phone:
        _, page = await get(phone, link)
        assert re.findall(r'action="(/d/\w+/\d)"', page) == [f"{link.removeprefix(house.url)}/{n}" for n in (1, 2)]
        await press(phone, f"{link}/2")
        async with phone.get(f"{house.url}/d/-/2") as file:
            assert await file.read() == handing.pdf("B")
        assert (await press(phone, f"{link}/3")).status == 303
        assert (await get(phone, f"{house.url}/d/-/3"))[0] == 404
    assert await handing.opens(house.book) == [0, 1]


async def test_the_file_is_given_to_no_other_browser_and_for_ten_minutes(house: House, clock: Clock) -> None:
    link = await sent(house)
    async with browser() as phone, browser() as other:
        await press(phone, f"{link}/1")
        assert (await get(other, f"{house.url}/d/-/1"))[0] == 404
        clock.forward(599)
        async with phone.get(f"{house.url}/d/-/1") as file:
            assert file.status == 200
        clock.forward(2)
        status, page = await get(phone, f"{house.url}/d/-/1")
        assert status == 404
        assert "otro navegador" in page


@pytest.mark.parametrize("cookie", [
    "", "1", "1-9999999999-" + "0" * 64, "1-9999999999-", "x" * 5000, "²-1-" + "0" * 64, "1-9999999999-" + "é" * 64,
])
async def test_a_made_up_cookie_opens_nothing(house: House, cookie: str) -> None:
    await sent(house)
    async with aiohttp.ClientSession() as forger:
        answer = await forger.get(f"{house.url}/d/-/1", headers={"Cookie": f"handout={cookie}", "Accept": "text/html"})
        assert answer.status in (400, 404)


async def test_after_its_time_the_link_leads_to_a_page_for_a_person(house: House, clock: Clock) -> None:
    link = await sent(house)
    clock.now += timedelta(days=30)
    async with browser() as phone:
        for status, page in (await get(phone, link), ((await press(phone, f"{link}/1")).status, "Este enlace")):
            assert status == 410
            assert "Este enlace" in page
        _, page = await get(phone, link)
        assert "tel:+34910000000" in page
        assert "Tarifas" not in page
    assert await handing.opens(house.book) == [0]


async def test_a_retired_document_is_still_opened_by_links_that_were_sent(house: House) -> None:
    link = await sent(house)
    async with house.book.writing() as w:
        await stocking.retire(w, 1, 1)
    async with browser() as phone:
        await press(phone, f"{link}/1")
        async with phone.get(f"{house.url}/d/-/1") as file:
            assert file.status == 200


@pytest.mark.parametrize("token", ["x", "-", "a" * 22, "a" * 4000, "%00", "..%2f..%2fetc", "%F0%9F%92%A1", "'; drop--"])
async def test_an_unknown_link_is_told_so_and_nothing_more(house: House, token: str) -> None:
    await sent(house)
    async with browser() as guesser:
        for status in ((await get(guesser, f"{house.url}/d/{token}"))[0],
                       (await press(guesser, f"{house.url}/d/{token}/1")).status):
            assert status == 404
    assert await handing.opens(house.book) == [0]


async def test_who_guesses_is_answered_nothing_more_for_a_while(book: Book, clock: Clock) -> None:
    async with visiting(book, limits=replace(LENIENT, links=Limit(5, 600))) as house:
        link = await sent(house)
        async with browser() as guesser:
            found = [(await get(guesser, f"{house.url}/d/{new_token()}"))[0] for _ in range(3)]
            found += [(await press(guesser, f"{house.url}/d/{new_token()}/1")).status for _ in range(4)]
            assert found == [404] * 5 + [429] * 2
            assert (await get(guesser, link))[0] == 429
            assert (await press(guesser, f"{link}/1")).status == 429
            clock.forward(601)
            assert (await get(guesser, link))[0] == 200
    assert await handing.opens(book) == [0]


async def test_one_link_is_not_pressed_without_end(house: House, clock: Clock) -> None:
    link = await sent(house)
    async with browser() as program:
        found = []
        for _ in range(62):
            found.append((await press(program, f"{link}/1")).status)
    assert found == [303] * 60 + [429] * 2


@pytest.mark.parametrize("name", [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "%(day)s", "Tarifas «2027»",
])
async def test_a_hostile_name_is_shown_as_it_stands(house: House, name: str) -> None:
    link = await sent(house, name)
    async with browser() as phone:
        status, page = await get(phone, link)
        assert status == 200
        await press(phone, f"{link}/1")
        async with phone.get(f"{house.url}/d/-/1") as file:
            assert file.status == 200
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]
    assert name.partition("<")[0] in page
