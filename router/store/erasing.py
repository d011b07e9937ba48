"""Erasing as queries: what is personal of somebody and no evidence is overwritten or deleted.

Evidence stays whole: the rows of what he signed, receipts of consent and their withdrawals, the chains of signings, and
what keeps him from being contacted again. The journal never had anything personal.
"""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import ARRAY, BigInteger, Date, DateTime, LargeBinary, bindparam, select, text, update

from router.model import Base
from router.model.contacts import Contact
from router.model.leads import Lead
from router.model.quotes import OPEN, UNSENT, Quote
from router.model.tasks import HELD, Task, TaskState
from router.store.db import ReadSession, WriteSession

_THE_REST = (
    # Every statement names what it drops; what stands in none of them stays.
    "update messages set text = '', media = '[]' from conversations c "
    "where c.id = conversation_id and c.contact_id = any(:contacts)",
    "update conversations set address = '' where contact_id = any(:contacts)",
    "delete from signals using rooms r join leads l on l.id = r.lead_id "
    "where r.id = room_id and l.contact_id = any(:contacts)",
    "update attachments set sha256 = null from leads l where l.id = lead_id and l.contact_id = any(:contacts)",
    "update deliveries set shown_text = '', sealed_text = null, \"order\" = \"order\" - 'to' - 'papers' from leads l "
    "where l.id = lead_id and l.contact_id = any(:contacts) and state in ('done', 'failed', 'abandoned')",
    "update arrivals set caller = '' from leads l where l.id = lead_id and l.contact_id = any(:contacts)",
    "update carts set contents = '{}', url = '' from leads l where l.id = lead_id and l.contact_id = any(:contacts)",
    "update import_rows set cells = '{}', phone = '' from leads l "
    "where l.id = lead_id and l.contact_id = any(:contacts)",
    "delete from claims where contact_id = any(:contacts)",
    "update unsubscribes set address = '' where contact_id = any(:contacts)",
    "delete from seen_devices using signings s where s.id = signing_id and s.contact_id = any(:contacts)",
    "update signings set phone = '', name_typed = '', cookie_hash = null, again_hash = null from quotes q "
    "where q.id = quote_id and q.contact_id = any(:contacts) and q.state not in ('signed', 'completed', 'withdrawn')",
    "update quotes set customer = '', canonical = null, pdf_sha256 = null, foreign_pdf_sha256 = null "
    "where contact_id = any(:contacts) and state not in ('signed', 'completed', 'withdrawn')",
    # Whom we called is evidence of a sale, and of nothing where there was none.
    "update legs set address = '' from calls c join leads l on l.id = c.lead_id "
    "where c.id = call_id and role = 'customer' and l.contact_id = any(:contacts) and not exists "
    "(select from quotes q where q.lead_id = l.id and q.state in ('signed', 'completed', 'withdrawn'))",
    "update attempts set phone = '' from leads l where l.id = lead_id and l.contact_id = any(:contacts) and not exists "
    "(select from quotes q where q.lead_id = l.id and q.state in ('signed', 'completed', 'withdrawn'))",
    "update leads set claims = '{}', source = '{}', fields = '{}', sealed_fields = null, "
    "status_hash = sha256(convert_to(gen_random_uuid()::text, 'UTF8')) where contact_id = any(:contacts)",
)
_DROP = [text(one).bindparams(bindparam("contacts", type_=ARRAY(BigInteger))) for one in _THE_REST]

_PERSON = text(
    """
    select id from contacts
    where coalesce(merged_into, id) = (select coalesce(merged_into, id) from contacts where id = :contact)
    order by id
    """
)
_DOCUMENTS = text(
    """
    select sha256 from attachments a join leads l on l.id = a.lead_id
    where sha256 is not null and l.contact_id = any(:contacts)
    union select sha256 from quotes q, unnest(array[pdf_sha256, foreign_pdf_sha256]) sha256
    where sha256 is not null and contact_id = any(:contacts) and state not in ('signed', 'completed', 'withdrawn')
    """
).bindparams(bindparam("contacts", type_=ARRAY(BigInteger)))


async def person(session: ReadSession, contact_id: int) -> list[int]:
    """The contacts that are this person: himself, and who was found to be the same."""
    return [row[0] for row in await session.rows(_PERSON, {"contact": contact_id})]


async def unfinished(
    session: ReadSession, contacts: Sequence[int]
) -> tuple[Sequence[int], Sequence[Task], Sequence[int]]:
    """His quotes that are open or not sent yet, his tasks that are not over, and his requests."""
    quotes = await session.scalars(
        select(Quote.id).where(Quote.contact_id.in_(contacts), Quote.state.in_((*OPEN, *UNSENT))).order_by(Quote.id)
    )
    tasks = await session.scalars(
        select(Task).where(
            Task.contact_id.in_(contacts), Task.state.in_((*HELD, TaskState.queued, TaskState.scheduled))
        ).order_by(Task.id)
    )
    leads = await session.scalars(select(Lead.id).where(Lead.contact_id.in_(contacts)).order_by(Lead.id))
    return quotes, tasks, leads


async def erase(session: WriteSession, contacts: Sequence[int], now: datetime) -> None:
    """Drops all that is personal of these contacts and no evidence."""
    documents = [row[0] for row in await session.rows(_DOCUMENTS, {"contacts": contacts})]
    for statement in _DROP:
        await session.execute(statement, {"contacts": contacts})
    await session.execute(update(Contact).where(Contact.id.in_(contacts)).values(
        phone="", name="", zone="", zone_source="", country="", subdivision="", postcode="", erased_at=now,
    ))  # fmt: skip
    if documents:
        await session.execute(_FORGET, {"documents": documents})
    await session.forget()


def _elsewhere() -> str:
    """Whether anything refers to a blob, whatever the table."""
    columns = [
        (table.name, column.name) for table in Base.metadata.sorted_tables for column in table.columns
        if any(key.target_fullname == "blobs.sha256" for key in column.foreign_keys)
    ]
    return " ".join(f"and not exists (select from {table} where {column} = sha)" for table, column in columns)


_FORGET = text(
    f"delete from blobs using unnest(:documents) sha where sha256 = sha {_elsewhere()}"  # noqa: S608
).bindparams(bindparam("documents", type_=ARRAY(LargeBinary)))

_SPENT = text("delete from budgets where scope like 'number:%' and day < :today").bindparams(
    bindparam("today", type_=Date())
)


async def forget_spending(session: WriteSession, today: date) -> None:
    """What was spent on single numbers on days before this one (UTC)."""
    await session.execute(_SPENT, {"today": today})


_OLD = text(
    """
    select c.id from contacts c join campaigns g on g.id = c.campaign_id
    where g.retention_days > 0 and c.erased_at is null and c.merged_into is null
      and c.created_at < :now - make_interval(days => g.retention_days::int)
      and not exists (
        select from leads l join facts f on f.lead_id = l.id
        where l.contact_id = c.id and f.at >= :now - make_interval(days => g.retention_days::int))
    order by c.id limit :most
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)), bindparam("most", type_=BigInteger))


async def resting(session: ReadSession, now: datetime, most: int) -> list[int]:
    """Persons about whom nothing has happened for longer than their campaign keeps them."""
    return [row[0] for row in await session.rows(_OLD, {"now": now, "most": most})]
