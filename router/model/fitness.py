"""Fitness: what an offer must say before it may be frozen, by country, as dated data with its sources.

What is asked is looked for in the very list page and PDF are made from, so what is missing there cannot hide. A pack is
a file of `router/offer_packs`: data for a lawyer, not law. What is not `verified` is the strict reading.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from router.model.offers import ALSO, Offer

FOLDER = Path(__file__).parents[1] / "offer_packs"
STANDARD = "standard"
When = Literal["always", "once", "monthly", "committed", "early", "called"]


class WrongOfferPack(ValueError):
    """The file, and what is wrong with it."""


class Need(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing an offer says: `item` names the line of the canonical list. `when`: in every offer; where something is
    paid once, or monthly; where there is a minimum duration; where the service begins while one may withdraw; where it
    was made in a call."""

    id: str
    item: str
    words: str
    source: str
    verified: bool
    when: When = "always"


class OfferPack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One country's needs in one version. `in_force` and `expires` are its first and its last day, `reviewer` is ""
    while nobody has compared it with the law. An offer stands in one of the `languages` too (none: in any)."""

    key: str
    version: int
    about: str
    in_force: date
    expires: date
    reviewer: str = ""
    extends: str = ""
    languages: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()


class Mend(msgspec.Struct, frozen=True):
    """What is said of a line that is missing, and where it can be mended: a pointer into what the agent writes
    (/lines, /terms, /customer), or into the campaign's file (/campaign)."""

    sentence: str
    pointer: str


@dataclass(frozen=True)
class Lack:
    """What an offer does not say in the language `locale`, and the need that asks for it."""

    need: Need
    mend: Mend
    locale: str


MENDS: Mapping[str, Mend] = {
    "name": Mend("The campaign's file does not say the company's name.", "/campaign/company/name"),
    "tax_id": Mend("The campaign's file does not say the company's tax number.", "/campaign/company/tax_id"),
    "address": Mend("The campaign's file does not say the company's address.", "/campaign/company/address"),
    "phone": Mend("The campaign's file does not say the company's telephone.", "/campaign/company/phone"),
    "email": Mend("The campaign's file does not say the company's e-mail address.", "/campaign/company/email"),
    "customer": Mend("Write the customer's name.", "/customer"),
    "valid_until": Mend("Say until when the offer is valid.", "/validity"),
    "line": Mend("Write at least one line.", "/lines/0/label"),
    "total_once": Mend("There is no total with tax of what is paid once.", "/lines"),
    "total_month": Mend("There is no total with tax of what is paid each month.", "/lines"),
    "months": Mend("Say the minimum duration in months; 0 for none.", "/terms/months"),
    "leaving": Mend(
        "The campaign's file does not say in this language what leaving early costs.", "/campaign/terms/leaving"
    ),
    "renewal": Mend(
        "The campaign's file does not say in this language what happens after the minimum duration.",
        "/campaign/terms/renewal",
    ),
    "payment": Mend(
        "The campaign's file does not say in this language how one pays and how it is delivered.",
        "/campaign/terms/payment",
    ),
    "start": Mend("Say how many days after signing the service starts; 0 for that day.", "/terms/starts_in_days"),
    "express": Mend(
        "The service starts while the customer may still withdraw: tick that he expressly asks for it, or let it start "
        "later.", "/terms/express",
    ),
    "return_cost": Mend("Say who pays for sending goods back.", "/terms/return_cost"),
    "guarantee": Mend(
        "The campaign's file does not say in this language what is guaranteed.", "/campaign/terms/guarantee"
    ),
    "complaints": Mend(
        "The campaign's file does not say in this language where one complains.", "/campaign/terms/complaints"
    ),
    "data_protection": Mend(
        "The campaign's file does not say where its privacy policy stands.", "/campaign/company/privacy_url"
    ),
    "call": Mend("The call in which this quote was made is not known.", "/call"),
    "bound": Mend("The offer does not say that only signing binds.", "/campaign"),
    "withdrawal": Mend("The offer does not say how one withdraws.", "/campaign"),
    "withdrawal_form": Mend("The offer does not speak of the withdrawal form.", "/campaign"),
    "form": Mend("The model withdrawal form is not attached.", "/campaign"),
    "language": Mend("The offer does not say its language.", "/campaign"),
    "reference": Mend("The offer does not say its reference.", "/campaign"),
}  # fmt: skip
"""By item. The last ones are always there; if one day they are not, the offer is not sent."""

WRONG_LANGUAGE = Mend("The law asks for this offer in another language too.", "/campaign/locale")
_LANGUAGE = Need(id="languages", item="language", words="It stands in one of the pack's languages.", source="the pack",
                 verified=False)


def lacks(offer: Offer, lines: Sequence[Mapping[str, str]], locale: str, pack: OfferPack, also: str = "") -> list[Lack]:
    """What is missing in the offer as `lines` say it, in the order of the pack. `also` is the second language they
    stand in, if any: there nothing may be missing either."""
    said = {line["item"] for line in lines if line["value"].strip()}
    found = list(_lacking(offer, said, locale, pack))
    if also:
        second = {item.removeprefix(ALSO) for item in said if item.startswith(ALSO)}
        first = {one.need.id for one in found}
        found += [one for one in _lacking(offer, second, also, pack) if one.need.id not in first]
    if pack.languages and not {locale, also} & set(pack.languages):
        found.append(Lack(_LANGUAGE, WRONG_LANGUAGE, locale))
    return found


def _lacking(offer: Offer, said: set[str], locale: str, pack: OfferPack) -> Iterator[Lack]:
    for need in pack.needs:
        if need.item not in said and _asked(offer, need.when):
            yield Lack(need, MENDS[need.item], locale)


def _asked(offer: Offer, when: When) -> bool:
    return {
        "always": True, "once": any(line.period == "once" for line in offer.lines), "monthly": offer.monthly,
        "committed": bool(offer.terms.months), "early": offer.early, "called": offer.call is not None,
    }[when]


def other_language(locale: str, pack: OfferPack) -> str:
    """The language an offer in this one must stand in too; "" if none."""
    return "" if not pack.languages or locale in pack.languages else pack.languages[0]


def pack_of(country: str, day: date) -> OfferPack:
    """The pack of a country (ISO 3166) that is in force on this day, else the standard one."""
    found = shipped().get(country)
    return found if found is not None and found.in_force <= day <= found.expires else shipped()[STANDARD]


@cache
def shipped() -> Mapping[str, OfferPack]:
    """The packs that come with the program, by key. Raises WrongOfferPack."""
    return read({path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))})


def read(texts: Mapping[str, str]) -> dict[str, OfferPack]:
    """The packs of these files, by key. Raises WrongOfferPack."""
    plain = {name.removesuffix(".toml"): _read_one(name, text) for name, text in texts.items()}
    return {key: _whole(pack, plain) for key, pack in plain.items()}


def _read_one(name: str, text: str) -> OfferPack:
    try:
        pack = msgspec.convert(tomllib.loads(text), OfferPack)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WrongOfferPack(f"{name}: {error}") from error
    if f"{pack.key}.toml" != name:
        raise WrongOfferPack(f"{name}: its key is {pack.key!r}, not the file's name")
    for need in pack.needs:
        if need.item not in MENDS:
            raise WrongOfferPack(f"{name}: {need.id}: an offer has no {need.item!r}")
        if not (need.words.strip() and need.source.strip()):
            raise WrongOfferPack(f"{name}: {need.id}: it needs words and a source")
    return pack


def _whole(pack: OfferPack, plain: Mapping[str, OfferPack]) -> OfferPack:
    """The pack with what it extends; its own need of an item stands in the place of the other's."""
    if not pack.extends:
        return pack
    base = plain.get(pack.extends)
    if base is None or base.extends:
        raise WrongOfferPack(f"{pack.key}.toml: extends: there is no plain pack {pack.extends!r}")
    own = {need.item for need in pack.needs}
    return msgspec.structs.replace(pack, needs=(*pack.needs, *(one for one in base.needs if one.item not in own)))
