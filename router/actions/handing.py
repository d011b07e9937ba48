"""Handing: brochures are sent to the person an agent talks with, by one message with one link.

He has asked for them in the talk: that is service, no advertising. The link stands in the message's encrypted text
alone; agents never see it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from router.actions import enrolling, guarding, suppressing, talking
from router.actions.inviting import NARROW
from router.book import Writing
from router.model.base import vouched
from router.model.brochures import Brochure
from router.model.cadence_rules import Way
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.errors import Conflict, Invalid, NotAllowedNow
from router.model.guard import Purpose, Verdict, may_contact
from router.model.handouts import MOST, SUBJECT, Handout, HandoutItem
from router.model.phone import international
from router.model.tasks import Task, TaskState
from router.model.vault import hash_token, new_token
from router.ports import Channel
from router.store import addresses, brochures, handouts
from router.store.db import ReadSession
from router.wording import day, wording

WAYS = {Way.sms: Channel.sms.value, Way.whatsapp: Channel.whatsapp.value, Way.email: talking.MAIL}
"""The ways in the order in which they are offered, as the guard calls them."""
IN_A_TALK = (TaskState.engaged, TaskState.wrapping)
NOT_YOURS = "This task is not yours any more. Nothing was sent."
SUBJECTS = ("Document: %(name)s", "Documents from %(company)s")
"""Of a mail with one, and with several."""
PARAGRAPH = "Here is what you asked us for: %(names)s. The link works until %(day)s. Questions: %(phone)s."
LABEL = "To the documents"


def held_by(task: Task | None, agent_id: int) -> Task:
    """The task, if this agent is in it with its person, or has just been. Raises Conflict."""
    if task is None or task.agent_id != agent_id or task.state not in IN_A_TALK:
        raise Conflict(NOT_YOURS)
    return task


async def ways(session: ReadSession, task: Task, now: datetime, *, can_mail: bool) -> Mapping[Way, Verdict]:
    """By which ways this person can be reached, each with the guard's answer of now."""
    campaign = vouched(await session.get(Campaign, task.campaign_id))
    contact = vouched(await session.get(Contact, task.contact_id))
    possible = await enrolling.ways_to(session, campaign, contact, now, can_mail=can_mail)
    answers = {}
    for way in (one for one in WAYS if one in possible):
        snapshot, _ = await guarding.look(
            session, campaign, contact, Purpose.service, now, lead_id=task.lead_id, channel=WAYS[way]
        )
        answers[way] = may_contact(snapshot, now)
    return answers


async def hand(
    w: Writing, task_id: int, agent_id: int, chosen: Collection[int], way: Way, *, after: int = 0
) -> Handout:
    """Sends these brochures to the person of the task. `after` is the newest handout the agent saw when he pressed: the
    same press again sends nothing.

    Raises Conflict when he is not in a talk with that person, or a brochure is not in use any more; Invalid for none,
    or too many; NotAllowedNow when there is no such way to the person, or the guard says no.
    """
    task = held_by(await w.session.get(Task, task_id), agent_id)
    contact = vouched(await w.session.get(Contact, task.contact_id))
    await suppressing.lock(w, contact)  # the number before the task, as everybody does
    # The race: two presses at once. The second waits here, and finds below what the first has sent.
    task = held_by(await w.session.locked(Task, task_id), agent_id)
    found = await _chosen(w.session, task.campaign_id, chosen)
    press = f"{task.id}:{after}:{way.value}:{','.join(str(one.id) for one in found)}"
    before = await handouts.of_press(w.session, press)
    if before is not None:
        return before
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    if way not in await enrolling.ways_to(w.session, campaign, contact, w.now, can_mail=w.can_mail):
        raise NotAllowedNow("There is no such way to this person at the moment. Nothing was sent.")
    token = new_token()
    handout = Handout(
        campaign_id=campaign.id, lead_id=task.lead_id, task_id=task.id, agent_id=agent_id, way=way.value,
        locale=contact.locale, token_hash=hash_token(token), press=press, created_at=w.now,
        expires_at=w.now + timedelta(days=campaign.handout_days),
    )
    w.session.add(handout)
    await w.session.flush()
    for place, one in enumerate(found, 1):
        w.session.add(HandoutItem(handout_id=handout.id, brochure_id=one.id, place=place))
    delivery = await _send(w, handout, campaign, contact, found, f"{w.public_url}/d/{token}")
    handout.delivery_id = delivery.id
    await w.session.flush()
    w.fact("handout.sent", campaign_id=campaign.id, lead_id=task.lead_id, subject_id=handout.id, agent_id=agent_id,
           way=way.value, brochures=[one.id for one in found])  # fmt: skip
    w.hint(f"agent:{agent_id}")
    return handout


async def _chosen(session: ReadSession, campaign_id: int, chosen: Collection[int]) -> Sequence[Brochure]:
    if not chosen:
        raise Invalid("Choose at least one document.", pointer="/brochure")
    if len(set(chosen)) > MOST:
        raise Invalid("At most %(most)s documents go in one message.", pointer="/brochure", most=MOST)
    found = await brochures.in_use(session, campaign_id, set(chosen))
    if len(found) != len(set(chosen)):
        raise Conflict("One of these documents is not in use any more. Nothing was sent.")
    return found


async def _send(
    w: Writing, handout: Handout, campaign: Campaign, contact: Contact, found: Sequence[Brochure], link: str
) -> Delivery:
    """Raises NotAllowedNow."""
    way, locale = Way(handout.way), handout.locale
    phone = international(campaign.phone_for(None) or campaign.caller_id)
    if way is Way.email:
        letter = _letter(campaign, found, handout, phone, link)
        address = await addresses.address_of(w.session, contact.id)
        return await talking.send_mail(w, campaign, contact, address, letter, lead_id=handout.lead_id)
    values = {"company": campaign.company_name, "phone": phone}
    body, shown = (
        wording().text("sms/handout.txt", locale, what=what, **values).translate(NARROW) for what in (link, "[link]")
    )
    text = talking.Text(body, shown, SUBJECT, Purpose.service, f"{SUBJECT}:{handout.id}", Channel(WAYS[way]))
    return await talking.send_text(w, campaign, contact, text, lead_id=handout.lead_id)


def _letter(
    campaign: Campaign, found: Sequence[Brochure], handout: Handout, phone: str, link: str
) -> talking.Letter:
    locale, say = handout.locale, wording().say
    ends = handout.expires_at.astimezone(ZoneInfo(campaign.timezone)).date()
    values = {
        "name": found[0].named(locale), "names": "; ".join(one.named(locale) for one in found),
        "company": campaign.company_name, "day": day(ends, locale), "phone": phone,
    }
    return talking.Letter(
        "letter", SUBJECT, Purpose.service, f"{SUBJECT}:{handout.id}", links={"action": link},
        values={"subject": say(SUBJECTS[len(found) > 1], locale, **values),
                "paragraphs": [say(PARAGRAPH, locale, **values)], "label": say(LABEL, locale)},
    )
