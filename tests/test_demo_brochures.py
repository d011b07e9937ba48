"""The demonstration has something to send from its first start on."""

from io import BytesIO

from pypdf import PdfReader

from router import demo, demo_brochures
from router.book import Book
from router.store import blobs, brochures
from tests import making


async def test_they_are_there_after_the_first_start_and_come_back_no_more(book: Book) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w, demo.SITE)
    assert await demo_brochures.bring(book, demo.SITE) == 2
    assert await demo_brochures.bring(book, demo.SITE) == 0
    async with book.reading() as r:
        found = await brochures.in_use(r.session, campaign.id)
        contents = [await blobs.content(r.session, one.sha256) or b"" for one in found]
    assert [one.named("en") for one in found] == ["Installation guide", "Tariffs"]
    said = [PdfReader(BytesIO(one)).pages[0].extract_text() for one in contents]
    for words, page in (("kilovatio", said[0]), ("49,90", said[1])):
        assert words in page
