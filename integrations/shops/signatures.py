"""How both shops sign: base64 of the HMAC-SHA256 of the raw body."""

import base64
import binascii
from collections.abc import Mapping

from router.model import foreign


def genuine(body: bytes, given: str, secrets: Mapping[str, str]) -> bool:
    """Whether the header's signature is one of these secrets'. Never raises."""
    try:
        signature = base64.b64decode(given.encode("ascii", "replace"), validate=True)
    except binascii.Error:
        return False
    return foreign.signed(body, signature, secrets)
