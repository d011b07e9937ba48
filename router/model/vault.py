"""The vault: what is secret at rest, and unguessable names.

Tokens are 22 letters and digits (131 bits): nothing at their end that a telephone's link finder would cut off.
"""

import base64
import hashlib
import hmac
import secrets
import string
import struct

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_ALPHABET = string.ascii_letters + string.digits
_PAIRS = [first + second for second in _ALPHABET for first in _ALPHABET]
TOKEN_LENGTH = 22
_NUMBERS = struct.Struct(f">{TOKEN_LENGTH // 2}H")
_DRAWN = struct.Struct(">16H")
_EVEN = 65_536 - 65_536 % len(_PAIRS)
"""Of two bytes, so many values give every pair equally often."""


class Unreadable(Exception):
    """The stored secret was written under another HABLEMOS_SECRET, or is damaged."""


def new_token() -> str:
    """A token, each equally likely: 62 to the power of 22 of them."""
    while True:
        if token := evenly(secrets.token_bytes(_DRAWN.size)):
            return token


def evenly(noise: bytes) -> str:
    """A token out of 32 bytes, without those that would make some letters likelier; "" when too few are left."""
    pairs = [_PAIRS[number % len(_PAIRS)] for number in _DRAWN.unpack(noise) if number < _EVEN]
    return "".join(pairs[: TOKEN_LENGTH // 2]) if len(pairs) >= TOKEN_LENGTH // 2 else ""


def _letters(noise: bytes) -> str:
    """A derived token out of at least 22 bytes, two letters for two bytes; the remainder's bias costs less than one
    bit."""
    return "".join([_PAIRS[number % len(_PAIRS)] for number in _NUMBERS.unpack_from(noise)])


def hash_token(token: str) -> bytes:
    """What is stored of a token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_code() -> str:
    """Six digits, each code equally likely."""
    return f"{secrets.randbelow(1_000_000):06d}"


class Vault:
    """Encrypts and authenticates with keys derived from one secret (HKDF-SHA256, one key a purpose)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._keys: dict[str, bytes] = {}
        self._macs: dict[str, hmac.HMAC] = {}

    def _key(self, purpose: str) -> bytes:
        if purpose not in self._keys:
            self._keys[purpose] = self._derived(purpose)
        return self._keys[purpose]

    def _derived(self, purpose: str) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=f"hablemos/{purpose}".encode()).derive(self._secret)

    def seal(self, purpose: str, content: bytes) -> bytes:
        return Fernet(base64.urlsafe_b64encode(self._key(purpose))).encrypt(content)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Raises Unreadable."""
        try:
            return Fernet(base64.urlsafe_b64encode(self._key(purpose))).decrypt(sealed)
        except InvalidToken as error:
            raise Unreadable(purpose) from error

    def mac(self, purpose: str, *parts: str) -> bytes:
        """HMAC-SHA256 over the parts, each with its length, so that no two lists read alike."""
        if purpose not in self._macs:
            self._macs[purpose] = hmac.new(self._key(purpose), digestmod="sha256")
        begun = self._macs[purpose].copy()  # the key's own two blocks are hashed once
        for part in parts:
            encoded = part.encode()
            begun.update(len(encoded).to_bytes(4, "big") + encoded)
        return begun.digest()

    def token(self, purpose: str, *parts: str) -> str:
        """An unguessable token that is the same each time for the same parts."""
        return _letters(self.mac(purpose, *parts))

    def agrees(self, mac: bytes, purpose: str, *parts: str) -> bool:
        return hmac.compare_digest(mac, self.mac(purpose, *parts))
