"""Protection: what makes a request of a public door suspicious, and what follows. Values only.

Policy. A request is refused for its site, its origin, the hidden field, its number and the rates. Otherwise it has a
risk, and above `Limits.free_risk` it must bring a proof of work, which rises with the risk. A request without a form
token is no crime: programs send such. It starts two points up, which is free as long as nothing else speaks against
it; the third such request of a network in ten minutes is asked for a proof.
"""

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec
from phonenumbers import PhoneNumberType

from router.model.phone import REFUSED, look_up
from router.model.rates import FELT, Counted, Limits


class Why(StrEnum):
    """Why a request was not taken. A code of the wallboard: the visitor is not told which of the rates it was."""

    closed = "closed"
    origin = "origin"
    honeypot = "honeypot"
    too_quick = "too_quick"
    number_type = "number_type"
    country = "country"
    address = "address"
    number = "number"
    prefix = "prefix"
    site = "site"
    proof = "proof"
    spend = "spend"


RATES: Mapping[str, Why] = {
    "address": Why.address, "number_hour": Why.number, "number_day": Why.number, "prefix": Why.prefix,
    "site": Why.site,
}
"""The kind of a full scope, and what is said of it."""

UNUSUAL_TYPES = frozenset({PhoneNumberType.VOIP, PhoneNumberType.TOLL_FREE})
"""Numbers that cost little to hold by the thousand, or that people seldom have."""

PREFIX_DIGITS = 4
SILENT_TRIES, SILENT_SHARE = 8, 0.1
"""A prefix is silent when of at least so many legs in 24 hours less than this share was answered."""
SEEN_FOR = timedelta(minutes=5)
"""A silence counts as long as the sweep, which looks every minute, has lately found it."""


class Form(StrEnum):
    """What a form token says of its form."""

    good = "good"
    missing = "missing"
    forged = "forged"
    too_old = "too_old"
    too_young = "too_young"


_FORM_RISK: Mapping[Form, int] = {Form.good: 0, Form.too_young: 0, Form.too_old: 1, Form.missing: 2, Form.forged: 3}


class Kind(NamedTuple):
    """What a number is: its country (ISO 3166; "" for none) and its type in the numbering plan."""

    country: str
    type: int


def kind_of(phone: str) -> Kind:
    """What an E.164 number is. A number of no country (satellites, international networks) has country ""."""
    number = look_up(phone)
    return Kind("", PhoneNumberType.UNKNOWN) if number is None else Kind(number.country, number.type)


def refused_number(kind: Kind, countries: frozenset[str]) -> Why | None:
    """Whether this kind of number is called at all: type first, because no list of countries allows a premium one."""
    if kind.type in REFUSED or not kind.country:
        return Why.number_type
    return None if kind.country in countries else Why.country


def prefix_of(phone: str) -> str:
    """An E.164 number without its last four digits: blocks are rented by the thousand."""
    return phone[:-PREFIX_DIGITS]


@lru_cache(10_000)
def network_of(address: str, *, six: int = 64) -> str:
    """The network of an address, which is what is counted and kept: IPv4 /24, IPv6 /`six` (a line is given /64).

    An IPv4 address in IPv6's clothes is IPv4. A port or brackets, as some proxies write them, do not count. What is no
    address shares one place, "unknown"."""
    bare = address.strip().partition("%")[0]
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return str(ipaddress.ip_network(f"{parsed}/{24 if parsed.version == 4 else six}", strict=False))


class Asked(msgspec.Struct, frozen=True):
    """A request of a public door as the counting sees it. `refused` is set when something that needs no counting
    refuses it already. `key` is the scope of its idempotency key, `nonce` that of its proof, whose `bits` are proven.
    `risk` are the points known before counting. `prefix` is that of its number. Caps in minor units, 0 for none."""

    site_id: int
    limits: Limits
    counted: tuple[Counted, ...] = ()
    refused: Why | None = None
    key: Counted | None = None
    nonce: Counted | None = None
    bits: int = 0
    risk: int = 0
    prefix: str = ""
    daily_cap: int = 0
    hourly_cap: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """`why` it is not taken, or None. `retry_after` in seconds; `bits` are what a proof must have."""

    why: Why | None = None
    retry_after: int = 0
    bits: int = 0


def risk_of_form(form: Form, kind: Kind | None) -> int:
    """The points that are known before anything is counted. No form at all weighs less than a forged one; a page left
    open too long only a little."""
    return _FORM_RISK[form] + (kind is not None and kind.type in UNUSUAL_TYPES)


def risk_of_rates(pressure: Mapping[str, float], silent: bool) -> int:
    """The points of the rates: one from six tenths of a limit on, one more for the last place. A silent prefix counts
    three: calls into it earn somebody money, or nothing."""
    points = sum((share >= FELT) + (share >= 1.0) for kind, share in pressure.items() if kind != "number_day")
    return points + 3 * silent


def bits_for(risk: int, limits: Limits) -> int:
    """How many leading zero bits the proof must have; 0 when none is asked for."""
    if risk <= limits.free_risk:
        return 0
    return min(limits.most_bits, limits.first_bits + limits.step_bits * (risk - limits.free_risk - 1))
