"""The agent's desk: three zones that never move, and the buttons in them."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from aiohttp import web
from markupsafe import Markup

from router.actions import (
    agreeing,
    barring,
    calling,
    consenting,
    consulting,
    dispatch,
    presence,
    replying,
    resending,
    snoozing,
    stationing,
    supervising,
    transferring,
    wrapping,
)
from router.actions.guarding import lives_in
from router.book import Reading, Writing
from router.failpoints import fail_here
from router.model import addresses
from router.model.agents import Role, Wish
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.conversations import LONGEST_TEXT, Channel, Direction, Side
from router.model.errors import Conflict, Invalid, NotFound
from router.model.forms import questions
from router.model.phone import international, masked
from router.model.promises import PromiseMode
from router.model.quotes import OPEN, QuoteState
from router.model.tasks import NEVER_AGAIN, NOT_REACHED, TALKED, Disposition, Reservation, ReservationState, Task
from router.model.terms import MOST_DAYS, MOST_MONTHS, RETURN_COSTS, read_terms
from router.store import screens, why
from router.web.doors import Doors, doors
from router.web.gate import Signed, page, require
from router.web.middleware import CONTENT_POLICY
from router.web.parsing import row_id, row_number
from router.web.receipts import as_read, offers_text

routes = web.RouteTableDef()
T = TypeVar("T")

REGIONS = (
    "work", "me", "video", "conversation", "reply", "progress", "handing", "callback", "offer", "person", "promises",
)
"""The parts of the desk that change by themselves, in the order in which they are sent: a ring goes first."""

WRITTEN_IN = frozenset({"offer", "reply"})
"""Regions somebody writes in: they are exchanged as a whole, and not while there is something written."""

REVISABLE = (*OPEN, QuoteState.awaiting, QuoteState.approved)
"""Quotes a newer version can take the place of."""

WISHES = (Wish.ready, Wish.ready_once, Wish.paused, Wish.off)


OUTCOMES: Mapping[str, Sequence[tuple[Disposition, str]]] = {
    "talked": list(zip(TALKED, "1234567", strict=True)),
    "not_reached": list(zip(NOT_REACHED, "t890", strict=True)),
    "never_again": list(zip(NEVER_AGAIN, "wx", strict=True)),
}
"""The outcomes an agent can give, in groups, each with its key: always the same one."""


@dataclass(frozen=True)
class Partial:
    """A region's HTML. `version` is a digest of its content: who has the same one already is not disturbed."""

    name: str
    version: str
    html: Markup


def regions(house: Doors, folder: str, names: tuple[str, ...], locale: str, **values: Any) -> Iterator[Partial]:
    """The regions of a screen as they look now, each made when it is asked for: the first one, a ring, does not wait
    for the others. The page and the stream both take them from here."""
    return (_region(house, folder, name, locale, values) for name in names)


def _region(house: Doors, folder: str, name: str, locale: str, values: Mapping[str, Any]) -> Partial:
    inner = house.wording.page(f"{folder}/{name}.html", locale, **values).strip()
    version = hashlib.sha256(inner.encode()).hexdigest()[:12]
    html = Markup(  # noqa: S704  rendered with autoescape just above
        f'<section id="{name}" data-version="{version}" tabindex="-1">{inner}</section>'
    )
    return Partial(name, version, html)


async def look(house: Doors, r: Reading, agent_id: int) -> Iterator[Partial]:
    """The whole desk of this agent, region by region. Nothing in it is secret, relative or a reader's own."""
    view = await _with_zone(r, await screens.desk(r.session, agent_id, r.now))
    return regions(
        house, "desk", REGIONS, view.agent.locale, view=view, agent=view.agent, work=view.work, wishes=WISHES,
        outcomes=OUTCOMES, open_quotes=OPEN, revisable=REVISABLE,
        usual=read_terms(view.work.campaign.terms) if view.work else None, return_costs=RETURN_COSTS,
        most_months=MOST_MONTHS, most_days=MOST_DAYS, snoozes=(snoozing.DAYS, snoozing.REASONS),
        steps=screens.STEPS, reached=screens.reached, international=international,
        zoneinfo=ZoneInfo, incoming=Direction.incoming, longest=LONGEST_TEXT, now=r.now, visitor=Side.visitor,
        lives_in=lives_in, modes=list(PromiseMode), masked=masked, masked_address=addresses.masked,
        offers=offers_text(house, view.person.campaign, view.person.contact.locale) if view.person else None,
        questions=questions(view.person.campaign, view.agent.locale) if view.person else [],
    )


async def _with_zone(r: Reading, view: screens.DeskView) -> screens.DeskView:
    """The desk with the zone in which a call can be promised to the person in the agent's hands."""
    if view.work is None or view.doing not in (screens.Doing.talking, screens.Doing.wrapping):
        return view
    return replace(view, zone=await agreeing.zone_of(r.session, view.work.campaign, view.work.contact.id))


def partials(parts: Iterable[Partial]) -> str:
    """Regions as htmx takes them from an answer or a stream. Elements keep their identity, so focus stays."""
    return "\n".join(
        f'<hx-partial hx-target="#{part.name}" hx-swap="{"outerHTML" if part.name in WRITTEN_IN else "outerMorph"}">'
        f"{part.html}</hx-partial>"
        for part in parts
    )


@routes.get("/desk")
async def desk_page(request: web.Request) -> web.Response:
    signed, house = await require(request, Role.agent), doors(request)
    async with house.book.reading() as r:
        parts = await look(house, r, signed.agent.id)
        now = r.now
    phone = f"{house.softphone}/phones/client:{signed.agent.login}" if house.softphone else ""
    headers = {}
    if phone:
        where = urlsplit(phone)
        headers["Content-Security-Policy"] = f"{CONTENT_POLICY}; frame-src {where.scheme}://{where.netloc}"
    return page(
        request, "desk/page.html", signed.agent.locale, headers=headers, agent=signed.agent, csrf=signed.session.csrf,
        now=now, phone=phone, parts={part.name: part.html for part in parts},
    )


async def act(
    request: web.Request, action: Callable[[Writing, Signed], Awaitable[object]], *, committed: str = ""
) -> web.Response:
    """Does one thing in one transaction; the answer is the desk as it is after it. `committed` names the failpoint
    between the two."""
    signed = await require(request, Role.agent)
    async with doors(request).book.writing() as w:
        await action(w, signed)
    if committed:
        fail_here(committed)
    return await desk_now(request, signed)


async def desk_now(request: web.Request, signed: Signed) -> web.Response:
    """The desk as it is now, as an answer."""
    house = doors(request)
    async with house.book.reading() as r:
        parts = await look(house, r, signed.agent.id)
    return web.Response(text=partials(parts), content_type="text/html")


def _choice(form: Mapping[str, str], name: str, kind: Callable[[str], T]) -> T:
    try:
        return kind(form.get(name, ""))
    except (ValueError, KeyError) as error:
        raise Invalid("This is not one of the choices.", pointer=f"/{name}") from error


@routes.post("/desk/state")
async def set_state(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: presence.set_wish(
        w, signed.agent.id, _choice(signed.form, "wish", Wish)))


@routes.post("/desk/help")
async def ask_for_help(request: web.Request) -> web.Response:
    """`on` is 1 to ask a supervisor for help, 0 to take it back."""
    async def action(w: Writing, signed: Signed) -> None:
        asks = _choice(signed.form, "on", {"1": True, "0": False}.__getitem__)
        await (supervising.ask_for_help if asks else supervising.need_no_help)(w, signed.agent.id)

    return await act(request, action)


@routes.post("/desk/line")
async def line(request: web.Request) -> web.Response:
    """`on` is 1 to stay on the line between calls, 0 to leave it."""
    async def action(w: Writing, signed: Signed) -> None:
        stays = _choice(signed.form, "on", {"1": True, "0": False}.__getitem__)
        await (stationing.open_line if stays else stationing.close_line)(w, signed.agent.id)

    return await act(request, action)


@routes.post(r"/desk/reservations/{id:\d{1,19}}/accept")
async def accept(request: web.Request) -> web.Response:
    async def action(w: Writing, signed: Signed) -> None:
        await dispatch.accept(w, row_id(request), signed.agent.id)
        fail_here("accept.before_commit")

    answer = await act(request, action, committed="accept.after_commit")
    async with doors(request).book.reading() as r:
        held = await r.session.get(Reservation, row_id(request))
    if held is not None and held.state is ReservationState.canceled:
        raise Conflict("The person has left meanwhile.")
    return answer


@routes.post(r"/desk/reservations/{id:\d{1,19}}/reject")
async def reject(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: dispatch.reject(w, row_id(request), signed.agent.id))


@routes.get(r"/desk/reservations/{id:\d{1,19}}/why")
async def why_me(request: web.Request) -> web.Response:
    """Why it rings at this agent. Asked for when he wants to know: the ring does not wait for it."""
    signed, house = await require(request, Role.agent), doors(request)
    async with house.book.reading() as r:
        held = await r.session.get(Reservation, row_id(request))
        if held is None or held.agent_id != signed.agent.id:
            raise NotFound("There is no such task.")
        names = await why.names(r.session, held.why)
    html = house.wording.page("desk/reasons.html", signed.agent.locale, why=held.why, names=names)
    return web.Response(text=html, content_type="text/html")


@routes.post(r"/desk/calls/{id:\d{1,19}}/hangup")
async def hang_up(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: calling.hang_up(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/calls/{id:\d{1,19}}/hold")
async def hold(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: calling.hold(
        w, row_id(request), signed.agent.id, _choice(signed.form, "on", {"1": True, "0": False}.__getitem__)))


@routes.post(r"/desk/calls/{id:\d{1,19}}/consult")
async def consult(request: web.Request) -> web.Response:
    """The agent asks the colleague `agent` before he hands the person over."""
    return await act(request, lambda w, signed: consulting.ask(
        w, row_id(request), signed.agent.id, _number(signed.form, "agent")))


@routes.post(r"/desk/calls/{id:\d{1,19}}/complete")
async def complete(request: web.Request) -> web.Response:
    """The person goes on with the colleague who was asked."""
    return await act(request, lambda w, signed: consulting.complete(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/calls/{id:\d{1,19}}/takeback")
async def take_back(request: web.Request) -> web.Response:
    """The agent goes on with the person, without the colleague."""
    return await act(request, lambda w, signed: consulting.take_back(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/consultations/{id:\d{1,19}}/leave")
async def leave(request: web.Request) -> web.Response:
    """The colleague who is asked says no, or goes."""
    return await act(request, lambda w, signed: consulting.leave(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/dispose")
async def dispose(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: wrapping.dispose(
        w, row_id(request), signed.agent.id, _choice(signed.form, "disposition", Disposition)))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/never")
async def never_again(request: web.Request) -> web.Response:
    """The person is not to be called any more, at whatever point the task is."""
    return await act(request, lambda w, signed: barring.never_again(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/consent")
async def consent(request: web.Request) -> web.Response:
    """The person has agreed to the text about offers (`text` is its SHA-256) that the agent read to him."""
    house = doors(request)

    async def action(w: Writing, signed: Signed) -> None:
        task = await w.session.get(Task, row_id(request))
        if task is None:
            raise NotFound("There is no such task.")
        campaign = vouched(await w.session.get(Campaign, task.campaign_id))
        contact = vouched(await w.session.get(Contact, task.contact_id))
        agreed = as_read(offers_text(house, campaign, contact.locale), signed.form.get("text", ""))
        await consenting.spoken(w, task.id, signed.agent.id, agreed, contact.locale)

    return await act(request, action)


@routes.post(r"/desk/quotes/{id:\d{1,19}}/snooze")
async def snooze(request: web.Request) -> web.Response:
    """A quote of the person in the agent's hands is left alone for `days` business days."""
    return await act(request, lambda w, signed: snoozing.snooze(
        w, row_id(request), signed.agent.id, _number(signed.form, "days"), signed.form.get("reason", "")))


@routes.post(r"/desk/quotes/{id:\d{1,19}}/wake")
async def wake(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: snoozing.wake(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/numbers/{id:\d{1,19}}/found")
async def number_found(request: web.Request) -> web.Response:
    """The right number (`phone`) of somebody whom an offer's link did not reach, which is sent there, or whose number
    was somebody else's."""
    return await act(request, lambda w, signed: resending.found(
        w, row_id(request), signed.agent.id, signed.form.get("phone", "")))


@routes.post(r"/desk/numbers/{id:\d{1,19}}/drop")
async def number_dropped(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: resending.dropped(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/finish")
async def finish(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: replying.finish(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/call")
async def call_instead(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: replying.call_instead(w, row_id(request), signed.agent.id))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/write")
async def write_instead(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: replying.write_instead(
        w, row_id(request), signed.agent.id, _choice(signed.form, "channel", Channel)))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/pick")
async def pick(request: web.Request) -> web.Response:
    """The agent takes a task out of the list of a line where agents pick. What the guard has put off stays put off, so
    it is refused after the transaction."""
    signed = await require(request, Role.agent)
    async with doors(request).book.writing() as w:
        picked = await dispatch.pick(w, row_id(request), signed.agent.id)
    if not picked:
        raise Conflict("This person may not be called now.")
    return await desk_now(request, signed)


@routes.post(r"/desk/tasks/{id:\d{1,19}}/transfer")
async def transfer(request: web.Request) -> web.Response:
    """The agent hands the person on: to `agent`, or to `queue`."""

    async def action(w: Writing, signed: Signed) -> None:
        given = {name: _number(signed.form, name) for name in ("agent", "queue")}
        if given["agent"]:
            await transferring.to_agent(w, row_id(request), signed.agent.id, given["agent"])
        else:
            await transferring.to_queue(w, row_id(request), signed.agent.id, given["queue"])

    return await act(request, action)


def _number(form: Mapping[str, str], name: str) -> int:
    """The row's number in this field; 0 where it is empty or none."""
    return row_number(form.get(name, ""))


@routes.post(r"/desk/tasks/{id:\d{1,19}}/focus")
async def focus(request: web.Request) -> web.Response:
    """The agent holds several tasks and looks at this one."""
    return await act(request, lambda w, signed: presence.look_at(w, signed.agent.id, row_id(request)))


@routes.post(r"/desk/conversations/{id:\d{1,19}}/say")
async def say(request: web.Request) -> web.Response:
    return await act(request, lambda w, signed: replying.say(
        w, row_id(request), signed.agent.id, signed.form.get("text", ""),
        signed.form.get("client_id", "")[:64] or None))


@routes.post(r"/desk/conversations/{id:\d{1,19}}/read")
async def read(request: web.Request) -> web.Response:
    """The agent has looked at the thread up to a message. The stream brings what changes by it."""
    signed = await require(request, Role.agent)
    up_to = _number(signed.form, "up_to")
    async with doors(request).book.writing() as w:
        await replying.read(w, row_id(request), signed.agent.id, up_to)
    return web.Response(status=204)
