"""`POST /v1/leads`: the door of landing pages. 201 is said after the commit, and means it."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from router.actions import promising
from router.actions.admitting import Refusing
from router.actions.intake import came_before, unraced
from router.actions.promising import Holder
from router.model.errors import Busy, Conflict, Forbidden, Invalid, NumberRefused
from router.model.intake import Brought, Taken, Wanted
from router.model.leads import Intent
from router.store.sites import Landing
from router.web.doors import Doors, doors
from router.web.lead_body import LeadBody, digest_of, from_form, idempotency_key, reference_of, understood
from router.web.parsing import read_json, read_pairs, understand
from router.web.protection import Posted, asked_of, count_refusal, let_in, protect

routes = web.RouteTableDef()

OF_THIS_TRY = frozenset({"form_token", "proof", "client_time"})
"""What may differ between two tries of one request."""
FORM = "application/x-www-form-urlencoded"


async def _landing(request: web.Request, key: str) -> Landing:
    landing = await doors(request).landings.by_key(key)
    if landing is None:
        raise Invalid("No landing page has this key.", pointer="/site")
    return landing


async def landing_of(request: web.Request, key: str) -> Landing:
    """The landing page of this key. Raises Invalid for an unknown key, Forbidden for a foreign origin."""
    landing = await _landing(request, key)
    origin = request.headers.get("Origin")
    if origin is not None and origin not in landing.site.origins:
        raise Forbidden("This page may not post leads here.")
    return landing


def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Lets the page that asked read the answer. Which pages may post is decided by the site's origins, not here."""
    origin = request.headers.get("Origin")
    if origin:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After, Idempotent-Replayed"
        response.headers["Vary"] = "Origin"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


@routes.options("/v1/leads")
async def preflight(request: web.Request) -> web.Response:
    response = web.Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "POST"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, Idempotency-Key"
    response.headers["Access-Control-Max-Age"] = "600"
    return response


@routes.post("/v1/leads")
async def post_lead(request: web.Request) -> web.Response:
    """JSON (also as text/plain, which browsers send without asking first) or a form; a form is answered by 303."""
    is_form = request.content_type == FORM
    raw = from_form(await read_pairs(request)) if is_form else await read_json(request)
    body = understand(raw, LeadBody)
    landing = await _landing(request, body.site)
    wanted, taken = await take_lead(request, landing, body, raw=raw, method="form" if is_form else "widget")
    headers = {"Idempotent-Replayed": "true"} if taken.replayed else {}
    answer = answer_of(request, landing, wanted, taken)
    if is_form and "application/json" not in request.headers.get("Accept", ""):
        raise web.HTTPSeeOther(answer["status_url"], headers=headers)
    return web.Response(
        body=msgspec.json.encode(answer), status=201, content_type="application/json", headers=headers
    )


async def take_lead(
    request: web.Request, landing: Landing, body: LeadBody, *, raw: dict[str, Any], method: str
) -> tuple[Wanted, Taken]:
    """Takes the lead in, whatever page it came from; `raw` is the body as it came, which guards its key.

    Raises Invalid with a pointer, Conflict when the chosen time is gone, Busy, and what `protect` raises.
    """
    key = idempotency_key(request, "/client_request_id") or body.client_request_id
    asked = {name: value for name, value in raw.items() if name not in OF_THIS_TRY}
    try:
        wanted = understood(request, body, landing, method=method, key=key, digest=digest_of(asked))
    except (Forbidden, NumberRefused) as error:
        await count_refusal(request, landing, error)
        raise
    if piece := await doors(request).sources.of(body.source.offline, landing.doorway.campaign_id):
        wanted = replace(wanted, source={**wanted.source, "offline": piece})
    posted = Posted(
        phone=wanted.phone, form_token=body.form_token, proof=body.proof, website=body.website, key=key or "",
    )
    if body.intent is Intent.call_later:
        await protect(request, landing, posted)
        wanted = await _promised(request, landing, body, wanted)
        taken = await ask(request, wanted)
    else:
        taken = await ask_protected(request, landing, wanted, posted)
    if taken.mismatch:
        raise Invalid("This key was already used for another request.", pointer="/client_request_id")
    return wanted, taken


async def _promised(request: web.Request, landing: Landing, body: LeadBody, wanted: Wanted) -> Wanted:
    """The same lead with its time held. The task is queued one minute before."""
    book = doors(request).book
    hold = body.hold
    if not hold:
        assert body.slot is not None  # noqa: S101  understood() has seen to it
        async with book.writing() as w:
            hold = await promising.hold(w, landing, body.slot, Holder(key=wanted.key or ""))
    async with book.reading() as r:
        starts_at = await promising.starts_at(r.session, hold)
    if starts_at is None:
        raise Conflict("This time is no longer free. Please choose another.", pointer="/slot")
    work = wanted.work and replace(wanted.work, due_at=starts_at - timedelta(minutes=1))
    return replace(wanted, hold=hold, work=work)


async def ask_protected(request: web.Request, landing: Landing, wanted: Wanted, posted: Posted) -> Taken:
    """Takes it in if it may come in, in one transaction while nobody is refused. Raises what `protect` raises, and
    Busy."""
    house, asked = doors(request), asked_of(request, landing, posted)
    if asked.refused is None and not house.wary.of(landing.doorway.site_id):
        try:
            return await _brought(house, Brought(wanted, asked))
        except Refusing:
            house.wary.begin(landing.site.id)
    if asked.refused is not None or not await _came_before(house, wanted):
        await let_in(house, landing, asked)
    return await _brought(house, Brought(wanted))


async def _came_before(house: Doors, wanted: Wanted) -> bool:
    async with house.book.reading() as r:
        return await came_before(r, wanted)


async def ask(request: web.Request, wanted: Wanted) -> Taken:
    """Takes in what `protect` has let through. Raises Busy."""
    return await _brought(doors(request), Brought(wanted))


async def _brought(house: Doors, brought: Brought) -> Taken:
    try:
        return await unraced(lambda: house.intake.ask(brought))
    except asyncio.QueueFull as error:
        raise Busy("Too many requests are waiting. Nothing was stored; please try again.") from error


def answer_of(request: web.Request, landing: Landing, wanted: Wanted, taken: Taken) -> dict[str, Any]:
    """What the sender is told: the same for the same request, however often it is sent."""
    status_url = f"{doors(request).public_url}/s/{taken.token}"
    answer: dict[str, Any] = {"lead": taken.lead_id, "status_url": status_url, "stream_url": f"{status_url}/stream"}
    if wanted.intent is Intent.call_later and wanted.work and wanted.work.due_at:
        starts_at = wanted.work.due_at + timedelta(minutes=1)
        answer["promise"] = {"starts_at": starts_at, "zone": landing.campaign.timezone}
    elif wanted.intent is Intent.chat:
        answer["chat_url"] = f"{status_url}/chat"
    elif wanted.intent is Intent.video:
        answer["video_url"] = f"{status_url}/video"
    elif wanted.intent is Intent.whatsapp:
        answer["reference"] = reference_of(taken.token)
    return answer
