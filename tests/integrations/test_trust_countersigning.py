"""The company's countersignature on what was sealed: lawful in any place among the timestamps, and nothing else is."""

import dataclasses
import io
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pypdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

from integrations.trust.authority import make_authority, renewed, serial
from integrations.trust.inspection import inspect
from integrations.trust.parts import parts
from integrations.trust.sealing import PlainWriter, _house_signer, own_stamper, seal
from router.ports import Authority, CountersignOrder, Inspection, Refused, Revoked
from tests.integrations.archives import (
    anchors,
    archived,
    crls,
    offer,
    openssl_agrees,
    order,
    pdfsig_says,
    sealed,
    signatures,
)
from tests.integrations.test_trust_archiving import JUDGE, PDF_TOOLS, detail, failing, in_years

NAME = "Sol Núñez (ventas) [2]"
REASON = "Offer 2026-1/1: countersigned for the company as supervisor"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Ñandú Ventas, S.L.", datetime.now(UTC), "http://127.0.0.1:9/pki")


def asked(authority: Authority, pdf: bytes, number: int = 60) -> CountersignOrder:
    return CountersignOrder(pdf, authority.keys, number, NAME, REASON, "https://sign.example.com")


def countersigned(authority: Authority, pdf: bytes, number: int = 60) -> bytes:
    return seal(asked(authority, pdf, number)).pdf


@pytest.fixture(scope="module")
def before(authority: Authority) -> bytes:
    return sealed(authority, offer())


@pytest.fixture(scope="module")
def after(authority: Authority, before: bytes) -> bytes:
    return countersigned(authority, before)


@pytest.fixture(scope="module")
def kept(authority: Authority, after: bytes) -> bytes:
    return archived(authority, after).pdf


def revisions(seen: Inspection) -> str:
    return detail(seen, "revisions")["code"]


def test_a_countersigned_file_begins_with_the_sealed_one_and_says_who_when_and_as_what(
    authority: Authority, before: bytes, after: bytes
) -> None:
    assert after.startswith(before)
    seen = inspect(after, anchors(authority))
    assert failing(seen) == {}
    assert revisions(seen) == "countersigned-after"
    line = detail(seen, "countersignature")
    assert (line["name"], line["reason"], line["organization"]) == (NAME, REASON, "Ñandú Ventas, S.L.")
    assert datetime.now(UTC) - datetime.fromisoformat(line["time"]) < timedelta(minutes=10)
    assert (line["source"], line["level"], detail(seen, "level")["level"]) == ("internal", "PAdES B-T", "PAdES B-T")


def test_a_file_nobody_countersigned_has_no_such_line(authority: Authority, before: bytes) -> None:
    for pdf in (before, archived(authority, before).pdf):
        assert [check.name for check in inspect(pdf, anchors(authority)).checks][-1] == "level"


def test_seal_and_countersignature_last_together_when_both_are_archived(authority: Authority, kept: bytes) -> None:
    seen = inspect(kept, anchors(authority))
    assert failing(seen) == {}
    assert revisions(seen) == "archived-and-countersigned-after"
    assert (detail(seen, "countersignature")["level"], detail(seen, "level")["level"]) == ("PAdES B-LTA",) * 2


def test_one_that_comes_after_the_archiving_is_valid_and_is_archived_with_the_rest(
    authority: Authority, before: bytes
) -> None:
    late = countersigned(authority, archived(authority, before).pdf)
    seen = inspect(late, anchors(authority))
    assert failing(seen) == {}
    assert (detail(seen, "level")["level"], detail(seen, "countersignature")["level"]) == ("PAdES B-LTA", "PAdES B-T")
    again = archived(authority, late, serial=43).pdf
    seen = inspect(again, anchors(authority))
    assert failing(seen) == {}
    assert detail(seen, "countersignature")["level"] == "PAdES B-LTA"
    assert failing(inspect(archived(authority, again, serial=44).pdf, anchors(authority))) == {}


def test_it_is_made_with_the_seal_of_its_day_and_neither_needs_the_others_certificate(
    authority: Authority, before: bytes
) -> None:
    later = renewed(authority, datetime.now(UTC), "http://127.0.0.1:9/pki", anew=True)
    both = countersigned(later, before)
    assert failing(inspect(archived(later, both).pdf, anchors(authority))) == {}
    number = serial(authority.keys.seal_certificate)
    early = crls(authority, None, Revoked(number, datetime.now(UTC) - timedelta(hours=1)))
    seen = inspect(both, anchors(authority), early)
    assert failing(seen)["trust"] == "revoked"
    assert "countersignature" not in failing(seen)


def test_a_document_is_countersigned_once(authority: Authority, after: bytes) -> None:
    with pytest.raises(Refused) as refused:
        countersigned(authority, after, 61)
    assert refused.value.permanent


def test_somebody_elses_signature_after_the_seal_is_not_the_companys(authority: Authority, before: bytes) -> None:
    other = make_authority("Other", datetime.now(UTC))
    pdf = countersigned(other, before)
    seen = inspect(pdf, anchors(authority))
    assert failing(seen) == {"revisions": "changed-after", "countersignature": "not-the-company's"}
    with pytest.raises(Refused) as refused:
        archived(authority, pdf)
    assert refused.value.code == "not-provable" or refused.value.code == "no-revocation"


def test_one_without_a_timestamp_does_not_count(authority: Authority, before: bytes) -> None:
    meta = PdfSignatureMetadata(field_name="Other", subfilter=SigSeedSubFilter.PADES)
    writer = PlainWriter(io.BytesIO(before))
    pdf = PdfSigner(meta, signer=_house_signer(authority.keys)).sign_pdf(writer).getvalue()
    assert failing(inspect(pdf, anchors(authority))) == {
        "revisions": "changed-after", "countersignature": "no-timestamp",
    }


def _signed(authority: Authority, writer: IncrementalPdfFileWriter, **spec: object) -> bytes:
    """Signed with the company's own key, by somebody who adds more than a countersignature."""
    meta = PdfSignatureMetadata(field_name="Other", subfilter=SigSeedSubFilter.PADES)
    stamper = own_stamper(dataclasses.replace(order(authority, b""), timestamp_serial=71))
    signer = PdfSigner(
        meta, signer=_house_signer(authority.keys), timestamper=stamper,
        new_field_spec=SigFieldSpec("Other", **spec) if spec else None,  # type: ignore[arg-type]
    )
    return signer.sign_pdf(writer).getvalue()


def test_what_else_is_added_in_its_revision_is_reported(authority: Authority, before: bytes) -> None:
    titled = PlainWriter(io.BytesIO(before))
    titled.document_meta.title = "Another"
    titled._update_meta = lambda: IncrementalPdfFileWriter._update_meta(titled)  # type: ignore[method-assign]
    drawn = _signed(authority, PlainWriter(io.BytesIO(before)), box=(10, 10, 200, 60))
    twice = _signed(authority, PlainWriter(io.BytesIO(countersigned(authority, before))))
    for pdf in (_signed(authority, titled), drawn, twice):
        assert failing(inspect(pdf, anchors(authority))).get("revisions") == "changed-after"
        with pytest.raises(Refused):
            archived(authority, pdf)
    plain = _signed(authority, PlainWriter(io.BytesIO(before)))
    assert failing(inspect(plain, anchors(authority))) == {}


def test_what_was_added_after_it_or_between_is_reported(authority: Authority, before: bytes, after: bytes) -> None:
    def page(pdf: bytes) -> bytes:
        writer, data = pypdf.PdfWriter(io.BytesIO(pdf), incremental=True), io.BytesIO()
        writer.add_blank_page(100, 100)
        writer.write(data)
        return data.getvalue()

    for changed in (page(after), after + b"junk", countersigned(authority, page(before))):
        assert "revisions" in failing(inspect(changed, anchors(authority)))


def test_a_flipped_byte_anywhere_is_noticed(authority: Authority, after: bytes, kept: bytes) -> None:
    for pdf, step in ((after, 1511), (kept, 3001)):
        for at in range(0, len(pdf), step):
            flipped = bytearray(pdf)
            flipped[at] ^= 0x04
            assert failing(inspect(bytes(flipped), anchors(authority))), at


def test_a_part_of_its_record_that_no_signature_covers_is_as_we_write_it(authority: Authority, after: bytes) -> None:
    at = after.rindex(b"/Contents <")
    version = after.index(b"02010131", at) + 5  # SignedData.version, before the set of digest algorithms
    altered = after[:version] + b"3" + after[version + 1 :]
    assert failing(inspect(altered, anchors(authority))) == {
        "revisions": "changed-after", "countersignature": "not-as-signed",
    }


def test_padding_behind_it_is_no_place_to_write(authority: Authority, after: bytes) -> None:
    at = after.rindex(b"0000>")
    assert "revisions" in failing(inspect(after[:at] + b"1" + after[at + 1 :], anchors(authority)))


def test_it_is_taken_apart_for_others_tools(authority: Authority, before: bytes, after: bytes, kept: bytes) -> None:
    assert parts(before, anchors(authority)).countersignature is None
    for pdf in (after, kept):
        found = parts(pdf, anchors(authority)).countersignature
        assert found is not None
        assert found.cms == signatures(pdf)[1][0]


@pytest.mark.skipif(not PDF_TOOLS, reason="pdfsig, certutil or openssl is not installed")
def test_openssl_and_pdfsig_agree(authority: Authority, after: bytes, kept: bytes, tmp_path: Path) -> None:
    assert openssl_agrees(authority, after, tmp_path) == 2
    assert openssl_agrees(authority, kept, tmp_path) == 3
    for pdf in (after, kept):
        said = pdfsig_says(authority, pdf, tmp_path)
        assert said.count("Signature is Valid.") == 2
        assert said.count("Certificate is Trusted.") >= 1


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
def test_years_later_the_archived_one_holds_on_every_line(
    authority: Authority, after: bytes, kept: bytes, tmp_path: Path
) -> None:
    for name, content in (("root.pem", authority.keys.root_certificate), ("b-t", after), ("lta", kept)):
        (tmp_path / name).write_bytes(content)
    ours = in_years(900, JUDGE, tmp_path, "root.pem", "b-t", "lta")
    assert "countersignature=False" in ours[0]
    assert "countersignature=True" in ours[1]
    assert "False" not in ours[1]
