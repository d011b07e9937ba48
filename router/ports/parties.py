"""Foreign parties that send leads, carts and mail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from router.ports.carrier import Webhook


@dataclass(frozen=True)
class Phone:
    """A telephone number as a stranger wrote it, and the country (ISO 3166) it is assumed to be of; "" for unknown."""

    written: str
    country: str = ""


@dataclass(frozen=True)
class PartyLead:
    """A lead a foreign form took. `external_id` is the party's name of it; of `phones` the first that exists counts.

    `answers` are those to its own questions, by their ids there; `ticked` the boxes for consent, by their keys there.
    `test`: somebody tries the connection, nobody is rung. `at` (aware) is the party's own clock.
    """

    external_id: str
    phones: Sequence[Phone] = ()
    name: str = ""
    email: str = ""
    locale: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    ticked: Sequence[str] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    test: bool = False
    at: datetime | None = None


@dataclass(frozen=True)
class LeadAnnounced:
    """There is a lead, but what it says must be fetched from the party first. `notice` is what was said of it, JSON."""

    external_id: str
    notice: bytes


class CartChange(StrEnum):
    """What a shop says of a cart, in rising order: what comes later in this list is not undone by what comes before."""

    open = "open"
    withdrawn = "withdrawn"
    ordered = "ordered"


@dataclass(frozen=True)
class CartLine:
    """`minor` is the price of the line in minor units of the cart's currency."""

    label: str
    quantity: int
    minor: int


@dataclass(frozen=True)
class CartMoved:
    """A cart, checkout or unpaid order moved. `names` are all names it is known by, its own first: events that share
    one are about the same purchase. `at` (aware) is when the shop last changed it, by the shop's clock.

    `incident` says what went wrong with an order ("failed", "on-hold" …); "" for a cart that is merely not bought yet.
    `accepts` are the marketing boxes the buyer ticked. `total_minor` in minor units of `currency` (ISO 4217).
    """

    change: CartChange
    names: Sequence[str]
    at: datetime | None = None
    incident: str = ""
    order: str = ""
    phones: Sequence[Phone] = ()
    name: str = ""
    email: str = ""
    locale: str = ""
    lines: Sequence[CartLine] = ()
    total_minor: int = 0
    currency: str = ""
    url: str = ""
    accepts: Sequence[str] = ()
    source: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MailArrived:
    """An e-mail. `sender` is what it claims to come from: anybody can write anybody's address there."""

    external_id: str
    sender: str
    name: str
    subject: str
    text: str
    at: datetime | None = None


@dataclass(frozen=True)
class MailReturned:
    """A mail server tells that a mail of ours was not delivered (RFC 3464). `ref` is our name of the mail, `status` the
    enhanced status code it gave, e.g. "5.1.1"; `gone`: the address takes no mail and never will."""

    ref: str
    status: str
    gone: bool


PartyEvent = PartyLead | LeadAnnounced | CartMoved | MailArrived | MailReturned


class Party(Protocol):
    """A foreign party that posts to us: pure readers of its requests. `keeps` are the headers, lower case, that are
    needed to understand a request later; secrets are "secret" and, while it is changed, "previous"."""

    keeps: Sequence[str]

    def ping(self, hook: Webhook) -> bool:
        """Whether it only asks if we are here; such a request is not signed, stored or understood."""

    def genuine(self, hook: Webhook, secrets: Mapping[str, str]) -> bool:
        """Whether the party itself sent this. Never raises."""

    def dedupe_key(self, hook: Webhook) -> str:
        """The same for two deliveries of one event, different for two events. Asked for genuine requests only."""

    def understand(self, hook: Webhook) -> Sequence[PartyEvent]:
        """What it says, in our words; empty for what we do not need. Raises Unreadable."""


class LeadSource(Protocol):
    """Where announced leads are fetched from."""

    async def fetch(self, external_id: str, token: str, version: str) -> bytes:
        """The lead as the party keeps it. Raises Refused: `permanent` when asking again will not help."""

    def understand(self, external_id: str, notice: bytes, answer: bytes) -> PartyLead:
        """The lead out of what was announced and fetched. Raises Unreadable."""
