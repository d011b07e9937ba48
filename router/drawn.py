"""What the pages of a PDF of ours draw: the characters of their glyphs, in the order of drawing.

Only what typst writes is understood: pages of plain drawing with two-byte fonts that say what their glyphs mean. There
it is exact, with nothing guessed from positions, and six times quicker than a reader of all PDFs. Whatever else stands
on a page (images, forms, invisible text) makes it say None, and such a reader must be asked.
"""

import re
import struct
from collections.abc import Mapping
from typing import Any

from pypdf import PdfReader

Glyphs = Mapping[int, str]

PLAIN = rb"[^()\\\r]|\\(?:[0-3][0-7]{2}|[nrtbf()\\])"
STRING = rb"\((?:" + PLAIN + rb"|\((?:" + PLAIN + rb"|\((?:" + PLAIN + rb")*+\))*+\))*+\)"
ROW = rb"\[(?:" + STRING + rb"|[-+.\d\s])*+\]"
PROPERTIES = rb"<<(?:[^<>()]|<[\dA-Fa-f]*>|" + STRING + rb")*+>>"
END = rb"(?=[\s/\[(]|\Z)\s*"
SILENT = (
    rb"(?:[-+.\d]+\s+)*+(?:q|Q|cm|w|J|j|M|m|l|c|h|re|S|s|f|n|sc|SC|scn|SCN|g|G|rg|RG|k|K|Tm|Td|ET|EMC)" + END
    + rb"|/\w+\s*(?:" + PROPERTIES + rb"\s*BDC|BMC)" + END
    + rb"|/\w+\s+(?:cs|CS)" + END
    + rb"|0\s+Tr" + END  # filled; other ways to set text hide it or cut by it
)  # fmt: skip
STEP = re.compile(
    rb"\s*(?:(?:(?:BT" + END + rb")?(?:0\s+Tr" + END + rb")?/(?P<font>\w+)\s+[-+.\d]+\s+Tf" + END + rb")"
    + rb"|(?:(?:[-+.\d]+\s+)*+Tm" + END + rb")?(?P<shown>" + STRING + rb"|" + ROW + rb")\s*T[jJ]" + END
    + rb"|(?P<begin>BT)" + END
    + rb"|(?P<silent>(?:" + SILENT + rb")++))", re.DOTALL,
)  # fmt: skip
"""One operator with its operands, or several that say nothing."""
TWO_BYTES = re.compile(rb"1 begincodespacerange\s+<0000> <FFFF>\s+endcodespacerange")
MEANING = re.compile(rb"<([\dA-F]{4})> <((?:[\dA-F]{4})+)>")
MEANINGS = re.compile(rb"\d+ beginbfchar\s((?:" + MEANING.pattern + rb"\s)*)endbfchar")
STRINGS = re.compile(STRING, re.DOTALL)
QUOTED = re.compile(rb"\\([()\\])")


class _Unknown(Exception):
    """Something stands there which this module does not know."""


def drawn(reader: PdfReader) -> list[str] | None:
    """What each page draws; None for what is not understood to the last byte. Raises what pypdf raises."""
    fonts: dict[Any, Glyphs] = {}
    try:
        return [_page(page, fonts) for page in reader.pages]
    except (_Unknown, KeyError, struct.error, UnicodeError):
        return None


def _page(page: Any, fonts: dict[Any, Glyphs]) -> str:
    contents = page.get_contents()
    content: bytes = contents.get_data() if contents is not None else b""
    named = page["/Resources"].get("/Font", {})
    said: list[str] = []
    font: Glyphs | None = None
    at = 0
    while at < len(content):
        step = STEP.match(content, at)
        if step is None:
            raise _Unknown
        at = step.end()
        match step.lastgroup:
            case "begin":
                font = None  # what stood there before may have been undone since
            case "font":
                font = _glyphs(named.raw_get(f"/{step['font'].decode()}"), fonts)
            case "shown" if font is not None:
                said += map(font.__getitem__, _codes(step["shown"]))
            case "shown":
                raise _Unknown
    return "".join(said)


def _codes(shown: bytes) -> tuple[int, ...]:
    plain = b"".join(string[1:-1] for string in STRINGS.findall(shown))
    if QUOTED.search(plain):
        plain = QUOTED.sub(lambda found: b"\\%03o" % found[1][0], plain)
    raw = plain.decode("unicode_escape").encode("latin-1")  # the escapes let through mean the same in both
    return struct.unpack(f">{len(raw) // 2}H", raw)


def _glyphs(reference: Any, fonts: dict[Any, Glyphs]) -> Glyphs:
    """What the font says its glyphs mean."""
    if reference.idnum not in fonts:
        font = reference.get_object()
        if font["/Subtype"] != "/Type0" or font["/Encoding"] != "/Identity-H":
            raise _Unknown
        told: bytes = font["/ToUnicode"].get_data()
        rest = MEANINGS.sub(b"", told)
        if not TWO_BYTES.search(rest) or re.search(rb"begin(?:bf|cid|notdef)|usecmap", rest):
            raise _Unknown
        fonts[reference.idnum] = {
            int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be")
            for block in MEANINGS.finditer(told) for code, text in MEANING.findall(block[1])
        }  # fmt: skip
    return fonts[reference.idnum]
