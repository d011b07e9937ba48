"""Stepping: a cadence's step when its moment has come. The only place where a cadence's texts leave from.

A step is done only while its enrolment is active and of the step's own version, under the locks of the number and the
enrolment: whoever stops the enrolment holds the same locks, so nothing is sent after it.
"""

from typing import NamedTuple
from zoneinfo import ZoneInfo

from router.actions import enrolling, inviting, suppressing, talking
from router.actions.enrolling import Case
from router.actions.guarding import ask_guard
from router.actions.nurturing import MISSED_TEXT
from router.book import Writing
from router.model.base import vouched
from router.model.budgets import MESSAGE_COST
from router.model.cadence_rules import Way
from router.model.cadences import Enrolment, Step, StepState
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.guard import Purpose
from router.model.leads import Lead
from router.model.letters import LETTERS
from router.model.phone import international
from router.model.quotes import Quote
from router.model.signings import OPENABLE, Signing
from router.model.stepping import (
    BUDGET_REST,
    INSIDE,
    Moment,
    about_offer,
    follows_at,
    may_follow,
    missed_template,
    moment,
    stands_alone,
    template_of,
    turn,
)
from router.model.vault import hash_token
from router.ports import Channel
from router.store import addresses, alarms, budgets, signings
from router.wording import day, wording

AGAIN = "again"
"""The vault's purpose for the links that are sent again: all of one signing's are the same."""


async def step_due(w: Writing, step_id: int) -> None:
    """A planned step's moment has come (an alarm's handler). Later than it may be, it is planned anew."""
    case, step = await claim(w, step_id)
    if case is None or step is None:
        return
    match moment(step, case.enrolment.reason, enrolling.offered(case.quote), w.now):
        case Moment.expired:
            await enrolling.leave(w, case.enrolment, "expired")
        case Moment.early:
            await alarms.set_alarm(w.session, enrolling.STEP_DUE, step.id, step.due_at)
        case Moment.late:
            await enrolling.replan(w, case, step)
        case Moment.right:
            await _take_turn(w, case, step)


async def _take_turn(w: Writing, case: Case, step: Step) -> None:
    its = turn(enrolling.step_plan(case, step), await enrolling.inside_of(w, case))
    if its.stop:
        await enrolling.leave(w, case.enrolment, its.stop)
    elif its.way is None:
        await w.move(
            Step, step.id, StepState.skipped, ended_at=w.now, reason=its.why, data={"n": step.n, "reason": its.why}
        )
        await enrolling.go_on(w, case.enrolment)
    elif its.way is Way.call_task:
        await enrolling.call_due(w, case, step)
    else:
        await _text_due(w, case, step, its.way)


async def claim(w: Writing, step_id: int, at: StepState = StepState.planned) -> tuple[Case | None, Step | None]:
    """The step with all that belongs to it, locked in the order number, signing, quote, enrolment, step; nothing when
    it is not to be done any more, or in another state. The race: a stop word in the same second. It waits for the
    number's lock, or has it and is waited for; then the enrolment has ended."""
    found = await w.session.get(Step, step_id)
    if found is None:
        return None, None
    about = vouched(await w.session.get(Enrolment, found.enrolment_id))
    contact = vouched(await w.session.get(Contact, about.contact_id))
    await suppressing.lock(w, contact)
    if about.quote_id is not None:
        signing = await signings.live_of_quote(w.session, about.quote_id)
        if signing is not None:
            await w.session.locked(Signing, signing.id)
        await w.session.locked(Quote, about.quote_id)
    enrolment = vouched(await w.session.locked(Enrolment, about.id))
    step = vouched(await w.session.locked(Step, step_id))
    if step.state is not at or enrolment.state not in INSIDE:
        return None, None
    if step.version_id != enrolment.version_id:
        return None, None
    return await enrolling.case_of(w, enrolment), step


async def _text_due(w: Writing, case: Case, step: Step, way: Way) -> None:
    if await enrolling.kept_back(w, case, step, await enrolling.consult(w, case, step, way)):
        return
    if not await affordable(w, case):
        await enrolling.put_off(w, case, step, w.now + BUDGET_REST, "budget")
        return
    delivery = await send(w, case, template_of(enrolling.step_plan(case, step)), way, f"step:{step.id}")
    if delivery is None:
        await w.move(Step, step.id, StepState.skipped, ended_at=w.now, reason="no_link", data={"n": step.n})
    else:
        case.enrolment.messages += 1
        await w.move(
            Step, step.id, StepState.done, way=way.value, delivery_id=delivery.id, began_at=w.now, ended_at=w.now,
            reason="", data={"n": step.n, "way": way.value, "delivery": delivery.id},
        )
    await enrolling.go_on(w, case.enrolment)


async def affordable(w: Writing, case: Case) -> bool:
    """Whether the day's money allows a text about this case."""
    scopes = await budgets.scopes_of(
        w.session, case.campaign, case.contact.phone, lead_id=case.enrolment.lead_id, at=w.now
    )
    return await budgets.room_for(w.session, w.now.date(), MESSAGE_COST, scopes)


async def send(w: Writing, case: Case, template: str, way: Way, key: str) -> Delivery | None:
    """Queues the text; None when what it is about is not there any more. Raises NotAllowedNow."""
    link = await _link(w, case, template, way)
    if link is None:
        return None
    quote, campaign = case.quote, case.campaign
    locale = quote.locale if quote is not None else case.contact.locale
    values = {
        "company": campaign.company_name, "phone": international(campaign.phone_for(None) or campaign.caller_id),
        "number": quote.known_as if quote is not None else "", "amount": inviting.amount(quote) if quote else "",
        "day": day(quote.valid_until.astimezone(ZoneInfo(campaign.timezone)).date(), locale) if quote else "",
    }  # fmt: skip
    if way is Way.email:
        return await _mail(w, case, template, key, Filled(locale, values, link[0]))
    body, seen = (
        wording().text(f"sms/{template}.txt", locale, what="\x00", **values).translate(inviting.NARROW)
        .replace("\x00", one) for one in link
    )
    channel = Channel.whatsapp if way is Way.whatsapp else Channel.sms
    text = talking.Text(body, seen, template, Purpose.commercial, key, channel)
    return await talking.send_text(w, campaign, case.contact, text, lead_id=case.enrolment.lead_id)


class Filled(NamedTuple):
    """What is put into a letter, in whose language, and what it points to."""

    locale: str
    values: dict[str, str]
    link: str


async def _mail(w: Writing, case: Case, template: str, key: str, filled: Filled) -> Delivery:
    """The same by e-mail. It brings the link that ends such mails by itself. Raises NotAllowedNow."""
    words = LETTERS[template]
    say = wording().say
    values: dict[str, object] = {
        "subject": say(words.subject, filled.locale, **filled.values),
        "paragraphs": [say(words.paragraph, filled.locale, **filled.values)],
    }
    links = {"action": filled.link} if words.label and filled.link else {}
    if links:
        values["label"] = say(words.label, filled.locale)
    letter = talking.Letter("letter", template, Purpose.commercial, key, values=values, links=links)
    address = await addresses.address_of(w.session, case.contact.id)
    return await talking.send_mail(
        w, case.campaign, case.contact, address, letter, lead_id=case.enrolment.lead_id
    )


async def _link(w: Writing, case: Case, template: str, way: Way) -> tuple[str, str] | None:
    """What the text points to, and how that is shown on screens. The first link of an offer stays good beside this."""
    if case.quote is None or not about_offer(template, case.quote.id):
        lead = vouched(await w.session.get(Lead, case.enrolment.lead_id))
        url = str((lead.claims.get("cart") or {}).get("url", "")) if template == "cart_waits" else ""
        return url, "[link]" if url else ""
    if stands_alone(template, way, linked=case.quote.external_number is None):
        return "", ""
    signing = await signings.live_of_quote(w.session, case.quote.id)
    if signing is None or signing.state not in OPENABLE:
        return None
    return await again_link(w, signing), "[link]"


async def again_link(w: Writing, signing: Signing) -> str:
    """Another link to the offer, the same each time; the first one stays good beside it. The signing is locked."""
    token = w.vault.token(AGAIN, str(signing.id))
    if signing.again_hash is None:
        signing.again_hash = hash_token(token)
        await w.session.flush()
    return f"{w.public_url}/q/{token}"


async def missed_text(w: Writing, enrolment_id: int) -> None:
    """We called and reached nobody, or a machine: a text says so, once, if the guard and the cadence's measure allow
    (an alarm's handler)."""
    found = await w.session.get(Enrolment, enrolment_id)
    if found is None:
        return
    contact = vouched(await w.session.get(Contact, found.contact_id))
    await suppressing.lock(w, contact)
    enrolment = vouched(await w.session.locked(Enrolment, enrolment_id))
    case = await enrolling.case_of(w, enrolment)
    if case is None or not may_follow(enrolment, await enrolling.ways_of(w, case)) or not await affordable(w, case):
        return
    verdict = await ask_guard(w, case.campaign, contact, Purpose.commercial, enrolment.lead_id, channel="sms")
    if (later := follows_at(verdict, w.now)) is not None:
        await alarms.set_alarm(w.session, MISSED_TEXT, enrolment_id, later)
    if not verdict.allowed:
        return
    template = missed_template(enrolment.outcomes, enrolment.quote_id)
    if await send(w, case, template, Way.sms, f"missed:{enrolment_id}:{template == 'offer_again'}"):
        enrolment.messages += 1
        await w.session.flush()


