"""A sealed file is made to outlast its certificates, and only what does is called so."""

import dataclasses
import io
import pickle
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pypdf
import pytest
from cryptography import x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore

from integrations.trust.archiving import archive
from integrations.trust.authority import expiries, make_authority, renewed, serial
from integrations.trust.certificates import certificate, lists
from integrations.trust.inspection import inspect
from integrations.trust.sealing import own_stamper
from router.ports import Authority, Inspection, Refused, Revoked, Stamps
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

BEGUN = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
PDF_TOOLS = shutil.which("pdfsig") and shutil.which("certutil") and shutil.which("openssl")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Ñandú Ventas, S.L.", datetime.now(UTC), "http://127.0.0.1:9/pki")


@pytest.fixture(scope="module")
def before(authority: Authority) -> bytes:
    return sealed(authority, offer())


@pytest.fixture(scope="module")
def after(authority: Authority, before: bytes) -> bytes:
    return archived(authority, before).pdf


def failing(inspection: Inspection) -> dict[str, str]:
    return {check.name: check.detail["code"] for check in inspection.checks if not check.holds}


def detail(inspection: Inspection, name: str) -> dict[str, str]:
    return dict(next(check for check in inspection.checks if check.name == name).detail)


def test_an_archived_file_holds_on_every_line_and_says_how_long(authority: Authority, before: bytes) -> None:
    kept = archived(authority, before)
    assert (kept.level, kept.time_source) == ("PAdES B-LTA", "internal")
    assert kept.until == expiries(authority.keys)["timestamp"]
    seen = inspect(kept.pdf, anchors(authority))
    assert failing(seen) == {}
    assert detail(seen, "revisions")["code"] == "archived-after"
    level = detail(seen, "level")
    assert (level["code"], level["level"], level["source"]) == ("lasting", "PAdES B-LTA", "internal")
    assert level["until"] == kept.until.isoformat()


def test_the_file_before_is_the_beginning_of_the_archived_one(before: bytes, after: bytes) -> None:
    assert after.startswith(before)
    assert len(signatures(after)) == len(signatures(before)) + 1


def test_the_archive_holds_the_issuers_lists_and_all_certificates(authority: Authority, after: bytes) -> None:
    store = pypdf.PdfReader(io.BytesIO(after)).trailer["/Root"]["/DSS"]
    issuers = [x509.load_der_x509_crl(one.get_object().get_data()).issuer for one in store["/CRLs"]]
    chain = (authority.keys.issuing_certificate, authority.keys.root_certificate)
    assert issuers == [x509.load_pem_x509_certificate(one).subject for one in chain]
    assert len(store["/Certs"]) == 4


def test_an_authority_made_before_lists_were_published_archives_too() -> None:
    old = make_authority("Company", datetime.now(UTC))
    kept = archived(old, sealed(old, offer()))
    assert failing(inspect(kept.pdf, anchors(old))) == {}
    assert kept.level == "PAdES B-LTA"


def test_a_second_archiving_adds_a_timestamp_and_keeps_all_before(authority: Authority, after: bytes) -> None:
    again = archived(authority, after, serial=43)
    assert again.pdf.startswith(after)
    assert failing(inspect(again.pdf, anchors(authority))) == {}
    assert len(signatures(again.pdf)) == 3


def test_a_flipped_byte_anywhere_in_the_archive_ends_the_level(authority: Authority, after: bytes) -> None:
    for at in range(0, len(after), 1511):
        flipped = bytearray(after)
        flipped[at] ^= 0x04
        seen = inspect(bytes(flipped), anchors(authority))
        assert failing(seen), at
        assert detail(seen, "level").get("level") != "PAdES B-LTA" or "revisions" in failing(seen), at


def test_padding_behind_an_archive_timestamp_is_no_place_to_write(authority: Authority, after: bytes) -> None:
    at = after.rindex(b"0000>")
    altered = after[:at] + b"1" + after[at + 1 :]
    assert "revisions" in failing(inspect(altered, anchors(authority)))


def test_a_change_made_before_the_archive_timestamp_is_not_covered_up_by_it(
    authority: Authority, before: bytes
) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(before), incremental=True)
    writer.add_metadata({"/Title": "Another"})
    data = io.BytesIO()
    writer.write(data)
    with pytest.raises(Refused) as refused:
        archived(authority, data.getvalue())
    assert (refused.value.permanent, refused.value.code) == (True, "not-provable")


def test_a_title_changed_in_the_revision_of_an_archive_timestamp_is_reported(
    authority: Authority, before: bytes
) -> None:
    asked = order(authority, before)
    writer = IncrementalPdfFileWriter(io.BytesIO(before))
    writer.document_meta.title = "Another"
    known = [certificate(one) for one in (asked.keys.root_certificate, asked.keys.issuing_certificate)]
    DocumentSecurityStore.supply_dss_in_writer(writer, None, certs=known, crls=lists(asked.crls))
    pdf = PdfTimeStamper(own_stamper(asked)).timestamp_pdf(writer, "sha256").getvalue()
    seen = inspect(pdf, anchors(authority))
    assert failing(seen) == {"revisions": "changed-after"}
    assert detail(seen, "level")["level"] == "PAdES B-T"


def test_what_was_added_after_the_archive_timestamp_is_reported(authority: Authority, after: bytes) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(after), incremental=True)
    writer.add_blank_page(100, 100)
    data = io.BytesIO()
    writer.write(data)
    for changed in (data.getvalue(), after + b"junk"):
        seen = inspect(changed, anchors(authority))
        assert "revisions" in failing(seen)
        assert detail(seen, "level")["level"] == "PAdES B-T"


@pytest.mark.parametrize("pdf", [b"", b"hello", b"%PDF-1.7\n%%EOF\n"])
def test_what_carries_no_seal_is_not_archived(authority: Authority, pdf: bytes) -> None:
    with pytest.raises(Refused) as refused:
        archived(authority, pdf)
    assert refused.value.permanent


def test_somebody_elses_seal_is_not_archived(authority: Authority) -> None:
    other = make_authority("Other", datetime.now(UTC))
    with pytest.raises(Refused):
        archived(authority, sealed(other, offer()))


def test_without_the_issuers_lists_nothing_is_called_archived(authority: Authority, before: bytes) -> None:
    with pytest.raises(Refused) as refused:
        archive(order(authority, before, crls=()), anchors(authority))
    assert refused.value.code in ("not-provable", "no-revocation")


def test_an_expired_list_proves_nothing(authority: Authority, before: bytes) -> None:
    stale = crls(authority, datetime.now(UTC) - timedelta(days=8))
    with pytest.raises(Refused) as refused:
        archive(order(authority, before, crls=stale), anchors(authority))
    assert refused.value.code == "not-provable"


def test_nothing_is_archived_by_our_own_timestamp_when_only_one_from_outside_is_wanted(
    authority: Authority, before: bytes
) -> None:
    with pytest.raises(Refused) as refused:
        archive(order(authority, before, stamps=Stamps.outside), anchors(authority))
    assert (refused.value.permanent, refused.value.code) == (False, "no-timestamp")


def test_a_seal_revoked_before_it_sealed_is_not_trusted_and_one_revoked_later_is(
    authority: Authority, before: bytes, after: bytes
) -> None:
    number = serial(authority.keys.seal_certificate)
    now = datetime.now(UTC)
    early, late = (crls(authority, now, Revoked(number, at, "keyCompromise")) for at in (
        now - timedelta(hours=1), now + timedelta(hours=1)))  # fmt: skip
    for pdf in (before, after):
        assert failing(inspect(pdf, anchors(authority), early))["trust"] == "revoked"
        assert failing(inspect(pdf, anchors(authority), late)) == {}


def test_a_revoked_timestamp_is_no_time_and_proves_no_archive(authority: Authority, after: bytes) -> None:
    number = serial(authority.keys.timestamp_certificate)
    lists = crls(authority, None, Revoked(number, datetime.now(UTC)))
    assert {"time", "revisions"} <= set(failing(inspect(after, anchors(authority), lists)))


@pytest.mark.skipif(not PDF_TOOLS, reason="pdfsig, certutil or openssl is not installed")
def test_openssl_and_pdfsig_agree_before_and_after(
    authority: Authority, before: bytes, after: bytes, tmp_path: Path
) -> None:
    assert openssl_agrees(authority, before, tmp_path) == 1
    assert openssl_agrees(authority, after, tmp_path) == 2
    for pdf in (before, after):
        said = pdfsig_says(authority, pdf, tmp_path)
        assert said.count("Signature is Valid.") == 1  # of timestamps over documents pdfsig has no opinion
        assert said.count("Certificate is Trusted.") == 1


JUDGE = """
import sys
from datetime import UTC, datetime
from integrations.trust.inspection import inspect
from integrations.trust.services import Anchors
root, *files = (open(name, "rb").read() for name in sys.argv[1:])
for pdf in files:
    seen = inspect(pdf, Anchors(root))
    print(datetime.now(UTC).year, *(f"{check.name}={check.holds}" for check in seen.checks))
"""
"""Our own reader, in a process whose clock was moved."""

PYHANKO = """
import asyncio, io, sys
from asn1crypto import crl, pem, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import *
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.fetchers.api import *
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

root, *rest = (open(name, "rb").read() for name in sys.argv[1:])
lists, files = [crl.CertificateList.load(one) for one in rest[:2]], rest[2:]

class Lists(CRLFetcher):
    async def fetch(self, cert, *, use_deltas=None):
        return [one for one in lists if one.issuer == cert.issuer]
    def fetched_crls(self):
        return lists
    def fetched_crls_for_cert(self, cert):
        return [one for one in lists if one.issuer == cert.issuer]

class Nothing(OCSPFetcher, CertificateFetcher):
    def fetched_responses(self):
        return []
    def fetched_responses_for_cert(self, cert):
        return []
    async def fetch_cert_issuers(self, cert):
        return
        yield
    async def fetch_crl_issuers(self, one):
        return
        yield
    def fetched_certs(self):
        return []

class Published(FetcherBackend):
    def get_fetchers(self):
        return Fetchers(Nothing(), Lists(), Nothing())

trusted = SimpleTrustManager.build(trust_roots=[x509.Certificate.load(pem.unarmor(root)[2])])
spec = SignatureValidationSpec(
    CertValidationPolicySpec(trust_manager=trusted, revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO)),
    RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.NO_HISTORICAL_FETCH, Published()),
)
for pdf in files:
    seal = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures[0]
    print(asyncio.run(ades_lta_validation(seal, PdfSignatureValidationSpec(spec))).ades_subindic.name)
"""
"""pyHanko's own judgement, with the lists published today as it would fetch them."""


def in_years(days: int, program: str, folder: Path, *names: str) -> list[str]:
    """What the program prints in a process whose clock is so many days ahead."""
    if shutil.which("faketime") is None:
        pytest.skip("faketime (the Debian package of that name) is not installed: nobody's clock can be moved")
    command = ["faketime", f"+{days} days", sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(
        [*command, *(str(folder / name) for name in names)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_after_the_seal_has_expired_the_archived_file_still_holds_and_the_sealed_one_does_not(
    authority: Authority, before: bytes, after: bytes, tmp_path: Path
) -> None:
    days = 900
    then = datetime.now(UTC) + timedelta(days=days)
    assert expiries(authority.keys)["seal"] < then < expiries(authority.keys)["timestamp"]
    issuing, root = crls(authority, then)
    named = {"root.pem": authority.keys.root_certificate, "a.crl": issuing, "b.crl": root, "b-t": before, "lta": after}
    for name, content in named.items():
        (tmp_path / name).write_bytes(content)

    ours = in_years(days, JUDGE, tmp_path, "root.pem", "b-t", "lta")
    assert ours[0].startswith(str(then.year))
    assert "trust=False" in ours[0]
    assert "False" not in ours[1]
    assert in_years(days, PYHANKO, tmp_path, *named) == ["NO_POE", "OK"]


RENEWING = """
import pickle, sys
from datetime import UTC, datetime
from integrations.trust.authority import renewed
from tests.integrations.archives import archived
kept, file, to = sys.argv[1:]
now = datetime.now(UTC)
later = renewed(pickle.load(open(kept, "rb")), now)
made = archived(later, open(file, "rb").read())
open(to, "wb").write(made.pdf)
print(made.until.isoformat())
"""


def test_an_archive_renewed_in_time_outlives_its_first_timestamps_certificate(
    authority: Authority, after: bytes, tmp_path: Path
) -> None:
    (tmp_path / "root.pem").write_bytes(authority.keys.root_certificate)
    (tmp_path / "authority").write_bytes(pickle.dumps(authority))
    (tmp_path / "once").write_bytes(after)
    (until,) = in_years(3_000, RENEWING, tmp_path, "authority", "once", "twice")
    first = expiries(authority.keys)["timestamp"]
    assert datetime.fromisoformat(until) > first + timedelta(days=365)
    days = (first - datetime.now(UTC)).days + 200
    once, twice = in_years(days, JUDGE, tmp_path, "root.pem", "once", "twice")
    assert "level=False" in once
    assert "False" not in twice
    assert (tmp_path / "twice").read_bytes().startswith(after)


def test_certificates_are_renewed_in_time_for_the_same_root() -> None:
    old = make_authority("Company", BEGUN)
    ends = expiries(old.keys)
    assert renewed(old, ends["seal"] - timedelta(days=61)) == old
    next_seal = renewed(old, ends["seal"] - timedelta(days=59))
    assert next_seal.keys.seal_key != old.keys.seal_key
    assert expiries(next_seal.keys)["seal"] > ends["seal"] + timedelta(days=600)
    assert next_seal.keys.timestamp_certificate == old.keys.timestamp_certificate

    late = ends["issuing"] - timedelta(days=700)
    later = renewed(old, late)
    assert later.keys.root_certificate == old.keys.root_certificate
    assert later.issuing_key == old.issuing_key
    assert expiries(later.keys)["issuing"] > ends["issuing"] + timedelta(days=365)
    root, issuing, stamp = (x509.load_pem_x509_certificate(one) for one in (
        later.keys.root_certificate, later.keys.issuing_certificate, later.keys.timestamp_certificate))  # fmt: skip
    issuing.verify_directly_issued_by(root)
    stamp.verify_directly_issued_by(issuing)
    x509.load_pem_x509_certificate(old.keys.seal_certificate).verify_directly_issued_by(issuing)


def test_without_the_roots_key_nothing_outlives_the_issuing_certificate() -> None:
    old = dataclasses.replace(make_authority("Company", BEGUN), root_key=b"")
    ends = expiries(old.keys)["issuing"]
    later = renewed(old, ends - timedelta(days=300), anew=True)
    assert later.keys.issuing_certificate == old.keys.issuing_certificate
    assert later.keys.timestamp_certificate == old.keys.timestamp_certificate
    assert expiries(later.keys)["seal"] == ends
