"""The guard: may we contact this person now? One pure function over a snapshot; every answer names its rules.

Purposes: `requested` (he asked for this call), `code` (a one-time code he asked for), `service` (what he signed or was
promised), `commercial` (everything we start). A pack's rules bind `commercial`; suppression and fraud limits bind all.

Denials come first, all of them, in this order: suppression, reserved numbers, kinds and countries of numbers, a paused
campaign, what was taken back, consent, registers, the number shown, a person of no known place. Who is not denied may
be deferred: the rules that defer are named in the order in which they end, the one that decides last.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from phonenumbers import PhoneNumberType

from router.model.packs import Channel as Channel
from router.model.packs import Expiry, Gap, Pack, Register, Rule
from router.model.protection import kind_of, refused_number
from router.model.windows import bound_by, closed_by
from router.model.windows import next_open as next_open
from router.model.windows import windows as windows

DAY = timedelta(days=1)


class Purpose(StrEnum):
    requested = "requested"
    code = "code"
    service = "service"
    commercial = "commercial"


RESERVED_NUMBERS = r"\+1(202|212|213|305|312|415|512|617|702|818)55501\d\d"
"""A thousand numbers for fiction: the numbers 555-0100 to 555-0199 of ten North American area codes are nobody's."""

MAYBE_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.UNKNOWN}
"""What a country that refuses mobile numbers refuses: those that are or may be."""


@dataclass(frozen=True)
class Try:
    """A try that was allowed and not refunded, at an aware moment. `with_call`: a text that announced a call, which is
    made by now, or is the one that is asked about. `busy`: a call that found the line engaged."""

    at: datetime
    purpose: Purpose
    channel: str
    with_call: bool = False
    busy: bool = False


@dataclass(frozen=True)
class Barred:
    """A suppression in force for this person, number or point; `until` (aware) it ends, if it does; `channel` it is
    for, "" for all."""

    reason: str
    until: datetime | None = None
    channel: str = ""


@dataclass(frozen=True)
class Consulted:
    """What a do-not-call register said of the number, and when it was asked (aware)."""

    as_of: datetime
    listed: bool


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the guard looks at. Moments are aware.

    `phone` is E.164, "" for mail alone. `zones` (IANA) are all the person may be in, `subdivisions` (ISO 3166-2) the
    parts of the country; () for unknown: then a person must choose the zone, and the rules of all parts bind.
    `consents` are the purposes agreed to, `consented_at` when; `taken_back` those agreed to with this very request and
    withdrawn since. `customer_until` is the end of his last contract with us, `refused_at` when he was last not
    interested. `countries` are those whose numbers are called at all (ISO 3166), none meaning any. `tries` are those of
    the number in the last 30 days, and more if a pack counts longer. `caller_id` is the number shown. `asking` are the
    registers that are asked number by number, and why one has not answered: "pending", or "unreachable". A `promised`
    callback may exceed the caps that are our own, never those of the law.
    """

    pack: Pack
    phone: str
    purpose: Purpose
    channel: Channel = Channel.call
    zones: tuple[str, ...] = ()
    subdivisions: tuple[str, ...] = ()
    barred: Sequence[Barred] = ()
    paused: bool = False
    consents: frozenset[str] = frozenset()
    consented_at: Mapping[str, datetime] = field(default_factory=dict)
    taken_back: frozenset[str] = frozenset()
    customer_until: datetime | None = None
    refused_at: datetime | None = None
    countries: frozenset[str] = frozenset()
    tries: Sequence[Try] = ()
    registers: Mapping[str, Consulted] = field(default_factory=dict)
    asking: Mapping[str, str] = field(default_factory=dict)
    caller_id: str = ""
    promised: bool = False
    business: bool = False


OF_THE_NUMBER = frozenset({"wrong_number"})
"""Suppressions that say nothing of the person himself: a mail reaches him."""


def once_announced(snapshot: Snapshot, at: datetime) -> Snapshot:
    """The same about a call, after a text that announces it at that moment (aware)."""
    text = Try(at, Purpose.commercial, Channel.sms, with_call=True)
    return replace(snapshot, tries=[*snapshot.tries, text])


@dataclass(frozen=True)
class Verdict:
    """`until` (aware) is set when it may be tried again then; `rules` are stable ids of what decided. `detail` has for
    each what a sentence about it needs, as JSON has it (`rule` is the id in the pack), and besides `pack`, its key and
    version, and `at`, when it was asked."""

    word: str
    rules: tuple[str, ...]
    until: datetime | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        return self.word == "allow"


Found = dict[str, dict[str, Any]]
"""What was found, by stable id, with its detail."""


def may_contact(snapshot: Snapshot, at: datetime) -> Verdict:
    """The verdict at the moment `at` (aware). A denial wins over a deferral.

    `until` is the first moment at which the same snapshot would not be deferred: no cap full, every window open. By
    then something else may deny it, so whoever waited asks again.
    """
    pack, commercial = snapshot.pack, snapshot.purpose is Purpose.commercial
    basis, denied = _denials(snapshot, at)
    expired = _expired(pack, at) if commercial else {}
    version = {"pack": {"key": pack.key, "version": pack.version}, "at": at.isoformat()}
    if denied:
        return Verdict("deny", (*denied, *expired), detail={**denied, **expired, **version})
    until, put_off = _deferrals(snapshot, at)
    if put_off:
        return Verdict("defer", (*expired, *put_off), until, {**expired, **put_off, **version})
    rules = (f"{pack.key}.hours", f"{pack.key}.caps", basis) if commercial else (f"purpose.{snapshot.purpose}",)
    return Verdict("allow", (*rules, *expired), detail={**expired, **version})


def _bound_by(pack: Pack, at: datetime) -> tuple[Pack, ...]:
    """The packs that bind at this moment, by the day in the pack's reference zone."""
    return bound_by(pack, at.astimezone(ZoneInfo(pack.zone)).date())


def _expired(pack: Pack, at: datetime) -> Found:
    if len(_bound_by(pack, at)) == 1:
        return {}
    early = at.astimezone(ZoneInfo(pack.zone)).date() < pack.in_force
    dates = {"in_force": pack.in_force.isoformat(), "expires": pack.expires.isoformat()}
    return {"pack.early" if early else "pack.expired": dates}


def _said(rule: Rule, **values: Any) -> dict[str, Any]:
    return {"rule": rule.id, "source": rule.source, "verified": rule.verified, **values}


# Denials


def _denials(snapshot: Snapshot, at: datetime) -> tuple[str, Found]:
    """What permits to begin, and all that forbids it."""
    found: Found = {
        f"suppressed.{one.reason}": {} for one in snapshot.barred
        if one.until is None and one.channel in {"", snapshot.channel}
        and not (snapshot.channel is Channel.mail and one.reason in OF_THE_NUMBER)
    }
    if snapshot.channel is not Channel.mail:
        found |= _about_number(snapshot)
    if snapshot.paused:
        found["campaign.paused"] = {}
    if snapshot.purpose is Purpose.requested and "requested" in snapshot.taken_back:
        found["consent.withdrawn"] = {}
    if snapshot.purpose is not Purpose.commercial:
        return "", found
    basis = ""
    for pack in _bound_by(snapshot.pack, at):
        # The pack's own basis stands first; the stricter one of `standard`, when it binds too, must hold as well.
        here, missing = _basis(snapshot, pack, at)
        basis = basis or here
        found |= missing
        for register in pack.registers:
            found |= _about_register(snapshot, register, here, at)
        found |= _about_caller(snapshot, pack)
    return basis, found | _about_place(snapshot, at)


def _about_number(snapshot: Snapshot) -> Found:
    found: Found = {}
    pack = snapshot.pack
    if pack.only_numbers and not re.fullmatch(pack.only_numbers, snapshot.phone):
        found[f"{pack.key}.number"] = {}
    if snapshot.countries and (why := refused_number(kind_of(snapshot.phone), snapshot.countries)) is not None:
        found[f"number.{why.value}"] = {}
    return found


def consent_ends(
    pack: Pack, given_at: datetime | None, channel: Channel, subdivisions: Sequence[str] = ()
) -> tuple[Expiry, datetime | None] | None:
    """Until when a consent to offers given at that moment (aware; None: nobody knows when) counts, and which rule of
    the pack says so; None when it counts until it is taken back."""
    rules = [rule for rule in pack.expiries if rule.binds(channel, subdivisions)]
    if not rules:
        return None
    first = min(rules, key=lambda rule: rule.days)
    return first, given_at + timedelta(days=first.days) if given_at is not None else None


def _lapsed(snapshot: Snapshot, pack: Pack, at: datetime) -> Found:
    """The consent, if it is too old to count."""
    found = consent_ends(pack, snapshot.consented_at.get("commercial"), snapshot.channel, snapshot.subdivisions)
    if found is None or (found[1] is not None and at <= found[1]):
        return {}
    rule, ended = found
    return {"consent.expired": _said(rule, **({"counted_until": ended.isoformat()} if ended is not None else {}))}


def _basis(snapshot: Snapshot, pack: Pack, at: datetime) -> tuple[str, Found]:
    """On what we may begin, or what is missing. A consent that is too old is none; something else may still permit."""
    rule = pack.consent
    lapsed: Found = {}
    if "commercial" in snapshot.consents:
        lapsed = _lapsed(snapshot, pack, at)
        if not lapsed:
            return "consent.commercial", {}
    if rule is None:
        return "", lapsed or {"consent.commercial": {}}
    related = snapshot.customer_until is not None and rule.relation_days is not None and (
        at <= snapshot.customer_until + timedelta(days=rule.relation_days)
    )
    basis = (
        "basis.relation" if related
        else "basis.business" if rule.business and snapshot.business
        else "basis.unlisted" if rule.unlisted
        else ""
    ) if rule.binds(snapshot.channel, ()) else ""
    if basis and "commercial" in snapshot.taken_back:
        return "", {"consent.withdrawn": _said(rule)}
    return basis, {} if basis else lapsed or {"consent.commercial": _said(rule)}


def _about_register(snapshot: Snapshot, rule: Register, basis: str, at: datetime) -> Found:
    """A register that was never asked, or too long ago, forbids as one that lists him does."""
    consent = basis == "consent.commercial"
    if not rule.binds(snapshot.channel, snapshot.subdivisions) or (consent and rule.consent_spares):
        return {}
    consulted, waits = snapshot.registers.get(rule.key), snapshot.asking.get(rule.key)
    if consulted is None:
        return {f"register.{rule.key}.{waits or 'missing'}": _said(rule, register=rule.key)}
    asked = {"register": rule.key, "as_of": consulted.as_of.isoformat(), "max_age_days": rule.max_age_days}
    if consulted.as_of + timedelta(days=rule.max_age_days) < at:
        return {f"register.{rule.key}.{waits or 'stale'}": _said(rule, **asked)}
    given = snapshot.consented_at.get("commercial")
    newer = consent and given is not None and given > consulted.as_of and "newer_consent" in rule.overruled_by
    related = basis == "basis.relation" and "relation" in rule.overruled_by
    if consulted.listed and not newer and not related:
        return {f"register.{rule.key}.listed": _said(rule, **asked)}
    return {}


SOON = timedelta(days=1)
"""So long before what a register said is too old it is asked again."""
_OF_REGISTERS = ("register.", "pack.", "zone.", "caller.")
"""Denials that say nothing of what the person wants: they may end any time."""


def to_be_asked(snapshot: Snapshot, verdict: Verdict, at: datetime) -> list[str]:
    """The registers among those asked number by number whose answer is needed for this contact, or will be too old
    soon; none where something else forbids it for good."""
    if snapshot.purpose is not Purpose.commercial or not snapshot.phone or (
        verdict.word == "deny" and not all(rule.startswith(_OF_REGISTERS) for rule in verdict.rules)
    ):
        return []
    found: list[str] = []
    for pack in _bound_by(snapshot.pack, at):
        basis, _ = _basis(snapshot, pack, at)
        for rule in pack.registers:
            if rule.key in snapshot.asking and any(
                not name.endswith(".listed") for name in _about_register(snapshot, rule, basis, at + SOON)
            ):
                found.append(rule.key)
    return found


PENDING_REST = timedelta(minutes=1)
"""What waits for a register's answer is looked at again after so long."""
DENIED_REST = timedelta(hours=1)
"""How long a call rests that is forbidden by what may change any time: a register that is too old, a zone nobody knows.
"""
FOR_GOOD = ("suppressed.", "consent.")
"""What forbids a call until the person himself says otherwise."""


def is_pending(verdict: Verdict) -> bool:
    """Whether nothing forbids it but that a register has not answered yet."""
    rules = [rule for rule in verdict.rules if not rule.startswith("pack.")]
    return verdict.word == "deny" and all(rule.startswith("register.") and rule.endswith(".pending") for rule in rules)


def rests_until(verdict: Verdict, now: datetime) -> datetime | None:
    """Until when (aware) a call rests that waits for an agent and may not be made now; None for good."""
    if verdict.until is not None:
        return verdict.until
    if any(rule.startswith(FOR_GOOD) for rule in verdict.rules):
        return None
    return now + (PENDING_REST if is_pending(verdict) else DENIED_REST)


def _about_caller(snapshot: Snapshot, pack: Pack) -> Found:
    found: Found = {}
    for rule in pack.callers:
        if not rule.binds(snapshot.channel, snapshot.subdivisions):
            continue
        if not snapshot.caller_id:
            found.setdefault("caller.hidden", _said(rule))
        elif "mobile" in rule.refuse and kind_of(snapshot.caller_id).type in MAYBE_MOBILE:
            found.setdefault("caller.mobile", _said(rule))
    return found


def _about_place(snapshot: Snapshot, at: datetime) -> Found:
    """Without a zone, or with so many that no moment is decent in all of them, a person must choose."""
    if _opens(snapshot, at) is not None:
        return {}
    return {"zone.unknown": {"zones": len(snapshot.zones)}}


# Deferrals

Deferral = tuple[datetime, str, dict[str, Any]]


def _deferrals(snapshot: Snapshot, at: datetime) -> tuple[datetime, Found]:
    """The first moment at which nothing defers any more, and what did until then. What ends one deferral may lie in
    the next (a cap that is free again at night), so each answer is asked again; every step leads to a later one."""
    found: Found = {}
    while deferrals := sorted(_deferred(snapshot, at), key=lambda one: one[0]):
        for _, rule, detail in deferrals:
            found.pop(rule, None)
            found[rule] = detail
        at = deferrals[-1][0]
    return at, found


def _deferred(snapshot: Snapshot, at: datetime) -> Iterator[Deferral]:
    """Everything that defers at this moment, and until when; always later than `at`."""
    for one in snapshot.barred:
        if one.until is not None and one.until > at and one.channel in {"", snapshot.channel}:
            yield one.until, f"suppressed.{one.reason}", {}
    yield from _abuse(snapshot, at)
    if snapshot.purpose is Purpose.commercial:
        for pack in _bound_by(snapshot.pack, at):
            yield from _caps(snapshot, pack, at)
            yield from _rests(snapshot, pack, at)
        yield from _hours(snapshot, at)


def _capped(times: Sequence[datetime], span: timedelta, cap: int, at: datetime) -> datetime | None:
    """When enough of the tries have left the span, if the span is full at `at`."""
    recent = sorted(moment for moment in times if moment > at - span)
    return recent[len(recent) - cap] + span if len(recent) >= cap else None


def _abuse(snapshot: Snapshot, at: datetime) -> Iterator[Deferral]:
    rule = snapshot.pack.fraud
    if rule is None:
        return
    if until := _capped([one.at for one in snapshot.tries], DAY, rule.any_day, at):
        yield until, "fraud.number_day", _said(rule, most=rule.any_day)
    codes = [one.at for one in snapshot.tries if one.purpose is Purpose.code]
    if snapshot.purpose is Purpose.code and (until := _capped(codes, DAY, rule.codes_day, at)):
        yield until, "fraud.codes_day", _said(rule, most=rule.codes_day)


SPANS = {1: "day", 7: "week", 30: "month"}


def _ours(snapshot: Snapshot, rule: Rule) -> bool:
    """Whether the rule is the house's own caution, which a promise is stronger than."""
    return snapshot.promised and not rule.hard


def _counted(snapshot: Snapshot, pack: Pack, rule: Rule) -> list[Try]:
    """What the rule counts. Only where it is our own, and the pack says so, is an announcement one with its call."""
    as_one = pack.announcement is not None and not rule.hard
    return [
        one for one in snapshot.tries
        if one.purpose is Purpose.commercial and one.channel in rule.channels and not (one.with_call and as_one)
    ]


def _tries(snapshot: Snapshot, pack: Pack, rule: Rule) -> list[datetime]:
    return [one.at for one in _counted(snapshot, pack, rule)]


def _gap_minutes(snapshot: Snapshot, pack: Pack, gap: Gap) -> int:
    """One call may follow a busy tone sooner, not a second one: whose line was engaged twice has the whole gap."""
    minutes = gap.promised if _ours(snapshot, gap) else gap.minutes
    if gap.busy is None or gap.hard or snapshot.channel is not Channel.call:
        return minutes
    in_order = sorted(_counted(snapshot, pack, gap), key=lambda one: one.at)
    before, last = [False, *(one.busy for one in in_order)][-2:]
    return min(minutes, gap.busy) if last and not before else minutes


def _caps(snapshot: Snapshot, pack: Pack, at: datetime) -> Iterator[Deferral]:
    for rule in pack.caps:
        if not rule.binds(snapshot.channel, snapshot.subdivisions) or _ours(snapshot, rule):
            continue
        if until := _capped(_tries(snapshot, pack, rule), timedelta(days=rule.days), rule.most, at):
            detail = _said(rule, most=rule.most, days=rule.days)
            yield until, f"cap.{SPANS.get(rule.days, f'{rule.days}_days')}", detail


def _rests(snapshot: Snapshot, pack: Pack, at: datetime) -> Iterator[Deferral]:
    for gap in pack.gaps:
        tries = _tries(snapshot, pack, gap)
        if not tries or not gap.binds(snapshot.channel, snapshot.subdivisions):
            continue
        minutes = _gap_minutes(snapshot, pack, gap)
        if (until := max(tries) + timedelta(minutes=minutes)) > at:
            yield until, "cap.gap", _said(gap, minutes=minutes)
    for quiet in pack.quiets:
        if snapshot.refused_at is None or _ours(snapshot, quiet):
            continue
        until = snapshot.refused_at + timedelta(days=quiet.days)
        if quiet.binds(snapshot.channel, snapshot.subdivisions) and until > at:
            yield until, "quiet.refusal", _said(quiet, days=quiet.days)


def _opens(snapshot: Snapshot, at: datetime) -> datetime | None:
    return next_open(
        snapshot.pack, snapshot.zones, at, subdivisions=snapshot.subdivisions, channel=snapshot.channel
    )


def _hours(snapshot: Snapshot, at: datetime) -> Iterator[Deferral]:
    opens = _opens(snapshot, at)
    if opens is None or opens <= at:
        return
    for rule, detail in _closed(snapshot, at, opens).items():
        yield opens, rule, detail


def _closed(snapshot: Snapshot, at: datetime, opens: datetime) -> Found:
    """Why it is closed at this moment, and what closes the whole days between it and the next opening."""
    found: Found = {}
    for zone in snapshot.zones:
        here = _why(snapshot, zone, at)
        for rule, detail in here.items():
            found.setdefault(rule, detail)
        day = at.astimezone(ZoneInfo(zone)).date() + DAY
        while here and day < opens.astimezone(ZoneInfo(zone)).date():
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
            for rule, detail in _why(snapshot, zone, noon).items():
                if rule.endswith((".weekend", ".holiday")):
                    found.setdefault(rule, detail)
            day += DAY
    return found


def _why(snapshot: Snapshot, zone: str, at: datetime) -> Found:
    day = at.astimezone(ZoneInfo(zone)).date().isoformat()
    closed = closed_by(snapshot.pack, zone, at, subdivisions=snapshot.subdivisions, channel=snapshot.channel)
    return {
        said: _said(rule, zone=zone, day=day) for said, rule in closed.items()
    }
