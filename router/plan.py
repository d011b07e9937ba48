"""Plan: `hablemos plan`. What the next days will bring: contacts by the hour, what blocks whom, and who is needed."""

import argparse
import json
import textwrap
from datetime import datetime
from pathlib import Path

import msgspec

from router.actions import planning
from router.model import planned_pictures
from router.model.foreseeing import play
from router.model.planned_pictures import wall
from router.model.planning import OCCUPANCY, UNANSWERED_SECONDS, Ahead, Block, Count, Forecast, Hour, forecast, moved
from router.store import planning as rows
from router.store.db import ReadSession
from router.whatif import WrongInput, bar

DAYS, MOST_DAYS = 14, 60
PLAYS, MOST_PLAYS = 20, 1_000
SHOWN = 8
"""Persons named of each rule at most; `--json` names all."""
MOST_COMPARED = 500
"""Quotes that are looked at to tell what a change would move."""
MOVERS = ("cadence ", "campaign ", "queue ", "agent ")
"""What a change is about that can move what is planned."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=DAYS, help=f"how many (default {DAYS}, at most {MOST_DAYS})")
    parser.add_argument("--campaign", metavar="KEY", help="only this one's quotes (default: all campaigns)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="writes the hours as a picture")
    parser.add_argument("--plays", type=int, default=PLAYS, help="how often the days are played, each time with other "
                        f"answers (default {PLAYS})")
    parser.add_argument("--seed", type=int, default=1, help="of the lots that are drawn (default 1)")
    parser.add_argument("--json", action="store_true", help="prints one JSON object")


class Wanted(msgspec.Struct, frozen=True):
    """What was asked on the command line."""

    days: int
    campaign: str | None = None
    svg: Path | None = None
    plays: int = PLAYS
    seed: int = 1
    json: bool = False


def wanted(asked: argparse.Namespace) -> Wanted:
    """The options. Raises WrongInput."""
    if not 1 <= asked.days <= MOST_DAYS:
        raise WrongInput(f"--days: {asked.days} is no number of days from 1 to {MOST_DAYS}.")
    if not 1 <= asked.plays <= MOST_PLAYS:
        raise WrongInput(f"--plays: {asked.plays} is no number from 1 to {MOST_PLAYS}.")
    return Wanted(asked.days, asked.campaign, asked.svg, asked.plays, asked.seed, asked.json)


async def read(asked: Wanted, session: ReadSession, now: datetime, *, can_mail: bool) -> Ahead:
    """What is known at `now` (aware). `can_mail`: the house has a mail server. Raises WrongInput."""
    found = [one for one in await rows.campaigns(session) if asked.campaign in (None, one.key)]
    if not found:
        raise WrongInput(f"There is no campaign {asked.campaign}." if asked.campaign else "There are no campaigns yet.")
    return await planning.read(session, now, asked.days, found, can_mail=can_mail)


async def of_all(session: ReadSession, now: datetime, *, can_mail: bool) -> Ahead | None:
    """The same of every campaign, for a comparison; None before there is any."""
    campaigns = await rows.campaigns(session)
    if not campaigns:
        return None
    return await planning.read(session, now, DAYS, campaigns, can_mail=can_mail, most=MOST_COMPARED)


def tell(asked: Wanted, ahead: Ahead) -> int:
    """Plays it and prints what came of it. Raises WrongInput."""
    plan = forecast(ahead, play, plays=asked.plays, seed=asked.seed, tell=bar())
    if asked.svg:
        _draw(asked.svg, plan)
    print(json.dumps(_as_json(plan)) if asked.json else _table(plan))
    return 0


# --- what came of it -------------------------------------------------------------------------------------------------


def _as_json(plan: Forecast) -> dict[str, object]:
    def count(one: Count) -> dict[str, float]:
        return {"mean": round(one.mean, 4), "spread": round(one.spread, 4)}

    return {
        "from": plan.now.isoformat(), "time_zone": plan.zone, "quotes": plan.quotes, "not_looked_at": plan.more,
        "inside": plan.inside, "plays": plan.plays, "seed": plan.seed, "occupancy": OCCUPANCY,
        "calls": round(plan.total("calls"), 4), "texts": round(plan.total("texts"), 4),
        "mails": round(plan.total("mails"), 4),
        "hours": [
            {"at": wall(hour.start, plan.zone).isoformat(), "calls": count(hour.calls), "texts": count(hour.texts),
             "mails": count(hour.mails), "busy_s": round(hour.busy_seconds, 1), "agents_needed": hour.needed,
             "agents_staffed": round(hour.staffed, 2)}
            for hour in plan.hours
        ],
        "blocked": [
            {"rule": one.rule, "person": one.person_id, "quote": one.quote_id, "since": one.since.isoformat(),
             "until": one.until and one.until.isoformat()}
            for one in plan.blocks
        ],
    }


def _table(plan: Forecast) -> str:
    lines = [headline(plan), "", f"{'':16}  {'calls':>13}  {'texts':>13}  {'mails':>13}  {'agents':>6}  {'staffed':>7}"]
    for day, hours in planned_pictures.by_day(plan):
        full = [hour for _, hour in hours if not hour.is_empty]
        lines += [f"{day:%a %Y-%m-%d}"] if full else []
        lines += [_row(hour, plan.zone) for hour in full]
    if all(hour.is_empty for hour in plan.hours):
        lines.append("Nothing is planned.")
    short = [hour for hour in plan.hours if hour.needed > hour.staffed]
    lines += ["", f"In {len(short)} hours more agents are needed than are planned." if short else
              "In every hour as many agents are planned as are needed."]
    return "\n".join([*lines, "", *_blocked(plan), "", *_reckoned(plan)])


def headline(plan: Forecast) -> str:
    end = wall(plan.hours[-1].start, plan.zone)
    return (
        f"{wall(plan.now, plan.zone):%Y-%m-%d %H:%M} to {end:%Y-%m-%d} ({plan.zone}): {plan.total('calls'):.0f} calls, "
        f"{plan.total('texts'):.0f} texts, {plan.total('mails'):.0f} mails about {plan.quotes} quotes, "
        f"{plan.inside} of whose persons are in a cadence"
    )


def _row(hour: Hour, zone: str) -> str:
    counts = "  ".join(_count(one) for one in (hour.calls, hour.texts, hour.mails))
    return f"{wall(hour.start, zone):%H:%M}".rjust(16) + f"  {counts}  {hour.needed:6}  {hour.staffed:7.1f}"


def _count(one: Count) -> str:
    if one.mean == 0:
        return " " * 13
    return f"{one.mean:6.1f} ± {one.spread:4.1f}"


def _blocked(plan: Forecast) -> list[str]:
    """By rule, the first ones by their numbers: no names."""
    lines = []
    for rule, blocks in plan.by_rule():
        named = [_said(one, plan.zone) for one in blocks[:SHOWN]]
        more = f" and {len(blocks) - SHOWN} more" if len(blocks) > SHOWN else ""
        lines.append(f"  {rule}: {len({one.person_id for one in blocks})}: {', '.join(named)}{more}")
    return [f"In the way of {len({one.person_id for one in plan.blocks})} persons:", *lines] if lines else [
        "Nothing is in anybody's way."
    ]


def _said(one: Block, zone: str) -> str:
    about = f"quote {one.quote_id}" if one.quote_id else f"person {one.person_id}"
    return about + (f" until {wall(one.until, zone):%m-%d %H:%M}" if one.until else "")


def _reckoned(plan: Forecast) -> list[str]:
    """What the figures rest on."""
    return textwrap.wrap(
        f"The mean of {plan.plays} plays with seed {plan.seed}, ± the standard deviation of one. Whether somebody "
        "answers is drawn by the counted answer rates of his country, line, weekday and part of the day (twenty calls "
        "weigh as much as what is usual), and how a call ends by what calls came to in the last ninety days. New "
        "quotes, what customers do by themselves and what else costs money are not foreseen. An answered call takes "
        f"its queue's handle time, another {UNANSWERED_SECONDS} s; so many agents are needed that calls fill "
        f"{OCCUPANCY:.0%} of their time. What is in the way is that of the first play.", 118,
    ) + ([f"{plan.more} more quotes are not looked at."] if plan.more else [])


def picture(plan: Forecast) -> str:
    """The plan's picture in English."""
    rows = planned_pictures.by_day(plan)
    title = (f"{plan.total('calls'):.0f} calls and {plan.total('texts') + plan.total('mails'):.0f} messages "
             f"about {plan.quotes} quotes in {round(len(plan.hours) / 24)} days")
    legend = f"by the hour in {plan.zone}: calls, below them texts and mails; the mean of {plan.plays} plays"
    return planned_pictures.planned(title, legend, plan, [f"{day:%a %d %b}" for day, _ in rows], ("calls", "agents"))


def _draw(file: Path, plan: Forecast) -> None:
    try:
        file.write_text(picture(plan), encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"{file}: {error.strerror}") from error


# --- what a change would move ----------------------------------------------------------------------------------------


def would_move(before: Ahead, after: Ahead, *, most: int = 40) -> list[str]:
    """What is shown before a change is agreed to: the hours in which it plans more or fewer contacts. The same lots are
    drawn before and after."""
    was, will = (forecast(one, play, plays=10, seed=1) for one in (before, after))
    lines = moved(was, will)
    if not lines:
        return ["This would move nothing that is planned."]
    totals = ", ".join(
        f"{what} {was.total(what):.0f} → {will.total(what):.0f}" for what in ("calls", "texts", "mails")
        if was.total(what) or will.total(what)
    )
    more = [f"  … and {len(lines) - most} more hours"] if len(lines) > most else []
    return [f"In {DAYS} days this would move: {totals}", *lines[:most], *more]
