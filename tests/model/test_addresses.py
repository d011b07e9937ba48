"""E-mail addresses: what can be written to, and when one is gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.addresses import folded, gone, written


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ana@example.com", "ana@example.com"),
        ("  Ana.Ruiz+x@EXAMPLE.com ", "Ana.Ruiz+x@example.com"),
        ("ana@пример.рф", "ana@xn--e1afmkfd.xn--p1ai"),
        ("ana", ""), ("@example.com", ""), ("ana@", ""), ("ana@example", ""), ("a@b@c.example", ""),
        (".ana@example.com", ""), ("ana.@example.com", ""), ("a..b@example.com", ""), ("añá@example.com", ""),
        ("ana@-example.com", ""), ("ana@example..com", ""), ("ana@127.0.0.1", ""), ("ana@[127.0.0.1]", ""),
        ("a b@example.com", ""), ("ana@exa mple.com", ""), ("ana@example.com\r\nBcc: x@y.example", ""),
        ("<ana@example.com>", ""), ("a" * 65 + "@example.com", ""), ("ana@" + "a." * 130 + "com", ""), ("", ""),
        ("ana@example.com\x00", ""), ("\ud800@example.com", ""), ("ana@\ud800.com", ""), ("ana@\u202eexample.com", ""),
    ],
)
def test_only_what_every_server_takes_is_written_to(address: str, expected: str) -> None:
    assert written(address) == expected


@given(st.text())
def test_what_is_written_to_is_plain_and_stays_itself(text: str) -> None:
    for address in (written(text), written(f"{text}@example.com"), written(f"ana@{text}")):
        assert address.isascii()
        assert address.isprintable()
        assert " " not in address
        assert written(address) == address


def test_capitals_make_no_other_mailbox() -> None:
    assert folded("Ana@Example.com") == folded(" ana@example.COM") == "ana@example.com"


@pytest.mark.parametrize(
    ("code", "words", "recipient", "expected"),
    [
        (550, "no such user", True, True), (550, "no such user", False, False),
        (550, "5.1.1 no such user", False, True),
        (550, "5.1.10 null MX", True, True), (550, "5.2.1 disabled", True, True), (552, "5.2.2 full", True, False),
        (550, "5.7.1 blocked", True, False), (550, "5.1.8 your sender", True, False), (451, "4.1.1 later", True, False),
        (554, "no", True, False), (550, "4.1.1 odd", True, False),
    ],
)
def test_only_what_is_said_of_the_address_means_it_is_gone(
    code: int, words: str, recipient: bool, expected: bool
) -> None:
    assert gone(code, words, recipient=recipient) is expected
