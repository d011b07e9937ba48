"""Hearing: what people write to us by text or WhatsApp finds its request, or becomes one, and its conversation."""

import contextlib
import unicodedata
from dataclasses import replace
from datetime import timedelta

from router.actions import attaching, conversing, keeping, nurturing, suppressing
from router.actions.intake import take_in
from router.actions.nurturing import quote_ended
from router.actions.talking import Text, send_text
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.conversations import Channel as Thread
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.model.intake import Wanted
from router.model.leads import Intent, Lead
from router.model.phone import E164
from router.model.vault import new_token
from router.ports import Channel, MessageArrived
from router.store import arrivals, leads, quotes, suppressions, tasks
from router.store.arrivals import Route
from router.wording import known, wording

RECENT = timedelta(days=30)
"""A message goes on with a request that is no older; a reference in it is good for as long."""
LONGEST_NAME = 200


STOP_WORDS = frozenset({
    *("stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "optout"),
    *("baja", "parar", "alto", "basta", "annulla", "cancella", "disiscrivimi", "fermare"),
    *("стоп", "отписаться", "отпиши", "отмена", "хватит"),
})  # fmt: skip
"""A message of one of these words alone ends all contact: the carrier's own list, and those of our languages."""
START_WORDS = frozenset({
    *("start", "unstop", "resume"), *("alta", "reanudar", "inizia", "riprendi"),
    *("старт", "начать", "возобновить"),
})  # fmt: skip
"""A message of one of these words alone takes a stop word back."""


async def message_arrived(w: Writing, event: MessageArrived) -> None:
    """A message from outside. A stop word suppresses its number at once, for every campaign and channel; a start word
    lifts that again; anything else is heard."""
    word = _word(event.text)
    if word in STOP_WORDS:
        await _stop(w, event)
    elif word in START_WORDS and await _start(w, event):
        return
    else:
        await _heard(w, event)


def _word(text: str) -> str:
    """A message's only word, as the lists have it, without what people put around it; "" for more than a word."""
    folded = unicodedata.normalize("NFKC", text[:100]).casefold()
    kept = "".join(each for each in folded if unicodedata.category(each)[0] in "LNZ" or each.isspace())
    words = kept.split()
    return words[0] if len(words) == 1 and len(text) <= 40 else ""


async def _stop(w: Writing, event: MessageArrived) -> None:
    # Tasks before the number's lock: who calls holds the task first, too. Quotes and cadences after it: so does a step
    # that writes. What is queued meanwhile, the guard denies.
    for task_id in await tasks.waiting_of_number(w.session, event.sender):
        await keeping.withdraw_task(w, task_id, "stop")
        await keeping.withdrawn(w, task_id, "stop")
    await suppressing.suppress_number(w, event.sender, "stop", told=event.channel.value)
    for quote_id in await quotes.open_of_number(w.session, event.sender):
        await quote_ended(w, quote_id, "stop")
    await nurturing.stopped(w, event.sender, "stop")


async def _start(w: Writing, event: MessageArrived) -> bool:
    """He may be written to again, and is told so once. False when he had not stopped anything: then it is a message
    like any other. What was suppressed for another reason stays so."""
    await w.session.lock_word(event.sender)
    if not await suppressions.lift_number(w.session, event.sender, "stop", w.now):
        return False
    w.fact("contact.resumed", reason="start", channel=event.channel.value)
    route = await arrivals.route_of(w.session, event.to, event.sender)
    contact = await leads.contact_of_number(w.session, route.campaign.id, event.sender) if route else None
    if route is None or contact is None:
        return True
    said = wording().say("You will receive messages from %(brand)s again. Answer STOP to end them.",
                         contact.locale, brand=route.campaign.name)
    text = Text(said, said, "start", Purpose.service, f"start:{event.carrier_id}", event.channel)
    with contextlib.suppress(NotAllowedNow):
        await send_text(w, route.campaign, contact, text)
    return True


async def _heard(w: Writing, event: MessageArrived) -> None:
    """Somebody wrote. What nobody of ours was written to, or no number wrote, is noted and kept as it came."""
    event = replace(
        event, text=_storable(event.text), name=_storable(event.name)[:LONGEST_NAME],
        referral={name: _storable(value) for name, value in event.referral.items()},
    )  # fmt: skip
    route = await arrivals.route_of(w.session, event.to, event.sender)
    if route is None or not E164.fullmatch(event.sender):
        reason = "unknown_number" if route is None else "unknown_sender"
        w.fact("message.unrouted", campaign_id=route.campaign.id if route else None, reason=reason,
               channel=event.channel.value)
        return
    lead = await _by_reference(w, event, route) or await _going_on(w, event, route) or await _new(w, event, route)
    w.fact("message.arrived", campaign_id=route.campaign.id, lead_id=lead.id, channel=event.channel.value)
    await conversing.heard(w, conversing.Heard(
        channel=Thread(event.channel.value), campaign_id=route.campaign.id, queue=route.queue,
        contact_id=lead.contact_id, lead_id=lead.id, text=event.text, address=event.sender,
        media=await _media(w, event, lead), external_id=event.carrier_id,
    ))


def _storable(text: str) -> str:
    """Without what no database takes: NUL, and halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


async def _media(w: Writing, event: MessageArrived, lead: Lead) -> list[dict[str, str]]:
    found = []
    for place, (url, media_type) in enumerate(event.media):
        wanted = attaching.Found(attaching.MEDIUM, f"{event.carrier_id}:{place}", url, media_type)
        kept = await attaching.expect(w, lead.campaign_id, lead.id, wanted)
        found.append({"url": kept.path, "type": kept.media_type})
    return found


async def _by_reference(w: Writing, event: MessageArrived, route: Route) -> Lead | None:
    """The visit of our page whose reference the message brings along. The number becomes its person's, unless another
    number has joined it before: a reference is no secret, and opens nobody's history."""
    if not event.reference:
        return None
    lead = await leads.by_reference(w.session, route.campaign.id, event.reference, w.now - RECENT)
    if lead is None:
        return None
    person = vouched(await w.session.locked(Contact, lead.contact_id))
    if person.phone not in ("", event.sender):
        return None
    if not person.phone:
        same = await leads.contact_of_number(w.session, route.campaign.id, event.sender)
        if same is None:
            person.phone, person.name = event.sender, person.name or event.name
        else:
            person.merged_into, lead.contact_id = same.id, same.id
    _note(lead, event)
    await w.session.flush()
    w.fact("lead.joined", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=lead.id,
           channel=event.channel.value)
    return lead


async def _going_on(w: Writing, event: MessageArrived, route: Route) -> Lead | None:
    """The person's latest request. Who comes from an advertisement begins anew: it is told only once."""
    if event.referral:
        return None
    return await leads.latest_of_number(w.session, route.campaign.id, event.sender, w.now - RECENT)


async def _new(w: Writing, event: MessageArrived, route: Route) -> Lead:
    source = {"party": event.channel.value, "dialled": event.to}
    if route.source.startswith("offline:"):
        source["offline"] = route.source.removeprefix("offline:")
    wanted = Wanted(
        line=route.queue.line,
        phone=event.sender, name=event.name, locale=known(route.campaign.locale), method=event.channel.value,
        intent=Intent.whatsapp if event.channel is Channel.whatsapp else Intent.chat, status_token=new_token(),
        work=None, source=source, scope="carrier:message", key=event.carrier_id,
    )
    taken = (await take_in(w, [wanted]))[0]
    lead = vouched(await w.session.locked(Lead, taken.lead_id))
    _note(lead, event)
    await w.session.flush()
    return lead


def _note(lead: Lead, event: MessageArrived) -> None:
    """What the carrier tells of him belongs to the request: his name there is a claim."""
    if event.referral:
        lead.source = {**lead.source, "referral": dict(event.referral)}
    if event.name:
        lead.claims = {**lead.claims, "name": lead.claims.get("name") or event.name}
