"""Tells the other side what happened: signed, in order for each call, room and message."""

import asyncio
import base64
import hmac
import logging
import uuid
from collections import deque
from hashlib import sha1

import aiohttp
from yarl import URL

from integrations.phonebox.faults import Faults
from integrations.phonebox.legs import Notice

log = logging.getLogger(__name__)

_NO_CONNECTION = (aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError, aiohttp.ServerDisconnectedError)


def signature(token: str, url: str, fields: dict[str, str]) -> str:
    """The carrier's signature: HMAC-SHA1 over the address and the sorted fields, base64."""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), sha1).digest()).decode()


class Callbacks:
    """One queue for each subject. A failed connection is tried once more; an answer, whatever it says, is final."""

    def __init__(self, session: aiohttp.ClientSession, token: str, faults: Faults) -> None:
        self._session = session
        self._token = token
        self._faults = faults
        self._queues: dict[str, deque[Notice]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, Notice] = {}

    def push(self, notice: Notice) -> None:
        if self._faults.use("drop"):
            return
        if notice.subject not in self._held and self._faults.use("swap"):
            self._held[notice.subject] = notice
            return
        batch = [notice, notice] if self._faults.use("duplicate") else [notice]
        if held := self._held.pop(notice.subject, None):
            batch.append(held)
        if notice.subject in self._queues:
            self._queues[notice.subject].extend(batch)
            return
        self._queues[notice.subject] = deque(batch)
        task = asyncio.create_task(self._drain(notice.subject))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way, as a carrier that goes down would."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drain(self, subject: str) -> None:
        queue = self._queues[subject]
        while queue:
            await self._deliver(queue.popleft())
        del self._queues[subject]

    async def _deliver(self, notice: Notice) -> None:
        url = notice.url.partition("#")[0]
        headers = {
            "X-Twilio-Signature": signature(self._token, url, notice.fields),
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
        }
        for _ in range(2):
            try:
                async with self._session.post(
                    URL(url, encoded=True), data=notice.fields, headers=headers, allow_redirects=False
                ) as response:
                    if response.status >= 300:
                        log.warning("callback about %s answered %d", notice.subject, response.status)
                    return
            except _NO_CONNECTION as error:
                log.warning("callback about %s found no connection: %s", notice.subject, type(error).__name__)
            except (aiohttp.ClientError, ValueError, TimeoutError) as error:
                log.warning("callback about %s failed: %s", notice.subject, type(error).__name__)
                return
