"""The carrier's REST interface: who asks, what is asked, what is logged. The verbs are in `verbs.py`."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from integrations.phonebox import shapes
from integrations.phonebox.bodies import Form, read_form
from integrations.phonebox.exchange import NotPossible, not_found
from integrations.phonebox.faults import Fault
from integrations.phonebox.legs import API_VERSION
from integrations.phonebox.switchboard import Switchboard


@dataclass
class Asked:
    """One request: its form, its query, the ids in its path. `noted` goes into the log's line."""

    method: str
    path: str
    form: Form
    query: dict[str, str]
    ids: list[str]
    noted: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """An answer that is not JSON."""

    media_type: str
    content: bytes


Answer = tuple[int, shapes.Record | Document | None]
Verb = Callable[[Asked], Answer]
ID = r"([^/]+)"


class Rest:
    """`verbs` maps (method, path pattern below the account) to what is done."""

    def __init__(self, board: Switchboard, *, account: str, token: str, verbs: dict[tuple[str, str], Verb]) -> None:
        self._board = board
        self._account = account
        self._credentials = f"{account}:{token}".encode()
        self._verbs = [(method, re.compile(pattern), verb) for (method, pattern), verb in verbs.items()]

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", f"/{API_VERSION}/{{rest:.*}}", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        fault = self._board.faults.next_for(request.method, request.path)
        if fault and fault.kind == "delay" and not fault.processed:
            await self._board.linger(fault.seconds)
        asked = Asked(request.method, request.path, {}, dict(request.query), [])
        status, record = await self._answer(request, asked, fault)
        await self._note(asked, status, record)
        self._board.settle()
        return await self._reply(request, status, record, fault)

    async def _answer(self, request: web.Request, asked: Asked, fault: Fault | None) -> Answer:
        answer: Answer | None = None
        if fault and fault.kind == "answer":
            answer = fault.status, shapes.error("This was arranged", code=_code(fault.status), status=fault.status)
        try:
            self._check_who(request)
            if request.body_exists:
                asked.form = await read_form(request)
            if answer is None or (fault and fault.processed):
                done = self._do(request, asked)
                answer = answer or done
        except NotPossible as error:
            answer = answer or (error.status, shapes.error(error.sentence, code=error.code, status=error.status))
        return answer

    def _check_who(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            credentials = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            credentials = b""
        if not hmac.compare_digest(credentials, self._credentials):
            raise NotPossible("Authenticate", code=20003, status=401)

    def _do(self, request: web.Request, asked: Asked) -> Answer:
        prefix = f"{shapes.base(self._account)}/"
        if not request.path.startswith(prefix):
            raise not_found()
        below, known = request.match_info["rest"].removeprefix(f"Accounts/{self._account}/"), False
        for method, pattern, verb in self._verbs:
            if not (match := pattern.fullmatch(below)):
                continue
            known = True
            if method == request.method:
                asked.ids = list(match.groups())
                return verb(asked)
        raise NotPossible("Method not allowed", code=20004, status=405) if known else not_found()

    async def _note(self, asked: Asked, status: int, record: shapes.Record | Document | None) -> None:
        found = record if isinstance(record, dict) else {}
        sid = asked.noted.pop("sid", "") or str(found.get("sid") or found.get("call_sid") or "")
        await self._board.log.add(
            "rest",
            method=asked.method,
            path=asked.path,
            query=asked.query,
            form=asked.form,
            status=status,
            sid=sid,
            **asked.noted,
        )

    async def _reply(
        self, request: web.Request, status: int, record: shapes.Record | Document | None, fault: Fault | None
    ) -> web.StreamResponse:
        if fault and fault.kind == "delay" and fault.processed:
            await self._board.linger(fault.seconds)
        if fault and fault.kind == "drop" and request.transport:
            request.transport.abort()
        if record is None:
            return web.Response(status=status)
        if isinstance(record, Document):
            return web.Response(body=record.content, content_type=record.media_type)
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if status == 401 else {}
        return web.json_response(record, status=status, headers=headers)


def _code(status: int) -> int:
    return {429: 20429, 500: 20500, 503: 20503}.get(status, status)
