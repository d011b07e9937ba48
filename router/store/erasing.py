"""Erasing as queries: what is personal of somebody and no evidence is overwritten or deleted.

Evidence stays whole: the rows of what he signed with their chains, receipts of consent and their withdrawals, and what
keeps him from being contacted again. What he did not sign is none, and what he signed is none any more once its
signing is forgotten. The journal never had anything personal, and the ledger has hashes only.
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

_KEPT = """
    q.state in ('signed', 'completed', 'withdrawn') and not exists (
      select from signings g where g.quote_id = q.id and g.forgotten_at is not null
        and g.state in ('signed', 'sealed', 'completed'))
"""
"""Whether a quote `q` is evidence: of a sale, and not forgotten."""
_NAMED = {
    "<kept>": f"({_KEPT})",
    "<sold>": f"exists (select from quotes q where q.lead_id = l.id and {_KEPT})",
    "<forgotten>": "signings s where s.contact_id = any(:contacts) and s.forgotten_at is not null",
}
"""What the statements below name so."""

_THE_REST = (
    # Every statement names what it drops; what stands in none of them stays.
    "update messages set text = '', media = '[]' from conversations c "
    "where c.id = conversation_id and c.contact_id = any(:contacts)",
    "update conversations set address = '' where contact_id = any(:contacts)",
    "delete from signals using rooms r join leads l on l.id = r.lead_id "
    "where r.id = room_id and l.contact_id = any(:contacts)",
    "delete from handout_items using handouts h join leads l on l.id = h.lead_id "
    "where h.id = handout_id and l.contact_id = any(:contacts)",
    "delete from handouts using leads l where l.id = lead_id and l.contact_id = any(:contacts)",
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
    "delete from evidence using <forgotten> and s.id = signing_id",
    "delete from ledger_waiting using <forgotten> and s.id = signing_id",
    "delete from attestations using <forgotten> and s.id = signing_id",
    "delete from archives using <forgotten> and s.id = signing_id",
    "update countersignatures set sha256 = null, copy_hash = null, note = '' from <forgotten> and s.id = signing_id",
    "delete from deposits using <forgotten> and s.id = signing_id",
    "delete from entrusted_proofs using entrusted e, <forgotten> and e.id = entrusted_id and s.id = e.signing_id",
    "update entrusted set signed_sha256 = null, sealed_link = null from <forgotten> and s.id = signing_id",
    "update contract_withdrawals set lines = '[]', link_hash = null, pdf_sha256 = null, sealed_sha256 = null "
    "from <forgotten> and s.id = signing_id",
    "update quotes q set customer = '', canonical = null, pdf_sha256 = null, foreign_pdf_sha256 = null "
    "where contact_id = any(:contacts) and not <kept>",
    # Whom we called is evidence of a sale, and of nothing where there was none.
    "update legs set address = '' from calls c join leads l on l.id = c.lead_id "
    "where c.id = call_id and role = 'customer' and l.contact_id = any(:contacts) and not <sold>",
    "update attempts set phone = '' from leads l "
    "where l.id = lead_id and l.contact_id = any(:contacts) and not <sold>",
    "update leads set claims = '{}', source = '{}', fields = '{}', sealed_fields = null, "
    "status_hash = sha256(convert_to(gen_random_uuid()::text, 'UTF8')) where contact_id = any(:contacts)",
)


def _meant(statement: str) -> str:
    for name, said in _NAMED.items():
        statement = statement.replace(name, said)
    return statement


_CONTACTS = bindparam("contacts", type_=ARRAY(BigInteger))
_NOW = bindparam("now", type_=DateTime(timezone=True))
_DROP = [text(_meant(one)).bindparams(_CONTACTS) for one in _THE_REST]
_FORGET_SIGNINGS = text(
    f"""
    update signings set forgotten_at = coalesce(forgotten_at, :now), phone = '', name_typed = '', consents = '[]',
      cookie_hash = null, again_hash = null, copy_hash = null, sealed_sha256 = null, evidence_sha256 = null,
      drawing_sha256 = null, archive_at = null
    from quotes q where q.id = quote_id and q.contact_id = any(:contacts) and not ({_KEPT})
    """  # noqa: S608  constants only
).bindparams(_CONTACTS, _NOW)
_END_EVIDENCE = text(
    "update signings set forgotten_at = :now where contact_id = any(:contacts) and forgotten_at is null"
).bindparams(_CONTACTS, _NOW)

_PERSON = text(
    """
    select id from contacts
    where coalesce(merged_into, id) = (select coalesce(merged_into, id) from contacts where id = :contact)
    order by id
    """
)


def _referring() -> list[tuple[str, str, bool]]:
    """The columns that refer to documents: table, column, and whether the table is about signings."""
    return [
        (table.name, column.name, "signing_id" in table.columns)
        for table in Base.metadata.sorted_tables for column in table.columns
        if any(key.target_fullname == "blobs.sha256" for key in column.foreign_keys)
    ]


_OF_SIGNINGS = " ".join(
    f"union select x.{column} from {table} x join signings s on s.id = x.signing_id join quotes q on q.id = s.quote_id "  # noqa: S608  constants only
    f"where s.contact_id = any(:contacts) and not ({_KEPT})"
    for table, column, about in _referring() if about
)
_DOCUMENTS = text(
    f"""
    select sha256 from attachments a join leads l on l.id = a.lead_id
    where sha256 is not null and l.contact_id = any(:contacts)
    union select sha256 from quotes q, unnest(array[pdf_sha256, foreign_pdf_sha256]) sha256
    where sha256 is not null and contact_id = any(:contacts) and not ({_KEPT})
    union select sha from signings s join quotes q on q.id = s.quote_id
    left join entrusted e on e.signing_id = s.id left join entrusted_proofs p on p.entrusted_id = e.id,
    unnest(array[s.sealed_sha256, s.evidence_sha256, s.drawing_sha256, p.sha256]) sha
    where s.contact_id = any(:contacts) and not ({_KEPT})
    {_OF_SIGNINGS}
    """  # noqa: S608  constants only
).bindparams(_CONTACTS)


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


async def erase(session: WriteSession, contacts: Sequence[int], now: datetime, *, evidence: bool = False) -> None:
    """Drops all that is personal of these contacts and no evidence; with `evidence`, that of what they signed, too."""
    if evidence:
        await session.execute(_END_EVIDENCE, {"contacts": contacts, "now": now})
    documents = [row[0] for row in await session.rows(_DOCUMENTS, {"contacts": contacts}) if row[0] is not None]
    await session.execute(_FORGET_SIGNINGS, {"contacts": contacts, "now": now})
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
    return " ".join(f"and not exists (select from {table} where {column} = sha)" for table, column, _ in _referring())


_FORGET = text(
    f"delete from blobs using unnest(:documents) sha where sha256 = sha {_elsewhere()}"  # noqa: S608
).bindparams(bindparam("documents", type_=ARRAY(LargeBinary)))

_SPENT = text("delete from budgets where scope like 'number:%' and day < :today").bindparams(
    bindparam("today", type_=Date())
)


async def forget_spending(session: WriteSession, today: date) -> None:
    """What was spent on single numbers on days before this one (UTC)."""
    await session.execute(_SPENT, {"today": today})


_RESTING = """
    c.merged_into is null and c.created_at < :now - make_interval(days => {days}::int) and not exists (
      select from leads l join facts f on f.lead_id = l.id
      where l.contact_id = c.id and f.at >= :now - make_interval(days => {days}::int)
        and f.kind <> 'signing.archived')
"""
"""Whether nothing has happened about a contact `c` for so long. A document that is archived anew is nothing."""
_OLD = text(
    f"""
    select c.id from contacts c join campaigns g on g.id = c.campaign_id
    where g.retention_days > 0 and c.erased_at is null and {_RESTING.format(days="g.retention_days")}
    order by c.id limit :most
    """  # noqa: S608  constants only
).bindparams(_NOW, bindparam("most", type_=BigInteger))
_PROVEN_LONG_ENOUGH = text(
    f"""
    select c.id from contacts c join campaigns g on g.id = c.campaign_id
    where g.evidence_days > 0 and {_RESTING.format(days="g.evidence_days")}
      and exists (
        select from signings s join contacts p on p.id = s.contact_id
        where coalesce(p.merged_into, p.id) = c.id and s.forgotten_at is null)
      and not exists (
        select from signings s join contacts p on p.id = s.contact_id
        left join contract_withdrawals w on w.signing_id = s.id
        where coalesce(p.merged_into, p.id) = c.id
          and greatest(s.created_at, s.signed_at, w.at, w.decided_at)
            >= :now - make_interval(days => g.evidence_days::int))
    order by c.id limit :most
    """  # noqa: S608  constants only
).bindparams(_NOW, bindparam("most", type_=BigInteger))


async def resting(session: ReadSession, now: datetime, most: int) -> list[int]:
    """Persons about whom nothing has happened for longer than their campaign keeps them."""
    return [row[0] for row in await session.rows(_OLD, {"now": now, "most": most})]


async def proven_long_enough(session: ReadSession, now: datetime, most: int) -> list[int]:
    """Persons of whom there is evidence, about whom nothing has happened for longer than their campaign keeps it."""
    return [row[0] for row in await session.rows(_PROVEN_LONG_ENOUGH, {"now": now, "most": most})]
