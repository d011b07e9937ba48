"""Quotes from elsewhere at the doors: programs post them, and a supervisor uploads a list of them, without a script."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page
from sqlalchemy import select

from router.actions import keys
from router.book import Book
from router.importer import Importer
from router.model.agents import Role
from router.model.api_keys import ApiKey, Scope
from router.model.consent import Receipt
from router.model.idempotency import IdempotencyKey
from router.model.imports import Import, ImportState
from router.model.leads import Lead
from router.model.quotes import Quote, QuoteState
from router.wording import LOCALES
from tests import making
from tests.invariants import check
from tests.web.browsing import CHROMIUM
from tests.web.desking import PASSWORD, PASSWORD_HASH, Browser, browsing
from tests.web.test_office import upload
from tests.web.visiting import House, visiting

QUOTE: dict[str, Any] = {
    "number": "A-1", "phone": "+1 202 555 0101", "name": "Ana Ruiz", "sent_on": "2026-05-03",
    "lines": [{"label": "Panel", "unit_minor": 10_000, "tax_bp": 2100}], "valid_until": "2027-03-01",
    "consent": {"purposes": ["commercial"], "text": "Quiero ofertas", "given_on": "2026-05-01"},
}
HEAD = "number;phone;name;total;sent;consent;consent text;consent date\n"
LIST = HEAD + (
    "A-1;+12025550101;Ana;1.234,50 €;2026-05-03;yes;Quiero ofertas;2026-05-01\n"
    "=cmd|' /C calc'!A0;+12025550102;Eva;10;2026-05-03;;;\n"
    "A-3;+12025550103;Leo;12,34,5;2026-05-03;;;\n"
)


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        async with book.writing() as w:
            for login, role in (("root", Role.admin), ("sup", Role.supervisor), ("ana", Role.agent)):
                agent = await making.agent(w, login, ready=False, role=role, locale="en")
                agent.password_hash = PASSWORD_HASH
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:  # type: ignore[arg-type]
        yield browser


@pytest.fixture
async def key(house: House) -> str:
    return await made(house, [Scope.quotes])


async def made(house: House, scopes: list[Scope]) -> str:
    async with house.book.writing() as w:
        return (await keys.make(w, 1, house.queue, "crm", scopes))[1]


async def post(house: House, key: str, *quotes: dict[str, Any], body: Any = None, **headers: str) -> Any:
    headers["Authorization"] = f"Bearer {key}"
    async with aiohttp.ClientSession() as session, session.post(
        f"{house.url}/v1/quotes", json={"quotes": list(quotes)} if body is None else body, headers=headers
    ) as answer:
        return answer.status, await answer.json(content_type=None), dict(answer.headers)


async def all_of(house: House, noun: Any) -> Any:
    async with house.book.reading() as r:
        await check(r.session)
        return await r.session.scalars(select(noun).order_by(noun.id))


async def test_a_program_sends_a_quote_and_is_told_what_became_of_it(house: House, key: str) -> None:
    status, answer, _ = await post(house, key, QUOTE, {**QUOTE, "number": "A-2", "consent": None, "lines": [],
                                                      "month_minor": 4990, "phone": "+12025550102"})
    assert status == 201
    assert [(one["number"], one["outcome"], one["reason"]) for one in answer["quotes"]] == [
        ("A-1", "taken", ""), ("A-2", "kept", "consent.commercial")]
    first, second = await all_of(house, Quote)
    assert (first.total_once, first.state, first.lines[0]["label"]) == (12_100, QuoteState.sent, "Panel")
    assert (second.total_once, second.total_month, second.lines) == (0, 4990, [])
    (receipt,) = await all_of(house, Receipt)
    assert (receipt.method, receipt.text) == ("import", "Quiero ofertas")
    assert [lead.source["party"] for lead in await all_of(house, Lead)] == ["api", "api"]


async def test_the_same_key_gives_the_same_answer_and_the_same_number_one_quote(house: House, key: str) -> None:
    asked = {"Idempotency-Key": "order-4711"}
    first, again = await post(house, key, QUOTE, **asked), await post(house, key, QUOTE, **asked)
    assert (first[0], again[0], again[2]["Idempotent-Replayed"]) == (201, 200, "true")
    assert first[1] == again[1]
    other = await post(house, key, {**QUOTE, "number": "A-9"}, **asked)
    assert (other[0], other[1]["errors"][0]["pointer"]) == (422, "/idempotency_key")
    assert (await post(house, key, QUOTE))[1]["quotes"][0]["outcome"] == "duplicate"
    ended = await post(house, key, {**QUOTE, "state": "signed"})
    assert (ended[1]["quotes"][0]["outcome"], ended[1]["quotes"][0]["reason"]) == ("updated", "ended.signed")
    (quote,) = await all_of(house, Quote)
    assert quote.state is QuoteState.signed_elsewhere
    async with house.book.reading() as r:
        assert len(await r.session.scalars(select(IdempotencyKey))) == 1


async def test_the_same_quote_sent_many_times_at_once_is_one(house: House, key: str) -> None:
    await post(house, key, {**QUOTE, "number": "A-0"})  # the key has been used: its row makes nobody wait
    answers = await asyncio.gather(*(post(house, key, QUOTE) for _ in range(8)))
    assert sorted(answer[1]["quotes"][0]["outcome"] for answer in answers) == ["duplicate"] * 7 + ["taken"]
    assert len(await all_of(house, Quote)) == 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"phone": "banana"}, "phone"), ({"phone": "803123456", "country": "ES"}, "phone"), ({"name": ""}, "name"),
        ({"name": "\u200b"}, "name"), ({"number": " "}, "number"), ({"sent_on": "1900-01-01"}, "sent_on"),
        ({"sent_on": "2999-01-01"}, "sent_on"), ({"sent_on": "03/05/2026"}, "sent_on"),
        ({"valid_until": "2026-01-01"}, "valid_until"), ({"valid_until": "2999-01-01"}, "valid_until"),
        ({"currency": "XAU"}, "currency"), ({"currency": "euro"}, "currency"), ({"lines": []}, "once_minor"),
        ({"once_minor": 5}, "lines"), ({"lines": [], "once_minor": 10**11}, "once_minor"),
        ({"lines": [], "once_minor": 1.5}, "once_minor"), ({"lines": [], "once_minor": -5}, "once_minor"),
        ({"lines": [{"label": "x", "unit_minor": 10**12}]}, "lines"), ({"owner": "nobody"}, "owner"),
        ({"state": "perhaps"}, "state"), ({"surprise": 1}, "surprise"),
        ({"consent": {"purposes": ["fax"]}}, "consent/purposes/0"),
        ({"consent": {"purposes": [], "given_on": "2999-01-01"}}, "consent/given_on"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_of_the_batch_is_stored(
    house: House, key: str, change: dict[str, Any], pointer: str
) -> None:
    status, problem, headers = await post(house, key, {**QUOTE, "number": "A-0"}, {**QUOTE, **change})
    assert (status, headers["Content-Type"]) == (422, "application/problem+json")
    assert f"/quotes/1/{pointer}" in {one["pointer"] for one in problem["errors"]}
    assert await all_of(house, Quote) == []


async def test_every_wrong_field_of_a_batch_is_named_at_once(house: House, key: str) -> None:
    _, problem, _ = await post(house, key, {**QUOTE, "sent_on": "1900-01-01", "currency": "XAU"},
                               {**QUOTE, "number": "A-2", "owner": ""}, {**QUOTE, "number": "A-3", "lines": []})
    assert [one["pointer"] for one in problem["errors"]] == [
        "/quotes/0/currency", "/quotes/0/sent_on", "/quotes/0/valid_until", "/quotes/2/once_minor"]
    assert all(one["detail"] for one in problem["errors"])


@pytest.mark.parametrize("body", [{}, {"quotes": []}, {"quotes": [QUOTE] * 65}, {"quotes": "x"}, [], "x"])
async def test_no_batch_breaks_the_door(house: House, key: str, body: Any) -> None:
    assert (await post(house, key, body=body))[0] in (400, 422)


async def test_a_key_for_leads_sends_no_quotes_and_a_revoked_one_nothing(house: House, key: str) -> None:
    assert (await post(house, await made(house, [Scope.write, Scope.read]), QUOTE))[0] == 403
    assert (await post(house, "", QUOTE))[0] == 401
    async with house.book.writing() as w:
        await keys.revoke(w, 1, 1)
    assert (await post(house, key, QUOTE))[0] == 401
    assert len(await all_of(house, ApiKey)) == 2


async def test_a_list_of_quotes_is_looked_at_and_taken_in_with_a_report(house: House, browser: Browser) -> None:
    await browser.sign_in("sup")
    status, where = await upload(browser, house, LIST, kind="quotes")
    assert (status, where) == (303, "/imports/1")
    columns = {"number": 0, "phone": 1, "name": 2, "once": 3, "sent": 4, "consent": 5, "consent_text": 6,
               "consent_date": 7}
    form = {f"column.{field}": str(place) for field, place in columns.items()}
    assert (await browser.post("/imports/1/check", form))[0] == 303
    await Importer(house.book).sweep()
    _, page = await browser.get("/imports/1")
    assert "Take these quotes in" in page
    assert "Total to be paid once “12,34,5”: This is not an amount." in page
    assert re.search(r"Stored, nothing is done: has not agreed to offers</span> <span class=\"number\">1<", page)
    assert await all_of(house, Quote) == []
    await browser.post("/imports/1/start")
    await Importer(house.book).sweep()
    _, report = await browser.get("/imports/1/report.csv")
    assert re.sub(r",\d,(\d),", r",LEAD,\1,", report).splitlines() == [
        "\ufeffrow,outcome,reason,column,lead,quote,number,phone,name,total,sent,consent,consent text,consent date",
        '1,taken,,,LEAD,1,A-1,\'+12025550101,Ana,"1.234,50 €",2026-05-03,yes,Quiero ofertas,2026-05-01',
        "2,kept,consent.commercial,,LEAD,2,'=cmd|' /C calc'!A0,'+12025550102,Eva,10,2026-05-03,,,",
        '3,refused,amount,total,,,A-3,\'+12025550103,Leo,"12,34,5",2026-05-03,,,',
    ]


@pytest.mark.parametrize("missing", ["number", "name", "sent", "once"])
async def test_a_column_that_is_missing_is_told_beside_it(house: House, browser: Browser, missing: str) -> None:
    await browser.sign_in("sup")
    await upload(browser, house, LIST, kind="quotes")
    form = {f"column.{field}": str(place) for place, field in enumerate(("number", "phone", "name", "once", "sent"))}
    del form[f"column.{missing}"]
    status, page = await browser.post("/imports/1/check", form, Accept="text/html")
    assert status == 422
    assert re.search(rf'name="column.{missing}" aria-invalid="true"', page)


async def test_a_file_that_is_none_is_told_on_the_page_it_was_sent_from(house: House, browser: Browser) -> None:
    await browser.sign_in("sup")
    status, page = await upload(browser, house, b"PK\x03\x04" + b"\x00" * 50, "old.xlsx", kind="quotes")
    assert status == 422
    assert "This is a file of Excel" in page
    assert 'value="quotes" required checked' in page
    assert (await upload(browser, house, LIST, kind="carts"))[0] == 422


@pytest.mark.parametrize("head", ["text/csv", "multipart/form-data", "multipart/form-data; boundary=x"])
async def test_what_is_no_form_with_a_file_is_refused(house: House, browser: Browser, head: str) -> None:
    await browser.sign_in("sup")
    async with browser._session.post(
        f"{house.url}/imports", data=b"--y\r\n\r\nx", headers={
            "Origin": house.url, "Content-Type": head, "X-CSRF": browser.csrf}
    ) as answer:
        assert answer.status in (400, 415)
    assert await all_of(house, Import) == []


async def test_a_file_of_a_hundred_megabytes_is_refused_by_its_length(house: House, browser: Browser) -> None:
    await browser.sign_in("sup")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1600):
            yield b"x" * 65_536

    try:
        async with browser._session.post(f"{house.url}/imports", data=endless(), headers={
            "Origin": house.url, "Content-Type": "multipart/form-data; boundary=x", "X-CSRF": browser.csrf,
        }) as answer:
            assert answer.status == 413
    except aiohttp.ClientError:
        pass  # the door was shut before all of it had come
    assert await all_of(house, Import) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
class TestInABrowser:
    async def test_a_list_is_uploaded_and_taken_in_by_keyboard_without_a_script(
        self, house: House, chromium: Chromium
    ) -> None:
        page = await (await chromium.new_context(java_script_enabled=False)).new_page()
        await page.goto(f"{house.url}/login?next=/imports")
        await page.fill("[name=login]", "sup")
        await page.fill("[name=password]", PASSWORD)
        await page.press("[name=password]", "Enter")
        await page.goto(f"{house.url}/imports")
        await page.set_input_files("[name=file]", {
            "name": "viejos.csv", "mimeType": "text/csv", "buffer": LIST.encode()})
        await page.get_by_label("Quotes made elsewhere").press("Space")
        await page.get_by_role("button", name="Upload and look").press("Enter")
        await page.get_by_role("button", name="Check every row").press("Enter")
        await Importer(house.book).sweep()
        await page.get_by_role("link", name="Look again").press("Enter")
        await page.get_by_role("button", name="Take these quotes in").press("Enter")
        await Importer(house.book).sweep()
        (found,) = await all_of(house, Import)
        assert found.state is ImportState.done
        assert len(await all_of(house, Quote)) == 2
        await page.context.close()

    async def test_the_pages_pass_axe_in_every_language_and_fit_a_telephone(
        self, house: House, browser: Browser, chromium: Chromium
    ) -> None:
        await browser.sign_in("sup")
        await upload(browser, house, LIST, kind="quotes")
        form = {f"column.{field}": str(n) for n, field in enumerate(("number", "phone", "name", "once", "sent"))}
        page = await (await chromium.new_context(viewport={"width": 390, "height": 900})).new_page()
        await page.context.add_cookies([{"name": "hablemos", "value": browser.cookie, "url": house.url}])
        for locale in LOCALES:
            async with house.book.writing() as w:
                agent = await w.session.locked(type(await making.agent(w, f"x{locale}", ready=False)), 2)
                assert agent is not None
                agent.locale = locale
            await page.goto(f"{house.url}/imports")
            await _judge(page)
            await browser.post("/imports/1/check", form)
            await Importer(house.book).sweep()
            await page.goto(f"{house.url}/imports/1")
            await _judge(page)
        await page.context.close()


async def _judge(page: Page) -> None:
    found = await Axe().run(page)
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} is too wide"
