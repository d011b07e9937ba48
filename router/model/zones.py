"""Zones: where a person's clock may hang, as evidence. A number alone is the weakest of it.

What the person said himself counts most, then his address, then his browser if the country of its connection agrees,
then a number with one clock. Else all zones of the number are possible, and a moment must be decent in every one.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers
import phonenumbers.timezone
from phonenumbers import PhoneNumberType

from router.model.phone import look_up
from router.model.windows import known_zones


class ZoneSource(StrEnum):
    """Where a zone is known from, the best first."""

    stated = "stated"
    address = "address"
    browser = "browser"
    number = "number"
    none = "none"


class Evidence(NamedTuple):
    """The zones (IANA) the person may be in, () for unknown, and how sure that is, from 0 to 1."""

    zones: tuple[str, ...]
    source: ZoneSource
    confidence: float


UNKNOWN = Evidence((), ZoneSource.none, 0.0)
CONFIDENCE: Mapping[ZoneSource, float] = {
    ZoneSource.stated: 1.0, ZoneSource.address: 0.9, ZoneSource.browser: 0.8, ZoneSource.number: 0.6,
    ZoneSource.none: 0.0,
}
"""Ours, not measured: what orders the evidence. A number with several zones counts half."""

PLACELESS = frozenset({PhoneNumberType.TOLL_FREE, PhoneNumberType.VOIP, PhoneNumberType.UAN})
"""Numbers held anywhere, whatever zone their beginning has: they say nothing of where a person is."""


@lru_cache(10_000)
def of_number(phone: str) -> tuple[str, ...]:
    """All zones an E.164 number may be in; () for satellites and what is no number. Raises nothing."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return ()
    found = phonenumbers.timezone.time_zones_for_number(number)
    return tuple(zone for zone in found if known_zones((zone,)))


@cache
def _by_country() -> Mapping[str, tuple[str, ...]]:
    """The zones of each country (ISO 3166), by the database of zones itself."""
    found: dict[str, list[str]] = {}
    text = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, []).append(zone)
    return {country: tuple(sorted(zones)) for country, zones in found.items()}


_EAST, _CENTRAL = "America/New_York", "America/Chicago"
_MOUNTAIN, _WEST = "America/Denver", "America/Los_Angeles"
_STATES = {
    (_EAST,): "CT DC DE GA MA MD ME NC NH NJ NY OH PA RI SC VA VT WV",
    (_CENTRAL,): "AL AR IA IL LA MN MO MS OK WI",
    (_MOUNTAIN,): "CO MT NM UT WY",
    (_WEST,): "CA WA",
    (_EAST, _CENTRAL): "FL IN KY MI TN",
    (_CENTRAL, _MOUNTAIN): "KS ND NE SD TX",
    (_MOUNTAIN, _WEST): "ID NV OR",
    ("America/Phoenix", _MOUNTAIN): "AZ",
    ("America/Adak", "America/Anchorage"): "AK",
    ("Pacific/Honolulu",): "HI",
}
_PARTS: Mapping[str, tuple[str, ...]] = {
    **{f"US-{state}": zones for zones, states in _STATES.items() for state in states.split()},
    **dict.fromkeys(("ES-CN", "ES-GC", "ES-TF"), ("Atlantic/Canary",)),
    "PT-20": ("Atlantic/Azores",), "PT-30": ("Atlantic/Madeira",),
}
_ISLANDS = {("ES", "35"): "ES-CN", ("ES", "38"): "ES-CN", ("PT", "9"): "PT-30"}
"""Postcodes that begin so lie there; Portugal's 95 to 99 are the Azores."""


def of_address(country: str, subdivision: str = "", postcode: str = "") -> tuple[str, ...]:
    """All zones of an address: `country` (ISO 3166), `subdivision` (ISO 3166-2) and postcode, "" for unknown.

    The mainland of Spain and of Portugal is one zone when subdivision or postcode say that it is the mainland."""
    part = subdivision or _island(country, postcode)
    if part in _PARTS:
        return _PARTS[part]
    zones = _by_country().get(country, ())
    if (subdivision or postcode) and country in {"ES", "PT"}:
        return {"ES": ("Europe/Madrid",), "PT": ("Europe/Lisbon",)}[country]
    return zones


def _island(country: str, postcode: str) -> str:
    digits = "".join(filter(str.isdigit, postcode))
    if country == "PT" and digits[:2] in {"95", "96", "97", "98", "99"}:
        return "PT-20"
    found = (part for (where, begins), part in _ISLANDS.items() if where == country and digits.startswith(begins))
    return next(found, "")


def evidence(
    *, stated: str = "", country: str = "", subdivision: str = "", postcode: str = "", browser: str = "",
    connection: str = "", phone: str = "",
) -> Evidence:
    """The best there is. `stated` and `browser` are zones (IANA); `connection` is the country (ISO 3166) of the
    browser's address, else that of the number stands for it: one that contradicts the browser's zone makes it
    worthless. A number held far from the address leaves the zones of both."""
    if known_zones((stated,)):
        return Evidence((stated,), ZoneSource.stated, CONFIDENCE[ZoneSource.stated])
    address = of_address(country, subdivision, postcode) if country else ()
    if one_clock(address):
        return Evidence(address, ZoneSource.address, CONFIDENCE[ZoneSource.address])
    if known_zones((browser,)) and _agrees(browser, address, connection or _country(phone)):
        return Evidence((browser,), ZoneSource.browser, CONFIDENCE[ZoneSource.browser])
    number = () if placeless(phone) else of_number(phone)
    if one_clock(number) and not _contradicts(number, address):
        return Evidence(number, ZoneSource.number, CONFIDENCE[ZoneSource.number])
    if subdivision and address:
        return Evidence(address, ZoneSource.address, CONFIDENCE[ZoneSource.address] / 2)
    both = tuple(dict.fromkeys((*number, *address))) if _contradicts(number, address) else number or address
    if not both:
        return UNKNOWN
    source = ZoneSource.number if number else ZoneSource.address
    return Evidence(both, source, CONFIDENCE[source] / 2)


@lru_cache(10_000)
def one_clock(zones: tuple[str, ...]) -> bool:
    """Whether there is a zone, and all there are show the same time in every week of two years."""
    weeks = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(weeks=week) for week in range(104)]
    return len({tuple(week.astimezone(ZoneInfo(zone)).utcoffset() for week in weeks) for zone in zones}) == 1


def _agrees(browser: str, address: Sequence[str], connection: str) -> bool:
    there = _by_country().get(connection, ())
    return (not address or browser in address) and (not connection or browser in there)


def _country(phone: str) -> str:
    number = look_up(phone) if phone else None
    return number.country if number is not None else ""


def _contradicts(number: Sequence[str], address: Sequence[str]) -> bool:
    return bool(number and address) and set(number).isdisjoint(address)


def placeless(phone: str) -> bool:
    """Whether a number says nothing of where a person is: toll-free ones, those of the internet, and none at all."""
    number = look_up(phone)
    return number is None or number.type in PLACELESS
