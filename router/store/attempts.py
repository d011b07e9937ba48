"""Attempts and consents as queries: what the guard needs to know of a number and of its person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, DateTime, Interval, LargeBinary, Text, bindparam, select, text

from router.model.cadences import Attempt
from router.model.registers import UNREACHABLE_AFTER, digest_of
from router.store.db import ReadSession
from router.store.registers import Listed
from router.store.suppressions import Found

LOOK_BACK = timedelta(days=90)
"""Longer than any pack counts."""


async def answers(session: ReadSession, contact_id: int, phone: str, limit: int = 20) -> Sequence[Attempt]:
    """The guard's last answers about this number, or, for who has none, about this person; newest first."""
    who = Attempt.phone == phone if phone else Attempt.contact_id == contact_id
    return await session.scalars(select(Attempt).where(who).order_by(Attempt.at.desc(), Attempt.id.desc()).limit(limit))


class Given(NamedTuple):
    """A consent in force: its receipt, when it was given (aware), and whether its person had another number then."""

    receipt_id: int
    at: datetime
    other_number: bool = False


_TAKEN_BACK = text(
    """
    select given.purpose from receipts r cross join unnest(r.purposes) as given(purpose)
      left join withdrawals w on w.receipt_id = r.id and w.purpose = given.purpose
    where r.lead_id = :lead_id
    group by given.purpose having count(*) = count(w.id)
    """
)


async def taken_back(session: ReadSession, lead_id: int) -> frozenset[str]:
    """The purposes agreed to with this request and all taken back since."""
    return frozenset(row[0] for row in await session.rows(_TAKEN_BACK, {"lead_id": lead_id}))


class Tried(NamedTuple):
    """A try that counts, at an aware moment. `with_call`: a text that is one with the call it announced; `busy`: a call
    that found the line engaged."""

    at: datetime
    purpose: str
    channel: str
    with_call: bool
    busy: bool


class Relation(NamedTuple):
    """When the person last signed with us, and last said that he is not interested; None for never."""

    signed_at: datetime | None
    refused_at: datetime | None


@dataclass(frozen=True)
class Known:
    """All that is known of a person and his number, as the guard needs it. `consents` are those in force by purpose,
    the one to rely on first; `taken_back` is about one request, `listed` what do-not-call registers say, by their files
    and their answers; `asking` are those that can be asked, and why one has not answered ("pending", "unreachable")."""

    barred: Sequence[Found]
    tries: Sequence[Tried]
    consents: Mapping[str, Sequence[Given]]
    taken_back: frozenset[str]
    relation: Relation
    listed: Sequence[Listed]
    asking: Mapping[str, str]


# One statement, because the number's lock is held meanwhile and each round trip costs more than what it asks.
# A list says on which day its persons agreed; any other sender's clock is worth what a stranger's word is worth. The
# end of a contract is not known here; the day it was signed is its earliest. What he said to one brand of ours, he said
# to all: whoever has his number counts for that.
_KNOWN = text(
    """
    with root as (
      select coalesce((select coalesce(merged_into, id) from contacts where id = :contact_id), :contact_id) as id
    ), persons as materialized (
      select c.id from contacts c, root where c.id = root.id
      union select c.id from contacts c, root where c.merged_into = root.id
    ), everybody as materialized (
      select id from persons
      union select c.id from campaigns k join contacts c on c.campaign_id = k.id and c.phone = :phone and c.phone <> ''
    ), engaged as materialized (
      select d.attempt_id from legs l join deliveries d on d.dedupe_key = 'leg:' || l.id
      where l.address = :phone and :phone <> '' and l.role = 'customer' and l.outcome = 'busy' and l.created_at > :since
        and d.attempt_id is not null
    )
    select 'barred', s.reason, s.channel, s.until, null::bigint
    from suppressions s
    where s.phone = :phone and :phone <> '' and (s.contact_id is null or s.contact_id in (select id from persons))
      and s.lifted_at is null and (s.until is null or s.until > :now)
    union all
    select 'barred', s.reason, s.channel, s.until, null
    from persons p join suppressions s on s.contact_id = p.id
    where s.phone = '' and s.lifted_at is null and (s.until is null or s.until > :now)
    union all
    select 'try', a.purpose, a.channel, a.at, (
        (a.id is not distinct from :announced and a.at > :now - :within) or exists (
          select from attempts c where c.announced_by = a.id and c.announced_by is not null
            and c.verdict = 'allow' and c.refunded_at is null and c.at < a.at + :within)
      )::int + 2 * (a.id in (select attempt_id from engaged))::int
    from attempts a
    where a.phone = :phone and :phone <> '' and a.at > :since and a.verdict = 'allow' and a.refunded_at is null
    union all
    select 'consent', given.purpose, case when c.renumbered_at >= r.given_at then 'other'
        when r.lead_id is not distinct from :lead_id then 'own' else '' end,
      case when r.method in ('list', 'import') then least(r.client_at, r.given_at) else r.given_at end, r.id
    from receipts r join contacts c on c.id = r.contact_id cross join unnest(r.purposes) as given(purpose)
    where r.contact_id = :contact_id
      and not exists (select from withdrawals w where w.receipt_id = r.id and w.purpose = given.purpose)
    union all
    select 'taken_back', given.purpose, '', null, null
    from receipts r cross join unnest(r.purposes) as given(purpose)
      left join withdrawals w on w.receipt_id = r.id and w.purpose = given.purpose
    where r.lead_id = :lead_id group by given.purpose having count(*) = count(w.id)
    union all
    select 'signed', '', '', max(s.signed_at), null
    from everybody e join quotes q on q.contact_id = e.id join signings s on s.quote_id = q.id
    where s.state in ('signed', 'sealed', 'completed')
    union all
    select 'refused', '', '', max(t.ended_at), null
    from everybody e join tasks t on t.contact_id = e.id and t.disposition = 'not_interested'
    union all
    select 'register', i.register, '', i.as_of,
      (exists (select from register_numbers n where n.import_id = i.id and n.digest = :digest))::int
    from register_imports i where i.state = 'current' and :phone <> ''
    union all
    select 'register', q.register, '', q.as_of, q.listed::int
    from inquiries q where q.digest = :digest and :phone <> '' and (q.until is null or q.until >= :now)
      and q.as_of is not null
    union all
    select 'asking', s.register, case when q.failures >= :unreachable then 'unreachable' else 'pending' end, null, null
    from register_services s left join inquiries q on q.register = s.register and q.digest = :digest
    where not s.closed and :phone <> ''
    """
).bindparams(
    bindparam("contact_id", type_=BigInteger), bindparam("lead_id", type_=BigInteger),
    bindparam("phone", type_=Text), bindparam("digest", type_=LargeBinary),
    bindparam("announced", type_=BigInteger), bindparam("within", type_=Interval),
    bindparam("now", type_=DateTime(timezone=True)), bindparam("since", type_=DateTime(timezone=True)),
)  # fmt: skip


async def known(
    session: ReadSession, contact_id: int, phone: str, now: datetime, lead_id: int | None = None, *,
    announced: int | None = None, within: timedelta = timedelta(),
) -> Known:
    """What is known of this contact, his other selves, and his number (E.164, or ""). `announced` is the attempt of the
    text that announced the call which is asked about; such a text is one with a call that comes `within` so long."""
    rows = await session.rows(_KNOWN, {
        "contact_id": contact_id, "phone": phone, "lead_id": lead_id, "now": now, "since": now - LOOK_BACK,
        "digest": digest_of(phone), "announced": announced, "within": within, "unreachable": UNREACHABLE_AFTER,
    })
    of: dict[str, list[Any]] = {}
    for what, *rest in rows:
        of.setdefault(what, []).append(rest)
    return Known(
        barred=[Found(reason, until, channel) for reason, channel, until, _ in of.get("barred", ())],
        tries=sorted(
            Tried(at, purpose, channel, bool(how & 1), bool(how & 2)) for purpose, channel, at, how in of.get("try", ())
        ),
        consents=_in_order(of.get("consent", ())),
        taken_back=frozenset(one[0] for one in of.get("taken_back", ())),
        relation=Relation(of["signed"][0][2], of["refused"][0][2]),
        listed=[Listed(register, as_of, bool(listed)) for register, _, as_of, listed in of.get("register", ())],
        asking={register: why for register, why, _, _ in of.get("asking", ())},
    )


def _in_order(rows: Iterable[Any]) -> dict[str, list[Given]]:
    """The consents by purpose: those of this request first, a newer one before an older."""
    found: dict[str, list[Given]] = {}
    for purpose, which, at, receipt_id in sorted(rows, key=lambda row: (row[1] == "own", row[2], row[3]), reverse=True):
        found.setdefault(purpose, []).append(Given(receipt_id, at, which == "other"))
    return found
