"""Quotes from elsewhere: what another system, or a list out of one, says of a quote that was made there.

A cell is read as people and spreadsheets write it, and never guessed at: whatever can be read in two ways is refused,
with its field and a reason. A quote is then looked at as a whole.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from babel.core import get_global
from babel.numbers import get_currency_precision

from router.model.errors import Invalid
from router.model.forms import plain
from router.model.money import LONGEST_LABEL, MOST_QUANTITY, MOST_TAX, MOST_UNIT, Line, Period, check, summed
from router.model.offers import readable
from router.model.sheets import bare, read_date, read_phone, says_yes

EARLIEST = date(2000, 1, 1)
"""Nobody waits for an answer to an older quote: such a day is a mistake."""
LONGEST_VALID = timedelta(days=3660)
MOST_TOTAL = 99_999_999_999
"""Minor units. What is more is a mistake of some column."""
MOST_NUMBER = 80
MOST_NAME = 120
MOST_TEXT = 2_000
COMMERCIAL = "commercial"

FAULTS: Mapping[str, str] = {
    "phone_missing": "There is no telephone number.",
    "phone_unreadable": "This is not a telephone number.",
    "phone_unknown": "This telephone number does not exist.",
    "phone_kind": "We cannot call this kind of number.",
    "phone_rounded": "A spreadsheet has rounded this number.",
    "too_long": "This is too long.",
    "number_missing": "The quote has no number.",
    "name_missing": "There is no name.",
    "name": "This name holds characters that cannot stand in an offer.",
    "currency": "This is not a currency in use.",
    "currency_other": "The amount is in another currency than the quote.",
    "amount": "This is not an amount.",
    "amount_rounded": "A spreadsheet has rounded this amount.",
    "amount_unclear": "This amount can be read in two ways. Write it without separators of thousands.",
    "amount_parts": "This currency has no such small parts.",
    "amount_large": "This amount is too large.",
    "amount_missing": "The quote has no amount.",
    "lines": "The lines are no quote: their number, or one of their values, is out of bounds.",
    "lines_differ": "The rows of this quote do not agree here.",
    "lines_other": "The quote cannot be taken because of another of its rows.",
    "price_missing": "The line has no price.",
    "quantity": "This is not a whole quantity from 1 to 10,000.",
    "period": "This does not say whether it is paid once or each month.",
    "tax": "This is not a rate of tax from 0 to 100 %.",
    "date_missing": "The day is missing.",
    "date": "This is not a day such as 2026-11-30 or 30/11/2026.",
    "date_old": "This day is before the year 2000.",
    "date_future": "This day is in the future.",
    "date_far": "This day is more than ten years after the quote.",
    "before_sent": "This day is before the quote was sent.",
    "state": "This is not a state: open, signed, declined or expired.",
    "owner": "No agent has this login.",
    "consent_purpose": "This is not a purpose: requested, commercial, recording or measurement.",
    "other_person": "This number belongs to a quote of another person.",
    "quote_changed": "A quote of this number has other amounts, or another day. A price that changed is a new quote.",
}
"""What may be wrong with a field of a quote, by its code: a sentence for people."""


class Standing(StrEnum):
    """How a quote stands where it was made."""

    open = "open"
    signed = "signed"
    declined = "declined"
    expired = "expired"


class Fault(NamedTuple):
    """What is wrong (a key of FAULTS), in which field; "" for the quote as a whole."""

    field: str
    reason: str


class Misread(NamedTuple):
    """What is wrong with a quote of several rows, and in which of them (from 0)."""

    place: int
    fault: Fault


class Faulty(Exception):
    """A cell cannot be read. Carries its Fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(field, reason)


@dataclass(frozen=True)
class Proof:
    """The consent as it is stated: purposes, the words agreed to, where, on which day, on which page."""

    purposes: tuple[str, ...] = ()
    text: str = ""
    source: str = ""
    given_on: date | None = None
    page: str = ""

    @property
    def stands(self) -> bool:
        """Whether it can be kept as a receipt: it says what or where, and when."""
        return bool(self.purposes and self.given_on and (self.text or self.source))


@dataclass(frozen=True)
class Told:
    """A quote as elsewhere tells of it. `phone` is E.164, totals are what is paid, with tax, in minor units of
    `currency`; `lines` is empty where only totals are known. `owner` is an agent's login or ""."""

    number: str
    phone: str
    name: str
    currency: str
    sent_on: date
    once: int = 0
    month: int = 0
    lines: tuple[Line, ...] = ()
    locale: str = ""
    last_contact: date | None = None
    valid_until: date | None = None
    standing: Standing = Standing.open
    owner: str = ""
    proof: Proof = Proof()


@dataclass(frozen=True)
class Ground:
    """What a list leaves unsaid: the campaign's country and currency, and the consent stated for all of it."""

    country: str
    currency: str
    proof: Proof = Proof()


_STANDINGS: Mapping[Standing, str] = {
    Standing.open: "open pending sent waiting abierto abierta pendiente enviado enviada aperto aperta inviato inviata"
                   " inattesa открыт открыто отправлен отправлено ожидает",
    Standing.signed: "signed won accepted sold firmado firmada aceptado aceptada ganado ganada vendido firmato firmata"
                     " accettato accettata vinto vinta подписан подписано принят принято продано",
    Standing.declined: "declined lost rejected refused cancelled canceled rechazado rechazada perdido perdida cancelado"
                       " cancelada rifiutato rifiutata perso persa annullato annullata отклонен отклонено отказ"
                       " отменен отменено",
    Standing.expired: "expired lapsed caducado caducada vencido vencida expirado expirada scaduto scaduta истек истекло"
                      " просрочен просрочено",
}


_STANDING_OF = {bare(word): standing for standing, words in _STANDINGS.items() for word in words.split()}
_PERIODS: Mapping[Period, str] = {
    Period.once: "once onetime unico unica unavez unatantum única разово одинраз",
    Period.month: "month monthly permonth mes mensual pormes alpermes mese mensile almese месяц вмесяц ежемесячно",
}
_PERIOD_OF = {bare(word): period for period, words in _PERIODS.items() for word in words.split()}
OF_LINE = frozenset({"line", "quantity", "price", "tax", "period"})
"""What each row of a list of lines says of its own line; whatever else it says is of the quote."""
_PURPOSES = ("requested", COMMERCIAL, "recording", "measurement")
_NONE = frozenset({"", "no", "n", "0", "false", "none", "нет", "-"})

_SIGNS: Mapping[str, frozenset[str]] = {
    "€": frozenset({"EUR"}), "£": frozenset({"GBP", "GIP", "SHP", "EGP"}), "₽": frozenset({"RUB"}),
    "R$": frozenset({"BRL"}), "¥": frozenset({"JPY", "CNY"}), "₴": frozenset({"UAH"}), "zł": frozenset({"PLN"}),
    "S/": frozenset({"PEN"}), "руб": frozenset({"RUB"}), "руб.": frozenset({"RUB"}),  # noqa: RUF001
}
_DOLLARS = re.compile(r"(?:US|A|C|MX|AR|CL|COL)?\$")


@cache
def currencies() -> frozenset[str]:
    """The currencies (ISO 4217) some country pays with today."""
    used = get_global("territory_currencies").values()
    return frozenset(code for kept in used for code, _, until, tender in kept if until is None and tender)


def read_amount(written: str, currency: str, field: str) -> int:
    """An amount in minor units of the currency, as it is written anywhere: "1.234,50 €", "USD 1,234.50", "1 234,5".

    The last of two kinds of separator is the decimal one. A single one before exactly three digits separates thousands
    where the currency has fewer than three decimals. Raises Faulty for all that could mean two things.
    """
    text = _without_sign(unicodedata.normalize("NFKC", written).strip(), currency, field)
    if re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+", text):
        raise Faulty(field, "amount_rounded")
    digits = get_currency_precision(currency)
    value = _decimal(re.sub(r"(?<=\d)[ '\u2019](?=\d{3}(?!\d))", "", text), digits, field)
    minor = value.scaleb(digits)
    if minor != minor.to_integral_value():
        raise Faulty(field, "amount_parts")
    if minor > MOST_TOTAL:
        raise Faulty(field, "amount_large")
    return int(minor)


def _without_sign(text: str, currency: str, field: str) -> str:
    found = re.fullmatch(r"([^\d+\-.,]*)([\d.,'\u2019 eE+-]*\d[.,]?)\s*([^\d]*)", text)
    if found is None:
        raise Faulty(field, "amount")
    for sign in filter(None, (found[1].strip(), found[3].strip())):
        if sign.upper() in currencies():
            named: frozenset[str] = frozenset({sign.upper()})
        elif _DOLLARS.fullmatch(sign):
            named = frozenset({currency}) if currency.endswith("D") or currency in _PESOS else frozenset({"USD"})
        elif sign in _SIGNS:
            named = _SIGNS[sign]
        else:
            raise Faulty(field, "amount")
        if currency not in named:
            raise Faulty(field, "currency_other")
    return found[2].strip()


_PESOS = frozenset({"MXN", "ARS", "CLP", "COP", "UYU", "DOP", "CUP"})
_PLAIN = re.compile(r"\d{1,15}")


def _decimal(text: str, digits: int, field: str) -> Decimal:
    """The number a text of digits, points and commas stands for."""
    marks = [one for one in text if one in ".,"]
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if not marks or len(text) > 30 or not re.fullmatch(r"\d[\d.,]*", text):
        raise Faulty(field, "amount")
    last = marks[-1]
    whole, _, rest = text.rpartition(last)
    if len(set(marks)) == 1 and _grouped(text, last):
        if marks == [last] and digits >= 3:
            raise Faulty(field, "amount_unclear")
        return Decimal(text.replace(last, ""))
    other = "," if last == "." else "."
    if last in whole or (other in whole and not _grouped(whole, other)) or not whole.replace(other, ""):
        raise Faulty(field, "amount")
    if len(rest) == 3 and digits < 3 and other not in whole:
        raise Faulty(field, "amount_unclear")
    return Decimal(f"{whole.replace(other, '')}.{rest or '0'}")


def _grouped(text: str, mark: str) -> bool:
    """Whether the mark separates thousands."""
    return re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+", text) is not None


def read_rate(written: str, field: str) -> int:
    """A rate of tax in basis points: "21 %", "10,5", "0". Raises Faulty."""
    found = re.fullmatch(r"(\d{1,3})(?:[.,](\d{1,2}))?\s*%?", unicodedata.normalize("NFKC", written).strip())
    rate = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else MOST_TAX + 1
    if rate > MOST_TAX:
        raise Faulty(field, "tax")
    return rate


_PHONE_FAULTS = {FAULTS[reason]: reason for reason in ("phone_unknown", "phone_kind", "phone_rounded")}


def phone_fault(sentence: str) -> str:
    """The code of what `read_phone` says is wrong."""
    return _PHONE_FAULTS.get(sentence, "phone_unreadable")


class _Row:
    """Reads the cells of one row, by their fields."""

    def __init__(self, cells: Mapping[str, str], ground: Ground) -> None:
        self._cells = cells
        self._ground = ground

    def text(self, field: str, most: int = MOST_TEXT) -> str:
        text = plain(self._cells.get(field, ""))
        if len(text) > most:
            raise Faulty(field, "too_long")
        return text

    def phone(self) -> str:
        written = self._cells.get("phone", "").strip()
        if not written:
            raise Faulty("phone", "phone_missing")
        try:
            return read_phone(written, self._ground.country)
        except Invalid as error:
            raise Faulty("phone", phone_fault(error.sentence)) from error

    def day(self, field: str) -> date | None:
        written = self._cells.get(field, "").strip()
        found = read_date(written)
        if written and found is None:
            raise Faulty(field, "date")
        return found

    def needed_day(self, field: str) -> date:
        found = self.day(field)
        if found is None:
            raise Faulty(field, "date_missing")
        return found

    def currency(self) -> str:
        written = self.text("currency", 40).upper() or self._ground.currency
        signs = _SIGNS.get(written, frozenset())
        code = next(iter(signs)) if len(signs) == 1 else written
        if code not in currencies():
            raise Faulty("currency", "currency")
        return code

    def amount(self, field: str, currency: str) -> int:
        written = self._cells.get(field, "").strip()
        return read_amount(written, currency, field) if written else 0

    def standing(self) -> Standing:
        written = bare(self.text("state", 80))
        if written and written not in _STANDING_OF:
            raise Faulty("state", "state")
        return _STANDING_OF.get(written, Standing.open)

    def proof(self) -> Proof:
        whole = self._ground.proof
        return Proof(
            self.purposes() if "consent" in self._cells else whole.purposes, self.text("consent_text"),
            self.text("consent_source") or whole.source, self.day("consent_date") or whole.given_on,
            self.text("consent_page"),
        )

    def purposes(self) -> tuple[str, ...]:
        """A yes agrees to offers; else the purposes by name."""
        written = self.text("consent", 200)
        if says_yes(written):
            return (COMMERCIAL,)
        if written.casefold() in _NONE:
            return ()
        words = sorted({word for word in re.split(r"[\s,;|/+]+", written.casefold()) if word})
        if any(word not in _PURPOSES for word in words):
            raise Faulty("consent", "consent_purpose")
        return tuple(words)

    def line(self, currency: str, label: str) -> Line:
        """The line this row is, of a list of lines; `label` unless the row has words of its own."""
        rate = self.text("tax", 40)
        return Line(
            self.text("line", LONGEST_LABEL) or label, self.quantity(), self.price(currency),
            read_rate(rate, "tax") if rate else 0, self.period(),
        )

    def price(self, currency: str) -> int:
        """The price of one, negative for a discount."""
        written = unicodedata.normalize("NFKC", self._cells.get("price", "")).strip()
        if not written:
            raise Faulty("price", "price_missing")
        positive = re.sub(r"^[-\u2212]\s*", "", written)
        amount = read_amount(positive, currency, "price")
        if amount > MOST_UNIT:
            raise Faulty("price", "amount_large")
        return amount if positive == written else -amount

    def quantity(self) -> int:
        """A whole number, also as 2,0 or 2.00; what could be thousands is refused."""
        written = unicodedata.normalize("NFKC", self._cells.get("quantity", "")).strip()
        found = re.fullmatch(r"(\d{1,5})(?:[.,]0{1,2})?", written or "1")
        if found is None or not 1 <= int(found[1]) <= MOST_QUANTITY:
            raise Faulty("quantity", "quantity")
        return int(found[1])

    def period(self) -> Period:
        written = bare(self.text("period", 80))
        if written and written not in _PERIOD_OF:
            raise Faulty("period", "period")
        return _PERIOD_OF.get(written, Period.once)

    def lines(self, currency: str) -> tuple[Line, ...]:
        """Where a rate of tax is given the amounts are without it, and each is a line: the tax is reckoned here."""
        written = self.text("tax", 40)
        if not written:
            return ()
        rate = read_rate(written, "tax")
        label = self.text("number", MOST_NUMBER)
        amounts = {Period.once: self.amount("once", currency), Period.month: self.amount("month", currency)}
        return tuple(Line(label, 1, amount, rate, period) for period, amount in amounts.items() if amount)


def read_told(cells: Mapping[str, str], ground: Ground) -> Told | Fault:
    """The quote a row of a list tells of; `cells` by field, those whose column was chosen."""
    row = _Row(cells, ground)
    try:
        currency = row.currency()
        return _told(row, currency, row.lines(currency))
    except Faulty as error:
        return error.fault


def _told(row: _Row, currency: str, lines: tuple[Line, ...]) -> Told:
    return Told(
        number=row.text("number", MOST_NUMBER), phone=row.phone(), name=row.text("name", MOST_NAME),
        currency=currency, **(totals(lines) if lines else {
            "once": row.amount("once", currency), "month": row.amount("month", currency)}),
        sent_on=row.needed_day("sent"), last_contact=row.day("last_contact"), valid_until=row.day("valid_until"),
        lines=lines, locale=row.text("locale", 40)[:2].lower(), standing=row.standing(),
        owner=row.text("owner", 120), proof=row.proof(),
    )


def read_lines(rows: Sequence[Mapping[str, str]], ground: Ground) -> Told | Misread:
    """The quote of a list of lines that these rows tell of, each of one line.

    What is of the quote may stand in one of its rows or in several; where they do not agree it is refused.
    """
    head, stands = dict.fromkeys(rows[0], ""), dict[str, int]()
    for place, cells in enumerate(rows):
        for field in cells.keys() - OF_LINE:
            if not cells[field]:
                continue
            if field not in stands:
                head[field], stands[field] = cells[field], place
            elif bare(head[field]) != bare(cells[field]):
                return Misread(place, Fault(field, "lines_differ"))
    lines: list[Line] = []
    try:
        row = _Row(head, ground)
        currency = row.currency()
        told = _told(row, currency, ())
        for cells in rows:
            lines.append(_Row(cells, ground).line(currency, told.number))
    except Faulty as error:
        return Misread(stands.get(error.fault.field, len(lines)), error.fault)
    paid = totals(tuple(lines))
    return replace(told, lines=tuple(lines), once=paid[Period.once], month=paid[Period.month])


def totals(lines: tuple[Line, ...]) -> dict[str, int]:
    """What is paid once and each month for these lines, with tax."""
    return {period.value: summed(lines, period).total for period in Period}


def faults(told: Told, today: date, drawable: Callable[[str], bool]) -> Iterator[Fault]:
    """All that is wrong with the quote on this day; `drawable` says whether the offer's font has all its letters."""
    if not told.number:
        yield Fault("number", "number_missing")
    yield from _name_faults(told.name, drawable)
    if told.currency not in currencies():
        yield Fault("currency", "currency")
    yield from _amount_faults(told)
    yield from _day_faults(told, today)


def _name_faults(name: str, drawable: Callable[[str], bool]) -> Iterator[Fault]:
    if not name:
        yield Fault("name", "name_missing")
        return
    try:
        fine = drawable(readable(name, "/name", MOST_NAME))
    except Invalid:
        fine = False
    if not fine:
        yield Fault("name", "name")


def _amount_faults(told: Told) -> Iterator[Fault]:
    if told.lines:
        try:
            check(told.lines)
        except Invalid:
            yield Fault("lines", "lines")
    for field, amount in (("once", told.once), ("month", told.month)):
        if not 0 <= amount <= MOST_TOTAL:
            yield Fault(field, "amount_large" if amount > 0 else "amount")
    if not told.once and not told.month:
        yield Fault("once", "amount_missing")


def _day_faults(told: Told, today: date) -> Iterator[Fault]:
    past: dict[str, Any] = {"sent": told.sent_on, "last_contact": told.last_contact,
                            "consent_date": told.proof.given_on}
    for field, day in past.items():
        if day is not None and day < EARLIEST:
            yield Fault(field, "date_old")
        elif day is not None and day > today:
            yield Fault(field, "date_future")
    if told.last_contact is not None and told.last_contact < told.sent_on:
        yield Fault("last_contact", "before_sent")
    if told.valid_until is not None and told.valid_until < told.sent_on:
        yield Fault("valid_until", "before_sent")
    elif told.valid_until is not None and told.valid_until > told.sent_on + LONGEST_VALID:
        yield Fault("valid_until", "date_far")
