"""What an offer must say before it may be sent: found in the very lines page and PDF are made from."""

from dataclasses import replace
from datetime import date

import msgspec
import pytest

from router.actions.offering import Speaker
from router.model import fitness
from router.model.fitness import MENDS, WrongOfferPack, lacks, other_language, pack_of, read, shipped
from router.model.money import Line, Period
from router.model.offers import ALSO, Offer, canonical
from router.model.terms import Terms
from router.wording import LOCALES, wording
from tests.making import COMPANY, TERMS
from tests.model.test_offers import OFFER

DAY = date(2026, 11, 28)
SPAIN = pack_of("ES", DAY)
FULL = replace(
    OFFER, company=COMPANY, terms=msgspec.convert({**TERMS, "months": 12, "starts_in_days": 3, "express": True}, Terms),
    request=7, call=8, agent=9,
)


def missing(offer: Offer, locale: str = "es", also: str = "") -> set[str]:
    lines = canonical(offer, speaker(locale), speaker(also) if also else None)
    return {lack.mend.pointer for lack in lacks(offer, lines, locale, SPAIN, also)}


def speaker(locale: str) -> Speaker:
    return Speaker(locale, "EUR", "Europe/Madrid")


def without(**terms: object) -> Offer:
    return replace(FULL, terms=msgspec.structs.replace(FULL.terms, **terms))


def test_a_whole_offer_lacks_nothing() -> None:
    assert missing(FULL) == set()


@pytest.mark.parametrize(
    ("offer", "pointers"),
    [
        (replace(FULL, company={"name": "Luz"}), {f"/campaign/company/{key}" for key in (
            "tax_id", "address", "phone", "email", "privacy_url")}),
        (replace(FULL, customer=" "), {"/customer"}),
        (replace(FULL, lines=[]), {"/lines/0/label"}),
        (without(months=None), {"/terms/months"}),
        (without(starts_in_days=None), {"/terms/starts_in_days"}),
        (without(express=False), {"/terms/express"}),
        (without(express=False, starts_in_days=14), set()),
        (without(return_cost=None), {"/terms/return_cost"}),
        (without(leaving={}), {"/campaign/terms/leaving"}),
        (without(leaving={}, months=0), set()),
        (without(payment={"en": "Cash."}), {"/campaign/terms/payment"}),
        (without(renewal={}, guarantee={}, complaints={}),
         {"/campaign/terms/renewal", "/campaign/terms/guarantee", "/campaign/terms/complaints"}),
        (replace(FULL, agent=None), {"/call"}),
        (replace(FULL, call=None, agent=None), set()),
        (replace(FULL, lines=[Line("Alta", 1, 1, 0, Period.once)], terms=msgspec.structs.replace(
            FULL.terms, months=None, renewal={})), set()),
    ],
)
def test_what_is_missing_is_named_at_the_place_where_it_can_be_mended(offer: Offer, pointers: set[str]) -> None:
    assert missing(offer) == pointers


@pytest.mark.parametrize("item", sorted({need.item for need in SPAIN.needs}))
def test_every_need_is_missed_when_its_line_is_gone(item: str) -> None:
    lines = [line for line in canonical(FULL, speaker("es")) if line["item"] != item]
    assert [lack.need.item for lack in lacks(FULL, lines, "es", SPAIN)] == [item]


def test_an_offer_in_another_language_stands_in_spanish_too() -> None:
    assert other_language("ru", SPAIN) == "es"
    assert missing(FULL, "ru") == {"/campaign/locale"}
    assert missing(FULL, "ru", "es") == set()
    assert missing(without(payment={"ru": "Картой."}), "ru", "es") == {"/campaign/terms/payment"}
    lines = canonical(FULL, speaker("ru"), speaker("es"))
    spanish = [line for line in lines if line["item"].startswith(ALSO)][1:]
    alone = canonical(FULL, speaker("es"))
    assert [(line["label"], line["value"]) for line in spanish] == [(line["label"], line["value"]) for line in alone]


@pytest.mark.parametrize("locale", LOCALES[1:])
def test_nothing_of_an_offer_is_left_in_english(locale: str) -> None:
    whole = replace(FULL, lines=[Line("Fibra", 1, 100, 0, Period.month, "", 200), Line("Alta", 1, 100, 0)])
    english, said = (canonical(whole, speaker(one)) for one in ("en", locale))
    same = {a["item"] for a, b in zip(english, said, strict=True) if a["label"] == b["label"]}
    assert same <= {"line", "email"}
    texts = {a["item"] for a, b in zip(english, said, strict=True) if a["value"] == b["value"]}
    own = {need.item for need in SPAIN.needs} - set(COMPANY) - {"customer", "reference", "months", "start", "form",
                                                              "leaving", "name"}
    assert not texts & own


@pytest.mark.parametrize("locale", LOCALES[1:])
def test_every_complaint_is_said_in_every_language(locale: str) -> None:
    for mend in MENDS.values():
        assert wording().say(mend.sentence, locale) != mend.sentence


def test_a_pack_that_is_not_in_force_gives_way_to_the_strict_one() -> None:
    assert pack_of("ES", DAY).key == "ES"
    assert pack_of("ES", date(2028, 1, 1)).key == "standard"
    assert pack_of("PT", DAY).key == "standard"
    assert {need.item for need in SPAIN.needs} >= {need.item for need in shipped()["standard"].needs}


def test_what_nobody_has_read_is_not_called_verified() -> None:
    for pack in shipped().values():
        assert pack.reviewer == ""
        for need in pack.needs:
            doubtful = any(word in need.source for word in ("prior", "not read", "not verified", "strict", "press"))
            assert need.verified is not doubtful, need.id


GOOD = 'key = "XX"\nversion = 1\nabout = "a"\nin_force = 2026-01-01\nexpires = 2027-01-01\n'
NEED = '[[needs]]\nid = "a"\nitem = "line"\nwords = "w"\nsource = "s"\nverified = false\n'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("YY.toml", GOOD, "not the file's name"), ("XX.toml", "key = ", "XX.toml"),
        ("XX.toml", GOOD + 'extends = "no"', "no plain pack"), ("XX.toml", GOOD + "surprise = 1", "surprise"),
        ("XX.toml", GOOD + NEED.replace('"line"', '"soul"'), "an offer has no 'soul'"),
        ("XX.toml", GOOD + NEED.replace('"w"', '" "'), "words and a source"),
        ("XX.toml", GOOD + NEED + 'when = "maybe"', "maybe"),
    ],
)
def test_a_wrong_pack_is_refused_with_a_reason(name: str, text: str, said: str) -> None:
    with pytest.raises(WrongOfferPack, match=said):
        read({name: text})
    assert set(fitness.read({"XX.toml": GOOD + NEED})) == {"XX"}
