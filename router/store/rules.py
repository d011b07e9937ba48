"""What the rules of calling keep back, as figures: answers of the guard by rule, and answered calls nobody met."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import DateTime, bindparam, text

from router.store.db import ReadSession


class Kept(NamedTuple):
    """How often a rule denied or put off a contact, and how many numbers it concerned. `detail` is what a sentence
    about it needs, of its newest answer."""

    rule: str
    word: str
    answers: int
    numbers: int
    detail: Mapping[str, Any]


_COUNTS = text(
    """
    select rule, verdict, count(*), count(distinct phone),
      coalesce((array_agg(detail -> rule order by at desc))[1], '{}')
    from attempts, unnest(rules) as rule
    where at > :since and verdict <> 'allow' and rule not like 'pack.%' group by 1, 2 order by 3 desc, 1 limit 40
    """
).bindparams(bindparam("since", type_=DateTime(timezone=True)))

_COUNTRIES = text("select country from campaigns union select unnest(countries) from campaigns "
                  "union select rule_pack from campaigns")

_SILENCE = text(
    """
    select count(*) filter (where answered), count(*) filter (where answered and not met),
      count(*) filter (where answered and recent), count(*) filter (where answered and not met and recent)
    from (
      select l.joined_at is not null as answered, l.created_at > :day as recent,
        exists (select from legs a where a.call_id = l.call_id and a.role = 'agent' and a.joined_at is not null
                and a.joined_at <= l.joined_at and (a.ended_at is null or a.ended_at > l.joined_at)) as met
      from legs l where l.role = 'customer' and not l.came_in and l.created_at > :month) legs
    """
).bindparams(bindparam("day", type_=DateTime(timezone=True)), bindparam("month", type_=DateTime(timezone=True)))


class Silence(NamedTuple):
    """Calls of ours that a person answered, and of those the ones in which nobody of ours was there, in the last 30
    days and in the last 24 hours."""

    answered: int
    silent: int
    answered_day: int
    silent_day: int


async def counts(session: ReadSession, since: datetime) -> Sequence[Kept]:
    """By which rules people were not contacted since then, most frequent first."""
    return [Kept(*tuple(row)) for row in await session.rows(_COUNTS, {"since": since})]


async def countries(session: ReadSession) -> frozenset[str]:
    """The countries whose people the campaigns call, and the packs they name."""
    return frozenset(row[0] for row in await session.rows(_COUNTRIES))


async def silence(session: ReadSession, now: datetime) -> Silence:
    """How often somebody answered and found nobody. Our agents are on the line before a person is called, so it should
    be never."""
    moments = {"day": now - timedelta(days=1), "month": now - timedelta(days=30)}
    return Silence(*tuple((await session.rows(_SILENCE, moments))[0]))
