"""Places: how many streams one lead may hold open in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from router.live import Hub
from router.model.errors import HouseError

STREAMS_PER_LEAD = 6


class Places:
    """The places of one kind of stream, by process and lead."""

    def __init__(self) -> None:
        self._taken: WeakKeyDictionary[Hub, Counter[int]] = WeakKeyDictionary()

    @contextmanager
    def take(self, hub: Hub, lead_id: int, full: HouseError) -> Iterator[None]:
        """One of the few places, until the block ends. Raises `full` when there is none; the page then asks by
        itself."""
        counts = self._taken.setdefault(hub, Counter())
        if counts[lead_id] >= STREAMS_PER_LEAD:
            raise full
        counts[lead_id] += 1
        try:
            yield
        finally:
            counts[lead_id] -= 1
            if not counts[lead_id]:
                del counts[lead_id]
