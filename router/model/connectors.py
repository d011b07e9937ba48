"""Connectors: the doors of foreign parties, each with an unguessable address and a secret."""

from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

SECRETS = "connector"
"""The vault's purpose of a connector's secrets."""


class PartyName(StrEnum):
    """Who posts. It stands in the address, and in the source of every lead."""

    google_ads = "google_ads"
    meta = "meta"
    shopify = "shopify"
    woocommerce = "woocommerce"
    email = "email"


class Connector(Numbered):
    """One account of a party, whose leads belong to a campaign and its queue; with a `site_id` also to a landing page.

    `name` is what the configuration calls it, `key` the unguessable part of its address. `sealed` are its secrets as
    JSON under the vault's purpose SECRETS. `settings` are `router.model.configuration.ConnectorPlan`'s: `columns`,
    `delay_minutes`, `basis`, `consent_text`, `consent_version`, `consents`, `graph_version`.
    """

    __tablename__ = "connectors"
    __table_args__ = (UniqueConstraint("campaign_id", "name"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    party: Mapped[PartyName]
    name: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    sealed: Mapped[bytes]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"), default=None)
    settings: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    closed: Mapped[bool] = mapped_column(default=False)

    @property
    def scope(self) -> str:
        """Whose ids its leads' ids are, and its source in the inbox."""
        return f"{self.party.value}:{self.id}"
