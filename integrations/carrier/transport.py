"""The SDK's way out: one POST for one question, a known outcome or an honest "uncertain"."""

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from yarl import URL

from integrations.http import read_answer
from router.ports import Refused, Uncertain

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1  # the carrier's advice after a 429: 100 ms, doubled, within 10 % of chance, at most 30 s
LONGEST_PAUSE = 30.0
_READS = frozenset({"GET", "HEAD"})


class CarrierTransport(AsyncHttpClient):
    """Sends the SDK's requests over our own session.

    A 429 was not processed and is asked again with growing pauses; reads are asked again after a 5xx too. A POST whose
    answer is lost is never asked again: it raises Uncertain. A connection that never came about raises Refused, since
    nothing can have been done. `base_urls` maps an API's host, or `*`, to another base address.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_urls: Mapping[str, str] | None = None,
        total: float = 10.0,
        connect: float = 3.0,
        at_once: int = 20,
        tries: int = 5,
    ) -> None:
        super().__init__(log, True, total)
        self._session = session
        self._base_urls = dict(base_urls or {})
        self._timeout = aiohttp.ClientTimeout(total=total, connect=connect)
        self._turn = asyncio.Semaphore(at_once)
        self._tries = tries

    # The signature is the SDK's, whose asynchronous client overrides a synchronous one.
    async def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
        allow_redirects: bool = False,
    ) -> Response:
        method = method.upper()
        question = _question(params, data, headers, auth)
        question["allow_redirects"] = allow_redirects
        question["timeout"] = aiohttp.ClientTimeout(total=timeout) if timeout else self._timeout
        for attempt in range(self._tries):
            async with self._turn:
                answer = await self._ask(method, self.address(url), question)
            undone = answer.status_code == 429 or (answer.status_code >= 500 and method in _READS)
            if not undone or attempt + 1 == self._tries:
                break
            await asyncio.sleep(pause(attempt))
        return answer

    def address(self, url: str) -> str:
        """Where a request for `url` really goes."""
        asked = urlsplit(url)
        base = self._base_urls.get(asked.netloc) or self._base_urls.get("*")
        if not base:
            return url
        to = urlsplit(base)
        return urlunsplit((to.scheme, to.netloc, to.path.rstrip("/") + asked.path, asked.query, ""))

    async def _ask(self, method: str, url: str, question: dict[str, Any]) -> Response:
        try:
            async with self._session.request(method, URL(url, encoded=True), **question) as response:
                body = await read_answer(response)
                return Response(response.status, body.decode("utf-8", "replace"), response.headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Refused("the carrier cannot be reached", permanent=False, code=type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if method in _READS:
                raise Refused("the carrier did not answer", permanent=False, code=type(error).__name__) from error
            raise Uncertain(f"no answer from the carrier ({type(error).__name__})") from error


def _question(
    params: Mapping[str, object] | None,
    data: Mapping[str, object] | None,
    headers: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
) -> dict[str, Any]:
    sent = dict(headers or {})
    if auth:
        sent["Authorization"] = aiohttp.encode_basic_auth(*auth)
    question: dict[str, Any] = {"headers": sent, "params": params}
    if data is not None and "json" in sent.get("Content-Type", ""):
        question["json"] = data
    elif data is not None:
        question["data"] = data
    return question


def pause(attempt: int) -> float:
    """Seconds to wait after the given attempt (counted from 0)."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
    return longest * random.uniform(0.9, 1.1)  # noqa: S311  # spread, not a secret
