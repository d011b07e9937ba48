"""`/contacts` and `/rules`: why somebody is not called, and what the rules stand on, for those who may see it."""

import io
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from sqlalchemy import select, update

from router.actions import configuring, guarding, suppressing
from router.book import Book
from router.model.agents import Role
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.configuration import read
from router.model.contacts import Contact
from router.model.guard import Purpose
from router.model.registers import Inquiry
from router.model.suppressions import Suppression
from router.model.zones import ZoneSource
from router.store import registers
from tests import making
from tests.actions.test_announcing import dial
from tests.actions.test_cadences import began, ring
from tests.conftest import Clock
from tests.web.desking import PASSWORD, PASSWORD_HASH, Browser, browsing
from tests.web.visiting import House, visiting


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    """1 and 2: a supervisor and an agent. 1: a person on a number without a place, last spoken to by nobody."""
    async with visiting(book) as house:
        async with book.writing() as w:
            for login, role in (("sup", Role.supervisor), ("ana", Role.agent)):
                agent = await making.agent(w, login, ready=False, role=role, locale="en")
                agent.password_hash = PASSWORD_HASH
            queue = await making.queue(w, await making.campaign(w, "sol", rule_pack="by_country"))
            lead = await making.lead(w, queue, "+18002255288")
            await w.session.execute(update(Contact).where(Contact.id == lead.contact_id).values(name="<b>Ana</b>"))
            house.person = lead.contact_id  # type: ignore[attr-defined]
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:  # type: ignore[arg-type]
        await browser.sign_in("sup", PASSWORD)
        yield browser


async def post(browser: Browser, path: str, **fields: str) -> int:
    status, _ = await browser.post(path, fields)
    return int(status)


async def test_a_person_whose_clock_nobody_knows_gets_one(house: House, browser: Browser) -> None:
    path = f"/contacts/{house.person}"  # type: ignore[attr-defined]
    status, seen = await browser.get(path)
    assert status == 200
    assert "Nobody knows. Ask, and choose" in seen
    assert "zone.unknown" in seen
    assert "<b>Ana</b>" not in seen
    assert await post(browser, f"{path}/zone", zone="Etc/Unknown") == 422
    assert await post(browser, f"{path}/zone", zone="America/New_York") in (200, 303)
    _, seen = await browser.get(path)
    assert "America/New_York" in seen
    assert "zone.unknown" not in seen
    assert await post(browser, f"{path}/zone", country="ZZ", postcode="1") == 422
    assert await post(browser, f"{path}/zone", country="US", postcode="<>") == 422
    assert await post(browser, "/contacts/99/zone", zone="America/New_York") == 404


async def test_words_stand_before_the_rules_they_come_from(house: House, browser: Browser) -> None:
    async with house.book.writing() as w:
        queue = vouched(await w.session.scalar(select(Queue).where(Queue.campaign_id == 2)))
        lead = await making.lead(w, queue, "+34910000001")
        person, campaign = [vouched(await w.session.get(Contact, lead.contact_id)), vouched(
            await w.session.get(Campaign, queue.campaign_id))]
        await guarding.lives_by(w, person, "Europe/Madrid", ZoneSource.stated)
        for _ in range(2):
            await guarding.permit(w, campaign, person, channel="call", purpose=Purpose.commercial, lead_id=lead.id)
    _, seen = await browser.get(f"/contacts/{person.id}")
    assert "too soon after the last try (house-gap) · <code>cap.gap</code>" in seen
    assert "within calling hours, not called too often, agreed to offers · <code>ES.hours</code>" in seen
    _, seen = await browser.get("/rules")
    assert seen.index("<strong>too soon after the last try (house-gap)</strong>") < seen.index("<code>cap.gap</code>")


@pytest.mark.parametrize(("days", "phone", "said"), [
    (10, "+4930123456", "counts until November 13, 2031. (DE-UWG-7a-age, strict reading)"),
    (2_000, "+4930123456", "counted until June 2, 2026. Ask again. (DE-UWG-7a-age, strict reading)"),
    (2_000, "+34910000001", "counts until it is taken back."),
])
async def test_the_page_says_until_when_consent_counts_and_by_which_rule(
    house: House, browser: Browser, clock: Clock, days: int, phone: str, said: str
) -> None:
    clock.now -= timedelta(days=days)
    async with house.book.writing() as w:
        queue = vouched(await w.session.scalar(select(Queue).where(Queue.campaign_id == 2)))
        lead = await making.lead(w, queue, phone)
    clock.now += timedelta(days=days)
    _, seen = await browser.get(f"/contacts/{lead.contact_id}")
    assert f": that {said}</p>" in seen


async def test_a_supervisor_writes_down_and_lifts_and_an_agent_does_not(house: House, browser: Browser) -> None:
    path = f"/contacts/{house.person}"  # type: ignore[attr-defined]
    assert await post(browser, f"{path}/suppress", reason="complaint") in (200, 303)
    assert await post(browser, f"{path}/suppress", reason="stop") == 422
    _, seen = await browser.get(path)
    assert "suppressed.complaint" in seen
    for wrong in ("", "x", "99", "-1", "²", "9" * 5000):
        assert await post(browser, f"{path}/lift", suppression=wrong) == 404
    assert await post(browser, f"{path}/lift", suppression="1") in (200, 303)
    assert await post(browser, f"{path}/lift", suppression="1") == 409
    async with house.book.reading() as r:
        (row,) = await r.session.scalars(select(Suppression))
    assert (row.lifted_by, row.reason) == (1, "complaint")
    async with browsing(house) as other:  # type: ignore[arg-type]
        await other.sign_in("ana", PASSWORD)
        assert (await other.get(path))[0] == 403
        assert await post(other, f"{path}/suppress", reason="complaint") == 403
        async with house.book.writing() as w:
            vouched(await w.session.get(Contact, house.person)).agent_id = 2  # type: ignore[attr-defined]
        assert (await other.get(path))[0] == 200
        assert (await other.get("/rules"))[0] == 403


async def test_a_register_is_uploaded_and_its_freshness_shown(house: House, browser: Browser) -> None:
    async def upload(content: bytes = b"+12025550101\n", **fields: str) -> tuple[int, str]:
        form = aiohttp.FormData()
        for name, value in {"csrf": browser.csrf, **fields}.items():
            form.add_field(name, value)
        form.add_field("file", io.BytesIO(content), filename="list.csv", content_type="text/csv")
        async with browser._session.post(
            f"{house.url}/registers", data=form, headers={"Origin": house.url}, allow_redirects=False,
        ) as answer:
            return answer.status, await answer.text()

    async with house.book.reading() as r:
        today = f"{r.now:%Y-%m-%d}"
    assert (await upload(name="robinson", as_of=today, country="ES"))[0] == 303
    for wrong in ({}, {"name": "robinson"}, {"name": "R", "as_of": today}, {"name": "robinson", "as_of": "2999-01-01"},
                  {"as_of": "2026-13-45"}):
        status, seen = await upload(**wrong)
        assert status == 422
        assert 'role="alert"' in seen
    assert (await upload(b"\xff\x00" * 9, name="robinson", as_of=today))[0] == 422
    assert (await upload(csrf="x", name="robinson", as_of=today))[0] == 403
    for body, kind in ((b"", "multipart/form-data"), (b"x", "multipart/form-data; boundary=a"), (b"x", "text/plain"),
                       (b"--a\r\n\r\nx\r\n--a--", "multipart/form-data; boundary=a")):
        async with browser._session.post(
            f"{house.url}/registers", data=body, headers={"Origin": house.url, "Content-Type": kind},
        ) as answer:
            assert answer.status in (403, 415, 422)
    async with house.book.reading() as r:
        assert vouched(await registers.current(r.session, "robinson")).numbers == 1
    async with house.book.writing() as w:
        await suppressing.suppress_number(w, "+12025550101", "stop")
    status, seen = await browser.get("/rules")
    assert status == 200
    assert "Lista Robinson <code" in seen
    assert "reviewed by nobody yet" in seen


async def test_the_rules_page_says_which_registers_are_asked_and_which_do_not_answer(
    house: House, browser: Browser
) -> None:
    file = '[[registers]]\nname = "us_dnc"\nurl = "https://register.example/"\nsecret = "known by this"\n'
    async with house.book.writing() as w:
        await configuring.apply(w, read(file), {})
        await w.session.execute(update(Campaign).values(countries=["US"], rule_pack="US"))
    _, seen = await browser.get("/rules")
    assert "asked number by number" in seen
    assert "register.example" not in seen
    async with house.book.writing() as w:
        for place, failures in enumerate((0, 3)):
            w.session.add(Inquiry(
                register="us_dnc", digest=bytes([place]), phone="", due_at=None, failures=failures,
                reason="<b>503</b>" if failures else "", answered_at=None if failures else w.now,
            ))
    _, seen = await browser.get("/rules")
    assert "no answer about 1 number: calls to it are denied (&lt;b&gt;503&lt;/b&gt;)" in seen
    assert "asked about 1 number · last on November 23, 2026" in seen
    async with house.book.writing() as w:
        await configuring.apply(w, read(file + "closed = true"), {})
    assert "asked no more" in (await browser.get("/rules"))[1]


async def test_the_text_that_told_of_a_call_and_the_call_it_told_of_say_so(
    house: House, browser: Browser, book: Book, clock: Clock
) -> None:
    quote = await began(book, clock, {"delay": 4, "announce_minutes": 60}, key="quiet")
    clock.forward(3 * 3600)
    await ring(book)
    _, seen = await browser.get(f"/contacts/{quote.contact_id}")
    assert "told of a call:" in seen
    assert "no word of its arrival yet" in seen
    assert "announced by text before" not in seen
    clock.forward(3600)
    await ring(book)
    await dial(book)
    _, seen = await browser.get(f"/contacts/{quote.contact_id}")
    assert seen.count("told of a call:") == 1
    assert seen.count("announced by text before") == 1
