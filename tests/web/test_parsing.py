"""The strict reader: what it reads, and how it refuses the rest."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.model.errors import HouseError, Invalid, Unreadable
from router.web.parsing import DEPTH, parse_form, parse_json, parse_upload, understand

HOSTILE = {
    "empty": b"",
    "truncated": b'{"a": 1',
    "deep": b"[" * 100_000,
    "deep and whole": b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
    "a huge integer": b'{"a":' + b"9" * 5000 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "bad UTF-8": b'{"a":"\xff\xfe"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "an endless float": b'{"a":1e400}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "a lone surrogate as key": b'{"\\udfff":1}',
    "NUL": b'{"a":"\\u0000"}',
    "NUL deep inside": b'{"a":[{"b":["\\u0000"]}]}',
    "a raw NUL": b'{"a":"\x00"}',
    "a key twice": b'{"a":1,"a":2}',
    "a key twice inside": b'{"a":{"b":1,"b":2}}',
    "junk behind": b'{"a":1}x',
    "a comment": b'{"a":1} // no',
    "single quotes": b"{'a':1}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_json(body)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"a"', b"null", b"true"])
def test_json_that_is_no_object_is_invalid_at_its_root(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        parse_json(body)
    assert refused.value.pointer == ""


def test_what_people_write_is_read() -> None:
    assert parse_json('{"a": "Ñandú 😀 \\ud83d\\ude00", "b": [1, -2.5, null, true]}'.encode()) == {
        "a": "Ñandú 😀 😀",
        "b": [1, -2.5, None, True],
    }
    assert parse_json(b'{"a":' + b"[" * (DEPTH - 1) + b"]" * (DEPTH - 1) + b"}")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (parse_json, parse_form):
        with suppress(HouseError):
            assert isinstance(read(body), dict)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.just("a"), _JSON), st.booleans())
def test_honest_json_is_read_as_it_was_meant(value: dict[str, Any], escaped: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize(
    "body",
    [b"a=%00", b"a=%ff", b"a=\xff", b"%ED%A0%80=1", "&".join(f"a{n}=1" for n in range(500)).encode()],
    ids=["NUL", "escaped bad UTF-8", "bad UTF-8", "a surrogate", "too many fields"],
)
def test_a_hostile_form_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_form(body)


def test_a_form_keeps_blank_fields_and_the_last_of_two() -> None:
    assert parse_form(b"a=1&b=&a=2&c=%C3%B1+%F0%9F%98%80") == {"a": "2", "b": "", "c": "ñ 😀"}
    assert parse_form(b"") == {}


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    number: int


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner
    many: list[Inner] = []


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({}, "/inner"),
        ({"inner": 1}, "/inner"),
        ({"inner": {"number": "1"}}, "/inner/number"),
        ({"inner": {}}, "/inner/number"),
        ({"inner": {"number": 1}, "extra": 1}, "/extra"),
        ({"inner": {"number": 1, "x/y~z": 1}}, "/inner/x~1y~0z"),
        ({"inner": {"number": 1}, "many": [{"number": None}]}, "/many/0/number"),
    ],
)
def test_a_wrong_field_is_named_by_a_pointer(value: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        understand(value, Shape)
    assert refused.value.pointer == pointer


def _form(*parts: str, boundary: str = "x") -> bytes:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts).encode() + f"--{boundary}--\r\n".encode()


FIELD = 'Content-Disposition: form-data; name="csrf"\r\n\r\nword'
FILE = 'Content-Disposition: form-data; name="file"; filename="a %22b%22.csv"\r\nContent-Type: text/csv\r\n\r\n1\r\n--2'


def test_a_form_with_a_file_is_read_byte_for_byte() -> None:
    found = parse_upload(_form(FIELD, FILE), "x")
    assert (found.fields, found.name, found.content) == ({"csrf": "word"}, 'a "b".csv', b"1\r\n--2")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--x", b"--x--", b"--x--\r\n", _form(FIELD), _form(FIELD, FILE, FILE), _form(FILE)[:-6], _form("nothing"),
        _form(FILE, boundary="y"), b"before" + _form(FILE), _form(*[FIELD] * 40, FILE),
        _form(FIELD + "\x00", FILE), _form(FILE.replace(".csv", "\x00.csv")),
        _form(FILE.replace('name="file"; ', "")), _form(FIELD, FILE).replace(b"word", b"\xff"),
    ],
)
def test_no_other_form_is_read(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_upload(body, "x")
