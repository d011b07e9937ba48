"""Holds: an offer that looks as if somebody else than its customer were signing it is held for a supervisor."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

MOST_OFFERS = 3
"""So many offers a number is sent within OFFERS_WITHIN before the next one is looked at."""
OFFERS_WITHIN = timedelta(days=30)
ALIKE_FROM = 3
"""So many other customers on browsers of the same kind from the same network, within ALIKE_WITHIN: one browser more may
be a coincidence behind a telephone company's shared address, four in a day are looked at."""
ALIKE_WITHIN = timedelta(hours=24)
DEVICE_MEMORY = timedelta(days=90)
"""How long a browser is known again by its cookie."""


class HoldReason(StrEnum):
    """`office_network`: opened from the company's own network. `shared_device`: the browser was another customer's.
    `alike`: too many customers alike from one network. `many_offers`: the number was sent many offers. `our_number`: it
    is an agent's telephone. `other_number`: it is not the number that was talked to."""

    office_network = "office_network"
    shared_device = "shared_device"
    alike = "alike"
    many_offers = "many_offers"
    our_number = "our_number"
    other_number = "other_number"


class Hold(Numbered):
    """Why a quote is not to be signed before a supervisor (`agent_id`) has looked at it; open until `ended_at`."""

    __tablename__ = "holds"
    __table_args__ = (
        UniqueConstraint("quote_id", "reason"),
        Index("ix_holds_open", "quote_id", postgresql_where=text("ended_at is null")),
    )
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"))
    reason: Mapped[HoldReason]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)


class SeenDevice(Numbered):
    """A browser that opened an offer. `device_hash` is the SHA-256 of its long-lived cookie, `trace_hash` is keyed over
    the kind of browser and the network it came from, empty where that tells nothing: no row holds an address."""

    __tablename__ = "seen_devices"
    __table_args__ = (
        UniqueConstraint("signing_id", "device_hash"),
        Index(None, "device_hash"), Index(None, "trace_hash", "seen_at"), Index(None, "seen_at"),
    )
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"))
    device_hash: Mapped[bytes]
    trace_hash: Mapped[bytes]
    seen_at: Mapped[datetime]


def within(address: str, networks: Iterable[str]) -> bool:
    """Whether the address is in one of these networks (CIDR). What is no address is in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(network, strict=False) for network in networks)


def is_network(written: str) -> bool:
    """Whether this is a network in CIDR notation, or an address."""
    try:
        ipaddress.ip_network(written, strict=False)
    except ValueError:
        return False
    return True


def neighbourhood(address: str) -> str:
    """The network a public address is in, as far as it tells neighbours apart (/24, or /48 of IPv6); "" for an address
    that is not public: it would say as much of everybody, e.g. behind a proxy."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if not found.is_global:
        return ""
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))
