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
