"""Signings: the ceremony of link, opening, one-time code, signature and sealed PDF."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

CODE_LIFE = timedelta(minutes=5)
TRIES_PER_CODE = 5
TRIES_PER_SIGNING = 10
CODES_PER_SIGNING = 4
CODE_COOLDOWNS = (timedelta(seconds=0), timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120))


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


_EXITS = "declined expired void"
_SIGNING_MOVES = table(
    (SigningState.created, f"sent undeliverable {_EXITS}"),
    (SigningState.sent, f"delivered opened undeliverable {_EXITS}"),
    (SigningState.delivered, f"opened {_EXITS}"),
    (SigningState.opened, f"code_sent {_EXITS}"),
    (SigningState.code_sent, f"code_sent verified locked {_EXITS}"),
    (SigningState.verified, f"code_sent signed {_EXITS}"),
    (SigningState.signed, "sealed"),
    (SigningState.sealed, "completed"),
    (SigningState.undeliverable, f"delivered opened {_EXITS}"),
    (SigningState.locked, "void expired"),
)


class Signing(Numbered):
    """`link_hash`, `cookie_hash` are SHA-256 of random tokens, `code_hmac` binds the code to offer, amount and number.
    `phone` is frozen when the signing is made. `chain_head` is the last hash of its evidence."""

    __tablename__ = "signings"
    __table_args__ = (
        Index("one_live_signing_per_quote", "quote_id", unique=True, postgresql_where=text(
            "state not in ('declined','expired','void')")),
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
    sealed_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    evidence_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    level: Mapped[str] = mapped_column(default="")
    time_source: Mapped[str] = mapped_column(default="")
    chain_head: Mapped[bytes | None] = mapped_column(default=None)
    chain_length: Mapped[int] = mapped_column(default=0)
