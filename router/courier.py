"""The courier: carries deliveries outside. The only place where the network stands between two commits.

Claimed, started, asked, recorded: each step is a transaction of its own, and none is open while the network is waited
for. What crashes in between is found by its lease: not yet started, it is claimed again; started, it is `unknown`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from router import outcomes
from router.actions import announcing, attesting, countersigning, depositing, guarding, resting, revoking
from router.actions.depositing import DepositOrder
from router.actions.talking import TEXTS
from router.book import Book, Writing
from router.envoy import Envoy
from router.failpoints import fail_here
from router.gauges import Recent
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import NotAllowedNow
from router.outcomes import Answer, Performed, Story
from router.ports import (
    ArchiveOrder,
    Carrier,
    Channel,
    CountersignOrder,
    JoinOrder,
    LegOrder,
    LegRole,
    Listen,
    Mail,
    MailOrder,
    MessageOrder,
    Prompt,
    Refused,
    SealOrder,
    TrustProvider,
    Uncertain,
)
from router.store import deliveries
from router.store.db import lost_connection

log = logging.getLogger(__name__)

Request = Callable[[], Awaitable[Answer]]

AT_ONCE = 20
OTHERS_AT_ONCE = 12
"""A telephone leg never waits for messages: so many places are the most that others may take."""
MAILS_AT_ONCE = 4
"""A message never waits for mails, whose servers take their time."""
TRANSACTIONS_AT_ONCE = 4
"""The pool of connections belongs to the doors first."""
STOP_SECONDS = 10.0
RECORD_PAUSES = (0.05, 0.2, 1.0, 3.0, 5.0)
"""Seconds between tries to record an answer we hold in hand, as long as the database is away."""
PATIENCE = 2
"""Tries again after any other failure, such as a lock not had in time."""


@dataclass(frozen=True)
class _Flight:
    """A delivery on its way: `begun` is the loop's time before it was started."""

    delivery: Delivery
    request: Request
    begun: float

    @property
    def stalled(self) -> bool:
        """Half the lease has gone without a request: others may soon believe it made. It is not made any more."""
        return asyncio.get_running_loop().time() - self.begun > self.delivery.kind.lease.total_seconds() / 2


class Courier:
    """One a process. `owner` names it in the rows. `lateness` takes seconds between due and claimed. Without a mail
    server (`mail`) mails wait for one."""

    def __init__(
        self, book: Book, carrier: Carrier, trust: TrustProvider, owner: str, *, story: Story = outcomes.HOUSE,
        lateness: Recent | None = None, mail: Mail | None = None, envoy: Envoy | None = None,
    ) -> None:
        self._book = book
        self._carrier = carrier
        self._trust = trust
        self._mail = mail
        self._envoy = envoy or Envoy({}, trust)
        self._owner = owner
        self._story = story
        self._lateness = Recent() if lateness is None else lateness
        self._pen = asyncio.Semaphore(TRANSACTIONS_AT_ONCE)
        self._running: dict[asyncio.Task[None], DeliveryKind] = {}
        self._more = False
        self._stopping = False

    async def sweep(self) -> int:
        """Carries all that is due and waits until it is done; how many."""
        total = 0
        while True:
            claimed = await self.launch()
            total += claimed
            if self._running:
                await asyncio.wait(list(self._running))
            elif not claimed:
                return total

    async def launch(self) -> int:
        """Claims what is due, as far as there are free places, and sends it on its way; how many. Does not wait."""
        mails = sum(kind is DeliveryKind.mail for kind in self._running.values())
        others = sum(kind is not DeliveryKind.leg for kind in self._running.values()) - mails
        free = AT_ONCE - len(self._running)
        if self._stopping or free <= 0:
            self._more = True
            return 0
        claimed = await self._claim(free, min(free, OTHERS_AT_ONCE - others), min(free, MAILS_AT_ONCE - mails))
        if claimed:
            fail_here("courier.claimed")
        for delivery in claimed:
            task = asyncio.create_task(self._carry(delivery), name=f"delivery {delivery.id}")
            self._running[task] = delivery.kind
            task.add_done_callback(self._landed)
        return len(claimed)

    async def _claim(self, free: int, others: int, mails: int) -> list[Delivery]:
        claimed: list[Delivery] = []
        async with self._pen, self._book.writing() as w:
            due = await deliveries.due(w.session, w.now, legs=free, others=others, mails=mails)
            for delivery in due[:free]:
                self._lateness.add(max(0.0, (w.now - delivery.due_at).total_seconds()))
                moved = await w.move(
                    Delivery, delivery.id, to=DeliveryState.claimed, data={"what": delivery.kind.value},
                    fence=Delivery.fence + 1, owner=self._owner, lease_until=w.now + delivery.kind.lease,
                )  # fmt: skip
                if moved is not None:
                    claimed.append(moved)
        # Those that found no place now are claimed when one lands.
        self._more = min(others, mails) <= 0 or len(due) >= min(free, others, mails)
        return claimed

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("delivery stuck until its lease ends", exc_info=error)
        if self._more and not self._stopping:
            self._book.hub.tell(("courier",))

    async def _carry(self, claimed: Delivery) -> None:
        if self._stopping:
            return
        flight = await self._start(claimed)
        if flight is None:
            return
        fail_here("courier.before_request")
        answer = await self._ask(flight)
        fail_here("courier.after_request")
        await self._record(flight.delivery, answer)
        fail_here("courier.recorded")
        if isinstance(answer, Performed) and answer.sealed is not None:
            fail_here("sealed")

    async def _start(self, claimed: Delivery) -> _Flight | None:
        """The compare-and-set directly before the request. None when somebody was sooner or the order is unusable."""
        begun = asyncio.get_running_loop().time()
        async with self._pen, self._book.writing() as w:
            if (until := await resting.closed_until(w, claimed)) is not None:
                await outcomes.put_back(w, claimed, until, "resting")
                return None
            started = await w.move(
                Delivery, claimed.id, to=DeliveryState.started, frm=(DeliveryState.claimed,),
                where=[deliveries.holds(claimed.fence), deliveries.leased(w.now)], data={"what": claimed.kind.value},
                started_at=w.now, lease_until=w.now + claimed.kind.lease, tries=Delivery.tries + 1,
            )  # fmt: skip
            if started is None:
                return None
            if await guarding.still_permitted(w, started) is not None or not await announcing.still_true(w, started):
                nothing_done = Refused("not permitted any more", permanent=True, code="unwanted")
                await outcomes.refused(w, self._story, started, nothing_done)
                return None
            try:
                async with w.attempt():
                    return _Flight(started, await self._request(w, started), begun)
            except NotAllowedNow:
                await outcomes.refused(w, self._story, started, Refused("not wanted", permanent=True, code="unwanted"))
                return None
            except Exception as error:
                if lost_connection(error):
                    raise
                log.error("delivery has no usable order", exc_info=error, extra={"delivery": started.id})
                nothing_done = Refused("no usable order", permanent=not started.kind.repeatable, code="order")
                await outcomes.refused(w, self._story, started, nothing_done)
                return None

    async def _request(self, w: Writing, delivery: Delivery) -> Request:
        order = delivery.order
        match delivery.kind:
            case DeliveryKind.leg:
                return partial(self._place, leg_order(order))
            case DeliveryKind.message:
                text = w.vault.open(TEXTS, delivery.sealed_text or b"").decode()
                channel = Channel(str(order.get("channel", Channel.sms)))
                to, sender = str(order["to"]), str(order["sender"])
                return partial(self._send, MessageOrder(delivery.ref, to, sender, text, channel))
            case DeliveryKind.mail:
                return partial(self._post, await self._story.talking.mail_order(w, delivery))
            case DeliveryKind.put_through:
                return partial(self._join, join_order(order))
            case DeliveryKind.line:
                return partial(self._tell, str(order["carrier_id"]), prompt_order(order))
            case DeliveryKind.fetch:
                return partial(self._fetch, str(order["url"]))
            case DeliveryKind.end_room:
                return partial(self._end, self._carrier.end_room, str(order["room"]))
            case DeliveryKind.end_leg:
                return partial(self._end, self._carrier.end_leg, str(order["carrier_id"]))
            case DeliveryKind.hold:
                return partial(self._hold, str(order["room"]), str(order["carrier_id"]), on=bool(order["on"]))
            case DeliveryKind.archive:
                return partial(self._archive, await self._story.archiving.archive_order(w, delivery))
            case DeliveryKind.attest:
                return partial(self._attest, await self._story.attesting.material(w, delivery))
            case DeliveryKind.deposit:
                return partial(self._deposit, await self._story.depositing.deposit_order(w, delivery))
            case DeliveryKind.entrust | DeliveryKind.enquire | DeliveryKind.revoke | DeliveryKind.remind:
                return partial(self._envoy.do, delivery.kind, await self._story.entrusting.errand(w, delivery))
            case _:
                signing_id = delivery.signing_id
                if signing_id is None:
                    raise ValueError("a seal without a signing")
                if delivery.purpose == revoking.SEAL:
                    return partial(self._seal, await self._story.revoking.acknowledgement_order(w, signing_id))
                if delivery.purpose == countersigning.SEAL:
                    return partial(self._seal, await self._story.countersigning.order(w, signing_id))
                return partial(self._seal, await self._story.sealing.seal_order(w, signing_id))

    async def _place(self, order: LegOrder) -> Answer:
        return Performed(await self._carrier.place_leg(order))

    async def _send(self, order: MessageOrder) -> Answer:
        return Performed(await self._carrier.send_message(order))

    async def _post(self, order: MailOrder) -> Answer:
        if self._mail is None:
            return Refused("the house has no mail server", permanent=False, code="no_server")
        return Performed(await self._mail.send(order))

    async def _join(self, order: JoinOrder) -> Answer:
        await self._carrier.join(order)
        return Performed(order.carrier_id)

    async def _tell(self, carrier_id: str, prompt: Prompt) -> Answer:
        await self._carrier.tell(carrier_id, prompt)
        return Performed()

    async def _fetch(self, url: str) -> Answer:
        return Performed(media=await self._carrier.fetch(url))

    async def _end(self, verb: Callable[[str], Awaitable[None]], name: str) -> Answer:
        await verb(name)
        return Performed()

    async def _hold(self, room: str, carrier_id: str, *, on: bool) -> Answer:
        await self._carrier.hold(room, carrier_id, on=on)
        return Performed()

    async def _seal(self, order: SealOrder | CountersignOrder) -> Answer:
        return Performed(sealed=await self._trust.seal(order))

    async def _attest(self, material: attesting.Material) -> Answer:
        return await self._seal(await asyncio.to_thread(attesting.drawn, material))

    async def _deposit(self, order: DepositOrder) -> Answer:
        return await self._envoy.deposit(await depositing.bundled(self._book, self._trust, order))

    async def _archive(self, order: ArchiveOrder) -> Answer:
        return Performed(archived=await self._trust.archive(order))

    async def _ask(self, flight: _Flight) -> Answer:
        """The request. It ends before its lease does, so that it is not asked about while it is under way."""
        if flight.stalled:
            return Refused("the process stalled", permanent=False, code="stalled")
        try:
            async with asyncio.timeout(flight.delivery.kind.lease.total_seconds() - 1):
                return await flight.request()
        except (Refused, Uncertain) as answer:
            return answer
        except TimeoutError:
            return Uncertain("no answer in time")
        except Exception as error:
            log.error("the port broke its promise", exc_info=error, extra={"delivery": flight.delivery.id})
            return Uncertain(type(error).__name__)

    async def _record(self, delivery: Delivery, answer: Answer) -> None:
        """Commits the answer. Held on to for some seconds when the database is away: it is not to be had again."""
        for tried, pause in enumerate((*RECORD_PAUSES, None)):
            try:
                async with self._pen, self._book.writing() as w:
                    await outcomes.record(w, self._story, delivery, answer)
                return
            except Exception as error:
                if pause is None or (tried >= PATIENCE and not lost_connection(error)):
                    log.error("an answer could not be told", exc_info=error, extra={"delivery": delivery.id})
                    break
            await asyncio.sleep(pause)
        await self._record_untold(delivery, answer)

    async def _record_untold(self, delivery: Delivery, answer: Answer) -> None:
        """The story stumbles over the answer. What was done outside stays true and is kept; callbacks carry on from it.

        A sealed or archived document that nobody took is made again, and a receipt asked for again.
        """
        if isinstance(answer, Performed) and answer.media is not None:
            answer = Refused("nobody took what was fetched", permanent=False, code="untold")
        if isinstance(answer, Performed) and (answer.sealed is not None or answer.archived is not None):
            answer = Refused("nobody took the sealed document", permanent=False, code="untold")
        if isinstance(answer, Performed) and answer.receipt is not None:
            answer = Refused("nobody took the receipt", permanent=False, code="untold")
        async with self._pen, self._book.writing() as w:
            await outcomes.record(w, outcomes.SILENCE, delivery, answer)

    async def release(self) -> int:
        """Looks after leases that ran out: what was not started is free again, what was is unknown; how many."""
        async with self._pen, self._book.writing() as w:
            expired = await deliveries.expired(w.session, w.now)
            for delivery in expired:
                if delivery.state is DeliveryState.claimed:
                    await outcomes.put_back(w, delivery, w.now, "lease")
                else:
                    await outcomes.uncertain(w, self._story, delivery)
            if expired:
                w.hint("courier")
        return len(expired)

    async def stop(self) -> None:
        """Claims no more, lets what runs finish (at most STOP_SECONDS), gives back what was not started."""
        self._stopping = True
        if self._running:
            await asyncio.wait(list(self._running), timeout=STOP_SECONDS)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        async with self._book.writing() as w:
            for delivery in await deliveries.claimed_by(w.session, self._owner):
                await outcomes.put_back(w, delivery, w.now, "stopped")


def join_order(order: Mapping[str, object]) -> JoinOrder:
    """The port's order from the row's. Raises KeyError when it is not one."""
    return JoinOrder(
        carrier_id=str(order["carrier_id"]), ref=str(order["ref"]), room=str(order["room"]),
        room_ref=str(order["room_ref"]), ends_room=bool(order.get("ends_room", True)),
    )  # fmt: skip


def prompt_order(order: Mapping[str, Any]) -> Prompt:
    """What somebody who waits on the line hears. Raises KeyError or ValueError when the row's order is not one."""
    return Prompt(Listen(str(order["ref"]), int(order["seconds"])), tuple(order["say"]), str(order["locale"]))


def leg_order(order: Mapping[str, object]) -> LegOrder:
    """The port's order from the row's. Raises KeyError or ValueError when it is not one."""
    return LegOrder(
        ref=str(order["ref"]), room=str(order["room"]), room_ref=str(order["room_ref"]),
        role=LegRole(str(order["role"])), to=str(order["to"]), caller_id=str(order["caller_id"]),
        ring_seconds=int(str(order["ring_seconds"])), ends_room=bool(order["ends_room"]),
        longest_seconds=int(str(order.get("longest_seconds", LegOrder.longest_seconds))),
        shared_room=bool(order.get("shared_room")),
    )  # fmt: skip
