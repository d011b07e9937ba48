"""Forms at a counter and for purchases: what they take, refuse and forget."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from router.book import Book
from router.model.campaigns import Site
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.leads import Intent, Lead
from router.model.tasks import TIER_FRESH, Task, TaskState
from router.model.vault import new_token
from tests.web.offline import make_link
from tests.web.visiting import House, visiting

QUESTIONS = [
    {"key": "supply", "labels": {"en": "Supply point"}, "kind": "supply_point", "secret": True},
    {"key": "size", "labels": {"en": "Size"}, "kind": "choice",
     "choices": {"s": {"en": "Small"}, "l": {"en": "Large"}}},
]


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book, fields=QUESTIONS, countries=["US", "ES"]) as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as session:
        yield session


def walk_in(**values: str) -> list[tuple[str, str]]:
    filled = {"lang": "en", "name": "Ana", "phone": "+12025550101", "client_request_id": new_token(), **values}
    return [*filled.items(), ("consent", "requested")]


def purchase(*consents: str, **values: str) -> list[tuple[str, str]]:
    filled = {"lang": "en", "product": "Panel 400 W", "receipt": "A-17", "phone": "+12025550101",
              "client_request_id": new_token(), **values}
    return [*filled.items(), *(("consent", purpose) for purpose in consents)]


async def post(
    house: House, visitor: aiohttp.ClientSession, fields: list[tuple[str, str]], path: str = "/kiosk/landing"
) -> aiohttp.ClientResponse:
    return await visitor.post(house.url + path, data=fields, allow_redirects=False, headers={"Origin": house.url})


async def rows(house: House, noun: Any) -> list[Any]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(noun).order_by(noun.id)))


async def test_who_stands_at_the_counter_is_called_soon(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await post(house, visitor, walk_in(message="About\nsolar", **{"fields.size": "l"}))
    assert answer.status == 303, await answer.text()
    assert answer.headers["Location"] == "/kiosk/landing/done?lang=en&r="
    (lead,), (task,), (receipt,) = await rows(house, Lead), await rows(house, Task), await rows(house, Receipt)
    assert (lead.intent, lead.source["offline"]) == (Intent.in_person, "offline:kiosk")
    assert (lead.claims, lead.fields) == ({"name": "Ana", "message": "About\nsolar"}, {"size": "l"})
    assert (task.state, task.tier) == (TaskState.queued, TIER_FRESH)
    assert (receipt.purposes, receipt.method) == (["requested"], "kiosk")
    assert receipt.text == "I want Luz Clara SL to call me at this number about my request."


async def test_the_receipt_holds_the_house_s_own_text_whatever_is_posted(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    await post(house, visitor, walk_in(lang="ru", text="I agree to everything", version="99"))
    (receipt,) = await rows(house, Receipt)
    assert receipt.text.startswith("Я прошу Luz Clara SL позвонить")
    assert receipt.version == "1"


async def test_a_promoters_code_says_who_brought_the_person(house: House, visitor: aiohttp.ClientSession) -> None:
    link = await make_link(house, "promoter-7", target="kiosk")
    page = await (await visitor.get(f"{house.url}/r/{link.code}")).text()
    assert f'name="r" value="{link.code}"' in page
    await post(house, visitor, walk_in(r=link.code))
    await post(house, visitor, walk_in(promoter=link.code.lower(), phone="+12025550102"))
    assert [lead.source["offline"] for lead in await rows(house, Lead)] == ["offline:promoter-7"] * 2
    wrong = await post(house, visitor, walk_in(promoter="ABC"))
    assert wrong.status == 422
    assert 'id="wrong-promoter"' in await wrong.text()


async def test_pressing_the_button_twice_makes_one_lead(house: House, visitor: aiohttp.ClientSession) -> None:
    fields = walk_in()
    answers = await asyncio.gather(*(post(house, visitor, fields) for _ in range(4)))
    assert {answer.status for answer in answers} == {303}
    assert len(await rows(house, Lead)) == 1


async def test_the_next_person_on_a_page_out_of_the_browsers_memory_is_not_lost(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    await post(house, visitor, walk_in(client_request_id="the-same-page"))
    await post(house, visitor, walk_in(client_request_id="the-same-page", phone="+12025550102"))
    assert [contact.phone for contact in await rows(house, Contact)] == ["+12025550101", "+12025550102"]


@pytest.mark.parametrize(("values", "pointer"), [
    ({"phone": ""}, "-phone"), ({"phone": "123"}, "-phone"), ({"phone": "+34906123456"}, "-phone"),
    ({"email": "no mail"}, "-email"), ({"fields.size": "xl"}, "-fields-size"),
    ({"fields.supply": "ES00"}, "-fields-supply"), ({"name": "x" * 201}, None), ({"fields.unasked": "1"}, None),
])  # fmt: skip
async def test_a_wrong_field_is_told_and_what_was_written_stays(
    house: House, visitor: aiohttp.ClientSession, values: dict[str, str], pointer: str | None
) -> None:
    answer = await post(house, visitor, walk_in(message="keep me", **values))
    page = await answer.text()
    assert answer.status == 422
    assert "keep me" in page
    assert 'role="alert"' in page
    assert pointer is None or f'id="wrong{pointer}"' in page
    assert not await rows(house, Lead)


async def test_without_consent_nobody_is_called(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await post(house, visitor, walk_in()[:-1])
    assert answer.status == 422
    assert 'id="wrong-consent-requested"' in await answer.text()
    assert not await rows(house, Lead)


async def test_a_secret_answer_is_sealed_and_never_sent_back(house: House, visitor: aiohttp.ClientSession) -> None:
    secret = "ES1234123456789012JY"
    answer = await post(house, visitor, walk_in(phone="", **{"fields.supply": secret}))
    assert secret not in await answer.text()
    await post(house, visitor, walk_in(**{"fields.supply": secret}))
    (lead,) = await rows(house, Lead)
    assert "supply" not in lead.fields
    assert secret.encode() in house.book.vault.open("fields", lead.sealed_fields)


async def test_a_trap_that_is_filled_takes_nothing(house: House, visitor: aiohttp.ClientSession) -> None:
    assert (await post(house, visitor, walk_in(website="https://spam.example"))).status == 429
    assert not await rows(house, Lead)


async def test_a_site_that_is_switched_off_says_whom_to_call(house: House, visitor: aiohttp.ClientSession) -> None:
    async with house.book.writing() as w:
        site = await w.session.get(Site, house.site.id)
        assert site is not None
        site.closed = True
    house.doors.landings._known.clear()
    answer = await post(house, visitor, walk_in())
    assert answer.status == 403
    assert "tel:+34910000000" in await answer.text()
    assert not await rows(house, Lead)


async def test_a_foreign_page_cannot_post_here(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.post(
        f"{house.url}/kiosk/landing", data=walk_in(), allow_redirects=False, headers={"Origin": "https://evil.example"}
    )
    assert answer.status == 403
    assert not await rows(house, Lead)


@pytest.mark.parametrize("path", [
    "/kiosk/landing", "/register/landing", "/kiosk/landing/done", "/register/landing/done",
])  # fmt: skip
@pytest.mark.parametrize("locale", ["en", "es", "it", "ru"])
async def test_the_pages_speak_four_languages_and_run_nothing_inline(
    house: House, visitor: aiohttp.ClientSession, path: str, locale: str
) -> None:
    answer = await visitor.get(f"{house.url}{path}?lang={locale}&r=%3Cscript%3E&t=%22%3E%3Cscript%3E")
    page = await answer.text()
    assert answer.status == 200
    assert f'<html lang="{locale}">' in page
    assert "script>" not in page.replace('<script type="module" src="/static/kiosk.js"></script>', "")
    assert not re.search(r"\son\w+=|style=", page)


async def test_hostile_words_are_shown_and_never_run(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await post(house, visitor, walk_in(phone="", name='"><script>alert(1)</script>', message="</textarea><b>"))
    page = await answer.text()
    assert "<script>alert" not in page
    assert "</textarea><b>" not in page


async def test_a_purchase_is_kept_and_nobody_calls(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await post(house, visitor, purchase("commercial", serial="SN 1"), "/register/landing")
    assert answer.status == 303, await answer.text()
    (lead,), (receipt,) = await rows(house, Lead), await rows(house, Receipt)
    assert lead.claims["purchase"] == {"product": "Panel 400 W", "receipt": "A-17", "serial": "SN 1"}
    assert (lead.intent, lead.source["offline"]) == (Intent.form, "offline:purchase")
    assert receipt.purposes == ["commercial"]
    assert not await rows(house, Task)
    page = await (await visitor.get(house.url + answer.headers["Location"])).text()
    consent = re.search(r'href="(/s/\w+/consent)"', page)
    assert consent is not None
    assert (await visitor.get(house.url + consent[1])).status == 200


async def test_who_asks_to_be_called_about_his_purchase_is_called(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    await post(house, visitor, purchase("requested"), "/register/landing")
    (task,) = await rows(house, Task)
    assert task.tier == TIER_FRESH


async def test_a_purchase_without_a_number_needs_an_address_to_write_to(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    assert (await post(house, visitor, purchase(phone="", email="ana@example.com"), "/register/landing")).status == 303
    for fields in (purchase(phone=""), purchase("requested", phone="", email="ana@example.com"), purchase(receipt=""),
                   purchase(product=" ")):
        assert (await post(house, visitor, fields, "/register/landing")).status == 422
    async with house.book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Lead)) == 1


async def test_an_unknown_key_has_no_forms(house: House, visitor: aiohttp.ClientSession) -> None:
    for path in ("/kiosk/nobody", "/register/nobody"):
        assert (await visitor.get(house.url + path)).status == 404
        assert (await post(house, visitor, walk_in(), path)).status == 404
