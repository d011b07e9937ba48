"""What changed in the middle of a recorded day that is played again: what agents can do, and what was paused."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from router.model.abilities import Ability
from router.model.comparing import column, there, with_more, with_plan
from router.model.configuration import read
from router.model.recording import Desk, End, Presence, Span, Terms, Timetable
from router.model.routing import Channel
from router.model.tasks import TIER_FRESH, TIER_NOW, TIER_STALE, TaskKind
from router.model.transcribing import Changed, Switched, abilities_of, elsewhere, pauses_of
from tests.model.test_replaying import DAY, FILE, desk, item, played, recording, waited

ITALIAN, NONE = Ability(skills={"it": 1}), Ability()
ANYBODY = Terms()
IT = Terms({"it": 1})


def changing(first: Ability, *later: tuple[float, Ability], ends: float = DAY) -> Desk:
    return Desk(1, (Presence(0.0, ends),), "agent1", first, later)


# --- agents ----------------------------------------------------------------------------------------------------------


def test_who_learns_something_is_given_it_from_then_on() -> None:
    day = recording([item(1, 10.0, terms=IT), item(2, 300.0, terms=IT)], changing(NONE, (200.0, ITALIAN)))
    assert waited(played(day)) == [190.0, 0.0]


def test_who_unlearns_something_is_given_it_no_more() -> None:
    day = recording(
        [item(1, 10.0, 30.0, terms=IT), item(2, 300.0, terms=IT, end=End.abandoned, waited_s=50.0), item(3, 310.0)],
        changing(ITALIAN, (200.0, NONE)),
    )
    course = played(day)
    assert [one.end for one in course.ended] == [End.answered, End.abandoned, End.answered]
    assert waited(course) == [0.0, 50.0, 0.0]


def test_who_may_hold_more_chats_is_given_more() -> None:
    chats = [item(n, 0.0, 500.0, kind=TaskKind.chat) for n in range(3)]
    more = Ability(capacity={Channel.call: 1, Channel.chat: 3, Channel.video: 1})
    assert waited(played(recording(chats, changing(NONE, (100.0, more))))) == [0.0, 100.0, 100.0]


def test_who_goes_to_another_pool_serves_each_in_its_time_and_is_one_agent() -> None:
    day = recording(
        [item(1, 10.0), item(2, 20.0, pool=2, queue=2), item(3, 250.0, end=End.waiting, waited_s=0.0)],
        changing(NONE, (200.0, Ability(pool=2))),
    )
    course = played(replace(day, timetables={1: Timetable(), 2: Timetable(pool=2)}))
    assert [one.end for one in course.ended] == [End.answered, End.answered, End.waiting]
    assert course.busy == {1: [(10.0, 70.0), (200.0, 260.0)]}
    assert [one.id for one in there(day)] == [1]


def test_a_file_says_what_he_can_do_for_all_of_the_time_and_leaves_him_where_he_was() -> None:
    day = recording([item(1, 0.0)], changing(NONE, (200.0, Ability(pool=2, skills={"es": 1}))))
    (changed,) = with_plan(day, read(FILE)).desks
    assert changed.ability.skills == changed.later[0][1].skills == {"it": 1}
    assert [changed.ability.pool, changed.later[0][1].pool] == [1, 2]


def test_one_more_agent_learns_when_the_one_he_is_like_did() -> None:
    day = recording([item(1, 10.0, terms=IT), item(2, 20.0, terms=IT)], changing(NONE, (200.0, ITALIAN)))
    assert waited(played(with_more(day, 1))) == [190.0, 180.0]


FIRST, SECOND, THIRD = (Ability(most=n) for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ([], (THIRD, ())),
        ([Changed(50.0, FIRST, THIRD)], (FIRST, ((50.0, THIRD),))),
        ([Changed(50.0, FIRST, SECOND), Changed(150.0, SECOND, THIRD)], (FIRST, ((50.0, SECOND),))),
        ([Changed(150.0, SECOND, THIRD)], (SECOND, ())),
    ],
)
def test_what_he_could_do_is_known_from_what_was_changed_since(changed: list[Changed], found: object) -> None:
    assert abilities_of(changed, THIRD, 100.0) == found


def test_elsewhere_is_whoever_works_for_none_of_the_pools() -> None:
    later = ((20.0, Ability(pool=2)), (60.0, Ability(pool=3)), (80.0, NONE))
    assert elsewhere(NONE, later, {1}, 100.0) == [(20.0, 60.0), (60.0, 80.0)]
    assert elsewhere(NONE, later, {1, 2, 3}, 100.0) == []
    assert elsewhere(NONE, (), {2}, 100.0) == [(0.0, 100.0)]


# --- pauses ----------------------------------------------------------------------------------------------------------


@dataclass
class Pause:
    """One who comes at 20 s while his campaign is paused, or all nurture, from 10 to 100 s."""

    kind: TaskKind
    tier: int
    paused: tuple[Span, ...] = ()
    nurture: tuple[Span, ...] = ()

    def waits(self, **values: Any) -> float:
        day = recording(
            [item(1, 20.0, kind=self.kind, tier=self.tier, **values)], timetables={1: Timetable(paused=self.paused)},
            nurture_paused=self.nurture,
        )
        return waited(played(day))[0]


PAUSE = ((10.0, 100.0),)


@pytest.mark.parametrize(
    ("pause", "waits"),
    [
        (Pause(TaskKind.call, TIER_FRESH, PAUSE), 80.0),
        (Pause(TaskKind.nurture, TIER_STALE, PAUSE), 80.0),
        (Pause(TaskKind.nurture, TIER_STALE, nurture=PAUSE), 80.0),
        (Pause(TaskKind.call, TIER_NOW, PAUSE), 0.0),
        (Pause(TaskKind.chat, TIER_FRESH, PAUSE), 0.0),
        (Pause(TaskKind.call, TIER_FRESH, nurture=PAUSE), 0.0),
        (Pause(TaskKind.call, TIER_FRESH, ((10.0, 100.0), (100.0, 150.0))), 130.0),
        (Pause(TaskKind.call, TIER_FRESH, ((30.0, 100.0),)), 0.0),
    ],
)
def test_nobody_is_called_while_it_is_paused_but_who_waits_himself_is_answered(pause: Pause, waits: float) -> None:
    assert pause.waits() == waits


def test_only_the_paused_campaigns_line_waits_though_both_wait_under_the_same_terms() -> None:
    called = {"kind": TaskKind.call, "tier": TIER_FRESH, "terms": ANYBODY}
    day = recording(
        [item(1, 20.0, 5.0, **called), item(2, 30.0, 5.0, queue=2, **called)], desk(1),
        timetables={1: Timetable(paused=PAUSE), 2: Timetable()},
    )
    assert waited(played(day)) == [80.0, 0.0]


def test_who_is_paused_for_too_long_is_given_up_all_the_same() -> None:
    day = recording(
        [item(1, 20.0, kind=TaskKind.call, tier=TIER_FRESH)], timetables={1: Timetable(paused=PAUSE, expire_s=50.0)}
    )
    assert column(day, played(day)).expired == 1


@pytest.mark.parametrize(
    ("switched", "now", "found"),
    [
        ([], False, ()),
        ([], True, ((0.0, 100.0),)),
        ([Switched(30.0, True), Switched(60.0, False)], False, ((30.0, 60.0),)),
        ([Switched(30.0, False)], False, ((0.0, 30.0),)),
        ([Switched(30.0, True)], True, ((30.0, 100.0),)),
        ([Switched(30.0, True), Switched(160.0, False)], False, ((30.0, 100.0),)),
        ([Switched(130.0, True)], True, ()),
        ([Switched(130.0, False)], False, ((0.0, 100.0),)),
    ],
)
def test_when_it_was_paused_is_known_from_what_was_switched_since(
    switched: list[Switched], now: bool, found: object
) -> None:
    assert pauses_of(switched, now, 100.0) == found
