"""The embedded trust provider: our own authority, sealing and reading in processes of their own.

Two processes, because strangers' PDFs are never parsed where the keys are, nor may they hold up a seal.
pyHanko takes most of a second to import: only those processes pay for it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from integrations.trust import authority
from integrations.trust.checks import unread
from integrations.trust.worker import Worker, WorkerLost
from router.ports import Authority, Inspection, Refused, Sealed, SealOrder, TrustProvider

SEAL_SECONDS = 30.0
INSPECT_SECONDS = 10.0
LARGEST_BYTES = 10 * 1024 * 1024
HEADER_WITHIN = 1024  # bytes: readers look for the header that far (ISO 32000-1, annex H)


class EmbeddedTrust:
    """`ports.TrustProvider`. `start` warms the sealing process; the reading one starts with its first PDF."""

    def __init__(self, *, inspect_seconds: float = INSPECT_SECONDS) -> None:
        self._sealing = Worker(_warm_sealing, limit=SEAL_SECONDS)
        self._reading = Worker(_warm_reading, limit=inspect_seconds)

    async def start(self) -> None:
        """Raises Refused when the sealing process does not come up."""
        try:
            await self._sealing.start()
        except WorkerLost as lost:
            raise Refused("the sealing process does not start", permanent=False, code="worker-lost") from lost

    async def stop(self) -> None:
        await self._reading.stop()
        await self._sealing.stop()

    def make_authority(self, company: str, now: datetime) -> Authority:
        return authority.make_authority(company, now)

    async def seal(self, order: SealOrder) -> Sealed:
        """Raises Refused. Not permanent: the process was lost, nothing was done, asking again may help."""
        try:
            answer = await self._sealing.run(_seal, order)
        except WorkerLost as lost:
            raise Refused(f"not sealed: {lost}", permanent=False, code="worker-lost") from lost
        if isinstance(answer, _Refusal):
            raise Refused(answer.reason, permanent=answer.permanent, code=answer.code)
        return answer

    async def inspect(self, pdf: bytes, root_certificate: bytes) -> Inspection:
        if len(pdf) > LARGEST_BYTES:
            return unread("too-large")
        if b"%PDF-" not in pdf[:HEADER_WITHIN]:
            return unread("not-a-pdf")
        try:
            return await self._reading.run(_inspect, pdf, root_certificate)
        except WorkerLost as lost:
            return unread("took-too-long" if lost.overran else "unreadable")


@dataclass(frozen=True)
class _Refusal:
    """Refused on its way between processes: an exception with named arguments does not unpickle."""

    reason: str
    permanent: bool
    code: str


def _warm_sealing() -> None:
    import integrations.trust.sealing  # noqa: F401


def _warm_reading() -> None:
    import integrations.trust.inspection  # noqa: F401


def _seal(order: SealOrder) -> Sealed | _Refusal:
    from integrations.trust.sealing import seal

    try:
        return seal(order)
    except Refused as refused:
        return _Refusal(str(refused), refused.permanent, refused.code)


def _inspect(pdf: bytes, root_certificate: bytes) -> Inspection:
    from integrations.trust.inspection import inspect

    return inspect(pdf, root_certificate)


if TYPE_CHECKING:
    _kept: type[TrustProvider] = EmbeddedTrust
