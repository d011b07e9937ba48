"""`/keys`: an administrator makes keys for programs and revokes them. A new one is shown once."""

from http import HTTPStatus

from aiohttp import web

from router.actions import keys
from router.model.agents import Role
from router.model.api_keys import ApiKey, Scope
from router.model.campaigns import Queue
from router.model.errors import Invalid
from router.store import api_keys, imports
from router.web.doors import doors
from router.web.gate import Signed, page, require
from router.web.parsing import row_id, row_number

routes = web.RouteTableDef()


async def _page(
    request: web.Request, signed: Signed, *, made: ApiKey | None = None, token: str = "", fault: Invalid | None = None
) -> web.Response:
    async with doors(request).book.reading() as r:
        listed = await api_keys.listed(r.session)
        lines = await imports.queues(r.session)
    status = HTTPStatus.OK if fault is None else HTTPStatus.UNPROCESSABLE_ENTITY
    return page(
        request, "keys/page.html", signed.agent.locale, status=status, headers={"Cache-Control": "no-store"},
        agent=signed.agent, csrf=signed.session.csrf, keys=listed, lines=lines, made=made, token=token, fault=fault,
        form=signed.form if fault else {}, scopes=list(Scope),
    )


@routes.get("/keys")
async def keys_page(request: web.Request) -> web.Response:
    return await _page(request, await require(request, Role.admin))


@routes.post("/keys")
async def make_key(request: web.Request) -> web.Response:
    signed = await require(request, Role.admin)
    try:
        scopes = [scope for scope in Scope if signed.form.get(scope.value) == "on"]
        async with doors(request).book.writing() as w:
            queue = await w.session.get(Queue, row_number(signed.form.get("queue", "")))
            if queue is None:
                raise Invalid("This is not one of the choices.", pointer="/queue")
            made, token = await keys.make(w, signed.agent.id, queue, signed.form.get("name", ""), scopes)
    except Invalid as fault:
        return await _page(request, signed, fault=fault)
    return await _page(request, signed, made=made, token=token)


@routes.post(r"/keys/{id:\d{1,19}}/revoke")
async def revoke_key(request: web.Request) -> web.Response:
    signed = await require(request, Role.admin)
    number = row_id(request)
    async with doors(request).book.writing() as w:
        await keys.revoke(w, number, signed.agent.id)
    raise web.HTTPSeeOther("/keys")
