"""The database goes and comes back: the doors say so, and nobody has to start anything anew."""

from pathlib import Path

from router.embedded import EmbeddedPostgres
from router.store.migrations import migrate
from router.walk.browser import Browser
from router.walk.screens import Desk
from tests.conftest import until
from tests.stories import staging
from tests.stories.staging import House


async def status(browser: Browser, url: str) -> int:
    return (await browser.get(url, Accept="application/json")).status


async def test_without_its_database_the_house_says_503_and_recovers_without_a_restart(tmp_path: Path) -> None:
    with staging.data_dir() as place:
        server = EmbeddedPostgres(place, durable=False)
        url = server.start().url
        await migrate(url)
        async with staging.phonebox() as box, staging.book_of(url) as book:
            await staging.configure(book)
            house = House(url, box.url)
            try:
                await house.start()
                async with staging.actors(house, tmp_path) as cast:
                    desk, visitor = cast.desks[0], cast.parts[0].visitor
                    await desk.do("wish-ready")
                    await desk.becomes("free")
                    server.stop()
                    await _away(house, cast.outsider, desk)
                    body = visitor.lead(cast.parts[0].phone.number, "Carmen")
                    refused = await visitor.post(body, key="the-same-key")
                    assert refused.status == 503
                    assert int(refused.headers["Retry-After"]) > 0
                    assert refused.json()["code"] == "busy"
                    assert server.start().url == url
                    await until(lambda: _ready(house, cast.outsider), "the house to be ready again", 20)
                    taken = await visitor.post(body, key="the-same-key")
                    assert taken.status == 201
                    assert "Idempotent-Replayed" not in taken.headers
                    await desk.sees("a ring", desk.rings_for, 15)
                assert house.process is not None
                assert house.process.returncode is None
                assert await house.stop() == 0
            finally:
                await house.close()
                server.stop()


async def _away(house: House, browser: Browser, desk: Desk) -> None:
    assert await status(browser, f"{house.url}/readyz") == 503
    assert await status(browser, f"{house.url}/healthz") == 200
    refused = await desk.browser.get(f"{house.url}/desk")
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert (await desk.press(desk.button("wish-off"))).status == 503


async def _ready(house: House, browser: Browser) -> bool:
    return await status(browser, f"{house.url}/readyz") == 200
