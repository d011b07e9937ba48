"""Opening: what becomes of a handout once it has left: its message arrives, and its person opens what is in it."""

from router.book import Writing
from router.model.deliveries import Delivery
from router.model.handouts import Handout
from router.ports import MessageStage
from router.store import handouts


async def opened(w: Writing, handout: Handout, place: int) -> None:
    """Its person presses the button of one of its brochures. A second press at once is the same one."""
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
    """The carrier tells of a handout's message. That it has failed is told of the message itself."""
    if stage is not MessageStage.delivered:
        return
    handout = await handouts.arrived(w.session, delivery.id, w.now)
    if handout is not None:
        w.fact("handout.delivered", campaign_id=handout.campaign_id, lead_id=handout.lead_id, subject_id=handout.id,
               agent_id=handout.agent_id)  # fmt: skip
        await _tell(w, handout)


async def _tell(w: Writing, handout: Handout) -> None:
    w.hint(*(f"agent:{agent_id}" for agent_id in sorted(await handouts.watching(w.session, handout))))
