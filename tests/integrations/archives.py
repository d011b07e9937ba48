"""A company's authority, offers sealed and archived by it, and those who judge the files without us."""

import dataclasses
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typst
from asn1crypto import cms, parser

from integrations.trust import authority as made
from integrations.trust.archiving import archive
from integrations.trust.sealing import seal
from integrations.trust.services import Anchors
from router.ports import Archived, ArchiveOrder, Authority, CrlOrder, Revoked, SealOrder

OFFER = b"#set document(title: [Offer])\n= Offer\nTotal 49,90 EUR"


def offer(words: str = "") -> bytes:
    return typst.compile(OFFER + words.encode(), pdf_standards=["a-3a"])


def crls(one: Authority, at: datetime | None = None, *revoked: Revoked) -> tuple[bytes, bytes]:
    """The lists of issuing and root, as published an hour before `at` (now)."""
    issued = (at or datetime.now(UTC)) - timedelta(hours=1)
    keys = ((one.keys.issuing_certificate, one.issuing_key), (one.keys.root_certificate, one.root_key))
    first, second = (
        made.issue_crl(CrlOrder(certificate, key, 1, issued, issued + timedelta(days=7), revoked if n == 0 else ()))
        for n, (certificate, key) in enumerate(keys)
    )
    return first, second


def sealed(one: Authority, pdf: bytes, serial: int = 41) -> bytes:
    return seal(SealOrder(pdf, b'{"offer":1}', one.keys, serial, "Reason", "https://sign.example.com")).pdf


def order(one: Authority, pdf: bytes, serial: int = 42, **values: object) -> ArchiveOrder:
    return dataclasses.replace(ArchiveOrder(pdf, one.keys, crls(one), serial), **values)  # type: ignore[arg-type]


def archived(one: Authority, pdf: bytes, serial: int = 42) -> Archived:
    return archive(order(one, pdf, serial), anchors(one))


def anchors(one: Authority) -> Anchors:
    return Anchors(one.keys.root_certificate)


def signatures(pdf: bytes) -> list[tuple[bytes, bytes]]:
    """Of every signature and timestamp in the file: its DER and the bytes it covers, in their order."""
    found = []
    for ranges in re.finditer(rb"/ByteRange ?\[ ?(\d+) (\d+) (\d+) (\d+)", pdf):
        start, length, second, rest = (int(number) for number in ranges.groups())
        padded = bytes.fromhex(pdf[length + 1 : second - 1].decode())
        found.append((padded[: parser.peek(padded)], pdf[start:length] + pdf[second : second + rest]))
    return found


def run(directory: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def openssl_agrees(one: Authority, pdf: bytes, folder: Path) -> int:
    """Openssl accepts the seal, its timestamp and every archive timestamp; how many timestamps those were."""
    (folder / "root.pem").write_bytes(one.keys.root_certificate)
    (folder / "issuing.pem").write_bytes(one.keys.issuing_certificate)
    stamps = 0
    for der, covered in signatures(pdf):
        signed = cms.ContentInfo.load(der)["content"]
        (folder / "covered.bin").write_bytes(covered)
        if signed["encap_content_info"]["content_type"].native == "tst_info":
            (folder / "token.tst").write_bytes(der)
        else:
            (folder / "sig.cms").write_bytes(der)
            check = "openssl cms -verify -inform DER -in sig.cms -content covered.bin -CAfile root.pem -purpose any"
            assert "successful" in run(folder, *check.split(), "-binary", "-out", "/dev/null").lower()
            info = signed["signer_infos"][0]
            token = next(a for a in info["unsigned_attrs"] if a["type"].native == "signature_time_stamp_token")
            (folder / "token.tst").write_bytes(token["values"][0].dump())
            (folder / "covered.bin").write_bytes(info["signature"].native)
        check = "openssl ts -verify -data covered.bin -in token.tst -token_in -CAfile root.pem -untrusted issuing.pem"
        assert "Verification: OK" in run(folder, *check.split())
        stamps += 1
    return stamps


def pdfsig_says(one: Authority, pdf: bytes, folder: Path) -> str:
    """What pdfsig prints about the file when it trusts our root."""
    (folder / "root.pem").write_bytes(one.keys.root_certificate)
    (folder / "file.pdf").write_bytes(pdf)
    if not (folder / "nss").exists():
        (folder / "nss").mkdir()
        run(folder, "certutil", "-N", "-d", "sql:nss", "--empty-password")
        run(folder, *["certutil", "-A", "-d", "sql:nss", "-n", "root", "-t", "CT,C,C", "-i", "root.pem"])
    return run(folder, "pdfsig", "-nssdir", "nss", "file.pdf")
