"""A mail as bytes (RFC 5322), composed by the standard library. Nothing a person typed can add or alter a header."""

import re
import unicodedata
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

from router.model.addresses import written
from router.ports import MailOrder

LONGEST_SUBJECT = 200
LONGEST_NAME = 100
_VERBATIM = frozenset({"list-unsubscribe", "message-id"})
_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MEDIA_TYPE = re.compile(r"([a-z0-9][a-z0-9.+-]{0,60})/([a-z0-9][a-z0-9.+-]{0,60})")


class _Policy(EmailPolicy):
    """The library encodes a word that is longer than a line, and an address so encoded leads nowhere. A line may have
    998 octets."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name.lower() in _VERBATIM:
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


# Seven bits travel through every server; what is not ASCII is encoded.
_POLICY = _Policy(linesep="\r\n", cte_type="7bit")


def line(text: str, longest: int) -> str:
    """One line for a header: control characters and line ends are spaces, and what turns the writing around, as a trick
    with a name would, is left out."""
    kept = _TURNED.sub("", text.encode("utf-8", "replace").decode())
    plain = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in kept)
    return " ".join(plain.split())[:longest]


def _body(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def message_id(order: MailOrder) -> str:
    """The same for every attempt at one mail: whatever comes back names it."""
    return f"<{order.ref}@{order.sender.rpartition('@')[2]}>"


def compose(order: MailOrder, now: datetime) -> bytes:
    """The mail at `now` (aware). Raises ValueError when an address is none."""
    if not (written(order.sender) and written(order.to)):
        raise ValueError("no address")
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(line(order.sender_name, LONGEST_NAME), addr_spec=order.sender)
    message["To"] = Address(addr_spec=order.to)
    message["Subject"] = line(order.subject, LONGEST_SUBJECT)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(order)
    message["Auto-Submitted"] = "auto-generated"
    if order.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{order.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(_body(order.text))
    message.add_alternative(_body(order.html), subtype="html")
    for one in order.enclosures:
        known = _MEDIA_TYPE.fullmatch(one.media_type)
        plain = known is not None and known[1] not in ("multipart", "message")
        main, sub = known.groups() if known and plain else ("application", "octet-stream")
        name = line(one.name, LONGEST_NAME).replace("/", "-").replace("\\", "-") or "document"
        message.add_attachment(one.content, maintype=main, subtype=sub, filename=name)
    return message.as_bytes()
