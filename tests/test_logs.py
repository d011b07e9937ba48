"""Logs: one JSON object a line, and nothing personal or secret in it, whoever wrote the line."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from router.logs import JsonLines, redact, request_id
from router.model.vault import new_code, new_token

SID = "CA0123456789abcdef0123456789abcdef"


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("test.logs")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_time_level_words_and_fields(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    marker = request_id.set("abc")
    logger.warning("delivery unknown\nreally", extra={"delivery": 1234567890123, "kind": "leg", "ms": 1.5})
    request_id.reset(marker)
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning", "logger": "test.logs", "message": "delivery unknown\nreally", "request_id": "abc",
        "delivery": 1234567890123, "kind": "leg", "ms": 1.5,
    }


@pytest.mark.parametrize("secret", [
    "+34 600 000 001", "+34600000001", "+1 (202) 555-0101", "600000001", "600 000 001", "0034600000001",
    "carmen.ruiz+x@correo.example", "josé@niño.example", "aB3dE6gH9jK2mN5pQ8sT1v", "123456", "123 456",
    "0123456789abcdef" * 2,
    "gAAAAABm" + "x" * 60, "Bearer abc.def", "token=abc", "?ref=abc", "https://luz.example/q/abc", "/s/ABC?x=1",
    "/r/short", "/withdraw/abc", "Basic dXNlcjpwYXNz", "postgresql://user:pass@host/db",
])  # fmt: skip
def test_what_is_secret_or_personal_is_not_written(secret: str, written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    logger.error("said %s to", secret, extra={"seen": [secret], "more": {"inner": f"<{secret}>"}})
    for part in ("600", "555", "carmen", "josé", "abc", "ABC", "short", "dXNl", "pass", "123456", "123 456", "xxxx"):
        if part in secret:
            assert part not in stream.getvalue()
    assert secret not in stream.getvalue()


@pytest.mark.parametrize("plain", [
    "2026-11-23T12:00:00.123Z", "127.0.0.1:8080", SID, "delivery 1234 of 20", "HTTP 503, code 30001", "/s/{token}",
    "router/courier.py:123", "1.5 s", "task-12-AbCdEf", "version 0.1.0", "PAdES B-T",
])  # fmt: skip
def test_what_helps_to_understand_stays(plain: str) -> None:
    assert redact(plain) == plain


def test_private_fields_are_not_written_whatever_they_hold(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    logger.info("x", extra={"phone": 12025550101, "to": "Carmen", "order": {"a": 1}, "deep": {"body": "Hola"}})
    (line,) = lines(stream)
    assert (line["phone"], line["to"], line["order"], line["deep"]) == (
        "[redacted]", "[redacted]", "[redacted]", {"body": "[redacted]"},
    )  # fmt: skip


def test_an_exception_is_told_by_type_and_place_and_never_by_its_message(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = written
    try:
        try:
            raise KeyError("Carmen Ruiz")
        except KeyError as error:
            raise ValueError("Carmen Ruiz, again") from error
    except ValueError:
        logger.exception("it broke")
    (line,) = lines(stream)
    assert "Carmen" not in stream.getvalue()
    assert (line["exception"]["type"], line["exception"]["cause"]) == ("ValueError", "KeyError")
    assert line["exception"]["at"][0].startswith("test_logs.py:")


def test_strange_values_make_a_line_all_the_same() -> None:
    strange = {"odd": object(), "bytes": b"\xff", "none": None, "nan": float("nan"), "\ud800": 1, "huge": 10**30}
    record = logging.makeLogRecord({"msg": "\ud800 \x00 ✓" + "x" * 5000, **strange})
    line = json.loads(JsonLines().format(record))
    assert len(line["message"]) <= 500


def test_no_made_code_or_token_passes() -> None:
    for _ in range(300):
        code, token = new_code(), new_token()
        assert code not in redact(f"code {code}, link {token}.")
        assert token not in redact(f"code {code}, link {token}.")
