"""Quotes at the desk: looked at while they are written, sent, sent again, revised, copied and taken back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from router.actions import copying, looking, quoting
from router.actions.quoting import Besides
from router.book import Reading, Writing
from router.model.agents import Role
from router.model.errors import Conflict, Invalid, NotFound
from router.model.tasks import Task
from router.model.terms import typed
from router.ports import Channel
from router.store import blobs, quotes
from router.web.desk import act, desk_now
from router.web.doors import doors
from router.web.gate import Signed, require
from router.web.parsing import row_id, row_number
from router.web.quote_form import read_lines

routes = web.RouteTableDef()
NO_QUOTE = "There is no such quote."


@routes.post(r"/desk/tasks/{id:\d{1,19}}/quote")
async def send_quote(request: web.Request) -> web.Response:
    """Writes a quote to the person of the task the agent holds, or the next version of the one it `revises`, and sends
    it, unless a supervisor is asked first. An offer that lacks something leaves nothing behind."""
    signed, house = await require(request, Role.agent), doors(request)
    lines, said, channel = read_lines(signed.form), _said(signed.form), _channel(signed.form)
    revises = _revised(signed.form)
    async with house.book.writing() as w:
        task = await _held(w, signed, row_id(request))
        quote = await quoting.write(w, task, lines, agent_id=signed.agent.id, revises=revises, **said)
        await quoting.check_fit(w, quote)
    await quoting.submit(house.book, quote.id, signed.agent.id, channel=channel)
    return await desk_now(request, signed)


@routes.post(r"/desk/tasks/{id:\d{1,19}}/look")
async def look(request: web.Request) -> web.Response:
    """What would become of the quote in the form. Nothing is stored; what cannot be read yet is looked at later."""
    signed, house = await require(request, Role.agent), doors(request)
    async with house.book.reading() as r:
        task = await _held(r, signed, row_id(request))
        try:
            lines, said = read_lines(signed.form), _said(signed.form)
            call_id = await quotes.call_of_task(r.session, task.id)
            said["besides"] = replace(said["besides"], call_id=call_id)
            seen = await looking.look(
                r.session, house.book.vault, r.now, task, lines, agent_id=signed.agent.id, **said
            )
        except Invalid:
            seen = None
    html = house.wording.page("desk/look.html", signed.agent.locale, look=seen)
    return web.Response(text=html, content_type="text/html")


@routes.post(r"/desk/quotes/{id:\d{1,19}}/send")
async def send(request: web.Request) -> web.Response:
    """Sends what was written, or approved, and could not be sent then."""
    signed = await require(request, Role.agent)
    await quoting.submit(doors(request).book, _quote_id(request), signed.agent.id, channel=_channel(signed.form))
    return await desk_now(request, signed)


@routes.post(r"/desk/quotes/{id:\d{1,19}}/again")
async def send_again(request: web.Request) -> web.Response:
    quote_id = _quote_id(request)
    return await act(request, lambda w, signed: quoting.send_again(
        w, quote_id=quote_id, agent_id=signed.agent.id, channel=_channel(signed.form)))


@routes.post(r"/desk/quotes/{id:\d{1,19}}/mail")
async def mail(request: web.Request) -> web.Response:
    quote_id = _quote_id(request)
    return await act(request, lambda w, signed: copying.mail(w, quote_id=quote_id, agent_id=signed.agent.id))


@routes.post(r"/desk/quotes/{id:\d{1,19}}/void")
async def void(request: web.Request) -> web.Response:
    quote_id = _quote_id(request)
    return await act(request, lambda w, signed: quoting.void(w, quote_id=quote_id, agent_id=signed.agent.id))


@routes.get(r"/desk/quotes/{id:\d{1,19}}/offer.pdf")
async def document(request: web.Request) -> web.Response:
    """The offer as it was frozen, or the document a quote from elsewhere came with, for who may work with it. What is
    not ours is never shown inside of our pages."""
    signed = await require(request, Role.agent)
    async with doors(request).book.reading() as r:
        quote = await quoting.own(r.session, _quote_id(request), signed.agent.id)
        ours = quote.pdf_sha256 is not None
        content = await blobs.content(r.session, quote.pdf_sha256 if ours else quote.foreign_pdf_sha256)
    if content is None:
        raise NotFound(NO_QUOTE)
    shown = "inline" if ours else "attachment"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'{shown}; filename="quote-{quote.id}.pdf"'}
    return web.Response(body=content, content_type="application/pdf", headers=headers)


def _quote_id(request: web.Request) -> int:
    return row_id(request, NotFound(NO_QUOTE))


async def _held(r: Reading | Writing, signed: Signed, task_id: int) -> Task:
    task = await r.session.get(Task, task_id)
    if task is None or task.agent_id != signed.agent.id or task.state.final:
        raise Conflict("This task is not yours any more. Nothing was sent.")
    return task


def _said(form: Mapping[str, str]) -> dict[str, Any]:
    """What the form says besides the lines. Raises Invalid."""
    besides = Besides(typed(form), on_line=form.get("validity") == "line")
    return {"customer": form.get("customer", "").strip() or None, "besides": besides}


def _channel(form: Mapping[str, str]) -> Channel:
    given = form.get("channel") or Channel.sms.value
    if given not in (Channel.sms, Channel.whatsapp):
        raise Invalid("This is not one of the choices.", pointer="/channel")
    return Channel(given)


def _revised(form: Mapping[str, str]) -> int | None:
    given = form.get("revises", "")
    return row_number(given) if given else None
