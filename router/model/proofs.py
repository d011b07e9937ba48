"""Form tokens and proofs of work: what a page is given and a request brings back. Nothing of it is stored.

The form token is `1.<issued, ms>.<mac>`. The proof of work:

* The challenge is one string, `1.<expires, s>.<bits>.<nonce>.<mac>`: digits, letters and dots. Who solves it takes it
  as it is; `bits` is told beside it.
* The proof is the challenge, a colon and a counter in decimal without leading zeros: `<challenge>:<counter>`.
* It holds when the first `bits` bits of SHA-256 over the proof's UTF-8 bytes are zero, the first byte's highest bit
  being the first. Counters are tried from 0 up, so about 2^bits hashes are needed: 14 bits are a moment in a browser,
  20 bits about half a minute.
* A challenge is for one site and good once, until it expires. Without `crypto.subtle` (a page not served over https)
  any SHA-256 will do.
"""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import NamedTuple

from router.model.protection import Form
from router.model.rates import Limits
from router.model.vault import Vault, new_token

SKEW = timedelta(seconds=5)
"""How far the clocks of two replicas may differ."""

_FORM = re.compile(r"1\.([0-9]{1,15})\.([A-Za-z0-9]{22})", re.ASCII)
_PROOF = re.compile(
    r"(1\.([0-9]{1,12})\.([0-9]{1,2})\.([A-Za-z0-9]{22}))\.([A-Za-z0-9]{22}):(0|[1-9][0-9]{0,15})", re.ASCII
)


def form_token(vault: Vault, site_key: str, now: datetime) -> str:
    issued = str(round(now.timestamp() * 1000))
    return f"1.{issued}.{vault.token('form', site_key, issued)}"


def read_form_token(vault: Vault, site_key: str, token: str, now: datetime, limits: Limits) -> Form:
    """What the token says at `now` (aware)."""
    if not token:
        return Form.missing
    found = _FORM.fullmatch(token)
    if found is None or not _same(found[2], vault.token("form", site_key, found[1])):
        return Form.forged
    age = now.timestamp() - int(found[1]) / 1000
    if age > limits.form_oldest:
        return Form.too_old
    if age < -SKEW.total_seconds():
        return Form.forged
    return Form.too_young if age < limits.form_youngest else Form.good


class Proven(NamedTuple):
    """A proof that holds: its bits, its nonce, and for how many seconds more it is good."""

    bits: int
    nonce: str
    seconds: int


def challenge(vault: Vault, site_key: str, now: datetime, *, bits: int, life: int) -> str:
    """A new challenge, good for `life` seconds."""
    body = f"1.{int(now.timestamp()) + life}.{bits}.{new_token()}"
    return f"{body}.{vault.token('proof', site_key, body)}"


def read_proof(vault: Vault, site_key: str, proof: str, now: datetime) -> Proven | None:
    """What was proven at `now` (aware); None for what is no proof for this site. Whether it was used is not known here.

    The MAC is checked before the sum, so what nobody issued costs one HMAC.
    """
    found = _PROOF.fullmatch(proof)
    if found is None or not _same(found[5], vault.token("proof", site_key, found[1])):
        return None
    bits, left = int(found[3]), int(found[2]) - int(now.timestamp())
    if left <= 0 or zero_bits(hashlib.sha256(proof.encode()).digest()) < bits:
        return None
    return Proven(bits, found[4], left)


def zero_bits(digest: bytes) -> int:
    """How many bits at its beginning are zero."""
    return len(digest) * 8 - int.from_bytes(digest, "big").bit_length()


def solve(challenge: str, bits: int) -> str:
    """A proof for the challenge: what a client does."""
    counter = 0
    while True:
        proof = f"{challenge}:{counter}"
        if zero_bits(hashlib.sha256(proof.encode()).digest()) >= bits:
            return proof
        counter += 1


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
