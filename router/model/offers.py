"""Offers: the one list of (label, value) lines from which the customer's page and the PDF are both made."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from router.model.errors import Invalid
from router.model.evidence import canonical_json
from router.model.money import Line, Period, Sum, summed

WITHDRAWAL_DAYS = 14
"""Calendar days, Directive 2011/83/EU article 9; TRLGDCU article 71 (to be checked by counsel before use)."""

Canonical = list[dict[str, str]]
"""Lines of `kind` (where it stands on the page; no words), `label` and `value`, both as the customer reads them."""


class Speaker(Protocol):
    """Says our sentences, amounts and times in the customer's language."""

    def say(self, sentence: str, **values: Any) -> str: ...
    def money(self, minor: int) -> str: ...
    def percent(self, basis_points: int) -> str: ...
    def day(self, at: datetime) -> str: ...
    def moment(self, at: datetime) -> str: ...


@dataclass(frozen=True)
class Offer:
    """What an offer says. `company` holds name, address, phone and email (tax_id where there is one); `phone` is the
    customer's. Times aware."""

    number: str
    version: int
    company: Mapping[str, str]
    customer: str
    phone: str
    lines: Sequence[Line]
    written_at: datetime
    valid_until: datetime


def canonical(offer: Offer, speaker: Speaker) -> Canonical:
    """The offer as the customer reads it, in reading order."""
    found = (*_head(offer, speaker), *_prices(offer, speaker), *_terms(offer, speaker))
    return [{"kind": kind, "label": _spaced(label), "value": _spaced(value)} for kind, label, value in found]


def digest(lines: Sequence[Mapping[str, str]]) -> bytes:
    """SHA-256 of the list as canonical JSON (sorted keys, no spaces, UTF-8)."""
    return hashlib.sha256(canonical_json(list(lines))).digest()


Found = Iterator[tuple[str, str, str]]


def _head(offer: Offer, speaker: Speaker) -> Found:
    say, company = speaker.say, offer.company
    yield "title", say("Offer"), f"{offer.number}/{offer.version}"
    yield "company", say("Company"), company["name"]
    for key, label in (("tax_id", "Tax number"), ("address", "Address"), ("phone", "Telephone"), ("email", "E-mail")):
        if company.get(key):
            yield "company", say(label), company[key]
    yield "customer", say("Customer"), offer.customer
    yield "customer", say("Your telephone"), offer.phone
    yield "customer", say("Date"), speaker.day(offer.written_at)
    yield "customer", say("Valid until"), speaker.moment(offer.valid_until)


def _prices(offer: Offer, speaker: Speaker) -> Found:
    for line in offer.lines:
        yield "line", line.label, _priced(line, speaker)
    for period in (Period.once, Period.month):
        if any(line.period is period for line in offer.lines):
            yield from _summed(summed(offer.lines, period), period, speaker)


def _priced(line: Line, speaker: Speaker) -> str:
    values = {
        "quantity": line.quantity, "unit": speaker.money(line.unit_minor), "net": speaker.money(line.net),
        "tax": speaker.percent(line.tax_bp),
    }
    if line.period is Period.month:
        return speaker.say("%(quantity)s × %(unit)s = %(net)s a month, plus %(tax)s tax", **values)  # noqa: RUF001
    return speaker.say("%(quantity)s × %(unit)s = %(net)s once, plus %(tax)s tax", **values)  # noqa: RUF001


def _summed(sum_: Sum, period: Period, speaker: Speaker) -> Found:
    say, month = speaker.say, period is Period.month
    yield "tax", say("Monthly, without tax") if month else say("Once, without tax"), speaker.money(sum_.net)
    for tax in sum_.taxes:
        values = {"rate": speaker.percent(tax.rate_bp), "base": speaker.money(tax.base)}
        yield "tax", say("Tax %(rate)s on %(base)s", **values), speaker.money(tax.amount)
    label = say("Total each month with tax") if month else say("Total once with tax")
    yield "total", label, speaker.money(sum_.total)


def _terms(offer: Offer, speaker: Speaker) -> Found:
    say, company = speaker.say, offer.company
    reach = ", ".join(company[key] for key in ("email", "phone", "address") if company.get(key))
    yield "term", say("When you are bound"), say(
        "This offer binds you only once you have signed it. Until then you owe nothing, whatever was said on the "
        "telephone."
    )
    yield "term", say("Right of withdrawal"), say(
        "You may withdraw from the contract within %(days)s calendar days of signing it, without giving reasons and at "
        "no cost. A plain statement is enough: %(reach)s.", days=WITHDRAWAL_DAYS, reach=reach,
    )
    yield "term", say("Signature"), say(
        "Simple electronic signature with reinforced evidence (one-time code by text message) and the company's seal."
    )
    yield "term", say("Reference"), f"{offer.number}/{offer.version}"


def _spaced(text: str) -> str:
    """Two kinds of space only, the plain and the unbreakable: an amount stays with its currency on page and paper."""
    return "".join("\u00a0" if char != " " and unicodedata.category(char) == "Zs" else char for char in text)


_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are no writing: control, format (the bidirectional overrides among them), surrogates, private
use, unassigned, line and paragraph separators."""


def character(char: str) -> str:
    """A character's number and name, e.g. "U+1F600 GRINNING FACE"."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'WITHOUT A NAME')}"


def readable(text: str, pointer: str, longest: int) -> str:
    """The text in Unicode's composed form, spaces tidied. Raises Invalid: empty, too long, or a character that is no
    writing, by name."""
    if len(text) > 4 * longest:
        raise Invalid("This should be at most %(longest)s characters long.", pointer=pointer, longest=longest)
    for char in text:
        if unicodedata.category(char) in _REFUSED:
            raise Invalid(
                "This character cannot stand in an offer: %(character)s.", pointer=pointer, character=character(char)
            )
    tidy = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(tidy) <= longest:
        raise Invalid("This should be 1 to %(longest)s characters long.", pointer=pointer, longest=longest)
    return tidy
