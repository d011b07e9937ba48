"""What foreign parties send, read leniently but safely: their fields may grow, be missing, or be of another type.

The opposite of our own doors' strict reader: a body whose sender has proved himself is not sent back because of one
strange field. What is taken from it is bounded, and fit to be stored and shown.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from babel.numbers import get_currency_precision

from router.model.errors import Unreadable
from router.model.forms import plain, plain_lines

LONGEST_NUMBER = 40
SHORT, LONG, LONGEST_URL = 200, 2000, 2000
MOST_MINOR = 10**15
CLICK_IDS = ("gclid", "gbraid", "wbraid", "fbclid", "ttclid", "msclkid")
UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

_SURROGATES = re.compile("[\ud800-\udfff]")
_CURRENCY = re.compile(r"[A-Z]{3}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits[:LONGEST_NUMBER]


def read(body: bytes) -> dict[str, Any]:
    """A JSON object. Integers of any size stay exact, other numbers stay text, so that money is never rounded.

    Raises Unreadable for what is no JSON object.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig", "replace"), parse_int=_number, parse_float=lambda text: text[:LONGEST_NUMBER],
            parse_constant=lambda _: None,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("The body is not JSON this door can read.") from error
    if not isinstance(value, dict):
        raise Unreadable("The body is not JSON this door can read.")
    return value


def part(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An inner object; empty when there is none."""
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def parts(value: Mapping[str, Any], name: str, most: int = 200) -> Iterator[dict[str, Any]]:
    """The objects of an inner list, at most so many."""
    inner = value.get(name)
    for one in inner[:most] if isinstance(inner, list) else ():
        if isinstance(one, dict):
            yield one


def raw(value: object) -> str:
    """A text or a number as text; "" for anything else. Stored, it can break nothing, but it may look odd."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return _SURROGATES.sub("\ufffd", str(value)).replace("\x00", " ")


def words(value: object, most: int = SHORT) -> str:
    """A line for people: composed, without control and direction characters."""
    return plain(raw(value)[: 4 * most])[:most]


def text(value: object, most: int = LONG) -> str:
    """The same for several lines."""
    return plain_lines(raw(value)[: 4 * most])[:most]


def name_of(person: Mapping[str, Any]) -> str:
    """A name from `name`, or from first and last name."""
    whole = " ".join(part for part in (words(person.get("first_name")), words(person.get("last_name"))) if part)
    return words(person.get("name")) or whole[:SHORT]


def identifier(value: object) -> str:
    """A party's id as it was sent, so that 2^53 is no limit; "" when it is none."""
    found = raw(value).strip()
    return found if _KEY.fullmatch(found) else ""


def url(value: object) -> str:
    """An http(s) address; "" for anything else, above all for what a browser would run."""
    found = raw(value).strip()
    if len(found) > LONGEST_URL or not found.isprintable() or " " in found:
        return ""
    try:
        address = urlsplit(found)
    except ValueError:
        return ""
    return found if address.scheme in ("http", "https") and address.hostname and "@" not in address.netloc else ""


def currency(value: object) -> str:
    found = raw(value)
    return found if _CURRENCY.fullmatch(found) else ""


def minor(amount: object, of_currency: str) -> int:
    """An amount such as "988.00" in minor units of the currency (ISO 4217); 0 when it cannot be read."""
    try:
        value = Decimal(raw(amount)).scaleb(get_currency_precision(of_currency) if of_currency else 2)
    except ArithmeticError:
        return 0
    return int(value.to_integral_value()) if value.is_finite() and abs(value) <= MOST_MINOR else 0


def count(value: object, most: int = 1_000_000) -> int:
    """A count from 0 to `most`; 0 when it is none."""
    found = raw(value)
    return min(int(found), most) if found.isascii() and found.isdigit() and len(found) <= LONGEST_NUMBER else 0


def moment(value: object, *, utc: bool = False) -> datetime | None:
    """An ISO 8601 moment with its offset, or seconds since 1970; aware UTC. `utc`: one without offset is in UTC."""
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC) if 0 < value < 10**11 else None
    try:
        found = datetime.fromisoformat(raw(value).strip())
        if found.tzinfo is None and not utc:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def attribution(landing: str) -> dict[str, str]:
    """utm_* and click ids out of a landing page's address."""
    try:
        asked = dict(parse_qsl(urlsplit(raw(landing)[:LONG]).query, max_num_fields=100))
    except ValueError:
        return {}
    return {name: found for name in (*UTM, *CLICK_IDS) if (found := words(asked.get(name, "")))}


def signed(body: bytes, given: bytes, secrets: Mapping[str, str]) -> bool:
    """Whether `given` is the HMAC-SHA256 of the raw body under one of the secrets. Compared in constant time."""
    return any([
        hmac.compare_digest(given, hmac.new(secret.encode(), body, hashlib.sha256).digest())
        for secret in secret_words(secrets)
    ])


def secret_words(secrets: Mapping[str, str]) -> list[str]:
    """The secret in use, and the one before it while it is being changed."""
    return [secret for name in ("secret", "previous") if (secret := secrets.get(name))]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
