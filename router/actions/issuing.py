"""Issuing: a program's quote becomes an offer of ours that can be signed; and documents of quotes made elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from router.actions import offering, quoting
from router.actions.quoting import Besides
from router.book import Book, Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import Conflict, HouseError, Invalid, NotFound
from router.model.forms import FIELDS, read_answers
from router.model.leads import Lead
from router.model.quotes import OPEN, UNSENT, Quote, QuoteState
from router.model.terms import NOT_SAID, Agreed
from router.store import blobs, quotes


@dataclass(frozen=True)
class Wish:
    """What a program wants of a quote besides storing it: the terms of the offer, and the person's answers to the
    campaign's questions."""

    terms: Agreed = NOT_SAID
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Issued:
    """The offer `quote_id` that was made of a quote; `sent`, or why not: the stable code of what refused it."""

    quote_id: int
    sent: bool
    reason: str = ""


async def issue(w: Writing, quote_id: int, wish: Wish) -> Quote:
    """The offer of this stored quote, ready to be sent: its next version, once. Issued before, the answer is the
    version there is.

    Raises ManyInvalid naming what the offer would not say, Invalid for a wrong answer, Conflict when the quote has
    ended.
    """
    quote = vouched(await w.session.locked(Quote, quote_id))
    if quote.state is QuoteState.superseded:
        return vouched(await quotes.newest_version(w.session, quote.number))
    if quote.state not in OPEN or not quote.lines:
        raise Conflict("This quote has no lines, or has ended; no offer can be made of it.")
    await _answer(w, quote, wish.fields)
    made = await quoting.supersede(
        w, quote_id=quote_id, agent_id=None, lines=offering.lines_of(quote), besides=Besides(wish.terms)
    )
    await quoting.check_fit(w, made)
    return made


async def _answer(w: Writing, quote: Quote, given: Mapping[str, Any]) -> None:
    if not given:
        return
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    open_answers, secret_answers = read_answers(campaign, given, all_of_them=False)
    lead = vouched(await w.session.locked(Lead, quote.lead_id))
    lead.fields = {**lead.fields, **open_answers}
    if secret_answers:
        lead.sealed_fields = w.vault.seal(FIELDS, msgspec.json.encode(secret_answers))
    await w.session.flush()


async def send(book: Book, quote_id: int) -> Issued:
    """Sends the offer, once. What refuses it is told by its code, and it can be tried again: it stays a draft."""
    async with book.reading() as r:
        quote = vouched(await r.session.get(Quote, quote_id))
    if quote.state not in UNSENT:
        return Issued(quote_id, quote.sent_at is not None)
    try:
        await quoting.send_offer(book, quote_id, None)
    except HouseError as error:
        return Issued(quote_id, sent=False, reason=error.code)
    return Issued(quote_id, sent=True)


async def keep_document(w: Writing, campaign_id: int, quote_id: int, content: bytes) -> Quote:
    """Keeps the PDF a quote from elsewhere came with; the same one again changes nothing. Raises NotFound, Invalid for
    what is no PDF, Conflict when it has another one, TooLarge."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.campaign_id != campaign_id or quote.external_number is None:
        raise NotFound("There is no such quote.")
    if not content.startswith(b"%PDF-"):
        raise Invalid("This is no PDF.", pointer="")
    sha256 = await blobs.keep(w.session, content, "application/pdf", w.now)
    if quote.foreign_pdf_sha256 not in (None, sha256):
        raise Conflict("This quote has another document already.")
    if quote.foreign_pdf_sha256 is None:
        quote.foreign_pdf_sha256 = sha256
        await w.session.flush()
        w.fact("quote.documented", campaign_id=campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
               sha256=sha256.hex())  # fmt: skip
    return quote
