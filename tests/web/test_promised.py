"""Availability, holds, and what a person does from the link in his text message."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, update

from router.actions.talking import TEXTS
from router.book import Book
from router.model.consent import Receipt
from router.model.deliveries import Delivery
from router.model.leads import Lead
from router.model.promises import Promise, PromiseMode, PromiseState
from router.model.tasks import Task, TaskState
from tests import making
from tests.conftest import Clock
from tests.web.visiting import House, visiting

HTML, PHONE = {"Accept": "text/html"}, "+12025550107"
FRIDAY = "2026-11-27T08:30:00Z"


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[House]:
    clock.now = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
    hours = {day: [["09:00", "18:00"]] for day in ("thu", "fri")}
    async with visiting(book, countries=["US"], queue={"hours": hours, "handle_seconds": 600}) as house:
        async with book.writing() as w:
            await making.agent(w, "ana", shifts={day: [["09:30", "10:00"]] for day in ("thu", "fri")})
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def availability(house: House, visitor: aiohttp.ClientSession, query: str = "") -> dict[str, Any]:
    answer = await visitor.get(f"{house.url}/v1/sites/landing/availability{query}", headers={"Origin": house.page})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == house.page
    seen: dict[str, Any] = await answer.json()
    return seen


async def hold(house: House, visitor: aiohttp.ClientSession, start: str, **more: str) -> aiohttp.ClientResponse:
    return await visitor.post(
        f"{house.url}/v1/sites/landing/holds", json={"start": start, **more}, headers={"Origin": house.page})


async def test_availability_tells_what_is(house: House, visitor: aiohttp.ClientSession) -> None:
    seen = await availability(house, visitor, "?tz=Atlantic/Canary&locale=en")
    assert (seen["open"], seen["next_open"], seen["eta_s"], seen["agents_ready"]) == (True, None, 20, 1)
    assert [slot["start"] for slot in seen["slots"]] == [
        "2026-11-26T08:30:00Z", "2026-11-26T08:45:00Z", "2026-11-27T08:30:00Z", "2026-11-27T08:45:00Z"]
    assert seen["slots"][0]["shown"] == "Thu 26 Nov, 08:30 WET"
    assert seen["slots"][0]["remaining"] == 1


async def test_with_nobody_there_no_wait_is_promised(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    clock.now += timedelta(hours=10)
    seen = await availability(house, visitor, "?tz=Nowhere/Land")
    assert (seen["open"], seen["eta_s"], seen["next_open"]) == (False, None, "2026-11-27T08:00:00Z")


async def test_with_all_busy_the_wait_grows_with_who_waits(house: House, visitor: aiohttp.ClientSession) -> None:
    async with house.book.writing() as w:
        ana = (await w.session.scalars(select(making.Agent)))[0]
        ana.call_load = 1
    assert (await availability(house, visitor))["eta_s"] == 600
    async with house.book.writing() as w:
        await making.task(w, house.queue, await making.lead(w, house.queue))
    assert (await availability(house, visitor))["eta_s"] == 1200


async def test_a_held_time_is_gone_for_others_and_booked_by_its_token(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    held = await hold(house, visitor, FRIDAY)
    assert held.status == 201
    token = (await held.json())["hold"]
    assert FRIDAY not in [slot["start"] for slot in (await availability(house, visitor))["slots"]]
    refused = await hold(house, visitor, FRIDAY)
    assert refused.status == 409
    assert refused.headers["Access-Control-Allow-Origin"] == house.page
    answer = await lead(house, visitor, hold=token)
    assert answer["promise"]["starts_at"] == FRIDAY
    assert (await promises(house))[-1].state is PromiseState.scheduled


@pytest.mark.parametrize("body", [
    {}, {"start": "now"}, {"start": "2026-11-27T08:30:00"}, {"start": "0001-01-01T00:00:00+14:00"},
    {"start": "9999-12-31T23:59:59-12:00"}, {"start": FRIDAY, "hold": "x" * 99}, {"start": FRIDAY, "more": 1},
    {"start": "2026-11-27T08:30:00.000001Z"},
])
async def test_hostile_holds_are_answered_without_a_500(
    house: House, visitor: aiohttp.ClientSession, body: dict[str, Any]
) -> None:
    answer = await visitor.post(f"{house.url}/v1/sites/landing/holds", json=body)
    assert 400 <= answer.status < 500
    assert await promises(house) == []


async def test_a_foreign_page_holds_nothing(house: House, visitor: aiohttp.ClientSession) -> None:
    url = f"{house.url}/v1/sites/landing"
    evil = {"Origin": "https://evil.example"}
    assert (await visitor.post(f"{url}/holds", json={"start": FRIDAY}, headers=evil)).status == 403
    assert (await visitor.get(f"{url}/availability", headers=evil)).status == 403


async def lead(house: House, visitor: aiohttp.ClientSession, **values: Any) -> dict[str, Any]:
    body = {"site": "landing", "phone": PHONE, "intent": "call_later", "locale": "en",
            "consent": {"purposes": ["requested"], "text": "Yes", "version": "1"}, **values}
    answer = await visitor.post(f"{house.url}/v1/leads", json=body, headers={"Origin": house.page})
    assert answer.status == 201, await answer.text()
    made: dict[str, Any] = await answer.json()
    return made


async def promises(house: House) -> list[Promise]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(Promise).order_by(Promise.id)))


async def link(house: House) -> str:
    """The address in the newest text message."""
    async with house.book.reading() as r:
        sent = (await r.session.scalars(select(Delivery).order_by(Delivery.id.desc())))[0]
        assert sent.sealed_text is not None
        return house.book.vault.open(TEXTS, sent.sealed_text).decode().rpartition(" ")[2]


async def post(house: House, visitor: aiohttp.ClientSession, where: str, **form: str) -> aiohttp.ClientResponse:
    token = where.rpartition("/s/")[2]
    answer = await visitor.post(f"{house.url}/s/{token}", data=form or {"a": ""}, headers={**HTML, "Origin": house.url})
    await answer.read()
    return answer


async def test_the_link_in_the_text_moves_and_cancels_the_call(house: House, visitor: aiohttp.ClientSession) -> None:
    await lead(house, visitor, slot="2026-11-26T08:30:00Z")
    where = await link(house)
    assert where.startswith(f"{house.book.public_url}/s/")
    moved = await post(house, visitor, f"{where}/time", slot=FRIDAY)
    assert moved.status == 200
    assert "We call you on Friday, November 27, 2026, 09:30 CET." in await moved.text()
    canceled = await post(house, visitor, f"{where}/cancel")
    assert "This call is cancelled." in await canceled.text()
    assert [one.state for one in await promises(house)] == [PromiseState.moved, PromiseState.canceled]


async def test_who_moves_what_one_agent_promised_is_shown_that_agents_own_times(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    """Ana is there from half past nine to ten, bea from ten to half past ten."""
    await lead(house, visitor, slot="2026-11-26T08:30:00Z")
    where = await link(house)
    async with house.book.writing() as w:
        bea = await making.agent(w, "bea", shifts={day: [["10:00", "10:30"]] for day in ("thu", "fri")})
        await w.session.execute(update(Promise).values(mode=PromiseMode.personal_preferred, agent_id=bea.id))

    async def times() -> list[str]:
        page = await visitor.get(f"{house.url}/s/{where.rpartition('/s/')[2]}", headers=HTML)
        return re.findall(r'value="2026-11-([^"]+):00Z"', await page.text())

    assert await times() == ["26T09:00", "26T09:15", "27T09:00", "27T09:15"]
    assert (await post(house, visitor, f"{where}/time", slot=FRIDAY)).status == 409
    moved = await post(house, visitor, f"{where}/time", slot="2026-11-27T09:00:00Z")
    assert "Friday, November 27, 2026, 10:00 CET" in await moved.text()
    assert [(one.agent_id, one.mode) for one in await promises(house)] == [(bea.id, PromiseMode.personal_preferred)] * 2


async def test_a_time_that_is_gone_is_said_on_the_page_and_the_promise_stays(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    await lead(house, visitor, slot="2026-11-26T08:30:00Z")
    where = await link(house)
    assert (await hold(house, visitor, FRIDAY)).status == 201
    answer = await post(house, visitor, f"{where}/time", slot=FRIDAY)
    assert answer.status == 409
    assert "This time is no longer free. Please choose another." in await answer.text()
    assert (await promises(house))[0].state is PromiseState.scheduled


@pytest.mark.parametrize("slot", ["", "x", "2026-11-27", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
async def test_a_wrong_time_is_refused_on_the_page(house: House, visitor: aiohttp.ClientSession, slot: str) -> None:
    made = await lead(house, visitor, slot="2026-11-26T08:30:00Z")
    answer = await post(house, visitor, f"{made['status_url']}/time", slot=slot, other="x")
    assert answer.status in (409, 422)


async def test_a_call_now_asked_for_by_the_link_rings_once_and_leaves_a_receipt(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    made = await lead(house, visitor, slot=FRIDAY)
    for _ in range(2):
        assert (await post(house, visitor, f"{made['status_url']}/again")).status == 200
    async with house.book.reading() as r:
        tasks = await r.session.scalars(select(Task.state).order_by(Task.id))
        receipts = await r.session.scalars(select(Receipt.method).order_by(Receipt.id))
    assert list(tasks) == [TaskState.scheduled, TaskState.queued]
    assert receipts[-1] == "status_link"


async def test_the_widget_reads_the_promised_time(house: House, visitor: aiohttp.ClientSession) -> None:
    made = await lead(house, visitor, slot=FRIDAY)
    state = await (await visitor.get(made["status_url"], headers={"Accept": "application/json"})).json()
    assert state["promise"] == {"starts_at": FRIDAY, "zone": "Europe/Madrid",
                                "shown": "Friday, November 27, 2026, 09:30 CET"}


@pytest.mark.parametrize("verb", ["time", "cancel", "again"])
async def test_a_foreign_page_presses_no_button_and_a_guessed_link_none(
    house: House, visitor: aiohttp.ClientSession, verb: str
) -> None:
    made = await lead(house, visitor, slot=FRIDAY)
    evil = {"Origin": "https://evil.example"}
    answer = await visitor.post(f"{made['status_url']}/{verb}", data={"slot": FRIDAY}, headers=evil)
    assert answer.status == 403
    guessed = await visitor.post(f"{house.url}/s/{'0' * 22}/{verb}", data={"slot": FRIDAY})
    assert guessed.status == 404


async def test_pressing_with_a_get_does_nothing(house: House, visitor: aiohttp.ClientSession) -> None:
    made = await lead(house, visitor, slot=FRIDAY)
    assert (await visitor.get(f"{made['status_url']}/cancel")).status in (404, 405)
    assert (await promises(house))[0].state is PromiseState.scheduled


async def test_who_books_again_by_number_gets_one_call(house: House, visitor: aiohttp.ClientSession) -> None:
    await lead(house, visitor, slot="2026-11-26T08:30:00Z")
    await lead(house, visitor, slot=FRIDAY)
    assert [one.state for one in await promises(house)] == [PromiseState.moved, PromiseState.scheduled]
    async with house.book.reading() as r:
        assert len(await r.session.scalars(select(Lead.id))) == 2
