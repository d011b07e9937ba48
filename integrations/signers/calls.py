"""Requests to providers of signatures: one way to ask, and one to tell their failures apart.

Nothing of an answer's words goes into a reason: they may quote the customer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from integrations.http import AddressNotAllowed, AnswerTooLong, read_answer
from router.model import foreign
from router.model.blobs import MAX_BYTES
from router.model.errors import Unreadable
from router.ports import Refused, SignerAccount, Uncertain

PASSING = frozenset({401, 403, 404, 408, 409, 423, 425, 429})
"""Answers that may be others tomorrow: a token is renewed, a document appears, a limit is lifted."""
UPLOAD_SECONDS = 40.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """Raises Refused for what is no JSON object."""
        try:
            return foreign.read(self.body)
        except Unreadable:
            raise Refused("the provider's answer cannot be read", permanent=False, code="answer") from None

    def items(self, most: int) -> list[dict[str, Any]]:
        """The objects of a JSON list, at most so many. Raises Refused for what is no JSON."""
        return list(foreign.parts(Answered(self.status, b'{"all":' + self.body + b"}").json(), "all", most))


class _Once:
    """What changes something is not asked again behind our back: aiohttp repeats a PUT or DELETE whose connection
    broke."""

    def __init__(self) -> None:
        self._asked = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._asked:
            raise aiohttp.ClientConnectionError("the connection broke")
        self._asked = True
        return await handler(request)


class Caller:
    """Asks one provider. `session` reaches the operator's own addresses; `guarded` any other, https and outside only:
    documents may be kept at a third place."""

    def __init__(self, session: aiohttp.ClientSession, guarded: aiohttp.ClientSession) -> None:
        self._session = session
        self._guarded = guarded

    async def ask(self, method: str, url: str, *, doing: bool = False, **options: Any) -> Answered:
        """The answer of 2xx. `doing`: it changes something, so what may have been done raises Uncertain; otherwise all
        failures raise Refused."""
        once = (_Once(),) if doing else ()
        try:
            async with self._session.request(
                method, url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=UPLOAD_SECONDS),
                middlewares=once, **options
            ) as answer:
                status, body = answer.status, await read_answer(answer, MAX_BYTES)
        except aiohttp.ClientConnectorError as error:
            raise Refused(type(error).__name__, permanent=False, code="network") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if doing:
                raise Uncertain(type(error).__name__) from None
            code = "answer" if isinstance(error, AnswerTooLong) else "network"
            raise Refused(type(error).__name__, permanent=False, code=code) from None
        if 200 <= status < 300:
            return Answered(status, body)
        raise _failed(status, doing=doing)

    async def document(self, account: SignerAccount, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """A document at an address the provider named. The account's secrets (`headers`) go to its own place alone."""
        place = urljoin(account.url + "/", url)
        for _ in range(3):
            try:
                target = URL(place)
                ours = target.origin() == URL(account.url).origin()
                async with (self._session if ours else self._guarded).get(
                    target, headers=dict(headers or {}) if ours else {}, allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=UPLOAD_SECONDS),
                ) as answer:
                    status, onward = answer.status, answer.headers.get("Location", "")
                    body = await read_answer(answer, MAX_BYTES)
            except AddressNotAllowed:
                raise Refused("the provider named an address inside", permanent=True, code="address") from None
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise Refused(type(error).__name__, permanent=False, code="network") from None
            if 200 <= status < 300:
                return body
            if not (300 <= status < 400 and onward):
                raise _failed(status, doing=False)
            place = urljoin(place, onward)
        raise Refused("the document's address leads round in circles", permanent=False, code="address")


def _failed(status: int, *, doing: bool) -> Refused | Uncertain:
    """What an answer other than 2xx says. A server's own fault says nothing of what was done before."""
    if doing and status >= 500 and status != 503:
        return Uncertain(f"the provider answered {status}")
    permanent = status < 500 and status not in PASSING
    return Refused(f"the provider answered {status}", permanent=permanent, code=str(status))


def named(value: object) -> str:
    """A provider's name of something, if it may stand in an address and mean nothing else there; otherwise ""."""
    found = foreign.identifier(value)
    return found if _NAME.fullmatch(found) else ""


def name_given(value: object) -> str:
    """The provider's name of what it was asked to make. Raises Refused when its answer has none that may be used."""
    if not (found := named(value)):
        raise Refused("the provider's answer names nothing", permanent=False, code="answer")
    return found


def pdf(content: bytes) -> bytes:
    """A document that is one. Raises Refused."""
    if b"%PDF-" not in content[:1024]:
        raise Refused("the provider sent no PDF", permanent=False, code="not-a-pdf")
    return content


def missing(account: SignerAccount, *, secrets: tuple[str, ...] = (), settings: tuple[str, ...] = ()) -> str:
    """What the account lacks, as the end of a sentence; "" when nothing."""
    names = [name for name in secrets if not account.secrets.get(name)]
    names += [name for name in settings if not account.settings.get(name)]
    return f"needs {', '.join(names)}" if names else ""
