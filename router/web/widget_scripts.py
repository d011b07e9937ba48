"""The widget's scripts as they are sent: put together from their modules, packed, named after their content."""

import gzip
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from router.paths import STATIC
from router.web.widget_words import LOADER_WORDS
from router.wording import LOCALES, Wording

FOLDER = STATIC / "widget"
PANEL = ("dom.js", "proof.js", "sending.js", "slots.js", "form.js", "panel.js")
"""The panel's modules, those first that others import."""

_LITERAL = re.compile(r'("(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)', re.DOTALL)
_ROOM = re.compile(r"\s*([{}()\[\],;:?=<>|&!+*-])\s*")
_REMARK = re.compile(r"/\*.*?\*/", re.DOTALL)
_MODULE = re.compile(r"^import [^;]*;\n|^export (?!default)", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """A script as it is sent: plain and packed, with its digest."""

    plain: bytes
    packed: bytes
    digest: str

    @classmethod
    def of(cls, source: str) -> "Script":
        plain = source.encode()
        return cls(plain, gzip.compress(plain, 9, mtime=0), hashlib.sha256(plain).hexdigest()[:16])


def squeezed(source: str) -> str:
    """The script without its remarks and most of its white space.

    It relies on how our scripts are written: every statement ends with a semicolon, strings stand in double quotes or
    in backquotes without others inside, no regular expression holds a quote, and no sum of signs (`a + +b`).
    """
    lines = (line.strip() for line in source.splitlines())
    parts = _LITERAL.split("\n".join(line for line in lines if line and not line.startswith("//")))
    parts[::2] = [_ROOM.sub(r"\1", _REMARK.sub("", part)) for part in parts[::2]]
    return "".join(parts)


def _style(path: Path) -> str:
    text = _REMARK.sub("", path.read_text())
    text = re.sub(r"\s+", " ", text)
    return re.sub(r": ", ":", re.sub(r" ?([{};,]) ?", r"\1", text)).strip()


def _joined(names: Iterable[str]) -> str:
    """Several modules as one: what one exports the others see."""
    return "\n".join(_MODULE.sub("", (FOLDER / name).read_text()) for name in names)


@cache
def panel() -> Script:
    """The form and the times to choose from, loaded at the first press."""
    style = msgspec.json.encode(_style(FOLDER / "panel.css")).decode()
    return Script.of(squeezed(_joined(PANEL)).replace('"__SHEET__"', style))


@cache
def chat() -> Script:
    """The conversation, loaded when there is one."""
    return Script.of(squeezed((FOLDER / "chat.js").read_text()))


@cache
def loader(wording: Wording) -> Script:
    """The script of the landing page, with its few words in every language and the panel's present address."""
    words = {locale: {name: wording.say(text, locale) for name, text in LOADER_WORDS.items()} for locale in LOCALES}
    source = squeezed((FOLDER / "loader.js").read_text())
    source = source.replace('"__WORDS__"', msgspec.json.encode(words).decode())
    return Script.of(source.replace("__PANEL__", address("panel", panel())))


def address(name: str, script: Script) -> str:
    return f"/w/{script.digest}/{name}.js"
