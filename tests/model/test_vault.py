"""The vault: secrets at rest and unguessable names."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.vault import Unreadable, Vault, evenly, hash_token, new_code, new_token


def test_what_is_sealed_opens_for_its_purpose_only(vault: Vault) -> None:
    sealed = vault.seal("texts", "código 123456".encode())
    assert b"123456" not in sealed
    assert vault.open("texts", sealed).decode() == "código 123456"
    for other in (vault, Vault("another secret of more than thirty-two letters")):
        with pytest.raises(Unreadable):
            other.open("keys", sealed)
    with pytest.raises(Unreadable):
        vault.open("texts", sealed[:-1])


def test_tokens_are_long_and_codes_are_six_digits() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9]{22}", new_token()) for _ in range(20))
    assert all(re.fullmatch(r"[0-9]{6}", new_code()) for _ in range(20))
    assert len(hash_token("\ud800")) == 32


def test_no_letter_of_a_new_token_is_likelier_than_another() -> None:
    counted = Counter(evenly(number.to_bytes(2) * 16)[:2] for number in range(65_536))
    assert counted.pop("") == 65_536 % 62**2, "what would make some likelier is thrown away"
    assert set(counted.values()) == {65_536 // 62**2}
    assert len(counted) == 62**2
    assert evenly(b"\xff\xff" * 6 + bytes(20)) == "", "ten are too few"
    assert len(evenly(b"\xff\xff" * 5 + bytes(22))) == 22


def test_a_derived_token_is_the_same_for_the_same_parts(vault: Vault) -> None:
    assert vault.token("status", "a", "b") == Vault("a secret of at least thirty-two characters").token(
        "status", "a", "b"
    )
    assert len(vault.token("status", "a")) == 22


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=4),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=4),
)
def test_no_two_lists_of_parts_read_alike(one: list[str], other: list[str]) -> None:
    vault = Vault("a secret of at least thirty-two characters")
    assert vault.agrees(vault.mac("code", *one), "code", *other) == (one == other)
