"""Deferring: a cadence's call waits for an agent already, or is about to be dialled, and the guard puts it off. Its
person's telephone did not ring, so it has not been made: its step is planned again for when it may be, and is asked
about, announced and queued like any planned one. Who was told of it hears of the new moment as he would have before.
"""

from datetime import datetime

from router.actions import enrolling, stepping
from router.actions.enrolling import Case
from router.actions.keeping import TASK_DUE
from router.book import Writing
from router.model.base import vouched
from router.model.cadences import Enrolment, EnrolmentState, Step, StepState
from router.model.quotes import Quote
from router.model.stepping import INSIDE
from router.model.tasks import Task, TaskState
from router.store import alarms, cadences

GUARD = "guard"


async def due(w: Writing, step_id: int) -> None:
    """The step's call rests since it was to be given to an agent (an alarm's handler, because whoever gives out calls
    holds the task, which comes last of all locks). Is it called again meanwhile, nothing happens."""
    case, step = await stepping.claim(w, step_id, StepState.waiting)
    if case is None or step is None:
        return
    until = await cadences.rests_until(w.session, vouched(step.task_id), TASK_DUE)
    if until is not None and await enrolling.withdraw_call(w, step, GUARD):
        await alarms.cancel(w.session, TASK_DUE, vouched(step.task_id), w.now)
        await _plan_again(w, case, step, until)


async def at_dialling(w: Writing, task: Task, until: datetime) -> bool:
    """The guard has put off a call whose agent is there already until then (aware); the caller holds the task. False
    when it is no cadence's any more: then it is over."""
    found = await cadences.step_of_task(w.session, task.id)
    if found is None:
        return False
    if task.quote_id is not None:
        await w.session.locked(Quote, task.quote_id)
    enrolment = vouched(await w.session.locked(Enrolment, found.enrolment_id))
    step = vouched(await w.session.locked(Step, found.id))
    case = await enrolling.case_of(w, enrolment)
    if case is None or step.state is not StepState.waiting or enrolment.state not in INSIDE:
        return False
    await w.move(Task, task.id, TaskState.withdrawn, ended_at=w.now, held_until=None, data={"reason": GUARD})
    await _plan_again(w, case, step, until)
    return True


async def _plan_again(w: Writing, case: Case, step: Step, until: datetime) -> None:
    await alarms.cancel(w.session, enrolling.STEP_UNWORKED, step.id, w.now)
    step.began_at, step.band, step.tries = None, "", step.tries - 1
    await w.session.flush()
    await w.move(
        Enrolment, case.enrolment.id, EnrolmentState.active, frm=(EnrolmentState.awaiting_agent,),
        data={"reason": GUARD},
    )
    await enrolling.put_off(w, case, step, until, GUARD)
    w.hint("wallboard")
