"""Aging: what becomes of who waits long. His rules are relaxed by their timetable, another queue takes him over, or he
is given up; each is a fact. His place in the line is kept through all of it.
"""

from msgspec.structs import replace

from router.actions import nurturing
from router.actions.promising import opening_of
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Queue, Ruleset
from router.model.hours import is_open
from router.model.rules import RulesPlan, needs_at, read_stored
from router.model.tasks import TIER_PROMISE, Task, TaskKind, TaskState, lane_of, placed
from router.store import aging
from router.store.aging import Step


async def age(w: Writing) -> int:
    """Moves on who has waited long enough; how many. Any replica may, at any time: rows are locked, others skipped."""
    closed = [
        queue.id for campaign, queue in await aging.overflowing(w.session)
        if not is_open(opening_of(campaign, queue), w.now)
    ]
    due = await aging.due(w.session, w.now, promised=TIER_PROMISE, closed=closed)
    if not due:
        return 0
    steps = dict(due)
    relaxed = []
    for task, queue, ruleset in await aging.waiting(w.session, steps):
        match steps[task.id]:
            case Step.expire:
                await _expire(w, task)
            case Step.overflow:
                await _overflow(w, task, queue)
            case Step.relax:
                relaxed.append(_relaxed(w, task, queue, vouched(ruleset)))
    if relaxed:
        await aging.relax(w.session, relaxed)
    w.hint("dispatch", "wallboard")
    return len(due)


def _waited_s(w: Writing, task: Task) -> float:
    return round(w.now.timestamp() - task.since_ms / 1000, 1)


def _relaxed(w: Writing, task: Task, queue: Queue, ruleset: Ruleset) -> tuple[int, int, str, list[str]]:
    plan = read_stored(ruleset.body)
    row = _row_at(plan, _waited_s(w, task))
    needs = needs_at(row, task.skills, plan)
    w.fact("relaxation.row", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id, row=row,
           version=ruleset.version, needs=needs)
    line = replace(queue.line, rules_id=task.rules_id)
    return task.id, row, lane_of(line, task.kind, task.tier, row=row, skills=needs), needs


def _row_at(plan: RulesPlan, waited_s: float) -> int:
    return sum(waited_s >= begins for begins in plan.widens)


async def _overflow(w: Writing, task: Task, queue: Queue) -> None:
    onward = vouched(await w.session.get(Queue, vouched(queue.overflow_id)))
    for column, value in placed(onward.line, task.kind, task.tier, task.since_ms).items():
        setattr(task, column, value)
    await w.session.flush()
    w.fact("overflow.queue", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id,
           queue=onward.id, before=queue.id, waited_s=_waited_s(w, task))


async def _expire(w: Writing, task: Task) -> None:
    gone = await w.move(
        Task, task.id, TaskState.expired, frm=(TaskState.queued,), ended_at=w.now,
        data={"reason": "waited_too_long", "waited_s": _waited_s(w, task)},
    )
    if gone is not None and gone.kind is TaskKind.nurture:
        await nurturing.expired(w, gone)
