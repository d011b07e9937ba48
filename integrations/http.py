"""Requests out of the house: sessions with limits, a log without secrets, a guard against internal addresses. And the
server of those who stand in for the outside."""

import asyncio
import ipaddress
import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

log = logging.getLogger(__name__)

TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
LONGEST_ANSWER = 1 << 20

# IANA's special-purpose registries, and the IPv6 forms an IPv4 address can hide in (mapped, compatible, NAT64, 6to4,
# Teredo): `is_global` of Python 3.11 calls several of them global.
# fmt: off
_INTERNAL = [ipaddress.ip_network(network) for network in (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48",
    "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
    "fec0::/10", "ff00::/8",
)]
# fmt: on
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_PLAIN = re.compile(r"[A-Za-z_]{1,16}|\d{4}-\d\d-\d\d|v\d{1,2}")


SHUTDOWN_SECONDS = 0.5
"""A stand-in waits no longer for the answers it still owes."""


class AddressNotAllowed(aiohttp.ClientConnectionError):
    """A stranger's address points inside, or is not a plain https address. Nothing was sent."""


class AnswerTooLong(aiohttp.ClientError):
    """The party answered with more bytes than we read."""


def is_outside(address: str) -> bool:
    """Whether an IP address (text) belongs to the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.is_global and not any(ip in network for network in _INTERNAL if network.version == ip.version)


def check_address(url: URL, *, ports: tuple[int, ...] = (443, 8443)) -> None:
    """Raise AddressNotAllowed unless the address is https, without user, on a usual port and not literally inside.

    To be called when a stranger's address is saved; sessions opened with `guarded=True` call it before each request
    and check what the name resolves to as well.
    """
    if url.scheme != "https" or url.user or url.password or not url.host or url.port not in ports:
        raise AddressNotAllowed("only https addresses without user and on port 443 or 8443 are called")
    try:
        outside = is_outside(url.host.strip("[]"))
    except ValueError:
        return
    if not outside:
        raise AddressNotAllowed("the address is an internal one")


class OutsideResolver(AbstractResolver):
    """Refuses names that point inside. aiohttp connects to the very answer checked here, so rebinding finds no gap."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        if not answers or not all(is_outside(answer["host"]) for answer in answers):
            raise OSError(None, "the name points to an internal address")
        return answers

    async def close(self) -> None:
        await self._inner.close()


async def _guard(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # A literal IP address never reaches the resolver, hence this second look, which redirects pass through too.
    check_address(request.url)
    return await handler(request)


def path_template(path: str) -> str:
    """The path with everything hidden that is not a plain word or a carrier's id: names, numbers and tokens."""
    return "/".join(_shown(segment) for segment in path.split("/"))


def _shown(segment: str) -> str:
    stem = segment.removesuffix(".json")
    return segment if not stem or _SID.fullmatch(stem) or _PLAIN.fullmatch(stem) else "*"


def _trace(*, hide_path: bool) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    def note(context: SimpleNamespace, method: str, url: URL, outcome: str) -> None:
        took = (asyncio.get_running_loop().time() - context.started) * 1000
        shown = "/*" if hide_path else path_template(url.path)
        log.info("%s %s %s %s %.0f ms", method, url.host, shown, outcome, took)

    async def start(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestStartParams
    ) -> None:
        context.started = asyncio.get_running_loop().time()

    async def end(
        _session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        note(context, params.method, params.url, str(params.response.status))

    async def failed(
        _session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
    ) -> None:
        note(context, params.method, params.url, type(params.exception).__name__)

    trace.on_request_start.append(start)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(failed)
    return trace


@asynccontextmanager
async def client_session(
    *,
    guarded: bool = False,
    total: float = TOTAL_SECONDS,
    connect: float = CONNECT_SECONDS,
    connections: int = 50,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a connector of its own, closed on leaving. Times in seconds.

    `guarded` is for addresses strangers supplied (webhooks, callbacks): https only, nothing internal, no cookies, no
    decompression, DNS asked anew each time. Pass `allow_redirects=False` there; a followed redirect is checked too.
    """
    inner = resolver or aiohttp.ThreadedResolver()
    connector = aiohttp.TCPConnector(
        limit=connections, resolver=OutsideResolver(inner) if guarded else inner, use_dns_cache=not guarded
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=total, connect=connect),
        trace_configs=[_trace(hide_path=guarded)],
        middlewares=(_guard,) if guarded else (),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=not guarded,
        trust_env=False,
    ) as session:
        yield session


async def read_answer(response: aiohttp.ClientResponse, longest: int = LONGEST_ANSWER) -> bytes:
    """The body, at most `longest` bytes; AnswerTooLong beyond."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > longest:
            raise AnswerTooLong("the answer is too long")
    return bytes(body)


@asynccontextmanager
async def serving(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves the application until left; its address, without a slash at its end. Port 0 takes a free one. Raises
    OSError when the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
