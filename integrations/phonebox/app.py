"""The phonebox as a server: put together, started, stopped."""

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from integrations.http import client_session
from integrations.phonebox import shapes
from integrations.phonebox.callbacks import Callbacks
from integrations.phonebox.exchange import Exchange, NotPossible
from integrations.phonebox.faults import Faults
from integrations.phonebox.legs import API_VERSION
from integrations.phonebox.log import Log
from integrations.phonebox.mailbox import Mailbox
from integrations.phonebox.mails import Mails
from integrations.phonebox.memory import Memory
from integrations.phonebox.messages import Post
from integrations.phonebox.pages import STATIC, Pages
from integrations.phonebox.phones import Phones
from integrations.phonebox.recorded import Recorded
from integrations.phonebox.rest import Rest
from integrations.phonebox.scripts import Scripts
from integrations.phonebox.smtp import SmtpCatcher
from integrations.phonebox.switchboard import Switchboard
from integrations.phonebox.verbs import Verbs

log = logging.getLogger(__name__)

CALLBACK_SECONDS, CALLBACK_CONNECT_SECONDS = 15.0, 5.0  # the carrier's own limits for a webhook
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Phonebox:
    """The carrier's local twin: its REST interface, its signed callbacks, and a page for every phone; and a mail server
    that delivers nothing, with a page for what it caught.

    `templates` is the directory that holds `phonebox/`. `log` is a file of JSON lines, made if missing; without it
    nothing survives a restart. `inbound_url`, `voice_url` and `voice_status_url` (may be set later) are told of texts
    written on a phone, asked what a call from a phone is answered with, and told of such a call's end. Times in
    seconds; `pace` stretches or shortens those of what a caller hears.
    It trusts whoever reaches its pages: bind it to loopback.
    """

    def __init__(
        self,
        *,
        account: str,
        token: str,
        templates: Path,
        log: Path | None = None,
        inbound_url: str | None = None,
        voice_url: str | None = None,
        voice_status_url: str | None = None,
        pace: float = 1.0,
        soft_seconds: float = 0.3,
        dial_seconds: float = 0.02,
        message_seconds: float = 0.05,
        test_switches: bool = False,
    ) -> None:
        self.faults = Faults()
        self.log = Log(log)
        self._account, self._token = account, token
        self._soft_seconds, self._dial_seconds, self._message_seconds = soft_seconds, dial_seconds, message_seconds
        self._pages = Pages(templates)
        self._inbound_url, self._voice_url, self._voice_status_url = inbound_url, voice_url, voice_status_url
        self._pace = pace
        self._test_switches = test_switches
        self._board: Switchboard | None = None
        self._running = AsyncExitStack()
        self._url = self._smtp_url = ""

    @property
    def smtp_url(self) -> str:
        """Where it takes mails, e.g. smtp://127.0.0.1:8091; empty before the start."""
        return self._smtp_url

    @property
    def url(self) -> str:
        """Where it listens, e.g. http://127.0.0.1:8090; empty before the start."""
        return self._url

    @property
    def inbound_url(self) -> str | None:
        return self._inbound_url

    @inbound_url.setter
    def inbound_url(self, url: str | None) -> None:
        self._inbound_url = url
        if self._board:
            self._board.inbound_url = url

    @property
    def voice_url(self) -> str | None:
        return self._voice_url

    @voice_url.setter
    def voice_url(self, url: str | None) -> None:
        self._voice_url = url
        if self._board:
            self._board.voice_url = url

    @property
    def voice_status_url(self) -> str | None:
        return self._voice_status_url

    @voice_status_url.setter
    def voice_status_url(self, url: str | None) -> None:
        self._voice_status_url = url
        if self._board:
            self._board.voice_status_url = url

    async def start(self, host: str = "127.0.0.1", port: int = 0, smtp_port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError when a port is taken."""
        async with AsyncExitStack() as stack:
            board = await stack.enter_async_context(self._switchboard())
            mailbox = Mailbox()
            mailbox.remember(self.log.read())
            catcher = SmtpCatcher(self.log, self.faults, mailbox)
            smtp = await catcher.start(host, smtp_port)
            stack.push_async_callback(catcher.stop)
            runner = web.AppRunner(
                self._app(board, mailbox, host), access_log=None, shutdown_timeout=2.0, keepalive_timeout=75.0
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.callback(board.close)
            site = web.TCPSite(runner, host, port)
            await site.start()
            bound = runner.addresses[0][1]
            name = f"[{host}]" if ":" in host else host
            self._url, self._smtp_url = f"http://{name}:{bound}", f"smtp://{name}:{smtp}"
            board.url = board.post.url = self._url
            self._board = board
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop listening, end the streams, give up what is under way."""
        self._board = None
        await self._running.aclose()

    @asynccontextmanager
    async def _switchboard(self) -> AsyncIterator[Switchboard]:
        async with client_session(total=CALLBACK_SECONDS, connect=CALLBACK_CONNECT_SECONDS) as session:
            callbacks = Callbacks(session, self._token, self.faults)
            exchange = Exchange(self._account, soft_seconds=self._soft_seconds, dial_seconds=self._dial_seconds)
            post = Post(self._account, step_seconds=self._message_seconds, undeliverable=self.faults.undeliverable)
            board = Switchboard(
                exchange,
                post,
                self.log,
                callbacks=callbacks,
                faults=self.faults,
                inbound_url=self._inbound_url,
            )
            scripts = Scripts(session, account=self._account, token=self._token, pace=self._pace)
            board.voice_url, board.voice_status_url, board.scripts = self._voice_url, self._voice_status_url, scripts
            Memory(exchange, post, board.recordings, board.now()).read(self.log.read())
            clock = asyncio.create_task(board.run())
            try:
                yield board
            finally:
                clock.cancel()
                with suppress(asyncio.CancelledError):
                    await clock
                await scripts.close()
                await callbacks.close()

    def _app(self, board: Switchboard, mailbox: Mailbox, host: str) -> web.Application:
        app = web.Application(middlewares=[_plain_errors(self._pages), _no_strangers(host)])
        verbs = Verbs(board, self._account).table() | Recorded(board, self._account).table()
        app.add_routes(Rest(board, account=self._account, token=self._token, verbs=verbs).routes())
        app.add_routes(Phones(board, self._pages, test_switches=self._test_switches).routes())
        app.add_routes(Mails(mailbox, self._pages).routes())
        app.router.add_static("/static/", STATIC)
        return app


def _is_rest(request: web.Request) -> bool:
    return request.path.startswith(f"/{API_VERSION}/")


def _plain_errors(pages: Pages) -> Any:
    """Every failure becomes an answer with a sentence: a page for people, the carrier's JSON for programs."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotPossible as error:
            sentence, code, status = error.sentence, error.code, error.status
        except web.HTTPRedirection:
            raise
        except web.HTTPException as error:
            sentence, code, status = error.reason, 20404 if error.status == 404 else error.status, error.status
        except Exception:
            log.exception("the phonebox failed at %s", request.method)
            sentence, code, status = "The phonebox failed", 20500, 500
        if "text/html" in request.headers.get("Accept", "") and not _is_rest(request):
            return pages.trouble(request, sentence, status)
        return web.json_response(shapes.error(sentence, code=code, status=status), status=status)

    return middleware


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def _no_strangers(bound: str) -> Any:
    """Keep other sites out of the phones: no foreign posts, and no foreign name that points at our loopback."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdecimal() else request.host
        if _is_rest(request):
            return await handler(request)
        if _is_loopback(bound) and not _is_loopback(host):
            raise NotPossible("The phonebox does not go by this name", code=403, status=403)
        if request.method not in ("GET", "HEAD"):
            origin = request.headers.get("Origin")
            site = request.headers.get("Sec-Fetch-Site", "none")
            if site not in ("none", "same-origin") or origin not in (None, f"{request.scheme}://{request.host}"):
                raise NotPossible("This must be asked from the phone's own page", code=403, status=403)
        return await handler(request)

    return middleware
