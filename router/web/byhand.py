"""`/desk/new`: an agent writes a lead down, and dials it himself if he likes."""

from http import HTTPStatus

from aiohttp import web

from router.actions import byhand
from router.actions.byhand import Told
from router.actions.intake import unraced
from router.model.agents import Role
from router.model.campaigns import Campaign, Queue
from router.model.errors import Forbidden, HouseError, Invalid, NotAllowedNow
from router.model.forms import ConsentText, consents, plain, plain_lines
from router.model.intake import Agreed, Taken
from router.model.phone import e164
from router.model.vault import new_token
from router.store import imports
from router.web.doors import doors
from router.web.gate import Signed, page, require

routes = web.RouteTableDef()

TRIES = 3
VERBS = {"keep": byhand.keep, "queue": byhand.queue_up}
SPOKEN = ("requested", "commercial")


async def _lines(request: web.Request, signed: Signed) -> list[tuple[Queue, Campaign]]:
    """The lines of the agent's own pool."""
    async with doors(request).book.reading() as r:
        return [found for found in await imports.queues(r.session) if found[0].pool == signed.agent.pool]


def _texts(request: web.Request, campaign: Campaign) -> list[ConsentText]:
    say = doors(request).wording.say
    return [one for one in consents(campaign, campaign.locale, say) if one.purpose in SPOKEN]


async def _form(
    request: web.Request, signed: Signed, *, fault: HouseError | None = None, saved: bool = False
) -> web.Response:
    lines = await _lines(request, signed)
    texts = {str(campaign.id): _texts(request, campaign) for _, campaign in lines}
    status = HTTPStatus.OK if fault is None else HTTPStatus.UNPROCESSABLE_ENTITY
    # Refused, the form keeps its own word: what was not stored is not made twice when it is sent again.
    key = signed.form.get("key", "") if fault is not None else ""
    return page(
        request, "desk/new.html", signed.agent.locale, status=status, agent=signed.agent, csrf=signed.session.csrf,
        lines=lines, texts=texts, form={} if fault is None else signed.form, fault=fault, saved=saved,
        key=key or new_token(),
    )


@routes.get("/desk/new")
async def new_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.agent)
    return await _form(request, signed, saved="saved" in request.query)


@routes.post("/desk/new")
async def new_lead(request: web.Request) -> web.StreamResponse:
    signed = await require(request, Role.agent)
    try:
        verb = signed.form.get("do", "")
        await _make(request, signed, verb)
    except (Invalid, NotAllowedNow, Forbidden) as fault:
        return await _form(request, signed, fault=fault)
    raise web.HTTPSeeOther("/desk" if verb == "dial" else "/desk/new?saved")


async def _make(request: web.Request, signed: Signed, verb: str) -> Taken:
    queue, campaign = await _line(request, signed)
    told = _told(request, signed, campaign)

    async def make() -> Taken:
        async with doors(request).book.writing() as w:
            one = byhand.wanted(w, signed.agent, queue, campaign, told)
            if verb == "dial":
                return await byhand.dial(w, one, signed.agent.id)
            if verb not in VERBS:
                raise Invalid("This is not one of the choices.", pointer="/do")
            return await VERBS[verb](w, one)

    return await unraced(make, TRIES)


async def _line(request: web.Request, signed: Signed) -> tuple[Queue, Campaign]:
    for queue, campaign in await _lines(request, signed):
        if str(queue.id) == signed.form.get("queue", ""):
            return queue, campaign
    raise Invalid("This is not one of the choices.", pointer="/queue")


def _told(request: web.Request, signed: Signed, campaign: Campaign) -> Told:
    """What the form says. Raises Invalid with a pointer."""
    form = signed.form
    if not 8 <= len(form.get("key", "")) <= 64:
        raise Invalid("The page is out of date. Load it again.", pointer="/key")
    agreed = tuple(
        Agreed((text.purpose,), text.text, text.version) for text in _texts(request, campaign)
        if form.get(f"{text.purpose}.{campaign.id}") == "on"
    )
    if form.get("do") == "queue" and not agreed:
        raise Invalid("Nobody is called who has not agreed to it.", pointer="/agreed")
    return Told(
        phone=e164(form.get("phone", ""), campaign.country), name=plain(form.get("name", ""))[:200],
        message=plain_lines(form.get("message", ""))[:2000], agreed=agreed, key=form["key"],
    )
