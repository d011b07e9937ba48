"""`/figures`: the service figures, live and by the half-hour of a day, with their definitions, as a page and as CSV."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from router.book import Reading
from router.model.agents import Role
from router.model.campaigns import Campaign, Queue
from router.model.errors import Invalid
from router.model.figures import FIGURES, HALF_HOUR, SHOWN, Backlog, Tally, half_hours
from router.model.sheets import written
from router.store import figures
from router.store.figures import EVERYBODY, Scope
from router.web.doors import doors
from router.web.gate import page, require
from router.wording import city, zone_name

routes = web.RouteTableDef()

YEARS = range(2000, 2101)
"""A day outside of these is a slip of the finger."""


@dataclass(frozen=True)
class Choice:
    """What can be looked at: `value` is what the form sends, "" for everything; its days are those of `zone`."""

    value: str
    shown: str
    scope: Scope
    zone: str


@dataclass(frozen=True)
class Asked:
    """Whose figures of which day. `choices` are all there are."""

    choice: Choice
    day: date
    choices: Sequence[Choice]


def _choices(places: Sequence[tuple[Campaign, list[Queue]]]) -> list[Choice]:
    """Everything, each campaign, and its queues where it has several. Everything has the zone of the first campaign."""
    found = [Choice("", "", EVERYBODY, min(places, key=lambda one: one[0].id)[0].timezone if places else "UTC")]
    for campaign, queues in places:
        found.append(Choice(f"c{campaign.id}", campaign.name, Scope(campaign.id), campaign.timezone))
        found += [
            Choice(f"q{queue.id}", f"{campaign.name} · {queue.name}", Scope(queue_id=queue.id), campaign.timezone)
            for queue in queues if len(queues) > 1
        ]
    return found


async def _asked(request: web.Request, r: Reading) -> Asked:
    """What the address asks for, today and everything unless it says otherwise. Raises Invalid."""
    choices = _choices(await figures.places(r.session))
    wanted, day = request.query.get("of", ""), request.query.get("day", "")
    choice = next((one for one in choices if one.value == wanted), None)
    if choice is None:
        raise Invalid("This is not one of the choices.", pointer="/of")
    return Asked(choice, _day(day) if day else r.now.astimezone(ZoneInfo(choice.zone)).date(), choices)


def _day(given: str) -> date:
    try:
        day = date.fromisoformat(given) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given) else None
    except ValueError:
        day = None
    if day is None or day.year not in YEARS:
        raise Invalid("There is no such day.", pointer="/day")
    return day


@dataclass(frozen=True)
class Live:
    """The last half-hour, the day so far, and what waits."""

    recent: Tally
    today: Tally
    backlog: Sequence[Backlog]


async def _live(r: Reading, choice: Choice, whole: Tally | None = None) -> Live:
    """`whole` is a day reckoned already: where it is today, it is not reckoned again."""
    midnight = half_hours(r.now.astimezone(ZoneInfo(choice.zone)).date(), choice.zone)[0]
    recent = await _until_now(r, choice, r.now - HALF_HOUR)
    today = whole if whole is not None and whole.start == midnight else await _until_now(r, choice, midnight)
    return Live(recent, today, await figures.backlog(r.session, r.now, choice.scope))


async def _until_now(r: Reading, choice: Choice, start: datetime) -> Tally:
    moment = r.now + timedelta(microseconds=1)  # what happened at this very moment has happened
    return (await figures.tallies(r.session, (start, moment), r.now, choice.scope))[0]


async def _by_half_hour(r: Reading, asked: Asked) -> tuple[list[Tally], Tally]:
    """The half-hours of the day that have begun, and the day as a whole."""
    tallies, whole = await figures.day(r.session, half_hours(asked.day, asked.choice.zone), r.now, asked.choice.scope)
    return [one for one in tallies if one.start <= r.now], whole


def _wall(tally: Tally, zone: str, changes: bool) -> str:
    """When a half-hour began on the wall; on a day on which the clock changes with the letters of its zone."""
    there = tally.start.astimezone(ZoneInfo(zone))
    return f"{there:%H:%M} {zone_name(there)}" if changes else f"{there:%H:%M}"


def _changes(edges: Sequence[datetime], zone: str) -> bool:
    where = ZoneInfo(zone)
    return len({edge.astimezone(where).utcoffset() for edge in edges[:-1]}) > 1


@routes.get("/figures")
async def figures_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        asked = await _asked(request, r)
        tallies, whole = await _by_half_hour(r, asked)
        live = await _live(r, asked.choice, whole)
    zone = asked.choice.zone
    changes = _changes(half_hours(asked.day, zone), zone)
    return page(
        request, "figures/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, asked=asked,
        live=live, figures=SHOWN, rows=[(_wall(one, zone, changes), one) for one in tallies], whole=whole,
        place=city(zone, signed.agent.locale),
    )


@routes.get("/figures/live")
async def figures_live(request: web.Request) -> web.Response:
    """The part of the page that changes by itself, which it asks for now and then."""
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        asked = await _asked(request, r)
        live = await _live(r, asked.choice)
    text = doors(request).wording.page(
        "figures/live.html", signed.agent.locale, asked=asked, live=live, figures=SHOWN
    )
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


@routes.get("/figures.csv")
async def figures_file(request: web.Request) -> web.Response:
    """The same half-hours with every figure there is, for any spreadsheet: shares from 0 to 1, times in seconds."""
    await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        asked = await _asked(request, r)
        tallies, _ = await _by_half_hour(r, asked)
    head = ["from", "to", *(figure.key for figure in FIGURES)]
    rows = [_line(one, ZoneInfo(asked.choice.zone)) for one in tallies]
    name = "-".join(filter(None, ("figures", asked.choice.value, asked.day.isoformat())))
    return web.Response(
        text="\ufeff" + written([head, *rows]), content_type="text/csv", charset="utf-8",
        headers={"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _line(tally: Tally, zone: ZoneInfo) -> list[str]:
    times = [at.astimezone(UTC).astimezone(zone).isoformat() for at in (tally.start, tally.end)]
    return times + [_cell(figure.of(tally)) for figure in FIGURES]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
