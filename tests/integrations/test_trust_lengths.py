"""A length that ends in 0x80 is a length like any other, and costs no more to write."""

import pytest
from asn1crypto import core

from integrations.trust.lengths import indefinite, mend


class Strings(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.OctetString


@pytest.fixture(autouse=True)
def _mended() -> None:
    mend()


@pytest.mark.parametrize("header", ["3003", "308180", "30820280", "a082028430820280", "7f218180", "048180"])
def test_a_length_told_in_numbers_is_a_length(header: str) -> None:
    assert not indefinite(bytes.fromhex(header))


@pytest.mark.parametrize("header", ["3080", "a082028a3080", "a0803080", "7f2180"])
def test_a_length_told_by_an_end_mark_is_none(header: str) -> None:
    assert indefinite(bytes.fromhex(header))


@pytest.mark.parametrize("length", [126, 636, 32_636, 637])
def test_what_was_read_is_written_again_without_being_taken_apart(length: int) -> None:
    data = Strings([bytes(length)]).dump()
    read = Strings.load(data)
    assert read.dump() == data
    assert read.children is None


def test_what_was_told_by_an_end_mark_is_written_with_its_length() -> None:
    assert Strings.load(bytes.fromhex("30800401000000")).dump() == bytes.fromhex("3003040100")


def test_what_was_changed_is_written_anew() -> None:
    read = Strings.load(Strings([bytes(126)]).dump())
    read[0] = bytes(3)
    assert read.dump() == bytes.fromhex("30050403000000")
