"""Crediting: a signed quote is its author's sale, unless a supervisor says whose it is besides."""

from collections.abc import Mapping

from router.book import Writing
from router.model import credits
from router.model.credits import AUTHOR, WHOLE, SplitReason
from router.model.errors import Conflict, Invalid, NotFound
from router.model.quotes import Quote, QuoteState
from router.store import credits as rows

SOLD = (QuoteState.signed, QuoteState.completed)


async def to_author(w: Writing, quote: Quote) -> None:
    """The quote was signed: the sale is its author's. Nobody's, if it has none here. The caller holds its lock."""
    shares = {quote.agent_id: WHOLE} if quote.agent_id is not None else {}
    await _credit(w, quote, shares, AUTHOR)


async def split(w: Writing, quote_id: int, shares: Mapping[int, int], reason: str, *, supervisor_id: int) -> Quote:
    """Says whose sale it is: shares in percent, by agent. Raises NotFound, Invalid with a pointer, and Conflict when
    nothing was sold."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None:
        raise NotFound("There is no such quote.")
    if quote.state not in SOLD:
        raise Conflict("This quote is not signed, or was withdrawn from: there is nothing to share.")
    if reason not in list(SplitReason):
        raise Invalid("Choose a reason.", pointer="/reason")
    credits.check(shares)
    known = {agent.id for agent in await rows.agents(w.session)}
    if not shares.keys() <= known:
        raise Invalid("This is not one of the choices.", pointer="/shares")
    await _credit(w, quote, shares, reason, by=supervisor_id)
    return quote


async def _credit(
    w: Writing, quote: Quote, shares: Mapping[int, int], reason: str, *, by: int | None = None
) -> None:
    await rows.replace(w.session, quote.id, shares, w.now)
    w.fact(
        "sale.credited", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
        agent_id=by, owner=quote.agent_id, shares={str(agent): percent for agent, percent in shares.items()},
        reason=reason,
    )  # fmt: skip
    w.hint("wallboard", *(f"agent:{agent}" for agent in shares))
