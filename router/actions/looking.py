"""Looking: what would become of a quote as an agent is writing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from router.actions import offering, quoting
from router.actions.quoting import NOTHING, Besides
from router.model import products
from router.model.fitness import Lack
from router.model.money import Line
from router.model.products import Suggestion
from router.model.tasks import Task
from router.model.vault import Vault
from router.store.db import ReadSession


@dataclass(frozen=True)
class Look:
    """How far it is below the catalogue (basis points), how far its agent may go by himself, and whether a supervisor
    is asked first; what might be sold besides; and what the offer would not say."""

    discount_bp: int
    limit_bp: int
    over_limit: bool
    suggestions: Sequence[Suggestion]
    lacks: Sequence[Lack]


async def look(
    session: ReadSession, vault: Vault, now: datetime, task: Task, lines: Sequence[Line], *, agent_id: int,
    customer: str | None = None, besides: Besides = NOTHING,
) -> Look:
    """What would become of this quote at `now` (aware). Nothing is stored. Raises as `quoting.draft`."""
    agent, found = await quoting.asked_by(session, agent_id, task.lead_id)
    quote = quoting.written(agent, found, lines, now, number="…", customer=customer, besides=besides)
    material = await offering.read(session, vault, quote, now)
    suggested = products.suggestions(offering.lines_of(quote), products.catalogue(found.campaign.products))
    return Look(
        quote.discount_bp, quoting.limit(agent, found.campaign), quote.over_limit, suggested,
        material.lacks(material.canonical()),
    )
