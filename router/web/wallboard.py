"""The wallboard: the line and the team, readable from across the room."""

from aiohttp import web

from router.book import Reading
from router.model.agents import Role
from router.store import screens
from router.web.desk import Partial, regions
from router.web.doors import Doors, doors
from router.web.gate import page, require

routes = web.RouteTableDef()

REGIONS = ("line", "figures", "team")


async def look(house: Doors, r: Reading, locale: str) -> list[Partial]:
    """The whole board, region by region; the same for everybody who reads this language."""
    view = await screens.board(r.session, r.now)
    return regions(house, "wallboard", REGIONS, locale, view=view, doings=list(screens.Doing)[::-1])


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
