"""Intake: leads become contacts, consent receipts and tasks, many requests in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from router.actions import conversing, keeping, nurturing, promising
from router.book import Reading, Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.elsewhere import COMMERCIAL
from router.model.errors import Busy
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Intent
from router.model.tasks import Task, TaskState, lane_of
from router.model.vault import hash_token
from router.store import intake, tasks
from router.store.db import contended, lost_connection


class Raced(Exception):
    """Another replica took the same key in the same moment; asking again finds its answer."""


T = TypeVar("T")


async def unraced(tell: Callable[[], Awaitable[T]], tries: int = 5) -> T:
    """What `tell` answers, in a transaction of its own each time; told again while another replica is sooner. Raises
    Busy when that goes on."""
    for _ in range(tries):
        try:
            return await tell()
        except Raced:
            continue
    raise Busy("The same request is being answered elsewhere. Please try again.")


NO_WORK = Work()
TASK_DUE = keeping.TASK_DUE


def _scope(one: Wanted) -> str:
    return one.scope or f"lead:{one.site_id}"


async def came_before(r: Reading, one: Wanted) -> bool:
    """Whether the same request was taken in before under its key."""
    return one.key is not None and await intake.known(r.session, _scope(one), one.key, one.request_sha256)


async def take_in(w: Writing, asked: Sequence[Wanted]) -> list[Taken]:
    """Stores contact, lead, receipts, task, facts and key of all requests; the answers in order.

    The same key gives the same answer, in this batch too. A person who already waits is not rung twice: the new lead
    is attached. Raises Raced when the same key was taken elsewhere meanwhile; nothing may be stored then.
    """
    places: dict[object, int] = {}
    firsts = [places.setdefault((_scope(one), one.key) if one.key else n, n) for n, one in enumerate(asked)]
    answers = await _store(w, {n: asked[n] for n in sorted(set(firsts))}) if asked else {}
    return [
        answers[n] if n == first else replace(
            answers[first], token=one.status_token, replayed=True,
            mismatch=asked[first].request_sha256 != one.request_sha256,
        )
        for n, (one, first) in enumerate(zip(asked, firsts, strict=True))
    ]


async def take_in_each(w: Writing, wanted: Mapping[int, Wanted]) -> dict[int, Taken]:
    """The answers by the requests' numbers; one that cannot be stored is missing, and fails none of its neighbours."""
    if not wanted:
        return {}
    try:
        async with w.attempt():
            return dict(zip(wanted, await take_in(w, list(wanted.values())), strict=True))
    except Exception as error:
        if lost_connection(error) or contended(error):
            raise
    taken = {}
    for number, one in wanted.items():
        try:
            async with w.attempt():
                (taken[number],) = await take_in(w, [one])
        except Exception as error:
            if lost_connection(error) or contended(error):
                raise
    return taken


async def _store(w: Writing, asked: dict[int, Wanted]) -> dict[int, Taken]:
    """The answers by their places: what was known already is answered again, the rest is stored."""
    ones = list(asked.values())
    rows = [_row(n, one) for n, one in enumerate(ones)]
    receipts = [
        _receipt(row["status_hex"], one, each) for row, one in zip(rows, ones, strict=True) for each in one.agreed
    ]
    found = await intake.take_in(w.session, rows, receipts, TASK_DUE, w.now)
    if len(found) != len(ones):
        raise Raced
    answers: dict[int, Taken] = {}
    wanted: list[Wanted] = []
    leads: list[intake.Stored] = []
    for n, (place, one) in enumerate(asked.items()):
        match found[n]:
            case intake.Answered(sha256, lead_id, task_id, attached):
                answers[place] = Taken(lead_id, one.status_token, task_id, replayed=True, attached=attached,
                                       mismatch=sha256 != one.request_sha256)
            case intake.Stored(lead_id, _, task_id) as lead:
                attached = one.work is not None and task_id is None
                answers[place] = Taken(lead_id, one.status_token, task_id, attached=attached)
                wanted.append(one)
                leads.append(lead)
    await _attach(w, wanted, leads)
    if leads:
        w.noted()
    w.hint("dispatch", "wallboard")
    if chats := [lead.lead_id for one, lead in zip(wanted, leads, strict=True) if one.intent is Intent.chat]:
        await conversing.opened(w, chats)
    for at_once in (True, False):
        agreed = sorted({
            lead.contact_id for one, lead in zip(wanted, leads, strict=True)
            if (one.intent is not Intent.list) is at_once and any(COMMERCIAL in each.purposes for each in one.agreed)
        })
        if agreed:
            await nurturing.agreed(w, agreed, at_once=at_once)
    if going_on := {lead.lead_id: one.continues for one, lead in zip(wanted, leads, strict=True) if one.continues}:
        await intake.follow(w.session, going_on)
    for one, lead in zip(wanted, leads, strict=True):
        if one.hold and lead.task_id is not None:
            await promising.book(
                w, one.hold, lead_id=lead.lead_id, task_id=lead.task_id, contact_id=lead.contact_id, locale=one.locale
            )
    return answers


def _row(n: int, one: Wanted) -> dict[str, Any]:
    work = one.work or NO_WORK
    return {
        "n": n,
        "campaign_id": one.campaign_id,
        "site_id": one.site_id,
        "queue_id": one.line.queue_id,
        "pool": one.line.pool,
        "skills": " ".join(one.line.skills),
        "lane": lane_of(one.line, work.kind, work.tier),
        "rules_id": one.line.rules_id,
        "newest_first": one.line.newest_first,
        "owner_seconds": one.line.owner_seconds,
        "phone": one.phone,
        "name": one.name,
        "locale": one.locale,
        "zone": one.zone,
        "intent": one.intent.value,
        "claims": one.claims,
        "source": one.source,
        "fields": one.fields,
        "sealed": one.sealed_fields.hex() if one.sealed_fields is not None else None,
        "status_hex": hash_token(one.status_token).hex(),
        "kind": one.work.kind.value if one.work else "",
        "tier": work.tier,
        "due_at": work.due_at,
        "scope": _scope(one),
        "key": one.key,
        "request_hex": one.request_sha256.hex(),
        "created": {
            "intent": one.intent.value, "site": one.site_id,
            "purposes": sorted({purpose for agreed in one.agreed for purpose in agreed.purposes}),
        },
    }


def _receipt(status_hex: str, one: Wanted, agreed: Agreed) -> dict[str, Any]:
    return {
        "status_hex": status_hex,
        "purposes": " ".join(agreed.purposes),
        "words": agreed.text,
        "sha256": agreed.sha256,
        "version": agreed.version,
        "method": one.method,
        "address": one.address,
        "user_agent": one.user_agent,
        "page": one.page,
        "locale": one.locale,
        "client_at": one.client_at,
    }


async def _attach(w: Writing, wanted: list[Wanted], leads: list[intake.Stored]) -> None:
    """Those whose person waits for the same already. Raises Raced when his task has just ended: then he is rung."""
    doubles = {
        lead.lead_id: one.work.kind.value
        for one, lead in zip(wanted, leads, strict=True) if one.work and lead.task_id is None
    }
    if doubles and await intake.attach(w.session, doubles) != set(doubles):
        raise Raced
    tiers = {
        lead.lead_id: one.work.tier
        for one, lead in zip(wanted, leads, strict=True)
        if one.work and one.work.due_at is None and lead.lead_id in doubles
    }
    if tiers:
        # Who is on a list, and now asks to be called, waits as one who asked.
        await tasks.hurry(w.session, tiers)


async def task_due(w: Writing, task_id: int) -> None:
    """A scheduled task's time has come (an alarm's handler): it waits for an agent from now on.

    Its person may wait for the same already, or talk with us this moment: then this task is withdrawn, and its lead
    attached.
    """
    task = await w.session.locked(Task, task_id)
    if task is None or task.state is not TaskState.scheduled:
        return
    if await intake.attach(w.session, {task.lead_id: task.kind.value}):
        await keeping.served_by_another(w, task)
        await w.move(Task, task.id, TaskState.withdrawn, ended_at=w.now, data={"reason": "with_us"})
        return
    if await promising.may_not_now(w, task):
        return
    queue, contact = await tasks.queue_of(w.session, task), vouched(await w.session.get(Contact, task.contact_id))
    await w.move(
        Task, task.id, TaskState.queued, rank=task.rank_at(w.now), enqueued_at=w.now,
        **await keeping.owned(w, task, queue, contact.agent_id), data={"tier": task.tier},
    )
    await keeping.offered(w, task.id)
    w.hint("dispatch", "wallboard")
