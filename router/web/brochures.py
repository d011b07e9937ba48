"""`/brochures`: the documents agents may send in talks. A supervisor puts them in and takes them out."""

import asyncio

from aiohttp import web

from router.actions import stocking
from router.model.agents import Role
from router.model.brochures import LONGEST_NAME, MOST_BYTES, MOST_MEGABYTES, Brochure
from router.model.errors import Conflict, HouseError, Invalid, NotFound, TooLarge
from router.store import blobs, brochures
from router.web.doors import doors
from router.web.gate import Signed, asker, confirmed, page, require
from router.web.middleware import STATUS
from router.web.parsing import Upload, read_upload, row_id, row_number
from router.wording import LOCALES, language

routes = web.RouteTableDef()

UPLOAD_SECONDS = 120
NO_DOCUMENT = "There is no such document."


@routes.get("/brochures")
async def library(request: web.Request) -> web.Response:
    return await _shelf(request, await require(request, Role.supervisor))


async def _shelf(request: web.Request, signed: Signed, fault: HouseError | None = None) -> web.Response:
    async with doors(request).book.reading() as r:
        shelf = await brochures.shelf(r.session)
    return page(
        request, "brochures/page.html", signed.agent.locale, status=200 if fault is None else STATUS[type(fault)],
        agent=signed.agent, csrf=signed.session.csrf, shelf=shelf, fault=fault, form=signed.form,
        languages=[(locale, language(locale)) for locale in LOCALES], most_megabytes=MOST_MEGABYTES,
        longest=LONGEST_NAME, headers={"Cache-Control": "no-store"},
    )


@routes.post("/brochures")
async def add(request: web.Request) -> web.Response:
    """A form with the file, its campaign and its names. Who asks is known before its bytes are read."""
    signed = await asker(request, Role.supervisor)
    try:
        upload = await _file(request)
        signed = confirmed(request, signed, upload.fields)
        await _keep(request, signed, upload)
    except (Invalid, TooLarge, Conflict) as fault:
        return await _shelf(request, signed, fault)
    raise web.HTTPSeeOther("/brochures")


async def _file(request: web.Request) -> Upload:
    try:
        return await read_upload(request, MOST_BYTES, seconds=UPLOAD_SECONDS)
    except TooLarge as error:
        raise TooLarge("A document may have %(most)s MB. Make it smaller, or split it.", pointer=stocking.FILE,
                       most=MOST_MEGABYTES) from error


async def _keep(request: web.Request, signed: Signed, upload: Upload) -> None:
    fields, campaign_id = upload.fields, row_number(upload.fields.get("campaign", ""))
    titles = stocking.titled(fields.get("name", ""), {one: fields.get(f"name_{one}", "") for one in LOCALES})
    file = await asyncio.to_thread(stocking.examine, upload.content)
    async with doors(request).book.writing() as w:
        await stocking.add(w, campaign_id, file, titles, agent_id=signed.agent.id)


@routes.post(r"/brochures/{id:\d{1,19}}/retire")
async def retire(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.writing() as w:
        await stocking.retire(w, row_id(request, NotFound(NO_DOCUMENT)), signed.agent.id)
    raise web.HTTPSeeOther("/brochures")


@routes.get(r"/brochures/{id:\d{1,19}}/file")
async def look(request: web.Request) -> web.Response:
    """The document itself, for who sends it or looks after it."""
    signed = await require(request, Role.agent)
    async with doors(request).book.reading() as r:
        found = await r.session.get(Brochure, row_id(request, NotFound(NO_DOCUMENT)))
        content = None if found is None else await blobs.content(r.session, found.sha256)
    if found is None or content is None:
        raise NotFound(NO_DOCUMENT)
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": found.disposition(signed.agent.locale)}
    return web.Response(body=content, content_type=found.media_type, headers=headers)
