"""Cadences as data: the presets hold together, and what contradicts itself is refused by name."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from router.model.cadence_rules import PRESETS, CadencePlan, Start, WrongCadence, as_body, check, preset, read_body
from router.model.outcomes import NAMES


def plan(*steps: dict[str, Any], **more: Any) -> CadencePlan:
    numbered = [{"n": place, "channel": "sms", **step} for place, step in enumerate(steps, 1)]
    return msgspec.convert({"key": "a", "name": "A", "on": ["idle"], "steps": numbered, **more}, CadencePlan)


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.key)
def test_a_preset_holds_together(one: CadencePlan) -> None:
    assert check(one, NAMES) is one
    assert read_body(as_body(one)) == one


def test_there_is_a_preset_for_every_beginning() -> None:
    assert {start: preset(start).key for start in Start}["opened_unsigned"] == "after-quote"
    assert len({one.key for one in PRESETS}) == len(PRESETS)


CALL: dict[str, Any] = {"channel": "call_task"}


@pytest.mark.parametrize(
    ("steps", "more", "code"),
    [
        ([{}, {"n": 1}], {}, "twice"),
        ([{"anchor": "sunrise"}], {}, "anchor"),
        ([{"anchor": "step:9"}], {}, "anchor"),
        ([{"anchor": "step:x"}], {}, "anchor"),
        ([{"anchor": "step:2"}, {"anchor": "step:1"}], {}, "loop"),
        ([{"anchor": "step:1"}], {}, "loop"),
        ([CALL] * 5, {}, "calls"),
        ([{}] * 5, {}, "messages"),
        ([{"n": n} for n in range(1, 22)], {}, "steps"),
        ([{"window": ["12:00", "10:00"]}], {}, "window"),
        ([{"otherwise": ["call_task"]}], {}, "way"),
        ([{**CALL, "otherwise": ["sms"]}], {}, "way"),
        ([{"announce_minutes": 60}], {}, "announce"),
        ([{"skip_if": ["opened"], "stop_on": ["opened"]}], {}, "stop"),
        ([{}], {"outcomes": {"lost": {"then": "exit"}}}, "outcome"),
        ([{}], {"outcomes": {"busy": {"then": "again"}}}, "loop"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(steps: Sequence[dict[str, Any]], more: Any, code: str) -> None:
    with pytest.raises(WrongCadence) as refused:
        check(plan(*steps, **more), NAMES)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "step", [{"delay": -1}, {"unit": "weeks"}, {"channel": "pigeon"}, {"needs": "fun"}, {"then": 2}, {"n": 0},
             {**CALL, "announce_minutes": 4}, {**CALL, "announce_minutes": 1441}, {**CALL, "announce_minutes": 0}]
)
def test_what_is_no_step_is_not_read(step: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        plan(step)


def test_steps_may_stand_in_any_order_in_the_file() -> None:
    assert [step.n for step in plan({"n": 2}, {"n": 1}).ordered] == [1, 2]
