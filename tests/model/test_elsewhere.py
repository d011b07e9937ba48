"""Quotes from elsewhere: cells read as people write them, never guessed at, and nonsense named by field and reason."""

from dataclasses import replace
from datetime import date

import pytest

from router.model.elsewhere import (
    FAULTS,
    Fault,
    Faulty,
    Ground,
    Misread,
    Proof,
    Standing,
    Told,
    currencies,
    faults,
    read_amount,
    read_lines,
    read_rate,
    read_told,
)
from router.model.errors import Invalid
from router.model.imports import ImportKind
from router.model.money import Line, Period
from router.model.sheets import FIELDS, guess, read_sheet

GROUND = Ground("ES", "EUR")
ROW = {"phone": "600 123 456", "name": "Ana Ruiz", "number": "P-17", "once": "1.234,50 €", "sent": "03/05/2026"}


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("1.234,50 €", "EUR", 123450), ("1,234.50", "EUR", 123450), ("€ 1234,5", "EUR", 123450), ("49", "EUR", 4900),
        ("1 234,50", "EUR", 123450), ("1\u202f234,50\u00a0€", "EUR", 123450), ("1'234.50", "CHF", 123450),
        ("1.234", "EUR", 123400), ("1,234,567", "USD", 123456700), ("1.234.567,8 EUR", "EUR", 123456780),
        ("EUR 12,00", "EUR", 1200), ("R$ 99,90", "BRL", 9990), ("$1,000.00", "MXN", 100000), ("0,05", "EUR", 5),
        ("12000", "JPY", 12000), ("12.000", "CLP", 12000), ("1234,00", "HUF", 1234), ("1.234,567", "KWD", 1234567),
        ("5.", "EUR", 500), ("2500 ₽", "RUB", 250000), ("0", "EUR", 0), ("999999999,99", "EUR", 99_999_999_999),
    ],
)
def test_an_amount_is_read_as_it_is_written_anywhere(written: str, currency: str, minor: int) -> None:
    assert read_amount(written, currency, "once") == minor


@pytest.mark.parametrize(
    ("written", "currency", "reason"),
    [
        ("banana", "EUR", "amount"), ("-5", "EUR", "amount"), ("(500)", "EUR", "amount"), ("12.34.56", "EUR", "amount"),
        ("1,2,3", "EUR", "amount"), ("=1+1", "EUR", "amount"), ("12%", "EUR", "amount"),
        ("1.23,456.7", "EUR", "amount"),
        (",", "EUR", "amount"), ("1" * 400, "EUR", "amount"), ("", "EUR", "amount"), ("12 34", "EUR", "amount"),
        ("1e9", "EUR", "amount_rounded"), ("1,5E+09", "EUR", "amount_rounded"), ("NaN", "EUR", "amount"),
        ("0.500", "EUR", "amount_unclear"), ("1234.567", "EUR", "amount_unclear"), ("1.234", "KWD", "amount_unclear"),
        ("1,234.567", "EUR", "amount_parts"), ("10,5", "JPY", "amount_parts"),
        ("1000000000", "EUR", "amount_large"), ("10 $", "EUR", "currency_other"), ("USD 10", "EUR", "currency_other"),
    ],
)
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(written: str, currency: str, reason: str) -> None:
    with pytest.raises(Faulty) as refused:
        read_amount(written, currency, "month")
    assert refused.value.fault == Fault("month", reason)
    assert reason in FAULTS


@pytest.mark.parametrize(
    ("written", "rate"), [("21", 2100), ("10,5 %", 1050), ("0%", 0), ("5.25", 525), ("100", 10000)]
)
def test_a_rate_is_in_basis_points(written: str, rate: int) -> None:
    assert read_rate(written, "tax") == rate


@pytest.mark.parametrize("written", ["-1", "101", "x", "0.211", "1e1"])
def test_a_rate_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(Faulty):
        read_rate(written, "tax")


def test_currencies_are_those_a_country_pays_with_today() -> None:
    assert {"EUR", "USD", "MXN", "RUB", "BRL", "GBP"} <= currencies()
    assert not {"ESP", "XAU", "DEM", "XXX", "BTC"} & currencies()


def test_a_row_is_read_into_a_quote() -> None:
    told = read_told({
        **ROW, "valid_until": "2026-12-31", "state": "Aceptado", "owner": "eva", "month": "9,90", "consent": "sí",
        "consent_text": "Acepto ofertas", "consent_date": "2026-05-01", "last_contact": "", "locale": "ES-es",
    }, GROUND)
    assert told == Told(
        number="P-17", phone="+34600123456", name="Ana Ruiz", currency="EUR", sent_on=date(2026, 5, 3), once=123450,
        month=990, locale="es", valid_until=date(2026, 12, 31), standing=Standing.signed, owner="eva",
        proof=Proof(("commercial",), "Acepto ofertas", "", date(2026, 5, 1)),
    )


def test_with_a_rate_of_tax_the_amounts_are_without_it_and_the_tax_is_reckoned_here() -> None:
    told = read_told({**ROW, "once": "100", "month": "9,99", "tax": "21%"}, GROUND)
    assert isinstance(told, Told)
    assert (told.once, told.month) == (12100, 1209)
    assert told.lines[0] == Line("P-17", 1, 10000, 2100)


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        ({"phone": ""}, "phone", "phone_missing"), ({"phone": "banana"}, "phone", "phone_unreadable"),
        ({"phone": "6.0E+08"}, "phone", "phone_rounded"), ({"sent": ""}, "sent", "date_missing"),
        ({"sent": "31/02/2026"}, "sent", "date"), ({"valid_until": "soon"}, "valid_until", "date"),
        ({"currency": "DEM"}, "currency", "currency"), ({"currency": "moneda"}, "currency", "currency"),
        ({"currency": "¥"}, "currency", "currency"), ({"currency": "USD"}, "once", "currency_other"),
        ({"state": "perhaps"}, "state", "state"), ({"consent": "fax"}, "consent", "consent_purpose"),
        ({"number": "9" * 81}, "number", "too_long"), ({"name": "x" * 121}, "name", "too_long"),
        ({"tax": "much"}, "tax", "tax"),
    ],
)
def test_nonsense_is_named_by_its_field_and_a_reason(cells: dict[str, str], field: str, reason: str) -> None:
    assert read_told(ROW | cells, GROUND) == Fault(field, reason)
    assert reason in FAULTS


@pytest.mark.parametrize(
    ("cell", "purposes"),
    [("yes", ("commercial",)), ("no", ()), ("", ()), ("requested, commercial", ("commercial", "requested")),
     ("recording", ("recording",))],
)
def test_a_yes_agrees_to_offers_and_purposes_can_be_named(cell: str, purposes: tuple[str, ...]) -> None:
    told = read_told(ROW | {"consent": cell}, GROUND)
    assert isinstance(told, Told)
    assert told.proof.purposes == purposes


def test_a_consent_stands_only_with_a_day_and_a_text_or_a_place() -> None:
    whole = Proof(("commercial",), "Acepto", "", date(2026, 1, 1))
    assert whole.stands
    assert replace(whole, text="", source="feria").stands
    assert not replace(whole, text="").stands
    assert not replace(whole, given_on=None).stands
    assert not replace(whole, purposes=()).stands


TODAY = date(2026, 11, 23)
TOLD = Told(number="1", phone="+34600123456", name="Ana", currency="EUR", sent_on=date(2026, 5, 3), once=100)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"number": ""}, ("number", "number_missing")), ({"name": ""}, ("name", "name_missing")),
        ({"name": "Ana 😀"}, ("name", "name")), ({"currency": "XAU"}, ("currency", "currency")),
        ({"once": 0}, ("once", "amount_missing")), ({"once": -1}, ("once", "amount")),
        ({"month": 10**11}, ("month", "amount_large")), ({"sent_on": date(1900, 1, 1)}, ("sent", "date_old")),
        ({"sent_on": date(2026, 11, 24)}, ("sent", "date_future")),
        ({"last_contact": date(2026, 5, 2)}, ("last_contact", "before_sent")),
        ({"last_contact": date(2999, 1, 1)}, ("last_contact", "date_future")),
        ({"valid_until": date(2026, 5, 2)}, ("valid_until", "before_sent")),
        ({"valid_until": date(2999, 1, 1)}, ("valid_until", "date_far")),
        ({"proof": Proof(given_on=date(2027, 1, 1))}, ("consent_date", "date_future")),
        ({"lines": (Line("x", 0, 100, 0),)}, ("lines", "lines")),
    ],
)
def test_a_quote_that_cannot_be_says_why(change: dict[str, object], fault: tuple[str, str]) -> None:
    found = list(faults(replace(TOLD, **change), TODAY, lambda text: "😀" not in text))  # type: ignore[arg-type]
    assert fault in found
    assert fault[1] in FAULTS


def test_a_quote_that_can_be_has_no_fault() -> None:
    told = replace(TOLD, sent_on=TODAY, last_contact=TODAY, valid_until=TODAY)
    assert list(faults(told, TODAY, lambda _: True)) == []


def test_columns_are_guessed_by_what_the_list_holds() -> None:
    headers = ["Número", "Teléfono", "Cliente", "Importe", "Fecha", "Estado", "Válido hasta", "Comercial"]
    assert guess(headers, [], ImportKind.quotes) == {
        "number": 0, "phone": 1, "name": 2, "once": 3, "sent": 4, "state": 5, "valid_until": 6, "owner": 7,
    }
    assert guess(headers, []) == {"phone": 0, "name": 2}
    assert set(guess(headers, [], ImportKind.quotes)) <= set(FIELDS[ImportKind.quotes])


def test_columns_of_one_name_are_told_apart() -> None:
    assert read_sheet(b"phone;phone;name\n1;2;3\n").headers == ["phone (1)", "phone (2)", "name"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8", "cp1252"])
def test_a_file_is_read_in_the_encodings_of_spreadsheets(encoding: str) -> None:
    sheet = read_sheet("Teléfono;Año\n600123456;€\n".encode(encoding))
    assert (sheet.headers, sheet.rows) == (["Teléfono", "Año"], [["600123456", "€"]])


@pytest.mark.parametrize("content", [b"PK\x03\x04" + b"\x00" * 90, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 90])
def test_a_spreadsheets_own_file_is_refused_by_its_name(content: bytes) -> None:
    with pytest.raises(Invalid, match="Excel"):
        read_sheet(content)


@pytest.mark.parametrize("content", [b"phone\n6\x00\n", "phone\n6\x00\n".encode("utf-16"), b"\xff\xfe"])
def test_a_file_with_nul_or_nothing_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        read_sheet(content)


HEADS = {"phone": "600 123 456", "name": "Ana Ruiz", "number": "P-17", "sent": "03/05/2026"}


def of_line(**cells: str) -> dict[str, str]:
    blank = dict.fromkeys(("phone", "name", "sent", "line", "quantity", "price", "tax", "period"), "")
    return {**blank, "number": "P-17", **cells}


def test_rows_of_one_quote_are_its_lines() -> None:
    told = read_lines([
        of_line(**HEADS, line="Panel", quantity="2", price="1.234,50 €", tax="21 %"),
        of_line(line="Mantenimiento", price="10", period="Mensual", tax="10"),
        of_line(name="ana ruiz", line="Descuento", quantity="1,0", price="-100,00"),
    ], GROUND)
    assert isinstance(told, Told)
    assert told.lines == (
        Line("Panel", 2, 123_450, 2_100), Line("Mantenimiento", 1, 1_000, 1_000, Period.month),
        Line("Descuento", 1, -10_000, 0),
    )
    assert (told.number, told.name, told.once, told.month) == ("P-17", "Ana Ruiz", 298_749 - 10_000, 1_100)
    assert list(faults(told, TODAY, lambda _: True)) == []


@pytest.mark.parametrize(
    ("rows", "place", "fault"),
    [
        ([HEADS, {"price": "x"}], 1, ("price", "amount")), ([HEADS, {"price": ""}], 1, ("price", "price_missing")),
        ([HEADS, {"price": "1", "quantity": "1.000"}], 1, ("quantity", "quantity")),
        ([HEADS, {"price": "1", "quantity": "0"}], 1, ("quantity", "quantity")),
        ([HEADS, {"price": "1", "period": "weekly"}], 1, ("period", "period")),
        ([HEADS, {"price": "1", "tax": "101"}], 1, ("tax", "tax")),
        ([HEADS, {"price": "99999999"}], 1, ("price", "amount_large")),
        ([HEADS, {}, {"name": "Eva"}], 2, ("name", "lines_differ")),
        ([{**HEADS, "phone": ""}, {"phone": "12"}], 1, ("phone", "phone_unknown")),
        ([{**HEADS, "phone": ""}, {}], 0, ("phone", "phone_missing")),
        ([{**HEADS, "sent": ""}, {"sent": "yesterday"}], 1, ("sent", "date")),
    ],
)
def test_of_several_rows_the_one_is_named_whose_fault_it_is(
    rows: list[dict[str, str]], place: int, fault: tuple[str, str]
) -> None:
    assert read_lines([of_line(**{"price": "5", **row}) for row in rows], GROUND) == Misread(place, Fault(*fault))
    assert fault[1] in FAULTS


def test_lines_that_come_to_less_than_nothing_are_no_quote() -> None:
    told = read_lines([of_line(**HEADS, price="5"), of_line(price="-6")], GROUND)
    assert isinstance(told, Told)
    assert Fault("lines", "lines") in faults(told, TODAY, lambda _: True)


def test_where_there_is_the_price_of_one_totals_beside_it_are_not_guessed() -> None:
    heads = ["Número", "Concepto", "Cantidad", "Precio unitario", "IVA", "Importe"]
    assert guess(heads, [], ImportKind.quotes) == {"number": 0, "line": 1, "quantity": 2, "price": 3, "tax": 4}
    assert guess(["Número", "Concepto", "Importe"], [], ImportKind.quotes) == {"number": 0, "once": 2}
