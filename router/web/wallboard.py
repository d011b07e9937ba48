"""The wallboard: the line, the team, what waits and the landing pages, readable from across the room; and what a
supervisor does from it."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from router.actions import inviting, presence, protecting, quoting, revoking, supervising, wrapping
from router.book import Reading, Writing
from router.model.agents import Role, Wish
from router.model.budgets import LEG_COST
from router.model.errors import HouseError, Invalid, NotFound
from router.model.phone import unbroken
from router.model.protection import PREFIX_DIGITS
from router.store import contract_withdrawals, countersignatures, holds, protection, screens, supervision
from router.web.desk import Partial, partials, regions
from router.web.doors import Doors, doors
from router.web.gate import Signed, page, require
from router.web.parsing import chosen_row, row_id

routes = web.RouteTableDef()
NO_QUOTE = "There is no such quote."

REGIONS = ("line", "attention", "figures", "team", "waiting", "house", "sites")
WISHES = (Wish.ready, Wish.paused, Wish.off)
MOST_NAMED = 12
"""Of more agents whom the house has paused only so many are named at once."""


async def look(house: Doors, r: Reading, locale: str) -> Iterator[Partial]:
    """The whole board, region by region; the same for everybody who reads this language."""
    view = await screens.board(r.session, r.now)
    watch = await protection.watch(r.session, r.now)
    needed = await supervision.supervision(r.session, view.agents, r.now)
    held, late = await holds.waiting(r.session), await contract_withdrawals.late(r.session)
    unsigned = await countersignatures.waiting(r.session)
    return regions(
        house, "wallboard", REGIONS, locale, view=view, watch=watch, doings=list(screens.Doing)[::-1], shown=shown,
        leg=LEG_COST, needed=needed, held=held, late=late, unsigned=unsigned, wishes=WISHES, most_named=MOST_NAMED,
        unbroken=unbroken,
    )


def shown(prefix: str) -> str:
    """A prefix as people read its numbers, with dots for their last four digits."""
    whole, hidden = list(unbroken(f"{prefix}0000")), 0
    for place in range(len(whole) - 1, -1, -1):
        if whole[place].isdigit() and hidden < PREFIX_DIGITS:
            whole[place], hidden = "•", hidden + 1
    return "".join(whole)


@routes.get("/wallboard")
async def wallboard_page(request: web.Request) -> web.Response:
    signed, house = await require(request, Role.supervisor), doors(request)
    async with house.book.reading() as r:
        parts = await look(house, r, signed.agent.locale)
        now = r.now
    return page(
        request, "wallboard/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, now=now,
        parts={part.name: part.html for part in parts},
    )


async def _act(request: web.Request, action: Callable[[Writing, Signed], Awaitable[object]]) -> web.Response:
    """Does one thing in one transaction; the answer is the board as it is after it."""
    signed, house = await require(request, Role.supervisor), doors(request)
    async with house.book.writing() as w:
        await action(w, signed)
    return await _now(house, signed)


async def _now(house: Doors, signed: Signed) -> web.Response:
    async with house.book.reading() as r:
        parts = await look(house, r, signed.agent.locale)
    return web.Response(text=partials(parts), content_type="text/html")


@routes.post(r"/wallboard/sites/{id:\d{1,19}}/{to:close|open}")
async def switch_site(request: web.Request) -> web.Response:
    site_id = row_id(request, NotFound("There is no such landing page."))
    return await _act(request, lambda w, signed: protecting.set_closed(
        w, site_id, request.match_info["to"] == "close", signed.agent.id))


@routes.post(r"/wallboard/campaigns/{id:\d{1,19}}/{to:pause|resume}")
async def switch_campaign(request: web.Request) -> web.Response:
    campaign_id = row_id(request, NotFound("There is no such campaign."))
    return await _act(request, lambda w, signed: supervising.set_paused(
        w, campaign_id, request.match_info["to"] == "pause", signed.agent.id))


@routes.post("/wallboard/nurture/{to:pause|resume}")
async def switch_nurture(request: web.Request) -> web.Response:
    return await _act(request, lambda w, signed: supervising.set_nurture(
        w, request.match_info["to"] == "resume", signed.agent.id))


@routes.post(r"/wallboard/tasks/{id:\d{1,19}}/give")
async def give(request: web.Request) -> web.Response:
    task_id = row_id(request, NotFound("There is no such task."))
    return await _act(request, lambda w, signed: supervising.give(
        w, task_id, _agent(signed.form.get("agent", "")), signed.agent.id))


@routes.post(r"/wallboard/tasks/{id:\d{1,19}}/back")
async def take_back(request: web.Request) -> web.Response:
    task_id = row_id(request, NotFound("There is no such task."))
    return await _act(request, lambda w, signed: supervising.take_back(w, task_id, signed.agent.id))


@routes.post(r"/wallboard/tasks/{id:\d{1,19}}/end")
async def end_wrap_up(request: web.Request) -> web.Response:
    task_id = row_id(request, NotFound("There is no such task."))
    return await _act(request, lambda w, signed: wrapping.end(w, task_id, signed.agent.id))


@routes.post(r"/wallboard/agents/{id:\d{1,19}}/state")
async def set_state(request: web.Request) -> web.Response:
    agent_id = row_id(request, NotFound("There is no such agent."))
    return await _act(request, lambda w, signed: presence.set_wish(
        w, agent_id, _wish(signed.form.get("wish", "")), reason="supervisor", by=signed.agent.id))


@routes.post(r"/wallboard/agents/{id:\d{1,19}}/help")
async def answer_help(request: web.Request) -> web.Response:
    agent_id = row_id(request, NotFound("There is no such agent."))
    return await _act(request, lambda w, signed: supervising.answer_help(w, agent_id, signed.agent.id))


@routes.post(r"/wallboard/quotes/{id:\d{1,19}}/approve")
async def approve(request: web.Request) -> web.Response:
    """Lets an offer be sent, and sends it; where that cannot be just now its agent does so later."""
    quote_id = row_id(request, NotFound(NO_QUOTE))
    signed, house = await require(request, Role.supervisor), doors(request)
    async with house.book.writing() as w:
        await quoting.approve(w, quote_id=quote_id, agent_id=signed.agent.id)
    with contextlib.suppress(HouseError):
        await quoting.send_offer(house.book, quote_id, signed.agent.id)
    return await _now(house, signed)


@routes.post(r"/wallboard/quotes/{id:\d{1,19}}/refuse")
async def refuse(request: web.Request) -> web.Response:
    quote_id = row_id(request, NotFound(NO_QUOTE))
    return await _act(request, lambda w, signed: quoting.refuse(w, quote_id=quote_id, agent_id=signed.agent.id))


@routes.post(r"/wallboard/alarms/{id:\d{1,19}}/wake")
async def wake_alarm(request: web.Request) -> web.Response:
    alarm_id = row_id(request, NotFound("There is no such alarm."))
    return await _act(request, lambda w, signed: supervising.wake_alarm(w, alarm_id, signed.agent.id))


@routes.post(r"/wallboard/quotes/{id:\d{1,19}}/release")
async def release(request: web.Request) -> web.Response:
    """Lets an offer be signed that was held."""
    quote_id = row_id(request, NotFound(NO_QUOTE))
    return await _act(request, lambda w, signed: inviting.release(w, quote_id, signed.agent.id))


@routes.post(r"/wallboard/quotes/{id:\d{1,19}}/void")
async def void(request: web.Request) -> web.Response:
    """Takes an offer back that was held."""
    quote_id = row_id(request, NotFound(NO_QUOTE))
    return await _act(request, lambda w, signed: quoting.void(w, quote_id=quote_id, agent_id=signed.agent.id))


@routes.post(r"/wallboard/withdrawals/{id:\d{1,19}}/{to:accept|refuse}")
async def decide_withdrawal(request: web.Request) -> web.Response:
    """A withdrawal that came after the law's time is for a person to decide."""
    number = row_id(request, NotFound("There is no such withdrawal."))
    accepted = request.match_info["to"] == "accept"
    return await _act(request, lambda w, signed: revoking.decide(w, number, accepted, signed.agent.id))


def _agent(given: str) -> int:
    if not given:
        raise Invalid("Choose an agent.", pointer="/agent")
    return chosen_row(given, "/agent")


def _wish(given: str) -> Wish:
    if given not in WISHES:
        raise Invalid("This is not one of the choices.", pointer="/wish")
    return Wish(given)
