"""What people read exists in every language: templates, the sentences of errors, and one translation of each."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from router import findings
from router.model import elsewhere, errors, fitness
from router.model.forms import KINDS
from router.paths import TEMPLATES
from router.wording import LOCALES, brief, city, clock, country, moment, money, wording

Key = tuple[str | None, str]

ROUTER = Path(errors.__file__).parents[1]
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.HouseError)}
MAKERS = [("**.html", "jinja2.ext:babel_extract"), ("**.txt", "jinja2.ext:babel_extract")]

TRANSLATED = LOCALES[1:]

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€"
)
"""The alphabet of GSM 03.38 with its extension. A message with any other character is sent in UCS-2."""


FAULTS = (
    {fault for _, fault in KINDS.values()} | set(elsewhere.FAULTS.values())
    | {mend.sentence for mend in (*fitness.MENDS.values(), fitness.WRONG_LANGUAGE)}
    | {findings.DOUBT} | {said for kind in (findings.TITLES, findings.SENTENCES, findings.ANYWHERE, findings.UNSEEN)
                          for said in kind.values()}
)


def segments(text: str) -> int:
    """In how many parts a text message is sent, and paid."""
    if set(text) <= GSM:
        length, alone, part = len(text) + sum(char in "^{}\\[~]|€" for char in text), 160, 153
    else:
        length, alone, part = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if length <= alone else -(-length // part)


NOT_OURS = {
    "what.rstrip('.') + '.'",  # the reader's own words on a body that a program has written
    "fault",  # of an answer, or of a quote: see FAULTS
    "faults",  # each has a sentence of its own
    "one.mend.sentence",  # of what an offer lacks: see FAULTS
    "[Invalid(one.mend.sentence, pointer=one.mend.pointer) for one in lacking]",  # each has a sentence of its own
    "[_placed(fault, place) for fault in faults]",  # likewise
    "fault.sentence",  # of an error made elsewhere, with another pointer
    "UNROUTED.get(error.status, f'{phrase}.')",  # HTTP's own names for what no door of ours answers
}


@cache
def translated(locale: str) -> dict[Key, list[Message]]:
    found: dict[Key, list[Message]] = defaultdict(list)
    for path in _catalogues(locale):
        with path.open("rb") as file:
            for message in read_po(file, locale=locale):
                if message.id:
                    found[message.context, _first(message.id)].append(message)
    return found


def _catalogues(locale: str) -> list[Path]:
    return sorted((TEMPLATES / "locale" / locale).glob("*.po"))


def _first(words: str | list[str] | tuple[str, ...]) -> str:
    return words if isinstance(words, str) else words[0]


def _all(words: str | list[str] | tuple[str, ...]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _places(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text)) | set(re.findall(r"(?<![{%])\{(\w+)\}", text))


@cache
def in_templates() -> list[tuple[str, Key]]:
    options = {"**": {"encoding": "utf-8"}}
    found = extract_from_dir(TEMPLATES, method_map=MAKERS, options_map=options)
    return [(f"{name}:{line}", (context, _first(words))) for name, line, words, _, context in found]


def _sentence(node: ast.expr, constants: dict[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return constants.get(node.id) if isinstance(node, ast.Name) else None


def _constants(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@cache
def in_errors() -> list[tuple[str, str | None, str]]:
    """Where an error of the house is made, its sentence (None when it is put together there), and the source of it."""
    return list(_made_errors())


def _made_errors() -> Iterator[tuple[str, str | None, str]]:
    trees = {path: ast.parse(path.read_text()) for path in sorted(ROUTER.rglob("*.py"))}
    constants = {name: text for tree in trees.values() for name, text in _constants(tree).items()}
    for path, tree in trees.items():
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == errors.__name__
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and _makes_an_error(node.func, names):
                place = f"{path.relative_to(ROUTER)}:{node.lineno}"
                yield place, _sentence(node.args[0], constants), ast.unparse(node.args[0])


def _makes_an_error(called: ast.expr, names: set[str]) -> bool:
    if isinstance(called, ast.Attribute):
        return ast.unparse(called.value) == "errors" and called.attr in ERRORS
    return isinstance(called, ast.Name) and called.id in names & ERRORS


@pytest.mark.parametrize("locale", TRANSLATED)
def test_every_text_of_a_template_is_translated(locale: str) -> None:
    known = translated(locale)
    found = in_templates()
    assert len(found) > 300
    missing = [f"{place}: {key[1]!r}" for place, key in found if key not in known]
    assert not missing, f"These have no translation to {locale}:\n" + "\n".join(missing)


def test_every_sentence_of_an_error_is_a_constant() -> None:
    found = in_errors()
    assert len(found) > 60
    put_together = [f"{place}: {source}" for place, said, source in found if said is None and source not in NOT_OURS]
    assert not put_together, "A sentence must be a constant to be translated:\n" + "\n".join(put_together)


@pytest.mark.parametrize("locale", TRANSLATED)
def test_every_sentence_of_an_error_is_translated(locale: str) -> None:
    known = translated(locale)
    said_somewhere = [(place, said) for place, said, _ in in_errors()] + [("model", said) for said in FAULTS]
    missing = [f"{place}: {said!r}" for place, said in said_somewhere if said is not None and (None, said) not in known]
    assert not missing, f"These have no translation to {locale}:\n" + "\n".join(missing)


FORMS = {"es": 2, "it": 2, "ru": 3}
"""How many forms a counted sentence is written in. Unicode knows one more for millions in Spanish and Italian."""


@pytest.mark.parametrize("locale", TRANSLATED)
def test_no_translation_is_empty_or_doubtful_and_each_keeps_the_places_of_its_values(locale: str) -> None:
    forms = FORMS[locale]
    for (_, words), messages in translated(locale).items():
        for message in messages:
            texts = _all(message.string or "")
            assert all(text.strip() for text in texts), f"{locale}: {words!r} is not translated"
            assert not message.fuzzy, f"{locale}: {words!r} is marked as doubtful"
            assert len(texts) == (forms if message.pluralizable else 1), f"{locale}: {words!r} lacks a plural form"
            wanted = _places(_all(message.id)[-1])
            for number, text in enumerate(texts):
                # A form for one alone may say its number in words; in Russian that form is also for 21.
                said_in_words = message.pluralizable and number == 0 and forms == 2
                given = _places(text) | ({"count", "num"} & wanted if said_in_words else set())
                assert given == wanted, f"{locale}: {words!r} loses or invents a value"


@pytest.mark.parametrize("locale", TRANSLATED)
def test_no_sentence_is_translated_twice(locale: str) -> None:
    twice = [words for (_, words), messages in translated(locale).items() if len(messages) > 1]
    assert not twice, f"{locale}: translated in two catalogues, one of them unread: {twice}"


def test_every_language_has_the_same_catalogues_with_the_same_sentences() -> None:
    first, *others = TRANSLATED
    for other in others:
        assert [path.name for path in _catalogues(other)] == [path.name for path in _catalogues(first)]
        assert translated(other).keys() == translated(first).keys()


@pytest.mark.parametrize("locale", TRANSLATED)
def test_each_catalogue_says_its_language_and_its_plural_rule(locale: str) -> None:
    for path in _catalogues(locale):
        with path.open("rb") as file:
            catalogue = read_po(file)
        assert str(catalogue.locale) == locale, path
        if any(message.pluralizable for message in catalogue if message.id):
            assert catalogue.num_plurals == FORMS[locale], path


@pytest.mark.parametrize(("count", "said"), [
    (1, "осталась 1 попытка"), (2, "осталось 2 попытки"), (5, "осталось 5 попыток"), (11, "осталось 11 попыток"),
    (21, "осталась 21 попытка"),
])
def test_russian_counts_as_russian_does(count: int, said: str) -> None:
    pages = wording()._pages["ru"]
    template = pages.from_string(
        "{% trans count=count %}You have one more try with this code.{% pluralize %}"
        "You have {{ count }} more tries with this code.{% endtrans %}"
    )
    assert said in template.render(count=count)


@pytest.mark.parametrize(("locale", "said"), [
    ("en", "Monday, December 7, 2026, 13:00 CET"), ("es", "lunes, 7 de diciembre de 2026, 13:00 CET"),
    ("it", "lunedì 7 dicembre 2026, 13:00 CET"), ("ru", "понедельник, 7 декабря 2026\u202fг., 13:00 CET"),  # noqa: RUF001
])
def test_a_promised_time_is_said_as_people_say_it_with_its_zone(locale: str, said: str) -> None:
    assert moment(datetime(2026, 12, 7, 12, tzinfo=UTC), "Europe/Madrid", locale) == said


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(("template", "most"), [
    ("sms/code.txt", 3), ("sms/offer.txt", 3), ("sms/copy.txt", 3), ("sms/announcement.txt", 3),
    ("sms/announcement_moved.txt", 3),
    ("sms/handout.txt", 3),
    ("sms/countersigned.txt", 3), ("sms/not_countersigned.txt", 3),
])
def test_a_text_message_stays_short_in_every_language(template: str, most: int, locale: str) -> None:
    what = "123456" if "code" in template else "https://hablemos.luzclara.example/q/" + "x" * 22
    said = wording().text(
        template, locale, what=what, number="2026-0007", company="Luz Clara SL", amount=money(12990, "EUR", locale),
        phone="+34 910 00 00 00", host="hablemos.luzclara.example", caller="+34 910 00 00 00",
        when=brief(datetime(2026, 12, 7, 12, tzinfo=UTC), "Europe/Madrid", locale),
        why=wording().say("details you gave could not be confirmed", locale),
    )
    assert segments(said) <= most, (segments(said), said)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_mail_is_the_same_as_text_and_as_a_page_and_escapes_everything(locale: str) -> None:
    evil = '<script>alert("x")</script>'
    company = dict.fromkeys(("name", "brand", "address", "phone", "phone_shown", "privacy_url"), evil)
    subject, text, html = wording().mail(
        "letter", locale, company=company, subject=f"Hola\r\nBcc: x@y.example {evil}", paragraphs=[evil, "{{ 7 * 7 }}"],
        label=evil, action='http://x/"><b>', unsubscribe="http://x/u/abc",
    )
    assert subject == f"Hola Bcc: x@y.example {evil}"
    assert evil in text
    assert "http://x/u/abc" in text
    assert "<script>" not in html
    assert '"><b>' not in html
    assert 'href="http://x/u/abc"' in html
    assert f'lang="{locale}"' in html
    assert "{{ 7 * 7 }}" in text
    assert "{{ 7 * 7 }}" in html


def test_a_mail_that_is_no_offer_says_nothing_of_ending_them() -> None:
    company = dict.fromkeys(("name", "brand", "address", "phone", "phone_shown", "privacy_url"), "")
    said = wording().mail("letter", "en", company=company, subject="Hi", paragraphs=["Hi"], unsubscribe="")
    assert "offers" not in "".join(said)


def test_zones_countries_and_times_are_told_as_people_know_them() -> None:
    at = datetime(2026, 12, 7, 12, 0, 30, tzinfo=UTC)
    assert [city("America/New_York", one) for one in ("en", "es", "ru")] == ["New York", "Nueva York", "Нью-Йорк"]
    assert city("", "es") == ""
    assert [country("ES", one) for one in ("en", "es", "it")] == ["Spain (ES)", "España (ES)", "Spagna (ES)"]
    assert country("house", "es") == "house"
    assert clock(at, "Europe/Madrid", "es") == "13:00:30 CET"
