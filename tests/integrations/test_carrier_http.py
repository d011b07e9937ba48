import asyncio
import logging
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from integrations.http import (
    AddressNotAllowed,
    AnswerTooLong,
    check_address,
    client_session,
    is_outside,
    path_template,
    read_answer,
)
from tests.keeping import door

SID = "CA" + "0a" * 16


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


# fmt: off
INSIDE = [
    "127.0.0.1", "localhost", "0x7f000001", "①②⑦.⓪.⓪.①", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::]", "127.1", "2130706433", "017700000001", "0", "10.0.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[fe80::1]", "[fd00::1]",
    "224.0.0.1", "255.255.255.255",
]
# fmt: on


@pytest.mark.parametrize("host", INSIDE)
async def test_a_strangers_address_never_leads_inside(host: str) -> None:
    # Each of these is raised before any connection is tried.
    refusals = (AddressNotAllowed, aiohttp.ClientConnectorDNSError, aiohttp.InvalidURL, ValueError)
    async with client_session(guarded=True) as session:
        with pytest.raises(refusals):
            await session.get(f"https://{host}:8443/")


@pytest.mark.parametrize(
    "address", ["http://example.com/", "https://example.com:22/", "https://127.0.0.1/", "https://[::1]/"]
)
async def test_only_plain_https_addresses_are_called_for_strangers(address: str) -> None:
    async with client_session(guarded=True) as session:
        with pytest.raises(AddressNotAllowed):
            await session.get(address)


@pytest.mark.parametrize("address", ["https://a:b@example.com/", "https://a@example.com/", "ftp://example.com/", "/x"])
def test_a_strangers_address_is_checked_when_it_is_saved(address: str) -> None:
    with pytest.raises(AddressNotAllowed):
        check_address(URL(address))
    check_address(URL("https://example.com:8443/hook?x=1"))


class Inward(AbstractResolver):
    """Answers with a public address and an internal one."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
            for address in ("93.184.216.34", "127.0.0.1")
        ]

    async def close(self) -> None: ...


async def test_a_name_that_points_inward_is_refused_even_if_one_answer_is_public() -> None:
    async with client_session(guarded=True, resolver=Inward()) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("https://rebinding.example/")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are_outside(address: str) -> None:
    assert is_outside(address)


async def test_our_own_configured_address_may_be_loopback() -> None:
    async with door(hello) as here, client_session() as session, session.get(here) as response:
        assert await read_answer(response) == b"hello"


async def test_an_answer_longer_than_allowed_is_not_read() -> None:
    async with door(hello) as here, client_session() as session, session.get(here) as response:
        with pytest.raises(AnswerTooLong):
            await read_answer(response, longest=4)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/2010-04-01/Accounts/{SID}/Calls/{SID}.json", f"/2010-04-01/Accounts/{SID}/Calls/{SID}.json"),
        ("/2010-04-01/Conferences/call-42-1/Participants.json", "/2010-04-01/Conferences/*/Participants.json"),
        ("/v2/PhoneNumbers/+34600000001", "/v2/PhoneNumbers/*"),
        ("/hooks/xJ9fQmZpTtRvWkLqBnYd", "/hooks/*"),
    ],
)
def test_the_log_shows_the_shape_of_a_path_only(path: str, shown: str) -> None:
    assert path_template(path) == shown


async def test_the_log_holds_no_query_no_body_and_no_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with door(hello) as here, client_session() as session:
        url = URL(f"{here}/Messages/+34600000001?code=123456")
        async with session.post(url, data={"Body": "secret words"}, headers={"Authorization": "Basic c2VjcmV0"}):
            pass
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("http://127.0.0.1:1/+34600000001")
    lines = [record.getMessage() for record in caplog.records if record.name == "integrations.http"]
    assert lines[0].startswith("POST 127.0.0.1 /Messages/* 200 ")
    assert lines[1].startswith("GET 127.0.0.1 /* ClientConnectorError ")
    assert not any(word in caplog.text for word in ("34600000001", "123456", "secret", "c2VjcmV0"))


async def test_the_session_gives_up_in_time() -> None:
    waiting = asyncio.Event()

    async def stall(_request: web.Request) -> Any:
        await waiting.wait()
        return web.Response()

    async with door(stall) as here, client_session(total=0.2) as session:
        with pytest.raises(TimeoutError):
            await session.get(here)
        waiting.set()
