"""Ana stays on the line, and the carrier's word on the telephones in her room."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import select, update

from router.actions import calling, dispatch, stationing
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.model.agents import Agent
from router.model.base import vouched
from router.model.calls import Call, Leg
from router.model.campaigns import Queue
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.stations import Station
from router.model.tasks import TIER_LIST, Reservation, ReservationState, Task
from router.outcomes import HOUSE, Performed, performed
from router.ports import CarrierEvent, LegMoved, LegOutcome, LegRole, LegStage, RoomChange, RoomMoved
from tests import making
from tests.conftest import Clock
from tests.invariants import check

ANA, EVA = 1, 2


class Standing:
    """One queue, Ana and Eva. What it does is committed, and the invariants are asked for."""

    def __init__(self, book: Book, clock: Clock) -> None:
        self.book, self.clock = book, clock

    async def do(self, verb: Callable[[Writing], Awaitable[Any]]) -> Any:
        async with self.book.writing() as w:
            done = await verb(w)
        await self.check()
        return done

    async def check(self) -> None:
        async with self.book.reading() as r:
            await check(r.session)

    async def all(self, noun: Any, *where: Any) -> list[Any]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(noun).where(*where).order_by(noun.id)))

    async def last(self, noun: Any, *where: Any) -> Any:
        return (await self.all(noun, *where))[-1]

    async def ring(self) -> Reservation | None:
        found = await self.all(Reservation, Reservation.state == ReservationState.pending)
        return found[0] if found else None

    async def loads(self) -> tuple[int, ...]:
        return tuple(one.call_load for one in await self.all(Agent))

    async def pass_time(self, seconds: float) -> None:
        """Time passes, browsers answer, and what is due happens."""
        self.clock.forward(seconds)
        async with self.book.writing() as w:
            await w.session.execute(update(Agent).values(heartbeat_at=w.now))
        await Alarms(self.book, ALARMS).sweep()
        await self.check()

    async def carried(self) -> list[Delivery]:
        """The courier's work: what waits is started and done, each leg under an id of its own."""
        done = []
        for waiting in await self.all(Delivery, Delivery.state == DeliveryState.pending):
            async with self.book.writing() as w:
                await w.session.execute(
                    update(Delivery).where(Delivery.id == waiting.id).values(state=DeliveryState.started))
                started = vouched(await w.session.get(Delivery, waiting.id))
                placed = started.kind is DeliveryKind.leg
                await performed(w, HOUSE, started, Performed(f"id-{started.order['ref']}" if placed else ""))
            await self.check()
            done.append(waiting)
        return done

    async def tell(self, *events: CarrierEvent) -> None:
        for event in events:
            assert isinstance(event, LegMoved | RoomMoved)
            await self.do(lambda w, event=event: calling.on_event(w, event))

    async def station(self) -> Station:
        found: Station = await self.last(Station)
        return found

    async def own(self, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> LegMoved:
        """The word on Ana's own telephone."""
        station = await self.station()
        return LegMoved(station.ref, f"id-{station.ref}", stage, outcome)

    async def leg(self, role: str = "customer") -> Leg:
        found: Leg = await self.last(Leg, Leg.role == role)
        return found

    async def theirs(
        self, stage: LegStage, outcome: LegOutcome = LegOutcome.none, role: str = "customer"
    ) -> LegMoved:
        """The word on the customer's telephone, or a colleague's, that was called last."""
        leg = await self.leg(role)
        return LegMoved(leg.ref, f"id-{leg.ref}", stage, outcome)

    async def room(self, change: RoomChange, role: LegRole | None = None) -> RoomMoved:
        station = await self.station()
        ref = station.ref if role is LegRole.agent else (await self.leg()).ref if role else ""
        return RoomMoved(station.room_ref, station.room, change, role, ref and f"id-{ref}")

    async def stands(self) -> Station:
        await self.do(lambda w: stationing.open_line(w, ANA))
        await self.carried()
        await self.tell(await self.own(LegStage.answered))
        return await self.station()

    async def waits(self, phone: str = "+12025550101", tier: int = TIER_LIST, **values: Any) -> Task:
        """Somebody else who is to be called."""
        async with self.book.writing() as w:
            queue = vouched(await w.session.get(Queue, 1))
            task = await making.task(w, queue, await making.lead(w, queue, phone), tier=tier, **values)
        await self.check()
        return task

    async def round(self) -> Reservation:
        await self.do(lambda w: dispatch.run_round(w, 1))
        return vouched(await self.ring())

    async def dialled(self, phone: str = "+12025550101") -> Call:
        """Somebody of a list is shown to Ana, and called."""
        await self.waits(phone)
        await self.round()
        await self.pass_time(5)
        await Alarms(self.book, ALARMS).sweep()
        await self.check()
        found: Call = await self.last(Call)
        return found

    async def talks(self, phone: str = "+12025550101") -> Call:
        call = await self.dialled(phone)
        await self.carried()
        await self.tell(await self.theirs(LegStage.answered))
        return call


async def made(book: Book, clock: Clock) -> Standing:
    async with book.writing() as w:
        await making.queue(w, await making.campaign(w), wrap_seconds=30)
        await making.agent(w)
        await making.agent(w, "eva", ready=False)
    return Standing(book, clock)
