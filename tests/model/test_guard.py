"""The guard: who may be contacted now, by which rule."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.model.guard import Barred, Purpose, Snapshot, Try, may_contact, next_open
from router.model.packs import shipped

PACKS = {key: shipped()[key] for key in ("standard", "demo")}
MADRID = ZoneInfo("Europe/Madrid")
WEDNESDAY = datetime(2026, 11, 25, 11, 0, tzinfo=MADRID)


def tried(*moments: datetime, purpose: Purpose = Purpose.commercial, channel: str = "call") -> list[Try]:
    return [Try(moment, purpose, channel) for moment in moments]


def ask(pack: str = "standard", purpose: Purpose = Purpose.commercial, at: datetime = WEDNESDAY, **values):  # type: ignore[no-untyped-def]
    known = {
        "phone": "+12025550101",
        "consents": frozenset({"requested", "commercial"}),
        "zones": ("Europe/Madrid",),
        **values,
    }
    return may_contact(Snapshot(pack=PACKS[pack], purpose=purpose, **known), at)


def test_the_demonstration_is_open_on_sunday_at_three_in_the_morning() -> None:
    verdict = ask("demo", at=datetime(2026, 11, 22, 3, 0, tzinfo=MADRID))
    assert verdict.allowed
    assert "demo.hours" in verdict.rules


@pytest.mark.parametrize(
    ("sunday", "opens"),
    [
        (datetime(2026, 11, 22, 3, 0, tzinfo=MADRID), datetime(2026, 11, 23, 10, 0, tzinfo=MADRID)),
        # The clocks go back on Sunday 25 October 2026 at 3:00, and forward on Sunday 28 March 2027 at 2:00.
        (datetime(2026, 10, 25, 2, 30, tzinfo=MADRID), datetime(2026, 10, 26, 10, 0, tzinfo=MADRID)),
        (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=MADRID), datetime(2026, 10, 26, 10, 0, tzinfo=MADRID)),
        (datetime(2027, 3, 28, 1, 59, tzinfo=MADRID), datetime(2027, 3, 29, 10, 0, tzinfo=MADRID)),
        (datetime(2027, 3, 26, 20, 0, tzinfo=MADRID), datetime(2027, 3, 29, 10, 0, tzinfo=MADRID)),
    ],
)
def test_the_standard_pack_waits_for_monday_at_ten_by_the_callees_clock(sunday: datetime, opens: datetime) -> None:
    verdict = ask(at=sunday.astimezone(UTC))
    assert verdict.word == "defer"
    assert verdict.rules[-1] == "standard.weekend"
    assert verdict.until is not None
    assert verdict.until.astimezone(UTC) == opens.astimezone(UTC)
    assert ask(at=verdict.until).allowed


@settings(max_examples=150, deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["Europe/Madrid", "America/Santiago", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia"]),
    st.sampled_from(list(PACKS)),
)
def test_a_deferral_ends_when_the_window_is_open_and_never_before_now(at: datetime, zone: str, pack: str) -> None:
    opens = next_open(PACKS[pack], (zone,), at)
    assert opens is not None
    assert opens >= at
    assert next_open(PACKS[pack], (zone,), opens) == opens
    local = opens.astimezone(ZoneInfo(zone))
    assert pack == "demo" or local.isoweekday() <= 5
    if pack == "demo":
        assert opens == at


def test_the_demonstration_calls_reserved_numbers_only() -> None:
    for purpose in Purpose:
        assert ask("demo", purpose, phone="+34600000001").rules == ("demo.number",)
        assert ask("demo", purpose, phone="+12025550101\n").rules == ("demo.number",)
    assert ask("demo").allowed


def test_the_demonstration_is_open_in_the_last_instant_of_the_day() -> None:
    assert ask("demo", at=datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=MADRID)).allowed


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_suppression_denies_every_purpose(purpose: Purpose) -> None:
    verdict = ask("demo", purpose, barred=[Barred("stop")])
    assert (verdict.word, verdict.rules, verdict.until) == ("deny", ("suppressed.stop",), None)


@pytest.mark.parametrize("purpose", [Purpose.requested, Purpose.code, Purpose.service])
def test_hours_caps_and_commercial_consent_bind_only_what_we_start(purpose: Purpose) -> None:
    tries = [WEDNESDAY - timedelta(minutes=minute) for minute in range(5)]
    verdict = ask(
        "standard", purpose, at=datetime(2026, 11, 22, 3, 0, tzinfo=MADRID), consents=frozenset(), tries=tried(*tries)
    )
    assert verdict.allowed
    assert verdict.rules == (f"purpose.{purpose}",)


def test_nothing_commercial_without_consent() -> None:
    assert ask(consents=frozenset({"requested"})).rules == ("consent.commercial",)


def test_a_third_try_in_a_day_waits_until_the_first_is_a_day_old() -> None:
    tries = [WEDNESDAY - timedelta(hours=20), WEDNESDAY - timedelta(hours=3)]
    verdict = ask(tries=tried(*tries))
    assert (verdict.word, verdict.rules) == ("defer", ("cap.day",))
    assert verdict.until == tries[0] + timedelta(days=1)


def test_a_fifth_try_in_a_week_waits_until_the_first_is_a_week_old() -> None:
    tries = [WEDNESDAY - timedelta(days=days) for days in (6, 5, 4, 2)]
    verdict = ask(tries=tried(*tries))
    assert verdict.rules == ("cap.week",)
    assert verdict.until == tries[0] + timedelta(days=7)


def test_two_tries_keep_their_distance() -> None:
    verdict = ask(tries=tried(WEDNESDAY - timedelta(hours=1)))
    assert verdict.rules == ("cap.gap",)
    assert verdict.until == WEDNESDAY + timedelta(hours=1)


def test_codes_are_bounded_by_number_even_when_asked_for() -> None:
    tries = [WEDNESDAY - timedelta(hours=hour) for hour in range(1, 7)]
    verdict = ask(purpose=Purpose.code, tries=tried(*tries, purpose=Purpose.code))
    assert verdict.rules == ("fraud.codes_day",)
    assert verdict.until == min(tries) + timedelta(days=1)
    assert ask(purpose=Purpose.service, tries=tried(*tries, purpose=Purpose.code)).allowed


@pytest.mark.parametrize("purpose", list(Purpose))
def test_whatever_the_purpose_a_number_is_tried_only_so_often_a_day(purpose: Purpose) -> None:
    verdict = ask(purpose=purpose, tries=tried(
        *(WEDNESDAY - timedelta(minutes=minute) for minute in range(1, 21)), purpose=Purpose.service
    ))
    assert "fraud.number_day" in verdict.rules
    assert verdict.word == "defer"


def test_the_latest_of_several_deferrals_decides_and_all_are_named() -> None:
    sunday = datetime(2026, 11, 22, 3, 0, tzinfo=MADRID)
    verdict = ask(at=sunday, tries=tried(sunday - timedelta(hours=1)))
    assert verdict.rules == ("cap.gap", "standard.weekend")
    assert verdict.until == datetime(2026, 11, 23, 10, 0, tzinfo=MADRID)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60 * 24 * 14), max_size=12), st.sampled_from(list(PACKS)))
def test_a_deferral_is_always_in_the_future(minutes: list[int], pack: str) -> None:
    tries = [WEDNESDAY - timedelta(minutes=minute) for minute in minutes]
    verdict = ask(pack, tries=tried(*tries))
    assert verdict.allowed or (verdict.until is not None and verdict.until > WEDNESDAY)


@pytest.mark.parametrize(
    ("phone", "countries", "rule"),
    [
        ("+34600000001", {"ES"}, ""),
        ("+12025550101", {"ES"}, "number.country"),
        ("+34803123456", {"ES"}, "number.number_type"),
        ("", {"ES"}, "number.number_type"),
        ("+12025550101", set(), ""),
    ],
)
def test_numbers_of_other_countries_and_dear_ones_are_called_for_no_purpose(
    phone: str, countries: set[str], rule: str
) -> None:
    for purpose in Purpose:
        verdict = ask(purpose=purpose, phone=phone, countries=frozenset(countries))
        assert verdict.allowed == (not rule)
        assert not rule or verdict.rules == (rule,)
