"""Documents at the desk: chosen in a talk, and sent to its person."""

from collections.abc import Mapping

from aiohttp import web

from router.actions import handing
from router.model.agents import Role
from router.model.base import vouched
from router.model.cadence_rules import Way
from router.model.campaigns import Campaign
from router.model.errors import Invalid
from router.model.handouts import MOST
from router.model.tasks import Task
from router.store import brochures, handouts
from router.web.desk import act
from router.web.doors import doors
from router.web.gate import require
from router.web.parsing import row_id, row_number
from router.wording import explain

routes = web.RouteTableDef()

CHOSEN = "brochure."
"""How the fields of the form begin that name a brochure each."""


@routes.get(r"/desk/tasks/{id:\d{1,19}}/handout")
async def choose(request: web.Request) -> web.Response:
    """The documents there are, and the ways by which they can be sent to this person now, or why not. Asked for when
    the agent unfolds it: the rest of his desk does not wait for it."""
    signed, house = await require(request, Role.agent), doors(request)
    async with house.book.reading() as r:
        task = handing.held_by(await r.session.get(Task, row_id(request)), signed.agent.id)
        campaign = vouched(await r.session.get(Campaign, task.campaign_id))
        ways = await handing.ways(r.session, task, r.now, can_mail=house.book.can_mail)
        found = await brochures.in_use(r.session, task.campaign_id)
        after = await handouts.newest_of_task(r.session, task.id)
    locale, zone = signed.agent.locale, campaign.timezone
    refused = [explain(verdict, locale, zone) for verdict in ways.values() if not verdict.allowed]
    html = house.wording.page(
        "desk/handout.html", locale, task=task, found=found, after=after, most=MOST, chosen=CHOSEN,
        ways=[way.value for way, verdict in ways.items() if verdict.allowed], refused=list(dict.fromkeys(refused)),
    )
    return web.Response(text=html, content_type="text/html", headers={"Cache-Control": "no-store"})


@routes.post(r"/desk/tasks/{id:\d{1,19}}/handout")
async def send(request: web.Request) -> web.Response:
    """Sends the chosen documents by this `way`; `after` is the newest handout the agent saw when he pressed."""
    return await act(request, lambda w, signed: handing.hand(
        w, row_id(request), signed.agent.id, _chosen(signed.form), _way(signed.form),
        after=row_number(signed.form.get("after", ""))))


def _chosen(form: Mapping[str, str]) -> list[int]:
    return [row_number(name.removeprefix(CHOSEN)) for name in form if name.startswith(CHOSEN)]


def _way(form: Mapping[str, str]) -> Way:
    given = form.get("way", "")
    if given not in handing.WAYS:
        raise Invalid("This is not one of the choices.", pointer="/way")
    return Way(given)
