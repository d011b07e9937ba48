"""Staleness: each reason at its moment, and nothing of our own doing among them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.calendars import calendar
from router.model.staleness import (
    Hold,
    Patience,
    Reason,
    Watched,
    idle_base,
    is_valuable,
    look,
    opened_by_person,
    snoozed_until,
)

MADRID = calendar("Europe/Madrid", "ES")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Madrid")).astimezone(UTC)


SENT = wall("2026-11-23T10:00")
"""A Monday."""


def quote(**values: Any) -> Watched:
    return Watched(**{"base": SENT, "sent_at": SENT, "valid_until": SENT + 14 * DAY, **values})


@pytest.mark.parametrize(
    ("known", "reason", "since"),
    [
        ({}, Reason.never_opened, "2026-11-24T10:00"),
        ({}, Reason.idle, "2026-11-26T10:00"),
        ({"opened_at": SENT}, Reason.opened_unsigned, "2026-11-23T14:00"),
        ({"signing_at": SENT}, Reason.sign_abandoned, "2026-11-23T10:30"),
        ({"valuable": True}, Reason.idle, "2026-11-25T10:00"),
        ({"valid_until": wall("2026-12-01T10:00")}, Reason.expiring, "2026-11-26T10:00"),
        ({"valid_until": wall("2026-11-25T10:00")}, Reason.expiring, "2026-11-24T10:00"),  # it rests a day at least
    ],
)
def test_each_reason_begins_at_its_moment_and_not_before(known: dict[str, Any], reason: Reason, since: str) -> None:
    at = wall(since)
    assert reason not in look(quote(**known), MADRID, at - timedelta(seconds=1)).reasons
    assert reason in look(quote(**known), MADRID, at).reasons


def test_the_next_look_is_when_the_answer_changes() -> None:
    watched, seen = quote(), []
    at: datetime | None = SENT
    while at is not None:
        found = look(watched, MADRID, at)
        seen.append((at, found.reason))
        assert found.next_check_at is None or found.next_check_at > at
        at = found.next_check_at
    assert [reason for _, reason in seen] == [None, "never_opened", "never_opened", "never_opened", None]
    assert seen[-1][0] == watched.valid_until


def test_who_opens_it_again_within_a_day_is_hot_for_a_quarter_of_an_hour() -> None:
    again = quote(opened_before_at=SENT, opened_at=SENT + 3 * HOUR, base=SENT + 3 * HOUR)
    assert look(again, MADRID, SENT + 3 * HOUR).reason is Reason.hot_reopen
    assert look(again, MADRID, SENT + 3 * HOUR + 15 * MINUTE).reason is None
    late = replace(again, opened_at=SENT + 25 * HOUR, base=SENT + 25 * HOUR)
    assert look(late, MADRID, SENT + 25 * HOUR).reason is None
    talked = replace(again, base=SENT + 3 * HOUR + MINUTE)
    assert look(talked, MADRID, SENT + 3 * HOUR + MINUTE).reason is None, "the talk was the answer"


def test_the_best_reason_wins_and_all_are_told() -> None:
    found = look(quote(opened_at=SENT, signing_at=SENT, valid_until=SENT + 7 * DAY), MADRID, SENT + 5 * DAY)
    assert found.reason is Reason.sign_abandoned
    assert found.reasons == ("sign_abandoned", "opened_unsigned", "expiring", "idle")


def test_what_did_not_arrive_goes_another_way_and_is_not_unread() -> None:
    found = look(quote(reachable=False), MADRID, SENT + MINUTE)
    assert (found.reasons, found.reason) == ((Reason.undelivered,), None)
    assert look(quote(reachable=False), MADRID, SENT + 2 * DAY).reason is None


def test_an_expired_offer_may_be_won_back_once_within_thirty_days() -> None:
    over = quote(is_open=False, ended_at=SENT + 14 * DAY)
    assert look(over, MADRID, SENT + 14 * DAY).reason is Reason.expired_winback
    assert look(over, MADRID, SENT + 44 * DAY).reason is None
    assert look(replace(over, won_back=True), MADRID, SENT + 20 * DAY) == look(
        quote(is_open=False), MADRID, SENT + 20 * DAY
    )


@pytest.mark.parametrize("hold", list(Hold))
def test_nothing_is_stale_while_something_holds_it(hold: Hold) -> None:
    held = quote(holds={hold: None}, opened_at=SENT, signing_at=SENT)
    found = look(held, MADRID, SENT + 6 * DAY)
    assert (found.reasons, found.holds, found.next_check_at) == ((), (hold,), None)
    until = SENT + 7 * DAY
    found = look(replace(held, holds={hold: until}), MADRID, SENT + 6 * DAY)
    assert (found.reasons, found.next_check_at) == ((), until)
    assert look(replace(held, holds={hold: until}), MADRID, until).reasons


def test_a_demonstrations_seconds_bound_every_test() -> None:
    hasty = Patience.of_seconds(10)
    after = SENT + timedelta(seconds=10)
    assert look(quote(), MADRID, after, hasty).reason is Reason.never_opened
    assert look(quote(opened_at=SENT), MADRID, after, hasty).reason is Reason.opened_unsigned
    assert look(quote(), MADRID, after - timedelta(seconds=1), hasty).next_check_at == after
    assert Patience.of_seconds(259_200) == Patience(idle_days=3)


@pytest.mark.parametrize(
    ("after_s", "agent", "counts"),
    [
        (2.9, "Mozilla/5.0 (iPhone)", False),
        (3, "Mozilla/5.0 (iPhone)", True),
        (60, "WhatsApp/2.23.20.0 A", False),
        (60, "Mozilla/5.0 (compatible; bingbot/2.0)", False),
        (60, "facebookexternalhit/1.1", False),
        (60, "TelegramBot (like TwitterBot)", False),
        (60, "", True),
    ],
)
def test_what_scans_a_link_does_not_open_it(after_s: float, agent: str, counts: bool) -> None:
    assert opened_by_person(SENT + timedelta(seconds=after_s), SENT, agent) is counts


def test_a_wish_for_rest_is_granted_for_ten_business_days() -> None:
    assert snoozed_until(MADRID, SENT, SENT + DAY) == SENT + DAY
    assert snoozed_until(MADRID, SENT, SENT + 60 * DAY) == wall("2026-12-07T10:00")


def test_the_highest_fifth_is_valuable() -> None:
    assert [is_valuable(total, [10, 20, 30, 40, 50]) for total in (49, 50)] == [False, True]
    assert not is_valuable(50, [10, 20])
    assert idle_base(None, SENT, SENT + DAY) == SENT + DAY


TIMES = st.integers(0, 14 * 24 * 60).map(lambda minutes: SENT + minutes * MINUTE)


@given(TIMES, st.none() | TIMES, st.none() | TIMES, TIMES)
def test_nothing_changes_between_two_looks(
    base: datetime, opened: datetime | None, signing: datetime | None, at: datetime
) -> None:
    watched = quote(base=base, opened_at=opened, signing_at=signing)
    now = max(at, base)
    found = look(watched, MADRID, now)
    if found.next_check_at is not None:
        almost = found.next_check_at - timedelta(microseconds=1)
        assert look(watched, MADRID, almost).reasons == found.reasons
    else:
        assert look(watched, MADRID, now + 365 * DAY).reasons == found.reasons
