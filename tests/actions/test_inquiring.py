"""Registers that are asked number by number, over real HTTP: asked before, and read with their age when dialled."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from integrations.http import client_session
from integrations.registers.http import HttpRegister
from integrations.registers.registerbox import Registerbox
from router.actions import guarding, listing, publishing, suppressing
from router.actions.configuring import apply
from router.actions.inquiring import LEASE, pause
from router.book import Book
from router.inquirer import Inquirer
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.configuration import WrongFile, read
from router.model.contacts import Contact
from router.model.guard import PENDING_REST, Purpose, Verdict
from router.model.leads import Lead
from router.model.registers import UNREACHABLE_AFTER, Inquiry, RegisterService, digest_of
from router.model.tasks import Task, TaskKind, TaskState
from router.ports import RegisterAnswer, RegisterDoor
from tests import making
from tests.actions.test_registering import PHONE, STRICT, take
from tests.conftest import Clock

SECRET = "what the register knows us by"
FILE = """
[[registers]]
name = "robinson"
url = "{url}"
secret = "{secret}"
"""


class Line:
    """A person whose country has a register, the register's twin, and who asks it."""

    def __init__(self, book: Book, box: Registerbox, inquirer: Inquirer) -> None:
        self.book, self.box, self.inquirer = book, box, inquirer

    async def asks(self) -> tuple[str, ...]:
        """The guard's answer when it is planned."""
        return (await self._verdict(plan=True)).rules

    async def dials(self) -> tuple[str, ...]:
        """The guard's answer when it is dialled."""
        return (await self._verdict(plan=False)).rules

    async def _verdict(self, *, plan: bool) -> Verdict:
        async with self.book.writing() as w:
            contact = vouched(await w.session.get(Contact, 1))
            campaign = vouched(await w.session.get(Campaign, 1))
            if plan:
                return await guarding.ask_guard(w, campaign, contact, Purpose.commercial)
            _, verdict = await guarding.permit(
                w, campaign, contact, channel="call", purpose=Purpose.commercial, lead_id=1)
            return verdict

    async def inquiries(self) -> list[Inquiry]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Inquiry)))

    async def facts(self) -> list[tuple[str, Any]]:
        async with self.book.reading() as r:
            rows = await r.session.rows(text(
                "select kind, data from facts where kind like 'inquiry.%' order by id"))
            return [(row[0], row[1]) for row in rows]


async def put(book: Book, file: str) -> list[str]:
    async with book.writing() as w:
        return [str(change) for change in await apply(w, read(file), {})]


@pytest.fixture
async def line(book: Book) -> AsyncIterator[Line]:
    box = Registerbox(SECRET)
    async with box.running() as url, client_session(total=0.5) as session:
        async with book.writing() as w:
            await publishing.publish(w, STRICT)
            queue = await making.queue(w, await making.campaign(w, rule_pack="standard"))
            await making.lead(w, queue, PHONE)
        await put(book, FILE.format(url=url, secret=SECRET))
        yield Line(book, box, Inquirer(book, {"http": HttpRegister(session)}))


PENDING, UNREACHABLE = ("register.robinson.pending",), ("register.robinson.unreachable",)
LISTED, ALLOWED = ("register.robinson.listed",), ("standard.hours", "standard.caps", "consent.commercial")


async def test_a_register_is_asked_when_a_contact_is_planned_and_its_answer_counts_when_it_is_dialled(
    line: Line
) -> None:
    assert await line.asks() == PENDING
    assert await line.dials() == PENDING
    assert await line.inquirer.sweep() == 1
    assert line.box.asked == [PHONE]
    assert await line.dials() == ALLOWED
    assert await line.asks() == ("cap.gap",)
    assert await line.inquirer.sweep() == 0, "an answer that holds is not asked for again"
    (kept,) = await line.inquiries()
    assert (kept.phone, kept.listed, kept.due_at) == ("", False, None)
    assert await line.facts() == [("inquiry.answered", {"register": "robinson", "listed": False})]


async def test_who_is_listed_is_not_called_and_dialling_never_asks(line: Line) -> None:
    line.box.numbers = {PHONE}
    assert await line.dials() == PENDING
    assert await line.inquirer.sweep() == 0
    assert await line.inquiries() == []
    await line.asks()
    await line.inquirer.sweep()
    assert await line.dials() == LISTED


async def test_nobody_is_told_of_whom_something_else_forbids_to_contact(line: Line) -> None:
    async with line.book.writing() as w:
        await suppressing.suppress(w, vouched(await w.session.get(Contact, 1)), "asked")
    await line.asks()
    assert await line.inquiries() == []


async def test_an_answer_grows_old_is_asked_for_anew_the_day_before_and_counts_no_longer_than_it_says(
    line: Line, clock: Clock
) -> None:
    await line.asks()
    await line.inquirer.sweep()
    clock.forward(timedelta(days=28).total_seconds())
    await line.asks()
    assert await line.inquirer.sweep() == 0
    clock.forward(timedelta(days=1, seconds=1).total_seconds())
    assert await line.asks() == ALLOWED
    assert await line.inquirer.sweep() == 1
    clock.forward(timedelta(days=8).total_seconds())
    async with line.book.writing() as w:
        inquiry = vouched(await w.session.get(Inquiry, ("robinson", digest_of(PHONE))))
        inquiry.until = w.now - timedelta(seconds=1)
    assert await line.dials() == PENDING


async def test_an_answer_that_is_too_old_fails_closed_while_the_register_is_away(line: Line, clock: Clock) -> None:
    await line.asks()
    await line.inquirer.sweep()
    clock.forward(timedelta(days=31).total_seconds())
    assert await line.dials() == PENDING
    line.box.faults = [503] * 50
    await line.asks()
    for failures in range(1, UNREACHABLE_AFTER + 1):
        assert await line.dials() == PENDING
        assert await line.inquirer.sweep() == 1
        assert await line.inquirer.sweep() == 0, "it rests between"
        clock.forward(pause(failures).total_seconds())
    assert await line.dials() == UNREACHABLE
    assert [kind for kind, _ in await line.facts()] == ["inquiry.answered", "inquiry.unreachable"]
    (kept,) = await line.inquiries()
    assert (kept.phone, kept.reason) == ("", "503")
    assert await line.asks() == UNREACHABLE
    assert await line.inquirer.sweep() == 1, "who plans anew has it asked once more"
    assert await line.dials() == UNREACHABLE
    line.box.faults = []
    await line.asks()
    await line.inquirer.sweep()
    assert await line.dials() == ALLOWED


@pytest.mark.parametrize("fault", ["hang", "cut", b'{"listed": "no"}', b"", 401])
async def test_no_answer_is_never_taken_for_a_no(line: Line, fault: int | str | bytes) -> None:
    line.box.faults = [fault]
    await line.asks()
    await line.inquirer.sweep()
    assert await line.dials() == (UNREACHABLE if fault == 401 else PENDING)
    (kept,) = await line.inquiries()
    assert (kept.as_of, kept.answered_at) == (None, None)


async def test_of_a_file_and_an_answer_the_newer_one_counts(line: Line, clock: Clock) -> None:
    await line.asks()
    await line.inquirer.sweep()
    clock.forward(60)
    await take(line.book, "910000001\n")
    assert await line.dials() == LISTED
    async with line.book.writing() as w:
        inquiry = vouched(await w.session.get(Inquiry, ("robinson", digest_of(PHONE))))
        inquiry.as_of = w.now + timedelta(seconds=1)
    assert await line.dials() == ALLOWED


async def test_two_replicas_ask_once_and_who_dies_leaves_it_to_the_other(line: Line, clock: Clock) -> None:
    await line.asks()
    await asyncio.gather(line.inquirer.sweep(), line.inquirer.sweep())
    assert len(line.box.asked) == 1

    class Died(BaseException):
        pass

    class Dies:
        async def ask(self, door: RegisterDoor, phone: str) -> RegisterAnswer:
            raise Died

    clock.forward(timedelta(days=31).total_seconds())
    await line.asks()
    with pytest.raises(Died):
        await Inquirer(line.book, {"http": Dies()}).sweep()
    assert await line.inquirer.sweep() == 0
    clock.forward(LEASE.total_seconds())
    assert await line.inquirer.sweep() == 1
    assert await line.dials() == ALLOWED


async def test_whose_lease_is_over_overwrites_nothing(line: Line, clock: Clock) -> None:
    inner = line.inquirer

    class Slow:
        async def ask(self, door: RegisterDoor, phone: str) -> RegisterAnswer:
            clock.forward(LEASE.total_seconds())
            await inner.sweep()
            return RegisterAnswer(False)

    line.box.numbers = {PHONE}
    await line.asks()
    await Inquirer(line.book, {"http": Slow()}).sweep()
    assert await line.dials() == LISTED


async def test_a_call_we_start_rests_a_minute_for_the_answer_and_rings_then(line: Line, clock: Clock) -> None:
    async with line.book.writing() as w:
        queue = vouched(await w.session.get(Queue, 1))
        task = await making.task(w, queue, vouched(await w.session.get(Lead, 1)), kind=TaskKind.nurture)

    async def rings() -> bool:
        async with line.book.writing() as w:
            return await listing.may_ring(w, vouched(await w.session.get(Task, task.id)))

    assert not await rings()
    async with line.book.reading() as r:
        assert vouched(await r.session.get(Task, task.id)).state is TaskState.scheduled
        (due,) = await r.session.rows(text("select due_at from alarms where kind = 'task.due'"))
    assert due[0] == clock.now + PENDING_REST
    await line.inquirer.sweep()
    async with line.book.writing() as w:
        await w.move(Task, task.id, TaskState.queued)
    assert await rings()


async def test_a_file_configures_where_a_register_is_asked_and_never_shows_its_secret(
    line: Line, book: Book
) -> None:
    async with book.reading() as r:
        service = vouched(await r.session.scalar(select(RegisterService)))
    assert SECRET.encode() not in service.sealed
    same = FILE.format(url=service.url, secret=SECRET)
    assert await put(book, same) == []
    assert await put(book, FILE.format(url=service.url, secret="another secret of it")) == [
        "~ register robinson: secret: '•••' → '••• (changed)'"]
    assert await put(book, same + "closed = true\n") == [
        "~ register robinson: closed: False → True", "~ register robinson: secret: '•••' → '••• (changed)'"]
    assert await line.asks() == ("register.robinson.missing",)
    assert await line.inquirer.sweep() == 0
    with pytest.raises(WrongFile, match="twice"):
        await put(book, same + same)


@pytest.mark.parametrize(("field", "value"), [
    ("url", "http://register.example/"), ("url", "ftp://register.example/"), ("url", "https://"), ("name", "Robinson"),
    ("url", "http://127.0.0.1.evil.example/"), ("secret", "short"), ("written", "rot13"), ("header", "X: y"),
    ("adapter", "telnet"), ("colour", "red"),
])
def test_a_register_that_could_not_be_asked_safely_is_no_configuration(field: str, value: str) -> None:
    lines = {"name": "robinson", "url": "https://register.example/check", "secret": SECRET}
    assert read(written(lines)).registers[0].name == "robinson"
    with pytest.raises(WrongFile):
        read(written({**lines, field: value}))


def written(lines: dict[str, str]) -> str:
    return "[[registers]]\n" + "".join(f'{name} = "{value}"\n' for name, value in lines.items())
