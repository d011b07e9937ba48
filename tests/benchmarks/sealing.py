"""From the signature to the sealed document in the customer's hands, seals a second, and how the house's event loop
fares meanwhile; and what rendering, sealing and archiving cost beside the bare calls of the libraries.

The bare calls stand in this file. They are made in the same run and in alternation, with fonts, keys, certificates
and lists read beforehand, and look at nothing: ours check that the page says what it should, keep keys and strangers'
bytes in processes of their own, and prove what they call archived. The fourth comparison is with a bare call whose
result pyHanko judges. The lag of the event loop is how much later than planned a task wakes that sleeps a millisecond
at a time, while seals are made one after the other.
Run with `python -m tests.benchmarks.sealing [--quick]`.
"""

import argparse
import asyncio
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import typst
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives import serialization
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.dss import async_add_validation_info
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleCertificateStore, SimpleTrustManager
from sqlalchemy import select

from integrations.trust import EmbeddedTrust
from integrations.trust.certificates import certificate, der, lists
from integrations.trust.timestamps import EmbeddedTimestamper
from router import app, printing
from router.actions import inviting, quoting, sealing, signing
from router.book import Book
from router.courier import Courier
from router.embedded import EmbeddedPostgres
from router.live import Hub
from router.model.campaigns import Queue
from router.model.quotes import Quote
from router.model.signings import Signing
from router.model.tasks import TaskState
from router.model.vault import Vault
from router.paths import FONTS, TEMPLATES
from router.ports import ArchiveOrder, SealOrder
from router.store import authority, blobs
from router.store.db import make_engine, make_reading_engine
from router.store.migrations import migrate
from tests import closing, making
from tests.outside import RecordingCarrier

GOAL_RATIO, GOAL_LAG = 1.3, 0.010
AREAS = ("202", "305", "212")


# --- the bare calls --------------------------------------------------------------------------------------------------


@cache
def fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])


def bare_render(lines: Sequence[dict[str, str]]) -> bytes:
    data = {"lines": lines, "lang": "es", "title": "Offer", "author": "Luz", "year": 2026, "month": 11, "day": 23}
    return typst.compile(
        TEMPLATES / "pdf" / "offer.typ", root=TEMPLATES / "pdf", font_paths=fonts(),
        sys_inputs={"data": json.dumps(data)}, pdf_standards=printing.STANDARDS,
        timestamp=int(time.time()),  # type: ignore[arg-type]
    )


class Bare:
    """Signer, timestamps and lists, parsed once."""

    def __init__(self, order: ArchiveOrder) -> None:
        keys = order.keys
        self.issuing, self.stamp = certificate(keys.issuing_certificate), certificate(keys.timestamp_certificate)
        self.stamp_key: Any = serialization.load_pem_private_key(keys.timestamp_key, None)
        registry = SimpleCertificateStore()
        registry.register(self.issuing)
        key = asn1_keys.PrivateKeyInfo.load(der(keys.seal_key))
        self.signer = SimpleSigner(certificate(keys.seal_certificate), key, registry, embed_roots=False)
        self.root, self.crls = certificate(keys.root_certificate), lists(order.crls)

    def stamper(self) -> EmbeddedTimestamper:
        return EmbeddedTimestamper((self.stamp, self.issuing), self.stamp_key, serial=1)

    def seal(self, pdf: bytes) -> bytes:
        metadata = PdfSignatureMetadata(
            field_name="Seal", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES, certify=True,
            docmdp_permissions=MDPPerm.FILL_FORMS,
        )
        signer = PdfSigner(metadata, signer=self.signer, timestamper=self.stamper())
        return bytes(asyncio.run(signer.async_sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)))).getbuffer())

    def archive(self, pdf: bytes) -> bytes:
        return asyncio.run(self._archive(pdf))

    async def _archive(self, pdf: bytes) -> bytes:
        known = ValidationContext(
            trust_roots=[self.root], crls=self.crls, allow_fetching=False, revocation_mode="require")
        seal = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures[0]
        informed = await async_add_validation_info(seal, known)
        stamped = PdfTimeStamper(self.stamper()).async_timestamp_pdf(
            IncrementalPdfFileWriter(informed), "sha256", validation_context=known)
        return bytes((await stamped).getbuffer())

    def archive_and_judge(self, pdf: bytes) -> None:
        """What it takes to know that the result is one: pyHanko's own judgement of it (ETSI EN 319 102-1, 5.6.3)."""
        trusted = SimpleTrustManager.build(trust_roots=[self.root])
        spec = PdfSignatureValidationSpec(SignatureValidationSpec(
            CertValidationPolicySpec(trust_manager=trusted, revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO)),
            RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
        ))  # fmt: skip
        seal = PdfFileReader(BytesIO(self.archive(pdf))).embedded_regular_signatures[0]
        judged = asyncio.run(ades_lta_validation(seal, spec))
        assert judged.ades_subindic is AdESPassed.OK
        assert judged.oldest_evidence_record_timestamp is not None


# --- what is measured ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sizes:
    """Offers signed one after the other, offers signed at once, and how often each call is made."""

    paced: int = 60
    at_once: int = 40
    calls: int = 40
    warm: int = 5


QUICK = Sizes(paced=10, at_once=8, calls=10, warm=2)


@dataclass
class Found:
    """Seconds: from signature to document; ours and bare by name; and the event loop's lags. Seals a second."""

    hands: list[float] = field(default_factory=list)
    rate: float = 0.0
    ours: dict[str, list[float]] = field(default_factory=dict)
    bare: dict[str, list[float]] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)

    def ratio(self, name: str) -> float:
        return statistics.median(self.ours[name]) / statistics.median(self.bare[name])


async def measure(url: str, sizes: Sizes) -> Found:
    found = Found()
    engine, reading = make_engine(url, connections=8), make_reading_engine(url)
    book = Book(engine, Hub(), Vault("x" * 32), "http://127.0.0.1:8080", reading=reading)
    trust = EmbeddedTrust()
    await trust.start()
    try:
        await sealing.ensure_authority(book, trust, "Luz Clara SL")
        await sealing.ensure_jobs(book, trust)
        async with book.writing() as w:
            queue = await making.queue(w, await making.campaign(w))
        asked = await orders(book, queue, trust)
        await in_hands(book, queue, trust, sizes, found)
        await beside_bare(trust, asked, sizes, found)
    finally:
        await trust.stop()
        await reading.dispose()
        await engine.dispose()
    return found


async def in_hands(book: Book, queue: Queue, trust: EmbeddedTrust, sizes: Sizes, found: Found) -> None:
    """The whole way: the customer signs, the courier has it sealed, the document is read by its link's holder."""
    courier = Courier(book, RecordingCarrier(), trust, "bench")
    count = sizes.warm + sizes.paced + sizes.at_once
    ready = [await ready_to_sign(book, queue, number) for number in range(1, count + 1)]
    await courier.sweep()  # the texts of the ceremony are out of the way
    for place, held in enumerate(ready[: sizes.warm + sizes.paced]):
        began = await signed(book, held)
        await given(book, held, courier)
        if place >= sizes.warm:
            found.hands.append(time.perf_counter() - began)
    last = ready[sizes.warm + sizes.paced :]
    for held in last:
        await signed(book, held)
    began = time.perf_counter()
    for held in last:
        await given(book, held, courier)
    found.rate = len(last) / (time.perf_counter() - began)


async def ready_to_sign(book: Book, queue: Queue, number: int) -> Signing:
    """An offer whose code was given: only the signature is missing."""
    async with book.writing() as w:
        lead = await making.lead(w, queue, f"+1{AREAS[number // 100]}55501{number % 100:02d}")
        agent = await making.agent(w, f"ana{number}")
        await making.task(w, queue, lead, agent_id=agent.id, state=TaskState.engaged)
        quote = await quoting.draft(w, agent_id=agent.id, lead_id=lead.id, lines=closing.LINES)
    await quoting.send_offer(book, quote.id, agent.id)
    async with book.writing() as w:
        opened = await signing.open_link(w, await closing.token(book), closing.CUSTOMER)
    assert opened is not None
    held = opened[0]
    async with book.writing() as w:
        await inviting.send_code(w, held)
    async with book.writing() as w:
        await signing.give_code(w, held, await closing.code(book), closing.CUSTOMER)
    return await closing.now(book, held)


async def signed(book: Book, held: Signing) -> float:
    async with book.writing() as w:
        await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, closing.CUSTOMER)
    return time.perf_counter()


async def given(book: Book, held: Signing, courier: Courier) -> None:
    """Until the customer has the document. A sweep that comes a moment too early finds nothing due yet."""
    document = None
    while document is None:
        await courier.sweep()
        async with book.writing() as w:
            document = await signing.fetch_copy(w, held, closing.CUSTOMER)
    assert document.startswith(b"%PDF")


Orders = tuple[SealOrder, ArchiveOrder, list[dict[str, str]]]


async def beside_bare(trust: EmbeddedTrust, asked: Orders, sizes: Sizes, found: Found) -> None:
    order, archive, lines = asked
    bare = Bare(archive)
    serials = iter(range(1, 10_000))

    def another() -> list[dict[str, str]]:
        """An offer that was not printed before: typst remembers what it has laid out."""
        number = next(serials)
        return [line | {"value": f"{line['value']} {number}"} if line["value"] else line for line in lines]

    async def render() -> object:
        return await asyncio.to_thread(printing.offer, another(), "es", "Luz", datetime.now(UTC))

    async def seal() -> object:
        return await trust.seal(dataclasses.replace(order, timestamp_serial=next(serials)))

    async def keep() -> object:
        return await trust.archive(dataclasses.replace(archive, timestamp_serial=next(serials)))

    pairs: list[tuple[str, Callable[[], Awaitable[object]], Callable[[], object]]] = [
        ("render", render, lambda: bare_render(another())), ("seal", seal, lambda: bare.seal(order.pdf)),
        ("B-LTA", keep, lambda: bare.archive(archive.pdf)),
        ("B-LTA proven", keep, lambda: bare.archive_and_judge(archive.pdf)),
    ]
    for name, ours, plain in pairs:
        for _ in range(sizes.warm):
            await ours()
            await asyncio.to_thread(plain)
        found.ours[name], found.bare[name] = [], []
        for _ in range(sizes.calls):
            found.ours[name].append(await timed(ours))
            found.bare[name].append(await timed(lambda: asyncio.to_thread(plain)))  # noqa: B023
    found.lags = await lags_while(seal, sizes.calls)


async def orders(book: Book, queue: Queue, trust: EmbeddedTrust) -> Orders:
    """An offer to be sealed, the same sealed and to be archived, and its lines."""
    held = await ready_to_sign(book, queue, 0)
    await signed(book, held)
    async with book.writing() as w:
        order = await sealing.seal_order(w, held.id)
    made = await trust.seal(order)
    async with book.reading() as r:
        crls = {one.issuer: one.content for one in await authority.crls(r.session)}
        quote = (await r.session.scalars(select(Quote).where(Quote.id == held.quote_id)))[0]
        assert await blobs.content(r.session, quote.pdf_sha256) == order.pdf
    archive = ArchiveOrder(made.pdf, order.keys, (crls["issuing"], crls["root"]), 1)
    return order, archive, [dict(line) for line in quote.canonical]


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def lags_while(call: Callable[[], Awaitable[object]], times: int) -> list[float]:
    lags: list[float] = []

    async def watch() -> None:
        while True:
            planned = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            lags.append(max(0.0, time.perf_counter() - planned))

    watcher = asyncio.create_task(watch())
    for _ in range(times):
        await call()
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    return lags


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(found: Found) -> None:
    both = [1000 * quantile(found.hands, share) for share in (0.5, 0.99)]
    print(f"signed → sealed and in the customer's hands: p50 {both[0]:.0f} ms, p99 {both[1]:.0f} ms")
    print(f"seals a second, signed at once: {found.rate:.1f}")
    print(f"{'':14}{'ours p50':>12}{'bare p50':>12}{'ratio':>8}")
    for name, ours in found.ours.items():
        mine, plain = 1000 * statistics.median(ours), 1000 * statistics.median(found.bare[name])
        print(f"{name:14}{mine:9.1f} ms{plain:9.1f} ms{found.ratio(name):8.2f}")
    print(f"event loop's lag while sealing: p50 {1000 * quantile(found.lags, 0.5):.1f} ms, "
          f"p99 {1000 * quantile(found.lags, 0.99):.1f} ms")  # fmt: skip


def judged(found: Found) -> list[dict[str, Any]]:
    ratios: list[dict[str, Any]] = [
        {"name": name, "ratio": round(found.ratio(name), 3), "goal": GOAL_RATIO, "ok": found.ratio(name) <= GOAL_RATIO}
        for name in found.ours
    ]
    lag = quantile(found.lags, 0.99)
    return [*ratios, {"name": "lag p99 s", "ratio": round(lag, 4), "goal": GOAL_LAG, "ok": lag <= GOAL_LAG}]


async def main(quick: bool) -> int:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, EmbeddedPostgres(Path(folder)) as server:
        await migrate(server.url)
        found = await measure(server.url, QUICK if quick else Sizes())
    table(found)
    ratios = judged(found)
    well = all(one["ok"] for one in ratios)
    print(json.dumps({
        "name": "sealing", "p50_ms": round(1000 * quantile(found.hands, 0.5)),
        "p99_ms": round(1000 * quantile(found.hands, 0.99)), "seals_per_s": round(found.rate, 1),
        "ratios": ratios, "ok": well,
    }))  # fmt: skip
    return 0 if well else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    sys.exit(app.run(main(parser.parse_args().quick)))
