"""The phones' pages: templates, the two languages, what may be copied out of a text."""

import re
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from integrations.phonebox.mailbox import Caught
from integrations.phonebox.shapes import Record
from integrations.phonebox.troubles import Trouble
from integrations.phonebox.words import WORDS

STATIC = Path(__file__).parent / "static"
# A code is four to eight digits on their own, outside of links and numbers.
_LINK = re.compile(r"\S*://\S+")
_CODE = re.compile(r"(?<![\w+/.,:-])[0-9]{4,8}(?![\w/:-]|[.,][0-9])")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; frame-src 'self'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
        # A desk on this machine shows its agent's telephone inside itself; other sites may not.
        "form-action 'self'; base-uri 'none'; frame-ancestors http://127.0.0.1:* http://localhost:*"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_SANDBOX = {
    **_HEADERS,
    # Shown inside its own page only: no script, no pictures from outside, and links open elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'self'; form-action 'none'; "
        "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
    ),
}


def codes(text: str) -> list[str]:
    """The one-time codes in a text, each once, in order."""
    return list(dict.fromkeys(_CODE.findall(_LINK.sub(" ", text))))


def _clock(iso: str) -> str:
    return datetime.fromisoformat(iso).strftime("%H:%M:%S UTC")


def language(request: web.Request) -> str:
    """The first language of Accept-Language that we have; English otherwise."""
    for part in request.headers.get("Accept-Language", "")[:200].split(","):
        code = part.partition(";")[0].strip().lower()[:2]
        if code in WORDS:
            return code
    return "en"


class Pages:
    """`templates` is the directory that holds `phonebox/`."""

    def __init__(self, templates: Path) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(codes=codes, clock=_clock, path=lambda text: quote(text, safe="+:"))

    def index(self, request: web.Request, numbers: list[str]) -> web.Response:
        return self._answer(request, "index", numbers=numbers)

    def phone(self, request: web.Request, state: Record) -> web.Response:
        return self._answer(request, "phone", phone=state)

    def trouble(self, request: web.Request, sentence: str, status: int) -> web.Response:
        return self._answer(request, "trouble", status, sentence=sentence)

    def troubles(self, request: web.Request, found: list[Trouble]) -> web.Response:
        return self._answer(request, "troubles", found=found)

    def mails(self, request: web.Request, caught: list[Caught]) -> web.Response:
        return self._answer(request, "mails", mails=[each.as_record() for each in caught])

    def mail(self, request: web.Request, mail: Caught) -> web.Response:
        return self._answer(request, "mail", mail=mail.as_record())

    def inside(self, mail: Caught) -> web.Response:
        """The mail's own HTML, where it can do nothing."""
        text = f'<base target="_blank">{mail.html}'
        return web.Response(text=text, content_type="text/html", headers=_SANDBOX)

    def parts(self, request: web.Request, state: Record) -> dict[str, str]:
        """The moving parts of a phone's page, the same the page itself is made of."""
        return {name: self._render(request, name, phone=state) for name in ("calls", "messages")}

    def _render(self, request: web.Request, name: str, **values: object) -> str:
        code = language(request)
        return self._templates.get_template(f"phonebox/{name}.html").render(lang=code, t=WORDS[code], **values)

    def _answer(self, request: web.Request, name: str, status: int = 200, **values: object) -> web.Response:
        text = self._render(request, name, **values)
        return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)
