"""Unknown deliveries: settled by asking the carrier what became of them, never by doing them again.

A leg is looked for in its named room until 6 s have passed; not there, its room is ended and it has failed. A message
is looked for among those the carrier sent to the number; not found for 15 min, it is abandoned, visible. A mail server
cannot be asked: it may tell by itself that a mail did not arrive; when it has told nothing for an hour, the mail is
abandoned. An offer handed to a third party is searched for there by our own name of it; not found for 2 min, it is
handed over again.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from router import outcomes
from router.actions import resting
from router.book import Book, Writing
from router.envoy import Envoy
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.entrusted import SEARCH_PATIENCE
from router.outcomes import Performed, Story
from router.ports import Carrier, Channel, LegRole, OutsideError, Participant
from router.store import deliveries

log = logging.getLogger(__name__)

LEG_PATIENCE = timedelta(seconds=6)
"""With a sweep and a look every two seconds an unknown leg is settled within ten."""
LEG_SILENCE = timedelta(seconds=60)
"""How long a carrier that does not answer is asked about a leg."""
MESSAGE_PATIENCE = timedelta(minutes=15)
MAIL_PATIENCE = timedelta(hours=1)
LEG_EVERY, MESSAGE_EVERY, MAIL_EVERY = timedelta(seconds=2), timedelta(seconds=30), timedelta(minutes=5)
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far the carrier's clock may be from the database's."""


def since(delivery: Delivery) -> datetime:
    """From when on it is unknown; after a restored dump nobody wrote it down."""
    return delivery.unknown_at or delivery.created_at


class Unknowns:
    """Asks about unknown deliveries, a few at once, without a transaction open meanwhile."""

    def __init__(
        self, book: Book, carrier: Carrier, *, story: Story = outcomes.HOUSE, envoy: Envoy | None = None
    ) -> None:
        self._book = book
        self._carrier = carrier
        self._story = story
        self._envoy = envoy

    async def sweep(self) -> int:
        """Asks about those whose time it is; how many."""
        async with self._book.writing() as w:
            asked = await deliveries.to_ask_about(w.session, w.now)
            for delivery in asked:
                at_once = delivery.kind in (DeliveryKind.leg, DeliveryKind.put_through)
                every = LEG_EVERY if at_once else MAIL_EVERY if delivery.kind is DeliveryKind.mail else MESSAGE_EVERY
                await deliveries.ask_again(w.session, delivery.id, w.now + every)
        results = await asyncio.gather(*(self._settle(delivery) for delivery in asked), return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                log.error("an unknown delivery could not be settled", exc_info=error)
        return len(asked)

    async def _settle(self, delivery: Delivery) -> None:
        match delivery.kind:
            case DeliveryKind.leg:
                await self._settle_leg(delivery)
            case DeliveryKind.put_through:
                await self._settle_join(delivery)
            case DeliveryKind.message:
                await self._settle_message(delivery)
            case DeliveryKind.mail:
                await self._settle_mail(delivery)
            case DeliveryKind.entrust:
                await self._settle_entrusted(delivery)
            case DeliveryKind.remind:
                async with self._book.writing() as w:
                    await outcomes.close(w, self._story, delivery, DeliveryState.abandoned, "uncertain")
            case _:
                async with self._book.writing() as w:
                    await outcomes.put_back(w, delivery, w.now, "unknown")
                    w.hint("courier")

    async def _settle_leg(self, delivery: Delivery) -> None:
        people: Sequence[Participant] | None = None
        try:
            people = await self._carrier.who_is_in(str(delivery.order["room"]))
        except OutsideError as error:
            log.warning("the carrier does not say who is in a room", extra={"error": type(error).__name__})
        async with self._book.writing() as w:
            if people is None:
                await self._give_up_leg(w, delivery, DeliveryState.abandoned, LEG_SILENCE)
                return
            same_role = [person.carrier_id for person in people if person.role == delivery.order["role"]]
            ours = [one for one in same_role if one not in await deliveries.known_ids(w.session, same_role)]
            if ours:
                await outcomes.performed(w, self._story, delivery, Performed(ours[0]))
            else:
                await self._give_up_leg(w, delivery, DeliveryState.failed, LEG_PATIENCE)

    async def _settle_join(self, delivery: Delivery) -> None:
        """Was the caller put into the room? He cannot be asked for twice, but he can be looked for."""
        people: Sequence[Participant] | None = None
        caller = str(delivery.order["carrier_id"])
        try:
            people = await self._carrier.who_is_in(str(delivery.order["room"]))
        except OutsideError as error:
            log.warning("the carrier does not say who is in a room", extra={"error": type(error).__name__})
        async with self._book.writing() as w:
            if people is not None and any(person.carrier_id == caller for person in people):
                await outcomes.performed(w, self._story, delivery, Performed(caller))
                return
            patience = LEG_SILENCE if people is None else LEG_PATIENCE
            if w.now - since(delivery) >= patience:
                await outcomes.close(w, self._story, delivery, DeliveryState.failed, "not_found")

    async def _give_up_leg(self, w: Writing, delivery: Delivery, to: DeliveryState, patience: timedelta) -> None:
        """The room is ended too: should the leg come after all, it finds nobody, and nobody finds it. But for a
        colleague who is asked: two others talk there. He is hung up when the carrier tells of him."""
        if w.now - since(delivery) < patience:
            return
        closed = await outcomes.close(w, self._story, delivery, to, "not_found")
        if closed and delivery.order["role"] != LegRole.colleague:
            await outcomes.end(w, delivery, DeliveryKind.end_room, {"room": delivery.order["room"]})

    async def _settle_message(self, delivery: Delivery) -> None:
        to = str(delivery.order["to"])
        sent: Sequence[str] = ()
        try:
            after = (delivery.started_at or delivery.created_at) - CLOCKS_DIFFER
            channel = Channel(str(delivery.order.get("channel", Channel.sms)))
            sent = await self._carrier.find_messages(to, after, channel)
        except OutsideError as error:
            log.warning("the carrier does not say what it sent", extra={"error": type(error).__name__})
        async with self._book.writing() as w:
            await w.session.lock_word(f"messages:{to}")
            known = await deliveries.known_ids(w.session, sent)
            found = [one for one in sent if one not in known]
            waiting = await deliveries.uncertain_messages(w.session, to)
            # Fewer found than missed: which of them was sent cannot be told, so none is called sent.
            if found and len(found) >= len(waiting):
                await outcomes.performed(w, self._story, delivery, Performed(found[0]))
            elif w.now - since(delivery) >= MESSAGE_PATIENCE:
                await self._abandon(w, delivery, waiting if found else [])

    async def _settle_mail(self, delivery: Delivery) -> None:
        async with self._book.writing() as w:
            if w.now - since(delivery) >= MAIL_PATIENCE:
                await outcomes.close(w, self._story, delivery, DeliveryState.abandoned, "uncertain")

    async def _settle_entrusted(self, delivery: Delivery) -> None:
        """Did the provider take the offer? It is searched there by our own name of it, and handed over again only when
        it was not to be found for a while."""
        found, answered = None, False
        try:
            async with self._book.writing() as w:
                account = await resting.account_of(w, delivery)
                if account is not None and account.closed_until(w.now) is not None:
                    return  # it is left alone, and asked for later
                errand = await self._story.entrusting.errand(w, delivery)
            if self._envoy is not None:
                found, answered = await self._envoy.find(errand), True
        except OutsideError as error:
            log.warning("the provider does not say whether it has an offer", extra={"error": type(error).__name__})
        async with self._book.writing() as w:
            if found is not None:
                await outcomes.performed(w, self._story, delivery, Performed(found.foreign_id, link=found.link))
            elif answered and w.now - since(delivery) >= SEARCH_PATIENCE:
                await outcomes.put_back(w, delivery, w.now, "not_found", never_done=True)
                w.hint("courier")

    async def _abandon(self, w: Writing, delivery: Delivery, others: Sequence[Delivery]) -> None:
        """With it go the others that might be the ones found: when it is gone, they would seem certain."""
        unknown = [one for one in others if one.state is DeliveryState.unknown and one.id != delivery.id]
        for one in (delivery, *unknown):
            await outcomes.close(w, self._story, one, DeliveryState.abandoned, "uncertain")
