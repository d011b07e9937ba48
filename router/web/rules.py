"""`/rules`: by which rules people are called, how fresh the registers are, and whom the rules keep back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from aiohttp import BodyPartReader, MultipartReader, web

from router.actions import registering
from router.model.agents import Role
from router.model.errors import HouseError, Invalid, TooLarge, TooSlow, UnknownType
from router.store import inquiries, packs, registers
from router.store import rules as blocked
from router.web.doors import doors
from router.web.gate import Signed, asker, confirmed, page, require
from router.web.middleware import STATUS
from router.wording import why

routes = web.RouteTableDef()

MOST_BYTES = 1 << 30
"""The largest register: some sixty million numbers."""
UPLOAD_SECONDS = 3600
MOST_FIELDS, LONGEST_FIELD = 8, 200
SOON = timedelta(days=5)
"""So long before a register's data is too old, the page warns."""


@routes.get("/rules")
async def rules_page(request: web.Request) -> web.Response:
    return await _rules(request, await require(request, Role.supervisor))


async def _rules(request: web.Request, signed: Signed, fault: HouseError | None = None) -> web.Response:
    async with doors(request).book.reading() as r:
        known = await packs.in_force(r.session)
        current = {one.register: one for one in await registers.currents(r.session)}
        newest = await registers.newest(r.session, 12)
        counts = await blocked.counts(r.session, r.now - timedelta(days=1))
        countries = await blocked.countries(r.session)
        asked = await inquiries.doors(r.session)
        silence = await blocked.silence(r.session, r.now)
        now = r.now
    kept = [(one, why(one.rule, one.detail, signed.agent.locale)) for one in counts]
    used = {key: pack for key, pack in known.items() if key in countries or pack.country in countries}
    needed = sorted({(rule.key, rule.max_age_days) for pack in used.values() for rule in pack.registers})
    fresh = [
        (name, current.get(name), current[name].as_of + timedelta(days=days) if name in current else None)
        for name, days in needed
    ]
    return page(
        request, "rules/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, now=now,
        packs=[pack for _, pack in sorted(known.items())], used=used, fresh=fresh, newest=newest, kept=kept,
        soon=SOON, names=sorted({rule.key for pack in known.values() for rule in pack.registers}), silence=silence,
        asked=asked, fault=fault, form=signed.form, status=200 if fault is None else STATUS[type(fault)],
    )


@routes.post("/registers")
async def upload(request: web.Request) -> web.Response:
    """A form: the CSRF word, which register it is, of which day and country; and the file last, which is taken in while
    it arrives."""
    signed = await asker(request, Role.supervisor)
    if request.content_type != "multipart/form-data":
        raise UnknownType("The body should be a form.")
    try:
        fields, file = await _opened(request)
        signed = confirmed(request, signed, fields)
        await registering.take(
            doors(request).book, fields.get("name", ""), _day(fields.get("as_of", "")), _parts(file),
            country=fields.get("country", "").upper()[:2], agent_id=signed.agent.id,
        )
    except (Invalid, TooLarge) as fault:
        return await _rules(request, signed, fault)
    raise web.HTTPSeeOther("/rules")


async def _opened(request: web.Request) -> tuple[dict[str, str], BodyPartReader]:
    """The fields before the file, and the file, still to be read. Raises Invalid for what is no such form."""
    fields: dict[str, str] = {}
    try:
        reader = await request.multipart()
        for _ in range(MOST_FIELDS):
            part = await reader.next()
            if part is None or isinstance(part, MultipartReader):
                break
            if part.name == "file":
                return fields, part
            fields[part.name or ""] = (await part.read_chunk(LONGEST_FIELD)).decode("utf-8", "replace").strip()
            while await part.read_chunk(1 << 13):
                pass
    except (ValueError, AssertionError, KeyError, RuntimeError) as error:
        raise Invalid("The body should be a form.", pointer="/file") from error
    raise Invalid("No number was found in this file.", pointer="/file")


def _day(given: str) -> datetime:
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid("Say of which day the register's file is; it cannot be in the future.",
                      pointer="/as_of") from error


async def _parts(file: BodyPartReader) -> AsyncIterator[bytes]:
    """The file as it arrives. Raises TooLarge, TooSlow."""
    taken = 0
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            while part := await file.read_chunk(1 << 17):
                taken += len(part)
                if taken > MOST_BYTES:
                    raise TooLarge("The file is larger than 1 GB. Use the command line.", pointer="/file")
                yield part
    except TimeoutError as error:
        raise TooSlow("The body did not arrive within %(seconds)s seconds.", seconds=UPLOAD_SECONDS) from error
    except (ValueError, AssertionError) as error:
        raise Invalid("The body should be a form.", pointer="/file") from error
