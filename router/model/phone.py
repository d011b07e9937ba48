"""Telephone numbers: read as a person writes them, kept as E.164."""

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberType

from router.model.errors import Invalid, NumberRefused

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""What a network says a call or a message comes from, when it is a number."""

SHORTEST = 2
"""Digits of the shortest national number the library reads."""

REFUSED = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
        PhoneNumberType.PAGER,
        PhoneNumberType.UNKNOWN,
    }
)
"""Types nobody is called back on: they cost the caller, or reach no person."""


class Number(NamedTuple):
    """What a number is: its country (ISO 3166; "" for none, such as satellites), its type in the numbering plan, and
    how it is written in E.164."""

    country: str
    type: int
    e164: str


class _Kind(NamedTuple):
    """One type of numbers in a country's plan: how many digits they have (any number, when empty), and how they run."""

    type: int
    lengths: frozenset[int]
    runs: re.Pattern[str]

    def has(self, national: str) -> bool:
        return (not self.lengths or len(national) in self.lengths) and self.runs.fullmatch(national) is not None


class _Region(NamedTuple):
    """A country's numbering plan, as far as it is needed to tell what a number is. `kinds` are looked through in their
    order; `leading` is how its numbers begin, where that tells the countries of one calling code apart."""

    country: str
    leading: re.Pattern[str] | None
    general: _Kind | None
    kinds: tuple[_Kind, ...]
    fixed: _Kind | None
    mobile: _Kind | None

    def type_of(self, national: str) -> int:
        if not _has(self.general, national):
            return PhoneNumberType.UNKNOWN
        for kind in self.kinds:
            if kind.has(national):
                return kind.type
        if _has(self.fixed, national):
            either = _has(self.mobile, national)
            return PhoneNumberType.FIXED_LINE_OR_MOBILE if either else PhoneNumberType.FIXED_LINE
        return PhoneNumberType.MOBILE if _has(self.mobile, national) else PhoneNumberType.UNKNOWN

    def owns(self, national: str) -> bool:
        if self.leading is not None:
            return self.leading.match(national) is not None
        return self.type_of(national) != PhoneNumberType.UNKNOWN


def _has(kind: _Kind | None, national: str) -> bool:
    return kind is not None and kind.has(national)


class _Plan(NamedTuple):
    """What is known of a country calling code: its countries, and what may be stripped from the start of a national
    number, if anything."""

    regions: tuple[_Region, ...]
    stripped: re.Pattern[str] | None

    def described(self, national: str) -> tuple[str, int]:
        """The country of a national number ("" for none) and its type."""
        if len(self.regions) == 1:
            region = self.regions[0]
            return region.country, region.type_of(national)
        for region in self.regions:
            if region.owns(national):
                return region.country, region.type_of(national)
        return "", PhoneNumberType.UNKNOWN


_IN_THEIR_ORDER = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail")


def _kind(metadata: PhoneMetadata, name: str) -> _Kind | None:
    described = getattr(metadata, name)
    if described is None or not described.national_number_pattern:
        return None
    number_type = getattr(PhoneNumberType, name.upper(), PhoneNumberType.UNKNOWN)
    return _Kind(number_type, frozenset(described.possible_length), re.compile(described.national_number_pattern))


def _metadata(code: int, country: str) -> PhoneMetadata:
    found = PhoneMetadata.metadata_for_region_or_calling_code(code, country)
    assert found is not None  # noqa: S101  the library lists no country without its plan
    return found


def _region(code: int, country: str) -> _Region:
    metadata = _metadata(code, country)
    return _Region(
        country="" if country == "001" else country,
        leading=re.compile(metadata.leading_digits) if metadata.leading_digits is not None else None,
        general=_kind(metadata, "general_desc"),
        kinds=tuple(kind for name in _IN_THEIR_ORDER if (kind := _kind(metadata, name)) is not None),
        fixed=_kind(metadata, "fixed_line"),
        mobile=_kind(metadata, "mobile"),
    )


@lru_cache(400)
def _plan(code: int) -> _Plan:
    """The library's own numbering plan of a country calling code, read once: its questions compile and look up every
    pattern anew, in ten times the time."""
    countries = COUNTRY_CODE_TO_REGION_CODE[code]
    prefix = _metadata(code, countries[0]).national_prefix_for_parsing
    return _Plan(tuple(_region(code, country) for country in countries), re.compile(prefix) if prefix else None)


def _plain(written: str) -> Number | None:
    """What a number in E.164 is that has nothing to be stripped, which is what nearly all doors bring. None for all
    others, which the library reads."""
    if not E164.fullmatch(written):
        return None
    for end in (2, 3, 4):
        code, national = int(written[1:end]), written[end:]
        if code in COUNTRY_CODE_TO_REGION_CODE:
            plan = _plan(code)
            short = national[:1] in {"", "0"} or len(national) < SHORTEST
            if short or (plan.stripped is not None and plan.stripped.match(national)):
                return None
            return Number(*plan.described(national), written)
    return None


@lru_cache(2_000)
def _looked_up(written: str, country: str | None) -> Number | None:
    """None for what is no number at all. Kept for a while: one request asks several times."""
    return _plain(written) or _parsed(written, country)


def _parsed(written: str, country: str | None) -> Number | None:
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    kind = PhoneNumberType.UNKNOWN if number.extension else phonenumbers.number_type(number)
    region = phonenumbers.region_code_for_number(number) or ""
    return Number(
        "" if region == "001" else region, kind,
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
    )


def look_up(written: str, country: str | None = None) -> Number | None:
    """What a number is that is written with its country, or in `country`. The type is unknown when no such number can
    exist. None for what is no number at all."""
    return _looked_up(written, None if written.startswith("+") else country) if len(written) <= 40 else None


def country_of(phone: str) -> str:
    """The country (ISO 3166) of a number in E.164; "" for none."""
    number = look_up(phone) if phone else None
    return number.country if number is not None else ""


def e164(written: str, country: str) -> str:
    """The number in E.164. `country` (ISO 3166) is assumed where none is written.

    Raises Invalid for what is no possible number; NumberRefused, which is Invalid too, for premium, shared-cost and
    personal numbers, and for numbers of no country (satellite and international networks, which the numbering plan
    counts as ordinary mobiles).
    """
    number = look_up(written, country)
    if number is None:
        raise Invalid("This is not a telephone number.", pointer="/phone")
    if number.type == PhoneNumberType.UNKNOWN:
        raise Invalid("This telephone number does not exist.", pointer="/phone")
    if number.type in REFUSED or not number.country:
        raise NumberRefused("We cannot call this kind of number.", pointer="/phone")
    return number.e164


def masked(phone: str) -> str:
    """The number with all but its last three digits hidden."""
    return f"{phone[:3]}•••{phone[-3:]}"


def international(phone: str) -> str:
    """An E.164 number as people read it, e.g. "+34 910 00 00 00"; what is no number is given back as it is."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def unbroken(phone: str) -> str:
    """As `international`, for screens: its spaces do not break at a line's end."""
    return international(phone).replace(" ", "\u00a0")


def parted(phone: str) -> tuple[str, str]:
    """An E.164 number as its country calling code and the rest, digits only. Raises Invalid for what is no number."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException as error:
        raise Invalid("This is not a telephone number.", pointer="/phone") from error
    return str(number.country_code), phonenumbers.national_significant_number(number)
