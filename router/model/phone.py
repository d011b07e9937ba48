"""Telephone numbers: read as a person writes them, kept as E.164."""

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from router.model.errors import Invalid, NumberRefused

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""What a network says a call or a message comes from, when it is a number."""

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


@lru_cache(2_000)
def _looked_up(written: str, country: str | None) -> Number | None:
    """None for what is no number at all. Kept for a while: one request asks several times."""
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
