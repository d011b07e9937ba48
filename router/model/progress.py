"""Progress: what a visitor may know of his request, from the states of its task and call."""

from enum import StrEnum

from router.model.calls import CallState
from router.model.tasks import Disposition, TaskState


class Progress(StrEnum):
    """`accepted`: an agent has said yes and is being connected; `calling`: the visitor's own phone rings."""

    waiting = "waiting"
    scheduled = "scheduled"
    ringing = "ringing"
    accepted = "accepted"
    calling = "calling"
    talking = "talking"
    finished = "finished"
    not_reached = "not_reached"
    refused = "refused"
    closed = "closed"

    @property
    def final(self) -> bool:
        """Nothing more will happen by itself."""
        return self in (Progress.finished, Progress.not_reached, Progress.refused, Progress.closed)


_OF_TASK = {
    TaskState.scheduled: Progress.scheduled,
    TaskState.queued: Progress.waiting,
    TaskState.reserved: Progress.ringing,
    TaskState.connecting: Progress.accepted,
    TaskState.engaged: Progress.talking,
    TaskState.wrapping: Progress.finished,
}

_OF_OUTCOME = {
    Disposition.no_answer: Progress.not_reached,
    Disposition.busy: Progress.not_reached,
    Disposition.failed: Progress.not_reached,
    Disposition.not_permitted: Progress.refused,
}


def progress(task: TaskState | None, call: CallState | None, outcome: Disposition | None) -> Progress:
    """`call` is the newest call of the task, `outcome` its disposition. No task yet: the person waits."""
    if task is None:
        return Progress.waiting
    if task is TaskState.closed:
        return _OF_OUTCOME.get(outcome, Progress.finished) if outcome else Progress.finished
    if task is TaskState.connecting and call is CallState.customer_leg:
        return Progress.calling
    return _OF_TASK.get(task, Progress.closed)
