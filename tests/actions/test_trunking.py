"""A line on which calls fail at the carrier: nobody is dialled for nothing, nothing is lost, and it is tried again."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from router.actions import calling, dispatch, supervising, trunking
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.cadences import Attempt
from router.model.calls import Call, Leg
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryState
from router.model.errors import Conflict
from router.model.facts import Fact
from router.model.leads import Lead
from router.model.pausing import PAUSE, TRY_TAKES, pause_after
from router.model.tasks import TIER_LIST, Disposition, Reservation, ReservationState, Task, TaskState
from router.model.trunks import Trunk
from router.ports import LegMoved, LegOutcome, LegStage
from router.store import why
from tests import making
from tests.conftest import Clock
from tests.invariants import check


class House:
    """One line with one agent, and calls on it."""

    def __init__(self, book: Book, queue: Queue, agent: Agent) -> None:
        self.book, self.queue, self.agent = book, queue, agent

    async def task(self, phone: str, **values: Any) -> int:
        async with self.book.writing() as w:
            known = select(Lead).join(Contact, Contact.id == Lead.contact_id).where(Contact.phone == phone)
            lead = await w.session.scalar(known) or await making.lead(w, self.queue, phone)
            return (await making.task(w, self.queue, lead, **{"tier": TIER_LIST, **values})).id

    async def round(self) -> int:
        async with self.book.writing() as w:
            locked = vouched(await w.session.locked(Agent, self.agent.id))
            locked.heartbeat_at = w.now
            await w.session.flush()
            return await dispatch.run_round(w, 1)

    async def dials(self) -> int:
        """What waits first is accepted, and the agent is at his telephone: the call."""
        assert await self.round() == 1
        async with self.book.writing() as w:
            held = vouched(await w.session.scalar(
                select(Reservation.id).where(Reservation.state == ReservationState.pending)))
            call = vouched(await dispatch.accept(w, held, self.agent.id)).id
        await self.leg(call, "agent", LegStage.answered)
        return call

    async def leg(self, call: int, role: str, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> None:
        async with self.book.writing() as w:
            leg = vouched(await w.session.scalar(select(Leg).where(Leg.call_id == call, Leg.role == role)))
            placed = update(Delivery).where(Delivery.leg_id == leg.id)
            await w.session.execute(placed.values(state=DeliveryState.done, ended_at=w.now))
            await calling.on_event(w, LegMoved(leg.ref, f"{role}-{call}", stage, outcome))

    async def calls(self, phone: str, outcome: LegOutcome, **values: Any) -> Task:
        """A call to this number that ends so; its task afterwards."""
        task = await self.task(phone, **values)
        await self.leg(await self.dials(), "customer", LegStage.ended, outcome)
        return await self.now(Task, task)

    async def now(self, noun: Any, key: int) -> Any:
        async with self.book.reading() as r:
            await check(r.session)
            return await r.session.get(noun, key)

    async def trunk(self) -> Trunk | None:
        async with self.book.reading() as r:
            found = list(await r.session.scalars(select(Trunk)))
        return found[0] if found and found[0].failing_since is not None else None

    async def fails(self) -> Task:
        """Three numbers in a row cannot be dialled; the last task."""
        for n in range(3):
            task = await self.calls(f"+1202555010{n}", LegOutcome.failed)
        return task


@pytest.fixture
async def house(book: Book) -> House:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        agent = await making.agent(w)
    return House(book, queue, agent)


async def test_after_three_numbers_that_could_not_be_dialled_the_line_pauses_and_tasks_wait(
    house: House, book: Book, clock: Clock
) -> None:
    last = await house.fails()
    assert (last.state, last.disposition) == (TaskState.queued, None), "the one that showed it waits too"
    trunk = vouched(await house.trunk())
    assert trunk.paused_until == clock.now + PAUSE
    async with book.reading() as r:
        tries = await r.session.scalars(select(Attempt).order_by(Attempt.id))
    assert [one.refunded_at is not None for one in tries] == [False, False, True], "it was no try"
    await house.task("+12025550109")
    assert await house.round() == 0
    async with book.reading() as r:
        (reason,) = await why.nothing_for(r.session, house.agent, r.now)
        told = [fact.kind for fact in await r.session.scalars(select(Fact).where(Fact.kind.like("trunk.%")))]
    assert (reason["code"], reason["tasks"], told) == ("trunk_paused", 2, ["trunk.paused"])
    async with book.writing() as w:
        await making.agent(w, "sol")
    with pytest.raises(Conflict, match="fail at the carrier"):
        async with book.writing() as w:
            await supervising.give(w, last.id, 2, by=1)


async def test_one_number_that_cannot_be_dialled_is_the_numbers_own_matter(house: House) -> None:
    for phone in ("+12025550101", "+12025550102", "+12025550101"):
        assert (await house.calls(phone, LegOutcome.failed)).disposition is Disposition.failed
    assert await house.trunk() is None


@pytest.mark.parametrize("outcome", [LegOutcome.busy, LegOutcome.no_answer])
async def test_a_number_that_was_busy_or_rang_proves_that_the_line_works(house: House, outcome: LegOutcome) -> None:
    for n, ends in enumerate((LegOutcome.failed, LegOutcome.failed, outcome, LegOutcome.failed, LegOutcome.failed)):
        await house.calls(f"+1202555010{n}", ends)
    assert await house.trunk() is None


async def test_failures_long_ago_do_not_count(house: House, clock: Clock) -> None:
    for n in range(5):
        await house.calls(f"+1202555010{n}", LegOutcome.failed)
        clock.forward(151)
    assert await house.trunk() is None


async def test_after_the_pause_one_call_is_tried_and_when_it_rings_all_goes_on(house: House, clock: Clock) -> None:
    await house.fails()
    await house.task("+12025550109")
    clock.forward(PAUSE.total_seconds())
    call = await house.dials()
    assert vouched(await house.trunk()).trying_until == clock.now + TRY_TAKES
    async with house.book.writing() as w:
        await making.agent(w, "sol")
    assert await house.round() == 0, "one at a time"
    await house.leg(call, "customer", LegStage.ended, LegOutcome.busy)
    assert await house.trunk() is None
    assert await house.round() == 1


async def test_a_try_that_fails_makes_the_pause_twice_as_long_and_burns_nothing(house: House, clock: Clock) -> None:
    last = await house.fails()
    for pauses in (1, 2, 3):
        clock.now = vouched(vouched(await house.trunk()).paused_until)
        await house.leg(await house.dials(), "customer", LegStage.ended, LegOutcome.failed)
        trunk = vouched(await house.trunk())
        assert (trunk.pauses, trunk.paused_until) == (pauses + 1, clock.now + pause_after(pauses))
        assert (await house.now(Task, last.id)).state is TaskState.queued
    assert pause_after(50) == timedelta(minutes=15)


async def test_who_asked_to_be_called_now_is_called_when_the_line_may_be_tried_again(
    house: House, book: Book, clock: Clock
) -> None:
    await house.fails()
    asked = await house.task("+12025550108", tier=0)
    await house.dials()
    waiting = await house.now(Task, asked)
    assert (waiting.state, (await house.now(Agent, house.agent.id)).call_load) == (TaskState.scheduled, 0)
    async with book.reading() as r:
        dialled = await r.session.scalar(select(func.count()).where(Leg.role == "customer").select_from(Leg))
    assert dialled == 3
    clock.forward(PAUSE.total_seconds())
    await Alarms(book, ALARMS).sweep()
    await house.leg(await house.dials(), "customer", LegStage.answered)
    assert (await house.trunk(), (await house.now(Task, asked)).state) == (None, TaskState.engaged)


async def test_of_two_who_dial_in_the_same_moment_after_the_pause_one_tries(
    house: House, book: Book, clock: Clock
) -> None:
    await house.fails()
    clock.forward(PAUSE.total_seconds())
    async with book.writing() as w:
        campaign = vouched(await w.session.get(Campaign, 1))
        assert await trunking.closed_until(w, campaign) is None
    async with book.writing() as w:
        assert await trunking.closed_until(w, campaign) == clock.now + TRY_TAKES
    clock.forward(TRY_TAKES.total_seconds())
    async with book.writing() as w:
        assert await trunking.closed_until(w, campaign) is None, "nothing was heard of the first"


async def test_another_line_is_not_concerned(house: House, book: Book) -> None:
    await house.fails()
    async with book.writing() as w:
        other = await making.campaign(w, "sol", caller_id="+34910000099")
        queue = await making.queue(w, other, "otra")
        lead = await making.lead(w, queue, "+12025550107")
        await making.task(w, queue, lead, tier=TIER_LIST)
    assert await house.round() == 1
    async with book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Call)) == 3
