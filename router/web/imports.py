"""`/imports`: a supervisor uploads a list, sees what would become of it, starts it, and watches."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from router.actions import importing
from router.book import Writing
from router.model.agents import Role
from router.model.campaigns import Campaign, Queue
from router.model.elsewhere import FAULTS
from router.model.errors import HouseError, Invalid, NotFound, TooLarge
from router.model.imports import (
    MOST_BYTES,
    MOST_ROWS,
    OUTCOMES,
    WORKING,
    Import,
    ImportKind,
    ImportRow,
    ImportState,
    Outcome,
)
from router.model.sheets import FIELDS, NEEDED, Sheet, read_sheet, written
from router.store import imports, merges
from router.web.doors import doors
from router.web.gate import Signed, asker, confirmed, page, require
from router.web.middleware import STATUS
from router.web.parsing import Upload, read_upload, row_id

routes = web.RouteTableDef()

UPLOAD_SECONDS = 120
STORED_AT_ONCE = 500
"""Rows a transaction while the file is stored."""


def _id(request: web.Request) -> int:
    return row_id(request, NotFound("There is no such import."))


@routes.get("/imports")
async def imports_page(request: web.Request) -> web.Response:
    return await _lists(request, await require(request, Role.supervisor))


async def _lists(request: web.Request, signed: Signed, fault: HouseError | None = None) -> web.Response:
    async with doors(request).book.reading() as r:
        found = await imports.newest(r.session)
        lines = await imports.queues(r.session)
        proposals = await merges.open_count(r.session)
    names = {queue.id: f"{campaign.name} · {queue.name}" for queue, campaign in lines}
    return page(
        request, "imports/index.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, imports=found,
        lines=lines, names=names, proposals=proposals, most_rows=MOST_ROWS, most_megabytes=MOST_BYTES // 1024 // 1024,
        kinds=list(ImportKind), fault=fault, form=signed.form, status=200 if fault is None else STATUS[type(fault)],
    )


@routes.post("/imports")
async def upload(request: web.Request) -> web.Response:
    """A form with the file, its line, and what it holds. Who asks is known before its bytes are read."""
    signed = await asker(request, Role.supervisor)
    try:
        upload = await _file(request)
        signed = confirmed(request, signed, upload.fields)
        sheet = await asyncio.to_thread(read_sheet, upload.content)
        number = await _stored(request, signed, sheet, upload)
    except (Invalid, TooLarge) as fault:
        return await _lists(request, signed, fault)
    raise web.HTTPSeeOther(f"/imports/{number}")


async def _file(request: web.Request) -> Upload:
    try:
        return await read_upload(request, MOST_BYTES, seconds=UPLOAD_SECONDS)
    except TooLarge as error:
        raise TooLarge("The file is larger than 10 MB. Split it.", pointer="/file") from error


async def _stored(request: web.Request, signed: Signed, sheet: Sheet, upload: Upload) -> int:
    """Stores the rows in many short transactions. Cut off in between, it is forgotten after a while."""
    book = doors(request).book
    queue_id, kind = upload.fields.get("queue", ""), upload.fields.get("kind", "")
    async with book.writing() as w:
        queue = await w.session.get(Queue, int(queue_id)) if re.fullmatch(r"[0-9]{1,18}", queue_id) else None
        if queue is None:
            raise Invalid("This is not one of the choices.", pointer="/queue")
        if kind not in list(ImportKind):
            raise Invalid("This is not one of the choices.", pointer="/kind")
        made = importing.begin(
            w, queue, signed.agent.id, sheet, file_name=upload.name, sha256=hashlib.sha256(upload.content).digest(),
            kind=ImportKind(kind),
        )
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
        "outcomes": [one for one in OUTCOMES[found.kind] if one is not Outcome.line or "price" in found.mapping],
        "faults": FAULTS,
    }


async def _show(request: web.Request, signed: Signed, number: int, fault: HouseError | None = None) -> web.Response:
    values = await _values(request, number)
    return page(
        request, "imports/import.html", signed.agent.locale, status=200 if fault is None else 422, agent=signed.agent,
        csrf=signed.session.csrf, fields=FIELDS[values["one"].kind], needed=NEEDED[values["one"].kind],
        fault=fault, form=signed.form if fault else {}, **values,
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
    for field in dict.fromkeys(field for fields in FIELDS.values() for field in fields):
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
    head = ["row", "outcome", "reason", "column", "lead", "quote", *found.headers]
    await response.write(("\ufeff" + written([head])).encode())
    after = 0
    while True:
        async with house.book.reading() as r:
            rows = await imports.next_rows(r.session, number, after, 2_000)
        if not rows:
            break
        await response.write(written([_line(found, row) for row in rows]).encode())
        after = rows[-1].number
    await response.write_eof()
    return response


def _line(found: Import, row: ImportRow) -> list[str]:
    outcome = row.outcome or row.expected
    place = found.mapping.get(row.field)
    return [str(row.number), outcome.value if outcome else "", row.reason,
            found.headers[place] if place is not None else row.field, str(row.lead_id or ""), str(row.quote_id or ""),
            *row.cells]
