"""The demonstration can be played at any hour; a real campaign cannot."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from router import demo
from router.actions import configuring
from router.actions.guarding import permit
from router.book import Book, Writing
from router.model.cadences import Attempt
from router.model.campaigns import Campaign, Queue
from router.model.configuration import read
from router.model.contacts import Contact
from router.model.guard import RESERVED_NUMBERS, Purpose, Verdict
from router.walk.phone import AREAS, TAKEN
from tests import making
from tests.conftest import Clock

SUNDAY_AT_THREE = datetime(2026, 11, 29, 3, 0, tzinfo=ZoneInfo("Europe/Madrid"))
MONDAY_AT_TEN = datetime(2026, 11, 30, 10, 0, tzinfo=ZoneInfo("America/New_York"))


async def asked(w: Writing, pack: str, purpose: Purpose) -> tuple[Attempt, Verdict]:
    """The guard's answer for somebody who left a number at the demonstration's landing page."""
    plan = read(demo.PLAN)
    plan.agents, plan.campaigns[0].rule_pack = [], pack
    await configuring.apply(w, plan, {}, demo=True)
    campaign, queue = await w.session.scalar(select(Campaign)), await w.session.scalar(select(Queue))
    assert campaign is not None
    assert queue is not None
    lead = await making.lead(w, queue, "+12125550177")
    contact = await w.session.get(Contact, lead.contact_id)
    assert contact is not None
    return await permit(w, campaign, contact, channel="call", purpose=purpose, lead_id=lead.id)


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_the_walks_guard_allows_on_a_sunday_at_three_in_the_morning(
    book: Book, clock: Clock, purpose: Purpose
) -> None:
    clock.now = SUNDAY_AT_THREE
    async with book.writing() as w:
        attempt, verdict = await asked(w, "demo", purpose)
    assert verdict.allowed
    assert attempt.rules == list(verdict.rules)
    commercial = ("demo.hours", "demo.caps", "consent.commercial")
    assert verdict.rules == (commercial if purpose is Purpose.commercial else (f"purpose.{purpose}",))


async def test_a_real_campaign_waits_for_monday(book: Book, clock: Clock) -> None:
    clock.now = SUNDAY_AT_THREE
    async with book.writing() as w:
        _, verdict = await asked(w, "standard", Purpose.commercial)
    assert verdict.word == "defer"
    assert verdict.until == MONDAY_AT_TEN
    assert verdict.rules == ("standard.weekend",)


def test_the_walk_calls_only_numbers_kept_for_fiction() -> None:
    numbers = {f"+1{area}55501{last:02d}" for area in AREAS for last in range(100)} | TAKEN
    assert all(re.fullmatch(RESERVED_NUMBERS, number) for number in numbers)
