"""The pages behind the desk: lists, keys, merging, a lead by hand; as pages, by keyboard, and judged by axe."""

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect
from sqlalchemy import select

from router.actions import merging
from router.book import Book
from router.importer import Importer
from router.model.agents import Role
from router.model.api_keys import ApiKey
from router.model.imports import MOST_BYTES, Import
from router.model.leads import Lead
from router.model.merges import ClaimKind, Merge, MergeState
from router.model.tasks import Task, TaskState
from router.store.merges import Claimed
from tests import making
from tests.web.browsing import CHROMIUM, PICTURES
from tests.web.desking import PASSWORD, PASSWORD_HASH, Browser, browsing
from tests.web.visiting import House, visiting

LIST = "Teléfono;Nombre\n+12025550101;Ana\n+12025550102;=1+1\nbanana;Eva\n"


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


async def upload(
    browser: Browser, house: House, text: str | bytes, name: str = "lista.csv", queue: int = 1, kind: str = "leads"
) -> tuple[int, str]:
    """Uploads a list as a browser without scripts does; the status, and where its import is or what is told."""
    form = aiohttp.FormData({"csrf": browser.csrf, "queue": str(queue), "kind": kind}, quote_fields=False)
    content = io.BytesIO(text.encode() if isinstance(text, str) else text)
    form.add_field("file", content, filename=name, content_type="text/csv")
    async with browser._session.post(
        f"{house.url}/imports", data=form, headers={"Origin": house.url, "Accept": "text/html"}, allow_redirects=False
    ) as answer:
        return answer.status, answer.headers.get("Location") or await answer.text()


async def everything(house: House, noun: Any) -> Any:
    async with house.book.reading() as r:
        return await r.session.scalars(select(noun).order_by(noun.id))


BASIS = {"column.phone": "0", "column.name": "1", "source": "feria de Valencia", "given_on": "2026-10-01"}


async def test_a_list_is_uploaded_checked_started_and_reported(house: House, browser: Browser) -> None:
    await browser.sign_in("sup")
    status, where = await upload(browser, house, LIST, "lista de Año.csv")
    assert status == 303
    _, page = await browser.get(where)
    assert "lista de Año.csv" in page
    assert "Check every row" in page
    assert (await browser.post("/imports/1/start"))[0] == 409  # the dry run comes first
    assert (await browser.post("/imports/1/check", BASIS))[0] == 303
    await Importer(house.book).sweep()
    _, page = await browser.get("/imports/1")
    assert "Start calling this list" in page
    assert "this is no telephone number" in page
    assert await everything(house, Lead) == []
    assert (await browser.post("/imports/1/start"))[0] == 303
    await Importer(house.book).sweep()
    assert len(await everything(house, Task)) == 2
    _, report = await browser.get("/imports/1/report.csv")
    assert re.sub(r"taken,,,\d", "taken,,,LEAD", report).splitlines() == [
        "\ufeffrow,outcome,reason,column,lead,quote,Teléfono,Nombre", "1,taken,,,LEAD,,'+12025550101,Ana",
        "2,taken,,,LEAD,,'+12025550102,'=1+1", "3,refused,phone_unreadable,Teléfono,,,banana,Eva",
    ]


async def test_a_wrong_statement_is_told_beside_its_field_and_keeps_what_was_written(
    house: House, browser: Browser
) -> None:
    await browser.sign_in("sup")
    await upload(browser, house, LIST)
    status, page = await browser.post("/imports/1/check", {**BASIS, "given_on": "2099-01-01"}, Accept="text/html")
    assert status == 422
    assert "it cannot be in the future" in page
    assert 'value="feria de Valencia"' in page
    for columns in ({"column.phone": ""}, {"column.phone": "99"}, {"column.name": "0"}, {"column.phone": "x"}):
        assert (await browser.post("/imports/1/check", {**BASIS, **columns}))[0] == 422


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422), (b"\x00\x01\x02", 422), (b"phone\n", 422), (b"PK\x03\x04\x00" * 50, 422),
        (b'phone;name\n"never closed' + b"x" * 200_000, 422), ((";" * 80 + "\n").encode() + b"a" + b";" * 80, 422),
        (b"phone\n" + b"1\n" * 50_001, 422), (b"x" * (MOST_BYTES + 1), 413),
    ],
)
async def test_no_file_breaks_the_door(house: House, browser: Browser, content: bytes, status: int) -> None:
    await browser.sign_in("sup")
    assert (await upload(browser, house, content))[0] == status
    assert await everything(house, Import) == []


async def test_only_a_supervisor_uploads_and_only_from_our_page(house: House, browser: Browser) -> None:
    await browser.sign_in("ana")
    assert (await upload(browser, house, LIST))[0] == 403
    assert (await browser.get("/imports"))[0] == 403
    assert (await browser.get("/keys"))[0] == 403
    await browser.sign_in("sup")
    assert (await upload(browser, house, LIST, queue=99))[0] == 422
    browser.csrf = "wrong"
    assert (await upload(browser, house, LIST))[0] == 403
    assert await everything(house, Import) == []


async def test_a_key_is_shown_once_and_can_be_revoked(house: House, browser: Browser) -> None:
    await browser.sign_in("root")
    status, page = await browser.post("/keys", {"queue": "1", "name": "CRM <b>", "leads:write": "on"})
    shown = re.findall(r"hbk_\w{44}", page)
    assert (status, len(shown)) == (200, 1)
    assert "CRM &lt;b&gt;" in page
    assert shown[0] not in (await browser.get("/keys"))[1]
    assert (await browser.post("/keys/1/revoke"))[0] == 303
    (key,) = await everything(house, ApiKey)
    assert key.revoked_by == 1
    for wrong in ({"queue": "9"}, {"queue": "x"}, {"name": ""}, {"leads:write": ""}):
        assert (await browser.post("/keys", {"queue": "1", "name": "x", "leads:write": "on", **wrong}))[0] == 422


async def _alike(house: House) -> None:
    """Two contacts who gave one address."""
    async with house.book.writing() as w:
        leads = [await making.lead(w, house.queue, phone, claims={"email": "ana@example.org"})
                 for phone in ("+12025550111", "+12025550112")]
        for lead in leads:
            await merging.said(w, Claimed(lead.id, lead.campaign_id, lead.contact_id, ""), ClaimKind.email, "ana@e.org")


async def test_an_agent_merges_and_takes_it_back(house: House, browser: Browser) -> None:
    await _alike(house)
    await browser.sign_in("ana")
    _, page = await browser.get("/merges")
    assert "Both gave the address ana@example.org" in page
    assert (await browser.post("/merges/1/merge"))[0] == 303
    assert [lead.contact_id for lead in await everything(house, Lead)] == [1, 1]
    assert (await browser.post("/merges/1/merge"))[0] == 409
    assert (await browser.post("/merges/1/undo"))[0] == 303
    assert [lead.contact_id for lead in await everything(house, Lead)] == [1, 2]
    (merge,) = await everything(house, Merge)
    assert (merge.state, merge.decided_by) == (MergeState.undone, 3)


async def test_a_lead_made_by_hand_is_dialled_from_the_page(house: House, browser: Browser) -> None:
    await browser.sign_in("ana")
    _, page = await browser.get("/desk/new")
    key = re.search(r'name="key" value="(\w+)"', page)[1]  # type: ignore[index]
    form = {"queue": "1", "phone": "202 555 0101", "name": "Ana", "key": key, "do": "dial", "requested.1": "on"}
    status, page = await browser.post("/desk/new", {**form, "phone": "600"}, Accept="text/html")
    assert (status, f'value="{key}"' in page) == (422, True)
    assert (await browser.post("/desk/new", {**form, "requested.1": "", "phone": "+12025550101"}))[0] == 422
    assert (await browser.post("/desk/new", {**form, "phone": "+12025550101"}))[0] == 303
    (task,) = await everything(house, Task)
    assert (task.state, task.agent_id) == (TaskState.connecting, 3)
    assert "Your telephone rings" in (await browser.get("/desk"))[1]


async def test_every_page_leads_to_the_others_and_out(house: House, browser: Browser) -> None:
    await browser.sign_in("root")
    for path in ("/imports", "/wallboard", "/links", "/receipts/1", "/merges"):
        if path == "/receipts/1":
            async with house.book.writing() as w:
                await making.lead(w, house.queue)
        status, page = await browser.get(path)
        assert status == 200
        nav = page[page.index('<nav class="pages"'):page.index("</nav>")]
        led = set(re.findall(r'href="(/[a-z/]+)"', nav))
        assert led == {"/desk", "/desk/new", "/merges", "/imports", "/brochures", "/links", "/rules", "/wallboard",
                       "/people", "/figures", "/plan", "/cadences", "/keys"}
        assert nav.count("aria-current") == (path != "/receipts/1")
        word = re.search(r'action="/logout"><input type="hidden" name="csrf" value="(\w+)"', nav)
        assert word
        assert word[1] == browser.csrf


PAGES = {"lists": "/imports", "list": "/imports/1", "keys": "/keys", "merges": "/merges", "new": "/desk/new",
         "docs": "/docs"}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
class TestInABrowser:
    async def test_the_pages_pass_axe_and_fit_a_telephone(self, house: House, chromium: Chromium) -> None:
        await _alike(house)
        page = await _signed_in(chromium, house, "root")
        await page.goto(f"{house.url}/imports")
        await page.set_input_files("[name=file]", {
            "name": "lista.csv", "mimeType": "text/csv", "buffer": LIST.encode()})
        await page.get_by_role("button", name="Upload and look").press("Enter")
        await expect(page.get_by_role("button", name="Check every row")).to_be_visible()
        await page.fill("[name=source]", "feria de Valencia")
        await page.fill("[name=given_on]", "2026-10-01")
        await page.get_by_role("button", name="Check every row").press("Enter")
        await expect(page.locator("#import-state")).to_contain_text("Being checked")
        await Importer(house.book).sweep()
        await expect(page.get_by_role("button", name="Start calling this list")).to_be_visible()
        for width in (390, 1280):
            await page.set_viewport_size({"width": width, "height": 900})
            for name, path in PAGES.items():
                await page.goto(house.url + path)
                if name == "keys":
                    await page.fill("[name=name]", "CRM")
                    await page.get_by_role("button", name="Make the key").press("Enter")
                await _judge(page, f"{name}-{width}.png")
        await page.context.close()

    @pytest.mark.parametrize("path", ["/merges", "/wallboard"])
    async def test_on_a_telephone_the_pages_are_behind_a_button_which_needs_no_script(
        self, house: House, chromium: Chromium, path: str
    ) -> None:
        page = await _signed_in(chromium, house, "root", script=False)
        await page.goto(house.url + path)
        opener, first = page.get_by_role("button", name="Pages"), page.get_by_role("link", name="Desk")
        await expect(opener).to_be_hidden()
        await expect(first).to_be_visible()
        await page.set_viewport_size({"width": 390, "height": 844})
        await expect(first).to_be_hidden()
        box = await page.locator(".bar").bounding_box()
        assert box
        assert box["height"] < 64
        await opener.press("Enter")
        await expect(first).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(first).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(first).to_be_hidden()
        await expect(opener).to_be_focused()
        await page.context.close()
        page = await _signed_in(chromium, house, "root")
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.goto(house.url + path)
        await page.get_by_role("button", name="Pages").press("Enter")
        await _judge(page, f"menu{path.replace('/', '-')}.png")
        await page.context.close()


async def _signed_in(running: Chromium, house: House, login: str, *, script: bool = True) -> Page:
    page = await (await running.new_context(java_script_enabled=script)).new_page()
    await page.goto(f"{house.url}/login")
    await page.fill("[name=login]", login)
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await expect(page.locator("#link")).to_be_visible()
    return page


async def _judge(page: Page, picture: str) -> None:
    """axe looks once, at the narrow page; nothing is too wide at any width."""
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / picture, full_page=True)
    if page.viewport_size and page.viewport_size["width"] < 1000:
        found = await Axe().run(page)
        assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} is too wide"
