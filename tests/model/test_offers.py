"""The canonical offer: what may be written in it, and that it says everything."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from router.actions.offering import Speaker
from router.model.errors import Invalid
from router.model.money import Line, Period
from router.model.offers import Offer, canonical, digest, readable
from router.wording import LOCALES

OFFER = Offer(
    number="2026-0007", version=2, customer="Carmen Ruiz", phone="+12025550101",
    company={"name": "Luz Clara SL", "address": "Calle Mayor 1", "phone": "+34910000000", "email": "a@b.example"},
    lines=[Line("Fibra", 2, 2471, 2100, Period.month), Line("Alta", 1, 4050, 1000), Line("Descuento", 1, -50, 1000)],
    written_at=datetime(2026, 11, 23, 12, tzinfo=UTC), valid_until=datetime(2026, 12, 7, 12, tzinfo=UTC),
)  # fmt: skip


def test_what_is_empty_and_what_is_too_long_are_told_apart() -> None:
    for text, said in (
        ("  ", "Nothing stands here yet."),
        ("x" * 11, "This should be at most %(longest)s characters long."),
    ):
        with pytest.raises(Invalid) as wrong:
            readable(text, "/name", 10)
        assert (wrong.value.sentence, wrong.value.pointer) == (said, "/name")


@pytest.mark.parametrize("locale", LOCALES)
def test_an_offer_says_who_what_how_much_until_when_and_when_one_is_bound(locale: str) -> None:
    lines = canonical(OFFER, Speaker(locale, "EUR", "Europe/Madrid"))
    said = " ".join(line["value"] for line in lines)
    for word in ("2026-0007/2", "Luz Clara SL", "Calle Mayor 1", "+34910000000", "Carmen Ruiz", "+12025550101", "14"):
        assert word in said
    assert [line["label"] for line in lines if line["kind"] == "line"] == ["Fibra", "Alta", "Descuento"]
    assert len([line for line in lines if line["kind"] == "total"]) == 2
    said_in_terms = {line["item"] for line in lines if line["kind"] == "term"}
    assert {"bound", "withdrawal", "withdrawal_form", "language", "signature", "reference"} == said_in_terms
    assert lines[-1]["item"] == "form.delete"


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_amounts_read_as_people_write_them() -> None:
    lines = canonical(OFFER, Speaker("es", "EUR", "Europe/Madrid"))
    assert any("24,71\u00a0€" in line["value"] for line in lines)
    values = {plain(line["label"]): plain(line["value"]) for line in lines}
    assert values["Fibra"] == "2 × 24,71 € = 49,42 € al mes, más 21 % de IVA"  # noqa: RUF001
    assert values["IVA 21 % sobre 49,42 €"] == "10,38 €"
    assert values["Total al mes con IVA"] == "59,80 €"
    assert values["Pago único con IVA"] == "44,00 €"
    assert values["Válida hasta"] == "lunes, 7 de diciembre de 2026, 13:00 CET"


def test_the_digest_changes_with_every_word() -> None:
    speaker = Speaker("en", "EUR", "Europe/Madrid")
    changed = replace(OFFER, customer="Carmen Ruíz")
    assert digest(canonical(OFFER, speaker)) != digest(canonical(changed, speaker))
    assert digest(canonical(OFFER, speaker)) == digest(canonical(replace(OFFER), speaker))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("abc\u202edef", "U+202E RIGHT-TO-LEFT OVERRIDE"), ("a\u2066b", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("a\x00b", "U+0000"), ("a\nb", "U+000A"), ("a\u200bb", "U+200B ZERO WIDTH SPACE"), ("a\ud800", "U+D800"),
        ("a\ue000", "U+E000"),
    ],
)  # fmt: skip
def test_control_and_bidirectional_characters_are_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(Invalid, match=named.replace("+", r"\+")) as refused:
        readable(text, "/lines/0/label", 200)
    assert refused.value.pointer == "/lines/0/label"


@pytest.mark.parametrize("text", ["", "   ", "x" * 201])
def test_an_empty_or_endless_label_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        readable(text, "/x", 200)


def test_writing_is_composed_and_its_spaces_are_tidied() -> None:
    assert readable("  Jose\u0301\u00a0  Núñez ", "/x", 200) == "José Núñez"
