"""The judge itself: a broken rule is found and named."""

import pytest
from sqlalchemy import text

from router.book import Book
from tests import making
from tests.actions.telephones import accepted
from tests.invariants import check, check_quiet


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("update agents set call_load = 0", "an agent's load by channel is what he holds"),
        ("update alarms set state = 'canceled'", "a call that has not come about has an alarm"),
        ("update calls set state = 'ended', ended_at = now()", "one live call"),
        ("update tasks set state = 'queued'", "a waiting task is held by nobody"),
        ("update leads set seq = seq + 1", "numbered without holes"),
        ("update reservations set state = 'pending'", "a pending reservation has an alarm"),
        ("update tasks set state = 'engaged'", "the last fact"),
        ("update tasks set state = 'scheduled'", "what is put off comes back"),
        ("insert into facts (at, kind, subject_id, data) values (now(), 'task.connecting', 1, '{}')", "one fact"),
        ("insert into facts (at, kind, subject_id, data) values (now(), 'task.wrapping', 1, '{}')", "one fact"),
    ],
)
async def test_damage_is_named(book: Book, damage: str, sentence: str) -> None:
    line = await accepted(book)
    await line.check()
    async with book.writing() as w:
        await w.session.execute(text(damage))
    async with book.reading() as r:
        with pytest.raises(AssertionError, match=sentence):
            await check(r.session)


async def test_a_free_agent_beside_a_waiting_task_is_named(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        await making.task(w, queue, await making.lead(w, queue))
    async with book.reading() as r:
        await check_quiet(r.session, r.now)
    async with book.writing() as w:
        await making.agent(w)
    async with book.reading() as r:
        with pytest.raises(AssertionError, match="free agents"):
            await check_quiet(r.session, r.now)


@pytest.mark.parametrize(
    "change",
    [
        "update agents set most_a_day = 2, taken = 2, day_ends = now() + interval '1 year'",
        "update agents set heartbeat_at = null",
        "update agents set back_off_until = now() + interval '1 year'",
        "update agents set video_load = 1, busy_since = now()",
        "update tasks set prefers = (select id from agents where login = 'eva'), prefers_until = 'infinity'",
        "insert into exclusions (task_id, agent_id, until) select 1, id, 'infinity' from agents",
    ],
)
async def test_who_may_not_be_given_it_is_not_named(book: Book, change: str) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        await making.task(w, queue, await making.lead(w, queue))
        await making.agent(w)
        await making.agent(w, "eva", call_load=1, busy_since=w.now)
    async with book.writing() as w:
        await w.session.execute(text(change))
    async with book.reading() as r:
        await check_quiet(r.session, r.now)
