"""Offers: the one list of (label, value) lines from which the customer's page and the PDF are both made."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from router.model.errors import Invalid
from router.model.evidence import canonical_json
from router.model.money import Line, Period, Sum, summed
from router.model.terms import NO_TERMS, Terms

WITHDRAWAL_DAYS = 14
"""Calendar days, Directive 2011/83/EU article 9; TRLGDCU article 71 (to be checked by counsel before use)."""

Canonical = list[dict[str, str]]
"""Lines of `kind` (where it stands on the page), `item` (what it says; neither is words), `label` and `value`, both as
the customer reads them."""

ALSO = "also."
"""What the items of the offer in one more language begin with."""


class Speaker(Protocol):
    """Says our sentences, amounts and times in the language `locale`."""

    @property
    def locale(self) -> str: ...
    def say(self, sentence: str, **values: Any) -> str: ...
    def money(self, minor: int) -> str: ...
    def percent(self, basis_points: int) -> str: ...
    def day(self, at: datetime) -> str: ...
    def moment(self, at: datetime) -> str: ...


@dataclass(frozen=True)
class Offer:
    """What an offer says. `company` holds name, address, phone and email (tax_id and privacy_url where there are some);
    `phone` is the customer's. `answers` are those to the campaign's questions by language, each with its label, secret
    ones masked. `request` is the number of what the person asked for, `call` and `agent` those of the talk in which it
    was made, if it was. `signed_with` is the third party that takes the signature; "" for the house itself. Times
    aware. What is not known is left out; whether it may be is `router.model.fitness`."""

    number: str
    version: int
    company: Mapping[str, str]
    customer: str
    phone: str
    lines: Sequence[Line]
    written_at: datetime
    valid_until: datetime
    terms: Terms = NO_TERMS
    answers: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    request: int | None = None
    call: int | None = None
    agent: int | None = None
    signed_with: str = ""

    @property
    def monthly(self) -> bool:
        return any(line.period is Period.month for line in self.lines)

    @property
    def early(self) -> bool:
        """Whether the service begins while the customer may still withdraw."""
        starts = self.terms.starts_in_days
        return starts is not None and starts < WITHDRAWAL_DAYS


def canonical(offer: Offer, speaker: Speaker, also: Speaker | None = None) -> Canonical:
    """The offer as the customer reads it, in reading order; then all of it in one more language, if there is one."""
    lines = _said(offer, speaker)
    return lines if also is None else [*lines, *_again(offer, also)]


def _said(offer: Offer, speaker: Speaker) -> Canonical:
    found = (
        *_head(offer, speaker), *_answers(offer, speaker), *_prices(offer, speaker), *_bound(offer, speaker),
        *_contract(offer, speaker), *_end(offer, speaker), *_form(offer, speaker),
    )
    return [
        {"kind": kind, "item": item, "label": _spaced(label), "value": _spaced(value)}
        for kind, item, label, value in found
    ]


def _again(offer: Offer, speaker: Speaker) -> Canonical:
    head = {"kind": "also", "item": ALSO, "label": speaker.say("This offer in English"), "value": ""}
    return [head, *({**line, "kind": "also", "item": f"{ALSO}{line['item']}"} for line in _said(offer, speaker))]


def digest(lines: Sequence[Mapping[str, str]]) -> bytes:
    """SHA-256 of the list as canonical JSON (sorted keys, no spaces, UTF-8)."""
    return hashlib.sha256(canonical_json(list(lines))).digest()


Found = Iterator[tuple[str, str, str, str]]


def _head(offer: Offer, speaker: Speaker) -> Found:
    say, company = speaker.say, offer.company
    yield "title", "title", say("Offer"), f"{offer.number}/{offer.version}"
    yield "company", "name", say("Company"), company.get("name", "")
    for key, label in (("tax_id", "Tax number"), ("address", "Address"), ("phone", "Telephone"), ("email", "E-mail")):
        if company.get(key):
            yield "company", key, say(label), company[key]
    yield "customer", "customer", say("Customer"), offer.customer
    yield "customer", "number", say("Your telephone"), offer.phone
    yield "customer", "date", say("Date"), speaker.day(offer.written_at)
    yield "customer", "valid_until", say("Valid until"), speaker.moment(offer.valid_until)


def _answers(offer: Offer, speaker: Speaker) -> Found:
    for label, value in offer.answers.get(speaker.locale, ()):
        yield "field", "field", label, value


def _prices(offer: Offer, speaker: Speaker) -> Found:
    for line in offer.lines:
        yield "line", "line", line.label, _priced(line, speaker)
    for period in (Period.once, Period.month):
        if any(line.period is period for line in offer.lines):
            yield from _summed(summed(offer.lines, period), period, speaker)


def _priced(line: Line, speaker: Speaker) -> str:
    values = {
        "quantity": line.quantity, "unit": speaker.money(line.unit_minor), "net": speaker.money(line.net),
        "tax": speaker.percent(line.tax_bp),
    }
    said = (
        speaker.say("%(quantity)s × %(unit)s = %(net)s a month, plus %(tax)s tax", **values)  # noqa: RUF001
        if line.period is Period.month
        else speaker.say("%(quantity)s × %(unit)s = %(net)s once, plus %(tax)s tax", **values)  # noqa: RUF001
    )
    if line.list_minor is None or line.list_minor <= line.unit_minor:
        return said
    return f"{said} {speaker.say('(our list price: %(price)s)', price=speaker.money(line.list_minor))}"


def _summed(sum_: Sum, period: Period, speaker: Speaker) -> Found:
    say, month = speaker.say, period is Period.month
    yield "tax", "net", say("Monthly, without tax") if month else say("Once, without tax"), speaker.money(sum_.net)
    for tax in sum_.taxes:
        values = {"rate": speaker.percent(tax.rate_bp), "base": speaker.money(tax.base)}
        yield "tax", "tax", say("Tax %(rate)s on %(base)s", **values), speaker.money(tax.amount)
    label = say("Total each month with tax") if month else say("Total once with tax")
    yield "total", f"total_{period.value}", label, speaker.money(sum_.total)


def _bound(offer: Offer, speaker: Speaker) -> Found:
    """What binds, and how one gets out of it."""
    say, company, terms = speaker.say, offer.company, offer.terms
    reach = ", ".join(company[key] for key in ("email", "phone", "address") if company.get(key))
    yield "term", "bound", say("When you are bound"), say(
        "This offer binds you only once you have signed it. Until then you owe nothing, whatever was said on the "
        "telephone."
    )
    yield "term", "withdrawal", say("Right of withdrawal"), say(
        "You may withdraw from the contract within %(days)s calendar days of signing it, without giving reasons and at "
        "no cost. A plain statement is enough: %(reach)s.", days=WITHDRAWAL_DAYS, reach=reach,
    )
    yield "term", "withdrawal_form", say("Withdrawal form"), say(
        "You may use the form at the end of this offer; you do not have to."
    )
    if terms.return_cost is not None:
        yield "term", "return_cost", say("Sending back"), say(_RETURNS[terms.return_cost])
    if offer.early and terms.express and offer.signed_with:
        yield "term", "express", say("Your express request"), say(
            "You ask that the service begins before the time to withdraw is over. If you then withdraw, you pay for "
            "what was provided until then, in proportion to the whole."
        )
    elif offer.early and terms.express:
        # Signing alone is no express request (Directive 2011/83/EU articles 7(3), 8(8), 16(a), not read again): where
        # the ceremony is ours it has a box of its own, and who leaves it empty is served later.
        yield "term", "express", say("Your express request"), say(
            "If you tick the box for it when you sign, the service begins before the time to withdraw is over. If you "
            "then withdraw, you pay for what was provided until then, in proportion to the whole; once the service has "
            "been fully performed you can withdraw no longer."
        )
        yield "term", "later_start", say("Without that request"), say(
            "The service begins once the time to withdraw is over."
        )


_RETURNS = {
    "company": "If you withdraw, we pay for sending the goods back.",
    "customer": "If you withdraw, you pay the direct cost of sending the goods back.",
    "nothing": "Nothing is delivered that would have to be sent back.",
}


def _contract(offer: Offer, speaker: Speaker) -> Found:
    """How long, from when, and under which conditions."""
    say, terms = speaker.say, offer.terms
    if terms.months is not None and (offer.monthly or terms.months):
        least = str(terms.months) if terms.months else say("no minimum")
        yield "term", "months", say("Minimum duration, in months"), least
    if terms.starts_in_days == 0:
        yield "term", "start", say("Start of the service"), say("On the day you sign")
    elif terms.starts_in_days is not None:
        yield "term", "start", say("Start of the service, days after signing at the latest"), str(terms.starts_in_days)
    for item, (label, wanted) in _TEXTS.items():
        text = getattr(terms, item).get(speaker.locale, "")
        if text and wanted(offer):
            yield "term", item, say(label), text


_TEXTS: Mapping[str, tuple[str, Callable[[Offer], bool]]] = {
    "payment": ("Payment and delivery", lambda offer: True),
    "leaving": ("If you leave earlier", lambda offer: bool(offer.terms.months)),
    "renewal": ("After the minimum duration", lambda offer: offer.monthly),
    "guarantee": ("Guarantee", lambda offer: True),
    "complaints": ("Complaints", lambda offer: True),
}
"""The campaign's own texts: their label, and whether they are about this offer."""


def _end(offer: Offer, speaker: Speaker) -> Found:
    say, company = speaker.say, offer.company
    if company.get("privacy_url"):
        yield "term", "data_protection", say("Data protection"), say(
            "%(company)s uses your data to make this contract and to fulfil it. What is done with them, and what "
            "rights you have, stands here: %(url)s", company=company["name"], url=company["privacy_url"],
        )
    yield "term", "language", say("Language of the contract"), say("English")
    yield "term", "signature", say("Signature"), say(
        "Electronic signature with %(provider)s, which keeps the proof of it.", provider=offer.signed_with
    ) if offer.signed_with else say(
        "Simple electronic signature with reinforced evidence (one-time code by text message) and the company's seal."
    )
    yield "term", "reference", say("Reference"), f"{offer.number}/{offer.version}"
    if offer.request is not None:
        yield "term", "request", say("Your request"), str(offer.request)
    if offer.call is not None and offer.agent is not None:
        yield "term", "call", say("Telephone call"), say(
            "number %(call)s, with our agent %(agent)s", call=offer.call, agent=offer.agent
        )


def _form(offer: Offer, speaker: Speaker) -> Found:
    """The model form for withdrawing: Directive 2011/83/EU annex I.B (its words: to be compared by counsel)."""
    say, company = speaker.say, offer.company
    reach = ", ".join(company[key] for key in ("name", "address", "email") if company.get(key))
    yield "form", "form", say("Model withdrawal form"), say(
        "Complete and return this form only if you wish to withdraw from the contract."
    )
    yield "form", "form.to", say("To"), reach
    yield "form", "form.contract", say(
        "I/We (*) hereby give notice that I/We (*) withdraw from my/our (*) contract of sale of the following goods "
        "(*) / for the provision of the following service (*)"
    ), f"{offer.number}/{offer.version}"
    yield "form", "form.date", say("Ordered on (*) / received on (*)"), ""
    yield "form", "form.name", say("Name of consumer(s)"), offer.customer
    yield "form", "form.address", say("Address of consumer(s)"), ""
    yield "form", "form.signature", say("Signature of consumer(s) (only if this form is notified on paper)"), ""
    yield "form", "form.day", say("Date"), ""
    yield "form", "form.delete", say("(*) Delete as appropriate."), ""


def _spaced(text: str) -> str:
    """Two kinds of space only, the plain and the unbreakable: an amount stays with its currency on page and paper."""
    return "".join("\u00a0" if char != " " and unicodedata.category(char) == "Zs" else char for char in text)


_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are no writing: control, format (the bidirectional overrides among them), surrogates, private
use, unassigned, line and paragraph separators."""


def unwritable(char: str) -> bool:
    """Whether the character is no writing."""
    return unicodedata.category(char) in _REFUSED


def character(char: str) -> str:
    """A character's number and name, e.g. "U+1F600 GRINNING FACE"."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'WITHOUT A NAME')}"


def readable(text: str, pointer: str, longest: int) -> str:
    """The text in Unicode's composed form, spaces tidied. Raises Invalid: empty, too long, or a character that is no
    writing, by name."""
    if len(text) > 4 * longest:
        raise Invalid("This should be at most %(longest)s characters long.", pointer=pointer, longest=longest)
    for char in text:
        if unwritable(char):
            raise Invalid(
                "This character cannot stand in an offer: %(character)s.", pointer=pointer, character=character(char)
            )
    tidy = " ".join(unicodedata.normalize("NFC", text).split())
    if not tidy:
        raise Invalid("Nothing stands here yet.", pointer=pointer)
    if len(tidy) > longest:
        raise Invalid("This should be at most %(longest)s characters long.", pointer=pointer, longest=longest)
    return tidy
