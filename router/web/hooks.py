"""The carrier's door: what comes in is checked, stored as it came, and answered at once; understood afterwards."""

import logging

from aiohttp import web

from router.actions import answering
from router.actions.intake import Raced
from router.model.errors import Busy, Forbidden, Unreadable
from router.ports import CallArrived, CallerTurned, Prompt, Webhook
from router.store import inbox
from router.store.db import contended
from router.web.doors import Doors, doors
from router.web.parsing import WEBHOOK_BYTES, read_bytes

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

SOURCE = "carrier"
TRIES = 3


async def _genuine(request: web.Request, what: str) -> Webhook:
    house = doors(request)
    webhook = Webhook(request.raw_path, dict(request.headers), await read_bytes(request, WEBHOOK_BYTES))
    # Every address we give the carrier is plain ASCII; the signature is checked before anything touches the database.
    if not (webhook.path.isascii() and house.carrier.genuine(webhook)):
        log.warning("webhook refused: not signed by the carrier", extra={"what": what})
        raise Forbidden("The carrier did not sign this.")
    return webhook


@routes.post("/hooks/carrier/{what:call|room|message|inbound|caller|recording}")
async def carrier_hook(request: web.Request) -> web.Response:
    """204 once it is stored; the same event twice is one row. 403 for what the carrier did not sign."""
    house, webhook = doors(request), await _genuine(request, request.match_info["what"])
    async with house.book.writing() as w:
        # Of the headers only what tells how to read the body is kept: signatures and addresses are not needed again.
        fresh = await inbox.put(
            w.session, w.now, SOURCE, house.carrier.dedupe_key(webhook), path=webhook.path,
            headers={"Content-Type": request.content_type}, body=webhook.body,
        )
        if fresh:
            w.hint("inbox")
    return web.Response(status=204)


@routes.post("/hooks/carrier/{what:voice|turn}")
async def voice_hook(request: web.Request) -> web.Response:
    """A call that comes in, or goes on: what its caller shall hear. He waits for it, so it is decided at once."""
    house, webhook = doors(request), await _genuine(request, request.match_info["what"])
    events = house.carrier.understand(webhook)
    if not events or not isinstance(events[0], CallArrived | CallerTurned):
        raise Unreadable("This says nothing of a call.")
    prompt = await _decide(house, events[0])
    return web.Response(body=house.carrier.answer(prompt), content_type="text/xml", charset="utf-8")


async def _decide(house: Doors, event: CallArrived | CallerTurned) -> Prompt:
    """Tried again when another request about the same person was in the way."""
    for _ in range(TRIES):
        try:
            async with house.book.writing() as w:
                if isinstance(event, CallArrived):
                    return await answering.arrived(w, event)
                return await answering.turned(w, event)
        except Exception as error:
            if not (isinstance(error, Raced) or contended(error)):
                raise
    raise Busy("Too much happens at once. Please ask again.")
