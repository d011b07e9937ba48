"""The bundle of evidence: the same to the byte, free of secrets, and checked with nothing but what stands in it."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from integrations.trust import EmbeddedTrust
from router.actions import bundling, sealing
from router.book import Book
from router.model import bundles
from router.model.bundles import NoBundle
from router.model.errors import Conflict
from router.model.signings import Signing
from tests import closing

TOOLS = ("openssl", "pdfsig", "pdfdetach", "certutil", "sha256sum", "basenc")


@pytest.fixture
async def trust(book: Book, trust: EmbeddedTrust) -> EmbeddedTrust:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    return trust


async def bundle(book: Book, trust: EmbeddedTrust) -> tuple[Signing, bytes]:
    held = await closing.sealed(book, trust)
    return held, (await bundling.make(book, trust, held.id)).content


def blocks(text: str) -> list[str]:
    """The commands of a VERIFY.md, as its reader would copy them."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def followed(packed: bytes, folder: Path, name: str = "VERIFY.md") -> tuple[int, int, str]:
    """Unpacks the bundle into the empty folder and does what its text says: how many blocks, how many said OK, and
    all that was said."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    commands = blocks((folder / name).read_text())
    done = subprocess.run(["bash"], input="\n".join(commands), cwd=folder, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    return len(commands), len(re.findall(r"^OK$", said, re.MULTILINE)), said


needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)} on this machine"
)


@needs_tools
async def test_the_bundle_is_checked_by_its_own_text_alone(book: Book, trust: EmbeddedTrust, tmp_path: Path) -> None:
    _, packed = await bundle(book, trust)
    for name in ("VERIFY.md", "VERIFY.es.md"):
        folder = tmp_path / name
        folder.mkdir()
        wanted, said_ok, said = followed(packed, folder, name)
        assert said_ok == wanted >= 7, said


@needs_tools
async def test_the_text_finds_a_byte_changed_in_any_file(book: Book, trust: EmbeddedTrust, tmp_path: Path) -> None:
    _, packed = await bundle(book, trust)
    files = bundles.unpack(packed)
    for name in ("signed.pdf", "certificate.pdf", "events.jsonl", "consents/offer.txt", "manifest.json", "call.json"):
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        folder = tmp_path / name.replace("/", "-")
        folder.mkdir()
        wanted, said_ok, said = followed(bundles.pack({**files, name: bytes(changed)}), folder)
        assert said_ok < wanted, (name, said)


async def test_the_same_state_gives_the_same_bytes(book: Book, trust: EmbeddedTrust) -> None:
    held, packed = await bundle(book, trust)
    assert (await bundling.make(book, trust, held.id)).content == packed


async def test_neither_code_nor_link_stands_in_it(book: Book, trust: EmbeddedTrust) -> None:
    _, packed = await bundle(book, trust)
    secrets = [await closing.token(book), await closing.code(book)]
    text = b"".join(content for name, content in bundles.unpack(packed).items() if not name.endswith(".pdf"))
    assert [one for one in secrets if re.search(rb"(?<!\w)" + one.encode() + rb"(?!\w)", text)] == []
    # As an address or the end of one: the letters of a signature may be these by chance.
    assert re.findall(rb"(?:https?://\S*|[\s\"'(>=])/q/", text) == []


async def test_it_holds_what_was_promised(book: Book, trust: EmbeddedTrust) -> None:
    held, packed = await bundle(book, trust)
    files = bundles.unpack(packed)
    assert {
        "offer.pdf", "signed.pdf", "certificate.pdf", "evidence.json", "events.jsonl", "snapshot.html", "call.json",
        "consents/offer.txt", "consents/data.txt", "sms/1-offer.json", "sms/2-code.json", "tsa/seal.tst",
        "tsa/certificate.tst", "pki/root.pem", "pki/issuing.crl", "pki/root.crl", "manifest.json", "manifest.tst",
        "VERIFY.md", "VERIFY.es.md",
    } <= set(files)
    assert json.loads(files["sms/2-code.json"])["purpose"] == "code"
    assert json.loads(files["call.json"])["receipts"] != []
    assert files["consents/offer.txt"].decode() == held.consents[0]["text"]
    assert bundles.disagreements(files) == []
    assert bundles.events_break_at(files["events.jsonl"]) is None
    quote = await closing.quote_of(book, held)
    page = files["snapshot.html"].decode()
    assert all(line["value"] in page for line in quote.canonical or [] if line["kind"] == "total")
    assert "<script" not in page


async def test_before_the_seal_there_is_none(book: Book, trust: EmbeddedTrust) -> None:
    held = await closing.signed(book)
    with pytest.raises(Conflict):
        await bundling.make(book, trust, held.id)


def test_what_is_packed_otherwise_is_not_unpacked() -> None:
    packed = bundles.pack({"a": b"1", "b": b"2"})
    assert bundles.unpack(packed) == {"a": b"1", "b": b"2"}
    for bad in (packed + b"x", b"x" + packed, b"", b"PK", packed[:-3], packed.replace(b"a", b"c", 1)):
        with pytest.raises(NoBundle):
            bundles.unpack(bad)
    squeezed = io.BytesIO()
    with zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(200 * 1024 * 1024))
    with pytest.raises(NoBundle, match="too-large"):
        bundles.unpack(squeezed.getvalue())
