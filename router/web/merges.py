"""`/merges`: who may be one person, for an agent to say."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from router.actions import merging
from router.book import Writing
from router.model.agents import Role
from router.model.merges import MergeState
from router.model.phone import unbroken
from router.store import merges
from router.web.doors import doors
from router.web.gate import page, require
from router.web.parsing import row_id

routes = web.RouteTableDef()

DECIDED = (MergeState.merged, MergeState.declined, MergeState.undone)


@routes.get("/merges")
async def merges_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.agent)
    async with doors(request).book.reading() as r:
        proposed = await merges.views(r.session, [MergeState.proposed])
        decided = await merges.views(r.session, DECIDED, 20)
    return page(
        request, "merges/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf,
        proposed=proposed, decided=decided, unbroken=unbroken,
    )


async def _decide(request: web.Request, action: Callable[[Writing, int, int], Awaitable[object]]) -> web.Response:
    signed = await require(request, Role.agent)
    number = row_id(request)
    async with doors(request).book.writing() as w:
        await action(w, number, signed.agent.id)
    raise web.HTTPSeeOther("/merges")


@routes.post(r"/merges/{id:\d{1,19}}/merge")
async def merge(request: web.Request) -> web.Response:
    return await _decide(request, merging.merge)


@routes.post(r"/merges/{id:\d{1,19}}/decline")
async def decline(request: web.Request) -> web.Response:
    return await _decide(request, merging.decline)


@routes.post(r"/merges/{id:\d{1,19}}/undo")
async def undo(request: web.Request) -> web.Response:
    return await _decide(request, merging.undo)
