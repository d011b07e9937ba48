"""`hablemos replay` of a busy time in the real house: played again under the same rules and by the same agents it comes
to the recorded figures.

Chance drives the house's own verbs in the tests' own time: who comes, leaves, is given up or taken over by another
line; who accepts, rejects, misses and is paused for it; who pauses by himself, and who is handed on. In the middle an
agent learns what a line needs, and later a supervisor pauses the campaign for a while.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from router.actions import (
    aging,
    calling,
    configuring,
    consulting,
    dispatch,
    intake,
    presence,
    supervising,
    transferring,
    wrapping,
)
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.cli import main
from router.model import configuration
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.errors import Conflict
from router.model.facts import Fact
from router.model.lots import lots
from router.model.recording import Asked, Desk, Recording
from router.model.replaying import replay
from router.model.tasks import (
    TIER_FRESH,
    TIER_NOW,
    Disposition,
    Reservation,
    ReservationState,
    Task,
    TaskKind,
    TaskState,
)
from router.store import replaying
from router.store.replaying import MARGIN
from tests import making
from tests.actions.telephones import accepted
from tests.actions.test_consulting import ANA, EVA, Talk
from tests.conftest import MONDAY_NOON, Clock

MORNING = datetime(2025, 11, 24, 8, 0, tzinfo=UTC)
DAY = "2025-11-24"
STEP = 5
"""Everything happens at whole steps (seconds): the house's own times, 20, 60 and 5 s, are such."""
BACK_AFTER = 40
MINUTES = 12
LEARNED, PAUSED, GOES_ON = 4 * 60, 6 * 60, 8 * 60
"""So many seconds after the beginning."""
LEARN = "".join(f'[[agents]]\nlogin = "{one}"\nname = "{one.title()}"\nskills = ["it"]\n' for one in ("leo", "paz"))


@dataclass
class Floor:
    """Four agents, a line that hands over to another, and one that gives up; moved a step at a time by `chance`."""

    book: Book
    clock: Clock
    queues: dict[str, Queue]
    agents: list[int]
    chance: Random
    came: int = 0
    opens: bool = True
    leaves: dict[int, datetime] = field(default_factory=dict)
    rings: dict[int, tuple[datetime, bool]] = field(default_factory=dict)
    talks: dict[int, tuple[datetime, int]] = field(default_factory=dict)
    back: dict[int, datetime] = field(default_factory=dict)
    wish: dict[int, Wish] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)

    def after(self, *steps: int) -> datetime:
        return datetime.fromtimestamp(self.clock.now.timestamp() + STEP * self.chance.choice(steps), UTC)

    def due(self, when: dict[int, Any]) -> list[int]:
        now = self.clock.now
        return [key for key, value in when.items() if (value[0] if isinstance(value, tuple) else value) <= now]

    async def step(self, seconds: float = 0.0) -> None:
        self.clock.forward(STEP)
        await self.changes(seconds)
        await self.answer()
        await self.finish()
        for task in self.due(self.leaves):
            del self.leaves[task]
            async with self.book.writing() as w:
                await dispatch.abandon(w, task)
        if self.opens and self.chance.random() < 0.3:
            await self.comes(self.chance.choice(["ventas", "ventas", "otras", "soporte", "soporte"]))
        await Alarms(self.book, ALARMS).sweep()
        await self.give()
        await self.look()

    async def plays(self) -> None:
        """All of it, until everybody has gone home."""
        begins = self.clock.now
        for _ in range(MINUTES * 60 // STEP):
            await self.step((self.clock.now - begins).total_seconds())
        await self.closes()

    async def changes(self, seconds: float) -> None:
        """What is played as the first of what happens at once."""
        for agent in self.due(self.back):
            del self.back[agent]
            self.wish[agent] = Wish.ready
        wishes, self.wish = self.wish, {}
        async with self.book.writing() as w:
            await presence.beat(w, self.agents)
            for agent, wish in wishes.items():
                await presence.set_wish(w, agent, wish)
            if seconds == LEARNED:
                await configuring.apply(w, configuration.read(LEARN), {})
            elif seconds in (PAUSED, GOES_ON):
                await supervising.set_paused(w, self.queues["ventas"].campaign_id, seconds == PAUSED, self.agents[0])

    async def closes(self) -> None:
        """Nobody comes any more; when everybody has been served the agents go home."""
        self.opens = False
        while self.rings or self.talks or self.leaves:
            await self.step()
        for agent in self.agents:
            await self.wishes(agent, Wish.off)
        self.clock.forward(STEP)

    async def wishes(self, agent: int, wish: Wish) -> None:
        async with self.book.writing() as w:
            await presence.set_wish(w, agent, wish)

    async def comes(self, key: str) -> None:
        queue = self.queues[key]
        kind = TaskKind.call if key == "soporte" else TaskKind.video
        self.came += 1
        async with self.book.writing() as w:
            lead = await making.lead(w, queue, f"+1202555{self.came:04d}")
            tier = TIER_FRESH if kind is TaskKind.call else TIER_NOW
            task = await making.task(w, queue, lead, kind=kind, tier=tier, state=TaskState.scheduled)
            await intake.task_due(w, task.id)
        if self.chance.random() < 0.3:
            self.leaves[task.id] = self.after(4, 8, 15)

    async def give(self) -> None:
        """Whatever has become old is handed over or given up; whatever can be given is given."""
        async with self.book.writing() as w:
            await aging.age(w)
            made = await dispatch.run_round(w, 1)
        while made:
            async with self.book.writing() as w:
                made = await dispatch.run_round(w, 1)

    async def look(self) -> None:
        """Whom something rings at knows what he will do. Whom the house has paused is back a little later; now and then
        somebody pauses by himself."""
        async with self.book.reading() as r:
            pending = await r.session.scalars(
                select(Reservation).where(Reservation.state == ReservationState.pending).order_by(Reservation.id))
            agents = await r.session.scalars(select(Agent).order_by(Agent.id))
        for one in pending:
            if one.id not in self.rings:
                answer = self.chance.random()
                if one.agent_id == self.agents[0] and answer < 0.4:
                    self.rings[one.id] = self.after(10), False  # that is: he misses it
                else:
                    self.rings[one.id] = self.after(1, 2), answer < 0.85
        for agent in agents:
            if agent.wish is Wish.paused and agent.id not in self.back:
                self.back[agent.id] = self.after(BACK_AFTER // STEP)
            elif agent.wish in (Wish.ready, Wish.ready_once) and self.chance.random() < 0.01:
                self.wish[agent.id] = self.chance.choice([Wish.paused, Wish.ready_once])

    async def answer(self) -> None:
        for ring in self.due(self.rings):
            _, takes = self.rings.pop(ring)
            async with self.book.writing() as w:
                held = vouched(await w.session.get(Reservation, ring))
                try:
                    call = await (dispatch.accept if takes else dispatch.reject)(w, ring, held.agent_id)
                except Conflict:
                    continue
            if takes:
                self.talks[held.task_id] = self.after(6, 12, 20, 30), held.agent_id
                self.leaves.pop(held.task_id, None)
            if call is not None:
                self.calls[held.task_id], self.talks[held.task_id] = call.id, (self.after(2, 4), held.agent_id)

    async def finish(self) -> None:
        """A talk is over, or he is handed on to a colleague who is free. Who is called is not there."""
        for task in self.due(self.talks):
            _, agent = self.talks.pop(task)
            if task in self.calls:
                async with self.book.writing() as w:
                    await calling.hang_up(w, self.calls[task], agent)
                continue
            if self.chance.random() < 0.25 and await self.hands_on(task, agent):
                continue
            async with self.book.writing() as w:
                await wrapping.begin_task(w, vouched(await w.session.locked(Task, task)))
                await wrapping.dispose(w, task, agent, Disposition.sold)

    async def hands_on(self, task: int, agent: int) -> bool:
        for other in self.agents:
            try:
                async with self.book.writing() as w:
                    await transferring.to_agent(w, task, agent, other)
                return True
            except Conflict:
                continue
        return False


@pytest.fixture
async def floor(book: Book, clock: Clock) -> Floor:
    clock.now = MORNING
    async with book.writing() as w:
        campaign = await making.campaign(w, timezone="Europe/Madrid")
        others = await making.queue(w, campaign, "otras")
        queues = {
            "otras": others,
            "ventas": await making.queue(w, campaign, "ventas", skills=["es"], overflow_id=others.id,
                                         overflow_seconds=30, expire_seconds=0),
            "soporte": await making.queue(w, campaign, "soporte", skills=["it"], expire_seconds=90),
        }
        agents = [
            (await making.agent(w, login, ready=False, skills=skills)).id
            for login, skills in (("ana", ["es"]), ("eva", ["es"]), ("leo", []), ("paz", []))
        ]
    made = Floor(book, clock, queues, agents, Random(15))  # noqa: S311
    for agent in agents:
        await made.wishes(agent, Wish.ready)
    return made


async def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code = await asyncio.to_thread(main, ["replay", "--from", DAY, *arguments, "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


async def facts(book: Book) -> Counter[str]:
    """How often what happened; a task that waits again with its reason."""
    async with book.reading() as r:
        rows = await r.session.rows(select(Fact.kind, Fact.data))
        return Counter(f"{kind} {data.get('reason', '')}".strip() for kind, data in map(tuple, rows))


ALL_OF_IT = (
    "task.queued", "task.queued rejected", "task.queued missed", "task.queued transferred", "overflow.queue",
    "task.expired waited_too_long", "task.abandoned left", "agent.paused", "agent.paused missed", "agent.paused once",
)


async def test_a_busy_time_played_again_comes_to_the_recorded_figures(
    floor: Floor, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within one person, one second of waiting and one hundredth of the agents' time; and everybody fares as he did,
    which he would not if nobody had learned anything, or had known it before, or nothing had been paused."""
    await floor.plays()
    happened = await facts(floor.book)
    assert all(happened[kind] for kind in ALL_OF_IT), happened
    monkeypatch.setenv("HABLEMOS_DATABASE_URL", database_url)
    seen = await told(capsys)
    recorded, again = seen["recorded"], seen["as_it_was"]
    for people in ("offered", "answered", "left", "expired", "waiting", "in_time"):
        assert again[people] == pytest.approx(recorded[people], abs=1), people
    for seconds in ("asa_s", "longest_s"):
        assert again[seconds] == pytest.approx(recorded[seconds], abs=1.0), seconds
    assert again["occupancy"] == pytest.approx(recorded["occupancy"], abs=0.01)
    assert seen["drift_s"] <= 1.0
    assert recorded["offered"] > 40
    day = await recorded_of(floor.book, floor.clock.now)
    assert strayed(day) == 0
    assert strayed(replace(day, desks=tuple(replace(desk, later=()) for desk in day.desks))) > 2
    assert strayed(replace(day, desks=tuple(map(as_he_is_now, day.desks)))) > 2
    assert strayed(replace(day, timetables={key: replace(one, paused=()) for key, one in day.timetables.items()})) > 2


def as_he_is_now(desk: Desk) -> Desk:
    return replace(desk, ability=desk.later[-1][1], later=()) if desk.later else desk


async def recorded_of(book: Book, now: datetime) -> Recording:
    """What is on record of the day."""
    async with book.reading() as r:
        queues = await replaying.queues(r.session)
        keys = {one.id: f"luz/{one.key}" for one in queues}
        return await replaying.recording(r.session, MORNING, now, now, keys, list(keys), "UTC")


def strayed(day: Recording) -> int:
    """How many fared otherwise when it is played again: another end, or a second of waiting."""
    again = replay(day, lots(day.items, 1)).ended
    return sum(
        item.end is not one.end or abs(item.waited_s - one.waited_s) > 1.0
        for item, one in zip(day.items, again, strict=True)
    )


async def test_what_was_paused_and_who_worked_elsewhere_is_read_from_the_facts(floor: Floor) -> None:
    """From nine on, one thing each ten seconds."""
    luz, ana, leo = floor.queues["ventas"].campaign_id, floor.agents[0], floor.agents[2]
    elsewhere = configuration.read('[[agents]]\nlogin = "leo"\nname = "Leo"\npool = 2\n')

    async def then(*verbs: Callable[[Writing], Awaitable[object]]) -> None:
        floor.clock.forward(10)
        async with floor.book.writing() as w:
            await presence.beat(w, floor.agents)
            for verb in verbs:
                await verb(w)

    await then(lambda w: supervising.set_nurture(w, False, ana))
    await then(
        lambda w: supervising.set_nurture(w, True, ana), lambda w: supervising.set_paused(w, luz, True, ana),
        lambda w: configuring.apply(w, elsewhere, {}),
    )
    await then()
    day = await recorded_of(floor.book, floor.clock.now)
    nine = MARGIN.total_seconds()
    assert day.nurture_paused == ((nine + 10.0, nine + 20.0),)
    assert {one.paused for one in day.timetables.values()} == {((nine + 20.0, nine + 30.0),)}
    at = {desk.id: (desk.spans[0].begins, desk.spans[-1].ends, [able.pool for _, able in desk.later])
          for desk in day.desks}
    assert at == {agent: (nine, nine + 30.0, []) for agent in floor.agents} | {leo: (nine, nine + 20.0, [2])}


async def test_a_colleague_who_was_asked_first_and_took_over_is_on_record(book: Book, clock: Clock) -> None:
    line = await accepted(book)
    await line.both_there()
    talk = Talk(line)
    clock.forward(50)
    await talk.do(lambda w: presence.beat(w, [ANA, EVA]))
    await talk.there()
    clock.forward(30)
    await talk.do(lambda w: consulting.complete(w, 1, ANA))
    clock.forward(1)
    async with book.reading() as r:
        (queue,) = await replaying.queues(r.session)
        seen = await replaying.recording(
            r.session, MONDAY_NOON, clock.now, clock.now, {queue.id: "luz/ventas"}, [queue.id], "UTC"
        )
    (item,) = seen.items
    assert (item.agent, item.asked) == (ANA, (Asked(50.0, EVA, 30.0, True),))
    assert [(desk.id, len(desk.spans)) for desk in seen.desks] == [(ANA, 1), (EVA, 1)]
