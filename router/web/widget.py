"""`/w.js` and its panel, and what a landing page's widget may know: `GET /v1/sites/{key}/widget`."""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from router.model.errors import Forbidden, NotFound
from router.model.phone import unbroken
from router.paths import STATIC
from router.store.sites import Landing
from router.store.staffing import Staffing, staffing
from router.web.doors import doors
from router.wording import LOCALES, Wording, fill, negotiate

routes = web.RouteTableDef()

LOADER_WORDS = {
    "call": "Call me now",
    "busy": "One moment",
    "down": "We cannot take your request here at the moment. Please call us.",
}

PANEL_WORDS = {
    "title": "We call you now",
    "title_later": "Leave your number",
    "close": "Close",
    "name": "Your name (optional)",
    "phone": "Your phone number",
    "phone_needed": "Please write the number we should call.",
    "consent_needed": "Please agree to be called; we do not call without it.",
    "press": "Call me now",
    "press_later": "Ask for a call",
    "sending": "Sending your request",
    "retrying": "The connection is slow. We are trying again; you will not be called twice.",
    "unsent": (
        "We do not know whether your request reached us. Please try again, or call us; you will not be called twice."
    ),
    "again": "Ask for another call",
    "own_page": "Follow your request on its own page",
    "or_call": "Or call us:",
    "privacy": (
        "Your data: {company} uses them to call you about this request and for nothing else you have not ticked."
    ),
    "privacy_link": "Privacy policy",
}

SOMEBODY_FREE = "An adviser is free now."
ALL_BUSY = "All our advisers are on the phone. We call you as soon as one is free."
NOBODY_THERE = "Nobody is at the desk at the moment. Call us, or leave your number: we call when somebody is back."
DEFAULT_CONSENT = "I want {company} to call me at this number about my request."
COMMERCIAL_CONSENT = (
    "{company} may also contact me later with offers, by phone or message. I can stop this at any time."
)

BRIEFLY = "public, max-age=300, stale-while-revalidate=86400"
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Script:
    """A script as it is sent: plain and packed, with its digest."""

    plain: bytes
    packed: bytes
    digest: str

    @classmethod
    def of(cls, source: str) -> "Script":
        plain = source.encode()
        return cls(plain, gzip.compress(plain, 9, mtime=0), hashlib.sha256(plain).hexdigest()[:16])


@cache
def panel() -> Script:
    """The form, loaded at the first press."""
    return Script.of((STATIC / "widget" / "panel.js").read_text())


@cache
def loader(wording: Wording) -> Script:
    """The script of the landing page, with its few words in every language and the panel's present address."""
    words = {locale: {name: wording.say(text, locale) for name, text in LOADER_WORDS.items()} for locale in LOCALES}
    source = (STATIC / "widget" / "loader.js").read_text()
    source = source.replace('"__WORDS__"', msgspec.json.encode(words).decode())
    return Script.of(source.replace("__PANEL__", f"/w/{panel().digest}/panel.js"))


def cors(request: web.Request, origins: Sequence[str]) -> dict[str, str]:
    """Headers by which the site's own pages, and no others, may read the answer."""
    headers = {"Vary": "Origin"}
    origin = request.headers.get("Origin")
    if origin is not None and origin in origins:
        headers |= {"Access-Control-Allow-Origin": origin, "Cross-Origin-Resource-Policy": "cross-origin"}
    return headers


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
    return _send(request, loader(doors(request).wording), BRIEFLY)


@routes.get("/w/{digest}/panel.js")
async def get_panel(request: web.Request) -> web.Response:
    """A loader out of somebody's cache may name an older panel: it gets the present one, not to be kept."""
    current = request.match_info["digest"] == panel().digest
    return _send(request, panel(), FOR_EVER if current else "no-store")


@routes.get("/v1/sites/{key}/widget")
async def get_config(request: web.Request) -> web.Response:
    landing = await doors(request).landings.by_key(request.match_info["key"])
    if landing is None:
        raise NotFound("No landing page has this key.")
    origin = request.headers.get("Origin")
    if origin is not None and origin not in landing.site.origins:
        raise Forbidden("This page may not use this site's widget.")
    async with doors(request).book.reading() as r:
        people = await staffing(r.session, landing.queue.pool, list(landing.queue.skills), r.now)
    locale = negotiate(request.query.get("locale"), landing.campaign.locale)
    return web.Response(
        body=msgspec.json.encode(config(doors(request).wording, landing, people, locale)),
        content_type="application/json",
        headers={**cors(request, landing.site.origins), "Cache-Control": "no-store"},
    )


def config(wording: Wording, landing: Landing, people: Staffing, locale: str) -> dict[str, Any]:
    """Everything the panel shows, in `locale`; nothing in it is secret."""
    campaign, company = landing.campaign, landing.campaign.company
    phone = landing.site.phone or company.get("phone", "")
    values = {"company": str(company.get("name") or campaign.name)}
    consent = campaign.consent_text or wording.say(DEFAULT_CONSENT, locale)
    privacy = str(company.get("privacy_url", ""))
    return {
        "campaign": campaign.name,
        "company": {"name": values["company"], "address": company.get("address", "")},
        "privacy_url": privacy if privacy.startswith(("https://", "http://")) else "",
        "locale": locale,
        "phone": phone,
        "phone_shown": unbroken(phone),
        "people": {"there": people.there, "free": people.free},
        "notice": wording.say(_notice(people), locale),
        "consent": {
            "version": campaign.consent_version,
            "text": fill(consent, values),
            "locale": campaign.locale if campaign.consent_text else locale,
            "commercial": fill(wording.say(COMMERCIAL_CONSENT, locale), values),
        },
        "words": {name: fill(wording.say(text, locale), values) for name, text in PANEL_WORDS.items()},
    }


def _notice(people: Staffing) -> str:
    if people.free:
        return SOMEBODY_FREE
    return ALL_BUSY if people.there else NOBODY_THERE
