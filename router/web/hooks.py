"""The carrier's door: what comes in is checked, stored as it came, and answered at once; it is understood afterwards."""

import logging

from aiohttp import web

from router.model.errors import Forbidden
from router.ports import Webhook
from router.store import inbox
from router.web.doors import doors
from router.web.parsing import WEBHOOK_BYTES, read_bytes

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


@routes.post("/hooks/carrier/{what:call|room|message|inbound}")
async def carrier_hook(request: web.Request) -> web.Response:
    """204 once it is stored; the same event twice is one row. 403 for what the carrier did not sign."""
    house = doors(request)
    webhook = Webhook(request.raw_path, dict(request.headers), await read_bytes(request, WEBHOOK_BYTES))
    if not house.carrier.genuine(webhook):
        log.warning("webhook refused: not signed by the carrier", extra={"what": request.match_info["what"]})
        raise Forbidden("The carrier did not sign this.")
    async with house.book.writing() as w:
        await inbox.put(
            w.session, w.now, "carrier", house.carrier.dedupe_key(webhook), path=webhook.path,
            headers=webhook.headers, body=webhook.body,
        )
        w.hint("inbox")
    return web.Response(status=204)
