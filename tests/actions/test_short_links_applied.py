"""Short links in a configuration file: made once, changed in place, and never given another code."""

import pytest
from sqlalchemy import select

from router.actions.configuring import apply
from router.book import Book
from router.model.configuration import WrongFile, read
from router.model.short_links import ShortLink
from tests.actions.test_configuring import FILE

LINK = """
  [[campaigns.links]]
  piece = "bus-stop"
  name = "Bus stop"
  site = "landing"
  target = "https://luz.example/solar"
  last_day = "2026-12-31"
"""


def with_link(link: str = LINK) -> str:
    return FILE.replace("[[agents]]", f"{link}\n[[agents]]", 1)


async def applied(book: Book, text: str) -> list[str]:
    async with book.writing() as w:
        return [str(one) for one in await apply(w, read(text), {"ana": "$argon2id$none", "luis": "$argon2id$none"})]


async def the_link(book: Book) -> ShortLink:
    async with book.reading() as r:
        (link,) = await r.session.scalars(select(ShortLink))
        return link


async def test_a_link_of_a_file_is_made_once_and_keeps_its_code(book: Book) -> None:
    assert "+ link luz/bus-stop" in await applied(book, with_link())
    made = await the_link(book)
    assert made.expires_at is not None
    assert made.expires_at.isoformat() == "2026-12-31T23:00:00+00:00"
    assert await applied(book, with_link()) == []
    assert await applied(book, with_link(LINK.replace("Bus stop", "Bus stop 7").replace("2026-12-31", "2027-01-31")))
    changed = await the_link(book)
    assert (changed.code, changed.name) == (made.code, "Bus stop 7")


@pytest.mark.parametrize(("old", "new", "said"), [
    ('site = "landing"', 'site = "nobody"', "link luz/bus-stop: campaign luz has no site nobody"),
    ("https://luz.example/solar", "https://evil.example/", "link luz/bus-stop: target"),
    ("2026-12-31", "2026-02-30", "last_day"), ('piece = "bus-stop"', 'piece = "Bus Stop"', "line"),
])  # fmt: skip
async def test_a_wrong_link_is_refused_with_its_place(book: Book, old: str, new: str, said: str) -> None:
    with pytest.raises(WrongFile, match=said):
        await applied(book, with_link(LINK.replace(old, new)))
