"""`/people`: who works here. A supervisor notes who will be away, gives promises to somebody else, and disables who has
left."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web

from router.actions import covering, leaving
from router.book import Writing
from router.model.agents import Agent, Role
from router.model.errors import Forbidden, Invalid, NotFound
from router.model.hours import resolved
from router.store import people
from router.web.doors import doors
from router.web.gate import Signed, page, require
from router.web.parsing import chosen_row, row_id

routes = web.RouteTableDef()

NO_AGENT = "There is no such agent."
NO_PROMISE = "There is no such promise."
NO_ABSENCE = "There is no such absence."


@routes.get("/people")
async def people_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        found, zone = await people.people(r.session, r.now), await people.zone(r.session)
    return page(
        request, "people/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, people=found,
        zone=zone, owners=[one.agent for one in found if one.agent.disabled_at is None],
        may=lambda other: signed.agent.role.covers(other.role) and other.id != signed.agent.id,
    )


async def _act(request: web.Request, action: Callable[[Writing, Signed], Awaitable[object]]) -> web.Response:
    """Does one thing in one transaction and leads back to the page."""
    signed = await require(request, Role.supervisor)
    async with doors(request).book.writing() as w:
        await action(w, signed)
    raise web.HTTPSeeOther("/people")


@routes.post(r"/people/{id:\d{1,19}}/absences")
async def post_absence(request: web.Request) -> web.Response:
    """`from` and `to` are times on the wall of the house."""
    number = row_id(request, NotFound(NO_AGENT))

    async def action(w: Writing, signed: Signed) -> object:
        zone = await people.zone(w.session)
        start, end = (_moment(signed.form.get(name, ""), zone, name) for name in ("from", "to"))
        return await covering.absent(w, number, start, end, reason=signed.form.get("reason", ""), by=signed.agent.id)

    return await _act(request, action)


def _moment(given: str, zone: str, name: str) -> datetime:
    try:
        wall = datetime.fromisoformat(given)
        if wall.tzinfo is None:
            return resolved(wall.replace(second=0, microsecond=0), zone).at
    except (ValueError, OverflowError):
        pass
    raise Invalid("Choose a day and a time.", pointer=f"/{name}")


@routes.post(r"/people/absences/{id:\d{1,19}}/delete")
async def delete_absence(request: web.Request) -> web.Response:
    number = row_id(request, NotFound(NO_ABSENCE))
    return await _act(request, lambda w, signed: covering.not_absent(w, number, signed.agent.id))


@routes.post(r"/people/promises/{id:\d{1,19}}/owner")
async def give_promise(request: web.Request) -> web.Response:
    """`agent` is who is to keep it; "" the team."""
    number = row_id(request, NotFound(NO_PROMISE))

    async def action(w: Writing, signed: Signed) -> object:
        given = signed.form.get("agent", "")
        return await covering.reown(w, number, chosen_row(given, "/agent") if given else None, signed.agent.id)

    return await _act(request, action)


@routes.post(r"/people/{id:\d{1,19}}/{to:disable|enable}")
async def set_disabled(request: web.Request) -> web.Response:
    """Nobody disables who stands above him, nor himself."""
    number = row_id(request, NotFound(NO_AGENT))

    async def action(w: Writing, signed: Signed) -> None:
        other = await w.session.get(Agent, number)
        if other is not None and not signed.agent.role.covers(other.role):
            raise Forbidden("Your role does not cover this.")
        disable = request.match_info["to"] == "disable"
        await (leaving.disable if disable else leaving.enable)(w, number, signed.agent.id)

    return await _act(request, action)
