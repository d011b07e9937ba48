"""Trust accounts: parts of trust that a campaign's company buys one by one, the customer's page staying ours: the time
of its seals, and who keeps its evidence."""

from enum import StrEnum
from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered
from router.model.pausing import Pausing

SECRETS = "trust_account"
"""The vault's purpose of an account's secrets."""


class ServiceName(StrEnum):
    """What is bought."""

    time = "time"
    custody = "custody"


class TrustAccount(Pausing, Numbered):
    """An account of a campaign's company. The `chosen` one of a service is used from now on; with none the house gives
    the time itself, and nobody else keeps evidence. One that was chosen before stays: what it gave is proven by it.

    `sealed` are its secrets as JSON under the vault's purpose SECRETS: "password" of an authority, "token" of a keeper.
    `settings` are "roots" (PEM) and "user", or "keeper" and "gives" ("bundle" or "digest"). `failures` are those since
    it last answered.
    """

    __tablename__ = "trust_accounts"
    __table_args__ = (
        UniqueConstraint("campaign_id", "service", "url"),
        Index("one_chosen_trust_account", "campaign_id", "service", unique=True, postgresql_where=text("chosen")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    service: Mapped[ServiceName]
    url: Mapped[str]
    sealed: Mapped[bytes]
    settings: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    chosen: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(default=0)


def are_certificates(pem: str) -> bool:
    """Whether these are certificates that can be read, one at least."""
    try:
        return bool(load_pem_x509_certificates(pem.encode()))
    except ValueError:
        return False
