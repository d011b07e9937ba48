"""The HTTP server: a listening socket first, so that the address is known; stopped within seconds, streams and all."""

import socket

from aiohttp import http_parser, web

SHUTDOWN_SECONDS = 8.0
KEEPALIVE_SECONDS = 75.0


class Server:
    """One application on one address. `port` 0 takes any free one; `url` tells which."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    async def start(self, app: web.Application) -> None:
        """Begins to listen. Raises RuntimeError when only the slow parser is there, which is also the laxer one."""
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise RuntimeError("aiohttp was installed without its compiled HTTP parser")
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=KEEPALIVE_SECONDS
        )
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._socket, backlog=512)
        await self._site.start()

    async def stop_listening(self) -> None:
        """Takes no new connections; what runs goes on."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def stop(self) -> None:
        """Waits for what runs, at most SHUTDOWN_SECONDS, then ends it."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._socket.close()
