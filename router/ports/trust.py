"""Seals and their inspection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
class SealOrder:
    """A PDF to be sealed with its evidence attached. `timestamp_serial` is taken from a sequence and never reused."""

    pdf: bytes
    evidence: bytes
    keys: SealKeys
    timestamp_serial: int
    reason: str
    location: str


@dataclass(frozen=True)
class Sealed:
    """`level` is the level really reached, e.g. "PAdES B-T"; `time_source` is internal, external or qualified."""

    pdf: bytes
    level: str
    time_source: str


@dataclass(frozen=True)
class Check:
    """One line of a verification: what was looked at, whether it holds, and the particulars (codes and values)."""

    name: str
    holds: bool
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """What a PDF's seal says of it. `checks` are integrity, revisions, signer, trust, time, level, in this order."""

    sealed: bool
    checks: Sequence[Check]


class TrustProvider(Protocol):
    """Seals PDFs and reads seals. Runs outside the event loop."""

    def make_authority(self, company: str, now: datetime) -> Authority:
        """A new root, issuing, seal and timestamp certificate in the company's name, valid from `now` (aware) on.

        Raises Refused (permanent) when the name is empty.
        """

    async def seal(self, order: SealOrder) -> Sealed:
        """Raises Refused (permanent) when the PDF cannot be sealed."""

    async def inspect(self, pdf: bytes, root_certificate: bytes) -> Inspection:
        """Never raises: an unreadable PDF is an inspection that says so."""
