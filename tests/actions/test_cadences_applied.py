"""Cadences from a file: made once, a new version when they change, and refused by name when they contradict
themselves."""

import pytest
from sqlalchemy import select

from router.actions import configuring
from router.book import Book
from router.demo import PLAN as DEMO
from router.model.cadence_rules import Start
from router.model.cadences import Cadence, CadenceVersion
from router.model.configuration import WrongFile, read
from router.store import cadences

PLAN = """
[[campaigns]]
key = "luz"
name = "Luz Clara"
caller_id = "+12025550100"
sender = "+12025550100"
rule_pack = "demo"
  [campaigns.company]
  name = "Luz Clara SL"
  address = "Calle Mayor 1, 28013 Madrid"
  phone = "+12025550100"
  email = "hola@luzclara.example"
  [[campaigns.queues]]
  key = "hot"
  name = "Web leads"
  [[campaigns.cadences]]
  key = "quiet"
  name = "Quiet quotes"
  on = ["idle"]
    [[campaigns.cadences.steps]]
    n = 1
    channel = "call_task"
    delay = 4
"""
SECOND = """
    [[campaigns.cadences.steps]]
    n = 2
    channel = "sms"
    {more}
"""


async def apply(book: Book, text: str) -> list[str]:
    async with book.writing() as w:
        return [str(one) for one in await configuring.apply(w, read(text), {}, demo=True)]


async def versions(book: Book) -> list[int]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(CadenceVersion.version).order_by(CadenceVersion.id)))


async def test_a_changed_cadence_is_a_new_version_and_the_same_is_none(book: Book) -> None:
    assert "+ cadence luz/quiet" in await apply(book, PLAN)
    assert await apply(book, PLAN) == []
    changed = await apply(book, PLAN + SECOND.format(more='template = "goodbye"'))
    assert changed == ["~ cadence luz/quiet: version: 1 → 2"]
    assert await versions(book) == [1, 2]


async def test_the_file_wins_where_it_says_something_and_the_house_where_it_does_not(book: Book) -> None:
    await apply(book, PLAN)
    async with book.writing() as w:
        ours = await cadences.version_for(w.session, 1, Start.idle, w.now)
        theirs = await cadences.version_for(w.session, 1, Start.never_opened, w.now)
        again = await cadences.version_for(w.session, 1, Start.never_opened, w.now)
    assert (ours.body["key"], theirs.body["key"], again.id) == ("quiet", "unread", theirs.id)
    async with book.reading() as r:
        assert [one.preset for one in await r.session.scalars(select(Cadence).order_by(Cadence.id))] == [False, True]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('anchor = "step:3"', "there is no step 3"),
        ('anchor = "step:2"', "a loop"),
        ('anchor = "sunrise"', "is none of prev_done"),
        ('template = "poem"', "the texts are"),
        ('n = 1', "TOML"),
        ('otherwise = ["sms"]', "other ways"),
    ],
)
async def test_a_cadence_that_contradicts_itself_is_refused_by_name(book: Book, more: str, says: str) -> None:
    with pytest.raises(WrongFile, match=says):
        await apply(book, PLAN + SECOND.format(more=more))
    assert await versions(book) == []


async def test_two_cadences_do_not_begin_with_the_same(book: Book) -> None:
    with pytest.raises(WrongFile, match="the beginning idle stands there twice"):
        await apply(book, PLAN + PLAN[PLAN.index("  [[campaigns.cadences]]"):].replace('"quiet"', '"other"'))


def test_the_demonstrations_cadences_hold_together() -> None:
    (campaign,) = read(DEMO).campaigns
    for cadence in campaign.cadences:
        configuring.check(cadence, configuring.NAMES)
