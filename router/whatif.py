"""What-if: `hablemos simulate`. Its options become a scenario, its outcome a table, one JSON object or a picture."""

import argparse
import csv
import json
import math
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from router.model import erlang, pictures
from router.model.simulation import Demand, Figure, Outcome, Scenario, Staff, simulate

FIGURES = ("p_wait", "service_level", "service_level_4", "asa_s", "mean_wait_s", "abandoned", "occupancy")
MEANING = {
    "service_level": "answered in time, of all arrivals (SL3)",
    "service_level_4": "the same without those who left in time (SL4)",
    "asa_s": "mean wait of the answered (average speed of answer)",
    "mean_wait_s": "mean wait of all, also of those who left",
    "p_wait": "had to wait at all",
    "abandoned": "left before they were answered",
    "occupancy": "of the agents' time is spent with people",
}
TRIED = 200
"""Staffings tried at most before `--staff-for` gives up."""
BAR = 30

_SKILL = re.compile(r"([a-z0-9_-]{1,40})(?:=([1-9][0-9]?))?")


class WrongInput(Exception):
    """An option or a file that makes no scenario. The message says which and why."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--arrivals-per-hour", metavar="N[,N…]", help="one rate, or one for each half-hour in turn")
    parser.add_argument("--csv", type=Path, help="moments of arrival instead: seconds or ISO 8601, in the first column")
    parser.add_argument("--handle", type=float, required=True, help="mean handle time in seconds, with ring, wrap-up")
    parser.add_argument("--agents", action="append", metavar="N[:SKILL[=LEVEL],…]", help="may be given several times")
    parser.add_argument("--needs", action="append", metavar="SHARE:SKILL[=LEVEL],…",
                        help="what a share of the arrivals needs, e.g. 0.2:it; may be given several times")
    parser.add_argument("--patience", type=float, help="mean patience in seconds; without it everybody stays")
    parser.add_argument("--target", type=float, default=20.0, help="service target in seconds (default 20)")
    parser.add_argument("--staff-for", metavar="PERCENT/SECONDS", help="finds the agents needed, e.g. 80/20")
    parser.add_argument("--newest-first", action="store_true", help="the newest arrival is answered first")
    parser.add_argument("--arrivals", type=int, default=100_000, help="how many are simulated (default 100000)")
    parser.add_argument("--warm-up", type=int, help="of which so many at first are not counted (default 5000, or 5 %%)")
    parser.add_argument("--seed", type=int, default=1, help="of the lots that are drawn (default 1)")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="writes the waits as a picture")
    parser.add_argument("--json", action="store_true", help="prints one JSON object")


def run(asked: argparse.Namespace) -> int:
    """Prints what the staffing would do. Raises WrongInput."""
    try:
        scenario = _scenario(asked)
        outcome = simulate(scenario, tell=bar())
        if asked.staff_for:
            scenario, outcome = _staffed(scenario, outcome, _share(asked.staff_for)[0])
    except ValueError as error:
        raise WrongInput(str(error)) from error
    if asked.picture:
        _draw(asked.picture, scenario, outcome)
    print(json.dumps(_as_json(scenario, outcome)) if asked.json else _table(scenario, outcome))
    return 0


# --- options become a scenario ---------------------------------------------------------------------------------------


def _scenario(asked: argparse.Namespace) -> Scenario:
    if (asked.arrivals_per_hour is None) == (asked.csv is None):
        raise WrongInput("Give either --arrivals-per-hour or --csv.")
    at = _moments(asked.csv) if asked.csv else ()
    many = len(at) or asked.arrivals
    rates = tuple(number_of(part, "--arrivals-per-hour") for part in (asked.arrivals_per_hour or "0").split(","))
    needs = [_group(text, "--needs") for text in asked.needs or ()]
    scenario = Scenario(
        arrivals_per_hour=rates, at=at, handle_s=asked.handle, patience_s=asked.patience, target_s=asked.target,
        staff=_staff(asked), arrivals=asked.arrivals, seed=asked.seed,
        demand=tuple(
            Demand(share, skills, newest_first=asked.newest_first) for share, skills in needs or [(1.0, {})]
        ),
        warm_up=asked.warm_up if asked.warm_up is not None else min(5_000, many // 20),
    )
    if not asked.staff_for:
        return scenario
    if needs or at or len(rates) > 1:
        raise WrongInput("--staff-for takes one rate of arrivals and no skills.")
    share, target = _share(asked.staff_for)
    fewest = erlang.staff_for(share, target, rates[0], asked.handle, asked.patience)
    return replace(scenario, staff=(Staff(fewest),), target_s=target)


def _staff(asked: argparse.Namespace) -> tuple[Staff, ...]:
    if bool(asked.agents) == bool(asked.staff_for):
        raise WrongInput("Give either --agents or --staff-for.")
    groups = [_group(text, "--agents") for text in asked.agents or ()]
    if any(not count.is_integer() for count, _ in groups):
        raise WrongInput("--agents counts whole agents.")
    return tuple(Staff(int(count), skills) for count, skills in groups)


def _group(text: str, option: str) -> tuple[float, dict[str, int]]:
    """"4:es,it=2" as 4 and the skills with their levels."""
    count, _, named = text.partition(":")
    skills: dict[str, int] = {}
    for part in named.split(",") if named else ():
        found = _SKILL.fullmatch(part.strip())
        if found is None:
            raise WrongInput(f"{option}: {part!r} is no skill. Write e.g. 4:es,it=2.")
        skills[found[1]] = int(found[2] or 1)
    return number_of(count, option), skills


def number_of(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise WrongInput(f"{option}: {text!r} is no number of things.")
    return number


def _share(text: str) -> tuple[float, float]:
    percent, slash, seconds = text.partition("/")
    share = number_of(percent, "--staff-for") / 100
    if not slash or not 0 < share < 1:
        raise WrongInput("--staff-for: write a percentage and seconds, e.g. 80/20.")
    return share, number_of(seconds, "--staff-for")


def _moments(file: Path) -> tuple[float, ...]:
    """Seconds since the first of them. A first row that is no moment is a heading."""
    found: list[float] = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as rows:
            for number, row in enumerate(csv.reader(rows), 1):
                if not row or not row[0].strip():
                    continue
                moment = _moment(row[0].strip())
                if moment is None and number > 1:
                    raise WrongInput(f"{file}, line {number}: {row[0][:40]!r} is no moment.")
                found += [] if moment is None else [moment]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WrongInput(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise WrongInput(f"{file} holds no moments.")
    first = min(found)
    return tuple(sorted(moment - first for moment in found))


def _moment(text: str) -> float | None:
    """Seconds as they stand, or a date and time; without a zone it is UTC."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    return seconds if math.isfinite(seconds) else None


def _staffed(scenario: Scenario, outcome: Outcome, share: float) -> tuple[Scenario, Outcome]:
    """The fewest agents that reach the share, sought from Erlang's answer on, each simulated with the same seed."""
    enough = outcome.service_level.value >= share
    for _ in range(TRIED):
        agents = scenario.staff[0].agents + (-1 if enough else 1)
        if agents < 1:
            return scenario, outcome
        other = replace(scenario, staff=(Staff(agents),))
        tried = simulate(other, tell=bar())
        if enough and tried.service_level.value < share:
            return scenario, outcome
        scenario, outcome = other, tried
        if not enough and tried.service_level.value >= share:
            return scenario, outcome
    raise WrongInput(f"No staffing was found within {TRIED} of Erlang's answer.")


# --- what came of it -------------------------------------------------------------------------------------------------


def _agents(scenario: Scenario) -> int:
    return sum(group.agents for group in scenario.staff)


def _expected(scenario: Scenario) -> tuple[str, Callable[[float], float]] | None:
    """What Erlang says of the share answered within so many seconds, where one of his formulas holds."""
    alike = len(scenario.demand) == 1 and len(scenario.staff) == 1 and len(scenario.arrivals_per_hour) == 1
    if scenario.at or not alike or scenario.demand[0].newest_first:
        return None
    rate, handle, patience = scenario.arrivals_per_hour[0], scenario.handle_s, scenario.patience_s
    agents = _agents(scenario)
    if patience is not None:
        return "Erlang A", lambda within: (
            erlang.erlang_a(rate, handle, patience, agents, max(within, 1e-6)).service_level
        )
    if rate * handle / 3_600 >= agents:
        return None
    return "Erlang C", lambda within: erlang.erlang_c(rate, handle, agents, max(within, 1e-6)).service_level


def _as_json(scenario: Scenario, outcome: Outcome) -> dict[str, object]:
    figures: dict[str, Figure] = {name: getattr(outcome, name) for name in FIGURES}
    return {
        **{name: round(figure.value, 6) for name, figure in figures.items()},
        "error": {name: round(figure.error, 6) for name, figure in figures.items() if math.isfinite(figure.error)},
        "agents": _agents(scenario), "target_s": scenario.target_s, "arrivals": outcome.counted,
        "hours": round(outcome.hours, 2), "seed": scenario.seed,
    }


def _table(scenario: Scenario, outcome: Outcome) -> str:
    stays = "everybody stays" if scenario.patience_s is None else f"patience {scenario.patience_s:g} s"
    lines = [
        f"{outcome.counted:,} arrivals in {outcome.hours:,.1f} hours, {_agents(scenario)} agents, "
        f"handle time {scenario.handle_s:g} s, {stays}, target {scenario.target_s:g} s", "",
    ]
    for name, meaning in MEANING.items():
        figure: Figure = getattr(outcome, name)
        scale, unit = (1, "s") if name.endswith("_s") else (100, "%")
        error = f"± {figure.error * scale:.2f}" if math.isfinite(figure.error) else ""
        lines.append(f"{figure.value * scale:9.2f} {unit}  {error:9}  {meaning}")
    if expected := _expected(scenario):
        name, level = expected
        lines += ["", f"{level(scenario.target_s) * 100:9.2f} %             answered in time by {name}"]
    elif scenario.patience_s is None and not scenario.at and outcome.occupancy.value > 0.995:
        lines += ["", "More comes than these agents can do: the queue grows for as long as it goes on."]
    return "\n".join(lines)


def _draw(file: Path, scenario: Scenario, outcome: Outcome) -> None:
    title = f"{_agents(scenario)} agents, {outcome.counted:,} arrivals in {outcome.hours:,.0f} hours"
    expected = _expected(scenario)
    drawn = pictures.waits(title, outcome.waits, outcome.counted, scenario.target_s, expected and expected[1])
    try:
        file.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"{file}: {error.strerror}") from error


def bar() -> Callable[[int, int], None] | None:
    """A bar on the terminal, if somebody looks at one."""
    if not sys.stderr.isatty():
        return None

    def tell(done: int, all_of_them: int) -> None:
        full = BAR * done // all_of_them
        end = "\r" + " " * (BAR + 8) + "\r" if done == all_of_them else ""
        print(f"\r[{'█' * full}{' ' * (BAR - full)}] {done * 100 // all_of_them:3} %{end}", end="", file=sys.stderr)

    return tell
