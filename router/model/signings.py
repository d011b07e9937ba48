"""Signings: the ceremony of link, opening, one-time code, signature and sealed PDF."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

CODE_LIFE = timedelta(minutes=5)
SIGN_WITHIN = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=2)
"""How long a code is good, how long its holder may take to sign, and how long an opened offer stays open in a browser
(opening the link again is always possible until the offer ends)."""
GRACE = timedelta(seconds=60)
"""A signature begun before the offer's end is honoured so long after it."""
UNHEARD_AFTER = timedelta(seconds=120)
"""So long after the link was sent its agent is told that no receipt has come: he can ask the person."""
MAILED_COPY = "mailed_copy"
"""Our word for the mail with the signed document."""
TRIES_PER_CODE = 5
TRIES_PER_SIGNING = 10
CODES_PER_SIGNING = 4
CODE_COOLDOWNS = (timedelta(seconds=0), timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120))


@dataclass(frozen=True)
class Consent:
    """One thing agreed to, asked for by itself. `text` is our English source; a changed text gets a new version. With
    an `item` it is asked for only where the offer has a line of that name; `without` says what follows from leaving it
    empty."""

    id: str
    version: str
    required: bool
    text: str
    item: str = ""
    without: str = ""


EXPRESS = "express"
CONSENTS = (
    Consent("offer", "1", True, "I accept this offer and I know that signing it obliges me to pay."),
    Consent("data", "1", True, "I agree that %(company)s uses my data to prepare and carry out this contract."),
    Consent(
        EXPRESS, "1", False,
        "I expressly ask that the service begins before the %(days)s days in which I may withdraw are over. If I "
        "withdraw after that, I pay for what was provided, in proportion; once the service has been fully performed I "
        "can withdraw no longer.",
        item="later_start", without="If you leave this empty, the service begins once that time is over.",
    ),
    Consent("commercial", "1", False, "I would like %(company)s to tell me of other offers; I may stop it any time."),
)


def asked_for(lines: Iterable[Mapping[str, str]]) -> list[Consent]:
    """The consents asked for with an offer that has these lines."""
    items = {line.get("item", "") for line in lines}
    return [one for one in CONSENTS if not one.item or one.item in items]


class DeclineReason(StrEnum):
    """Why an offer was declined: codes, not words."""

    price = "price"
    later = "later"
    elsewhere = "elsewhere"
    not_asked_for = "not_asked_for"
    other = "other"


class CodeAnswer(StrEnum):
    """What came of asking for a code. `wait`: too soon after the last one; `refused`: this number may not be texted
    now; `held`: a supervisor looks at the offer first."""

    sent = "sent"
    wait = "wait"
    none_left = "none_left"
    refused = "refused"
    held = "held"
    closed = "closed"


class Given(StrEnum):
    """What came of giving a code. `dead`: expired, or tried too often; a new one may be asked for."""

    right = "right"
    wrong = "wrong"
    dead = "dead"
    locked = "locked"
    closed = "closed"


class SigningState(State):
    """*signed* is the legal moment; *sealed* follows. `undeliverable` and `locked` wait for a person."""

    created = "created"
    sent = "sent"
    delivered = "delivered"
    opened = "opened"
    code_sent = "code_sent"
    verified = "verified"
    signed = "signed"
    sealed = "sealed"
    completed = "completed"
    undeliverable = "undeliverable"
    locked = "locked"
    declined = "declined"
    expired = "expired"
    void = "void"

    @classmethod
    def moves(cls) -> Moves:
        return _SIGNING_MOVES


SIGNED = (SigningState.signed, SigningState.sealed, SigningState.completed)
OPENABLE = (
    SigningState.created, SigningState.sent, SigningState.delivered, SigningState.undeliverable, SigningState.opened,
    SigningState.code_sent, SigningState.verified,
)
"""States in which the link opens the offer."""
ALIVE = (*OPENABLE, SigningState.locked)
"""Neither signed nor ended."""

_EXITS = "declined expired void"
_SIGNING_MOVES = table(
    # Callbacks come late and in any order: the customer may open before we hear that the text was sent. A third party
    # may tell us of the signature first of all; in our own ceremony only what is verified can be signed.
    (SigningState.created, f"sent delivered opened undeliverable signed {_EXITS}"),
    (SigningState.sent, f"delivered opened undeliverable signed {_EXITS}"),
    (SigningState.delivered, f"opened signed {_EXITS}"),
    (SigningState.opened, f"code_sent signed {_EXITS}"),
    # Opened anew, perhaps on another device: the code proves possession only for the one who typed it.
    (SigningState.code_sent, f"opened code_sent verified locked {_EXITS}"),
    (SigningState.verified, f"opened code_sent signed {_EXITS}"),
    (SigningState.signed, "sealed"),
    (SigningState.sealed, "completed"),
    (SigningState.undeliverable, f"delivered opened signed {_EXITS}"),
    (SigningState.locked, "void expired"),
)


class Signing(Numbered):
    """`link_hash`, `cookie_hash` are SHA-256 of random tokens, `code_hmac` binds the code to offer, amount and number.
    `again_hash` is of the token in the links sent again later, beside which the first stays good. `phone` is frozen
    when the signing is made. `code_expires_at` is when the code dies and, once it was given, until when it may be
    signed. `copy_hash` is of the token in the link to the signed copy. `chain_head` is the last hash of
    its evidence. `sealed_sha256` is the document as it was sealed; `archive_at` is when it is to get its next archive
    timestamp; `level` and `time_source` are the best that it, or its newest archive, has reached.
    `account_id` is where a third party takes the signature (`router.model.entrusted`); our own ceremony is closed then.
    `drawing_sha256` is the picture of a signature he drew besides typing his name. Since `forgotten_at` nothing of it
    is evidence any more: its chain and documents are gone, and the ledger's lines about it are hashes of nothing."""

    __tablename__ = "signings"
    __table_args__ = (
        Index("one_live_signing_per_quote", "quote_id", unique=True, postgresql_where=text(
            "state not in ('declined','expired','void')")),
        Index(None, "quote_id", "id"),
        Index("ix_signings_archive_at", "archive_at", postgresql_where=text("archive_at is not null")),
    )
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    state: Mapped[SigningState]
    phone: Mapped[str]
    link_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    cookie_hash: Mapped[bytes | None] = mapped_column(default=None, unique=True)
    cookie_until: Mapped[datetime | None] = mapped_column(default=None)
    copy_hash: Mapped[bytes | None] = mapped_column(default=None, unique=True)
    code_hmac: Mapped[bytes | None] = mapped_column(default=None)
    code_expires_at: Mapped[datetime | None] = mapped_column(default=None)
    code_tries: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    codes_sent: Mapped[int] = mapped_column(default=0)
    code_sent_at: Mapped[datetime | None] = mapped_column(default=None)
    consents: Mapped[list[dict[str, Any]]] = mapped_column(default_factory=list)
    name_typed: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[datetime | None] = mapped_column(default=None)
    signed_at: Mapped[datetime | None] = mapped_column(default=None)
    sealed_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None, index=True)
    evidence_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    level: Mapped[str] = mapped_column(default="")
    time_source: Mapped[str] = mapped_column(default="")
    chain_head: Mapped[bytes | None] = mapped_column(default=None)
    chain_length: Mapped[int] = mapped_column(default=0)
    again_hash: Mapped[bytes | None] = mapped_column(default=None, unique=True)
    archive_at: Mapped[datetime | None] = mapped_column(default=None)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("signing_accounts.id"), default=None)
    drawing_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    forgotten_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def is_entrusted(self) -> bool:
        """Whether a third party takes the signature."""
        return self.account_id is not None

    @property
    def begins_early(self) -> bool:
        """Whether the customer expressly asked that the service begins while he may still withdraw."""
        return any(one.get("id") == EXPRESS for one in self.consents)

    def next_code_at(self) -> datetime | None:
        """When the next code may be asked for; None when there is none left."""
        if self.codes_sent >= CODES_PER_SIGNING:
            return None
        return (self.code_sent_at or self.created_at) + CODE_COOLDOWNS[self.codes_sent]

    def tries_left(self) -> int:
        """Tries left for the code that was sent last."""
        return max(0, min(TRIES_PER_CODE - self.code_tries, TRIES_PER_SIGNING - self.tries))

    def code_alive(self, now: datetime) -> bool:
        """Whether the code sent last may still be given (before), or signed upon (after it was given)."""
        return self.code_expires_at is not None and now < self.code_expires_at and self.tries_left() > 0

    def unheard(self, now: datetime) -> bool:
        """Whether nothing was heard of the link for too long at `now` (aware): neither a receipt nor its opening."""
        return self.state in (SigningState.created, SigningState.sent) and now >= self.created_at + UNHEARD_AFTER
