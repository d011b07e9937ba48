"""A call the agent promises at his desk, and the page on which supervisors see who will be away and who owes what."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from router.book import Book
from router.model.absences import Absence
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.promises import Promise, PromiseMode, PromiseState
from router.model.sessions import Session
from router.model.tasks import Task, TaskState
from router.model.zones import ZoneSource
from tests import making
from tests.conftest import Clock
from tests.web.desking import Browser, House, browsing, working
from tests.web.test_desk import HOSTILE

WHEN = {"day": "2026-11-24", "time": "15:30", "zone": "Europe/Madrid", "mode": "personal_strict"}


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


@pytest.fixture
async def task(house: House, ana: Agent) -> Task:
    """What ana is wrapping up."""
    async with house.book.writing() as w:
        task = await making.task(w, house.queue, await making.lead(w, house.queue))
        await w.session.execute(update(Agent).where(Agent.id == ana.id).values(call_load=1, busy_since=w.now))
        for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            assert await w.move(Task, task.id, state, agent_id=ana.id)
        return task


async def free(house: House, ana: Agent) -> None:
    async with house.book.writing() as w:
        await w.session.execute(update(Task).values(state=TaskState.closed, ended_at=w.now).where(
            Task.state == TaskState.wrapping))
        await w.session.execute(update(Agent).where(Agent.id == ana.id).values(call_load=0, busy_since=None))


async def promised(house: House) -> list[Promise]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(Promise).order_by(Promise.id)))


def query(**values: str) -> str:
    return "&".join(f"{name}={value.replace(':', '%3A')}" for name, value in values.items())


async def test_the_time_is_read_back_with_its_zone_before_it_is_promised(
    house: House, desk: Browser, task: Task
) -> None:
    status, answer = await desk.get(f"/desk/tasks/{task.id}/callback?{query(**WHEN)}")
    assert status == 200
    assert "Tuesday, November 24, 2026, 15:30 CET" in answer
    assert "Clock of Madrid, UTC+01:00" in answer
    assert await promised(house) == []


@pytest.mark.parametrize(("day", "time", "said"), [
    ("2027-03-28", "02:30", "jumps over"), ("2027-10-31", "02:30", "twice"),
])
async def test_what_the_clock_does_that_night_is_said(
    house: House, desk: Browser, task: Task, clock: Clock, day: str, time: str, said: str
) -> None:
    clock.now = datetime.fromisoformat(f"{day}T00:00Z") - timedelta(days=1)
    async with house.book.writing() as w:
        await w.session.execute(update(Session).values(expires_at=clock.now.replace(year=2030)))
    _, answer = await desk.get(f"/desk/tasks/{task.id}/callback?{query(day=day, time=time, zone='Europe/Madrid')}")
    assert said in answer


async def test_a_promise_is_made_shown_moved_and_taken_back(
    house: House, desk: Browser, task: Task, ana: Agent
) -> None:
    status, answer = await desk.post(f"/desk/tasks/{task.id}/promise", dict(WHEN))
    assert status == 200
    assert "My promises" in answer
    (made,) = await promised(house)
    assert (made.wall, made.mode, made.agent_id) == ("2026-11-24T15:30", PromiseMode.personal_strict, ana.id)
    assert (await desk.post(f"/desk/promises/{made.id}/move", {"day": "2026-11-25", "time": "16:00"}))[0] == 200
    moved = (await promised(house))[-1]
    assert (moved.wall, moved.mode) == ("2026-11-25T16:00", PromiseMode.personal_strict)
    assert (await desk.post(f"/desk/promises/{made.id}/cancel"))[0] == 409
    assert (await desk.post(f"/desk/promises/{moved.id}/cancel"))[0] == 200
    assert [one.state for one in await promised(house)] == [PromiseState.moved, PromiseState.canceled]


async def test_a_free_time_can_be_chosen_instead(house: House, desk: Browser, task: Task) -> None:
    _, answer = await desk.get(f"/desk/tasks/{task.id}/free")
    first = vouched(re.search(r'value="(2026[^"]+)"', answer))[1]
    status, answer = await desk.get(
        f"/desk/tasks/{task.id}/callback?{query(slot=first, zone='Europe/Madrid', mode='team')}")
    assert status == 200
    assert "the team" in answer


BAD = [
    {"day": ""}, {"day": "2026-02-30"}, {"time": "25:00"}, {"time": "noon"}, {"zone": HOSTILE}, {"zone": "../../etc"},
    {"mode": "everybody"}, {"slot": "2026-11-24T15:30"}, {"day": "2020-01-01"}, {"day": "9999-12-31"},
    {"day": "0001-01-01"}, {"zone": "Europe/Madrid\x00"},
]


@pytest.mark.parametrize("bad", BAD)
async def test_bad_input_is_told_so_and_nothing_is_promised(
    house: House, desk: Browser, task: Task, bad: dict[str, str]
) -> None:
    status, _ = await desk.post(f"/desk/tasks/{task.id}/promise", {**WHEN, **bad})
    assert status in (400, 409, 422)
    assert await promised(house) == []


async def test_another_agents_task_and_promise_are_not_his(house: House, desk: Browser, task: Task) -> None:
    bea = await house.agent("bea", locale="en")
    async with house.book.writing() as w:
        await w.session.execute(update(Task).where(Task.id == task.id).values(agent_id=bea.id))
    assert (await desk.get(f"/desk/tasks/{task.id}/callback?{query(**WHEN)}"))[0] == 404
    assert (await desk.post(f"/desk/tasks/{task.id}/promise", dict(WHEN)))[0] == 409
    assert (await desk.post("/desk/promises/9999999999999999999/cancel"))[0] == 404


async def test_agents_do_not_see_the_people_page(desk: Browser) -> None:
    assert (await desk.get("/people"))[0] == 403
    assert (await desk.post("/people/1/disable"))[0] == 403


async def test_an_absence_is_noted_and_taken_back(house: House, board: Browser, ana: Agent) -> None:
    sent = {"from": "2026-11-24T09:00", "to": "2026-11-25T18:00", "reason": HOSTILE}
    assert (await board.post(f"/people/{ana.id}/absences", sent))[0] == 303
    async with house.book.reading() as r:
        absence = vouched(await r.session.scalar(select(Absence)))
    assert f"{absence.starts_at:%d %H:%M}" == "24 08:00"
    _, page = await board.get("/people")
    assert "<img src=x" not in page
    assert (await board.post(f"/people/absences/{absence.id}/delete"))[0] == 303
    assert (await board.post(f"/people/absences/{absence.id}/delete"))[0] == 404
    for bad in ({"from": ""}, {"to": "2026-11-23"}, {"from": "yesterday"}, {"to": "2026-11-24T09:00Z"}):
        assert (await board.post(f"/people/{ana.id}/absences", {**sent, **bad}))[0] == 422


async def test_who_owes_a_call_is_disabled_after_it_is_anothers(
    house: House, desk: Browser, board: Browser, task: Task, ana: Agent
) -> None:
    await desk.post(f"/desk/tasks/{task.id}/promise", dict(WHEN))
    await free(house, ana)
    status, said = await board.post(f"/people/{ana.id}/disable")
    assert status == 409
    assert "Give them to somebody else first" in said
    (made,) = await promised(house)
    _, page = await board.get("/people")
    assert f"/people/promises/{made.id}/owner" in page
    assert (await board.post(f"/people/promises/{made.id}/owner", {"agent": "x"}))[0] == 422
    assert (await board.post(f"/people/promises/{made.id}/owner", {"agent": ""}))[0] == 303
    assert (await board.post(f"/people/{ana.id}/disable"))[0] == 303
    assert (await desk.get("/desk"))[0] == 303  # signed out
    assert (await board.post(f"/people/{ana.id}/enable"))[0] == 303


async def test_nobody_disables_who_stands_above_him(house: House, board: Browser) -> None:
    root = await house.agent("root", role=Role.admin, ready=False)
    assert (await board.post(f"/people/{root.id}/disable"))[0] == 403


async def test_the_wallboard_shows_a_promise_in_danger_without_its_person(
    house: House, desk: Browser, board: Browser, task: Task, ana: Agent
) -> None:
    await desk.post(f"/desk/tasks/{task.id}/promise", dict(WHEN))
    sent = {"from": "2026-11-24T09:00", "to": "2026-11-25T18:00", "reason": ""}
    await board.post(f"/people/{ana.id}/absences", sent)
    _, page = await board.get("/wallboard")
    assert "Promised for Tue 24 Nov, 15:30 CET: absence" in page
    assert "Carmen" not in page


async def test_a_promise_is_shown_by_the_persons_clock_and_by_the_agents_where_they_differ(
    house: House, desk: Browser, task: Task
) -> None:
    here = {**WHEN, "zone": "Europe/Madrid"}
    _, answer = await desk.post(f"/desk/tasks/{task.id}/promise", here)
    assert "Tue 24 Nov, 15:30 CET" in answer
    assert "your clock" not in answer
    _, answer = await desk.post(f"/desk/tasks/{task.id}/promise", {**here, "zone": "America/New_York"})
    assert "Tue 24 Nov, 15:30 EST" in answer
    assert "your clock: Tue 24 Nov, 21:30 CET" in answer


async def test_a_call_is_promised_by_the_clock_the_person_lives_by(
    house: House, desk: Browser, task: Task
) -> None:
    def shown(page: str) -> str:
        return vouched(re.search(r'id="callback-zone" value="([^"]+)"', page))[1]

    assert shown((await desk.get("/desk"))[1]) == "America/New_York"
    async with house.book.writing() as w:
        await w.session.execute(update(Contact).values(zone="America/Denver", zone_source=ZoneSource.stated))
    assert shown((await desk.get("/desk"))[1]) == "America/Denver"
    await desk.post(f"/desk/tasks/{task.id}/promise", {**WHEN, "zone": "Atlantic/Canary"})
    assert shown((await desk.get("/desk"))[1]) == "Atlantic/Canary", "as he chose a time before"
