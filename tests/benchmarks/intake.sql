\set n random(1, 299999999)
\set key random(1, 9000000000000000)
with person as (
  insert into contacts (campaign_id, phone, name, locale, created_at)
  values (1, '+34' || (700000000 + :n::int), 'Person', 'es', now())
  on conflict (campaign_id, phone) where phone <> '' do update set phone = excluded.phone returning id
), made as (
  insert into leads (campaign_id, site_id, contact_id, intent, claims, source, fields, locale, status_hash, created_at,
    seq)
  select 1, 1, id, 'call_now', '{"name": "Person"}', '{"page": "https://example.com/", "referrer": ""}', '{}', 'es',
    decode(md5(:key::text) || md5('b' || :key), 'hex'), now(), 2 from person returning id, contact_id
), proof as (
  insert into receipts (campaign_id, contact_id, lead_id, purposes, text, text_sha256, version, method, address,
    user_agent, page, locale, given_at)
  select 1, contact_id, id, array['requested'], 'Yes, call me.',
    '3b1c0ebd5b8cb43c2a2a3cb3a5a6f9c2d4d5a7c86d8c1d9a5e6f7a8b9c0d1e2f', '1', 'widget', '127.0.0.0/24', 'bench',
    'https://example.com/', 'es', now() from made
), waiting as (
  insert into tasks (campaign_id, queue_id, lead_id, contact_id, kind, state, pool, tier, skills, lane, rank,
    enqueued_at, row, expected_present)
  select 1, 1, id, contact_id, 'call', 'queued', 1, 0, array['es'], '1/1/0/0.0/call/es', :n::bigint, now(), 0, 0
  from made
  on conflict do nothing returning id, lead_id
), told as (
  insert into facts (at, kind, campaign_id, lead_id, seq, subject_id, data)
  select now(), kind, 1, made.id, seq, made.id, data::jsonb
  from made, (values ('lead.created', 1, '{"site": 1, "intent": "call_now", "purposes": ["requested"]}'),
    ('task.queued', 2, '{"tier": 0}')) as f(kind, seq, data)
)
insert into idempotency (scope, key, request_sha256, answer, created_at)
select 'lead:1', :key::text, decode(md5(:key::text) || md5(:key::text), 'hex'),
  jsonb_build_object('lead_id', id, 'task_id', 1, 'attached', false), now() from made;
