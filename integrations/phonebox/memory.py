"""The past, read from the log after a restart: messages as they were, calls as ended."""

from datetime import datetime
from typing import Any

from integrations.phonebox.enclosures import read
from integrations.phonebox.exchange import Exchange, NotPossible
from integrations.phonebox.legs import Leg
from integrations.phonebox.messages import Message, Post
from integrations.phonebox.recordings import Recording

Entry = dict[str, Any]


class Memory:
    def __init__(
        self, exchange: Exchange, post: Post, recordings: dict[str, Recording], now: datetime
    ) -> None:
        self._exchange, self._post, self._recordings, self._now = exchange, post, recordings, now

    def read(self, entries: list[Entry]) -> None:
        """Take up every entry, oldest first; then let unfinished messages go on."""
        messages: dict[str, Message] = {}
        for entry in entries:
            self._take(entry, messages)
        for message in messages.values():
            self._post.remember(message, self._now)

    def _take(self, entry: Entry, messages: dict[str, Message]) -> None:
        sid, kind = str(entry.get("sid", "")), entry["kind"]
        if kind == "status" and sid in messages:
            messages[sid].status, messages[sid].error_code = entry["status"], entry["error_code"]
        elif kind == "phone" and entry.get("action") == "message":
            messages[sid] = Message(
                entry["to"], entry["from"], entry["body"], _at(entry), inbound=True, sid=sid, status="received",
                enclosures=read(entry.get("media")), more=entry.get("more") or {},
            )  # fmt: skip
        elif kind == "phone" and entry.get("action") == "call":
            leg = Leg(entry["to"], entry["from"], _at(entry), sid=sid, inbound=True)
            self._exchange.remember_ended(leg, None, self._now)
        elif kind == "phone" and entry.get("action") == "recording":
            self._recordings[sid] = Recording(entry["call"], _at(entry), entry["seconds"], sid=sid)
        elif kind == "rest":
            self._take_request(entry, sid, messages)

    def _take_request(self, entry: Entry, sid: str, messages: dict[str, Message]) -> None:
        status, path, method = entry["status"], entry["path"], entry["method"]
        if status == 201 and path.endswith("/Messages.json"):
            messages[sid] = _message(entry, sid)
        elif status == 200 and method == "POST" and sid in messages and "Body" in entry["form"]:
            messages[sid].body = ""
        elif status == 204 and sid in messages:
            del messages[sid]
        elif status == 201:
            leg = Leg(_first(entry, "To"), _first(entry, "From"), _at(entry), sid=sid, label=_first(entry, "Label"))
            leg.room_name = entry.get("room_name", "")
            self._exchange.remember_ended(leg, entry.get("room"), self._now)
        elif status == 204 and sid in self._exchange.legs and "/Calls/" in path:
            try:
                self._exchange.forget_leg(sid)
            except NotPossible:
                return


def _message(entry: Entry, sid: str) -> Message:
    sender = _first(entry, "From") or _first(entry, "MessagingServiceSid")
    message = Message(_first(entry, "To"), sender, _first(entry, "Body"), _at(entry), sid=sid)
    message.callback_url = _first(entry, "StatusCallback")
    message.sent_at = message.created_at
    return message


def _first(entry: Entry, name: str) -> str:
    values = entry["form"].get(name) or [""]
    return str(values[0])


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["at"])
