"""Time and custody bought one by one, each against a twin over HTTP: openssl as the time authority, a store that
changes nothing."""

import asyncio
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from integrations.custody.depository import Depository
from integrations.http import client_session
from integrations.trust import EmbeddedTrust
from integrations.trust.asked_time import TimeAuthority
from router.ports import CustodyProvider, Refused, SealProvider, TimeProvider, Uncertain
from tests.keeping import Handler, Store, door

CONFIG = """
[tsa]
default_tsa = ours
[ours]
serial = {dir}/serial
signer_cert = {dir}/cert.pem
signer_key = {dir}/key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def conform(trust: EmbeddedTrust, time: TimeAuthority, custody: Depository) -> tuple[
    SealProvider, TimeProvider, CustodyProvider
]:
    """The house's own seal is the default one; mypy says whether each is what its port asks for."""
    return trust, time, custody


def openssl(*words: str, **options: object) -> bytes:
    done = subprocess.run(["openssl", *words], capture_output=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return bytes(done.stdout)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "serial").write_text("01")
    (tmp_path / "tsa.cnf").write_text(CONFIG.format(dir=tmp_path))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
            "/CN=Time", "-addext", "extendedKeyUsage=critical,timeStamping", "-keyout", str(tmp_path / "key.pem"),
            "-out", str(tmp_path / "cert.pem"))
    return tmp_path


def answering(authority: Path) -> Handler:
    async def reply(request: web.Request) -> web.Response:
        query = authority / "query.tsq"
        query.write_bytes(await request.read())
        words = ("ts", "-reply", "-queryfile", str(query), "-config", str(authority / "tsa.cnf"), "-out",
                 str(authority / "reply.tsr"))
        await asyncio.to_thread(openssl, *words)
        return web.Response(body=(authority / "reply.tsr").read_bytes(), content_type="application/timestamp-reply")

    return reply


async def test_a_token_of_an_authority_outside_is_about_our_digest_and_openssl_agrees(authority: Path) -> None:
    digest = hashlib.sha256(b"the head of the chain").digest()
    async with door(answering(authority)) as url, client_session() as session:
        token = await TimeAuthority(session, url).timestamp(digest)
    path = authority / "token.tst"
    path.write_bytes(token)
    said = openssl("ts", "-verify", "-digest", digest.hex(), "-in", str(path), "-token_in", "-CAfile",
                   str(authority / "cert.pem"))
    assert b"Verification: OK" in said


async def test_a_refusal_another_token_junk_and_silence_are_never_a_time(authority: Path) -> None:
    one, other = hashlib.sha256(b"one").digest(), hashlib.sha256(b"other").digest()
    replies: list[bytes] = []

    async def recorded(request: web.Request) -> web.Response:
        return web.Response(body=replies[-1], content_type="application/timestamp-reply")

    async with client_session() as session:
        async with door(answering(authority)) as url:
            await TimeAuthority(session, url).timestamp(one)
            replies.append((authority / "reply.tsr").read_bytes())
            with pytest.raises(Refused) as refused:
                await TimeAuthority(session, url).timestamp(hashlib.sha512(b"one").digest(), "sha512")
            assert refused.value.code == "rejected"
        async with door(recorded) as url:
            for digest, code in ((one, "imprint"), (other, "imprint")):
                with pytest.raises(Refused) as refused:
                    await TimeAuthority(session, url).timestamp(digest)
                assert refused.value.code == code
            for junk in (b"", b"\x30\x03\x02\x01\x00", b"<html>", replies[0] + b"\x00", replies[0][:-9]):
                replies.append(junk)
                with pytest.raises(Refused):
                    await TimeAuthority(session, url).timestamp(one)
        with pytest.raises(Refused) as refused:
            await TimeAuthority(session, url).timestamp(one)
        assert refused.value.code == "network"


async def test_a_bundle_or_its_digest_alone_is_kept_once_under_its_own_name() -> None:
    store, bundle = Store(), b"PK bundle"
    digest = hashlib.sha256(bundle).digest()
    async with door(store.take) as url, client_session() as session:
        keeper = Depository(session, f"{url}/vault", "let-me-in", "Notaría 1")
        first, again = await keeper.deposit(digest, bundle), await keeper.deposit(digest, bundle)
        await keeper.deposit(digest, None)
    assert store.kept == {
        f"/vault/{digest.hex()}.zip": bundle, f"/vault/{digest.hex()}.sha256": f"{digest.hex()}\n".encode()}
    assert (first.keeper, first.reference, again.reference) == (
        "Notaría 1", f"{url}/vault/{digest.hex()}.zip", first.reference)
    assert first.at is not None
    assert b'"status":201' in first.record


async def test_a_depository_says_what_it_did_not_take_and_another_bundle_is_never_sent() -> None:
    store, digest = Store(), hashlib.sha256(b"x").digest()
    async with door(store.take) as url, client_session() as session:
        keeper = Depository(session, url, "let-me-in", "keeper")
        with pytest.raises(Refused) as refused:
            await keeper.deposit(digest, b"another")
        assert (refused.value.permanent, store.kept) == (True, {})
        for status, permanent in ((503, False), (401, False), (507, False), (400, True)):
            store.faults = [status]
            with pytest.raises(Refused) as refused:
                await keeper.deposit(digest, b"x")
            assert (refused.value.permanent, refused.value.code) == (permanent, str(status))

        async def broken(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.close()
            return web.Response()

    async with door(broken) as url, client_session() as session:
        with pytest.raises(Uncertain):
            await Depository(session, url, "let-me-in", "keeper").deposit(digest, b"x")
