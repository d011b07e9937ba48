"""`hablemos authority`: the root's key goes offline and comes back for what only it can do."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.trust import EmbeddedTrust
from router import cli
from router.actions import certifying, sealing
from router.app import Refusal, doctor, export_root, revoke_seal, show_authority, trust_of, use_root
from router.book import Book
from router.settings import Settings, TokenAddress, WrongSetting
from tests.conftest import Clock

PASSPHRASE = "correct horse battery"


@pytest.fixture
async def settings(book: Book, database_url: str, clock: Clock) -> Settings:
    clock.now = datetime.now(UTC)  # the commands go by the database's clock
    trust = EmbeddedTrust()
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    return Settings(database_url=database_url, secret="a secret of at least thirty-two characters")


async def test_the_exported_key_is_encrypted_for_its_owner_alone_and_gone_from_the_database(
    settings: Settings, book: Book, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "root.key"
    assert await export_root(settings, file, PASSPHRASE, keep=False) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in file.read_bytes()
    assert b"BEGIN PRIVATE KEY" not in file.read_bytes()
    with pytest.raises(Refusal, match="taken offline"):
        await export_root(settings, tmp_path / "again.key", PASSPHRASE, keep=False)
    assert not (tmp_path / "again.key").exists()
    capsys.readouterr()
    assert await show_authority(settings) == 0
    assert "taken offline on" in capsys.readouterr().out
    with pytest.raises(Refusal, match="passphrase"):
        await use_root(settings, file.read_bytes(), "another one")
    assert await use_root(settings, file.read_bytes(), PASSPHRASE) == 0
    async with book.writing() as w:
        assert not certifying._opened(w, await certifying._locked(w)).root_key


async def test_a_file_that_exists_is_not_written_over_and_the_key_stays(
    settings: Settings, book: Book, tmp_path: Path
) -> None:
    file = tmp_path / "root.key"
    file.write_text("something dear")
    with pytest.raises(Refusal):
        await export_root(settings, file, PASSPHRASE, keep=False)
    assert file.read_text() == "something dear"
    async with book.writing() as w:
        assert await certifying.root_key(w)


async def test_a_copy_may_be_made_without_forgetting_the_key(settings: Settings, book: Book, tmp_path: Path) -> None:
    assert await export_root(settings, tmp_path / "root.key", PASSPHRASE, keep=True) == 0
    async with book.writing() as w:
        assert await certifying.root_key(w)


async def test_a_seal_is_revoked_for_reasons_that_exist(settings: Settings) -> None:
    with pytest.raises(Refusal):
        await revoke_seal(settings, "tired of it")
    assert await revoke_seal(settings, "keyCompromise") == 0


async def test_the_doctor_says_how_the_authority_is(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    await doctor(settings)
    assert "good for months" in capsys.readouterr().out


def test_a_short_passphrase_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    typed = tmp_path / "typed"
    typed.write_text("short\n")
    with typed.open() as given:
        monkeypatch.setattr("sys.stdin", given)
        with pytest.raises(Refusal, match="at least 12"):
            cli._passphrase(again=True)


def test_what_the_settings_say_of_seals_and_time_is_read_and_refused_by_name(tmp_path: Path) -> None:
    uri = "pkcs11:token=My%20House;object=seal?module-path=/usr/lib/softhsm.so&pin-value=1234"
    read = Settings.from_env({"HABLEMOS_SEAL_PKCS11": uri, "HABLEMOS_TSA_URLS": "https://a.example/t, http://b.example"})
    assert read.seal_pkcs11 == TokenAddress("/usr/lib/softhsm.so", "My House", "seal", "1234")
    assert "1234" not in repr(read)
    assert read.tsa_urls == ("https://a.example/t", "http://b.example")
    for name, value in (("SEAL_PKCS11", "pkcs11:token=x"), ("SEAL_PKCS11", "nonsense"), ("TSA_MODE", "sometimes"),
                        ("TSA_URLS", "ftp://a.example"), ("TSA_URLS", ",")):  # fmt: skip
        with pytest.raises(WrongSetting, match=name):
            Settings.from_env({f"HABLEMOS_{name}": value})
    (tmp_path / "no.pem").write_text("no certificates")
    for wrong in (
        Settings(tsa_mode="external"), Settings(tsa_mode="both", tsa_urls=("http://a",), tsa_roots=tmp_path / "none"),
        Settings(tsa_mode="both", tsa_urls=("http://a",), tsa_roots=tmp_path / "no.pem"),
        Settings(seal_pkcs12=tmp_path / "no.pem"), Settings(seal_pkcs11=read.seal_pkcs11),
        Settings(seal_pkcs12=tmp_path / "no.pem", seal_pkcs11=read.seal_pkcs11),
    ):
        with pytest.raises(WrongSetting, match="HABLEMOS_"):
            trust_of(wrong)
