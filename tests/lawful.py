"""A judge of contacts, written from the text of the pack files and not from the guard.

It reads the files itself, asks the clock on the wall itself, and counts by going through what happened; it knows
nothing of windows, deferrals or next moments. Whoever changes the guard must not change this to make a test pass.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import phonenumbers
from phonenumbers import PhoneNumberType as Type

import router

FILES = Path(router.__file__).parent / "packs"
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KINDS = ("hours", "holidays", "caps", "gaps", "quiets", "expiries", "registers", "callers")
TELEPHONE = ["call", "sms", "whatsapp"]
NOT_CALLED = {Type.PREMIUM_RATE, Type.SHARED_COST, Type.PERSONAL_NUMBER, Type.UAN, Type.VOICEMAIL, Type.PAGER,
              Type.UNKNOWN}

Pages = Mapping[str, str]


@cache
def shipped() -> Pages:
    return {path.stem: path.read_text(encoding="utf-8") for path in FILES.glob("*.toml")}


@cache
def _page(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


class Law:
    """All rules of one file with those it extends."""

    def __init__(self, pages: Pages, key: str) -> None:
        self.page = _page(pages[key])
        below = [Law(pages, other) for other in self.page.get("extends", [])]
        self.rules = {
            kind: [*self.page.get(kind, []), *(rule for law in below for rule in law.rules[kind])] for kind in KINDS
        }
        self.consent = self.page.get("consent") or next((law.consent for law in below if law.consent), None)
        self.fraud = self.page.get("fraud") or next((law.fraud for law in below if law.fraud), None)
        self.one_with_call = "announcement" in self.page or any(law.one_with_call for law in below)
        self.country = self.page.get("country", "")

    def lives(self, day: date) -> bool:
        return bool(self.page["in_force"] <= day <= self.page["expires"])


_laws: dict[tuple[int, str], Law] = {}


def law(pages: Pages, key: str) -> Law:
    found = _laws.get((id(pages), key))
    if found is None:
        found = _laws[id(pages), key] = Law(pages, key)
        _kept.append(pages)
    return found


_kept: list[Pages] = []


def judge(seen: Any, key: str, at: datetime, pages: Pages | None = None) -> list[str]:
    """Everything that is wrong with contacting so at this moment; nothing when it is lawful. `seen` has the fields of
    the guard's snapshot; of its pack nothing is looked at."""
    pages = shipped() if pages is None else pages
    return list(_judge(seen, key, at, pages))


def _judge(seen: Any, key: str, at: datetime, pages: Pages) -> Iterator[str]:
    country_law = law(pages, key)
    for bar in seen.barred:
        if bar.channel in ("", seen.channel) and (bar.until is None or at < bar.until):
            yield f"suppressed: {bar.reason}"
    if seen.channel != "mail":
        yield from _number(seen, country_law)
    if seen.paused:
        yield "paused"
    yield from _strangers(seen, country_law.fraud, at)
    if seen.purpose == "requested" and "requested" in seen.taken_back:
        yield "what was asked for was taken back"
    if seen.purpose != "commercial":
        return
    today = _wall(at, country_law.page["zone"]).date()
    laws = [country_law] if country_law.lives(today) else [country_law, _standard(pages)]
    for one in laws:
        yield from _grounds(seen, one, at)
        yield from _pestering(seen, one, at)
        yield from _shown(seen, one)
    yield from _clock(seen, country_law, at, pages)


def _standard(pages: Pages) -> Law:
    return law(pages if "standard" in pages else shipped(), "standard")


def _wall(at: datetime, zone: str) -> datetime:
    there = ZoneInfo(zone)
    return at.replace(tzinfo=None) - (at.utcoffset() or timedelta()) + (at.astimezone(there).utcoffset() or timedelta())


def _binds(rule: Mapping[str, Any], seen: Any) -> bool:
    parts = rule.get("subdivisions", [])
    return seen.channel in rule.get("channels", TELEPHONE) and (
        not parts or not seen.subdivisions or any(part in parts for part in seen.subdivisions)
    )


def _number(seen: Any, law: Law) -> Iterator[str]:
    only = law.page.get("only_numbers", "")
    if only and not re.fullmatch(only, seen.phone):
        yield "not one of the numbers it may call"
    if not seen.countries:
        return
    try:
        number = phonenumbers.parse(seen.phone)
    except phonenumbers.NumberParseException:
        yield "no number"
        return
    region = phonenumbers.region_code_for_number(number)
    if phonenumbers.number_type(number) in NOT_CALLED or region in (None, "001") or region not in seen.countries:
        yield "a number that is not called"


def _strangers(seen: Any, fraud: Mapping[str, Any], at: datetime) -> Iterator[str]:
    lately = [one for one in seen.tries if one.at + timedelta(hours=24) > at]
    if len(lately) >= fraud["any_day"]:
        yield "too much of anything"
    if seen.purpose == "code" and sum(one.purpose == "code" for one in lately) >= fraud["codes_day"]:
        yield "too many codes"


def _grounds(seen: Any, law: Law, at: datetime) -> Iterator[str]:
    """Consent, or what stands for it, and what the registers say."""
    rule, ground = law.consent, ""
    if "commercial" in seen.consents and not any(_too_old(one, seen, at) for one in law.rules["expiries"]):
        ground = "consent"
    elif seen.channel in rule.get("channels", TELEPHONE) and "commercial" not in seen.taken_back:
        end = seen.customer_until
        if "relation_days" in rule and end is not None and at - end <= timedelta(days=rule["relation_days"]):
            ground = "relation"
        elif rule.get("business") and seen.business:
            ground = "business"
        elif rule.get("unlisted"):
            ground = "unlisted"
    if not ground:
        yield f"no ground ({rule['id']})"
    for register in law.rules["registers"]:
        if not _binds(register, seen) or (ground == "consent" and register.get("consent_spares")):
            continue
        said = seen.registers.get(register["key"])
        if said is None:
            yield f"not consulted ({register['id']})"
        elif at - said.as_of > timedelta(days=register["max_age_days"]):
            yield f"consulted too long ago ({register['id']})"
        elif said.listed:
            over = register.get("overruled_by", [])
            newer = ground == "consent" and "newer_consent" in over and (
                "commercial" in seen.consented_at and seen.consented_at["commercial"] > said.as_of
            )
            if not newer and not (ground == "relation" and "relation" in over):
                yield f"listed ({register['id']})"


def _too_old(rule: Mapping[str, Any], seen: Any, at: datetime) -> bool:
    """Whether the rule lets this consent count no more; where it binds, one without a date never counted."""
    if not _binds(rule, seen):
        return False
    given = seen.consented_at.get("commercial")
    return given is None or at > given + timedelta(days=rule["days"])


def _pestering(seen: Any, law: Law, at: datetime) -> Iterator[str]:
    def own(rule: Mapping[str, Any]) -> bool:
        return bool(seen.promised) and rule.get("hard", True) is False

    for cap in law.rules["caps"]:
        lately = [one for one in _begun(seen, law, cap) if at - one < timedelta(days=cap["days"])]
        if _binds(cap, seen) and not own(cap) and len(lately) >= cap["most"]:
            yield f"too often ({cap['id']})"
    for gap in law.rules["gaps"]:
        minutes = gap.get("promised", 0) if own(gap) else gap["minutes"]
        engaged = seen.channel == "call" and _was_engaged_once(seen, law, gap)
        if gap.get("hard", True) is False and "busy" in gap and engaged:
            minutes = min(minutes, gap["busy"])
        if _binds(gap, seen) and any(at - one < timedelta(minutes=minutes) for one in _begun(seen, law, gap)):
            yield f"too soon ({gap['id']})"
    for quiet in law.rules["quiets"]:
        rests = seen.refused_at is not None and at - seen.refused_at < timedelta(days=quiet["days"])
        if _binds(quiet, seen) and not own(quiet) and rests:
            yield f"wanted to be left alone ({quiet['id']})"


def _begun(seen: Any, law: Law, rule: Mapping[str, Any]) -> list[datetime]:
    return [one.at for one in _commercial(seen, law, rule)]


def _commercial(seen: Any, law: Law, rule: Mapping[str, Any]) -> list[Any]:
    """What a rule counts. "A text that announces a call made within 36 hours is one try with that call, in the caps and
    gaps that are our own. What is law counts both as it is written"."""
    ours = law.one_with_call and rule.get("hard", True) is False
    return [one for one in seen.tries if one.purpose == "commercial"
            and one.channel in rule.get("channels", TELEPHONE) and not (ours and one.with_call)]


def _was_engaged_once(seen: Any, law: Law, rule: Mapping[str, Any]) -> bool:
    """The latest try met a busy tone, and the one before it, if there was one, did not."""
    latest = sorted(_commercial(seen, law, rule), key=lambda one: one.at, reverse=True)[:2]
    return [one.busy for one in latest] in ([True], [True, False])


def _shown(seen: Any, law: Law) -> Iterator[str]:
    for rule in law.rules["callers"]:
        if not _binds(rule, seen):
            continue
        if not seen.caller_id:
            yield f"no number shown ({rule['id']})"
        elif "mobile" in rule.get("refuse", []):
            kind = phonenumbers.number_type(phonenumbers.parse(seen.caller_id))
            if kind in (Type.MOBILE, Type.FIXED_LINE_OR_MOBILE, Type.UNKNOWN):
                yield f"a mobile number shown ({rule['id']})"


def _clock(seen: Any, own: Law, at: datetime, pages: Pages) -> Iterator[str]:
    """What the wall shows in each zone he may be in."""
    says_when = [rule for law in (own, _standard(pages)) for kind in ("hours", "holidays") for rule in law.rules[kind]
                 if seen.channel in rule.get("channels", TELEPHONE)
                 and (law is own or not own.lives(at.date()))]
    if says_when and not seen.zones:
        yield "nobody knows where he is"
    for zone in seen.zones if says_when else ():
        wall = _wall(at, zone)
        day, clock = wall.date(), f"{wall:%H:%M}"
        for law in [own] if own.lives(day) else [own, _standard(pages)]:
            for rule in law.rules["hours"]:
                if _binds(rule, seen) and not _inside(rule["week"].get(WEEK[day.weekday()], []), clock):
                    yield f"{zone} {wall} ({rule['id']})"
            for rule in law.rules["holidays"]:
                if not _binds(rule, seen):
                    continue
                free = _free(rule, law.country, tuple(seen.subdivisions))
                if free(day):
                    allowed = rule.get("windows", [])
                elif "before" in rule and free(day + timedelta(days=1)):
                    allowed = rule["before"]
                else:
                    continue
                if not _inside(allowed, clock):
                    yield f"{zone} {wall} ({rule['id']})"


def _inside(windows: list[list[str]], clock: str) -> bool:
    return any(opens <= clock < closes for opens, closes in windows)


def _free(rule: Mapping[str, Any], country: str, parts: tuple[str, ...]) -> Callable[[date], bool]:
    of, only = rule["of"], tuple(rule.get("subdivisions", []))
    return lambda day: _any_free(country, of, parts, only, day)


@cache
def _any_free(country: str, of: str, parts: tuple[str, ...], only: tuple[str, ...], day: date) -> bool:
    return any(day in calendar for calendar in _calendars(country, of, parts, only))


@cache
def _calendars(country: str, of: str, parts: tuple[str, ...], only: tuple[str, ...]) -> list[holidays.HolidayBase]:
    """The calendars in which a day counts: that of the country, those of the parts he may be in, or all of them."""
    if of == "country":
        return [holidays.country_holidays(country)]
    parts = tuple(part for part in parts or only if not only or part in only)
    every = holidays.list_supported_countries()[country]
    codes = [part.split("-", 1)[1] for part in parts]
    if not codes or any(code not in every for code in codes):
        codes = ["", *every]
    return [holidays.country_holidays(country, subdiv=code or None) for code in codes]
