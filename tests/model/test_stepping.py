"""A step's way from its planning to its end, and what a call leads to: the decisions house and plan share."""

from datetime import UTC, datetime, timedelta

import pytest

from router.model.cadence_rules import CadencePlan, Start, StepPlan, Way
from router.model.cadences import EnrolmentState, StepState
from router.model.calendars import calendar
from router.model.guard import Verdict
from router.model.nurturing import Next, counted, following, sequel_of, watch_on
from router.model.planning import EnrolmentAhead, StepAhead
from router.model.stepping import (
    Moment,
    Offered,
    Refusal,
    Then,
    after_asking,
    after_refusal,
    follows_at,
    inside_of,
    may_announce,
    may_follow,
    moment,
    reachable,
    stands_alone,
    turn,
)
from router.model.tasks import Disposition

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
MADRID = calendar("Europe/Madrid", "ES")
CALL = StepPlan(n=1, channel=Way.call_task)
OURS = CadencePlan(key="ours", name="Ours", on=[Start.idle], steps=[CALL])
ALLOWED, LATE_ALLOWED, DENIED = Verdict("allow", ()), Verdict("defer", ("cap.day",), LATER), Verdict("deny", ("x",))


def inside(**values: object) -> EnrolmentAhead:
    return EnrolmentAhead(**{
        "id": 1, "person_id": 1, "lead_id": 1, "line_id": 1, "quote_id": 1, "key": "ours", "plan": OURS,
        "reason": "idle", "state": EnrolmentState.awaiting_agent, "created_at": NOON, "idle_base": NOON, **values,
    })  # type: ignore[arg-type]


def step(**values: object) -> StepAhead:
    return StepAhead(**{
        "n": 1, "way": Way.call_task, "state": StepState.planned, "planned_at": NOON, "due_at": NOON,
        "not_after": LATER, **values,
    })  # type: ignore[arg-type]


@pytest.mark.parametrize(("verdict", "due_at", "at_once", "then"), [
    (DENIED, NOON, True, Then.refuse), (LATE_ALLOWED, NOON, True, Then.put_off), (ALLOWED, NOON, True, Then.do),
    (LATE_ALLOWED, LATER, True, Then.wait), (ALLOWED, LATER, True, Then.wait), (ALLOWED, NOON, False, Then.wait),
])
def test_the_guards_answer_says_what_becomes_of_a_step(
    verdict: Verdict, due_at: datetime, at_once: bool, then: Then
) -> None:
    assert after_asking(verdict, due_at, NOON, at_once=at_once) is then


@pytest.mark.parametrize(("rule", "refusal"), [
    ("campaign.paused", Refusal.rest), ("suppressed.asked", Refusal.leave), ("consent.commercial", Refusal.leave),
    ("suppressed.wrong_number", Refusal.leave_out), ("number.country", Refusal.leave_out),
])
def test_a_no_ends_all_or_rests_or_leaves_the_step_out(rule: str, refusal: Refusal) -> None:
    assert after_refusal(rule) is refusal


def test_a_moment_is_expired_before_it_is_early_or_late() -> None:
    over, good = Offered(NOON, None), Offered(LATER, None)
    assert moment(step(), "idle", over, NOON) is Moment.expired
    assert moment(step(), "expired_winback", over, NOON) is Moment.right
    assert moment(step(due_at=LATER), "idle", good, NOON) is Moment.early
    assert moment(step(not_after=NOON), "idle", None, LATER) is Moment.late


def test_a_turn_is_left_out_without_a_way_and_a_wrong_number_leaves_only_mail() -> None:
    ways = reachable(frozenset(Way), no_number=True)
    assert ways == {Way.email}
    its = turn(CALL, inside_of(OURS, inside(), [], None, ways))
    assert (its.way, its.why, its.stop) == (None, "no_call_task", "")


def test_a_text_follows_a_call_only_while_it_makes_sense() -> None:
    assert may_follow(inside(state=EnrolmentState.active), frozenset({Way.sms}))
    assert not may_follow(inside(state=EnrolmentState.active, messages=4), frozenset({Way.sms}))
    assert not may_follow(inside(), frozenset({Way.sms}))
    assert follows_at(LATE_ALLOWED, NOON) == LATER
    assert follows_at(Verdict("defer", ("x",), NOON + timedelta(days=1)), NOON) is None


def test_of_an_offer_made_elsewhere_only_mails_that_need_no_link_are_sent() -> None:
    assert stands_alone("offer_questions", Way.email, linked=False)
    for template, way, linked in (("offer_questions", Way.sms, False), ("offer_again", Way.email, False),
                                  ("offer_questions", Way.email, True)):
        assert not stands_alone(template, way, linked=linked)


@pytest.mark.parametrize(("outcome", "word", "reason"), [
    (Disposition.no_answer, Next.go_on, "no_answer"), (Disposition.quote_sent, Next.leave, "reached"),
    (Disposition.sold, Next.leave, "sold"), (Disposition.callback, Next.leave, "reached"),
    (Disposition.needs_information, Next.rest, "needs_information"),
    (Disposition.unclassified, Next.rest, "unclassified"),
])
def test_an_outcome_says_what_becomes_of_whoever_is_inside(outcome: Disposition, word: Next, reason: str) -> None:
    enrolment = inside()
    sequel = sequel_of(outcome, enrolment, MADRID, NOON, {})
    then = following(sequel, outcome, enrolment.state, [outcome.value], promised=False)
    assert (then.word, then.reason, then.text) == (word, reason, outcome is Disposition.no_answer)
    assert following(sequel, outcome, EnrolmentState.exited, [], promised=False).word is Next.nothing
    assert counted(enrolment, False, 1, outcome, sequel)["outcomes"] == [outcome.value]


def test_who_was_reached_begins_another_quiet_and_a_last_word_is_the_last() -> None:
    days = timedelta(days=3)
    assert watch_on(Disposition.no_answer, days).rest == timedelta(days=1)
    assert watch_on(Disposition.callback, days) == watch_on(Disposition.quote_sent, days)
    assert (watch_on(Disposition.callback, days).anew, watch_on(Disposition.callback, days).rest) == (True, days)
    assert watch_on(Disposition.not_interested, days).over
    assert watch_on(Disposition.wrong_number, days).over


ANNOUNCED = StepPlan(n=1, channel=Way.call_task, announce_minutes=60)


@pytest.mark.parametrize(("plan", "values", "may"), [
    (ANNOUNCED, {}, True), (CALL, {}, False), (ANNOUNCED, {"tries": 1}, False),
    (ANNOUNCED, {"announcements": 1, "announced_for": NOON}, False),
    (ANNOUNCED, {"announcements": 1, "announced_for": NOON, "due_at": LATER}, False),
    (ANNOUNCED, {"announcements": 1, "announced_for": NOON, "due_at": LATER + timedelta(seconds=1)}, True),
    (ANNOUNCED, {"announcements": 1, "announced_for": LATER + timedelta(seconds=1)}, True),
    (ANNOUNCED, {"announcements": 2, "announced_for": NOON, "due_at": NOON + timedelta(days=1)}, False),
    (ANNOUNCED, {"announcements": 1, "announced_for": None, "due_at": NOON + timedelta(days=1)}, False),
    (ANNOUNCED, {"announcements": 1, "announced_for": NOON, "due_at": NOON + timedelta(days=1), "tries": 1}, False),
])
def test_a_call_is_announced_again_once_when_it_comes_at_another_time(
    plan: StepPlan, values: dict[str, object], may: bool
) -> None:
    assert may_announce(plan, step(**values)) is may
