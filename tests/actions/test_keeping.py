"""Who keeps a promise, what becomes of it when he cannot, and of whom did not answer."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select, update

from router.actions import (
    agreeing,
    calling,
    covering,
    dispatch,
    intake,
    keeping,
    leaving,
    presence,
    promising,
    publishing,
    telling,
    wrapping,
)
from router.actions.agreeing import Asked
from router.actions.promising import Asking
from router.alarms import Alarms
from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.base import vouched
from router.model.calls import Call
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.errors import Conflict, HouseError, Invalid, NotFound
from router.model.facts import Fact
from router.model.leads import Lead
from router.model.promises import Promise, PromiseMode, PromiseState, SlotLoad
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskKind, TaskState
from router.model.zones import ZoneSource
from router.ports import LegMoved, LegOutcome, LegStage
from router.store import calls, packs
from tests import making
from tests.conftest import Clock
from tests.invariants import check, check_quiet

THURSDAY = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
"""Ten o'clock in Madrid."""
NOON = datetime(2026, 11, 26, 11, 0, tzinfo=UTC)
ALARMS = {
    intake.TASK_DUE: intake.task_due, promising.LAPSE: promising.lapse, promising.MISSED: promising.missed,
    keeping.REMIND: telling.remind, keeping.WAITS: covering.waits, keeping.TELL: telling.ended,
    wrapping.TASK_WRAP: wrapping.wrap_up_ends, dispatch.RESERVATION_EXPIRE: dispatch.expire,
    dispatch.CALL_CONNECT: calling.connect_timeout,
}
STRICT, PREFERRED, TEAM = PromiseMode.personal_strict, PromiseMode.personal_preferred, PromiseMode.team


def wall(hour: str, day: date | None = None) -> datetime:
    """That hour on a wall, on Thursday unless another day is named."""
    return datetime.combine(day or THURSDAY.date(), time.fromisoformat(hour))


class Floor:
    """A line with two agents; ana talks with Carmen when a test begins."""

    def __init__(self, book: Book, clock: Clock) -> None:
        self.book, self.clock = book, clock
        self.alarms = Alarms(book, ALARMS)
        self.queue: Queue
        self.ana: int
        self.bea: int

    async def open(self) -> None:
        async with self.book.writing() as w:
            campaign = await making.campaign(w)
            self.queue = await making.queue(w, campaign, handle_seconds=300)
            self.ana = (await making.agent(w, "ana")).id
            self.bea = (await making.agent(w, "bea", ready=False)).id

    async def talk(self, phone: str = "+12025550101", agent_id: int | None = None) -> Task:
        """A task somebody is wrapping up: they have talked until now."""
        agent_id = agent_id or self.ana
        async with self.book.writing() as w:
            lead = await w.session.scalar(
                select(Lead).join(Contact, Contact.id == Lead.contact_id).where(Contact.phone == phone)
            ) or await making.lead(w, self.queue, phone)
            person = await w.session.get(Contact, lead.contact_id)
            assert person is not None
            person.zone, person.zone_source = "Europe/Madrid", ZoneSource.stated
            task = await making.task(w, self.queue, lead)
            await w.session.execute(update(Agent).where(Agent.id == agent_id).values(call_load=1, busy_since=w.now))
            for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged):
                assert await w.move(Task, task.id, state, agent_id=agent_id)
            await w.move(Task, task.id, TaskState.wrapping, agent_id=agent_id, held_until=w.now)
        return task

    async def agreed(
        self, clock: str = "12:00", mode: PromiseMode = PREFERRED, phone: str = "+12025550101", zone: str = "",
        agent_id: int | None = None,
    ) -> Promise:
        """What ana has promised in her talk, which is over."""
        agent_id = agent_id or self.ana
        task = await self.talk(phone, agent_id)
        async with self.book.writing() as w:
            made = await agreeing.agree(w, task.id, agent_id, Asked(wall(clock), zone, mode))
        async with self.book.writing() as w:
            await wrapping.close_task(w, task.id, Disposition.callback)
            await presence.release(w, agent_id, TaskKind.call)
        return made

    async def at(self, moment: datetime, *here: int) -> None:
        """Later; `here` are those whose browsers answer."""
        self.clock.now = moment
        if here:
            async with self.book.writing() as w:
                await presence.beat(w, here)
        await self.alarms.sweep()

    async def ready(self, agent_id: int) -> None:
        async with self.book.writing() as w:
            await presence.beat(w, [agent_id])
            await presence.set_wish(w, agent_id, Wish.ready)

    async def round(self) -> Sequence[int]:
        """The agents at whom something rings after a round."""
        async with self.book.writing() as w:
            await dispatch.run_round(w, self.queue.pool)
        async with self.book.reading() as r:
            await check_quiet(r.session, r.now)
            return await r.session.scalars(
                select(Reservation.agent_id).where(Reservation.state == ReservationState.pending)
            )

    async def promise(self, promise_id: int) -> Promise:
        async with self.book.reading() as r:
            return vouched(await r.session.get(Promise, promise_id))

    async def newest(self) -> Promise:
        async with self.book.reading() as r:
            return vouched(await r.session.scalar(select(Promise).order_by(Promise.id.desc()).limit(1)))

    async def task(self, task_id: int | None) -> Task:
        async with self.book.reading() as r:
            return vouched(await r.session.get(Task, task_id))

    async def texts(self) -> list[str]:
        async with self.book.reading() as r:
            rows = await r.session.scalars(select(Delivery).order_by(Delivery.id))
            told = [one.purpose for one in rows if one.purpose.startswith("promise")]
            return [purpose.removeprefix("promise").lstrip("_") for purpose in told]

    async def told(self, kind: str) -> list[Fact]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Fact).where(Fact.kind == kind).order_by(Fact.id)))

    async def no_answer(self, promise: Promise, agent_id: int) -> None:
        """It rings at this agent, who accepts; the person does not answer."""
        assert await self.round() == [agent_id]
        async with self.book.writing() as w:
            held = vouched(await w.session.scalar(select(Reservation).where(Reservation.state == "pending")))
            call = vouched(await dispatch.accept(w, held.id, agent_id))
        for role, stage, outcome in (
            ("agent", LegStage.answered, None), ("customer", LegStage.ended, LegOutcome.no_answer),
        ):
            async with self.book.writing() as w:
                leg = next(one for one in await calls.legs_of(w.session, call.id) if one.role == role)
                await calling.on_event(w, LegMoved(leg.ref, f"CA{leg.id}", stage, outcome or LegOutcome.completed))
        async with self.book.reading() as r:
            await check(r.session)


@pytest.fixture
async def floor(book: Book, clock: Clock) -> Floor:
    clock.now = THURSDAY
    floor = Floor(book, clock)
    await floor.open()
    return floor


async def test_what_an_agent_promises_is_his_and_confirmed_with_its_zone(floor: Floor) -> None:
    made = await floor.agreed("12:00")
    assert (made.state, made.mode, made.agent_id) == (PromiseState.scheduled, PREFERRED, floor.ana)
    assert (made.wall, made.zone, made.starts_at) == ("2026-11-26T12:00", "Europe/Madrid", NOON)
    assert await floor.texts() == [""]
    async with floor.book.reading() as r:
        await check(r.session)


async def test_what_is_promised_in_a_talk_outlives_its_end_and_ends_with_the_next_talk(floor: Floor) -> None:
    async with floor.book.writing() as w:
        lead = await making.lead(w, floor.queue)
        task = await making.task(w, floor.queue, lead)
        w.session.add(Call(task_id=task.id, lead_id=lead.id, agent_id=floor.ana, state="talking", room="r",  # type: ignore[arg-type]
                           room_ref="r", created_at=w.now, talking_at=w.now))
        for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged):
            assert await w.move(Task, task.id, state, agent_id=floor.ana)
    floor.clock.forward(60)
    async with floor.book.writing() as w:
        made = await agreeing.agree(w, task.id, floor.ana, Asked(wall("12:00")))
    floor.clock.forward(60)
    async with floor.book.writing() as w:
        await wrapping.begin_task(w, vouched(await w.session.get(Task, task.id)))
    assert (await floor.promise(made.id)).state is PromiseState.scheduled
    async with floor.book.writing() as w:
        await keeping.talked(w, await making.task(w, floor.queue, lead))
    assert (await floor.promise(made.id)).state is PromiseState.kept_by_inbound


@pytest.mark.parametrize(("day", "hour", "zone", "utc", "moved", "twice"), [
    (date(2027, 3, 28), "02:30", "Europe/Madrid", "2027-03-28T01:00", True, False),
    (date(2026, 10, 25), "02:30", "Europe/Madrid", "2026-10-25T00:30", False, True),
    (date(2027, 4, 30), "00:15", "Africa/Cairo", "2027-04-29T22:00", True, False),
    (date(2026, 9, 6), "00:30", "America/Santiago", "2026-09-06T04:00", True, False),
    (date(2026, 11, 26), "12:00", "Atlantic/Canary", "2026-11-26T12:00", False, False),
])
async def test_a_time_the_clock_jumps_over_is_read_back_as_the_next_one_and_of_two_it_is_the_first(
    floor: Floor, day: date, hour: str, zone: str, utc: str, moved: bool, twice: bool
) -> None:
    task, at = await floor.talk(), datetime.fromisoformat(utc).replace(tzinfo=UTC)
    floor.clock.now = at - timedelta(days=1)
    async with floor.book.reading() as r:
        campaign = vouched(await r.session.scalar(select(Campaign)))
        contact = vouched(await r.session.get(Contact, task.contact_id))
        moment = await agreeing.understood(r, campaign, contact, Asked(wall(hour, day), zone), "en")
    assert (moment.at, moment.moved, moment.twice) == (at, moved, twice)


@pytest.mark.parametrize(("asked", "error"), [
    (Asked(wall("09:59")), Conflict), (Asked(wall("10:01")), Conflict),
    (Asked(wall("12:00"), "Etc/Unknown"), Invalid), (Asked(wall("12:00"), "../etc/passwd"), Invalid),
    (Asked(wall("12:00", date(2027, 12, 1))), Conflict), (Asked(wall("03:00", date(1, 1, 1))), Conflict),
])
async def test_what_cannot_be_promised_is_refused_and_says_why(
    floor: Floor, asked: Asked, error: type[HouseError]
) -> None:
    task = await floor.talk()
    with pytest.raises(error):
        async with floor.book.writing() as w:
            await agreeing.agree(w, task.id, floor.ana, asked)
    async with floor.book.reading() as r:
        assert await r.session.scalar(select(Promise)) is None


async def test_outside_the_hours_of_the_law_the_next_possible_moment_is_named(floor: Floor) -> None:
    async with floor.book.writing() as w:
        await w.session.execute(update(Campaign).values(rule_pack="standard"))
    task = await floor.talk()
    async with floor.book.writing() as w:
        with pytest.raises(Conflict, match="27 nov, 10:00"):
            await agreeing.agree(w, task.id, floor.ana, Asked(wall("20:30")))
        made = await agreeing.agree(w, task.id, floor.ana, Asked(wall("19:30")))
    assert made.wall == "2026-11-26T19:30"


async def test_the_rules_where_the_person_lives_bind_a_promise_not_those_of_the_brand(floor: Floor) -> None:
    """The brand is Spanish and he lives in Bavaria; on the sixth of January only Spain, and Bavaria, rest."""
    async with floor.book.writing() as w:
        await w.session.execute(update(Campaign).values(rule_pack="by_country"))
    task, epiphany = await floor.talk(), date(2027, 1, 6)
    await lives(floor, "DE", "DE-BE")
    async with floor.book.writing() as w:
        made = await agreeing.agree(w, task.id, floor.ana, Asked(wall("19:30", epiphany)))
        with pytest.raises(Conflict, match="7 ene, 08:00"):
            await agreeing.move(w, made.id, floor.ana, Asked(wall("20:30", epiphany)))
    await lives(floor, "DE", "DE-BY")
    async with floor.book.writing() as w:
        with pytest.raises(Conflict, match="7 ene, 08:00"):
            await agreeing.move(w, made.id, floor.ana, Asked(wall("12:00", epiphany)))


async def lives(floor: Floor, country: str, part: str) -> None:
    async with floor.book.writing() as w:
        await w.session.execute(update(Contact).values(country=country, subdivision=part))


async def test_what_was_published_binds_promises_and_free_times_at_once(floor: Floor) -> None:
    """The standard rules' morning begins two hours later from one commit on."""
    later = packs.of_program()["standard"].replace("version = 1", "version = 9", 1).replace("10:00", "12:30")
    async with floor.book.writing() as w:
        await w.session.execute(update(Campaign).values(rule_pack="standard"))
    task = await floor.talk()

    async def first() -> datetime:
        async with floor.book.reading() as r:
            campaign = vouched(await r.session.scalar(select(Campaign)))
            contact = vouched(await r.session.get(Contact, task.contact_id))
            stranger = await promising.offered(r.session, campaign, floor.queue, r.now)
            person = await promising.offered(r.session, campaign, floor.queue, r.now, Asking(contact=contact))
            assert stranger == person
            return person[0].starts_at

    assert await first() == THURSDAY + timedelta(minutes=15)
    async with floor.book.writing() as w:
        await publishing.publish(w, later)
    assert await first() == NOON + timedelta(minutes=30)
    async with floor.book.writing() as w:
        with pytest.raises(Conflict, match="26 nov, 12:30"):
            await agreeing.agree(w, task.id, floor.ana, Asked(wall("12:00")))


async def other_times(floor: Floor, promise: Promise) -> list[datetime]:
    async with floor.book.reading() as r:
        campaign = vouched(await r.session.get(Campaign, promise.campaign_id))
        asking = await promising.asking_anew(r.session, promise, r.now)
        return [slot.starts_at for slot in await promising.offered(r.session, campaign, floor.queue, r.now, asking)]


async def absent(floor: Floor, agent_id: int, until: datetime) -> None:
    async with floor.book.writing() as w:
        await covering.absent(w, agent_id, floor.clock.now, until, by=agent_id)


@pytest.mark.parametrize("mode", [STRICT, PREFERRED])
async def test_who_moves_a_personal_promise_chooses_from_its_owners_own_time(floor: Floor, mode: PromiseMode) -> None:
    made = await floor.agreed("12:00", mode)
    other = await floor.agreed("13:00", PREFERRED, "+12025550102")
    await absent(floor, floor.ana, NOON + timedelta(minutes=30))
    times = await other_times(floor, made)
    assert times[0] == NOON + timedelta(minutes=30), "before that she is away, and bea is not asked"
    assert other.starts_at not in times
    assert other.starts_at + timedelta(minutes=15) in times
    for gone in (NOON + timedelta(minutes=15), other.starts_at):
        async with floor.book.writing() as w:
            with pytest.raises(Conflict, match="no longer free"):
                await promising.move(w, vouched(made.lead_id), gone)
    async with floor.book.writing() as w:
        moved = await promising.move(w, vouched(made.lead_id), times[0])
    assert (moved.agent_id, moved.mode, moved.starts_at) == (floor.ana, mode, times[0])


async def test_an_owner_without_any_time_leaves_it_to_his_team_unless_only_he_may_call(floor: Floor) -> None:
    preferred = await floor.agreed("12:00", PREFERRED)
    strict = await floor.agreed("13:00", STRICT, "+12025550102")
    await absent(floor, floor.ana, NOON + timedelta(days=20))
    assert await other_times(floor, strict) == []
    free = await other_times(floor, preferred)
    assert free[0] == THURSDAY + timedelta(minutes=15)
    async with floor.book.writing() as w:
        assert (await promising.move(w, vouched(preferred.lead_id), free[0])).at_risk == "absence"


async def test_a_stranger_to_the_task_promises_nothing(floor: Floor) -> None:
    task = await floor.talk()
    async with floor.book.writing() as w:
        with pytest.raises(Conflict):
            await agreeing.agree(w, task.id, floor.bea, Asked(wall("12:00")))


async def test_nobody_promises_himself_twice_for_one_time_but_a_place_is_no_bound_to_him(floor: Floor) -> None:
    await floor.agreed("12:00")
    with pytest.raises(Conflict):
        await floor.agreed("12:04", phone="+12025550102")


async def test_a_new_promise_takes_the_place_of_the_one_before(floor: Floor) -> None:
    first = await floor.agreed("12:00")
    async with floor.book.writing() as w:
        task = await making.task(w, floor.queue, vouched(await w.session.get(Lead, first.lead_id)))
        await w.session.execute(update(Agent).where(Agent.id == floor.ana).values(call_load=1, busy_since=w.now))
        for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged):
            await w.move(Task, task.id, state, agent_id=floor.ana)
    async with floor.book.writing() as w:
        second = await agreeing.agree(w, task.id, floor.ana, Asked(wall("13:00"), mode=STRICT))
    assert (await floor.promise(first.id)).state is PromiseState.moved
    assert second.continues == first.id
    async with floor.book.reading() as r:
        taken = await r.session.scalars(select(SlotLoad).where(SlotLoad.taken > 0))
        assert [one.starts_at for one in taken] == [NOON + timedelta(hours=1)]


@pytest.mark.parametrize("mode", [STRICT, PREFERRED])
async def test_the_owner_who_is_free_gets_it(floor: Floor, mode: PromiseMode) -> None:
    await floor.ready(floor.bea)
    made = await floor.agreed("12:00", mode)
    await floor.at(NOON - timedelta(minutes=1), floor.ana, floor.bea)
    assert await floor.round() == [floor.ana]
    assert (await floor.promise(made.id)).state is PromiseState.offered


async def test_an_absent_owner_leaves_what_he_preferred_to_his_team(floor: Floor) -> None:
    await floor.agreed("12:00", PREFERRED)
    await floor.ready(floor.bea)
    await floor.at(NOON - timedelta(minutes=1), floor.bea)
    assert await floor.round() == [floor.bea]


async def test_a_busy_owner_is_waited_for_for_five_minutes(floor: Floor) -> None:
    await floor.agreed("12:00", PREFERRED)
    await floor.ready(floor.bea)
    await floor.at(NOON - timedelta(minutes=1), floor.ana, floor.bea)
    async with floor.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.id == floor.ana).values(call_load=1, busy_since=w.now))
    assert await floor.round() == []
    await floor.at(NOON + timedelta(minutes=4, seconds=59), floor.ana, floor.bea)
    assert await floor.round() == []
    await floor.at(NOON + timedelta(minutes=5), floor.ana, floor.bea)
    assert await floor.round() == [floor.bea]


async def test_what_only_its_owner_may_call_is_never_called_by_another(floor: Floor) -> None:
    made = await floor.agreed("12:00", STRICT)
    await floor.ready(floor.bea)
    async with floor.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.id == floor.ana).values(call_load=1, busy_since=w.now))
    for minutes in (-1, 0, 5, 14):
        await floor.at(NOON + timedelta(minutes=minutes), floor.ana, floor.bea)
        assert await floor.round() == []
    assert await floor.texts() == ["", "reminder", "delayed"]
    await floor.at(NOON + timedelta(minutes=15), floor.ana, floor.bea)
    assert await floor.round() == []
    assert (await floor.promise(made.id)).state is PromiseState.missed_by_us
    assert (await floor.texts())[-1] == "missed"
    async with floor.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.id == floor.ana).values(call_load=0, busy_since=None))
    assert await floor.round() == [floor.ana]


async def test_an_owner_who_declines_his_own_promise_is_rung_again_and_nobody_else_is(floor: Floor) -> None:
    await floor.agreed("12:00", STRICT)
    await floor.ready(floor.bea)
    await floor.at(NOON, floor.ana, floor.bea)
    assert await floor.round() == [floor.ana]
    async with floor.book.writing() as w:
        held = vouched(await w.session.scalar(select(Reservation).where(Reservation.state == "pending")))
        await dispatch.reject(w, held.id, floor.ana)
    assert await floor.round() == []
    await floor.at(NOON + timedelta(minutes=2), floor.ana, floor.bea)
    assert await floor.round() == [floor.ana]


async def test_who_waits_for_an_owner_who_is_not_there_is_asked_for_another_time(floor: Floor) -> None:
    made = await floor.agreed("12:00", STRICT)
    await floor.at(NOON - timedelta(minutes=1))
    await floor.at(NOON)
    assert (await floor.promise(made.id)).at_risk == "not_there"
    assert (await floor.texts())[-1] == "absent"
    assert [fact.data["reason"] for fact in await floor.told("promise.at_risk")] == ["not_there"]


async def test_a_known_absence_is_covered_when_it_becomes_known(floor: Floor) -> None:
    strict = await floor.agreed("12:00", STRICT)
    preferred = await floor.agreed("13:00", PREFERRED, "+12025550102")
    later = await floor.agreed("15:00", STRICT, "+12025550103")
    async with floor.book.writing() as w:
        start, end = NOON - timedelta(minutes=30), NOON + timedelta(hours=2)
        absence = await covering.absent(w, floor.ana, start, end, by=floor.bea)
    risks = [(await floor.promise(one.id)).at_risk for one in (strict, preferred, later)]
    assert risks == ["absence", "absence", ""]
    assert (await floor.texts()).count("absent") == 1
    await floor.ready(floor.bea)
    await floor.at(NOON + timedelta(minutes=59), floor.bea)
    assert await floor.round() == [floor.bea]
    async with floor.book.writing() as w:
        await covering.not_absent(w, absence.id, floor.bea)
    async with floor.book.reading() as r:
        await check(r.session)


async def test_an_absence_taken_back_makes_the_promise_his_again(floor: Floor) -> None:
    made = await floor.agreed("12:00", PREFERRED)
    async with floor.book.writing() as w:
        absence = await covering.absent(w, floor.ana, NOON, NOON + timedelta(hours=1), by=floor.bea)
        await covering.not_absent(w, absence.id, floor.bea)
    assert (await floor.promise(made.id)).at_risk == ""
    with pytest.raises(NotFound):
        async with floor.book.writing() as w:
            await covering.not_absent(w, absence.id, floor.bea)


@pytest.mark.parametrize(("start", "end"), [(1, 0), (0, 0), (-2, -1), (0, 24 * 400)])
async def test_an_absence_that_is_none_is_refused(floor: Floor, start: int, end: int) -> None:
    async with floor.book.writing() as w:
        begins, ends = (w.now + timedelta(hours=hours) for hours in (start, end))
        with pytest.raises(Invalid):
            await covering.absent(w, floor.ana, begins, ends, by=floor.bea)


async def test_nobody_promises_for_a_time_at_which_he_is_away(floor: Floor) -> None:
    async with floor.book.writing() as w:
        await covering.absent(w, floor.ana, NOON, NOON + timedelta(hours=1), by=floor.bea)
    with pytest.raises(Conflict):
        await floor.agreed("12:30")


async def test_who_does_not_answer_is_called_twice_more_and_then_told(floor: Floor) -> None:
    made = await floor.agreed("12:00", PREFERRED)
    at = NOON
    for tries, minutes in ((1, 10), (2, 60)):
        await floor.at(at, floor.ana)
        await floor.no_answer(made, floor.ana)
        after = await floor.promise(made.id)
        assert (after.state, after.tries) == (PromiseState.no_answer, tries)
        assert (await floor.task(after.task_id)).state is TaskState.scheduled
        at = floor.clock.now + timedelta(minutes=minutes)
        await floor.at(at - timedelta(seconds=1), floor.ana)
        assert await floor.round() == []
    await floor.at(at, floor.ana)
    await floor.no_answer(made, floor.ana)
    await floor.at(at + timedelta(seconds=1), floor.ana)
    assert (await floor.promise(made.id)).state is PromiseState.broken_by_customer
    assert (await floor.texts())[-1] == "broken"
    async with floor.book.reading() as r:
        await check(r.session)


async def test_the_person_is_reminded_an_hour_before_but_not_who_booked_late(floor: Floor) -> None:
    await floor.agreed("12:00")
    await floor.agreed("11:30", phone="+12025550102")
    await floor.at(NOON - timedelta(hours=1))
    assert (await floor.texts()).count("reminder") == 1


async def test_a_campaign_may_leave_the_reminder_out(floor: Floor) -> None:
    async with floor.book.writing() as w:
        await w.session.execute(update(Campaign).values(remind_minutes=0))
    await floor.agreed("12:00")
    await floor.at(NOON - timedelta(minutes=2))
    assert await floor.texts() == [""]


async def test_a_law_known_later_moves_the_call_to_the_nearest_slot_and_the_person_is_told(floor: Floor) -> None:
    made = await floor.agreed("21:00")
    async with floor.book.writing() as w:
        await w.session.execute(update(Campaign).values(rule_pack="standard"))
    await floor.at(made.starts_at - timedelta(minutes=1), floor.ana)
    assert await floor.round() == []
    assert (await floor.promise(made.id)).state is PromiseState.moved
    moved = await floor.newest()
    assert (moved.wall, moved.state, moved.agent_id) == ("2026-11-27T10:00", PromiseState.scheduled, floor.ana)
    assert (await floor.texts())[-1] == "shifted"
    async with floor.book.reading() as r:
        await check(r.session)


async def test_other_rules_of_the_time_zone_move_the_moment_and_keep_the_wall(
    floor: Floor
) -> None:
    made = await floor.agreed("12:00")
    # As it would stand had Madrid kept its summer time when it was promised.
    async with floor.book.writing() as w:
        await w.session.execute(update(Promise).values(tzdata="2000a", starts_at=NOON - timedelta(hours=1)))
    async with floor.book.writing() as w:
        assert await promising.resolve_again(w) == 1
        assert await promising.resolve_again(w) == 0
    after = await floor.promise(made.id)
    assert (after.starts_at, after.wall, after.tzdata) == (NOON, "2026-11-26T12:00", made.tzdata)
    await floor.at(NOON - timedelta(minutes=2))
    assert (await floor.promise(made.id)).state is PromiseState.scheduled
    await floor.at(NOON - timedelta(minutes=1))
    assert (await floor.promise(made.id)).state is PromiseState.offered


async def test_do_not_call_ends_what_was_promised_in_every_campaign(floor: Floor) -> None:
    made = await floor.agreed("12:00")
    task = await floor.talk()
    async with floor.book.writing() as w:
        await wrapping.dispose(w, task.id, floor.ana, Disposition.do_not_call)
        assert await w.session.scalar(select(Suppression)) is not None
    assert (await floor.promise(made.id)).state is PromiseState.canceled
    assert (await floor.task(made.task_id)).state is TaskState.withdrawn


async def test_who_has_signed_is_not_called(floor: Floor) -> None:
    made = await floor.agreed("12:00")
    async with floor.book.writing() as w:
        await keeping.not_wanted(w, vouched(made.contact_id), "signed")
    assert (await floor.promise(made.id)).state is PromiseState.canceled
    async with floor.book.reading() as r:
        await check(r.session)


async def test_the_owner_moves_and_cancels_his_promise_and_nobody_else_does(floor: Floor) -> None:
    made = await floor.agreed("12:00")
    async with floor.book.writing() as w:
        with pytest.raises(NotFound):
            await agreeing.move(w, made.id, floor.bea, Asked(wall("13:00")))
        moved = await agreeing.move(w, made.id, floor.ana, Asked(wall("13:00")))
    assert (await floor.promise(made.id)).state is PromiseState.moved
    assert (moved.starts_at, moved.task_id) == (NOON + timedelta(hours=1), made.task_id)
    async with floor.book.writing() as w:
        with pytest.raises(NotFound):
            await agreeing.cancel(w, moved.id, floor.bea)
        await agreeing.cancel(w, moved.id, floor.ana)
    assert (await floor.task(made.task_id)).state is TaskState.withdrawn
    async with floor.book.reading() as r:
        await check(r.session)
        assert not await r.session.scalars(select(SlotLoad).where(SlotLoad.taken > 0))


async def test_who_owes_a_call_that_only_he_may_make_is_not_disabled_until_it_is_anothers(floor: Floor) -> None:
    strict = await floor.agreed("12:00", STRICT)
    preferred = await floor.agreed("13:00", PREFERRED, "+12025550102")
    with pytest.raises(Conflict, match="Give them to somebody else first"):
        async with floor.book.writing() as w:
            await leaving.disable(w, floor.ana, by=floor.bea)
    async with floor.book.writing() as w:
        await covering.reown(w, strict.id, floor.bea, floor.bea)
        await leaving.disable(w, floor.ana, by=floor.bea)
    after = [await floor.promise(one.id) for one in (strict, preferred)]
    assert [(one.mode, one.agent_id) for one in after] == [(STRICT, floor.bea), (TEAM, None)]
    async with floor.book.reading() as r:
        ana = vouched(await r.session.get(Agent, floor.ana))
        assert ana.disabled_at is not None
        assert ana.wish is Wish.off
        await check(r.session)


async def test_a_promise_that_waits_already_is_given_to_another_with_its_call(floor: Floor) -> None:
    made = await floor.agreed("12:00", STRICT)
    await floor.ready(floor.bea)
    await floor.at(NOON, floor.bea)
    assert await floor.round() == []
    async with floor.book.writing() as w:
        await covering.reown(w, made.id, floor.bea, floor.bea)
    assert await floor.round() == [floor.bea]


async def test_who_holds_work_or_is_the_last_administrator_is_not_disabled(floor: Floor) -> None:
    await floor.talk()
    async with floor.book.writing() as w:
        with pytest.raises(Conflict):
            await leaving.disable(w, floor.ana, by=floor.bea)
        root = await making.agent(w, "root", role=Role.admin, ready=False)
        with pytest.raises(Conflict):
            await leaving.disable(w, root.id, by=floor.bea)
        with pytest.raises(Conflict):
            await leaving.disable(w, floor.bea, by=floor.bea)


@pytest.mark.parametrize("first", ["promise", "disable"])
async def test_of_promising_and_disabling_at_once_one_gives_way(floor: Floor, first: str) -> None:
    """Whichever wins, nobody who is gone owes a call: the invariants say so."""
    task = await floor.talk(agent_id=floor.bea)
    async with floor.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.id == floor.bea).values(call_load=0, busy_since=None))

    async def promise() -> bool:
        try:
            async with floor.book.writing() as w:
                await agreeing.agree(w, task.id, floor.bea, Asked(wall("12:00"), mode=STRICT))
        except Conflict:
            return False
        return True

    async def disable() -> bool:
        try:
            async with floor.book.writing() as w:
                await leaving.disable(w, floor.bea, by=floor.ana)
        except Conflict:
            return False
        return True

    both = [promise(), disable()] if first == "promise" else [disable(), promise()]
    assert sum(await asyncio.gather(*both)) == 1
    async with floor.book.reading() as r:
        bea = vouched(await r.session.get(Agent, floor.bea))
        owed = await r.session.scalars(select(Promise).where(Promise.agent_id == floor.bea))
        assert bool(owed) is (bea.disabled_at is None)


async def test_who_moves_and_who_cancels_at_once_do_one_thing(floor: Floor) -> None:
    made = await floor.agreed("12:00")

    async def move() -> bool:
        try:
            async with floor.book.writing() as w:
                await agreeing.move(w, made.id, floor.ana, Asked(wall("13:00")))
        except (Conflict, NotFound):
            return False
        return True

    async def cancel() -> bool:
        try:
            async with floor.book.writing() as w:
                await promising.cancel(w, vouched(made.lead_id))
        except Conflict:
            return False
        return True

    await asyncio.gather(*(act() for act in (move, cancel, move, cancel)))
    async with floor.book.reading() as r:
        await check(r.session)
        live = await r.session.scalars(select(Promise).where(Promise.state == PromiseState.scheduled))
        assert len(live) <= 1


async def test_nobody_is_given_what_would_keep_him_beyond_his_promise(floor: Floor) -> None:
    await floor.agreed("12:00")
    async with floor.book.writing() as w:
        await making.task(w, floor.queue, await making.lead(w, floor.queue, "+12025550150"))
    await floor.at(NOON - timedelta(minutes=4), floor.ana)
    assert await floor.round() == []
    await floor.ready(floor.bea)
    assert await floor.round() == [floor.bea]
    async with floor.book.reading() as r:
        held = vouched(await r.session.scalar(select(Reservation)))
        passed = [one["by"] for one in held.why if one["code"] == "passed_over"]
    assert [(one["agent"], one["code"]) for one in passed] == [(floor.ana, "has_promised")]


async def test_what_is_done_before_his_promise_is_given_to_him(floor: Floor) -> None:
    await floor.agreed("12:00")
    async with floor.book.writing() as w:
        await making.task(w, floor.queue, await making.lead(w, floor.queue, "+12025550150"))
    await floor.at(NOON - timedelta(minutes=5, seconds=1), floor.ana)
    assert await floor.round() == [floor.ana]


async def test_his_own_promise_comes_to_him_though_others_must_not(floor: Floor) -> None:
    made = await floor.agreed("12:00")
    async with floor.book.writing() as w:
        await making.task(w, floor.queue, await making.lead(w, floor.queue, "+12025550150"))
    await floor.at(NOON - timedelta(seconds=50), floor.ana)
    assert await floor.round() == [floor.ana]
    assert (await floor.task(made.task_id)).state is TaskState.reserved


async def test_queues_that_share_an_agent_do_not_sell_his_time_twice(floor: Floor) -> None:
    async with floor.book.writing() as w:
        campaign = vouched(await w.session.get(Campaign, floor.queue.campaign_id))
        other = await making.queue(w, campaign, "soporte", handle_seconds=720)
        await w.session.execute(update(Agent).where(Agent.id == floor.bea).values(skills=["x:1"]))
        await w.session.execute(update(Queue).values(skills=[], handle_seconds=720))
        queue = vouched(await w.session.locked(Queue, floor.queue.id))
    made = []
    for line in (queue, other, queue):
        async with floor.book.writing() as w:
            try:
                await promising.take_place(w, campaign, line, NOON)
                made.append(line.key)
            except Conflict:
                pass
    assert made == ["ventas", "soporte"]  # two agents, each with time for one


async def test_of_many_who_want_the_last_place_of_two_queues_at_once_one_gets_it(floor: Floor) -> None:
    async with floor.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.id == floor.bea).values(disabled_at=w.now))
        campaign = vouched(await w.session.get(Campaign, floor.queue.campaign_id))
        other = await making.queue(w, campaign, "soporte", handle_seconds=720)
        await w.session.execute(update(Queue).values(handle_seconds=720))
        queue = vouched(await w.session.locked(Queue, floor.queue.id))

    async def take(line: Queue) -> bool:
        try:
            async with floor.book.writing() as w:
                await promising.take_place(w, campaign, line, NOON)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(take(line) for _ in range(5) for line in (queue, other)))) == 1


