"""The guard: may we contact this person now? One pure function over a snapshot; every answer names its rules.

Purposes: `requested` (he asked for this call), `code` (a one-time code he asked for), `service` (what he signed or was
promised), `commercial` (everything we start). Hours and caps bind `commercial`; suppression and fraud limits bind all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from router.model.protection import kind_of, refused_number


class Purpose(StrEnum):
    requested = "requested"
    code = "code"
    service = "service"
    commercial = "commercial"


@dataclass(frozen=True)
class RulePack:
    """The rules of a country or campaign. Times are the callee's wall clock; `days` are ISO weekdays (1 = Monday).

    `day_cap` and `week_cap` count commercial tries by number, across leads and campaigns; `code_cap` and `any_cap`
    bound what strangers can make us spend on one number in 24 hours. `reviewed` is False for a strict reading nobody
    has checked against the law. `only_numbers` is a pattern all of whose numbers are nobody's.
    """

    id: str
    days: frozenset[int]
    opens: time
    closes: time
    day_cap: int
    week_cap: int
    min_gap: timedelta
    code_cap: int = 6
    any_cap: int = 20
    reviewed: bool = False
    only_numbers: str = ""


RESERVED_NUMBERS = r"\+1(202|212|213|305|312|415|512|617|702|818)55501\d\d"
"""A thousand numbers for fiction: the numbers 555-0100 to 555-0199 of ten North American area codes are nobody's."""

PACKS = {
    "standard": RulePack(
        id="standard", days=frozenset(range(1, 6)), opens=time(10), closes=time(20), day_cap=2, week_cap=4,
        min_gap=timedelta(hours=2),
    ),
    "demo": RulePack(
        id="demo", days=frozenset(range(1, 8)), opens=time.min, closes=time.max, day_cap=10, week_cap=30,
        min_gap=timedelta(0), any_cap=60, only_numbers=RESERVED_NUMBERS,
    ),
}
"""`standard` is a cautious reading for countries without a pack of their own: weekdays from ten to eight, the caps two
a day and four a week. `demo` is always open and only for numbers reserved for demonstrations."""


@dataclass(frozen=True)
class Snapshot:
    """What the guard looks at. `commercial`, `codes` and `anything` are the times (aware) of tries to this number in
    the last 30 days that were not refunded; `consents` the purposes agreed to; `taken_back` those agreed to with this
    very request and withdrawn since; `zone` the callee's time zone (IANA); `countries` those whose numbers are called
    at all (ISO 3166), none meaning any."""

    pack: RulePack
    phone: str
    zone: str
    purpose: Purpose
    suppressed: str = ""
    paused: bool = False
    consents: frozenset[str] = frozenset()
    taken_back: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    commercial: Sequence[datetime] = ()
    codes: Sequence[datetime] = ()
    anything: Sequence[datetime] = ()


@dataclass(frozen=True)
class Verdict:
    """`until` (aware) is set when it may be tried again then; `rules` are stable ids of what decided."""

    word: str
    rules: tuple[str, ...]
    until: datetime | None = None
    detail: dict[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        return self.word == "allow"


def may_contact(snapshot: Snapshot, at: datetime) -> Verdict:
    """The verdict at the moment `at` (aware). A denial wins over a deferral, a later deferral over an earlier one."""
    if snapshot.suppressed:
        return Verdict("deny", (f"suppressed.{snapshot.suppressed}",))
    if snapshot.pack.only_numbers and not re.fullmatch(snapshot.pack.only_numbers, snapshot.phone):
        return Verdict("deny", (f"{snapshot.pack.id}.number",))
    if snapshot.countries and (why := refused_number(kind_of(snapshot.phone), snapshot.countries)) is not None:
        return Verdict("deny", (f"number.{why.value}",))
    if snapshot.paused:
        return Verdict("deny", ("campaign.paused",))
    if snapshot.purpose is Purpose.requested and "requested" in snapshot.taken_back:
        return Verdict("deny", ("consent.withdrawn",))
    deferrals = _abuse(snapshot, at)
    if snapshot.purpose is Purpose.commercial:
        if "commercial" not in snapshot.consents:
            return Verdict("deny", ("consent.commercial",))
        deferrals += _caps(snapshot, at) + _hours(snapshot, at)
    if deferrals:
        until = max(moment for _, moment in deferrals)
        return Verdict("defer", tuple(rule for rule, _ in deferrals), until)
    pack = snapshot.pack.id
    rules = (f"{pack}.hours", f"{pack}.caps", "consent.commercial") if snapshot.purpose is Purpose.commercial else (
        f"purpose.{snapshot.purpose}",
    )
    return Verdict("allow", rules)


Deferrals = list[tuple[str, datetime]]


def _capped(times: Sequence[datetime], span: timedelta, cap: int, at: datetime) -> datetime | None:
    """When the oldest try leaves the span, if the span is full at `at`."""
    recent = sorted(moment for moment in times if moment > at - span)
    return recent[len(recent) - cap] + span if len(recent) >= cap else None


def _abuse(snapshot: Snapshot, at: datetime) -> Deferrals:
    found: Deferrals = []
    day = timedelta(days=1)
    if until := _capped(snapshot.anything, day, snapshot.pack.any_cap, at):
        found.append(("fraud.number_day", until))
    if snapshot.purpose is Purpose.code and (until := _capped(snapshot.codes, day, snapshot.pack.code_cap, at)):
        found.append(("fraud.codes_day", until))
    return found


def _caps(snapshot: Snapshot, at: datetime) -> Deferrals:
    pack, found = snapshot.pack, Deferrals()
    for rule, span, cap in (("day", timedelta(days=1), pack.day_cap), ("week", timedelta(days=7), pack.week_cap)):
        if until := _capped(snapshot.commercial, span, cap, at):
            found.append((f"{pack.id}.cap_{rule}", until))
    if snapshot.commercial and max(snapshot.commercial) + pack.min_gap > at:
        found.append((f"{pack.id}.gap", max(snapshot.commercial) + pack.min_gap))
    return found


def _hours(snapshot: Snapshot, at: datetime) -> Deferrals:
    pack = snapshot.pack
    opens = next_open(pack, snapshot.zone, at)
    return [] if opens <= at else [(f"{pack.id}.hours", opens)]


def next_open(pack: RulePack, zone: str, at: datetime) -> datetime:
    """The first moment from `at` on at which the pack's window is open, in the zone's wall time; aware."""
    local = at.astimezone(ZoneInfo(zone))
    for ahead in range(8):
        day = (local + timedelta(days=ahead)).date()
        if day.isoweekday() not in pack.days:
            continue
        opens = datetime.combine(day, pack.opens, tzinfo=local.tzinfo)
        closes = datetime.combine(day, pack.closes, tzinfo=local.tzinfo)
        if local < closes or pack.closes == time.max:
            return max(at, opens) if opens > local else at
    raise ValueError(f"the pack {pack.id} is never open")
