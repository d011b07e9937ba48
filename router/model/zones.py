"""By which clocks a person may live: what his number, his browser, his address and he himself say of it.

A number alone often says little: a Spanish mobile may be in Madrid or on the Canary Islands, a Russian one in sixteen
zones, a toll-free one anywhere. Nobody guesses: the hour must be decent in every zone that is left.
"""

import re
from functools import lru_cache
from zoneinfo import available_timezones

import phonenumbers
from phonenumbers import timezone

from router.model.contacts import ZoneSource
from router.model.phone import look_up

_UNKNOWN = "Etc/Unknown"
"""What the numbering plans' data say of satellites and the like. It is no zone."""


@lru_cache(1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def known(zone: str) -> bool:
    """Whether it is a zone of the IANA database in which somebody may live."""
    return zone in _known() and "/" in zone and not zone.startswith(("Etc/", "SystemV/", "posix/", "right/"))


@lru_cache(4_000)
def of_number(phone: str) -> tuple[str, ...]:
    """The zones in which a number (E.164) may be, sorted; none for what has no place."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return ()
    found = timezone.time_zones_for_number(number)
    return tuple(sorted(zone for zone in found if zone != _UNKNOWN and zone in _known()))


def country_of(phone: str) -> str:
    """The country (ISO 3166) of a number in E.164; "" for none."""
    number = look_up(phone)
    return number.country if number is not None else ""


def candidates(zone: str, source: str, phone: str) -> tuple[str, ...]:
    """The zones in each of which the hour must be decent. A zone he stated, or of his address, stands alone; so does
    his browser's when his number agrees. When the two differ (he travels, or his browser is elsewhere), both count."""
    of_phone = of_number(phone)
    if not known(zone):
        return of_phone
    if source in (ZoneSource.stated, ZoneSource.address) or zone in of_phone or not of_phone:
        return (zone,)
    return tuple(sorted({zone, *of_phone}))


def stronger(new: str, old: str) -> bool:
    """Whether the word of one source replaces the word of another; a newer one of the same strength does."""
    return ZoneSource(new).strength >= ZoneSource(old).strength


_ONE_ZONE = {
    "IT": "Europe/Rome", "DE": "Europe/Berlin", "GB": "Europe/London",
}
_SPAIN = {
    "01": "ES-VI", "02": "ES-AB", "03": "ES-A", "04": "ES-AL", "05": "ES-AV", "06": "ES-BA", "07": "ES-PM",
    "08": "ES-B", "09": "ES-BU", "10": "ES-CC", "11": "ES-CA", "12": "ES-CS", "13": "ES-CR", "14": "ES-CO",
    "15": "ES-C", "16": "ES-CU", "17": "ES-GI", "18": "ES-GR", "19": "ES-GU", "20": "ES-SS", "21": "ES-H",
    "22": "ES-HU", "23": "ES-J", "24": "ES-LE", "25": "ES-L", "26": "ES-LO", "27": "ES-LU", "28": "ES-M",
    "29": "ES-MA", "30": "ES-MU", "31": "ES-NA", "32": "ES-OR", "33": "ES-O", "34": "ES-P", "35": "ES-GC",
    "36": "ES-PO", "37": "ES-SA", "38": "ES-TF", "39": "ES-S", "40": "ES-SG", "41": "ES-SE", "42": "ES-SO",
    "43": "ES-T", "44": "ES-TE", "45": "ES-TO", "46": "ES-V", "47": "ES-VA", "48": "ES-BI", "49": "ES-ZA",
    "50": "ES-Z", "51": "ES-CE", "52": "ES-ML",
}
"""The provinces of Spain by the first two digits of their postcodes."""
_COMMUNITIES = {
    "ES-AN": "AL CA CO GR H J MA SE", "ES-AR": "HU TE Z", "ES-AS": "O", "ES-CN": "GC TF", "ES-CB": "S",
    "ES-CM": "AB CR CU GU TO", "ES-CL": "AV BU LE P SA SG SO VA ZA", "ES-CT": "B GI L T", "ES-EX": "BA CC",
    "ES-GA": "C LU OR PO", "ES-IB": "PM", "ES-RI": "LO", "ES-MD": "M", "ES-MC": "MU", "ES-NC": "NA",
    "ES-PV": "VI SS BI", "ES-VC": "A CS V", "ES-CE": "CE", "ES-ML": "ML",
}
_COMMUNITY_OF = {f"ES-{province}": community for community, of in _COMMUNITIES.items() for province in of.split()}


def of_postcode(country: str, postcode: str) -> tuple[str, str]:
    """Zone and subdivision (ISO 3166-2) of an address; "" for what its country and postcode do not tell."""
    if country == "ES" and re.fullmatch(r"[0-9]{5}", postcode) and postcode[:2] in _SPAIN:
        province = _SPAIN[postcode[:2]]
        zone = {"ES-GC": "Atlantic/Canary", "ES-TF": "Atlantic/Canary", "ES-CE": "Africa/Ceuta"}.get(province)
        return zone or "Europe/Madrid", _COMMUNITY_OF[province]
    if country == "FR" and re.fullmatch(r"[0-9]{5}", postcode):
        return ("", "") if postcode.startswith(("97", "98")) else ("Europe/Paris", "")
    return _ONE_ZONE.get(country, ""), ""
