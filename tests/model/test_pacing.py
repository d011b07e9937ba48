"""Pacing: what is next for somebody inside a cadence."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from router.model.best_time import Caller, band_of
from router.model.cadence_rules import PRESETS, CadencePlan, Skip, Way, check, preset
from router.model.calendars import calendar
from router.model.hours import Opening, spans_from
from router.model.outcomes import NAMES, after_outcome
from router.model.pacing import Decision, Inside, Past, Times, Word, next_step, spread
from router.model.tasks import Disposition

ZONE = "Europe/Madrid"
MADRID = calendar(ZONE, "ES")
LAWFUL = Opening(ZONE, ((((10 * 60), 20 * 60),),) * 5 + ((), ()))
DAY = timedelta(days=1)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


NOW = wall("2026-11-23T10:00")
"""A Monday."""
WINDOWS = [(one.start, one.end) for one in spans_from(LAWFUL, NOW, NOW + 60 * DAY)]


def times(*tried: str) -> Times:
    return Times(MADRID, WINDOWS, Caller(ZONE, tried=tried))


def plan(*steps: dict[str, Any]) -> CadencePlan:
    numbered = [{"n": place, "channel": "sms", **step} for place, step in enumerate(steps, 1)]
    return check(msgspec.convert({"key": "a", "name": "A", "on": ["idle"], "steps": numbered}, CadencePlan))


def inside(*steps: dict[str, Any], **values: Any) -> Inside:
    return Inside(**{"plan": plan(*steps), "enrolled_at": NOW, **values})


def done(n: int, at: datetime = NOW, **more: Any) -> Past:
    return Past(n, **{"began_at": at, "ended_at": at, **more})


def test_the_first_step_is_due_at_once_and_the_second_after_its_delay() -> None:
    two = inside({}, {"channel": "call_task", "delay": 4})
    first = next_step(two, times(), NOW)
    assert (first.word, first.n, first.way, first.due_at) == (Word.do, 1, Way.sms, NOW)
    assert first.not_after == wall("2026-11-23T18:00"), "eight business hours late at most"
    second = next_step(replace(two, past=(done(1),)), times(), NOW)
    assert (second.n, second.way, second.due_at) == (2, Way.call_task, wall("2026-11-23T14:00"))
    assert next_step(replace(two, past=(done(1), done(2))), times(), NOW) == Decision(Word.exit, reason="done")


def test_nothing_is_done_before_the_step_under_way_is_over_unless_it_says_so() -> None:
    running = inside({}, {"delay": 1, "unit": "bd"}, running=1)
    assert next_step(running, times(), NOW).word is Word.wait
    beside = inside({"wait_for_completion": False}, {"delay": 1, "unit": "bd"}, running=1)
    assert next_step(beside, times(), NOW).n == 2
    last = inside({"wait_for_completion": False}, running=1)
    assert next_step(last, times(), NOW).word is Word.wait, "it does not end while something runs"


def test_steps_count_from_the_offers_end_the_beginning_or_a_step() -> None:
    until = wall("2026-12-04T12:00")
    for anchor, due in (
        ("valid_until", "2026-12-02T12:00"), ("enrol", "2026-11-25T10:00"), ("step:1", "2026-11-26T11:00"),
        ("prev_done", "2026-11-26T11:00"),
    ):  # fmt: skip
        here = inside(
            {}, {"anchor": anchor, "delay": 2, "unit": "bd"}, valid_until=until,
            past=(done(1, wall("2026-11-24T11:00")),),
        )  # fmt: skip
        assert next_step(here, times(), NOW).due_at == wall(due), anchor


def test_what_is_too_late_before_the_offers_end_or_after_it_is_left_out() -> None:
    ends = {"anchor": "valid_until", "delay": 2, "unit": "bd", "not_after": 60}
    here = inside(ends, {"delay": 3, "unit": "bd"}, {}, valid_until=wall("2026-11-24T17:00"))
    found = next_step(here, times(), NOW)
    assert found.skipped == ((1, "too_late"), (2, "after_the_end"))
    assert found.n == 3
    assert found.not_after is not None
    assert found.not_after <= wall("2026-11-24T17:00")
    assert next_step(here, times(), wall("2026-11-24T17:00")) == Decision(Word.exit, reason="expired")


def test_conditions_leave_steps_out_or_end_it() -> None:
    here = inside({"skip_if": ["opened"]}, {"stop_on": ["talked"]}, {})
    assert next_step(here, times(), NOW).n == 1
    opened = replace(here, true=frozenset({Skip.opened}))
    assert (next_step(opened, times(), NOW).n, next_step(opened, times(), NOW).skipped) == (2, ((1, "opened"),))
    both = replace(here, true=frozenset({Skip.opened, Skip.talked}))
    assert (next_step(both, times(), NOW).word, next_step(both, times(), NOW).reason) == (Word.exit, "talked")


def test_a_way_that_is_not_open_to_him_is_replaced_or_left_out() -> None:
    here = inside({"channel": "email", "otherwise": ["whatsapp"]}, {}, ways=frozenset({Way.whatsapp, Way.call_task}))
    assert next_step(here, times(), NOW).way is Way.whatsapp
    nothing = next_step(replace(here, ways=frozenset()), times(), NOW)
    assert (nothing.word, nothing.skipped) == (Word.exit, ((1, "no_email"), (2, "no_sms")))


def test_four_calls_and_four_messages_are_the_most() -> None:
    here = inside({"channel": "call_task"}, {}, calls=4, messages=4)
    assert next_step(here, times(), NOW).skipped == ((1, "most_calls"), (2, "most_messages"))
    assert next_step(replace(here, again=1), times(), NOW).n == 1, "the last call is made once more when it was busy"


def test_the_next_call_is_in_another_part_of_the_day_and_not_before_the_outcome_allows() -> None:
    here = inside({"channel": "call_task", "band": "other"}, not_before=wall("2026-11-24T10:00"))
    assert next_step(here, times("09-11"), NOW).due_at == wall("2026-11-24T11:00")
    plain = inside({"channel": "call_task"}, other_band=True)
    assert next_step(plain, times("09-11", "11-13"), NOW).due_at == wall("2026-11-23T13:00")
    assert next_step(inside({}, not_before=NOW + 5 * DAY), times(), NOW).due_at == NOW, "texts do not wait for it"


def test_the_same_call_once_more_counts_from_its_outcome() -> None:
    again = inside({"channel": "call_task", "delay": 4}, again=1, not_before=NOW + timedelta(minutes=10))
    assert next_step(again, times(), NOW).due_at == NOW + timedelta(minutes=10)


def test_the_best_time_is_looked_for_within_two_business_days() -> None:
    here = inside({"channel": "call_task", "band": "best"})
    found = next_step(here, Times(MADRID, WINDOWS, Caller(ZONE, hours=(19,))), NOW).due_at
    assert found == wall("2026-11-23T18:00")


def test_a_call_is_planned_into_the_lawful_window() -> None:
    here = inside({"channel": "call_task"})
    assert next_step(here, times(), wall("2026-11-27T21:00")).due_at == wall("2026-11-30T10:00")


def test_a_steps_own_window_moves_it() -> None:
    here = inside({"window": ["12:00", "13:00"]})
    assert next_step(here, times(), NOW).due_at == wall("2026-11-23T12:00")
    assert next_step(here, times(), wall("2026-11-23T13:00")).due_at == wall("2026-11-24T12:00")


def test_many_late_ones_are_spread() -> None:
    waits = [spread(key) for key in range(1000)]
    assert max(waits) < timedelta(minutes=30)
    assert max(waits.count(one) for one in waits) <= 5
    assert spread(7) == spread(7)


def test_the_after_quote_preset_runs_as_it_reads() -> None:
    """Nobody ever answers: four calls in different parts of the day, four messages, and an end before the offer's."""
    told = play(preset(next(one for one in PRESETS if one.key == "after-quote").on[0]), ["no_answer"] * 9)
    ways = [way for _, way, _ in told]
    assert ways == ["sms", "call_task", "call_task", "email", "call_task", "sms", "call_task", "email"]
    bands = [band_of(at, ZONE) for _, way, at in told if way == "call_task"]
    assert len(set(bands)) >= 3
    assert told[1][2] == wall("2026-11-23T14:00")


def play(
    cadence: CadencePlan, outcomes: Sequence[str], *, work: timedelta = timedelta(minutes=5),
    until: timedelta | None = 14 * DAY,
) -> list[tuple[int, str, datetime]]:
    """Drives the decision as the house does, without a database: (step, way, when) of all that was done."""
    here = Inside(cadence, NOW, NOW + until if until else None)
    now, left, before, tried, told = NOW, list(outcomes), list[str](), list[str](), list[tuple[int, str, datetime]]()
    for _ in range(200):
        next_one = next_step(here, times(*tried), now)
        here = replace(here, past=(*here.past, *(done(n, now, skipped=True) for n, _ in next_one.skipped)))
        if next_one.word is Word.exit:
            return told
        assert next_one.due_at is not None
        assert next_one.not_after is not None
        assert now <= next_one.due_at <= next_one.not_after
        began, now = next_one.due_at, next_one.due_at + work
        told.append((next_one.n, str(next_one.way), began))
        if next_one.way is not Way.call_task:
            here = replace(here, past=(*here.past, done(next_one.n, began)), messages=here.messages + 1)
            continue
        tried.append(band_of(began, ZONE))
        outcome = left.pop(0) if left else "no_answer"
        sequel = after_outcome(Disposition(outcome), before, MADRID, now)
        before.append(outcome)
        if sequel.then not in ("next", "again"):
            return told
        here = replace(here, calls=here.calls + sequel.counts, not_before=sequel.earliest, other_band=sequel.other_band)
        if sequel.then == "again":
            here = replace(here, again=next_one.n)
        else:
            here = replace(here, again=None, past=(*here.past, done(next_one.n, now)))
        if sequel.no_number:
            here = replace(here, ways=here.ways - {Way.call_task, Way.sms, Way.whatsapp})
    raise AssertionError("it never ends")


STEP = st.fixed_dictionaries({
    "channel": st.sampled_from([*Way]), "delay": st.integers(0, 8),
    "unit": st.sampled_from(["bmin", "bh", "bd", "cal"]),
    "anchor": st.sampled_from(["prev_done", "enrol", "valid_until"]), "band": st.sampled_from(["any", "other", "best"]),
    "wait_for_completion": st.booleans(), "not_after": st.integers(1, 2_000),
})  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=8), st.lists(st.sampled_from(sorted(NAMES)), max_size=40), st.booleans())
def test_every_cadence_ends_and_nothing_is_done_twice(
    steps: list[dict[str, Any]], outcomes: list[str], expires: bool
) -> None:
    calls, texts = 0, 0
    for step in steps:
        call = step["channel"] is Way.call_task
        calls, texts = calls + call, texts + (not call)
    if calls > 4 or texts > 4:
        return
    told = play(plan(*steps), outcomes, until=14 * DAY if expires else None)
    texted = [n for n, way, _ in told if way != "call_task"]
    assert len(texted) == len(set(texted)) <= 4
    assert [at for _, _, at in told] == sorted(at for _, _, at in told)
    assert not expires or all(at < NOW + 14 * DAY for _, _, at in told)
