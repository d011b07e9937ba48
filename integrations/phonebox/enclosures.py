"""What a phone can send along with a message: small real files, made here."""

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from integrations.phonebox.bodies import bad
from integrations.phonebox.legs import new_sid
from integrations.phonebox.recordings import tone

MOST = 10
_TYPE = re.compile(r"[a-z]{1,20}/[A-Za-z0-9.+-]{1,80}")


@dataclass(frozen=True)
class Enclosure:
    """Bytes of a media type, under an id of the carrier's."""

    media_type: str
    content: bytes
    sid: str = field(default_factory=lambda: new_sid("ME"))

    def as_json(self) -> dict[str, str]:
        return {"sid": self.sid, "type": self.media_type, "base64": base64.b64encode(self.content).decode()}


def read(wanted: object) -> list[Enclosure]:
    """From the names of samples, or objects with `type` and `base64`. Raises NotPossible."""
    given = [wanted] if isinstance(wanted, str) and wanted else wanted or []
    if not isinstance(given, list) or len(given) > MOST:
        raise bad(f"'media' is a list of at most {MOST}")
    return [_one(each) for each in given]


def _one(wanted: object) -> Enclosure:
    if isinstance(wanted, str) and wanted in SAMPLES:
        return SAMPLES[wanted]()
    if isinstance(wanted, dict) and _TYPE.fullmatch(str(wanted.get("type", ""))):
        try:
            content = base64.b64decode(str(wanted.get("base64", "")), validate=True)
        except (binascii.Error, ValueError):
            raise bad("'base64' cannot be read") from None
        sid = str(wanted.get("sid") or new_sid("ME"))
        return Enclosure(str(wanted["type"]), content, sid)
    raise bad(f"a medium is one of {', '.join(SAMPLES)}, or an object with 'type' and 'base64'")


def _photo() -> Enclosure:
    """A PNG of 48 by 48 dots, half teal, half sand."""
    row = b"\0" + bytes((0, 128, 128)) * 24 + bytes((222, 203, 164)) * 24

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 48, 48, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * 48)) + chunk(b"IEND", b"")
    return Enclosure("image/png", b"\x89PNG\r\n\x1a\n" + body)


SAMPLES: dict[str, Callable[[], Enclosure]] = {
    "photo": _photo,
    "voice": lambda: Enclosure("audio/wav", tone(2)),
    "card": lambda: Enclosure("text/vcard", b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Carmen\r\nEND:VCARD\r\n"),
}
