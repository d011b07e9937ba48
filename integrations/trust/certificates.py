"""Certificates and lists of revoked ones as pyHanko takes them. Imported by the workers only."""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from asn1crypto import cms, crl, pem, x509
from pyhanko_certvalidator import ValidationContext

from integrations.trust.lengths import mend

mend()


def certificate(data: bytes) -> x509.Certificate:
    """One certificate, PEM."""
    return x509.Certificate.load(der(data))


def certificates(bundle: bytes) -> list[x509.Certificate]:
    """Those of a PEM file, in its order."""
    return [x509.Certificate.load(found) for _, _, found in pem.unarmor(bundle, multiple=True)] if bundle else []


def der(data: bytes) -> bytes:
    _, _, found = pem.unarmor(data)
    return bytes(found)


def lists(crls: Iterable[bytes]) -> list[crl.CertificateList]:
    return [crl.CertificateList.load(one) for one in crls]


def carried(signed: cms.SignedData) -> list[x509.Certificate]:
    """The certificates that came with a signature."""
    return [one.chosen for one in signed["certificates"] if one.name == "certificate"]


def trusting(roots: Sequence[x509.Certificate], moment: datetime | None = None) -> ValidationContext:
    """Trusts these roots, as of a moment (aware; now without one). Nothing is fetched."""
    return ValidationContext(trust_roots=list(roots), allow_fetching=False, moment=moment)


def leads_to_a_root(status: Mapping[str, Any]) -> bool:
    """Whether pyHanko's findings on a signature say so. A path alone does not: it is told, too, when what is signed in
    it does not hold."""
    return status.get("validation_path") is not None and status.get("trust_problem_indic") is None


def revoked_since(one: x509.Certificate, crls: Iterable[crl.CertificateList]) -> datetime | None:
    """Since when a certificate is revoked by lists of its issuer; None when it is not. The lists are the caller's own:
    their signatures are not looked at."""
    for issued in crls:
        if issued.issuer == one.issuer:
            for entry in issued["tbs_cert_list"]["revoked_certificates"]:
                if entry["user_certificate"].native == one.serial_number:
                    return entry["revocation_date"].native
    return None
