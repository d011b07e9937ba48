"""Consenting: a person agrees to offers later than with his first request. It counts from that moment."""

from dataclasses import dataclass

from router.actions import nurturing, suppressing
from router.book import Writing
from router.model.base import vouched
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.intake import Agreed
from router.model.leads import Lead
from router.model.tasks import Task, TaskState
from router.store import receipts


@dataclass(frozen=True)
class Way:
    """How he agreed, as the server sees it: `method` is "link" or "voice"; `agent_id` who read the words to him."""

    method: str
    agent_id: int | None = None
    address: str = ""
    user_agent: str = ""
    page: str = ""
    locale: str = ""


async def give(w: Writing, lead_id: int, agreed: Agreed, way: Way) -> bool:
    """The person of this lead agrees to what the text says; False when he had before, in whatever request.

    An open quote of his that nobody looked after, because he had not agreed, is watched from now on.
    """
    lead = vouched(await w.session.get(Lead, lead_id))
    # The guard asks under the same locks: what it denies after this, it denies knowing of it.
    await suppressing.lock(w, vouched(await w.session.get(Contact, lead.contact_id)))
    if set(agreed.purposes) <= await receipts.agreed(w.session, lead.contact_id):
        return False
    receipt = Receipt(
        campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=lead.id, purposes=list(agreed.purposes),
        text=agreed.text, text_sha256=agreed.sha256, version=agreed.version, method=way.method, address=way.address,
        user_agent=way.user_agent, page=way.page, locale=way.locale, given_at=w.now,
    )
    w.session.add(receipt)
    await w.session.flush()
    w.fact("consent.given", campaign_id=lead.campaign_id, lead_id=lead.id, subject_id=lead.id, agent_id=way.agent_id,
           purposes=list(agreed.purposes), method=way.method, receipt=receipt.id)
    await nurturing.agreed(w, [lead.contact_id])
    return True


async def spoken(w: Writing, task_id: int, agent_id: int, agreed: Agreed, locale: str) -> None:
    """The person in the agent's hands agreed to the words that were read to him. Raises Conflict when the two do not
    talk, and have not just talked."""
    task = await w.session.locked(Task, task_id)
    if task is None or task.agent_id != agent_id or task.state not in (TaskState.engaged, TaskState.wrapping):
        raise Conflict("You are not talking with this person.")
    await give(w, task.lead_id, agreed, Way("voice", agent_id, locale=locale))
    w.hint(f"agent:{agent_id}")
