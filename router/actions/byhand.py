"""By hand: an agent makes a lead, and dials himself, through the same reservation, guard and caps as any other call."""

from dataclasses import dataclass

from msgspec.structs import replace

from router.actions import dispatch, listing
from router.actions.guarding import ask_guard
from router.actions.intake import take_in
from router.book import Writing
from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.errors import Conflict, Forbidden, NotAllowedNow
from router.model.guard import is_pending
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Intent, Lead
from router.model.routing import Match
from router.model.tasks import TIER_FRESH, TIER_NOW, Task, TaskState
from router.store import tasks

PARTY = "agent"
BY_HAND = [{"code": "by_hand"}]
"""Why the task went to this agent."""


@dataclass(frozen=True)
class Told:
    """What the agent wrote down: the number in E.164, and what the person has agreed to, in the words read to him.

    `key` is the form's own word: sent twice it makes one lead."""

    phone: str
    name: str
    message: str
    agreed: tuple[Agreed, ...]
    key: str


def wanted(w: Writing, agent: Agent, queue: Queue, campaign: Campaign, told: Told) -> Wanted:
    """The lead as intake takes it. Nothing is put before another agent yet."""
    scope = f"agent:{agent.id}"
    return Wanted(
        line=queue.line, phone=told.phone,
        name=told.name, locale=campaign.locale, intent=Intent.form, method="voice", work=None, agreed=told.agreed,
        claims={field: value for field in ("name", "message") if (value := getattr(told, field))},
        source={"party": PARTY, "agent": agent.id}, status_token=w.vault.token("status", scope, told.key),
        scope=scope, key=told.key,
    )


async def keep(w: Writing, one: Wanted) -> Taken:
    """The lead alone; nobody is called."""
    return await _take(w, one)


async def queue_up(w: Writing, one: Wanted) -> Taken:
    """The lead, and a call by whoever is free."""
    return await _take(w, replace(one, work=Work(tier=TIER_FRESH)))


async def dial(w: Writing, one: Wanted, agent_id: int) -> Taken:
    """The lead, and the call by this agent at once. He must be free; if the person waits already, he takes that task.

    Raises Conflict when he is not free or somebody is at it, Forbidden and NotAllowedNow when the guard says no:
    nothing is stored then.
    """
    agent = vouched(await w.session.locked(Agent, agent_id))
    taken = await _take(w, replace(one, work=Work(tier=TIER_NOW)))
    if taken.replayed:
        return taken
    if agent.load or agent.disabled_at is not None:
        raise Conflict("Finish what you are doing first. Nothing was stored.")
    lead = vouched(await w.session.get(Lead, taken.lead_id))
    task = await tasks.waiting_call_of(w.session, lead.contact_id)
    if task is None or task.state is not TaskState.queued:
        raise Conflict("Somebody is calling this person already. Nothing was stored.")
    await _permitted(w, task)
    held = await dispatch.reserve(w, [Match(task.id, agent_id, BY_HAND)])
    if not held:
        raise Conflict("Somebody is calling this person already. Nothing was stored.")
    await dispatch.accept(w, held[0].id, agent_id)
    w.fact("lead.dialled", campaign_id=task.campaign_id, lead_id=taken.lead_id, subject_id=task.id, agent_id=agent_id)
    return taken


async def _take(w: Writing, one: Wanted) -> Taken:
    (taken,) = await take_in(w, [one])
    return taken


async def _permitted(w: Writing, task: Task) -> None:
    """Asks before a telephone rings; the guard is asked again, and recorded, when the person's own is dialled."""
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    contact = vouched(await w.session.get(Contact, task.contact_id))
    purpose = await listing.purpose_of(w, task)
    verdict = await ask_guard(w, campaign, contact, purpose, task.lead_id)
    if verdict.allowed:
        return
    if verdict.rules == ("zone.unknown",):
        raise NotAllowedNow(
            "Nobody knows by which clock this person lives. Save it without dialling, and choose the time zone on the "
            "person's page. Nothing was stored."
        )
    if is_pending(verdict):
        raise NotAllowedNow(
            "A do-not-call register has to be asked first. Save it without dialling: the call is made as soon as the "
            "register has answered. Nothing was stored."
        )
    if verdict.until is not None:
        raise NotAllowedNow("This person may not be called now. Nothing was stored; you can save it without dialling.")
    if "consent.expired" in verdict.rules:
        raise Forbidden("This person's consent is too old to count. Nothing was stored.")
    if "consent.commercial" in verdict.rules:
        raise Forbidden("This person has not agreed to be called. Nothing was stored.")
    raise Forbidden("This number may not be called. Nothing was stored.")
