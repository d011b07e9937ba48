"""E-mail in: a raw message (RFC 5322), posted by a mail server and signed with an HMAC of its bytes.

What it says of itself is a claim: anybody can write anybody's address into From. A mail server's word that a mail of
ours was not delivered (RFC 3464) names the mail by its Message-ID, which only its recipient and the servers have seen.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser

from router.model import foreign
from router.model.addresses import gone
from router.ports import MailArrived, MailReturned, PartyEvent, Webhook

MOST_PARTS = 50
LONGEST_TEXT = 10_000
_SIGNATURE = re.compile(r"sha256=([0-9a-fA-F]{64})")
_MARK = re.compile(r"^Message-ID:\s{0,3}<([A-Za-z0-9]{22})@[^<>\s]{1,255}>", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
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
        if returned := _returned(message):
            return (returned,)
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


def _returned(message: EmailMessage) -> MailReturned | None:
    """What a report says of a mail of ours; None when it is no report, or one of a mere delay, or of another's mail."""
    if message.get_content_type() != "multipart/report":
        return None
    status = diagnostic = ref = ""
    for _, part in zip(range(MOST_PARTS), message.walk(), strict=False):
        kind = part.get_content_type()
        if _header(part, "Action").strip().lower() == "failed":
            status = status or _header(part, "Status")
            diagnostic = diagnostic or _header(part, "Diagnostic-Code")
        elif kind == "text/rfc822-headers":
            ref = ref or _our_mark(_content(part))
        elif part is not message:
            ref = ref or _our_mark(f"Message-ID: {_header(part, 'Message-ID')}")
    if not (status and ref):
        return None
    found = _STATUS.match(status.strip())
    # A server that does not tell them apart says why in its own words.
    words = diagnostic if found is None or found[0] == "5.0.0" else found[0]
    code = re.search(r"\b5\d\d\b", diagnostic)
    return MailReturned(ref, found[0] if found else "5.0.0", gone(int(code[0]) if code else 554, words, recipient=True))


def _our_mark(headers: str) -> str:
    """Our name of the mail with these headers; "" when it is none of ours."""
    found = _MARK.search(headers)
    return found[1] if found else ""


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
