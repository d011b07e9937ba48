"""Outcomes: what follows from how a call ended."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from router.model.cadence_rules import OutcomePlan
from router.model.calendars import Unit, calendar
from router.model.outcomes import NAMES, after_outcome, quiet_until
from router.model.tasks import Disposition

MADRID = calendar("Europe/Madrid", "ES")


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Madrid")).astimezone(UTC)


NOW = wall("2026-11-23T10:00")
"""A Monday."""


@pytest.mark.parametrize(
    ("outcome", "before", "then", "earliest", "other"),
    [
        ("failed", [], "again", "2026-11-23T10:01", False),
        ("failed", ["failed"], "again", "2026-11-23T10:05", False),
        ("failed", ["failed"] * 2, "again", "2026-11-23T10:15", False),
        ("failed", ["failed"] * 3, "next", "2026-11-24T10:00", False),
        ("busy", [], "again", "2026-11-23T10:10", False),
        ("busy", ["busy"], "next", "2026-11-23T12:00", True),
        ("no_answer", [], "next", "2026-11-23T12:00", True),
        ("no_answer", ["no_answer"], "next", "2026-11-24T10:00", True),
        ("no_answer", ["no_answer"] * 5, "next", "2026-11-26T10:00", True),
        ("no_answer", ["no_answer", "busy"], "next", "2026-11-23T12:00", True),
        ("voicemail", [], "next", "2026-11-24T10:00", True),
        ("voicemail_left", [], "next", "2026-11-24T10:00", False),
        ("hung_up", [], "next", "2026-11-25T10:00", False),
        ("third_person", [], "next", "2026-11-24T10:00", False),
        ("callback", [], "pause", None, False),
        ("needs_information", [], "pause", None, False),
        ("unclassified", [], "review", None, False),
        ("sold", [], "exit", None, False),
        ("bought_elsewhere", [], "exit", None, False),
    ],
)
def test_the_table(outcome: str, before: Sequence[str], then: str, earliest: str | None, other: bool) -> None:
    found = after_outcome(Disposition(outcome), before, MADRID, NOW)
    assert (found.then, found.earliest, found.other_band) == (then, earliest and wall(earliest), other)


def test_every_outcome_has_a_row() -> None:
    assert {one.value for one in Disposition} == NAMES


def test_what_never_left_the_house_does_not_count() -> None:
    counted = {one.value for one in Disposition if after_outcome(one, [], MADRID, NOW).counts}
    assert NAMES - counted == {"failed", "not_permitted"}


def test_hanging_up_twice_is_a_no() -> None:
    found = after_outcome(Disposition.hung_up, ["no_answer", "hung_up"], MADRID, NOW)
    assert (found.then, found.reason) == ("exit", "not_interested")


def test_a_number_that_is_not_his_is_not_called_again() -> None:
    barred = {one.value for one in Disposition if after_outcome(one, [], MADRID, NOW).no_number}
    assert barred == {"wrong_number", "invalid_number"}


def test_a_campaign_changes_rows_but_never_what_a_no_means() -> None:
    own = {
        "no_answer": OutcomePlan(then="again", delays=[(30, Unit.bmin)], most=1),
        "do_not_call": OutcomePlan(then="again", delays=[(1, Unit.bmin)], most=9),
    }
    assert after_outcome(Disposition.no_answer, [], MADRID, NOW, own).earliest == NOW + timedelta(minutes=30)
    assert after_outcome(Disposition.no_answer, ["no_answer"], MADRID, NOW, own).then == "next"
    assert after_outcome(Disposition.do_not_call, [], MADRID, NOW, own).then == "exit"


def test_a_no_is_quiet_for_ninety_days_or_longer_where_the_law_says_so() -> None:
    assert quiet_until(NOW) == quiet_until(NOW, 60) == NOW + timedelta(days=90)
    assert quiet_until(NOW, 180) == NOW + timedelta(days=180)
    assert quiet_until(None) is None
