"""Health: whether the process lives, whether it is ready, and its figures."""

from dataclasses import dataclass

from aiohttp import web

from router.gauges import Recent
from router.ticks import Ticks

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Figures:
    ticks: Ticks
    lateness: Recent
    rings: Recent


FIGURES = web.AppKey("figures", Figures)


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    return web.json_response({"ok": request.app[FIGURES].ticks.healthy})
