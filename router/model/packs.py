"""Packs: the rules of calling and writing, by country, as dated data with their sources. Data for a lawyer, not law.

A pack is a file of `router/packs`. All its rules bind together: windows are intersected, every cap counts, and a rule
for some parts of a country (ISO 3166-2) binds where the part is one of them or is not known. So a rule can only forbid
more, never permit what another forbids. A pack that has expired, or is not in force yet, is bound by `standard` too.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache, reduce
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

import holidays as calendars
import msgspec

from router.model.hours import Windows, week_of, windows_of

BY_COUNTRY = "by_country"
"""A campaign's word for the pack of the country of whoever is contacted."""
FOLDER = Path(__file__).parents[1] / "packs"


class Channel(StrEnum):
    """How a person is contacted."""

    call = "call"
    sms = "sms"
    whatsapp = "whatsapp"
    mail = "mail"


TALK = (Channel.call, Channel.sms, Channel.whatsapp)
"""What makes a telephone sound: the channels a rule binds that names none."""


class WrongPack(ValueError):
    """The file and the rule, and what is wrong with it."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """What a rule says in plain English, and who says so. `hard`: it is law, not a code or the house's own caution.
    `verified`: somebody of us has read it at its source; else it is the strict reading of what we heard."""

    id: str
    words: str
    source: str
    verified: bool
    hard: bool = True
    channels: tuple[Channel, ...] = TALK
    subdivisions: tuple[str, ...] = ()

    def binds(self, channel: Channel, subdivisions: Sequence[str]) -> bool:
        """Whether it binds this channel in these parts of the country; () for a part nobody knows."""
        where = not self.subdivisions or not subdivisions or not set(self.subdivisions).isdisjoint(subdivisions)
        return channel in self.channels and where


class Hours(Rule, frozen=True, kw_only=True, cache_hash=True):
    """Windows by weekday (Monday first), in minutes of the callee's wall clock."""

    week: tuple[Windows, ...]


class Holidays(Rule, frozen=True, kw_only=True, cache_hash=True):
    """`windows` on public holidays, of the country alone or of its part; if the part is unknown, of all its parts.
    `before`: windows on the day before one, if such days have rules."""

    of: Literal["country", "part"]
    windows: Windows = ()
    before: Windows | None = None


class Cap(Rule, frozen=True, kw_only=True, cache_hash=True):
    """At most so many commercial tries to a number, by its channels together, in any span of so many times 24 hours."""

    days: int
    most: int


class Gap(Rule, frozen=True, kw_only=True, cache_hash=True):
    """Minutes between two commercial tries. `promised`: for a promised callback, which no cap of our own keeps back;
    `busy`: for the one call that follows a busy tone, if it may follow sooner. Neither shortens a gap of the law."""

    minutes: int
    promised: int = 0
    busy: int | None = None


class Quiet(Rule, frozen=True, kw_only=True, cache_hash=True):
    """Days of rest after the person was not interested."""

    days: int


class Consent(Rule, frozen=True, kw_only=True, cache_hash=True):
    """What permits to begin at all. Consent always does. Besides, on the rule's channels: an existing relation until so
    many days after its end; being a business, if `business`; being in none of the registers, if `unlisted`."""

    relation_days: int | None = None
    business: bool = False
    unlisted: bool = False


class Expiry(Rule, frozen=True, kw_only=True, cache_hash=True):
    """For so many times 24 hours after it was given a consent to offers counts. One of which nobody knows when it was
    given does not count at all."""

    days: int


class Register(Rule, frozen=True, kw_only=True, cache_hash=True):
    """A do-not-call register, and for how many days what it said may be relied on. `consent_spares`: who has consent
    need not look. `overruled_by`: what permits to contact who is listed; newer consent is such given after the look."""

    key: str
    max_age_days: int
    consent_spares: bool = False
    overruled_by: tuple[Literal["newer_consent", "relation"], ...] = ()


class Callers(Rule, frozen=True, kw_only=True, cache_hash=True):
    """About the number that is shown: one must be, and none of these types."""

    refuse: tuple[Literal["mobile"], ...] = ()


class Fraud(Rule, frozen=True, kw_only=True, cache_hash=True):
    """What strangers can make us spend on one number in 24 hours: codes, and anything. Binds every purpose."""

    codes_day: int
    any_day: int


class Announcement(Rule, frozen=True, kw_only=True, cache_hash=True):
    """A text that announces a call made within so many hours is one try with that call, for what is not law: caps and
    gaps of our own do not count it. The law's count as they are written. Without this rule every rule counts it."""

    within_hours: int


class Duty(Rule, frozen=True, kw_only=True, cache_hash=True):
    """What the guard does not decide: for the people who work with the country, and for the reviewer."""


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """One country's rules in one version. `in_force` and `expires` are its first and its last day; `reviewer` is ""
    while nobody has compared it with the law. `zone` is the country's reference zone (IANA). `only_numbers` is a
    pattern all of whose numbers are nobody's. A `part` is only for others to extend."""

    key: str
    version: int
    about: str
    in_force: date
    expires: date
    zone: str = ""
    country: str = ""
    reviewer: str = ""
    extends: tuple[str, ...] = ()
    part: bool = False
    only_numbers: str = ""
    consent: Consent | None = None
    fraud: Fraud | None = None
    announcement: Announcement | None = None
    hours: tuple[Hours, ...] = ()
    holidays: tuple[Holidays, ...] = ()
    caps: tuple[Cap, ...] = ()
    gaps: tuple[Gap, ...] = ()
    quiets: tuple[Quiet, ...] = ()
    expiries: tuple[Expiry, ...] = ()
    registers: tuple[Register, ...] = ()
    callers: tuple[Callers, ...] = ()
    duties: tuple[Duty, ...] = ()

    def rules(self) -> Iterator[Rule]:
        """All of them, in the order of the file."""
        yield from (one for one in (self.consent, self.fraud, self.announcement) if one is not None)
        for name in LISTS:
            yield from getattr(self, name)

    def in_force_on(self, day: date) -> bool:
        return self.in_force <= day <= self.expires


LEAST = {
    **dict.fromkeys(("days", "most", "codes_day", "any_day", "within_hours"), 1),
    **dict.fromkeys(("minutes", "promised", "busy", "max_age_days", "relation_days"), 0),
}
LISTS = ("hours", "holidays", "caps", "gaps", "quiets", "expiries", "registers", "callers", "duties")


def meet(left: Windows, right: Windows) -> Windows:
    """The minutes that lie in both."""
    found = ((max(one[0], other[0]), min(one[1], other[1])) for one in left for other in right)
    return tuple(sorted(window for window in found if window[0] < window[1]))


# Reading


@cache
def shipped() -> Mapping[str, Pack]:
    """The packs that come with the program, by key: countries (ISO 3166), `standard` for all others, and `demo`."""
    found = read({path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))})
    return {key: pack for key, pack in found.items() if not pack.part}


def read(texts: Mapping[str, str]) -> dict[str, Pack]:
    """The packs of these files, by key; the files are named by their keys. Raises WrongPack."""
    plain = {name.removesuffix(".toml"): _read_one(name, text) for name, text in texts.items()}
    whole: dict[str, Pack] = {}
    for key in plain:
        _extend(key, plain, whole, ())
    for pack in whole.values():
        _check_whole(pack)
    return whole


def _read_one(name: str, text: str) -> Pack:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongPack(f"{name}: {error}") from None
    for kind, field in (("hours", "week"), ("holidays", "windows"), ("holidays", "before")):
        for rule in _tables(raw, kind):
            if field in rule:
                rule[field] = _minutes(name, rule, field)
    try:
        pack = msgspec.convert(raw, Pack)
    except msgspec.ValidationError as error:
        raise WrongPack(_placed(name, raw, str(error))) from None
    _check(name, pack)
    return pack


def _tables(raw: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    found = raw.get(kind, ())
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _minutes(name: str, rule: Mapping[str, Any], field: str) -> Any:
    where, given = f"{name}: {rule.get('id', 'a rule without id')}", rule[field]
    try:
        if field != "week":
            return windows_of(field, given)
        if not given:
            raise ValueError("week: no day at all; a rule that closes everything is written as a day without windows")
        return week_of(given)
    except (ValueError, TypeError, AttributeError) as error:
        raise WrongPack(f"{where}: {error}") from None


def _placed(name: str, raw: Mapping[str, Any], said: str) -> str:
    """The complaint with the id of the rule it is about."""
    found = re.search(r"`\$\.(\w+)(?:\[(\d+)\])?", said)
    place = raw.get(found[1]) if found else None
    if found and found[2] and isinstance(place, list):
        place = place[int(found[2])]
    rule = place.get("id", f"a rule of {found[1]} without id") if found and isinstance(place, dict) else ""
    return f"{name}: {rule}: {said}" if rule else f"{name}: {said}"


def _check(name: str, pack: Pack) -> None:
    """The pack by itself."""
    faults = {
        f"its key is {pack.key!r}, not the file's name": pack.key != name.removesuffix(".toml"),
        "versions are counted from 1": pack.version < 1,
        f"it expires on {pack.expires}, before it is in force on {pack.in_force}": pack.expires < pack.in_force,
        f"{pack.zone!r} is no time zone of the IANA database": not pack.part and pack.zone not in available_timezones(),
        f"only_numbers: {pack.only_numbers!r} is no pattern": not _is_pattern(pack.only_numbers),
    }
    for said, wrong in faults.items():
        if wrong:
            raise WrongPack(f"{name}: {said}")
    for rule in pack.rules():
        _check_rule(name, pack, rule)


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _check_rule(name: str, pack: Pack, rule: Rule) -> None:
    strangers = [part for part in rule.subdivisions if not part.startswith(f"{pack.country}-")]
    faults = {
        **{f"it has no {field}": not getattr(rule, field).strip() for field in ("id", "words", "source")},
        "it binds no channel": not rule.channels,
        f"{strangers[:1]} is no part of {pack.country!r}": bool(strangers),
        **{f"{number} is less than {least}": _number(rule, number, least) < least for number, least in LEAST.items()},
        "a promise does not shorten what the law says": isinstance(rule, Gap) and rule.hard and rule.promised > 0,
        "a busy tone does not shorten what the law says": isinstance(rule, Gap) and rule.hard and rule.busy is not None,
        "the law counts as it is written": isinstance(rule, Announcement) and rule.hard,
    }
    for said, wrong in faults.items():
        if wrong:
            raise WrongPack(f"{name}: {rule.id.strip() or 'a rule'}: {said}")


def _number(rule: Rule, name: str, otherwise: int) -> int:
    value = getattr(rule, name, None)
    return otherwise if value is None else int(value)


def _extend(key: str, plain: Mapping[str, Pack], whole: dict[str, Pack], way: tuple[str, ...]) -> Pack:
    """The pack with the rules of those it extends; what there is one of, its own comes before theirs."""
    if key in way:
        raise WrongPack(f"{key}.toml: extends: a circle, {' → '.join((*way[way.index(key):], key))}")
    if key in whole:
        return whole[key]
    pack = plain[key]
    for other in pack.extends:
        if other not in plain:
            raise WrongPack(f"{key}.toml: extends: there is no pack {other!r}")
        base = _extend(other, plain, whole, (*way, key))
        pack = msgspec.structs.replace(
            pack, consent=pack.consent or base.consent, fraud=pack.fraud or base.fraud,
            announcement=pack.announcement or base.announcement,
            **{name: getattr(pack, name) + getattr(base, name) for name in LISTS},
        )
    whole[key] = pack
    return pack


def _check_whole(pack: Pack) -> None:
    """The pack with what it extends. Raises WrongPack."""
    def wrong(rule: str, said: str) -> WrongPack:
        return WrongPack(f"{pack.key}.toml: {rule}: {said}")

    for rule, times in Counter(rule.id for rule in pack.rules()).items():
        if times > 1:
            raise wrong(rule, "there are two rules of this id")
    if pack.part:
        return
    if pack.consent is None:
        raise wrong("consent", "nothing says what permits to begin")
    if pack.fraud is None:
        raise wrong("fraud", "nothing bounds what strangers can make us spend")
    if pack.holidays and pack.country not in calendars.list_supported_countries():
        raise wrong(pack.holidays[0].id, f"the holidays of {pack.country!r} are not known")
    everywhere = {channel for one in pack.registers if not one.subdivisions for channel in one.channels}
    if pack.consent.unlisted and not everywhere.issuperset(pack.consent.channels):
        raise wrong(pack.consent.id, "it leans on registers, and there is none for all its channels everywhere")
    for channel in TALK:
        weeks = [rule.week for rule in pack.hours if channel in rule.channels]
        if weeks and not any(reduce(meet, (week[day] for week in weeks)) for day in range(7)):
            raise wrong(pack.hours[0].id, f"its hours together leave no moment for {channel}")
