"""Third parties of trust that let a customer sign: they send our offer, take the signature, and keep proof of it.

What they tell us by themselves is a hint and nothing else: the truth is what they answer when they are asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from router.ports.carrier import Webhook


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do. `level` is the least that may be said of its signatures (eIDAS): "SES", "AES" or "QES".
    `sends`: it can text the link itself; `links`: it gives us the link, so that we may; `proves_number`: it can ask for
    a code sent to the telephone. `judged_by` says by whose word the adapter was made: it was never run against the real
    service unless it says so."""

    level: str
    sends: bool
    links: bool
    proves_number: bool
    judged_by: str


@dataclass(frozen=True)
class SignerAccount:
    """The company's account there. `url` without a slash at its end; `settings` and `secrets` are the adapter's own."""

    url: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SignRequest:
    """An offer to be signed. `ref` is our own unguessable name of it, by which it can be found again. `phone` is E.164;
    `sends`: the provider texts the link to it. `hook_url` is where it may tell us that something has changed. Times are
    aware. `title` is what the document is called, `subject` what stands over the message."""

    ref: str
    pdf: bytes
    title: str
    subject: str
    signer: str
    phone: str
    locale: str
    asked_at: datetime
    expires_at: datetime
    hook_url: str
    sends: bool = True
    email: str = ""

    @property
    def days(self) -> int:
        """How long it may be signed in whole days, for whoever counts in no others: never shorter than it is."""
        return max(1, -(-int((self.expires_at - self.asked_at).total_seconds()) // 86_400))


@dataclass(frozen=True)
class ProviderRef:
    """The provider's name of a request, and the signer's link where it gives one."""

    foreign_id: str
    link: str = field(default="", repr=False)


class SignStage(StrEnum):
    """How far a request has come, in our words."""

    sent = "sent"
    undeliverable = "undeliverable"
    delivered = "delivered"
    opened = "opened"
    signed = "signed"
    declined = "declined"
    expired = "expired"
    canceled = "canceled"

    @property
    def rank(self) -> int:
        """A later stage is never undone by an earlier one that is told late."""
        return list(SignStage).index(self) + 1 if self not in ENDED else len(SignStage)

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = (SignStage.signed, SignStage.declined, SignStage.expired, SignStage.canceled)


@dataclass(frozen=True)
class ProviderStatus:
    """What the provider answers when asked. `raw` is its own word; `stage` is None for a word we do not know, which
    moves nothing. `at` (aware) is when it came so far, by the provider's clock. `record` is its whole answer, JSON."""

    stage: SignStage | None
    raw: str
    at: datetime | None = None
    record: bytes = b""


@dataclass(frozen=True)
class Artefact:
    """A document of the provider's that proves something, e.g. its audit trail."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Hint:
    """Something may have changed: told by who knows the secret. `key` is the same for two deliveries of one event.
    `ref` or `foreign_id` may be empty, not both."""

    key: str
    event: str
    foreign_id: str = ""
    ref: str = ""


@dataclass(frozen=True)
class Reject:
    """A message that is not the provider's, or cannot be read; `reason` is a code. `unsigned`: its signature failed."""

    reason: str
    unsigned: bool = True


@dataclass(frozen=True)
class HookReply:
    """What the provider wants to hear before it believes that its message has arrived."""

    status: int
    text: str = "{}"
    content_type: str = "application/json"


@dataclass(frozen=True)
class Heard:
    """All that was heard at a provider at once. `signed` is the document when it was fetched, `holds` how our offer was
    found in it: "prefix" (its very bytes), "words" (what its pages say), "" for not at all. `level` as in Capabilities.
    `proved`: `proofs` are all there are."""

    status: ProviderStatus
    level: str
    signed: bytes | None = None
    holds: str = ""
    proofs: Sequence[Artefact] = ()
    proved: bool = False


class SignatureProvider(Protocol):
    """A provider, with its account given at each request. What is awaited raises Refused or Uncertain, nothing else;
    what only reads again is never Uncertain."""

    @property
    def capabilities(self) -> Capabilities: ...

    def wrong(self, account: SignerAccount) -> str:
        """What the account lacks, as the end of a sentence; "" when it can be used."""

    async def check(self, account: SignerAccount) -> None:
        """Whether the provider answers and lets us in; nothing is done there."""

    async def create(self, account: SignerAccount, request: SignRequest) -> ProviderRef:
        """Hands the offer over. Uncertain: it may have been taken; `find` tells."""

    async def find(self, account: SignerAccount, ref: str, since: datetime) -> ProviderRef | None:
        """The request of this name made since then (aware), if the provider has it."""

    async def status(self, account: SignerAccount, foreign_id: str) -> ProviderStatus:
        """How far it has come."""

    async def cancel(self, account: SignerAccount, foreign_id: str, reason: str) -> None:
        """Takes the request back. What has ended already is Refused, permanently."""

    async def resend(self, account: SignerAccount, foreign_id: str) -> None:
        """Sends the signer his message again."""

    async def fetch_signed(self, account: SignerAccount, foreign_id: str) -> bytes:
        """The signed document, PDF."""

    async def fetch_evidence(self, account: SignerAccount, foreign_id: str) -> Sequence[Artefact]:
        """Its proofs. Refused, not permanently, while they are not made yet."""

    def verify_webhook(self, hook: Webhook, secrets: Mapping[str, str], now: datetime) -> Hint | Reject:
        """Whether the provider sent this (headers in lower case), and what it is about. Never raises."""

    def webhook_reply(self) -> HookReply:
        """How a message that was taken is answered."""
