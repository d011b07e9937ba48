"""`/attachments/{id}`: what came with a message, and spoken messages, for those who are signed in."""

import re

from aiohttp import web

from router.model.agents import Role
from router.model.errors import NotFound
from router.store import attachments
from router.web.doors import doors
from router.web.gate import require

routes = web.RouteTableDef()

SHOWN = re.compile(r"image/(?:png|jpeg|gif|webp)|(?:audio|video)/[a-z0-9.+-]+")
"""What a browser shows itself. Everything else is a stranger's file, and only saved."""
PRIVATE = {
    "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
}  # fmt: skip


@routes.get(r"/attachments/{id:\d{1,18}}")
async def attachment(request: web.Request) -> web.Response:
    """Its bytes. Raises NotFound for what is unknown, still on its way, or could not be had."""
    await require(request, Role.agent)
    async with doors(request).book.reading() as r:
        found = await attachments.content(r.session, int(request.match_info["id"]))
    if found is None or found[1] is None:
        raise NotFound("This attachment is not here, or not yet.")
    kept, content = found
    manner = "inline" if SHOWN.fullmatch(kept.media_type) else "attachment"
    headers = {**PRIVATE, "Content-Type": kept.media_type, "Content-Disposition": f'{manner}; filename="{kept.id}"'}
    return web.Response(body=content, headers=headers)
