"""The whole story, played by an outsider: again and again in one directory, whatever became of the one before."""

import asyncio
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from router import walk
from tests.stories.staging import data_dir, running, said
from tests.web.browsing import THOROUGH


async def walked(place: Path, times: int) -> list[dict[str, Any]]:
    async with running("tests.stories.quick", str(place), str(times), until="\nreport") as (process, told):
        for _ in range(times - 1):
            told += await said(process, "\nreport")
        assert await asyncio.wait_for(process.wait(), 20) == 0, told
    reports = [line.removeprefix("report ") for line in told.splitlines() if line.startswith("report ")]
    assert len(reports) == times, told
    return [json.loads(report) for report in reports]


def check(report: dict[str, Any], folder: Path) -> None:
    assert report["ok"], report.get("error")
    assert Path(report["signed_pdf"]) == folder / "signed.pdf"
    assert (folder / "signed.pdf").read_bytes().startswith(b"%PDF-")
    assert Path(report["evidence"]) == folder / "evidence.json"
    assert json.loads((folder / "evidence.json").read_bytes())
    assert report["lead_to_ring_ms"] > 0
    assert report["accept_to_bridge_ms"] > 0


@pytest.mark.skipif(not THOROUGH, reason="the gate plays the walk itself; HABLEMOS_TEST_EVERYTHING=1 asks for this one")
async def test_the_walk_holds_twice_in_the_directory_of_a_demo_that_was_killed_in_the_middle_of_a_call() -> None:
    with data_dir() as place:
        command = ("router", "demo", "--data-dir", str(place), "--port", "0", "--walk")
        async with running(*command, until="both talk") as (process, _):
            process.kill()
            assert await process.wait() == -9
        first, second = await walked(place, 2)
        check(first, place / "walks" / "walk-2")
        check(second, place / "walks" / "walk-3")
        assert [step["name"] for step in first["steps"]] == [step["name"] for step in second["steps"]]


async def test_a_walk_that_does_not_hold_names_the_step_and_leaves_with_another_code_than_nought() -> None:
    nobody = "http://127.0.0.1:9"  # the port of "discard": nobody listens there
    where = walk.Addresses(nobody, nobody, nobody, "luz", "secret", ("ana",), "sofia")
    out = StringIO()
    with data_dir() as place:
        report = await walk.play(where, place / "walks", progress=out)
    assert not report.ok
    said = report.as_json()
    assert said["ok"] is False
    assert said["error"].startswith("The landing page carries the widget")
    assert said["steps"] == []
    assert out.getvalue().startswith("✗")
    assert "secret" not in repr(where)
