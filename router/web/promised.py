"""`POST /s/{token}/…`: what a person does from his link, on whatever device: another time, no call, a call now."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from router.actions import promising, resuming
from router.actions.resuming import Coming
from router.book import Writing
from router.model.errors import Forbidden, HouseError
from router.store import promises
from router.store.leads import LeadStatus
from router.web import status
from router.web.choosing import read_value
from router.web.doors import doors
from router.web.gate import from_our_page, peer
from router.web.lead_body import kept, user_agent
from router.web.middleware import STATUS
from router.web.parsing import read_form
from router.web.protection import Posted, protect

routes = web.RouteTableDef()

ASK_NOW = "Ask for a call now"
CHOOSE = "Choose this time"

Verb = Callable[[Writing, LeadStatus, Coming], Awaitable[object]]


def _check_origin(request: web.Request) -> None:
    """Only our own page has these buttons. Raises Forbidden."""
    origin = request.headers.get("Origin")
    if origin is not None and not from_our_page(request, origin):
        raise Forbidden("This page may not do that here.")


async def _do(request: web.Request, button: str, verb: Verb, *, costs: bool = True) -> web.StreamResponse:
    """Does it and leads back to the page, which shows what is now; or the page says why it was not done."""
    _check_origin(request)
    house, token = doors(request), request.match_info["token"]
    try:
        async with house.book.reading() as r:
            found = await status.status_behind(r.session, token)
            _, keep = await promises.reach(r.session, found.waits_as)
        if costs and found.site_key and (landing := await house.landings.by_key(found.site_key)) is not None:
            await protect(request, landing, Posted())
        coming = Coming(
            house.wording.say(button, found.locale), found.locale, kept(peer(request), keep), user_agent(request),
            page="/s/",
        )
        async with house.book.writing() as w:
            await verb(w, found, coming)
    except HouseError as error:
        if error.code == "not-found":
            raise
        return await status.page(
            request, house.wording.say(error.sentence, found.locale, **error.values), STATUS.get(type(error), 400)
        )
    raise web.HTTPSeeOther(f"/s/{token}")


@routes.post("/s/{token}/time")
async def post_time(request: web.Request) -> web.StreamResponse:
    """Another time for the call, whether one was promised or not."""
    form = await read_form(request)

    async def choose(w: Writing, found: LeadStatus, coming: Coming) -> object:
        return await resuming.choose(w, found.waits_as, read_value(form.get("slot", "")), coming)

    return await _do(request, CHOOSE, choose)


@routes.post("/s/{token}/cancel")
async def post_cancel(request: web.Request) -> web.StreamResponse:
    """The promised call is not wanted any more."""

    async def cancel(w: Writing, found: LeadStatus, _: Coming) -> object:
        return await promising.cancel(w, found.waits_as)

    return await _do(request, "", cancel, costs=False)


@routes.post("/s/{token}/again")
async def post_again(request: web.Request) -> web.StreamResponse:
    """A call now. Who waits for one already goes on waiting for that."""

    async def again(w: Writing, found: LeadStatus, coming: Coming) -> object:
        return await resuming.call_now(w, found.waits_as, coming)

    return await _do(request, ASK_NOW, again)
