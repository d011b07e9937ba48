"""Published packs as queries: the rules in force, read once for each state of the table."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, text

from router.model.packs import FOLDER, Pack, read, shipped
from router.model.published import PublishedPack
from router.store.db import ReadSession, WriteSession

_DIGEST = text("select digest from packs order by id desc limit 1")
_BODIES = text("select distinct on (key) key, body from packs order by key, id desc")

_read: dict[bytes, Mapping[str, Pack]] = {}
"""The state of the table this process has read last, by its digest."""


async def in_force(session: ReadSession) -> Mapping[str, Pack]:
    """The packs by key. What was published a moment ago counts at once, in every replica: one short look tells whether
    this process has read the present state. Where nothing is published yet, what came with the program counts."""
    found = await session.rows(_DIGEST)
    if not found:
        return shipped()
    digest = bytes(found[0][0])
    known = _read.get(digest)
    if known is None:
        known = usable(await bodies(session))
        _read.clear()
        _read[digest] = known
    return known


async def bodies(session: ReadSession) -> dict[str, str]:
    """The text of each pack that is in force, by key: what was published, else what came with the program."""
    return {**of_program(), **{row[0]: row[1] for row in await session.rows(_BODIES)}}


async def names(session: ReadSession) -> frozenset[str]:
    """The packs in force that a campaign may name. Their rules are not read: that takes longer than a transaction that
    writes may."""
    texts = await bodies(session)
    return frozenset(key for key, body in texts.items() if not tomllib.loads(body).get("part", False))


def of_program() -> dict[str, str]:
    """The texts that came with this program, by key."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))}


def readable(texts: Mapping[str, str]) -> dict[str, Pack]:
    """The packs of these texts, by key, with those that are only for others to extend. Raises WrongPack."""
    return read({f"{key}.toml": body for key, body in texts.items()})


def usable(texts: Mapping[str, str]) -> dict[str, Pack]:
    """The packs of these texts that are whole in themselves. Raises WrongPack."""
    return {key: pack for key, pack in readable(texts).items() if not pack.part}


async def history(session: ReadSession) -> Sequence[PublishedPack]:
    """All that was ever published, newest first."""
    return await session.scalars(select(PublishedPack).order_by(PublishedPack.id.desc()))


async def newest(session: ReadSession) -> dict[str, int]:
    """The version in force of each published pack."""
    rows = await session.rows(text("select key, max(version) from packs group by key"))
    return {row[0]: row[1] for row in rows}


async def publish(
    session: WriteSession, key: str, version: int, body: str, now: datetime, agent_id: int | None = None
) -> PublishedPack:
    """A new row, in the chain of all before it. Two that publish at once wait for each other."""
    await session.lock_word("packs")
    found = await session.rows(_DIGEST)
    before = bytes(found[0][0]) if found else b""
    made = PublishedPack(
        key=key, version=version, body=body, published_at=now, published_by=agent_id,
        digest=hashlib.sha256(before + key.encode() + b"\0" + body.encode()).digest(),
    )
    session.add(made)
    await session.flush()
    return made
