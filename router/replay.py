"""Replay: `hablemos replay`. What is on record, the same played again, and played with a change, side by side."""

import argparse
import json
import re
from bisect import bisect_right
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import asdict

from router.model import comparing, pictures
from router.model.campaigns import Campaign
from router.model.comparing import Column, Difference
from router.model.configuration import Plan
from router.model.configuration import read as read_plan
from router.model.lots import Patience, lots, patience
from router.model.recording import Recording
from router.model.replaying import Course, as_recorded, replay
from router.model.ringing import COUNTS_AS
from router.model.routing import AgentOrder
from router.store import replaying
from router.store.db import ReadSession
from router.whatif import WrongInput, bar, number_of

SHOWN = 10
"""Tasks named of each kind at most; `--json` names all."""

FIGURES = (
    ("offered", "", "offered: answered, left, or waiting at the end"),
    ("answered", "", "answered"),
    ("service_level_4", "%", "answered in time, without those who left in time (SL4)"),
    ("service_level", "%", "answered in time, of all offered (SL3)"),
    ("asa_s", "s", "mean wait of the answered (average speed of answer)"),
    ("p90_s", "s", "nine of ten waited no longer than this"),
    ("longest_s", "s", "longest wait"),
    ("left", "", "left before they were answered, or were given up"),
    ("abandoned", "%", "the same as a share of the offered"),
    ("expired", "", "of these given up, for they had waited too long"),
    ("waiting", "", "still waiting at the end"),
    ("withdrawn", "", "withdrawn: nothing left to wait for"),
    ("unreached", "", "called, and did not pick up"),
    ("occupancy", "%", "of the agents' time is spent with people"),
)

_MANY = re.compile(r"([+-]?)([0-9]{1,4})")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="begins", metavar="DATE", help="a day or a moment (default: yesterday), in the "
                        "campaign's time zone unless an offset is given")
    parser.add_argument("--to", dest="ends", metavar="DATE", help="until then; a day is meant with all its hours")
    parser.add_argument("--campaign", metavar="KEY")
    parser.add_argument("--queue", metavar="KEY")
    parser.add_argument("--rules", type=Path, metavar="FILE.toml", help="rules and skills of queues and agents instead "
                        "of theirs, in the form that apply takes; what the file does not name stays")
    parser.add_argument("--agents", metavar="N", help="so many agents, or +2 or -1: more or fewer of the same")
    parser.add_argument("--agents-by", choices=[one.value for one in AgentOrder], help="who of the free gets a task")
    parser.add_argument("--newest-first", action="store_true", help="the newest is answered first; needs --floor")
    parser.add_argument("--floor", metavar="SECONDS", help="whoever has waited so long is overtaken by nobody")
    parser.add_argument("--target", metavar="SECONDS", help="service target (default: each queue's own)")
    parser.add_argument("--than", metavar="SECONDS", default="30", help="how much less or more is told (default 30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="writes the waits as a picture")
    parser.add_argument("--json", action="store_true", help="prints one JSON object")


class Wanted(msgspec.Struct, frozen=True):
    """What was asked on the command line. `more` agents than there were, or `agents` of them in all."""

    begins: str | None
    ends: str | None
    campaign: str | None
    queue: str | None
    than_s: float
    seed: int
    json: bool
    picture: Path | None = None
    rules: Path | None = None
    plan: Plan | None = None
    agents: int | None = None
    more: int | None = None
    agents_by: AgentOrder | None = None
    newest_first: bool = False
    floor_s: float | None = None
    target_s: float | None = None


class Seen(msgspec.Struct, frozen=True):
    """What is on record from `begins` to `ends`, moments on the wall of `zone` (IANA)."""

    recording: Recording
    begins: datetime
    ends: datetime
    zone: str


# --- what is asked ---------------------------------------------------------------------------------------------------


def wanted(asked: argparse.Namespace) -> Wanted:
    """The options, and the file among them. Raises WrongInput, WrongFile."""
    if asked.newest_first and asked.floor is None:
        raise WrongInput("--newest-first needs --floor, or whoever came first would wait for ever.")
    sign, many = _agents(asked.agents)
    return Wanted(
        asked.begins, asked.ends, asked.campaign, asked.queue, number_of(asked.than, "--than"), asked.seed, asked.json,
        asked.picture, asked.rules, _plan(asked.rules) if asked.rules else None,
        agents=many if not sign else None, more=None if many is None or not sign else int(f"{sign}{many}"),
        agents_by=AgentOrder(asked.agents_by) if asked.agents_by else None, newest_first=asked.newest_first,
        floor_s=None if asked.floor is None else number_of(asked.floor, "--floor"),
        target_s=None if asked.target is None else number_of(asked.target, "--target"),
    )


def _agents(text: str | None) -> tuple[str, int | None]:
    if text is None:
        return "", None
    found = _MANY.fullmatch(text)
    if found is None or text == "0":
        raise WrongInput(f"--agents: {text!r} is no number of agents. Write e.g. 12, +2 or -1.")
    return found[1], int(found[2])


def _plan(file: Path) -> Plan:
    try:
        return read_plan(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{file}: {getattr(error, 'strerror', None) or error}") from error


async def read(asked: Wanted, session: ReadSession, now: datetime) -> Seen:
    """What is on record of what was asked for, as far as it was over at `now` (aware). Raises WrongInput."""
    campaigns = await _campaigns(asked, session)
    keys = {campaign.id: campaign.key for campaign in await replaying.campaigns(session)}
    everything = await replaying.queues(session)
    queues = [
        queue.id for queue in everything
        if queue.campaign_id in {campaign.id for campaign in campaigns} and asked.queue in (None, queue.key)
    ]
    if not queues:
        raise WrongInput(f"There is no queue {asked.queue}." if asked.queue else "There are no queues yet.")
    zones = sorted({campaign.timezone for campaign in campaigns})
    begins, ends = _period(asked, zones, now)
    if begins >= ends:
        raise WrongInput(f"--to should be later than --from: {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M}.")
    named = {queue.id: f"{keys[queue.campaign_id]}/{queue.key}" for queue in everything}
    recording = await replaying.recording(session, begins, min(ends, now), now, named, queues, zones[0])
    if not any(item.counted for item in recording.items):
        raise WrongInput(f"Nothing came in between {begins:%Y-%m-%d %H:%M} and {ends:%Y-%m-%d %H:%M} ({zones[0]}).")
    return Seen(recording, begins, ends, zones[0])


async def _campaigns(asked: Wanted, session: ReadSession) -> list[Campaign]:
    everything = await replaying.campaigns(session)
    found = [one for one in everything if asked.campaign in (None, one.key)]
    if not found:
        raise WrongInput(f"There is no campaign {asked.campaign}." if asked.campaign else "There are no campaigns yet.")
    return found


def _period(asked: Wanted, zones: list[str], now: datetime) -> tuple[datetime, datetime]:
    """From when until when (aware). One without the other means its day; neither means yesterday."""
    zone = ZoneInfo(zones[0])
    begins, ends = (_moment(text, option) for text, option in ((asked.begins, "--from"), (asked.ends, "--to")))
    if len(zones) > 1 and not all(isinstance(one, datetime) and one.tzinfo for one in (begins, ends)):
        raise WrongInput(
            f"The campaigns live in several time zones, {', '.join(zones)}: "
            "name one with --campaign, or give both moments with an offset."
        )
    if begins is None:
        begins = now.astimezone(zone).date() - timedelta(days=1) if ends is None else _day(ends, zone)
    if ends is None:
        ends = _day(begins, zone)
    return _placed(begins, zone), _placed(ends, zone, whole=True)


def _moment(text: str | None, option: str) -> date | None:
    """A day, or a moment; the latter may have an offset."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongInput(f"{option}: {text!r} is no date. Write e.g. 2026-11-23 or 2026-11-23T09:00.") from error


def _day(one: date, zone: ZoneInfo) -> date:
    if not isinstance(one, datetime):
        return one
    return (one.astimezone(zone) if one.tzinfo else one).date()


def _placed(one: date, zone: ZoneInfo, *, whole: bool = False) -> datetime:
    if isinstance(one, datetime):
        return one.astimezone(zone) if one.tzinfo else one.replace(tzinfo=zone)
    return datetime.combine(one + timedelta(days=whole), time(), zone)


# --- what came of it -------------------------------------------------------------------------------------------------


class Story(msgspec.Struct, frozen=True):
    """The three columns, and what is between the last two. `changes` are said in words; none: the last two are alike.
    `stays` is the patience found for each queue and kind of task."""

    recorded: Column
    as_it_was: Column
    changed: Column
    difference: Difference
    changes: list[str]
    drift_s: float
    stays: list[tuple[str, str, Patience]]


def tell(asked: Wanted, seen: Seen) -> int:
    """Plays it and prints what came of it. Raises WrongInput, WrongFile."""
    recording = seen.recording
    if asked.target_s is not None:
        recording = comparing.with_target(recording, asked.target_s)
    try:
        other, changes = _changed(asked, recording)
    except ValueError as error:
        raise WrongInput(str(error)) from error
    drawn = lots(recording.items, asked.seed)
    before = replay(recording, drawn, tell=bar())
    after = replay(other, drawn, tell=bar()) if changes else before
    stays = [
        (recording.queues[queue], kind.value, found) for (queue, kind), found in patience(recording.items).items()
        if queue in recording.asked
    ]
    story = Story(
        comparing.column(recording, as_recorded(recording)), comparing.column(recording, before),
        comparing.column(other, after), comparing.difference(recording, before, after, asked.than_s), changes,
        comparing.drift_s(recording, before), sorted(stays),
    )
    if asked.picture:
        _draw(asked.picture, recording, before, after, story)
    print(json.dumps(_as_json(asked, seen, recording, story)) if asked.json else _table(asked, seen, recording, story))
    return 0


def _changed(asked: Wanted, recording: Recording) -> tuple[Recording, list[str]]:
    """The recording with the change, and the change in words."""
    said: list[str] = []
    if asked.plan is not None:
        absent = comparing.missing(recording, asked.plan)
        recording = comparing.with_plan(recording, asked.plan)
        said.append(f"as {asked.rules} says" + (f" (not there in this time: {', '.join(absent)})" if absent else ""))
    if asked.agents_by or asked.newest_first or asked.floor_s is not None:
        recording = comparing.with_order(recording, asked.agents_by, asked.newest_first, asked.floor_s)
        said += [f"agents by {asked.agents_by.value}"] if asked.agents_by else []
        said += ["newest first"] if asked.newest_first else []
        said += [f"a floor of {asked.floor_s:g} s"] if asked.floor_s is not None else []
    were = len(comparing.there(recording))
    more = asked.agents - were if asked.agents is not None else asked.more
    if more is not None:
        recording = comparing.with_more(recording, more)
        said.append(f"{were + more} agents instead of {were}")
    return recording, said


def _as_json(asked: Wanted, seen: Seen, recording: Recording, story: Story) -> dict[str, object]:
    def figures(column: Column) -> dict[str, float]:
        return {name: round(value, 6) for name, value in asdict(column).items()}

    difference = story.difference
    return {
        "from": seen.begins.isoformat(), "to": seen.ends.isoformat(), "time_zone": seen.zone,
        "queues": sorted(recording.queues[queue] for queue in recording.asked), "seed": asked.seed,
        "agents": len(comparing.there(recording)), "changes": story.changes,
        "recorded": figures(story.recorded), "as_it_was": figures(story.as_it_was), "changed": figures(story.changed),
        "difference": {
            "than_s": asked.than_s,
            **{name: [{"task": one.task, "before_s": round(one.before_s, 6), "after_s": round(one.after_s, 6)}
                      for one in getattr(difference, name)] for name in ("sooner", "later")},
            "saved": list(difference.saved), "lost": list(difference.lost),
        },
        "drift_s": round(story.drift_s, 6),
        "patience": [
            {"queue": queue, "kind": kind, "mean_s": found.mean_s and round(found.mean_s, 6), "left": found.left}
            for queue, kind, found in story.stays
        ],
    }


def _table(asked: Wanted, seen: Seen, recording: Recording, story: Story) -> str:
    names = ", ".join(sorted(recording.queues[queue] for queue in recording.asked))
    were = len(comparing.there(recording))
    lines = [
        f"{seen.begins:%Y-%m-%d %H:%M} to {seen.ends:%Y-%m-%d %H:%M} ({seen.zone}), {names}, "
        f"{were} agent{'s' if were > 1 else ''}", "",
        f"{'recorded':>11}  {'as it was':>11}  {'changed':>11}",
    ]
    columns = (story.recorded, story.as_it_was, story.changed)
    for name, unit, meaning in FIGURES:
        lines.append("  ".join(_figure(getattr(column, name), unit) for column in columns) + f"  {meaning}")
    lines += ["", f"Changed: {', '.join(story.changes) or 'nothing'}."]
    if story.changes:
        lines += _differences(asked, story.difference)
    return "\n".join([*lines, "", *_reckoned(story)])


def _figure(value: float, unit: str) -> str:
    return f"{value:9,}  " if not unit else f"{value * 100 if unit == '%' else value:9,.1f} {unit}"


def _differences(asked: Wanted, found: Difference) -> list[str]:
    lines = [
        f"{len(found.sooner)} would have waited over {asked.than_s:g} s less, {len(found.later)} so much more.",
        f"{len(found.saved)} who were not answered would have been, {len(found.lost)} who were answered would not.",
    ]
    for word, those in (("less", found.sooner), ("more", found.later)):
        said = [f"task {one.task} {one.before_s:.0f} → {one.after_s:.0f} s" for one in those[:SHOWN]]
        lines += [f"  {word}: {_some(said, len(those))}"] if said else []
    for word, tasks in (("saved", found.saved), ("lost", found.lost)):
        lines += [f"  {word}: {_some([f'task {task}' for task in tasks[:SHOWN]], len(tasks))}"] if tasks else []
    return lines


def _some(said: list[str], many: int) -> str:
    return ", ".join(said) + (f" and {many - len(said)} more" if many > len(said) else "")


def _reckoned(story: Story) -> list[str]:
    """What the figures rest on."""
    stays = [
        f"{queue} {kind} {'everybody stays' if found.mean_s is None else f'{found.mean_s:.0f} s'} ({found.left} left)"
        for queue, kind, found in story.stays
    ]
    return [
        f"As it was: played again, a wait is {story.drift_s:.1f} s from the recorded one in the mean.",
        "Rings: the same one at the same agent is accepted, missed or rejected as it was; any other is drawn from his",
        f"own share in that queue and kind, where the share of all counts as {COUNTS_AS} rings of his. Back-offs, lost",
        "turns and pauses after misses are the house's; who is paused so comes back after as long as he or others did.",
        "Whom an agent handed on waits again, for as long a talk as he had then. A colleague who was asked first takes",
        "him over as he did, or whoever is free instead; if nobody is, the agent goes on alone.",
        "Agents are ready, away and paused when they were, with the skills, capacity and shares they had then: those",
        "of today, where no change since is on record. What else they had to be free for is not on record: a call an",
        "agent has promised keeps him from nothing here.",
        "Who left leaves after as long. Who was answered or given up would have stayed so long at least, and then for",
        f"the likeliest patience (exponential: all waiting by those who left): {'; '.join(stays)}.",
        "Who waits too long, or where it is closed, is taken over or given up as the queues' settings say. While his",
        "campaign, or all nurture, was paused nobody is called. What goes to a line of other agents is not seen, nor",
        "that calls failed at the carrier for a while, nor that agents of a line pick for themselves. What nobody",
        "asked for (lists, nurture) is played, but not counted; somebody is kept free from nurture as the house",
        "foresees it, and nurture's share of the day is reckoned from what is played. Queues, their times and skills",
        "are those of today.",
    ]


def _draw(file: Path, recording: Recording, before: Course, after: Course, story: Story) -> None:
    drawn, other = (after, before) if story.changes else (before, as_recorded(recording))
    column, beside = (
        (story.changed, story.as_it_was) if story.changes else (story.as_it_was, story.recorded)
    )
    dashes = comparing.waits(recording, other)
    target_s = min(item.terms.target_s for item in recording.items if item.counted)
    picture = pictures.waits(
        f"{column.offered:,} arrivals, {', '.join(story.changes) or 'as it was'}", comparing.waits(recording, drawn),
        column.offered, target_s, lambda within: bisect_right(dashes, within) / (beside.offered or 1),
        "line: changed, dashes: as it was" if story.changes else "line: played again, dashes: recorded",
    )
    try:
        file.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"{file}: {error.strerror}") from error
