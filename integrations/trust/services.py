"""What the house uses in place of its own authority: a seal of its own elsewhere, timestamps of others. Plain values,
so that they travel to the processes that seal and archive."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from router.ports import UsedSeal


@dataclass(frozen=True)
class OutsideTime:
    """Timestamp authorities (RFC 3161), asked in this order, and the roots (PEM, one after the other) their tokens must
    lead to. `first`: a seal asks them before our own authority; otherwise they only come in when a file is archived."""

    urls: tuple[str, ...]
    roots: bytes
    first: bool = True


@dataclass(frozen=True)
class FileSeal:
    """The company's seal as a PKCS#12: certificate, key and the issuers' certificates."""

    content: bytes = field(repr=False)
    passphrase: str = field(repr=False)


@dataclass(frozen=True)
class TokenSeal:
    """The company's seal on a token (PKCS#11): its key never leaves it. `chain` are the seal's certificate and its
    issuers' (PEM), the seal's own first."""

    module: str
    token: str
    label: str
    chain: bytes
    pin: str = field(default="", repr=False)


OwnSeal = FileSeal | TokenSeal


@dataclass(frozen=True)
class Anchors:
    """Whom a reader trusts: our own root; the company's own seal, if it has one elsewhere, with its issuers (its own
    first); the roots of timestamp authorities outside. PEM, one after the other. `seals` are those it
    had before, `chosen` the roots of authorities that a campaign has chosen."""

    house: bytes
    own: bytes = b""
    time: bytes = b""
    seals: Sequence[UsedSeal] = ()
    chosen: bytes = b""
