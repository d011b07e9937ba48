"""The one strict reader of public bodies: size, time, encoding, depth, duplicate keys, NUL, surrogates.

The rules answer the inputs that break the obvious handler: deep nesting, huge integers, odd charsets, compressed
bombs, and values that are accepted but poison what comes after (NaN, NUL, lone surrogates, a key given twice).
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from router.model.errors import Invalid, NotFound, TooLarge, TooSlow, UnknownType, Unreadable

PUBLIC_BYTES = 64 * 1024
WEBHOOK_BYTES = 256 * 1024
SECONDS = 10
DEPTH = 32
MOST_FIELDS = 200

_POISON = re.compile("[\x00\ud800-\udfff]")
S = TypeVar("S")


async def read_bytes(request: web.Request, max_bytes: int = PUBLIC_BYTES, *, seconds: float | None = None) -> bytes:
    """The raw body. Raises TooLarge, TooSlow (after `seconds`, or SECONDS), UnknownType for a compressed one."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnknownType("Compressed bodies are not read here.")
    if (request.content_length or 0) > max_bytes:
        raise TooLarge("The body is larger than %(most)s bytes.", most=max_bytes)
    if request.content.is_eof():  # small ones are here with their head
        body = request.content.read_nowait()
        if len(body) > max_bytes:
            raise TooLarge("The body is larger than %(most)s bytes.", most=max_bytes)
        return body
    return await _arriving(request, max_bytes, SECONDS if seconds is None else seconds)


async def _arriving(request: web.Request, max_bytes: int, seconds: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise TooLarge("The body is larger than %(most)s bytes.", most=max_bytes)
    except TimeoutError as error:
        raise TooSlow("The body did not arrive within %(seconds)s seconds.", seconds=seconds) from error
    return bytes(body)


def _charset(request: web.Request) -> None:
    try:
        charset = request.charset
    except (ValueError, LookupError):
        charset = "unknown"
    if (charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnknownType("Bodies are read as UTF-8 only.")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise Unreadable("The body is not valid UTF-8.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > 16:
        raise ValueError("integer too long")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise ValueError("not finite")
    return value


def _no_constant(text: str) -> Any:
    raise ValueError(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant
)


def _shallow(text: str) -> None:
    if text.count("[") + text.count("{") <= DEPTH:
        return
    depth = 0
    for found in re.finditer(r"[\[\]{}]", text):
        depth += 1 if found.group() in "[{" else -1
        if depth > DEPTH:
            raise ValueError("too deep")


def _clean(value: Any) -> None:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            if _POISON.search(one):
                raise ValueError("bad character")
        elif isinstance(one, dict):
            stack += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            stack += one


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Unreadable, or Invalid when it is JSON but no object."""
    text = _text(body)
    try:
        _shallow(text)
        value = _DECODER.decode(text)
        if "\\u" in text or "\x00" in text:  # nothing else can write what poisons
            _clean(value)
    except (ValueError, RecursionError) as error:
        raise Unreadable("The body is not JSON this door can read.") from error
    if not isinstance(value, dict):
        raise Invalid("The body should be a JSON object.", pointer="")
    return value


async def read_json(request: web.Request, max_bytes: int = PUBLIC_BYTES) -> dict[str, Any]:
    """The body as a JSON object, strictly read."""
    if request.content_type not in {"application/json", "text/plain"}:
        raise UnknownType("The body should be application/json.")
    _charset(request)
    return parse_json(await read_bytes(request, max_bytes))


def parse_pairs(body: bytes) -> list[tuple[str, str]]:
    """A form's fields in their order, those given twice too."""
    try:
        pairs = parse_qsl(
            _text(body), keep_blank_values=True, strict_parsing=False, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise Unreadable("The form cannot be read.") from error
    if any(_POISON.search(text) for pair in pairs for text in pair):
        raise Unreadable("The form holds characters that cannot be stored.")
    return pairs


def parse_form(body: bytes) -> dict[str, str]:
    """A form's fields; a field given twice keeps its last value."""
    return dict(parse_pairs(body))


async def read_pairs(request: web.Request, max_bytes: int = PUBLIC_BYTES) -> list[tuple[str, str]]:
    """The body as a form's fields in their order, strictly read."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise UnknownType("The body should be a form.")
    _charset(request)
    return parse_pairs(await read_bytes(request, max_bytes))


async def read_form(request: web.Request, max_bytes: int = PUBLIC_BYTES) -> dict[str, str]:
    """The body as a form's fields, strictly read; a field given twice keeps its last value."""
    return dict(await read_pairs(request, max_bytes))


@dataclass(frozen=True)
class Upload:
    """A form with one file: the other fields, the file's name as its sender has it, and its bytes."""

    fields: Mapping[str, str]
    name: str
    content: bytes


MOST_PARTS = 20
_DISPOSITION = re.compile(r"^content-disposition:[ \t]*form-data[ \t]*;(.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(r"""(?:^|[;\s])(name|filename)="([^"\r\n]*)\"""")


def parse_upload(body: bytes, boundary: str) -> Upload:
    """A form with a file (RFC 7578), strictly read. Raises Unreadable for anything else."""
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    before, *parts = (b"\r\n" + body).split(delimiter, MOST_PARTS + 1)
    if not boundary or before or len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise Unreadable("The form cannot be read.")
    fields: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    for part in parts[:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        found = _DISPOSITION.search(head.decode("utf-8", "replace").replace("\r\n", "\n"))
        named = dict(_PARAMETER.findall(found[1])) if found else {}
        if "name" not in named:
            raise Unreadable("The form cannot be read.")
        if "filename" in named:
            files.append((named["filename"].replace("%22", '"'), content))
        else:
            fields[named["name"]] = _text(content)
    if len(files) != 1 or any(_POISON.search(text) for text in (*fields.values(), files[0][0])):
        raise Unreadable("The form cannot be read.")
    return Upload(fields, *files[0])


async def read_upload(request: web.Request, max_bytes: int, *, seconds: float) -> Upload:
    """The body as a form with a file of at most so many bytes, which must arrive within so many seconds."""
    if request.content_type != "multipart/form-data":
        raise UnknownType("The body should be a form.")
    boundary = re.search(r'boundary="?([^";\s]{1,70})', request.headers.get("Content-Type", ""))
    body = await read_bytes(request, max_bytes + PUBLIC_BYTES, seconds=seconds)
    found = parse_upload(body, boundary[1] if boundary else "")
    if len(found.content) > max_bytes:
        raise TooLarge("The body is larger than %(most)s bytes.", most=max_bytes)
    return found


def row_id(request: web.Request, missing: NotFound | None = None) -> int:
    """The number in the address. Raises `missing`, or a general NotFound, for what no row can have."""
    number = int(request.match_info["id"])
    if number >= 2**63:
        raise missing or NotFound("There is no such thing.")
    return number


def row_number(written: str) -> int:
    """The row's number in a field of a form; 0, which no row has, for what is none."""
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 19 else 0


def chosen_row(written: str, pointer: str) -> int:
    """The row's number that was chosen in a form. Raises Invalid for what is none."""
    if number := row_number(written):
        return number
    raise Invalid("This is not one of the choices.", pointer=pointer)


_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"unknown field `([^`]*)`|missing required field `([^`]*)`")


def understand(value: dict[str, Any], shape: type[S]) -> S:
    """The value as a typed message. Raises Invalid with a pointer (RFC 6901) to the field."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        found = _WHERE.match(str(error))
        what, path = (found["what"], found["path"] or "") if found else (str(error), "")
        field = _FIELD.search(what)
        parts = [part for part in re.split(r"[.\[\]]+", path) if part]
        if field:
            parts.append(field[1] or field[2] or "")
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
        raise Invalid(what.rstrip(".") + ".", pointer=pointer) from error
