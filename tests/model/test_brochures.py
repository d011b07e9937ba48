"""What a document is by its content, and what browsers are told to call it."""

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from router.model.brochures import JPEG, PDF, PNG, Brochure, kind_of
from tests import handing


def brochure(name: str, media_type: str = PDF, names: dict[str, str] | None = None) -> Brochure:
    made = Brochure(
        campaign_id=1, name=name, media_type=media_type, size=1, sha256=b"", names=dict(names or {}),
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    made.id = 7
    return made


@pytest.mark.parametrize(("content", "kind"), [
    (b"%PDF-1.7\n", PDF), (handing.png(), PNG), (handing.JPEG, JPEG), (b"", ""), (b"PK\x03\x04", ""),
    (b"<html>%PDF-1.7", ""), (b" %PDF-1.7", ""), (b"\x89PNG\r\n\x1a\n", ""), (b"GIF89a", ""), (b"<svg/>", ""),
])
def test_the_content_says_what_a_file_is(content: bytes, kind: str) -> None:
    assert kind_of(content) == kind


@pytest.mark.parametrize(("name", "called"), [
    ("Tarifas 2027", "Tarifas 2027.pdf"), ("Тарифы «лето»", "Тарифы «лето».pdf"),
    ("../../etc/passwd", "etc-passwd.pdf"),
    ('a"; filename="x.exe', "a-; filename=-x.exe.pdf"), ("...", "7.pdf"), ("💡" * 100, "💡" * 100 + ".pdf"),
    ("a\r\nSet-Cookie: x=1", "a\r\nSet-Cookie- x=1.pdf"),
])
def test_whatever_it_is_called_a_browser_saves_one_harmless_file(name: str, called: str) -> None:
    head = brochure(name).disposition("es")
    assert head.isascii()
    assert head.isprintable()
    start, _, rest = head.partition("; filename*=UTF-8''")
    assert start == 'inline; filename="7.pdf"'
    assert not {"/", "\\", '"', ";", " "} & set(rest)
    assert unquote(rest) == called


def test_it_is_called_what_its_reader_calls_it() -> None:
    named = brochure("Tarifas", JPEG, {"en": "Tariffs"})
    assert (named.named("en"), named.named("it"), named.ending) == ("Tariffs", "Tarifas", "jpg")
