"""The house is killed while an agent stays on the line, and while it announces a call: what was under way outside goes
on, and nobody is called or written to twice."""

import asyncio
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from router.actions import enrolling, nurturing
from router.book import Book
from router.model.base import vouched
from router.model.cadence_rules import Start
from router.model.cadences import Step, StepState
from router.model.campaigns import Campaign, Queue
from router.model.deliveries import Delivery, DeliveryState
from router.model.stations import Station, StationState
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.store import alarms
from router.walk.cast import Cast
from router.walk.phone import leg_in
from tests import making
from tests.conftest import PATIENT, until
from tests.invariants import check
from tests.stories import staging
from tests.stories.staging import House
from tests.web.browsing import THOROUGH

MINE = "+12025550166"
slow = pytest.mark.skipif(not THOROUGH, reason="some seconds of its own; HABLEMOS_TEST_EVERYTHING=1 asks for it")


@asynccontextmanager
async def there(book: Book, database_url: str, carrier_url: str) -> AsyncIterator[House]:
    """A house over the book, to be started; at the end it is closed, and the carrier's log is complete."""
    await staging.configure(book)
    house = House(database_url, carrier_url)
    try:
        yield house
    finally:
        await house.close()


async def killed(house: House) -> None:
    assert house.process is not None
    house.process.send_signal(signal.SIGKILL)
    await house.process.wait()


async def station(book: Book) -> Station:
    async with book.reading() as r:
        return vouched(await r.session.scalar(select(Station).order_by(Station.id.desc()).limit(1)))


async def stands(cast: Cast) -> None:
    desk = cast.desks[0]
    await desk.do("wish-ready")
    await desk.do("stay")
    await desk.phone.ringing()
    await desk.phone.press("answer")
    await desk.phone.talking()
    await desk.sees("that she stays on the line", lambda: desk.regions["me"].of_class("stay")[0].of_class("talking"))


async def next_call(cast: Cast) -> None:
    """Somebody asks to be called; Ana presses once, her own telephone does not ring again, and the two talk in the room
    she stands in."""
    desk, part = cast.desks[0], cast.parts[0]
    assert (await part.visitor.post(
        part.visitor.lead(part.phone.number, part.name), key=secrets.token_hex(16))).status == 201
    await desk.sees("the ring", lambda: desk.doing() == "ringing", 20)
    await desk.do("accept")
    await part.phone.ringing()
    await part.phone.press("answer")
    customer = await part.phone.talking()
    await desk.becomes("talking")
    agent = vouched(leg_in(await desk.phone.state(), "in-progress"))
    assert agent["room"] == customer["room"], "in the same room"


async def test_killed_while_she_stands_she_stays_and_the_next_call_joins_her(
    database_url: str, tmp_path: Path
) -> None:
    async with staging.book_of(database_url, limits=PATIENT) as book, staging.phonebox() as box:
        async with there(book, database_url, box.url) as house:
            await house.start()
            async with staging.actors(house, tmp_path) as cast:
                await stands(cast)
                before = await station(book)
                await killed(house)
                began = time.monotonic()
                await house.start()
                desk = cast.desks[0]
                await desk.answers_pings(more=True)
                after = await station(book)
                assert (after.id, after.state, after.ended_at) == (before.id, StationState.standing, None)
                await next_call(cast)
                print(f"killed while standing → the next two talk: {time.monotonic() - began:.1f} s")
                await desk.do("hangup")
                await desk.leaves("talking")
                await cast.parts[0].phone.silent()
                assert leg_in(await desk.phone.state(), "in-progress"), "she is still on the line"
                async with book.reading() as r:
                    await check(r.session)
        orders = staging.asked(box)
        assert [what for what, _ in orders] == ["Participants", "Participants"], "one telephone each"
        assert max(Counter(orders).values()) == 1


@slow
async def test_killed_before_it_knows_that_her_telephone_was_called_it_finds_her_in_her_room(
    database_url: str, tmp_path: Path
) -> None:
    """She answered while the house was dead, and it does not know the carrier's name of her call: it asks."""
    async with staging.book_of(database_url, limits=PATIENT) as book, staging.phonebox() as box:
        async with there(book, database_url, box.url) as house:
            await house.start(fail_at="courier.after_request:1")
            async with staging.actors(house, tmp_path) as cast:
                desk = cast.desks[0]
                await desk.do("wish-ready")
                await desk.do("stay")
                await desk.phone.ringing()
                await desk.phone.press("answer")
                assert house.process is not None
                assert await house.process.wait() == -signal.SIGKILL
                await house.start()

                async def standing() -> bool:
                    return (await station(book)).state is StationState.standing

                await until(standing, "the house to find her", 30)
                await desk.answers_pings(more=True)
                await next_call(cast)
                async with book.reading() as r:
                    await check(r.session)
        assert [what for what, _ in staging.asked(box)] == ["Participants", "Participants"], "one telephone each"


@slow
async def test_who_hangs_up_while_the_house_is_dead_does_not_stand_any_more_and_is_called_anew(
    database_url: str, tmp_path: Path
) -> None:
    """Nobody heard the carrier's word. The house asks when it is back, and no customer is called to nobody."""
    async with (
        staging.book_of(database_url, limits=PATIENT) as book, staging.phonebox() as box,
        there(book, database_url, box.url) as house,
    ):
        await house.start()
        async with staging.actors(house, tmp_path) as cast:
            await stands(cast)
            await killed(house)
            await cast.desks[0].phone.press("hangup")
            await house.start()

            async def ended() -> bool:
                return (await station(book)).state is StationState.ended

            await until(ended, "the house to learn of it", 20)
            desk, part = cast.desks[0], cast.parts[0]
            assert (await part.visitor.post(
                part.visitor.lead(part.phone.number, part.name), key=secrets.token_hex(16))).status == 201
            await desk.sees("the ring", lambda: desk.doing() == "ringing", 20)
            await desk.do("accept")
            await desk.phone.ringing()
            assert not (await part.phone.state())["legs"], "nobody is called before she is there"
            await desk.phone.press("answer")
            await part.phone.ringing()
            async with book.reading() as r:
                await check(r.session)


async def announced_soon(book: Book) -> None:
    """Somebody whose call is due in an hour, and announced now."""
    async with book.writing() as w:
        campaign, queue = vouched(await w.session.get(Campaign, 1)), vouched(await w.session.get(Queue, 1))
        campaign.rule_pack = "demo"
        await making.cadence(w, campaign, {"delay": 1, "announce_minutes": 60}, on=["no_show"])
        lead = await making.lead(w, queue, MINE)
        await making.task(w, queue, lead, state=TaskState.closed, disposition=Disposition.no_answer)
        assert await nurturing.enrol_lead(
            w, Start.no_show, campaign_id=campaign.id, lead_id=lead.id, contact_id=lead.contact_id
        )


@pytest.mark.parametrize(("moment", "sent"), [
    ("courier.after_request:1", 1), pytest.param("courier.before_request:1", 0, marks=slow),
])
async def test_killed_while_it_announces_it_says_so_once_and_the_call_comes(
    database_url: str, moment: str, sent: int
) -> None:
    async with staging.book_of(database_url, limits=PATIENT) as book, staging.phonebox() as box:
        async with there(book, database_url, box.url) as house:
            await house.start(fail_at=moment)
            await announced_soon(book)
            assert house.process is not None
            async with asyncio.timeout(30):
                assert await house.process.wait() == -signal.SIGKILL
            async with book.writing() as w:
                # A minute goes by for what the dead had under way; and the call's hour.
                await w.session.execute(update(Delivery).values(
                    lease_until=w.now - timedelta(seconds=1), started_at=w.now - timedelta(minutes=1)))
                (step,) = await w.session.scalars(select(Step))
                assert (step.state, step.announcement_id is None) == (StepState.planned, False)
                step.due_at = w.now
                await w.session.flush()
                await alarms.set_alarm(w.session, enrolling.STEP_DUE, step.id, w.now)
            await house.start()

            async def queued() -> bool:
                async with book.reading() as r:
                    found = await r.session.scalars(select(Task.state).where(Task.kind == TaskKind.nurture))
                    (text,) = await r.session.scalars(select(Delivery))
                    return list(found) == [TaskState.queued] and text.state is not DeliveryState.started

            await until(queued, "the call to wait for an agent", 20)
            async with book.reading() as r:
                await check(r.session)
        assert len(staging.texts(box)) == sent
