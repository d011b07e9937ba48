"""Telephone numbers: read as a person writes them, kept as E.164."""

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumber, PhoneNumberType

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


@lru_cache(400)
def _stripped(code: int) -> re.Pattern[str] | None:
    """What may be stripped from the start of a national number of this country calling code, if anything."""
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, COUNTRY_CODE_TO_REGION_CODE[code][0])
    prefix = metadata.national_prefix_for_parsing if metadata is not None else ""
    return re.compile(prefix) if prefix else None


def _plain(written: str) -> PhoneNumber | None:
    """A number in E.164 that has nothing to be stripped, which is what nearly all doors bring: its two parts, as
    `phonenumbers.parse` finds them in ten times the time. None for all others, which that reads."""
    if not E164.fullmatch(written):
        return None
    for end in (2, 3, 4):
        code, national = int(written[1:end]), written[end:]
        if code in COUNTRY_CODE_TO_REGION_CODE:
            prefix = _stripped(code)
            if national[:1] in {"", "0"} or len(national) < SHORTEST or (prefix and prefix.match(national)):
                return None
            return PhoneNumber(country_code=code, national_number=int(national))
    return None


@lru_cache(2_000)
def _looked_up(written: str, country: str | None) -> Number | None:
    """None for what is no number at all. Kept for a while: one request asks several times."""
    try:
        number = _plain(written) or phonenumbers.parse(written, country)
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
