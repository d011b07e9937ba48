"""Opening: what becomes of a handout once it has left: its message arrives, and its person opens what is in it."""

from router.book import Writing
from router.model.deliveries import Delivery
from router.model.handouts import Handout
from router.model.staleness import opened_by_person
from router.ports import MessageStage
from router.store import handouts

_ENDS = {MessageStage.delivered: "handout.delivered", MessageStage.failed: "handout.undelivered"}


async def opened(w: Writing, handout: Handout, place: int, user_agent: str) -> None:
    """The button of one of its brochures is pressed. A second press at once is the same one; a program's, which presses
    buttons where it looks for harm, is noted and counts for nothing."""
    if not opened_by_person(w.now, handout.created_at, user_agent):
        w.fact("handout.scanned", campaign_id=handout.campaign_id, lead_id=handout.lead_id, subject_id=handout.id)
        return
    item = await handouts.count_opening(w.session, handout.id, place, w.now)
    if item is None:
        return
    w.fact(
        "handout.opened" if item.opens == 1 else "handout.reopened", campaign_id=handout.campaign_id,
        lead_id=handout.lead_id, subject_id=handout.id, agent_id=handout.agent_id, brochure=item.brochure_id,
        opens=item.opens,
    )
    await _tell(w, handout)


async def message_moved(w: Writing, delivery: Delivery, stage: MessageStage) -> None:
    """The carrier, or a mail server, tells what has become of a handout's message."""
    if stage not in _ENDS:
        return
    handout = await handouts.message_ended(
        w.session, delivery.id, w.now, delivered=stage is MessageStage.delivered
    )
    if handout is not None:
        w.fact(_ENDS[stage], campaign_id=handout.campaign_id, lead_id=handout.lead_id, subject_id=handout.id,
               agent_id=handout.agent_id)  # fmt: skip
        await _tell(w, handout)


async def _tell(w: Writing, handout: Handout) -> None:
    w.hint(*(f"agent:{agent_id}" for agent_id in sorted(await handouts.watching(w.session, handout))))
