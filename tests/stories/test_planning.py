"""The plan and what then happens: the house lives through the fortnight that was planned, and is counted hour by hour.

HABLEMOS_TEST_PLANNED makes the house greater than the eight quotes it has otherwise.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from router.actions import enrolling, planning, resending
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.model.base import vouched
from router.model.cadences import Enrolment, Step, StepState
from router.model.foreseeing import play
from router.model.number_searches import NumberSearch
from router.model.planning import Ahead, Contacted, Forecast, by_hour, drawn, edges, forecast, lots_of
from router.model.tasks import Disposition, Task, TaskState
from router.store import packs
from router.store.planning import campaigns
from tests import making
from tests.conftest import MONDAY_NOON, Clock
from tests.mailing import catching
from tests.outside import RecordingCarrier
from tests.stories.virtual_house import Post, VirtualHouse, phone, quotes

pytestmark = pytest.mark.usefixtures("unhurried")

MANY = int(os.environ.get("HABLEMOS_TEST_PLANNED", "8"))
DAYS = 14
PLAYS = 40
WHAT = {"call": "calls", "text": "texts", "mail": "mails"}


async def a_house(book: Book, many: int, **campaign: Any) -> Ahead:
    """A campaign in Madrid with the house's own cadences and cautious rules, and what is ahead of it."""
    async with book.writing() as w:
        brand = await making.campaign(w, **{
            "rule_pack": "standard", "timezone": "Europe/Madrid", "country": "ES", "countries": ["ES", "US"],
            "daily_spend_cap": 1_000_000, "stale_seconds": 2 * 86_400, "quote_days": 12, **campaign,
        })
        queue = await making.queue(w, brand, handle_seconds=420)
        await quotes(w, brand, queue, many, spread=timedelta(days=4))
    async with book.reading() as r:
        return await planning.read(r.session, r.now, DAYS, await campaigns(r.session), can_mail=book.can_mail)


def differing(ahead: Ahead, planned: Sequence[Contacted], seen: Sequence[Contacted]) -> list[Any]:
    """The hours in which they are not the same."""
    starts = edges(ahead.now, ahead.until, ahead.zone)
    pairs = zip(starts, by_hour(planned, starts), by_hour(seen, starts), strict=False)
    return [
        (f"{start:%a %d %H:%M}", what, one[what], other[what])
        for start, one, other in pairs for what in WHAT if one[what] != other[what]
    ]


def outside(ahead: Ahead, plan: Forecast, seen: Sequence[Contacted], plays: int) -> list[Any]:
    """The hours, and the kinds in all, in which what happened lies outside the counting error of what was planned."""
    starts = edges(ahead.now, ahead.until, ahead.zone)
    counted = by_hour(seen, starts)
    found = [
        (f"{hour.start:%a %d %H:%M}", what, getattr(hour, name), here[what])
        for hour, here in zip(plan.hours, counted, strict=True) for what, name in WHAT.items()
        if not getattr(hour, name).agrees(here[what], plays)
    ]
    for what, name in WHAT.items():
        total, spread = plan.total(name), sum(getattr(hour, name).spread ** 2 for hour in plan.hours)
        made = sum(here[what] for here in counted)
        if abs(made - total) > 4 * max(spread, total, 1.0) ** 0.5:
            found.append(("in all", what, total, made))
    return found


async def test_when_nobody_answers_the_fortnight_is_as_planned_to_the_last_contact(book: Book, clock: Clock) -> None:
    many = max(3, MANY // 4)
    ahead = await a_house(book, many)
    certain = {Disposition.no_answer: 1.0}
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    house = VirtualHouse(book, clock, lambda *_: Disposition.no_answer)
    await house.live(ahead.until)
    seen = await house.contacts()
    assert len([one for one in seen if one.what == "call"]) > 2 * many
    assert differing(ahead, planned.contacts, seen) == []
    async with book.reading() as r:
        assert (await r.session.rows(text("select count(*) from facts where kind = 'step.announced'")))[0][0]


@pytest.mark.parametrize("moved", [False, True])
async def test_who_is_inside_already_is_announced_as_planned(book: Book, clock: Clock, moved: bool) -> None:
    """Planned anew in the middle of the days: one call is announced already, of others the text is to leave. `moved`:
    that call is put off over the weekend, and announced again."""
    await a_house(book, 3)
    certain = {Disposition.no_answer: 1.0}
    house = VirtualHouse(book, clock, lambda *_: Disposition.no_answer)
    announced = False
    while not announced:
        await house.live(clock.now + timedelta(minutes=30))
        assert clock.now < MONDAY_NOON + timedelta(days=7), "a call is announced and not made yet"
        async with book.reading() as r:
            announced = (await r.session.rows(_ANNOUNCED))[0][0] > 0
    if moved:
        await put_off(book, timedelta(days=3))
    async with book.reading() as r:
        ahead = await planning.read(r.session, r.now, 5, await campaigns(r.session))
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    await house.live(ahead.until)
    seen = [one for one in await house.contacts() if one.at >= ahead.now]
    assert differing(ahead, planned.contacts, seen) == []
    async with book.reading() as r:
        assert ((await r.session.rows(_AGAIN))[0][0] > 0) is moved


CALLS_BY_DAY = """
[[hours]]
id = "standard-calls"
words = "No calls before half past eleven, nor after a quarter past six; texts before and after."
source = "a test"
verified = true
channels = ["call"]
[hours.week]
"""


async def test_a_call_whose_hour_passes_while_it_waits_is_announced_again_as_planned(
    book: Book, clock: Clock
) -> None:
    """An announced call waits for an agent until it may not be made on that day any more. The plan made in this moment
    and the house both make it in the next morning, with another text before."""
    days = "".join(f'{day} = [["11:30", "18:15"]]\n' for day in ("mon", "tue", "wed", "thu", "fri"))
    async with book.writing() as w:
        pack = packs.of_program()["standard"].replace("version = 1", "version = 9", 1)
        await packs.publish(w.session, "standard", 9, pack + CALLS_BY_DAY + days, w.now)
    await a_house(book, 3)
    certain = {Disposition.no_answer: 1.0}
    house = VirtualHouse(book, clock, lambda *_: Disposition.no_answer)
    step: Step | None = None
    while step is None:
        await house.live(clock.now + timedelta(minutes=30))
        await Alarms(book, ALARMS).sweep()
        async with book.reading() as r:
            step = await r.session.scalar(select(Step).join(Task, Task.id == Step.task_id).where(
                Step.announcement_id.is_not(None), Step.state == StepState.waiting, Task.state == TaskState.queued))
        assert clock.now < MONDAY_NOON + timedelta(days=7), "an announced call waits"
    clock.now = clock.now.replace(hour=17, minute=20)
    async with book.reading() as r:
        ahead = await planning.read(r.session, r.now, 6, await campaigns(r.session))
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    await house.live(ahead.until)
    seen = [one for one in await house.contacts() if one.at >= ahead.now]
    assert differing(ahead, planned.contacts, seen) == []
    async with book.reading() as r:
        again = vouched(await r.session.get(Step, step.id))
        withdrawn = await r.session.rows(text("select count(*) from tasks where state = 'withdrawn'"))
    assert (again.first_announcement_id is not None, again.tries, withdrawn[0][0]) == (True, 1, 1)


async def put_off(book: Book, by: timedelta) -> None:
    """Every announced call comes so much later."""
    async with book.writing() as w:
        for step in await w.session.scalars(
            select(Step).where(Step.announcement_id.is_not(None), Step.state == StepState.planned)
        ):
            case = vouched(await enrolling.case_of(w, vouched(await w.session.locked(Enrolment, step.enrolment_id))))
            await enrolling.put_off(w, case, step, step.due_at + by, "with_us")


_ANNOUNCED = text("select count(*) from steps where announcement_id is not null and state = 'planned'")
_AGAIN = text("select count(*) from steps where first_announcement_id is not null")


async def test_mails_leave_the_house_as_planned_to_the_last_one(book: Book, clock: Clock) -> None:
    """Texts and mails are counted where they arrive: at the carrier, and at a mail server."""
    book.can_mail = True
    ahead = await a_house(book, max(4, MANY // 4), mail_from="hola@luz.example")
    certain = {Disposition.no_answer: 1.0}
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    async with catching() as server:
        house = VirtualHouse(book, clock, lambda *_: Disposition.no_answer, Post(server, RecordingCarrier()))
        await house.live(ahead.until)
        assert sum(what == "mail" for _, what in house.left) == len(server.caught()) >= len(ahead.quotes)
    arrived = [Contacted(at, what, 0) for at, what in house.left]
    seen = [*arrived, *(one for one in await house.contacts() if one.what == "call")]
    assert differing(ahead, planned.contacts, seen) == []
    assert {one.what for one in planned.contacts} == {"call", "text", "mail"}


async def test_a_plan_made_in_the_middle_knows_who_is_at_which_step(book: Book, clock: Clock) -> None:
    book.can_mail = True
    first = await a_house(book, 4, mail_from="hola@luz.example")
    house = VirtualHouse(book, clock, lambda *_: Disposition.voicemail_left)
    await house.live(first.now + timedelta(days=5))
    async with book.reading() as r:
        ahead = await planning.read(r.session, r.now, DAYS - 5, await campaigns(r.session), can_mail=True)
    assert ahead.enrolments
    certain = {Disposition.voicemail_left: 1.0}
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    await house.live(ahead.until)
    seen = [one for one in await house.contacts() if one.at >= ahead.now]
    assert len(seen) > 4
    assert differing(ahead, planned.contacts, seen) == []


async def test_who_got_another_number_is_written_to_and_not_called_as_planned(book: Book, clock: Clock) -> None:
    """Everybody's number is somebody else's. Another one is found for each: what he agreed to does not go with it, but
    mails reach him as before. The plan is made after that, in the middle of the days."""
    book.can_mail = True
    await a_house(book, 3, mail_from="hola@luz.example")
    certain = {Disposition.wrong_number: 1.0}
    house = VirtualHouse(book, clock, lambda *_: Disposition.wrong_number)
    searches: list[NumberSearch] = []
    while len(searches) < 3:
        await house.live(clock.now + timedelta(hours=6))
        assert clock.now < MONDAY_NOON + timedelta(days=7), "each is called once"
        async with book.reading() as r:
            searches = list(await r.session.scalars(select(NumberSearch)))
    async with book.writing() as w:
        for one in searches:
            await resending.found(w, one.id, vouched(one.agent_id or 1), phone(900 + one.id))
    async with book.reading() as r:
        ahead = await planning.read(r.session, r.now, DAYS, await campaigns(r.session), can_mail=True)
    assert {one.no_number for one in ahead.enrolments} == {True}
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    await house.live(ahead.until)
    seen = [one for one in await house.contacts() if one.at >= ahead.now]
    assert {one.what for one in seen} == {"mail"}
    assert differing(ahead, planned.contacts, seen) == []


async def test_what_the_days_money_does_not_allow_waits_in_the_plan_and_after(book: Book, clock: Clock) -> None:
    """Three texts and a call cost as much as the campaign may spend a day."""
    ahead = await a_house(book, 5, daily_spend_cap=25)
    certain = {Disposition.busy: 1.0}
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    house = VirtualHouse(book, clock, lambda *_: Disposition.busy)
    await house.live(ahead.until)
    seen = await house.contacts()
    assert differing(ahead, planned.contacts, seen) == []
    assert "budget" in {one.rule for one in planned.blocks}


async def test_whoever_said_no_is_left_alone_when_his_offer_has_expired_too_in_the_plan_and_after(
    book: Book, clock: Clock
) -> None:
    ahead = await a_house(book, 3, quote_days=8)
    certain = {Disposition.not_interested: 1.0}
    planned = play(replace(ahead, mix={True: certain, False: certain}), "1")
    house = VirtualHouse(book, clock, lambda *_: Disposition.not_interested)
    await house.live(ahead.until)
    seen = await house.contacts()
    assert len([one for one in seen if one.what == "call"]) == 3
    assert differing(ahead, planned.contacts, seen) == []


@pytest.mark.parametrize("lots", ["these"])
async def test_the_fortnight_is_as_planned_hour_by_hour_within_counting_error(
    book: Book, clock: Clock, lots: str
) -> None:
    """The plan is the mean of plays whose lots are not those of the days that come. The bound of each hour is four
    standard deviations: of a count of that mean, or of the plays where they scatter more, and of the mean itself.
    Played with the very lots of the days that come, it is the same to the last contact."""
    ahead = await a_house(book, MANY)

    def ends(person_id: int, key: str, n: int, tries: int, chance: float) -> Disposition:
        return drawn(chance, ahead.mix, lots_of(lots, person_id, key, n, tries))

    plan = forecast(ahead, play, plays=PLAYS, seed=7)
    house = VirtualHouse(book, clock, ends)
    await house.live(ahead.until)
    seen = await house.contacts()
    assert differing(ahead, play(ahead, lots).contacts, seen) == []
    assert outside(ahead, plan, seen, PLAYS) == []
