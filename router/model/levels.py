"""Skills with levels, spelled out so that the database's own "contains" compares them.

Somebody of level 3 in Italian has "it", "it:2" and "it:3"; a task that needs level 2 asks for "it:2".
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

HIGHEST = 10
Levels = Mapping[str, int]


def owned(skills: Sequence[str] | Levels) -> list[str]:
    """What somebody has, spelled out, rising. Names alone are of level 1."""
    levels = skills if isinstance(skills, Mapping) else dict.fromkeys(skills, 1)
    return sorted(_spelled(skill, level) for skill, most in levels.items() for level in range(1, most + 1))


def asked(skills: Sequence[str] | Levels) -> list[str]:
    """What a task needs, spelled out, rising. Names alone are of level 1."""
    levels = skills if isinstance(skills, Mapping) else dict.fromkeys(skills, 1)
    return sorted(_spelled(skill, level) for skill, level in levels.items())


def levels_of(spelled: Iterable[str]) -> Levels:
    """The highest level of each skill that is spelled out here."""
    return _levels_of(tuple(spelled))


@lru_cache(maxsize=4096)
def _levels_of(spelled: tuple[str, ...]) -> Levels:
    levels: dict[str, int] = {}
    for one in spelled:
        skill, _, level = one.partition(":")
        levels[skill] = max(levels.get(skill, 1), int(level or 1))
    return levels


def _spelled(skill: str, level: int) -> str:
    return skill if level == 1 else f"{skill}:{level}"
