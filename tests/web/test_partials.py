"""Forms begun and not finished: help is offered to who agreed to it, and of nobody else anything is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from router.actions import partials
from router.actions.partials import HELP_AFTER, PARTIAL_DUE
from router.actions.withdrawing import withdraw
from router.alarms import Alarms
from router.book import Book
from router.gauges import Recent
from router.model.alarms import Alarm, AlarmState
from router.model.contacts import Contact
from router.model.facts import Fact
from router.model.leads import Intent, Lead
from router.model.tasks import TIER_FRESH, Task, TaskState
from router.model.vault import new_token
from tests.conftest import Clock
from tests.web.visiting import House, visiting

PHONE = "+12025550101"


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book, countries=["US", "ES"]) as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def beacon(**values: Any) -> dict[str, Any]:
    return {
        "visitor": "visitor-0001", "step": "address", "error": "postcode", "phone": PHONE,
        "consent": {"purposes": ["requested"], "text": "Call me", "version": "1"}, **values,
    }


async def tell(house: House, visitor: aiohttp.ClientSession, /, **values: Any) -> int:
    """As a browser's beacon does: JSON that calls itself text."""
    answer = await visitor.post(
        f"{house.url}/v1/sites/landing/partial", data=json.dumps(beacon(**values)),
        headers={"Content-Type": "text/plain", "Origin": house.page},
    )
    assert await answer.read() == b"" or answer.status >= 400
    return answer.status


async def whole(house: House, visitor: aiohttp.ClientSession, **values: Any) -> aiohttp.ClientResponse:
    body = {"site": "landing", "phone": PHONE, "client_request_id": "visitor-0001", "consent": beacon()["consent"]}
    return await visitor.post(f"{house.url}/v1/leads", json={**body, **values}, headers={"Origin": house.page})


async def rows(house: House, noun: Any) -> list[Any]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(noun).order_by(noun.id)))


async def after(house: House, clock: Clock, seconds: float) -> list[Task]:
    clock.forward(seconds)
    await Alarms(house.book, {PARTIAL_DUE: partials.due}, lateness=Recent()).sweep()
    return await rows(house, Task)


async def test_who_stops_half_way_is_called_after_a_while(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    assert await tell(house, visitor) == 204
    (lead,) = await rows(house, Lead)
    assert (lead.intent, lead.claims) == (Intent.form, {"step": {"reached": "address", "error": "postcode"}})
    assert await after(house, clock, HELP_AFTER.total_seconds() - 1) == []
    (task,) = await after(house, clock, 1)
    assert (task.state, task.tier, task.lead_id) == (TaskState.queued, TIER_FRESH, lead.id)
    async with house.book.reading() as r:
        seqs = await r.session.scalars(select(Fact.seq).where(Fact.lead_id == lead.id).order_by(Fact.seq))
    assert list(seqs) == [1, 2]


@pytest.mark.parametrize("values", [
    {"consent": {"purposes": []}}, {"consent": {"purposes": ["commercial"], "text": "x"}}, {"phone": ""},
    {"phone": "+120255"}, {"phone": "my number"}, {"step": ""},
])  # fmt: skip
async def test_without_number_consent_and_step_nothing_is_stored(
    house: House, visitor: aiohttp.ClientSession, values: dict[str, Any]
) -> None:
    assert await tell(house, visitor, **values) == 204
    for noun in (Lead, Contact, Alarm, Fact):
        assert await rows(house, noun) == []


async def test_each_sign_of_the_visitor_sets_the_timer_anew(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    await tell(house, visitor)
    assert await after(house, clock, 200) == []
    await tell(house, visitor, step="payment", error="")
    assert await after(house, clock, 200) == []
    assert len(await after(house, clock, 100)) == 1
    (lead,) = await rows(house, Lead)
    assert lead.claims["step"] == {"reached": "payment"}


async def test_the_whole_form_makes_the_call_and_the_beacon_none(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    await tell(house, visitor)
    answer = await whole(house, visitor)
    assert answer.status == 201, await answer.text()
    tasks = await after(house, clock, 400)
    assert [task.lead_id for task in tasks] == [(await answer.json())["lead"]]


async def test_a_form_that_was_answered_and_closed_meanwhile_is_not_called_again(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    await tell(house, visitor)
    await whole(house, visitor, client_request_id="another-id-1", intent="call_now")
    async with house.book.writing() as w:
        (task,) = await w.session.scalars(select(Task))
        await w.move(Task, task.id, TaskState.withdrawn, ended_at=w.now)
    assert len(await after(house, clock, 400)) == 1


async def test_a_beacon_that_comes_after_the_form_stores_nothing(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    await whole(house, visitor)
    assert await tell(house, visitor) == 204
    assert len(await rows(house, Lead)) == 1
    assert not [alarm for alarm in await rows(house, Alarm) if alarm.kind == PARTIAL_DUE]


async def test_the_same_beacon_many_times_at_once_is_one_lead(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    assert set(await asyncio.gather(*(tell(house, visitor) for _ in range(6)))) <= {204, 503}
    assert len(await rows(house, Lead)) == 1
    assert len(await after(house, clock, 300)) == 1
    await tell(house, visitor)
    assert len(await after(house, clock, 300)) == 1


async def test_a_corrected_number_is_called_and_the_wrong_one_is_not(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    await tell(house, visitor)
    await tell(house, visitor, phone="+12025550102")
    (task,) = await after(house, clock, 300)
    async with house.book.reading() as r:
        contact = await r.session.get(Contact, task.contact_id)
    assert contact is not None
    assert contact.phone == "+12025550102"
    states = {alarm.state for alarm in await rows(house, Alarm) if alarm.kind == PARTIAL_DUE}
    assert states == {AlarmState.canceled, AlarmState.done}


async def test_who_takes_his_consent_back_is_not_called(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    await tell(house, visitor)
    (lead,) = await rows(house, Lead)
    async with house.book.writing() as w:
        assert await withdraw(w, lead.id, "requested", method="link")
    assert await after(house, clock, 300) == []


async def test_who_waits_already_is_not_rung_twice(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    await whole(house, visitor, client_request_id=new_token())
    await tell(house, visitor)
    assert len(await after(house, clock, 300)) == 1
    waiting, partial = await rows(house, Lead)
    assert partial.attached_to == waiting.id


@pytest.mark.parametrize(("values", "status"), [
    ({"visitor": ""}, 422), ({"visitor": "x" * 129}, 422), ({"step": "x" * 61}, 422), ({"unknown": 1}, 422),
    ({"step": None}, 422), ({"consent": []}, 422), ({"website": "spam"}, 429), ({"phone": "+34906123456"}, 204),
])  # fmt: skip
async def test_wrong_beacons_get_a_clear_answer_and_store_nothing(
    house: House, visitor: aiohttp.ClientSession, values: dict[str, Any], status: int
) -> None:
    assert await tell(house, visitor, **values) == status
    async with house.book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Lead)) == 0


async def test_a_beacon_comes_only_from_the_sites_pages(house: House, visitor: aiohttp.ClientSession) -> None:
    url = f"{house.url}/v1/sites/landing/partial"
    answer = await visitor.post(url, json=beacon(), headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    asked = await visitor.options(url, headers={"Origin": house.page})
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, house.page)
    assert "Access-Control-Allow-Origin" not in (await visitor.options(url, headers={"Origin": "https://x.example"})).headers
