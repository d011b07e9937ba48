"""What anybody needs to judge our seals: the authority's certificates, and its lists of revoked ones."""

from collections.abc import Mapping

from aiohttp import web

from router.actions import trusting
from router.model.authority import ISSUING, ROOT, seals_file
from router.model.errors import NotFound
from router.store import authority
from router.web.doors import doors

routes = web.RouteTableDef()

NOT_YET = "The authority has not published this yet."
AN_HOUR: Mapping[str, str] = {"Cache-Control": "public, max-age=3600"}


@routes.get("/pki/issuing.crl")
async def issuing_list(request: web.Request) -> web.Response:
    return await _list(request, ISSUING)


@routes.get("/pki/root.crl")
async def root_list(request: web.Request) -> web.Response:
    return await _list(request, ROOT)


@routes.get("/pki/issuing.pem")
async def issuing(request: web.Request) -> web.Response:
    async with doors(request).book.reading() as r:
        row = await authority.find(r.session)
    if row is None or row.issuing_certificate is None:
        raise NotFound(NOT_YET)
    headers = {**AN_HOUR, "Content-Disposition": 'attachment; filename="issuing.pem"'}
    return web.Response(body=row.issuing_certificate, content_type="application/x-pem-file", headers=headers)


@routes.get("/pki/seals.pem")
async def seals(request: web.Request) -> web.Response:
    """The company's own seals under other roots, for `hablemos verify --seals`."""
    async with doors(request).book.reading() as r:
        found = (await trusting.trusted(r.session)).seals
    now = doors(request).trust.own_seal
    listed = seals_file((one.chain, None if one.chain == now else one.until) for one in found)
    headers = {**AN_HOUR, "Content-Disposition": 'attachment; filename="seals.pem"'}
    return web.Response(body=listed, content_type="application/x-pem-file", headers=headers)


async def _list(request: web.Request, issuer: str) -> web.Response:
    async with doors(request).book.reading() as r:
        found = await authority.crl(r.session, issuer)
    if found is None:
        raise NotFound(NOT_YET)
    answer = web.Response(body=found.content, content_type="application/pkix-crl", headers=AN_HOUR)
    answer.last_modified = found.issued_at
    return answer
