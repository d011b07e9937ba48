"""`POST /v1/sites/{key}/partial`: how far a visitor has come in a form, told when he leaves the page.

Only who has written a number we may call and ticked that we may call him is kept; of everybody else nothing is stored.
The answer is 204 in both cases: a beacon does not read it, and nobody learns from it what we know.
"""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions import partials
from router.actions.intake import unraced
from router.model.errors import Invalid
from router.model.forms import plain
from router.model.intake import Wanted
from router.model.leads import Intent
from router.model.phone import e164
from router.store.partials import scope_of
from router.store.sites import Landing
from router.web.doors import doors, landing_here
from router.web.gate import peer
from router.web.lead_body import Consent, Key, Long, Short, Source, Touches, agreed, kept, user_agent
from router.web.leads import landing_of
from router.web.parsing import read_json, understand
from router.web.protection import Posted, protect
from router.web.widget import cors, may_post
from router.wording import negotiate

routes = web.RouteTableDef()

TRIES = 3


class PartialBody(msgspec.Struct, forbid_unknown_fields=True):
    """`visitor` is the `client_request_id` with which the form itself will come. `step` is the last field or page the
    visitor reached, `error` the field he could not get right."""

    visitor: Key
    consent: Consent
    step: Annotated[str, Meta(max_length=60)] = ""
    error: Annotated[str, Meta(max_length=60)] = ""
    phone: Annotated[str, Meta(max_length=40)] = ""
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    name: Short = ""
    locale: Annotated[str, Meta(max_length=16)] = ""
    page: Long = ""
    referrer: Long = ""
    source: Source = msgspec.field(default_factory=Source)
    touch: Touches = msgspec.field(default_factory=Touches)
    form_token: Annotated[str, Meta(max_length=400)] = ""
    proof: Annotated[str, Meta(max_length=800)] = ""
    website: Short = ""


@routes.options("/v1/sites/{key}/partial")
async def preflight(request: web.Request) -> web.Response:
    return may_post(request, (await landing_here(request)).site.origins)


@routes.post("/v1/sites/{key}/partial")
async def post_partial(request: web.Request) -> web.Response:
    body = understand(await read_json(request), PartialBody)
    landing = await landing_of(request, request.match_info["key"])
    phone = _number(body, landing)
    if phone and "requested" in body.consent.purposes and body.step:
        await protect(request, landing, Posted(
            phone=phone, form_token=body.form_token, proof=body.proof, website=body.website, key=body.visitor,
        ))
        await _keep(request, await _wanted(request, body, landing, phone), body.visitor)
    return web.Response(status=204, headers={**cors(request, landing.site.origins), "Cache-Control": "no-store"})


def _number(body: PartialBody, landing: Landing) -> str:
    """The number in E.164; "" when it is none yet: he may still be typing it."""
    try:
        return e164(body.phone, body.country or landing.campaign.country) if body.phone.strip() else ""
    except Invalid:
        return ""


async def _wanted(request: web.Request, body: PartialBody, landing: Landing, phone: str) -> Wanted:
    campaign, vault = landing.campaign, doors(request).book.vault
    source = {**msgspec.to_builtins(body.source), "page": body.page, "referrer": body.referrer, "visitor": body.visitor}
    if piece := await doors(request).sources.of(body.source.offline, campaign.id):
        source["offline"] = piece
    step = {"reached": plain(body.step), **({"error": plain(body.error)} if body.error else {})}
    name = plain(body.name)
    return Wanted(
        site_id=landing.site.id, line=landing.queue.line, phone=phone, name=name, intent=Intent.form, work=None,
        method="partial",
        locale=negotiate(body.locale, request.headers.get("Accept-Language"), campaign.locale),
        status_token=vault.token("status", scope_of(landing.site.id), body.visitor), agreed=agreed(body.consent),
        claims={"step": step, **({"name": name} if name else {})}, source=source | msgspec.to_builtins(body.touch),
        address=kept(peer(request), campaign.keep_address), user_agent=user_agent(request), page=body.page,
        scope=scope_of(landing.site.id), key=body.visitor,
    )


async def _keep(request: web.Request, wanted: Wanted, visitor: str) -> None:
    async def tell() -> None:
        async with doors(request).book.writing() as w:
            await partials.begun(w, wanted, visitor)

    await unraced(tell, TRIES)  # the same beacon may be sent twice at once
