"""A call in the making, and the carrier's word on its telephones."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from router.actions import calling, dispatch
from router.book import Book
from router.model.agents import Agent
from router.model.alarms import Alarm, AlarmState
from router.model.calls import Call, Leg
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.tasks import Task
from router.ports import CarrierEvent, LegMoved, LegOutcome, LegRole, LegStage, RoomChange, RoomMoved
from tests import making
from tests.invariants import check

PHONE = "+12025550101"


@dataclass
class Line:
    """One task, one agent and the call between them. What it does is committed and the invariants are checked."""

    book: Book
    task_id: int
    agent_id: int
    call_id: int

    async def row(self, noun: Any, key: int) -> Any:
        async with self.book.reading() as r:
            return await r.session.get(noun, key)

    async def task(self) -> Task:
        found: Task = await self.row(Task, self.task_id)
        return found

    async def agent(self) -> Agent:
        found: Agent = await self.row(Agent, self.agent_id)
        return found

    async def call(self) -> Call:
        found: Call = await self.row(Call, self.call_id)
        return found

    async def leg(self, role: str) -> Leg | None:
        async with self.book.reading() as r:
            return await r.session.scalar(select(Leg).where(Leg.call_id == self.call_id, Leg.role == role))

    async def deliveries(self, kind: DeliveryKind | None = None) -> list[Delivery]:
        async with self.book.reading() as r:
            found = await r.session.scalars(select(Delivery).order_by(Delivery.id))
            return [one for one in found if kind is None or one.kind is kind]

    async def alarms(self) -> set[str]:
        async with self.book.reading() as r:
            return set(await r.session.scalars(select(Alarm.kind).where(Alarm.state == AlarmState.pending)))

    async def event(self, role: str, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> LegMoved:
        leg = await self.leg(role)
        assert leg is not None
        return LegMoved(leg.ref, f"id-{role}", stage, outcome)

    async def tell(self, *events: CarrierEvent) -> None:
        """One transaction each, as the inbox does."""
        for event in events:
            assert isinstance(event, LegMoved | RoomMoved)
            async with self.book.writing() as w:
                await calling.on_event(w, event)
            await self.check()

    async def say(self, role: str, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> None:
        await self.tell(await self.event(role, stage, outcome))

    async def room(self, change: RoomChange, role: LegRole | None = None) -> RoomMoved:
        call = await self.call()
        return RoomMoved(call.room_ref, call.room, change, role, f"id-{role}" if role else "")

    async def place(self, role: str) -> Delivery:
        """The courier's work: the order is started, the carrier takes it."""
        (delivery,) = [one for one in await self.deliveries(DeliveryKind.leg) if one.order["role"] == role]
        async with self.book.writing() as w:
            await w.session.execute(
                update(Delivery)
                .where(Delivery.id == delivery.id)
                .values(state=DeliveryState.done, carrier_id=f"id-{role}")
            )
            placed = await w.session.get(Delivery, delivery.id)
            assert placed is not None
            await calling.leg_placed(w, placed, f"id-{role}")
        return delivery

    async def start(self, role: str) -> Delivery:
        """The order is given; the carrier has not answered."""
        (delivery,) = [one for one in await self.deliveries(DeliveryKind.leg) if one.order["role"] == role]
        async with self.book.writing() as w:
            await w.session.execute(
                update(Delivery).where(Delivery.id == delivery.id).values(state=DeliveryState.started)
            )
        return delivery

    async def agent_there(self) -> None:
        await self.place("agent")
        await self.say("agent", LegStage.answered)

    async def both_there(self) -> None:
        await self.agent_there()
        await self.place("customer")
        await self.say("customer", LegStage.answered)

    async def check(self) -> None:
        async with self.book.reading() as r:
            await check(r.session)


async def accepted(book: Book, **campaign: Any) -> Line:
    """A reserved task whose agent has just said yes. Another agent is free."""
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w, **campaign))
        task = await making.task(w, queue, await making.lead(w, queue, PHONE))
        agent = await making.agent(w)
        await dispatch.run_round(w, 1)
        call = await dispatch.accept(w, 1, agent.id)
    async with book.writing() as w:
        await making.agent(w, "eva")
    return Line(book, task.id, agent.id, call.id)
