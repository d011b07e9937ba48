"""Resending: the text with an offer's link did not arrive. It is sent another way, once; else its number is sought.
And what follows when a number that was looked for is found, or there is none."""

from router.actions import enrolling, inviting, nurturing, quoting, stepping, suppressing, talking
from router.actions.guarding import ask_guard, told
from router.book import Writing
from router.model.base import vouched
from router.model.cadence_rules import Way
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Conflict, Forbidden, Invalid, NotAllowedNow, NotFound
from router.model.guard import Purpose, is_pending
from router.model.letters import LETTERS
from router.model.number_searches import SEARCH_LOOK, NumberSearch, SearchState
from router.model.phone import e164, international
from router.model.quotes import OPEN, Quote
from router.model.signings import Signing, SigningState
from router.ports import Channel
from router.store import addresses, alarms, number_searches, quotes, signings
from router.wording import wording

WAYS = {Way.email: "mail", Way.whatsapp: Channel.whatsapp.value, Way.sms: Channel.sms.value}
"""The ways, in the order in which they are tried, as the guard calls them."""


async def undelivered(w: Writing, signing_id: int) -> None:
    """The offer's text did not arrive (an alarm's handler). Locked in the order number, signing, quote."""
    found = await w.session.get(Signing, signing_id)
    if found is None:
        return
    await suppressing.lock(w, vouched(await w.session.get(Contact, found.contact_id)))
    signing = vouched(await w.session.locked(Signing, signing_id))
    quote = vouched(await w.session.locked(Quote, signing.quote_id))
    if signing.state is not SigningState.undeliverable or quote.state not in OPEN or quote.valid_until <= w.now:
        return
    if not await _another_way(w, signing, quote):
        await _seek(w, signing, quote)


async def _another_way(w: Writing, signing: Signing, quote: Quote) -> bool:
    """Whether the link leaves by another way: of those that reach the person, the first that the guard allows."""
    key, first = f"undelivered:{signing.id}", await number_searches.sent(w.session, f"offer:{signing.id}:1")
    if await number_searches.sent(w.session, key) is not None:
        return False
    used = first.order.get("channel", Channel.sms.value) if first is not None else Channel.sms.value
    parties = vouched(await quotes.parties(w.session, quote.lead_id))
    open_to_him = await enrolling.ways_to(
        w.session, parties.campaign, parties.contact, w.now, can_mail=w.can_mail
    )
    for way, channel in WAYS.items():
        if way not in open_to_him or channel == used:
            continue
        verdict = await ask_guard(
            w, parties.campaign, parties.contact, Purpose.service, quote.lead_id, channel=channel
        )
        if not verdict.allowed:
            told(w, verdict, parties.campaign, Purpose.service, lead_id=quote.lead_id, subject_id=quote.id,
                 when="resend", channel=channel)
            continue
        try:
            async with w.attempt():
                await _send(w, signing, quote, parties, way, key)
        except NotAllowedNow:
            continue
        w.fact("quote.resent", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id, way=channel)
        w.hint(f"agent:{quote.agent_id}")
        return True
    return False


async def _send(
    w: Writing, signing: Signing, quote: Quote, parties: quotes.Parties, way: Way, key: str
) -> None:
    """Raises NotAllowedNow."""
    campaign, contact, link = parties.campaign, parties.contact, await stepping.again_link(w, signing)
    values = {
        "company": campaign.company_name, "number": quote.known_as, "amount": inviting.amount(quote),
        "phone": international(campaign.phone_for(None) or campaign.caller_id),
    }
    if way is not Way.email:
        body, shown = (
            wording().text("sms/offer_again.txt", quote.locale, what=what, **values).translate(inviting.NARROW)
            for what in (link, "[link]")
        )
        text = talking.Text(body, shown, f"offer_{WAYS[way]}", Purpose.service, key, Channel(WAYS[way]))
        await talking.send_text(w, campaign, contact, text, lead_id=quote.lead_id, signing_id=signing.id)
        return
    words, say = LETTERS["offer_again"], wording().say
    letter = talking.Letter("letter", "offer_mail", Purpose.service, key, links={"action": link}, values={
        "subject": say(words.subject, quote.locale, **values),
        "paragraphs": [say(words.paragraph, quote.locale, **values)], "label": say(words.label, quote.locale),
    })
    address = await addresses.address_of(w.session, contact.id)
    await talking.send_mail(w, campaign, contact, address, letter, lead_id=quote.lead_id, signing_id=signing.id)


async def _seek(w: Writing, signing: Signing, quote: Quote) -> None:
    """The quote's owner is to find the right number; once for a link. Where the person's is looked for already, that
    search is about his offer, too."""
    if await number_searches.about_offer(w.session, signing, quote.agent_id):
        w.hint(f"agent:{quote.agent_id}")
        return
    search_id = await number_searches.begin(w.session, {
        "campaign_id": quote.campaign_id, "lead_id": quote.lead_id, "contact_id": quote.contact_id,
        "quote_id": quote.id, "signing_id": signing.id, "agent_id": quote.agent_id, "created_at": w.now,
    })
    if search_id is not None:
        w.fact("numbersearch.open", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=search_id,
               agent_id=quote.agent_id)
        w.hint(f"agent:{quote.agent_id}")


async def found(w: Writing, search_id: int, agent_id: int, written: str) -> None:
    """The right number is known: the person has it from now on, and an offer that did not arrive is sent there with a
    new link. What he agreed to, he agreed to for the old number: at the new one he is asked anew.

    Raises NotFound, Forbidden for another agent's, Conflict when it is over, or somebody else is known by the number,
    Invalid for what is no other number, NotAllowedNow when it may not be contacted: nothing is changed then.
    """
    search = await _open(w, search_id)
    await _own(w, search, agent_id)
    campaign = vouched(await w.session.get(Campaign, search.campaign_id))
    phone = e164(written, campaign.country)
    contact = vouched(await w.session.locked(Contact, search.contact_id))
    if phone == contact.phone:
        raise Invalid("This is the number at which it did not arrive.", pointer="/phone")
    await _end(w, search, SearchState.found, agent_id)
    await _renumber(w, campaign, contact, phone, search.lead_id, agent_id)
    if search.quote_id is not None:
        await quoting.send_again(w, quote_id=search.quote_id, agent_id=agent_id)


async def _renumber(
    w: Writing, campaign: Campaign, contact: Contact, phone: str, lead_id: int, agent_id: int
) -> None:
    """Raises Conflict for somebody else's number, NotAllowedNow for one that may not be contacted at all."""
    if not await number_searches.give_number(w.session, contact, phone, w.now):
        raise Conflict("Somebody else is known by this number. Ask a supervisor whether the two are one person.",
                       pointer="/phone")
    await suppressing.lock(w, contact)
    service = await ask_guard(w, campaign, contact, Purpose.service, lead_id)
    if service.word == "deny":
        raise NotAllowedNow("This number may not be called (%(rules)s).", rules=", ".join(service.rules))
    await number_searches.look_again(w.session, [contact.id], w.now)
    w.fact("contact.renumbered", campaign_id=campaign.id, lead_id=lead_id, subject_id=contact.id, agent_id=agent_id)
    offers = await ask_guard(w, campaign, contact, Purpose.commercial, lead_id)
    await nurturing.renumbered(w, contact.id, may_call=offers.word != "deny" or is_pending(offers))


async def dropped(w: Writing, search_id: int, agent_id: int) -> None:
    """There is no other number: a cadence that has none to call is over. Raises NotFound, Forbidden for another
    agent's, Conflict when it is over."""
    search = await _open(w, search_id)
    await _own(w, search, agent_id)
    await _end(w, search, SearchState.dropped, agent_id)
    await nurturing.no_number(w, search.contact_id)


async def _open(w: Writing, search_id: int) -> NumberSearch:
    """The search, locked, and its person's number: what it is about may change under the same lock."""
    known = await w.session.get(NumberSearch, search_id)
    if known is None:
        raise NotFound("There is no such task.")
    await suppressing.lock(w, vouched(await w.session.get(Contact, known.contact_id)))
    search = vouched(await w.session.locked(NumberSearch, search_id))
    if search.state is not SearchState.open or not await _of_interest(w, search):
        raise Conflict("This number is not looked for any more.")
    return search


async def _of_interest(w: Writing, search: NumberSearch) -> bool:
    """Whether its link is still the offer's, or its person still has a number to be put right."""
    if search.quote_id is None:
        return bool(vouched(await w.session.get(Contact, search.contact_id)).phone)
    signing = await signings.live_of_quote(w.session, search.quote_id)
    return signing is not None and signing.id == search.signing_id


async def _own(w: Writing, search: NumberSearch, agent_id: int) -> None:
    """Raises Forbidden for another agent's, or another line's."""
    if search.quote_id is not None:
        await quoting.own(w.session, search.quote_id, agent_id)
    elif not await number_searches.works_on(w.session, agent_id, vouched(search.queue_id)):
        raise Forbidden("This number is looked for by another line.")


async def _end(w: Writing, search: NumberSearch, to: SearchState, agent_id: int) -> None:
    """The race: two tabs. The second finds it over."""
    if await w.move(NumberSearch, search.id, to, ended_at=w.now, data={"by": agent_id}) is None:
        raise Conflict("This number is not looked for any more.")
    await alarms.cancel(w.session, SEARCH_LOOK, search.id, w.now)
    w.hint(f"agent:{search.agent_id}", f"agent:{agent_id}")
