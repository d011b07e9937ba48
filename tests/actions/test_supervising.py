"""Supervising: what a supervisor does from the wallboard, against rounds, accepts and other supervisors."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import dispatch, presence, supervising, wrapping
from router.alarms import Alarms
from router.book import Book
from router.live import Hub
from router.model.agents import Agent, Role, Wish
from router.model.alarms import Alarm, AlarmState
from router.model.base import vouched
from router.model.campaigns import Queue, WrapMode
from router.model.errors import Conflict, NotFound
from router.model.facts import Fact
from router.model.tasks import Disposition, Exclusion, Task, TaskKind, TaskState
from router.model.vault import Vault
from router.store import alarms, screens, supervision
from router.store.db import make_engine
from router.store.supervision import Supervision
from tests import making
from tests.actions.test_dispatch import held, pending, row, run, some_tasks
from tests.conftest import PATIENT, Clock
from tests.invariants import check, check_quiet


@pytest.fixture
async def twin(worker_database: str, clock: Clock, vault: Vault) -> AsyncIterator[Book]:
    """Another replica over the same database."""
    engine = make_engine(worker_database, limits={**PATIENT, "lock_timeout": "20000"})
    yield Book(engine, Hub(), vault, "", clock=clock)
    await engine.dispose()


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        return await making.queue(w, await making.campaign(w))


@pytest.fixture
async def sol(book: Book) -> int:
    """The supervisor's number."""
    async with book.writing() as w:
        return (await making.agent(w, "sol", ready=False, role=Role.supervisor)).id


async def give(book: Book, task: int, agent: int, by: int) -> None:
    async with book.writing() as w:
        await supervising.give(w, task, agent, by)


async def facts(book: Book, *kinds: str) -> list[tuple[str, int | None, dict[str, Any]]]:
    async with book.reading() as r:
        await check(r.session)
        found = await r.session.scalars(select(Fact).where(Fact.kind.in_(kinds)).order_by(Fact.id))
        return [(one.kind, one.agent_id, one.data) for one in found]


async def needed(book: Book) -> Supervision:
    async with book.reading() as r:
        board = await screens.board(r.session, r.now)
        return await supervision.supervision(r.session, board.agents, r.now)


# -- switches ---------------------------------------------------------------------------------------------------------
async def test_a_paused_campaign_hands_out_only_what_somebody_waits_for(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        for n in range(6):
            await making.agent(w, f"agent{n}")
        (now,) = await some_tasks(w, queue, 1, tier=0)
        later = await making.task(w, queue, await making.lead(w, queue, "+12025550991"), tier=1)
        chat = await making.task(
            w, queue, await making.lead(w, queue, "+12025550992"), tier=2, kind=TaskKind.chat)
        await supervising.set_paused(w, queue.campaign_id, True, sol)
    assert await run(book) == 2
    assert set(await held(book)) == {now, chat.id}
    async with book.reading() as r:
        await check_quiet(r.session, r.now)
    with book.hub.watch("dispatch") as watcher:
        async with book.writing() as w:
            await supervising.set_paused(w, queue.campaign_id, False, sol)
        assert await watcher.changed()
    assert await run(book) == 1
    assert later.id in await held(book)


async def test_pausing_one_campaign_leaves_another_alone(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        other = await making.queue(w, await making.campaign(w, "sol"))
        await making.agent(w, "ana")
        await making.agent(w, "eva")
        await some_tasks(w, queue, 1, tier=2)
        theirs = await making.task(w, other, await making.lead(w, other, "+12025550991"), tier=2)
        await supervising.set_paused(w, queue.campaign_id, True, sol)
    await run(book)
    assert set(await held(book)) == {theirs.id}


async def test_no_nurture_is_handed_out_while_it_is_off(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        await making.agent(w, "ana")
        await making.agent(w, "eva")
        (nurture,) = await some_tasks(w, queue, 1, kind=TaskKind.nurture, tier=6)
        fresh = await making.task(w, queue, await making.lead(w, queue, "+12025550991"), tier=2)
        await supervising.set_nurture(w, False, sol)
    await run(book)
    assert set(await held(book)) == {fresh.id}
    async with book.writing() as w:
        await supervising.set_nurture(w, True, sol)
    await run(book)
    assert set(await held(book)) == {fresh.id, nurture}


async def test_what_is_paused_never_hides_the_agents_who_could_take_something_else(
    book: Book, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        for n in range(60):
            await making.agent(w, f"other{n}", skills=["nurture"], idle_since=w.now - timedelta(minutes=5))
        able = await making.agent(w, "able", skills=["solar"])
        await some_tasks(w, queue, 1, kind=TaskKind.nurture, tier=6, skills=["nurture"])
        await making.task(w, queue, await making.lead(w, queue, "+12025550991"), skills=["solar"])
        await supervising.set_nurture(w, False, sol)
    assert await run(book) == 1
    assert (await pending(book)).agent_id == able.id


async def test_each_switch_is_one_fact_with_who_did_it_and_twice_is_none(book: Book, queue: Queue, sol: int) -> None:
    for _ in range(2):
        for on in (True, False):
            async with book.writing() as w:
                await supervising.set_paused(w, queue.campaign_id, on, sol)
                await supervising.set_paused(w, queue.campaign_id, on, sol)
                await supervising.set_nurture(w, not on, sol)
                await supervising.set_nurture(w, not on, sol)
    told = await facts(book, "campaign.paused", "campaign.resumed", "nurture.paused", "nurture.resumed")
    assert [kind for kind, _, _ in told] == [
        "campaign.paused", "nurture.paused", "campaign.resumed", "nurture.resumed"] * 2
    assert all(data == {"by": sol} for _, _, data in told)
    with pytest.raises(NotFound):
        async with book.writing() as w:
            await supervising.set_paused(w, 99, True, sol)


async def test_two_who_press_the_same_switch_at_once_make_one_fact(
    book: Book, twin: Book, queue: Queue, sol: int
) -> None:
    async def press(on: Book) -> None:
        async with on.writing() as w:
            await supervising.set_nurture(w, False, sol)
            await supervising.set_paused(w, queue.campaign_id, True, sol)

    await asyncio.gather(*(press(on) for on in (book, twin) * 3))
    assert len(await facts(book, "nurture.paused", "campaign.paused")) == 2


async def test_a_pause_waits_for_no_round_and_holds_for_the_next(
    book: Book, twin: Book, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        await making.agent(w, "ana")
        first, second = await some_tasks(w, queue, 2, tier=2)
    async with book.writing() as round_:
        assert await dispatch.run_round(round_, 1) == 1
        async with asyncio.timeout(5), twin.writing() as w:
            await supervising.set_paused(w, queue.campaign_id, True, sol)
            await supervising.set_nurture(w, False, sol)
    assert set(await held(book)) == {first}, "what was matched before the pause is kept"
    async with book.writing() as w:
        await making.agent(w, "eva")
    assert await run(twin) == 0
    assert (await row(book, Task, second)).state is TaskState.queued


# -- giving by hand ---------------------------------------------------------------------------------------------------
async def test_a_waiting_task_rings_at_the_chosen_agent_though_another_waits_longer(
    book: Book, clock: Clock, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        await making.agent(w, "ana", idle_since=w.now - timedelta(hours=1))
        eva = await making.agent(w, "eva")
        _, second = await some_tasks(w, queue, 2)
        w.session.add(Exclusion(task_id=second, agent_id=eva.id, until=w.now + timedelta(minutes=1)))
    with book.hub.watch(f"agent:{eva.id}") as watcher:
        await give(book, second, eva.id, sol)
        assert await watcher.changed()
    assert await held(book) == {second: eva.id}
    one = await pending(book)
    assert one.expires_at == clock.now + timedelta(seconds=queue.ring_seconds)
    assert one.why[0] == {"code": "given", "supervisor": sol}
    ((_, agent, data),) = await facts(book, "task.reserved")
    assert (agent, data) == (eva.id, {"by": sol})
    async with book.writing() as w:
        await dispatch.accept(w, one.id, eva.id)
    assert not await held(book)


async def test_what_rings_at_one_is_moved_to_another_and_costs_him_no_turn(
    book: Book, clock: Clock, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", idle_since=w.now - timedelta(hours=1))
        eva = await making.agent(w, "eva")
        (task,) = await some_tasks(w, queue, 1)
    await run(book)
    clock.forward(4)
    await give(book, task, eva.id, sol)
    assert await held(book) == {task: eva.id}
    after = await row(book, Agent, ana.id)
    assert (after.load, after.misses, after.wish) == (0, 0, Wish.ready)
    assert after.idle_since == clock.now - timedelta(hours=1), "his turn is kept"
    told = await facts(book, "reservation.rescinded", "task.reserved")
    assert [(kind, data.get("by")) for kind, _, data in told] == [
        ("task.reserved", None), ("reservation.rescinded", sol), ("task.reserved", sol)]
    with pytest.raises(Conflict, match="rings there already"):
        await give(book, task, eva.id, sol)
    assert await held(book) == {task: eva.id}


async def test_what_rings_goes_back_to_the_line_with_its_age_and_not_to_the_same_agent(
    book: Book, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
        (task,) = await some_tasks(w, queue, 1)
    await run(book)
    async with book.writing() as w:
        await supervising.take_back(w, task, sol)
    after = await row(book, Task, task)
    assert (after.state, after.rank, after.agent_id) == (TaskState.queued, 1000, None)
    assert await run(book) == 0
    assert (await row(book, Agent, ana.id)).load == 0
    ((_, _, data),) = await facts(book, "reservation.rescinded")
    assert data["by"] == sol
    async with book.writing() as w:
        for verb, sentence in ((task, "does not ring"), (99, "does not ring")):
            with pytest.raises(Conflict, match=sentence):
                await supervising.take_back(w, verb, sol)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"wish": Wish.paused}, "Eva is not ready"),
        ({"wish": Wish.off}, "Eva is not ready"),
        ({"heartbeat_at": None}, "The browser of Eva does not answer"),
        ({"pool": 2}, "Eva works in another line"),
        ({"skills": ["es"]}, "Eva lacks what this task needs: it"),
        ({"skills": ["it"]}, "Eva is below the level this task needs: it 2"),
        ({"most_a_day": 3, "taken": 3}, "Eva has had all 3 tasks of a day"),
        ({"call_capacity": 0}, "Eva is busy with something else"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_who_cannot_take_a_task_is_told_with_the_reason_and_nothing_changes(
    book: Book, queue: Queue, sol: int, values: dict[str, Any], sentence: str
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", skills=["it", "it:2"], idle_since=w.now - timedelta(hours=1))
        day_ends = w.now + timedelta(hours=1)
        eva = await making.agent(w, "eva", **{"skills": ["it", "it:2"], "day_ends": day_ends, **values})
        (task,) = await some_tasks(w, queue, 1, skills=["it:2"])
    await run(book)
    with pytest.raises(Conflict, match=sentence):
        await give(book, task, eva.id, sol)
    assert await held(book) == {task: ana.id}
    assert [one.name for one in (await needed(book)).moving[task]] == []


async def test_yesterdays_tasks_do_not_count_against_todays_limit(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        eva = await making.agent(w, "eva", most_a_day=3, taken=3, day_ends=w.now)
        (task,) = await some_tasks(w, queue, 1)
    await give(book, task, eva.id, sol)
    assert await held(book) == {task: eva.id}


async def test_a_short_rest_does_not_keep_a_supervisor_from_giving(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        eva = await making.agent(w, "eva", back_off_until=w.now + timedelta(seconds=5))
        (task,) = await some_tasks(w, queue, 1)
    await give(book, task, eva.id, sol)
    assert await held(book) == {task: eva.id}


async def test_an_agent_at_whom_something_rings_is_given_nothing_else(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", chat_capacity=3)
        first, second = await some_tasks(w, queue, 2, kind=TaskKind.chat)
    await give(book, first, ana.id, sol)
    with pytest.raises(Conflict, match="Something rings at Ana already"):
        await give(book, second, ana.id, sol)
    assert await held(book) == {first: ana.id}


async def test_what_is_paused_is_given_to_nobody(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
        (nurture,) = await some_tasks(w, queue, 1, kind=TaskKind.nurture, tier=6)
        fresh = await making.task(w, queue, await making.lead(w, queue, "+12025550991"), tier=2)
        await supervising.set_nurture(w, False, sol)
    with pytest.raises(Conflict, match="Nurture is paused"):
        await give(book, nurture, ana.id, sol)
    async with book.writing() as w:
        await supervising.set_nurture(w, True, sol)
        await supervising.set_paused(w, queue.campaign_id, True, sol)
    for task in (nurture, fresh.id):
        with pytest.raises(Conflict, match="campaign is paused"):
            await give(book, task, ana.id, sol)
    assert [one.stopped for one in (await needed(book)).waiting] == ["campaign", "campaign"]


async def test_nobody_picks_what_is_paused_from_a_list_he_still_sees(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        vouched(await w.session.locked(Queue, queue.id)).pull = True
        ana = await making.agent(w, "ana")
        (task,) = await some_tasks(w, queue, 1, tier=2)
        await supervising.set_paused(w, queue.campaign_id, True, sol)
    with pytest.raises(Conflict, match="cannot take this task at the moment"):
        async with book.writing() as w:
            await dispatch.pick(w, task, ana.id)
    assert (await row(book, Task, task)).state is TaskState.queued
    async with book.writing() as w:
        await supervising.set_paused(w, queue.campaign_id, False, sol)
        await dispatch.pick(w, task, ana.id)
    assert (await row(book, Task, task)).state is TaskState.connecting


async def test_nobody_and_nothing_are_told_apart(book: Book, clock: Clock, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
        gone = await making.agent(w, "gone", disabled_at=w.now)
        first, second = await some_tasks(w, queue, 2)
    for task, agent, sentence in (
        (99, ana.id, "no such task"), (first, 99, "no such agent"), (first, gone.id, "no such agent"),
    ):
        with pytest.raises(NotFound, match=sentence):
            await give(book, task, agent, sol)
    await give(book, first, ana.id, sol)
    async with book.writing() as w:
        await dispatch.accept(w, 1, ana.id)
    async with book.writing() as w:
        eva = await making.agent(w, "eva")
    with pytest.raises(Conflict, match="does not wait any more"):
        await give(book, first, eva.id, sol)
    await give(book, second, eva.id, sol)
    assert await held(book) == {second: eva.id}


async def test_moving_a_ring_against_its_accept_has_one_winner(book: Book, twin: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", idle_since=w.now - timedelta(hours=1))
        eva = await making.agent(w, "eva")
        (task,) = await some_tasks(w, queue, 1)
    await run(book)
    one = await pending(book)

    async def accept() -> None:
        async with twin.writing() as w:
            await dispatch.accept(w, one.id, ana.id)

    ends = await asyncio.gather(give(book, task, eva.id, sol), accept(), return_exceptions=True)
    assert [type(end) for end in ends if isinstance(end, Exception)] == [Conflict], ends
    after = await row(book, Task, task)
    assert (after.state, after.agent_id) == (
        (TaskState.reserved, eva.id) if ends[0] is None else (TaskState.connecting, ana.id))
    await held(book)


async def test_giving_against_rounds_and_other_supervisors_never_gives_twice(
    book: Book, twin: Book, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        team = [(await making.agent(w, f"agent{n}")).id for n in range(6)]
        waiting = await some_tasks(w, queue, 6)

    async def press(on: Book, task: int, agent: int) -> None:
        try:
            await give(on, task, agent, sol)
        except Conflict:
            return

    await asyncio.gather(
        *(press((book, twin)[n % 2], waiting[n % 6], team[(n * 5 + n // 6) % 6]) for n in range(18)),
        *(run(on) for on in (book, twin) * 2),
    )
    while await run(book):
        pass
    assert len(set((await held(book)).values())) == 6
    async with book.reading() as r:
        await check_quiet(r.session, r.now)


async def test_two_who_exchange_what_rings_at_two_agents_do_not_wait_for_each_other_for_ever(
    book: Book, twin: Book, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", chat_capacity=2)
        eva = await making.agent(w, "eva", chat_capacity=2)
        first, second = await some_tasks(w, queue, 2, kind=TaskKind.chat)
    await give(book, first, ana.id, sol)
    await give(book, second, eva.id, sol)
    async with asyncio.timeout(10):
        ends = await asyncio.gather(
            give(book, first, eva.id, sol), give(twin, second, ana.id, sol), return_exceptions=True)
    assert all(isinstance(end, Conflict) for end in ends), ends
    assert await held(book) == {first: ana.id, second: eva.id}


# -- wrap-ups ---------------------------------------------------------------------------------------------------------
async def test_a_stuck_wrap_up_is_ended_once_and_its_agent_is_free(
    book: Book, twin: Book, clock: Clock, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        stored = vouched(await w.session.locked(Queue, queue.id))
        stored.wrap_mode, stored.wrap_most_seconds = WrapMode.until_done, 600
        ana = await making.agent(w, "ana", chat_capacity=1)
        (task,) = await some_tasks(w, queue, 1, kind=TaskKind.chat)
    await give(book, task, ana.id, sol)
    async with book.writing() as w:
        await dispatch.accept(w, 1, ana.id)
        await wrapping.begin_task(w, vouched(await w.session.locked(Task, task)))
    assert (await needed(book)).stuck == []
    clock.forward(601)
    ((line, stuck),) = (await needed(book)).stuck
    assert (line.name, stuck.id) == ("Ana", task)

    async def end(on: Book) -> None:
        async with on.writing() as w:
            await wrapping.end(w, task, sol)

    ends = await asyncio.gather(end(book), end(twin), end(book), return_exceptions=True)
    assert [type(one) for one in ends if one] == [Conflict, Conflict]
    after = await row(book, Task, task)
    assert (after.state, after.disposition) == (TaskState.closed, Disposition.unclassified)
    assert (await row(book, Agent, ana.id)).load == 0
    ((_, _, data),) = await facts(book, "task.closed")
    assert data == {"disposition": "unclassified", "by": sol}
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await wrapping.end(w, 99, sol)


# -- an agent's state -------------------------------------------------------------------------------------------------
async def test_a_supervisor_sets_what_an_agent_wants_and_it_is_told_by_whom(book: Book, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
    for wish, reason in ((Wish.paused, "supervisor"), (Wish.off, "supervisor"), (Wish.ready, "")):
        async with book.writing() as w:
            await presence.set_wish(w, ana.id, wish, reason="supervisor", by=sol)
        after = await row(book, Agent, ana.id)
        assert (after.wish, after.pause_reason) == (wish, reason)
    told = await facts(book, "agent.paused", "agent.off", "agent.ready")
    assert [(kind, agent, data["by"]) for kind, agent, data in told] == [
        ("agent.paused", ana.id, sol), ("agent.off", ana.id, sol), ("agent.ready", ana.id, sol)]


async def test_who_is_made_ready_while_away_gets_nothing_until_his_browser_answers(
    book: Book, clock: Clock, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", idle_since=w.now - timedelta(seconds=40))
        await presence.set_wish(w, ana.id, Wish.paused)
    clock.forward(3600)
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.ready, reason="supervisor", by=sol)
        await some_tasks(w, queue, 1)
    assert await run(book) == 0
    clock.forward(60)
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
    after = await row(book, Agent, ana.id)
    assert after.idle_since == clock.now - timedelta(seconds=40), "the hour in which he was away is no idle time"
    assert await run(book) == 1


async def test_who_is_paused_while_away_gains_no_turn_by_it(book: Book, clock: Clock, queue: Queue, sol: int) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
    clock.forward(3600)
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.paused, reason="supervisor", by=sol)
    assert (await row(book, Agent, ana.id)).idle_kept_ms == 15_000


# -- help -------------------------------------------------------------------------------------------------------------
async def test_an_agent_asks_for_help_and_a_supervisor_comes(
    book: Book, clock: Clock, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
        (task,) = await some_tasks(w, queue, 1)
    with pytest.raises(Conflict, match="no task to be helped with"):
        async with book.writing() as w:
            await supervising.ask_for_help(w, ana.id)
    await give(book, task, ana.id, sol)
    with book.hub.watch("wallboard") as watcher:
        async with book.writing() as w:
            await supervising.ask_for_help(w, ana.id)
            await supervising.ask_for_help(w, ana.id)
        assert await watcher.changed()
    assert [line.name for line in (await needed(book)).asking] == ["Ana"]
    with book.hub.watch(f"agent:{ana.id}") as watcher:
        async with book.writing() as w:
            await supervising.answer_help(w, ana.id, sol)
        assert await watcher.changed()
    assert (await needed(book)).asking == []
    async with book.reading() as r:
        assert (await screens.desk(r.session, ana.id, r.now)).helper == "Sol"
    async with book.writing() as w:
        with pytest.raises(Conflict, match="does not ask"):
            await supervising.answer_help(w, ana.id, sol)
        with pytest.raises(NotFound):
            await supervising.answer_help(w, 99, sol)
    told = await facts(book, "agent.asked_for_help", "agent.help_answered", "agent.help_ended")
    assert told == [("agent.asked_for_help", ana.id, {}), ("agent.help_answered", ana.id, {"by": sol})]


@pytest.mark.parametrize("end", ["taken_back", "ended"])
async def test_a_call_for_help_ends_with_the_agents_word_or_with_his_task(
    book: Book, clock: Clock, queue: Queue, sol: int, end: str
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana")
        (task,) = await some_tasks(w, queue, 1)
    await give(book, task, ana.id, sol)
    async with book.writing() as w:
        await supervising.ask_for_help(w, ana.id)
    async with book.writing() as w:
        if end == "ended":
            await dispatch.reject(w, 1, ana.id)
        else:
            await supervising.need_no_help(w, ana.id)
            await supervising.need_no_help(w, ana.id)
    after = await row(book, Agent, ana.id)
    assert (after.help_at, after.help_by) == (None, None)
    told = await facts(book, "agent.help_taken_back", "agent.help_ended")
    assert [kind for kind, _, _ in told] == [f"agent.help_{end}"]


# -- what the board tells ---------------------------------------------------------------------------------------------
async def test_the_twenty_that_wait_longest_are_named_across_lanes_with_who_could_take_them(
    book: Book, clock: Clock, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        await making.agent(w, "ana", skills=["it"])
        await making.agent(w, "eva", skills=["it", "solar"])
        await making.agent(w, "off", ready=False, skills=["it", "solar"])
        made = []
        for n in range(30):
            lead = await making.lead(w, queue, f"+1202555{n:04d}")
            since = w.now - timedelta(minutes=(n * 7) % 30)
            rank = int(since.timestamp() * 1000) * (-1 if n % 3 == 0 else 1)
            skills = [["it"], ["solar"]][n % 2]
            made.append(await making.task(w, queue, lead, rank=rank, tier=n % 3, skills=skills))
            made[-1].enqueued_at = since
    found = (await needed(book)).waiting
    longest = sorted(made, key=lambda task: (task.enqueued_at, task.id))[:20]
    assert [one.task.id for one in found] == [task.id for task in longest]
    assert found[0].queue == "Ventas"
    for one in found:
        able = ["Ana", "Eva"] if one.task.skills == ["it"] else ["Eva"]
        assert [agent.name for agent in one.able] == able


async def test_agents_whom_the_house_has_paused_are_named_and_others_are_not(
    book: Book, queue: Queue, sol: int
) -> None:
    async with book.writing() as w:
        for reason in ("missed", "wrap", "once", "supervisor", ""):
            agent = await making.agent(w, reason or "self")
            await presence.set_wish(w, agent.id, Wish.paused, reason=reason)
        back = await making.agent(w, "back")
        await presence.set_wish(w, back.id, Wish.paused, reason="missed")
        await presence.set_wish(w, back.id, Wish.ready)
    assert [line.name for line in (await needed(book)).paused] == ["Missed", "Once", "Wrap"]


async def parked(book: Book, kind: str, clock: Clock) -> Alarm:
    """An alarm whose handler failed five times."""
    async with book.writing() as w:
        await alarms.set_alarm(w.session, kind, 1, w.now)
    for _ in range(5):
        await Alarms(book, {kind: _fails}).sweep()
        clock.forward(3600)
    (found,) = await parked_now(book)
    assert found.failures == 5
    return found


async def _fails(w: object, subject_id: int) -> None:
    raise RuntimeError("it always does")


async def parked_now(book: Book) -> list[Alarm]:
    async with book.reading() as r:
        return list(await alarms.parked(r.session, 10))


async def test_a_parked_alarm_rings_once_more_when_it_is_woken(book: Book, clock: Clock) -> None:
    found, rung = await parked(book, "quote.check", clock), list[int]()

    async def rings(w: object, subject_id: int) -> None:
        rung.append(subject_id)

    async with book.writing() as w:
        assert await supervising.wake_alarm(w, found.id, by=7)
        assert "alarms" in w.audiences
    await Alarms(book, {"quote.check": rings}).sweep()
    assert (rung, await parked_now(book)) == ([1], [])
    async with book.reading() as r:
        (told,) = await r.session.scalars(select(Fact).where(Fact.kind == "alarm.woken"))
    assert (told.agent_id, told.data) == (7, {"what": "quote.check", "of": 1, "again": True})
    for number, error in ((found.id, Conflict), (999, NotFound)):
        with pytest.raises(error):
            async with book.writing() as w:
                await supervising.wake_alarm(w, number, by=7)


async def test_what_was_set_anew_meanwhile_is_not_rung_twice(book: Book, clock: Clock) -> None:
    found = await parked(book, "quote.check", clock)
    async with book.writing() as w:
        await alarms.set_alarm(w.session, "quote.check", 1, w.now + timedelta(days=1))
    async with book.writing() as w:
        assert not await supervising.wake_alarm(w, found.id)
    async with book.reading() as r:
        states = [one.state for one in await r.session.scalars(select(Alarm).order_by(Alarm.id))]
    assert states == [AlarmState.canceled, AlarmState.pending]


async def test_two_supervisors_wake_one_alarm_once(book: Book, clock: Clock) -> None:
    found = await parked(book, "quote.check", clock)

    async def wake() -> bool:
        async with book.writing() as w:
            return await supervising.wake_alarm(w, found.id, by=7)

    done = await asyncio.gather(wake(), wake(), return_exceptions=True)
    assert {type(one) for one in done} == {bool, Conflict}
