"""`/contacts` and `/rules`: why somebody is not called, and what the rules stand on, for those who may see it."""

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update

from router.actions import suppressing
from router.book import Book
from router.model.agents import Role
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.suppressions import Suppression
from router.store import registers
from tests import making
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


async def test_a_supervisor_writes_down_and_lifts_and_an_agent_does_not(house: House, browser: Browser) -> None:
    path = f"/contacts/{house.person}"  # type: ignore[attr-defined]
    assert await post(browser, f"{path}/suppress", reason="complaint") in (200, 303)
    assert await post(browser, f"{path}/suppress", reason="stop") == 422
    _, seen = await browser.get(path)
    assert "suppressed.complaint" in seen
    for wrong in ("", "x", "99", "-1"):
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
    async def upload(query: str, content: bytes = b"+12025550101\n") -> tuple[int, Any]:
        async with browser._session.post(
            f"{house.url}/registers?{query}", data=io.BytesIO(content),
            headers={"X-CSRF": browser.csrf, "Origin": house.url, "Accept": "application/json"},
        ) as answer:
            return answer.status, await answer.json()

    async with house.book.reading() as r:
        today = f"{r.now:%Y-%m-%d}"
    status, told = await upload(f"name=robinson&as_of={today}&country=ES")
    assert (status, told) == (201, {"numbers": 1, "unread": 0, "url": "/rules"})
    for wrong in ("", "name=robinson", f"name=R&as_of={today}", "name=robinson&as_of=2999-01-01", "as_of=2026-13-45"):
        assert (await upload(wrong))[0] == 422
    assert (await upload(f"name=robinson&as_of={today}", b"\xff\x00" * 9))[0] == 422
    async with house.book.reading() as r:
        assert vouched(await registers.current(r.session, "robinson")).numbers == 1
    async with house.book.writing() as w:
        await suppressing.suppress_number(w, "+12025550101", "stop")
    status, seen = await browser.get("/rules")
    assert status == 200
    assert "robinson" in seen
    assert "reviewed by nobody yet" in seen
