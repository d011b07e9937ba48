"""Deliveries: effects to be done outside, as rows first; never blindly done twice."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class DeliveryState(State):
    """`unknown`: the request may or may not have been carried out; it is settled by asking, or abandoned by a person.

    After a restored dump everything not final is `unknown`: it may have been done since the dump was taken.
    """

    pending = "pending"
    claimed = "claimed"
    started = "started"
    done = "done"
    failed = "failed"
    unknown = "unknown"
    abandoned = "abandoned"

    @classmethod
    def moves(cls) -> Moves:
        return _DELIVERY_MOVES


_DELIVERY_MOVES = table(
    (DeliveryState.pending, "claimed unknown abandoned"),
    (DeliveryState.claimed, "started pending unknown abandoned"),
    (DeliveryState.started, "done failed pending unknown"),
    # unknown → pending is for repeatable kinds alone: what was in flight when a dump was taken is simply done again.
    (DeliveryState.unknown, "done failed pending abandoned"),
)


GIVEN_UP = (DeliveryState.failed, DeliveryState.abandoned)
"""Nothing is done about them any more."""


class DeliveryKind(StrEnum):
    """What is to be done. Ending a room or a leg, and holding, may be repeated: the carrier does it once; so may
    sealing, archiving, attesting and fetching, whose result is kept once, and telling somebody to wait on the line. A
    caller may not be put into his room twice: he would fall out. A mail server cannot be asked what became of a mail.
    An offer is entrusted to a third party once, who is searched for it when that is uncertain, and its signer is not
    reminded twice; to enquire after it and to take it back may be repeated. What is deposited twice is kept once."""

    leg = "leg"
    end_room = "end_room"
    end_leg = "end_leg"
    message = "message"
    hold = "hold"
    seal = "seal"
    put_through = "put_through"
    line = "line"
    fetch = "fetch"
    mail = "mail"
    archive = "archive"
    entrust = "entrust"
    enquire = "enquire"
    revoke = "revoke"
    remind = "remind"
    attest = "attest"
    deposit = "deposit"

    @property
    def lease(self) -> timedelta:
        seconds = {
            DeliveryKind.leg: 8, DeliveryKind.put_through: 8, DeliveryKind.line: 8, DeliveryKind.seal: 15,
            DeliveryKind.mail: 120, DeliveryKind.attest: 45,
        }
        return timedelta(seconds=seconds.get(self, 60))

    @property
    def repeatable(self) -> bool:
        return self not in (
            DeliveryKind.leg, DeliveryKind.put_through, DeliveryKind.message, DeliveryKind.mail, DeliveryKind.entrust
        )

    @property
    def most_tries(self) -> int:
        """Requests made at most when each was answered "not processed". A late ring is worse than none."""
        few = {
            DeliveryKind.leg: 3, DeliveryKind.put_through: 3, DeliveryKind.line: 3, DeliveryKind.hold: 3,
            DeliveryKind.message: 8, DeliveryKind.mail: 8, DeliveryKind.entrust: 8, DeliveryKind.remind: 3,
        }
        return few.get(self, 20 if self is DeliveryKind.seal else 12)

    def pause(self, tries: int) -> timedelta:
        """How long to wait after so many tries (from 1): 1 s, doubled, at most 4 s for legs and 2 min for the rest.

        Mails wait a minute, doubled, at most half an hour: a server that says "later" to a stranger means minutes.
        """
        if self is DeliveryKind.mail:
            return timedelta(minutes=min(2 ** (tries - 1), 30))
        most = 4 if self in (DeliveryKind.leg, DeliveryKind.put_through, DeliveryKind.line) else 120
        return timedelta(seconds=min(2.0 ** (tries - 1), most))


class Delivery(Numbered):
    """`order` are the particulars (ids, addresses, seconds); `sealed_text` is a message's text, encrypted, wiped when
    final; `shown_text` is the same with link and code replaced. `ref` is our unguessable name of it for callbacks.
    `fence` rises with every claim: a stalled worker's late write finds another number. `names` is the delivery this
    one tries again. `station_id` is in whose room it happens; without a call it is about the agent's own
    telephone there. `lease_until` of an unknown one is when to ask next. To a customer nothing leaves without the
    guard's recorded answer (`attempt_id`)."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_due", "due_at", "id", postgresql_where=text("state = 'pending'")),
        Index("ix_deliveries_due_legs", "due_at", "id", postgresql_where=text("state = 'pending' and kind = 'leg'")),
        Index("ix_deliveries_abandoned", "id", postgresql_where=text("state = 'abandoned'")),
        Index("ix_deliveries_flying", "lease_until", postgresql_where=text("state in ('claimed','started','unknown')")),
        Index(None, "station_id", postgresql_where=text("station_id is not null")),
        Index(None, "signing_id", postgresql_where=text("signing_id is not null")),
        CheckConstraint("not to_customer or attempt_id is not null", name="guarded"),
    )
    kind: Mapped[DeliveryKind]
    ref: Mapped[str] = mapped_column(unique=True)
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    to_customer: Mapped[bool]
    order: Mapped[dict[str, Any]]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.pending)
    shown_text: Mapped[str] = mapped_column(default="")
    sealed_text: Mapped[bytes | None] = mapped_column(default=None)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"), default=None)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), default=None)
    call_id: Mapped[int | None] = mapped_column(ForeignKey("calls.id"), default=None)
    leg_id: Mapped[int | None] = mapped_column(ForeignKey("legs.id"), default=None)
    station_id: Mapped[int | None] = mapped_column(ForeignKey("stations.id"), default=None)
    signing_id: Mapped[int | None] = mapped_column(ForeignKey("signings.id"), default=None)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"), default=None)
    purpose: Mapped[str] = mapped_column(default="")
    names: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"), default=None)
    tries: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str] = mapped_column(default="")
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    unknown_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    carrier_id: Mapped[str] = mapped_column(default="", index=True)
    progress: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(default="")
