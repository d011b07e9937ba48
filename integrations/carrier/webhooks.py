"""The carrier's callbacks: whether they are genuine, which event they are, and what they say in our words."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from twilio import request_validator

from router.ports import (
    CarrierEvent,
    LegMoved,
    LegOutcome,
    LegRole,
    LegStage,
    MessageArrived,
    MessageMoved,
    MessageStage,
    RoomChange,
    RoomMoved,
    Webhook,
)

DOOR = "/hooks/carrier"
SDK: Any = request_validator  # it has no types
MOST_FIELDS = 200
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
        source = fields.one("CallbackSource")
        if door == "call" and _ID.fullmatch(call) and _COUNT.fullmatch(number) and _SOURCE.fullmatch(source):
            return f"call:{call}:{source}:{int(number)}"
        if door == "room" and _ID.fullmatch(room) and _COUNT.fullmatch(number):
            return f"room:{room}:{int(number)}"
        if door == "message" and _ID.fullmatch(message) and state in _MESSAGE_STAGES:
            return f"message:{message}:{state}"
        if door == "inbound" and _ID.fullmatch(message):
            return f"inbound:{message}"
        path = webhook.path.encode(errors="surrogateescape")
        return f"other:{hashlib.sha256(path + bytes(1) + webhook.body).hexdigest()}"

    def understand(self, webhook: Webhook) -> Sequence[CarrierEvent]:
        """What it says; empty for doors, events and states we have no use for. Never raises."""
        try:
            fields, ref = _fields(webhook.body), _ref(webhook)
        except ValueError:
            return ()
        read = {"call": _leg, "room": _room, "message": _message, "inbound": _arrived}.get(_door(webhook))
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
    return MessageMoved(ref, message, stage, fields.one("ErrorCode")) if known and stage else None


def _arrived(_ref: str, fields: _Fields) -> MessageArrived | None:
    message, sender, to = fields.one("MessageSid"), fields.one("From"), fields.one("To")
    known = _ID.fullmatch(message) and sender and to
    return MessageArrived(message, sender, to, fields.one("Body")) if known else None


def role(label: str | None) -> LegRole | None:
    """The role a participant's label names, if any."""
    return LegRole(label) if label in set(LegRole) else None
