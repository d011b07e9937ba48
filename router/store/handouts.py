"""Handouts as queries: found by their link, opened, and as they stand on the desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, func, or_, select, update

from router.model.blobs import Blob
from router.model.brochures import Brochure
from router.model.campaigns import Campaign
from router.model.handouts import SAME_PRESS, Handout, HandoutItem
from router.model.leads import Lead
from router.model.tasks import HELD, Task
from router.store.db import ReadSession, WriteSession

MOST_SHOWN = 20


class Enclosed(NamedTuple):
    """One brochure of a handout."""

    item: HandoutItem
    brochure: Brochure


@dataclass(frozen=True)
class Handed:
    """A handout with its brochures in their order."""

    handout: Handout
    items: Sequence[Enclosed]

    def of(self, brochure_id: int) -> Enclosed | None:
        """This brochure, if it is one of them."""
        return next((one for one in self.items if one.brochure.id == brochure_id), None)


async def by_token(session: ReadSession, token_hash: bytes) -> tuple[Handout, Campaign] | None:
    """The handout whose link has a token with this SHA-256, be it expired or not."""
    rows = await session.rows(
        select(Handout, Campaign).join(Campaign, Campaign.id == Handout.campaign_id)
        .where(Handout.token_hash == token_hash)
    )
    return (rows[0][0], rows[0][1]) if rows else None


async def of_press(session: ReadSession, press: str) -> Handout | None:
    """What this press of the button has sent already."""
    return await session.scalar(select(Handout).where(Handout.press == press))


async def enclosed(session: ReadSession, handout_id: int) -> list[Enclosed]:
    """Its brochures, in their order."""
    rows = await session.rows(_ENCLOSED.where(HandoutItem.handout_id == handout_id))
    return [Enclosed(row[0], row[1]) for row in rows]


_ENCLOSED = (
    select(HandoutItem, Brochure).join(Brochure, Brochure.id == HandoutItem.brochure_id)
    .order_by(HandoutItem.handout_id, HandoutItem.place)
)


async def file(session: ReadSession, handout_id: int, place: int) -> tuple[Handout, Brochure, bytes] | None:
    """One of its brochures with its bytes."""
    rows = await session.rows(
        select(Handout, Brochure, Blob.content)
        .join(HandoutItem, HandoutItem.handout_id == Handout.id)
        .join(Brochure, Brochure.id == HandoutItem.brochure_id)
        .join(Blob, Blob.sha256 == Brochure.sha256)
        .where(Handout.id == handout_id, HandoutItem.place == place)
    )
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


async def count_opening(session: WriteSession, handout_id: int, place: int, now: datetime) -> HandoutItem | None:
    """Counts one opening, with what it comes to now; None when it is the same press again, or there is no such one.

    The race: a double press, at two replicas. The second waits for the first's commit, and finds it counted.
    """
    return await session.returning(
        update(HandoutItem)
        .where(
            HandoutItem.handout_id == handout_id, HandoutItem.place == place,
            or_(HandoutItem.last_opened_at.is_(None), HandoutItem.last_opened_at <= now - SAME_PRESS),
        )
        .values(
            opens=HandoutItem.opens + 1, first_opened_at=func.coalesce(HandoutItem.first_opened_at, now),
            last_opened_at=now,
        )
        .returning(HandoutItem)
    )


async def message_ended(
    session: WriteSession, delivery_id: int, now: datetime, *, delivered: bool
) -> Handout | None:
    """Notes that its message has arrived, or has not; None when that was noted before."""
    column = Handout.delivered_at if delivered else Handout.failed_at
    return await session.returning(
        update(Handout).where(Handout.delivery_id == delivery_id, column.is_(None)).values({column: now})
        .returning(Handout)
    )


async def watching(session: ReadSession, handout: Handout) -> set[int]:
    """The agents on whose desks it stands: who sent it, and who is with its person now."""
    person = select(Task.contact_id).where(Task.id == handout.task_id).scalar_subquery()
    held = await session.scalars(
        select(Task.agent_id).where(Task.contact_id == person, Task.state.in_(HELD), Task.agent_id.is_not(None))
    )
    return {handout.agent_id, *(agent_id for agent_id in held if agent_id is not None)}


_OF_PERSON = (
    select(Handout).join(Lead, Lead.id == Handout.lead_id)
    .where(or_(Lead.contact_id == bindparam("contact"), Lead.contact_id == bindparam("person")))
    .order_by(Handout.id.desc()).limit(MOST_SHOWN)
)


async def of_person(session: ReadSession, contact: int, person: int) -> list[Handed]:
    """What was handed to this contact, and to the person he is, newest first."""
    found = await session.scalars(_OF_PERSON, {"contact": contact, "person": person})
    if not found:
        return []
    rows = await session.rows(_ENCLOSED.where(HandoutItem.handout_id.in_([one.id for one in found])))
    return [Handed(one, [Enclosed(row[0], row[1]) for row in rows if row[0].handout_id == one.id]) for one in found]


async def newest_of_task(session: ReadSession, task_id: int) -> int:
    """The last one sent in this task; 0 for none."""
    return await session.scalar(select(func.max(Handout.id)).where(Handout.task_id == task_id)) or 0
