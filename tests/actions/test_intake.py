"""Intake: one request is one lead, whatever happens twice, at once, or in another replica."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from router.actions.intake import Raced, take_in
from router.book import Batcher, Book
from router.live import Hub
from router.model.campaigns import Line, Queue, Site
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.idempotency import IdempotencyKey
from router.model.intake import Agreed, Taken, Wanted
from router.model.leads import Intent, Lead
from router.model.tasks import Task, TaskState
from router.model.vault import Vault, hash_token, new_token
from router.store import facts
from router.store.db import make_engine
from tests import making
from tests.conftest import Clock
from tests.invariants import check

PHONE = "+12025550123"


@pytest.fixture
async def site(book: Book) -> Site:
    async with book.writing() as w:
        return await making.site(w, await making.queue(w, await making.campaign(w), skills=["solar"]))


@pytest.fixture
async def twin(worker_database: str, book: Book, clock: Clock, vault: Vault) -> Any:
    """Another replica over the same database."""
    engine = make_engine(worker_database)
    yield Book(engine, Hub(), vault, book.public_url, clock=clock)
    await engine.dispose()


def wanted(site: Site, phone: str = PHONE, key: str | None = None, **values: Any) -> Wanted:
    """`status_token` of a keyed request is made from the key, as the door does."""
    token = f"token-of-{key}" if key else new_token()
    known: dict[str, Any] = {"name": "Ana", "request_sha256": b"body", **values}
    return Wanted(
        site_id=site.id,
        line=Line(site.queue_id, site.campaign_id, skills=("solar",)),
        phone=phone,
        locale="es",
        intent=Intent.call_now,
        agreed=(Agreed(("commercial", "requested"), "Sí", "1"),),
        method="widget",
        status_token=token,
        key=key,
        **known,
    )


async def take(book: Book, *asked: Wanted) -> list[Taken]:
    async with book.writing() as w:
        return await take_in(w, asked)


async def ask(book: Book, one: Wanted) -> Taken:
    """As the door does: again when another replica was sooner."""
    for _ in range(5):
        try:
            return (await take(book, one))[0]
        except Raced:
            continue
    raise AssertionError("raced for ever")


async def count(book: Book, noun: Any) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(noun)) or 0


async def test_one_request_becomes_contact_lead_receipt_task_key_and_two_facts(book: Book, site: Site) -> None:
    with book.hub.watch("dispatch") as dispatch:
        (taken,) = await take(book, wanted(site, key="k1234567", claims={"name": "Ana"}, page="https://a/ñ"))
        assert await dispatch.changed()
    async with book.reading() as r:
        (lead,), (task,) = await r.session.scalars(select(Lead)), await r.session.scalars(select(Task))
        (contact,), (receipt,) = await r.session.scalars(select(Contact)), await r.session.scalars(select(Receipt))
        (key,) = await r.session.scalars(select(IdempotencyKey))
        assert (taken.lead_id, taken.replayed, taken.attached, taken.mismatch) == (lead.id, False, False, False)
        assert lead.status_hash == hash_token(taken.token)
        assert (contact.phone, contact.id, contact.id) == (PHONE, lead.contact_id, task.contact_id)
        assert (task.state, task.skills, task.lead_id, task.agent_id) == (TaskState.queued, ["solar"], lead.id, None)
        assert (receipt.lead_id, receipt.purposes, receipt.page) == (
            lead.id,
            ["commercial", "requested"],
            "https://a/ñ",
        )
        assert key.answer == {"lead_id": lead.id, "attached": False, "task_id": task.id}
        assert [fact.kind for fact in await facts.of_lead(r.session, lead.id)] == ["lead.created", "task.queued"]
        assert "Ana" not in str([fact.data for fact in await facts.of_lead(r.session, lead.id)])
        await check(r.session)


async def test_a_key_twice_in_one_batch_is_one_lead(book: Book, site: Site) -> None:
    first, again = await take(book, wanted(site, key="k1234567"), wanted(site, key="k1234567"))
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.lead_id, again.token) == (first.lead_id, first.token)
    assert await count(book, Lead) == 1


async def test_a_key_in_two_batches_is_one_lead(book: Book, site: Site) -> None:
    (first,) = await take(book, wanted(site, key="k1234567"))
    (again,) = await take(book, wanted(site, key="k1234567"))
    assert again == replace(first, replayed=True)
    assert await count(book, Lead) == 1


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
async def test_a_key_used_for_another_request_is_told(book: Book, site: Site, together: bool) -> None:
    one, other = wanted(site, key="k1234567"), wanted(site, key="k1234567", request_sha256=b"other")
    answers = await take(book, one, other) if together else [*await take(book, one), *await take(book, other)]
    assert [answer.mismatch for answer in answers] == [False, True]
    assert await count(book, Lead) == 1


async def test_keys_are_the_sites_own(book: Book, site: Site) -> None:
    async with book.writing() as w:
        queue = await w.session.get(Queue, site.queue_id)
        assert queue is not None
        other = await making.site(w, queue, "other")
    one, two = await take(book, wanted(site, key="k1234567"), replace(wanted(other, key="k1234567"), status_token="x"))
    assert one.lead_id != two.lead_id
    assert not two.replayed


async def test_a_key_in_two_replicas_at_once_is_one_lead_and_the_same_answer(
    book: Book, twin: Book, site: Site
) -> None:
    for turn in range(5):
        key, phone = f"key-of-turn-{turn}", f"+1202555010{turn}"
        answers = await asyncio.gather(*(ask(one, wanted(site, phone, key)) for one in (book, twin) * 4))
        assert len({(answer.lead_id, answer.token) for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
    assert await count(book, Lead) == await count(book, Task) == 5


async def test_other_requests_under_one_key_in_two_replicas_are_told_apart(book: Book, twin: Book, site: Site) -> None:
    one, other = wanted(site, key="k1234567"), wanted(site, "+12025550124", "k1234567", request_sha256=b"other")
    answers = await asyncio.gather(ask(book, one), ask(twin, other))
    assert sum(answer.mismatch for answer in answers) == 1
    assert await count(book, Lead) == 1


async def test_a_person_who_asks_twice_at_once_is_rung_once(book: Book, twin: Book, site: Site) -> None:
    answers = await asyncio.gather(*(ask(one, wanted(site)) for one in (book, twin) * 5))
    assert sum(not answer.attached for answer in answers) == 1
    assert await count(book, Task) == await count(book, Contact) == 1
    assert await count(book, Lead) == await count(book, Receipt) == 10
    async with book.reading() as r:
        (task,) = await r.session.scalars(select(Task))
        attached = await r.session.scalars(select(Lead).where(Lead.attached_to.is_not(None)))
        assert {lead.attached_to for lead in attached} == {task.lead_id}
        await check(r.session)


async def test_a_person_twice_in_one_batch_is_rung_once(book: Book, site: Site) -> None:
    first, second = await take(book, wanted(site), wanted(site))
    assert (first.attached, second.attached) == (False, True)
    assert await count(book, Task) == 1


@pytest.mark.parametrize("state", [TaskState.reserved, TaskState.connecting, TaskState.engaged])
async def test_who_is_already_being_called_is_not_queued_again(book: Book, site: Site, state: TaskState) -> None:
    await take(book, wanted(site))
    async with book.writing() as w:
        await w.session.execute(update(Task).values(state=state))
    assert (await take(book, wanted(site)))[0].attached


@pytest.mark.parametrize("state", [TaskState.wrapping, TaskState.closed, TaskState.abandoned])
async def test_who_was_called_may_ask_again(book: Book, site: Site, state: TaskState) -> None:
    await take(book, wanted(site))
    async with book.writing() as w:
        await w.session.execute(update(Task).values(state=state))
    assert not (await take(book, wanted(site)))[0].attached
    assert await count(book, Task) == 2


async def test_replicas_taking_the_same_persons_in_opposite_order_do_not_deadlock(
    book: Book, twin: Book, site: Site
) -> None:
    phones = [f"+1202555{n:04d}" for n in range(100, 130)]
    for _ in range(4):
        await asyncio.gather(
            take(book, *(wanted(site, phone) for phone in phones)),
            take(twin, *(wanted(site, phone) for phone in reversed(phones))),
        )
    assert await count(book, Task) == len(phones)
    assert await count(book, Lead) == 8 * len(phones)
    async with book.reading() as r:
        await check(r.session)


async def test_a_stranger_does_not_rename_a_known_person(book: Book, site: Site) -> None:
    await take(book, wanted(site, name="Carmen Ruiz"))
    await take(book, wanted(site, name="Mallory", claims={"name": "Mallory"}))
    async with book.reading() as r:
        (contact,) = await r.session.scalars(select(Contact))
        assert contact.name == "Carmen Ruiz"
        assert sorted(str(lead.claims) for lead in await r.session.scalars(select(Lead)))[-1] == "{}"


async def test_a_poisoned_request_fails_alone_and_is_not_stored(book: Book, site: Site) -> None:
    batcher: Batcher[Wanted, Taken] = Batcher(book, take_in)
    asked = [
        wanted(site),
        replace(wanted(site, "+12025550124"), line=Line(99, site.campaign_id)),
        wanted(site, "+12025550125", name="\x00"),
    ]
    asked.append(wanted(site, "+12025550126"))
    asking = [asyncio.create_task(batcher.ask(one)) for one in asked]
    await asyncio.sleep(0)
    running = asyncio.create_task(batcher.run())
    good, foreign, nul, fine = await asyncio.gather(*asking, return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert isinstance(good, Taken)
    assert isinstance(fine, Taken)
    assert isinstance(foreign, IntegrityError)
    assert isinstance(nul, Exception)
    assert await count(book, Lead) == await count(book, Task) == 2


async def test_an_answer_means_it_is_in_the_database(book: Book, engine: AsyncEngine, site: Site) -> None:
    batcher: Batcher[Wanted, Taken] = Batcher(book, take_in, most=8)
    running = asyncio.create_task(batcher.run())

    async def one(n: int) -> None:
        taken = await batcher.ask(wanted(site, f"+1202555{n:04d}"))
        async with engine.connect() as other:
            found = await other.scalar(text("select count(*) from leads where id = :id"), {"id": taken.lead_id})
            assert found == 1

    await asyncio.gather(*(one(n) for n in range(100, 130)))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_no_requests_are_no_work(book: Book) -> None:
    asked: Sequence[Wanted] = []
    assert await take(book, *asked) == []
