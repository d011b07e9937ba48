"""Slots: never at a moment that hours, holidays, the law or the staff forbid, whatever the clock does that night."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from router.model.guard import next_open
from router.model.hours import Opening, Windows, opening, public_holidays, week_of
from router.model.packs import Pack
from router.model.slots import LATEST, LEAD_TIME, Load, Rules, Shift, at, away, offered, shifts_of
from tests.model.packing import DEMO, STANDARD, made, weekly

MADRID = ZoneInfo("Europe/Madrid")
CHANGES = [datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),
           datetime(2025, 3, 30, 1, tzinfo=UTC), datetime(2028, 10, 29, 1, tzinfo=UTC)]
ONE = shifts_of([opening("Europe/Madrid", {})])


def rules(**values: object) -> Rules:
    known = {"opening": opening("Europe/Madrid", {}), "pack": DEMO, "zones": ("Europe/Madrid",),
             "slot_minutes": 15, "handle_seconds": 600, **values}
    return Rules(**known)  # type: ignore[arg-type]


def shown(of: Rules, now: datetime) -> list[str]:
    return [f"{slot.starts_at.astimezone(MADRID):%a %H:%M%z}" for slot in offered(of, ONE, {}, now)]


def test_slots_begin_a_quarter_of_an_hour_ahead_and_on_the_clocks_quarters() -> None:
    line = rules(opening=opening("Europe/Madrid", {"thu": [["09:10", "10:00"]]}))
    assert shown(line, datetime(2026, 11, 26, 7, 0, tzinfo=UTC)) == ["Thu 09:15+0100", "Thu 09:30+0100",
                                                                     "Thu 09:45+0100"]
    assert shown(line, datetime(2026, 11, 26, 8, 16, tzinfo=UTC)) == ["Thu 09:45+0100"]


def test_the_law_of_the_visitors_zone_binds_too() -> None:
    line = rules(pack=STANDARD, zones=("Europe/Madrid", "America/New_York"))
    day = {text[4:] for text in shown(line, datetime(2026, 11, 26, 0, 0, tzinfo=UTC)) if text.startswith("Thu")}
    assert (min(day), max(day)) == ("16:00+0100", "19:45+0100")


def test_capacity_is_four_fifths_of_the_staff_and_one_at_least() -> None:
    assert [rules().capacity(staff) for staff in (0, 1, 2, 10)] == [0, 1, 2, 12]
    assert rules(handle_seconds=7200).capacity(1) == 1


def test_a_full_slot_is_not_shown() -> None:
    now = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
    first = offered(rules(), ONE, {}, now)[0]
    assert offered(rules(), ONE, {first.starts_at: first.capacity}, now)[0].starts_at > first.starts_at


def test_every_day_ahead_can_be_chosen_the_near_ones_to_the_quarter_of_an_hour() -> None:
    now = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
    line = rules(opening=opening("Europe/Madrid", {day: [["09:00", "20:00"]] for day in ("thu", "fri", "mon", "tue")}))
    seen = shown(line, now)
    assert {text[:3] for text in seen} == {"Thu", "Fri", "Mon", "Tue"}
    assert [text[4:9] for text in seen if text.startswith("Thu")][:3] == ["09:00", "09:15", "09:30"]
    assert [text[4:9] for text in seen if text.startswith("Tue")] == [f"{hour:02d}:00" for hour in range(9, 20)]
    mon_ten = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
    slots = offered(line, ONE, {mon_ten: 1}, now)
    assert [one.starts_at for one in slots if one.starts_at.astimezone(MADRID).strftime("%a%H") == "Mon10"] == [
        mon_ten + timedelta(minutes=15)
    ]


def test_the_hour_that_comes_twice_has_slots_once_on_each_side() -> None:
    seen = shown(rules(), datetime(2026, 10, 24, 23, 30, tzinfo=UTC))
    assert seen[:10] == ["Sun 01:45+0200", "Sun 02:00+0200", "Sun 02:15+0200", "Sun 02:30+0200", "Sun 02:45+0200",
                         "Sun 02:00+0100", "Sun 02:15+0100", "Sun 02:30+0100", "Sun 02:45+0100", "Sun 03:00+0100"]


minutes = st.integers(0, 288).map(lambda five: five * 5)
texts = st.lists(minutes, min_size=2, max_size=4, unique=True).map(sorted).map(
    lambda some: [[_text(left), _text(right)] for left, right in zip(some[::2], some[1::2], strict=False)]
)
weeks = st.dictionaries(st.sampled_from(["sat", "sun", "mon", "tue"]), texts, min_size=1)
packs = st.builds(
    lambda opens, closes, days: made(weekly(days, f"{opens:02d}:00", f"{closes:02d}:00")),
    st.integers(0, 11), st.integers(12, 24), st.sets(st.integers(1, 7), min_size=1),
)


def _text(of: int) -> str:
    return f"{of // 60:02d}:{of % 60:02d}"


def _within(windows: Windows, wall: datetime) -> bool:
    minute = wall.hour * 60 + wall.minute
    return any(opens <= minute < closes for opens, closes in windows)


def _allowed(of: Rules, moment: datetime) -> str:
    """Why nobody may be called at this moment, asked of the wall clock alone; "" when he may."""
    wall = moment.astimezone(MADRID)
    if wall.date() in of.opening.closures or wall.date() in public_holidays("ES", "MD", wall.year):
        return "holiday"
    if not _within(of.opening.week[wall.weekday()], wall):
        return "closed"
    return next((zone for zone in of.zones if next_open(of.pack, (zone,), moment) != moment), "")


@settings(max_examples=150, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    before=st.integers(0, 3 * 24 * 60),
    hours=weeks | st.just({}),
    shifts=st.lists(weeks | st.just({}), max_size=3),
    pack=packs | st.just(STANDARD),
    visitor=st.sampled_from(["", "Atlantic/Canary", "America/New_York", "Asia/Kathmandu", "Europe/Madrid"]),
    slot_minutes=st.sampled_from([5, 15, 20, 30, 60, 90]),
    closed=st.booleans(),
)
def test_no_slot_lies_where_hours_holidays_law_or_staff_forbid_and_each_can_be_held(
    change: datetime, before: int, hours: dict[str, list[list[str]]], shifts: list[dict[str, list[list[str]]]],
    pack: Pack, visitor: str, slot_minutes: int, closed: bool,
) -> None:
    now = change - timedelta(minutes=before)
    closure: list[str] = [date.isoformat(change.astimezone(MADRID).date())] if closed else []
    of = Rules(
        opening=opening("Europe/Madrid", hours, {"country": "ES", "subdivision": "MD"}, closure), pack=pack,
        zones=("Europe/Madrid", visitor or "Europe/Madrid"), slot_minutes=slot_minutes, handle_seconds=600,
    )
    team = shifts_of(Opening("Europe/Madrid", week_of(one)) for one in shifts)
    last = now
    for slot in offered(of, team, {}, now):
        assert slot.starts_at >= max(last, now + LEAD_TIME), "overlapping, or too soon"
        assert slot.ends_at <= now + LATEST
        assert slot.ends_at - slot.starts_at == timedelta(minutes=slot_minutes)
        held = at(of, team, slot.starts_at, now)
        assert held is not None
        assert held.capacity == slot.capacity >= slot.remaining > 0
        staffed = len(shifts)
        for minute in range(slot_minutes):
            moment = slot.starts_at + timedelta(minutes=minute)
            assert _allowed(of, moment) == ""
            wall = moment.astimezone(MADRID)
            there = sum(_within(week_of(one)[wall.weekday()], wall) for one in shifts)
            staffed = min(staffed, there)
            assert there, "nobody is at work"
        assert slot.capacity <= of.capacity(staffed)
        last = slot.ends_at


NINE = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
OPEN = opening("Europe/Madrid", {})


def capacity(staff: dict[frozenset[int], int], others: dict[int, int]) -> int:
    """Calls of twelve minutes line 0 can promise for nine o'clock, with `staff` by the lines they can work for, while
    `others` have promised so many of theirs."""
    shifts = {Shift(OPEN, (), lines): count for lines, count in staff.items()}
    loads = [Load(line, NINE, NINE + QUARTER, calls * 720) for line, calls in others.items()]
    found = at(rules(handle_seconds=720), shifts, NINE, NINE - timedelta(hours=1), loads)
    return found.capacity if found else 0


def test_agents_of_two_queues_are_counted_once() -> None:
    both, mine, yours = frozenset({0, 1}), frozenset({0}), frozenset({1})
    assert capacity({both: 3}, {}) == 3
    assert capacity({both: 3}, {1: 2}) == 1
    assert capacity({both: 3}, {1: 3}) == 0
    assert capacity({both: 1, mine: 1}, {1: 1}) == 1
    assert capacity({both: 1, yours: 2}, {1: 2}) == 1, "those who can only do the other's work do it"
    assert capacity({both: 1, yours: 2}, {1: 3}) == 0


def test_three_queues_in_a_ring_are_weighed_together() -> None:
    staff = {frozenset({0, 1}): 1, frozenset({1, 2}): 1, frozenset({0, 2}): 1}
    assert capacity(staff, {1: 1, 2: 1}) == 1
    assert capacity(staff, {1: 2, 2: 1}) == 0


def test_who_is_known_to_be_away_is_not_counted() -> None:
    span = (NINE + timedelta(minutes=14), NINE + timedelta(hours=1))
    assert at(rules(), {Shift(OPEN, (span,)): 1}, NINE, NINE - timedelta(hours=1)) is None
    assert at(rules(), {Shift(OPEN, (span,)): 1}, NINE - QUARTER, NINE - timedelta(hours=1)) is not None
    morning = Shift(opening("Europe/Madrid", {"thu": [["09:00", "10:00"]]}), (span,))
    moments = [NINE - timedelta(minutes=30), NINE, NINE + QUARTER]
    assert [away(morning, one, one + timedelta(minutes=1)) for one in moments] == ["", "shift", "absence"]
