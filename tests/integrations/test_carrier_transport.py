import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from integrations.carrier.errors import is_permanent
from integrations.carrier.transport import CarrierTransport, pause
from integrations.carrier.twilio import TwilioCarrier
from integrations.http import client_session
from router.ports import OutsideError, Refused, Uncertain
from tests.integrations.phoning import ACCOUNT, TOKEN, customer_leg, text
from tests.keeping import door

NOW = datetime(2026, 11, 24, tzinfo=UTC)


class Strange:
    """A carrier that answers as it was told, and counts."""

    def __init__(self, *answers: web.Response | str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.stalling = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.asked.append(request.method)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, web.Response):
            body = answer.body if isinstance(answer.body, bytes) else b""
            return web.Response(status=answer.status, body=body, content_type="application/json")
        if answer == "drop" and request.transport:
            request.transport.abort()
        if answer == "stall":
            await self.stalling.wait()
        return web.Response()


def says(status: int, code: int = 0, /, **more: Any) -> web.Response:
    return web.Response(status=status, body=json.dumps({"code": code, "message": "no", **more}).encode())


@asynccontextmanager
async def before(strange: Strange, total: float = 5.0) -> AsyncIterator[TwilioCarrier]:
    async with door(strange.handle) as url, client_session() as session:
        yield TwilioCarrier(
            session, account=ACCOUNT, tokens=(TOKEN,), public_url="https://x.example", base_url=url, total=total
        )
        strange.stalling.set()


@pytest.mark.parametrize("how", ["drop", "stall"])
async def test_a_lost_answer_is_uncertain_and_never_asked_again(how: str) -> None:
    strange = Strange(how)
    async with before(strange, total=0.3) as carrier:
        with pytest.raises(Uncertain):
            await carrier.place_leg(customer_leg())
        with pytest.raises(Uncertain):
            await carrier.send_message(text())
    assert strange.asked == ["POST", "POST"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_a_server_error_is_uncertain_and_never_posted_again(status: int) -> None:
    strange = Strange(says(status))
    async with before(strange) as carrier:
        with pytest.raises(Uncertain):
            await carrier.send_message(text())
    assert strange.asked == ["POST"]


async def test_a_refused_connection_did_nothing() -> None:
    async with client_session() as session:
        carrier = TwilioCarrier(
            session, account=ACCOUNT, tokens=(TOKEN,), public_url="https://x.example", base_url="http://127.0.0.1:1"
        )
        with pytest.raises(Refused) as refused:
            await carrier.place_leg(customer_leg())
    assert not refused.value.permanent


async def test_too_many_requests_are_asked_again_until_they_pass() -> None:
    strange = Strange(says(429, 20429), says(429, 20429), says(201, sid="SM" + "a" * 32))
    async with before(strange) as carrier:
        assert await carrier.send_message(text()) == "SM" + "a" * 32
    assert strange.asked == ["POST"] * 3


async def test_too_many_requests_without_end_are_refused_for_now() -> None:
    strange = Strange(says(429, 20429))
    async with before(strange) as carrier:
        with pytest.raises(Refused) as refused:
            await carrier.send_message(text())
    assert (refused.value.permanent, refused.value.code) == (False, "20429")
    assert strange.asked == ["POST"] * 5


async def test_a_read_is_asked_again_after_a_server_error_and_is_never_uncertain() -> None:
    strange = Strange(says(503), says(200, status="ringing"))
    async with before(strange) as carrier:
        await carrier.find_leg("CA" + "a" * 32)
    assert strange.asked == ["GET", "GET"]
    for how in (says(500), "drop"):
        async with before(Strange(how)) as carrier:
            with pytest.raises(Refused) as refused:
                await carrier.find_messages("+34600000001", NOW)
            assert not refused.value.permanent


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, 21211, True),
        (400, 21610, True),
        (400, 21614, True),
        (400, 21408, True),
        (400, 30007, True),
        (400, 99999, True),
        (404, 20404, True),
        (400, 30003, False),
        (400, 21611, False),
        (401, 20003, False),
        (403, 20003, False),
        (429, 0, False),
    ],
)
async def test_a_refusal_says_whether_it_is_for_good(status: int, code: int, permanent: bool) -> None:
    assert is_permanent(status, code) is permanent


async def test_a_refusal_carries_the_carriers_code_and_no_number() -> None:
    async with before(Strange(says(400, 21610, message="+34600000001 said STOP"))) as carrier:
        with pytest.raises(Refused) as refused:
            await carrier.send_message(text())
    assert (refused.value.permanent, refused.value.code) == (True, "21610")
    assert "34600000001" not in str(refused.value)


async def test_the_newer_form_of_errors_is_understood_too() -> None:
    newer = says(400, 21211, type="about:blank", title="no", status=400)
    async with before(Strange(newer)) as carrier:
        with pytest.raises(Refused) as refused:
            await carrier.send_message(text())
    assert (refused.value.permanent, refused.value.code) == (True, "21211")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b'{"sid": null}', b"\xff", b"[" * 100_000])
async def test_an_answer_nobody_can_read_is_uncertain_after_a_post(body: bytes) -> None:
    async with before(Strange(web.Response(status=201, body=body))) as carrier:
        with pytest.raises(Uncertain):
            await carrier.send_message(text())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"{}", b'{"a": [], "b": []}'])
async def test_an_answer_nobody_can_read_is_refused_after_a_read(body: bytes) -> None:
    async with before(Strange(web.Response(status=200, body=body))) as carrier:
        with pytest.raises(OutsideError):
            await carrier.who_is_in("call-1-1")
        with pytest.raises(OutsideError):
            await carrier.find_messages("+34600000001", NOW)


async def test_answers_never_reach_another_question() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"sid": (await request.post())["Body"]}, status=201)

    async with door(echo) as url, client_session() as session:
        carrier = TwilioCarrier(session, account=ACCOUNT, tokens=(TOKEN,), public_url="https://x.example", base_url=url)
        words = [f"text {number}" for number in range(100)]
        assert list(await asyncio.gather(*(carrier.send_message(text(each)) for each in words))) == words


async def test_addresses_are_rewritten_by_host_or_all() -> None:
    async with client_session() as session:
        transport = CarrierTransport(session, base_urls={"content.twilio.com": "http://h:1/content", "*": "http://h:2"})
        assert transport.address("https://content.twilio.com/v1/Content?a=1") == "http://h:1/content/v1/Content?a=1"
        assert transport.address("https://api.twilio.com/2010-04-01/x.json") == "http://h:2/2010-04-01/x.json"
        assert CarrierTransport(session).address("https://api.twilio.com/x") == "https://api.twilio.com/x"


async def test_json_bodies_go_out_as_json_and_forms_as_forms() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"type": request.content_type, "body": (await request.read()).decode()})

    async with door(echo) as url, client_session() as session:
        transport = CarrierTransport(session, base_urls={"*": url})
        answer = await transport.request(
            "POST", "https://x/", data={"a": "é"}, headers={"Content-Type": "application/json"}
        )
        assert json.loads(answer.text) == {"type": "application/json", "body": '{"a": "\\u00e9"}'}
        answer = await transport.request("post", "https://x/", data={"E": ["a", "b"]})
        assert json.loads(answer.text) == {"type": "application/x-www-form-urlencoded", "body": "E=a&E=b"}


def test_pauses_grow_and_stay_within_bounds() -> None:
    assert 0.09 <= pause(0) <= 0.11
    assert 0.72 <= pause(3) <= 0.88
    assert pause(100) <= 33
