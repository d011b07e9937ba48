"""Idempotency as queries: the answer given under a key."""

from datetime import datetime
from typing import Any

from router.model.idempotency import IdempotencyKey
from router.store.db import ReadSession, WriteSession


async def given(session: ReadSession, scope: str, key: str) -> IdempotencyKey | None:
    """What was answered under this key, if anything."""
    return await session.get(IdempotencyKey, (scope, key))


async def keep(
    session: WriteSession, scope: str, key: str, sha256: bytes, answer: dict[str, Any], now: datetime
) -> None:
    """Keeps an answer for whoever asks the same again."""
    session.add(IdempotencyKey(scope=scope, key=key, request_sha256=sha256, answer=answer, created_at=now))
    await session.flush()
