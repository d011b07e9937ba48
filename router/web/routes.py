"""All doors of the service in one application."""

from aiohttp import web

from router.paths import STATIC
from router.web import (
    agreed,
    api,
    attachments,
    availability,
    brochures,
    byhand,
    cadences,
    chat,
    contacts,
    desk,
    elsewhere,
    evidence,
    figures,
    forms,
    handed,
    handouts,
    health,
    hooks,
    imports,
    keys,
    leads,
    login,
    merges,
    middleware,
    offline,
    openapi,
    partials,
    parties,
    people,
    pki,
    plan,
    promised,
    quoted,
    receipts,
    revoking,
    rules,
    sales,
    short_links,
    signers,
    signing,
    status,
    streams,
    unsubscribing,
    verify,
    video,
    wallboard,
    why,
    widget,
)
from router.web.doors import DOORS, Doors
from router.web.parsing import WEBHOOK_BYTES

_MODULES = (
    leads, widget, availability, forms, status, promised, chat, video, login, desk, quoted, wallboard, streams,
    signing, evidence, revoking, verify, pki, hooks,
    attachments, parties, signers, health,
    short_links, offline, partials, receipts, unsubscribing,
    api, elsewhere, openapi, keys, imports, byhand, merges, why, figures, cadences, agreed, people, contacts, sales,
    rules, plan, brochures, handed, handouts,
)


async def home(request: web.Request) -> web.Response:
    raise web.HTTPFound("/desk")


def make_app(doors: Doors) -> web.Application:
    """The application. Bodies are bounded by each door; the bound here is the widest of them."""
    app = web.Application(middlewares=[middleware.house], client_max_size=WEBHOOK_BYTES)
    app[DOORS] = doors
    app[plan.PLANS] = plan.Plans()
    for module in _MODULES:
        app.add_routes(module.routes)
    app.router.add_get("/", home)
    app.router.add_static("/static/", STATIC, append_version=False)
    app.on_response_prepare.append(middleware.set_headers)
    return app
