"""`GET /v1/sites/{key}/availability` and `POST /v1/sites/{key}/holds`: when somebody can call, and holding such a time.

What is said is what is: whether somebody is there, how long it takes, and times at which staff is planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions import promising
from router.actions.promising import Holder
from router.model.errors import Forbidden
from router.model.hours import is_open, next_open
from router.model.promises import HOLD, QUEUED_BEFORE
from router.model.protection import network_of
from router.model.slots import Slot
from router.store.sites import Landing
from router.store.staffing import Staffing, estimate, staffing
from router.web.doors import Doors, doors, landing_here
from router.web.gate import from_our_page, peer
from router.web.parsing import read_json, understand
from router.web.widget import cors, may_post
from router.wording import brief, moment, negotiate

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Availability:
    """How it stands at `now`. `opens_at` is when the line opens next, if it is closed; `eta_s` seconds until somebody
    who asks now is talked to, None when nobody is there. `zone` is that of the times shown."""

    now: datetime
    open: bool
    opens_at: datetime | None
    eta_s: int | None
    people: Staffing
    slots: Sequence[Slot]
    zone: str


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_of(given: str | None) -> str:
    """A visitor's time zone, as his browser says it; "" for what is none."""
    return given if given is not None and given in _zones() else ""


async def look(house: Doors, landing: Landing, zone: str = "") -> Availability:
    """What a visitor in `zone` ("": the campaign's) is told."""
    campaign, queue = landing.campaign, landing.queue
    opening = promising.opening_of(campaign, queue)
    async with house.book.reading() as r:
        people = await staffing(r.session, queue.pool, list(queue.skills), r.now)
        eta = await estimate(r.session, queue, people, r.now)
        slots = [] if landing.site.closed else await promising.offered(
            r.session, campaign, queue, r.now, promising.Asking(zone)
        )
        now = r.now
    open_now = is_open(opening, now) and not landing.site.closed
    return Availability(
        now=now, open=open_now, opens_at=None if open_now else next_open(opening, now), eta_s=eta, people=people,
        slots=slots, zone=zone or campaign.timezone,
    )


async def _landing(request: web.Request) -> Landing:
    """The landing page of this address. Raises NotFound, and Forbidden for a page that is not the site's."""
    landing = await landing_here(request)
    origin = request.headers.get("Origin")
    if origin is not None and origin not in landing.site.origins and not from_our_page(request, origin):
        raise Forbidden("This page may not use this site's widget.")
    return landing


def _json(request: web.Request, landing: Landing, value: Any, status: int = 200) -> web.Response:
    headers = {**cors(request, landing.site.origins), "Cache-Control": "no-store"}
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )


@routes.get("/v1/sites/{key}/availability")
async def get_availability(request: web.Request) -> web.Response:
    landing = await _landing(request)
    locale = negotiate(request.query.get("locale"), request.headers.get("Accept-Language"), landing.campaign.locale)
    seen = await look(doors(request), landing, zone_of(request.query.get("tz")))
    return _json(request, landing, as_json(seen, locale))


def as_json(seen: Availability, locale: str) -> dict[str, Any]:
    """`shown` says a time as it is promised, with its zone."""
    return {
        "now": seen.now,
        "open": seen.open,
        "next_open": seen.opens_at,
        "next_open_shown": moment(seen.opens_at, seen.zone, locale) if seen.opens_at else "",
        "eta_s": seen.eta_s,
        "agents_ready": seen.people.ready,
        "zone": seen.zone,
        "slots": [
            {"start": slot.starts_at, "end": slot.ends_at, "remaining": slot.remaining,
             "shown": brief(slot.starts_at, seen.zone, locale)}
            for slot in seen.slots
        ],
    }


class HoldBody(msgspec.Struct, forbid_unknown_fields=True):
    """A time to be held. `hold` is one held before, given up for this one; `tz` the visitor's time zone (IANA)."""

    start: Annotated[datetime, Meta(tz=True)]
    hold: Annotated[str, Meta(max_length=64)] = ""
    tz: Annotated[str, Meta(max_length=64)] = ""


@routes.options("/v1/sites/{key}/holds")
async def preflight(request: web.Request) -> web.Response:
    return may_post(request, (await _landing(request)).site.origins)


@routes.post("/v1/sites/{key}/holds")
async def post_hold(request: web.Request) -> web.Response:
    """409 when the time is not free. Holding another time with the first one's token gives the first one up."""
    body = understand(await read_json(request), HoldBody)
    landing, house = await _landing(request), doors(request)
    holder = Holder(network=network_mac(request), zone=zone_of(body.tz), instead_of=body.hold)
    async with house.book.writing() as w:
        token = await promising.hold(w, landing, body.start, holder)
        expires_at = min(w.now + HOLD, body.start - QUEUED_BEFORE)
    return _json(request, landing, {"hold": token, "start": body.start, "expires_at": expires_at}, status=201)


def network_mac(request: web.Request) -> bytes:
    """Whose holds are counted together: the visitor's network, which nobody reads out of it again."""
    return doors(request).book.vault.mac("holder", network_of(peer(request)))
