"""`/u/{token}`: the link in every commercial mail. A GET changes nothing, for scanners open links; a POST ends such
mails, whether a person presses the button or a mail program asks by itself (RFC 8058).

The token is the secret: no cookie, no form's secret and no origin is asked for, because mail programs have none.
"""

from aiohttp import web

from router.actions.unsubscribing import unsubscribe
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import NotFound
from router.model.unsubscribes import Unsubscribe
from router.model.vault import hash_token
from router.store import addresses
from router.store.db import ReadSession
from router.web import offered
from router.web.doors import doors
from router.web.parsing import read_bytes

routes = web.RouteTableDef()

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
ONE_CLICK = b"List-Unsubscribe"


async def _known(request: web.Request, session: ReadSession) -> tuple[Unsubscribe, Campaign, str]:
    """The link, its brand, and the person's language. Raises NotFound."""
    link = await addresses.link(session, hash_token(request.match_info["token"]))
    campaign = await session.get(Campaign, link.campaign_id) if link else None
    contact = await session.get(Contact, link.contact_id) if link else None
    if link is None or campaign is None or contact is None:
        raise NotFound("This link does not lead anywhere. It may be incomplete, or no longer valid.")
    return link, campaign, contact.locale


@routes.get("/u/{token}")
async def landing(request: web.Request) -> web.Response:
    """Inert: who wrote, and a button. Nothing personal, so that a preview shows nothing."""
    async with doors(request).book.reading() as r:
        _, campaign, locale = await _known(request, r.session)
    return _page(request, "email/unsubscribe.html", campaign, locale)


@routes.post("/u/{token}")
async def end(request: web.Request) -> web.Response:
    """Ends commercial mails. Twice is once."""
    body = await read_bytes(request)
    async with doors(request).book.writing() as w:
        link, campaign, locale = await _known(request, w.session)
        await unsubscribe(w, link)
    if ONE_CLICK in body:
        return web.Response(text="", headers=PRIVATE)
    return _page(request, "email/unsubscribed.html", campaign, locale)


def _page(request: web.Request, template: str, campaign: Campaign, locale: str) -> web.Response:
    text = doors(request).wording.page(
        template, locale, company=offered.company_of(campaign), brand=campaign.name,
        token=request.match_info["token"],
    )
    return web.Response(text=text, content_type="text/html", headers=PRIVATE)
