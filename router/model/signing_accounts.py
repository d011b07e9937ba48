"""Signing accounts: the company's accounts with third parties of trust, one of which a campaign's offers go to."""

from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered
from router.model.pausing import Pausing

SECRETS = "signing_account"
"""The vault's purpose of an account's secrets."""


class ProviderName(StrEnum):
    """Who lets the customer sign. It stands in the address of its messages."""

    docuseal = "docuseal"
    docusign = "docusign"
    signaturit = "signaturit"

    @property
    def spoken(self) -> str:
        """As people write it."""
        return {"docuseal": "DocuSeal", "docusign": "DocuSign", "signaturit": "Signaturit"}[self.value]


class SigningAccount(Pausing, Numbered):
    """An account of a campaign's company. New offers go to the `chosen` one; with none the house itself takes the
    signature. What was entrusted to another one stays there.

    `key` is the unguessable part of the address its messages come to. `sealed` are its secrets as JSON under the
    vault's purpose SECRETS: "token", "secret", "previous". `settings` are the adapter's own; `house_sends`: we text the
    link ourselves. Its messages are taken from `networks` alone (CIDR), if there are any.
    `failures` are those since it last answered.
    """

    __tablename__ = "signing_accounts"
    __table_args__ = (
        UniqueConstraint("campaign_id", "provider"),
        Index("one_chosen_signing_account", "campaign_id", unique=True, postgresql_where=text("chosen")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    provider: Mapped[ProviderName]
    key: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str]
    sealed: Mapped[bytes]
    settings: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    house_sends: Mapped[bool] = mapped_column(default=False)
    networks: Mapped[list[str]] = mapped_column(default_factory=list)
    chosen: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(default=0)
