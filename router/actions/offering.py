"""Offering: what an offer is made of, read from the database; what it lacks; and its words, printed and compared."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from router import printing
from router.model import fitness, offers
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import Invalid, ManyInvalid
from router.model.fitness import Lack
from router.model.forms import FIELDS, questions
from router.model.leads import Lead
from router.model.money import Line, Period
from router.model.phone import international
from router.model.quotes import Quote
from router.model.terms import TEXTS, Terms, read_agreed, read_terms, together
from router.model.vault import Vault
from router.store import quotes, signing_accounts
from router.store.db import ReadSession
from router.wording import day, moment, money, rate, wording

IDENTITY = ("name", "address", "phone", "email", "tax_id", "privacy_url")
"""What a company says of itself in an offer."""
LONGEST_TEXT = 2_000
BLOT = "\ufffd"
"""Stands for what a stranger typed and no font of ours can draw."""
SHOWN = 4
"""So many characters of a secret answer are shown at its end, if it has twice as many."""


@dataclass(frozen=True)
class Speaker:
    """`offers.Speaker` in one language, currency and time zone."""

    locale: str
    currency: str
    zone: str

    def say(self, sentence: str, **values: Any) -> str:
        return wording().say(sentence, self.locale, **values)

    def money(self, minor: int) -> str:
        return money(minor, self.currency, self.locale)

    def percent(self, basis_points: int) -> str:
        return rate(basis_points, self.locale)

    def day(self, at: datetime) -> str:
        return day(at.astimezone(ZoneInfo(self.zone)).date(), self.locale)

    def moment(self, at: datetime) -> str:
        return moment(at, self.zone, self.locale)


@dataclass(frozen=True)
class Material:
    """All an offer is made of. `also` speaks the language it must stand in besides its own, if there is one."""

    quote_id: int
    phone: str
    offer: offers.Offer
    speaker: Speaker
    pack: fitness.OfferPack
    also: Speaker | None = None

    def canonical(self) -> offers.Canonical:
        return offers.canonical(self.offer, self.speaker, self.also)

    def lacks(self, lines: offers.Canonical) -> list[Lack]:
        return fitness.lacks(
            self.offer, lines, self.speaker.locale, self.pack, self.also.locale if self.also is not None else ""
        )


@dataclass(frozen=True)
class Prepared:
    """An offer printed and compared, ready to be frozen. `phone` is the number it was made out to."""

    quote_id: int
    phone: str
    canonical: offers.Canonical
    pdf: bytes

    @property
    def pdf_sha256(self) -> bytes:
        return hashlib.sha256(self.pdf).digest()


async def read(session: ReadSession, vault: Vault, quote: Quote, now: datetime) -> Material:
    """What the offer is made of. Raises Invalid naming a character of the campaign's file that cannot be drawn."""
    found = vouched(await quotes.parties(session, quote.lead_id))
    campaign = found.campaign
    pack = fitness.pack_of(campaign.country, now.date())
    other = fitness.other_language(quote.locale, pack)
    languages = [quote.locale, *([other] if other else [])]
    offer = offers.Offer(
        number=quote.number, version=quote.version, customer=quote.customer,
        phone=international(found.contact.phone), company=_identity(campaign), lines=lines_of(quote),
        written_at=quote.created_at, valid_until=quote.valid_until,
        terms=_drawable(together(read_terms(campaign.terms), read_agreed(quote.terms))),
        answers={locale: _answers(vault, campaign, found.lead, locale) for locale in languages},
        request=quote.lead_id, call=quote.call_id, agent=quote.agent_id, signed_with=await _signed_with(session, quote),
    )  # fmt: skip
    first, *second = (Speaker(locale, quote.currency, campaign.timezone) for locale in languages)
    return Material(quote.id, found.contact.phone, offer, first, pack, second[0] if second else None)


async def _signed_with(session: ReadSession, quote: Quote) -> str:
    account = await signing_accounts.chosen(session, quote.campaign_id)
    return account.provider.spoken if account is not None else ""


def lines_of(quote: Quote) -> list[Line]:
    """The quote's lines as values."""
    return [Line(**{**line, "period": Period(line["period"])}) for line in quote.lines]


def _identity(campaign: Campaign) -> dict[str, str]:
    said = {key: str(campaign.company.get(key) or "") for key in IDENTITY if key != "privacy_url"}
    said |= {"phone": international(said["phone"]), "privacy_url": campaign.privacy_url}
    return {key: words(text, f"/campaign/company/{key}", 300) for key, text in said.items() if text}


def _drawable(terms: Terms) -> Terms:
    """The campaign's texts as they may stand in an offer."""
    texts = {
        name: {locale: words(" ".join(text.split()), f"/campaign/terms/{name}", LONGEST_TEXT)
               for locale, text in getattr(terms, name).items()}
        for name in TEXTS
    }
    return msgspec.structs.replace(terms, **texts)


def _answers(vault: Vault, campaign: Campaign, lead: Lead, locale: str) -> list[tuple[str, str]]:
    """The person's answers to the campaign's questions with their labels, secret ones masked, in their order."""
    kept: Mapping[str, Any] = {}
    if lead.sealed_fields is not None:
        kept = msgspec.json.decode(vault.open(FIELDS, lead.sealed_fields), type=dict[str, Any])
    hidden = {one["key"] for one in campaign.fields if not one.get("in_offer", True)}
    said = []
    for question in questions(campaign, locale):
        secret = question.secret or question.key in kept
        answer = str(kept.get(question.key) or lead.fields.get(question.key) or "")
        if answer and question.key not in hidden:
            shown = masked(answer) if secret else question.choices.get(answer, answer)
            said.append((drawn_text(question.label), drawn_text(shown)))
    return said


def masked(answer: str) -> str:
    """A secret answer as it is shown: its last four characters, if it is long enough to hide some."""
    return f"••••{answer[-SHOWN:] if len(answer) >= 2 * SHOWN else ''}"


def drawn_text(text: str) -> str:
    """A stranger's words, with a blot where they cannot be shown: his answer must not keep him from an offer."""
    return "".join(BLOT if offers.unwritable(char) or printing.undrawable(char) else char for char in text)


def words(text: str, pointer: str, longest: int) -> str:
    """The text as it may stand in an offer. Raises Invalid naming the character that may not, or cannot be drawn."""
    tidy = offers.readable(text, pointer, longest)
    missing = printing.undrawable(tidy)
    if missing:
        named = ", ".join(offers.character(char) for char in missing[:5])
        raise Invalid("The offer's font cannot draw %(named)s.", pointer=pointer, named=named)
    return tidy


def fit(material: Material) -> offers.Canonical:
    """The offer's lines. Raises ManyInvalid naming all that is missing, each with the place where it can be mended."""
    lines = material.canonical()
    lacking = material.lacks(lines)
    if lacking:
        raise ManyInvalid([Invalid(one.mend.sentence, pointer=one.mend.pointer) for one in lacking])
    return lines


def prepare(material: Material) -> Prepared:
    """The canonical lines and their PDF. Takes 20 to 100 ms of CPU. Raises ManyInvalid when something is missing,
    Conflict when page and PDF differ."""
    lines, offer = fit(material), material.offer
    pdf = printing.offer(lines, material.speaker.locale, offer.company["name"], offer.written_at)
    return Prepared(material.quote_id, material.phone, lines, pdf)
