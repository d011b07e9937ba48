"""`/w.js` and what it loads, what a landing page's widget may know (`GET /v1/sites/{key}/widget`), and the clicks that
leave the page for a telephone or for WhatsApp (`POST /v1/sites/{key}/clicks`)."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions import clicking
from router.model.errors import Forbidden
from router.model.forms import ConsentText, Question, consents, in_language, questions
from router.model.phone import unbroken
from router.model.protection import network_of
from router.store.sites import Landing
from router.store.staffing import Staffing, staffing
from router.web import widget_scripts
from router.web.doors import doors, landing_here
from router.web.gate import peer
from router.web.parsing import read_json, understand
from router.web.protection import issue
from router.web.widget_scripts import Script
from router.web.widget_words import PANEL_WORDS
from router.wording import Wording, fill, negotiate

routes = web.RouteTableDef()

BRIEFLY = "public, max-age=300, stale-while-revalidate=86400"
FOR_EVER = "public, max-age=31536000, immutable"
CLICK_BYTES = 4096
LATER_SCRIPTS = MappingProxyType({"panel": widget_scripts.panel, "chat": widget_scripts.chat})


def cors(request: web.Request, origins: Sequence[str]) -> dict[str, str]:
    """Headers by which the site's own pages, and no others, may read the answer."""
    headers = {"Vary": "Origin"}
    origin = request.headers.get("Origin")
    if origin is not None and origin in origins:
        headers |= {"Access-Control-Allow-Origin": origin, "Cross-Origin-Resource-Policy": "cross-origin"}
    return headers


def may_post(request: web.Request, origins: Sequence[str], methods: str = "POST") -> web.Response:
    """What a browser asks before it posts JSON from one of the site's pages."""
    return web.Response(status=204, headers={
        **cors(request, origins), "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Content-Type", "Access-Control-Max-Age": "600",
    })


def _send(request: web.Request, script: Script, keep: str) -> web.Response:
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f'"{script.digest}{"-gz" if packed else ""}"'
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": keep,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": tag,
        "Vary": "Accept-Encoding",
    }
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(
        body=script.packed if packed else script.plain, headers=headers, content_type="text/javascript", charset="utf-8"
    )


@routes.get("/w.js")
async def get_loader(request: web.Request) -> web.Response:
    return _send(request, widget_scripts.loader(doors(request).wording), BRIEFLY)


@routes.get("/w/{digest}/{name:panel|chat}.js")
async def get_script(request: web.Request) -> web.Response:
    """A loader out of somebody's cache may name an older script: it gets the present one, not to be kept."""
    script = LATER_SCRIPTS[request.match_info["name"]]()
    return _send(request, script, FOR_EVER if request.match_info["digest"] == script.digest else "no-store")


async def landing_for(request: web.Request) -> Landing:
    """The landing page of this address. Raises NotFound; Forbidden for a page that is none of the site's."""
    landing = await landing_here(request)
    origin = request.headers.get("Origin")
    if origin is not None and origin not in landing.site.origins:
        raise Forbidden("This page may not use this site's widget.")
    return landing


@routes.get("/v1/sites/{key}/widget")
async def get_config(request: web.Request) -> web.Response:
    house, landing = doors(request), await landing_for(request)
    async with house.book.reading() as r:
        people = await staffing(r.session, landing.queue.pool, list(landing.queue.skills), r.now)
    locale = negotiate(request.query.get("locale"), landing.campaign.locale)
    body = config(house.wording, landing, people, locale) | issue(house, landing.site.key)
    return web.Response(
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={**cors(request, landing.site.origins), "Cache-Control": "no-store"},
    )


class Click(msgspec.Struct, forbid_unknown_fields=True):
    """A click that leaves the page; the page may say its address."""

    action: Literal["tel", "whatsapp"]
    page: Annotated[str, Meta(max_length=2000)] = ""


@routes.post("/v1/sites/{key}/clicks")
async def post_click(request: web.Request) -> web.Response:
    """Records it as a fact. Sent by `navigator.sendBeacon`: as text/plain, and nobody reads the answer, which is the
    same when there were too many."""
    house, landing = doors(request), await landing_for(request)
    click = understand(await read_json(request, CLICK_BYTES), Click)
    network = house.book.vault.token("rate", network_of(peer(request)))
    async with house.book.writing() as w:
        await clicking.clicked(w, landing, click.action, network)
    return web.Response(status=204, headers=cors(request, landing.site.origins))


def config(wording: Wording, landing: Landing, people: Staffing, locale: str) -> dict[str, Any]:
    """Everything the panel shows, in `locale`; nothing in it is secret."""
    site, campaign, company = landing.site, landing.campaign, landing.campaign.company
    phone, values = campaign.phone_for(site), {"company": campaign.company_name}
    return {
        "campaign": campaign.name,
        "company": {"name": values["company"], "address": company.get("address", "")},
        "privacy_url": campaign.privacy_url,
        "locale": locale,
        "zone": campaign.timezone,
        "phone": phone,
        "phone_shown": unbroken(phone),
        "whatsapp": campaign.whatsapp.removeprefix("+"),
        "actions": actions(landing),
        "closed": site.closed,
        "people": {"there": people.there, "free": people.free},
        "questions": [_question(one) for one in questions(campaign, locale)],
        "consents": _consents(landing, locale, wording.say),
        "chat_script": widget_scripts.address("chat", widget_scripts.chat()),
        "words": {name: fill(wording.say(text, locale), values) for name, text in PANEL_WORDS.items()},
    }


def actions(landing: Landing) -> list[str]:
    """The ways to reach us that this page offers, in order: none while it is switched off, no WhatsApp without a
    sender."""
    if landing.site.closed:
        return []
    return [one for one in landing.site.actions if one != "whatsapp" or landing.campaign.whatsapp]


def _question(one: Question) -> dict[str, Any]:
    return {
        "key": one.key, "label": one.label, "kind": one.kind, "required": one.required, "secret": one.secret,
        "choices": dict(one.choices),
    }


def _consents(landing: Landing, locale: str, say: Callable[[str, str], str]) -> list[dict[str, Any]]:
    """The boxes with the language of each text, which may be the campaign's own and not the visitor's."""
    return [
        {
            "purpose": one.purpose, "version": one.version, "text": one.text, "required": one.required,
            "locale": _language_of(one, landing, locale),
        }
        for one in consents(landing.campaign, locale, say)
    ]


def _language_of(one: ConsentText, landing: Landing, locale: str) -> str:
    campaign = landing.campaign
    if not campaign.consents:
        return campaign.locale if one.purpose == "requested" and campaign.consent_text else locale
    texts = next(each.get("texts", {}) for each in campaign.consents if each["purpose"] == one.purpose)
    return in_language({each: each for each in texts}, locale, campaign.locale)
