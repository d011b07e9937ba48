"""E-mail out: SMTP (RFC 5321) to the house's own mail server, over checked TLS, a few mails on one connection."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPRecipientRefused, SMTPResponseException

from integrations.mail.composing import compose
from router.model.addresses import gone
from router.ports import RECIPIENT, MailOrder, Refused, Uncertain

log = logging.getLogger(__name__)

BEFORE_SECONDS = 25.0
"""For all that comes before the mail itself: a free connection, its greeting, TLS, login, envelope."""
DATA_SECONDS = 80.0
"""For the mail itself and its answer. Together they end before a mail's lease does."""
QUIT_SECONDS = 2.0
AT_ONCE = 4
MOST_ON_ONE = 20
"""Mails on one connection: many servers cut off who sends more."""
IDLE_SECONDS = 15.0


@dataclass
class _Line:
    """A connection that is let in; `since` is the loop's time of its last mail."""

    client: SMTP
    sent: int = 0
    since: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def fit(self) -> bool:
        fresh = asyncio.get_running_loop().time() - self.since < IDLE_SECONDS
        return fresh and self.sent < MOST_ON_ONE and self.client.is_connected


class SmtpMail:
    """Implements `router.ports.Mail`. `url` is smtps://user:password@host:port, or smtp:// for STARTTLS, without which
    nothing leaves this machine. `name` is what we call ourselves in EHLO, a host name or an address. Times in seconds.

    `trust` are the certificates believed, those of the system unless given; `encrypt` is for tests: unless told, only
    what stays on this machine goes unencrypted.
    """

    def __init__(
        self, url: str, *, name: str = "", trust: ssl.SSLContext | None = None, encrypt: bool | None = None,
        before: float = BEFORE_SECONDS, data: float = DATA_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._direct = parts.hostname or "", parts.scheme == "smtps"
        self._port = parts.port or (465 if self._direct else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._name = _greeting(name)
        self._trust = trust
        self._encrypt = not _here(self._host) if encrypt is None else encrypt
        self._before, self._data = before, data
        self._places = asyncio.Semaphore(AT_ONCE)
        self._idle: list[_Line] = []
        self._sweeping: asyncio.TimerHandle | None = None

    async def send(self, order: MailOrder) -> str:
        try:
            content = compose(order, datetime.now(UTC))
        except ValueError as error:
            raise Refused("the mail cannot be composed", permanent=True, code="unfit") from error
        async with self._nothing_done(), asyncio.timeout(self._before):
            await self._places.acquire()
        try:
            return await self._deliver(order, content)
        finally:
            self._places.release()

    async def check(self) -> None:
        async with self._nothing_done(), asyncio.timeout(self._before):
            line = _Line(await self._connect())
            await line.client.noop()
        await self._retire(line)

    async def close(self) -> None:
        """Ends the connections that wait for more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        lines, self._idle = self._idle, []
        await asyncio.gather(*(self._retire(line) for line in lines))

    async def _deliver(self, order: MailOrder, content: bytes) -> str:
        line: _Line | None = None
        try:
            async with self._nothing_done(), asyncio.timeout(self._before):
                line = await self._prepared(order)
            answer = await self._hand_over(line, content)
        except BaseException:
            if line is not None:
                line.client.close()
            raise
        line.sent, line.since = line.sent + 1, asyncio.get_running_loop().time()
        await self._give_back(line)
        return answer

    async def _prepared(self, order: MailOrder) -> _Line:
        """A connection on which the server has agreed to sender and recipient. One that was kept may have been cut off
        meanwhile: then nothing was said on it, and a new one is made."""
        while self._idle:
            kept = self._idle.pop()
            if not kept.fit:
                await self._retire(kept)
                continue
            try:
                await self._address(kept, order)
                return kept
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError):
                kept.client.close()
        made = _Line(await self._connect())
        await self._address(made, order)
        return made

    async def _address(self, line: _Line, order: MailOrder) -> None:
        try:
            await line.client.mail(order.sender)
            await line.client.rcpt(order.to)
        except SMTPResponseException:
            await self._retire(line)
            raise
        except BaseException:
            line.client.close()
            raise

    async def _hand_over(self, line: _Line, content: bytes) -> str:
        """From here on silence is no "no": the server may have taken the mail."""
        try:
            async with asyncio.timeout(self._data):
                answer = await line.client.data(content, timeout=self._data)
        except SMTPResponseException as error:
            if 400 <= error.code < 600:
                raise _refusal(error) from error
            raise Uncertain("the mail server's answer says nothing") from error
        except (SMTPException, OSError) as error:  # time-outs are OSErrors
            raise Uncertain("no answer to the mail") from error
        return "".join(each for each in answer.message if each.isprintable())[:100]

    async def _connect(self) -> SMTP:
        client = SMTP(
            hostname=self._host, port=self._port, username=self._user or None, password=self._password or None,
            use_tls=self._direct, start_tls=self._encrypt and not self._direct, tls_context=self._trust,
            local_hostname=self._name, timeout=self._before,
        )
        await client.connect()
        return client

    async def _give_back(self, line: _Line) -> None:
        if not line.fit:
            await self._retire(line)
            return
        self._idle.append(line)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Hangs up what nobody needed for a while."""
        self._sweeping = None
        for line in [each for each in self._idle if not each.fit]:
            self._idle.remove(line)
            line.client.close()
        if self._idle:
            self._sweeping = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._sweep)

    async def _retire(self, line: _Line) -> None:
        """Politely, if that takes no time."""
        with contextlib.suppress(SMTPException, OSError):
            await line.client.quit(timeout=QUIT_SECONDS)
        line.client.close()

    @asynccontextmanager
    async def _nothing_done(self) -> AsyncIterator[None]:
        """Whatever goes wrong in here, no mail was handed over."""
        try:
            yield
        except SMTPResponseException as error:
            raise _refusal(error) from error
        except (SMTPException, OSError, ValueError) as error:
            log.warning("the mail server could not be used", extra={"error": type(error).__name__})
            raise Refused("the mail server could not be used", permanent=False, code="no_server") from error


def _refusal(error: SMTPResponseException) -> Refused:
    """A login that is refused is the house's trouble, not the mail's: it is tried again when somebody has mended it."""
    ours = isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPConnectResponseError
                      | aiosmtplib.SMTPHeloError)
    if 500 <= error.code < 600 and not ours:
        recipient = isinstance(error, SMTPRecipientRefused)
        mark = RECIPIENT if gone(error.code, error.message, recipient=recipient) else ""
        return Refused("the mail server refused the mail", permanent=True, code=f"{mark}{error.code}")
    return Refused("the mail server did not take the mail now", permanent=False, code=str(error.code))


def _here(host: str) -> bool:
    """Whether the server is on this machine: what goes there needs no encryption."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _greeting(name: str) -> str:
    try:
        address = ip_address(name)
    except ValueError:
        return name or "localhost"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
