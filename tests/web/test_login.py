import asyncio
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import aiohttp
import pytest
from sqlalchemy import select

from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.sessions import Session
from router.store import sessions
from router.web import login as login_doors
from router.web.login import PAIR_TRIES, safe_next
from tests.conftest import MONDAY_NOON, Clock
from tests.web.desking import PASSWORD, Browser, House, browsing, working

SET_UP = {"name": "Eva Marín", "login": "eva", "password": "a long enough one"}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        yield browser


async def test_the_right_password_opens_the_desk(house: House, browser: Browser) -> None:
    await house.agent()
    assert (await browser.sign_in())[0] == 303
    status, page = await browser.get("/desk")
    assert status == 200
    assert "Ana" in page


async def test_a_wrong_password_and_an_unknown_login_get_the_same_answer(house: House, browser: Browser) -> None:
    await house.agent("ana")
    await house.agent("old", disabled_at=MONDAY_NOON)
    wrong, unknown = await browser.sign_in("ana", "wrong password"), await browser.sign_in("bob", "wrong password")
    disabled = await browser.sign_in("old")
    assert wrong[0] == unknown[0] == disabled[0] == 401
    assert wrong[1].replace("ana", "") == unknown[1].replace("bob", "") == disabled[1].replace("old", "")


async def test_too_many_tries_are_refused_even_with_the_right_password(
    house: House, browser: Browser, clock: Clock
) -> None:
    await house.agent()
    for _ in range(PAIR_TRIES):
        assert (await browser.sign_in(password="guess"))[0] == 401
    assert (await browser.sign_in())[0] == 429
    clock.forward(15 * 60)
    assert (await browser.sign_in())[0] == 303


async def test_many_guesses_at_once_are_counted_before_they_are_tried(house: House, browser: Browser) -> None:
    await house.agent()
    answers = await asyncio.gather(*(browser.post("/login", {"login": "ana", "password": "x"}) for _ in range(12)))
    assert sorted(status for status, _ in answers) == [401] * PAIR_TRIES + [429] * (12 - PAIR_TRIES)


async def test_an_office_behind_one_address_may_sign_in_all_morning(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_doors, "ADDRESS_TRIES", 4)
    await house.agent()
    for _ in range(7):
        assert (await browser.sign_in())[0] == 303
    for login in range(4):
        assert (await browser.sign_in(f"guess{login}", "guess"))[0] == 401
    assert (await browser.sign_in())[0] == 429, "failures are counted still"


async def test_a_success_does_not_wash_away_the_failures_of_its_address(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_doors, "ADDRESS_TRIES", 4)
    await house.agent()
    for login in range(4):
        assert (await browser.sign_in(f"guess{login}", "guess"))[0] == 401
        if login < 3:
            assert (await browser.sign_in())[0] == 303
    assert (await browser.sign_in("another", "guess"))[0] == 429


async def test_a_session_planted_before_the_login_is_worth_nothing_after_it(house: House, browser: Browser) -> None:
    await house.agent("ana")
    await house.agent("eve")
    async with browsing(house) as attacker:
        await attacker.sign_in("eve")
        planted = attacker.cookie
        browser.bring(planted)
        await browser.sign_in("ana")
        assert browser.cookie != planted
        assert (await attacker.get("/desk"))[0] == 303


async def test_the_cookie_is_out_of_reach_of_scripts_and_its_token_is_not_stored(
    house: House, browser: Browser
) -> None:
    await house.agent()
    async with aiohttp.ClientSession() as session, session.post(
        f"{house.url}/login", data={"login": "ana", "password": PASSWORD}, headers={"Origin": house.url},
        allow_redirects=False,
    ) as answer:
        morsel = SimpleCookie(answer.headers["Set-Cookie"])["hablemos"]
    assert morsel["httponly"]
    assert morsel["samesite"] == "Lax"
    async with house.book.reading() as r:
        stored = await r.session.scalars(select(Session))
    assert [row.token_hash for row in stored] != [morsel.value.encode()]


async def test_over_https_the_cookie_is_bound_to_the_host(book: Book) -> None:
    async with working(book, public_url="https://sales.example.com") as house:
        await house.agent()
        async with aiohttp.ClientSession() as session, session.post(
            f"{house.url}/login", data={"login": "ana", "password": PASSWORD},
            headers={"Origin": "https://sales.example.com"}, allow_redirects=False,
        ) as answer:
            cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-hablemos=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


async def test_signing_out_ends_the_session_and_takes_the_agent_off(house: House, browser: Browser) -> None:
    agent = await house.agent()
    await browser.sign_in()
    cookie = browser.cookie
    assert (await browser.post("/logout"))[0] == 303
    browser.bring(cookie)
    assert (await browser.get("/desk"))[0] == 303
    async with house.book.reading() as r:
        found = await r.session.get(Agent, agent.id)
    assert found is not None
    assert found.wish is Wish.off


async def test_a_disabled_agent_is_out_at_once(house: House, browser: Browser) -> None:
    agent = await house.agent()
    await browser.sign_in()
    async with house.book.writing() as w:
        found = await w.session.locked(Agent, agent.id)
        assert found is not None
        found.disabled_at = w.now
    assert (await browser.get("/desk"))[0] == 303
    assert (await browser.post("/desk/state", {"wish": "ready"}))[0] == 401


async def test_a_session_ends_after_half_a_day(house: House, browser: Browser, clock: Clock) -> None:
    await house.agent()
    await browser.sign_in()
    clock.forward(12 * 3600)
    assert (await browser.get("/desk"))[0] == 303


CHANGING = ["/logout", "/desk/state", "/desk/reservations/1/accept", "/desk/reservations/1/reject",
            "/desk/calls/1/hangup", "/desk/calls/1/hold", "/desk/tasks/1/dispose", "/desk/tasks/1/quote", "/desk/beat",
            "/desk/tasks/1/finish", "/desk/tasks/1/call", "/desk/tasks/1/write", "/desk/conversations/1/say",
            "/desk/conversations/1/read", "/desk/help", "/desk/tasks/1/pick", "/desk/tasks/1/transfer",
            "/desk/tasks/1/focus", "/wallboard/sites/1/close", "/wallboard/campaigns/1/pause",
            "/wallboard/nurture/pause", "/wallboard/tasks/1/give", "/wallboard/tasks/1/back", "/wallboard/tasks/1/end",
            "/wallboard/agents/1/state", "/wallboard/agents/1/help", "/desk/calls/1/consult", "/desk/calls/1/complete",
            "/desk/calls/1/takeback", "/desk/consultations/1/leave", "/desk/tasks/1/promise", "/desk/promises/1/move",
            "/desk/promises/1/cancel", "/people/1/absences", "/people/absences/1/delete", "/people/promises/1/owner",
            "/people/1/disable", "/desk/line", "/desk/tasks/1/never", "/desk/quotes/1/snooze", "/desk/quotes/1/wake",
            "/desk/tasks/1/look", "/desk/quotes/1/send", "/desk/quotes/1/again", "/desk/quotes/1/mail",
            "/desk/quotes/1/void", "/wallboard/quotes/1/approve", "/wallboard/quotes/1/refuse",
            "/desk/tasks/1/consent", "/wallboard/alarms/1/wake", "/desk/numbers/1/found",
            "/desk/numbers/1/drop", "/wallboard/quotes/1/release", "/wallboard/quotes/1/void",
            "/wallboard/withdrawals/1/accept", "/sales/1", "/sales/1/countersign", "/sales/1/countersign/refuse",
            "/desk/tasks/1/handout", "/brochures", "/brochures/1/retire"]


async def test_every_changing_door_is_in_the_list_above(house: House) -> None:
    doors = {route.resource.canonical.replace("{id}", "1") for route in house.app.router.routes()
             if route.method == "POST" and route.resource is not None}
    for noun, deed in (
        ("sites", "close"), ("people", "disable"), ("withdrawals", "accept"), ("", "pause"),
    ):
        doors = {door.replace("{to}", deed) if noun in door else door for door in doors}
    assert doors == {*CHANGING, "/login", "/setup/{token}"}


@pytest.mark.parametrize("path", CHANGING)
async def test_nothing_is_changed_for_a_foreign_page_or_without_the_word(
    house: House, browser: Browser, path: str
) -> None:
    await house.agent(ready=False)
    await browser.sign_in()
    foreign = ["null", "https://evil.example", f"{house.url}.evil.example", "http://127.0.0.1:1"]
    answers = [await browser.post(path, {"wish": "ready"}, Origin=origin) for origin in foreign]
    answers.append(await browser.post(path, {"wish": "ready"}, Origin=""))
    answers.append(await browser.post(path, {"wish": "ready"}, **{"Sec-Fetch-Site": "cross-site"}))
    answers.append(await browser.post(path, {"wish": "ready"}, **{"X-CSRF": ""}))
    answers.append(await browser.post(path, {"wish": "ready", "csrf": "guessed"}, **{"X-CSRF": ""}))
    assert [status for status, _ in answers] == [403] * len(answers)
    assert (await browser.get("/desk"))[0] == 200


async def test_a_login_from_a_foreign_page_is_refused(house: House, browser: Browser) -> None:
    await house.agent()
    fields = {"login": "ana", "password": PASSWORD}
    assert (await browser.post("/login", fields, Origin="https://evil.example"))[0] == 403


async def test_who_is_not_signed_in_is_led_to_the_login_and_back(house: House, browser: Browser) -> None:
    await house.agent("sol", role=Role.supervisor)
    async with aiohttp.ClientSession() as session, session.get(
        f"{house.url}/wallboard?x=1&y=2", headers={"Accept": "text/html"}
    ) as answer:
        page = await answer.text()
    assert 'value="/wallboard?x=1&amp;y=2"' in page
    fields = {"login": "sol", "password": PASSWORD, "next": "/wallboard?x=1&y=2"}
    assert (await browser.post("/login", fields))[0] == 303
    assert (await browser.get("/wallboard"))[0] == 200


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "desk", "", "/a\r\nb"])
def test_the_login_leads_nowhere_else(wanted: str) -> None:
    assert safe_next(wanted) == "/desk"


async def _link(house: House) -> str:
    async with house.book.writing() as w:
        return await sessions.make_setup_link(w.session, w.now)


async def test_the_set_up_link_makes_one_administrator_once(house: House, browser: Browser) -> None:
    link = f"/setup/{await _link(house)}"
    assert (await browser.get(link))[0] == 200
    assert (await browser.post(link, SET_UP))[0] == 303
    assert (await browser.get("/wallboard"))[0] == 200
    assert (await browser.post(link, {**SET_UP, "login": "eve"}))[0] == 404
    assert (await browser.get(link))[0] == 404


async def test_of_two_who_use_the_set_up_link_at_once_one_wins(house: House, browser: Browser) -> None:
    link = f"/setup/{await _link(house)}"
    answers = await asyncio.gather(
        *(browser.post(link, {**SET_UP, "login": login}) for login in ("eva", "eve", "eli"))
    )
    assert sorted(status for status, _ in answers) == [303, 404, 404]
    async with house.book.reading() as r:
        assert len(await r.session.scalars(select(Agent))) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("password", "too short"), ("login", "Eva Marín"), ("login", "x"), ("name", "  ")]
)
async def test_a_wrong_field_at_the_set_up_does_not_use_the_link_up(
    house: House, browser: Browser, field: str, value: str
) -> None:
    link = f"/setup/{await _link(house)}"
    status, page = await browser.post(link, {**SET_UP, field: value})
    assert status == 422
    assert 'aria-invalid="true"' in page
    assert (await browser.post(link, SET_UP))[0] == 303


async def test_a_guessed_or_old_set_up_link_opens_nothing(house: House, browser: Browser, clock: Clock) -> None:
    link = f"/setup/{await _link(house)}"
    clock.forward(8 * 86_400)
    assert (await browser.post(link, SET_UP))[0] == 404
    status, page = await browser.get("/setup/guessed")
    assert (status, 'href="/login"' in page, "/desk" in page) == (404, True, False)


async def test_an_error_page_leads_who_works_here_to_the_desk_and_a_stranger_back_to_his_message(
    house: House, browser: Browser
) -> None:
    _, page = await browser.get("/wallboard/stream", Accept="text/html")
    _, strange = await browser.get("/nothing/here")
    assert 'href="/desk"' not in page + strange
    assert "the message it came in" in strange
    await house.agent()
    await browser.sign_in()
    status, page = await browser.get("/wallboard")
    assert (status, 'href="/desk"' in page, "ask a supervisor" in page) == (403, True, True)
    status, page = await browser.get("/nothing/here")
    assert (status, 'href="/desk"' in page, "ask a supervisor" in page) == (404, True, False)
