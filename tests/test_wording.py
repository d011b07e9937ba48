"""What people read exists in every language: templates, the sentences of errors, and one translation of each."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from router.model import errors
from router.paths import TEMPLATES

Key = tuple[str | None, str]

ROUTER = Path(errors.__file__).parents[1]
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.HouseError)}
MAKERS = [("**.html", "jinja2.ext:babel_extract"), ("**.txt", "jinja2.ext:babel_extract")]

NOT_OURS = {
    "what.rstrip('.') + '.'",  # the reader's own words on a body that a program has written
    "UNROUTED.get(error.status, f'{phrase}.')",  # HTTP's own names for what no door of ours answers
}


def spanish() -> dict[Key, list[Message]]:
    found: dict[Key, list[Message]] = defaultdict(list)
    for path in sorted((TEMPLATES / "locale" / "es").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                if message.id:
                    found[message.context, _first(message.id)].append(message)
    return found


def _first(words: str | list[str] | tuple[str, ...]) -> str:
    return words if isinstance(words, str) else words[0]


def _all(words: str | list[str] | tuple[str, ...]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def in_templates() -> Iterator[tuple[str, Key]]:
    options = {"**": {"encoding": "utf-8"}}
    for name, line, words, _, context in extract_from_dir(TEMPLATES, method_map=MAKERS, options_map=options):
        yield f"{name}:{line}", (context, _first(words))


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


def in_errors() -> Iterator[tuple[str, str | None, str]]:
    """Where an error of the house is made, its sentence (None when it is put together there), and the source of it."""
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


def test_every_text_of_a_template_has_a_spanish_translation() -> None:
    known = spanish()
    found = list(in_templates())
    assert len(found) > 300
    missing = [f"{place}: {key[1]!r}" for place, key in found if key not in known]
    assert not missing, "These have no Spanish translation:\n" + "\n".join(missing)


def test_every_sentence_of_an_error_has_a_spanish_translation() -> None:
    known = spanish()
    found = list(in_errors())
    assert len(found) > 60
    put_together = [f"{place}: {source}" for place, said, source in found if said is None and source not in NOT_OURS]
    assert not put_together, "A sentence must be a constant to be translated:\n" + "\n".join(put_together)
    missing = [f"{place}: {said!r}" for place, said, _ in found if said is not None and (None, said) not in known]
    assert not missing, "These have no Spanish translation:\n" + "\n".join(missing)


def test_no_translation_is_empty_and_each_keeps_the_places_of_its_values() -> None:
    for (_, words), messages in spanish().items():
        for message in messages:
            texts = _all(message.string)
            assert all(texts), f"{words!r} is not translated"
            # A singular may say its number in words.
            wanted = set(re.findall(r"%\((\w+)\)", _all(message.id)[-1]))
            assert set(re.findall(r"%\((\w+)\)", texts[-1])) == wanted, f"{words!r} loses or invents a value"


def test_no_sentence_is_translated_twice() -> None:
    twice = [words for (_, words), messages in spanish().items() if len(messages) > 1]
    assert not twice, f"Translated in two catalogues, one of them unread: {twice}"
