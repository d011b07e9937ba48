"""Arriving: what foreign parties told becomes leads, in the transaction that finishes their message in the inbox."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from router.actions import conversing, rescuing, talking
from router.actions.taking import common, given, number, source, take_in, uncallable
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.connectors import Connector
from router.model.conversations import LONGEST_TEXT, Channel
from router.model.forms import FIELDS, KINDS, plain
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Intent, Lead
from router.model.tasks import TIER_FRESH
from router.ports import CartMoved, LeadAnnounced, MailArrived, MailReturned, PartyEvent, PartyLead, Phone
from router.store import connectors, inbox
from router.wording import negotiate

FETCHING = "fetched"
"""Follows the source of an announced lead's row in the inbox."""
OUR_WORDS = frozenset({"name", "email", "phone", "message", "country", "locale"})
"""What a connector's `columns` may map a foreign question to, besides "field:KEY" of the campaign's own questions."""


async def arrived(w: Writing, connector: Connector, event: PartyEvent) -> None:
    """One event of a party. Told again, it changes nothing. Raises Raced: then it is to be told once more."""
    match event:
        case PartyLead():
            await lead(w, connector, event)
        case LeadAnnounced():
            await inbox.put(
                w.session, w.now, f"{connector.scope}:{FETCHING}", event.external_id, path="", headers={},
                body=event.notice, fetching=True,
            )
            w.hint("fetches")
        case CartMoved():
            await rescuing.moved(w, connector, event)
        case MailArrived():
            await mail(w, connector, event)
        case MailReturned():
            await talking.mail_returned(w, connector.campaign_id, event)


async def lead(w: Writing, connector: Connector, told: PartyLead) -> Taken:
    """A lead of a foreign form: called at once, if there is a number that may be called, and it is no test."""
    place = vouched(await connectors.opening(w.session, connector.id))
    ours, fields, rest = _mapped(told.answers, connector.settings.get("columns", {}))
    phone = number(place.campaign, [Phone(ours["phone"]), *told.phones] if "phone" in ours else told.phones)
    reason = "test" if told.test else uncallable(place.campaign, phone)
    open_answers, secret_answers, unread = _answers(place.campaign, fields)
    claims: dict[str, Any] = {
        "name": ours.get("name") or told.name, "email": ours.get("email") or told.email,
        "message": ours.get("message", ""), "answers": rest | unread, "phone": _unread(told.phones, phone),
    }
    return await take_in(w, Wanted(
        **common(w, place, told.external_id), phone=phone, name=claims["name"],
        locale=negotiate(ours.get("locale"), told.locale, place.campaign.locale), intent=Intent.form,
        agreed=_agreed(connector, told.ticked), work=None if reason else Work(tier=TIER_FRESH),
        claims=given(claims), client_at=told.at, fields=open_answers,
        sealed_fields=w.vault.seal(FIELDS, msgspec.json.encode(secret_answers)) if secret_answers else None,
        source=source(connector, told.source) | ({"test": "yes"} if told.test else {}),
    ), reason)


def _unread(phones: Sequence[Phone], found: str) -> str:
    """A number that is none is shown to the agent as it was written: perhaps a person sees what was meant."""
    return "" if found or not phones else phones[0].written[:40]


def _mapped(
    answers: Mapping[str, str], columns: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The answers as our words, as the campaign's questions, and the rest."""
    ours: dict[str, str] = {}
    fields: dict[str, str] = {}
    rest: dict[str, str] = {}
    for key, answer in answers.items():
        meaning = columns.get(key, "")
        if meaning in OUR_WORDS:
            ours[meaning] = answer
        elif meaning.startswith("field:"):
            fields[meaning.removeprefix("field:")] = answer
        else:
            rest[key] = answer
    return ours, fields, rest


def _answers(campaign: Campaign, raw: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Answers to the campaign's questions: open, secret, and those that are not what they should be.

    A foreign form cannot be sent back for correction, so nothing is refused.
    """
    asked = {one["key"]: one for one in campaign.fields}
    found: tuple[dict[str, str], dict[str, str], dict[str, str]] = ({}, {}, {})
    for key, answer in raw.items():
        question = asked.get(key)
        if question is None:
            found[2][key] = answer
            continue
        secret, kind = bool(question.get("secret")), question.get("kind", "text")
        try:
            if kind == "choice" and plain(answer) not in question.get("choices", {}):
                raise ValueError
            found[secret][key] = KINDS[kind][0](plain(answer))
        except ValueError:
            # What was to be secret is so even if it is wrong.
            found[1 if secret else 2][key] = answer
    return found


def _agreed(connector: Connector, ticked: Sequence[str]) -> tuple[Agreed, ...]:
    """What the form says is what was agreed to by sending it; each ticked box that we know of, with its own text."""
    settings = connector.settings
    version = settings.get("consent_version", "1")
    boxes = settings.get("consents", {})
    agreed = [Agreed(("requested",), settings.get("consent_text", ""), version)]
    agreed += [
        Agreed((boxes[key]["purpose"],), boxes[key]["text"], boxes[key].get("version", version))
        for key in dict.fromkeys(ticked) if key in boxes
    ]
    return tuple(agreed)


async def mail(w: Writing, connector: Connector, told: MailArrived) -> None:
    """An e-mail: goes on with the open thread of its address, otherwise it is a lead, answered in writing.

    Its sender is a claim. A forged one puts words into a thread, but answers go to the address alone.
    """
    place = vouched(await connectors.opening(w.session, connector.id))
    text = "\n\n".join(part for part in (told.subject, told.text) if part)[:LONGEST_TEXT]
    if not (told.sender and text):
        w.fact("mail.ignored", campaign_id=connector.campaign_id, subject_id=connector.id, reason="empty")
        return
    await w.session.lock_word(f"mail:{connector.campaign_id}:{told.sender}")
    thread = await connectors.open_mail(w.session, connector.campaign_id, told.sender)
    if thread is not None:
        contact_id, lead_id = thread.contact_id, thread.lead_id
    else:
        taken = await take_in(w, Wanted(
            **common(w, place, told.external_id), phone="", name=told.name, locale=place.campaign.locale,
            intent=Intent.email, work=None, client_at=told.at, source=source(connector, {}),
            claims=given({"name": told.name, "email": told.sender, "subject": told.subject}),
        ))
        if taken.replayed:
            return
        lead_id, contact_id = taken.lead_id, vouched(await w.session.get(Lead, taken.lead_id)).contact_id
    await conversing.heard(w, conversing.Heard(
        channel=Channel.email, campaign_id=connector.campaign_id, queue=place.queue, contact_id=contact_id,
        lead_id=lead_id, text=text, address=told.sender, external_id=told.external_id,
    ))
