"""Intake as queries: statements of constant text over arrays, so that many requests share one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, LargeBinary, Text, bindparam, text

from router.store.db import WriteSession


def _arrays(statement: str, **types: Any) -> Any:
    return text(statement).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in types.items()))


_ANSWERED = _arrays(
    """
    select i.scope, i.key, i.request_sha256, i.answer
    from unnest(:scopes, :keys) as asked(scope, key) join idempotency i using (scope, key)
    """,
    scopes=Text, keys=Text,
)

_CONTACTS = _arrays(
    """
    insert into contacts (campaign_id, phone, name, locale, created_at)
    select campaign_id, phone, name, locale, :now
    from unnest(:campaign_ids, :phones, :names, :locales) as asked(campaign_id, phone, name, locale)
    order by campaign_id, phone
    on conflict (campaign_id, phone) do update set phone = excluded.phone
    returning id, campaign_id, phone
    """,
    campaign_ids=BigInteger, phones=Text, names=Text, locales=Text,
)

_LEADS = _arrays(
    """
    insert into leads (campaign_id, site_id, contact_id, intent, claims, source, locale, status_hash, created_at, seq)
    select campaign_id, site_id, contact_id, intent, claims::jsonb, source::jsonb, locale, status_hash, :now, 2
    from unnest(:campaign_ids, :site_ids, :contact_ids, :intents, :claims, :sources, :locales, :status_hashes)
      as asked(campaign_id, site_id, contact_id, intent, claims, source, locale, status_hash)
    on conflict (status_hash) do nothing
    returning id, status_hash
    """,
    campaign_ids=BigInteger, site_ids=BigInteger, contact_ids=BigInteger, intents=Text, claims=Text, sources=Text,
    locales=Text, status_hashes=LargeBinary,
)

_RECEIPTS = _arrays(
    """
    insert into receipts (campaign_id, contact_id, lead_id, purposes, text, text_sha256, version, method, address,
      user_agent, page, given_at)
    select campaign_id, contact_id, lead_id, string_to_array(purposes, ' '), words, sha256, version, method, address,
      user_agent, page, :now
    from unnest(:campaign_ids, :contact_ids, :lead_ids, :purposes, :texts, :sha256s, :versions, :methods, :addresses,
      :user_agents, :pages)
      as asked(campaign_id, contact_id, lead_id, purposes, words, sha256, version, method, address, user_agent, page)
    """,
    campaign_ids=BigInteger, contact_ids=BigInteger, lead_ids=BigInteger, purposes=Text, texts=Text, sha256s=Text,
    versions=Text, methods=Text, addresses=Text, user_agents=Text, pages=Text,
)

_TASKS = _arrays(
    """
    insert into tasks (campaign_id, queue_id, lead_id, contact_id, kind, state, pool, tier, skills, lane, rank,
      enqueued_at)
    select campaign_id, queue_id, lead_id, contact_id, 'call', 'queued', pool, :tier,
      case when skills = '' then '{}' else string_to_array(skills, ' ') end, lane, :rank, :now
    from unnest(:campaign_ids, :queue_ids, :lead_ids, :contact_ids, :pools, :skills, :lanes)
      as asked(campaign_id, queue_id, lead_id, contact_id, pool, skills, lane)
    order by lead_id
    on conflict do nothing
    returning id, lead_id
    """,
    campaign_ids=BigInteger, queue_ids=BigInteger, lead_ids=BigInteger, contact_ids=BigInteger, pools=BigInteger,
    skills=Text, lanes=Text,
)

_ATTACH = _arrays(
    """
    update leads set attached_to = waiting.lead_id
    from tasks waiting
    where leads.id = any(:lead_ids) and waiting.contact_id = leads.contact_id and waiting.kind = 'call'
      and waiting.state in ('scheduled', 'queued', 'reserved', 'connecting', 'engaged')
    returning leads.id
    """,
    lead_ids=BigInteger,
)

_REMEMBER = _arrays(
    """
    insert into idempotency (scope, key, request_sha256, answer, created_at)
    select scope, key, sha256, answer::jsonb, :now
    from unnest(:scopes, :keys, :sha256s, :answers) as asked(scope, key, sha256, answer)
    order by scope, key
    on conflict do nothing
    returning key
    """,
    scopes=Text, keys=Text, sha256s=LargeBinary, answers=Text,
)

Columns = Mapping[str, Sequence[Any]]


async def answered(session: WriteSession, asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bytes, Any]]:
    """What was answered before under these (scope, key): the request's SHA-256 and the answer."""
    pairs = list(asked)
    if not pairs:
        return {}
    rows = await session.execute(
        _ANSWERED, {"scopes": [scope for scope, _ in pairs], "keys": [key for _, key in pairs]}
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def put_contacts(session: WriteSession, columns: Columns, now: datetime) -> dict[tuple[int, str], int]:
    """The contacts' ids by (campaign, number); made where missing. A stranger never changes a known person's name.

    The numbers must be distinct within a campaign; rows are locked in one order, so replicas cannot deadlock.
    """
    rows = await session.execute(_CONTACTS, {**columns, "now": now})
    return {(row[1], row[2]): row[0] for row in rows}


async def put_leads(session: WriteSession, columns: Columns, now: datetime) -> dict[bytes, int]:
    """The new leads' ids by the hash of their status token; one whose token another replica has just used is missing."""
    rows = await session.execute(_LEADS, {**columns, "now": now})
    return {row[1]: row[0] for row in rows}


async def put_receipts(session: WriteSession, columns: Columns, now: datetime) -> None:
    await session.execute(_RECEIPTS, {**columns, "now": now})


async def put_tasks(session: WriteSession, columns: Columns, tier: int, now: datetime) -> dict[int, int]:
    """The new tasks' ids by lead; a lead whose person already waits for a call is missing."""
    rows = await session.execute(
        _TASKS, {**columns, "tier": tier, "rank": int(now.timestamp() * 1000), "now": now}
    )
    return {row[1]: row[0] for row in rows}


async def attach(session: WriteSession, lead_ids: Sequence[int]) -> set[int]:
    """Attaches the leads to the waiting task of their person; which of them found one."""
    rows = await session.execute(_ATTACH, {"lead_ids": list(lead_ids)})
    return {row[0] for row in rows}


async def remember(session: WriteSession, columns: Columns, now: datetime) -> int:
    """Keeps the answers under their keys; how many were new."""
    return len(await session.execute(_REMEMBER, {**columns, "now": now}))


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
