"""SIGTERM with everything open: within 15 s, code 0, nothing lost and nothing half."""

import asyncio
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text

from router import demo
from router.embedded import EmbeddedPostgres
from router.walk.addresses import Addresses
from router.walk.browser import Answer, Bell, Browser
from router.walk.phone import Phone
from router.walk.screens import Desk, Screen, sign_in
from router.walk.visitor import Visitor
from tests.invariants import check
from tests.stories import staging

LEADS = 40
NUMBERS = [f"+1212555{100 + place:04d}" for place in range(LEADS)]


def addresses(told: str) -> Addresses:
    """Where a demo said that it is."""
    landing, phonebox, desk = re.findall(r"^  (?:Landing page|Customer|Desk) +(http://[\d.:]+)/", told, re.MULTILINE)
    return Addresses(desk, phonebox, landing, demo.SITE, demo.PASSWORD, ("ana", "bruno"), "sofia")


async def listen(stack: AsyncExitStack, where: Addresses) -> tuple[Visitor, Desk, Screen]:
    """A desk, a wallboard, a visitor's page and a telephone's, each with its stream open."""
    browsers = [await stack.enter_async_context(Browser.started()) for _ in range(4)]
    await sign_in(browsers[0], where, "ana", "/desk")
    bell = Bell()
    desk = Desk(browsers[0], where.service, Phone(browsers[3], where.phonebox, "client:ana"), bell)
    await stack.enter_async_context(desk.open())
    await sign_in(browsers[1], where, "sofia", "/wallboard")
    board = Screen(browsers[1], f"{where.service}/wallboard", bell)
    await stack.enter_async_context(board.open())
    visitor = Visitor(browsers[2], where)
    await visitor.load_config()
    lead = (await visitor.post(visitor.lead("+12125550199", "Carmen"))).json()
    status = await stack.enter_async_context(visitor.following(lead))
    await status.hears("waiting")
    await desk.answers_pings()
    await board.answers_pings()
    return visitor, desk, board


async def post(visitor: Visitor, place: int) -> Answer | None:
    """Posts a lead under its own key; None when the connection did not bear it."""
    try:
        return await visitor.post(visitor.lead(NUMBERS[place], "Íñigo"), key=f"lead-number-{place}")
    except (aiohttp.ClientError, OSError):
        return None


async def interrupted(visitor: Visitor, process: asyncio.subprocess.Process) -> list[Answer | None]:
    """Posts all leads, and sends the signal when the first is answered."""
    posts = [asyncio.create_task(post(visitor, place)) for place in range(LEADS)]
    await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
    process.send_signal(signal.SIGTERM)
    return await asyncio.gather(*posts)


_COUNTS = text("""
    select c.phone, count(distinct l.id), count(distinct t.id)
    from contacts c join leads l on l.contact_id = c.id left join tasks t on t.lead_id = l.id group by c.phone
""")


async def stored(place: Path) -> list[Any]:
    async with EmbeddedPostgres(place) as database, staging.book_of(database.url) as book, book.reading() as r:
        await check(r.session)
        return list(await r.session.rows(_COUNTS))


async def test_told_to_stop_with_streams_open_it_leaves_in_time_and_nothing_is_lost_or_half() -> None:
    with staging.data_dir() as place:
        command = ("router", "demo", "--data-dir", str(place), "--port", str(staging.free_port(3)))
        async with staging.running(*command, until="Stop with Ctrl-C") as (process, told), AsyncExitStack() as stack:
            visitor, _, _ = await listen(stack, addresses(told))
            answers = await interrupted(visitor, process)
            async with asyncio.timeout(15):
                assert await process.wait() == 0
        assert not list(place.rglob("postmaster.pid"))
        assert "database system is shut down" in (place / "database" / "log").read_text().splitlines()[-1]

        said = {number: answer for number, answer in enumerate(answers) if answer is not None}
        assert {answer.status for answer in said.values()} <= {201, 503}
        taken = {number: answer.json()["lead"] for number, answer in said.items() if answer.status == 201}
        assert taken
        async with staging.running(*command, until="Stop with Ctrl-C") as (process, told), AsyncExitStack() as stack:
            visitor, _, _ = await listen(stack, addresses(told))
            again = [await post(visitor, place) for place in range(LEADS)]
            for number, answer in enumerate(again):
                assert answer is not None
                assert answer.status == 201
                assert number not in taken or answer.headers["Idempotent-Replayed"] == "true"
                assert taken.setdefault(number, answer.json()["lead"]) == answer.json()["lead"]
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                assert await process.wait() == 0
        found = {phone: (leads, tasks) for phone, leads, tasks in await stored(place)}
        assert {phone: found[phone] for phone in NUMBERS} == dict.fromkeys(NUMBERS, (1, 1))
