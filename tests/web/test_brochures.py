"""The library of documents, kept by supervisors, and the desk from which agents send them."""

import json
import re
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
import pytest
from sqlalchemy import func, select

from router.actions import opening, stocking, suppressing
from router.book import Book
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.brochures import MOST_BYTES, Brochure
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.handouts import Handout
from router.model.leads import Lead
from router.model.tasks import Task, TaskState
from tests import handing
from tests.conftest import Clock
from tests.web.desking import Browser, House, browsing, ring, working


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def board(house: House) -> AsyncIterator[Browser]:
    await house.agent("sol", role=Role.supervisor, locale="en", ready=False)
    async with browsing(house) as browser:
        await browser.sign_in("sol")
        yield browser


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    await house.agent("ana", locale="en")
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def upload(board: Browser, content: bytes, file_name: str = "tarifas.pdf", **fields: str) -> tuple[int, str]:
    form = aiohttp.FormData({"csrf": board.csrf, "campaign": "1", "name": "Tarifas 2027", **fields})
    form.add_field("file", BytesIO(content), filename=file_name, content_type="application/pdf")
    headers = {"Origin": board._house.url, "Accept": "text/html"}
    async with board._session.post(
        f"{board._house.url}/brochures", data=form, headers=headers, allow_redirects=False
    ) as answer:
        return answer.status, await answer.text()


async def kept(house: House) -> list[Brochure]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(Brochure).order_by(Brochure.id)))


async def test_a_supervisor_puts_a_document_in_and_takes_it_out(house: House, board: Browser) -> None:
    names = {"name_en": "Tariffs 2027", "name_it": "  "}
    assert (await upload(board, handing.pdf(), **names))[0] == 303
    (one,) = await kept(house)
    assert (one.name, one.names, one.media_type, one.size) == (
        "Tarifas 2027", {"en": "Tariffs 2027"}, "application/pdf", len(handing.pdf()))
    _, page = await board.get("/brochures")
    assert "Tarifas 2027" in page
    assert "of them opened" not in page
    async with board._session.get(f"{house.url}/brochures/{one.id}/file") as answer:
        assert await answer.read() == handing.pdf()
        assert "Tariffs%202027.pdf" in answer.headers["Content-Disposition"]
    for _ in range(2):
        assert (await board.post(f"/brochures/{one.id}/retire"))[0] == 303
    _, page = await board.get("/brochures")
    assert "retired on" in page
    assert "/retire" not in page
    assert (await board.post("/brochures/99/retire"))[0] == 404
    assert (await board.get(f"/brochures/{'9' * 19}/file", Accept="application/json"))[0] == 404


@pytest.mark.parametrize(("content", "status", "said"), [
    (b"", 422, "This file is empty."), (b"<html>", 422, "none of them, whatever its name says"),
    (b"%PDF-1.7 but not really", 422, "it is damaged, or asks for a password"),
    (b"%PDF-" + b"0" * MOST_BYTES, 413, "A document may have 10 MB."),
], ids=["nothing", "a page", "pretended", "huge"])
async def test_what_is_no_document_is_refused_in_words_and_what_was_typed_stays(
    house: House, board: Browser, content: bytes, status: int, said: str
) -> None:
    answer, page = await upload(board, content)
    assert (answer, said in page, 'aria-invalid="true"' in page) == (status, True, True)
    assert await kept(house) == []


@pytest.mark.parametrize(("fields", "pointer"), [
    ({"name": " "}, "name"), ({"name": "x" * 101}, "name"), ({"campaign": "99"}, "campaign"),
    ({"campaign": "x"}, "campaign"), ({"name_ru": "x" * 101}, "name_ru"),
])
async def test_a_field_that_is_wrong_is_marked(
    house: House, board: Browser, fields: dict[str, str], pointer: str
) -> None:
    status, page = await upload(board, handing.pdf(), **fields)
    assert status == 422
    assert f'id="wrong-{pointer}"' in page
    assert await kept(house) == []


async def test_the_same_file_again_is_named(house: House, board: Browser) -> None:
    await upload(board, handing.pdf())
    status, page = await upload(board, handing.pdf(), name="Otra vez")
    assert (status, "This file is there already, as Tarifas 2027." in page) == (409, True)


@pytest.mark.parametrize("name", ["<b>x</b>", '"><script>', "{{ 7 * 7 }}", "..\\..\\x", "%s%d"])
async def test_a_hostile_name_is_only_a_name(house: House, board: Browser, name: str) -> None:
    assert (await upload(board, handing.pdf(), f"{name}.html", name=name))[0] == 303
    status, page = await board.get("/brochures")
    assert status == 200
    assert "<b>x" not in page
    assert '"><script>' not in page
    async with board._session.get(f"{house.url}/brochures/1/file") as answer:
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_agents_look_at_documents_and_change_none(house: House, board: Browser, browser: Browser) -> None:
    await upload(board, handing.pdf())
    assert (await browser.get("/brochures"))[0] == 403
    assert (await upload(browser, handing.png()))[0] == 403
    assert (await browser.post("/brochures/1/retire"))[0] == 403
    async with browser._session.get(f"{house.url}/brochures/1/file") as answer:
        assert answer.status == 200
    async with aiohttp.ClientSession() as stranger:
        refused = await stranger.get(f"{house.url}/brochures/1/file", headers={"Accept": "*/*"})
        assert refused.status == 401


async def test_an_upload_without_the_page_s_word_is_refused(house: House, board: Browser) -> None:
    assert (await upload(board, handing.pdf(), csrf="guessed"))[0] == 403
    assert await kept(house) == []


async def talking(house: House, *names: str) -> int:
    """The task of a person with whom ana talks."""
    async with house.book.writing() as w:
        await handing.stocked(w, house.queue.campaign_id, *(names or ("Tarifas 2027", "Condiciones")))
        ana = vouched(await w.session.scalar(select(Agent).where(Agent.login == "ana")))
    held = await ring(house, ana)
    async with house.book.writing() as w:
        for state in (TaskState.connecting, TaskState.engaged):
            await w.move(Task, held.task_id, state)
    return held.task_id


async def handouts(house: House) -> int:
    async with house.book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(Handout)) or 0


async def test_documents_are_chosen_and_sent_from_the_desk(house: House, browser: Browser) -> None:
    task = await talking(house)
    _, page = await browser.get("/desk")
    assert f'hx-get="/desk/tasks/{task}/handout"' in page
    status, form = await browser.get(f"/desk/tasks/{task}/handout")
    assert status == 200
    assert re.findall(r'name="(brochure\.\d+)"', form) == ["brochure.2", "brochure.1"]
    assert 'id="hand-sms"' in form
    assert "hand-whatsapp" not in form
    assert "hand-email" not in form
    chosen = {"brochure.1": "1", "brochure.2": "1", "way": "sms", "after": "0"}
    for _ in range(2):
        status, page = await browser.post(f"/desk/tasks/{task}/handout", chosen)
        assert status == 200
    assert await handouts(house) == 1
    for said in ("Documents sent", "Condiciones", "Tarifas 2027", "not opened yet", "Ana sent to read:"):
        assert said in page
    link = await handing.link(house.book)
    assert link[3:] not in page
    assert "/d/" not in page
    _, form = await browser.get(f"/desk/tasks/{task}/handout")
    assert 'name="after" value="1"' in form


async def test_an_opening_shows_on_the_desk_live_with_how_often(
    house: House, browser: Browser, clock: Clock
) -> None:
    task = await talking(house, "Tarifas 2027")
    await browser.post(f"/desk/tasks/{task}/handout", {"brochure.1": "1", "way": "sms"})
    async with browser.stream() as events:
        assert "not opened yet" in await events.region("progress")
        for said in ("opened 1 time", "opened 2 times"):
            clock.forward(20)
            async with house.book.writing() as w:
                await opening.opened(w, vouched(await w.session.get(Handout, 1)), 1, "Telephone/1")
            assert said in await events.region("progress")
    _, page = await browser.get("/desk")
    assert "Document opened: <bdi>Tarifas 2027</bdi>" in page
    assert "2 times so far" in page
    await house.agent("sol", role=Role.supervisor, locale="en", ready=False)
    async with browsing(house) as board:
        await board.sign_in("sol")
        assert "sent 1 time, 1 of them opened" in (await board.get("/brochures"))[1]


@pytest.mark.parametrize(("fields", "status", "pointer"), [
    ({"way": "sms"}, 422, "/brochure"), ({"brochure.1": "1"}, 422, "/way"),
    ({"brochure.1": "1", "way": "call_task"}, 422, "/way"), ({"brochure.x": "1", "way": "sms"}, 409, None),
    ({"brochure.²": "1", "way": "sms"}, 409, None), ({f"brochure.{'9' * 30}": "1", "way": "sms"}, 409, None),
    ({"brochure.1": "1", "way": "email"}, 429, None), ({"brochure.1": "1", "way": "sms", "after": "x" * 99}, 200, None),
])
async def test_what_cannot_be_sent_is_refused_by_its_field(
    house: House, browser: Browser, fields: dict[str, str], status: int, pointer: str | None
) -> None:
    task = await talking(house)
    answer, said = await browser.post(f"/desk/tasks/{task}/handout", fields)
    assert answer == status
    if pointer:
        assert json.loads(said)["errors"][0]["pointer"] == pointer
    assert await handouts(house) == (status == 200)


async def test_who_may_not_be_texted_has_no_button_and_the_reason_is_said(house: House, browser: Browser) -> None:
    task = await talking(house)
    async with house.book.writing() as w:
        await suppressing.suppress(w, vouched(await w.session.scalar(select(Contact))), "asked")
    status, form = await browser.get(f"/desk/tasks/{task}/handout")
    assert status == 200
    assert "hand-sms" not in form
    assert "There is no way to send this person anything now." in form
    assert (await browser.post(f"/desk/tasks/{task}/handout", {"brochure.1": "1", "way": "sms"}))[0] == 429


async def test_every_way_that_leads_to_the_person_has_its_button(house: House, browser: Browser) -> None:
    house.book.can_mail = True
    task = await talking(house)
    async with house.book.writing() as w:
        campaign = vouched(await w.session.locked(Campaign, house.queue.campaign_id))
        campaign.mail_from = "hola@luz.example"
        vouched(await w.session.get(Lead, 1)).claims = {"email": "carmen@example.com"}
    _, form = await browser.get(f"/desk/tasks/{task}/handout")
    assert re.findall(r'id="hand-(\w+)"', form) == ["sms", "email"]
    assert (await browser.post(f"/desk/tasks/{task}/handout", {"brochure.1": "1", "way": "email"}))[0] == 200


async def test_another_agent_s_person_is_sent_nothing(house: House, browser: Browser) -> None:
    task = await talking(house)
    await house.agent("eva", locale="en", ready=False)
    async with browsing(house) as stranger:
        await stranger.sign_in("eva")
        assert (await stranger.get(f"/desk/tasks/{task}/handout", Accept="application/json"))[0] == 409
        assert (await stranger.post(f"/desk/tasks/{task}/handout", {"brochure.1": "1", "way": "sms"}))[0] == 409
        assert (await stranger.post(f"/desk/tasks/{'9' * 19}/handout", {"brochure.1": "1", "way": "sms"}))[0] == 404
    assert await handouts(house) == 0


async def test_without_documents_the_desk_offers_none(house: House, browser: Browser) -> None:
    task = await talking(house, "Tarifas")
    async with house.book.writing() as w:
        await stocking.retire(w, 1, 1)
    _, page = await browser.get("/desk")
    assert f"/desk/tasks/{task}/handout" not in page
    _, form = await browser.get(f"/desk/tasks/{task}/handout")
    assert "There are no documents to send." in form
