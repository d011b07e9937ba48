"""Planning: reads what is known of the next days. It writes nothing, so any session will do."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from router.actions import elsewhere, enrolling, guarding, nurturing, signing, timing
from router.actions.keeping import TASK_DUE
from router.model.base import vouched
from router.model.best_time import Rates, hours_of
from router.model.cadence_rules import CadencePlan, Start, Way, preset, read_body
from router.model.cadences import Step
from router.model.campaigns import NURTURE, Campaign, Queue
from router.model.contacts import Contact
from router.model.hours import Opening, opening, spans_from, week_of
from router.model.outcomes import ANSWERED, FINAL
from router.model.planning import (
    Ahead,
    Booked,
    EnrolmentAhead,
    LineAhead,
    Mix,
    Money,
    Person,
    QuoteAhead,
    StepAhead,
    mixed,
)
from router.model.promises import Promise
from router.model.protection import kind_of
from router.model.quotes import Quote
from router.model.signings import OPENABLE
from router.model.tasks import Disposition, Task
from router.store import attempts, budgets, cadences, configuration, planning, signings, staffing, tasks
from router.store.db import ReadSession

_CHECK, _STEP, _ANNOUNCE, _UNWORKED, _RESUME = (
    enrolling.QUOTE_CHECK, enrolling.STEP_DUE, enrolling.STEP_ANNOUNCE, enrolling.STEP_UNWORKED,
    enrolling.ENROLMENT_RESUME,
)
_KINDS = (
    _CHECK, _STEP, _ANNOUNCE, _UNWORKED, _RESUME, nurturing.MISSED_TEXT, signing.EXPIRE, elsewhere.QUOTE_LAPSE,
    TASK_DUE,
)

Alarms = Mapping[tuple[str, int], tuple[datetime, int]]


async def read(
    session: ReadSession, now: datetime, days: int, campaigns: Sequence[Campaign], *, can_mail: bool = False,
    most: int | None = None,
) -> Ahead:
    """What is known at `now` of so many days of these campaigns; at least one. `most`: quotes looked at, those that are
    looked at next; the others are counted only. `can_mail`: the house has a mail server, as a demonstration always has.
    Hours are those of the first campaign's zone."""
    ids = [campaign.id for campaign in campaigns]
    set_ = await planning.alarms_of(session, _KINDS)
    checked = [subject for kind, subject in set_ if kind == _CHECK]
    quotes = sorted(await planning.watched(session, ids, checked), key=lambda one: _place(set_, one))
    inside = await planning.inside(session, ids)
    some = quotes if most is None else quotes[:most]
    standing = await planning.standing(session, ids)
    about = _leads_of(some, [one.enrolment for one in inside])
    contacts = {*about, *(task.contact_id for task, _ in standing)}
    lines = await planning.lines_of(session, sorted({lead for leads in about.values() for lead in leads}))
    until = now + timedelta(days=days)
    queues = await planning.queues(session, ids)
    can_mail = can_mail or await configuration.is_demonstration(session)
    persons = await _persons(session, now, contacts, about, can_mail=can_mail)
    return Ahead(
        now, until, campaigns[0].timezone, persons,
        await _quotes(session, some, set_, lines, {one.id: one for one in campaigns}),
        [_enrolment(one, set_, lines) for one in inside], await _booked(session, standing, set_, now),
        await _lines(session, queues, {one.id: one for one in campaigns}, now, until),
        {campaign: await _cadences(session, campaign) for campaign in ids},
        await _rates(session, persons.values()), await _mix(session, ids, now),
        await _money(session, now, campaigns, {lead for leads in about.values() for lead in leads}),
        await planning.is_off(session, NURTURE), len(quotes) - len(some),
    )


async def _money(
    session: ReadSession, now: datetime, campaigns: Sequence[Campaign], leads: Collection[int]
) -> Money:
    return Money(
        {one.id: one.daily_spend_cap for one in campaigns}, await budgets.sites_of(session, sorted(leads)),
        await budgets.used_on(session, now.date()),
    )


def _place(set_: Alarms, quote: Quote) -> tuple[bool, Any, int]:
    """Those that are looked at next come first; whose turn nobody knows, last."""
    due = set_.get((_CHECK, quote.id))
    return due is None, due or (), quote.id


def _leads_of(*groups: Sequence[Any]) -> Mapping[int, set[int]]:
    """The requests these are about, by person."""
    found: dict[int, set[int]] = defaultdict(set)
    for one in (one for group in groups for one in group):
        found[one.contact_id].add(one.lead_id)
    return found


async def _persons(
    session: ReadSession, now: datetime, contact_ids: Collection[int], leads: Mapping[int, set[int]], *, can_mail: bool
) -> dict[int, Person]:
    ordered = sorted(contact_ids)
    tried = await planning.tried(session, ordered, now - cadences.TRIED_WITHIN)
    promised = await planning.promised_at(session, ordered)
    found = {}
    for contact_id in ordered:
        contact = vouched(await session.get(Contact, contact_id))
        campaign = vouched(await session.get(Campaign, contact.campaign_id))
        ways = await enrolling.ways_to(session, campaign, contact, now, can_mail=can_mail)
        guard, agreed = await guarding.look_ahead(session, campaign, contact, now)
        found[contact_id] = Person(
            contact_id, campaign.id, guard,
            timing.calendar_of(campaign, contact), timing.zone_of(campaign, contact), _line(contact),
            hours_of(await cadences.own_moments(session, contact_id), timing.zone_of(campaign, contact)),
            tuple(tried.get(contact_id, ())), ways, now + timedelta(hours=24) if Way.whatsapp in ways else None,
            {lead: await attempts.taken_back(session, lead) for lead in leads.get(contact_id, ())},
            await tasks.with_us(session, contact_id), promised.get(contact_id), agreed,
        )
    return found


def _line(contact: Contact) -> tuple[str, str]:
    kind = kind_of(contact.phone)
    return kind.country, str(kind.type)


async def _quotes(
    session: ReadSession, quotes: Sequence[Quote], set_: Alarms, lines: Mapping[int, int],
    campaigns: Mapping[int, Campaign],
) -> list[QuoteAhead]:
    began: dict[int, set[tuple[str, datetime]]] = defaultdict(set)
    reached: dict[int, int] = defaultdict(int)
    for quote_id, key, base, reason in await planning.began(session, [quote.id for quote in quotes]):
        began[quote_id].add((key, base))
        reached[quote_id] += reason == "reached"
    found = []
    for quote in quotes:
        live = await signings.live_of_quote(session, quote.id)
        found.append(QuoteAhead(
            quote.id, quote.contact_id, quote.lead_id, quote.queue_id or lines.get(quote.lead_id),
            await nurturing.see(session, quote),
            campaigns[quote.campaign_id].stale_seconds, _at(set_, _CHECK, quote.id),
            _at(set_, signing.EXPIRE, live.id) if live is not None else _at(set_, elsewhere.QUOTE_LAPSE, quote.id),
            reached[quote.id],
            began[quote.id], live is not None and live.state in OPENABLE,
            await cadences.has_last_word(session, quote.id, FINAL),
        ))
    return found


def _at(set_: Alarms, kind: str, subject: int) -> datetime | None:
    due = set_.get((kind, subject))
    return due[0] if due is not None else None


def _enrolment(one: planning.Inside, set_: Alarms, lines: Mapping[int, int]) -> EnrolmentAhead:
    row = one.enrolment
    unworked = [at for step in one.steps if (at := _at(set_, _UNWORKED, step.id)) is not None]
    return EnrolmentAhead(
        row.id, row.contact_id, row.lead_id, lines.get(row.lead_id), row.quote_id, one.key,
        read_body(one.version.body), row.reason, row.state, row.created_at, row.idle_base, row.calls, row.messages,
        tuple(row.outcomes), row.not_before, row.other_band, row.again, row.no_number, row.paused_reason,
        row.resumed_at, _at(set_, _RESUME, row.id), _at(set_, nurturing.MISSED_TEXT, row.id),
        min(unworked, default=None), one.held,
        {step.n: _step(step, set_, one.announced.get(step.id)) for step in one.steps},
    )


def _step(step: Step, set_: Alarms, announced_at: datetime | None) -> StepAhead:
    return StepAhead(
        step.n, Way(step.way), step.state, step.planned_at, _at(set_, _STEP, step.id) or step.due_at, step.not_after,
        step.began_at, step.ended_at, step.band, step.outcome, step.tries, step.reason == "hurried",
        announce_at=_at(set_, _ANNOUNCE, step.id), announced_at=announced_at, announced_for=step.announced_for,
        announcements=step.announcements,
    )


async def _booked(
    session: ReadSession, standing: Sequence[tuple[Task, Promise | None]], set_: Alarms, now: datetime
) -> list[Booked]:
    return [
        Booked(
            task.id, task.contact_id, task.lead_id, task.queue_id,
            promise.starts_at if promise is not None else _at(set_, TASK_DUE, task.id) or now, promise is not None,
            not await tasks.asked_for(session, task.lead_id, task.contact_id),
        )
        for task, promise in standing
    ]


async def _lines(
    session: ReadSession, queues: Sequence[Queue], campaigns: Mapping[int, Campaign], now: datetime, until: datetime
) -> dict[int, LineAhead]:
    """Agents without hours of their own work whenever the queue is open; who is known to be away is not there."""
    workers = await planning.workers(session, sorted({queue.pool for queue in queues}))
    away = await staffing.absences(session, [agent.id for agent in workers], now)
    found = {}
    for queue in queues:
        zone = campaigns[queue.campaign_id].timezone
        open_ = [
            (one.start, one.end)
            for one in spans_from(opening(zone, queue.hours, queue.holidays, queue.closures), now, until)
        ]
        staff = {
            agent.id: _without(
                _meet(open_, [(one.start, one.end) for one in spans_from(shift, now, until)]), away.get(agent.id, ())
            )
            for agent in workers if agent.pool == queue.pool and set(queue.skills) <= set(agent.skills)
            for shift in (Opening(zone, week_of(agent.shifts)),)
        }
        found[queue.id] = LineAhead(queue.id, queue.handle_seconds, staff)
    return found


def _meet(
    left: Sequence[tuple[datetime, datetime]], right: Sequence[tuple[datetime, datetime]]
) -> tuple[tuple[datetime, datetime], ...]:
    """What lies in both; each is in its order."""
    found, place = [], 0
    for start, end in left:
        while place and right[place - 1][1] > start:
            place -= 1
        while place < len(right) and right[place][0] < end:
            if (both := (max(start, right[place][0]), min(end, right[place][1])))[0] < both[1]:
                found.append(both)
            place += 1
    return tuple(found)


def _without(
    spans: Sequence[tuple[datetime, datetime]], away: Sequence[tuple[datetime, datetime]]
) -> tuple[tuple[datetime, datetime], ...]:
    """What is left of the spans."""
    left = list(spans)
    for gone, back in away:
        pieces = [piece for start, end in left for piece in ((start, min(end, gone)), (max(start, back), end))]
        left = [(start, end) for start, end in pieces if start < end]
    return tuple(left)


async def _cadences(session: ReadSession, campaign_id: int) -> dict[Start, tuple[str, CadencePlan]]:
    """What holds for whoever begins, as `cadences.version_for` says, without publishing anything."""
    found = {start: (preset(start).key, preset(start)) for start in Start}
    for cadence, version in reversed(await cadences.newest(session, campaign_id)):
        if not cadence.preset:
            plan = read_body(version.body)
            found |= dict.fromkeys(plan.on, (cadence.key, plan))
    return found


async def _rates(session: ReadSession, persons: Collection[Person]) -> dict[tuple[str, str], Rates]:
    return {line: await cadences.rates(session, *line) for line in sorted({person.line for person in persons})}


async def _mix(session: ReadSession, campaign_ids: Sequence[int], now: datetime) -> Mix:
    """How calls end, by what they came to lately."""
    seen = await planning.ended(session, campaign_ids, list(ANSWERED), now)
    counted: dict[bool, dict[Disposition, float]] = {True: {}, False: {}}
    for outcome, many in seen.items():
        counted[ANSWERED[outcome]][outcome] = many
    return mixed(counted)
