"""`/why/TASK`: who was given a task and why, who was passed over, and while it waits, who could take it and who not."""

from aiohttp import web

from router.model.agents import Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import NotFound
from router.model.levels import levels_of
from router.store import why
from router.web.doors import doors
from router.web.gate import page, require
from router.web.parsing import row_id

routes = web.RouteTableDef()


@routes.get(r"/why/{id:\d{1,19}}")
async def why_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        view = await why.of_task(r.session, row_id(request), r.now)
        if view is None:
            raise NotFound("There is no such task.")
        reasons = [reason for one in view.decisions for reason in one.reservation.why]
        reasons += [one.reason for one in view.standings if one.reason is not None]
        names = await why.names(r.session, reasons)
        now, campaign = r.now, vouched(await r.session.get(Campaign, view.queue.campaign_id))
    return page(
        request, "why/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf, view=view,
        names=names, zone=campaign.timezone, needs=levels_of(view.task.skills), now=now,
        waited_s=now.timestamp() - view.task.since_ms / 1000,
    )
