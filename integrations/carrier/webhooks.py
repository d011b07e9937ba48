"""The carrier's callbacks: whether they are genuine, which event they are, and what they say in our words."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from twilio import request_validator

from integrations.carrier.errors import NOBODY
from router.ports import (
    CallArrived,
    CallerMoved,
    CallerTurned,
    CarrierEvent,
    Channel,
    LegMoved,
    LegOutcome,
    LegRole,
    LegStage,
    MessageArrived,
    MessageMoved,
    MessageSpoken,
    MessageStage,
    RoomChange,
    RoomMoved,
    Webhook,
)

DOOR = "/hooks/carrier"
_NOBODY = frozenset(map(str, NOBODY))
SDK: Any = request_validator  # it has no types
MOST_FIELDS = 200
MOST_MEDIA = 10
_WHATSAPP = "whatsapp:"
# What may stand in the ids a key is built of. The signature joins names and values without a separator, so a field
# could be cut elsewhere and still verify; with this form a cut id is no id.
_ID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_COUNT = re.compile(r"[0-9]{1,9}")
_SOURCE = re.compile(r"[a-z-]{0,40}")

LEG_STATES: Mapping[str, tuple[LegStage, LegOutcome]] = {
    "queued": (LegStage.placed, LegOutcome.none),
    "initiated": (LegStage.placed, LegOutcome.none),
    "ringing": (LegStage.ringing, LegOutcome.none),
    "in-progress": (LegStage.answered, LegOutcome.none),
    "completed": (LegStage.ended, LegOutcome.completed),
    "busy": (LegStage.ended, LegOutcome.busy),
    "no-answer": (LegStage.ended, LegOutcome.no_answer),
    "failed": (LegStage.ended, LegOutcome.failed),
    "canceled": (LegStage.ended, LegOutcome.canceled),
}
_ROOM_CHANGES = {
    "participant-join": RoomChange.joined,
    "participant-leave": RoomChange.left,
    "participant-hold": RoomChange.held,
    "participant-unhold": RoomChange.unheld,
    "conference-end": RoomChange.ended,
}
_MESSAGE_STAGES = {
    "accepted": MessageStage.queued,
    "scheduled": MessageStage.queued,
    "queued": MessageStage.queued,
    "sending": MessageStage.queued,
    "sent": MessageStage.sent,
    "delivered": MessageStage.delivered,
    "read": MessageStage.delivered,
    "undelivered": MessageStage.failed,
    "failed": MessageStage.failed,
    "canceled": MessageStage.failed,
}


class _Fields(dict[str, list[str]]):
    """Form fields as the SDK's validator wants them: several values under one name, found by `getall`."""

    def getall(self, name: str) -> list[str]:
        return self[name]

    def one(self, name: str) -> str:
        values = self.get(name, [])
        return values[0] if len(values) == 1 else ""


def _fields(body: bytes) -> _Fields:
    """Raises ValueError when the body is no form in UTF-8, or has more than MOST_FIELDS fields."""
    fields = _Fields()
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _fields_or_none(webhook: Webhook) -> _Fields:
    try:
        return _fields(webhook.body)
    except ValueError:
        return _Fields()


def _header(webhook: Webhook, name: str) -> str:
    return next((value for key, value in webhook.headers.items() if key.lower() == name.lower()), "")


def _door(webhook: Webhook) -> str:
    return webhook.path.partition("?")[0].rstrip("/").rpartition("/")[2]


def _ref(webhook: Webhook) -> str:
    values = parse_qs(webhook.path.partition("?")[2], max_num_fields=MOST_FIELDS).get("ref", [])
    return values[0] if len(values) == 1 else ""


class Webhooks:
    """Reads the webhooks of one account. `tokens` are all accepted, so that they can be rotated."""

    def __init__(self, *, account: str, tokens: Sequence[str], public_url: str) -> None:
        self._account = account
        self._public_url = public_url.rstrip("/")
        self._validators = [SDK.RequestValidator(token) for token in tokens]

    def genuine(self, webhook: Webhook) -> bool:
        """Whether the carrier sent this to us for our account. Never raises.

        The address signed is our public one plus the raw path: headers of proxies are not believed. The algorithm is
        fixed: a sender may not choose one.
        """
        try:
            signature = _header(webhook, "X-Twilio-Signature")
            algorithm = SDK.get_signature_algorithm(_header(webhook, "X-Twilio-Webhooks-Signature-Settings"))
            fields = _fields(webhook.body)
            if not signature or algorithm != SDK.HMAC_SHA1 or fields.one("AccountSid") != self._account:
                return False
            url = self._public_url + webhook.path
            # Every token is tried whatever the others say: the time taken tells nothing.
            return any([validator.validate(url, fields, signature, SDK.HMAC_SHA1) for validator in self._validators])
        except Exception:  # hostile input must not become an error of ours
            return False

    def sign(self, path: str, fields: Mapping[str, str]) -> str:
        """The signature the carrier would put on these fields, for a test of our own door."""
        return str(self._validators[0].compute_signature(self._public_url + path, dict(fields)))

    def dedupe_key(self, webhook: Webhook) -> str:
        """The same for two deliveries of one event, different for two events; a digest where the ids are missing."""
        fields, door = _fields_or_none(webhook), _door(webhook)
        call, room, message = fields.one("CallSid"), fields.one("ConferenceSid"), fields.one("MessageSid")
        number, state = fields.one("SequenceNumber"), fields.one("MessageStatus")
        source, of_call = fields.one("CallbackSource"), door in ("call", "caller")
        if of_call and _ID.fullmatch(call) and _COUNT.fullmatch(number) and _SOURCE.fullmatch(source):
            return f"{door}:{call}:{source}:{int(number)}"
        if door == "room" and _ID.fullmatch(room) and _COUNT.fullmatch(number):
            return f"room:{room}:{int(number)}"
        if door == "message" and _ID.fullmatch(message) and state in _MESSAGE_STAGES:
            return f"message:{message}:{state}"
        if door == "inbound" and _ID.fullmatch(message):
            return f"inbound:{message}"
        recording = fields.one("RecordingSid")
        if door == "recording" and _ID.fullmatch(recording):
            return f"recording:{recording}:{fields.one('RecordingStatus')[:20]}"
        path = webhook.path.encode(errors="surrogateescape")
        return f"other:{hashlib.sha256(path + bytes(1) + webhook.body).hexdigest()}"

    def understand(self, webhook: Webhook) -> Sequence[CarrierEvent]:
        """What it says; empty for doors, events and states we have no use for. Never raises."""
        try:
            fields, ref = _fields(webhook.body), _ref(webhook)
        except ValueError:
            return ()
        read = _DOORS.get(_door(webhook))
        event = read(ref, fields) if read else None
        return (event,) if event else ()


def _leg(ref: str, fields: _Fields) -> LegMoved | None:
    call, state = fields.one("CallSid"), LEG_STATES.get(fields.one("CallStatus"))
    return LegMoved(ref, call, *state) if ref and state and _ID.fullmatch(call) else None


def _room(ref: str, fields: _Fields) -> RoomMoved | None:
    change, room = _ROOM_CHANGES.get(fields.one("StatusCallbackEvent")), fields.one("FriendlyName")
    if not (ref and change and room):
        return None
    if change is RoomChange.ended:
        return RoomMoved(ref, room, change)
    call = fields.one("CallSid")
    return RoomMoved(ref, room, change, role(fields.one("ParticipantLabel")), call) if _ID.fullmatch(call) else None


def _message(ref: str, fields: _Fields) -> MessageMoved | None:
    message, stage = fields.one("MessageSid"), _MESSAGE_STAGES.get(fields.one("MessageStatus"))
    known = ref and stage and _ID.fullmatch(message)
    error = fields.one("ErrorCode")
    return MessageMoved(ref, message, stage, error, error in _NOBODY) if known and stage else None


def _arrived(_ref: str, fields: _Fields) -> MessageArrived | None:
    message, sender, to = fields.one("MessageSid"), fields.one("From"), fields.one("To")
    if not (_ID.fullmatch(message) and sender and to):
        return None
    written = sender.startswith(_WHATSAPP)
    return MessageArrived(
        message, sender.removeprefix(_WHATSAPP), to.removeprefix(_WHATSAPP), fields.one("Body"),
        channel=Channel.whatsapp if written else Channel.sms, name=fields.one("ProfileName"), media=_media(fields),
        referral={name: fields.one(name) for name in fields if name.startswith("Referral") and fields.one(name)},
    )  # fmt: skip


def _media(fields: _Fields) -> tuple[tuple[str, str], ...]:
    count = fields.one("NumMedia")
    most = min(int(count), MOST_MEDIA) if _COUNT.fullmatch(count) else 0
    found = [(fields.one(f"MediaUrl{place}"), fields.one(f"MediaContentType{place}")) for place in range(most)]
    return tuple((url, media_type) for url, media_type in found if url)


def _call(_ref: str, fields: _Fields) -> CallArrived | None:
    call, to = fields.one("CallSid"), fields.one("To")
    known = _ID.fullmatch(call) and to
    return CallArrived(call, fields.one("From"), to, fields.one("ForwardedFrom")) if known else None


def _turned(ref: str, fields: _Fields) -> CallerTurned | None:
    call, state = fields.one("CallSid"), LEG_STATES.get(fields.one("CallStatus"))
    if not (ref and _ID.fullmatch(call)):
        return None
    gone = state is not None and state[0] is LegStage.ended
    return CallerTurned(ref, call, fields.one("Digits")[:1], gone)


def _caller(_ref: str, fields: _Fields) -> CallerMoved | None:
    call, state = fields.one("CallSid"), LEG_STATES.get(fields.one("CallStatus"))
    return CallerMoved(call, *state) if state and _ID.fullmatch(call) else None


def _spoken(ref: str, fields: _Fields) -> MessageSpoken | None:
    recording, url, seconds = fields.one("RecordingSid"), fields.one("RecordingUrl"), fields.one("RecordingDuration")
    done = fields.one("RecordingStatus") == "completed" and _ID.fullmatch(recording)
    known = ref and done and url and _COUNT.fullmatch(seconds)
    return MessageSpoken(ref, recording, url, int(seconds)) if known else None


_DOORS = {
    "call": _leg, "room": _room, "message": _message, "inbound": _arrived, "voice": _call, "turn": _turned,
    "caller": _caller, "recording": _spoken,
}  # fmt: skip


def address(number: str, channel: Channel) -> str:
    """A number as the carrier writes it on this channel."""
    return f"{_WHATSAPP}{number}" if channel == Channel.whatsapp else number


def role(label: str | None) -> LegRole | None:
    """The role a participant's label names, if any."""
    word = (label or "").partition("-")[0]
    return LegRole(word) if word in set(LegRole) else None
