"""Abilities: what an agent can do, as his file says. The fact of a change holds the one before and the one after."""

from collections.abc import Mapping

import msgspec

from router.model.levels import Levels
from router.model.routing import ONE_OF_EACH, Channel


class Ability(msgspec.Struct, frozen=True):
    """For whom an agent works (`pool`), his skills with their levels, how many tasks he may hold by channel, his share
    of what comes, and the `most` he is given in a day (0: any)."""

    pool: int = 1
    skills: Levels = {}
    capacity: Mapping[Channel, int] = ONE_OF_EACH
    weight: float = 1.0
    most: int = 0
