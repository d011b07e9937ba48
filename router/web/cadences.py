"""`/cadences`: the plans for quiet quotes, their versions and who is inside, for a supervisor."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohttp import web

from router.actions import cadencing
from router.model.agents import Role
from router.model.cadence_rules import CadencePlan, read_body
from router.model.errors import NotFound
from router.model.phone import unbroken
from router.store import cadences
from router.store.cadences import Standing
from router.web.doors import doors
from router.web.gate import page, require
from router.web.parsing import row_id

routes = web.RouteTableDef()

MOST_UNDECIDED = 100


class Shown(NamedTuple):
    """A version on the page. `at` is how many stand before each step, `resting` how many rest, by why."""

    standing: Standing
    plan: CadencePlan
    newest: bool
    at: dict[int, int]
    resting: dict[str, int]

    @property
    def inside(self) -> int:
        return sum(self.at.values()) + sum(self.resting.values())


def shown(standings: Sequence[Standing]) -> list[Shown]:
    """Counted by step; the first version of each cadence is the newest."""
    seen: set[int] = set()
    found = []
    for one in standings:
        at: dict[int, int] = {}
        resting: dict[str, int] = {}
        for n, state, reason, count in one.inside:
            into: dict[Any, int] = resting if state == "paused" else at
            key = reason if state == "paused" else n
            into[key] = into.get(key, 0) + count
        found.append(Shown(one, read_body(one.version.body), one.cadence.id not in seen, at, resting))
        seen.add(one.cadence.id)
    return found


@routes.get("/cadences")
async def cadences_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        standings = await cadences.standings(r.session)
        undecided = await cadences.undecided(r.session, MOST_UNDECIDED)
    return page(
        request, "cadences/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf,
        shown=shown(standings), undecided=undecided, unbroken=unbroken,
        moved=_count(request.query.get("moved")), left=_count(request.query.get("left")),
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 6 else None


@routes.post(r"/cadences/versions/{id:\d{1,19}}/move")
async def move(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    version_id = row_id(request, NotFound("There is no such version."))
    async with doors(request).book.writing() as w:
        done = await cadencing.migrate_enrolments(w, version_id, signed.agent.id)
    raise web.HTTPSeeOther(f"/cadences?moved={done.moved}&left={done.left}")


@routes.post(r"/cadences/enrolments/{id:\d{1,19}}/{to:go-on|out}")
async def decide(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    enrolment_id = row_id(request)
    async with doors(request).book.writing() as w:
        await cadencing.decide(
            w, enrolment_id, go_on=request.match_info["to"] == "go-on", agent_id=signed.agent.id
        )
    raise web.HTTPSeeOther("/cadences")
