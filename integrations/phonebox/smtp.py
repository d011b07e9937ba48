"""A mail server that takes everything and delivers nothing: the twin of the house's own, with a log that can judge it.

As much of RFC 5321 as a client needs, with SIZE, AUTH PLAIN and LOGIN, and STARTTLS when it has a certificate.
"""

import asyncio
import base64
import contextlib
import logging
import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime

from integrations.phonebox.faults import SMTP, Faults
from integrations.phonebox.log import Log
from integrations.phonebox.mailbox import Caught, Mailbox

log = logging.getLogger(__name__)

LONGEST_MAIL = 40 << 20
LONGEST_LINE = 64 << 10
SLOWEST_SECONDS = 300.0
STOP_SECONDS = 1.0
_PATH = re.compile(r"(?:FROM|TO):\s?<([^<>\s]*)>(.*)", re.IGNORECASE)


class _HungUp(Exception):
    """The connection ends here."""


@dataclass
class _Session:
    """One connection. `sender` is None outside of a mail."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    secure: bool = False
    known: bool = False
    sender: str | None = None
    to: list[str] = field(default_factory=list)

    async def line(self) -> str:
        async with asyncio.timeout(SLOWEST_SECONDS):
            return (await self.reader.readuntil(b"\n")).decode("utf-8", "replace").strip()

    async def say(self, *lines: str) -> None:
        code, _, last = lines[-1].partition(" ")
        text = "".join(f"{code}-{each}\r\n" for each in lines[:-1]) + f"{code} {last}\r\n"
        self.writer.write(text.encode("utf-8", "replace"))
        await self.writer.drain()

    def forget(self) -> None:
        self.sender, self.to = None, []


class SmtpCatcher:
    """`login` are the name and password asked for; without them anybody is let in, whatever he says. `certificate`
    makes it offer STARTTLS, or speak TLS from the start with `direct`."""

    def __init__(
        self, log: Log, faults: Faults, mailbox: Mailbox, *, certificate: ssl.SSLContext | None = None,
        direct: bool = False, login: tuple[str, str] | None = None,
    ) -> None:
        self._log, self._faults, self._mailbox = log, faults, mailbox
        self._certificate, self._direct, self._login = certificate, direct, login
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        """How many there have been."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; port 0 takes a free one. The port. Raises OSError when it is taken."""
        self._server = await asyncio.start_server(
            self._serve, host, port, limit=LONGEST_LINE, ssl=self._certificate if self._direct else None
        )
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._tasks.add(task)
        self.connections += 1
        session = _Session(reader, writer, secure=self._direct)
        try:
            await self._talk(session)
        except (_HungUp, OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError, ValueError):
            writer.transport.abort()
        except Exception:
            log.exception("the mail catcher failed")
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await writer.wait_closed()

    async def _talk(self, session: _Session) -> None:
        if await self._fails("GREETING", session):
            raise _HungUp
        await session.say("220 phonebox ESMTP, nothing is delivered from here")
        while True:
            word, _, rest = (await session.line()).partition(" ")
            verb = getattr(self, f"_{word.lower()}", None) if word.lower() in _VERBS else None
            if verb is None:
                await session.say("500 5.5.2 not known here")
            elif not await self._fails(word.upper(), session):
                await verb(session, rest)

    async def _fails(self, stage: str, session: _Session) -> bool:
        """Whether a fault has answered, or ended it."""
        fault = self._faults.next_for(SMTP, stage)
        if fault is None:
            return False
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return False
        if fault.kind == "drop":
            raise _HungUp
        await session.say(f"{fault.status} {fault.words}")
        return True

    async def _helo(self, session: _Session, rest: str) -> None:
        session.forget()
        await session.say("250 phonebox")

    async def _ehlo(self, session: _Session, rest: str) -> None:
        session.forget()
        offers = ["phonebox", f"SIZE {LONGEST_MAIL}", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN"]
        if self._certificate is not None and not session.secure:
            offers.append("STARTTLS")
        await session.say(*offers, "250 HELP")

    async def _starttls(self, session: _Session, rest: str) -> None:
        if self._certificate is None or session.secure:
            await session.say("502 5.5.1 not offered")
            return
        await session.say("220 2.0.0 go ahead")
        await session.writer.start_tls(self._certificate)
        session.secure = True
        session.forget()

    async def _auth(self, session: _Session, rest: str) -> None:
        kind, _, first = rest.partition(" ")
        if kind.upper() == "PLAIN":
            if not first:
                await session.say("334 ")
                first = await session.line()
            _, name, password = [*_decoded(first).split("\0"), "", "", ""][:3]
        elif kind.upper() == "LOGIN":
            if not first:
                await session.say("334 VXNlcm5hbWU6")
                first = await session.line()
            await session.say("334 UGFzc3dvcmQ6")
            name, password = _decoded(first), _decoded(await session.line())
        else:
            await session.say("504 5.5.4 not known here")
            return
        session.known = self._login is None or (name, password) == self._login
        await session.say("235 2.7.0 come in" if session.known else "535 5.7.8 not you")

    async def _mail(self, session: _Session, rest: str) -> None:
        path = _PATH.fullmatch(rest)
        if self._login is not None and not session.known:
            await session.say("530 5.7.0 who are you?")
        elif path is None or session.sender is not None:
            await session.say("501 5.1.7 no sender")
        else:
            session.sender = path[1]
            await session.say("250 2.1.0 fine")

    async def _rcpt(self, session: _Session, rest: str) -> None:
        path = _PATH.fullmatch(rest)
        if session.sender is None or path is None or not path[1]:
            await session.say("503 5.5.1 no sender yet, or no recipient")
        elif path[1] in self._faults.undeliverable:
            await session.say("550 5.1.1 nobody of this name")
        else:
            session.to.append(path[1])
            await session.say("250 2.1.5 fine")

    async def _data(self, session: _Session, rest: str) -> None:
        if not session.to:
            await session.say("503 5.5.1 no recipient yet")
            return
        await session.say("354 go ahead, end with a point")
        raw = await self._content(session)
        mail = Caught(session.sender or "", tuple(session.to), raw, datetime.now(UTC))
        session.forget()
        if len(raw) > LONGEST_MAIL:
            await session.say("552 5.3.4 too long")
            return
        fault = self._faults.next_for(SMTP, "BODY")
        if fault is None or fault.kind == "delay" or (fault.kind == "drop" and fault.processed):
            # On the disk before it is answered: what was taken must survive a restart.
            await self._log.add("mail", **mail.as_entry())
            self._mailbox.keep(mail)
        if fault is not None and fault.kind == "drop":
            raise _HungUp
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        refused = fault is not None and fault.kind == "answer"
        await session.say(f"{fault.status} {fault.words}" if fault and refused else f"250 2.0.0 kept as {mail.sid}")

    async def _content(self, session: _Session) -> bytes:
        content = bytearray()
        while (each := await session.reader.readuntil(b"\n")).rstrip(b"\r\n") != b".":
            if len(content) <= LONGEST_MAIL:
                content += each[1:] if each.startswith(b".") else each
        return bytes(content)

    async def _rset(self, session: _Session, rest: str) -> None:
        session.forget()
        await session.say("250 2.0.0 forgotten")

    async def _noop(self, session: _Session, rest: str) -> None:
        await session.say("250 2.0.0 fine")

    async def _quit(self, session: _Session, rest: str) -> None:
        await session.say("221 2.0.0 goodbye")
        raise _HungUp


_VERBS = frozenset({"helo", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "rset", "noop", "quit"})


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "replace")
