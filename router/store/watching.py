"""Watching quotes as queries: what keeps one from being stale, and what else is known of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, text

from router.model.quotes import Quote
from router.store.db import ReadSession

# Amounts are those of the campaign's latest quotes: enough to say which are high, and no scan.
_AROUND = text(
    """
    select
      (select min(starts_at) from promises
        where contact_id = :contact and state in ('scheduled', 'offered', 'no_answer')),
      exists (select from conversations where contact_id = :contact and state = 'open' and not answered),
      exists (select from quotes q where q.contact_id = :contact and q.id <> :quote and (
        (q.id > :quote and q.state in ('sent', 'opened')) or (q.state in ('signed', 'completed') and exists (
          select from signings s where s.quote_id = q.id and s.signed_at > :sent)))),
      (select array_agg(amount) from (select q.total_once + 12 * q.total_month as amount from quotes q
        where q.campaign_id = :campaign order by q.id desc limit 100) latest),
      exists (select from enrolments e where e.quote_id = :quote and e.reason = 'expired_winback')
    """
)


class Around(NamedTuple):
    """`promised_at` is when a call is promised; `unread`: he wrote and waits; `newer`: another quote of his counts
    more; `amounts` those of the campaign's latest quotes; `won_back`: it was tried once."""

    promised_at: datetime | None
    unread: bool
    newer: bool
    amounts: list[int]
    won_back: bool


async def around(session: ReadSession, quote: Quote) -> Around:
    """What is going on around a quote."""
    rows = await session.rows(_AROUND, {
        "contact": quote.contact_id, "quote": quote.id, "campaign": quote.campaign_id,
        "sent": quote.sent_at or quote.created_at,
    })
    row = rows[0]
    return Around(row[0], row[1], row[2], row[3] or [], row[4])


# A turn given by a list is kept, and so is a rest asked for. An alarm may stand for later: it knew of no consent.
_UNWATCHED = text(
    """
    select q.id from quotes q
    where q.contact_id = any(:contacts) and q.state in ('sent', 'opened') and q.idle_base is not null
      and (q.paced_at is null or q.paced_at <= :now) and (q.snoozed_until is null or q.snoozed_until <= :now)
      and not exists (select from enrolments e where e.quote_id = q.id and e.state <> 'exited')
      and not exists (select from steps s join enrolments e on e.id = s.enrolment_id
          join contacts c on c.id = q.contact_id
        where e.quote_id = q.id and (s.outcome = any(:final) or (s.outcome = any(:of_number)
          and (c.renumbered_at is null or s.ended_at > c.renumbered_at))))
    order by q.id
    """
).bindparams(bindparam("contacts", type_=ARRAY(BigInteger)), bindparam("final", type_=ARRAY(Text)),
             bindparam("of_number", type_=ARRAY(Text)), bindparam("now", type_=DateTime(timezone=True)))


async def unwatched(
    session: ReadSession, contacts: Sequence[int], final: Sequence[str], of_number: Sequence[str], now: datetime
) -> list[int]:
    """The open quotes of these persons that nobody is at, rising; not those about which a call has ended in one of
    these, the latter at the number he still has."""
    values = {"contacts": list(contacts), "final": list(final), "of_number": list(of_number), "now": now}
    return [row[0] for row in await session.rows(_UNWATCHED, values)]


_PROMISED = text(
    "select exists (select from promises "
    "where contact_id = :contact and state in ('scheduled', 'offered', 'no_answer'))"
)


async def promised(session: ReadSession, contact_id: int) -> bool:
    """Whether a call is promised to the person."""
    return bool((await session.rows(_PROMISED, {"contact": contact_id}))[0][0])
