"""The mails this machine has caught: kept as they came, and taken apart to be looked at."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from typing import Any

from integrations.phonebox.legs import new_sid

MOST_PARTS = 50
_POLICY = policy.default.clone(refold_source="none")


@dataclass(frozen=True)
class Caught:
    """A mail as a server took it: `sender` and `to` are those of the envelope, `raw` its bytes."""

    sender: str
    to: tuple[str, ...]
    raw: bytes
    at: datetime
    sid: str = field(default_factory=lambda: new_sid("EM"))

    @cached_property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, _class=EmailMessage, policy=_POLICY)

    def header(self, name: str) -> str:
        # The library raises many things on twisted headers; an unreadable one is as good as none.
        try:
            return str(self.message[name] or "")
        except Exception:
            return ""

    @property
    def text(self) -> str:
        return self._part("text/plain")

    @property
    def html(self) -> str:
        return self._part("text/html")

    def _part(self, kind: str) -> str:
        for number, part in enumerate(self.message.walk()):
            if number >= MOST_PARTS:
                break
            if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
                raw = part.get_payload(decode=True)
                return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
        return ""

    @property
    def enclosures(self) -> list[str]:
        parts = [part for _, part in zip(range(MOST_PARTS), self.message.walk(), strict=False)]
        return [part.get_filename() or "?" for part in parts if part.get_content_disposition() == "attachment"]

    def as_record(self) -> dict[str, Any]:
        return {
            "sid": self.sid, "at": self.at.isoformat(), "sender": self.sender, "to": list(self.to),
            "from": self.header("From"), "subject": self.header("Subject"), "text": self.text, "html": self.html,
            "message_id": self.header("Message-ID"), "unsubscribe": self.header("List-Unsubscribe").strip("<> "),
            "headers": [[name, self.header(name)] for name in dict.fromkeys(self.message.keys())],
            "enclosures": self.enclosures,
        }

    def as_entry(self) -> dict[str, Any]:
        """The line of the log from which it can be made again."""
        return {
            "sid": self.sid, "at": self.at.isoformat(), "sender": self.sender, "to": list(self.to),
            "message_id": self.header("Message-ID"), "raw": base64.b64encode(self.raw).decode(),
        }


class Mailbox:
    """Every mail caught, by its id."""

    def __init__(self) -> None:
        self.mails: dict[str, Caught] = {}

    def keep(self, mail: Caught) -> None:
        self.mails[mail.sid] = mail

    def newest_first(self) -> list[Caught]:
        return list(reversed(self.mails.values()))

    def remember(self, entries: Iterable[dict[str, Any]]) -> None:
        """The mails of the log's lines."""
        for entry in entries:
            if entry["kind"] != "mail":
                continue
            try:
                raw = base64.b64decode(entry["raw"])
            except binascii.Error:
                continue
            self.keep(Caught(entry["sender"], tuple(entry["to"]), raw, datetime.fromisoformat(entry["at"]),
                             sid=entry["sid"]))
