"""Intake: leads become contacts, consent receipts and tasks, many requests in one transaction."""

import hashlib
from collections.abc import Sequence
from typing import Any

from router.book import Writing
from router.model.intake import Taken, Wanted
from router.model.tasks import TIER_NOW, lane_of
from router.model.vault import hash_token
from router.store import intake


class Raced(Exception):
    """Another replica took the same key in the same moment; asking again finds its answer."""


def _scope(one: Wanted) -> str:
    return f"lead:{one.site_id}"


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
                lead_id=answer["lead_id"], token=one.status_token, replayed=True, attached=answer["attached"],
                mismatch=sha256 != one.request_sha256,
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
                lead_id=answers[first].lead_id, token=one.status_token, replayed=True, attached=answers[first].attached,
                mismatch=asked[first].request_sha256 != one.request_sha256,
            )
    return [answers[place] for place in range(len(asked))]


async def _store(w: Writing, fresh: dict[int, Wanted]) -> dict[int, Taken]:
    wanted = list(fresh.values())
    stored = await intake.take_in(w.session, _columns(wanted), TIER_NOW, w.now)
    if len(stored) != len(wanted):
        raise Raced  # the token is made from the key
    leads = [stored[hash_token(one.status_token)] for one in wanted]
    await _attached(w, [lead.lead_id for lead in leads if lead.task_id is None])
    taken = {
        place: Taken(lead_id=lead.lead_id, token=one.status_token, attached=lead.task_id is None)
        for (place, one), lead in zip(fresh.items(), leads, strict=True)
    }
    _record(w, wanted, leads)
    await _remember(w, fresh, taken)
    return taken


def _columns(wanted: list[Wanted]) -> dict[str, list[Any]]:
    return {
        "campaign_ids": [one.campaign_id for one in wanted],
        "site_ids": [one.site_id for one in wanted],
        "queue_ids": [one.queue_id for one in wanted],
        "pools": [one.pool for one in wanted],
        "skills": [" ".join(one.skills) for one in wanted],
        "lanes": [lane_of(one.campaign_id, one.queue_id, TIER_NOW, one.skills) for one in wanted],
        "phones": [one.phone for one in wanted],
        "names": [one.name for one in wanted],
        "locales": [one.locale for one in wanted],
        "intents": [one.intent.value for one in wanted],
        "claims": [intake.as_json(one.claims) for one in wanted],
        "sources": [intake.as_json(one.source) for one in wanted],
        "status_hashes": [hash_token(one.status_token) for one in wanted],
        "purposes": [" ".join(one.purposes) for one in wanted],
        "texts": [one.consent_text for one in wanted],
        "sha256s": [hashlib.sha256(one.consent_text.encode()).hexdigest() for one in wanted],
        "versions": [one.consent_version for one in wanted],
        "methods": [one.method for one in wanted],
        "addresses": [one.address for one in wanted],
        "user_agents": [one.user_agent for one in wanted],
        "pages": [one.page for one in wanted],
    }


async def _attached(w: Writing, lead_ids: list[int]) -> None:
    if not lead_ids:
        return
    found = await intake.attach(w.session, lead_ids)
    if found != set(lead_ids):
        raise Raced


def _record(w: Writing, wanted: list[Wanted], leads: list[intake.Stored]) -> None:
    for one, lead in zip(wanted, leads, strict=True):
        common = {"campaign_id": one.campaign_id, "lead_id": lead.lead_id}
        w.fact("lead.created", **common, seq=1, subject_id=lead.lead_id, intent=one.intent.value, site=one.site_id,
               purposes=one.purposes)
        if lead.task_id is not None:
            w.fact("task.queued", **common, seq=2, subject_id=lead.task_id, tier=TIER_NOW)
        else:
            w.fact("lead.attached", **common, seq=2, subject_id=lead.lead_id)
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
            intake.as_json({"lead_id": taken[place].lead_id, "attached": taken[place].attached}) for place in keyed
        ],
    }
    if await intake.remember(w.session, columns, w.now) != len(keyed):
        raise Raced
