"""Questions of a campaign: what is a right answer, and what is said of a wrong one."""

import pytest

from router.model.campaigns import Campaign
from router.model.errors import Invalid
from router.model.forms import KINDS, consents, plain, plain_lines, questions, read_answers


def campaign(**values: object) -> Campaign:
    known = {"key": "luz", "name": "Luz", "caller_id": "+34910000000", "sender": "+34910000000", **values}
    return Campaign(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("text", "  Calle\u202e Mayor\t1 ", "Calle Mayor 1"),
        ("number", "1 234,50", "1234.50"),
        ("number", 7, "7"),
        ("date", "2026-11-30", "2026-11-30"),
        ("email", "ana@example.com", "ana@example.com"),
        ("id_number", "12345678-z", "12345678Z"),
        ("id_number", "X2482300W", "X2482300W"),
        ("iban", "ES91 2100 0418 4502 0005 1332", "ES9121000418450200051332"),
        ("supply_point", "ES 1234 1234 5678 9012 JY 0F", "ES1234123456789012JY0F"),
        ("checkbox", True, "yes"),
        ("checkbox", "on", "yes"),
        ("choice", "gas", "gas"),
    ],
)
def test_a_right_answer_is_kept_in_one_form(kind: str, given: object, kept: str) -> None:
    asked = campaign(fields=[{"key": "q", "kind": kind, "choices": {"gas": {"es": "Gas"}}}])
    assert read_answers(asked, {"q": given}) == ({"q": kept}, {})


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text", "x" * 501),
        ("text", ["a"]),
        ("text", {"a": 1}),
        ("number", "1e5"),
        ("number", "٣x"),
        ("date", "30/11/2026"),
        ("email", "ana"),
        ("email", "a" * 65 + "@example.com"),
        ("email", "<b>@example.com"),
        ("id_number", "12345678A"),
        ("iban", "ES91 2100 0418 4502 0005 1333"),
        ("supply_point", "ES1234123456789012JX"),
        ("checkbox", "maybe"),
        ("choice", "coal"),
    ],
)
def test_a_wrong_answer_is_told_at_its_field(kind: str, given: object) -> None:
    asked = campaign(fields=[{"key": "q", "kind": kind, "choices": {"gas": {}}}])
    with pytest.raises(Invalid) as told:
        read_answers(asked, {"q": given})
    assert told.value.pointer == "/fields/q"
    assert told.value.sentence in {fault for _, fault in KINDS.values()}


def test_secret_answers_are_kept_apart_and_missing_ones_are_told() -> None:
    asked = campaign(fields=[{"key": "a", "secret": True}, {"key": "b", "required": True}])
    assert read_answers(asked, {"a": "1", "b": "2"}) == ({"b": "2"}, {"a": "1"})
    with pytest.raises(Invalid, match="answer this question"):
        read_answers(asked, {"a": "1", "b": " \u200b "})


def test_questions_and_consents_speak_the_readers_language_or_the_campaigns() -> None:
    asked = campaign(
        fields=[{"key": "cups", "kind": "supply_point", "labels": {"es": "CUPS", "it": "POD"}}],
        consents=[
            {"purpose": "requested", "version": "4", "texts": {"es": "Que {company} me llame", "ru": "Позвоните"}},
            {"purpose": "commercial", "texts": {"es": "Ofertas"}},
        ],
        company={"name": "Luz SL"},
    )
    assert [questions(asked, locale)[0].label for locale in ("it", "ru")] == ["POD", "CUPS"]
    spanish = consents(asked, "es", lambda sentence, _: sentence)
    assert [(one.purpose, one.version, one.text, one.required) for one in spanish] == [
        ("requested", "4", "Que Luz SL me llame", True), ("commercial", "1", "Ofertas", False),
    ]
    assert consents(asked, "ru", lambda sentence, _: sentence)[0].text == "Позвоните"


def test_a_campaign_without_texts_asks_for_the_call_and_for_offers_in_the_houses_words() -> None:
    said = consents(campaign(), "es", lambda sentence, locale: f"{locale}: {sentence}")
    assert [(one.purpose, one.required) for one in said] == [("requested", True), ("commercial", False)]
    assert said[0].text == "es: I want Luz to call me at this number about my request."


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("e\u0301", "é"),
        ("Ana\u202e\u2066", "Ana"),
        ("\u05d3\u05d5\u05d3", "\u05d3\u05d5\u05d3"),
        ("a\x1b[31mb\n c", "a [31mb c"),
        ("\ufeff\u200d", ""),
    ],
)
def test_a_name_is_shown_as_it_reads(typed: str, shown: str) -> None:
    assert plain(typed) == shown


def test_a_message_keeps_its_lines() -> None:
    assert plain_lines("one \r\n\r\ntwo\u202e\r") == "one\n\ntwo"
