"""Snoozing: the agent asks that a quote is left alone for some of its person's business days, and may wake it again."""

from router.actions import nurturing, timing
from router.book import Writing
from router.model.base import vouched
from router.model.calendars import Unit, add
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Forbidden, Invalid
from router.model.quotes import Quote
from router.store import quotes

DAYS = (1, 3, 5, 10)
"""For so many business days a quote can be left alone."""
REASONS = ("thinks", "another_decides", "away", "money", "other")
"""Why: he thinks it over, somebody else decides with him, he is away, he waits for money, something else."""


async def snooze(w: Writing, quote_id: int, agent_id: int, days: int, reason: str) -> None:
    """Raises Forbidden when the agent is not with its person, Invalid for what cannot be chosen, Conflict when the
    quote is not open."""
    if days not in DAYS:
        raise Invalid("This is not one of the choices.", pointer="/days")
    if reason not in REASONS:
        raise Invalid("This is not one of the choices.", pointer="/reason")
    quote = await _of_his_person(w, quote_id, agent_id)
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    contact = vouched(await w.session.get(Contact, quote.contact_id))
    until = add(timing.calendar_of(campaign, contact), w.now, days, Unit.bd)
    await nurturing.snooze(w, quote_id, until, agent_id, reason=reason)
    w.hint(f"agent:{agent_id}")


async def wake(w: Writing, quote_id: int, agent_id: int) -> None:
    """The quote is watched again. Raises Forbidden when the agent is not with its person."""
    await _of_his_person(w, quote_id, agent_id)
    await nurturing.wake(w, quote_id, agent_id)
    w.hint(f"agent:{agent_id}")


async def _of_his_person(w: Writing, quote_id: int, agent_id: int) -> Quote:
    quote = await w.session.get(Quote, quote_id)
    if quote is None or not await quotes.in_hands_of(w.session, quote_id, agent_id):
        raise Forbidden("You are not with this person.")
    return quote
