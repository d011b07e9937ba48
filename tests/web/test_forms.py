"""`/f/{key}`: the form without script, from the page to the promise."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from router.book import Book
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.leads import Intent, Lead
from router.model.promises import Promise, PromiseState
from router.model.tasks import Task, TaskState
from tests import making
from tests.conftest import Clock
from tests.web.visiting import House, visiting

FIELDS = [
    {"key": "use", "kind": "choice", "required": True, "labels": {"es": "Consumo", "en": "Use"},
     "choices": {"home": {"es": "Casa", "en": "Home"}, "shop": {"es": "Negocio", "en": "Shop"}}},
    {"key": "iban", "kind": "iban", "secret": True, "labels": {"en": "IBAN"}},
    {"key": "roof", "kind": "checkbox", "labels": {"es": "Tengo tejado", "en": "I have a roof"}},
]
PHONE = "+12025550107"


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[House]:
    clock.now = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
    async with visiting(book, fields=FIELDS, countries=["US", "ES"]) as house:
        async with book.writing() as w:
            await making.agent(w, "ana", shifts={"thu": [["09:30", "10:30"]]})
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Page:
    """A page as somebody without script has it: what its form would send."""

    def __init__(self, text: str, status: int) -> None:
        self.text, self.status = text, status

    @property
    def values(self) -> dict[str, str]:
        inputs = re.findall(r'<input [^>]*type="hidden" name="([^"]+)" value="([^"]*)"', self.text)
        return {name: unescape(value) for name, value in inputs}

    @property
    def slots(self) -> list[str]:
        return re.findall(r'<option value="(20[^"]+)"', self.text)

    def fault(self, name: str) -> str:
        found = re.search(rf'id="{re.escape(name)}-fault">([^<]*)<', self.text)
        return unescape(found[1]) if found else ""


async def opened(house: House, visitor: aiohttp.ClientSession, query: str = "?lang=en", **headers: str) -> Page:
    answer = await visitor.get(f"{house.url}/f/landing{query}", headers=headers)
    return Page(await answer.text(), answer.status)


async def sent(
    house: House, visitor: aiohttp.ClientSession, page: Page, without: tuple[str, ...] = (), **typed: str
) -> tuple[Page, str]:
    """The page that follows, and where the answer leads."""
    values = {**page.values, "phone": PHONE, "slot": "now", "fields.use": "home", "consent.purposes": "requested",
              "website": "", **{name.replace("__", "."): value for name, value in typed.items()}}
    for name in without:
        values.pop(name)
    answer = await visitor.post(
        f"{house.url}/f/landing", data=values, allow_redirects=False, headers={"Origin": house.url}
    )
    return Page(await answer.text(), answer.status), answer.headers.get("Location", "")


async def rows(house: House, noun: type[Any]) -> list[Any]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(noun)))


async def test_the_page_says_whether_somebody_is_there_and_offers_times(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    page = await opened(house, visitor)
    assert page.status == 200
    assert "Somebody is free now" in page.text
    assert page.slots == ["2026-11-26T08:30:00Z", "2026-11-26T08:45:00Z", "2026-11-26T09:00:00Z",
                          "2026-11-26T09:15:00Z"]
    assert "Thursday 26 November" in page.text
    assert "Times are those of Madrid." in page.text


async def test_a_filled_form_becomes_a_lead_and_leads_to_its_page(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    page = await opened(house, visitor, "?lang=es&utm_source=news&gclid=abc", Referer="https://luz.example/tarifas")
    after, where = await sent(house, visitor, page, name="  Carmen Ruiz ", fields__roof="yes", message="Hola")
    assert after.status == 303
    assert (await visitor.get(f"{house.url}{where}")).status == 200
    (lead,) = await rows(house, Lead)
    assert lead.fields == {"use": "home", "roof": "yes"}
    assert lead.claims["name"] == "Carmen Ruiz"
    assert (lead.source["utm_source"], lead.source["gclid"]) == ("news", "abc")
    assert lead.source["referrer"] == "https://luz.example/tarifas"
    assert lead.locale == "es"
    (receipt,) = await rows(house, Receipt)
    assert receipt.text.startswith("Quiero que Luz Clara SL me llame")
    assert receipt.method == "form"


async def test_a_chosen_time_becomes_a_promise(house: House, visitor: aiohttp.ClientSession) -> None:
    page = await opened(house, visitor)
    _, where = await sent(house, visitor, page, slot=page.slots[1])
    (promise,) = await rows(house, Promise)
    (task,) = await rows(house, Task)
    (lead,) = await rows(house, Lead)
    assert (promise.state, promise.wall) == (PromiseState.scheduled, "2026-11-26T09:45")
    assert (task.state, task.tier, lead.intent) == (TaskState.scheduled, 1, Intent.call_later)
    text = await (await visitor.get(f"{house.url}{where}")).text()
    assert "We call you on Thursday, November 26, 2026, 09:45 CET." in text


async def test_pressed_twice_it_is_one_request(house: House, visitor: aiohttp.ClientSession) -> None:
    page = await opened(house, visitor)
    (_, first), (_, again) = [await sent(house, visitor, page, slot=page.slots[0]) for _ in range(2)]
    assert first == again != ""
    assert len(await rows(house, Lead)) == 1
    assert len(await rows(house, Promise)) == 1


async def test_sent_again_with_another_number_it_is_another_request(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    page = await opened(house, visitor)
    await sent(house, visitor, page)
    _, where = await sent(house, visitor, page, phone="+12025550108")
    assert where
    assert len(await rows(house, Contact)) == 2


async def test_everything_wrong_is_said_at_once_beside_its_field_and_nothing_is_lost(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    page = await opened(house, visitor)
    after, _ = await sent(house, visitor, page, ("consent.purposes", "fields.use"), phone="12", name='Ana "<b>"')
    assert after.status == 422
    assert after.fault("phone") == "This telephone number does not exist."
    assert after.fault("fields.use") == "Please answer this question."
    assert after.fault("consent.requested") == "Please tick this box; without it we cannot take your request."
    assert 'value="12"' in after.text
    assert "Ana &#34;&lt;b&gt;&#34;" in after.text
    assert 'aria-describedby="phone-fault"' in after.text
    assert 'href="#fields.use"' in after.text
    assert after.values["client_request_id"] == page.values["client_request_id"]
    assert await rows(house, Lead) == []


async def test_the_box_is_never_ticked_before(house: House, visitor: aiohttp.ClientSession) -> None:
    assert "checked" not in (await opened(house, visitor)).text


async def test_a_time_that_is_gone_meanwhile_is_asked_for_anew(house: House, visitor: aiohttp.ClientSession) -> None:
    first, second = await opened(house, visitor), await opened(house, visitor)
    await sent(house, visitor, first, slot=first.slots[0])
    after, _ = await sent(house, visitor, second, slot=second.slots[0], phone="+12025550108")
    assert after.status == 409
    assert after.fault("slot") == "This time is no longer free. Please choose another."
    assert second.slots[0] not in after.slots


@pytest.mark.parametrize("slot", ["", "tomorrow", "2026-11-26T08:30:00", "2026-11-26T03:00:00Z", "9999-99-99",
                                  "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "\u0660"])
async def test_no_time_or_a_wrong_one_is_refused_beside_its_field(
    house: House, visitor: aiohttp.ClientSession, slot: str
) -> None:
    after, _ = await sent(house, visitor, await opened(house, visitor), slot=slot)
    assert after.status in (409, 422)
    assert after.fault("slot")
    assert await rows(house, Promise) == []


async def test_with_nobody_there_a_time_must_be_chosen_or_said_to_be_open(
    house: House, visitor: aiohttp.ClientSession, clock: Clock
) -> None:
    clock.forward(60)
    page = await opened(house, visitor, "?lang=en")
    assert "Nobody is at the desk at this moment. Choose a time, and we call you then." in page.text
    assert '<option value="">' in page.text
    assert "As soon as somebody is back" in page.text


async def test_a_closed_page_shows_the_number_and_no_form(book: Book, visitor: aiohttp.ClientSession) -> None:
    async with visiting(book, site={"closed": True}) as house:
        page = await opened(house, visitor)
    assert "Please call us." in page.text
    assert "<form" not in page.text
    assert "tel:+34910000000" in page.text


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1"])
async def test_a_foreign_page_may_not_post_it(house: House, visitor: aiohttp.ClientSession, origin: str) -> None:
    page = await opened(house, visitor)
    answer = await visitor.post(f"{house.url}/f/landing", data=page.values, headers={"Origin": origin})
    assert answer.status == 403


async def test_the_landing_page_itself_may_post_it(house: House, visitor: aiohttp.ClientSession) -> None:
    values = {"phone": PHONE, "slot": "now", "fields.use": "home", "consent.purposes": "requested"}
    answer = await visitor.post(
        f"{house.url}/f/landing", data=values, headers={"Origin": house.page}, allow_redirects=False
    )
    assert answer.status == 303


@pytest.mark.parametrize("body", [b"", b"%ff=1", b"phone=%00", b"a=" + b"x" * 70_000, b"&".join([b"a=1"] * 500),
                                  b"fields=1&fields.use=2", b"consent=x&consent.purposes=requested", b"source.evil=1",
                                  b"name=" + b"x" * 300, b"slot=now&phone=" + b"9" * 60])
async def test_hostile_bodies_are_answered_without_a_500(
    house: House, visitor: aiohttp.ClientSession, body: bytes
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    answer = await visitor.post(f"{house.url}/f/landing", data=body, headers=headers)
    assert 400 <= answer.status < 500
    assert await rows(house, Lead) == []


async def test_an_unknown_page_is_not_found(house: House, visitor: aiohttp.ClientSession) -> None:
    assert (await visitor.get(f"{house.url}/f/nobody")).status == 404


async def test_every_language_says_it(house: House, visitor: aiohttp.ClientSession) -> None:
    said = {lang: (await opened(house, visitor, f"?lang={lang}")).text for lang in ("en", "es", "it", "ru")}
    assert [re.search(r"<h1>([^<]*)", said[lang])[1] for lang in said] == [  # type: ignore[index]
        "Luz Clara calls you", "Luz Clara le llama", "Luz Clara La chiama", "Luz Clara позвонит вам"]
