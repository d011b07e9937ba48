import dataclasses
import hashlib
import io
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pypdf
import pytest
import typst
from asn1crypto import cms, parser, pem, tsp, x509
from cryptography.hazmat.primitives import serialization
from pyhanko.sign.timestamps.common_utils import TimestampRequestError

from integrations.trust.authority import make_authority
from integrations.trust.sealing import seal
from integrations.trust.timestamps import POLICY, EmbeddedTimestamper
from router.ports import Authority, Refused, SealOrder

EVIDENCE = '{"offer":"2026-7","firma":"Íñigo"}'.encode()
STAMPED_AT = datetime(2026, 11, 24, 9, 30, 15, 987654, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Ñandú Ventas, S.L.", datetime.now(UTC))


@pytest.fixture(scope="module")
def order(authority: Authority) -> SealOrder:
    pdf = typst.compile(b"#set document(title: [Offer])\n= Offer\nTotal 49,90 EUR", pdf_standards=["a-3a"])
    return SealOrder(pdf, EVIDENCE, authority.keys, 41, "Seal on evidence", "https://sign.example.com")


def signature(pdf: bytes) -> tuple[bytes, bytes, cms.SignedData]:
    """The signature's DER, the bytes it covers, and what it says."""
    found = re.search(rb"/ByteRange ?\[(\d+) (\d+) (\d+) (\d+)", pdf)
    assert found
    start, length, second, rest = (int(number) for number in found.groups())
    padded = bytes.fromhex(pdf[length + 1 : second - 1].decode())
    der = padded[: parser.peek(padded)]
    return der, pdf[start:length] + pdf[second : second + rest], cms.ContentInfo.load(der)["content"]


def token(signed: cms.SignedData) -> cms.ContentInfo:
    attributes = signed["signer_infos"][0]["unsigned_attrs"]
    return next(one for one in attributes if one["type"].native == "signature_time_stamp_token")["values"][0]


def test_the_sealed_file_begins_with_the_offer_byte_for_byte(order: SealOrder) -> None:
    sealed = seal(order)
    assert sealed.pdf[: len(order.pdf)] == order.pdf
    assert (sealed.level, sealed.time_source) == ("PAdES B-T", "internal")


def test_the_seal_certifies_and_lets_only_forms_be_filled(order: SealOrder) -> None:
    reader = pypdf.PdfReader(io.BytesIO(seal(order).pdf))
    certified = reader.trailer["/Root"]["/Perms"]["/DocMDP"]
    assert certified["/SubFilter"] == "/ETSI.CAdES.detached"
    assert certified["/Reference"][0]["/TransformParams"]["/P"] == 2
    assert (certified["/Reason"], certified["/Location"]) == ("Seal on evidence", "https://sign.example.com")
    field = reader.trailer["/Root"]["/AcroForm"]["/Fields"][0]
    assert [float(side) for side in field["/Rect"]] == [0, 0, 0, 0]


def test_the_evidence_is_attached_as_data(order: SealOrder) -> None:
    reader = pypdf.PdfReader(io.BytesIO(seal(order).pdf))
    assert reader.attachments["evidence.json"] == [EVIDENCE]
    (spec,) = reader.trailer["/Root"]["/AF"]
    assert spec["/AFRelationship"] == "/Data"


def test_the_timestamp_carries_the_serial_given_our_policy_and_one_second(order: SealOrder) -> None:
    _, _, signed = signature(seal(order).pdf)
    stamp = token(signed)["content"]
    info = stamp["encap_content_info"]["content"].parsed
    assert (info["serial_number"].native, info["policy"].native) == (41, POLICY)
    assert info["accuracy"]["seconds"].native == 1
    assert abs(info["gen_time"].native - datetime.now(UTC)) < timedelta(minutes=1)
    kinds = {one["type"].native for one in stamp["signer_infos"][0]["signed_attrs"]}
    assert "signing_certificate_v2" in kinds
    assert "signing_certificate" not in kinds
    value = signed["signer_infos"][0]["signature"].native
    assert info["message_imprint"]["hashed_message"].native == hashlib.sha256(value).digest()


def test_a_pdf_of_another_maker_is_sealed_too(order: SealOrder) -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.add_attachment("a.txt", b"older")
    data = io.BytesIO()
    writer.write(data)
    sealed = seal(dataclasses.replace(order, pdf=data.getvalue(), reason="", location=""))
    assert sealed.pdf.startswith(data.getvalue())
    assert set(pypdf.PdfReader(io.BytesIO(sealed.pdf)).attachments) == {"a.txt", "evidence.json"}


@pytest.mark.parametrize("pdf", [b"", b"hello", b"%PDF-1.7\n%%EOF\n", b"\x00" * 5000])
def test_what_is_no_pdf_is_refused_for_good(order: SealOrder, pdf: bytes) -> None:
    with pytest.raises(Refused) as refused:
        seal(dataclasses.replace(order, pdf=pdf))
    assert refused.value.permanent


def test_a_sealed_file_is_not_sealed_again(order: SealOrder) -> None:
    with pytest.raises(Refused) as refused:
        seal(dataclasses.replace(order, pdf=seal(order).pdf))
    assert refused.value.permanent


def test_an_encrypted_pdf_is_refused(order: SealOrder) -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret", algorithm="AES-256")
    data = io.BytesIO()
    writer.write(data)
    with pytest.raises(Refused) as refused:
        seal(dataclasses.replace(order, pdf=data.getvalue()))
    assert refused.value.permanent


def test_keys_that_do_not_belong_together_are_refused(order: SealOrder) -> None:
    other = make_authority("Other", datetime.now(UTC))
    keys = dataclasses.replace(order.keys, seal_key=other.keys.seal_key)
    with pytest.raises(Refused) as refused:
        seal(dataclasses.replace(order, keys=keys))
    assert refused.value.code == "bad-keys"


def test_an_expired_seal_certificate_seals_nothing_until_it_is_renewed(order: SealOrder) -> None:
    old = make_authority("Company", datetime.now(UTC) - timedelta(days=800))
    with pytest.raises(Refused) as refused:
        seal(dataclasses.replace(order, keys=old.keys))
    assert (refused.value.permanent, refused.value.code) == (False, "certificate-expired")


@pytest.mark.parametrize("serial", [0, -1])
def test_a_serial_that_no_sequence_gives_is_refused(order: SealOrder, serial: int) -> None:
    with pytest.raises(Refused):
        seal(dataclasses.replace(order, timestamp_serial=serial))


def stamper(authority: Authority, serial: int = 7) -> EmbeddedTimestamper:
    keys = authority.keys
    both = (keys.timestamp_certificate, keys.issuing_certificate)
    chain = tuple(x509.Certificate.load(pem.unarmor(one)[2]) for one in both)
    key = serialization.load_pem_private_key(keys.timestamp_key, password=None)
    return EmbeddedTimestamper(chain, key, serial=serial, clock=lambda: STAMPED_AT)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
async def test_a_token_repeats_the_nonce_and_carries_whole_seconds(authority: Authority, algorithm: str) -> None:
    nonce, request = stamper(authority).request_cms(hashlib.new(algorithm, b"x").digest(), algorithm)
    answer = await stamper(authority).async_request_tsa_response(request)
    info = answer["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    assert info["nonce"].native == nonce
    assert info["gen_time"].native == STAMPED_AT.replace(microsecond=0)
    assert info["message_imprint"]["hash_algorithm"]["algorithm"].native == algorithm


async def test_certificates_come_only_when_asked_for(authority: Authority) -> None:
    _, request = stamper(authority).request_cms(bytes(32), "sha256")
    request["cert_req"] = False
    answer = await stamper(authority).async_request_tsa_response(request)
    assert not answer["time_stamp_token"]["content"]["certificates"]


async def test_a_serial_is_given_once(authority: Authority) -> None:
    once = stamper(authority)
    await once.async_dummy_response("sha256")
    await once.async_timestamp(bytes(32), "sha256")
    with pytest.raises(TimestampRequestError):
        await once.async_timestamp(bytes(32), "sha256")


async def test_the_token_used_to_measure_is_as_long_as_any_and_is_signed_by_nobody(authority: Authority) -> None:
    dummy = await stamper(authority).async_dummy_response("sha256")
    real = await stamper(authority).async_timestamp(bytes(32), "sha256")
    assert len(real.dump()) <= len(dummy.dump()) + 1  # a nonce may begin with a zero byte
    assert not any(dummy["content"]["signer_infos"][0]["signature"].native)


async def test_every_authority_is_measured_by_a_token_of_its_own(authority: Authority) -> None:
    other = make_authority("A company with quite another name", datetime.now(UTC))
    for one in (authority, other, authority):
        dummy = await stamper(one).async_dummy_response("sha256")
        carried = {found.chosen.dump() for found in dummy["content"]["certificates"]}
        assert pem.unarmor(one.keys.timestamp_certificate)[2] in carried


@pytest.mark.parametrize(("digest", "algorithm"), [(bytes(20), "sha1"), (bytes(28), "sha224"), (bytes(31), "sha256")])
async def test_weak_and_misshapen_digests_are_not_stamped(authority: Authority, digest: bytes, algorithm: str) -> None:
    with pytest.raises(TimestampRequestError):
        await stamper(authority).async_timestamp(digest, algorithm)


async def test_a_foreign_policy_is_not_stamped_under(authority: Authority) -> None:
    _, request = stamper(authority).request_cms(bytes(32), "sha256")
    request["req_policy"] = "1.2.3.4"
    with pytest.raises(TimestampRequestError):
        await stamper(authority).async_request_tsa_response(tsp.TimeStampReq.load(request.dump()))


def run(directory: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write_certificates(order: SealOrder, directory: Path) -> None:
    (directory / "root.pem").write_bytes(order.keys.root_certificate)
    (directory / "issuing.pem").write_bytes(order.keys.issuing_certificate)


def test_openssl_accepts_signature_and_timestamp(order: SealOrder, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    der, covered, signed = signature(seal(order).pdf)
    write_certificates(order, tmp_path)
    (tmp_path / "sig.cms").write_bytes(der)
    (tmp_path / "covered.bin").write_bytes(covered)
    (tmp_path / "token.tst").write_bytes(token(signed).dump())
    (tmp_path / "value.bin").write_bytes(signed["signer_infos"][0]["signature"].native)
    check = "openssl cms -verify -inform DER -in sig.cms -content covered.bin -CAfile root.pem -purpose any -binary"
    stamp = "openssl ts -verify -data value.bin -in token.tst -token_in -CAfile root.pem -untrusted issuing.pem"
    said = run(tmp_path, *check.split(), "-out", "/dev/null")
    assert "successful" in said.lower()
    assert "Verification: OK" in run(tmp_path, *stamp.split())


def test_pdfsig_calls_the_seal_valid_and_its_certificate_trusted(order: SealOrder, tmp_path: Path) -> None:
    if shutil.which("pdfsig") is None or shutil.which("certutil") is None:
        pytest.skip("pdfsig or certutil is not installed")
    write_certificates(order, tmp_path)
    (tmp_path / "sealed.pdf").write_bytes(seal(order).pdf)
    (tmp_path / "nss").mkdir()
    run(tmp_path, "certutil", "-N", "-d", "sql:nss", "--empty-password")
    add = "certutil -A -d sql:nss -n root -t CT,C,C -i root.pem"
    run(tmp_path, *add.split())
    said = run(tmp_path, "pdfsig", "-nssdir", "nss", "sealed.pdf")
    assert "Signature is Valid." in said
    assert "Certificate is Trusted." in said
    assert "Total document signed" in said
