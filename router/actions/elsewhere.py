"""Elsewhere: quotes that were made in another system come in with their persons, and enter the stale watch.

No link of ours exists for them, so they are `sent` until elsewhere says otherwise, their validity ends, or an agent
makes a quote of ours of one. Old ones are looked at in turn, never all at once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from router import printing
from router.actions import foreseen
from router.actions.enrolling import QUOTE_CHECK
from router.actions.foreseen import denied, opens
from router.actions.intake import take_in_each
from router.actions.nurturing import quote_ended
from router.book import Writing
from router.model.agents import Agent
from router.model.campaigns import Campaign, Queue
from router.model.elsewhere import COMMERCIAL, Fault, Proof, Standing, Told, faults
from router.model.imports import Outcome
from router.model.intake import Agreed, Taken, Wanted
from router.model.leads import Intent
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.vault import new_token
from router.store import alarms, elsewhere
from router.store.elsewhere import Person
from router.wording import known

QUOTE_LAPSE = "quote.lapse"
PACE = timedelta(minutes=2)
"""A campaign's old quotes are looked at one in so long, within calling hours: some three hundred a day."""
METHOD = "import"
VERSION = "elsewhere"

_ENDS: Mapping[Standing, QuoteState] = {
    Standing.signed: QuoteState.signed_elsewhere, Standing.declined: QuoteState.declined,
    Standing.expired: QuoteState.expired,
}


@dataclass(frozen=True)
class Origin:
    """Where quotes come in from: what their leads say of it, and how it is named in a receipt."""

    source: Mapping[str, Any]
    name: str


@dataclass(frozen=True)
class Judged:
    """What a quote would become now. `purposes` are those that can be kept as a receipt, `quote_id` and `lead_id` the
    quote's, once it is stored."""

    told: Told
    outcome: Outcome
    reason: str = ""
    field: str = ""
    purposes: tuple[str, ...] = ()
    owner: int | None = None
    quote_id: int | None = None
    lead_id: int | None = None


@dataclass(frozen=True)
class _Known:
    """What the house knows of the quotes' persons and numbers."""

    persons: Mapping[str, Person]
    quotes: Mapping[str, Quote]
    agents: Mapping[str, Agent]
    numbers: foreseen.Known


async def judge(
    w: Writing, campaign: Campaign, told: Sequence[Told], seen: Collection[str] = frozenset()
) -> list[Judged]:
    """What each of these quotes would become now; a number in `seen`, or told twice, is looked at once.

    Whoever stores them afterwards has the campaign's quotes from elsewhere to himself until his transaction ends.
    """
    await w.session.lock_word(f"quotes:{campaign.id}")
    phones = sorted({one.phone for one in told})
    found = _Known(
        await elsewhere.persons(w.session, campaign.id, phones),
        await elsewhere.known(w.session, campaign.id, sorted({one.number for one in told})),
        await elsewhere.agents(w.session, sorted({one.owner for one in told if one.owner})),
        await foreseen.known(w, phones),
    )
    judged, numbers = [], set(seen)
    for one in told:
        verdict = (
            Judged(one, Outcome.duplicate, "in_file") if one.number in numbers
            else _judged(campaign, one, found, w.now)
        )
        if verdict.outcome is not Outcome.refused:
            numbers.add(one.number)
        judged.append(verdict)
    return judged


def wrong(campaign: Campaign, told: Told, now: datetime) -> list[Fault]:
    """All that is wrong with a quote by itself."""
    return list(faults(told, _today(campaign, now), lambda text: not printing.undrawable(text)))


def _judged(campaign: Campaign, told: Told, found: _Known, now: datetime) -> Judged:
    fault = next(iter(wrong(campaign, told, now)), None)
    owner = found.agents.get(told.owner)
    if fault is None and told.owner and owner is None:
        fault = Fault("owner", "owner")
    quote = found.quotes.get(told.number)
    if fault is None and quote is not None:
        fault = _other(campaign, told, quote, found.persons.get(told.phone))
    if fault is not None:
        return Judged(told, Outcome.refused, fault.reason, fault.field)
    if quote is not None:
        return _again(campaign, told, quote, now)
    person = found.persons.get(told.phone)
    purposes, doubt = _purposes(campaign, told.proof, person)
    agreed = frozenset(purposes) | (person.agreed if person else frozenset())
    reason = denied(found.numbers, campaign, told.phone, now, agreed)
    if reason == "consent.commercial" and doubt:
        reason = doubt
    if (ended := _standing(campaign, told, now)) is not Standing.open:
        reason = f"ended.{ended}"
    here = owner.id if owner is not None and owner.disabled_at is None else None
    return Judged(told, Outcome.kept if reason else Outcome.taken, reason, "", purposes, here)


def _other(campaign: Campaign, told: Told, quote: Quote, person: Person | None) -> Fault | None:
    """Why the row cannot be about the quote that is known by its number."""
    if person is None or not person.owns(quote):
        return Fault("number", "other_person")
    same = (quote.total_once, quote.total_month, quote.currency, quote.created_at)
    if same != (told.once, told.month, told.currency, _moment(campaign, told.sent_on)):
        return Fault("number", "quote_changed")
    return None


def _again(campaign: Campaign, told: Told, quote: Quote, now: datetime) -> Judged:
    """What a known quote becomes: elsewhere it may have ended, or be valid for longer. Nothing else may change."""
    ended = _standing(campaign, told, now)
    if quote.state not in OPEN:
        return Judged(told, Outcome.duplicate, "known", quote_id=quote.id, lead_id=quote.lead_id)
    if ended is not Standing.open:
        return Judged(told, Outcome.updated, f"ended.{ended}", quote_id=quote.id, lead_id=quote.lead_id)
    if told.valid_until is not None and _end(campaign, told.valid_until) != quote.valid_until:
        return Judged(told, Outcome.updated, "valid_until", quote_id=quote.id, lead_id=quote.lead_id)
    return Judged(told, Outcome.duplicate, "known", quote_id=quote.id, lead_id=quote.lead_id)


def _purposes(campaign: Campaign, proof: Proof, person: Person | None) -> tuple[tuple[str, ...], str]:
    """The purposes that can be kept as a receipt, and why the commercial one cannot, if it was stated.

    A consent that was taken back with us on that day or later is not given anew by an old list.
    """
    if proof.purposes and not proof.stands:
        return (), "consent.unproven" if COMMERCIAL in proof.purposes else ""
    taken_back = person.taken_back if person else {}
    left = tuple(
        purpose for purpose in proof.purposes
        if purpose not in taken_back or proof.given_on is None
        or taken_back[purpose] < _moment(campaign, proof.given_on)
    )
    return left, "consent.withdrawn" if COMMERCIAL in proof.purposes and COMMERCIAL not in left else ""


def _standing(campaign: Campaign, told: Told, now: datetime) -> Standing:
    """How it stands elsewhere; what is open there beyond its validity has expired."""
    past = told.valid_until is not None and _end(campaign, told.valid_until) <= now
    return Standing.expired if told.standing is Standing.open and past else told.standing


def _today(campaign: Campaign, now: datetime) -> date:
    return now.astimezone(ZoneInfo(campaign.timezone)).date()


def _moment(campaign: Campaign, day: date) -> datetime:
    """The day's beginning where the campaign is."""
    return datetime.combine(day, time(), ZoneInfo(campaign.timezone)).astimezone(UTC)


def _end(campaign: Campaign, day: date) -> datetime:
    return _moment(campaign, day + timedelta(days=1))


async def keep(
    w: Writing, campaign: Campaign, queue: Queue, judged: Sequence[Judged], origins: Sequence[Origin]
) -> list[Judged]:
    """Stores what was judged in this transaction: new quotes with their persons, and what has changed of known ones.
    One that cannot be stored never fails its neighbours."""
    new = [n for n, one in enumerate(judged) if one.outcome in (Outcome.taken, Outcome.kept)]
    taken = await take_in_each(w, {n: _wanted(campaign, queue, judged[n], origins[n]) for n in new})
    quotes = await _added(w, campaign, queue, {n: judged[n] for n in new if n in taken}, taken)
    for one in judged:
        if one.outcome is Outcome.updated:
            await _update(w, campaign, one)
    return [_stored(one, quotes.get(n)) if n in new else one for n, one in enumerate(judged)]


def _stored(one: Judged, quote: Quote | None) -> Judged:
    if quote is None:
        return Judged(one.told, Outcome.refused, "not_stored")
    return Judged(one.told, one.outcome, one.reason, quote_id=quote.id, lead_id=quote.lead_id)


def _wanted(campaign: Campaign, queue: Queue, one: Judged, origin: Origin) -> Wanted:
    told, proof = one.told, one.told.proof
    given_on = proof.given_on.isoformat() if proof.given_on else ""
    words = proof.text or " · ".join(part for part in (proof.source, given_on, origin.name) if part)
    return Wanted(
        line=queue.line, phone=told.phone, name=told.name, locale=told.locale or campaign.locale, intent=Intent.list,
        method=METHOD, status_token=new_token(), work=None, claims={"name": told.name}, page=proof.page,
        source={**origin.source, "quote": told.number, **({"consent": proof.source} if proof.source else {})},
        agreed=(Agreed(one.purposes, words, VERSION),) if one.purposes else (),
        client_at=datetime.combine(proof.given_on, time(), tzinfo=UTC) if proof.given_on else None,
    )


async def _added(
    w: Writing, campaign: Campaign, queue: Queue, judged: Mapping[int, Judged], taken: Mapping[int, Taken]
) -> dict[int, Quote]:
    contacts = await elsewhere.contacts_of(w.session, [one.lead_id for one in taken.values()])
    numbers = await elsewhere.numbers(w.session, len(judged))
    made: dict[int, Quote] = {}
    for (n, one), number in zip(judged.items(), numbers, strict=True):
        lead_id = taken[n].lead_id
        made[n] = _quote(campaign, queue, one, w.now, number=f"{_today(campaign, w.now).year}-{number:04d}",
                         lead_id=lead_id, contact_id=contacts[lead_id])
        w.session.add(made[n])
    await _take_turns(w, campaign, [(judged[n].told.phone, quote) for n, quote in made.items()
                                    if judged[n].outcome is Outcome.taken])
    await w.session.flush()
    for quote in made.values():
        w.fact(
            "quote.imported", campaign_id=campaign.id, lead_id=quote.lead_id, subject_id=quote.id,
            agent_id=quote.agent_id, state=quote.state.value, once=quote.total_once, month=quote.total_month,
            currency=quote.currency, watched=quote.paced_at is not None,
        )
        if quote.state in OPEN:
            await alarms.set_alarm(w.session, QUOTE_LAPSE, quote.id, quote.valid_until)
        if quote.paced_at is not None:
            await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, quote.paced_at)
    return made


def _quote(campaign: Campaign, queue: Queue, one: Judged, now: datetime, **row: Any) -> Quote:
    told, sent_at = one.told, _moment(campaign, one.told.sent_on)
    state = _ENDS.get(_standing(campaign, told, now), QuoteState.sent)
    days = timedelta(days=campaign.quote_days)
    # Without a stated validity what is open is so as long as a quote of ours that is sent now.
    valid_until = _end(campaign, told.valid_until) if told.valid_until else (
        (now if state in OPEN else sent_at) + days)
    base = max(sent_at, _moment(campaign, told.last_contact)) if told.last_contact else sent_at
    return Quote(
        campaign_id=campaign.id, queue_id=queue.id, agent_id=one.owner, external_number=told.number, state=state,
        locale=known(told.locale or campaign.locale), currency=told.currency, customer=told.name,
        lines=[{**asdict(line), "period": line.period.value} for line in told.lines], total_once=told.once,
        total_month=told.month, created_at=sent_at, sent_at=sent_at, valid_until=valid_until, idle_base=base,
        ended_at=None if state in OPEN else min(valid_until, now) if state is QuoteState.expired else base, **row,
    )


async def _take_turns(w: Writing, campaign: Campaign, watched: Sequence[tuple[str, Quote]]) -> None:
    """Gives each its moment in the stale watch, PACE after the one before and within calling hours: those quiet for
    long in one line, those that become so in a line for each day."""
    lines: dict[datetime | None, datetime] = {}
    rules = await foreseen.known(w, ())
    for phone, quote in watched:
        assert quote.idle_base is not None  # noqa: S101  it has just been made
        quiet_at = quote.idle_base + campaign.stale_after
        line = None if quiet_at <= w.now else quote.idle_base
        if line not in lines:
            last = await elsewhere.last_turn(
                w.session, campaign.id, resting_since=line, before=w.now - campaign.stale_after
            )
            first = max(quiet_at, w.now)
            lines[line] = max(last, first) if last is not None else first
        lines[line] = opens(rules, campaign, phone, lines[line] + PACE)
        quote.paced_at = lines[line]


async def _update(w: Writing, campaign: Campaign, one: Judged) -> None:
    """The quote is locked by the campaign's word against other lists, not against an agent: who is sooner wins."""
    assert one.quote_id is not None  # noqa: S101  what is updated is known
    if one.reason == "valid_until":
        quote = await w.session.locked(Quote, one.quote_id)
        assert one.told.valid_until is not None  # noqa: S101  see _again
        if quote is None or quote.state not in OPEN:
            return
        quote.valid_until = _end(campaign, one.told.valid_until)
        await w.session.flush()
        w.fact("quote.prolonged", campaign_id=campaign.id, lead_id=quote.lead_id, subject_id=quote.id,
               until=quote.valid_until.isoformat())
        await alarms.set_alarm(w.session, QUOTE_LAPSE, quote.id, quote.valid_until)
        return
    await _end_quote(w, one.quote_id, _ENDS[_standing(campaign, one.told, w.now)], "elsewhere")


async def _end_quote(w: Writing, quote_id: int, to: QuoteState, reason: str) -> None:
    if await w.move(Quote, quote_id, to, frm=OPEN, ended_at=w.now, data={"reason": reason}) is not None:
        await alarms.cancel(w.session, QUOTE_LAPSE, quote_id, w.now)
        await quote_ended(w, quote_id, to.value)


async def lapse(w: Writing, quote_id: int) -> None:
    """The validity of a quote from elsewhere ends (an alarm's handler): it has no link that would expire."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.state not in OPEN:
        return
    if quote.valid_until > w.now:
        await alarms.set_alarm(w.session, QUOTE_LAPSE, quote_id, quote.valid_until)
        return
    await _end_quote(w, quote_id, QuoteState.expired, "expired")
