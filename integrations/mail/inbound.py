"""E-mail in: a raw message (RFC 5322), posted by a mail server and signed with an HMAC of its bytes.

What it says of itself is a claim: anybody can write anybody's address into From.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser

from router.model import foreign
from router.ports import MailArrived, PartyEvent, Webhook

MOST_PARTS = 50
LONGEST_TEXT = 10_000
_SIGNATURE = re.compile(r"sha256=([0-9a-fA-F]{64})")
_ADDRESS = re.compile(r"[^@\s<>\"']{1,64}@[^@\s<>\"']{1,189}")
_POLICY = policy.default.clone(refold_source="none")


class InboundMail:
    """Implements `router.ports.Party`."""

    keeps: Sequence[str] = ()

    def ping(self, hook: Webhook) -> bool:
        return False

    def genuine(self, hook: Webhook, secrets: Mapping[str, str]) -> bool:
        given = _SIGNATURE.fullmatch(hook.headers.get("x-signature-256", ""))
        return given is not None and foreign.signed(hook.body, bytes.fromhex(given[1]), secrets)

    def dedupe_key(self, hook: Webhook) -> str:
        return foreign.digest(hook.body)

    def understand(self, hook: Webhook) -> Sequence[PartyEvent]:
        message = message_from_bytes(hook.body, _class=EmailMessage, policy=_POLICY)
        if _answers_itself(message):
            return ()
        name, sender = parseaddr(_header(message, "From"))
        mark = _header(message, "Message-ID") or foreign.digest(hook.body)
        return (
            MailArrived(
                external_id=foreign.digest(f"{mark}\n{sender}".encode()),
                sender=sender if _ADDRESS.fullmatch(sender) else "",
                name=foreign.words(name),
                subject=foreign.words(_header(message, "Subject")),
                text=foreign.text(_text(message), LONGEST_TEXT),
                at=_date(message),
            ),
        )


def _header(message: EmailMessage, name: str) -> str:
    # The library raises many things on twisted headers; an unreadable one is as good as none.
    try:
        return foreign.raw(str(message[name] or ""))[:1000]
    except Exception:
        return ""


def _answers_itself(message: EmailMessage) -> bool:
    """Whether a machine wrote it (RFC 3834): out of office, bounces, lists. Nobody wants to be answered."""
    automatic = _header(message, "Auto-Submitted").lower() not in ("", "no")
    bulk = _header(message, "Precedence").lower() in ("bulk", "junk", "list", "auto_reply")
    return automatic or bulk or "<>" in _header(message, "Return-Path")


def _date(message: EmailMessage) -> datetime | None:
    try:
        found = parsedate_to_datetime(_header(message, "Date"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return foreign.moment(found.isoformat(), utc=True)


def _text(message: EmailMessage) -> str:
    """The first plain text, else the words of the first HTML one; attachments are not looked at."""
    plain = html = ""
    for number, part in enumerate(message.walk()):
        if number >= MOST_PARTS or (plain and html):
            break
        if part.is_multipart() or part.get_filename() or part.get_content_disposition() == "attachment":
            continue
        kind = part.get_content_type()
        if kind == "text/plain" and not plain:
            plain = _content(part)
        elif kind == "text/html" and not html:
            html = _words(_content(part))
    return plain.strip() or html


def _content(part: EmailMessage) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    try:
        return raw.decode(part.get_content_charset() or "utf-8", "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


class _Words(HTMLParser):
    _SILENT = frozenset({"script", "style", "head", "title", "template"})
    _BREAKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self._SILENT
        if tag in self._BREAKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in self._SILENT))

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)


def _words(html: str) -> str:
    reader = _Words()
    reader.feed(html)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.found)).strip()
