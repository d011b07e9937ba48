"""Drawings: the picture of a signature somebody drew, strictly read. What is kept of it is the picture alone."""

import base64
import binascii
import struct
import zlib

from router.model.errors import Invalid

MOST_BYTES = 50 * 1024
MOST_WIDTH, MOST_HEIGHT = 1600, 800
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PREFIX = "data:image/png;base64,"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
WRONG = "The drawing cannot be read. Nothing was signed: sign without it, or draw it again."


def read(given: str) -> bytes | None:
    """The PNG in a form's data URL, without anything in it that is no picture (place, time, programs' notes); None when
    nothing was drawn. Raises Invalid for what is no small, whole PNG of eight bits, and for one that would unpack to
    more than it says."""
    if not given:
        return None
    if not given.startswith(_PREFIX) or len(given) > MOST_BYTES * 4 // 3 + 100:
        raise Invalid(WRONG, pointer="/drawing")
    try:
        return _cleaned(base64.b64decode(given.removeprefix(_PREFIX), validate=True))
    except (ValueError, binascii.Error, struct.error, zlib.error) as error:
        raise Invalid(WRONG, pointer="/drawing") from error


def _cleaned(content: bytes) -> bytes:
    if len(content) > MOST_BYTES or not content.startswith(_SIGNATURE):
        raise ValueError("no small PNG")
    kept, names, place = [_SIGNATURE], list[bytes](), len(_SIGNATURE)
    pixels, size = zlib.decompressobj(), -1
    unpacked = 0
    while place < len(content):
        (length,), name = struct.unpack_from(">I", content, place), content[place + 4 : place + 8]
        body, end = content[place + 8 : place + 8 + length], place + 12 + length
        if end > len(content) or struct.unpack_from(">I", content, end - 4)[0] != zlib.crc32(name + body):
            raise ValueError("a broken chunk")
        if (not names) != (name == b"IHDR") or (names and names[-1] == b"IEND"):
            raise ValueError("chunks out of order")
        if name == b"IHDR":
            size = _size(body)
        elif name == b"IDAT":
            unpacked += len(pixels.decompress(body, size - unpacked + 1))
        if name in _KEPT:
            kept.append(content[place:end])
        elif not name[:1].islower():
            raise ValueError("a chunk without which the picture cannot be shown, and which is not known")
        names.append(name)
        place = end
    if names[-1:] != [b"IEND"] or unpacked != size or not pixels.eof:
        raise ValueError("not whole")
    return b"".join(kept)


def _size(header: bytes) -> int:
    """How many bytes the picture unpacks to."""
    width, height, depth, colour, packing, filters, interlaced = struct.unpack(">IIBBBBB", header)
    if not (1 <= width <= MOST_WIDTH and 1 <= height <= MOST_HEIGHT and depth == 8 and colour in _CHANNELS):
        raise ValueError("not of the kind that is drawn")
    if packing or filters or interlaced:
        raise ValueError("not of the kind that is drawn")
    return int(height * (1 + width * _CHANNELS[colour]))
