"""Quoting: an agent writes a quote, the house prints it and sends it as an offer."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from router import printing
from router.actions import inviting
from router.actions.enrolling import QUOTE_CHECK
from router.actions.nurturing import quote_ended
from router.book import Book, Reading, Writing
from router.model import offers
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import Conflict, Forbidden, Invalid, NotFound
from router.model.money import LONGEST_LABEL, Line, Period, check, summed
from router.model.phone import international
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.signings import ALIVE, Signing, SigningState
from router.model.tasks import Task
from router.store import alarms, blobs, quotes, signings
from router.store.db import ReadSession
from router.wording import day, known, moment, money, number, wording

LONGEST_NAME = 120
IDENTITY = ("name", "address", "phone")
"""What a company must say of itself in an offer (TRLGDCU article 97)."""


@dataclass(frozen=True)
class Speaker:
    """`offers.Speaker` in one language, currency and time zone."""

    locale: str
    currency: str
    zone: str

    def say(self, sentence: str, **values: Any) -> str:
        return wording().say(sentence, self.locale, **values)

    def money(self, minor: int) -> str:
        return money(minor, self.currency, self.locale)

    def percent(self, basis_points: int) -> str:
        return f"{number(Decimal(basis_points) / 100, self.locale)}\u00a0%"

    def day(self, at: datetime) -> str:
        return day(at.astimezone(ZoneInfo(self.zone)).date(), self.locale)

    def moment(self, at: datetime) -> str:
        return moment(at, self.zone, self.locale)


@dataclass(frozen=True)
class Material:
    """All an offer is made of, read from the database."""

    quote_id: int
    phone: str
    offer: offers.Offer
    speaker: Speaker


@dataclass(frozen=True)
class Prepared:
    """An offer printed and compared, ready to be frozen. `phone` is the number it was made out to."""

    quote_id: int
    phone: str
    canonical: offers.Canonical
    pdf: bytes

    @property
    def pdf_sha256(self) -> bytes:
        return hashlib.sha256(self.pdf).digest()


async def draft(
    w: Writing, *, agent_id: int, lead_id: int, lines: Sequence[Line], locale: str | None = None,
    customer: str | None = None,
) -> Quote:
    """A quote as the agent wrote it. `customer` is the name that shall stand on it, the contact's if none is given.

    Raises Invalid with a pointer to the field (a character the document cannot show is named), NotFound, and Forbidden
    unless the agent works, or has worked, on the lead, or is a supervisor.
    """
    agent = await _agent(w.session, agent_id)
    found = await quotes.parties(w.session, lead_id)
    if found is None:
        raise NotFound("There is no such lead.")
    if not agent.role.covers(Role.supervisor) and not await quotes.worked_on(w.session, lead_id, agent_id):
        raise Forbidden("Only who talks with this person may write a quote for this lead.")
    said = _said(lines)
    year = w.now.astimezone(ZoneInfo(found.campaign.timezone)).year
    quote = Quote(
        campaign_id=found.campaign.id, contact_id=found.contact.id, lead_id=lead_id, agent_id=agent_id,
        number=f"{year}-{await quotes.next_number(w.session):04d}", state=QuoteState.draft,
        locale=known(locale or found.lead.locale), currency=found.campaign.currency,
        customer=_words(customer or found.contact.name, "/customer", LONGEST_NAME), **_summed(said),
        valid_until=w.now + timedelta(days=found.campaign.quote_days), created_at=w.now,
    )  # fmt: skip
    return await _added(w, quote)


async def send_offer(book: Book, quote_id: int, agent_id: int) -> Signing:
    """Prints, freezes and sends the offer; printing happens in a thread between two short transactions.

    Sent before, it is not sent again: the answer is the same signing. Raises NotFound, Forbidden, Conflict (the quote
    has moved on, or cannot be printed as it reads), NotAllowedNow (this number may not be texted now).
    """
    async with book.reading() as r:
        sent = await signings.live_of_quote(r.session, quote_id)
        material = await read(r, quote_id=quote_id, agent_id=agent_id)
    if sent is not None:
        return sent
    prepared = await asyncio.to_thread(prepare, material)
    async with book.writing() as w:
        return await send(w, prepared, agent_id=agent_id)


async def read(r: Reading | Writing, *, quote_id: int, agent_id: int) -> Material:
    """What the offer is made of. Raises NotFound, Forbidden, Conflict when the company does not say who it is."""
    quote = await _own(r.session, quote_id, agent_id)
    found = vouched(await quotes.parties(r.session, quote.lead_id))
    company = {key: str(value) for key, value in found.campaign.company.items() if value}
    missing = [key for key in IDENTITY if not company.get(key)]
    if missing:
        raise Conflict(
            "The campaign does not say the company's %(missing)s; an offer must.", missing=", ".join(missing)
        )
    offer = offers.Offer(
        number=quote.number, version=quote.version, customer=quote.customer,
        phone=international(found.contact.phone), company=_identity(company),
        lines=[Line(**{**line, "period": Period(line["period"])}) for line in quote.lines],
        written_at=quote.created_at, valid_until=quote.valid_until,
    )  # fmt: skip
    speaker = Speaker(quote.locale, quote.currency, found.campaign.timezone)
    return Material(quote.id, found.contact.phone, offer, speaker)


def _identity(company: dict[str, str]) -> dict[str, str]:
    shown = {key: company[key] for key in (*IDENTITY, "email", "tax_id") if key in company}
    shown["phone"] = international(shown["phone"])
    return {key: _words(text, f"/company/{key}", 300) for key, text in shown.items()}


def prepare(material: Material) -> Prepared:
    """The canonical lines and their PDF. Takes 20 to 100 ms of CPU. Raises Conflict when the two differ."""
    offer, speaker = material.offer, material.speaker
    lines = offers.canonical(offer, speaker)
    pdf = printing.offer(lines, speaker.locale, offer.company["name"], offer.written_at)
    return Prepared(material.quote_id, material.phone, lines, pdf)


async def send(w: Writing, prepared: Prepared, *, agent_id: int) -> Signing:
    """Freezes the offer and sends its link, once: whoever comes second is given the first one's signing.

    Raises Forbidden, Conflict when the quote has moved on, NotAllowedNow when this number may not be texted.
    """
    await _own(w.session, prepared.quote_id, agent_id)
    await blobs.keep(w.session, prepared.pdf, "application/pdf", w.now)
    # The race: two clicks on "send". The second waits here for the first to commit and then finds no draft.
    frozen = await w.move(
        Quote, prepared.quote_id, to=QuoteState.frozen, where=[Quote.valid_until > w.now],
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
    return await inviting.invite(w, quote, found)


async def send_again(w: Writing, *, quote_id: int, agent_id: int) -> Signing:
    """A new link for an offer whose text was lost; the old link is dead at once. A locked signing, where somebody
    guessed codes, is opened again only by a supervisor. Raises NotFound, Forbidden, Conflict, NotAllowedNow."""
    quote = await _own(w.session, quote_id, agent_id)
    agent = await _agent(w.session, agent_id)
    old = await signings.live_of_quote(w.session, quote_id)
    if old is not None and old.state is SigningState.locked and not agent.role.covers(Role.supervisor):
        raise Forbidden("Too many wrong codes were given; only a supervisor may send this offer again.")
    if old is None or quote.state not in OPEN or quote.valid_until <= w.now:
        raise Conflict("This offer cannot be sent again.")
    await inviting.void(w, old.id, "sent_again")
    found = vouched(await quotes.parties(w.session, quote.lead_id))
    return await inviting.invite(w, quote, found)


async def void(w: Writing, *, quote_id: int, agent_id: int) -> Quote:
    """Takes a quote back before it is signed. Raises NotFound, Forbidden, Conflict."""
    await _own(w.session, quote_id, agent_id)
    return await _ended(w, quote_id, QuoteState.void)


async def supersede(w: Writing, *, quote_id: int, agent_id: int, lines: Sequence[Line]) -> Quote:
    """The next version of a quote, as a draft under the same number; the old one ends. Raises as `draft` and `void`.

    What was made elsewhere becomes a quote of ours by this: its next version has a link and can be signed.
    """
    await _own(w.session, quote_id, agent_id)
    said = _said(lines)
    old = await _ended(w, quote_id, QuoteState.superseded)
    valid_for = old.valid_until - old.created_at
    if old.external_number is not None:
        found = vouched(await quotes.parties(w.session, old.lead_id))
        valid_for = timedelta(days=found.campaign.quote_days)
    return await _added(w, Quote(
        campaign_id=old.campaign_id, contact_id=old.contact_id, lead_id=old.lead_id, agent_id=agent_id,
        number=old.number, version=old.version + 1, state=QuoteState.draft, locale=old.locale, currency=old.currency,
        customer=old.customer, **_summed(said), valid_until=w.now + valid_for, created_at=w.now,
        queue_id=old.queue_id,
    ))  # fmt: skip


async def write(w: Writing, task: Task, lines: Sequence[Line], *, agent_id: int) -> Quote:
    """The quote an agent writes while he works on this task: the next version of the one from elsewhere it is about, if
    that is still open and in the campaign's currency, else a new one. Raises as `draft` and `supersede`."""
    about = await w.session.get(Quote, task.quote_id) if task.quote_id is not None else None
    if about is not None and about.external_number is not None and about.state in OPEN:
        campaign = vouched(await w.session.get(Campaign, about.campaign_id))
        if about.currency == campaign.currency:
            return await supersede(w, quote_id=about.id, agent_id=agent_id, lines=lines)
    return await draft(w, agent_id=agent_id, lead_id=task.lead_id, lines=lines)


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
        currency=quote.currency,
    )  # fmt: skip
    w.hint(f"agent:{quote.agent_id}")
    return quote


def _said(lines: Sequence[Line]) -> list[Line]:
    check(lines)
    labels = [_words(line.label, f"/lines/{place}/label", LONGEST_LABEL) for place, line in enumerate(lines)]
    return [replace(line, label=label) for line, label in zip(lines, labels, strict=True)]


def _summed(lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "lines": [{**asdict(line), "period": line.period.value} for line in lines],
        "total_once": summed(lines, Period.once).total,
        "total_month": summed(lines, Period.month).total,
    }


def _words(text: str, pointer: str, longest: int) -> str:
    """The text as it may stand in an offer. Raises Invalid naming the character that may not, or cannot be drawn."""
    tidy = offers.readable(text, pointer, longest)
    missing = printing.undrawable(tidy)
    if missing:
        named = ", ".join(offers.character(char) for char in missing[:5])
        raise Invalid("The offer's font cannot draw %(named)s.", pointer=pointer, named=named)
    return tidy


async def _agent(session: ReadSession, agent_id: int) -> Agent:
    agent = await quotes.agent(session, agent_id)
    if agent is None:
        raise Forbidden("You may not work with quotes.")
    return agent


async def _own(session: ReadSession, quote_id: int, agent_id: int) -> Quote:
    agent = await _agent(session, agent_id)
    quote = await session.get(Quote, quote_id)
    if quote is None:
        raise NotFound("There is no such quote.")
    own = quote.agent_id == agent.id or agent.role.covers(Role.supervisor)
    from_elsewhere = quote.external_number is not None and await quotes.worked_on(session, quote.lead_id, agent_id)
    if not own and not from_elsewhere:
        raise Forbidden("This quote is another agent's.")
    return quote
