"""Evidence leaves the house: the signed document, its certificate and the bundle, for supervisors, for programs with
the campaign's key, and for the customer who holds the link to the copy."""

from aiohttp import web

from router.actions import bundling
from router.book import Reading, Writing
from router.model.agents import Role
from router.model.api_keys import Scope
from router.model.deposits import Deposit
from router.model.errors import Busy, NotFound, TooMany
from router.model.quotes import Quote
from router.model.rates import Counted, Limit, full, scopes
from router.model.signings import Signing
from router.ports import Refused
from router.store import archives, blobs, rates, signings
from router.web.api import authorised
from router.web.doors import doors
from router.web.gate import require
from router.web.parsing import row_id

routes = web.RouteTableDef()

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
NO_QUOTE = "There is no such quote."
NOT_SIGNED = "This quote was not signed, or is not sealed yet."
NO_CERTIFICATE = "The certificate of evidence is not made yet."
OF_SIGNING = Limit(20, 3_600)
"""Bundles of one signing in an hour: each is a timestamp and two documents read."""


async def _sealed(r: Reading | Writing, quote_id: int) -> tuple[Quote, Signing]:
    """Raises NotFound."""
    quote = await r.session.get(Quote, quote_id)
    signing = await signings.live_of_quote(r.session, quote_id)
    if quote is None:
        raise NotFound(NO_QUOTE)
    if signing is None or signing.sealed_sha256 is None:
        raise NotFound(NOT_SIGNED)
    return quote, signing


@routes.get(r"/desk/quotes/{id:\d{1,19}}/signed.pdf")
async def signed(request: web.Request) -> web.Response:
    await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        quote, signing = await _sealed(r, row_id(request, NotFound(NO_QUOTE)))
        newest = await archives.newest(r.session, signing.id)
        content = await blobs.content(r.session, newest.sha256 if newest else signing.sealed_sha256)
    return pdf(content or b"", f"{quote.number}-signed.pdf")


@routes.get(r"/desk/quotes/{id:\d{1,19}}/certificate.pdf")
async def certificate(request: web.Request) -> web.Response:
    await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        quote, signing = await _sealed(r, row_id(request, NotFound(NO_QUOTE)))
        content = await certificate_of(r, signing.id)
    return pdf(content, f"{quote.number}-certificate.pdf")


@routes.get(r"/desk/quotes/{id:\d{1,19}}/evidence.zip")
async def evidence(request: web.Request) -> web.Response:
    """The bundle. Who took it is a fact."""
    asker = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        _, signing = await _sealed(r, row_id(request, NotFound(NO_QUOTE)))
    return await bundle(request, signing, by="supervisor", agent_id=asker.agent.id)


@routes.get(r"/desk/quotes/{id:\d{1,19}}/deposited.zip")
async def deposited(request: web.Request) -> web.Response:
    """The very bytes that were given to a keeper, or whose digest was. Who took them is a fact."""
    asker = await require(request, Role.supervisor)
    async with doors(request).book.writing() as w:
        quote, signing = await _sealed(w, row_id(request, NotFound(NO_QUOTE)))
        row = await w.session.get(Deposit, signing.id)
        content = await blobs.content(w.session, row.sha256) if row is not None else None
        if content is None:
            raise NotFound("This evidence was not given to a keeper.")
        w.fact("signing.evidence_taken", campaign_id=signing.campaign_id, lead_id=signing.lead_id,
               subject_id=signing.id, agent_id=asker.agent.id, by="supervisor")  # fmt: skip
    headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{quote.number}-deposited.zip"'}
    return web.Response(body=content, content_type="application/zip", headers=headers)


@routes.get(r"/v1/quotes/{id:\d{1,19}}/evidence")
async def evidence_for_programs(request: web.Request) -> web.Response:
    """The bundle of a signed quote of the key's own campaign; any other is not found."""
    keyed = await authorised(request, Scope.quotes)
    async with doors(request).book.reading() as r:
        quote, signing = await _sealed(r, row_id(request, NotFound(NO_QUOTE)))
    if quote.campaign_id != keyed.campaign.id:
        raise NotFound(NO_QUOTE)
    return await bundle(request, signing, by="key")


async def certificate_of(r: Reading | Writing, signing_id: int) -> bytes:
    """Raises NotFound as long as it is not made."""
    content = await blobs.content(r.session, await archives.certificate(r.session, signing_id))
    if content is None:
        raise NotFound(NO_CERTIFICATE)
    return content


async def bundle(request: web.Request, signing: Signing, *, by: str, agent_id: int | None = None) -> web.Response:
    """The bundle as a download. Raises TooMany, Busy when it cannot be made just now."""
    house = doors(request)
    counted = [Counted("evidence", f"evidence:{signing.id}", OF_SIGNING)]
    async with house.book.writing() as w:
        standing, _ = await rates.draw(w.session, scopes([counted]), w.now)
        if full(counted, standing) is not None:
            raise TooMany("This evidence was taken too often; please try again later.", retry_after=OF_SIGNING.seconds)
        w.fact("signing.evidence_taken", campaign_id=signing.campaign_id, lead_id=signing.lead_id,
               subject_id=signing.id, agent_id=agent_id, by=by)  # fmt: skip
    try:
        made = await bundling.make(house.book, house.trust, signing.id)
    except Refused as refused:
        raise Busy("The evidence cannot be put together just now; please try again in a minute.") from refused
    headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{made.name}"'}
    return web.Response(body=made.content, content_type="application/zip", headers=headers)


def pdf(content: bytes, name: str) -> web.Response:
    headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=content, content_type="application/pdf", headers=headers)
