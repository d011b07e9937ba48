"""Logs: one JSON object a line. What is secret or personal does not get in, whoever wrote the line.

An exception is told by its type, its SQLSTATE and where it was raised, never by its message: messages quote values.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import msgspec

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being answered, if any."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_PRIVATE = frozenset(
    {"phone", "to", "from", "sender", "caller_id", "email", "mail", "name", "login", "address", "ip", "text", "body"}
    | {"link", "path", "url", "query", "token", "password", "secret", "cookie", "authorization", "order"}
)
"""Fields that are never written, whatever they hold."""
_LONGEST = 500
_FRAMES = 12

_HIDDEN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[^\s@<>\"'=,;:]+@[^\s@<>\"',;]+\.[^\s@<>\"',;.]+"), "[e-mail]"),
    (re.compile(r"(?<=://)[^\s/@]+@"), "[login]@"),
    (re.compile(r"(?<=/)(s|q|r|withdraw|setup|f)/(?!\{)[^\s/?#\"']+"), r"\1/[token]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 [token]"),
    (re.compile(r"(?i)\b(token|code|secret|password|ref|key|signature)=[^\s&\"']+"), r"\1=[token]"),
    (re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{22}|[0-9a-fA-F]{32}|[A-Za-z0-9_=-]{40,})(?![A-Za-z0-9])"), "[token]"),
    (re.compile(r"\+\d(?:[ ().-]{0,2}\d){6,16}"), "[number]"),
    (re.compile(r"(?<![\w.:+-])\d(?:\d|[ -](?=\d)){7,15}\d(?![\w:-])"), "[number]"),
    (re.compile(r"(?<![\w.:+-])\d{3}[ -]?\d{3}(?![\w:.-])"), "[code]"),
)


def redact(text: str) -> str:
    """The text without telephone numbers, e-mail addresses, tokens and one-time codes."""
    text = text[: 4 * _LONGEST].encode("utf-8", "replace").decode()  # a lone surrogate is no text
    for pattern, word in _HIDDEN:
        text = pattern.sub(word, text)
    return text[:_LONGEST]


def _plain(value: Any) -> Any:
    """A value as it may be written: numbers stay, everything else becomes redacted text."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): "[redacted]" if key in _PRIVATE else _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return redact(str(value))


def _raised(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    told: dict[str, Any] = {
        "type": type(error).__name__,
        "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    if state:
        told["sqlstate"] = str(state)
    if error.__cause__ is not None:
        told["cause"] = type(error.__cause__).__name__
    return told


class JsonLines(logging.Formatter):
    """`clock` gives the time written when the record's own is not wanted."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        moment = self._clock() if self._clock else datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if name := request_id.get():
            line["request_id"] = name
        for key, value in record.__dict__.items():
            if key not in _OWN and key not in line:
                line[redact(key)] = "[redacted]" if key in _PRIVATE else _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _raised(record.exc_info[1], record.exc_info[2])
        return msgspec.json.encode(line).decode("utf-8", "replace")


def set_up(level: str = "INFO", stream: TextIO | None = None) -> logging.Handler:
    """Sends every logger's lines to the stream (standard error unless given); libraries speak from WARNING on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("apscheduler", "sqlalchemy", "aiohttp.access", "alembic", "asyncio", "pyhanko", "fontTools"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    return handler
