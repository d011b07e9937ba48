from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio import request_validator

from integrations.carrier.webhooks import Webhooks
from router.ports import (
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
from tests.integrations.phoning import ACCOUNT

SDK: Any = request_validator
PUBLIC = "https://sales.example.com"
CALL, ROOM, TEXT = "CA" + "1" * 32, "CF" + "2" * 32, "SM" + "3" * 32
TOKENS = ("new token", "old token")
hooks = Webhooks(account=ACCOUNT, tokens=TOKENS, public_url=PUBLIC)


def webhook(path: str, fields: Mapping[str, str], token: str = TOKENS[0], **headers: str) -> Webhook:
    fields = {"AccountSid": ACCOUNT, **fields}
    signature = SDK.RequestValidator(token).compute_signature(PUBLIC + path, fields)
    return Webhook(path, {"X-Twilio-Signature": signature, **headers}, urlencode(fields).encode())


def call(status: str, number: int = 0, **more: str) -> Webhook:
    fields = {"CallSid": CALL, "CallStatus": status, "CallbackSource": "call-progress-events", **more}
    return webhook("/hooks/carrier/call?ref=leg-1", {**fields, "SequenceNumber": str(number)})


def room(event: str, number: str = "0", **more: str) -> Webhook:
    fields = {"ConferenceSid": ROOM, "FriendlyName": "call-1-1", "StatusCallbackEvent": event, **more}
    return webhook("/hooks/carrier/room?ref=room-1", {**fields, "SequenceNumber": number})


def message(status: str, **more: str) -> Webhook:
    return webhook("/hooks/carrier/message?ref=text-1", {"MessageSid": TEXT, "MessageStatus": status, **more})


@pytest.mark.parametrize("path", ["/hooks/carrier/call?ref=a", "/x?x=%2F%3a%7E&u=%c3%bc&p=a+b%20c&e=&e=", "/"])
@pytest.mark.parametrize("token", TOKENS)
def test_every_token_opens_for_the_raw_path_byte_for_byte(path: str, token: str) -> None:
    assert hooks.genuine(webhook(path, {"Body": "héllo & ñ = ✓", "Empty": ""}, token))


def test_a_header_is_found_in_any_case() -> None:
    given = call("ringing")
    assert hooks.genuine(Webhook(given.path, {k.lower(): v for k, v in given.headers.items()}, given.body))


@pytest.mark.parametrize(
    "forged",
    [
        webhook("/hooks/carrier/call", {}, "a stranger's token"),
        Webhook("/hooks/carrier/call", {}, b"AccountSid=x"),
        Webhook("/hooks/carrier/call", {"X-Twilio-Signature": ""}, b""),
        Webhook("/hooks/carrier/call", {"X-Twilio-Signature": "ünïcode"}, b"\xff\xfe"),
        Webhook("//[::1", {"X-Twilio-Signature": "x"}, b"AccountSid=" + ACCOUNT.encode()),
        Webhook("/\udc80", {"X-Twilio-Signature": "x"}, b"AccountSid=" + ACCOUNT.encode()),
        Webhook("/hooks/carrier/call", {"X-Twilio-Signature": "x"}, b"&".join(b"a=1" for _ in range(500))),
        Webhook("/hooks/carrier/call?bodySHA256=x", {"X-Twilio-Signature": "x"}, b'{"a": 1}'),
        webhook("/hooks/carrier/call", {"AccountSid": "AC" + "f" * 32}),
        webhook("/hooks/carrier/call", {}, **{"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"}),
        webhook("/hooks/carrier/call", {}, **{"X-Twilio-Webhooks-Signature-Settings": "algorithm=NONE"}),
    ],
)
def test_what_is_not_signed_by_the_carrier_for_us_is_refused_without_an_error(forged: Webhook) -> None:
    assert not hooks.genuine(forged)


def test_no_flipped_byte_passes() -> None:
    given = call("ringing")
    for place in range(len(given.body)):
        body = given.body[:place] + bytes([given.body[place] ^ 1]) + given.body[place + 1 :]
        assert not hooks.genuine(Webhook(given.path, given.headers, body))
    for place in range(len(given.path)):
        path = given.path[:place] + chr(ord(given.path[place]) ^ 1) + given.path[place + 1 :]
        assert not hooks.genuine(Webhook(path, given.headers, given.body))


def test_our_own_test_signature_is_the_carriers() -> None:
    fields = {"AccountSid": ACCOUNT, "Body": "ñ"}
    body = urlencode(fields).encode()
    path = "/hooks/carrier/inbound"
    assert hooks.genuine(Webhook(path, {"X-Twilio-Signature": hooks.sign(path, fields)}, body))


def test_a_field_cut_elsewhere_still_verifies_but_says_nothing() -> None:
    given = call("completed")
    cut = Webhook(given.path, given.headers, given.body.replace(b"CallStatus=completed", b"CallStatu=scompleted"))
    assert hooks.genuine(cut)
    assert hooks.understand(cut) == ()


@pytest.mark.parametrize(
    ("status", "stage", "outcome"),
    [
        ("initiated", LegStage.placed, LegOutcome.none),
        ("queued", LegStage.placed, LegOutcome.none),
        ("ringing", LegStage.ringing, LegOutcome.none),
        ("in-progress", LegStage.answered, LegOutcome.none),
        ("completed", LegStage.ended, LegOutcome.completed),
        ("busy", LegStage.ended, LegOutcome.busy),
        ("no-answer", LegStage.ended, LegOutcome.no_answer),
        ("failed", LegStage.ended, LegOutcome.failed),
        ("canceled", LegStage.ended, LegOutcome.canceled),
    ],
)
def test_each_state_of_a_call_has_a_stage(status: str, stage: LegStage, outcome: LegOutcome) -> None:
    assert hooks.understand(call(status)) == (LegMoved("leg-1", CALL, stage, outcome),)


def test_a_room_tells_who_came_and_went() -> None:
    who = {"CallSid": CALL, "ParticipantLabel": "customer"}
    for event, change in [
        ("participant-join", RoomChange.joined),
        ("participant-leave", RoomChange.left),
        ("participant-hold", RoomChange.held),
        ("participant-unhold", RoomChange.unheld),
    ]:
        told = RoomMoved("room-1", "call-1-1", change, LegRole.customer, CALL)
        assert hooks.understand(room(event, **who)) == (told,)
    assert hooks.understand(room("conference-end")) == (RoomMoved("room-1", "call-1-1", RoomChange.ended),)
    assert hooks.understand(room("participant-mute", **who)) == ()


def test_an_unknown_label_is_nobody() -> None:
    (event,) = hooks.understand(room("participant-join", CallSid=CALL, ParticipantLabel="supervisor"))
    assert event == RoomMoved("room-1", "call-1-1", RoomChange.joined, None, CALL)


def test_a_message_tells_how_far_it_came() -> None:
    for status, stage in [
        ("queued", MessageStage.queued),
        ("sending", MessageStage.queued),
        ("sent", MessageStage.sent),
        ("delivered", MessageStage.delivered),
    ]:
        assert hooks.understand(message(status)) == (MessageMoved("text-1", TEXT, stage),)
    failed = MessageMoved("text-1", TEXT, MessageStage.failed, "30003")
    assert hooks.understand(message("undelivered", ErrorCode="30003")) == (failed,)


def test_a_text_from_a_person_arrives_with_its_words() -> None:
    fields = {"MessageSid": TEXT, "From": "+34600000001", "To": "+34910000000", "Body": "Sí, gracias ✓"}
    arrived = MessageArrived(TEXT, "+34600000001", "+34910000000", "Sí, gracias ✓")
    assert hooks.understand(webhook("/hooks/carrier/inbound", fields)) == (arrived,)


@pytest.mark.parametrize(
    "odd",
    [
        Webhook("/hooks/carrier/call?ref=x", {}, b"\xff"),
        Webhook("/hooks/carrier/call", {}, b"CallStatus=ringing"),
        Webhook("/hooks/carrier/nowhere?ref=x", {}, b""),
        Webhook("//[", {}, b""),
        Webhook("/hooks/carrier/call?ref=a&ref=b", {}, call("ringing").body),
        call("a state of tomorrow"),
        message("a state of tomorrow"),
        room("conference-start"),
    ],
)
def test_what_has_no_meaning_for_us_is_empty_and_still_has_a_key(odd: Webhook) -> None:
    assert hooks.understand(odd) == ()
    assert hooks.dedupe_key(odd) == hooks.dedupe_key(odd)


def test_the_key_is_the_same_for_a_repetition_and_differs_for_the_next_event() -> None:
    events = [call("ringing", 1), call("in-progress", 2), call("completed", 3)]
    events += [room("participant-join", "0", CallSid=CALL), room("participant-leave", "1", CallSid=CALL)]
    events += [message("sent"), message("delivered"), webhook("/hooks/carrier/inbound", {"MessageSid": TEXT})]
    keys = [hooks.dedupe_key(event) for event in events]
    assert len(set(keys)) == len(events)
    repeated = call("ringing", 1, Timestamp="another time")
    assert hooks.dedupe_key(repeated) == keys[0]
