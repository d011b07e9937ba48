"""Comparing: what is changed in a recorded stretch, and what each way of playing it comes to, side by side."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from router.model.abilities import Ability
from router.model.configuration import AgentPlan, Plan, QueuePlan, WrongFile, columns
from router.model.hours import opening
from router.model.levels import asked, levels_of, owned
from router.model.recording import Desk, End, Item, Recording, Row, Span, Terms, Timetable, closed_spans, without
from router.model.replaying import Course, Ended
from router.model.routing import AgentOrder, Channel
from router.model.rules import read_rules

# --- changes ---------------------------------------------------------------------------------------------------------


def there(recording: Recording) -> list[Desk]:
    """The agents who were there in the time that is counted, the longest first."""
    found = [(_covered([(one.begins, one.ends) for one in desk.spans], recording), desk) for desk in recording.desks]
    return [desk for seconds, desk in sorted(found, key=lambda one: (-one[0], one[1].id)) if seconds > 0]


def with_more(recording: Recording, more: int) -> Recording:
    """So many agents more, each there and able as one of those who were there longest; or so many of these fewer.
    Raises ValueError when nobody would be left."""
    staff = there(recording)
    if len(staff) + more < 1:
        raise ValueError(f"{len(staff)} agent{' was' if len(staff) == 1 else 's were'} there: nobody would be left.")
    if more <= 0:
        gone = {desk.id for desk in staff[: -more]}
        return replace(recording, desks=tuple(desk for desk in recording.desks if desk.id not in gone))
    number = max(desk.id for desk in recording.desks)
    added = [replace(staff[one % len(staff)], id=number + 1 + one, login="") for one in range(more)]
    return replace(recording, desks=(*recording.desks, *added))


def with_order(
    recording: Recording, agents_by: AgentOrder | None = None, newest_first: bool = False, floor_s: float | None = None
) -> Recording:
    """The queues asked for give out by another order of agents or of tasks. `newest_first` needs a floor."""

    def other(_: int, terms: Terms) -> Terms:
        rules = terms.rules
        rules = replace(
            rules, agents_by=agents_by or rules.agents_by, floor_s=rules.floor_s if floor_s is None else floor_s
        )
        return replace(terms, rules=rules, newest_first=newest_first or terms.newest_first)

    return _with_terms(recording, recording.asked, other)


def with_plan(recording: Recording, plan: Plan) -> Recording:
    """The rules, skills, times and hours of the file's queues, and the skills, capacity and shares of its agents,
    instead of theirs. Raises WrongFile."""
    plans = {f"{campaign.key}/{queue.key}": queue for campaign in plan.campaigns for queue in campaign.queues}
    for key, queue in plans.items():
        if (wrong := queue.rules.wrong(queue.skills)) is not None:
            raise WrongFile(f"queue {key}: rules: {wrong}")
    of = {queue: plans[key] for queue, key in recording.queues.items() if key in plans}
    changed = _with_terms(recording, of, lambda queue, terms: _planned(of[queue], terms))
    items = tuple(
        replace(item, prefers_until=item.at + of[item.queue].rules.owner_seconds)
        if item.queue in of and item.prefers is not None else item
        for item in changed.items
    )
    zones = {campaign.key: campaign.timezone for campaign in plan.campaigns}
    timetables = {queue: _timetabled(changed, queue, planned, zones) for queue, planned in of.items()}
    agents = {agent.login: agent for agent in plan.agents}
    desks = tuple(_seated(desk, agents[desk.login]) if desk.login in agents else desk for desk in recording.desks)
    return replace(changed, items=items, desks=desks, timetables={**changed.timetables, **timetables})


def missing(recording: Recording, plan: Plan) -> list[str]:
    """What the file names that was not there in this time."""
    queues = [f"{campaign.key}/{queue.key}" for campaign in plan.campaigns for queue in campaign.queues]
    logins = {desk.login for desk in recording.desks}
    return [
        *(f"queue {key}" for key in queues if key not in recording.queues.values()),
        *(f"agent {agent.login}" for agent in plan.agents if agent.login not in logins),
    ]


def _planned(queue: QueuePlan, terms: Terms) -> Terms:
    rules, plan = read_rules(terms.rules.version, msgspec.json.encode(queue.rules).decode())
    rows = tuple(Row(row.from_seconds, levels_of(asked(row.skills)), row.credit_seconds) for row in plan.rows)
    return Terms(levels_of(asked(queue.skills)), rules, rows, plan.newest_first, terms.target_s)


def _timetabled(recording: Recording, queue: int, plan: QueuePlan, zones: Mapping[str, str]) -> Timetable:
    campaign = recording.queues[queue].partition("/")[0]
    pool = recording.timetable(queue).pool
    onward = {key: number for number, key in recording.queues.items() if recording.timetable(number).pool == pool}
    hours = opening(zones[campaign], columns(plan.hours), columns(plan.holidays), plan.closures)
    return replace(
        recording.timetable(queue), exclude_s=plan.exclude_seconds, overflow=onward.get(f"{campaign}/{plan.overflow}"),
        overflow_s=plan.overflow_seconds, expire_s=plan.expire_seconds,
        closed=closed_spans(hours, recording.starts, recording.until),
    )


def _seated(desk: Desk, plan: AgentPlan) -> Desk:
    capacity = {Channel(channel): many for channel, many in asdict(plan.capacity).items()}

    def able(one: Ability) -> Ability:
        return Ability(one.pool, levels_of(owned(plan.skills)), capacity, plan.weight, plan.most_a_day)

    return replace(desk, ability=able(desk.ability), later=tuple((at, able(one)) for at, one in desk.later))


def with_target(recording: Recording, target_s: float) -> Recording:
    """Another target for the queues asked for."""
    return _with_terms(recording, recording.asked, lambda _, terms: replace(terms, target_s=target_s))


def _with_terms(recording: Recording, queues: Collection[int], other: Callable[[int, Terms], Terms]) -> Recording:
    """Other terms for these queues. Those that shared their terms share the new ones too: they stand in one lane."""
    made: dict[tuple[int, int], Terms] = {}

    def of(queue: int, terms: Terms) -> Terms:
        key = (id(terms), queue)
        if key not in made:
            made[key] = other(queue, terms)
        return made[key]

    items = tuple(
        replace(item, terms=of(item.queue, item.terms)) if item.queue in queues else item for item in recording.items
    )
    timetables = {
        queue: replace(one, terms=of(queue, one.terms)) if queue in queues else one
        for queue, one in recording.timetables.items()
    }
    return replace(recording, items=items, timetables=timetables)


# --- what it comes to ------------------------------------------------------------------------------------------------


class Column(msgspec.Struct, frozen=True):
    """What a stretch comes to, of those who are counted. Times in seconds.

    `offered` are the answered, those who left and those still waiting at the end; of those who left `expired` were
    given up, for they had waited too long. `service_level` is the share of the offered that was answered within the
    target (SL3); `service_level_4` leaves out who left within it (SL4).
    `asa_s` is the mean wait of the answered; `p90_s` and `longest_s` are of all offered. `abandoned` is the share that
    left. `occupancy` is the share of the agents' time spent with people, whoever these were.
    """

    offered: int
    answered: int
    left: int
    waiting: int
    withdrawn: int
    unreached: int
    in_time: int
    service_level: float
    service_level_4: float
    asa_s: float
    p90_s: float
    longest_s: float
    abandoned: float
    occupancy: float
    expired: int


_LEFT = (End.abandoned, End.expired)
_OFFERED = (End.answered, *_LEFT, End.waiting)


def column(recording: Recording, course: Course) -> Column:
    """The figures of one way of playing."""
    counted = _counted(recording, course)
    many = {end: sum(ended.end is end for _, ended in counted) for end in End}
    offered = [(item, ended.waited_s) for item, ended in counted if ended.end in _OFFERED]
    waits = sorted(waited for _, waited in offered)
    answered = [ended.waited_s for _, ended in counted if ended.end is End.answered]
    in_time = _within(counted, End.answered)
    left = sum(many[end] for end in _LEFT)
    return Column(
        len(offered), many[End.answered], left, many[End.waiting], many[End.withdrawn],
        many[End.unreached], in_time, in_time / (len(offered) or 1),
        in_time / ((len(offered) - _within(counted, End.abandoned)) or 1), math.fsum(answered) / (len(answered) or 1),
        waits[math.ceil(len(waits) * 0.9) - 1] if waits else 0.0, waits[-1] if waits else 0.0,
        left / (len(offered) or 1), _occupancy(recording, course), many[End.expired],
    )


def waits(recording: Recording, course: Course) -> list[float]:
    """The waits of the answered, rising."""
    return sorted(ended.waited_s for _, ended in _counted(recording, course) if ended.end is End.answered)


def _counted(recording: Recording, course: Course) -> list[tuple[Item, Ended]]:
    return [pair for pair in zip(recording.items, course.ended, strict=True) if pair[0].counted]


def _within(counted: Iterable[tuple[Item, Ended]], end: End) -> int:
    return sum(ended.end is end and ended.waited_s <= item.terms.target_s for item, ended in counted)


def _occupancy(recording: Recording, course: Course) -> float:
    busy = present = 0.0
    for desk in recording.desks:
        spans = course.busy.get(desk.id, ())
        working = without(((one.begins, one.ends) for one in desk.spans), course.away.get(desk.id, ()))
        busy += _covered(spans, recording)
        present += _covered([*spans, *working], recording)
    return busy / (present or 1)


def _covered(spans: Iterable[Span], recording: Recording) -> float:
    """How many of the counted seconds lie in any of these spans."""
    seconds, so_far = 0.0, recording.begins
    for begins, ends in sorted(spans):
        seconds += max(0.0, min(ends, recording.ends) - max(begins, so_far))
        so_far = max(so_far, ends)
    return seconds


class Other(NamedTuple):
    """An item that would have waited for another time."""

    task: int
    before_s: float
    after_s: float


class Difference(msgspec.Struct, frozen=True):
    """Between the stretch played as it was and with the change. `sooner` and `later` wait so much less or more, the
    greatest difference first; `saved` are the tasks that left as it was and are answered now, `lost` the reverse."""

    sooner: Sequence[Other]
    later: Sequence[Other]
    saved: Sequence[int]
    lost: Sequence[int]


def difference(recording: Recording, before: Course, after: Course, than_s: float) -> Difference:
    """Whom the change would have made wait `than_s` less or more, and who would have been lost or saved by it."""
    sooner, later, saved, lost = list[Other](), list[Other](), list[int](), list[int]()
    for item, was, now in zip(recording.items, before.ended, after.ended, strict=True):
        if not item.counted:
            continue
        if was.end is not End.answered and now.end is End.answered:
            saved.append(item.task)
        elif was.end is End.answered and now.end is not End.answered:
            lost.append(item.task)
        elif abs(now.waited_s - was.waited_s) > than_s:
            (later if now.waited_s > was.waited_s else sooner).append(Other(item.task, was.waited_s, now.waited_s))
    for those in (sooner, later):
        those.sort(key=lambda one: (-abs(one.after_s - one.before_s), one.task))
    return Difference(sooner, later, saved, lost)


def drift_s(recording: Recording, course: Course) -> float:
    """How far a wait of this course is from the recorded one in the mean, of those who are answered in both."""
    apart = [
        abs(ended.waited_s - item.waited_s) for item, ended in _counted(recording, course)
        if ended.end is End.answered and item.end is End.answered
    ]
    return math.fsum(apart) / (len(apart) or 1)
