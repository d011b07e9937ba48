"""The company's own authority: root, issuing, and under it the seal and the embedded timestamp authority.

EC P-256 throughout. Terms: root 20 years, issuing and timestamp 10, seal 2 (a timestamp certificate must outlive what
it vouches for; a seal is renewed). RFC 5280 for the extensions, RFC 3161 §2.3 for the timestamp's only, critical usage.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from router.ports import Authority, Refused, SealKeys

BACKDATED = timedelta(hours=1)  # a verifier's clock, or another replica's, may be behind ours
TWO_YEARS = timedelta(days=730)
TEN_YEARS = timedelta(days=3652)
TWENTY_YEARS = timedelta(days=7305)
LONGEST_NAME = 64  # ub-organization-name, ub-common-name (RFC 5280 appendix A.1); bytes, as the strict count them


@dataclass(frozen=True)
class _Holder:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_authority(company: str, now: datetime) -> Authority:
    """The four certificates of a company, valid from an hour before `now` (aware). Refused: no name, naive time."""
    if now.tzinfo is None:
        raise Refused("the time must carry its zone", permanent=True, code="naive-time")
    company = _printable(company)
    if not company:
        raise Refused("an authority needs the company's name", permanent=True, code="no-name")
    root = _root(company, now)
    issuing = _issuing(company, now, root)
    seal = _leaf(company, "Seal", now + TWO_YEARS, issuing, now)
    stamp = _leaf(company, "Timestamp", now + TEN_YEARS, issuing, now)
    keys = SealKeys(
        root_certificate=_pem(root.certificate),
        issuing_certificate=_pem(issuing.certificate),
        seal_certificate=_pem(seal.certificate),
        seal_key=_key_pem(seal.key),
        timestamp_certificate=_pem(stamp.certificate),
        timestamp_key=_key_pem(stamp.key),
    )
    return Authority(keys=keys, root_key=_key_pem(root.key), issuing_key=_key_pem(issuing.key))


def _printable(text: str) -> str:
    """One line without control characters, surrogates and private-use characters."""
    return " ".join("".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text).split())


def _name(company: str, role: str) -> x509.Name:
    common = _cut(company, LONGEST_NAME - len(role) - 1) + " " + role
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _cut(company, LONGEST_NAME)),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _cut(text: str, longest: int) -> str:
    return text.encode()[:longest].decode(errors="ignore").rstrip()


def _root(company: str, now: datetime) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(company, "Root")
    draft = _draft(name, key, now, now + TWENTY_YEARS).issuer_name(name)
    return _Holder(_certifying(draft, key.public_key(), None).sign(key, hashes.SHA256()), key)


def _issuing(company: str, now: datetime, root: _Holder) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    draft = _draft(_name(company, "Issuing"), key, now, now + TEN_YEARS).issuer_name(root.certificate.subject)
    return _Holder(_certifying(draft, root.key.public_key(), 0).sign(root.key, hashes.SHA256()), key)


def _leaf(company: str, role: str, until: datetime, issuing: _Holder, now: datetime) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    stamps = role == "Timestamp"
    draft = (
        _draft(_name(company, role), key, now, until)
        .issuer_name(issuing.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True, commits=not stamps), critical=True)
        .add_extension(_issued_by(issuing.key.public_key()), critical=False)
    )
    if stamps:
        draft = draft.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return _Holder(draft.sign(issuing.key, hashes.SHA256()), key)


def _draft(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _certifying(
    draft: x509.CertificateBuilder, issuer: ec.EllipticCurvePublicKey, below: int | None
) -> x509.CertificateBuilder:
    """`below`: how many authorities may stand under this one; None for any number."""
    return (
        draft.add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage(certifies=True), critical=True)
        .add_extension(_issued_by(issuer), critical=False)
    )


def _issued_by(issuer: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)


def _usage(*, signs: bool = False, commits: bool = False, certifies: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=commits,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
