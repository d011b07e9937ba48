"""Why: three decisions of real rounds, told whole, and each word of them held to what the database says."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import select

from router.actions import dispatch
from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.facts import Fact
from router.model.levels import asked, levels_of, owned
from router.model.tasks import Exclusion, Reservation, Task
from tests import making
from tests.web.desking import Browser, House, browsing, working

WORD = re.compile(r'<li data-code="([a-z_]+)"(?: data-agent="(\d+)" data-because="([a-z_]+)")?>')
STANDING = re.compile(r'<li data-agent="(\d+)" data-because="([a-z_]+)">')


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        yield browser


@pytest.fixture
async def supervisor(house: House) -> Agent:
    return await house.agent("sofia", name="Sofía", locale="en", role=Role.supervisor, wish=Wish.off)


async def team(house: House) -> dict[str, Agent]:
    """One of each: who gets it, and everybody who does not, for a reason of his own."""
    async with house.book.writing() as w:
        now, it = w.now, owned({"it": 2, "es": 1})
        return {
            "best": await making.agent(w, "best", skills=it, idle_since=now - timedelta(minutes=9)),
            "next": await making.agent(w, "next", skills=it, idle_since=now - timedelta(minutes=8)),
            "low": await making.agent(w, "low", skills=owned({"it": 1}), idle_since=now - timedelta(minutes=20)),
            "none": await making.agent(w, "none", skills=["es"], idle_since=now - timedelta(minutes=21)),
            "full": await making.agent(w, "full", skills=it, most_a_day=3, taken=3, day_ends=now + timedelta(hours=1),
                                       idle_since=now - timedelta(minutes=22)),
            "no": await making.agent(w, "no", skills=it, idle_since=now - timedelta(minutes=23)),
            "paused": await making.agent(w, "paused", skills=it, wish=Wish.paused, idle_since=None),
            "away": await making.agent(w, "away", skills=it, heartbeat_at=now - timedelta(minutes=1)),
        }


async def waiting(house: House, *without: Agent, **values: object) -> int:
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        task = await making.task(w, house.queue, lead, skills=asked({"it": 2}), **values)
        for agent in without:
            w.session.add(Exclusion(task_id=task.id, agent_id=agent.id, until=w.now + timedelta(seconds=60)))
        return task.id


async def rounds(house: House) -> int:
    async with house.book.writing() as w:
        return await dispatch.run_round(w, 1)


async def told(browser: Browser, task_id: int) -> str:
    status, page = await browser.get(f"/why/{task_id}")
    assert status == 200
    return unescape(page)


async def test_a_match_names_who_got_it_and_everybody_who_was_passed_over(
    house: House, supervisor: Agent, browser: Browser
) -> None:
    agents = await team(house)
    task_id = await waiting(house, agents["no"])
    assert await rounds(house) == 1
    await browser.sign_in("sofia")
    page = await told(browser, task_id)
    async with house.book.reading() as r:
        (held,) = await r.session.scalars(select(Reservation))
        (reserved,) = await r.session.scalars(select(Fact).where(Fact.kind == "task.reserved"))
        excluded = set(await r.session.scalars(select(Exclusion.agent_id)))
        all_of_them = {one.id: one for one in await r.session.scalars(select(Agent))}
    assert (reserved.subject_id, reserved.agent_id, held.agent_id) == (task_id, agents["best"].id, agents["best"].id)
    passed = {int(agent): because for code, agent, because in WORD.findall(page) if code == "passed_over"}
    assert passed == {
        agents["low"].id: "level", agents["none"].id: "lacks", agents["full"].id: "day_full",
        agents["no"].id: "excluded",
    }
    for agent_id, because in passed.items():
        agent = all_of_them[agent_id]
        true = {
            "level": levels_of(agent.skills).get("it") == 1, "lacks": "it" not in agent.skills,
            "day_full": agent.taken >= agent.most_a_day > 0, "excluded": agent_id in excluded,
        }
        assert [code for code, holds in true.items() if holds] == [because], agent.login
    for said in ("Best: rings", "Later in order: Next.", "Not Low: is below the level: Italian from level 2",
                 "Not None: lacks Italian", "Not Full: has had the day's 3 tasks",
                 "Not No: has just declined or missed it", "Has what is needed: Italian from level 2",
                 "Chosen because free for longest; free for 9", "Rules of version 1", "First in its class"):
        assert said in page, said


async def test_who_waits_for_nobody_has_a_reason_for_every_agent_of_the_line(
    house: House, supervisor: Agent, browser: Browser
) -> None:
    agents = await team(house)
    task_id = await waiting(house, agents["no"], agents["best"], agents["next"])
    assert await rounds(house) == 0
    await browser.sign_in("sofia")
    page = await told(browser, task_id)
    standings = {int(agent): because for agent, because in STANDING.findall(page)}
    assert standings == {
        supervisor.id: "lacks", agents["low"].id: "level", agents["none"].id: "lacks", agents["full"].id: "day_full",
        agents["no"].id: "excluded", agents["best"].id: "excluded", agents["next"].id: "excluded",
        agents["paused"].id: "paused", agents["away"].id: "unreachable",
    }
    async with house.book.reading() as r:
        assert set(await r.session.scalars(select(Agent.id))) == standings.keys()


async def test_an_idle_agent_is_told_exactly_why_nothing_comes(house: House, browser: Browser) -> None:
    ana = await house.agent(skills=["es"], locale="en")
    async with house.book.writing() as w:
        busy = {"call_load": 1, "busy_since": w.now, "chat_capacity": 0, "video_capacity": 0}
        eva = await making.agent(w, "eva", skills=["es"], **busy)
        for n in range(3):
            lead = await making.lead(w, house.queue, f"+120255501{n:02d}")
            await making.task(w, house.queue, lead, skills=["it"])
        mine = await making.task(w, house.queue, await making.lead(w, house.queue, "+12025550150"), skills=["es"])
        w.session.add(Exclusion(task_id=mine.id, agent_id=ana.id, until=w.now + timedelta(seconds=60)))
        kept = await making.lead(w, house.queue, "+12025550151")
        await making.task(w, house.queue, kept, skills=["es"], prefers=eva.id,
                          prefers_until=w.now + timedelta(seconds=20))
    assert await rounds(house) == 0
    await browser.sign_in()
    _, page = await browser.get("/desk")
    for said in ("3 wait and need Italian, which you do not have.", "1 waits that you have just declined or missed.",
                 "1 waits for Eva, who has spoken with the person."):
        assert said in page, said


async def test_a_ring_says_why_it_rings_here(house: House, browser: Browser) -> None:
    await house.agent(skills=["es"], locale="en")
    async with house.book.writing() as w:
        await making.task(w, house.queue, await making.lead(w, house.queue), skills=["es"])
    assert await rounds(house) == 1
    await browser.sign_in()
    _, page = await browser.get("/desk")
    assert "Why me?" in page
    async with house.book.reading() as r:
        (held,) = await r.session.scalars(select(Reservation))
    assert f'hx-get="/desk/reservations/{held.id}/why"' in page
    status, reasons = await browser.get(f"/desk/reservations/{held.id}/why")
    assert (status, "Has what is needed: Spanish." in reasons) == (200, True)
    await house.agent("eva")
    async with browsing(house) as other:
        await other.sign_in("eva")
        assert (await other.get(f"/desk/reservations/{held.id}/why"))[0] == 404, "it rings at somebody else"


async def test_only_supervisors_see_it_and_what_is_not_there_is_said_so(
    house: House, supervisor: Agent, browser: Browser
) -> None:
    await house.agent()
    task_id = await waiting(house)
    assert (await browser.get(f"/why/{task_id}"))[0] in (302, 303, 401)
    await browser.sign_in()
    assert (await browser.get(f"/why/{task_id}"))[0] == 403
    async with browsing(house) as other:
        await other.sign_in("sofia")
        assert (await other.get("/why/999999"))[0] == 404
        assert (await other.get("/why/9223372036854775808"))[0] in (400, 404)
        async with house.book.reading() as r:
            assert (await r.session.get(Task, task_id)) is not None
        page = await told(other, task_id)
    assert "can take it" not in page


async def test_a_decision_is_told_by_the_campaigns_clock(house: House, supervisor: Agent, browser: Browser) -> None:
    agents = await team(house)
    task_id = await waiting(house, agents["no"])
    assert await rounds(house) == 1
    await browser.sign_in("sofia")
    page = await told(browser, task_id)
    assert re.search(r"\d\d:\d\d CES?T", page)
    assert "UTC" not in page


async def test_nobody_is_said_to_be_waited_for_whom_a_round_does_not_wait_for(
    house: House, supervisor: Agent, browser: Browser
) -> None:
    async with house.book.writing() as w:
        able = await making.agent(w, "able", skills=["it"])
        owner = await making.agent(w, "owner")
        task = await making.task(w, house.queue, await making.lead(w, house.queue), skills=["it"], prefers=owner.id,
                                 prefers_until=w.now + timedelta(seconds=600))
    await browser.sign_in("sofia")
    standings = dict(STANDING.findall(await told(browser, task.id)))
    assert standings[str(able.id)] == "able", "the owner could not take it"
    assert await rounds(house) == 1
