"""Every kind of event that can be written into a signing's evidence has a sentence of its own, in every language."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.actions import attesting
from router.model.contract_withdrawals import WithdrawalState
from router.ports import MessageStage
from router.wording import LOCALES, wording

ACTIONS = Path(attesting.__file__).parent
SPELLED = {
    "{way}.{stage.value}": [
        f"{way}.{stage.value}" for way in ("sms", "mail", "whatsapp") for stage in MessageStage
        if stage is not MessageStage.queued
    ],
    "withdrawal.{to.value}": [f"withdrawal.{to.value}" for to in (WithdrawalState.accepted, WithdrawalState.refused)],
    "provider.{delivery.kind.value}": ["provider.revoke", "provider.remind"],
}
"""What the kinds that are put together can come to."""


def written() -> Iterator[tuple[str, str]]:
    """Each kind that is written, and where."""
    for path in sorted(ACTIONS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            place = {"record": 2, "signing.record": 2, "evidence.append": 3}.get(called)
            if place is None or len(node.args) <= place:
                continue
            kind = node.args[place]
            if isinstance(kind, ast.Constant):
                yield str(kind.value), path.name
            elif isinstance(kind, ast.IfExp):
                yield from ((str(ast.literal_eval(one)), path.name) for one in (kind.body, kind.orelse))
            elif isinstance(kind, ast.JoinedStr):
                template = ast.unparse(kind)[2:-1]
                assert template in SPELLED, f"{path.name}: say what {template} can come to"
                yield from ((one, path.name) for one in SPELLED[template])
            else:
                assert (path.name, ast.unparse(kind)) == ("signing.py", "kind"), f"{path.name}: {ast.unparse(kind)}"


def test_the_walk_finds_what_is_written() -> None:
    assert {"signed", "held", "deposited", "sms.delivered", "provider.remind"} <= {kind for kind, _ in written()}


def test_every_kind_of_event_has_a_sentence() -> None:
    assert sorted({kind for kind, _ in written()} - set(attesting.EVENTS)) == []


@pytest.mark.parametrize("locale", LOCALES[1:])
def test_every_sentence_is_said_in_the_offers_language(locale: str) -> None:
    assert [words for words in attesting.EVENTS.values() if wording().say(words, locale) == words] == []
