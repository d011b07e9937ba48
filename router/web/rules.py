"""`/rules`: by which rules people are called, how fresh the registers are, and whom the rules keep back."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from aiohttp import web

from router.actions import registering
from router.model.agents import Role
from router.model.errors import Invalid, TooLarge
from router.store import packs, registers
from router.store import rules as blocked
from router.web.doors import doors
from router.web.gate import page, require

routes = web.RouteTableDef()

MOST_BYTES = 1 << 30
"""The largest register: some sixty million numbers."""
UPLOAD_SECONDS = 3600
SOON = timedelta(days=5)
"""So long before a register's data is too old, the page warns."""


@routes.get("/rules")
async def rules_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        known = await packs.in_force(r.session)
        current = {one.register: one for one in await registers.currents(r.session)}
        newest = await registers.newest(r.session, 12)
        counts = await blocked.counts(r.session, r.now - timedelta(days=1))
        countries = await blocked.countries(r.session)
        silence = await blocked.silence(r.session, r.now)
        now = r.now
    used = {key: pack for key, pack in known.items() if key in countries or pack.country in countries}
    needed = sorted({(rule.key, rule.max_age_days) for pack in used.values() for rule in pack.registers})
    fresh = [
        (name, current.get(name), current[name].as_of + timedelta(days=days) if name in current else None)
        for name, days in needed
    ]
    return page(
        request, "rules/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, now=now,
        packs=[pack for _, pack in sorted(known.items())], used=used, fresh=fresh, newest=newest, counts=counts,
        soon=SOON, names=sorted({rule.key for pack in known.values() for rule in pack.registers}), silence=silence,
    )


@routes.post("/registers")
async def upload(request: web.Request) -> web.Response:
    """The file is the body, as it is; which register it is, of which day and country, stands in the address."""
    signed = await require(request, Role.supervisor)
    day, country = request.query.get("as_of", ""), request.query.get("country", "ES").upper()
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
        raise Invalid("Say of which day the register's file is; it cannot be in the future.", pointer="/as_of")
    try:
        as_of = datetime.fromisoformat(day).replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid("Say of which day the register's file is; it cannot be in the future.",
                      pointer="/as_of") from error
    took = await registering.take(
        doors(request).book, request.query.get("name", ""), as_of, _parts(request), country=country[:2],
        agent_id=signed.agent.id,
    )
    return web.json_response({"numbers": took.numbers, "unread": took.unread, "url": "/rules"}, status=201)


async def _parts(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TooLarge."""
    taken = 0
    async with asyncio.timeout(UPLOAD_SECONDS):
        async for part in request.content.iter_chunked(1 << 17):
            taken += len(part)
            if taken > MOST_BYTES:
                raise TooLarge("The file is larger than 1 GB. Use the command line.")
            yield part
