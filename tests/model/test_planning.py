"""A plan's counts: contacts by the hour of a wall, what they take of agents, and when a count agrees with a mean."""

from datetime import UTC, datetime, timedelta

import pytest

from router.model.foreseen_world import World
from router.model.guard import Consulted, Purpose, Snapshot
from router.model.hours import Opening
from router.model.planning import (
    Ahead,
    Contacted,
    Count,
    Course,
    Forecast,
    LineAhead,
    Person,
    by_hour,
    drawn,
    edges,
    forecast,
    head,
    lots_of,
    mixed,
    moved,
    tail,
)
from router.model.tasks import Disposition
from tests.model.packing import made, rule

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SUMMER_ENDS = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)


def ahead(hours: int = 3, **values: object) -> Ahead:
    return Ahead(**{
        "now": NOON, "until": NOON + timedelta(hours=hours), "zone": "Europe/Madrid", "persons": {}, "quotes": (),
        "enrolments": (), "booked": (), "lines": {}, "cadences": {}, "rates": {}, **values,
    })  # type: ignore[arg-type]


def plan(*contacts: Contacted, plays: int = 1, **values: object) -> Forecast:
    return forecast(ahead(**values), lambda *_: Course(contacts, ()), plays=plays, seed=1)  # type: ignore[arg-type]


def at(minutes: int, what: str = "call", seconds: int = 0) -> Contacted:
    return Contacted(NOON + timedelta(minutes=minutes), what, 1, seconds)


def test_hours_begin_where_the_wall_shows_a_whole_one_even_half_an_hour_off() -> None:
    starts = edges(NOON + timedelta(minutes=10), NOON + timedelta(hours=1), "Asia/Kolkata")
    assert [f"{one:%H:%M}" for one in starts] == ["11:30", "12:30", "13:30"]


def test_the_hour_that_comes_twice_is_two() -> None:
    assert len(edges(SUMMER_ENDS, SUMMER_ENDS + timedelta(hours=3), "Europe/Madrid")) == 4


def test_a_long_call_takes_its_part_of_each_hour() -> None:
    first, second = by_hour([at(50, seconds=1_200)], edges(NOON, NOON + timedelta(hours=2), "UTC"))
    assert (first["call"], first["seconds"], second["call"], second["seconds"]) == (1, 600, 0, 600)


def test_agents_are_needed_so_that_calls_fill_no_more_than_most_of_their_time() -> None:
    calls = [at(0, seconds=3_060), at(0, seconds=3_060), at(1, "text")]
    hour = plan(*calls).hours[0]
    assert (hour.calls.mean, hour.texts.mean, hour.needed) == (2, 1, 2)
    assert plan(*calls, at(2, seconds=30)).hours[0].needed == 3


def test_an_agent_of_two_queues_is_staffed_once() -> None:
    there = {7: ((NOON, NOON + timedelta(minutes=90)),)}
    lines = {line: LineAhead(line, 600, there) for line in (1, 2)}
    assert [hour.staffed for hour in plan(lines=lines).hours] == [1.0, 0.5, 0.0]


def test_what_would_move_is_told_by_the_hour_and_only_that() -> None:
    assert moved(plan(at(0), at(61)), plan(at(0), at(121), at(122, "text"))) == [
        "  Mon 2026-11-23 14:00  calls 1.0 → 0.0", "  Mon 2026-11-23 15:00  calls 0.0 → 1.0, texts 0.0 → 1.0",
    ]
    assert moved(plan(at(0)), plan(at(59))) == []


def test_a_count_agrees_within_its_error_and_not_beyond() -> None:
    assert (head(2, 2.0), tail(3, 2.0)) == (pytest.approx(0.67668, abs=1e-5), pytest.approx(0.32332, abs=1e-5))
    mean = Count(4.0, 2.0)
    assert mean.agrees(0, 1_000)
    assert mean.agrees(12, 1_000)
    assert not mean.agrees(20, 1_000)
    assert not Count(100.0, 10.0).agrees(50, 1_000)
    assert Count(3.0).agrees(3, 1)
    assert not Count(3.0).agrees(4, 1), "where nothing is drawn there is no error"


def test_calls_end_by_chance_and_mix_and_the_same_lots_end_alike() -> None:
    mix = mixed({True: {Disposition.sold: 1_000.0}})
    assert sum(mix[True].values()) == pytest.approx(1)
    assert mix[True][Disposition.sold] > 0.95
    ends = [drawn(0.25, mix, lots_of("s", person, "ours", 1, 1)) for person in range(2_000)]
    assert ends == [drawn(0.25, mix, lots_of("s", person, "ours", 1, 1)) for person in range(2_000)]
    assert sum(one in mix[True] for one in ends) / 2_000 == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(("why", "said", "rules"), [
    ("pending", None, ()), ("pending", False, ()), ("pending", True, ("register.x.listed",)),
    ("unreachable", None, ("register.x.unreachable",)),
])
def test_a_register_that_is_asked_answers_in_time_as_it_did_before(
    why: str, said: bool | None, rules: tuple[str, ...]
) -> None:
    pack = made(rule("registers", "X-1", 'key = "x"\nmax_age_days = 7'))
    long_ago = NOON - timedelta(days=30)
    guard = Snapshot(
        pack=pack, phone="+34910000001", purpose=Purpose.commercial, zones=("Europe/Madrid",),
        consents=frozenset({"commercial"}), asking={"x": why},
        registers={} if said is None else {"x": Consulted(long_ago, said)},
    )
    known = Person(1, 1, guard, Opening("Europe/Madrid", ((),) * 7), "Europe/Madrid", ("ES", "0"))
    world = World(ahead(persons={1: known}), "seed")
    verdict = world.ask(world.persons[1], 1)
    assert verdict.allowed == (not rules)
    assert verdict.allowed or verdict.rules == rules
