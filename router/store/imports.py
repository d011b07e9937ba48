"""Imports as queries: rows in bulk, the next ones to be done, what is known of their persons."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, delete, func, select, text

from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.imports import BLANKS, CHUNK, WORKING, Import, ImportRow, ImportState
from router.model.tasks import Task
from router.store.db import ReadSession, WriteSession, as_json

_ADD = text(
    """
    insert into import_rows (import_id, number, cells, phone, reason, reference, field)
    select :import_id, r.number, array(select jsonb_array_elements_text(r.cells::jsonb)), '', '', '', ''
    from unnest(:numbers, :cells) as r(number, cells)
    """
).bindparams(bindparam("numbers", type_=ARRAY(BigInteger)), bindparam("cells", type_=ARRAY(Text)))

_LINES = (
    ("numbers", BigInteger), ("phones", Text), ("outcomes", Text), ("reasons", Text), ("references", Text),
    ("fields", Text),
)
_CHECKED = text(
    """
    update import_rows set phone = r.phone, expected = r.outcome, reason = r.reason, reference = r.reference,
      field = r.field
    from unnest(:numbers, :phones, :outcomes, :reasons, :references, :fields)
      as r(number, phone, outcome, reason, reference, field)
    where import_rows.import_id = :import_id and import_rows.number = r.number
    """
).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _LINES))

_DONE = text(
    """
    update import_rows set phone = r.phone, outcome = r.outcome, reason = r.reason, reference = r.reference,
      field = r.field, lead_id = r.lead_id, quote_id = r.quote_id
    from unnest(:numbers, :phones, :outcomes, :reasons, :references, :fields, :leads, :quotes)
      as r(number, phone, outcome, reason, reference, field, lead_id, quote_id)
    where import_rows.import_id = :import_id and import_rows.number = r.number
    """
).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in (
    *_LINES, ("leads", BigInteger), ("quotes", BigInteger))))

# Who came from a list lately, in this campaign, by number.
_LISTED = text(
    """
    select distinct c.phone from contacts c join leads l on l.contact_id = c.id
    where c.campaign_id = :campaign_id and c.phone = any(:phones) and l.intent = 'list' and l.created_at > :since
    """
).bindparams(bindparam("phones", type_=ARRAY(Text)), bindparam("since", type_=DateTime(timezone=True)))

_WAITING = text(
    """
    select distinct c.phone from contacts c join tasks t on t.contact_id = c.id
    where c.campaign_id = :campaign_id and c.phone = any(:phones) and t.kind = 'call'
      and t.state in ('queued', 'reserved', 'connecting', 'engaged')
    """
).bindparams(bindparam("phones", type_=ARRAY(Text)))

# The first of a number in this file, by the row's own place; rows that were refused do not count.
_EARLIER = text(
    """
    select distinct phone from import_rows
    where import_id = :import_id and phone = any(:phones) and number < :before
      and coalesce(outcome, expected) <> 'refused'
    """
).bindparams(bindparam("phones", type_=ARRAY(Text)))

_EARLIER_QUOTES = text(
    """
    select distinct reference from import_rows
    where import_id = :import_id and reference = any(:numbers) and reference <> '' and number < :before
      and coalesce(outcome, expected) <> 'refused'
    """
).bindparams(bindparam("numbers", type_=ARRAY(Text)))

_QUEUES = select(Queue, Campaign).join(Campaign, Campaign.id == Queue.campaign_id).order_by(Campaign.name, Queue.name)

# Tasks of lists that wait for agents outside the hours in which their persons may be called.
_LIST_CAMPAIGNS = text(
    """
    with recursive waiting as (
      (select campaign_id from tasks where state = 'queued' and tier = 4 order by campaign_id limit 1)
      union all
      select (select t.campaign_id from tasks t where t.state = 'queued' and t.tier = 4
              and t.campaign_id > waiting.campaign_id order by t.campaign_id limit 1)
      from waiting where waiting.campaign_id is not null
    )
    select campaign_id from waiting where campaign_id is not null
    """
)
_PUT_OFF = text(
    """
    with chosen as (
      select id from tasks where state = 'queued' and id = any(:task_ids) order by id for no key update skip locked
    ), rested as (
      update tasks set state = 'scheduled' from chosen where tasks.id = chosen.id returning tasks.id, tasks.lead_id
    ), due as (
      insert into alarms (kind, subject_id, due_at, state, failures)
      select :alarm, id, :due_at, 'pending', 0 from rested
    )
    select id, lead_id from rested
    """
).bindparams(bindparam("due_at", type_=DateTime(timezone=True)), bindparam("task_ids", type_=ARRAY(BigInteger)))

_SUPPRESSED = text(
    """
    select distinct on (phone) phone, reason from (
      select s.phone, s.reason, s.created_at from suppressions s
      where s.phone = any(:phones) and s.contact_id is null and s.lifted_at is null and s.until is null
        and s.channel in ('', 'call')
      union all
      select c.phone, s.reason, s.created_at
      from campaigns k join contacts c on c.campaign_id = k.id and c.phone = any(:phones) and c.phone <> ''
        join suppressions s on s.contact_id = c.id and s.phone in ('', c.phone)
      where s.lifted_at is null and s.until is null and s.channel in ('', 'call')
    ) found order by phone, created_at
    """
).bindparams(bindparam("phones", type_=ARRAY(Text)))

_WAKE = text(
    """
    with resting as (
      select a.id from alarms a join tasks t on t.id = a.subject_id
      where a.kind = :alarm and a.state = 'pending' and a.due_at > :now and t.campaign_id = :campaign_id
      order by a.id limit :most
      for no key update of a skip locked
    )
    update alarms set due_at = :now from resting where alarms.id = resting.id returning 1
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))

_FORGET = text(
    """
    with old as (
      select r.import_id, r.number from import_rows r join imports i on i.id = r.import_id
      where i.ended_at < :before and r.cells <> '{}' limit :most
    )
    update import_rows set cells = '{}' from old
    where import_rows.import_id = old.import_id and import_rows.number = old.number
    returning 1
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)))


class Line(NamedTuple):
    """What became of a row, or would."""

    number: int
    phone: str
    outcome: str
    reason: str
    lead_id: int | None = None
    quote_id: int | None = None
    reference: str = ""
    field: str = ""


async def queues(session: ReadSession) -> list[tuple[Queue, Campaign]]:
    """All lines, with their campaigns."""
    return [(row[0], row[1]) for row in await session.rows(_QUEUES)]


async def newest(session: ReadSession, limit: int = 50) -> Sequence[Import]:
    return await session.scalars(
        select(Import).where(Import.state != ImportState.receiving).order_by(Import.id.desc()).limit(limit)
    )


async def same_file(session: ReadSession, campaign_id: int, sha256: bytes) -> Import | None:
    """An earlier import of this very file that was started."""
    return await session.scalar(
        select(Import)
        .where(
            Import.campaign_id == campaign_id, Import.sha256 == sha256,
            Import.state.in_((ImportState.running, ImportState.paused, ImportState.done)),
        )
        .order_by(Import.id)
        .limit(1)
    )


async def add_rows(session: WriteSession, import_id: int, first: int, rows: Sequence[Sequence[str]]) -> None:
    """Stores rows, numbered from `first` on."""
    await session.execute(_ADD, {
        "import_id": import_id, "numbers": list(range(first, first + len(rows))),
        "cells": [as_json(row) for row in rows],
    })


async def claim(session: WriteSession) -> Import | None:
    """An import with work to be done, locked; one that another replica is at is skipped."""
    return await session.scalar(
        select(Import).where(Import.state.in_(WORKING)).order_by(Import.id).limit(1).with_for_update(skip_locked=True)
    )


async def next_rows(session: ReadSession, import_id: int, after: int, limit: int = CHUNK) -> Sequence[ImportRow]:
    return await session.scalars(
        select(ImportRow)
        .where(ImportRow.import_id == import_id, ImportRow.number > after)
        .order_by(ImportRow.number)
        .limit(limit)
    )


async def rows_of_quotes(
    session: ReadSession, import_id: int, column: int, keys: Collection[str], most: int
) -> Sequence[ImportRow]:
    """The rows that have one of these in the column (from 0), wherever they stand in the file: of each the first ones,
    at most so many, in the order of the file."""
    key = func.btrim(ImportRow.cells[column + 1], BLANKS)
    ranked = (
        select(ImportRow.number, func.row_number().over(partition_by=key, order_by=ImportRow.number).label("place"))
        .where(ImportRow.import_id == import_id, key.in_(keys)).subquery()
    )
    return await session.scalars(
        select(ImportRow).join(ranked, ranked.c.number == ImportRow.number)
        .where(ImportRow.import_id == import_id, ranked.c.place <= most).order_by(ImportRow.number)
    )


async def problems(session: ReadSession, import_id: int, limit: int = 100) -> Sequence[ImportRow]:
    """The first rows that are not simply taken."""
    told = ImportRow.outcome.is_distinct_from("taken")
    return await session.scalars(
        select(ImportRow)
        .where(ImportRow.import_id == import_id, ImportRow.expected.is_distinct_from("taken"), told,
               ImportRow.reason != "")
        .order_by(ImportRow.number)
        .limit(limit)
    )


def _columns(lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "numbers": [line.number for line in lines], "phones": [line.phone for line in lines],
        "outcomes": [line.outcome for line in lines], "reasons": [line.reason for line in lines],
        "references": [line.reference for line in lines], "fields": [line.field for line in lines],
    }


async def checked(session: WriteSession, import_id: int, lines: Sequence[Line]) -> None:
    await session.execute(_CHECKED, {"import_id": import_id, **_columns(lines)})


async def done(session: WriteSession, import_id: int, lines: Sequence[Line]) -> None:
    await session.execute(_DONE, {
        "import_id": import_id, **_columns(lines), "leads": [line.lead_id for line in lines],
        "quotes": [line.quote_id for line in lines],
    })


async def listed(session: ReadSession, campaign_id: int, phones: Sequence[str], since: datetime) -> set[str]:
    """Which of these numbers came from a list since then (aware)."""
    rows = await session.rows(_LISTED, {"campaign_id": campaign_id, "phones": list(phones), "since": since})
    return {row[0] for row in rows}


async def waiting(session: ReadSession, campaign_id: int, phones: Sequence[str]) -> set[str]:
    """Which of these numbers belong to somebody who waits for a call, or is in one."""
    return {row[0] for row in await session.rows(_WAITING, {"campaign_id": campaign_id, "phones": list(phones)})}


async def earlier(session: ReadSession, import_id: int, phones: Sequence[str], before: int) -> set[str]:
    """Which of these numbers stand in an earlier row of the same file."""
    rows = await session.rows(_EARLIER, {"import_id": import_id, "phones": list(phones), "before": before})
    return {row[0] for row in rows}


async def earlier_quotes(session: ReadSession, import_id: int, numbers: Sequence[str], before: int) -> set[str]:
    """Which of these quotes' numbers stand in an earlier row of the same file."""
    rows = await session.rows(_EARLIER_QUOTES, {"import_id": import_id, "numbers": list(numbers), "before": before})
    return {row[0] for row in rows}


async def list_campaigns(session: ReadSession) -> list[int]:
    """The campaigns with tasks of lists in their queues."""
    return [row[0] for row in await session.rows(_LIST_CAMPAIGNS)]


async def list_people(
    session: ReadSession, campaign_id: int, after: int, most: int = CHUNK
) -> list[tuple[int, Contact]]:
    """Queued tasks of the campaign's lists behind this one, in the order of their ids, each with its person."""
    rows = await session.rows(
        select(Task.id, Contact)
        .join(Contact, Contact.id == Task.contact_id)
        .where(text("tasks.state = 'queued' and tasks.tier = 4"), Task.campaign_id == campaign_id, Task.id > after)
        .order_by(Task.id)
        .limit(most)
    )
    return [(row[0], row[1]) for row in rows]


async def put_off(
    session: WriteSession, task_ids: Sequence[int], alarm: str, due_at: datetime
) -> list[tuple[int, int]]:
    """Schedules these tasks, with their alarms, as far as they are queued; (task, lead) of each. Those that a round is
    just matching are skipped."""
    rows = await session.execute(_PUT_OFF, {"task_ids": list(task_ids), "alarm": alarm, "due_at": due_at})
    return [(row[0], row[1]) for row in rows]


async def wake(session: WriteSession, campaign_id: int, alarm: str, now: datetime, most: int) -> int:
    """Makes so many alarms of this kind for tasks of the campaign due now; how many."""
    values = {"campaign_id": campaign_id, "alarm": alarm, "now": now, "most": most}
    return len(await session.execute(_WAKE, values))


async def suppressed(session: ReadSession, phones: Sequence[str]) -> dict[str, str]:
    """Which of these numbers may not be called by whomever, nor their persons in whatever campaign, and why; as far as
    it has no end."""
    rows = await session.rows(_SUPPRESSED, {"phones": list(phones)})
    return {row[0]: row[1] for row in rows}


async def forget(session: WriteSession, before: datetime, most: int = 1_000) -> int:
    """Empties cells of imports that ended before then (aware), some at a time; how many."""
    return len(await session.execute(_FORGET, {"before": before, "most": most}))


async def drop_broken(session: WriteSession, before: datetime) -> None:
    """Forgets what was begun before then (aware) and never received completely."""
    broken = select(Import.id).where(Import.state == ImportState.receiving, Import.created_at < before)
    await session.execute(delete(ImportRow).where(ImportRow.import_id.in_(broken)))
    await session.execute(delete(Import).where(Import.id.in_(broken)))
