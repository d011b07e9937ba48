"""Intake as queries: statements of constant text over arrays, so that many requests share one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, LargeBinary, Text, bindparam, select, text

from router.model.idempotency import IdempotencyKey
from router.store.db import ReadSession, Short, WriteSession, as_json


def _arrays(statement: str, **types: Any) -> Any:
    return text(statement).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in types.items()))


# One statement for all rows of all leads: a round trip costs more than what it carries. Who gave no number is a person
# of his own, so his row's id is drawn before; `ref` is what joins a lead to its person. Keys are looked up one by one:
# a plan made while the tables are small would otherwise read them whole for as long as it is kept.
_TAKE_IN = Short(
    """
    with given as (
      select *, decode(status_hex, 'hex') as status_hash from json_to_recordset(cast(:asked as json)) as a(
        n integer, campaign_id bigint, site_id bigint, queue_id bigint, pool bigint, skills text, lane text,
        rules_id bigint, newest_first boolean, owner_seconds integer, phone text, name text, locale text, zone text,
        intent text, claims jsonb, source jsonb, fields jsonb, sealed text, status_hex text,
        kind text, tier bigint, due_at timestamptz, scope text, key text, request_hex text, created jsonb)
    ), known as materialized (
      select given.n, i.request_sha256, i.answer
      from given cross join lateral (
        select * from idempotency where scope = given.scope and key = given.key limit 1) i
    ), asked as materialized (
      select given.*, nextval(pg_get_serial_sequence('contacts', 'id')) as person_id
      from given where n not in (select n from known)
    ), persons as (
      insert into contacts (id, campaign_id, phone, name, locale, created_at, zone, zone_source)
      select person_id, campaign_id, phone, name, locale, :now, zone, case when zone = '' then '' else 'browser' end
      from (
        select distinct on (campaign_id, phone) * from asked where phone <> '' order by campaign_id, phone, n
      ) known
      on conflict (campaign_id, phone) where phone <> '' do update set
        zone = case when excluded.zone <> '' and contacts.zone_source in ('', 'browser') then excluded.zone
          else contacts.zone end,
        zone_source = case when excluded.zone <> '' and contacts.zone_source = '' then 'browser'
          else contacts.zone_source end
      returning id, campaign_id || ' ' || phone as ref, agent_id
    ), strangers as (
      insert into contacts (id, campaign_id, phone, name, locale, created_at, zone, zone_source)
      select person_id, campaign_id, '', name, locale, :now, zone, case when zone = '' then '' else 'browser' end
      from asked where phone = ''
      returning id, id::text as ref, agent_id
    ), made as (
      insert into leads (campaign_id, site_id, contact_id, intent, claims, source, fields, sealed_fields, locale,
        status_hash, created_at, seq)
      select a.campaign_id, a.site_id, p.id, a.intent, a.claims, a.source, a.fields,
        decode(a.sealed, 'hex'), a.locale, a.status_hash, :now, case when a.kind = '' then 1 else 2 end
      from asked a join (select * from persons union all select * from strangers) p
        on p.ref = case when a.phone = '' then a.person_id::text else a.campaign_id || ' ' || a.phone end
      order by a.status_hash
      on conflict do nothing
      returning id, campaign_id, contact_id, status_hash
    ), proof as (
      insert into receipts (campaign_id, contact_id, lead_id, purposes, text, text_sha256, version, method, address,
        user_agent, page, locale, client_at, given_at)
      select m.campaign_id, m.contact_id, m.id, string_to_array(r.purposes, ' '), r.words, r.sha256, r.version,
        r.method, r.address, r.user_agent, r.page, r.locale, r.client_at, :now
      from json_to_recordset(cast(:agreed as json)) as r(status_hex text, purposes text, words text, sha256 text,
        version text, method text, address text, user_agent text, page text, locale text, client_at timestamptz)
      join made m on m.status_hash = decode(r.status_hex, 'hex')
    ), waiting as (
      insert into tasks (campaign_id, queue_id, lead_id, contact_id, kind, state, pool, tier, skills, lane, rank,
        enqueued_at, rules_id, row, expected_present, prefers, prefers_until)
      select a.campaign_id, a.queue_id, m.id, m.contact_id, a.kind,
        case when a.due_at is null then 'queued' else 'scheduled' end, a.pool, a.tier,
        case when a.skills = '' then '{}' else string_to_array(a.skills, ' ') end, a.lane,
        case when a.newest_first then - :rank else :rank end, :now, a.rules_id, 0, 0, o.agent_id,
        :now + make_interval(secs => a.owner_seconds)
      from asked a join made m on m.status_hash = a.status_hash
        left join persons o on a.owner_seconds > 0 and o.id = m.contact_id
      where a.kind <> ''
      order by m.contact_id, a.kind, a.n
      on conflict do nothing
      returning id, lead_id
    ), alarmed as (
      insert into alarms (kind, subject_id, due_at, state, failures)
      select :alarm, w.id, a.due_at, 'pending', 0
      from waiting w join made m on m.id = w.lead_id join asked a on a.status_hash = m.status_hash
      where a.due_at is not null
    ), noted as (
      insert into facts (at, kind, campaign_id, lead_id, seq, subject_id, data)
      select :now, f.kind, m.campaign_id, m.id, f.seq, f.subject_id, f.data
      from asked a join made m on m.status_hash = a.status_hash left join waiting w on w.lead_id = m.id
      cross join lateral (values
        (1, 'lead.created', m.id, a.created),
        (2, case when w.id is null then 'lead.attached' when a.due_at is null then 'task.queued'
            else 'task.scheduled' end,
          coalesce(w.id, m.id),
          case when w.id is null then '{}' when a.due_at is null then jsonb_build_object('tier', a.tier)
            else jsonb_build_object('due', a.due_at) end)
      ) f(seq, kind, subject_id, data)
      where f.seq = 1 or a.kind <> ''
      order by a.n, f.seq
    ), kept as (
      insert into idempotency (scope, key, request_sha256, answer, created_at)
      select a.scope, a.key, decode(a.request_hex, 'hex'),
        jsonb_build_object('lead_id', m.id, 'task_id', w.id, 'attached', a.kind <> '' and w.id is null), :now
      from asked a join made m on m.status_hash = a.status_hash left join waiting w on w.lead_id = m.id
      where a.key is not null
      order by a.scope, a.key
      on conflict do nothing
      returning scope, key
    )
    select a.n, a.key is null or (a.scope, a.key) in (select scope, key from kept), m.id, m.contact_id, w.id,
      null::bytea, null::jsonb
    from asked a join made m on m.status_hash = a.status_hash left join waiting w on w.lead_id = m.id
    union all
    select known.n, true, null, null, null, known.request_sha256, known.answer from known
    """,
    now="timestamptz", rank="bigint", alarm="text", asked="text", agreed="text",
)

_ATTACH = _arrays(
    """
    update leads set attached_to = waiting.lead_id
    from tasks waiting, unnest(:lead_ids, :kinds) as mine(id, kind)
    where leads.id = mine.id and waiting.contact_id = leads.contact_id and waiting.kind = mine.kind
      and waiting.state in ('queued', 'reserved', 'connecting', 'engaged')
    returning leads.id
    """,
    lead_ids=BigInteger, kinds=Text,
)

Row = Mapping[str, Any]
"""A row of a statement by the names of its columns; bytes as hexadecimal digits in columns that end in `hex`."""


class Stored(NamedTuple):
    """A lead just stored; `task_id` is None when there is no work, or its person already waits for the same."""

    lead_id: int
    contact_id: int
    task_id: int | None


class Answered(NamedTuple):
    """A request whose key was used before: the SHA-256 of that request, and what was answered."""

    request_sha256: bytes
    lead_id: int
    task_id: int | None
    attached: bool


async def take_in(
    session: WriteSession, asked: Sequence[Row], agreed: Sequence[Row], alarm: str, now: datetime
) -> dict[int, Stored | Answered]:
    """Stores contacts, leads, receipts, tasks, the alarms of those not due yet, the leads' first facts, and the keys;
    by the row's number `n`.

    A stranger never changes a known person's name. Contacts are locked in one order, so that replicas cannot deadlock.
    A lead whose token or key another replica has just used is missing: nothing of this may be committed then.
    """
    values = {
        "asked": as_json(asked), "agreed": as_json(agreed), "alarm": alarm, "rank": int(now.timestamp() * 1000),
        "now": now,
    }
    found: dict[int, Stored | Answered] = {}
    for n, kept, lead_id, contact_id, task_id, sha256, answer in await session.execute(_TAKE_IN, values):
        if answer is not None:
            found[n] = Answered(sha256, answer["lead_id"], answer.get("task_id"), answer["attached"])
        elif kept:
            found[n] = Stored(lead_id, contact_id, task_id)
    return found


async def known(session: ReadSession, scope: str, key: str, request_sha256: bytes) -> bool:
    """Whether a request with this digest was answered under this key."""
    found = await session.scalar(select(IdempotencyKey.request_sha256).where(
        IdempotencyKey.scope == scope, IdempotencyKey.key == key
    ))
    return found == request_sha256


async def attach(session: WriteSession, leads: Mapping[int, str]) -> set[int]:
    """Attaches leads, given with the kind of their work, to the waiting task of their person; which of them found
    one."""
    rows = await session.execute(_ATTACH, {"lead_ids": list(leads), "kinds": list(leads.values())})
    return {row[0] for row in rows}


_FOLLOW = _arrays(
    """
    with mine as (
      select m.lead_id, earlier.id as earlier_id, leads.contact_id
      from unnest(:lead_ids, :earlier) as m(lead_id, token)
      join leads on leads.id = m.lead_id
      join leads earlier on earlier.status_hash = m.token and earlier.campaign_id = leads.campaign_id
    ), noted as (
      update leads set source = source || jsonb_build_object('continues', mine.earlier_id)
      from mine where leads.id = mine.lead_id
    )
    update conversations set contact_id = mine.contact_id
    from mine, contacts stranger
    where conversations.lead_id = mine.earlier_id and stranger.id = conversations.contact_id and stranger.phone = ''
    """,
    lead_ids=BigInteger, earlier=LargeBinary,
)


async def follow(session: WriteSession, leads: Mapping[int, bytes]) -> None:
    """Joins leads to the earlier requests they continue, named by their tokens' hashes: a nameless chat's thread is
    from now on that of the person who has given his number. Tokens that lead nowhere change nothing."""
    await session.execute(_FOLLOW, {"lead_ids": list(leads), "earlier": list(leads.values())})
