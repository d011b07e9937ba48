"""Staleness: is this quote quiet, why, and when is it worth looking again? Pure, over values; moments are aware.

Every test counts from the idle base: when the customer, or a person talking with him, last moved the quote. What we
send by ourselves never moves it, or nurturing would make its own quotes fresh.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from router.model.calendars import Unit, add
from router.model.hours import Opening


class Reason(StrEnum):
    """Why a quote wants attention; the first that holds wins."""

    sign_abandoned = "sign_abandoned"
    hot_reopen = "hot_reopen"
    undelivered = "undelivered"
    opened_unsigned = "opened_unsigned"
    never_opened = "never_opened"
    expiring = "expiring"
    idle = "idle"
    expired_winback = "expired_winback"


class Hold(StrEnum):
    """Why a quote is left alone though it is quiet. `unread` is our own debt: he has written and waits for us."""

    with_us = "with_us"
    promise = "promise"
    unread = "unread"
    complaint = "complaint"
    suppressed = "suppressed"
    newer_quote = "newer_quote"
    snoozed = "snoozed"
    consent = "consent"


ABANDONED_AFTER = timedelta(minutes=30)
HOT_FOR = timedelta(minutes=15)
HOT_WITHIN = timedelta(hours=24)
OPENED_HOURS = 4
UNOPENED_DAYS = 1
EXPIRING_DAYS = 3
EXPIRING_REST = timedelta(hours=24)
WIN_BACK_FOR = timedelta(days=30)
SNOOZE_DAYS = 10
"""Business days an agent may ask for rest at most."""
SCANNED_WITHIN = timedelta(seconds=3)
"""Nobody reads a text and opens its link so soon after it was sent."""
VALUABLE_DAYS = 2
"""A quote among the fifth of the highest value is idle after so many business days already."""

_DAY = 86_400
_SCANNERS = re.compile(
    r"bot\b|crawl|spider|preview|facebookexternalhit|whatsapp/|skypeuripreview|slack-imgproxy|mimecast|proofpoint"
    r"|barracuda|safelinks|microsoft office|google-safety|virustotal|urlscan|^curl/|^wget/",
    re.IGNORECASE,
)


def opened_by_person(at: datetime, sent_at: datetime | None, user_agent: str) -> bool:
    """Whether an opening of the link counts: previews and scanners open links too, and so does nobody within three
    seconds of the sending."""
    if _SCANNERS.search(user_agent):
        return False
    return sent_at is None or at - sent_at >= SCANNED_WITHIN


@dataclass(frozen=True)
class Patience:
    """How long a campaign lets quotes rest. A `rest` shorter than a day, as demonstrations have, bounds every test."""

    idle_days: int = 3
    rest: timedelta | None = None

    @classmethod
    def of_seconds(cls, seconds: int) -> "Patience":
        """What the campaign's `stale_seconds` mean: whole business days, or less than one in plain seconds."""
        if seconds >= _DAY:
            return cls(idle_days=max(1, seconds // _DAY))
        return cls(rest=timedelta(seconds=seconds))

    def bounded(self, base: datetime, moment: datetime) -> datetime:
        return moment if self.rest is None else min(moment, base + self.rest)


@dataclass(frozen=True)
class Watched:
    """What is known of a quote. `base` is the idle base; `ended_at` is set once it expired; `opened_at` and
    `opened_before_at` are the last two openings by a person; `signing_at` is when he last did something on the way to a
    signature he has not given; `reachable` is False when its text could not be delivered, `linked` when it was made
    elsewhere and nobody can open it here; `valuable`: among the fifth of the highest value; `holds` are what keeps it
    from being stale, with the moment that ends, if it is known."""

    base: datetime
    sent_at: datetime
    valid_until: datetime
    is_open: bool = True
    ended_at: datetime | None = None
    won_back: bool = False
    opened_at: datetime | None = None
    opened_before_at: datetime | None = None
    signing_at: datetime | None = None
    reachable: bool = True
    linked: bool = True
    valuable: bool = False
    holds: Mapping[Hold, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """`reasons` hold now, the best first; none while something in `holds` forbids. `next_check_at` is when the answer
    changes without anybody doing anything; None when only an event can change it."""

    reasons: tuple[Reason, ...]
    holds: tuple[Hold, ...]
    next_check_at: datetime | None

    @property
    def reason(self) -> Reason | None:
        """The best of them that calls for a cadence: what did not arrive is sent another way, and is not stale."""
        return next((one for one in self.reasons if one is not Reason.undelivered), None)


def idle_base(*moments: datetime | None) -> datetime | None:
    """The latest of when it was sent, opened, answered, talked about or priced anew."""
    return max((moment for moment in moments if moment is not None), default=None)


def look(quote: Watched, calendar: Opening, now: datetime, patience: Patience | None = None) -> Finding:
    """The reasons at `now`, and when to look again."""
    spans = list(_reasons(quote, calendar, patience or Patience()))
    holding = {hold: until for hold, until in quote.holds.items() if until is None or until > now}
    changes = {moment for _, start, end in spans for moment in (start, end) if moment is not None and moment > now}
    if holding:
        # Whatever holds now, nothing comes of it before the last hold with a known end is over.
        known = [until for until in holding.values() if until is not None]
        again = max(known) if len(known) == len(holding) else None
        return Finding((), tuple(sorted(holding, key=list(Hold).index)), again)
    found = [reason for reason, start, end in spans if start <= now and (end is None or now < end)]
    return Finding(tuple(sorted(found, key=list(Reason).index)), (), min(changes, default=None))


def _reasons(
    quote: Watched, calendar: Opening, patience: Patience
) -> Iterator[tuple[Reason, datetime, datetime | None]]:
    """Each reason with the span of time in which it holds."""
    base, last = quote.base, quote.valid_until
    if not quote.is_open:
        if quote.ended_at is not None and not quote.won_back:
            yield Reason.expired_winback, quote.ended_at, quote.ended_at + WIN_BACK_FOR
        return
    if not quote.reachable:
        yield Reason.undelivered, base, last
    if quote.signing_at is not None:
        begun = max(base, quote.signing_at)
        yield Reason.sign_abandoned, patience.bounded(begun, begun + ABANDONED_AFTER), last
    yield from _read(quote, calendar, patience)
    shortly = add(calendar, last, -EXPIRING_DAYS, Unit.bd)
    yield Reason.expiring, max(shortly, patience.bounded(base, base + EXPIRING_REST)), last
    days = min(patience.idle_days, VALUABLE_DAYS) if quote.valuable else patience.idle_days
    yield Reason.idle, patience.bounded(base, add(calendar, base, days, Unit.bd)), last


def _read(quote: Watched, calendar: Opening, patience: Patience) -> Iterator[tuple[Reason, datetime, datetime | None]]:
    """What follows from whether it was read."""
    if quote.opened_at is None:
        if quote.reachable and quote.linked:
            since = max(quote.base, quote.sent_at)
            yield Reason.never_opened, patience.bounded(since, add(calendar, since, UNOPENED_DAYS, Unit.bd)), (
                quote.valid_until
            )
        return
    before = quote.opened_before_at
    # Whoever talked with us since is not hot any more: the talk was the answer.
    if before is not None and quote.opened_at - before <= HOT_WITHIN and quote.base <= quote.opened_at:
        yield Reason.hot_reopen, quote.opened_at, min(quote.opened_at + HOT_FOR, quote.valid_until)
    since = max(quote.base, quote.opened_at)
    yield Reason.opened_unsigned, patience.bounded(since, add(calendar, since, OPENED_HOURS, Unit.bh)), (
        quote.valid_until
    )


def snoozed_until(calendar: Opening, now: datetime, wanted: datetime) -> datetime:
    """How long an agent's wish for rest is granted: ten business days at most."""
    return min(wanted, add(calendar, now, SNOOZE_DAYS, Unit.bd))


def is_valuable(total: int, others: list[int]) -> bool:
    """Whether an amount is among the fifth of the highest of these; of a handful nobody can say."""
    if len(others) < 5:
        return False
    return total >= sorted(others)[len(others) * 4 // 5]
