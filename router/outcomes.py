"""What becomes of a delivery once the outside has answered, and who is told: in the caller's transaction."""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from router.actions import (
    archiving,
    attaching,
    attesting,
    calling,
    countersigning,
    depositing,
    entrusted,
    outgoing,
    resting,
    revoking,
    sealing,
    suppressing,
    talking,
)
from router.actions.depositing import DepositOrder
from router.actions.entrusting import Errand
from router.actions.resting import ENTRUSTED
from router.book import Writing
from router.model.deliveries import GIVEN_UP, Delivery, DeliveryKind, DeliveryState
from router.ports import (
    Archived,
    ArchiveOrder,
    CountersignOrder,
    CustodyReceipt,
    Heard,
    MailOrder,
    Media,
    Refused,
    Sealed,
    SealOrder,
    Uncertain,
)
from router.store import deliveries

log = logging.getLogger(__name__)

WRITTEN = (DeliveryKind.message, DeliveryKind.mail)

FLEW = (DeliveryState.started, DeliveryState.unknown)
"""An answer that comes when somebody already thought it lost still counts, as long as nobody claimed it anew."""


class Calling(Protocol):
    """The verbs of `router.actions.calling` that the courier uses."""

    async def leg_placed(self, w: Writing, delivery: Delivery, carrier_id: str, /) -> object: ...
    async def leg_failed(self, w: Writing, delivery: Delivery, reason: str, /) -> object: ...
    async def held(self, w: Writing, delivery: Delivery, /) -> object: ...


class Talking(Protocol):
    """The verbs of `router.actions.talking` that the courier uses."""

    async def message_placed(self, w: Writing, delivery: Delivery, carrier_id: str, /) -> object: ...
    async def message_failed(self, w: Writing, delivery: Delivery, code: str, /) -> object: ...
    async def mail_order(self, w: Writing, delivery: Delivery, /) -> MailOrder: ...


class Sealing(Protocol):
    """The verbs of `router.actions.sealing` that the courier uses."""

    async def seal_order(self, w: Writing, signing_id: int, /) -> SealOrder: ...
    async def sealed(self, w: Writing, signing_id: int, sealed: Sealed, /) -> object: ...


class Archiving(Protocol):
    """The verbs of `router.actions.archiving` that the courier uses."""

    async def archive_order(self, w: Writing, delivery: Delivery, /) -> ArchiveOrder: ...
    async def archived(self, w: Writing, delivery: Delivery, made: Archived, /) -> object: ...


class Attesting(Protocol):
    """The verbs of `router.actions.attesting` that the courier uses."""

    async def material(self, w: Writing, delivery: Delivery, /) -> attesting.Material: ...
    async def attested(self, w: Writing, delivery: Delivery, sealed: Sealed, /) -> object: ...


class Depositing(Protocol):
    """The verbs of `router.actions.depositing` that the courier uses."""

    async def deposit_order(self, w: Writing, delivery: Delivery, /) -> DepositOrder: ...
    async def deposited(self, w: Writing, delivery: Delivery, receipt: CustodyReceipt, /) -> object: ...


class Revoking(Protocol):
    """The verbs of `router.actions.revoking` that the courier uses."""

    async def acknowledgement_order(self, w: Writing, signing_id: int, /) -> SealOrder: ...
    async def acknowledged(self, w: Writing, signing_id: int, sealed: Sealed, /) -> object: ...


class Countersigning(Protocol):
    """The verbs of `router.actions.countersigning` that the courier uses."""

    async def order(self, w: Writing, signing_id: int, /) -> CountersignOrder: ...
    async def countersigned(self, w: Writing, signing_id: int, sealed: Sealed, /) -> object: ...


class Attaching(Protocol):
    """The verbs of `router.actions.attaching` that the courier uses."""

    async def fetched(self, w: Writing, attachment_id: int, media: Media, /) -> object: ...
    async def missing(self, w: Writing, attachment_id: int, reason: str, /) -> object: ...


class Entrusting(Protocol):
    """The verbs of `router.actions.entrusted` that the courier uses."""

    async def errand(self, w: Writing, delivery: Delivery, /) -> Errand: ...
    async def created(self, w: Writing, delivery: Delivery, foreign_id: str, link: str, /) -> object: ...
    async def heard(self, w: Writing, delivery: Delivery, told: Heard, /) -> object: ...
    async def done(self, w: Writing, delivery: Delivery, /) -> object: ...
    async def failed(self, w: Writing, delivery: Delivery, code: str, /) -> object: ...


@dataclass(frozen=True)
class Story:
    """Who is told how a delivery ended."""

    calling: Calling
    talking: Talking
    sealing: Sealing
    attaching: Attaching = attaching
    archiving: Archiving = archiving
    attesting: Attesting = attesting
    entrusting: Entrusting = entrusted
    revoking: Revoking = revoking
    depositing: Depositing = depositing
    countersigning: Countersigning = countersigning


class _Nobody:
    """Takes part in no story."""

    async def leg_placed(self, w: Writing, delivery: Delivery, carrier_id: str, /) -> None: ...
    async def leg_failed(self, w: Writing, delivery: Delivery, reason: str, /) -> None: ...
    async def held(self, w: Writing, delivery: Delivery, /) -> None: ...
    async def message_placed(self, w: Writing, delivery: Delivery, carrier_id: str, /) -> None: ...
    async def message_failed(self, w: Writing, delivery: Delivery, code: str, /) -> None: ...
    async def sealed(self, w: Writing, signing_id: int, sealed: Sealed, /) -> None: ...
    async def archived(self, w: Writing, delivery: Delivery, made: Archived, /) -> None: ...
    async def attested(self, w: Writing, delivery: Delivery, sealed: Sealed, /) -> None: ...
    async def acknowledged(self, w: Writing, signing_id: int, sealed: Sealed, /) -> None: ...
    async def deposited(self, w: Writing, delivery: Delivery, receipt: CustodyReceipt, /) -> None: ...
    async def countersigned(self, w: Writing, signing_id: int, sealed: Sealed, /) -> None: ...
    async def fetched(self, w: Writing, attachment_id: int, media: Media, /) -> None: ...
    async def missing(self, w: Writing, attachment_id: int, reason: str, /) -> None: ...
    async def created(self, w: Writing, delivery: Delivery, foreign_id: str, link: str, /) -> None: ...
    async def heard(self, w: Writing, delivery: Delivery, told: Heard, /) -> None: ...
    async def done(self, w: Writing, delivery: Delivery, /) -> None: ...
    async def failed(self, w: Writing, delivery: Delivery, code: str, /) -> None: ...

    async def errand(self, w: Writing, delivery: Delivery, /) -> Errand:
        raise LookupError("nobody can say what is to be done")

    async def seal_order(self, w: Writing, signing_id: int, /) -> SealOrder:
        raise LookupError("nobody can say what is to be sealed")

    async def acknowledgement_order(self, w: Writing, signing_id: int, /) -> SealOrder:
        raise LookupError("nobody can say what is to be sealed")

    async def order(self, w: Writing, signing_id: int, /) -> CountersignOrder:
        raise LookupError("nobody can say what is to be countersigned")

    async def archive_order(self, w: Writing, delivery: Delivery, /) -> ArchiveOrder:
        raise LookupError("nobody can say what is to be archived")

    async def material(self, w: Writing, delivery: Delivery, /) -> attesting.Material:
        raise LookupError("nobody can say what is to be certified")

    async def deposit_order(self, w: Writing, delivery: Delivery, /) -> DepositOrder:
        raise LookupError("nobody can say what is to be kept")

    async def mail_order(self, w: Writing, delivery: Delivery, /) -> MailOrder:
        raise LookupError("nobody can say what is to be written")


HOUSE = Story(calling, talking, sealing)
SILENCE = Story(*(_Nobody(),) * 9)


@dataclass(frozen=True)
class Performed:
    """It was done. `carrier_id` is the carrier's name of it, or another party's, if it has one; `link` is a signer's
    at a third party."""

    carrier_id: str = ""
    sealed: Sealed | None = None
    archived: Archived | None = None
    media: Media | None = None
    heard: Heard | None = None
    receipt: CustodyReceipt | None = None
    link: str = field(default="", repr=False)


Answer = Performed | Refused | Uncertain


async def record(w: Writing, story: Story, delivery: Delivery, answer: Answer) -> None:
    """Moves the delivery by the answer to its request and tells the story."""
    await resting.answered(w, delivery, None if isinstance(answer, Performed) else answer)
    match answer:
        case Performed():
            await performed(w, story, delivery, answer)
        case Refused():
            await refused(w, story, delivery, answer)
        case Uncertain():
            await uncertain(w, story, delivery)


async def performed(w: Writing, story: Story, delivery: Delivery, answer: Performed) -> None:
    """Done. Nothing happens when somebody was sooner, except that a leg given up meanwhile is hung up."""
    done = await w.move(
        Delivery, delivery.id, to=DeliveryState.done, frm=FLEW, where=[deliveries.holds(delivery.fence)],
        data={"what": delivery.kind.value}, carrier_id=answer.carrier_id, ended_at=w.now, lease_until=None,
        sealed_text=None, error="",
    )  # fmt: skip
    if done is None:
        await _hang_up_latecomer(w, delivery, answer.carrier_id)
    elif done.kind in (DeliveryKind.leg, DeliveryKind.put_through):
        await story.calling.leg_placed(w, done, answer.carrier_id)
    elif done.kind is DeliveryKind.hold:
        await story.calling.held(w, done)
    elif done.kind in WRITTEN:
        await story.talking.message_placed(w, done, answer.carrier_id)
    elif answer.sealed is not None and done.kind is DeliveryKind.attest:
        await story.attesting.attested(w, done, answer.sealed)
    elif answer.sealed is not None and done.signing_id is not None and done.purpose == revoking.SEAL:
        await story.revoking.acknowledged(w, done.signing_id, answer.sealed)
    elif answer.sealed is not None and done.signing_id is not None and done.purpose == countersigning.SEAL:
        await story.countersigning.countersigned(w, done.signing_id, answer.sealed)
    elif answer.sealed is not None and done.signing_id is not None:
        await story.sealing.sealed(w, done.signing_id, answer.sealed)
    elif answer.archived is not None:
        await story.archiving.archived(w, done, answer.archived)
    elif done.kind is DeliveryKind.entrust:
        await story.entrusting.created(w, done, answer.carrier_id, answer.link)
    elif answer.heard is not None:
        await story.entrusting.heard(w, done, answer.heard)
    elif done.kind in ENTRUSTED:
        await story.entrusting.done(w, done)
    elif answer.receipt is not None:
        await story.depositing.deposited(w, done, answer.receipt)
    elif answer.media is not None:
        await story.attaching.fetched(w, int(str(done.order["attachment"])), answer.media)


async def refused(w: Writing, story: Story, delivery: Delivery, refusal: Refused) -> None:
    """The outside did nothing: tried again later where that can help and is not too often; failed otherwise."""
    code = refusal.code or "refused"
    again = not refusal.permanent and delivery.tries < delivery.kind.most_tries
    if not (again and await put_back(w, delivery, w.now + delivery.kind.pause(delivery.tries), code)):
        closed = await close(w, story, delivery, DeliveryState.failed, code)
        if closed and refusal.nobody:
            await suppressing.nobody_there(w, delivery)


async def uncertain(w: Writing, story: Story, delivery: Delivery) -> None:
    """It may have been done: what may be repeated is; the rest is asked about before anything else happens."""
    if delivery.kind.repeatable:
        await refused(w, story, delivery, Refused("no certain answer", permanent=False, code="uncertain"))
        return
    moved = await w.move(
        Delivery, delivery.id, to=DeliveryState.unknown, frm=(DeliveryState.started,),
        where=[deliveries.holds(delivery.fence)], data={"what": delivery.kind.value},
        unknown_at=w.now, lease_until=w.now + timedelta(seconds=1),
    )  # fmt: skip
    if moved is not None:
        log.warning("delivery unknown", extra={"delivery": delivery.id, "kind": delivery.kind.value})


async def put_back(
    w: Writing, delivery: Delivery, due_at: object, error: str = "", *, never_done: bool = False
) -> bool:
    """Back to the queue: nothing was done, or doing it twice does no harm. Sources of this move are only `claimed`,
    `started`, and `unknown` for what may be repeated, or was found to be `never_done`."""
    sources = [DeliveryState.claimed, DeliveryState.started]
    if delivery.kind.repeatable or never_done:
        sources.append(DeliveryState.unknown)
    moved = await w.move(
        Delivery, delivery.id, to=DeliveryState.pending, frm=sources, where=[deliveries.holds(delivery.fence)],
        data={"what": delivery.kind.value, "reason": error}, due_at=due_at, lease_until=None, owner="", error=error,
    )  # fmt: skip
    return moved is not None


async def close(w: Writing, story: Story, delivery: Delivery, to: DeliveryState, code: str) -> bool:
    """Failed or abandoned, for good; the story hears of it. False when somebody was sooner."""
    closed = await w.move(
        Delivery, delivery.id, to=to, frm=FLEW, where=[deliveries.holds(delivery.fence)],
        data={"what": delivery.kind.value, "reason": code}, error=code, ended_at=w.now, lease_until=None,
        sealed_text=None,
    )  # fmt: skip
    if closed is None:
        return False
    log.warning("delivery not made", extra={"delivery": closed.id, "kind": closed.kind.value, "reason": code})
    if closed.kind in (DeliveryKind.leg, DeliveryKind.put_through):
        await story.calling.leg_failed(w, closed, code)
    elif closed.kind in WRITTEN:
        await story.talking.message_failed(w, closed, code)
    elif closed.kind in ENTRUSTED:
        await story.entrusting.failed(w, closed, code)
    elif closed.kind is DeliveryKind.fetch:
        await story.attaching.missing(w, int(str(closed.order["attachment"])), code)
    return True


async def end(w: Writing, after: Delivery, kind: DeliveryKind, order: dict[str, object]) -> None:
    """Queues the end of a room or a leg because of what became of `after`; once for each."""
    await outgoing.post(
        w, kind, f"{kind.value}-after:{after.id}", order, campaign_id=after.campaign_id, lead_id=after.lead_id,
        call_id=after.call_id, station_id=after.station_id,
    )


async def _hang_up_latecomer(w: Writing, delivery: Delivery, carrier_id: str) -> None:
    """The race: a worker stalled, its leg was asked for, not found and given up, and then the carrier placed it."""
    now = await w.session.locked(Delivery, delivery.id)
    given_up = now is not None and now.state in GIVEN_UP
    if given_up and delivery.kind is DeliveryKind.leg and carrier_id:
        await end(w, delivery, DeliveryKind.end_leg, {"carrier_id": carrier_id})
