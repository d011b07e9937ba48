"""The picture of a drawn signature: small, whole, and nothing but a picture."""

import base64
import struct
import zlib

import pytest

from router.model import drawings
from router.model.errors import Invalid


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int = 40, height: int = 20, *, says: tuple[int, int] | None = None, extra: bytes = b"", depth: int = 8,
    interlaced: int = 0,
) -> bytes:
    pixels = b"".join(b"\x00" + b"\x00\x00\x00\xff" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", *(says or (width, height)), depth, 6, 0, 0, interlaced)
    parts = (chunk(b"IHDR", head), extra, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def test_a_drawing_is_kept_byte_for_byte_and_nothing_drawn_is_none() -> None:
    assert drawings.read(url(png())) == png()
    assert drawings.read("") is None


def test_what_a_program_wrote_beside_the_picture_is_dropped() -> None:
    place = chunk(b"tEXt", b"Location\x0040.4, -3.7") + chunk(b"eXIf", b"MM\x00*")
    assert drawings.read(url(png(extra=place))) == png()


@pytest.mark.parametrize(
    "given",
    [
        "nonsense", "data:image/svg+xml;base64,PHN2Zz4=", url(b""), url(b"GIF89a"), url(png()[:-1]), url(png()[:40]),
        url(png() + b"more"), url(png() + png()), url(png().replace(b"IDAT", b"IDAX")), url(png(depth=16)),
        url(png(interlaced=1)), url(png(says=(40, 21))), url(png(says=(40, 19))), url(png(says=(0, 20))),
        url(png(1601, 1)), url(png(1, 801)), url(png(1600, 800, says=(1, 1))), url(png(extra=chunk(b"ABCD", b""))),
        url(png()[:60] + b"\x00" + png()[61:]), "data:image/png;base64,é", url(bytes(60_000)),
        "data:image/png;base64,*",
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_name(given: str) -> None:
    with pytest.raises(Invalid) as refused:
        drawings.read(given)
    assert refused.value.pointer == "/drawing"


def test_a_picture_that_unpacks_to_more_than_it_says_is_not_unpacked() -> None:
    bomb = zlib.compress(b"\x00" * 40_000_000, 9)
    head = struct.pack(">IIBBBBB", 10, 10, 8, 6, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    assert len(content) < drawings.MOST_BYTES
    with pytest.raises(Invalid):
        drawings.read(url(content))
