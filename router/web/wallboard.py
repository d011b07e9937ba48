"""The wallboard: the line, the landing pages and the team, readable from across the room."""

from aiohttp import web

from router.actions import protecting
from router.book import Reading
from router.model.agents import Role
from router.model.budgets import LEG_COST
from router.model.errors import NotFound
from router.model.phone import unbroken
from router.model.protection import PREFIX_DIGITS
from router.store import protection, screens
from router.web.desk import Partial, partials, regions
from router.web.doors import Doors, doors
from router.web.gate import page, require
from router.web.parsing import row_id

routes = web.RouteTableDef()

REGIONS = ("line", "figures", "sites", "team")


async def look(house: Doors, r: Reading, locale: str) -> list[Partial]:
    """The whole board, region by region; the same for everybody who reads this language."""
    view = await screens.board(r.session, r.now)
    watch = await protection.watch(r.session, r.now)
    return regions(
        house, "wallboard", REGIONS, locale, view=view, watch=watch, doings=list(screens.Doing)[::-1], shown=shown,
        leg=LEG_COST,
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


@routes.post(r"/wallboard/sites/{id:\d{1,19}}/close")
async def close_site(request: web.Request) -> web.Response:
    return await _switch(request, closed=True)


@routes.post(r"/wallboard/sites/{id:\d{1,19}}/open")
async def open_site(request: web.Request) -> web.Response:
    return await _switch(request, closed=False)


async def _switch(request: web.Request, *, closed: bool) -> web.Response:
    """Closes a landing page, or opens it; the answer is the board as it is after it."""
    signed, house = await require(request, Role.supervisor), doors(request)
    site_id = row_id(request, NotFound("There is no such landing page."))
    async with house.book.writing() as w:
        await protecting.set_closed(w, site_id, closed, signed.agent.id)
    async with house.book.reading() as r:
        parts = await look(house, r, signed.agent.locale)
    return web.Response(text=partials(parts), content_type="text/html")
