"""Passwords: Argon2id, slow on purpose, therefore in threads of its own, and only a few at a time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
LONGEST = 200

_hasher = PasswordHasher()
_pool = ThreadPoolExecutor(2, "passwords")  # each takes 64 MiB of memory while it works
_NOBODYS = (
    "$argon2id$v=19$m=65536,t=3,p=4$n6WjwnFxjD02Q8aznW+WnA$SOGHMy/lxAPR4oMcdjPwq/010lVu1alY9cm6SpZ0BVE"
)
"""The hash of a password nobody knows: a login that does not exist takes as long as one that does."""


async def hashed(password: str) -> str:
    """What is stored of a password."""
    return await asyncio.get_running_loop().run_in_executor(_pool, _hasher.hash, password)


async def matches(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one stored. With no hash it takes as long, and is wrong."""
    right = await asyncio.get_running_loop().run_in_executor(_pool, _verify, password_hash or _NOBODYS, password)
    return right and password_hash is not None


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
