"""Rounds by rules: levels, owners, channels, newest first, days that are full; and what becomes of who waits long."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import aging, conversing, dispatch, presence, replying, wrapping
from router.book import Book, Writing
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.errors import Conflict
from router.model.facts import Fact
from router.model.levels import asked, owned
from router.model.routing import ORDINARY, Expected, Policy
from router.model.tasks import Exclusion, Reservation, ReservationState, Task, TaskKind, TaskState
from router.store import forecast
from tests import making
from tests.conftest import Clock
from tests.invariants import check


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        return await making.queue(w, await making.campaign(w))


async def waits(w: Writing, queue: Queue, n: int, **values: Any) -> int:
    lead = await making.lead(w, queue, f"+121255501{n:02d}")
    return (await making.task(w, queue, lead, **values)).id


async def rung(book: Book, policy: Policy = ORDINARY) -> dict[int, int]:
    """One round, and whom it rings at: agents by tasks."""
    async with book.writing() as w:
        await dispatch.run_round(w, 1, policy)
    async with book.reading() as r:
        await check(r.session)
        pending = select(Reservation).where(Reservation.state == ReservationState.pending)
        return {one.task_id: one.agent_id for one in await r.session.scalars(pending)}


async def answered(book: Book, agent_id: int, *, accept: bool = True) -> None:
    async with book.writing() as w:
        (held,) = await w.session.scalars(select(Reservation).where(
            Reservation.agent_id == agent_id, Reservation.state == ReservationState.pending))
        await (dispatch.accept(w, held.id, agent_id) if accept else dispatch.reject(w, held.id, agent_id))


async def row(book: Book, noun: type[Any], key: int) -> Any:
    async with book.reading() as r:
        return await r.session.get(noun, key)


async def facts(book: Book, kind: str) -> list[Fact]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Fact).where(Fact.kind == kind).order_by(Fact.id)))


async def test_a_level_that_is_too_low_is_not_rung(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        await making.agent(w, "low", skills=owned({"it": 1}), idle_since=w.now - timedelta(hours=1))
        high = await making.agent(w, "high", skills=owned({"it": 3}))
        task = await waits(w, queue, 1, skills=asked({"it": 2}))
    assert await rung(book) == {task: high.id}


async def test_the_rules_frozen_on_the_task_choose_the_agent_and_are_named(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        await making.rules(w, queue, agents_by="most_skilled")
        await making.agent(w, "idle", skills=owned({"it": 1}), idle_since=w.now - timedelta(hours=1))
        best = await making.agent(w, "best", skills=owned({"it": 3}))
        task = await waits(w, queue, 1, skills=["it"])
    assert await rung(book) == {task: best.id}
    async with book.reading() as r:
        (held,) = await r.session.scalars(select(Reservation))
    codes = {reason["code"]: reason for reason in held.why}
    assert codes["most_skilled"]["levels"] == {"it": 3}
    assert codes["rules"]["version"] == 2


async def test_weights_and_occupancy_of_the_day_decide_where_the_rules_say_so(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        await making.rules(w, queue, agents_by="weighted_share")
        day = {"day_ends": w.now + timedelta(hours=1)}
        await making.agent(w, "half", taken=4, weight=1.0, idle_since=w.now - timedelta(hours=1), **day)
        double = await making.agent(w, "double", taken=6, weight=2.0, **day)
        task = await waits(w, queue, 1)
    assert await rung(book) == {task: double.id}
    async with book.writing() as w:
        await making.rules(w, queue, agents_by="least_occupied")
        calm = await making.agent(w, "calm", busy_ms=100, idle_ms=900, **day)
        await making.agent(w, "hot", busy_ms=900, idle_ms=100, idle_since=w.now - timedelta(hours=1), **day)
        for login in ("half",):
            (one,) = await w.session.scalars(select(Agent).where(Agent.login == login))
            one.wish = Wish.off
        other = await waits(w, queue, 2)
    assert (await rung(book))[other] == calm.id


async def test_newest_first_has_a_floor_below_which_nobody_is_overtaken(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        await making.rules(w, queue, newest_first=True, floor_seconds=600)
        first = await waits(w, queue, 1)
    clock.forward(300)
    async with book.writing() as w:
        middle = await waits(w, queue, 2)
    clock.forward(240)
    async with book.writing() as w:
        newest = await waits(w, queue, 3)
        ana = await making.agent(w)
    assert await rung(book) == {newest: ana.id}
    clock.forward(61)
    async with book.writing() as w:
        eva = await making.agent(w, "eva")
        await presence.beat(w, [ana.id, eva.id])
    assert (await rung(book))[first] == eva.id, "he has waited 601 s: nobody newer goes before him"
    assert (await row(book, Task, middle)).state is TaskState.queued


async def test_below_the_floor_nobody_is_overtaken_however_many_are_free_or_have_said_no(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        await making.rules(w, queue, newest_first=True, floor_seconds=100)
        refused = await waits(w, queue, 1)
    clock.forward(1)
    async with book.writing() as w:
        late = [await waits(w, queue, n) for n in (2, 3)]
    clock.forward(120)
    async with book.writing() as w:
        agents = [(await making.agent(w, f"agent{n}")).id for n in range(2)]
        for agent in agents:
            w.session.add(Exclusion(task_id=refused, agent_id=agent, until=w.now + timedelta(minutes=1)))
        for n in range(4, 9):
            await waits(w, queue, n)
    assert set(await rung(book)) == set(late)


@pytest.mark.parametrize("unable", [{"pool": 2}, {"skills": []}, {"call_capacity": 0}, "missed", "full"])
async def test_nobody_waits_for_an_owner_who_could_not_take_it(
    book: Book, queue: Queue, unable: dict[str, Any] | str
) -> None:
    values: dict[str, Any] = unable if isinstance(unable, dict) else {}
    async with book.writing() as w:
        owner = await making.agent(w, "owner", **{"skills": ["it"], **values})
        if unable == "full":
            owner.most_a_day, owner.taken, owner.day_ends = 1, 1, w.now + timedelta(hours=1)
        free = await making.agent(w, "free", skills=["it"])
        kept = await waits(w, queue, 1, skills=["it"], prefers=owner.id, prefers_until=w.now + timedelta(minutes=5))
        if unable == "missed":
            w.session.add(Exclusion(task_id=kept, agent_id=owner.id, until=w.now + timedelta(minutes=1)))
    assert await rung(book) == {kept: free.id}


async def test_a_task_is_kept_for_its_owner_who_is_there_and_costs_him_no_turn(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        await making.rules(w, queue, owner_seconds=20)
        owner = await making.agent(w, "owner", idle_since=w.now - timedelta(minutes=1))
        other = await making.agent(w, "other", idle_since=w.now - timedelta(hours=1))
        kept = await waits(w, queue, 1, prefers=owner.id, prefers_until=w.now + timedelta(seconds=20))
    assert await rung(book) == {kept: owner.id}
    async with book.reading() as r:
        (held,) = await r.session.scalars(select(Reservation))
    assert not held.costs_turn
    before = owner.idle_since
    assert before is not None
    await answered(book, owner.id)
    clock.forward(100)
    async with book.writing() as w:
        task = await w.session.locked(Task, kept)
        assert task is not None
        await w.move(Task, kept, TaskState.engaged)
        await wrapping.begin_task(w, task)
        await wrapping.wrap_up_ends(w, kept)
    assert (await row(book, Agent, owner.id)).idle_since == before + timedelta(seconds=100)
    assert (await row(book, Agent, other.id)).wish is Wish.ready


async def test_an_owner_who_is_busy_is_waited_for_so_long_and_one_who_is_away_not_at_all(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        busy = await making.agent(w, "busy", call_load=1, busy_since=w.now, chat_capacity=0, video_capacity=0)
        away = await making.agent(w, "away", ready=False)
        await making.task(w, queue, await making.lead(w, queue, "+12025550177"), state=TaskState.reserved,
                          agent_id=busy.id)
        free = await making.agent(w, "free")
        kept = await waits(w, queue, 1, prefers=busy.id, prefers_until=w.now + timedelta(seconds=10))
    async with book.writing() as w:
        assert await dispatch.run_round(w, 1) == 0, "he is there, though busy: it is kept for him"
    async with book.writing() as w:
        lost = await waits(w, queue, 2, prefers=away.id, prefers_until=w.now + timedelta(seconds=600))
        await dispatch.run_round(w, 1)
    assert (await row(book, Task, lost)).agent_id == free.id, "nobody waits for who is away"
    clock.forward(11)
    async with book.writing() as w:
        late = await making.agent(w, "late")
        await presence.beat(w, [busy.id, free.id])
        await dispatch.run_round(w, 1)
    assert (await row(book, Task, kept)).agent_id == late.id


async def test_an_owner_who_says_no_is_his_agent_no_more(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        owner = await making.agent(w, "owner")
        kept = await waits(w, queue, 1, prefers=owner.id, prefers_until=w.now + timedelta(seconds=20))
    await rung(book)
    await answered(book, owner.id, accept=False)
    assert (await row(book, Task, kept)).prefers is None
    assert [fact.subject_id for fact in await facts(book, "owner.released")] == [kept]


async def test_who_spoke_last_with_a_person_is_his_agent_when_he_comes_again(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        await making.rules(w, queue, owner_seconds=20)
        ana = await making.agent(w)
        kept = await waits(w, queue, 1)
    await rung(book)
    await answered(book, ana.id)
    async with book.writing() as w:
        await w.move(Task, kept, TaskState.engaged)
        task = await w.session.locked(Task, kept)
        assert task is not None
        await wrapping.begin_task(w, task)
        await wrapping.wrap_up_ends(w, kept)
        contact_id, lead_id, campaign_id = task.contact_id, task.lead_id, task.campaign_id
    async with book.writing() as w:
        again = await conversing.enqueue(w, queue, TaskKind.call, 0, campaign_id=campaign_id, lead_id=lead_id,
                                         contact_id=contact_id)
        assert again is not None
        made = await w.session.locked(Task, again)
        assert made is not None
        assert (made.prefers, made.prefers_until) == (ana.id, w.now + timedelta(seconds=20))


async def test_chats_fill_their_capacity_and_leave_the_call_its_own(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, chat_capacity=2)
        chats = [await waits(w, queue, n, kind=TaskKind.chat) for n in range(3)]
    for chat in chats[:2]:
        assert await rung(book) == {chat: ana.id}
        await answered(book, ana.id)
    assert await rung(book) == {}, "two is what she can do"
    async with book.writing() as w:
        call = await waits(w, queue, 9)
    assert await rung(book) == {call: ana.id}, "a call may come in beside chats"
    await answered(book, ana.id)
    agent = await row(book, Agent, ana.id)
    assert (agent.call_load, agent.chat_load, agent.video_load) == (1, 2, 0)


async def test_a_chat_does_not_come_in_while_she_is_in_a_call(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, chat_capacity=3)
        call = await waits(w, queue, 1)
        chat = await waits(w, queue, 2, kind=TaskKind.chat, tier=1)
    assert await rung(book) == {call: ana.id}
    await answered(book, ana.id)
    assert await rung(book) == {}
    assert (await row(book, Task, chat)).state is TaskState.queued


async def test_a_day_that_is_full_is_full_until_midnight_on_the_wall(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, most_a_day=1)
        first, second = [await waits(w, queue, n, kind=TaskKind.chat) for n in (1, 2)]
    assert await rung(book) == {first: ana.id}
    await answered(book, ana.id)
    agent = await row(book, Agent, ana.id)
    assert agent.taken == 1
    ends = agent.day_ends
    async with book.writing() as w:
        await replying.finish(w, first, ana.id)
        await wrapping.wrap_up_ends(w, first)
    assert await rung(book) == {}
    clock.forward((ends - clock.now).total_seconds())
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
    assert await rung(book) == {second: ana.id}


async def test_a_nurture_call_leaves_somebody_free_for_what_is_expected(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        stale = await waits(w, queue, 1, kind=TaskKind.nurture, tier=6)
    assert await rung(book, Policy(expected=[Expected({}, 0.9)])) == {}
    assert await rung(book, Policy(expected=[Expected({}, 0.9)], owed=True)) == {stale: ana.id}


# --- aging -----------------------------------------------------------------------------------------------------------

TIMETABLE = {
    "rows": [
        {"from_seconds": 30, "skills": {"it": 1}, "credit_seconds": 5},
        {"from_seconds": 60, "skills": [], "credit_seconds": 50},
    ],
}


async def age(book: Book) -> int:
    async with book.writing() as w:
        return await aging.age(w)


async def test_rules_are_relaxed_by_their_timetable_and_the_place_in_line_is_kept(
    book: Book, clock: Clock
) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), skills=asked({"it": 2}))
        await making.rules(w, queue, **TIMETABLE)
        task = await waits(w, queue, 1)
        low = await making.agent(w, "low", skills=owned({"it": 1}))
        none = await making.agent(w, "none")
    clock.forward(29)
    assert await age(book) == 0
    before = await row(book, Task, task)
    clock.forward(1)
    assert await age(book) == 1
    assert await age(book) == 0, "once"
    async with book.writing() as w:
        await presence.beat(w, [low.id, none.id])
    after = await row(book, Task, task)
    assert (after.row, after.skills, after.rank, after.since_ms) == (1, ["it"], before.rank, before.since_ms)
    assert await rung(book) == {task: low.id}
    (told,) = await facts(book, "relaxation.row")
    assert (told.subject_id, told.data) == (task, {"row": 1, "version": 2, "needs": ["it"]})


async def test_who_slept_through_a_row_is_moved_to_the_one_that_is_due(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), skills=asked({"it": 2}))
        await making.rules(w, queue, **TIMETABLE)
        task = await waits(w, queue, 1)
    clock.forward(3_600)
    assert await age(book) == 1
    assert (await row(book, Task, task)).row == 2
    clock.forward(3_600)
    assert await age(book) == 0


async def test_a_rows_credit_puts_it_before_who_has_waited_a_little_longer(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), skills=asked({"it": 2}))
        await making.rules(w, queue, **TIMETABLE)
        later = await waits(w, queue, 1)
    clock.forward(60)
    await age(book)
    async with book.writing() as w:
        plain = await making.queue(w, vouched(await w.session.get(Campaign, queue.campaign_id)), "plain")
        earlier = await waits(w, plain, 2, rank=(await row(book, Task, later)).rank - 40_000)
        ana = await making.agent(w)
    assert await rung(book) == {later: ana.id}
    assert (await row(book, Task, earlier)).state is TaskState.queued


async def test_rules_that_change_do_not_change_for_who_waits_already(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), skills=asked({"it": 2}))
        await making.rules(w, queue, **TIMETABLE)
        task = await waits(w, queue, 1)
        await making.rules(w, queue, rows=[{"from_seconds": 5, "skills": []}])
    clock.forward(10)
    assert await age(book) == 0
    clock.forward(20)
    assert await age(book) == 1
    assert (await row(book, Task, task)).row == 1


async def test_another_queue_takes_over_who_has_waited_so_long_with_his_age(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w)
        onward = await making.queue(w, campaign, "onward", pool=2, skills=["es"])
        queue = await making.queue(w, campaign, overflow_id=onward.id, overflow_seconds=120, expire_seconds=600)
        task = await waits(w, queue, 1)
    before = await row(book, Task, task)
    clock.forward(121)
    assert await age(book) == 1
    after = await row(book, Task, task)
    assert (after.queue_id, after.pool, after.skills, after.rank) == (onward.id, 2, ["es"], before.rank)
    (told,) = await facts(book, "overflow.queue")
    assert told.data == {"queue": onward.id, "before": queue.id, "waited_s": 121.0}
    clock.forward(1_000)
    assert await age(book) == 0, "he is under the other queue's rules now"


async def test_who_has_waited_too_long_is_given_up_but_not_who_was_promised_or_is_on_the_line(
    book: Book, clock: Clock
) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), expire_seconds=600)
        given_up = await waits(w, queue, 1)
        promised = await waits(w, queue, 2, tier=1)
        chat = await waits(w, queue, 3, kind=TaskKind.chat)
    clock.forward(600)
    assert await age(book) == 1
    states = [(await row(book, Task, one)).state for one in (given_up, promised, chat)]
    assert states == [TaskState.expired, TaskState.queued, TaskState.queued]
    (told,) = await facts(book, "task.expired")
    assert told.data == {"reason": "waited_too_long", "waited_s": 600.0}


async def test_a_clock_that_jumps_an_hour_back_relaxes_nothing_and_breaks_nothing(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), skills=asked({"it": 2}), expire_seconds=90)
        await making.rules(w, queue, **TIMETABLE)
        task = await waits(w, queue, 1)
    clock.forward(-3_600)
    assert await age(book) == 0
    clock.forward(3_640)
    assert await age(book) == 1
    assert (await row(book, Task, task)).row == 1


async def test_two_replicas_age_a_task_once(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), skills=asked({"it": 2}))
        await making.rules(w, queue, **TIMETABLE)
        await waits(w, queue, 1)
    clock.forward(40)
    async with book.writing() as one:
        assert await aging.age(one) == 1
        async with book.writing() as other:
            assert await aging.age(other) == 0
    assert len(await facts(book, "relaxation.row")) == 1


# --- what is expected ------------------------------------------------------------------------------------------------


async def foreseen(book: Book) -> Policy:
    async with book.reading() as r:
        return await forecast.policy(r.session, 1, r.now)


async def test_what_came_in_the_last_quarter_of_an_hour_is_expected_again(
    book: Book, clock: Clock, queue: Queue
) -> None:
    assert (await foreseen(book)).expected == []
    async with book.writing() as w:
        for n in range(6):
            lead = await making.lead(w, queue, f"+12025553{n:03d}")
            task = await making.task(w, queue, lead, skills=asked({"it": 2}))
            w.fact("task.queued", subject_id=task.id, lead_id=lead.id)
            w.fact("task.queued", subject_id=task.id, lead_id=lead.id, reason="missed")
    (expected,) = (await foreseen(book)).expected
    assert (expected.needs, expected.tasks) == ({"it": 2}, pytest.approx(6 * 2 / 15))
    clock.forward(15 * 60)
    assert (await foreseen(book)).expected == []


async def test_quiet_quotes_are_owed_a_tenth_of_what_is_done_in_a_day(book: Book, queue: Queue) -> None:
    async def closed(n: int, tier: int) -> None:
        async with book.writing() as w:
            task_id = await waits(w, queue, n, tier=tier, kind=TaskKind.nurture if tier > 2 else TaskKind.call,
                                  state=TaskState.closed)
            w.fact("task.closed", subject_id=task_id)

    assert not (await foreseen(book)).owed, "nothing was done yet"
    for n in range(10):
        await closed(n, 0)
    assert (await foreseen(book)).owed
    await closed(11, 6)
    await closed(12, 6)
    assert not (await foreseen(book)).owed


# --- picking ---------------------------------------------------------------------------------------------------------


async def picked(book: Book, task_id: int, agent_id: int) -> None:
    async with book.writing() as w:
        await dispatch.pick(w, task_id, agent_id)


async def test_where_agents_pick_nothing_rings_and_of_two_who_pick_the_same_one_wins(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), pull=True)
        ana, eva = await making.agent(w), await making.agent(w, "eva")
        task = await waits(w, queue, 1)
    assert await rung(book) == {}
    results = await asyncio.gather(
        *(picked(book, task, one.id) for one in (ana, eva)), return_exceptions=True
    )
    assert sorted(type(one) for one in results if one is not None) == [Conflict]
    now = await row(book, Task, task)
    assert (now.state, now.agent_id in (ana.id, eva.id)) == (TaskState.connecting, True)
    async with book.reading() as r:
        await check(r.session)
        (held,) = await r.session.scalars(select(Reservation))
    assert held.why == [{"code": "picked"}]


async def test_nobody_picks_what_he_cannot_take_or_what_rings(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        pulled = await making.queue(w, vouched(await w.session.get(Campaign, queue.campaign_id)), "pull", pull=True)
        ana = await making.agent(w)
        rings, needs = await waits(w, queue, 1), await waits(w, pulled, 2, skills=["it"])
        away = await making.agent(w, "away", skills=["it"], heartbeat_at=None)
    for task, agent, says in ((rings, ana, "tasks ring"), (needs, ana, "cannot take"), (needs, away, "cannot take"),
                              (999, ana, "not wait")):
        with pytest.raises(Conflict, match=says):
            await picked(book, task, agent.id)


async def test_a_line_that_closes_is_taken_over_at_once_by_the_one_that_is_open(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w)
        onward = await making.queue(w, campaign, "onward")
        never = {day: [["00:00", "00:01"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
        queue = await making.queue(w, campaign, hours=never, overflow_id=onward.id, overflow_seconds=9_000)
        alone = await making.queue(w, campaign, "alone", hours=never)
        task, other = await waits(w, queue, 1), await waits(w, alone, 2)
    assert await age(book) == 1
    assert (await row(book, Task, task)).queue_id == onward.id
    assert (await row(book, Task, other)).queue_id == alone.id, "nobody takes over from it: he keeps his place"
