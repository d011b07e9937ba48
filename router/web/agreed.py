"""`/desk/…`: a call the agent promises to the person he talks with, and what he has promised."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from router.actions import agreeing, promising
from router.actions.agreeing import Asked
from router.book import Reading, Writing
from router.model.agents import Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Invalid, NotFound
from router.model.hours import known_zone
from router.model.promises import PromiseMode
from router.model.tasks import Task
from router.store import tasks
from router.web import desk
from router.web.choosing import by_day, read_value
from router.web.doors import doors
from router.web.gate import Signed, require
from router.web.parsing import row_id
from router.wording import city

routes = web.RouteTableDef()

NO_PROMISE = "There is no such promise."


def asked(form: Mapping[str, str]) -> Asked:
    """What a form asks for: a free slot, or a day and a time on the wall of a zone. Raises Invalid."""
    mode = form.get("mode", PromiseMode.personal_preferred)
    if mode not in set(PromiseMode):
        raise Invalid("This is not one of the choices.", pointer="/mode")
    zone = form.get("zone", "").strip()
    if zone and not known_zone(zone):
        raise Invalid("This is no time zone. One is written like Europe/Madrid.", pointer="/zone")
    if slot := form.get("slot", ""):
        there = read_value(slot).astimezone(ZoneInfo(zone or "UTC"))
        return Asked(there.replace(tzinfo=None), zone or "UTC", PromiseMode(mode))
    day, time = form.get("day", ""), form.get("time", "")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) or not re.fullmatch(r"\d{2}:\d{2}(:\d{2})?", time):
        raise Invalid("Choose a day and a time.", pointer="/time")
    try:
        wall = datetime.fromisoformat(f"{day}T{time[:5]}")
    except ValueError as error:
        raise Invalid("Choose a day and a time.", pointer="/time") from error
    return Asked(wall, zone, PromiseMode(mode))


async def _held(r: Reading, request: web.Request, signed: Signed) -> tuple[Task, Campaign]:
    """The task of this address, which the agent holds. Raises NotFound."""
    task = await r.session.get(Task, row_id(request))
    if task is None or task.agent_id != signed.agent.id or task.state.final:
        raise NotFound("There is no such task.")
    return task, vouched(await r.session.get(Campaign, task.campaign_id))


@routes.get(r"/desk/tasks/{id:\d{1,19}}/callback")
async def read_back(request: web.Request) -> web.Response:
    """The time that was asked for as it would be promised, for the agent to read to the person. Nothing is promised."""
    signed, house = await require(request, Role.agent), doors(request)
    wanted = asked(request.query)
    async with house.book.reading() as r:
        task, campaign = await _held(r, request, signed)
        contact = vouched(await r.session.get(Contact, task.contact_id))
        zone = wanted.zone or await agreeing.zone_of(r.session, campaign, contact.id)
        moment = await agreeing.understood(r, campaign, contact, Asked(wanted.wall, zone), signed.agent.locale)
    there = moment.at.astimezone(ZoneInfo(zone))
    html = house.wording.page(
        "desk/readback.html", signed.agent.locale, moment=moment, zone=zone, city=city(zone, signed.agent.locale),
        offset=f"{there:%z}"[:3] + ":" + f"{there:%z}"[3:5], day=f"{wanted.wall:%Y-%m-%d}", time=f"{wanted.wall:%H:%M}",
        mode=wanted.mode.value, address=f"/desk/tasks/{task.id}/promise",
    )
    return web.Response(text=html, content_type="text/html")


@routes.get(r"/desk/tasks/{id:\d{1,19}}/free")
async def free_times(request: web.Request) -> web.Response:
    """The free times of the team, on the person's clock."""
    signed, house = await require(request, Role.agent), doors(request)
    async with house.book.reading() as r:
        task, campaign = await _held(r, request, signed)
        zone = await agreeing.zone_of(r.session, campaign, task.contact_id)
        contact = await r.session.get(Contact, task.contact_id)
        free = await promising.offered(
            r.session, campaign, await tasks.queue_of(r.session, task), r.now, promising.Asking(zone, contact)
        )
    html = house.wording.page(
        "desk/free.html", signed.agent.locale, days=by_day(free, zone, signed.agent.locale),
        city=city(zone, signed.agent.locale),
    )
    return web.Response(text=html, content_type="text/html")


async def _act(request: web.Request, action: Callable[[Writing, Signed], Awaitable[object]]) -> web.Response:
    """Does one thing in one transaction; the answer is the desk as it is after it."""
    signed, house = await require(request, Role.agent), doors(request)
    async with house.book.writing() as w:
        await action(w, signed)
    async with house.book.reading() as r:
        parts = await desk.look(house, r, signed.agent.id)
    return web.Response(text=desk.partials(parts), content_type="text/html")


@routes.post(r"/desk/tasks/{id:\d{1,19}}/promise")
async def promise(request: web.Request) -> web.Response:
    return await _act(request, lambda w, signed: agreeing.agree(
        w, row_id(request), signed.agent.id, asked(signed.form)))


@routes.post(r"/desk/promises/{id:\d{1,19}}/move")
async def move(request: web.Request) -> web.Response:
    return await _act(request, lambda w, signed: agreeing.move(
        w, row_id(request, NotFound(NO_PROMISE)), signed.agent.id, asked(signed.form)))


@routes.post(r"/desk/promises/{id:\d{1,19}}/cancel")
async def cancel(request: web.Request) -> web.Response:
    return await _act(request, lambda w, signed: agreeing.cancel(
        w, row_id(request, NotFound(NO_PROMISE)), signed.agent.id))
