"""Brings a handout as far as a test needs it, by the house's own verbs, and reads its link as a telephone would."""

import re
import struct
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import select

from router import printing
from router.actions import handing, stocking
from router.actions.talking import TEXTS
from router.book import Book, Writing
from router.model.base import vouched
from router.model.cadence_rules import Way
from router.model.campaigns import Queue
from router.model.deliveries import Delivery
from router.model.facts import Fact
from router.model.handouts import SUBJECT, Handout, HandoutItem
from router.model.tasks import TaskState
from tests import making

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"


@cache
def pdf(title: str = "Tarifas 2027") -> bytes:
    said = {"title": title, "subtitle": "", "sections": [], "notes": [], "foot": ""}
    return printing.brochure(said, "es", "Luz Clara SL", datetime(2026, 11, 1, tzinfo=UTC))


def png(width: int = 1) -> bytes:
    """A black line of so many pixels."""
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (width + 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@dataclass
class Talk:
    """An agent who talks with a person, and the documents he may send."""

    agent_id: int
    lead_id: int
    task_id: int
    brochures: list[int] = field(default_factory=list)


async def stocked(w: Writing, campaign_id: int, *names: str) -> list[int]:
    """The library holds a PDF of each of these names."""
    found = []
    for name in names:
        file = stocking.examine(pdf(name))
        found.append((await stocking.add(w, campaign_id, file, stocking.titled(name, {}))).id)
    return found


async def talking(
    book: Book, *names: str, queue: Queue | None = None, campaign: Any = None, claims: Any = None,
    phone: str = "+12025550101", state: TaskState = TaskState.engaged, **task: Any,
) -> Talk:
    async with book.writing() as w:
        line = queue or await making.queue(w, await making.campaign(w, **(campaign or {})))
        lead = await making.lead(w, line, phone, claims=claims or {})
        agent = await making.agent(w)
        held = await making.task(w, line, lead, agent_id=agent.id, state=state, **task)
        return Talk(agent.id, lead.id, held.id, await stocked(w, line.campaign_id, *(names or ("Tarifas 2027",))))


async def hand(book: Book, talk: Talk, way: Way = Way.sms, *, after: int = 0, chosen: Any = None) -> Handout:
    """Sends all of the talk's documents, or those `chosen`."""
    async with book.writing() as w:
        ids = talk.brochures if chosen is None else chosen
        return await handing.hand(w, talk.task_id, talk.agent_id, ids, way, after=after)


async def deliveries(book: Book) -> list[Delivery]:
    async with book.reading() as r:
        return list(await r.session.scalars(
            select(Delivery).where(Delivery.purpose == SUBJECT).order_by(Delivery.id)
        ))


async def text_of(book: Book, delivery: Delivery) -> str:
    return book.vault.open(TEXTS, delivery.sealed_text or b"").decode()


async def link(book: Book) -> str:
    """The path of the newest link."""
    said = await text_of(book, (await deliveries(book))[-1])
    found = re.search(r"/d/[A-Za-z0-9]{22}(?![A-Za-z0-9])", said)
    assert found
    return found[0]


async def items(book: Book) -> list[HandoutItem]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(HandoutItem).order_by(HandoutItem.id)))


async def opens(book: Book) -> list[int]:
    return [one.opens for one in await items(book)]


async def told(book: Book, beginning: str = "handout.") -> list[Fact]:
    async with book.reading() as r:
        return list(await r.session.scalars(
            select(Fact).where(Fact.kind.startswith(beginning)).order_by(Fact.id)
        ))


async def latest(book: Book) -> Handout:
    async with book.reading() as r:
        return vouched(await r.session.scalar(select(Handout).order_by(Handout.id.desc()).limit(1)))
