import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from integrations.trust.authority import make_authority
from router.ports import Authority, Refused

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Ñandú Ventas, S.L.", NOW)


def certificates(authority: Authority) -> dict[str, x509.Certificate]:
    keys = authority.keys
    return {
        "root": x509.load_pem_x509_certificate(keys.root_certificate),
        "issuing": x509.load_pem_x509_certificate(keys.issuing_certificate),
        "seal": x509.load_pem_x509_certificate(keys.seal_certificate),
        "timestamp": x509.load_pem_x509_certificate(keys.timestamp_certificate),
    }


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.Extension:
    return certificate.extensions.get_extension_for_class(kind)


def test_each_certificate_is_issued_by_the_one_above_it(authority: Authority) -> None:
    chain = certificates(authority)
    for name, above in (("root", "root"), ("issuing", "root"), ("seal", "issuing"), ("timestamp", "issuing")):
        chain[name].verify_directly_issued_by(chain[above])
        own = extension(chain[name], x509.AuthorityKeyIdentifier).value.key_identifier
        assert own == extension(chain[above], x509.SubjectKeyIdentifier).value.digest


def test_terms_are_twenty_ten_two_and_ten_years_and_none_outlives_its_issuer(authority: Authority) -> None:
    chain = certificates(authority)
    years = {name: round((one.not_valid_after_utc - NOW).days / 365.25) for name, one in chain.items()}
    assert years == {"root": 20, "issuing": 10, "seal": 2, "timestamp": 10}
    assert chain["seal"].not_valid_after_utc <= chain["issuing"].not_valid_after_utc
    assert chain["timestamp"].not_valid_after_utc <= chain["issuing"].not_valid_after_utc
    assert all(one.not_valid_before_utc == NOW - timedelta(hours=1) for one in chain.values())


def test_the_issuing_authority_may_issue_no_further_authority(authority: Authority) -> None:
    chain = certificates(authority)
    constraints = {name: extension(one, x509.BasicConstraints) for name, one in chain.items()}
    assert all(one.critical for one in constraints.values())
    assert {name: (one.value.ca, one.value.path_length) for name, one in constraints.items()} == {
        "root": (True, None),
        "issuing": (True, 0),
        "seal": (False, None),
        "timestamp": (False, None),
    }


def test_the_seal_may_commit_and_the_timestamp_may_only_stamp(authority: Authority) -> None:
    chain = certificates(authority)
    seal = extension(chain["seal"], x509.KeyUsage)
    stamp = extension(chain["timestamp"], x509.KeyUsage)
    assert (seal.value.digital_signature, seal.value.content_commitment) == (True, True)
    assert not seal.value.key_cert_sign
    assert (stamp.value.digital_signature, stamp.value.content_commitment) == (True, False)
    purpose = extension(chain["timestamp"], x509.ExtendedKeyUsage)
    assert purpose.critical
    assert list(purpose.value) == [ExtendedKeyUsageOID.TIME_STAMPING]


def test_every_key_is_p256_and_fits_its_certificate(authority: Authority) -> None:
    chain = certificates(authority)
    held = {
        "root": authority.root_key,
        "issuing": authority.issuing_key,
        "seal": authority.keys.seal_key,
        "timestamp": authority.keys.timestamp_key,
    }
    for name, data in held.items():
        key = serialization.load_pem_private_key(data, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.curve.name == "secp256r1"
        assert key.public_key() == chain[name].public_key()
    assert len(set(held.values())) == 4


def test_openssl_accepts_both_leaves_for_their_purposes(authority: Authority, tmp_path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    keys = authority.keys
    files = {"root": keys.root_certificate, "issuing": keys.issuing_certificate}
    files |= {"seal": keys.seal_certificate, "stamp": keys.timestamp_certificate}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    at = ["-attime", str(int(NOW.timestamp())), "-x509_strict", "-CAfile", "root", "-untrusted", "issuing"]
    for leaf, purpose in (("seal", "any"), ("stamp", "timestampsign")):
        command = ["openssl", "verify", *at, "-purpose", purpose, leaf]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("company", ["Ж" * 300, "a\nb\x00c\ud800 " + "d" * 90, "商" * 64, "x", "🌍" * 70], ids=range(5))
def test_a_long_or_odd_name_is_cut_to_what_a_certificate_holds(company: str) -> None:
    subject = certificates(make_authority(company, NOW))["timestamp"].subject
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        (name,) = subject.get_attributes_for_oid(kind)
        assert 1 <= len(str(name.value).encode()) <= 64
        assert str(name.value).isprintable()
    assert str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value).endswith(" Timestamp")


@pytest.mark.parametrize("company", ["", "  ", "\n\t\x00", "\u200b"])
def test_a_company_without_a_name_gets_no_authority(company: str) -> None:
    with pytest.raises(Refused) as refused:
        make_authority(company, NOW)
    assert refused.value.permanent


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(Refused):
        make_authority("Company", datetime(2026, 1, 1))  # noqa: DTZ001
