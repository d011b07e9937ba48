"""The parts of trust that can be bought one by one, the customer's page staying ours: seal, time, custody.

The house's own are the default. `SealProvider` is what `TrustProvider.seal` does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from router.ports.trust import Sealed, SealOrder


class SealProvider(Protocol):
    """Seals documents."""

    async def seal(self, order: SealOrder) -> Sealed:
        """Raises Refused."""


class TimeProvider(Protocol):
    """Says when a digest was there."""

    async def timestamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        """An RFC 3161 token over the digest, DER. Raises Refused: a time is never made up."""


@dataclass(frozen=True)
class CustodyReceipt:
    """Somebody holds what we gave him. `record` is his own word for it, as it came; `at` (aware) is his clock's, where
    he says one."""

    keeper: str
    reference: str
    record: bytes
    at: datetime | None = None


class CustodyProvider(Protocol):
    """Keeps evidence where we cannot change it."""

    async def deposit(self, sha256: bytes, bundle: bytes | None) -> CustodyReceipt:
        """Hands over a bundle, or only its SHA-256. The same twice is kept once. Raises Refused, Uncertain."""
