"""`/plan`: what the next days will bring, for supervisors: contacts by the hour, whom they are needed from, and what is
in whose way; as a table and as a picture."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from aiohttp import web
from babel.dates import format_date
from babel.numbers import get_decimal_symbol

from router.actions import planning
from router.book import Book, Reading
from router.model import planned_pictures
from router.model.agents import Role
from router.model.campaigns import Campaign
from router.model.errors import Invalid
from router.model.foreseeing import play
from router.model.planned_pictures import wall
from router.model.planning import OCCUPANCY, Block, Forecast, Hour, forecast
from router.store import planning as store
from router.web.doors import doors
from router.web.gate import page, require
from router.wording import city, known, why, wording

routes = web.RouteTableDef()

DAYS = (1, 3, 7, 14, 28)
USUAL_DAYS = 14
MOST_QUOTES = 400
PLAYS, MOST_PLAYED = 20, 600
"""A page is played so often; of many quotes less often, so that nobody waits for it for long."""
KEPT = timedelta(minutes=2)
"""So long whoever looks at the same plan is shown the one that was made."""
SEED = 1
NAMED = 12
"""Persons named of each rule at most."""
OURS = ("holds", "rests", "nurture", "unstaffed", "budget", "talked_in_vain")
"""What is in somebody's way that is no rule of the guard."""


Key = tuple[int | None, int]
"""Campaign, None for all, and days."""


@dataclass
class Plans:
    """Plans made lately, and those being made. One is made at a time: it takes a processor for a second or more, and of
    hundreds of quotes several. So long (`patience`, seconds) a page waits for its plan."""

    made: dict[Key, tuple[datetime, Forecast]] = field(default_factory=dict)
    making: dict[Key, asyncio.Task[Forecast | None]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    patience: float = 2.0


PLANS = web.AppKey("plans", Plans)


@dataclass(frozen=True)
class Asked:
    """Whose plan, of how many days; `campaign` None: all of them."""

    campaign: Campaign | None
    days: int
    campaigns: Sequence[Campaign]

    @property
    def key(self) -> Key:
        return self.campaign.id if self.campaign else None, self.days

    @property
    def query(self) -> str:
        return f"of={self.campaign.id if self.campaign else ''}&days={self.days}"


async def _asked(request: web.Request, r: Reading) -> Asked:
    """What the address asks for. Raises Invalid."""
    campaigns = await store.campaigns(r.session)
    wanted, days = request.query.get("of", ""), request.query.get("days", str(USUAL_DAYS))
    campaign = next((one for one in campaigns if str(one.id) == wanted), None)
    if wanted and campaign is None:
        raise Invalid("This is not one of the choices.", pointer="/of")
    if not re.fullmatch(r"[0-9]{1,2}", days) or int(days) not in DAYS:
        raise Invalid("This is not one of the choices.", pointer="/days")
    return Asked(campaign, int(days), campaigns)


async def _plan(request: web.Request, patience: float | None = None) -> tuple[Asked, Forecast | None, bool]:
    """What is asked for; its plan, None before there is a campaign; and whether that was ready within `patience`
    (seconds; None waits). Raises Invalid."""
    plans, book = request.app[PLANS], doors(request).book
    async with book.reading() as r:
        asked, now = await _asked(request, r), r.now
    kept = plans.made.get(asked.key)
    if kept is not None and timedelta(0) <= now - kept[0] < KEPT:
        return asked, kept[1], True
    making = plans.making.get(asked.key)
    if making is None:
        making = plans.making[asked.key] = asyncio.create_task(_made(plans, book, asked))
        making.add_done_callback(partial(_ended, plans, asked.key))
    await asyncio.wait([making], timeout=patience)
    return (asked, making.result(), True) if making.done() else (asked, None, False)


def _ended(plans: Plans, key: Key, making: asyncio.Task[Forecast | None]) -> None:
    """Whoever waits hears of a failure; when nobody does, the next one has it made again."""
    del plans.making[key]
    if not making.cancelled():
        making.exception()


async def _made(plans: Plans, book: Book, asked: Asked) -> Forecast | None:
    """Nothing is read while it is played."""
    chosen = [asked.campaign] if asked.campaign else list(asked.campaigns)
    if not chosen:
        return None
    async with plans.lock:
        async with book.reading() as r:
            now = r.now
            ahead = await planning.read(
                r.session, now, asked.days, chosen, can_mail=book.can_mail, most=MOST_QUOTES
            )
        plays = max(2, min(PLAYS, MOST_PLAYED // max(1, len(ahead.quotes))))
        made = await asyncio.to_thread(forecast, ahead, play, plays=plays, seed=SEED)
    plans.made = {one: old for one, old in plans.made.items() if now - old[0] < KEPT}
    plans.made[asked.key] = (now, made)
    return made


@dataclass(frozen=True)
class InTheWay:
    """A rule, in words, with the persons it stops: name, number of the quote ("" for none) and until when."""

    rule: str
    words: str
    persons: int
    named: Sequence[tuple[str, str, datetime | None]]
    more: int


async def _in_the_way(r: Reading, plan: Forecast, locale: str) -> list[InTheWay]:
    by_rule = plan.by_rule()
    shown = [block for _, blocks in by_rule for block in blocks[:NAMED]]
    names = await store.names(r.session, [block.person_id for block in shown])
    numbers = await store.numbers(r.session, [block.quote_id for block in shown if block.quote_id is not None])
    return [_one_rule(rule, blocks, names, numbers, locale) for rule, blocks in by_rule]


def _one_rule(
    rule: str, blocks: Sequence[Block], names: Mapping[int, str], numbers: Mapping[int, str], locale: str
) -> InTheWay:
    ours = rule.partition(".")[0] in OURS
    return InTheWay(
        rule, "" if ours else why(rule, blocks[0].detail, locale), len({one.person_id for one in blocks}),
        [(names.get(one.person_id, ""), numbers.get(one.quote_id or 0, ""), one.until) for one in blocks[:NAMED]],
        max(0, len(blocks) - NAMED),
    )


def _days(plan: Forecast) -> list[tuple[date, list[tuple[str, Hour]]]]:
    """The hours in which anything is planned, by day, each with what the wall shows."""
    found = [
        (day, [(f"{wall(hour.start, plan.zone):%H:%M}", hour) for _, hour in hours if not hour.is_empty])
        for day, hours in planned_pictures.by_day(plan)
    ]
    return [(day, hours) for day, hours in found if hours]


@routes.get("/plan")
async def plan_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    locale = signed.agent.locale
    asked, plan, ready = await _plan(request, request.app[PLANS].patience)
    async with doors(request).book.reading() as r:
        blocks = await _in_the_way(r, plan, locale) if plan is not None else []
    return page(
        request, "plan/page.html", locale, agent=signed.agent, csrf=signed.session.csrf, asked=asked, plan=plan,
        ready=ready, days=_days(plan) if plan else [], choices=DAYS, blocks=blocks, occupancy=OCCUPANCY,
        place=city(plan.zone, locale) if plan else "", shown=planned_pictures.shown,
        short=sum(hour.needed > hour.staffed for hour in plan.hours) if plan else 0,
        headers={"Cache-Control": "no-store"},
    )


@routes.get("/plan.svg")
async def plan_picture(request: web.Request) -> web.Response:
    """The picture of the same plan. Its own style is all it may have."""
    signed = await require(request, Role.supervisor)
    _, plan, _ = await _plan(request)
    drawn = _picture(plan, signed.agent.locale) if plan is not None else "<svg xmlns='http://www.w3.org/2000/svg'/>"
    return web.Response(text=drawn, content_type="image/svg+xml", headers={
        "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    })


def _picture(plan: Forecast, locale: str) -> str:
    rows = planned_pictures.by_day(plan)
    names = [format_date(day, "EEE d MMM", locale=known(locale)) for day, _ in rows]
    said = wording().text("plan/picture.txt", locale, plan=plan, place=city(plan.zone, locale)).strip().splitlines()
    title, legend, calls, agents = (line.strip() for line in said)
    point = get_decimal_symbol(known(locale))
    return planned_pictures.planned(title, legend, plan, names, (calls, agents), point=point)
