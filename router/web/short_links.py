"""Short links: `/r/{code}` and its QR pictures for everybody, `/links` for supervisors.

Following a link counts one visit and stores nothing about the visitor: no address, no cookie, no time.
"""

import io
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import segno
from aiohttp import web

from router.actions import short_links as verbs
from router.actions.short_links import PIECE
from router.model.agents import Role
from router.model.errors import HouseError, Invalid, NotFound
from router.model.forms import plain
from router.model.phone import unbroken
from router.model.short_links import PAGES, ShortLink, read_short_code, shown_code
from router.store import short_links
from router.store.short_links import Placed
from router.web.doors import Doors, doors
from router.web.gate import Signed, page, require
from router.wording import negotiate

routes = web.RouteTableDef()

BRIEFLY = "public, max-age=3600"


@routes.get("/r/{code:[0-9A-Za-z-]{1,18}}.svg")
async def qr_svg(request: web.Request) -> web.Response:
    """The code's picture to print at any size."""
    return await _picture(request, "svg", "image/svg+xml")


@routes.get("/r/{code:[0-9A-Za-z-]{1,18}}.png")
async def qr_png(request: web.Request) -> web.Response:
    return await _picture(request, "png", "image/png")


@routes.get("/r/{code:[^/]{1,60}}")
async def follow(request: web.Request) -> web.Response:
    """Leads to the link's page, which is told the code."""
    code = read_short_code(request.match_info["code"])
    placed = await _found(doors(request), code)
    if placed is None or not await _counts(request, placed.link):
        return await _gone(request, placed)
    raise web.HTTPSeeOther(
        verbs.address(placed.link, placed.landing.site),
        headers={"Cache-Control": "no-store", "X-Robots-Tag": "noindex"},
    )


async def _found(house: Doors, code: str | None) -> Placed | None:
    if code is None:
        return None
    async with house.book.reading() as r:
        return await short_links.by_code(r.session, code)


async def _counts(request: web.Request, link: ShortLink) -> bool:
    """Whether the link is open. A look ahead by a program (HEAD, a browser's prefetch) is no visit."""
    book = doors(request).book
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    if request.method != "GET" or "prefetch" in purpose:
        async with book.reading() as r:
            return link.open_at(r.now)
    async with book.writing() as w:
        return await short_links.count_visit(w.session, link.code, w.now)


async def _gone(request: web.Request, placed: Placed | None) -> web.Response:
    """A page for a person with a poster before him: whom to call."""
    async with doors(request).book.reading() as r:
        campaign = placed.landing.campaign if placed else await short_links.only_campaign(r.session)
    phone = campaign.phone_for(placed.landing.site if placed else None) if campaign else ""
    locale = negotiate(request.headers.get("Accept-Language"), campaign.locale if campaign else None)
    return page(
        request, "links/gone.html", locale, status=410 if placed else 404, known=placed is not None,
        brand=campaign.name if campaign else "", phone=phone, phone_shown=unbroken(phone) if phone else "",
        headers={"Cache-Control": "no-store", "X-Robots-Tag": "noindex"},
    )


def printed(house: Doors, link: ShortLink) -> str:
    """The address as it is printed."""
    return f"{house.public_url}/r/{link.code}"


async def _picture(request: web.Request, kind: str, media_type: str) -> web.Response:
    house = doors(request)
    placed = await _found(house, read_short_code(request.match_info["code"]))
    if placed is None:
        raise NotFound("There is no such page.")
    # "q" survives a quarter of the picture being scratched off or wet.
    picture, out = segno.make_qr(printed(house, placed.link), error="q"), io.BytesIO()
    picture.save(out, kind=kind, scale=4 if kind == "svg" else 20, border=4, light="white")
    return web.Response(body=out.getvalue(), content_type=media_type, headers={
        "Cache-Control": BRIEFLY, "Content-Disposition": f'inline; filename="{placed.link.piece}.{kind}"',
    })


@routes.get("/links")
async def links_page(request: web.Request) -> web.Response:
    return await _list(request, await require(request, Role.supervisor))


@routes.post("/links")
async def make_link(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    try:
        await _make(request, signed)
    except HouseError as error:
        if error.pointer is None:
            raise
        return await _list(request, signed, fault=error, status=422)
    raise web.HTTPSeeOther("/links")


async def _make(request: web.Request, signed: Signed) -> None:
    form, book = signed.form, doors(request).book
    async with book.writing() as w:
        places = {site.key: (site, campaign) for site, campaign in await short_links.sites(w.session)}
        site, campaign = places.get(form.get("site", ""), (None, None))
        if site is None or campaign is None:
            raise Invalid("This is not one of the choices.", pointer="/site")
        target = form.get("target", "")
        await verbs.make(
            w, site, piece=_piece(form.get("piece", "")), name=_name(form.get("name", "")),
            target=form.get("address", "") if target == "address" else target,
            expires_at=_end_of(form.get("expires", ""), campaign.timezone),
        )


def _piece(text: str) -> str:
    piece = text.strip()
    if not verbs.is_piece(piece):
        raise Invalid(PIECE, pointer="/piece")
    return piece


def _name(text: str) -> str:
    name = plain(text)
    if not 1 <= len(name) <= 100:
        raise Invalid("Write what it is printed on, at most 100 characters.", pointer="/name")
    return name


def _end_of(text: str, zone: str) -> datetime | None:
    """The end of the last day, in the campaign's zone."""
    if not text.strip():
        return None
    try:
        return verbs.end_of(text.strip(), zone)
    except (ValueError, OverflowError) as error:
        raise Invalid("This should be a date such as 2026-11-30.", pointer="/expires") from error


def _last_day(expires_at: datetime, zone: str) -> date:
    """The last day on which the link still works, there."""
    return (expires_at.astimezone(ZoneInfo(zone)) - timedelta(microseconds=1)).date()


async def _list(
    request: web.Request, signed: Signed, *, fault: HouseError | None = None, status: int = 200
) -> web.Response:
    house = doors(request)
    async with house.book.reading() as r:
        found, places, now = await short_links.counted(r.session), await short_links.sites(r.session), r.now
    host = urlsplit(house.public_url).netloc
    return page(
        request, "links/list.html", signed.agent.locale, status=status, agent=signed.agent, csrf=signed.session.csrf,
        found=found, sites=places, now=now, host=host, shown=shown_code, pages=PAGES, form=signed.form, fault=fault,
        last_day=_last_day,
        headers={"Cache-Control": "no-store"},
    )


@routes.post(r"/links/{link:\d{1,18}}/active")
async def switch_link(request: web.Request) -> web.Response:
    """On or off; the form's `on` is "1" or "0"."""
    signed = await require(request, Role.supervisor)
    async with doors(request).book.writing() as w:
        await verbs.switch(w, int(request.match_info["link"]), on=signed.form.get("on") == "1")
    raise web.HTTPSeeOther("/links")


@routes.get(r"/links/{link:\d{1,18}}/sheet")
async def sheet(request: web.Request) -> web.Response:
    """The sheet to print: the picture, the address to type, the number to call; in the campaign's language."""
    await require(request, Role.supervisor)
    house = doors(request)
    async with house.book.reading() as r:
        placed = await short_links.by_id(r.session, int(request.match_info["link"]))
    if placed is None:
        raise NotFound("There is no such thing.")
    campaign, phone = placed.landing.campaign, placed.landing.site.phone
    return page(
        request, "links/sheet.html", negotiate(request.query.get("lang"), campaign.locale), link=placed.link,
        brand=campaign.name, company=campaign.company, host=urlsplit(house.public_url).netloc,
        shown=shown_code(placed.link.code), phone_shown=unbroken(phone) if phone else "",
        headers={"Cache-Control": "no-store"},
    )
