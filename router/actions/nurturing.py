"""Nurturing: which quotes have gone quiet, and what every event does to who is inside a cadence.

Texts are sent elsewhere (`router.actions.stepping`); here nothing leaves the house.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from router.actions import enrolling, timing
from router.actions.enrolling import QUOTE_CHECK
from router.actions.guarding import ask_guard, told
from router.book import Writing
from router.model.base import vouched
from router.model.cadence_rules import Start
from router.model.cadences import Enrolment, EnrolmentState, Step, StepState
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Conflict, Invalid
from router.model.guard import Purpose, is_pending
from router.model.leads import Intent, Lead
from router.model.nurturing import (
    BUSY_REST,
    INBOUND_DAYS,
    MOST_TALKS,
    NOT_HIS,
    TALK_DAYS,
    Next,
    counted,
    following,
    gives_way,
    kept_back,
    next_look,
    rests_over,
    sequel_of,
    starts,
    state_after,
    watch_on,
)
from router.model.outcomes import FINAL, Sequel
from router.model.pacing import spread
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.staleness import (
    ABANDONED_AFTER,
    Finding,
    Hold,
    Patience,
    Watched,
    is_valuable,
    look,
    opened_by_person,
    snoozed_until,
)
from router.model.tasks import Disposition, Task, TaskKind
from router.store import alarms, cadences, number_searches, quotes, signings, tasks, watching
from router.store.db import ReadSession

MISSED_TEXT = "enrolment.missed_text"
"""The alarm of the text that follows a call nobody answered, or a voicemail."""

_NOBODY = frozenset({Disposition.no_answer, Disposition.busy, Disposition.voicemail, Disposition.voicemail_left})


async def check_quote(w: Writing, quote_id: int) -> None:
    """Has this quote gone quiet, and what now? (An alarm's handler.) Our own messages never make it fresh again."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.idle_base is None or quote.state not in (*OPEN, QuoteState.expired):
        return
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    contact = vouched(await w.session.get(Contact, quote.contact_id))
    finding = await find(w, quote, campaign, contact)
    quote.reasons = [reason.value for reason in finding.reasons]
    await w.session.flush()
    if (again := next_look(finding, campaign.stale_after, w.now)) is not None:
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, again)
    if finding.reason is not None:
        await _act(w, quote, finding, campaign, contact)


async def _again(w: Writing, quote: Quote, campaign: Campaign, rest: timedelta) -> None:
    await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + min(campaign.stale_after, rest))


async def find(w: Writing, quote: Quote, campaign: Campaign, contact: Contact) -> Finding:
    """The reasons for which a quote is quiet now, and what holds it back."""
    watched = await see(w.session, quote)
    return look(watched, timing.calendar_of(campaign, contact), w.now, Patience.of_seconds(campaign.stale_seconds))


async def see(session: ReadSession, quote: Quote) -> Watched:
    """All that is looked at of a quote."""
    around = await watching.around(session, quote)
    signing = await signings.of_quote(session, quote.id)
    base = vouched(quote.idle_base)
    # A promise, an unread message: known to end, not when. What is known to the minute is the agent's snooze.
    known: Mapping[Hold, tuple[bool, datetime | None]] = {
        Hold.with_us: (await tasks.with_us(session, quote.contact_id), None),
        Hold.promise: (around.promised_at is not None, None),
        Hold.unread: (around.unread, None),
        Hold.newer_quote: (around.newer, None),
        Hold.snoozed: (quote.snoozed_until is not None, quote.snoozed_until),
    }
    signing_state = signing.state if signing is not None else None
    return Watched(
        base=base, sent_at=quote.sent_at or base, valid_until=quote.valid_until, is_open=quote.state in OPEN,
        ended_at=_expired_at(quote), won_back=around.won_back,
        opened_at=quote.last_open_at, opened_before_at=quote.open_before_at,
        signing_at=base if signing_state in (SigningState.code_sent, SigningState.verified) else None,
        reachable=signing_state is not SigningState.undeliverable, linked=quote.external_number is None,
        valuable=is_valuable(quote.total_once + 12 * quote.total_month, around.amounts),
        holds={hold: until for hold, (holds, until) in known.items() if holds},
    )


def _expired_at(quote: Quote) -> datetime | None:
    """When its validity ended, if that is what ended it; what was noticed late did not last longer."""
    if quote.state is not QuoteState.expired or quote.ended_at is None:
        return None
    return min(quote.ended_at, quote.valid_until)


async def _act(w: Writing, quote: Quote, finding: Finding, campaign: Campaign, contact: Contact) -> None:
    """What follows from a quiet quote: the cadence of the best of its reasons that was not tried in this quiet yet."""
    live = await cadences.live_of_contact(w.session, contact.id)
    if live is not None and not gives_way(live, finding, quote.id, quote.idle_base):
        await _again(w, quote, campaign, BUSY_REST)
        return
    if await cadences.reached(w.session, quote.id) >= MOST_TALKS:
        return
    verdict = await ask_guard(w, campaign, contact, Purpose.commercial, quote.lead_id)
    if not verdict.allowed:
        told(w, verdict, campaign, Purpose.commercial, lead_id=quote.lead_id, subject_id=quote.id, when="plan")
        if (again := kept_back(verdict, w.now)) is not None:
            await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, again)
        return
    if live is not None:
        await enrolling.leave(w, live, "at_hand")
    for start in starts(finding):
        began = await _enrol(w, quote, contact, start, finding)
        if began is not None:
            await alarms.cancel(w.session, QUOTE_CHECK, quote.id, w.now)
            await enrolling.begin(w, began)
            return


async def _enrol(w: Writing, quote: Quote, contact: Contact, start: Start, finding: Finding) -> Enrolment | None:
    version = await cadences.version_for(w.session, quote.campaign_id, start, w.now)
    return await cadences.enrol(w.session, {
        "campaign_id": quote.campaign_id, "quote_id": quote.id, "contact_id": contact.id, "lead_id": quote.lead_id,
        "reason": start.value, "reasons": [one.value for one in finding.reasons], "idle_base": quote.idle_base,
        "created_at": w.now, "cadence_id": version.cadence_id, "version_id": version.id,
    })


async def enrol_lead(w: Writing, start: Start, *, campaign_id: int, lead_id: int, contact_id: int) -> bool:
    """Somebody comes into a cadence for something else than a quiet quote; whether he did: not twice for the same, and
    not beside another cadence."""
    contact = await w.session.get(Contact, contact_id)
    if contact is None or not contact.phone or await cadences.live_of_contact(w.session, contact_id) is not None:
        return False
    campaign = vouched(await w.session.get(Campaign, campaign_id))
    verdict = await ask_guard(w, campaign, contact, Purpose.commercial, lead_id)
    if verdict.word == "deny" and verdict.rules[0] != "campaign.paused" and not is_pending(verdict):
        return False
    version = await cadences.version_for(w.session, campaign_id, start, w.now)
    began = await cadences.enrol(w.session, {
        "campaign_id": campaign_id, "quote_id": None, "contact_id": contact_id, "lead_id": lead_id,
        "reason": start.value, "reasons": [start.value], "idle_base": w.now, "created_at": w.now,
        "cadence_id": version.cadence_id, "version_id": version.id,
    })
    if began is not None:
        await enrolling.begin(w, began)
    return began is not None


# What the person does


async def opened(w: Writing, quote: Quote, signing: Signing, user_agent: str) -> bool:
    """The offer's link was opened: by a person? What only scans links is noted, and moves nothing. The caller holds the
    quote's lock."""
    if not opened_by_person(w.now, max(signing.created_at, quote.sent_at or signing.created_at), user_agent):
        w.fact("quote.scanned", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id)
        return False
    quote.open_before_at, quote.last_open_at = quote.last_open_at, w.now
    await w.session.flush()
    if quote.open_before_at is not None:
        w.fact("quote.read", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
               version=quote.version)
    return True


async def at_hand(w: Writing, quote: Quote) -> None:
    """The customer has his offer open just now: it is looked at again at once."""
    if quote.state in OPEN:
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now)


async def moved(w: Writing, quote: Quote) -> None:
    """The customer has moved his offer himself: it is looked at again when that may have come to nothing."""
    if quote.state in OPEN:
        campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
        await _again(w, quote, campaign, ABANDONED_AFTER)


async def talked(w: Writing, task: Task) -> None:
    """Two have talked: the person's open quotes rest anew from here, and a cadence does not go on beside it."""
    await quotes.moved_by_person(w.session, task.contact_id, w.now)
    enrolment = await cadences.live_of_contact(w.session, task.contact_id)
    if enrolment is None:
        return
    step = await cadences.step_of_task(w.session, task.id)
    if step is not None and step.enrolment_id == enrolment.id:
        return  # the cadence's own call
    enrolment.outcomes = [*enrolment.outcomes, "talked"]
    await w.session.flush()
    await enrolling.rest(w, enrolment, "talk", await enrolling.fallback(w, enrolment, TALK_DAYS))


async def wrote(w: Writing, contact_id: int) -> None:
    """The person has written to us: that is ours to answer, and no cadence goes on meanwhile."""
    await quotes.moved_by_person(w.session, contact_id, w.now)
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None and enrolment.paused_reason != "unclassified":
        enrolment.outcomes = [*enrolment.outcomes, "replied"]
        await w.session.flush()
        await enrolling.rest(w, enrolment, "inbound", await enrolling.fallback(w, enrolment, INBOUND_DAYS))


async def agreed(w: Writing, contacts: Sequence[int], *, at_once: bool = True) -> None:
    """These persons have agreed to offers: their open quotes that rested for want of it are looked at, now or, where
    many agree in the same moment, spread over a while."""
    final, of_number = sorted(one.value for one in FINAL), sorted(one.value for one in NOT_HIS)
    for quote_id in await watching.unwatched(w.session, contacts, final, of_number, w.now):
        due_at = w.now if at_once else w.now + spread(quote_id)
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote_id, due_at)


async def renumbered(w: Writing, contact_id: int, *, may_call: bool) -> None:
    """Another number of this person was found. His cadence calls and texts there only if the guard would let it; his
    other quotes are looked at again."""
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None:
        enrolment.no_number = not may_call
        await w.session.flush()
    await agreed(w, [contact_id])


async def no_number(w: Writing, contact_id: int) -> None:
    """No other number of this person was found: a cadence whose calls do not reach him is over."""
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None and enrolment.no_number:
        await enrolling.leave(w, enrolment, "no_number_found")


async def promised(w: Writing, contact_id: int) -> None:
    """A call was promised to the person: the cadence rests until it is kept, and calls nobody before."""
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None:
        await enrolling.rest(w, enrolment, "promise")


async def promise_over(w: Writing, contact_id: int) -> None:
    """What was promised is kept, or not to be kept any more: a cadence that rested for it goes on."""
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None:
        await enrolling.resume(w, enrolment, ("promise",))


async def no_show(w: Writing, *, campaign_id: int, lead_id: int, contact_id: int) -> None:
    """The person did not answer the call he had arranged."""
    if await cadences.live_of_contact(w.session, contact_id) is not None:
        await promise_over(w, contact_id)
    else:
        await enrol_lead(w, Start.no_show, campaign_id=campaign_id, lead_id=lead_id, contact_id=contact_id)


async def complained(w: Writing, contact_id: int) -> None:
    """The person has complained: nothing goes on until somebody has seen to it."""
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None:
        await enrolling.rest(w, enrolment, "complaint")


async def stopped(w: Writing, phone: str, reason: str) -> None:
    """Nobody with this number is to be contacted any more. The caller holds the number's lock, as a step that sends
    does: so no text leaves after this."""
    for enrolment_id in await cadences.live_of_number(w.session, phone):
        enrolment = await w.session.locked(Enrolment, enrolment_id)
        if enrolment is not None:
            await enrolling.leave(w, enrolment, reason)


async def merged(w: Writing, elder_id: int, later_id: int) -> None:
    """Two were found to be one: he is in one cadence, the elder's."""
    later = await cadences.live_of_contact(w.session, later_id)
    if later is None:
        return
    if await cadences.live_of_contact(w.session, elder_id) is not None:
        await enrolling.leave(w, later, "merged")
        return
    later.contact_id = elder_id
    await w.session.flush()


async def lead_ended(w: Writing, lead_id: int, reason: str) -> None:
    """What the lead was about is over, e.g. a cart that was paid."""
    await number_searches.look_again(w.session, [vouched(await w.session.get(Lead, lead_id)).contact_id], w.now)
    enrolment = await cadences.live_of_lead(w.session, lead_id)
    if enrolment is not None:
        await enrolling.leave(w, enrolment, reason)


async def quote_ended(w: Writing, quote_id: int, reason: str) -> None:
    """The quote is signed, declined, expired or void: nothing is done about its being quiet, and a waiting call is
    withdrawn. A call that already rings at an agent, or is being held, goes on. Who has signed is left alone about his
    other quotes too; who let it expire may be asked once more, unless he has said his last word about it."""
    await alarms.cancel(w.session, QUOTE_CHECK, quote_id, w.now)
    enrolment = await cadences.live_of_quote(w.session, quote_id)
    if enrolment is not None:
        await enrolling.leave(w, enrolment, reason)
    quote = await w.session.get(Quote, quote_id)
    if quote is None:
        return
    await number_searches.look_again(w.session, [quote.contact_id], w.now)
    if reason == "signed":
        sibling = await cadences.live_of_contact(w.session, quote.contact_id)
        if sibling is not None:
            await enrolling.leave(w, sibling, reason)
    elif reason == "expired" and not await cadences.has_last_word(w.session, quote_id, FINAL):
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote_id, w.now)


async def sold(w: Writing, quote: Quote) -> None:
    """The signed copy is delivered: what fits to it is offered later, if the person has agreed to offers."""
    await enrol_lead(w, Start.sold, campaign_id=quote.campaign_id, lead_id=quote.lead_id, contact_id=quote.contact_id)


# What the agent and the house do


async def snooze(w: Writing, quote_id: int, until: datetime, agent_id: int, *, reason: str = "") -> datetime:
    """The agent asks that nobody bothers about this quote until then (aware), for a coded reason; how long that is
    granted: ten business days at most. Raises Conflict when the quote is not open, Invalid for a time that has
    passed."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.state not in OPEN:
        raise Conflict("This quote is not open any more.")
    if until <= w.now:
        raise Invalid("Please choose a time to come.", pointer="/until")
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    contact = vouched(await w.session.get(Contact, quote.contact_id))
    granted = snoozed_until(timing.calendar_of(campaign, contact), w.now, until)
    quote.snoozed_until = granted
    await w.session.flush()
    w.fact("quote.snoozed", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
           agent_id=agent_id, until=granted.isoformat(), reason=reason)
    enrolment = await cadences.live_of_quote(w.session, quote.id)
    if enrolment is not None:
        await enrolling.rest(w, enrolment, "snooze", granted)
    await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, granted)
    return granted


async def wake(w: Writing, quote_id: int, agent_id: int) -> None:
    """The quote is not left alone any longer: it is looked at, and its cadence goes on. Raises Conflict when the quote
    is not open; one that is awake stays so."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.state not in OPEN:
        raise Conflict("This quote is not open any more.")
    if quote.snoozed_until is None or quote.snoozed_until <= w.now:
        return
    quote.snoozed_until = None
    await w.session.flush()
    w.fact("quote.woken", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id, agent_id=agent_id)
    enrolment = await cadences.live_of_quote(w.session, quote.id)
    if enrolment is not None:
        await enrolling.resume(w, enrolment, ("snooze",))
    await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now)


async def information_sent(w: Writing, contact_id: int) -> None:
    """The person has got what he wanted to know: his quotes rest anew, and his cadence goes on."""
    await quotes.moved_by_person(w.session, contact_id, w.now)
    enrolment = await cadences.live_of_contact(w.session, contact_id)
    if enrolment is not None:
        await enrolling.resume(w, enrolment, ("needs_information",))


async def task_closed(w: Writing, task: Task, disposition: Disposition) -> None:
    """A task is over. A cadence's own call decides what follows in it; another talk lets a resting cadence go on."""
    if disposition in FINAL:
        await number_searches.look_again(w.session, [task.contact_id], w.now)
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    contact = vouched(await w.session.get(Contact, task.contact_id))
    if task.kind in (TaskKind.call, TaskKind.nurture) and contact.phone:
        await timing.count(w, campaign, contact, disposition)
    if task.kind is not TaskKind.nurture:
        enrolment = await cadences.live_of_contact(w.session, task.contact_id)
        if enrolment is not None and disposition in FINAL:
            await enrolling.leave(w, enrolment, disposition.value)
        elif enrolment is not None:
            promised = await watching.promised(w.session, task.contact_id)
            await enrolling.resume(w, enrolment, rests_over(promised=promised))
        elif disposition in _NOBODY:
            lead = vouched(await w.session.get(Lead, task.lead_id))
            if lead.intent is Intent.cart:
                await enrol_lead(w, Start.cart_abandoned, campaign_id=task.campaign_id, lead_id=lead.id,
                                 contact_id=task.contact_id)
        return
    quote = await w.session.locked(Quote, task.quote_id) if task.quote_id is not None else None
    found = await cadences.step_of_task(w.session, task.id)
    if found is not None:
        enrolment = vouched(await w.session.locked(Enrolment, found.enrolment_id))
        await _call_over(w, enrolment, vouched(await w.session.locked(Step, found.id)), disposition)
    if quote is not None and quote.state in OPEN:
        await _watch_on(w, quote, campaign, disposition)


async def _watch_on(w: Writing, quote: Quote, campaign: Campaign, disposition: Disposition) -> None:
    watch = watch_on(disposition, campaign.stale_after)
    if watch.anew:
        quote.idle_base = w.now
        await w.session.flush()
    if watch.over:
        await alarms.cancel(w.session, QUOTE_CHECK, quote.id, w.now)
    elif await cadences.live_of_quote(w.session, quote.id) is None:
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + watch.rest)


async def _call_over(w: Writing, enrolment: Enrolment, step: Step, disposition: Disposition) -> None:
    """The cadence's call is over: the outcome's row says what follows."""
    await alarms.cancel(w.session, enrolling.STEP_UNWORKED, step.id, w.now)
    case = await enrolling.case_of(w, enrolment)
    if case is None or step.state is not StepState.waiting:
        return
    calendar = timing.calendar_of(case.campaign, case.contact)
    sequel = sequel_of(disposition, enrolment, calendar, w.now, case.plan.outcomes)
    for attribute, value in counted(enrolment, enrolment.no_number, step.n, disposition, sequel).items():
        setattr(enrolment, attribute, value)
    step.outcome = disposition.value
    await w.session.flush()
    to = state_after(sequel)
    if to is StepState.done:
        await w.move(Step, step.id, to, ended_at=w.now, data={"n": step.n, "outcome": disposition.value})
    else:
        await w.move(Step, step.id, to, reason="again", data={"n": step.n, "reason": "again"})
    await _follow(w, enrolment, sequel, disposition)


async def _follow(w: Writing, enrolment: Enrolment, sequel: Sequel, disposition: Disposition) -> None:
    promised = disposition is Disposition.callback and await watching.promised(w.session, enrolment.contact_id)
    then = following(sequel, disposition, enrolment.state, enrolment.outcomes, promised=promised)
    match then.word:
        case Next.go_on:
            active = vouched(await w.move(Enrolment, enrolment.id, EnrolmentState.active, data={"reason": then.reason}))
            if then.text:
                await alarms.set_alarm(w.session, MISSED_TEXT, enrolment.id, w.now)
            await enrolling.go_on(w, active)
        case Next.leave:
            await enrolling.leave(w, enrolment, then.reason)
        case Next.rest:
            until = await enrolling.fallback(w, enrolment, then.days) if then.days is not None else None
            await enrolling.rest(w, enrolment, then.reason, until)
            if then.owed:
                w.fact("information.owed", campaign_id=enrolment.campaign_id, lead_id=enrolment.lead_id,
                       subject_id=enrolment.id)


async def expired(w: Writing, task: Task) -> None:
    """Nobody had time for a cadence's call, and its line has given it up: the step is left out."""
    step = await cadences.step_of_task(w.session, task.id)
    if step is None:
        return
    if task.quote_id is not None:
        await w.session.locked(Quote, task.quote_id)
    enrolment = vouched(await w.session.locked(Enrolment, step.enrolment_id))
    step = vouched(await w.session.locked(Step, step.id))
    if step.state is StepState.waiting and enrolment.state is EnrolmentState.awaiting_agent:
        await enrolling.unstaffed(w, enrolment, step)


async def resume_due(w: Writing, enrolment_id: int) -> None:
    """A rest is over (an alarm's handler)."""
    enrolment = await w.session.locked(Enrolment, enrolment_id)
    if enrolment is not None:
        await enrolling.resume(w, enrolment)


async def end_due(w: Writing, enrolment_id: int) -> None:
    """Nobody is inside for ever (an alarm's handler)."""
    enrolment = await w.session.locked(Enrolment, enrolment_id)
    if enrolment is not None:
        await enrolling.leave(w, enrolment, "too_long")


