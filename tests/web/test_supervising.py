"""What a supervisor does from the wallboard and an agent from his desk, at the doors: who may, and what bad input
gets."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from router.actions import dispatch, presence, supervising, wrapping
from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.alarms import Alarm, AlarmState
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue, Switch, WrapMode
from router.model.facts import Fact
from router.model.tasks import Task, TaskKind, TaskState
from router.model.trunks import Trunk
from router.model.trust_accounts import ServiceName, TrustAccount
from tests import making
from tests.conftest import Clock
from tests.web.desking import Browser, House, browsing, ring, working
from tests.web.test_desk import HOSTILE

DEEDS = {
    "/wallboard/nurture/pause": {}, "/wallboard/nurture/resume": {},
    "/wallboard/campaigns/1/pause": {}, "/wallboard/campaigns/1/resume": {},
    "/wallboard/tasks/1/give": {"agent": "1"}, "/wallboard/tasks/1/back": {}, "/wallboard/tasks/1/end": {},
    "/wallboard/agents/1/state": {"wish": "off"}, "/wallboard/agents/1/help": {},
    "/wallboard/alarms/1/wake": {},
}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en")


@pytest.fixture
async def desk(house: House, ana: Agent) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


@pytest.fixture
async def board(house: House, ana: Agent) -> AsyncIterator[Browser]:
    """The browser of a supervisor."""
    await house.agent("sol", role=Role.supervisor, locale="en", ready=False)
    async with browsing(house) as browser:
        await browser.sign_in("sol")
        yield browser


async def agent(house: House, key: int) -> Agent:
    async with house.book.reading() as r:
        return vouched(await r.session.get(Agent, key))


async def deeds_told(house: House) -> int:
    async with house.book.reading() as r:
        return len(await r.session.scalars(select(Fact).where(Fact.data["by"].astext.is_not(None))))


async def waiting(house: House, phone: str = "+12025550102", **values: object) -> Task:
    async with house.book.writing() as w:
        return await making.task(w, house.queue, await making.lead(w, house.queue, phone), **values)


def text_of(page: str, region: str) -> str:
    inner = page[page.index(f'<section id="{region}"'):]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", inner[:inner.index("</section>")]))


@pytest.mark.parametrize("path", DEEDS)
async def test_an_agent_and_a_stranger_may_do_nothing_here(house: House, desk: Browser, path: str) -> None:
    await ring(house, await house.agent("bea"))
    assert (await desk.post(path, DEEDS[path]))[0] == 403
    async with browsing(house) as stranger:
        assert (await stranger.post(path, DEEDS[path]))[0] == 401
    assert await deeds_told(house) == 0


@pytest.mark.parametrize("path", DEEDS)
async def test_a_supervisor_needs_the_word_of_his_own_page(house: House, board: Browser, path: str) -> None:
    await ring(house, await house.agent("bea"))
    for headers in ({"X-CSRF": "forged"}, {"X-CSRF": ""}, {"Origin": "https://evil.example"}):
        assert (await board.post(path, DEEDS[path], **headers))[0] == 403
    assert (await board.get(path))[0] == 405
    assert await deeds_told(house) == 0


@pytest.mark.parametrize("path", [path for path in DEEDS if "1" in path])
async def test_numbers_that_name_nothing_are_not_found(house: House, board: Browser, path: str) -> None:
    for number in (10**18, 2**63, 99):
        status, answer = await board.post(path.replace("1", str(number)), DEEDS[path])
        assert status in ((404, 409) if "/tasks/" in path and number != 2**63 else (404,)), (number, answer)
    assert (await board.post(path.replace("1", "9" * 20), DEEDS[path]))[0] == 404
    assert await deeds_told(house) == 0


async def test_an_administrator_may_do_it_too(house: House, ana: Agent) -> None:
    await house.agent("root", role=Role.admin, locale="en", ready=False)
    async with browsing(house) as browser:
        await browser.sign_in("root")
        assert (await browser.post("/wallboard/nurture/pause"))[0] == 200


async def test_the_switches_of_the_house_are_pressed_and_shown(house: House, board: Browser) -> None:
    async with house.book.writing() as w:
        campaign = vouched(await w.session.locked(Campaign, 1))
        campaign.name = f"Luz {HOSTILE}"
    _, page = await board.get("/wallboard")
    assert "<img" not in page
    assert text_of(page, "house").count("running") == 2
    _, parts = await board.post("/wallboard/nurture/pause")
    assert "paused by Sol" in text_of(parts, "house")
    _, parts = await board.post("/wallboard/campaigns/1/pause")
    assert text_of(parts, "house").count("paused") == 2
    assert "/wallboard/campaigns/1/resume" in parts
    async with house.book.reading() as r:
        assert [one.name for one in await r.session.scalars(select(Switch))] == ["nurture"]
    await board.post("/wallboard/campaigns/1/resume")
    _, parts = await board.post("/wallboard/nurture/resume")
    assert text_of(parts, "house").count("running") == 2
    assert await deeds_told(house) == 4


async def test_what_waits_is_named_without_its_person_and_given_to_who_can_take_it(
    house: House, board: Browser, ana: Agent
) -> None:
    task = await waiting(house, skills=[], tier=2)
    await waiting(house, "+12025550103", skills=["it", "it:2"], tier=0)
    _, page = await board.get("/wallboard")
    said = text_of(page, "waiting")
    assert "Carmen" not in page
    assert "2025550102" not in page
    assert f"#{task.id} Ventas call, fresh request needs no skill Give to Choose… Ana" in said
    assert "call, waits now needs it 2 nobody can take it now" in said
    status, parts = await board.post(f"/wallboard/tasks/{task.id}/give", {"agent": str(ana.id)})
    assert status == 200
    assert "Ringing" in text_of(parts, "team")
    assert f"#{task.id}" not in text_of(parts, "waiting")
    status, parts = await board.post(f"/wallboard/tasks/{task.id}/back")
    assert f"#{task.id}" in text_of(parts, "waiting")
    assert (await agent(house, ana.id)).load == 0


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [("", 422, "Choose an agent"), ("ana", 422, "not one of the choices"), ("-1", 422, "not one of the choices"),
     ("1" * 30, 422, "not one of the choices"), ("\N{ARABIC-INDIC DIGIT ONE}", 422, "not one of the choices"),
     ("99", 404, "no such agent"), ("disabled", 404, "no such agent"), ("2", 409, "Sol is not ready")],
)
async def test_who_cannot_be_given_a_task_is_told_in_words(
    house: House, board: Browser, given: str, status: int, said: str
) -> None:
    gone = await house.agent("gone")
    async with house.book.writing() as w:
        vouched(await w.session.locked(Agent, gone.id)).disabled_at = w.now
    task = await waiting(house)
    chosen = {"agent": str(gone.id) if given == "disabled" else given}
    answer = await board.post(f"/wallboard/tasks/{task.id}/give", chosen)
    assert answer[0] == status
    assert said in answer[1]
    assert (await board.post(f"/wallboard/tasks/{task.id}/give"))[0] == 422
    assert await deeds_told(house) == 0


async def test_an_agents_state_is_set_and_his_desk_says_by_whom(
    house: House, board: Browser, desk: Browser, ana: Agent
) -> None:
    status, parts = await board.post(f"/wallboard/agents/{ana.id}/state", {"wish": "paused"})
    assert status == 200
    assert "by a supervisor" in text_of(parts, "team")
    assert "is paused" not in text_of(parts, "attention"), "a supervisor knows what he has done himself"
    _, page = await desk.get("/desk")
    assert "A supervisor has set this." in text_of(page, "me")
    assert 'id="back-to-ready"' in page
    for wish in ("ready_once", "asleep", "", "READY"):
        assert (await board.post(f"/wallboard/agents/{ana.id}/state", {"wish": wish}))[0] == 422
    async with house.book.writing() as w:
        vouched(await w.session.locked(Agent, ana.id)).disabled_at = w.now
    assert (await board.post(f"/wallboard/agents/{ana.id}/state", {"wish": "ready"}))[0] == 404


@pytest.mark.parametrize(
    ("reason", "said"),
    [("missed", "You did not answer twice in a row"), ("once", "You were ready for one task only"),
     ("wrap", "You did not end a wrap-up in time")],
)
async def test_the_desk_says_why_the_house_has_paused_its_agent_and_one_click_brings_him_back(
    house: House, desk: Browser, board: Browser, ana: Agent, reason: str, said: str
) -> None:
    async with house.book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.paused, reason=reason)
    _, page = await desk.get("/desk")
    assert said in text_of(page, "me")
    assert said in text_of(page, "work")
    _, wall = await board.get("/wallboard")
    assert "Ana is paused" in text_of(wall, "attention")
    _, parts = await desk.post("/desk/state", {"wish": "ready"})
    assert said not in parts
    _, wall = await board.get("/wallboard")
    assert "Nobody needs you at the moment" in text_of(wall, "attention")


async def test_of_many_whom_the_house_has_paused_some_are_named_and_all_counted(house: House, board: Browser) -> None:
    async with house.book.writing() as w:
        for n in range(20):
            one = await making.agent(w, f"agent{n:02}")
            await presence.set_wish(w, one.id, Wish.paused, reason="missed")
    _, page = await board.get("/wallboard")
    assert text_of(page, "attention").count(" is paused") == 12
    assert "Also paused by the house: 8" in text_of(page, "attention")


async def test_help_is_asked_for_only_with_a_task_seen_on_the_wall_and_answered(
    house: House, board: Browser, desk: Browser, ana: Agent
) -> None:
    assert 'id="help"' not in (await desk.get("/desk"))[1]
    status, answer = await desk.post("/desk/help", {"on": "1"})
    assert (status, "no task to be helped with" in answer) == (409, True)
    await ring(house, ana)
    assert "Ask for help" in text_of((await desk.get("/desk"))[1], "me")
    for on in ("2", "", "on"):
        assert (await desk.post("/desk/help", {"on": on}))[0] == 422
    _, parts = await desk.post("/desk/help", {"on": "1"})
    assert "You have asked for help" in text_of(parts, "me")
    _, wall = await board.get("/wallboard")
    assert "Ana asks for help Ringing asking for" in text_of(wall, "attention")
    assert "Carmen" not in wall
    status, parts = await board.post(f"/wallboard/agents/{ana.id}/help")
    assert (status, "asks for help" in parts) == (200, False)
    assert "Sol is coming Ask for help" in text_of((await desk.get("/desk"))[1], "me")
    assert (await board.post(f"/wallboard/agents/{ana.id}/help"))[0] == 409
    await desk.post("/desk/help", {"on": "1"})
    await desk.post("/desk/help", {"on": "0"})
    assert (await agent(house, ana.id)).help_at is None
    async with browsing(house) as stranger:
        assert (await stranger.post("/desk/help", {"on": "1"}))[0] == 401


async def test_a_wrap_up_past_its_time_is_shown_and_ended_once(
    house: House, board: Browser, ana: Agent, clock: Clock
) -> None:
    task = await waiting(house, kind=TaskKind.chat)
    async with house.book.writing() as w:
        vouched(await w.session.locked(Queue, house.queue.id)).wrap_mode = WrapMode.until_done
        await supervising.give(w, task.id, ana.id, ana.id)
    async with house.book.writing() as w:
        await dispatch.accept(w, 1, ana.id)
        await wrapping.begin_task(w, vouched(await w.session.locked(Task, task.id)))
    _, page = await board.get("/wallboard")
    assert "past its time" not in page
    assert f"/wallboard/tasks/{task.id}/end" in page
    clock.forward(601)
    _, page = await board.get("/wallboard")
    assert "Ana: the wrap-up is past its time" in text_of(page, "attention")
    assert (await board.post(f"/wallboard/tasks/{task.id}/end"))[0] == 200
    status, answer = await board.post(f"/wallboard/tasks/{task.id}/end")
    assert (status, "not in wrap-up any more" in answer) == (409, True)
    async with house.book.reading() as r:
        assert vouched(await r.session.get(Task, task.id)).state is TaskState.closed
    assert (await agent(house, ana.id)).load == 0


async def test_hold_takes_only_yes_or_no(house: House, desk: Browser) -> None:
    assert (await desk.post("/desk/calls/1/hold", {"on": "2"}))[0] == 422


async def test_an_idle_agent_reads_that_what_waits_is_paused_and_who_gave_what_rings(
    house: House, board: Browser, desk: Browser, ana: Agent
) -> None:
    nurture = await waiting(house, kind=TaskKind.nurture, tier=6)
    fresh = await waiting(house, "+12025550103", tier=2)
    await board.post("/wallboard/nurture/pause")
    await board.post("/wallboard/campaigns/1/pause")
    said = text_of((await desk.get("/desk"))[1], "work")
    assert "1 waits until nurture goes on, which is paused." in said
    assert "1 waits in a campaign that is paused." in said
    _, page = await board.get(f"/why/{fresh.id}")
    assert "it is not handed out: paused by a supervisor" in page
    await board.post("/wallboard/campaigns/1/resume")
    assert "campaign that is paused" not in (await desk.get("/desk"))[1]
    await board.post("/wallboard/nurture/resume")
    await board.post(f"/wallboard/tasks/{nurture.id}/give", {"agent": str(ana.id)})
    (held,) = re.findall(r"/desk/reservations/(\d+)/why", (await desk.get("/desk"))[1])
    assert "Given by hand by Sol." in (await desk.get(f"/desk/reservations/{held}/why"))[1]


async def test_names_of_agents_are_shown_and_not_obeyed(house: House, board: Browser) -> None:
    async with house.book.writing() as w:
        one = await making.agent(w, "x", heartbeat_at=w.now + timedelta(seconds=1))
        one.name = HOSTILE
        await presence.set_wish(w, one.id, Wish.paused, reason="missed")
        two = await making.agent(w, "y")
        two.name = HOSTILE
    await waiting(house)
    _, page = await board.get("/wallboard")
    assert "<img" not in page
    assert page.count("&lt;img src=x") > 3


async def test_what_failed_five_times_is_shown_and_tried_again_by_a_press(house: House, board: Browser) -> None:
    async with house.book.writing() as w:
        w.session.add(Alarm(kind="quote.check", subject_id=3, due_at=w.now, state=AlarmState.parked, failures=5))
    _, page = await board.get("/wallboard")
    assert "Something that was due has failed five times" in page
    assert "quote.check" in page
    status, page = await board.post("/wallboard/alarms/1/wake")
    assert (status, "has failed five times" in page) == (200, False)
    assert (await board.post("/wallboard/alarms/1/wake"))[0] == 409


async def test_a_line_on_which_calls_fail_is_said_on_the_board(house: House, board: Browser) -> None:
    async with house.book.writing() as w:
        w.session.add(Trunk(caller_id="+34910000000", failing_since=w.now, paused_until=w.now + timedelta(minutes=1)))
        lead = await making.lead(w, house.queue)
        await making.task(w, house.queue, lead, tier=4)
    _, page = await board.get("/wallboard")
    assert "fail at the carrier" in page
    assert "calls fail at the carrier" in page, "and beside the task that waits for it"


async def test_a_third_party_of_trust_that_fails_is_said_on_the_board(house: House, board: Browser) -> None:
    async with house.book.writing() as w:
        w.session.add(TrustAccount(
            campaign_id=house.queue.campaign_id, service=ServiceName.custody, url="https://keeper.example/vault",
            sealed=b"", settings={"keeper": "<b>Notaría</b>"}, failing_since=w.now,
        ))  # fmt: skip
    _, page = await board.get("/wallboard")
    assert "&lt;b&gt;Notaría&lt;/b&gt;, which keeps the evidence of" in page
    assert "Nobody needs you" not in page
