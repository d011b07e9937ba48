"""`hablemos plan`: what it prints, draws and refuses, and what `apply` says before a change is agreed to."""

import asyncio
import json
import os
import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router.book import Book
from router.cli import main
from router.model.agents import Agent
from router.model.quotes import Quote, QuoteState
from router.model.suppressions import Suppression
from tests import making
from tests.stories.virtual_house import phone, quotes

MANY = int(os.environ.get("HABLEMOS_TEST_PLANNED", "6"))
FILE = """
[[campaigns]]
key = "luz"
name = "Luz Clara"
caller_id = "+34910000000"
sender = "+34910000000"
rule_pack = "standard"
countries = ["ES", "US"]
daily_spend_cap = 1000000
stale_seconds = 172800
quote_days = 12

  [campaigns.company]
  name = "Luz Clara SL"
  address = "Calle Mayor 1, 28013 Madrid"
  phone = "+34910000000"
  email = "hola@luzclara.example"

  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"
  handle_seconds = 420

  [[campaigns.cadences]]
  key = "ours"
  name = "Ours"
  on = ["opened_unsigned", "never_opened", "idle", "expiring"]

    [[campaigns.cadences.steps]]
    n = 1
    channel = "sms"
    delay = 1
    unit = "bd"
"""


@pytest.fixture(autouse=True)
def of_the_database(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HABLEMOS_TEST_PLANNED", "HABLEMOS_TEST_PICTURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HABLEMOS_DATABASE_URL", database_url)
    monkeypatch.setenv("HABLEMOS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HABLEMOS_SECRET", "a secret of at least thirty-two characters")


@pytest.fixture
async def house(database_url: str, book: Book) -> Book:
    """Quiet quotes in Madrid, by the clock of the database: the plan's command has no other."""
    async with book.writing() as w:
        brand = await making.campaign(
            w, rule_pack="standard", daily_spend_cap=1_000_000, stale_seconds=172_800, quote_days=12
        )
        queue = await making.queue(w, brand, handle_seconds=420)
        await quotes(w, brand, queue, MANY, spread=timedelta(days=4))
    return book


@pytest.fixture
def book(book: Book) -> Book:
    """By the database's clock."""
    book._clock = None
    return book


async def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(main, [*arguments])
    out, err = capsys.readouterr()
    return code, out, err


async def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = await told(capsys, "plan", "--plays", "2", *arguments, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


async def test_it_tells_contacts_by_the_hour_and_the_agents_they_need(
    house: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await as_json(capsys)
    assert (seen["quotes"], seen["time_zone"], len(seen["hours"]) in (14 * 24, 14 * 24 + 1)) == (
        MANY, "Europe/Madrid", True)
    assert seen["calls"] > MANY
    assert seen["calls"] == pytest.approx(sum(hour["calls"]["mean"] for hour in seen["hours"]))
    calling = [hour for hour in seen["hours"] if hour["calls"]["mean"]]
    assert {hour["agents_needed"] >= 1 for hour in calling} == {True}
    assert {9 <= int(hour["at"][11:13]) < 21 for hour in calling} == {True}, "at hours at which one may be called"


async def test_the_table_says_what_it_rests_on_and_names_nobody(
    house: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = await told(capsys, "plan", "--days", "7", "--plays", "3", "--seed", "5")
    assert (code, err) == (0, "")
    assert f"about {MANY} quotes" in out
    assert "The mean of 3 plays with seed 5" in out
    assert "Carmen" not in out
    assert phone(1) not in out


async def test_who_is_blocked_is_told_by_rule_with_the_quotes_number(
    house: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house.writing() as w:
        w.session.add(Suppression(phone=phone(0), reason="asked", created_at=w.now))
        snoozed = await w.session.get(Quote, 2)
        assert snoozed is not None
        snoozed.snoozed_until = until = w.now + timedelta(days=3)
    blocked = (await as_json(capsys))["blocked"]
    assert [one["quote"] for one in blocked if one["rule"] == "suppressed.asked"] == [1]
    assert [one["until"] for one in blocked if one["rule"] == "holds.snoozed"] == [until.isoformat()]


async def test_where_nobody_works_calls_wait_and_it_says_so(house: Book, capsys: pytest.CaptureFixture[str]) -> None:
    async with house.writing() as w:
        agent = await w.session.get(Agent, 1)
        assert agent is not None
        agent.disabled_at = w.now
    seen = await as_json(capsys)
    assert seen["calls"] == 0
    assert "unstaffed" in {one["rule"] for one in seen["blocked"]}
    assert seen["texts"] > 0


async def test_the_picture_is_drawn_and_has_its_words(
    house: Book, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "plan.svg"
    code, _, err = await told(capsys, "plan", "--svg", str(file), "--plays", "5")
    assert (code, err) == (0, "")
    drawn = await asyncio.to_thread(file.read_text)
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314  our own
    assert f"about {MANY} quotes" in drawn


@pytest.mark.parametrize(("arguments", "said"), [
    (("--days", "0"), "--days: 0 is no number of days from 1 to 60."),
    (("--days", "61"), "--days: 61 is no number of days from 1 to 60."),
    (("--plays", "0"), "--plays: 0 is no number from 1 to 1000."),
    (("--campaign", "sol"), "There is no campaign sol."),
    (("--svg", "/nowhere/plan.svg"), "/nowhere/plan.svg: No such file or directory"),
])
async def test_what_cannot_be_planned_is_said_in_a_sentence(
    house: Book, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = await told(capsys, "plan", "--plays", "1", *arguments)
    assert (code, out, err) == (2, "", f"hablemos: {said}\n")


async def test_an_empty_house_has_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert await told(capsys, "plan") == (2, "", "hablemos: There are no campaigns yet.\n")


async def test_a_changed_cadence_says_what_it_would_move_before_anybody_agrees(
    house: Book, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "luz.toml"
    await asyncio.to_thread(file.write_text, FILE)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    code, out, err = await told(capsys, "apply", str(file))
    assert (code, err) == (1, "")
    assert "+ cadence luz/ours" in out
    totals = next(line for line in out.splitlines() if "this would move" in line)
    assert "calls" in totals
    assert totals.endswith(f"texts {_texts(totals)} → {MANY}"), "one text each, and no call"
    async with house.reading() as r:
        assert (await r.session.get(Quote, 1)).state is not QuoteState.draft  # type: ignore[union-attr]
    again = await as_json(capsys)
    assert again["calls"] > MANY, "nothing of it stayed"


def _texts(totals: str) -> str:
    return totals.rpartition("texts ")[2].partition(" ")[0]
