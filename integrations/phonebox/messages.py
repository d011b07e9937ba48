"""Text messages as pure state: who may be written to, how a message gets there, what is told of it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from integrations.phonebox.enclosures import Enclosure
from integrations.phonebox.exchange import NotPossible, not_found
from integrations.phonebox.legs import API_VERSION, PHONE, Notice, new_sid

WHATSAPP = "whatsapp:"
WINDOW = timedelta(hours=24)
"""How long after a person's last WhatsApp message free text may be sent to him (the carrier's error 63016 beyond)."""
LONGEST_TEXT = 1600  # characters; the carrier's limit for one message (its error 21617)
_FINAL = frozenset({"delivered", "undelivered", "failed", "canceled", "received"})
# The carrier's default words on long codes, whole message, in any case.
STOP_WORDS = frozenset({"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"})
START_WORDS = frozenset({"START", "UNSTOP"})
MEANINGS = {
    30003: "Unreachable destination handset",
    63016: "Failed to send freeform message because you are outside the allowed window",
}


def plain(address: str) -> str:
    """The number of an address of any channel."""
    return address.removeprefix(WHATSAPP)


@dataclass
class Message:
    """`more` are fields of its webhook that only some messages have, e.g. an advertisement's."""

    to: str
    sender: str
    body: str
    created_at: datetime
    inbound: bool = False
    sid: str = field(default_factory=lambda: new_sid("SM"))
    callback_url: str = ""
    status: str = "queued"
    error_code: int | None = None
    sent_at: datetime | None = None
    updated_at: datetime = field(init=False)
    due_at: datetime | None = None
    enclosures: list[Enclosure] = field(default_factory=list)
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.updated_at = self.created_at

    @property
    def channel(self) -> str:
        return "whatsapp" if self.to.startswith(WHATSAPP) else "sms"

    @property
    def final(self) -> bool:
        return self.status in _FINAL

    @property
    def segments(self) -> int:
        """How many text messages it is cut into: 160 or 153 of GSM letters, 70 or 67 of others."""
        short, long = (160, 153) if self.body.isascii() else (70, 67)
        return 1 if len(self.body) <= short else -(-len(self.body) // long)


class Post:
    """All messages of one account. `undeliverable` are numbers that nothing ever reaches."""

    def __init__(self, account: str, *, step_seconds: float = 0.05, undeliverable: set[str] | None = None) -> None:
        self.account = account
        self.url = ""
        self.messages: dict[str, Message] = {}
        self.undeliverable = set() if undeliverable is None else undeliverable
        self.versions: Counter[str] = Counter()
        self._changed: list[Message] = []
        self._moving: dict[str, Message] = {}
        self._stopped: set[tuple[str, str]] = set()
        self._step = timedelta(seconds=step_seconds)
        self._notices: list[Notice] = []

    def take_notices(self) -> list[Notice]:
        notices, self._notices = self._notices, []
        return notices

    def take_changed(self) -> list[Message]:
        """The messages whose status moved since the last time."""
        changed, self._changed = self._changed, []
        return changed

    def next_due(self) -> datetime | None:
        return min((message.due_at for message in self._moving.values() if message.due_at), default=None)

    def find(self, sid: str) -> Message:
        if sid not in self.messages:
            raise not_found()
        return self.messages[sid]

    def of_phone(self, number: str) -> list[Message]:
        """What this phone received and sent, newest first."""
        mine = [each for each in self.messages.values() if number in (plain(each.to), plain(each.sender))]
        return sorted(mine, key=lambda message: message.created_at, reverse=True)

    def send(self, message: Message) -> Message:
        """Take a message for delivery. Raises NotPossible as the carrier would."""
        if not PHONE.fullmatch(plain(message.to)):
            raise NotPossible("The 'To' number is not a valid phone number.", code=21211, status=400)
        if message.to.startswith(WHATSAPP) and not message.sender.startswith((WHATSAPP, "MG")):
            raise NotPossible("Message From/To pair violates a rule", code=63007, status=400)
        if not message.body:
            raise NotPossible("Message body is required.", code=21602, status=400)
        if len(message.body) > LONGEST_TEXT:
            raise NotPossible("The concatenated message body exceeds the 1600 character limit", code=21617, status=400)
        if (message.to, message.sender) in self._stopped:
            raise NotPossible("Attempt to send to unsubscribed recipient", code=21610, status=400)
        message.due_at = message.created_at + self._step
        self.messages[message.sid] = self._moving[message.sid] = message
        self._count(message)
        return message

    def receive(self, message: Message, hook: str | None) -> Message:
        """A phone wrote to us; told at `hook`. STOP and START bind the pair of numbers."""
        message.inbound, message.status = True, "received"
        self.messages[message.sid] = message
        self._count(message)
        self._heed(message)
        if hook:
            self._notices.append(Notice(message.sid, hook, self._arrival(message)))
        return message

    def _arrival(self, message: Message) -> dict[str, str]:
        kind = message.enclosures[0].media_type.partition("/")[0] if message.enclosures else "text"
        fields = {
            **self._about(message),
            "SmsMessageSid": message.sid,
            "SmsStatus": "received",
            "Body": message.body,
            "NumMedia": str(len(message.enclosures)),
            "NumSegments": str(message.segments),
        }
        for place, each in enumerate(message.enclosures):
            path = f"/{API_VERSION}/Accounts/{self.account}/Messages/{message.sid}/Media/{each.sid}"
            fields |= {f"MediaUrl{place}": self.url + path, f"MediaContentType{place}": each.media_type}
        if message.channel == "whatsapp":
            fields |= {"WaId": plain(message.sender).lstrip("+"), "MessageType": kind, "ChannelPrefix": "whatsapp"}
        return fields | message.more

    def _in_window(self, message: Message) -> bool:
        """Whether the person had written on WhatsApp lately enough for a free text when it was sent."""
        return message.channel != "whatsapp" or any(
            each.inbound
            and each.sender == message.to
            and each.created_at <= message.created_at < each.created_at + WINDOW
            for each in self.messages.values()
        )

    def _touch(self, message: Message) -> None:
        self._changed.append(message)
        self._count(message)

    def _count(self, message: Message) -> None:
        self.versions[plain(message.to)] += 1
        self.versions[plain(message.sender)] += 1

    def _heed(self, message: Message) -> None:
        word, pair = message.body.strip().upper(), (message.sender, message.to)
        if message.channel == "whatsapp":
            return
        if word in STOP_WORDS:
            self._stopped.add(pair)
        elif word in START_WORDS:
            self._stopped.discard(pair)

    def tick(self, now: datetime) -> None:
        """Move every message that is due one step on: queued, sent, delivered (or undelivered)."""
        for message in [each for each in self._moving.values() if each.due_at and each.due_at <= now]:
            code = None if self._in_window(message) else 63016
            code = 30003 if plain(message.to) in self.undeliverable else code
            if message.status == "queued":
                message.status, message.sent_at, message.due_at = "sent", now, now + self._step
            else:
                message.status, message.due_at = "undelivered" if code else "delivered", None
                message.error_code = code
                self._moving.pop(message.sid)
            message.updated_at = now
            self._touch(message)
            self._tell(message)

    def _tell(self, message: Message) -> None:
        if not message.callback_url:
            return
        fields = {**self._about(message), "MessageStatus": message.status, "SmsStatus": message.status}
        if message.error_code:
            fields["ErrorCode"] = str(message.error_code)
        self._notices.append(Notice(message.sid, message.callback_url, fields))

    def _about(self, message: Message) -> dict[str, str]:
        return {
            "MessageSid": message.sid,
            "SmsSid": message.sid,
            "AccountSid": self.account,
            "ApiVersion": API_VERSION,
            "From": message.sender,
            "To": message.to,
        }

    def remember(self, message: Message, now: datetime) -> None:
        """A message from before a restart; if it was under way it goes on."""
        self.messages[message.sid] = message
        if message.inbound:
            self._heed(message)
        elif not message.final:
            message.due_at = now + self._step
            self._moving[message.sid] = message

    def cancel(self, sid: str, now: datetime) -> Message:
        message = self.find(sid)
        if message.status != "queued":
            raise NotPossible("Message is not in a state that can be canceled", code=30409, status=409)
        message.status, message.due_at, message.updated_at = "canceled", None, now
        self._moving.pop(sid, None)
        self._touch(message)
        return message

    def forget(self, sid: str) -> None:
        if not self.find(sid).final:
            raise NotPossible("A message that is not complete cannot be deleted", code=20009, status=409)
        del self.messages[sid]
