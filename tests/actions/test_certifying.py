"""The authority keeps its certificates valid, publishes what it revoked, and its root's key can leave the house."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import text

from integrations.trust import EmbeddedTrust
from integrations.trust.authority import expiries, locked_key, make_authority, opened_key, serial
from router.actions import certifying, sealing
from router.book import Book
from router.model.authority import ISSUING, LIST_LIFE, OFFLINE_LIST_LIFE, ROOT, AuthorityRow
from router.model.errors import Conflict, Invalid
from router.ports import Authority, Refused
from router.store import authority
from tests.conftest import Clock
from tests.web.customer import visiting


@pytest.fixture
def trust() -> EmbeddedTrust:
    return EmbeddedTrust()  # none of its processes is needed here


@pytest.fixture
async def root(book: Book, trust: EmbeddedTrust) -> bytes:
    made = await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    return made


async def keep_up(book: Book, trust: EmbeddedTrust) -> None:
    async with book.writing() as w:
        await certifying.keep_up(w, trust)


async def crl(book: Book, issuer: str) -> x509.CertificateRevocationList:
    async with book.reading() as r:
        row = await authority.crl(r.session, issuer)
    assert row is not None
    return x509.load_der_x509_crl(row.content)


def number(one: x509.CertificateRevocationList) -> int:
    return one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def row(book: Book) -> AuthorityRow:
    async with book.reading() as r:
        found = await authority.find(r.session)
    assert found is not None
    return found


async def facts(book: Book, kind: str) -> Sequence[dict[str, object]]:
    async with book.reading() as r:
        rows = await r.session.rows(text("select data from facts where kind = :kind order by id"), {"kind": kind})
    return [one[0] for one in rows]


async def test_lists_are_issued_daily_for_a_week_with_a_rising_number(
    book: Book, trust: EmbeddedTrust, root: bytes, clock: Clock
) -> None:
    first = await crl(book, ISSUING)
    await keep_up(book, trust)
    assert number(await crl(book, ISSUING)) == number(first) == 1
    clock.forward(24 * 3600)
    await keep_up(book, trust)
    for issuer in (ISSUING, ROOT):
        second = await crl(book, issuer)
        assert number(second) == 2
        assert second.next_update_utc == clock() + LIST_LIFE
        assert second.last_update_utc < clock()


async def test_lists_and_certificates_are_published_and_openssl_accepts_them(
    book: Book, trust: EmbeddedTrust, root: bytes, tmp_path: Path
) -> None:
    async with visiting(book, None, root) as browser:
        for name in ("issuing.crl", "root.crl", "issuing.pem", "root.pem"):
            kind = "application/pkix-crl" if name.endswith("crl") else "application/x-pem-file"
            async with browser.session.get(f"{browser.url}/pki/{name}") as answer:
                assert (answer.status, answer.content_type) == (200, kind)
                (tmp_path / name).write_bytes(await answer.read())
    for name in ("issuing", "root"):
        command = ["openssl", "crl", "-inform", "DER", "-in", f"{name}.crl", "-CAfile", f"{name}.pem", "-noout"]
        judge = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
        assert b"verify OK" in (await judge.communicate())[1]


async def test_before_the_authority_is_made_there_is_nothing_to_publish(book: Book, trust: EmbeddedTrust) -> None:
    async with visiting(book, None, b"") as browser:
        for name in ("issuing.crl", "root.crl", "issuing.pem"):
            async with browser.session.get(f"{browser.url}/pki/{name}") as answer:
                assert answer.status == 404
    with pytest.raises(Conflict):
        await keep_up(book, trust)


async def test_certificates_say_where_the_lists_are(book: Book, root: bytes) -> None:
    kept = await row(book)
    async with book.writing() as w:
        keys = await certifying.keys_of(w)
    assert kept.issuing_certificate == keys.issuing_certificate
    places = {}
    for name in ("issuing", "seal", "timestamp"):
        certificate = x509.load_pem_x509_certificate(getattr(keys, f"{name}_certificate"))
        (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        places[name] = point.full_name[0].value if point.full_name else ""
    issuing = f"{book.public_url}/pki/issuing.crl"
    assert places == {"issuing": f"{book.public_url}/pki/root.crl", "seal": issuing, "timestamp": issuing}


async def test_the_seal_is_renewed_sixty_days_before_it_expires(
    book: Book, trust: EmbeddedTrust, root: bytes, clock: Clock
) -> None:
    before = (await row(book)).seal_until
    assert before is not None
    clock.now = before - timedelta(days=61)
    await keep_up(book, trust)
    assert (await row(book)).seal_until == before
    clock.now = before - timedelta(days=59)
    await keep_up(book, trust)
    after = (await row(book)).seal_until
    assert after is not None
    assert after > before + timedelta(days=600)
    assert await facts(book, "authority.renewed") == [{"what": ["seal"]}]
    assert await facts(book, "authority.expiring") == []
    async with book.reading() as r:
        lists = await authority.crls(r.session)
    assert certifying.ending(await row(book), lists, clock()) == []


async def test_a_revoked_seal_is_on_the_list_and_another_one_seals(
    book: Book, trust: EmbeddedTrust, root: bytes
) -> None:
    async with book.writing() as w:
        old = (await certifying.keys_of(w)).seal_certificate
    async with book.writing() as w:
        await certifying.revoke_seal(w, trust, "keyCompromise")
    async with book.writing() as w:
        new = (await certifying.keys_of(w)).seal_certificate
    issued = await crl(book, ISSUING)
    assert new != old
    entry = issued.get_revoked_certificate_by_serial_number(serial(old))
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert issued.get_revoked_certificate_by_serial_number(serial(new)) is None
    assert number(issued) == 2
    with pytest.raises(Invalid):
        async with book.writing() as w:
            await certifying.revoke_seal(w, trust, "tired of it")


async def test_the_roots_key_leaves_and_only_the_root_needs_it(
    book: Book, trust: EmbeddedTrust, root: bytes, clock: Clock
) -> None:
    async with book.writing() as w:
        key = await certifying.root_key(w)
    locked = locked_key(key, "correct horse battery")
    assert b"ENCRYPTED PRIVATE KEY" in locked
    assert opened_key(locked, "correct horse battery", root) == key
    async with book.writing() as w:
        until = await certifying.forget_root_key(w, trust)
    assert until == clock() + OFFLINE_LIST_LIFE
    async with book.writing() as w:
        with pytest.raises(Conflict):
            await certifying.root_key(w)
    assert (await row(book)).root_left_at == clock()
    clock.forward(24 * 3600)
    await keep_up(book, trust)
    assert number(await crl(book, ISSUING)) == 2
    assert (await crl(book, ROOT)).next_update_utc == until
    assert await facts(book, "authority.expiring") == []

    clock.now = until - timedelta(days=50)
    await keep_up(book, trust)
    assert [one["what"] for one in await facts(book, "authority.expiring")] == ["root.crl"]
    async with book.reading() as r:
        (said,) = certifying.ending(await row(book), await authority.crls(r.session), r.now)
    assert "use-root" in said
    async with book.writing() as w:
        later = await certifying.use_root_key(w, trust, opened_key(locked, "correct horse battery", root))
    assert (await crl(book, ROOT)).next_update_utc == later
    async with book.writing() as w:
        with pytest.raises(Conflict):
            await certifying.root_key(w)


def test_another_passphrase_and_another_roots_key_are_told_apart() -> None:
    mine, other = (make_authority(name, datetime.now(UTC)) for name in ("Mine", "Other"))
    locked = locked_key(mine.root_key, "correct horse battery")
    with pytest.raises(Refused) as refused:
        opened_key(locked, "wrong", mine.keys.root_certificate)
    assert refused.value.code == "bad-passphrase"
    with pytest.raises(Refused) as refused:
        opened_key(locked, "correct horse battery", other.keys.root_certificate)
    assert refused.value.code == "bad-keys"


async def test_the_issuing_certificate_is_renewed_with_the_roots_key_at_hand(
    book: Book, trust: EmbeddedTrust, root: bytes, clock: Clock
) -> None:
    async with book.writing() as w:
        key = await certifying.root_key(w)
        await certifying.forget_root_key(w, trust)
    before = (await row(book)).issuing_until
    assert before is not None
    clock.now = before - timedelta(days=55)
    await keep_up(book, trust)
    assert {one["what"] for one in await facts(book, "authority.expiring")} >= {"issuing", "timestamp"}
    async with book.writing() as w:
        await certifying.use_root_key(w, trust, key)
    after = (await row(book)).issuing_until
    assert after is not None
    assert after > before + timedelta(days=365)
    async with book.writing() as w:
        ends = expiries(await certifying.keys_of(w))
    assert min(ends["timestamp"], ends["seal"]) > clock() + timedelta(days=365)


async def test_an_authority_made_by_an_older_version_is_filled_in(book: Book, trust: EmbeddedTrust) -> None:
    old: Authority = make_authority("Old", datetime(2026, 11, 1, tzinfo=UTC))
    async with book.writing() as w:
        w.session.add(AuthorityRow(
            id=1, root_certificate=old.keys.root_certificate, sealed_keys=certifying.packed(w, old), created_at=w.now,
        ))  # fmt: skip
    await sealing.ensure_jobs(book, trust)
    kept = await row(book)
    assert kept.issuing_certificate == old.keys.issuing_certificate
    assert kept.seal_until == expiries(old.keys)["seal"]
    assert number(await crl(book, ISSUING)) == 1
