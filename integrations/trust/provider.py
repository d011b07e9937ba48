"""The embedded trust provider: our own authority, sealing, archiving and reading in processes of their own.

Three processes, because strangers' PDFs are never parsed where the keys are, nor may they or the nightly archiving hold
up a seal. pyHanko takes most of a second to import: only those processes pay for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from integrations.trust import authority
from integrations.trust.checks import unread
from integrations.trust.services import Anchors, FileSeal, OutsideTime, OwnSeal
from integrations.trust.worker import Worker, WorkerLost
from router.ports import (
    NOBODY_ELSE,
    Archived,
    ArchiveOrder,
    Authority,
    Check,
    CountersignOrder,
    CrlOrder,
    Inspection,
    Parts,
    Refused,
    Sealed,
    SealKeys,
    SealOrder,
    Stamped,
    StampOrder,
    Trusted,
    TrustProvider,
)

SEAL_SECONDS = 30.0
ARCHIVE_SECONDS = 50.0
INSPECT_SECONDS = 10.0
LARGEST_BYTES = 10 * 1024 * 1024
HEADER_WITHIN = 1024  # bytes: readers look for the header that far (ISO 32000-1, annex H)


class EmbeddedTrust:
    """`ports.TrustProvider`. `start` warms the sealing process; the others start with their first PDF.

    `time` are authorities whose timestamps are wanted besides our own, `own` a seal of the company's used in place of
    the one under our authority. Raises Refused when that seal's file cannot be opened.
    """

    def __init__(
        self,
        *,
        time: OutsideTime | None = None,
        own: OwnSeal | None = None,
        time_roots: bytes = b"",
        inspect_seconds: float = INSPECT_SECONDS,
    ) -> None:
        self._time = time
        self._own = own
        self._own_chain = b"" if own is None else _chain(own)
        self._time_roots = time_roots or (time.roots if time else b"")
        self._sealing = Worker(_warm_sealing, limit=SEAL_SECONDS)
        self._archiving = Worker(_warm_archiving, limit=ARCHIVE_SECONDS)
        self._reading = Worker(_warm_reading, limit=inspect_seconds)

    @property
    def outside_time(self) -> bool:
        return self._time is not None

    @property
    def own_seal(self) -> bytes:
        return self._own_chain

    async def start(self) -> None:
        """Raises Refused when the sealing process does not come up."""
        try:
            await self._sealing.start()
        except WorkerLost as lost:
            raise Refused("the sealing process does not start", permanent=False, code="worker-lost") from lost

    async def stop(self) -> None:
        for worker in (self._reading, self._archiving, self._sealing):
            await worker.stop()

    def make_authority(self, company: str, now: datetime, address: str = "") -> Authority:
        return authority.make_authority(company, now, address)

    def renewed(self, old: Authority, now: datetime, address: str = "", *, anew: bool = False) -> Authority:
        return authority.renewed(old, now, address, anew=anew)

    def expiries(self, keys: SealKeys) -> Mapping[str, datetime]:
        return authority.expiries(keys)

    def serial(self, certificate: bytes) -> int:
        return authority.serial(certificate)

    def issue_crl(self, order: CrlOrder) -> bytes:
        return authority.issue_crl(order)

    async def seal(self, order: SealOrder | CountersignOrder) -> Sealed:
        """Raises Refused. Not permanent: the process was lost, nothing was done, asking again may help."""
        try:
            answer = await self._sealing.run(_seal, order, self._time, self._own)
        except WorkerLost as lost:
            raise Refused(f"not sealed: {lost}", permanent=False, code="worker-lost") from lost
        if isinstance(answer, _Refusal):
            raise Refused(answer.reason, permanent=answer.permanent, code=answer.code)
        return replace(answer, seal=self._own_chain)

    async def archive(self, order: ArchiveOrder) -> Archived:
        """Raises Refused, as `seal` does."""
        anchors = self._anchors(order.keys.root_certificate, order.trusted)
        try:
            answer = await self._archiving.run(_archive, order, anchors, self._time)
        except WorkerLost as lost:
            raise Refused(f"not archived: {lost}", permanent=False, code="worker-lost") from lost
        if isinstance(answer, _Refusal):
            raise Refused(answer.reason, permanent=answer.permanent, code=answer.code)
        return answer

    async def stamp(self, order: StampOrder) -> Stamped:
        """Raises Refused, as `seal` does."""
        try:
            answer = await self._sealing.run(_stamp, order, self._time)
        except WorkerLost as lost:
            raise Refused(f"not stamped: {lost}", permanent=False, code="worker-lost") from lost
        if isinstance(answer, _Refusal):
            raise Refused(answer.reason, permanent=answer.permanent, code=answer.code)
        return answer

    async def parts(self, pdf: bytes, root_certificate: bytes, trusted: Trusted = NOBODY_ELSE) -> Parts:
        """Raises Refused."""
        anchors = self._anchors(root_certificate, trusted)
        try:
            answer = await self._reading.run(_take_apart, pdf, anchors)
        except WorkerLost as lost:
            raise Refused(f"not read: {lost}", permanent=False, code="worker-lost") from lost
        if isinstance(answer, _Refusal):
            raise Refused(answer.reason, permanent=answer.permanent, code=answer.code)
        return answer

    async def inspect(
        self, pdf: bytes, root_certificate: bytes, crls: Sequence[bytes] = (), trusted: Trusted = NOBODY_ELSE
    ) -> Inspection:
        if len(pdf) > LARGEST_BYTES:
            return unread("too-large")
        if b"%PDF-" not in pdf[:HEADER_WITHIN]:
            return unread("not-a-pdf")
        anchors = self._anchors(root_certificate, trusted)
        try:
            return await self._reading.run(_inspect, pdf, anchors, tuple(crls))
        except WorkerLost as lost:
            return unread("took-too-long" if lost.overran else "unreadable")

    async def inspect_stamp(
        self, token: bytes, digest: bytes, root_certificate: bytes, trusted: Trusted = NOBODY_ELSE
    ) -> Check:
        anchors = self._anchors(root_certificate, trusted)
        try:
            return await self._reading.run(_inspect_stamp, token, digest, anchors)
        except WorkerLost:
            return Check("time", False, {"code": "unreadable"})

    def _anchors(self, root_certificate: bytes, trusted: Trusted) -> Anchors:
        return Anchors(
            root_certificate, self._own_chain, self._time_roots, seals=tuple(trusted.seals), chosen=trusted.time
        )

    async def read(self, pdf: bytes) -> Sequence[str] | None:
        try:
            return await self._reading.run(_read, pdf)
        except WorkerLost:
            return None


def _chain(own: OwnSeal) -> bytes:
    return authority.chain_of(own.content, own.passphrase) if isinstance(own, FileSeal) else own.chain


@dataclass(frozen=True)
class _Refusal:
    """Refused on its way between processes: an exception with named arguments does not unpickle."""

    reason: str
    permanent: bool
    code: str


def _warm_sealing() -> None:
    import integrations.trust.sealing  # noqa: F401


def _warm_archiving() -> None:
    import integrations.trust.archiving  # noqa: F401


def _warm_reading() -> None:
    import integrations.trust.inspection  # noqa: F401


def _seal(
    order: SealOrder | CountersignOrder, time: OutsideTime | None, own: OwnSeal | None
) -> Sealed | _Refusal:
    from integrations.trust.sealing import seal

    try:
        return seal(order, time, own)
    except Refused as refused:
        return _Refusal(str(refused), refused.permanent, refused.code)


def _archive(order: ArchiveOrder, anchors: Anchors, time: OutsideTime | None) -> Archived | _Refusal:
    from integrations.trust.archiving import archive

    try:
        return archive(order, anchors, time)
    except Refused as refused:
        return _Refusal(str(refused), refused.permanent, refused.code)


def _stamp(order: StampOrder, time: OutsideTime | None) -> Stamped | _Refusal:
    from integrations.trust.sealing import stamp

    try:
        return stamp(order, time)
    except Refused as refused:
        return _Refusal(str(refused), refused.permanent, refused.code)


def _take_apart(pdf: bytes, anchors: Anchors) -> Parts | _Refusal:
    from integrations.trust.parts import parts

    try:
        return parts(pdf, anchors)
    except Refused as refused:
        return _Refusal(str(refused), refused.permanent, refused.code)


def _inspect(pdf: bytes, anchors: Anchors, crls: Sequence[bytes]) -> Inspection:
    from integrations.trust.inspection import inspect

    return inspect(pdf, anchors, crls)


def _inspect_stamp(token: bytes, digest: bytes, anchors: Anchors) -> Check:
    from integrations.trust.inspection import inspect_stamp

    return inspect_stamp(token, digest, anchors)


def _read(pdf: bytes) -> Sequence[str] | None:
    from integrations.trust.reading import pages

    return pages(pdf)


if TYPE_CHECKING:
    _kept: type[TrustProvider] = EmbeddedTrust
