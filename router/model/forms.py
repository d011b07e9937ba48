"""Forms: the questions a campaign asks of its own, how answers are read, and what is to be agreed to."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

from stdnum import exceptions, iban
from stdnum.es import cups, nif
from stdnum.it import codicefiscale
from stdnum.ru import inn

from router.model.campaigns import Campaign
from router.model.errors import Invalid

TEXT_MOST = 500

FIELDS = "fields"
"""The vault's purpose of secret answers."""
DEFAULT_CONSENT = "I want {company} to call me at this number about my request."
COMMERCIAL_CONSENT = (
    "{company} may also contact me later with offers, by phone or message. I can stop this at any time."
)
DEFAULT_VERSION = "1"

_HIDDEN = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u202a-\u202e\u2066-\u2069\u200e\u200f]")


def plain(text: str) -> str:
    """What a stranger typed, fit to be shown in a line: composed (NFC), without control, zero-width and direction
    characters that would make it look like something else. Names of right-to-left scripts stay as they are."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    text = _HIDDEN.sub("", unicodedata.normalize("NFC", text))
    return " ".join("".join(" " if unicodedata.category(one) == "Cc" else one for one in text).split())


def plain_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(plain(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).strip()


@dataclass(frozen=True)
class Question:
    """One of the campaign's own questions, in the reader's language. `choices` maps values to their words."""

    key: str
    label: str
    kind: str
    required: bool
    secret: bool
    choices: Mapping[str, str]


@dataclass(frozen=True)
class ConsentText:
    """One box to tick, never ticked before. `required`: without it the request cannot be taken."""

    purpose: str
    version: str
    text: str
    required: bool


def in_language(texts: Mapping[str, str], locale: str, otherwise: str) -> str:
    """The text in `locale`, else in the campaign's own language, else whichever there is; "" when there is none."""
    return texts.get(locale) or texts.get(otherwise) or next(iter(texts.values()), "")


def questions(campaign: Campaign, locale: str) -> list[Question]:
    """The campaign's questions in their order."""
    return [
        Question(
            key=one["key"],
            label=in_language(one.get("labels", {}), locale, campaign.locale) or one["key"],
            kind=one.get("kind", "text"),
            required=bool(one.get("required")),
            secret=bool(one.get("secret")),
            choices={
                value: in_language(labels, locale, campaign.locale) or value
                for value, labels in one.get("choices", {}).items()
            },
        )
        for one in campaign.fields
    ]


def consents(campaign: Campaign, locale: str, say: Callable[[str, str], str]) -> list[ConsentText]:
    """What is to be agreed to, each a box of its own; `say(sentence, locale)` translates the house's own sentences.

    A campaign without texts of its own asks for the call, and for offers.
    """
    company = campaign.company_name
    if campaign.consents:
        return [
            ConsentText(
                one["purpose"], str(one.get("version", DEFAULT_VERSION)),
                in_language(one.get("texts", {}), locale, campaign.locale).replace("{company}", company),
                bool(one.get("required", one["purpose"] == "requested")),
            )
            for one in campaign.consents
        ]
    requested = campaign.consent_text or say(DEFAULT_CONSENT, locale)
    return [
        ConsentText("requested", campaign.consent_version, requested.replace("{company}", company), required=True),
        ConsentText(
            "commercial", campaign.consent_version, say(COMMERCIAL_CONSENT, locale).replace("{company}", company),
            required=False,
        ),
    ]


def _number(text: str) -> str:
    """A whole number or one with a decimal comma or point, as it was written but for spaces."""
    text = text.replace(" ", "").replace("\u00a0", "")
    if not re.fullmatch(r"-?\d{1,15}([.,]\d{1,6})?", text):
        raise ValueError
    return text.replace(",", ".")


def _date(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _email(text: str) -> str:
    if len(text) > 254 or not re.fullmatch(r"[^@\s<>\"']{1,64}@[^@\s<>\"']+\.[^@\s<>\"'.]{2,}", text):
        raise ValueError
    return text


def _id_number(text: str) -> str:
    """A personal or company number of Spain (NIF, NIE, CIF), Italy (codice fiscale) or Russia (INN)."""
    for kind in (nif, codicefiscale, inn):
        try:
            return str(kind.validate(text))
        except exceptions.ValidationError:
            continue
    raise ValueError


def _text(text: str) -> str:
    if len(text) > TEXT_MOST:
        raise ValueError
    return text


def _yes(text: str) -> str:
    if text.casefold() not in {"true", "1", "on", "yes"}:
        raise ValueError
    return "yes"


KINDS: Mapping[str, tuple[Callable[[str], str], str]] = MappingProxyType({
    "text": (_text, "This is too long."),
    "address": (_text, "This is too long."),
    "number": (_number, "This should be a number."),
    "date": (_date, "This should be a date such as 2026-11-30."),
    "email": (_email, "This should be an e-mail address."),
    "id_number": (_id_number, "This is no valid identity number; please check its digits and its letter."),
    "iban": (lambda text: str(iban.validate(text)), "This is no valid IBAN; please check its digits."),
    "supply_point": (lambda text: str(cups.validate(text)), "This is no valid supply point code (CUPS)."),
    "checkbox": (_yes, "Please tick this box, or leave it empty."),
    "choice": (_text, "This is not one of the choices."),
})
"""How an answer of each kind is read, and what is said of a wrong one."""

MISSING = "Please answer this question."
UNKNOWN = "This form does not ask that."


def read_answers(
    campaign: Campaign, raw: Mapping[str, object], *, all_of_them: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """The answers to the campaign's questions: those anybody at the desk may see, and the secret ones.

    Raises Invalid with a pointer to the field for a wrong or unasked one, and for a missing one when `all_of_them`
    are to be there.
    """
    asked = {one["key"]: one for one in campaign.fields}
    for key in raw:
        if key not in asked:
            raise Invalid(UNKNOWN, pointer=f"/fields/{key.replace('~', '~0').replace('/', '~1')}")
    open_answers: dict[str, str] = {}
    secret_answers: dict[str, str] = {}
    for key, question in asked.items():
        answer = _answer(question, raw.get(key, ""), needed=all_of_them and bool(question.get("required")))
        if answer:
            (secret_answers if question.get("secret") else open_answers)[key] = answer
    return open_answers, secret_answers


def _answer(question: Mapping[str, Any], given: object, *, needed: bool) -> str:
    pointer = f"/fields/{question['key']}"
    if isinstance(given, bool):
        given = "yes" if given else ""
    if isinstance(given, int | float):
        given = str(given)
    read, fault = KINDS.get(question.get("kind", "text"), KINDS["text"])
    if given is not None and not isinstance(given, str):
        raise Invalid(fault, pointer=pointer)
    text = plain(given or "")
    if not text:
        if needed:
            raise Invalid(MISSING, pointer=pointer)
        return ""
    if question.get("kind") == "choice" and text not in question.get("choices", {}):
        raise Invalid(fault, pointer=pointer)
    try:
        return read(text)
    except (ValueError, exceptions.ValidationError) as error:
        raise Invalid(fault, pointer=pointer) from error
