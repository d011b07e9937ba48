"""`/imports`: a supervisor uploads a list, sees what would become of it, starts it, and watches."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from router.actions import importing
from router.book import Writing
from router.model.agents import Role
from router.model.campaigns import Campaign, Queue
from router.model.errors import HouseError, Invalid, NotFound, TooLarge
from router.model.imports import MOST_BYTES, MOST_ROWS, WORKING, Import, ImportRow, ImportState
from router.model.sheets import FIELDS, Sheet, read_sheet, written
from router.store import imports, merges
from router.web.doors import doors
from router.web.gate import Signed, page, require
from router.web.parsing import read_bytes, row_id

routes = web.RouteTableDef()

UPLOAD_SECONDS = 120
STORED_AT_ONCE = 500
"""Rows a transaction while the file is stored."""


def _id(request: web.Request) -> int:
    return row_id(request, NotFound("There is no such import."))


@routes.get("/imports")
async def imports_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        found = await imports.newest(r.session)
        lines = await imports.queues(r.session)
        proposals = await merges.open_count(r.session)
    names = {queue.id: f"{campaign.name} · {queue.name}" for queue, campaign in lines}
    return page(
        request, "imports/index.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, imports=found,
        lines=lines, names=names, proposals=proposals, most_rows=MOST_ROWS, most_megabytes=MOST_BYTES // 1024 // 1024,
    )


@routes.post("/imports")
async def upload(request: web.Request) -> web.Response:
    """The file is the body, as it is; its name and its line stand in the address. Answers where its import is."""
    signed = await require(request, Role.supervisor)
    content = await _file(request)
    sheet = await asyncio.to_thread(read_sheet, content)
    name = unquote(request.headers.get("X-File-Name", ""), errors="replace").replace("\x00", "")
    number = await _stored(request, signed, sheet, name, hashlib.sha256(content).digest())
    return web.json_response({"import": number, "url": f"/imports/{number}"}, status=201)


async def _file(request: web.Request) -> bytes:
    try:
        return await read_bytes(request, MOST_BYTES, seconds=UPLOAD_SECONDS)
    except TooLarge as error:
        raise TooLarge("The file is larger than 10 MB. Split it.") from error


async def _stored(request: web.Request, signed: Signed, sheet: Sheet, name: str, sha256: bytes) -> int:
    """Stores the rows in many short transactions. Cut off in between, it is forgotten after a while."""
    book = doors(request).book
    queue_id = request.query.get("queue", "")
    async with book.writing() as w:
        queue = await w.session.get(Queue, int(queue_id)) if re.fullmatch(r"[0-9]{1,18}", queue_id) else None
        if queue is None:
            raise Invalid("This is not one of the choices.", pointer="/queue")
        made = importing.begin(w, queue, signed.agent.id, sheet, file_name=name, sha256=sha256)
        await w.session.flush()
        number = made.id
    for start in range(0, len(sheet.rows), STORED_AT_ONCE):
        async with book.writing() as w:
            await imports.add_rows(w.session, number, start + 1, sheet.rows[start : start + STORED_AT_ONCE])
    async with book.writing() as w:
        await importing.received(w, number)
    return number


async def _values(request: web.Request, number: int) -> dict[str, Any]:
    async with doors(request).book.reading() as r:
        found = await r.session.get(Import, number)
        if found is None or found.state is ImportState.receiving:
            raise NotFound("There is no such import.")
        campaign = await r.session.get(Campaign, found.campaign_id)
        queue = await r.session.get(Queue, found.queue_id)
        problems = await imports.problems(r.session, number)
        sample = await imports.next_rows(r.session, number, 0, 3)
        again = await imports.same_file(r.session, found.campaign_id, found.sha256)
    return {
        "one": found, "campaign": campaign, "queue": queue, "problems": problems, "sample": sample,
        "again": again if again is not None and again.id != found.id else None, "working": found.state in WORKING,
    }


async def _show(request: web.Request, signed: Signed, number: int, fault: HouseError | None = None) -> web.Response:
    values = await _values(request, number)
    return page(
        request, "imports/import.html", signed.agent.locale, status=200 if fault is None else 422, agent=signed.agent,
        csrf=signed.session.csrf, fields=FIELDS, fault=fault, form=signed.form if fault else {}, **values,
    )


@routes.get(r"/imports/{id:\d{1,19}}")
async def import_page(request: web.Request) -> web.Response:
    return await _show(request, await require(request, Role.supervisor), _id(request))


@routes.get(r"/imports/{id:\d{1,19}}/state")
async def import_state(request: web.Request) -> web.Response:
    """The part of the page that changes, which it asks for while something runs."""
    signed = await require(request, Role.supervisor)
    values = await _values(request, _id(request))
    text = doors(request).wording.page(
        "imports/state.html", signed.agent.locale, csrf=signed.session.csrf, **values
    )
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


@routes.post(r"/imports/{id:\d{1,19}}/check")
async def check(request: web.Request) -> web.Response:
    """Begins the dry run with the columns and the consent as they were confirmed."""
    signed = await require(request, Role.supervisor)
    number = _id(request)
    try:
        mapping = _mapping(signed.form)
        basis = {name: signed.form.get(name, "").strip()[:500] for name in ("source", "given_on")}
        async with doors(request).book.writing() as w:
            await importing.check(w, number, mapping, basis)
    except Invalid as fault:
        return await _show(request, signed, number, fault)
    raise web.HTTPSeeOther(f"/imports/{number}")


def _mapping(form: Mapping[str, str]) -> dict[str, int]:
    mapping = {}
    for field in FIELDS:
        place = form.get(f"column.{field}", "")
        if place:
            if not re.fullmatch(r"[0-9]{1,3}", place):
                raise Invalid("This is not one of the choices.", pointer="/mapping")
            mapping[field] = int(place)
    return mapping


async def _act(request: web.Request, action: Callable[[Writing, int], Awaitable[object]]) -> web.Response:
    await require(request, Role.supervisor)
    number = _id(request)
    async with doors(request).book.writing() as w:
        await action(w, number)
    raise web.HTTPSeeOther(f"/imports/{number}")


@routes.post(r"/imports/{id:\d{1,19}}/start")
async def start(request: web.Request) -> web.Response:
    return await _act(request, importing.start)


@routes.post(r"/imports/{id:\d{1,19}}/pause")
async def pause(request: web.Request) -> web.Response:
    return await _act(request, importing.pause)


@routes.post(r"/imports/{id:\d{1,19}}/resume")
async def resume(request: web.Request) -> web.Response:
    return await _act(request, importing.resume)


@routes.post(r"/imports/{id:\d{1,19}}/cancel")
async def cancel(request: web.Request) -> web.Response:
    return await _act(request, importing.cancel)


@routes.get(r"/imports/{id:\d{1,19}}/report.csv")
async def report(request: web.Request) -> web.StreamResponse:
    """Every row with what became of it, as CSV for any spreadsheet; written while it is read."""
    await require(request, Role.supervisor)
    number, house = _id(request), doors(request)
    async with house.book.reading() as r:
        found = await r.session.get(Import, number)
    if found is None or found.state is ImportState.receiving:
        raise NotFound("There is no such import.")
    response = web.StreamResponse(headers={
        "Content-Type": "text/csv; charset=utf-8", "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="import-{number}.csv"',
    })
    await response.prepare(request)
    head = ["row", "outcome", "reason", "lead", *found.headers]
    await response.write(("\ufeff" + written([head])).encode())
    after = 0
    while True:
        async with house.book.reading() as r:
            rows = await imports.next_rows(r.session, number, after, 2_000)
        if not rows:
            break
        await response.write(written([_line(row) for row in rows]).encode())
        after = rows[-1].number
    await response.write_eof()
    return response


def _line(row: ImportRow) -> list[str]:
    outcome = row.outcome or row.expected
    return [str(row.number), outcome.value if outcome else "", row.reason, str(row.lead_id or ""), *row.cells]
