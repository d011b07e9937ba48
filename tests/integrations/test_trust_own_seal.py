"""A company's own seal, in a file or on a token, in place of the house's."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from integrations.trust import EmbeddedTrust
from integrations.trust.authority import chain_of, make_authority
from integrations.trust.inspection import inspect
from integrations.trust.sealing import seal
from integrations.trust.services import Anchors, FileSeal, TokenSeal
from router.ports import Authority, Inspection, Refused, SealOrder
from tests.integrations.archives import offer, pdfsig_says

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def house() -> Authority:
    return make_authority("House", datetime.now(UTC))


@pytest.fixture(scope="module")
def issuer() -> Authority:
    """The authority that certified the company."""
    return make_authority("Qualified", datetime.now(UTC))


def file_of(issuer: Authority) -> bytes:
    keys = issuer.keys
    key = serialization.load_pem_private_key(keys.seal_key, None)
    own, *others = (x509.load_pem_x509_certificate(one) for one in (
        keys.seal_certificate, keys.issuing_certificate, keys.root_certificate))  # fmt: skip
    lock = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    return pkcs12.serialize_key_and_certificates(b"seal", key, own, others, lock)  # type: ignore[arg-type]


def order(house: Authority) -> SealOrder:
    return SealOrder(offer(), b"{}", house.keys, 41, "Reason", "https://sign.example.com")


def trust_line(seen: Inspection) -> tuple[bool, str]:
    line = next(one for one in seen.checks if one.name == "trust")
    return line.holds, line.detail["code"]


def test_the_seal_in_a_pkcs12_seals_and_our_authority_still_gives_the_time(house: Authority, issuer: Authority) -> None:
    own = FileSeal(file_of(issuer), PASSPHRASE)
    made = seal(order(house), None, own)
    seen = inspect(made.pdf, Anchors(house.keys.root_certificate, chain_of(own.content, PASSPHRASE)))
    assert all(one.holds for one in seen.checks)
    assert trust_line(seen) == (True, "own-seal")
    signer = next(one for one in seen.checks if one.name == "signer")
    assert signer.detail["organization"] == "Qualified"


def test_somebody_else_under_the_same_issuer_is_not_the_company(house: Authority, issuer: Authority) -> None:
    own = chain_of(file_of(issuer), PASSPHRASE)
    seen = inspect(seal(order(house), None, FileSeal(file_of(issuer), PASSPHRASE)).pdf,
                   Anchors(house.keys.root_certificate, issuer.keys.timestamp_certificate + own))  # fmt: skip
    assert not trust_line(seen)[0]


@pytest.mark.skipif(not (shutil.which("pdfsig") and shutil.which("certutil")), reason="pdfsig or certutil is missing")
def test_pdfsig_trusts_the_companys_seal_by_its_own_issuers_root(
    house: Authority, issuer: Authority, tmp_path: Path
) -> None:
    made = seal(order(house), None, FileSeal(file_of(issuer), PASSPHRASE))
    said = pdfsig_says(issuer, made.pdf, tmp_path)
    assert "Signature is Valid." in said
    assert "Certificate is Trusted." in said


def test_a_pkcs12_with_another_passphrase_is_refused_before_anything_starts(issuer: Authority) -> None:
    with pytest.raises(Refused) as refused:
        EmbeddedTrust(own=FileSeal(file_of(issuer), "wrong"))
    assert (refused.value.permanent, refused.value.code) == (True, "bad-keys")
    assert PASSPHRASE not in repr(FileSeal(b"x", PASSPHRASE))


@pytest.fixture
def token(issuer: Authority, tmp_path: Path) -> Iterator[TokenSeal]:
    module = next((one for one in MODULES if Path(one).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM (the Debian package softhsm2) is not installed")
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(tmp_path / "softhsm2.conf")
    (tmp_path / "key.pem").write_bytes(issuer.keys.seal_key)
    for arguments in (
        ["--init-token", "--free", "--label", "House", "--pin", "1234", "--so-pin", "5678"],
        ["--import", str(tmp_path / "key.pem"), "--token", "House", "--label", "seal", "--id", "01", "--pin", "1234"],
    ):
        done = subprocess.run(["softhsm2-util", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    chain = issuer.keys.seal_certificate + issuer.keys.issuing_certificate + issuer.keys.root_certificate
    yield TokenSeal(module, "House", "seal", chain, pin="1234")
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


async def test_the_seal_on_a_token_seals_in_the_sealing_process(house: Authority, token: TokenSeal) -> None:
    trust = EmbeddedTrust(own=token)
    try:
        asked = order(house)
        made = await trust.seal(asked)
        seen = await trust.inspect(made.pdf, house.keys.root_certificate)
        again = await trust.seal(asked)
    finally:
        await trust.stop()
    assert trust_line(seen) == (True, "own-seal")
    assert all(one.holds for one in seen.checks)
    assert again.pdf.startswith(asked.pdf)


async def test_a_token_that_is_not_there_is_refused_for_now(house: Authority, token: TokenSeal) -> None:
    trust = EmbeddedTrust(own=TokenSeal(token.module, "Elsewhere", "seal", token.chain))
    try:
        with pytest.raises(Refused) as refused:
            await trust.seal(order(house))
    finally:
        await trust.stop()
    assert (refused.value.permanent, refused.value.code) == (False, "bad-token")
