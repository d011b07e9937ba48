"""Intake as queries: statements of constant text over arrays, so that many requests share one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, Text, bindparam, text

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

# One statement for all rows of all leads: a round trip costs more than what it carries.
_TAKE_IN = _arrays(
    """
    with asked as (
      select * from unnest(:campaign_ids, :site_ids, :queue_ids, :pools, :skills, :lanes, :phones, :names, :locales,
        :intents, :claims, :sources, :status_hashes, :purposes, :texts, :sha256s, :versions, :methods, :addresses,
        :user_agents, :pages)
      with ordinality as a(campaign_id, site_id, queue_id, pool, skills, lane, phone, name, locale, intent, claims,
        source, status_hash, purposes, words, sha256, version, method, address, user_agent, page, n)
    ), persons as (
      insert into contacts (campaign_id, phone, name, locale, created_at)
      select distinct on (campaign_id, phone) campaign_id, phone, name, locale, :now
      from asked order by campaign_id, phone, n
      on conflict (campaign_id, phone) do update set phone = excluded.phone
      returning id, campaign_id, phone
    ), made as (
      insert into leads (campaign_id, site_id, contact_id, intent, claims, source, locale, status_hash, created_at, seq)
      select a.campaign_id, a.site_id, p.id, a.intent, a.claims::jsonb, a.source::jsonb, a.locale, a.status_hash,
        :now, 2
      from asked a join persons p on p.campaign_id = a.campaign_id and p.phone = a.phone
      order by a.n
      on conflict do nothing
      returning id, contact_id, status_hash
    ), proof as (
      insert into receipts (campaign_id, contact_id, lead_id, purposes, text, text_sha256, version, method, address,
        user_agent, page, given_at)
      select a.campaign_id, m.contact_id, m.id, string_to_array(a.purposes, ' '), a.words, a.sha256, a.version,
        a.method, a.address, a.user_agent, a.page, :now
      from asked a join made m on m.status_hash = a.status_hash
    ), waiting as (
      insert into tasks (campaign_id, queue_id, lead_id, contact_id, kind, state, pool, tier, skills, lane, rank,
        enqueued_at)
      select a.campaign_id, a.queue_id, m.id, m.contact_id, 'call', 'queued', a.pool, :tier,
        case when a.skills = '' then '{}' else string_to_array(a.skills, ' ') end, a.lane, :rank, :now
      from asked a join made m on m.status_hash = a.status_hash
      order by m.id
      on conflict do nothing
      returning id, lead_id
    )
    select made.status_hash, made.id, waiting.id from made left join waiting on waiting.lead_id = made.id
    """,
    campaign_ids=BigInteger, site_ids=BigInteger, queue_ids=BigInteger, pools=BigInteger, skills=Text, lanes=Text,
    phones=Text, names=Text, locales=Text, intents=Text, claims=Text, sources=Text, status_hashes=LargeBinary,
    purposes=Text, texts=Text, sha256s=Text, versions=Text, methods=Text, addresses=Text, user_agents=Text, pages=Text,
).bindparams(bindparam("now", type_=DateTime(timezone=True)), bindparam("tier", type_=BigInteger),
             bindparam("rank", type_=BigInteger))

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


class Stored(NamedTuple):
    """A lead just stored; `task_id` is None when its person already waits for a call."""

    lead_id: int
    task_id: int | None


async def take_in(session: WriteSession, columns: Columns, tier: int, now: datetime) -> dict[bytes, Stored]:
    """Stores contacts, leads, receipts and tasks; by the hash of the lead's status token.

    A stranger never changes a known person's name. Contacts are locked in one order, so that replicas cannot deadlock.
    A lead whose token another replica has just used is missing.
    """
    values = {**columns, "tier": tier, "rank": int(now.timestamp() * 1000), "now": now}
    return {row[0]: Stored(row[1], row[2]) for row in await session.execute(_TAKE_IN, values)}


async def attach(session: WriteSession, lead_ids: Sequence[int]) -> set[int]:
    """Attaches the leads to the waiting task of their person; which of them found one."""
    rows = await session.execute(_ATTACH, {"lead_ids": list(lead_ids)})
    return {row[0] for row in rows}


async def remember(session: WriteSession, columns: Columns, now: datetime) -> int:
    """Keeps the answers under their keys; how many were new."""
    return len(await session.execute(_REMEMBER, {**columns, "now": now}))


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
