"""Service figures from the journal: a small day lived through the house's own actions, against numbers reckoned by
hand."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select, text

from router.actions import answering, calling, dispatch, intake, presence, promising, replying, resuming, wrapping
from router.alarms import Alarms
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.arrivals import Arrival
from router.model.base import vouched
from router.model.calls import Call, Leg
from router.model.campaigns import Number, Queue
from router.model.figures import BY_KEY, Counts, Handled, Offers, Tally, Time, Waits, half_hours
from router.model.intake import Agreed, Wanted, Work
from router.model.leads import Intent
from router.model.slots import Slot
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskKind, TaskState
from router.model.vault import new_token
from router.ports import CallArrived, CallerTurned, LegMoved, LegOutcome, LegStage, RoomChange, RoomMoved
from router.store import figures
from router.store.figures import EVERYBODY, Scope
from tests import making
from tests.conftest import MONDAY_NOON, Clock
from tests.invariants import check

OURS = "+12025550100"
ASKED = Agreed(("requested",), "Sí", "1")
COMING = resuming.Coming("Later", "es", "", "", "")


class Day:
    """One line with one agent, and what happens to them by the second after noon."""

    def __init__(self, book: Book, clock: Clock, queue: Queue, agent: Agent) -> None:
        self.book, self.clock, self.queue, self.agent = book, clock, queue, agent

    def at(self, seconds: float) -> None:
        self.clock.now = MONDAY_NOON + timedelta(seconds=seconds)

    async def wish(self, wish: Wish) -> None:
        async with self.book.writing() as w:
            await presence.set_wish(w, self.agent.id, wish)

    async def lead(self, phone: str, **values: object) -> int:
        """A lead comes in; its task, or its own number when it has none."""
        known: dict[str, object] = {"intent": Intent.call_now, "agreed": (ASKED,), "work": Work(), **values}
        async with self.book.writing() as w:
            (taken,) = await intake.take_in(w, [Wanted(
                line=self.queue.line, phone=phone, name="", locale="es", method="widget", status_token=new_token(),
                **known,  # type: ignore[arg-type]
            )])
        return taken.task_id or taken.lead_id

    async def rings(self) -> int:
        """What the round makes ring."""
        async with self.book.writing() as w:
            assert await dispatch.run_round(w, self.queue.pool) == 1
            held = select(Reservation.id).where(Reservation.state == ReservationState.pending)
            return vouched(await w.session.scalar(held))

    async def accept(self, reservation: int) -> int:
        async with self.book.writing() as w:
            return vouched(await dispatch.accept(w, reservation, self.agent.id)).id

    async def leg(self, call: int, role: str, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> None:
        async with self.book.writing() as w:
            leg = vouched(await w.session.scalar(select(Leg).where(Leg.call_id == call, Leg.role == role)))
            await calling.on_event(w, LegMoved(leg.ref, f"{role}-{call}", stage, outcome))

    async def hang_up(self, call: int) -> int:
        """The talk is over; its task."""
        async with self.book.writing() as w:
            await calling.hang_up(w, call, self.agent.id)
            return vouched(await w.session.get(Call, call)).task_id

    async def dispose(self, task: int) -> None:
        async with self.book.writing() as w:
            await wrapping.dispose(w, task, self.agent.id, Disposition.quote_sent)

    async def talk(self, phone: str, seconds: float, *, talking: float = 30) -> None:
        """Somebody asks and is talked with at once: 2 s until his telephone rings, 3 s more until he answers."""
        self.at(seconds)
        await self.lead(phone)
        ring = await self.rings()
        self.at(seconds + 1)
        call = await self.accept(ring)
        self.at(seconds + 2)
        await self.leg(call, "agent", LegStage.answered)
        self.at(seconds + 5)
        await self.leg(call, "customer", LegStage.answered)
        self.at(seconds + 5 + talking)
        await self.dispose(await self.hang_up(call))

    async def tallies(self, *edges: float, scope: Scope = EVERYBODY) -> list[Tally]:
        moments = [MONDAY_NOON + timedelta(seconds=edge) for edge in edges]
        async with self.book.reading() as r:
            await check(r.session)
            return await figures.tallies(r.session, moments, r.now, scope)


@pytest.fixture
async def day(book: Book, clock: Clock) -> Day:
    async with book.writing() as w:
        campaign = await making.campaign(w)
        queue = await making.queue(w, campaign)
        w.session.add(Number(campaign_id=campaign.id, queue_id=queue.id, phone=OURS))
        agent = await making.agent(w, ready=False)
        agent.heartbeat_at = w.now + timedelta(days=9)  # his browser never falls silent
    return Day(book, clock, queue, agent)


def figure(tally: Tally, key: str) -> float | None:
    return BY_KEY[key].of(tally)


async def lived(day: Day) -> None:
    """Half an hour: A is answered after 15 s, B after 180 s, C leaves after 3 s, D after 70 s; E is not reached."""
    await day.wish(Wish.ready)
    await day.lead("+12025550101")
    ring = await day.rings()
    day.at(5)
    a = await day.accept(ring)
    day.at(8)
    await day.leg(a, "agent", LegStage.answered)
    day.at(15)
    await day.leg(a, "customer", LegStage.answered)
    day.at(60)
    await day.lead("+12025550102")
    day.at(100)
    c = await day.lead("+12025550103")
    day.at(103)
    async with day.book.writing() as w:
        assert await dispatch.abandon(w, c)
    day.at(110)
    d = await day.lead("+12025550104")
    day.at(115)
    task = await day.hang_up(a)
    day.at(145)
    await day.dispose(task)
    missed = await day.rings()
    day.at(165)
    async with day.book.writing() as w:
        await dispatch.expire(w, missed)
    day.at(170)
    ring = await day.rings()
    day.at(172)
    async with day.book.writing() as w:
        await dispatch.reject(w, ring, day.agent.id)
    day.at(180)
    async with day.book.writing() as w:
        assert await dispatch.abandon(w, d)
    day.at(230)
    ring = await day.rings()
    day.at(232)
    b = await day.accept(ring)
    day.at(233)
    await day.leg(b, "agent", LegStage.answered)
    day.at(240)
    await day.leg(b, "customer", LegStage.answered)
    day.at(300)
    task = await day.hang_up(b)
    day.at(360)
    async with day.book.writing() as w:
        await wrapping.wrap_up_ends(w, task)
    day.at(600)
    await day.wish(Wish.paused)
    day.at(1200)
    await day.wish(Wish.off)
    day.at(1800)
    await day.wish(Wish.ready)
    await day.lead("+12025550105")
    e = await day.accept(await day.rings())
    day.at(1805)
    await day.leg(e, "agent", LegStage.answered)
    day.at(1830)
    await day.leg(e, "customer", LegStage.ended, LegOutcome.no_answer)
    day.at(3600)


async def test_a_half_hour_is_what_is_reckoned_by_hand(day: Day) -> None:
    await lived(day)
    first, second = await day.tallies(0, 1800, 3600)
    assert first.waits == Waits(
        answered=2, answered_in=1, left=2, left_in=1, left_short=1, answered_ms=195_000, left_ms=73_000
    )
    shares = {key: figure(first, key) for key in ("sl1", "sl2", "sl3", "sl4", "sl5", "abandonment")}
    assert shares == {"sl1": 0.5, "sl2": 0.5, "sl3": 0.25, "sl4": 1 / 3, "sl5": 0.5, "abandonment": 0.5}
    assert (figure(first, "asa"), figure(first, "wait")) == (97.5, 67.0)
    assert first.handled == Handled(2, talk_ms=160_000, wrap_ms=90_000)
    assert figure(first, "aht") == 125
    assert first.offers == Offers(accepted=2, rejected=1, missed=1)
    assert (figure(first, "acceptance"), figure(first, "misses")) == (0.5, 0.25)
    assert first.time == Time(busy=297_000, ready=600_000, handling=250_000, signed_in=1_200_000)
    assert (figure(first, "occupancy"), figure(first, "utilisation")) == (0.495, 250 / 1200)
    assert sorted(one.wall for one in first.responses) == [3, 8, 70, 173]
    assert (figure(first, "speed_p50"), figure(first, "speed_p90")) == (8, 173)
    assert (figure(first, "speed_1"), figure(first, "speed_5")) == (0.25, 0.5)
    assert first.counts == Counts(rung=2, talked=2, leads=4)
    assert second.waits == Waits()  # who is not reached neither was answered nor left
    assert second.handled == Handled()
    assert second.counts == Counts(rung=1, talked=0, leads=1)
    assert second.time == Time(busy=30_000, ready=1_800_000, handling=0, signed_in=1_800_000)


async def test_halves_add_up_to_the_whole_and_each_moment_counts_once(day: Day) -> None:
    await lived(day)
    (whole,) = await day.tallies(0, 3600)
    parts = await day.tallies(*range(0, 3601, 15))
    for name in ("answered", "answered_in", "left", "left_in", "left_short", "answered_ms", "left_ms"):
        assert sum(getattr(one.waits, name) for one in parts) == getattr(whole.waits, name)
    for name in ("busy", "ready", "handling", "signed_in"):
        assert sum(getattr(one.time, name) for one in parts) == getattr(whole.time, name)
    assert sum(one.offers.decided for one in parts) == whole.offers.decided == 5
    assert sum(len(one.responses) for one in parts) == len(whole.responses) == 5


async def test_a_lead_rung_twice_in_a_day_is_one_lead_of_the_day(day: Day) -> None:
    await lived(day)
    async with day.book.writing() as w:
        lead = vouched(await w.session.scalar(select(Call.lead_id).order_by(Call.id.desc())))
        assert await resuming.call_now(w, lead, COMING)
    e = await day.accept(await day.rings())
    await day.leg(e, "agent", LegStage.answered)
    await day.leg(e, "customer", LegStage.answered)
    edges = [MONDAY_NOON + timedelta(seconds=edge) for edge in range(0, 5401, 1800)]
    async with day.book.reading() as r:
        parts, whole = await figures.day(r.session, edges, r.now)
        (same,) = await figures.tallies(r.session, (edges[0], edges[-1]), r.now)
    assert [(one.counts.rung, one.counts.talked) for one in parts] == [(2, 2), (1, 1), (1, 1)]
    assert (whole.counts.rung, whole.counts.talked) == (3, 3)
    assert replace(whole, responses=sorted(whole.responses)) == replace(same, responses=sorted(same.responses))


async def test_what_is_still_going_on_counts_until_now(day: Day) -> None:
    await day.wish(Wish.ready)
    await day.lead("+12025550101")
    call = await day.accept(await day.rings())
    await day.leg(call, "agent", LegStage.answered)
    day.at(10)
    await day.leg(call, "customer", LegStage.answered)
    await day.lead("+12025550102")
    day.at(100)
    (now,) = await day.tallies(0, 1800)
    assert now.time == Time(busy=100_000, ready=100_000, handling=90_000, signed_in=100_000)
    assert now.waits.answered == 1
    assert [(one.wall, one.reached) for one in now.responses] == [(0, True), (90, False)]
    assert (figure(now, "speed_1"), figure(now, "speed_5")) == (0.5, 1.0)  # the second may yet be within five minutes
    day.at(400)
    (later,) = await day.tallies(0, 1800)
    assert figure(later, "speed_5") == 0.5


async def test_only_the_first_answer_counts_and_it_counts_from_where_the_waiting_began(day: Day) -> None:
    await day.wish(Wish.ready)
    task = await day.lead("+12025550101", intent=Intent.chat, work=Work(TaskKind.chat))
    day.at(30)
    async with day.book.writing() as w:
        ring = await w.session.scalar(select(Reservation))
        assert ring is None
    ring_id = await day.rings()
    async with day.book.writing() as w:
        await dispatch.accept(w, ring_id, day.agent.id)
    day.at(40)
    async with day.book.writing() as w:  # a transfer: back to the line, with its age
        found = vouched(await w.session.locked(Task, task))
        await dispatch.back_to_queue(w, found, day.agent.id, "transfer")
        await presence.release(w, day.agent.id, found.kind)
    day.at(110)
    ring_id = await day.rings()
    async with day.book.writing() as w:
        await dispatch.accept(w, ring_id, day.agent.id)
    day.at(120)
    before, after = await day.tallies(0, 60, 1800)
    assert before.waits == Waits(answered=1, answered_ms=30_000)
    assert after.waits == Waits()


async def test_a_task_that_goes_on_for_somebody_who_left_is_no_second_wait(day: Day) -> None:
    first = await day.lead("+12025550101")
    day.at(50)
    async with day.book.writing() as w:
        assert await dispatch.abandon(w, first)
        gone = vouched(await w.session.get(Task, first))
        w.session.add(Task(
            **{name: getattr(gone, name) for name in (
                "campaign_id", "queue_id", "lead_id", "contact_id", "kind", "pool", "tier", "skills", "lane", "rank")},
            enqueued_at=w.now, state=TaskState.queued, continues=first,
        ))
    await day.wish(Wish.ready)
    call = await day.accept(await day.rings())
    await day.leg(call, "agent", LegStage.answered)
    await day.leg(call, "customer", LegStage.answered)
    (tally,) = await day.tallies(0, 1800)
    assert tally.waits == Waits(left=1, left_ms=50_000)


async def test_who_asks_for_a_call_later_has_neither_left_nor_is_he_answered_late(day: Day) -> None:
    async with day.book.writing() as w:
        await answering.arrived(w, CallArrived("CA1", "+12025550177", OURS))
        arrival = vouched(await w.session.scalar(select(Arrival)))
    day.at(20)
    async with day.book.writing() as w:
        await answering.turned(w, CallerTurned(arrival.ref, "CA1", key="1"))
    asked = await day.lead("+12025550101")
    async with day.book.writing() as w:
        lead = vouched(await w.session.get(Task, asked)).lead_id
        slots = await _slots(day)
        await resuming.choose(w, lead, slots[0].starts_at, COMING)
    day.at(300)
    await day.wish(Wish.ready)
    call = await day.accept(await day.rings())
    await day.leg(call, "agent", LegStage.answered)
    await day.leg(call, "customer", LegStage.answered)
    (tally,) = await day.tallies(0, 1800)
    assert tally.waits == Waits(moved=2)
    assert figure(tally, "offered") == 2


async def _slots(day: Day) -> list[Slot]:
    async with day.book.reading() as r:
        campaign = vouched(await r.session.get(figures.Campaign, day.queue.campaign_id))
        return await promising.offered(r.session, campaign, day.queue, r.now)


async def test_a_promised_call_is_kept_when_it_begins_within_five_minutes(day: Day) -> None:
    alarms = Alarms(day.book, {intake.TASK_DUE: intake.task_due, promising.MISSED: promising.missed})
    slots = await _slots(day)
    starts_at: list[datetime] = []
    for n, slot in enumerate(slots[:2]):
        task = await day.lead(f"+1202555010{n}")
        async with day.book.writing() as w:
            lead = vouched(await w.session.get(Task, task)).lead_id
            starts_at.append((await resuming.choose(w, lead, slot.starts_at, COMING)).starts_at)
    await day.wish(Wish.ready)
    for moment, late in zip(starts_at, (-30, 301), strict=True):
        day.clock.now = moment - timedelta(seconds=45)
        await alarms.sweep()
        day.clock.now = moment + timedelta(seconds=late)
        call = await day.accept(await day.rings())
        await day.leg(call, "agent", LegStage.answered)
        await day.leg(call, "customer", LegStage.answered)
        await day.dispose(await day.hang_up(call))
    edges = [starts_at[0], starts_at[1], starts_at[1] + timedelta(minutes=1)]
    async with day.book.reading() as r:
        kept, late_one = await figures.tallies(r.session, edges, r.now)
    assert (kept.counts.promised, kept.counts.kept) == (1, 1)
    assert (late_one.counts.promised, late_one.counts.kept) == (1, 0)
    assert (figure(kept, "slippage"), figure(late_one, "slippage")) == (0, 301)
    async with day.book.reading() as r:  # nobody waits at the telephone for a promised call
        (whole,) = await figures.tallies(r.session, [MONDAY_NOON, starts_at[1] + timedelta(hours=1)], r.now)
    assert (whole.waits, whole.handled.count) == (Waits(moved=2), 2)


async def test_who_calls_us_is_answered_but_not_rung(day: Day) -> None:
    await day.wish(Wish.ready)
    async with day.book.writing() as w:
        await answering.arrived(w, CallArrived("CA1", "+12025550177", OURS))
    call = await day.accept(await day.rings())
    await day.leg(call, "agent", LegStage.answered)
    day.at(12)
    async with day.book.writing() as w:
        room = vouched(await w.session.get(Call, call))
        await calling.on_event(w, RoomMoved(room.room_ref, room.room, RoomChange.joined, "customer", "CA1"))
    (tally,) = await day.tallies(0, 1800)
    assert tally.waits == Waits(answered=1, answered_in=1, answered_ms=12_000)
    assert (tally.counts, tally.responses) == (Counts(leads=1), ())


async def test_a_chat_takes_up_its_agent_but_has_no_handling_time_of_its_own(day: Day) -> None:
    await day.wish(Wish.ready)
    task = await day.lead("+12025550101", intent=Intent.chat, work=Work(TaskKind.chat))
    ring = await day.rings()
    async with day.book.writing() as w:
        await dispatch.accept(w, ring, day.agent.id)
    day.at(100)
    async with day.book.writing() as w:
        await replying.finish(w, task, day.agent.id)
    day.at(130)
    await day.dispose(task)
    (tally,) = await day.tallies(0, 1800)
    assert tally.handled == Handled()
    assert tally.time == Time(busy=130_000, ready=130_000, handling=130_000, signed_in=130_000)


async def test_a_signature_counts_where_its_lead_came_in(day: Day) -> None:
    task = await day.lead("+12025550101")
    await day.lead("+12025550102")
    await day.lead("+12025550103", intent=Intent.list, work=None)
    day.at(7200)
    async with day.book.writing() as w:
        lead = vouched(await w.session.get(Task, task)).lead_id
        w.fact("signing.signed", campaign_id=day.queue.campaign_id, lead_id=lead, subject_id=1)
    now, later = await day.tallies(0, 1800, 9000)
    assert (now.counts.leads, now.counts.signed) == (2, 1)
    assert (later.counts.leads, later.counts.signed) == (0, 0)


async def test_another_campaign_and_another_queue_have_their_own_figures(day: Day) -> None:
    await day.wish(Wish.ready)
    await day.talk("+12025550101", 0)
    async with day.book.writing() as w:
        other = await making.queue(w, await making.campaign(w, "sol"), pool=2)
    for scope, answered in (
        (EVERYBODY, 1), (Scope(day.queue.campaign_id), 1), (Scope(queue_id=day.queue.id), 1),
        (Scope(other.campaign_id), 0), (Scope(queue_id=other.id), 0),
    ):
        (tally,) = await day.tallies(0, 1800, scope=scope)
        assert tally.waits.answered == tally.handled.count == tally.offers.accepted == answered
        assert tally.counts == Counts(answered, answered, 0, 0, answered, 0)
        assert len(tally.responses) == answered
        assert (tally.time.busy > 0) == bool(answered)


async def test_the_hour_that_comes_twice_is_counted_in_both_its_places(day: Day, clock: Clock) -> None:
    edges = half_hours(date(2026, 10, 25), "Europe/Madrid")
    await day.wish(Wish.ready)
    for n in (4, 6):  # 02:00 in summer, and 02:00 in winter
        await day.talk(f"+1202555010{n}", (edges[n] - MONDAY_NOON).total_seconds() + 60)
    clock.now = MONDAY_NOON
    async with day.book.reading() as r:
        tallies = await figures.tallies(r.session, edges, r.now)
    assert [n for n, tally in enumerate(tallies) if tally.waits.answered] == [4, 6]


async def test_the_time_in_which_a_browser_was_silent_is_no_time_ready(day: Day) -> None:
    async with day.book.writing() as w:
        vouched(await w.session.locked(Agent, day.agent.id)).heartbeat_at = w.now
    await day.wish(Wish.ready)
    for second in (10, 20):
        day.at(second)
        async with day.book.writing() as w:
            await presence.beat(w, [day.agent.id])
    day.at(100)
    (silent,) = await day.tallies(0, 1800)
    assert silent.time == Time(ready=35_000, signed_in=35_000)  # the lease after his last word
    async with day.book.writing() as w:
        await presence.beat(w, [day.agent.id])
    day.at(110)
    async with day.book.writing() as w:
        await presence.beat(w, [day.agent.id])
    (back,) = await day.tallies(0, 1800)
    assert back.time == Time(ready=45_000, signed_in=45_000)


async def test_no_figure_reads_a_table_as_a_whole(day: Day) -> None:
    """With enough rows that it would pay, every statement finds its facts by their index."""
    async with day.book.writing() as w:
        await w.session.execute(text(
            "insert into facts (at, kind, data) select timestamptz '2020-01-01' + n * interval '1 minute', "
            "(array['task.engaged','task.closed','lead.created','noise'])[1 + n % 4], '{}' "
            "from generate_series(1, 40000) n"))
        await w.session.execute(text("analyze facts"))
    async with day.book.reading() as r:
        span = figures._span([MONDAY_NOON, MONDAY_NOON + timedelta(hours=1)], r.now, EVERYBODY)
        for statement in (figures._WAITS, figures._MOVED, figures._HANDLED, figures._OFFERS, figures._CONTACTS,
                          figures._RESPONSES, figures._PROMISES, figures._COHORTS, figures._TIME):
            plan = await r.session.rows(figures._statement(f"explain {statement.text}"), span)
            lines = "\n".join(row[0] for row in plan)
            assert "ix_facts_kind_at" in lines, lines
            assert "Seq Scan on facts" not in lines, lines


DAY = 86_400


async def test_a_matter_is_solved_when_nobody_came_again_for_a_week(day: Day) -> None:
    await day.wish(Wish.ready)
    for n, seconds in enumerate((0, 100, 200)):
        await day.talk(f"+1202555010{n}", seconds)
    (early,) = await day.tallies(0, 1800)
    assert (early.counts.talks, figure(early, "fcr")) == (0, None), "nobody knows yet"
    day.at(2 * DAY)
    await day.lead("+12025550101", work=None)  # the second asks again
    day.at(7 * DAY + 300)
    (known,) = await day.tallies(0, 1800)
    assert (known.counts.talks, known.counts.solved) == (3, 2)
    day.at(7 * DAY + 400)
    await day.lead("+12025550102", work=None)  # that is another matter
    assert figure((await day.tallies(0, 1800))[0], "fcr") == pytest.approx(2 / 3)


async def test_who_is_owed_something_is_not_solved_and_a_machine_is_no_talk(day: Day) -> None:
    await day.wish(Wish.ready)
    for n, disposition in enumerate((Disposition.needs_information, Disposition.voicemail)):
        day.at(100 * n)
        await day.lead(f"+1202555010{n}")
        call = await day.accept(await day.rings())
        await day.leg(call, "agent", LegStage.answered)
        await day.leg(call, "customer", LegStage.answered)
        async with day.book.writing() as w:
            await calling.hang_up(w, call, day.agent.id)
            await wrapping.dispose(w, vouched(await w.session.get(Call, call)).task_id, day.agent.id, disposition)
    day.at(8 * DAY)
    (tally,) = await day.tallies(0, 1800)
    assert (tally.counts.talks, tally.counts.solved) == (1, 0)


async def test_the_backlog_is_what_waits_by_queue_and_age(day: Day) -> None:
    async with day.book.writing() as w:
        other = await making.queue(w, vouched(await w.session.get(figures.Campaign, 1)), "otra")
        vouched(await w.session.get(Queue, day.queue.id)).target_seconds = 60
    for n, seconds in enumerate((0, 3500, 3580)):
        day.at(seconds)
        await day.lead(f"+1202555010{n}")
    async with day.book.writing() as w:
        for n, kind in ((4, TaskKind.nurture), (5, TaskKind.call)):
            lead = await making.lead(w, other, f"+1202555010{n}")
            await making.task(w, other, lead, kind=kind, tier=6 if kind is TaskKind.nurture else 4)
    day.at(3620)
    async with day.book.reading() as r:
        everything = await figures.backlog(r.session, r.now)
        one = await figures.backlog(r.session, r.now, Scope(queue_id=other.id))
    mine = next(line for line in everything if line.due)
    assert (mine.count, mine.ages, mine.late, mine.past_target) == (3, (2, 0, 1, 0), 2, pytest.approx(2 / 3))
    assert mine.since == MONDAY_NOON
    (line,) = one
    assert (line.count, line.ages, line.past_target) == (2, (2, 0, 0, 0), None)
    assert len(everything) == 2
