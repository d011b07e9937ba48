"""`/d/{token}`: the link to documents an agent has sent. A GET changes nothing, for scanners open links: an opening is
the press of a button. What it leads to is given to that browser alone, and for some minutes, by a cookie.
"""

import hmac
import re
from datetime import datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from router.actions import opening
from router.book import Reading, Writing
from router.model.campaigns import Campaign
from router.model.errors import TooMany
from router.model.handouts import FILE_LIFE, Handout
from router.model.protection import network_of
from router.model.rates import Counted, Limit, full, scopes
from router.model.vault import hash_token
from router.store import handouts, rates, signings
from router.store.handouts import Enclosed
from router.web import offered
from router.web.doors import doors
from router.web.gate import peer, secure
from router.web.signing import PRIVATE, check_origin
from router.wording import negotiate

routes = web.RouteTableDef()

OF_HANDOUT = Limit(60, 600)
"""Presses on one link: more are a program's."""
KEY = "handout-file"
"""The vault's purpose for the cookie."""


@routes.get(r"/d/-/{place:[1-9]}")
async def file(request: web.Request) -> web.Response:
    """The document that was opened in this browser a moment ago."""
    place = int(request.match_info["place"])
    async with doors(request).book.reading() as r:
        handout_id = _allowed(request, r.now)
        found = None if handout_id is None else await handouts.file(r.session, handout_id, place)
    if found is None:
        return await _gone(request)
    handout, brochure, content = found
    headers = {**PRIVATE, "Content-Disposition": brochure.disposition(handout.locale)}
    return web.Response(body=content, content_type=brochure.media_type, headers=headers)


@routes.get("/d/{token}")
async def landing(request: web.Request) -> web.Response:
    """Inert: who sends it, what it is, how large it is, and a button. Nothing of the person, so that a preview shows
    nothing of him."""
    async with doors(request).book.reading() as r:
        found = await _found(request, r)
        enclosed = await handouts.enclosed(r.session, found[0].id) if found else []
    if found is None:
        async with doors(request).book.writing() as w:
            await _count_miss(request, w)
        return await _gone(request)
    if found[0].expires_at <= r.now:
        return await _gone(request, found)
    return _shown(request, *found, enclosed)


@routes.post(r"/d/{token}/{place:[1-9]}")
async def press(request: web.Request) -> web.Response:
    """Opens one of the documents in this browser."""
    check_origin(request)
    place = request.match_info["place"]
    async with doors(request).book.writing() as w:
        found = await _found(request, w)
        if found is None:
            await _count_miss(request, w)
        elif found[0].expires_at > w.now:
            await _count_press(w, found[0])
            await opening.opened(w, found[0], int(place), request.headers.get("User-Agent", ""))
    if found is None or found[0].expires_at <= w.now:
        return await _gone(request, found)
    response = web.Response(
        status=web.HTTPSeeOther.status_code, headers={**PRIVATE, "Location": f"/d/-/{place}"}
    )
    response.set_cookie(
        _cookie_name(request), _permission(request, found[0], w.now), max_age=int(FILE_LIFE.total_seconds()), path="/",
        httponly=True, secure=secure(request), samesite="Lax",
    )
    return response


def _misses(request: web.Request) -> Counted:
    house = doors(request)
    scope = f"links:{house.book.vault.token('rate', network_of(peer(request)))}"
    return Counted("links", scope, house.limits.links)


async def _found(request: web.Request, r: Reading | Writing) -> tuple[Handout, Campaign] | None:
    """What the link in the address leads to, be it expired or not. Raises TooMany for who has tried too many."""
    misses = _misses(request)
    if await rates.used(r.session, misses.scope, r.now) >= misses.limit.most:
        raise TooMany("Too many links were tried from here. Please try again in some minutes.",
                      retry_after=misses.limit.seconds)  # fmt: skip
    return await handouts.by_token(r.session, hash_token(request.match_info["token"]))


async def _count_miss(request: web.Request, w: Writing) -> None:
    await rates.draw(w.session, scopes([[_misses(request)]]), w.now)


async def _count_press(w: Writing, handout: Handout) -> None:
    """Raises TooMany."""
    counted = [Counted("handout", f"handout:{handout.id}", OF_HANDOUT)]
    standing, _ = await rates.draw(w.session, scopes([counted]), w.now)
    if full(counted, standing) is not None:
        raise TooMany("This was opened very often just now. Please try again in some minutes.",
                      retry_after=OF_HANDOUT.seconds)  # fmt: skip


def _cookie_name(request: web.Request) -> str:
    return "__Host-handout" if secure(request) else "handout"


def _permission(request: web.Request, handout: Handout, now: datetime) -> str:
    """The cookie by which this browser gets the files of a handout for some minutes."""
    said = f"{handout.id}-{int((now + FILE_LIFE).timestamp())}"
    return f"{said}-{doors(request).book.vault.mac(KEY, said).hex()}"


def _allowed(request: web.Request, now: datetime) -> int | None:
    """Of which handout this browser gets the files now; None for none."""
    cookie = request.cookies.get(_cookie_name(request), "")
    found = re.fullmatch(r"((\d{1,18})-(\d{1,12}))-([0-9a-f]{64})", cookie, re.ASCII)
    if found is None:
        return None
    said, handout_id, until, mac = found.groups()
    right = hmac.compare_digest(mac, doors(request).book.vault.mac(KEY, said).hex())
    return int(handout_id) if right and now.timestamp() < int(until) else None


def _shown(
    request: web.Request, handout: Handout, campaign: Campaign, enclosed: list[Enclosed]
) -> web.Response:
    page = doors(request).wording.page(
        "handout/landing.html", handout.locale, company=offered.company_of(campaign), enclosed=enclosed,
        token=request.match_info["token"], ends=handout.expires_at.astimezone(ZoneInfo(campaign.timezone)),
    )
    return web.Response(text=page, content_type="text/html", headers=PRIVATE)


async def _gone(request: web.Request, found: tuple[Handout, Campaign] | None = None) -> web.Response:
    """A page for a person: the link has ended, or leads nowhere; and whom to call."""
    if found is None:
        async with doors(request).book.reading() as r:
            campaign = await signings.only_campaign(r.session)
        locale = negotiate(request.headers.get("Accept-Language"), campaign.locale if campaign else None)
    else:
        campaign, locale = found[1], found[0].locale
    page = doors(request).wording.page(
        "handout/gone.html", locale, company=offered.company_of(campaign), ended=found is not None
    )
    return web.Response(text=page, status=410 if found else 404, content_type="text/html", headers=PRIVATE)
