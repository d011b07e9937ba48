"""Registers that are asked over HTTP, against their local twin."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from integrations.http import client_session
from integrations.registers.http import HttpRegister
from integrations.registers.registerbox import Registerbox
from router.ports import RegisterAnswer, RegisterDoor
from tests.integrations.contracts import LISTED, RegisterContract

SECRET = "what the register knows us by"


@pytest.fixture
def box() -> Registerbox:
    return Registerbox(SECRET, [LISTED])


@pytest.fixture
async def door(box: Registerbox) -> AsyncIterator[RegisterDoor]:
    async with box.running() as url:
        yield RegisterDoor(url, SECRET)


@pytest.fixture
async def register() -> AsyncIterator[HttpRegister]:
    async with client_session(total=0.5) as session:
        yield HttpRegister(session)


class TestHttpRegister(RegisterContract):
    """The generic adapter keeps the port's contract."""


@pytest.mark.parametrize(("written", "sent"), [
    ("e164", LISTED), ("digits", LISTED[1:]), ("sha256", hashlib.sha256(LISTED.encode()).hexdigest()),
])
async def test_the_number_is_written_as_the_register_wants_it(
    register: HttpRegister, door: RegisterDoor, box: Registerbox, written: str, sent: str
) -> None:
    box.numbers = {sent}
    assert await register.ask(replace(door, settings={"written": written}), LISTED) == RegisterAnswer(True)
    assert box.asked == [sent]
