"""`/f/{key}`: a landing page's form without script. It says what the widget says, and ends at the same status page.

The page is rendered anew with what was typed when something is missing. Its answers go the way of `POST /v1/leads`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from router.model.errors import Forbidden, HouseError, Invalid
from router.model.forms import MISSING, ConsentText, Question, consents, questions, read_answers
from router.model.phone import unbroken
from router.model.vault import new_token
from router.store.sites import Landing
from router.web.availability import Availability, look
from router.web.choosing import by_day, read_value
from router.web.doors import doors, landing_here
from router.web.gate import from_our_page
from router.web.lead_body import LeadBody, Source, from_form, number_of
from router.web.leads import take_lead
from router.web.middleware import RETRY_AFTER, STATUS
from router.web.parsing import read_pairs, understand
from router.web.protection import issue
from router.wording import LOCALES, city, language, negotiate

routes = web.RouteTableDef()

NOW = "now"
"""The select's value for "as soon as possible"."""
CHOOSE = "Please choose when we should call."
AGREE = "Please tick this box; without it we cannot take your request."
CHECK = "Please check what you have written here."
METHOD = "form"
SOURCES = tuple(Source.__struct_fields__)


@dataclass
class Filled:
    """The form as it was typed, by the names of its fields, and what is wrong with each ("" for the whole)."""

    typed: Mapping[str, str] = field(default_factory=dict)
    ticked: frozenset[str] = frozenset()
    faults: dict[str, str] = field(default_factory=dict)
    status: int = 200
    retry_after: str = ""


@routes.get("/f/{key}")
async def get_form(request: web.Request) -> web.Response:
    landing = await landing_here(request)
    locale = negotiate(request.query.get("lang"), request.headers.get("Accept-Language"), landing.campaign.locale)
    given = {f"source.{name}": request.query[name][:200] for name in SOURCES if name in request.query}
    came_from = {"referrer": _referrer(request)[:2000]}
    return await _page(request, landing, locale, Filled({**given, **came_from, "slot": request.query.get("slot", "")}))


def _referrer(request: web.Request) -> str:
    """Where he came from; not from this form in another language."""
    referrer = request.headers.get("Referer", "")
    return "" if urlsplit(referrer).path == request.path else referrer.encode("utf-8", "replace").decode()


@routes.post("/f/{key}")
async def post_form(request: web.Request) -> web.StreamResponse:
    landing = await landing_here(request)
    origin = request.headers.get("Origin")
    # "null": a browser that keeps to itself where its form stood. The form token says that it is ours.
    if origin not in (None, "null") and origin not in landing.site.origins and not from_our_page(request, origin or ""):
        raise Forbidden("This page may not post leads here.")
    pairs = await read_pairs(request)
    typed = dict(pairs)
    locale = negotiate(typed.get("locale"), request.headers.get("Accept-Language"), landing.campaign.locale)
    filled = Filled(typed, frozenset(value for name, value in pairs if name == "consent.purposes"))
    say = doors(request).wording.say
    boxes = consents(landing.campaign, locale, say)
    try:
        raw = _body(request, landing, locale, filled, boxes)
        body = understand(raw, LeadBody)
        filled.faults |= _faults(landing, body, filled, boxes)
        if not filled.faults:
            _, taken = await take_lead(request, landing, body, raw=raw, method=METHOD)
            raise web.HTTPSeeOther(f"/s/{taken.token}")
        filled.status = STATUS[Invalid]
    except HouseError as error:
        _note(filled, error)
    filled.faults = {name: say(sentence, locale) for name, sentence in filled.faults.items()}
    return await _page(request, landing, locale, filled)


def _body(
    request: web.Request, landing: Landing, locale: str, filled: Filled, boxes: list[ConsentText]
) -> dict[str, Any]:
    """What `POST /v1/leads` would be sent. The texts agreed to are ours, as the page showed them."""
    typed = {name: value for name, value in filled.typed.items() if not name.startswith("consent.")}
    when = typed.pop("slot", "")
    raw = from_form(typed.items())
    agreed = [box for box in boxes if box.purpose in filled.ticked]
    raw |= {
        "site": landing.site.key, "locale": locale, "page": f"{doors(request).public_url}{request.path}",
        "intent": "call_now" if when in ("", NOW) else "call_later",
        "consent": {
            "purposes": [box.purpose for box in agreed], "texts": {box.purpose: box.text for box in agreed},
            "version": next((box.version for box in agreed), ""),
        },
    }
    if when not in ("", NOW):
        raw["slot"] = read_value(when).isoformat()
    if key := typed.get("client_request_id"):
        # Pressed twice it is one request; changed and sent again it is another.
        content = "\n".join(f"{name}={value}" for name, value in sorted(filled.typed.items()) if name not in _OURS)
        raw["client_request_id"] = f"{key[:60]}-{hashlib.sha256(content.encode()).hexdigest()[:20]}"
    return raw


_OURS = frozenset({"form_token", "proof"})


def _faults(landing: Landing, body: LeadBody, filled: Filled, boxes: list[ConsentText]) -> dict[str, str]:
    """All that is missing or wrong, at once: nobody likes to be told one thing at a time."""
    faults: dict[str, str] = {}
    checks = (lambda: number_of(body, landing), lambda: read_answers(landing.campaign, body.fields))
    for check in checks:
        try:
            check()
        except Invalid as error:
            faults[_name(error.pointer)] = error.sentence
    faults |= {f"consent.{box.purpose}": AGREE for box in boxes if box.required and box.purpose not in filled.ticked}
    if filled.typed.get("slot") == "":
        faults["slot"] = CHOOSE
    if landing.campaign.fields and MISSING in faults.values():
        faults |= {
            f"fields.{one['key']}": MISSING for one in landing.campaign.fields
            if one.get("required") and not filled.typed.get(f"fields.{one['key']}", "").strip()
        }
    return faults


def _name(pointer: str | None) -> str:
    """The field's name in the page for a pointer into the body; "" when it has none there."""
    name = (pointer or "").removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")
    return {"consent.purposes": "consent.requested", "client_request_id": "", "site": ""}.get(name, name)


def _note(filled: Filled, error: HouseError) -> None:
    name = _name(error.pointer)
    shown = name in filled.typed or name in ("phone", "slot") or name.startswith(("consent.", "fields."))
    ours = isinstance(error, Invalid) and error.sentence.startswith("Expected ")
    filled.faults[name if shown else ""] = CHECK if ours else str(error) if error.values else error.sentence
    filled.status = STATUS.get(type(error), 400)
    wait = error.retry_after or RETRY_AFTER.get(filled.status)
    filled.retry_after = str(wait) if wait else ""


async def _page(request: web.Request, landing: Landing, locale: str, filled: Filled) -> web.Response:
    house, campaign = doors(request), landing.campaign
    seen = await look(house, landing)
    asked, boxes = questions(campaign, locale), consents(campaign, locale, house.wording.say)
    phone = campaign.phone_for(landing.site)
    text = house.wording.page(
        "widget/form.html", locale, brand=campaign.name, company=campaign.company, site=landing.site,
        company_name=campaign.company_name, phone=phone, phone_shown=unbroken(phone),
        privacy=campaign.privacy_url, address=request.path,
        languages=[(one, language(one)) for one in LOCALES], questions=asked, consents=boxes, filled=filled,
        hidden=_hidden(request, landing, filled), **_times(seen, locale), summary=_summary(filled, asked, boxes),
    )
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "Vary": "Accept-Language"}
    if filled.retry_after:
        headers["Retry-After"] = filled.retry_after
    return web.Response(text=text, status=filled.status, content_type="text/html", headers=headers)


def _times(seen: Availability, locale: str) -> dict[str, Any]:
    return {
        "seen": seen, "days": by_day(seen.slots, seen.zone, locale), "zone_shown": city(seen.zone, locale),
        "minutes": max(1, round((seen.eta_s or 0) / 60)),
    }


def _hidden(request: web.Request, landing: Landing, filled: Filled) -> dict[str, str]:
    """What the page sends along unseen. A form shown again keeps its token and key."""
    kept = {name: value for name, value in filled.typed.items() if name.startswith("source.") or name == "referrer"}
    token = filled.typed.get("form_token") or str(issue(doors(request), landing.site.key)["form_token"])
    return {**{name: value for name, value in kept.items() if value}, "form_token": token,
            "client_request_id": filled.typed.get("client_request_id") or new_token()}


def _summary(filled: Filled, asked: list[Question], boxes: list[ConsentText]) -> list[tuple[str, str]]:
    """The faults in the order of the page, each with the id of its field."""
    order = ["", "phone", "name", "email", "slot", *(f"fields.{one.key}" for one in asked), "message",
             *(f"consent.{one.purpose}" for one in boxes)]
    known = [(name, filled.faults[name]) for name in order if name in filled.faults]
    return known + [("", sentence) for name, sentence in filled.faults.items() if name not in order]
