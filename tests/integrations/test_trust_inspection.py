import dataclasses
import io
import zlib
from datetime import UTC, datetime

import pypdf
import pytest
import typst

from integrations.trust.authority import make_authority
from integrations.trust.inspection import inspect
from integrations.trust.sealing import seal
from integrations.trust.services import Anchors
from router.ports import Authority, Inspection, SealOrder

NAMES = ["integrity", "revisions", "signer", "trust", "time", "level"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Ñandú Ventas, S.L.", datetime.now(UTC))


@pytest.fixture(scope="module")
def offer() -> bytes:
    return typst.compile(b"#set document(title: [Offer])\n= Offer\nTotal 49,90 EUR", pdf_standards=["a-3a"])


@pytest.fixture(scope="module")
def sealed(authority: Authority, offer: bytes) -> bytes:
    return seal(SealOrder(offer, b'{"offer":1}', authority.keys, 41, "Reason", "https://sign.example.com")).pdf


@pytest.fixture
def look(authority: Authority):
    return lambda pdf: inspect(pdf, Anchors(authority.keys.root_certificate))


def failing(inspection: Inspection) -> dict[str, str]:
    assert [check.name for check in inspection.checks] == NAMES
    return {check.name: check.detail["code"] for check in inspection.checks if not check.holds}


def detail(inspection: Inspection, name: str) -> dict[str, str]:
    return dict(next(check for check in inspection.checks if check.name == name).detail)


def revised(pdf: bytes, change) -> bytes:
    writer = pypdf.PdfWriter(io.BytesIO(pdf), incremental=True)
    change(writer)
    data = io.BytesIO()
    writer.write(data)
    assert data.getvalue().startswith(pdf)
    return data.getvalue()


def test_an_untouched_seal_holds_on_every_line(look, sealed: bytes) -> None:
    inspection = look(sealed)
    assert inspection.sealed
    assert failing(inspection) == {}
    assert detail(inspection, "signer")["organization"] == "Ñandú Ventas, S.L."
    assert detail(inspection, "level")["level"] == "PAdES B-T"
    time = detail(inspection, "time")
    assert (time["source"], time["serial"]) == ("internal", "41")
    assert datetime.fromisoformat(time["time"]).utcoffset() == datetime.now(UTC).utcoffset()


def test_a_flipped_byte_anywhere_in_what_is_signed_is_reported(look, sealed: bytes) -> None:
    gap = range(sealed.index(b"/Contents <") + len(b"/Contents "), sealed.rindex(b">", 0, sealed.rindex(b"/ByteRange")))
    for at in range(0, len(sealed), 397):
        if at in gap:
            continue
        flipped = bytearray(sealed)
        flipped[at] ^= 0x04
        assert failing(look(bytes(flipped))), at


def test_a_flipped_byte_in_the_offer_is_a_digest_mismatch(look, sealed: bytes) -> None:
    at = sealed.index(b"endstream") - 10
    flipped = bytearray(sealed)
    flipped[at] ^= 1
    inspection = look(bytes(flipped))
    assert failing(inspection)["integrity"] == "digest-mismatch"
    assert "level" in failing(inspection)


def test_a_byte_in_the_padding_of_the_signature_is_reported(look, sealed: bytes) -> None:
    end = sealed.index(b">", sealed.index(b"/Contents <"))
    assert sealed[end - 8 : end] == b"00000000"
    for digit in (b"1", b" "):
        altered = sealed[: end - 4] + digit + sealed[end - 3 :]
        assert "integrity" in failing(look(altered))


def test_a_told_length_of_the_signature_that_reaches_into_its_padding_is_reported(look, sealed: bytes) -> None:
    told = sealed.index(b"/Contents <3082") + len(b"/Contents <3082")
    for digit in range(4):
        for bit in (1, 2, 4, 8):
            value = int(sealed[told + digit : told + digit + 1], 16) ^ bit
            changed = sealed[: told + digit] + b"%X" % value + sealed[told + digit + 1 :]
            assert "integrity" in failing(look(changed)), (digit, bit)


@pytest.mark.parametrize("junk", [b"\n", b"junk", b"x" * 5000, b"junk\n%%EOF\n", b"%%EOF" * 500, b"\x00" * 70_000])
def test_anything_behind_the_end_is_reported_and_the_seal_still_read(look, sealed: bytes, junk: bytes) -> None:
    inspection = look(sealed + junk)
    if junk.count(b"%%EOF") <= 4:
        assert inspection.sealed
        assert failing(inspection) == {"revisions": "changed-after"}
        assert detail(inspection, "revisions")["bytes_after"] == str(len(junk))
    else:
        assert "revisions" in failing(inspection)


def add_page(writer: pypdf.PdfWriter) -> None:
    writer.add_blank_page(100, 100)


def add_title(writer: pypdf.PdfWriter) -> None:
    writer.add_metadata({"/Title": "Another"})


@pytest.mark.parametrize(("change", "kind"), [(add_page, "other"), (add_title, "lta_updates")])
def test_a_later_revision_is_reported_with_what_it_did(look, sealed: bytes, change, kind: str) -> None:
    inspection = look(revised(sealed, change))
    assert failing(inspection) == {"revisions": "changed-after"}
    assert detail(inspection, "revisions")["change"] == kind


def test_a_seal_removed_by_a_later_revision_is_reported(look, sealed: bytes) -> None:
    def remove(writer: pypdf.PdfWriter) -> None:
        del writer.root_object["/AcroForm"]

    inspection = look(revised(sealed, remove))
    assert failing(inspection) == {"revisions": "changed-after"}
    assert detail(inspection, "revisions")["change"] == "not-a-revision"


def test_a_file_without_a_seal_holds_on_no_line(look, offer: bytes) -> None:
    inspection = look(offer)
    assert not inspection.sealed
    assert failing(inspection) == dict.fromkeys(NAMES, "no-seal")


def test_somebody_elses_seal_is_intact_but_not_trusted(look, offer: bytes) -> None:
    other = make_authority("Ñandú Ventas, S.L.", datetime.now(UTC))
    foreign = seal(SealOrder(offer, b"{}", other.keys, 1, "", "")).pdf
    assert set(failing(look(foreign))) == {"trust", "time", "level"}


def test_a_timestamp_of_somebody_else_is_no_time(look, authority: Authority, offer: bytes) -> None:
    other = make_authority("Other", datetime.now(UTC)).keys
    keys = dataclasses.replace(
        authority.keys, timestamp_certificate=other.timestamp_certificate, timestamp_key=other.timestamp_key
    )
    mixed = seal(SealOrder(offer, b"{}", keys, 1, "", "")).pdf
    assert set(failing(look(mixed))) == {"time", "level"}


def bomb() -> bytes:
    """A cross-reference stream that unfolds to 4 GB."""
    packer = zlib.compressobj(9)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = block + again * 4095
    head = b"%%PDF-1.7\n1 0 obj\n<</Type/XRef/Size 1/W[1 2 1]/Root 1 0 R/Filter/FlateDecode/Length %d>>stream\n"
    return head % len(stream) + stream + b"\nendstream\nendobj\nstartxref\n9\n%%EOF\n"


@pytest.mark.parametrize(
    "pdf",
    [
        b"",
        b"%PDF-1.7",
        b"%PDF-1.7\nstartxref\n0\n%%EOF\n",
        b"%PDF-1.7\n" + b"[" * 200_000 + b"\nstartxref\n9\n%%EOF\n",
        b"%PDF-1.7\n1 0 obj\n" + b"<</A" * 50_000 + b"\nendobj\nstartxref\n9\n%%EOF\n",
        b"%PDF-1.7\nxref\n0 99999999\ntrailer<</Size 1/Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF\n",
        b"%%EOF" * 100_000,
        bytes(range(256)) * 4000,
    ],
)
def test_nonsense_is_called_unreadable_or_without_a_seal(look, pdf: bytes) -> None:
    inspection = look(pdf)
    assert not inspection.sealed
    assert set(failing(inspection)) == set(NAMES)


def test_cut_files_never_raise(look, sealed: bytes) -> None:
    for length in range(0, len(sealed), 1733):
        assert failing(look(sealed[:length]))


def test_a_bomb_is_small_to_send() -> None:
    assert len(bomb()) < 10 * 1024 * 1024


async def test_a_bomb_stays_in_the_reading_process(authority: Authority, sealed: bytes) -> None:
    from integrations.trust import EmbeddedTrust

    trust = EmbeddedTrust()
    try:
        assert not (await trust.inspect(bomb(), authority.keys.root_certificate)).sealed
        assert failing(await trust.inspect(sealed, authority.keys.root_certificate)) == {}
    finally:
        await trust.stop()
