"""`POST /v1/leads`: the door of landing pages. 201 is said after the commit, and means it."""

import asyncio
import hashlib
import ipaddress
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions.intake import Raced
from router.model.errors import Busy, Forbidden, Invalid
from router.model.intake import Taken, Wanted
from router.model.leads import Intent
from router.model.phone import e164
from router.model.vault import new_token
from router.store.sites import Landing
from router.web.doors import doors
from router.web.gate import peer
from router.web.parsing import read_json, understand
from router.wording import negotiate

routes = web.RouteTableDef()

Short = Annotated[str, Meta(max_length=200)]
Long = Annotated[str, Meta(max_length=2000)]
Key = Annotated[str, Meta(min_length=8, max_length=128, pattern=r"^[\x21-\x7e]+\Z")]


class Consent(msgspec.Struct, forbid_unknown_fields=True):
    """What the visitor ticked, with the text he saw."""

    purposes: Annotated[list[Literal["requested", "commercial"]], Meta(max_length=4)]
    text: Long
    version: Annotated[str, Meta(max_length=40)]


class Source(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Where the visitor came from."""

    utm_source: Short = ""
    utm_medium: Short = ""
    utm_campaign: Short = ""
    utm_term: Short = ""
    utm_content: Short = ""
    gclid: Short = ""
    gbraid: Short = ""
    wbraid: Short = ""
    fbclid: Short = ""
    ttclid: Short = ""
    msclkid: Short = ""
    affiliate: Short = ""


class LeadBody(msgspec.Struct, forbid_unknown_fields=True):
    """A lead as a landing page posts it."""

    site: Annotated[str, Meta(min_length=1, max_length=64)]
    phone: Annotated[str, Meta(min_length=3, max_length=40)]
    consent: Consent
    intent: Intent = Intent.call_now
    name: Short = ""
    email: Short = ""
    message: Long = ""
    locale: Annotated[str, Meta(max_length=16)] = ""
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    page: Long = ""
    referrer: Long = ""
    client_request_id: Key | None = None
    source: Source = msgspec.field(default_factory=Source)


def truncated(address: str) -> str:
    """An address as a receipt keeps it: IPv4 /24, IPv6 /48."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    network = ipaddress.ip_network(f"{parsed}/{24 if parsed.version == 4 else 48}", strict=False)
    return str(network)


async def landing_of(request: web.Request, key: str) -> Landing:
    """The landing page of this key. Raises Invalid for an unknown key, Forbidden for a foreign origin."""
    landing = await doors(request).landings.by_key(key)
    if landing is None:
        raise Invalid("No landing page has this key.", pointer="/site")
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
    raw = await read_json(request)
    body = understand(raw, LeadBody)
    landing = await landing_of(request, body.site)
    wanted = _wanted(request, body, landing, raw)
    taken = await _take_in(request, wanted)
    if taken.mismatch:
        raise Invalid("This key was already used for another request.", pointer="/client_request_id")
    status_url = f"{doors(request).public_url}/s/{taken.token}"
    answer = {"lead": taken.lead_id, "status_url": status_url, "stream_url": f"{status_url}/stream"}
    response = web.json_response(answer, status=201, dumps=lambda value: msgspec.json.encode(value).decode())
    if taken.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


async def _take_in(request: web.Request, wanted: Wanted) -> Taken:
    intake = doors(request).intake
    for _ in range(5):
        try:
            return await intake.ask(wanted)
        except Raced:
            continue
        except asyncio.QueueFull as error:
            raise Busy("Too many requests are waiting. Nothing was stored; please try again.") from error
    raise Busy("The same request is being answered elsewhere. Please try again.")


def _key(request: web.Request, body: LeadBody) -> str | None:
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return body.client_request_id
    try:
        return msgspec.convert(header, Key)
    except msgspec.ValidationError as error:
        raise Invalid("Idempotency-Key should be 8 to 128 visible characters.", pointer="/client_request_id") from error


def _wanted(request: web.Request, body: LeadBody, landing: Landing, raw: dict[str, Any]) -> Wanted:
    if "requested" not in body.consent.purposes:
        raise Invalid("Please agree to be called; we do not call without it.", pointer="/consent/purposes")
    if body.intent is not Intent.call_now:
        raise Invalid("This door takes requests to be called now.", pointer="/intent")
    phone = e164(body.phone, body.country or landing.campaign.country)
    key = _key(request, body)
    vault = doors(request).book.vault
    return Wanted(
        site_id=landing.site.id,
        campaign_id=landing.campaign.id,
        queue_id=landing.queue.id,
        pool=landing.queue.pool,
        skills=list(landing.queue.skills),
        phone=phone,
        name=body.name.strip(),
        locale=negotiate(body.locale, request.headers.get("Accept-Language"), landing.campaign.locale),
        intent=body.intent,
        purposes=sorted(set(body.consent.purposes)),
        consent_text=body.consent.text,
        consent_version=body.consent.version,
        method="widget",
        status_token=vault.token("status", body.site, key) if key else new_token(),
        claims={name: value for name in ("name", "email", "message") if (value := getattr(body, name))},
        source={**msgspec.to_builtins(body.source), "page": body.page, "referrer": body.referrer},
        address=truncated(peer(request)),
        # A header may hold any bytes; those that are no UTF-8 arrive as surrogates, which no database takes.
        user_agent=request.headers.get("User-Agent", "")[:300].encode("utf-8", "replace").decode(),
        page=body.page,
        key=key,
        request_sha256=hashlib.sha256(msgspec.json.encode(raw, order="sorted")).digest(),
    )
