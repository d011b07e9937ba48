"""The carrier's door: what comes in is checked, stored as it came, and answered at once; understood afterwards."""

import logging

from aiohttp import web

from router.model.errors import Forbidden
from router.ports import Webhook
from router.store import inbox
from router.web.doors import doors
from router.web.parsing import WEBHOOK_BYTES, read_bytes

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

SOURCE = "carrier"


@routes.post("/hooks/carrier/{what:call|room|message|inbound}")
async def carrier_hook(request: web.Request) -> web.Response:
    """204 once it is stored; the same event twice is one row. 403 for what the carrier did not sign."""
    house = doors(request)
    webhook = Webhook(request.raw_path, dict(request.headers), await read_bytes(request, WEBHOOK_BYTES))
    # Every address we give the carrier is plain ASCII; the signature is checked before anything touches the database.
    if not (webhook.path.isascii() and house.carrier.genuine(webhook)):
        log.warning("webhook refused: not signed by the carrier", extra={"what": request.match_info["what"]})
        raise Forbidden("The carrier did not sign this.")
    async with house.book.writing() as w:
        # Of the headers only what tells how to read the body is kept: signatures and addresses are not needed again.
        fresh = await inbox.put(
            w.session, w.now, SOURCE, house.carrier.dedupe_key(webhook), path=webhook.path,
            headers={"Content-Type": request.content_type}, body=webhook.body,
        )
        if fresh:
            w.hint("inbox")
    return web.Response(status=204)
