"""A queue's rules as a file writes them: how its tasks are given out, and what becomes of who waits long."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.model.levels import HIGHEST, asked, levels_of
from router.model.routing import PLAIN, AgentOrder, Rules, skilled

Skill = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")]
Level = Annotated[int, Meta(ge=1, le=HIGHEST)]
Skills = list[Skill] | dict[Skill, Level]
"""Names, or names with levels."""
Day = Annotated[int, Meta(ge=0, le=86_400)]


class RowPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """From this age on (seconds) a task needs only these skills, and is as urgent as one that has waited `credit`
    seconds longer."""

    from_seconds: Annotated[int, Meta(ge=1, le=86_400)]
    skills: Skills
    credit_seconds: Day = 0


class RulesPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`router.model.routing.Rules` as a file writes them, with the timetable of relaxation.

    `owner_seconds`: so long a task is kept for who last spoke with its person, if he is there. `newest_first` needs a
    floor, or whoever came first would wait for ever.
    """

    agents_by: AgentOrder = AgentOrder.longest_idle
    value: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    half_life_seconds: Day = 0
    deadline_seconds: Day = 0
    floor_seconds: Day = 0
    newest_first: bool = False
    owner_seconds: Annotated[int, Meta(ge=0, le=600)] = 0
    rows: Annotated[list[RowPlan], Meta(max_length=8)] = []

    @property
    def widens(self) -> list[int]:
        """The ages at which the rows begin."""
        return [row.from_seconds for row in self.rows]

    def wrong(self, skills: Skills) -> str | None:
        """What contradicts itself in these rules of a queue that needs `skills`, or None."""
        if self.newest_first and not self.floor_seconds:
            return "newest_first needs floor_seconds, or whoever came first would wait for ever"
        if self.widens != sorted(set(self.widens)):
            return "the rows should begin one after the other, e.g. at 30 and at 60 seconds"
        before = levels_of(asked(skills))
        for row in self.rows:
            needs = levels_of(asked(row.skills))
            if not skilled(before, needs):
                return f"the row from {row.from_seconds} s asks for more than the one before: who could take it, cannot"
            before = needs
        credits = [row.credit_seconds for row in self.rows]
        if credits != sorted(credits):
            return "a later row's credit should not be less: nobody falls back by waiting"
        return None


ORDINARY = RulesPlan()


@lru_cache(maxsize=1024)
def read_rules(version: int, body: str) -> tuple[Rules, RulesPlan]:
    """The rules of a stored version, ready to be matched by. Raises msgspec.ValidationError."""
    plan = msgspec.json.decode(body, type=RulesPlan)
    rules = Rules(
        version=version, agents_by=plan.agents_by, value=plan.value, half_life_s=plan.half_life_seconds,
        deadline_s=plan.deadline_seconds, floor_s=plan.floor_seconds,
    )
    return (PLAIN if rules == PLAIN else rules), plan


def read_stored(body: Mapping[str, Any]) -> RulesPlan:
    """The plan as it was stored. Raises msgspec.ValidationError."""
    return msgspec.convert(body, RulesPlan)


def as_body(plan: RulesPlan) -> dict[str, Any]:
    """The plan as it is stored."""
    body: dict[str, Any] = msgspec.to_builtins(plan)
    return body


def needs_at(row: int, skills: Sequence[str], plan: RulesPlan) -> list[str]:
    """What a task of a queue that needs `skills` (spelled out) needs at this row, spelled out."""
    return asked(plan.rows[row - 1].skills) if row else list(skills)


def credit_ms(row: int, plan: RulesPlan) -> int:
    """How much longer a task at this row counts as having waited."""
    return plan.rows[row - 1].credit_seconds * 1000 if row else 0


def circle(overflows: Mapping[str, str]) -> list[str] | None:
    """The queues that hand on to each other in a circle, in order, or None. `overflows` says who hands on to whom."""
    for start in overflows:
        way = [start]
        while (after := overflows.get(way[-1])) is not None and after not in way:
            way.append(after)
        if after is not None:
            return [*way[way.index(after):], after]
    return None
