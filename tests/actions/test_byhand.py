"""By hand: an agent makes a lead and dials it, inside the same rules as every other call."""

from typing import Any

import pytest
from sqlalchemy import func, select

from router.actions import byhand, configuring, publishing
from router.actions.byhand import Told
from router.book import Book
from router.model.agents import Agent
from router.model.cadences import Attempt
from router.model.campaigns import Campaign, Queue
from router.model.configuration import read
from router.model.consent import Receipt
from router.model.errors import Conflict, Forbidden, HouseError, NotAllowedNow
from router.model.intake import Agreed, Taken
from router.model.leads import Lead
from router.model.suppressions import Suppression
from router.model.tasks import Task, TaskState
from router.store import packs
from tests import making
from tests.actions.telephones import PHONE, Line
from tests.actions.test_cadences import REGISTER, SERVICE
from tests.conftest import Clock
from tests.invariants import check

REQUESTED = Agreed(("requested",), "Puede llamarme.", "1")
COMMERCIAL = Agreed(("commercial",), "También con ofertas.", "1")


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        await making.agent(w, ready=False)
        return await making.queue(w, await making.campaign(w))


async def by_hand(
    book: Book, queue: Queue, verb: Any = byhand.dial, *agreed: Agreed, key: str = "form-1", agent_id: int = 1
) -> Taken:
    async with book.writing() as w:
        agent = await w.session.get(Agent, agent_id)
        campaign = await w.session.get(Campaign, queue.campaign_id)
        assert agent is not None
        assert campaign is not None
        one = byhand.wanted(w, agent, queue, campaign, Told(PHONE, "Ana", "", agreed, key))
        taken: Taken = await (verb(w, one, agent_id) if verb is byhand.dial else verb(w, one))
    async with book.reading() as r:
        await check(r.session)
    return taken


async def count(book: Book, noun: Any) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(noun)) or 0


@pytest.mark.parametrize(("agreed", "purpose"), [((REQUESTED,), "requested"), ((COMMERCIAL,), "commercial")])
async def test_an_agent_dials_and_the_guard_is_asked_for_what_was_agreed(
    book: Book, queue: Queue, agreed: tuple[Agreed, ...], purpose: str
) -> None:
    taken = await by_hand(book, queue, byhand.dial, *agreed)
    assert taken.task_id is not None
    line = Line(book, taken.task_id, 1, 1)
    assert (await line.task()).state is TaskState.connecting
    await line.both_there()
    async with book.reading() as r:
        (attempt,), (receipt,) = await r.session.scalars(select(Attempt)), await r.session.scalars(select(Receipt))
    assert (attempt.purpose, attempt.verdict, attempt.phone) == (purpose, "allow", PHONE)
    assert (receipt.method, receipt.purposes) == ("voice", [purpose])
    assert (await line.task()).state is TaskState.engaged


async def test_nobody_is_dialled_who_has_agreed_to_nothing(book: Book, queue: Queue) -> None:
    with pytest.raises(Forbidden):
        await by_hand(book, queue)
    assert await count(book, Lead) == 0


async def test_hours_bind_what_nobody_asked_for(book: Book, queue: Queue, clock: Clock) -> None:
    async with book.writing() as w:
        campaign = await w.session.locked(Campaign, queue.campaign_id)
        assert campaign is not None
        campaign.rule_pack = "standard"
    clock.forward(14 * 3600)
    with pytest.raises(NotAllowedNow):
        await by_hand(book, queue, byhand.dial, COMMERCIAL)
    assert await count(book, Lead) == 0
    await by_hand(book, queue, byhand.keep, COMMERCIAL)
    assert (await count(book, Lead), await count(book, Task)) == (1, 0)


async def test_where_a_register_has_to_be_asked_first_the_agent_is_told_to_leave_it_to_the_line(
    book: Book, queue: Queue
) -> None:
    async with book.writing() as w:
        await publishing.publish(w, packs.of_program()["demo"].replace("version = 1", "version = 2", 1) + REGISTER)
        await configuring.apply(w, read(SERVICE), {})
    with pytest.raises(NotAllowedNow, match="as soon as the register has answered"):
        await by_hand(book, queue, byhand.dial, COMMERCIAL)
    assert await count(book, Lead) == 0


async def test_a_suppressed_number_is_not_dialled_whatever_is_ticked(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone=PHONE, reason="stop", created_at=w.now))
    with pytest.raises(Forbidden):
        await by_hand(book, queue, byhand.dial, REQUESTED, COMMERCIAL)


async def test_an_agent_who_is_busy_dials_nobody(book: Book, queue: Queue) -> None:
    await by_hand(book, queue, byhand.dial, REQUESTED)
    with pytest.raises(Conflict):
        await by_hand(book, queue, byhand.dial, REQUESTED, key="form-2")
    assert await count(book, Lead) == 1


async def test_the_form_sent_twice_dials_once(book: Book, queue: Queue) -> None:
    first = await by_hand(book, queue, byhand.dial, REQUESTED)
    again = await by_hand(book, queue, byhand.dial, REQUESTED)
    assert (again.replayed, again.lead_id) == (True, first.lead_id)
    assert (await count(book, Lead), await count(book, Task)) == (1, 1)


async def test_who_waits_already_is_taken_from_the_line_and_not_rung_twice(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        task = await making.task(w, queue, await making.lead(w, queue, PHONE))
    taken = await by_hand(book, queue, byhand.dial, REQUESTED)
    assert taken.attached
    assert (await Line(book, task.id, 1, 1).task()).state is TaskState.connecting
    assert await count(book, Task) == 1


async def test_somebody_whom_another_is_calling_is_not_called_again(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        await making.agent(w, "eva")
    await by_hand(book, queue, byhand.dial, REQUESTED)
    with pytest.raises(HouseError):
        await by_hand(book, queue, byhand.dial, REQUESTED, key="form-2", agent_id=2)


async def test_put_in_line_it_is_anybodys_call(book: Book, queue: Queue) -> None:
    taken = await by_hand(book, queue, byhand.queue_up, REQUESTED)
    async with book.reading() as r:
        task = await r.session.get(Task, taken.task_id)
    assert task is not None
    assert (task.state, task.agent_id) == (TaskState.queued, None)
