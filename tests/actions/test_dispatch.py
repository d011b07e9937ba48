"""Dispatch: rounds, and what becomes of a reservation."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import dispatch, presence
from router.book import Book, Writing
from router.live import Hub
from router.model.agents import HEARTBEAT_LEASE, Agent, Wish
from router.model.campaigns import Queue
from router.model.deliveries import Delivery
from router.model.errors import Conflict, NotFound
from router.model.routing import ORDINARY, Match
from router.model.tasks import Exclusion, Reservation, ReservationState, Task, TaskKind, TaskState
from router.model.vault import Vault
from router.store import alarms, rounds
from router.store.db import make_engine
from tests import making
from tests.conftest import Clock
from tests.invariants import check, check_quiet


@pytest.fixture
async def twin(worker_database: str, clock: Clock, vault: Vault) -> AsyncIterator[Book]:
    """Another replica over the same database."""
    engine = make_engine(worker_database)
    yield Book(engine, Hub(), vault, "", clock=clock)
    await engine.dispose()


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        return await making.queue(w, await making.campaign(w))


AREAS = (212, 213, 305, 312, 415, 512, 617, 702, 818)


async def some_tasks(w: Writing, queue: Queue, count: int, **values: Any) -> list[int]:
    """Tasks of as many persons, the first waiting longest. Their numbers are nobody's."""
    made = []
    for n in range(count):
        lead = await making.lead(w, queue, f"+1{AREAS[n // 100]}55501{n % 100:02d}")
        made.append((await making.task(w, queue, lead, **{"rank": 1000 + n, **values})).id)
    return made


async def run(book: Book, pool: int = 1) -> int:
    async with book.writing() as w:
        return await dispatch.run_round(w, pool)


async def held(book: Book) -> dict[int, int]:
    async with book.reading() as r:
        await check(r.session)
        pending = select(Reservation).where(Reservation.state == ReservationState.pending)
        return {one.task_id: one.agent_id for one in await r.session.scalars(pending)}


async def pending(book: Book) -> Reservation:
    async with book.reading() as r:
        (one,) = await r.session.scalars(select(Reservation).where(Reservation.state == ReservationState.pending))
        return one


async def row(book: Book, noun: Any, key: int) -> Any:
    async with book.reading() as r:
        return await r.session.get(noun, key)


async def test_a_waiting_task_is_reserved_for_the_agent_idle_longest(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        await making.agent(w, "eva", idle_since=w.now - timedelta(seconds=5))
        ana = await making.agent(w, "ana", idle_since=w.now - timedelta(seconds=50))
        (task,) = await some_tasks(w, queue, 1)
    with book.hub.watch(f"agent:{ana.id}") as watcher:
        assert await run(book) == 1
        assert await watcher.changed()
    assert await held(book) == {task: ana.id}
    one = await pending(book)
    assert one.expires_at == clock.now + timedelta(seconds=queue.ring_seconds)
    assert [reason["code"] for reason in one.why] == [
        "first_in_tier", "has_skills", "longest_idle", "rules", "later_in_order",
    ]
    assert await run(book) == 0


async def test_who_waits_longest_goes_first_and_a_hotter_tier_before_all(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        first, _ = await some_tasks(w, queue, 2, tier=3)
        hot = await making.task(w, queue, await making.lead(w, queue, "+12025550199"), rank=9999, tier=0)
        await making.agent(w)
        await making.agent(w, "eva")
    assert await run(book) == 2
    assert set(await held(book)) == {hot.id, first}


async def test_two_rounds_at_once_never_reserve_twice_and_leave_nobody_idle(
    book: Book, twin: Book, queue: Queue
) -> None:
    async with book.writing() as w:
        await some_tasks(w, queue, 30)
        for n in range(20):
            await making.agent(w, f"agent{n}")
    made = await asyncio.gather(*(run(one) for one in (book, twin) * 3))
    assert sum(made) == 20
    assert len(set((await held(book)).values())) == 20
    async with book.reading() as r:
        await check_quiet(r.session, r.now)


async def test_rounds_and_arrivals_all_at_once_end_with_nobody_idle(book: Book, twin: Book, queue: Queue) -> None:
    async with book.writing() as w:
        for n in range(10):
            await making.agent(w, f"agent{n}")

    async def arrive(n: int) -> None:
        one = (book, twin)[n % 2]
        async with one.writing() as w:
            await making.task(w, queue, await making.lead(w, queue, f"+1202555{n:04d}"))
        await run(one)

    await asyncio.gather(*(arrive(n) for n in range(12)))
    await run(book)
    assert len(await held(book)) == 10
    async with book.reading() as r:
        await check_quiet(r.session, r.now)


@pytest.mark.parametrize(
    "away",
    [
        {"wish": Wish.off},
        {"wish": Wish.paused},
        {"heartbeat_at": None},
        {"call_load": 1, "busy_since": datetime.now(UTC), "chat_capacity": 0, "video_capacity": 0},
        {"pool": 2},
        {"skills": ["other"]},
        {"idle_since": None},
    ],
    ids=lambda away: next(iter(away)),
)
async def test_who_is_not_there_gets_nothing(book: Book, queue: Queue, away: dict[str, Any]) -> None:
    async with book.writing() as w:
        await making.agent(w, **{"skills": ["solar"], **away})
        lead = await making.lead(w, queue)
        await making.task(w, queue, lead, skills=["solar"])
    assert await run(book) == 0


async def test_a_silent_browser_a_back_off_and_a_disabled_login_get_nothing_until_they_are_over(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        await some_tasks(w, queue, 3)
        silent = await making.agent(w, "silent", heartbeat_at=w.now - timedelta(seconds=15))
        back_off = await making.agent(w, "back", back_off_until=w.now + timedelta(seconds=5))
        await making.agent(w, "gone", disabled_at=w.now)
    assert await run(book) == 0
    clock.forward(5)
    async with book.writing() as w:
        await presence.beat(w, [silent.id, back_off.id])
    assert await run(book) == 2
    assert set((await held(book)).values()) == {silent.id, back_off.id}


async def test_agents_who_lack_the_skill_never_hide_one_who_has_it(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        for n in range(60):
            await making.agent(w, f"other{n}", idle_since=w.now - timedelta(minutes=5))
        able = await making.agent(w, "able", skills=["solar", "es"])
        lead = await making.lead(w, queue)
        await making.task(w, queue, lead, skills=["solar"])
    assert await run(book) == 1
    assert (await pending(book)).agent_id == able.id


@pytest.mark.parametrize(
    ("busy", "kind"),
    [
        ({"call_load": 1}, TaskKind.call),
        ({"call_load": 1}, TaskKind.chat),
        ({"chat_load": 1}, TaskKind.video),
        ({"most_a_day": 3, "taken": 3, "day_ends": datetime(2026, 11, 24, tzinfo=UTC)}, TaskKind.call),
    ],
    ids=["one call", "a chat beside a call", "a video talk beside a chat", "a full day"],
)
async def test_agents_who_may_take_nothing_now_never_hide_one_who_may(
    book: Book, queue: Queue, busy: dict[str, Any], kind: TaskKind
) -> None:
    async with book.writing() as w:
        for n in range(60):
            await making.agent(w, f"busy{n}", idle_since=w.now - timedelta(minutes=5), **busy)
        able = await making.agent(w, "able")
        await some_tasks(w, queue, 1, kind=kind)
    assert await run(book) == 1
    assert (await row(book, Reservation, 1)).agent_id == able.id


async def test_agents_for_whom_all_is_kept_for_another_never_hide_one_with_other_work(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        owner = await making.agent(w, "owner", call_load=1)
        for n in range(60):
            await making.agent(w, f"idle{n}", idle_since=w.now - timedelta(minutes=5))
        able = await making.agent(w, "able", skills=["solar"])
        await some_tasks(w, queue, 1, prefers=owner.id, prefers_until=w.now + timedelta(minutes=1))
        other = await making.task(w, queue, await making.lead(w, queue), skills=["solar"])
    assert await run(book) == 1
    one = await row(book, Reservation, 1)
    assert (one.task_id, one.agent_id) == (other.id, able.id)


async def test_a_round_looks_past_what_others_are_changing(book: Book, twin: Book, queue: Queue) -> None:
    async with book.writing() as w:
        free = await making.agent(w, "free")
        first, second, _ = await some_tasks(w, queue, 3)
    async with twin.writing() as other:
        await other.session.locked(Task, first)
        assert await run(book) == 1
    assert await held(book) == {second: free.id}
    async with book.writing() as w:
        changing = await making.agent(w, "changing", idle_since=w.now - timedelta(minutes=5))
        ana = await making.agent(w)
    async with twin.writing() as other:
        await other.session.locked(Agent, changing.id)
        assert await run(book) == 1
    assert await held(book) == {second: free.id, first: ana.id}


@pytest.mark.parametrize("change", ["the person leaves", "the agent pauses", "the agent takes something else"])
async def test_what_has_changed_since_the_look_is_not_reserved(book: Book, queue: Queue, change: str) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        task, other = await some_tasks(w, queue, 2)
    async with book.writing() as w:
        look = rounds.Look(1, w.now, HEARTBEAT_LEASE, ORDINARY.beside, {})
        seen = await rounds.free_agents(w.session, look)
        if change == "the person leaves":
            await dispatch.abandon(w, task)
        elif change == "the agent pauses":
            await presence.set_wish(w, ana.id, Wish.paused)
        else:
            await dispatch.reserve(w, [Match(other, ana.id, [])], seen)
            await dispatch.accept(w, 1, ana.id)
        assert await dispatch.reserve(w, [Match(task, ana.id, [])], seen) == []
    async with book.reading() as r:
        await check(r.session)


async def test_behind_what_only_one_may_take_the_others_find_theirs(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana, eva, _ = [await making.agent(w, name) for name in ("ana", "eva", "leo")]
        waiting = await some_tasks(w, queue, 6)
        for task in waiting[:5]:
            for agent in (eva.id, eva.id + 1):
                w.session.add(Exclusion(task_id=task, agent_id=agent, until=w.now + timedelta(minutes=1)))
    assert await run(book) == 2
    found = await held(book)
    assert found[waiting[0]] == ana.id
    assert found[waiting[5]] in (eva.id, eva.id + 1)


async def test_excluded_heads_never_hide_a_task_behind_them(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, "ana", idle_since=w.now - timedelta(minutes=9))
        eva = await making.agent(w, "eva")
        tasks = await some_tasks(w, queue, 4)
        for task in tasks[:3]:
            w.session.add(Exclusion(task_id=task, agent_id=ana.id, until=w.now + timedelta(minutes=1)))
    assert await run(book) == 2
    assert await held(book) == {tasks[0]: eva.id, tasks[3]: ana.id}


async def test_accepting_places_the_agents_leg_and_waits_for_it(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w, misses=1)
        (task,) = await some_tasks(w, queue, 1)
    await run(book)
    one = await pending(book)
    async with book.writing() as w:
        call = await dispatch.accept(w, one.id, ana.id)
    assert (await row(book, Task, task)).state is TaskState.connecting
    assert (await row(book, Agent, ana.id)).misses == 0
    async with book.reading() as r:
        await check(r.session)
        (leg,) = await r.session.scalars(select(Delivery))
        assert (leg.to_customer, leg.order["to"], leg.order["room"]) == (False, "client:ana", call.room)
        assert await alarms.oldest_due(r.session, clock.now + timedelta(seconds=queue.connect_seconds)) is not None


async def test_of_two_clicks_on_accept_one_wins(book: Book, twin: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        await some_tasks(w, queue, 1)
    await run(book)
    one = await pending(book)

    async def click(on: Book) -> bool:
        try:
            async with on.writing() as w:
                await dispatch.accept(w, one.id, ana.id)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(click(on) for on in (book, twin) * 3))) == 1
    async with book.reading() as r:
        await check(r.session)
        assert len(await r.session.scalars(select(Delivery))) == 1


@pytest.mark.parametrize("other", ["expire", "reject", "take_back"])
async def test_accept_against_another_end_of_the_ringing_has_one_winner(
    book: Book, twin: Book, clock: Clock, queue: Queue, other: str
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        (task,) = await some_tasks(w, queue, 1)
    await run(book)
    one = await pending(book)
    if other == "take_back":
        clock.forward(15)

    async def accept() -> None:
        async with book.writing() as w:
            await dispatch.accept(w, one.id, ana.id)

    async def end() -> None:
        async with twin.writing() as w:
            if other == "expire":
                await dispatch.expire(w, one.id)
            elif other == "reject":
                await dispatch.reject(w, one.id, ana.id)
            else:
                await dispatch.take_back_absent(w)

    ends = await asyncio.gather(accept(), end(), return_exceptions=True)
    assert all(end is None or isinstance(end, Conflict) for end in ends)
    after = (await row(book, Task, task)).state
    assert after is (TaskState.connecting if ends[0] is None else TaskState.queued)
    assert not await held(book)


async def test_nobody_accepts_for_another_or_too_late(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        await some_tasks(w, queue, 1)
    await run(book)
    one = await pending(book)
    async with book.writing() as w:
        for verb in (dispatch.accept, dispatch.reject):
            with pytest.raises(Conflict):
                await verb(w, one.id, ana.id + 1)
        with pytest.raises(Conflict):
            await dispatch.accept(w, one.id + 1, ana.id)
    clock.forward(queue.ring_seconds)
    async with book.writing() as w:
        with pytest.raises(Conflict):
            await dispatch.accept(w, one.id, ana.id)
    assert len(await held(book)) == 1


async def test_a_rejected_task_keeps_its_place_and_is_not_offered_to_the_same_agent(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        first, second = await some_tasks(w, queue, 2)
    await run(book)
    one = await pending(book)
    async with book.writing() as w:
        await dispatch.reject(w, one.id, ana.id)
    task = await row(book, Task, first)
    assert (task.state, task.rank, task.agent_id, task.held_until) == (TaskState.queued, 1000, None, None)
    assert await run(book) == 0, "he has a moment of rest"
    clock.forward(6)
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
        eva = await making.agent(w, "eva")
    assert await run(book) == 2
    assert await held(book) == {first: eva.id, second: ana.id}


async def test_an_exclusion_ends(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        await some_tasks(w, queue, 1)
    await run(book)
    async with book.writing() as w:
        await dispatch.reject(w, 1, ana.id)
    clock.forward(queue.exclude_seconds - 1)
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
    assert await run(book) == 0
    clock.forward(1)
    assert await run(book) == 1


async def test_who_misses_twice_is_paused_and_sees_it(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        await some_tasks(w, queue, 3)
    for miss in (1, 2):
        await run(book)
        one = await pending(book)
        clock.forward(queue.ring_seconds)
        with book.hub.watch(f"agent:{ana.id}") as watcher:
            async with book.writing() as w:
                await dispatch.expire(w, one.id)
            assert await watcher.changed()
        agent = await row(book, Agent, ana.id)
        assert (agent.misses, agent.load) == (miss, 0)
        assert agent.wish is (Wish.ready if miss == 1 else Wish.paused)
        clock.forward(6)
        async with book.writing() as w:
            await presence.beat(w, [ana.id])
    assert await run(book) == 0
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.ready)
    assert await run(book) == 1


async def test_what_rings_at_an_absent_agent_is_taken_back_and_given_to_another(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        (task,) = await some_tasks(w, queue, 1)
    await run(book)
    clock.forward(15)
    async with book.writing() as w:
        eva = await making.agent(w, "eva")
        assert await dispatch.take_back_absent(w) == 1
    async with book.writing() as w:
        assert await dispatch.take_back_absent(w) == 0
    assert (await row(book, Reservation, 1)).state is ReservationState.rescinded
    await run(book)
    assert await held(book) == {task: eva.id}
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
    assert (await row(book, Agent, ana.id)).load == 0


async def test_a_late_alarm_changes_nothing(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
        await some_tasks(w, queue, 1)
    await run(book)
    async with book.writing() as w:
        await dispatch.accept(w, 1, ana.id)
    async with book.writing() as w:
        await dispatch.expire(w, 1)
        await dispatch.expire(w, 99)
    assert (await row(book, Task, 1)).state is TaskState.connecting


async def test_idle_time_counts_only_eligible_time(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
    clock.forward(5)
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
    assert (await row(book, Agent, ana.id)).idle_since == clock.now - timedelta(seconds=5)
    clock.forward(60)
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
    assert (await row(book, Agent, ana.id)).idle_since == clock.now - timedelta(seconds=20), "his last lease counts"
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.paused)
    assert (await row(book, Agent, ana.id)).idle_since is None
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
        await presence.set_wish(w, ana.id, Wish.paused)
    assert (await row(book, Agent, ana.id)).idle_since is None
    clock.forward(3)
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.ready_once)
    assert (await row(book, Agent, ana.id)).idle_since == clock.now - timedelta(seconds=20), "a pause costs no turn"
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.ready)
    assert (await row(book, Agent, ana.id)).idle_since == clock.now - timedelta(seconds=20), "nor does wanting more"
    async with book.writing() as w:
        await presence.set_wish(w, ana.id, Wish.off)
        await presence.set_wish(w, ana.id, Wish.ready)
    assert (await row(book, Agent, ana.id)).idle_since == clock.now, "who goes home begins anew"
    with pytest.raises(NotFound):
        async with book.writing() as w:
            await presence.set_wish(w, 99, Wish.ready)


async def test_hearts_beating_in_two_replicas_do_not_deadlock(book: Book, twin: Book, queue: Queue) -> None:
    async with book.writing() as w:
        ids = [(await making.agent(w, f"agent{n}")).id for n in range(8)]

    async def beat(on: Book, order: list[int]) -> None:
        async with on.writing() as w:
            await presence.beat(w, order)

    await asyncio.gather(*(beat(on, order) for on in (book, twin) * 3 for order in (ids, ids[::-1])))
    async with book.reading() as r:
        await check(r.session)
