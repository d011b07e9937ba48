"""Waiting: telling somebody when he will be reached, and keeping to it."""

from router.book import Writing
from router.model.tasks import Task
from router.model.waiting import Told
from router.store import waiting
from router.store.staffing import Staffing


async def tell(w: Writing, task: Task, people: Staffing) -> Told | None:
    """What the person of a queued task is told now; None when nothing can be said."""
    return await keep(w, task, await waiting.meant_for(w.session, task, people, w.now))


async def keep(w: Writing, task: Task, meant: Told | None) -> Told | None:
    """Writes down what he is to be told, so that nothing later is told without cause; what he is told then.

    One statement by the key, and none when it is what he was told before. What cannot be written down (he waits no
    more, or a round holds him this moment) is not told: he hears what he heard before.
    """
    before = waiting.told_before(task)
    if meant == before or await waiting.keep(w.session, task, meant):
        return meant
    return before
