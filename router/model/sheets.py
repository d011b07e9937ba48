"""Sheets: a CSV file as spreadsheets write it, read into rows, its columns recognised, its cells understood."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import phonenumbers

from router.model.errors import Invalid
from router.model.forms import plain
from router.model.imports import MOST_ROWS, ImportKind
from router.model.phone import e164

DELIMITERS = (",", ";", "\t")
MOST_COLUMNS = 60
MOST_CELL = 2_000
SAMPLE_ROWS = 25

FIELDS: Mapping[ImportKind, tuple[str, ...]] = {
    ImportKind.leads: (
        "phone", "name", "surname", "email", "message", "locale", "consent", "consent_date", "consent_source",
    ),
    ImportKind.quotes: (
        "phone", "name", "number", "once", "month", "line", "quantity", "price", "period", "tax", "currency", "sent",
        "last_contact", "valid_until", "state", "owner", "locale", "consent", "consent_text", "consent_date",
        "consent_source", "consent_page",
    ),
}
"""What a column may hold. Any other is left alone."""

NEEDED: Mapping[ImportKind, tuple[str, ...]] = {
    ImportKind.leads: ("phone",),
    ImportKind.quotes: ("phone", "name", "number", "sent"),
}
"""Without these columns there is nothing to be looked at."""

_NAMES: Mapping[str, str] = {
    "phone": "phone tel telephone telefono movil mobile celular cellulare cell telefon telefonnummer phonenumber"
             " telefonomovil numerodetelefono numerotelefono numeroditelefono телефон мобильный",
    "name": "name nombre nome имя фио fullname firstname nombrecompleto nomecompleto cliente contact contacto",
    "surname": "surname lastname apellido apellidos cognome фамилия familyname",
    "email": "email mail correo correoelectronico emailaddress posta почта электроннаяпочта",
    "message": "message mensaje note notes notas nota messaggio comment comments comentario comentarios сообщение"
               " комментарий observaciones",
    "locale": "locale language idioma lingua язык lang",
    "consent": "consent consentimiento consenso согласие optin acepta aceptacion gdpr rgpd",
    "consent_date": "consentdate fechaconsentimiento fechadeconsentimiento dataconsenso датасогласия optindate",
    "consent_source": "consentsource origenconsentimiento fuenteconsentimiento fonteconsenso источниксогласия"
                      " optinsource",
    "consent_text": "consenttext textoconsentimiento textodelconsentimiento testoconsenso текстсогласия",
    "consent_page": "consentpage paginaconsentimiento paginaconsenso страницасогласия",
    "number": "number quotenumber quote offer offernumber reference ref presupuesto numeropresupuesto oferta"
              " numerodepresupuesto npresupuesto preventivo numeropreventivo offerta предложение номерпредложения смета"
              " номерсметы",
    "once": "total totalonce amount importe importetotal totalunico importo totale importounico totaleunico сумма итого"
            " стоимость price precio prezzo цена",
    "month": "month monthly totalmonth permonth mensual cuota cuotamensual totalmensual mensile canone canonemensile"
             " totalemensile вмесяц ежемесячно",
    "line": "line lineitem item product concept description concepto descripcion articulo producto partida voce"
            " descrizione articolo prodotto позиция наименование описание товар",
    "quantity": "quantity qty units cantidad cant unidades quantita qta количество колво",
    "price": "unitprice priceperunit lineprice preciounitario preciounidad punitario prezzounitario ценазаединицу"
             " ценазаштуку",
    "period": "period paid billing periodo periodicidad periodicita fatturazione период периодичность",
    "tax": "tax vat iva taxrate ндс налог impuesto imposta",
    "currency": "currency moneda divisa valuta валюта",
    "sent": "sent sentdate sentat sentondate date created createddate createdat fecha fechaenvio fechadeenvio enviado"
            " data datainvio inviato дата датаотправки отправлено",
    "last_contact": "lastcontact lastcontacted ultimocontacto ultimocontatto последнийконтакт",
    "valid_until": "validuntil valid expires expiry validohasta validez vencimiento caduca validofino validofinoal"
                   " scadenza действительнодо срок",
    "state": "state status estado situacion stato статус состояние",
    "owner": "owner agent agente vendedor comercial asesor venditore responsabile агент менеджер",
}
"""What headings are called. A field of one kind of list alone is looked for in lists of that kind."""

_OF_LEADS = {"numero": "phone", "номер": "phone"}
_OF_QUOTES = {"numero": "number", "номер": "number", "no": "number", "n": "number"}


def bare(header: str) -> str:
    """Its letters and digits alone, without case and accents."""
    folded = unicodedata.normalize("NFKD", header.casefold())
    return "".join(one for one in folded if one.isalnum())


_FIELD_OF = {bare(_name): field for field, names in _NAMES.items() for _name in names.split()}
_WORDS = {ImportKind.leads: _FIELD_OF | _OF_LEADS, ImportKind.quotes: _FIELD_OF | _OF_QUOTES}

_YES = frozenset({"1", "y", "yes", "true", "x", "si", "s", "sì", "sí", "ok", "да", "vero", "verdadero", "v", "on"})


@dataclass(frozen=True)
class Sheet:
    """`headers` are the first row's words, or made-up names when the first row is a person already."""

    encoding: str
    delimiter: str
    headers: list[str]
    rows: list[list[str]]


def read_sheet(content: bytes) -> Sheet:
    """The file's rows, empty ones left out. Raises Invalid for what is no such file."""
    text, encoding = _decoded(content)
    delimiter = _delimiter(text)
    rows = _rows(text, delimiter)
    if not rows:
        raise Invalid("The file is empty.", pointer="/file")
    width = max(len(row) for row in rows)
    if width > MOST_COLUMNS:
        raise Invalid("The file has more than %(most)s columns.", pointer="/file", most=MOST_COLUMNS)
    rows = [row + [""] * (width - len(row)) for row in rows]
    first, *rest = rows
    if any(_looks_like_a_number(cell) for cell in first):
        headers, rest = [f"{place + 1}" for place in range(width)], rows
    else:
        headers = _apart([plain(cell)[:80] or f"{place + 1}" for place, cell in enumerate(first)])
    if not rest:
        raise Invalid("The file has headings and no rows.", pointer="/file")
    if len(rest) > MOST_ROWS:
        raise Invalid("The file has more than %(most)s rows. Split it.", pointer="/file", most=MOST_ROWS)
    return Sheet(encoding, delimiter, headers, rest)


def _apart(headers: Sequence[str]) -> list[str]:
    """Columns of one name are told apart by their place."""
    return [f"{name} ({place + 1})" if headers.count(name) > 1 else name for place, name in enumerate(headers)]


EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
"""How the files of spreadsheets themselves begin: packed ones (xlsx, ods), and old ones (xls)."""


def _decoded(content: bytes) -> tuple[str, str]:
    """UTF-8, with or without its mark, UTF-16 with it, or Latin-1 in the way of Windows."""
    if content.startswith(EXCEL):
        raise Invalid("This is a file of Excel or another spreadsheet program. Save the sheet as CSV (UTF-8) and try "
                      "again.", pointer="/file")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
        content = text.encode("utf-8", "replace")
    if b"\x00" in content:
        raise Invalid("This is no CSV file. Save the sheet as CSV (UTF-8) and try again.", pointer="/file")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            said = encoding if content.startswith(b"\xef\xbb\xbf") or encoding != "utf-8-sig" else "utf-8"
            return content.decode(encoding), said
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1"), "latin-1"


def _delimiter(text: str) -> str:
    """The one that cuts the first rows into the most columns, alike in most of them."""
    sample = "\n".join(text[:200_000].splitlines()[:SAMPLE_ROWS])

    def worth(delimiter: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
        except csv.Error:
            return 0, 0
        common = max(set(widths), key=widths.count, default=0)
        return (widths.count(common) if common > 1 else 0), common

    return max(DELIMITERS, key=worth)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                found.append([cell[: MOST_CELL + 1] for cell in row])
            if len(found) > MOST_ROWS + 1:
                break
    except csv.Error as error:
        raise Invalid("The file cannot be read as CSV: a quotation mark is not closed, or a cell is too long.",
                      pointer="/file") from error
    return found


def _looks_like_a_number(cell: str) -> bool:
    return len(re.sub(r"\D", "", cell)) >= 7 and re.fullmatch(r"['+()\d\s.\-/\u00a0]{7,40}", cell.strip()) is not None


def guess(
    headers: Sequence[str], rows: Sequence[Sequence[str]], kind: ImportKind = ImportKind.leads
) -> dict[str, int]:
    """Which column (from 0) seems to hold which field: by its heading, the telephone also by its cells. Where there is
    the price of one, each row is a line, and totals beside it are not looked at."""
    found: dict[str, int] = {}
    for place, header in enumerate(headers):
        field = _WORDS[kind].get(bare(header))
        if field in FIELDS[kind]:
            found.setdefault(field, place)
    for field in ("once", "month") if "price" in found else ("line", "quantity", "period"):
        found.pop(field, None)
    if "phone" not in found:
        sample = rows[:SAMPLE_ROWS]
        hits = [sum(_looks_like_a_number(row[place]) for row in sample) for place in range(len(headers))]
        if hits and max(hits) * 2 > len(sample):
            found["phone"] = hits.index(max(hits))
    return found


def read_phone(cell: str, country: str) -> str:
    """The number in E.164, in every way people and spreadsheets write it. Raises Invalid.

    A spreadsheet drops the plus sign, adds ".0", or hides the number behind an apostrophe. What it wrote as 6.0E+08 has
    lost its digits and is refused. Of several numbers in one cell the first that can be called is taken.
    """
    text = unicodedata.normalize("NFKC", cell).strip().strip("'\"").strip()
    text = re.sub(r"\.0+$", "", re.sub(r"^tel:", "", text, flags=re.IGNORECASE))
    if re.fullmatch(r"[+-]?\d+[.,]\d+[eE][+-]?\d+", text):
        raise Invalid("A spreadsheet has rounded this number.", pointer="/phone")
    fault: Invalid | None = None
    for part in [text, *re.split(r"\s*[/;|,]\s*|\s+(?:o|y|or|e|и|или)\s+", text)]:
        for way in _ways(part, country):
            try:
                return e164(way, country)
            except Invalid as error:
                fault = fault or error
    raise fault or Invalid("This is not a telephone number.", pointer="/phone")


def _ways(part: str, country: str) -> list[str]:
    digits = re.sub(r"\D", "", part)
    code = str(phonenumbers.country_code_for_region(country))
    return [part, f"+{digits}"] if digits.startswith(code) and not part.startswith("+") else [part]


def says_yes(cell: str) -> bool:
    return cell.strip().strip(".").casefold() in _YES


def read_date(cell: str) -> date | None:
    """A day as 2026-11-30, 30/11/2026 or 30.11.2026; None for anything else."""
    text = cell.strip()[:10]
    try:
        if found := re.fullmatch(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})", text):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(text)
    except ValueError:
        return None


def defused(cell: str) -> str:
    """The cell as text: a spreadsheet would run what begins like a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell


def written(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV for any spreadsheet, formulas defused."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[defused(cell) for cell in row] for row in rows])
    return out.getvalue()
