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
    contacts = await _contacts(w, wanted)
    leads = await intake.put_leads(
        w.session,
        {
            "campaign_ids": [one.campaign_id for one in wanted],
            "site_ids": [one.site_id for one in wanted],
            "contact_ids": [contacts[one.campaign_id, one.phone] for one in wanted],
            "intents": [one.intent.value for one in wanted],
            "claims": [intake.as_json(one.claims) for one in wanted],
            "sources": [intake.as_json(one.source) for one in wanted],
            "locales": [one.locale for one in wanted],
            "status_hashes": [hash_token(one.status_token) for one in wanted],
        },
        w.now,
    )
    if len(leads) != len(wanted):
        raise Raced  # the token is made from the key
    ids = [leads[hash_token(one.status_token)] for one in wanted]
    await _receipts(w, wanted, ids, contacts)
    tasks = await _tasks(w, wanted, ids, contacts)
    await _attached(w, [lead for lead in ids if lead not in tasks])
    taken = {
        place: Taken(lead_id=lead, token=one.status_token, attached=lead not in tasks)
        for (place, one), lead in zip(fresh.items(), ids, strict=True)
    }
    _record(w, wanted, ids, tasks)
    await _remember(w, fresh, taken)
    return taken


async def _contacts(w: Writing, wanted: list[Wanted]) -> dict[tuple[int, str], int]:
    persons = {(one.campaign_id, one.phone): one for one in wanted}
    columns: dict[str, list[Any]] = {
        "campaign_ids": [campaign for campaign, _ in persons],
        "phones": [phone for _, phone in persons],
        "names": [one.name for one in persons.values()],
        "locales": [one.locale for one in persons.values()],
    }
    return await intake.put_contacts(w.session, columns, w.now)


async def _receipts(w: Writing, wanted: list[Wanted], ids: list[int], contacts: dict[tuple[int, str], int]) -> None:
    columns: dict[str, list[Any]] = {
        "campaign_ids": [one.campaign_id for one in wanted],
        "contact_ids": [contacts[one.campaign_id, one.phone] for one in wanted],
        "lead_ids": ids,
        "purposes": [" ".join(one.purposes) for one in wanted],
        "texts": [one.consent_text for one in wanted],
        "sha256s": [hashlib.sha256(one.consent_text.encode()).hexdigest() for one in wanted],
        "versions": [one.consent_version for one in wanted],
        "methods": [one.method for one in wanted],
        "addresses": [one.address for one in wanted],
        "user_agents": [one.user_agent for one in wanted],
        "pages": [one.page for one in wanted],
    }
    await intake.put_receipts(w.session, columns, w.now)


async def _tasks(
    w: Writing, wanted: list[Wanted], ids: list[int], contacts: dict[tuple[int, str], int]
) -> dict[int, int]:
    columns: dict[str, list[Any]] = {
        "campaign_ids": [one.campaign_id for one in wanted],
        "queue_ids": [one.queue_id for one in wanted],
        "lead_ids": ids,
        "contact_ids": [contacts[one.campaign_id, one.phone] for one in wanted],
        "pools": [one.pool for one in wanted],
        "skills": [" ".join(one.skills) for one in wanted],
        "lanes": [lane_of(one.campaign_id, one.queue_id, TIER_NOW, one.skills) for one in wanted],
    }
    return await intake.put_tasks(w.session, columns, TIER_NOW, w.now)


async def _attached(w: Writing, lead_ids: list[int]) -> None:
    if not lead_ids:
        return
    found = await intake.attach(w.session, lead_ids)
    if found != set(lead_ids):
        raise Raced


def _record(w: Writing, wanted: list[Wanted], ids: list[int], tasks: dict[int, int]) -> None:
    for one, lead in zip(wanted, ids, strict=True):
        common = {"campaign_id": one.campaign_id, "lead_id": lead}
        w.fact("lead.created", **common, seq=1, subject_id=lead, intent=one.intent.value, site=one.site_id,
               purposes=one.purposes)
        if lead in tasks:
            w.fact("task.queued", **common, seq=2, subject_id=tasks[lead], tier=TIER_NOW)
        else:
            w.fact("lead.attached", **common, seq=2, subject_id=lead)
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
