"""Strict reading of what is posted here."""

import asyncio
import json
import re
from urllib.parse import parse_qsl

from aiohttp import web

from integrations.phonebox.exchange import NotPossible

LONGEST_BODY = 64 * 1024
SLOWEST_SECONDS = 10.0
MOST_FIELDS = 200
Form = dict[str, list[str]]
UNFIT = re.compile("[\x00\ud800-\udfff]")


def bad(sentence: str, *, status: int = 400) -> NotPossible:
    return NotPossible(sentence, code=20001, status=status)


async def read_body(request: web.Request) -> bytes:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise bad("The body must not be compressed", status=415)
    body = bytearray()
    try:
        async with asyncio.timeout(SLOWEST_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > LONGEST_BODY:
                    raise bad(f"The body is longer than {LONGEST_BODY} bytes", status=413)
    except TimeoutError:
        raise bad("The body took too long", status=408) from None
    except web.HTTPException:
        raise bad("The body cannot be read") from None
    return bytes(body)


async def read_form(request: web.Request) -> Form:
    """Form fields, several values under one name kept in order."""
    if request.content_type not in ("application/x-www-form-urlencoded", "application/octet-stream"):
        raise bad("The body must be a form", status=415)
    form: Form = {}
    try:
        text = (await read_body(request)).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise bad("The body is not a form in UTF-8") from None
    for name, value in pairs:
        if UNFIT.search(name + value):
            raise bad("A field holds a character that cannot be sent")
        form.setdefault(name, []).append(value)
    return form


async def read_object(request: web.Request) -> dict[str, object]:
    """A JSON object."""
    try:
        value = json.loads(await read_body(request) or b"{}")
    except (ValueError, RecursionError):
        raise bad("The body is not JSON") from None
    if not isinstance(value, dict):
        raise bad("The body is not a JSON object")
    return value


async def read_fields(request: web.Request) -> dict[str, str]:
    """A JSON object of texts, or a form: the first value of each field."""
    if request.content_type == "application/json":
        value = await read_object(request)
        if any(not isinstance(each, str) or UNFIT.search(each) for each in value.values()):
            raise bad("Every field must be a plain text")
        return {name: str(each) for name, each in value.items()}
    return {name: values[0] for name, values in (await read_form(request)).items()}


def first(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def needed(form: Form, name: str, *, code: int) -> str:
    if not first(form, name):
        raise NotPossible(f"A '{name}' is required.", code=code, status=400)
    return first(form, name)


def flag(form: Form, name: str) -> bool | None:
    word = first(form, name).lower()
    if word not in ("", "true", "false"):
        raise bad(f"{name} must be true or false")
    return None if not word else word == "true"


def number(form: Form, name: str, default: int, highest: int) -> int:
    text = first(form, name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= highest:
        raise bad(f"{name} must be a number from 1 to {highest}")
    return int(text)


def callback_url(form: Form, name: str) -> str:
    """Raises NotPossible (the carrier's 21609) for what is no http address."""
    url = first(form, name)
    if url and not re.fullmatch(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", url):
        raise NotPossible(f"{name} is not a valid URL", code=21609, status=400)
    return url
