"""Rates: how often the public doors may be used, by address, number, prefix and site. Counted in the database.

The figures of `Limits` follow the practice of public click-to-call forms attacked for toll fraud: few calls for one
number, a little more for its block of ten thousand, and a bound for each network and each page.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base


class Rate(Base):
    """How often one scope was used since `window_start`; from `ends_at` on it begins anew.

    A scope names its kind and an HMAC of what is counted, e.g. "number_hour:Xy3…": no number and no address stands
    here. Keys of requests and spent proofs are scopes too, of which one use is allowed.
    """

    __tablename__ = "rates"
    __table_args__ = (Index(None, "ends_at"), {"postgresql_with": {"fillfactor": 70}})
    scope: Mapped[str] = mapped_column(primary_key=True)
    window_start: Mapped[datetime]
    ends_at: Mapped[datetime]
    used: Mapped[int]


class Limit(NamedTuple):
    """`most` uses in `seconds`, reckoned from the first."""

    most: int
    seconds: int


_NETWORK, _PREFIX, _SITE = Limit(5, 600), Limit(10, 3_600), Limit(3_000, 600)
_DOCUMENTS = Limit(60, 600)
_LINKS = Limit(60, 600)
_NUMBER_HOUR, _NUMBER_DAY = Limit(2, 3_600), Limit(4, 86_400)


@dataclass(frozen=True)
class Limits:
    """What a deployment allows its public doors. Times in seconds.

    `address` counts a visitor's network (IPv4 /24, IPv6 /64), `prefix` the numbers that differ in their last four
    digits, `site` all requests of one landing page. A form is sent at least `form_youngest` and at most `form_oldest`
    after it was shown. Up to `free_risk` nobody has to prove anything; each point above doubles the sum `step_bits`
    times, from `first_bits` to `most_bits`. `proof_life` is how long a proof asked for may take. `documents`
    counts what a visitor's network has checked where documents are checked, `links` the links to documents it has tried
    that lead nowhere: who guesses is answered nothing more.
    """

    address: Limit = _NETWORK
    number_hour: Limit = _NUMBER_HOUR
    number_day: Limit = _NUMBER_DAY
    prefix: Limit = _PREFIX
    site: Limit = _SITE
    form_youngest: float = 2.0
    form_oldest: int = 7_200
    free_risk: int = 2
    first_bits: int = 14
    step_bits: int = 2
    most_bits: int = 20
    proof_life: int = 600
    key_life: int = 86_400
    documents: Limit = _DOCUMENTS
    links: Limit = _LINKS


STRICT = Limits()
"""What a service starts with."""

_ANY = 1_000_000_000

LENIENT = Limits(
    address=Limit(_ANY, 600), number_hour=Limit(_ANY, 3_600), number_day=Limit(_ANY, 86_400),
    prefix=Limit(_ANY, 3_600), site=Limit(_ANY, 600), form_youngest=0.0, free_risk=_ANY,
    documents=Limit(_ANY, 600), links=Limit(_ANY, 600),
)
"""For demonstrations, tests and benchmarks, whose many requests come from one machine for a few numbers: all is counted
and nothing refused for its number."""


class Counted(NamedTuple):
    """One scope a request draws on, and what it may."""

    kind: str
    scope: str
    limit: Limit


class Standing(NamedTuple):
    """How often a scope was used before the request in question, and when its window ends."""

    used: int
    ends_at: datetime


class Drawn(NamedTuple):
    """How often some requests draw on a scope, and what it may."""

    times: int
    limit: Limit


FELT = 0.6
"""The share of a limit from which on its use counts as a risk."""


def full(counted: Iterable[Counted], standing: Mapping[str, Standing]) -> Counted | None:
    """The first scope that has no room for one use more."""
    return next((one for one in counted if standing[one.scope].used >= one.limit.most), None)


def pressure(counted: Iterable[Counted], standing: Mapping[str, Standing]) -> dict[str, float]:
    """How full each kind is with this request in it, from 0 to 1."""
    return {one.kind: (standing[one.scope].used + 1) / one.limit.most for one in counted}


def crowded(drawn: Mapping[str, Drawn], standing: Mapping[str, Standing]) -> frozenset[str]:
    """The scopes of which the last of these uses takes so much room that it can be felt."""
    return frozenset(
        scope for scope, (times, limit) in drawn.items() if standing[scope].used + times >= FELT * limit.most
    )


def retry_after(standing: Standing, now: datetime) -> int:
    """Seconds until the window ends, in full minutes: the exact moment would tell when somebody else was here."""
    left = max(timedelta(seconds=1), standing.ends_at - now)
    return 60 * math.ceil(left / timedelta(minutes=1))


def scopes(counted: Sequence[Sequence[Counted]]) -> dict[str, Drawn]:
    """All scopes of several requests."""
    times = Counter(one.scope for request in counted for one in request)
    limits = {one.scope: one.limit for request in counted for one in request}
    return {scope: Drawn(times[scope], limit) for scope, limit in limits.items()}
