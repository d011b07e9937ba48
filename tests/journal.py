"""What the journal's readers would do, done at once."""

from sqlalchemy import func, select

from router.actions import merging
from router.book import Book
from router.model.facts import Fact
from router.store import facts
from router.store.facts import START
from tests.conftest import until


async def read_on(book: Book) -> None:
    """Proposes merges from all there is: an open transaction of any neighbour on the server holds the journal's end
    back."""

    async def settled() -> bool:
        async with book.reading() as r:
            written = await r.session.scalar(select(func.count()).select_from(Fact))
            return len(await facts.after(r.session, START, 1_000)) == written

    await until(settled, "the journal's end to be readable", 30.0)
    async with book.writing() as w:
        await merging.follow(w, await facts.after(w.session, START, 1_000))
