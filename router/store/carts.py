"""Carts as queries."""

from collections.abc import Sequence

from sqlalchemy import select

from router.model.carts import Cart
from router.model.leads import Lead
from router.model.tasks import Reservation, ReservationState
from router.store.db import WriteSession


async def of_names(session: WriteSession, connector_id: int, names: Sequence[str]) -> Sequence[Cart]:
    """The carts known by one of these names, oldest first, locked."""
    return await session.scalars(
        select(Cart)
        .where(Cart.names.overlap(list(names)), Cart.connector_id == connector_id)
        .order_by(Cart.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


async def others_wait(session: WriteSession, cart: Cart) -> bool:
    """Whether another lead waits in the task that was made for this cart."""
    his = select(Lead.contact_id).where(Lead.id == cart.lead_id).scalar_subquery()
    found = select(Lead.id).where(Lead.contact_id == his, Lead.attached_to == cart.lead_id).limit(1)
    return await session.scalar(found) is not None


async def ringing(session: WriteSession, task_id: int) -> Reservation | None:
    """The reservation by which a task rings at an agent."""
    return await session.scalar(
        select(Reservation).where(Reservation.task_id == task_id, Reservation.state == ReservationState.pending)
    )
