"""Quoting: an agent writes a quote, the house prints it and sends it as an offer."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from router.actions import inviting, offering
from router.actions.enrolling import QUOTE_CHECK
from router.actions.nurturing import quote_ended
from router.actions.offering import Prepared, prepare
from router.book import Book, Writing
from router.model import offers, products
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import Conflict, Forbidden, NotFound
from router.model.money import LONGEST_LABEL, Line, Period, check, summed
from router.model.quotes import OPEN, UNSENT, Quote, QuoteState
from router.model.signings import ALIVE, Signing, SigningState
from router.model.tasks import Task
from router.model.terms import NOT_SAID, Agreed, read_agreed
from router.ports import Channel
from router.store import alarms, blobs, quotes, signings
from router.store.db import ReadSession
from router.wording import known

LONGEST_NAME = 120
DECIDED = "This quote does not wait for a supervisor any more."


@dataclass(frozen=True)
class Besides:
    """What a quote says besides its lines: the terms agreed on, the call it is made in, and whether it holds only while
    the person is on the line."""

    terms: Agreed = NOT_SAID
    call_id: int | None = None
    on_line: bool = False


NOTHING = Besides()


async def draft(
    w: Writing, *, agent_id: int, lead_id: int, lines: Sequence[Line], locale: str | None = None,
    customer: str | None = None, besides: Besides = NOTHING,
) -> Quote:
    """A quote as the agent wrote it. `customer` is the name that shall stand on it, the contact's if none is given.

    Raises Invalid with a pointer to the field (a character the document cannot show is named), NotFound, and Forbidden
    unless the agent works, or has worked, on the lead, or is a supervisor.
    """
    agent, found = await asked_by(w.session, agent_id, lead_id)
    year = w.now.astimezone(ZoneInfo(found.campaign.timezone)).year
    number = f"{year}-{await quotes.next_number(w.session):04d}"
    return await _added(w, written(agent, found, lines, w.now, number=number, locale=locale, customer=customer,
                                   besides=besides))


async def asked_by(session: ReadSession, agent_id: int, lead_id: int) -> tuple[Agent, quotes.Parties]:
    """Who writes a quote, and between whom. Raises NotFound, and Forbidden as `draft`."""
    agent = await _agent(session, agent_id)
    found = await quotes.parties(session, lead_id)
    if found is None:
        raise NotFound("There is no such lead.")
    if not agent.role.covers(Role.supervisor) and not await quotes.worked_on(session, lead_id, agent_id):
        raise Forbidden("Only who talks with this person may write a quote for this lead.")
    return agent, found


def written(
    agent: Agent, found: quotes.Parties, lines: Sequence[Line], now: datetime, *, number: str,
    locale: str | None = None, customer: str | None = None, besides: Besides = NOTHING,
) -> Quote:
    """The quote this agent writes at `now` (aware), not stored yet. Raises Invalid as `draft`."""
    campaign = found.campaign
    said = _said(lines, campaign)
    return Quote(
        campaign_id=campaign.id, contact_id=found.contact.id, lead_id=found.lead.id, agent_id=agent.id, number=number,
        state=QuoteState.draft, locale=known(locale or found.lead.locale), currency=campaign.currency,
        customer=_customer(customer or found.contact.name), **_summed(said), **_allowed(said, campaign, agent),
        **_besides(besides, campaign, now), created_at=now,
    )  # fmt: skip


def _besides(besides: Besides, campaign: Campaign, now: datetime) -> dict[str, Any]:
    valid_for = timedelta(minutes=campaign.line_minutes) if besides.on_line else timedelta(days=campaign.quote_days)
    return {"terms": msgspec.to_builtins(besides.terms), "call_id": besides.call_id, "valid_until": now + valid_for}


def _allowed(lines: Sequence[Line], campaign: Campaign, agent: Agent | None) -> dict[str, Any]:
    """How far the lines are below the catalogue, and whether that is more than this agent may give. Programs and
    supervisors have no limit."""
    below = products.discount(lines)
    if agent is None or agent.role.covers(Role.supervisor):
        return {"discount_bp": below, "over_limit": False}
    strange = campaign.catalogue_only and products.off_catalogue(lines)
    return {"discount_bp": below, "over_limit": strange or below > limit(agent, campaign)}


def limit(agent: Agent, campaign: Campaign) -> int:
    """How far below the catalogue this agent may go by himself, in basis points."""
    return campaign.discount_bp if agent.discount_bp is None else agent.discount_bp


async def submit(book: Book, quote_id: int, agent_id: int, *, channel: Channel = Channel.sms) -> Signing | None:
    """Sends the offer, or asks a supervisor first where its agent may not give so much; then None. Raises as
    `send_offer`; nobody is asked about an offer that could not be sent."""
    async with book.writing() as w:
        quote = await own(w.session, quote_id, agent_id)
        if quote.over_limit and quote.state in (QuoteState.draft, QuoteState.awaiting):
            await _ask(w, quote)
            return None
    return await send_offer(book, quote_id, agent_id, channel=channel)


async def _ask(w: Writing, quote: Quote) -> None:
    offering.fit(await offering.read(w.session, w.vault, quote, w.now))
    await w.move(Quote, quote.id, to=QuoteState.awaiting, data={"discount_bp": quote.discount_bp})
    w.hint("wallboard", f"agent:{quote.agent_id}")


async def approve(w: Writing, *, quote_id: int, agent_id: int) -> Quote:
    """A supervisor lets the offer be sent as it is; it is valid for as long as when it was written. Raises Forbidden,
    Conflict when it does not wait for that (any more)."""
    await _supervisor(w.session, agent_id)
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.state is not QuoteState.awaiting:
        raise Conflict(DECIDED)
    approved = vouched(await w.move(
        Quote, quote_id, to=QuoteState.approved, approved_by=agent_id,
        valid_until=w.now + (quote.valid_until - quote.created_at), data={"by": agent_id},
    ))
    w.hint("wallboard", f"agent:{approved.agent_id}")
    return approved


async def refuse(w: Writing, *, quote_id: int, agent_id: int) -> Quote:
    """A supervisor does not let the offer be sent. Raises Forbidden, Conflict when it does not wait for that."""
    await _supervisor(w.session, agent_id)
    refused = await w.move(Quote, quote_id, to=QuoteState.void, frm=(QuoteState.awaiting,), ended_at=w.now,
                           data={"reason": "refused", "by": agent_id})
    if refused is None:
        raise Conflict(DECIDED)
    w.hint("wallboard", f"agent:{refused.agent_id}")
    return refused


async def send_offer(
    book: Book, quote_id: int, agent_id: int | None, *, channel: Channel = Channel.sms
) -> Signing:
    """Prints, freezes and sends the offer; printing happens in a thread between two short transactions.

    Sent before, it is not sent again: the answer is the same signing. Raises NotFound, Forbidden, ManyInvalid naming
    what it does not say, Conflict (the quote has moved on, or cannot be printed as it reads), NotAllowedNow (this
    number may not be texted now). Without an agent, a program sends it.
    """
    async with book.reading() as r:
        quote = await own(r.session, quote_id, agent_id)
        sent = await signings.live_of_quote(r.session, quote_id)
        if sent is not None:
            return sent
        if quote.state not in UNSENT:
            raise Conflict("This quote cannot be sent any more.")
        material = await offering.read(r.session, book.vault, quote, r.now)
    prepared = await asyncio.to_thread(prepare, material)
    async with book.writing() as w:
        return await send(w, prepared, agent_id=agent_id, channel=channel)


async def check_fit(w: Writing, quote: Quote) -> None:
    """Raises ManyInvalid naming what the offer of this quote would not say."""
    offering.fit(await offering.read(w.session, w.vault, quote, w.now))


async def send(
    w: Writing, prepared: Prepared, *, agent_id: int | None, channel: Channel = Channel.sms
) -> Signing:
    """Freezes the offer and sends its link, once: whoever comes second is given the first one's signing.

    Raises Forbidden, Conflict when the quote has moved on or waits for a supervisor, NotAllowedNow when this number may
    not be texted.
    """
    await own(w.session, prepared.quote_id, agent_id)
    await blobs.keep(w.session, prepared.pdf, "application/pdf", w.now)
    # The race: two clicks on "send". The second waits here for the first to commit and then finds no draft.
    frozen = await w.move(
        Quote, prepared.quote_id, to=QuoteState.frozen,
        where=[Quote.valid_until > w.now, quotes.MAY_BE_SENT],
        canonical=prepared.canonical, canonical_sha256=offers.digest(prepared.canonical),
        pdf_sha256=prepared.pdf_sha256,
    )  # fmt: skip
    if frozen is None:
        sent = await signings.live_of_quote(w.session, prepared.quote_id)
        if sent is None:
            raise Conflict("This quote cannot be sent any more.")
        return sent
    found = await quotes.parties(w.session, frozen.lead_id)
    if found is None or found.contact.phone != prepared.phone:
        raise Conflict("The person's number has changed; please send the quote again.")
    quote = vouched(await w.move(Quote, frozen.id, to=QuoteState.sent, sent_at=w.now, idle_base=w.now))
    await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + found.campaign.stale_after)
    return await inviting.invite(w, quote, found, channel)


async def send_again(
    w: Writing, *, quote_id: int, agent_id: int, channel: Channel = Channel.sms
) -> Signing:
    """A new link for an offer whose text was lost; the old link is dead at once. A locked signing, where somebody
    guessed codes, is opened again only by a supervisor. Raises NotFound, Forbidden, Conflict, NotAllowedNow."""
    quote = await own(w.session, quote_id, agent_id)
    agent = await _agent(w.session, agent_id)
    old = await signings.live_of_quote(w.session, quote_id)
    if old is not None and old.state is SigningState.locked and not agent.role.covers(Role.supervisor):
        raise Forbidden("Too many wrong codes were given; only a supervisor may send this offer again.")
    if old is None or quote.state not in OPEN or quote.valid_until <= w.now:
        raise Conflict("This offer cannot be sent again.")
    await inviting.void(w, old.id, "sent_again")
    found = vouched(await quotes.parties(w.session, quote.lead_id))
    return await inviting.invite(w, quote, found, channel)


async def void(w: Writing, *, quote_id: int, agent_id: int) -> Quote:
    """Takes a quote back before it is signed. Raises NotFound, Forbidden, Conflict."""
    await own(w.session, quote_id, agent_id)
    return await end(w, quote_id)


async def end(w: Writing, quote_id: int) -> Quote:
    """Takes a quote back, whoever's it is. Raises Conflict."""
    return await _ended(w, quote_id, QuoteState.void)


async def supersede(
    w: Writing, *, quote_id: int, agent_id: int | None, lines: Sequence[Line], customer: str | None = None,
    besides: Besides | None = None,
) -> Quote:
    """The next version of a quote, as a draft under the same number; the old one ends. Raises as `draft` and `void`.

    What was made elsewhere becomes a quote of ours by this: its next version has a link and can be signed. Without
    `besides` the terms stay as they were, and it is valid for as long; without a `customer` so does the name.
    """
    before = await own(w.session, quote_id, agent_id)
    agent = await _agent(w.session, agent_id) if agent_id is not None else None
    campaign = vouched(await w.session.get(Campaign, before.campaign_id))
    said = _said(lines, campaign if campaign.currency == before.currency else None)
    old = await _ended(w, quote_id, QuoteState.superseded)
    added = _besides(besides or Besides(read_agreed(old.terms), old.call_id), campaign, w.now)
    if besides is None and old.external_number is None:
        added["valid_until"] = w.now + (old.valid_until - old.created_at)
    return await _added(w, Quote(
        campaign_id=old.campaign_id, contact_id=old.contact_id, lead_id=old.lead_id,
        agent_id=old.agent_id if agent_id is None else agent_id, number=old.number, version=old.version + 1,
        state=QuoteState.draft, locale=old.locale, currency=old.currency, customer=_customer(customer or old.customer),
        **_summed(said), **_allowed(said, campaign, agent), **added, created_at=w.now, queue_id=old.queue_id,
    ))  # fmt: skip


async def write(
    w: Writing, task: Task, lines: Sequence[Line], *, agent_id: int, revises: int | None = None,
    customer: str | None = None, besides: Besides = NOTHING,
) -> Quote:
    """The quote an agent writes while he works on this task: the next version of `revises`, which is a quote of the
    same person; or of the one from elsewhere the task is about, if that is still open and in the campaign's currency;
    else a new one. Raises as `draft` and `supersede`."""
    besides = replace(besides, call_id=await quotes.call_of_task(w.session, task.id))
    if revises is not None:
        revised = await w.session.get(Quote, revises)
        if revised is None or revised.contact_id != task.contact_id:
            raise NotFound("There is no such quote.")
        return await supersede(
            w, quote_id=revises, agent_id=agent_id, lines=lines, customer=customer, besides=besides
        )
    about = await w.session.get(Quote, task.quote_id) if task.quote_id is not None else None
    if about is not None and about.external_number is not None and about.state in OPEN:
        campaign = vouched(await w.session.get(Campaign, about.campaign_id))
        if about.currency == campaign.currency:
            return await supersede(
                w, quote_id=about.id, agent_id=agent_id, lines=lines, customer=customer, besides=besides
            )
    return await draft(
        w, agent_id=agent_id, lead_id=task.lead_id, lines=lines, customer=customer, besides=besides
    )


async def _ended(w: Writing, quote_id: int, to: QuoteState) -> Quote:
    """Signing first, then quote, as everywhere: signed and superseded at once, one wins and the other is told."""
    live = await signings.live_of_quote(w.session, quote_id)
    if live is not None and live.state in ALIVE:
        await inviting.void(w, live.id, to.value)
    quote = await w.move(Quote, quote_id, to=to, ended_at=w.now)
    if quote is None:
        raise Conflict("This quote has moved on; it cannot be taken back any more.")
    await quote_ended(w, quote.id, to.value)
    w.hint(f"agent:{quote.agent_id}")
    return quote


async def _added(w: Writing, quote: Quote) -> Quote:
    w.session.add(quote)
    await w.session.flush()
    w.fact(
        "quote.draft", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
        agent_id=quote.agent_id, version=quote.version, once=quote.total_once, month=quote.total_month,
        currency=quote.currency, discount_bp=quote.discount_bp,
    )  # fmt: skip
    w.hint(f"agent:{quote.agent_id}")
    return quote


def _said(lines: Sequence[Line], campaign: Campaign | None) -> list[Line]:
    """The lines as they may stand in an offer, with what the campaign's catalogue says of them."""
    check(lines)
    labels = [offering.words(line.label, f"/lines/{place}/label", LONGEST_LABEL) for place, line in enumerate(lines)]
    said = [replace(line, label=label) for line, label in zip(lines, labels, strict=True)]
    return products.priced(said, products.catalogue(campaign.products) if campaign is not None else [])


def _customer(name: str) -> str:
    return offering.words(name, "/customer", LONGEST_NAME)


def _summed(lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "lines": [{**asdict(line), "period": line.period.value} for line in lines],
        "total_once": summed(lines, Period.once).total,
        "total_month": summed(lines, Period.month).total,
    }


async def _agent(session: ReadSession, agent_id: int) -> Agent:
    agent = await quotes.agent(session, agent_id)
    if agent is None:
        raise Forbidden("You may not work with quotes.")
    return agent


async def _supervisor(session: ReadSession, agent_id: int) -> None:
    if not (await _agent(session, agent_id)).role.covers(Role.supervisor):
        raise Forbidden("Only a supervisor may decide that.")


async def own(session: ReadSession, quote_id: int, agent_id: int | None) -> Quote:
    """The quote, if this agent may work with it; a program (None) has been asked for its key already. Raises NotFound,
    Forbidden."""
    agent = await _agent(session, agent_id) if agent_id is not None else None
    quote = await session.get(Quote, quote_id)
    if quote is None:
        raise NotFound("There is no such quote.")
    if agent is None:
        return quote
    own = quote.agent_id == agent.id or agent.role.covers(Role.supervisor)
    from_elsewhere = quote.external_number is not None and await quotes.worked_on(session, quote.lead_id, agent.id)
    if not own and not from_elsewhere:
        raise Forbidden("This quote is another agent's.")
    return quote
