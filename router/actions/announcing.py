"""Announcing: before a planned call a text says who will call, from which number, why, and how to stop it.

The text and its call are one try for the house's own rules; the law counts both. What is not certain to leave the call
its place is not sent: then the call comes unannounced, and a fact says why. A text is queued under the locks of its
step, and looked at again under the step's lock directly before it leaves. A call that is put off by more than
`router.model.stepping.AS_ANNOUNCED` is announced once more; the earlier text is then a try of its own, as it stands for
no call.
"""

from router.actions import enrolling, stepping, talking, timing
from router.actions.enrolling import Case
from router.actions.guarding import after_announcing, ask_guard
from router.book import Writing
from router.model.base import vouched
from router.model.cadence_rules import Way
from router.model.cadences import Step, StepState
from router.model.campaigns import NURTURE
from router.model.deliveries import Delivery
from router.model.guard import Purpose
from router.model.pacing import announced_at
from router.model.phone import international
from router.model.stepping import announced_later, as_announced, comes_to_nothing, may_announce
from router.store import alarms, cadences, planning, tasks
from router.wording import brief, wording

ANNOUNCEMENT = "announcement"
"""Our word for such a text."""


async def due(w: Writing, step_id: int) -> None:
    """The moment has come to announce the step's call (an alarm's handler), unless the call is not planned any more."""
    case, step = await stepping.claim(w, step_id)
    if case is None or step is None:
        return
    plan = enrolling.step_plan(case, step)
    if not may_announce(plan, step):
        return
    at = announced_at(plan, step.due_at, w.now)
    if at is None:
        enrolling.unannounced(w, step, "short_notice")
    elif at > w.now:
        await alarms.set_alarm(w.session, enrolling.STEP_ANNOUNCE, step.id, at)
    elif not comes_to_nothing(plan, await enrolling.inside_of(w, case), step.due_at):
        await _announce(w, case, step)


async def _announce(w: Writing, case: Case, step: Step) -> None:
    if (hindrance := await _hindrance(w, case)) is not None:
        enrolling.unannounced(w, step, hindrance)
        return
    lead_id = case.enrolment.lead_id
    call = await after_announcing(w, case.campaign, case.contact, lead_id, step.due_at)
    if not call.allowed:
        enrolling.unannounced(w, step, call.rules[0], call.rules)
        return
    text = await ask_guard(w, case.campaign, case.contact, Purpose.commercial, lead_id, channel="sms")
    if (later := announced_later(text, step.due_at)) is not None:
        await alarms.set_alarm(w.session, enrolling.STEP_ANNOUNCE, step.id, later)
        return
    if not text.allowed:
        enrolling.unannounced(w, step, text.rules[0], text.rules)
        return
    delivery = await talking.send_text(w, case.campaign, case.contact, _text(case, step), lead_id=lead_id)
    again = step.announcement_id is not None
    step.first_announcement_id, step.announcement_id = step.announcement_id, delivery.attempt_id
    step.announced_for = step.due_at
    await w.session.flush()
    w.fact("step.announced", campaign_id=step.campaign_id, lead_id=step.lead_id, subject_id=step.id, n=step.n,
           delivery=delivery.id, due=step.due_at.isoformat(), again=again)


async def _hindrance(w: Writing, case: Case) -> str | None:
    """What is in the way besides the guard, as a code."""
    if Way.sms not in await enrolling.ways_of(w, case):
        return "no_sms"
    if await tasks.with_us(w.session, case.contact.id):
        return "with_us"
    if await planning.is_off(w.session, NURTURE):
        return "nurture_off"
    return None if await stepping.affordable(w, case) else "budget"


def _text(case: Case, step: Step) -> talking.Text:
    quote, campaign, contact = case.quote, case.campaign, case.contact
    locale = quote.locale if quote is not None else contact.locale
    again = step.announcement_id is not None
    body = wording().text(
        "sms/announcement_moved.txt" if again else "sms/announcement.txt", locale,
        company=campaign.company_name, caller=international(campaign.caller_id),
        when=brief(step.due_at, timing.zone_of(campaign, contact), locale),
        number=quote.known_as if quote is not None else "",
    )
    key = f"announcement_moved:{step.id}" if again else f"announcement:{step.id}"
    return talking.Text(body, body, ANNOUNCEMENT, Purpose.commercial, key)


async def still_true(w: Writing, delivery: Delivery) -> bool:
    """Whether what the text says still holds, directly before it leaves: its call is planned for when the text says,
    and has not begun. Whoever cancels or moves the call holds the step's lock: either this sees it, or the text was
    sooner. A text that was overtaken by another announces nothing any more."""
    if delivery.purpose != ANNOUNCEMENT:
        return True
    step_id = await cadences.step_announced_by(w.session, vouched(delivery.attempt_id))
    step = await w.session.locked(Step, step_id) if step_id is not None else None
    return (
        step is not None and step.state is StepState.planned and w.now < step.due_at and as_announced(step)
    )
