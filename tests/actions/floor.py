"""A floor of agents and whoever calls on them, moved one step at a time by the house's own verbs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select, text, update

from router.actions import (
    aging,
    calling,
    clocks,
    configuring,
    conversing,
    dispatch,
    presence,
    replying,
    stationing,
    wrapping,
)
from router.actions.conversing import Heard
from router.actions.intake import take_in
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.model.agents import Wish
from router.model.calls import Leg
from router.model.campaigns import Line, Queue
from router.model.configuration import read
from router.model.conversations import Channel
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import HouseError
from router.model.intake import Agreed, Wanted, Work
from router.model.leads import Intent
from router.model.tasks import TIER_LIST, Disposition, TaskKind
from router.outcomes import HOUSE, Performed, performed
from router.ports import LegMoved, LegOutcome, LegRole, LegStage, RoomChange, RoomMoved
from router.store.db import contended
from tests.conftest import MONDAY_NOON, Clock, emptied
from tests.invariants import check, check_quiet

PLAN = """
[[campaigns]]
key = "luz"
name = "Luz Clara"
caller_id = "+12025550100"
sender = "+12025550100"
countries = ["US"]
rule_pack = "demo"
daily_spend_cap = 1000000

  [campaigns.company]
  name = "Luz Clara SL"
  address = "Calle Mayor 1, 28013 Madrid"
  phone = "+12025550100"
  email = "hola@luzclara.example"

  [[campaigns.queues]]
  key = "hot"
  name = "Web leads"
  ring_seconds = 15
  overflow = "solar"
  overflow_seconds = 150
    [campaigns.queues.rules]
    newest_first = true
    floor_seconds = 100

  [[campaigns.queues]]
  key = "solar"
  name = "Panels"
  skills = { solar = 2 }
  ring_seconds = 5
  wrap_mode = "timed_and_done"
  wrap_seconds = 20
  wrap_most_seconds = 90
    [campaigns.queues.rules]
    owner_seconds = 25
    floor_seconds = 300
    [[campaigns.queues.rules.rows]]
    from_seconds = 30
    skills = { solar = 1 }
    credit_seconds = 15

  [[campaigns.queues]]
  key = "chat"
  name = "Chats"
  skills = ["es"]
  exclude_seconds = 20
  wrap_mode = "none"

  [[campaigns.queues]]
  key = "far"
  name = "Another pool"
  pool = 2
  expire_seconds = 900

[[agents]]
login = "ana"
name = "Ana"
skills = { solar = 2, es = 1 }
capacity = { call = 1, chat = 2 }

[[agents]]
login = "eva"
name = "Eva"
skills = { solar = 1, es = 1 }

[[agents]]
login = "bruno"
name = "Bruno"
most_a_day = 2

[[agents]]
login = "carlos"
name = "Carlos"
skills = { solar = 3 }
weight = 2.0

[[agents]]
login = "zoe"
name = "Zoe"
pool = 2
"""
AGENTS = 5
QUEUES = 4
OUTCOMES = [one for one in LegOutcome if one is not LegOutcome.none]


class TaskRow(msgspec.Struct):
    id: int
    state: str
    kind: TaskKind
    pool: int
    lane: str
    tier: int
    row: int
    skills: list[str]
    queue_id: int
    contact_id: int
    lead_id: int
    agent_id: int | None
    prefers: int | None
    prefers_until: datetime | None
    continues: int | None


class AgentRow(msgspec.Struct):
    id: int
    wish: str
    pool: int
    skills: list[str]
    call_load: int
    chat_load: int
    video_load: int
    call_capacity: int
    chat_capacity: int
    video_capacity: int
    most_a_day: int
    taken: int
    day_ends: datetime | None
    idle_since: datetime | None
    heartbeat_at: datetime | None
    back_off_until: datetime | None


class Ring(msgspec.Struct):
    id: int
    task_id: int
    agent_id: int
    why: list[dict[str, Any]]


class LegRow(msgspec.Struct):
    ref: str
    role: str
    stage: int
    carrier_id: str
    delivery: int | None


class CallRow(msgspec.Struct):
    id: int
    task_id: int
    agent_id: int
    state: str
    legs: list[LegRow]


class StationRow(msgspec.Struct):
    """An agent who stays on the line, or is called to; `delivery` is the call to him that has not left."""

    id: int
    agent_id: int
    state: str
    ref: str
    room: str
    room_ref: str
    delivery: int | None


class Told(msgspec.Struct):
    """A fact."""

    id: int
    at: datetime
    kind: str
    subject_id: int | None
    agent_id: int | None
    data: dict[str, Any]


class Thread(msgspec.Struct):
    id: int
    contact_id: int
    lead_id: int
    agent_id: int | None


class Seen(msgspec.Struct):
    """The floor at one moment: what is not over. `failed` counts alarms that stumbled, `facts` are those since."""

    tasks: list[TaskRow]
    agents: list[AgentRow]
    rings: list[Ring]
    calls: list[CallRow]
    stations: list[StationRow]
    threads: list[Thread]
    facts: list[Told]
    failed: int


_SEEN = text(
    """
    select json_build_object(
      'tasks', (select coalesce(json_agg(t order by t.id), '[]') from tasks t
        where state not in ('closed', 'abandoned', 'expired', 'withdrawn')),
      'agents', (select coalesce(json_agg(a order by a.id), '[]') from agents a),
      'rings', (select coalesce(json_agg(r order by r.id), '[]') from reservations r where state = 'pending'),
      'calls', (select coalesce(json_agg(c order by c.id), '[]') from (select *, (
          select coalesce(json_agg(l order by l.id), '[]') from (select *, (
            select min(id) from deliveries d where d.leg_id = legs.id and d.kind = 'leg' and d.state = 'pending'
          ) as delivery from legs where call_id = calls.id) l) as legs from calls where ended_at is null) c),
      'stations', (select coalesce(json_agg(s order by s.id), '[]') from (select *, (
          select min(id) from deliveries d where d.station_id = stations.id and d.call_id is null and d.kind = 'leg'
            and d.state = 'pending') as delivery from stations where ended_at is null) s),
      'threads', (select coalesce(json_agg(c order by c.id), '[]') from conversations c where state = 'open'),
      'facts', (select coalesce(json_agg(f order by f.id), '[]') from facts f where id > :after),
      'failed', (select count(*) from alarms where failures > 0)
    )::text
    """
)


class Floor:
    """Two replicas over one database, and the tests' clock. Every verb is committed; the invariants are asked for
    after each. `away` are agents whose browsers are closed: the others' answer whenever time passes. `watched` is told
    of every look."""

    def __init__(self, books: Sequence[Book], clock: Clock, database: str) -> None:
        self.books, self.clock, self._database = books, clock, database
        self.queues: list[Queue] = []
        self.away: set[int] = set()
        self.now_seen: Seen
        self.watched: Callable[[Seen], None] = lambda seen: None
        self._after = self._keys = 0

    async def open(self) -> None:
        """An empty house with everybody ready."""
        await emptied(self._database)
        self.clock.now = MONDAY_NOON
        self.away.clear()
        self._after = 0
        plan = read(PLAN)
        async with self.books[0].writing() as w:
            await configuring.apply(w, plan, {one.login: "!" for one in plan.agents}, demo=True)
            for agent in range(1, AGENTS + 1):
                await presence.set_wish(w, agent, Wish.ready)
            await presence.beat(w, range(1, AGENTS + 1))
        async with self.books[0].reading() as r:
            self.queues = [one for n in range(1, QUEUES + 1) if (one := await r.session.get(Queue, n))]
        await self.look()

    async def look(self) -> Seen:
        """The floor now; no invariant is broken, and no alarm has stumbled."""
        async with self.books[0].reading() as r:
            await check(r.session)
            ((body,),) = await r.session.rows(_SEEN, {"after": self._after})
        self.now_seen = msgspec.json.decode(body, type=Seen)
        assert self.now_seen.failed == 0, "an alarm failed"
        if self.now_seen.facts:
            self._after = self.now_seen.facts[-1].id
        self.watched(self.now_seen)
        return self.now_seen

    async def do(self, verb: Callable[[Writing], Awaitable[Any]], book: int = 0) -> bool:
        """One verb in one transaction; False when it was refused by name."""
        try:
            async with self.books[book].writing() as w:
                await verb(w)
        except HouseError:
            return False
        return True

    async def race(self, one: Callable[[Writing], Awaitable[Any]], other: Callable[[Writing], Awaitable[Any]]) -> None:
        """Both at once, each on its own replica. Who is in the other's way is told to try again, as the doors do."""
        ends = await asyncio.gather(self.do(one), self.do(other, 1), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not contended(end):
                raise end

    async def arrive(self, person: int, queue: int, tier: int, *, chat: bool = False, later: bool = False) -> None:
        """A lead by its key, asked for twice: the answer is the same, and there is one."""
        self._keys += 1
        line: Line = self.queues[queue].line
        due = self.clock.now.replace(microsecond=0) if later else None
        work = Work(TaskKind.chat if chat else TaskKind.call, tier, due and due.replace(minute=59))
        wanted = Wanted(
            line=line, phone=f"+1202555010{person}", name="Carmen", locale="es", method="widget",
            intent=Intent.chat if chat else Intent.call_now, status_token=f"token-{self._keys}",
            agreed=(Agreed(("requested",), "Sí", "1"),), work=work, key=f"key-{self._keys}", request_sha256=b"body",
            scope="here",
        )
        answers = []
        for _ in range(2):
            async with self.books[0].writing() as w:
                answers += await take_in(w, [wanted])
        assert (answers[1].lead_id, answers[1].replayed) == (answers[0].lead_id, True)

    async def beat(self) -> None:
        here = [agent for agent in range(1, AGENTS + 1) if agent not in self.away]
        await self.do(lambda w: presence.beat(w, here))

    async def wish(self, wish: Wish) -> None:
        """The whole team goes for a coffee, or comes back from it."""
        for agent in range(1, AGENTS + 1):
            await self.do(lambda w, id=agent: presence.set_wish(w, id, wish))

    async def pass_time(self, seconds: float) -> None:
        """Browsers answer every five seconds; a jump is a jump for them too."""
        self.clock.forward(seconds)
        await self.do(clocks.set_right)
        await self.beat()

    async def round(self, book: int = 0) -> list[Ring]:
        """Rounds until nothing more is matched, as a sweep does; the rings it made. Nobody is left idle."""
        before = {ring.id for ring in self.now_seen.rings}
        for pool in (1, 2):
            more = True
            while more:
                async with self.books[book].writing() as w:
                    more = await dispatch.run_round(w, pool) > 0
        async with self.books[book].reading() as r:
            await check_quiet(r.session, r.now)
        return [ring for ring in (await self.look()).rings if ring.id not in before]

    async def sweep(self, *books: int) -> None:
        """Alarms that are due, what rings at who is away, and who has waited long; on these replicas at once."""
        await asyncio.gather(*(Alarms(self.books[book], ALARMS).sweep() for book in books))
        await asyncio.gather(*(self.do(aging.age, book) for book in books))
        await self.do(dispatch.take_back_absent, books[0])
        await self.do(stationing.close_unwanted, books[-1])

    async def stand(self, agent: int, outcome: LegOutcome = LegOutcome.none) -> None:
        """The agent is called to stay on the line, and picks up, or does not. The carrier says so twice."""
        await self.do(lambda w: stationing.open_line(w, agent))
        for station in (await self.look()).stations:
            if station.agent_id == agent and station.delivery is not None:
                await self._carry(station.delivery, f"id-{station.ref}")
                stage = LegStage.answered if outcome is LegOutcome.none else LegStage.ended
                await self.tell_station(station, stage, outcome, times=2)

    async def tell_station(
        self, station: StationRow, stage: LegStage, outcome: LegOutcome = LegOutcome.none, *, times: int = 1
    ) -> None:
        """The carrier's word on the telephone of an agent who stays on the line."""
        moved = LegMoved(station.ref, f"id-{station.ref}", stage, outcome)
        for _ in range(times):
            await self.do(lambda w: calling.on_event(w, moved), 1)

    async def tell_room(self, station: StationRow, change: RoomChange, role: LegRole | None = None) -> None:
        """The carrier's word on his room: that it is over, or that he has left it."""
        carrier_id = f"id-{station.ref}" if role is LegRole.agent else ""
        moved = RoomMoved(station.room_ref, station.room, change, role, carrier_id)
        await self.do(lambda w: calling.on_event(w, moved), 1)

    async def hang_ups(self) -> None:
        """The carrier hangs up whom it was asked to in stations' rooms, and says so."""
        for delivery in await self._to_hang_up():
            await self._carry(delivery.id, "")
            async with self.books[0].reading() as r:
                legs = list(await r.session.scalars(
                    select(Leg).where(Leg.carrier_id == str(delivery.order.get("carrier_id")), Leg.ended_at.is_(None))
                ))
            for leg in legs:
                moved = LegMoved(leg.ref, leg.carrier_id, LegStage.ended, LegOutcome.completed)
                await self.do(lambda w, moved=moved: calling.on_event(w, moved), 1)

    async def _to_hang_up(self) -> list[Delivery]:
        async with self.books[0].reading() as r:
            return list(await r.session.scalars(
                select(Delivery).where(
                    Delivery.station_id.is_not(None), Delivery.state == DeliveryState.pending,
                    Delivery.kind.in_((DeliveryKind.end_leg, DeliveryKind.end_room)),
                ).order_by(Delivery.id)
            ))

    async def _carry(self, delivery_id: int, carrier_id: str) -> None:
        """The courier's work: the order is started, the carrier does it."""
        async with self.books[0].writing() as w:
            await w.session.execute(
                update(Delivery).where(Delivery.id == delivery_id).values(state=DeliveryState.started)
            )
            started = await w.session.get(Delivery, delivery_id)
            assert started is not None
            await performed(w, HOUSE, started, Performed(carrier_id))

    async def place(self, leg: LegRow) -> None:
        """The courier's work: the order is started, the carrier takes it."""
        async with self.books[0].writing() as w:
            await w.session.execute(
                update(Delivery).where(Delivery.id == leg.delivery)
                .values(state=DeliveryState.done, carrier_id=f"id-{leg.ref}")
            )
            placed = await w.session.get(Delivery, leg.delivery)
            assert placed is not None
            await calling.leg_placed(w, placed, f"id-{leg.ref}")

    async def tell(
        self, leg: LegRow, stage: LegStage, outcome: LegOutcome = LegOutcome.none, *, times: int = 1
    ) -> None:
        """The carrier's word, perhaps twice."""
        moved = LegMoved(leg.ref, f"id-{leg.ref}", stage, outcome)
        for _ in range(times):
            await self.do(lambda w: calling.on_event(w, moved), 1)

    async def answer(self, leg: LegRow) -> None:
        """The telephone is called, and somebody takes it; the carrier says so twice."""
        if leg.delivery is not None:
            await self.place(leg)
        await self.tell(leg, LegStage.answered, times=2)

    async def talk(self, place: int) -> CallRow | None:
        """A call in which two talk: one there is, or what rings, or somebody new, is accepted and both telephones are
        taken."""
        if not self.now_seen.calls and not self.now_seen.rings:
            await self.wish(Wish.ready)
            await self.beat()
            await self.arrive(place % 8, 0, 0)
            await self.look()
            await self.round()
        for ring in self.now_seen.rings if not self.now_seen.calls else []:
            await self.do(lambda w, ring=ring: dispatch.accept(w, ring.id, ring.agent_id))
        for _ in range(2):  # the agent's leg, then the customer's
            await self.hang_ups()
            await self.sweep(0)  # a customer is called to who stays on the line by an alarm
            for call in (await self.look()).calls:
                for leg in call.legs if call.state != "talking" else []:
                    await self.answer(leg)
        talking = [call for call in (await self.look()).calls if call.state == "talking"]
        return talking[place % len(talking)] if talking else None

    async def join(self, place: int, *, listed: bool, answers: bool) -> CallRow | None:
        """Somebody free stays on the line, and the next call is given to whoever does: shown and dialled, or accepted.
        The customer's telephone is called into the room, and taken if `answers`."""
        await self.beat()
        free = [one.id for one in self.now_seen.agents if not one.call_load and not one.video_load and one.pool == 1]
        if free:
            await self.do(lambda w: presence.set_wish(w, free[place % len(free)], Wish.ready))
            await self.stand(free[place % len(free)])
        await self.arrive(place % 8, 0, TIER_LIST if listed else 0)
        await self.look()
        await self.round()
        on_the_line = {one.agent_id for one in self.now_seen.stations if one.state == "standing"}
        rings = [one for one in self.now_seen.rings if one.agent_id in on_the_line]
        if listed:
            await self.pass_time(6)
        for ring in rings if not listed else []:
            await self.do(lambda w, ring=ring: dispatch.accept(w, ring.id, ring.agent_id))
        for _ in range(2):  # the end of the preview, then the call into the room
            await self.hang_ups()
            await self.sweep(1)
        joined = [call for call in (await self.look()).calls if call.agent_id in on_the_line and call.legs]
        for call in joined if answers else []:
            for leg in call.legs if call.state == "customer_leg" else []:
                await self.answer(leg)
        joined = [call for call in (await self.look()).calls if call.agent_id in on_the_line and call.legs]
        return joined[place % len(joined)] if joined else None

    async def write(self, thread: Thread) -> None:
        """The visitor writes."""
        queue = self.queues[2]
        await self.do(lambda w: conversing.heard(w, Heard(
            Channel.web_chat, queue.campaign_id, queue, thread.contact_id, thread.lead_id, "¿Hola?")))

    async def drain(self, most: int) -> None:
        """Everybody comes back and works as he should: whatever waits is done within so many turns of ten seconds."""
        self.away.clear()
        for turn in range(most):
            await self.pass_time(10)
            await self.sweep(turn % 2)
            await self.wish(Wish.ready)
            await self.round(turn % 2)
            if not [task for task in self.now_seen.tasks if task.state != "scheduled"]:
                return
            await self.work()
        raise AssertionError(f"not done after {most} turns: {self.now_seen.tasks} {self.now_seen.agents}")

    async def work(self) -> None:
        """Everybody does the next thing, as he should."""
        for ring in self.now_seen.rings:
            await self.do(lambda w, ring=ring: dispatch.accept(w, ring.id, ring.agent_id))
        for _ in range(2):  # the agent's leg, then the customer's
            for call in (await self.look()).calls:
                for leg in call.legs:
                    if leg.delivery is not None:
                        await self.place(leg)
                    await self.tell(leg, LegStage.answered)
        for call in (await self.look()).calls:
            await self.do(lambda w, call=call: calling.hang_up(w, call.id, call.agent_id))
        await self.hang_ups()
        for thread in self.now_seen.threads:
            if thread.agent_id is not None:
                await self.do(lambda w, one=thread: replying.say(w, one.id, one.agent_id, "Adiós"))
        for task in (await self.look()).tasks:
            if task.agent_id is not None and task.state == "engaged":
                await self.do(lambda w, task=task: replying.finish(w, task.id, task.agent_id))
        for task in (await self.look()).tasks:
            if task.agent_id is not None and task.state == "wrapping":
                await self.do(lambda w, task=task: wrapping.dispose(w, task.id, task.agent_id, Disposition.sold))
        await self.look()
