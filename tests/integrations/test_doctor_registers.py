"""The doctor says of each register that is asked number by number whether it answers, lets us in, and what to do."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from integrations.http import client_session
from integrations.registers.http import HttpRegister
from integrations.registers.registerbox import Fault, Registerbox
from router import inquirer
from router.actions import inquiring
from router.app import registers_answer
from router.book import Book
from router.inquirer import trouble_at
from router.model.configuration import RegisterPlan
from router.ports import RegisterDoor
from router.ports.registers import NOBODYS
from router.store import inquiries

SECRET = "what the register knows us by"


@pytest.fixture
def box() -> Registerbox:
    return Registerbox(SECRET)


@pytest.fixture
async def door(box: Registerbox) -> AsyncIterator[RegisterDoor]:
    async with box.running() as url:
        yield RegisterDoor(url, SECRET)


async def tried(door: RegisterDoor) -> str:
    async with client_session(total=0.5) as session:
        return await trouble_at(HttpRegister(session), door)


async def test_each_register_is_tried_as_it_is_set_and_a_closed_one_is_not(book: Book, box: Registerbox) -> None:
    async with box.running() as url:
        plans = [
            RegisterPlan(name="robinson", url=url, secret=SECRET),
            RegisterPlan(name="stop", url=url, secret="another secret"),
            RegisterPlan(name="yesterday", url=url, secret=SECRET, closed=True),
        ]
        async with book.writing() as w:
            for plan in plans:
                await inquiring.apply(w, plan)
        async with book.reading() as r:
            doors = [(one, inquiring.opened(book.vault, one)) for one in await inquiries.services(r.session)]
        said = [one async for one in registers_answer(doors)]
        assert box.asked == [NOBODYS, NOBODYS]
    assert said == [
        (True, "register robinson answers and lets us in"),
        (False, "register stop does not let us in: "
         "is the secret right, and the header and the scheme it is sent with?"),
        (True, "register yesterday is closed: it is asked nothing"),
    ]
    async with book.reading() as r:
        assert [(one.answered, one.failing) for one in await inquiries.doors(r.session)] == [(0, 0)] * 3, "nothing kept"


@pytest.mark.parametrize(("fault", "words"), [
    (401, "is the secret right"), (403, "may our address ask"), (404, "is the url right"), (405, "is the url right"),
    (400, "probe names another"), (422, "probe names another"), (429, "asked too often"), (302, "(302): ask whoever"),
    (503, "(503): try again later"), ("hang", "cannot be reached (TimeoutError)"), ("cut", "cannot be reached"),
    (b"<html>", "are listed, as_of and until"), (b"{}", "are listed, as_of and until"),
])
async def test_a_door_that_does_not_work_is_told_with_what_to_do(
    box: Registerbox, door: RegisterDoor, fault: Fault, words: str
) -> None:
    box.faults = [fault]
    said = await tried(door)
    assert words in said
    assert SECRET not in said
    assert door.url not in said
    assert await tried(door) == ""


@pytest.mark.parametrize("wrong", [
    {"url": "http://127.0.0.1:1/check"}, {"url": "nonsense"}, {"secret": "two\r\nlines: x"},
])
async def test_what_cannot_even_be_asked_is_told_without_secret_or_address(
    door: RegisterDoor, wrong: Mapping[str, str]
) -> None:
    bad = replace(door, **wrong)  # type: ignore[arg-type]
    said = await tried(bad)
    assert "right" in said
    assert bad.secret not in said
    assert bad.url not in said


async def test_the_number_it_is_tried_with_can_be_ones_own(box: Registerbox, door: RegisterDoor) -> None:
    assert await tried(replace(door, settings={"probe": "+34910000000", "written": "digits"})) == ""
    assert box.asked == ["34910000000"]


async def test_one_that_never_answers_is_not_waited_for_for_ever(
    box: Registerbox, door: RegisterDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquirer, "ANSWER_SECONDS", 0.05)
    box.faults = ["hang"]
    assert "has not answered" in await tried(door)


async def test_an_adapter_nobody_knows_is_told(door: RegisterDoor) -> None:
    assert await trouble_at(None, door) == "cannot be asked: there is no such adapter"
