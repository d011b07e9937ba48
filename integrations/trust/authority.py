"""The company's own authority: root, issuing, and under it the seal and the embedded timestamp authority.

EC P-256 throughout. Terms: root 20 years, issuing and timestamp 10, seal 2 (a timestamp certificate must outlive what
it vouches for; a seal is renewed). RFC 5280 for the extensions, RFC 3161 §2.3 for the timestamp's only, critical usage.
No certificate outlives its issuer. The issuing certificate is renewed for the same key, so that what was issued under
the old one, and its lists of revoked certificates, lead to the root through the new one as well.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from router.ports import Authority, CrlOrder, Refused, SealKeys

BACKDATED = timedelta(hours=1)  # a verifier's clock, or another replica's, may be behind ours
TWO_YEARS = timedelta(days=730)
TEN_YEARS = timedelta(days=3652)
TWENTY_YEARS = timedelta(days=7305)
RENEW_BEFORE = timedelta(days=60)
ISSUING_CRL, ROOT_CRL = "issuing.crl", "root.crl"
LONGEST_NAME = 64  # ub-organization-name, ub-common-name (RFC 5280 appendix A.1); bytes, as the strict count them


@dataclass(frozen=True)
class _Holder:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_authority(company: str, now: datetime, address: str = "") -> Authority:
    """The four certificates of a company, valid from an hour before `now` (aware). Refused: no name, naive time.

    `address` is where the lists of revoked certificates are published; without one they name no such place.
    """
    if now.tzinfo is None:
        raise Refused("the time must carry its zone", permanent=True, code="naive-time")
    company = _printable(company)
    if not company:
        raise Refused("an authority needs the company's name", permanent=True, code="no-name")
    root = _root(company, now)
    issuing = _issuing(company, now, root, address)
    seal = _leaf(company, "Seal", now + TWO_YEARS, issuing, now, address)
    stamp = _leaf(company, "Timestamp", now + TEN_YEARS, issuing, now, address)
    keys = SealKeys(
        root_certificate=_pem(root.certificate),
        issuing_certificate=_pem(issuing.certificate),
        seal_certificate=_pem(seal.certificate),
        seal_key=_key_pem(seal.key),
        timestamp_certificate=_pem(stamp.certificate),
        timestamp_key=_key_pem(stamp.key),
    )
    return Authority(keys=keys, root_key=_key_pem(root.key), issuing_key=_key_pem(issuing.key))


def renewed(authority: Authority, now: datetime, address: str = "", *, anew: bool = False) -> Authority:
    """The authority with new certificates for those that expire soon: the seal's sixty days before, and both the
    timestamp's and the issuing one's while a seal under them still has its full term. `anew`: a new seal in any case.

    The issuing certificate needs the root's key; without it the others end with it.
    """
    issuing = _holder(authority.keys.issuing_certificate, authority.issuing_key)
    company = _company(issuing.certificate)
    soon = now + TWO_YEARS + RENEW_BEFORE
    if _expires(issuing) < soon and authority.root_key:
        root = _holder(authority.keys.root_certificate, authority.root_key)
        issuing = _issuing(company, now, root, address, issuing.key)
    keys = replace(authority.keys, issuing_certificate=_pem(issuing.certificate))
    seal, stamp = (_certificate(one) for one in (keys.seal_certificate, keys.timestamp_certificate))
    if anew or (_ends(seal) < now + RENEW_BEFORE and _ends(seal) < _expires(issuing)):
        made = _leaf(company, "Seal", now + TWO_YEARS, issuing, now, address)
        keys = replace(keys, seal_certificate=_pem(made.certificate), seal_key=_key_pem(made.key))
    if _ends(stamp) < soon and _ends(stamp) < _expires(issuing):
        made = _leaf(company, "Timestamp", now + TEN_YEARS, issuing, now, address)
        keys = replace(keys, timestamp_certificate=_pem(made.certificate), timestamp_key=_key_pem(made.key))
    return replace(authority, keys=keys)


def expiries(keys: SealKeys) -> Mapping[str, datetime]:
    """When root, issuing, seal and timestamp expire (aware)."""
    named = {
        "root": keys.root_certificate,
        "issuing": keys.issuing_certificate,
        "seal": keys.seal_certificate,
        "timestamp": keys.timestamp_certificate,
    }
    return {name: _ends(_certificate(pem)) for name, pem in named.items()}


def serial(certificate: bytes) -> int:
    """The serial number of a certificate (PEM)."""
    return _certificate(certificate).serial_number


def issue_crl(order: CrlOrder) -> bytes:
    """The signed list of revoked certificates, DER (RFC 5280 §5)."""
    issuer = _holder(order.certificate, order.key)
    draft = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(order.at)
        .next_update(order.next_update)
        .add_extension(x509.CRLNumber(order.number), critical=False)
        .add_extension(_issued_by(issuer.key.public_key()), critical=False)
    )
    for one in order.revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at)
        if one.reason != "unspecified":  # RFC 5280 §5.3.1: left out rather than said
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(one.reason)), critical=False)
        draft = draft.add_revoked_certificate(entry.build())
    return draft.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def locked_key(key: bytes, passphrase: str) -> bytes:
    """The key (PEM) as PKCS#8 encrypted under a passphrase, PEM."""
    lock = serialization.BestAvailableEncryption(passphrase.encode())
    opened = serialization.load_pem_private_key(key, password=None)
    return opened.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def opened_key(locked: bytes, passphrase: str, certificate: bytes) -> bytes:
    """The key (PEM) out of an encrypted PKCS#8. Refused: another passphrase, or not the key of this certificate."""
    try:
        key = serialization.load_pem_private_key(locked, password=passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused("the key does not open with this passphrase", permanent=True, code="bad-passphrase") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != _certificate(certificate).public_key():
        raise Refused("this is the key of another certificate", permanent=True, code="bad-keys")
    return _key_pem(key)


def chain_of(file: bytes, passphrase: str) -> bytes:
    """The certificates in a PKCS#12, the key's own first, PEM. Raises Refused when it cannot be opened."""
    try:
        key, own, others = pkcs12.load_key_and_certificates(file, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused("the PKCS#12 does not open with its passphrase", permanent=True, code="bad-keys") from error
    if key is None or own is None:
        raise Refused("the PKCS#12 holds no key with its certificate", permanent=True, code="bad-keys")
    return b"".join(_pem(one) for one in (own, *others))


def _certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _holder(certificate: bytes, key: bytes) -> _Holder:
    opened = serialization.load_pem_private_key(key, password=None)
    if not isinstance(opened, ec.EllipticCurvePrivateKey):
        raise Refused("the authority's keys cannot be read", permanent=True, code="bad-keys")
    return _Holder(_certificate(certificate), opened)


def _ends(certificate: x509.Certificate) -> datetime:
    return certificate.not_valid_after_utc


def _expires(holder: _Holder) -> datetime:
    return _ends(holder.certificate)


def _company(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)


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


def _issuing(
    company: str, now: datetime, root: _Holder, address: str, key: ec.EllipticCurvePrivateKey | None = None
) -> _Holder:
    key = key or ec.generate_private_key(ec.SECP256R1())
    until = min(now + TEN_YEARS, _expires(root))
    draft = _draft(_name(company, "Issuing"), key, now, until).issuer_name(root.certificate.subject)
    draft = _listed(_certifying(draft, root.key.public_key(), 0), address, ROOT_CRL)
    return _Holder(draft.sign(root.key, hashes.SHA256()), key)


def _leaf(company: str, role: str, until: datetime, issuing: _Holder, now: datetime, address: str) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    stamps = role == "Timestamp"
    draft = (
        _draft(_name(company, role), key, now, min(until, _expires(issuing)))
        .issuer_name(issuing.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True, commits=not stamps), critical=True)
        .add_extension(_issued_by(issuing.key.public_key()), critical=False)
    )
    if stamps:
        draft = draft.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return _Holder(_listed(draft, address, ISSUING_CRL).sign(issuing.key, hashes.SHA256()), key)


def _listed(draft: x509.CertificateBuilder, address: str, name: str) -> x509.CertificateBuilder:
    """Says where the issuer's list of revoked certificates is found, in an address a certificate can hold."""
    if not address.isascii() or not address.startswith(("http://", "https://")):
        return draft
    place = x509.UniformResourceIdentifier(f"{address}/{name}")
    points = x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])
    return draft.add_extension(points, critical=False)


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
