"""Intake: leads become contacts, consent receipts and tasks, many requests in one transaction."""

from collections.abc import Sequence
from typing import Any

from router.actions import promising
from router.book import Writing
from router.model.intake import Taken, Wanted, Work
from router.model.tasks import Task, TaskState, lane_of
from router.model.vault import hash_token
from router.store import intake


class Raced(Exception):
    """Another replica took the same key in the same moment; asking again finds its answer."""


NO_WORK = Work()
TASK_DUE = "task.due"
"""The alarm of a scheduled task."""


def _scope(one: Wanted) -> str:
    return one.scope or f"lead:{one.site_id}"


async def take_in(w: Writing, asked: Sequence[Wanted]) -> list[Taken]:
    """Stores contact, lead, receipt, task, facts and key of all requests; the answers in order.

    The same key gives the same answer, in this batch too. A person who already waits is not rung twice: the new lead
    is attached. Raises Raced when the same key was taken elsewhere meanwhile; nothing is stored then.
    """
    known = await intake.answered(w.session, {(_scope(one), one.key) for one in asked if one.key})
    answers: dict[int, Taken] = {}
    fresh: dict[int, Wanted] = {}
    first_of: dict[tuple[str, str], int] = {}
    for place, one in enumerate(asked):
        pair = (_scope(one), one.key or "")
        if one.key and pair in known:
            sha256, answer = known[pair]
            answers[place] = Taken(
                lead_id=answer["lead_id"], token=one.status_token, task_id=answer.get("task_id"), replayed=True,
                attached=answer["attached"], mismatch=sha256 != one.request_sha256,
            )
        elif one.key and pair in first_of:
            continue
        else:
            first_of[pair] = place
            fresh[place] = one
    if fresh:
        answers |= await _store(w, fresh)
    for place, one in enumerate(asked):
        if place not in answers:
            first = first_of[(_scope(one), one.key or "")]
            answers[place] = Taken(
                lead_id=answers[first].lead_id, token=one.status_token, task_id=answers[first].task_id, replayed=True,
                attached=answers[first].attached, mismatch=asked[first].request_sha256 != one.request_sha256,
            )
    return [answers[place] for place in range(len(asked))]


async def _store(w: Writing, fresh: dict[int, Wanted]) -> dict[int, Taken]:
    wanted = list(fresh.values())
    stored = await intake.take_in(w.session, _columns(wanted) | _receipts(wanted), TASK_DUE, w.now)
    if len(stored) != len(wanted):
        raise Raced  # the token is made from the key
    leads = [stored[hash_token(one.status_token)] for one in wanted]
    await _attach(w, wanted, leads)
    taken = {
        place: Taken(
            lead_id=lead.lead_id, token=one.status_token, task_id=lead.task_id,
            attached=one.work is not None and lead.task_id is None,
        )
        for (place, one), lead in zip(fresh.items(), leads, strict=True)
    }
    _record(w, wanted, leads)
    for one, lead in zip(wanted, leads, strict=True):
        if one.hold and lead.task_id is not None:
            await promising.book(
                w, one.hold, lead_id=lead.lead_id, task_id=lead.task_id, contact_id=lead.contact_id, locale=one.locale
            )
    await _remember(w, fresh, taken)
    return taken


def _columns(wanted: list[Wanted]) -> dict[str, list[Any]]:
    works = [one.work or NO_WORK for one in wanted]
    return {
        "campaign_ids": [one.campaign_id for one in wanted],
        "site_ids": [one.site_id for one in wanted],
        "queue_ids": [one.queue_id for one in wanted],
        "pools": [one.pool for one in wanted],
        "skills": [" ".join(one.skills) for one in wanted],
        "lanes": [
            lane_of(one.campaign_id, one.queue_id, work.tier, one.skills)
            for one, work in zip(wanted, works, strict=True)
        ],
        "phones": [one.phone for one in wanted],
        "names": [one.name for one in wanted],
        "locales": [one.locale for one in wanted],
        "intents": [one.intent.value for one in wanted],
        "claims": [intake.as_json(one.claims) for one in wanted],
        "sources": [intake.as_json(one.source) for one in wanted],
        "fields": [intake.as_json(one.fields) for one in wanted],
        "sealed": [one.sealed_fields for one in wanted],
        "status_hashes": [hash_token(one.status_token) for one in wanted],
        "kinds": [one.work.kind.value if one.work else "" for one in wanted],
        "tiers": [work.tier for work in works],
        "dues": [work.due_at for work in works],
    }


def _receipts(wanted: list[Wanted]) -> dict[str, list[Any]]:
    rows = [(one, agreed) for one in wanted for agreed in one.agreed]
    return {
        "receipt_hashes": [hash_token(one.status_token) for one, _ in rows],
        "purposes": [" ".join(agreed.purposes) for _, agreed in rows],
        "texts": [agreed.text for _, agreed in rows],
        "sha256s": [agreed.sha256 for _, agreed in rows],
        "versions": [agreed.version for _, agreed in rows],
        "methods": [one.method for one, _ in rows],
        "addresses": [one.address for one, _ in rows],
        "user_agents": [one.user_agent for one, _ in rows],
        "pages": [one.page for one, _ in rows],
        "receipt_locales": [one.locale for one, _ in rows],
        "client_ats": [one.client_at for one, _ in rows],
    }


async def _attach(w: Writing, wanted: list[Wanted], leads: list[intake.Stored]) -> None:
    """Those whose person waits for the same already. Raises Raced when his task has just ended: then he is rung."""
    doubles = {
        lead.lead_id: one.work.kind.value
        for one, lead in zip(wanted, leads, strict=True) if one.work and lead.task_id is None
    }
    if doubles and await intake.attach(w.session, doubles) != set(doubles):
        raise Raced


def _record(w: Writing, wanted: list[Wanted], leads: list[intake.Stored]) -> None:
    for one, lead in zip(wanted, leads, strict=True):
        common = {"campaign_id": one.campaign_id, "lead_id": lead.lead_id}
        purposes = sorted({purpose for agreed in one.agreed for purpose in agreed.purposes})
        w.fact("lead.created", **common, seq=1, subject_id=lead.lead_id, intent=one.intent.value, site=one.site_id,
               purposes=purposes)
        if one.work is None:
            continue
        if lead.task_id is None:
            w.fact("lead.attached", **common, seq=2, subject_id=lead.lead_id)
        elif one.work.due_at is None:
            w.fact("task.queued", **common, seq=2, subject_id=lead.task_id, tier=one.work.tier)
        else:
            w.fact("task.scheduled", **common, seq=2, subject_id=lead.task_id, due=one.work.due_at.isoformat())
    w.hint("dispatch", "wallboard")


async def task_due(w: Writing, task_id: int) -> None:
    """A scheduled task's time has come (an alarm's handler): it waits for an agent from now on.

    Its person may wait for the same already, or talk with us this moment: then this task is withdrawn, and its lead
    attached.
    """
    task = await w.session.locked(Task, task_id)
    if task is None or task.state is not TaskState.scheduled:
        return
    if await intake.attach(w.session, {task.lead_id: task.kind.value}):
        await w.move(Task, task.id, TaskState.withdrawn, ended_at=w.now, data={"reason": "with_us"})
        return
    await w.move(
        Task, task.id, TaskState.queued, rank=int(w.now.timestamp() * 1000), enqueued_at=w.now,
        data={"tier": task.tier},
    )
    w.hint("dispatch", "wallboard")


async def _remember(w: Writing, fresh: dict[int, Wanted], taken: dict[int, Taken]) -> None:
    keyed = {place: one for place, one in fresh.items() if one.key}
    if not keyed:
        return
    columns: dict[str, list[Any]] = {
        "scopes": [_scope(one) for one in keyed.values()],
        "keys": [one.key for one in keyed.values()],
        "sha256s": [one.request_sha256 for one in keyed.values()],
        "answers": [
            intake.as_json(
                {"lead_id": taken[place].lead_id, "attached": taken[place].attached, "task_id": taken[place].task_id}
            ) for place in keyed
        ],
    }
    if await intake.remember(w.session, columns, w.now) != len(keyed):
        raise Raced
