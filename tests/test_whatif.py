"""`hablemos simulate`: what is asked on the command line, and what is told."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from router.cli import main

QUICK = ["--arrivals-per-hour", "200", "--handle", "180", "--arrivals", "8000"]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["simulate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, _ = told(capsys, *arguments, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_one_object_says_what_the_staffing_does(capsys: pytest.CaptureFixture[str]) -> None:
    seen = as_json(capsys, *QUICK, "--agents", "14", "--target", "20", "--seed", "1")
    assert {"p_wait", "service_level", "asa_s", "abandoned", "occupancy"} <= set(seen)
    assert seen["service_level"] == pytest.approx(0.888, abs=0.05)
    assert (seen["abandoned"], seen["agents"], seen["arrivals"], seen["seed"]) == (0.0, 14, 7_600, 1)
    assert seen["error"]["asa_s"] > 0


def test_the_table_prints_its_definitions_and_what_erlang_says(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, *QUICK, "--agents", "13", "--patience", "300")
    assert (code, err) == (0, "")
    for words in ("7,600 arrivals", "SL3", "SL4", "average speed of answer", "85.82 %", "Erlang A"):
        assert words in out


def test_it_finds_the_fewest_agents(capsys: pytest.CaptureFixture[str]) -> None:
    seen = as_json(capsys, *QUICK, "--staff-for", "80/20")
    assert seen["service_level"] >= 0.8
    fewer = as_json(capsys, *QUICK, "--agents", str(seen["agents"] - 1))
    assert fewer["service_level"] < 0.8
    assert seen["agents"] in (13, 14)


def test_skills_and_what_is_needed_are_said_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    groups = ("--agents", "12:es", "--agents", "4:es,it=2", "--needs", "0.9:es", "--needs", "0.1:it=2")
    seen = as_json(capsys, *QUICK, *groups)
    assert seen["agents"] == 16
    code, _, err = told(capsys, *QUICK, *groups[:2], *groups[4:])
    assert (code, err) == (2, "hablemos: Nobody has what some arrivals need: it of level 2.\n")


def test_the_picture_is_an_image_with_words_for_who_cannot_see_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "waits.svg"
    assert told(capsys, *QUICK, "--agents", "14", "--picture", str(file))[0] == 0
    root = ET.fromstring(file.read_text())  # noqa: S314  our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "answered within 20 s" in root.attrib["aria-label"]
    curves = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [curve.attrib["class"] for curve in curves] == ["expected", "seen"]
    code, _, err = told(capsys, *QUICK, "--agents", "14", "--picture", str(tmp_path / "no" / "waits.svg"))
    assert code == 2
    assert "No such file" in err


def test_the_example_in_the_readme_is_true(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    house = Path(__file__).parent.parent
    lines = (house / "README.md").read_text().splitlines()
    (line,) = [row for row in lines if row.startswith(".venv/bin/hablemos simulate")]
    file = tmp_path / "simulate.svg"
    code, out, _ = told(capsys, *[str(file) if part == "simulate.svg" else part for part in line.split()[2:]])
    assert code == 0
    assert "14 agents" in out
    assert file.read_text() == (house / "tests/pictures/simulate.svg").read_text()


def test_moments_come_from_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "arrivals.csv"
    file.write_text("at,source\n2026-11-23T09:00:00Z,web\n2026-11-23T09:00:30+00:00,web\n\n2026-11-23 09:10:00,ad\n")
    seen = as_json(capsys, "--csv", str(file), "--handle", "60", "--agents", "1", "--warm-up", "0")
    assert seen["arrivals"] == 3
    file.write_text("0\n12.5\nsoon\n")
    code, _, err = told(capsys, "--csv", str(file), "--handle", "60", "--agents", "1")
    assert (code, err) == (2, f"hablemos: {file}, line 3: 'soon' is no moment.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--agents", "14", "--staff-for", "80/20"], "either --agents or --staff-for"),
        ([], "either --agents or --staff-for"),
        (["--agents", "1.5"], "whole agents"),
        (["--agents", "many"], "'many' is no number"),
        (["--agents", "-3"], "'-3' is no number"),
        (["--agents", "3:Español"], "'Español' is no skill"),
        (["--agents", "0"], "one agent at least"),
        (["--staff-for", "80"], "e.g. 80/20"),
        (["--staff-for", "100/20"], "e.g. 80/20"),
        (["--staff-for", "80/20", "--needs", "1:it"], "no skills"),
        (["--agents", "3", "--patience", "nan"], "patience_s"),
        (["--agents", "3", "--csv", "/nowhere.csv"], "either --arrivals-per-hour or --csv"),
        (["--agents", "3", "--warm-up", "8000"], "warm-up"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = told(capsys, *QUICK, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_line_that_grows_without_end_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "--arrivals-per-hour", "400", "--handle", "180", "--agents", "10", "--arrivals", "5000")
    assert code == 0
    assert "the queue grows" in out
