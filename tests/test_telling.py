"""The command line tells whoever runs it what to mend, in a sentence."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from router import cli
from router.model.configuration import WrongFile, read
from router.store.db import unreachable

NOWHERE = "postgresql://nobody@127.0.0.1:1/house"
CAMPAIGN = """[[campaigns]]
key = "luz"
name = "Luz"
caller_id = "+34910000000"
sender = "+34910000000"
countries = ["ES"]
keep_address = "full"
"""


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and what was said on standard error."""
    code = cli.main(arguments)
    return code, capsys.readouterr().err


def test_a_database_that_is_not_there_is_named_without_a_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HABLEMOS_SECRET", "a secret of at least thirty-two characters")
    for command in (["doctor"], ["plan"], ["authority", "show"]):
        code, said = told([*command, "--database-url", NOWHERE], capsys)
        assert (code, said.count("\n")) == (2, 1), said
        assert said.startswith("hablemos: the database does not let us in: ")
        assert "HABLEMOS_DATABASE_URL" in said


async def test_a_database_that_is_there_lets_us_in_and_a_wrong_name_is_told(database_url: str) -> None:
    assert await unreachable(database_url) == ""
    place, _, options = database_url.partition("?")
    wrong = place.rpartition("/")[0] + "/no_such_house" + ("?" + options if options else "")
    assert "no_such_house" in await unreachable(wrong)


def test_verify_says_what_to_do_about_what_does_not_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("no PDF at all")
    code, said = told(["verify", str(letter)], capsys)
    assert (code, said) == (1, "This is neither a PDF nor a bundle: nothing could be verified.\n")
    code, said = told(["verify", str(letter), "--root", str(letter)], capsys)
    assert (code, said) == (2, "--root should be a file of certificates in PEM.\n")
    code, said = told(["verify", str(letter), "--language", "es"], capsys)
    assert (code, said) == (1, "No es ni un PDF ni un paquete: no se pudo comprobar nada.\n")
    code, said = told(["verify", str(letter), "--language", "fr"], capsys)
    assert (code, said) == (2, "--language should be one of en, es, it, ru.\n")


def test_verify_says_in_the_words_of_the_page_what_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = tmp_path / "piece.pdf"
    piece.write_bytes(b"%PDF-1.7 and so on")
    assert cli.main(["verify", str(piece), "--language", "es"]) == 1
    assert capsys.readouterr().out == (
        "no se cumple  El sello de la empresa: No se puede leer el documento. Quizá no llegó entero: descárguelo de "
        "nuevo.\n"
    )


@pytest.mark.parametrize(("line", "said"), [
    ('caller_id = "910"', "line 4: Expected a telephone number such as +34910000000 at campaigns[0].caller_id"),
    ('countries = ["Spain"]', "line 6: Expected a country such as ES at campaigns[0].countries[0]"),
    ('keep_address = "all"', "line 7: Expected one of truncated, full, none at campaigns[0].keep_address"),
    ('key = "Luz Clara"', "line 2: Expected small letters, digits, - and _ at campaigns[0].key"),
])
def test_a_wrong_value_in_a_file_is_told_by_what_it_should_be(line: str, said: str) -> None:
    name = line.partition(" ")[0]
    text = "".join(f"{line}\n" if one.startswith(f"{name} ") else one for one in CAMPAIGN.splitlines(keepends=True))
    with pytest.raises(WrongFile) as wrong:
        read(text)
    assert str(wrong.value) == said


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from ((f"{name} {where}".strip(), one) for where, one in options(inner))
        else:
            yield "", action


def test_every_option_of_every_command_says_what_it_is() -> None:
    silent = [f"{where} {action.dest}" for where, action in options(cli._parser(["simulate", "plan"]))
              if not action.help]
    assert silent == []
