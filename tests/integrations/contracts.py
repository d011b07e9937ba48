"""What every adapter of a port must do, whatever stands behind it: played against its local twin over real HTTP."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from integrations.registers.registerbox import Registerbox
from router.ports import OutsideError, Refused, Register, RegisterAnswer, RegisterDoor, Uncertain

LISTED, UNLISTED = "+34910000001", "+34910000002"


class RegisterContract:
    """An adapter's tests inherit from this, and give as fixtures `register`, `door` and `box`: the adapter, where it
    asks, and the twin, which lists LISTED only."""

    async def test_it_says_yes_of_who_is_listed_and_no_of_who_is_not(
        self, register: Register, door: RegisterDoor, box: Registerbox
    ) -> None:
        assert await register.ask(door, LISTED) == RegisterAnswer(True)
        assert await register.ask(door, UNLISTED) == RegisterAnswer(False)
        assert await register.ask(door, LISTED) == RegisterAnswer(True), "asking twice does no harm"

    @pytest.mark.parametrize(("status", "permanent"), [
        (400, True), (401, True), (403, True), (404, True), (408, False), (429, False), (500, False), (503, False),
        (204, True), (302, True),
    ])
    async def test_any_other_answer_is_a_refusal_that_says_whether_asking_again_helps(
        self, register: Register, door: RegisterDoor, box: Registerbox, status: int, permanent: bool
    ) -> None:
        box.faults = [status]
        with pytest.raises(Refused) as refused:
            await register.ask(door, LISTED)
        assert refused.value.permanent is permanent

    @pytest.mark.parametrize("said", [
        b"", b"yes", b"[]", b"null", b"{}", b'{"listed": null}', b'{"listed": "true"}', b'{"listed": 1}',
        b'{"listed": 0}', b'{"listed": tr', b"[" * 100_000, b'{"listed": false, "x": "' + b"x" * 2_000_000 + b'"}',
        b"\xff\xfe",
    ])
    async def test_what_is_neither_yes_nor_no_is_no_answer(
        self, register: Register, door: RegisterDoor, box: Registerbox, said: bytes
    ) -> None:
        box.faults = [said]
        with pytest.raises(Refused) as refused:
            await register.ask(door, UNLISTED)
        assert not refused.value.permanent

    async def test_silence_and_a_cut_line_are_uncertain(
        self, register: Register, door: RegisterDoor, box: Registerbox
    ) -> None:
        for fault in ("hang", "cut"):
            box.faults = [fault]
            with pytest.raises(Uncertain):
                await register.ask(door, LISTED)

    async def test_a_wrong_secret_is_refused_for_good_and_nothing_raised_names_it_or_the_number(
        self, register: Register, door: RegisterDoor, box: Registerbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        for wrong in (replace(door, secret="not-the-secret"), replace(door, url="http://127.0.0.1:1/check"),
                      replace(door, url="nonsense"), replace(door, secret="two\r\nlines: x")):
            with pytest.raises(OutsideError) as raised:
                await register.ask(wrong, LISTED)
            said = f"{raised.value!r} {raised.value} {raised.value.__cause__} {caplog.text}"
            assert LISTED not in said
            assert wrong.secret not in said
        assert all(one == LISTED for one in box.asked)

    async def test_moments_are_aware_and_come_only_from_where_they_are_configured(
        self, register: Register, door: RegisterDoor, box: Registerbox
    ) -> None:
        box.says = {"data": {"of": "2026-11-20", "until": "2026-12-01T10:00:00+01:00"}}
        assert await register.ask(door, UNLISTED) == RegisterAnswer(False)
        dated = replace(door, settings={**door.settings, "as_of": "data.of", "until": "data.until"})
        assert await register.ask(dated, UNLISTED) == RegisterAnswer(
            False, datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 12, 1, 9, tzinfo=UTC))
        for wrong in ({}, {"data": {"of": 5, "until": "2026-12-01"}}, {"data": {"of": "soon", "until": "2026-12-01"}}):
            box.says = wrong
            with pytest.raises(Refused):
                await register.ask(dated, UNLISTED)
