"""For signed offers, every byte changed at many places and every later revision is caught, online and offline; and the
bundle convinces with its own text alone. HABLEMOS_PROOFS is how many offers (1 here; 50 is the measure)."""

import io
import json
import os
import random
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pypdf
import pytest

from integrations.trust import EmbeddedTrust
from router import findings, verifying
from router.actions import bundling, sealing
from router.book import Book
from router.model import bundles
from router.model.signings import Signing
from router.store import attestations, blobs
from router.wording import LOCALES, wording
from tests import closing
from tests.actions.test_bundling import followed, needs_tools
from tests.web.customer import Browser, visiting

OFFERS = int(os.environ.get("HABLEMOS_PROOFS", "1"))
PLACES = int(os.environ.get("HABLEMOS_PROOF_PLACES", "4"))
TWICE = max(1, PLACES // 2)
"""Places in each of two signatures of one document."""


@dataclass
class Proven:
    trust: EmbeddedTrust
    root: bytes
    browser: Browser

    async def online(self, pdf: bytes) -> bool:
        headers = {"Content-Type": "application/pdf", "Accept": "application/json"}
        async with self.browser.session.post(self.browser.url + "/verify", data=pdf, headers=headers) as answer:
            said = await answer.json()
        return answer.status == 200 and all(line["holds"] for line in said["lines"])

    async def offline(self, content: bytes) -> bool:
        return all(line.holds for line in await verifying.lines(self.trust, content, self.root))


@pytest.fixture
async def proven(book: Book, trust: EmbeddedTrust) -> AsyncIterator[Proven]:
    root = await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    async with visiting(book, trust, root) as browser:
        yield Proven(trust, root, browser)


async def documents(book: Book, held: Signing) -> Sequence[bytes]:
    """The signed document and its certificate."""
    async with book.reading() as r:
        kept = await attestations.of_signing(r.session, held.id)
        assert kept is not None
        found = [await blobs.content(r.session, sha256) for sha256 in (held.sealed_sha256, kept.sha256)]
    return [content for content in found if content is not None]


def flipped(content: bytes, place: int, mask: int) -> bytes:
    return content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


def changed_bytes(
    pdf: bytes, chance: random.Random, places: int = PLACES, *, newest: bool = False
) -> Iterator[tuple[str, bytes]]:
    """One byte changed: in the offer, in the seal's record, in its padding, behind it; or about the `newest`
    signature in its place."""
    begin = (pdf.rindex if newest else pdf.index)(b"/Contents <") + len(b"/Contents <")
    end = pdf.index(b">", begin)
    record = begin + len(pdf[begin:end].rstrip(b"0")) + 1
    for name, first, last in (
        ("offer", 0, begin), ("record", begin, record), ("record", begin, begin + 400), ("padding", record, end),
        ("tail", end, len(pdf)),
    ):
        for _ in range(places):
            place = chance.randrange(first, last)
            yield f"{name} at {place}", flipped(pdf, place, chance.choice((1, 2, 4, 8, 16, 32, 64, 128)))


def later_revisions(pdf: bytes) -> Iterator[tuple[str, bytes]]:
    def page(writer: pypdf.PdfWriter) -> None:
        writer.add_blank_page(100, 100)

    def title(writer: pypdf.PdfWriter) -> None:
        writer.add_metadata({"/Title": "Another"})

    def seal(writer: pypdf.PdfWriter) -> None:
        del writer.root_object["/AcroForm"]

    def file(writer: pypdf.PdfWriter) -> None:
        writer.add_attachment("more.txt", b"more")

    for change in (page, title, seal, file):
        writer, data = pypdf.PdfWriter(io.BytesIO(pdf), incremental=True), io.BytesIO()
        change(writer)
        writer.write(data)
        yield change.__name__, data.getvalue()
    for junk in (b"\n", b" ", b"% more", b"%%EOF\n", b"\0" * 5000):
        yield f"{junk[:8]!r} behind", pdf + junk
    yield "cut", pdf[:-1]
    yield "before", b"\n" + pdf


async def test_every_change_to_a_document_is_caught_online_and_offline(book: Book, proven: Proven) -> None:
    seed = secrets.randbelow(10**9)
    chance, missed, tried = random.Random(seed), [], 0  # noqa: S311  the places are no secret
    for place in range(OFFERS):
        held = await closing.sealed(book, proven.trust, **another(place))
        for pdf in await documents(book, held):
            assert await proven.online(pdf)
            assert await proven.offline(pdf)
            for name, changed in (*changed_bytes(pdf, chance), *later_revisions(pdf)):
                tried += 1
                missed += [f"{name} online"] if await proven.online(changed) else []
                missed += [f"{name} offline"] if await proven.offline(changed) else []
    assert missed == [], f"seed {seed}"
    assert tried >= OFFERS * 2 * (5 * PLACES + 11)


async def test_every_change_to_a_countersigned_document_is_caught_too(book: Book, proven: Proven) -> None:
    seed = secrets.randbelow(10**9)
    chance, missed, tried = random.Random(seed), [], 0  # noqa: S311  likewise
    for place in range(OFFERS):
        held = await closing.countersigned(book, proven.trust, **another(place))
        pdf = await closing.newest_version(book, held)
        assert await proven.online(pdf)
        assert await proven.offline(pdf)
        about = (
            *changed_bytes(pdf, chance, TWICE), *changed_bytes(pdf, chance, TWICE, newest=True), *later_revisions(pdf),
        )
        for name, changed in about:
            tried += 1
            missed += [f"{name} online"] if await proven.online(changed) else []
            missed += [f"{name} offline"] if await proven.offline(changed) else []
    assert missed == [], f"seed {seed}"
    assert tried >= OFFERS * (10 * TWICE + 11)


def another(place: int) -> dict[str, object]:
    """Another person, another brand: what must differ between offers in one database."""
    return {"phone": f"+1202555{100 + place % 100:04d}", "campaign": {"key": f"luz{place}"}, "login": f"ana{place}"}


@needs_tools
async def test_every_change_to_a_bundle_is_caught_and_the_bundle_proves_itself(
    book: Book, proven: Proven, tmp_path: Path
) -> None:
    seed = secrets.randbelow(10**9)
    chance = random.Random(seed)  # noqa: S311  likewise
    for place in range(OFFERS):
        held = await closing.sealed(book, proven.trust, **another(place))
        packed = (await bundling.make(book, proven.trust, held.id)).content
        assert await proven.offline(packed), [
            line for line in await verifying.lines(proven.trust, packed, proven.root) if not line.holds
        ]
        (tmp_path / str(place)).mkdir()
        wanted, said_ok, said = followed(packed, tmp_path / str(place))
        assert said_ok == wanted, said
        for at in [chance.randrange(len(packed)) for _ in range(5 * PLACES)]:
            assert not await proven.offline(flipped(packed, at, 1 << chance.randrange(8))), (seed, at)
        for changed in (packed + b"\n", b"\n" + packed, packed[:-1]):
            assert not await proven.offline(changed)
        await stamped_anew(proven, packed)


async def stamped_anew(proven: Proven, packed: bytes) -> None:
    """Who changes a file and writes the list of files anew lacks the timestamp; who changes the timestamp's own record
    where no signature covers it is caught, too."""
    files = bundles.unpack(packed)
    others = {name: content for name, content in files.items() if name not in (bundles.MANIFEST, bundles.STAMP)}
    for changed in ({**others, "call.json": b"{}\n"}, {**others, "more.txt": b"more"}):
        again = bundles.pack({**changed, bundles.MANIFEST: bundles.manifest(changed),
                              bundles.STAMP: files[bundles.STAMP]})
        assert not await proven.offline(again)
    token = files[bundles.STAMP]
    for at in range(0, len(token), max(1, len(token) // (4 * PLACES))):
        assert not await proven.offline(bundles.pack({**files, bundles.STAMP: flipped(token, at, 1)})), at


async def test_the_command_says_each_line_offline(book: Book, proven: Proven, tmp_path: Path) -> None:
    held = await closing.sealed(book, proven.trust)
    signed, certificate = await documents(book, held)
    packed = (await bundling.make(book, proven.trust, held.id)).content
    root = tmp_path / "root.pem"
    root.write_bytes(proven.root)

    def said(content: bytes, *options: str) -> tuple[int, dict[str, bool]]:
        file = tmp_path / "file"
        file.write_bytes(content)
        command = [sys.executable, "-m", "router", "verify", str(file), "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.returncode, {line["name"]: line["holds"] for line in json.loads(done.stdout)["lines"]}

    trusted = ("--root", str(root))
    for content in (certificate, packed):
        code, lines = said(content, *trusted)
        assert (code, all(lines.values())) == (0, True), lines
    assert {"root", "files", "manifest time", "events", "agreement", "signed.pdf integrity"} <= set(lines)
    code, lines = said(packed)
    assert (code, [name for name, holds in lines.items() if not holds]) == (1, ["root"])
    code, lines = said(flipped(signed, 9000, 1), *trusted)
    assert code == 1
    assert not lines["integrity"]


async def test_the_command_says_what_is_in_a_bundle_in_words(book: Book, proven: Proven) -> None:
    held = await closing.sealed(book, proven.trust)
    packed = (await bundling.make(book, proven.trust, held.id)).content
    for locale in LOCALES:
        holds, said = verifying.told(
            await verifying.lines(proven.trust, packed, proven.root), as_json=False, locale=locale
        )
        assert holds, said
        for code in ("as-", "%(", "stamped", "unbroken", wording().say(findings.DOUBT, locale)):
            assert code not in said
        assert f"  signed.pdf: {wording().say(findings.TITLES['integrity'], locale)}: " in said
