"""Seals and their inspection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class SealKeys:
    """The company's seal and the embedded timestamp authority. PEM throughout; private keys are not encrypted here."""

    root_certificate: bytes
    issuing_certificate: bytes
    seal_certificate: bytes
    seal_key: bytes
    timestamp_certificate: bytes
    timestamp_key: bytes


@dataclass(frozen=True)
class Authority:
    """A company's own authority, made once. Sealing needs `keys` alone; renewals and revocations need the others.

    Both keys are PEM and not encrypted here.
    """

    keys: SealKeys
    root_key: bytes
    issuing_key: bytes


@dataclass(frozen=True)
class Revoked:
    """A certificate that was taken back: its serial number, since when (aware), and why (RFC 5280 §5.3.1)."""

    serial: int
    at: datetime
    reason: str = "unspecified"


@dataclass(frozen=True)
class CrlOrder:
    """A list of revoked certificates to be signed by its issuer. Certificate and key are PEM, the key not encrypted;
    `number` rises with every list of this issuer; times are aware."""

    certificate: bytes
    key: bytes
    number: int
    at: datetime
    next_update: datetime
    revoked: Sequence[Revoked] = ()


@dataclass(frozen=True)
class TimeAccount:
    """A timestamp authority (RFC 3161) that was chosen to give the time, and nobody in its place. `roots` are those its
    tokens must lead to (PEM, one after the other); `user` and `password` where it asks for them."""

    url: str
    roots: bytes
    user: str = ""
    password: str = field(default="", repr=False)


NO_TIME = "no-timestamp"
"""The code of a refusal because no timestamp is to be had where one was asked for."""


@dataclass(frozen=True)
class UsedSeal:
    """A seal of the company's own under somebody else's root: its certificate and its issuers' (PEM, its own first).
    What is timestamped after `until` (aware) was sealed by somebody else with its key; None: it is in use."""

    chain: bytes
    until: datetime | None = None


@dataclass(frozen=True)
class Trusted:
    """Whom readers trust besides the house's own root: `time` are roots of timestamp authorities (PEM, one after the
    other), `seals` those of the company's own that were ever in use."""

    time: bytes = b""
    seals: Sequence[UsedSeal] = ()


NOBODY_ELSE = Trusted()


@dataclass(frozen=True)
class SealOrder:
    """A PDF to be sealed with its evidence attached. `timestamp_serial` is taken from a sequence and never reused.
    `time` gives the timestamp where it was chosen to; without its token there is no seal."""

    pdf: bytes
    evidence: bytes
    keys: SealKeys
    timestamp_serial: int
    reason: str
    location: str
    time: TimeAccount | None = None


@dataclass(frozen=True)
class CountersignOrder:
    """A sealed PDF that the company countersigns: a second signature with its seal, in a revision of its own. `name` is
    who decided so, `reason` in which role and for what. `timestamp_serial` and `time` as with `SealOrder`."""

    pdf: bytes
    keys: SealKeys
    timestamp_serial: int
    name: str
    reason: str
    location: str
    time: TimeAccount | None = None


@dataclass(frozen=True)
class Sealed:
    """`level` is the level really reached, e.g. "PAdES B-T"; `time_source` is internal, external or qualified.
    `outside_due`: a timestamp from outside was wanted and is still to come. `time_by` is the host of who gave an
    external one; `seal` the company's own seal that was used, as in `UsedSeal`, empty for the house's. `until` (aware)
    is when the certificate of the seal expires."""

    pdf: bytes
    level: str
    time_source: str
    outside_due: bool = False
    time_by: str = ""
    seal: bytes = b""
    until: datetime | None = None


class Stamps(StrEnum):
    """Whose timestamp an archived PDF gets: our own authority's; an outside one's, or else ours; an outside one's, or
    none."""

    own = "own"
    outside_or_own = "outside_or_own"
    outside = "outside"


@dataclass(frozen=True)
class ArchiveOrder:
    """A sealed PDF to be made to outlast its certificates. `crls` (DER) are the lists of our own issuers as of now.
    `time` gives the timestamp where it was chosen to, as with a seal; `trusted` are who is to prove it later."""

    pdf: bytes
    keys: SealKeys
    crls: Sequence[bytes]
    timestamp_serial: int
    stamps: Stamps = Stamps.own
    time: TimeAccount | None = None
    trusted: Trusted = NOBODY_ELSE


@dataclass(frozen=True)
class Archived:
    """`until` (aware) is when the certificate of its last timestamp expires: it needs another one before."""

    pdf: bytes
    level: str
    time_source: str
    until: datetime


@dataclass(frozen=True)
class StampOrder:
    """A SHA-256 to be timestamped. `serial` is taken from the same sequence as those of seals."""

    digest: bytes
    keys: SealKeys
    serial: int


@dataclass(frozen=True)
class Stamped:
    """A timestamp (RFC 3161 token, DER). `at` (aware) is what it says; `time_source` as with `Sealed`."""

    token: bytes
    time_source: str
    at: datetime


@dataclass(frozen=True)
class SignaturePart:
    """A signature or timestamp as it stands in a PDF, for tools that are not ours. `byte_range` is the format's own:
    what it covers. `cms` is its record (DER); in it stand `value` and `token` (offset, length): the signature's value,
    and the timestamp on that. A timestamp over the document is all token and has no value. `at` (aware) is the
    timestamp's time."""

    byte_range: tuple[int, int, int, int]
    cms: bytes
    value: tuple[int, int]
    token: tuple[int, int]
    at: datetime


@dataclass(frozen=True)
class Parts:
    """What a sealed PDF is proven with: the seal, later timestamps in their order, the seal's certificate, the issuers'
    and timestamp services' that came with them, and the roots to be trusted (PEM each). `house`: the seal leads to our
    own root, so our own list of revoked certificates is the one to be asked. `countersignature` is the company's, where
    there is one."""

    seal: SignaturePart
    archives: Sequence[SignaturePart]
    certificate: bytes
    issuers: Sequence[bytes]
    roots: Sequence[bytes]
    house: bool
    countersignature: SignaturePart | None = None


@dataclass(frozen=True)
class Check:
    """One line of a verification: what was looked at, whether it holds, and the particulars (codes and values)."""

    name: str
    holds: bool
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """What a PDF's seal says of it. `checks` are integrity, revisions, signer, trust, time, level, in this order; where
    somebody has signed after the seal, countersignature is the last one."""

    sealed: bool
    checks: Sequence[Check]


class TrustProvider(Protocol):
    """Seals PDFs and reads seals. Runs outside the event loop."""

    @property
    def outside_time(self) -> bool:
        """Whether timestamps of an outside authority are wanted."""

    @property
    def own_seal(self) -> bytes:
        """The company's own seal that is used in place of the house's, as in `UsedSeal`; empty without one."""

    def make_authority(self, company: str, now: datetime, address: str = "") -> Authority:
        """A new root, issuing, seal and timestamp certificate in the company's name, valid from `now` (aware) on.
        Lists of revoked certificates will be found under `address`, e.g. "https://sales.example.com/pki".

        Raises Refused (permanent) when the name is empty.
        """

    def renewed(self, authority: Authority, now: datetime, address: str = "", *, anew: bool = False) -> Authority:
        """The same authority with new certificates in place of those that expire soon; `anew`: a new seal in any case.
        Without the root's key (empty) the issuing certificate stays as it is."""

    def expiries(self, keys: SealKeys) -> Mapping[str, datetime]:
        """When the certificates root, issuing, seal and timestamp expire (aware)."""

    def serial(self, certificate: bytes) -> int:
        """The serial number of a certificate (PEM)."""

    def issue_crl(self, order: CrlOrder) -> bytes:
        """The signed list, DER."""

    async def seal(self, order: SealOrder | CountersignOrder) -> Sealed:
        """Seals a PDF, or countersigns a sealed one. Raises Refused: for good when that cannot be done, for now when no
        time is to be had where it was chosen (NO_TIME)."""

    async def archive(self, order: ArchiveOrder) -> Archived:
        """Raises Refused: for good when this is no seal of ours, for now when no timestamp is to be had."""

    async def stamp(self, order: StampOrder) -> Stamped:
        """A timestamp on a digest, by whoever stamps seals. Raises Refused, as `seal` does."""

    async def parts(self, pdf: bytes, root_certificate: bytes, trusted: Trusted = NOBODY_ELSE) -> Parts:
        """The sealed PDF taken apart. Raises Refused (permanent) when it carries no seal of ours."""

    async def inspect(
        self, pdf: bytes, root_certificate: bytes, crls: Sequence[bytes] = (), trusted: Trusted = NOBODY_ELSE
    ) -> Inspection:
        """Never raises: an unreadable PDF is an inspection that says so. `crls` (DER) are our issuers' current lists:
        a seal or timestamp they name as revoked does not hold."""

    async def inspect_stamp(
        self, token: bytes, digest: bytes, root_certificate: bytes, trusted: Trusted = NOBODY_ELSE
    ) -> Check:
        """What a timestamp (RFC 3161 token, DER) says of a SHA-256. Never raises."""

    async def read(self, pdf: bytes) -> Sequence[str] | None:
        """What a stranger's PDF says, page by page; None when it cannot be read. Never raises."""
