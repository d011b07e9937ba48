"""The process is killed at the worst moments. Started again it brings the story to its end, and asks nothing twice."""

import asyncio
import secrets
import signal
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.book import Book
from router.walk.browser import Wrong
from router.walk.cast import Cast, Part
from router.walk.customer import CODE
from router.walk.phone import came, leg_in
from router.walk.screens import Desk
from router.walk.selling import REQUIRED, line, products, send_quote
from tests.invariants import check, check_quiet
from tests.stories import staging
from tests.stories.staging import House
from tests.web.browsing import THOROUGH

LOST = (aiohttp.ClientError, OSError, TimeoutError, Wrong)


class Teller:
    """Tells the story as persistent people would: whatever fell through is tried again, by what is seen then.

    `ahead` are the moments at which the house, started anew, shall be killed next; the last life has none.
    """

    def __init__(self, house: House, cast: Cast, book: Book, ahead: list[str]) -> None:
        self.house, self.book, self.ahead = house, book, [*ahead, ""]
        self.part: Part = cast.parts[0]
        self.desk: Desk = cast.desks[0]
        self._key = secrets.token_hex(16)

    async def to_the_end(self) -> None:
        async with asyncio.timeout(200):
            while not (self.part.signed and self.desk.doing() == "free"):
                if await self._dies_while(self._go_on()):
                    async with self.book.reading() as r:
                        await check(r.session)
                    await self.house.start(fail_at=self.ahead.pop(0))

    async def _dies_while(self, act: Coroutine[Any, Any, None]) -> bool:
        """Lets somebody act, up to the moment at which the house is killed."""
        assert self.house.process is not None
        acting, death = asyncio.create_task(act), asyncio.create_task(self.house.process.wait())
        await asyncio.wait({acting, death}, return_when=asyncio.FIRST_COMPLETED)
        for task in (acting, death):
            task.cancel()
        ended, _ = await asyncio.gather(acting, death, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, LOST):
            raise ended
        assert self.house.process.returncode in (None, -signal.SIGKILL), "it ended by itself"
        return self.house.dead

    async def _go_on(self) -> None:
        """One act. Everybody acts only on what is on the screen or on the telephone now."""
        match doing := self.desk.doing():
            case "off" | "paused":
                await self.desk.press(self.desk.button("wish-ready"))
            case "ringing":
                await self.desk.press(self.desk.button("accept"))
                await self.desk.leaves(doing)
            case "connecting":
                await self._pick_up()
            case "talking" if not self.part.signed:
                await self._sell()
            case "talking":
                await self.desk.press(self.desk.button("hangup"))
                await self.desk.leaves(doing)
            case "wrapping":
                await self.desk.press(self.desk.button("outcome-sold"))
                await self.desk.leaves(doing)
            case _:
                await self._ask()
                await self.desk.sees("work", lambda: self.desk.doing() != doing, 2)

    async def _ask(self) -> None:
        if not self.part.lead:
            body = self.part.visitor.lead(self.part.phone.number, self.part.name)
            answer = await self.part.visitor.post(body, key=self._key)
            assert answer.status == 201
            self.part.lead = answer.json()

    async def _pick_up(self) -> None:
        await self.part.phone.ringing(1)
        await self.part.phone.press("answer")
        await self.desk.leaves("connecting")

    async def _sell(self) -> None:
        customer, texts = self.part.customer, came(await self.part.phone.state())
        if not any("/q/" in text for text in texts):
            await send_quote(self.desk, self.part, line(0, *products(self.desk)[0]))
        elif any("/q/copy/" in text for text in texts):
            self.part.signed = await customer.copy(await customer.copy_link())
        else:
            await self._sign()

    async def _sign(self) -> None:
        customer = self.part.customer
        customer.at = await customer.browser.get(f"{self.house.url}/q/-")
        page = customer.at.page
        if customer.at.status == 404:
            await customer.open(await customer.link())
        elif page.form_to("/q/-/sign"):
            await customer.sign(*REQUIRED)
        elif page.form_to("/q/-/give"):
            codes = [found[1] for text in came(await customer.phone.state()) if (found := CODE.search(text))]
            await customer.give(codes[-1])
        elif page.form_to("/q/-/code"):
            await customer.ask_code()
        else:
            await customer.copy_link()


@pytest.mark.parametrize(
    "moments",
    [
        ("accept.before_commit:1", "courier.after_request:2", "signed:1", "sealed:1"),
        pytest.param(("accept.after_commit:1", "courier.before_request:1"), marks=pytest.mark.skipif(
            not THOROUGH, reason="half a minute of its own; HABLEMOS_TEST_EVERYTHING=1 asks for it")),
    ],
    ids=" ".join,
)
async def test_killed_again_and_again_the_story_comes_to_its_end_and_nothing_is_asked_twice(
    moments: tuple[str, ...], database_url: str, tmp_path: Path
) -> None:
    async with staging.book_of(database_url) as book, staging.phonebox() as box:
        await staging.configure(book)
        house = House(database_url, box.url)
        try:
            await house.start(fail_at=moments[0])
            async with staging.actors(house, tmp_path) as cast:
                teller = Teller(house, cast, book, list(moments[1:]))
                await teller.to_the_end()
                assert not teller.ahead, f"it was not killed at {teller.ahead}"
                assert leg_in(await teller.part.phone.state(), "in-progress") is None
                async with book.reading() as r:
                    await check(r.session)
                    await check_quiet(r.session, r.now)
            assert await house.stop() == 0
        finally:
            await house.close()
        twice = [order for order, count in Counter(staging.asked(box)).items() if count > 1]
        assert not twice, f"asked twice: {twice}"
        sent = ["copy" if "/copy/" in text else "offer" if "/q/" in text else "code" for text in staging.texts(box)]
        assert sorted(sent) == ["code", "copy", "offer"]
