"""Brings an offer as far as a test needs it, by the house's own verbs, and reads the texts as a telephone would."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from router.actions import attesting, countersigning, inviting, quoting, sealing, signing
from router.actions.talking import TEXTS
from router.book import Book
from router.model.agents import Role
from router.model.deliveries import Delivery, DeliveryKind
from router.model.money import Line, Period
from router.model.quotes import Quote
from router.model.signings import CodeAnswer, Given, Signing
from router.model.tasks import TaskState
from router.model.visitors import Visitor
from router.ports import CountersignOrder, Refused, Sealed, SealOrder, TrustProvider
from router.store import archives, blobs
from tests import making

CUSTOMER = Visitor("203.0.113.9", "Telephone/1")
LINES = (Line("Fibra 600 Mb", 1, 2471, 2100, Period.month), Line("Instalación", 1, 4050, 2100, Period.once))
CONSENTS = ("offer", "data")


@dataclass
class Sale:
    """An agent who talks with a person, and the quote he wrote."""

    agent_id: int
    lead_id: int
    quote_id: int
    phone: str


async def drafted(
    book: Book, *, phone: str = "+12025550101", lines: Any = LINES, campaign: Any = None, login: str = "ana",
    **values: Any,
) -> Sale:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w, **(campaign or {})))
        lead = await making.lead(w, queue, phone)
        agent = await making.agent(w, login)
        await making.task(w, queue, lead, agent_id=agent.id, state=TaskState.engaged)
        quote = await quoting.draft(w, agent_id=agent.id, lead_id=lead.id, lines=lines, **values)
    return Sale(agent.id, lead.id, quote.id, phone)


async def sent(book: Book, **values: Any) -> tuple[Sale, Signing]:
    sale = await drafted(book, **values)
    return sale, await quoting.send_offer(book, sale.quote_id, sale.agent_id)


async def texts(book: Book, subject: str) -> list[str]:
    """What the customer's telephone would show, oldest first."""
    async with book.reading() as r:
        found = await r.session.scalars(select(Delivery).where(Delivery.purpose == subject).order_by(Delivery.id))
    return [book.vault.open(TEXTS, one.sealed_text or b"").decode() for one in found]


async def token(book: Book, subject: str = "offer") -> str:
    """The secret at the end of the newest link."""
    found = re.search(r"/q/(?:copy/)?([A-Za-z0-9]{22})(?![A-Za-z0-9])", (await texts(book, subject))[-1])
    assert found
    return found[1]


async def links(book: Book) -> dict[str, str]:
    """By telephone, the secret at the end of the newest link it was sent."""
    async with book.reading() as r:
        found = await r.session.scalars(select(Delivery).where(Delivery.purpose == "offer").order_by(Delivery.id))
    said = {str(one.order["to"]): book.vault.open(TEXTS, one.sealed_text or b"").decode() for one in found}
    return {to: text.split("/q/")[1][:22] for to, text in said.items()}


async def code(book: Book) -> str:
    return (await texts(book, "code"))[-1][:6]


async def opened(book: Book, **values: Any) -> Signing:
    await sent(book, **values)
    async with book.writing() as w:
        result = await signing.open_link(w, await token(book), CUSTOMER)
    assert result is not None
    return result[0]


async def coded(book: Book, **values: Any) -> Signing:
    held = await opened(book, **values)
    async with book.writing() as w:
        assert await inviting.send_code(w, held) is CodeAnswer.sent
    return await now(book, held)


async def verified(book: Book, **values: Any) -> Signing:
    held = await coded(book, **values)
    async with book.writing() as w:
        assert await signing.give_code(w, held, await code(book), CUSTOMER) is Given.right
    return await now(book, held)


async def signed(book: Book, *, consents: Sequence[str] = CONSENTS, **values: Any) -> Signing:
    held = await verified(book, **values)
    async with book.writing() as w:
        return await signing.sign(w, held, "Carmen Ruiz", consents, CUSTOMER)


async def sealed(book: Book, trust: TrustProvider, **values: Any) -> Signing:
    """Signed, sealed and certified by this provider, as the courier would have it done. The authority must be made."""
    held = await signed(book, **values)
    async with book.writing() as w:
        order = await sealing.seal_order(w, held.id)
    document = await _seal(trust, order)
    async with book.writing() as w:
        await sealing.sealed(w, held.id, document)
    await attested(book, trust, held)
    return await now(book, held)


async def _seal(trust: TrustProvider, order: SealOrder | CountersignOrder) -> Sealed:
    """Asked once more where the process was lost, as the courier would."""
    try:
        return await trust.seal(order)
    except Refused as refused:
        if refused.permanent:
            raise
        return await trust.seal(order)


async def now(book: Book, held: Signing) -> Signing:
    async with book.reading() as r:
        found = await r.session.get(Signing, held.id)
    assert found is not None
    return found


async def quote_of(book: Book, held: Signing) -> Quote:
    async with book.reading() as r:
        found = await r.session.get(Quote, held.quote_id)
    assert found is not None
    return found


def other_code(right: str) -> str:
    """Six digits that are not these."""
    return f"{(int(right) + 1 + int(hashlib.sha256(right.encode()).hexdigest(), 16) % 999_998) % 1_000_000:06d}"


async def supervisor(book: Book, login: str = "sol") -> int:
    """Somebody who may countersign."""
    async with book.writing() as w:
        return (await making.agent(w, login, role=Role.supervisor)).id


async def countersigned(book: Book, trust: TrustProvider, **values: Any) -> Signing:
    """Sealed, countersigned and certified once more, as the courier would have it done."""
    campaign = {**(values.pop("campaign", None) or {}), "countersign": True}
    held = await sealed(book, trust, campaign=campaign, **values)
    by = await supervisor(book, f"sol{held.id}")
    async with book.writing() as w:
        await countersigning.approve(w, held.quote_id, by)
    await countersignature_made(book, trust, held)
    return await now(book, held)


async def countersignature_made(book: Book, trust: TrustProvider, held: Signing) -> None:
    async with book.writing() as w:
        order = await countersigning.order(w, held.id)
    document = await _seal(trust, order)
    async with book.writing() as w:
        await countersigning.countersigned(w, held.id, document)
    await attested(book, trust, held)


async def attested(book: Book, trust: TrustProvider, held: Signing) -> None:
    """The certificate ordered last is made."""
    async with book.writing() as w:
        delivery = await w.session.scalar(select(Delivery).where(
            Delivery.kind == DeliveryKind.attest, Delivery.signing_id == held.id).order_by(Delivery.id.desc()))
        assert delivery is not None
        found = await attesting.material(w, delivery)
    certificate = await _seal(trust, attesting.drawn(found))
    async with book.writing() as w:
        await attesting.attested(w, delivery, certificate)


async def newest_version(book: Book, held: Signing) -> bytes:
    """The signed document as the customer is given it."""
    async with book.reading() as r:
        found = await archives.newest(r.session, held.id)
        content = await blobs.content(r.session, found.sha256 if found else held.sealed_sha256)
    assert content is not None
    return content
