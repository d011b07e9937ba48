"""Carts: what somebody was about to buy in a foreign shop, or bought and could not pay."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table
from router.model.leads import Intent

DELAY_MINUTES = 45
"""How long a cart rests before somebody is asked to help, unless its connector says otherwise."""
STALE_AFTER = timedelta(hours=72)
"""Nobody is called about a cart that has rested for longer, e.g. because the house was down."""
CART_DUE = "cart.due"
"""The alarm of a resting cart."""


class CartState(State):
    """`withdrawn`: thrown away or cancelled. `ordered` is final: whatever is told afterwards came late."""

    open = "open"
    rescued = "rescued"
    withdrawn = "withdrawn"
    expired = "expired"
    ordered = "ordered"

    @classmethod
    def moves(cls) -> Moves:
        return _CART_MOVES


_CART_MOVES = table(
    (CartState.open, "rescued withdrawn expired ordered"),
    (CartState.rescued, "withdrawn ordered"),
    (CartState.withdrawn, "ordered"),
    (CartState.expired, "withdrawn ordered"),
)


class Cart(Numbered):
    """A purchase under way. `names` are all the shop's names for it, of which `external_id` is the first it came with.

    `contents` are the person and the goods as the newest word of the shop tells them ; `changed_at` and
    `digest` say which word is the newest, by the shop's own clock. `due_at` is when somebody shall help. `lead_id` and
    `task_id` are what came of it; `reason` is why there is a lead without a task.
    """

    __tablename__ = "carts"
    __table_args__ = (
        UniqueConstraint("connector_id", "external_id"),
        Index("ix_carts_names", "names", postgresql_using="gin"),
    )
    connector_id: Mapped[int] = mapped_column(ForeignKey("connectors.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    external_id: Mapped[str]
    names: Mapped[list[str]]
    state: Mapped[CartState]
    seen_at: Mapped[datetime]
    incident: Mapped[str] = mapped_column(default="")
    contents: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(default_factory=list)
    total_minor: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(default="")
    url: Mapped[str] = mapped_column(default="")
    changed_at: Mapped[datetime | None] = mapped_column(default=None)
    digest: Mapped[str] = mapped_column(default="")
    due_at: Mapped[datetime | None] = mapped_column(default=None)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), default=None)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"), default=None)
    reason: Mapped[str] = mapped_column(default="")

    @property
    def intent(self) -> Intent:
        return Intent.incident if self.incident else Intent.cart

    @property
    def waits(self) -> bool:
        """Whether somebody may still be asked to help: not yet, or so far in vain for want of a number or a basis."""
        return self.state is CartState.open or (
            self.state is CartState.rescued and self.task_id is None and self.reason in (NO_PHONE, NO_BASIS)
        )

    @property
    def newest(self) -> tuple[float, str]:
        return rank(self.changed_at, self.digest)


NO_PHONE, NO_BASIS = "no_phone", "no_basis"
CONSENT, SERVICE = "consent", "service"
"""Lawful bases of a rescue: the buyer agreed to be contacted, or the merchant says that it is part of his service."""


def rank(at: datetime | None, digest: str) -> tuple[float, str]:
    """The order of a shop's words about one cart, the same in whatever order they come."""
    return at.timestamp() if at else 0.0, digest


def basis_of(incident: str, accepts: Sequence[str], setting: str) -> str:
    """Why this person may be called about his cart; "" for no reason at all.

    An order whose payment failed is a contract under way, so telling him is service. A cart is none yet.
    """
    if incident:
        return SERVICE
    if accepts:
        return CONSENT
    return SERVICE if setting == SERVICE else ""
