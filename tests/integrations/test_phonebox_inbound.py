"""A phone of the phonebox calls the other side and follows its markup."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from twilio import request_validator

from integrations.carrier.prompts import render
from integrations.phonebox.markup import KNOWN, BadMarkup, read
from router.ports import EnterRoom, HangUp, LeaveMessage, Listen, MessageArrived, Prompt, TurnAway
from tests.integrations.phoning import ACCOUNT, CUSTOMER, OURS, TOKEN, Line, agent_leg, eventually, line, text
from tests.integrations.specification import Judge
from tests.keeping import door

SDK: Any = request_validator
Fields = dict[str, str]


class Script:
    """The other side: answers each question with the next markup, and keeps what it was asked."""

    def __init__(self, *markup: str) -> None:
        self.markup, self.asked = list(markup), list[tuple[str, Fields]]()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        fields = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        signature = request.headers["X-Twilio-Signature"]
        url = self.url + request.raw_path
        assert SDK.RequestValidator(TOKEN).validate(url, fields, signature)
        self.asked.append((request.path, fields))
        if request.path == "/status":
            return web.Response(status=204)
        said = self.markup.pop(0) if self.markup else ""
        if said == "500":
            return web.Response(status=500)
        return web.Response(text=said and f"<Response>{said}</Response>", content_type="text/xml")

    def of(self, path: str) -> list[Fields]:
        return [fields for asked, fields in self.asked if asked == path]


@asynccontextmanager
async def calling(*markup: str, judge: Judge | None = None, **options: Any) -> AsyncIterator[tuple[Line, Script]]:
    script = Script(*markup)
    async with door(script.answer) as url, line(judge=judge, **options) as phones:
        script.url = url
        phones.box.voice_url, phones.box.voice_status_url = f"{url}/voice", f"{url}/status"
        yield phones, script


async def call(phones: Line) -> None:
    assert await phones.press(CUSTOMER, "call", to=OURS) == 200


async def idle(phones: Line) -> None:
    async def silent() -> bool:
        return not (await phones.phone(CUSTOMER))["legs"]

    await eventually(silent)


async def troubles(phones: Line) -> list[dict[str, Any]]:
    async with phones.person.get(f"{phones.box.url}/troubles.json") as response:
        found: list[dict[str, Any]] = await response.json()
        return found


async def doing(phones: Line, verb: str) -> dict[str, str]:
    async def found() -> dict[str, str] | None:
        legs = (await phones.phone(CUSTOMER))["legs"]
        return next((leg["doing"] for leg in legs if leg["doing"].get("verb") == verb), None)

    shown: dict[str, str] = await eventually(found)
    return shown


async def test_a_call_is_told_signed_and_its_end_once() -> None:
    async with calling("<Say language='es-ES'>Hola</Say>") as (phones, script):
        await call(phones)
        await eventually(lambda: script.of("/status"))
        (asked,) = script.of("/voice")
        assert {**asked, "CallSid": ""} == {
            "CallSid": "", "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01", "Direction": "inbound", "From": CUSTOMER,
            "Caller": CUSTOMER, "To": OURS, "Called": OURS, "CallStatus": "ringing",
        }  # fmt: skip
        (end,) = script.of("/status")
        assert (end["CallSid"], end["CallStatus"], end["SequenceNumber"]) == (asked["CallSid"], "completed", "0")
        await idle(phones)


async def test_keys_are_gathered_and_told_and_silence_falls_through() -> None:
    gather = '<Gather numDigits="2" timeout="{}" action="/menu?a=b"><Say>Menú</Say></Gather>'
    async with calling(gather.format(600), gather.format(0) + "<Redirect>/again</Redirect>") as (phones, script):
        await call(phones)
        assert (await doing(phones, "gather"))["text"] == "Menú"
        assert await phones.press(CUSTOMER, "keys", keys="4") == 200
        assert await phones.press(CUSTOMER, "keys", keys="2") == 200
        await eventually(lambda: script.of("/again"))
        assert script.of("/menu")[0]["Digits"] == "42"
        assert len(script.of("/menu")) == 1


async def test_a_recording_is_a_real_sound_file_and_is_told() -> None:
    record = '<Record maxLength="120" finishOnKey="#" action="/done" recordingStatusCallback="/recording"/>'
    async with calling(record, judge=Judge.load()) as (phones, script):
        await call(phones)
        await doing(phones, "record")
        assert await phones.press(CUSTOMER, "keys", keys="#") == 200
        await eventually(lambda: script.of("/done") and script.of("/recording"))
        told = script.of("/recording")[0]
        assert (told["RecordingStatus"], script.of("/done")[0]["Digits"]) == ("completed", "#")
        media = await phones.carrier.fetch(told["RecordingUrl"])
        assert media.content.startswith(b"RIFF")
        assert len(media.content) > 16_000 * int(told["RecordingDuration"])
        api = phones.carrier._api
        records = [await api.recordings(told["RecordingSid"]).fetch_async(), *await api.recordings.list_async()]
        records += await api.calls(told["CallSid"]).recordings.list_async()
        assert {each.sid for each in records} == {told["RecordingSid"]}
        assert phones.judge is not None
        phones.judge.violations[:] = [each for each in phones.judge.violations if "uri" not in each]


async def test_two_meet_in_a_room_and_the_one_who_came_in_goes_on_after_it() -> None:
    room = '<Conference participantLabel="customer" endConferenceOnExit="true">call-1-1</Conference>'
    dial = f'<Dial action="/after">{room}</Dial>'
    async with calling(dial, "<Say>Adiós</Say>") as (phones, script):
        await call(phones)
        await doing(phones, "room")
        await phones.carrier.place_leg(agent_leg())

        async def both() -> bool:
            return len(await phones.carrier.who_is_in("call-1-1")) == 2

        await eventually(both)
        await phones.carrier.end_room("call-1-1")
        await eventually(lambda: script.of("/after"))
        await idle(phones)
        assert script.of("/after")[0]["CallStatus"] == "in-progress"


async def test_a_live_call_is_taken_elsewhere() -> None:
    async with calling('<Pause length="600"/>') as (phones, script):
        await call(phones)
        await doing(phones, "pause")
        sid = script.of("/voice")[0]["CallSid"]
        live = phones.carrier._api.calls(sid)
        await live.update_async(twiml="<Response><Pause length='600'/><Say>x</Say></Response>")
        await live.update_async(url=f"{script.url}/elsewhere")
        await eventually(lambda: script.of("/elsewhere"))
        await idle(phones)


@pytest.mark.parametrize(
    ("markup", "code"),
    [
        ("500", 11200),
        ("<Say>", 12100),
        ("<Foo/>", 12200),
        ('<Dial timeOut="3"/>', 12200),
        ("<Dial><Say>x</Say></Dial>", 12200),
        ("<Conference>x</Conference>", 12200),
        ("<Dial>+34600000000</Dial>", 13200),
    ],
)
async def test_markup_that_cannot_be_followed_is_a_trouble_with_the_carriers_number(markup: str, code: int) -> None:
    async with calling(markup) as (phones, _):
        await call(phones)
        await idle(phones)
        (found,) = await troubles(phones)
        assert found["code"] == code
        async with phones.person.get(f"{phones.box.url}/troubles", headers={"Accept": "text/html"}) as page:
            assert str(code) in await page.text()


@pytest.mark.parametrize("bad", [b"<!DOCTYPE x [<!ENTITY a 'b'>]><Response>&a;</Response>", b"", b"\xff", b"<x/>"])
def test_entities_and_nonsense_are_not_read(bad: bytes) -> None:
    with pytest.raises(BadMarkup):
        read(bad)


async def test_a_call_turned_away_is_busy() -> None:
    async with calling('<Reject reason="busy"/>') as (phones, script):
        await call(phones)
        await eventually(lambda: script.of("/status"))
        assert script.of("/status")[0]["CallStatus"] == "busy"


async def test_a_phone_in_use_cannot_call_and_nobody_answers_for_an_unknown_address() -> None:
    async with calling('<Pause length="600"/>') as (phones, _):
        await call(phones)
        assert await phones.press(CUSTOMER, "call", to=OURS) == 409
        assert await phones.press(CUSTOMER, "call", to="x") == 400
        assert await phones.press(CUSTOMER, "keys", keys="A") == 400
        await doing(phones, "pause")
        assert await phones.press(CUSTOMER, "hangup") == 200
    async with line() as phones:
        assert await phones.press(CUSTOMER, "call", to=OURS) == 409


PROMPTS = [
    Prompt(Listen("r", 20), ("Hola & <adiós>",), "es"),
    Prompt(EnterRoom("r", "task-1", "room-ref"), ("x",)),
    Prompt(LeaveMessage("r", 120), ("x", "y"), "ru"),
    Prompt(TurnAway()),
    Prompt(HangUp(), ("x\x0b\ud800y"[:2],), "xx"),
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_everything_we_answer_is_read_by_the_strict_reader(prompt: Prompt) -> None:
    read(render(prompt, lambda door, ref: f"https://x.example/hooks/carrier/{door}?ref={ref}&b=c"))


def test_the_reader_knows_what_the_sdk_can_write() -> None:
    """The SDK's builders are the judge of names: each verb of ours has a builder, each attribute a parameter there."""
    import inspect

    from twilio.twiml import voice_response

    sdk: Any = voice_response
    makers: dict[str, tuple[Any, str]] = {
        **{name: (sdk.VoiceResponse, name.lower()) for name in KNOWN if name not in ("Response", "Conference")},
        "Conference": (sdk.Dial, "conference"),
    }
    for name, (holder, method) in makers.items():
        parameters = inspect.signature(getattr(holder, method)).parameters
        camel = {"".join([first, *(each.title() for each in rest)]) for first, *rest in
                 (each.split("_") for each in parameters)}
        assert KNOWN[name][0] <= camel, f"{name}: {KNOWN[name][0] - camel}"


async def test_a_whatsapp_is_told_with_all_its_fields_and_answered_in_the_window_only() -> None:
    async with line(judge=Judge.load()) as phones:
        early = await phones.carrier.send_message(text("too early", channel="whatsapp"))
        status = await phones.press(CUSTOMER, "messages", **{  # type: ignore[arg-type]
            "to": OURS, "body": "Hola", "channel": "whatsapp", "name": "Ana", "media": ["photo"],
            "referral": {"SourceId": "1", "CtwaClid": "c"},
        })  # fmt: skip
        assert status == 200
        await eventually(lambda: any(isinstance(event, MessageArrived) for event in phones.events()))
        (event,) = [event for event in phones.events() if isinstance(event, MessageArrived)]
        assert (event.sender, event.to, event.name, event.channel) == (CUSTOMER, OURS, "Ana", "whatsapp")
        assert event.referral == {"ReferralSourceId": "1", "ReferralCtwaClid": "c"}
        assert (await phones.carrier.fetch(event.media[0][0])).content.startswith(b"\x89PNG")
        later = await phones.carrier.send_message(text("now", channel="whatsapp"))

        async def states() -> bool:
            found = {each["sid"]: each["status"] for each in (await phones.phone(CUSTOMER))["messages"]}
            return (found[early], found[later]) == ("undelivered", "delivered")

        await eventually(states)


async def test_media_are_asked_for_only_at_the_carriers() -> None:
    from router.ports import Refused

    async with line() as phones:
        disguised = "https://api.twilio.com@evil.example/"
        for url in ("http://127.0.0.1:1/x", "https://example.com/x", disguised, "x", "//["):
            with pytest.raises(Refused) as refused:
                await phones.carrier.fetch(url)
            assert refused.value.permanent
