"""Mends how asn1crypto 1.5.1 reads lengths when it writes. Imported by the workers only, before they write anything.

It takes a header that ends in 0x80 for one of indefinite length, also where 0x80 is the last byte of a length, as for
640 bytes. Then it writes all that is inside anew, and again at each level: of our seals and timestamps, whose
signatures vary by a byte or two, one in sixty took more than ten seconds of CPU instead of a twentieth.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto carries no types.

import functools
from collections.abc import Callable
from typing import Any

from asn1crypto import core

INDEFINITE = 0x80
LONG_TAG = 0x1F


def indefinite(header: bytes) -> bool:
    """Whether a length in the header (tags and lengths, the outer ones first) is told by an end mark (X.690, 8.1.3)."""
    at = 0
    while at < len(header):
        long_tag = header[at] & LONG_TAG == LONG_TAG
        at += 1
        while long_tag and at < len(header):
            long_tag = header[at] >= INDEFINITE
            at += 1
        if at >= len(header) or header[at] == INDEFINITE:
            return True
        at += 1 + (header[at] & ~INDEFINITE if header[at] > INDEFINITE else 0)
    return False


def _mended(dump: Callable[..., bytes]) -> Callable[..., bytes]:
    @functools.wraps(dump)
    def written(self: Any, force: bool = False) -> bytes:
        if self._header and self._header[-1] == INDEFINITE and not indefinite(self._header):
            self._header = None  # it is made anew from what it stands before
        return dump(self, force)

    written.mended = True  # type: ignore[attr-defined]
    return written


def mend() -> None:
    """Idempotent."""
    for kind in (core.Asn1Value, core.Choice, core.Primitive, core.Sequence, core.SequenceOf):
        if not hasattr(kind.dump, "mended"):
            kind.dump = _mended(kind.dump)  # type: ignore[method-assign]
