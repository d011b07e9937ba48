"""The parts of trust that can be bought one by one, the customer's page staying ours: seal, time, custody.

The house's own are the default. `SealProvider` is what `TrustProvider.seal` does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from router.ports.trust import Sealed, SealOrder


class SealProvider(Protocol):
    """Seals documents."""

    async def seal(self, order: SealOrder) -> Sealed:
        """Raises Refused."""


class TimeProvider(Protocol):
    """Says when a digest was there. `judged_by` says by whose word the adapter was made."""

    judged_by: str

    async def timestamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        """An RFC 3161 token over the digest, DER. Raises Refused: a time is never made up."""


@dataclass(frozen=True)
class CustodyAccount:
    """The company's account with a keeper of evidence. `url` without a slash at its end; `keeper` is what he is
    called."""

    url: str
    keeper: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class CustodyReceipt:
    """Somebody holds what we gave him. `record` is his own word for it, as it came; `at` (aware) is his clock's, where
    he says one."""

    keeper: str
    reference: str
    record: bytes
    at: datetime | None = None


class CustodyProvider(Protocol):
    """Keeps evidence where we cannot change it. `judged_by` says by whose word the adapter was made."""

    judged_by: str

    async def check(self) -> None:
        """Whether he answers and lets us in; nothing is kept. Raises Refused."""

    async def deposit(self, sha256: bytes, bundle: bytes | None) -> CustodyReceipt:
        """Hands over a bundle, or only its SHA-256. The same twice is kept once. Raises Refused, Uncertain."""


Custodians = Callable[[CustodyAccount], CustodyProvider]
"""Who speaks with the keeper of an account."""
