"""Any register that answers JSON over HTTP: a POST with the number, and yes or no in the answer.

What it calls things is configured: `field` is the number's name in what we send, `written` how it is written there
("e164", "digits" without the plus, "sha256" in hex of the E.164); `header` and `scheme` carry the secret; `listed`,
`as_of` and `until` are where the answer has them, as names with dots between ("" for what it does not say).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp

from integrations.http import AnswerTooLong, read_answer
from router.ports import Refused, RegisterAnswer, RegisterDoor, Uncertain

LONGEST = 64 * 1024
_LATER = frozenset({408, 425, 429})
_MISSING = object()


class HttpRegister:
    """Implements `router.ports.Register`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, door: RegisterDoor, phone: str) -> RegisterAnswer:
        names = door.settings
        body = {names.get("field") or "number": _written(phone, names.get("written") or "e164")}
        secret = f"{names.get('scheme', 'Bearer')} {door.secret}".strip()
        # Nothing of the client's errors is passed on: they name the address, which may hold a key.
        try:
            async with self._session.post(
                door.url, json=body, headers={names.get("header") or "Authorization": secret}, allow_redirects=False,
            ) as answer:
                status, said = answer.status, await read_answer(answer, LONGEST)
        except AnswerTooLong:
            raise Refused("the answer is too long", permanent=False, code="answer") from None
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Refused(type(error).__name__, permanent=True, code="settings") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Uncertain(type(error).__name__) from None
        if status != 200:
            permanent = status < 500 and status not in _LATER
            raise Refused(f"the register answered {status}", permanent=permanent, code=str(status))
        return _understood(said, names)


def _written(phone: str, how: str) -> str:
    if how == "sha256":
        return hashlib.sha256(phone.encode()).hexdigest()
    return phone.removeprefix("+") if how == "digits" else phone


def _understood(said: bytes, names: Mapping[str, str]) -> RegisterAnswer:
    try:
        body = json.loads(said)
        listed = _at(body, names.get("listed") or "listed")
        if not isinstance(listed, bool):
            raise ValueError("neither yes nor no")
        return RegisterAnswer(listed, _moment(body, names.get("as_of", "")), _moment(body, names.get("until", "")))
    except (ValueError, OverflowError, RecursionError):
        raise Refused("the answer is not understood", permanent=False, code="answer") from None


def _at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name, _MISSING) if isinstance(body, dict) else _MISSING
    return body


def _moment(body: Any, path: str) -> datetime | None:
    """The moment there. What is asked for has to be there, and a time without an offset is meant in UTC."""
    if not path:
        return None
    found = _at(body, path)
    if not isinstance(found, str):
        raise ValueError("no moment")
    moment = datetime.fromisoformat(found)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
