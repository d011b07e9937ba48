"""`hablemos replay`: a small day played through the house's own verbs, and told again from its journal."""

import asyncio
import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import dispatch, intake, presence, wrapping
from router.book import Book
from router.cli import main
from router.model.agents import Wish
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskKind, TaskState
from tests import making
from tests.conftest import Clock

MORNING = datetime(2025, 11, 24, 9, 0, tzinfo=UTC)
DAY = "2025-11-24"


@dataclass
class House:
    """A queue for video talks and one agent, in the tests' own time."""

    book: Book
    clock: Clock
    queue: Queue
    agent: int
    tasks: list[int] = field(default_factory=list)

    async def comes(self) -> int:
        """Somebody who wants to talk, and is given to whoever is free."""
        task = await self.stands()
        await self.round()
        return task

    async def stands(self) -> int:
        async with self.book.writing() as w:
            lead = await making.lead(w, self.queue, f"+1202555{len(self.tasks):04d}")
            task = await making.task(w, self.queue, lead, kind=TaskKind.video, state=TaskState.scheduled)
            await intake.task_due(w, task.id)
        self.tasks.append(task.id)
        return task.id

    async def passes(self, seconds: int) -> None:
        """Time goes by, and the agent's browser answers as ever."""
        for _ in range(seconds // 10):
            self.clock.forward(10)
            async with self.book.writing() as w:
                await presence.beat(w, [self.agent])

    async def wishes(self, wish: Wish) -> None:
        async with self.book.writing() as w:
            await presence.set_wish(w, self.agent, wish)
        await self.round()

    async def round(self) -> None:
        """Whatever can be given is given, and taken at once."""
        async with self.book.writing() as w:
            await presence.beat(w, [self.agent])
        async with self.book.writing() as w:
            await dispatch.run_round(w, self.queue.pool)
        async with self.book.writing() as w:
            pending = select(Reservation).where(Reservation.state == ReservationState.pending)
            for one in await w.session.scalars(pending):
                await dispatch.accept(w, one.id, one.agent_id)

    async def finishes(self, task: int) -> None:
        async with self.book.writing() as w:
            await wrapping.begin_task(w, vouched(await w.session.locked(Task, task)))
            await wrapping.dispose(w, task, self.agent, Disposition.sold)
        await self.round()

    async def leaves(self, task: int) -> None:
        async with self.book.writing() as w:
            assert await dispatch.abandon(w, task)


@pytest.fixture
async def house(book: Book, clock: Clock) -> House:
    """At nine one comes and is answered for 100 s; the second waits 90 s, the third leaves after 50 s, the fourth waits
    130 s; then the agent goes."""
    clock.now = MORNING
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w, timezone="Europe/Madrid"))
        agent = (await making.agent(w, ready=False)).id
    made = House(book, clock, queue, agent)
    await made.wishes(Wish.ready)
    first = await made.comes()
    await made.passes(10)
    second = await made.comes()
    await made.passes(10)
    third = await made.comes()
    await made.passes(50)
    await made.leaves(third)
    fourth = await made.comes()
    await made.passes(30)
    await made.finishes(first)
    await made.passes(100)
    await made.finishes(second)
    await made.passes(60)
    await made.finishes(fourth)
    await made.wishes(Wish.off)
    await made.passes(30)
    return made


@pytest.fixture(autouse=True)
def of_the_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABLEMOS_DATABASE_URL", database_url)


async def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(main, ["replay", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


async def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = await told(capsys, "--from", DAY, *arguments, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


async def test_a_day_played_again_is_the_day_as_it_was(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    seen = await as_json(capsys)
    assert (seen["from"], seen["to"]) == ("2025-11-24T00:00:00+01:00", "2025-11-25T00:00:00+01:00")
    assert (seen["queues"], seen["agents"], seen["changes"], seen["drift_s"]) == (["luz/ventas"], 1, [], 0.0)
    recorded = seen["recorded"]
    assert recorded == seen["as_it_was"] == seen["changed"]
    assert (recorded["offered"], recorded["answered"], recorded["left"], recorded["abandoned"]) == (4, 3, 1, 0.25)
    assert (recorded["asa_s"], recorded["longest_s"]) == (pytest.approx(220 / 3, abs=1e-5), 130.0)
    assert (recorded["service_level"], recorded["occupancy"]) == (0.25, 1.0)
    assert seen["patience"] == [{"queue": "luz/ventas", "kind": "video", "mean_s": 270.0, "left": 1}]


async def test_another_agent_saves_who_left_and_shortens_the_waits(
    house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "replay.svg"
    seen = await as_json(capsys, "--agents", "+2", "--picture", str(picture))
    second, third, fourth = house.tasks[1:]
    assert seen["changes"] == ["3 agents instead of 1"]
    assert (seen["changed"]["left"], seen["changed"]["service_level"]) == (0, 0.75)
    assert seen["difference"]["saved"] == [third]
    assert [one["task"] for one in seen["difference"]["sooner"]] == [fourth, second]
    assert seen["difference"]["sooner"][1] == {"task": second, "before_s": 90.0, "after_s": 0.0}
    assert (seen["difference"]["later"], seen["difference"]["lost"]) == ([], [])
    root = ET.fromstring(picture.read_text())  # noqa: S314  our own
    assert "3 agents instead of 1" in root.attrib["aria-label"]
    assert "dashes: as it was" in picture.read_text()


async def test_the_table_has_three_columns_and_says_what_it_rests_on(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = ("--newest-first", "--floor", "600", "--agents-by", "most_skilled")
    code, out, err = await told(capsys, "--from", DAY, *newest)
    assert (code, err) == (0, "")
    for words in (
        "2025-11-24 00:00 to 2025-11-25 00:00 (Europe/Madrid), luz/ventas, 1 agent\n",
        "recorded    as it was      changed",
        "SL3", "SL4", "Changed: agents by most_skilled, newest first, a floor of 600 s.", "over 30 s",
        f"task {house.tasks[3]} 130 → 30 s", "0.0 s from the recorded one", "luz/ventas video 270 s (1 left)",
        "with the skills, capacity and shares they had then", "or all nurture, was paused nobody is called",
    ):
        assert words in out
    code, out, _ = await told(capsys, "--from", DAY)
    assert "Changed: nothing." in out


async def test_a_file_says_other_rules_and_skills(
    house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "other.toml"
    campaign = """[[campaigns]]\nkey = "luz"\nname = "Luz"\ncaller_id = "+34910000000"\nsender = "+34910000000"
company = { name = "L", address = "A", phone = "+34910000000", email = "a@b.example" }
[[campaigns.queues]]\nkey = "ventas"\nname = "Ventas"\nskills = ["it"]
[campaigns.queues.rules]\nrows = [{ from_seconds = 20, skills = [] }]
[[campaigns.queues]]\nkey = "otra"\nname = "Otra"\n"""
    file.write_text(campaign)
    seen = await as_json(capsys, "--rules", str(file), "--than", "10")
    assert seen["changes"] == [f"as {file} says (not there in this time: queue luz/otra)"]
    assert seen["difference"]["later"][0] == {"task": house.tasks[0], "before_s": 0.0, "after_s": 20.0}
    file.write_text(campaign + '[[agents]]\nlogin = "ana"\nname = "Ana"\nskills = ["it"]\n')
    assert (await as_json(capsys, "--rules", str(file)))["difference"]["later"] == []
    file.write_text(campaign.replace("20,", "-1,"))
    code, _, err = await told(capsys, "--from", DAY, "--rules", str(file))
    assert (code, "line 12: Expected `int` >= 1 at campaigns[0].queues[0].rules" in err) == (2, True)


async def test_a_moment_is_one_of_the_campaigns_zone_unless_it_says_another(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["2025-11-24T10:00:15", "--to", "2025-11-24T10:01:00"],
        ["2025-11-24T09:00:15Z", "--to", "2025-11-24T09:01:00Z"],
    ):
        code, out, _ = await told(capsys, "--from", *arguments, "--json")
        assert (code, json.loads(out)["recorded"]["offered"]) == (0, 1)
    code, out, _ = await told(capsys, "--to", DAY, "--json")
    assert (code, json.loads(out)["recorded"]["offered"]) == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "--from: 'yesterday' is no date"),
        (["--from", "2025-02-30"], "--from: '2025-02-30' is no date"),
        (["--from", DAY, "--to", "2025-11-23"], "--to should be later than --from"),
        (["--from", "2025-11-20"], "Nothing came in between 2025-11-20 00:00 and 2025-11-21 00:00 (Europe/Madrid)."),
        (["--from", "2999-01-01"], "Nothing came in between"),
        (["--campaign", "sol"], "There is no campaign sol."),
        (["--campaign", "luz", "--queue", "soporte"], "There is no queue soporte."),
        (["--from", DAY, "--agents", "many"], "--agents: 'many' is no number of agents"),
        (["--from", DAY, "--agents", "0"], "'0' is no number of agents"),
        (["--from", DAY, "--agents", "-1"], "1 agent was there: nobody would be left."),
        (["--from", DAY, "--newest-first"], "--newest-first needs --floor"),
        (["--from", DAY, "--floor", "-3"], "--floor: '-3' is no number"),
        (["--from", DAY, "--rules", "/nowhere.toml"], "/nowhere.toml: No such file or directory"),
        (["--from", DAY, "--picture", "/nowhere/it.svg"], "/nowhere/it.svg: No such file or directory"),
    ],
)
async def test_what_makes_no_sense_is_said_in_one_sentence(
    house: House, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = await told(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


async def test_whose_browser_is_silent_is_not_there(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.wishes(Wish.ready)
    house.clock.forward(300)
    late = await house.stands()
    house.clock.forward(300)
    await house.round()
    await house.passes(60)
    await house.finishes(late)
    seen = await as_json(capsys)
    assert (seen["recorded"]["longest_s"], seen["as_it_was"]["longest_s"]) == (300.0, 300.0)


async def test_several_time_zones_need_a_campaign_or_an_offset(
    house: House, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    async with book.writing() as w:
        await making.queue(w, await making.campaign(w, "sol", timezone="Atlantic/Canary"))
    code, _, err = await told(capsys, "--from", DAY)
    assert (code, "several time zones, Atlantic/Canary, Europe/Madrid" in err) == (2, True)
    assert (await as_json(capsys, "--campaign", "luz"))["recorded"]["offered"] == 4
    code, out, _ = await told(capsys, "--from", f"{DAY}T00:00Z", "--to", f"{DAY}T23:00Z", "--json")
    assert (code, json.loads(out)["recorded"]["offered"]) == (0, 4)


async def test_it_looks_and_changes_nothing(
    house: House, admin_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.book.reading() as r:
        before = await r.session.scalars(select(Task.id))
    await as_json(capsys)
    async with house.book.reading() as r:
        assert await r.session.scalars(select(Task.id)) == before
    monkeypatch.setenv("HABLEMOS_DATABASE_URL", admin_url)
    code, _, err = await told(capsys)
    assert (code, err) == (2, "hablemos: this database has no schema yet, or an older one: hablemos migrate makes it\n")
