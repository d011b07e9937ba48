"""Receipts of consent: as evidence for supervisors, as JSON, and as the visitor's own page where he takes them back."""

import msgspec
from aiohttp import web

from router.actions import consenting
from router.actions.withdrawing import PURPOSES, withdraw
from router.model.agents import Role
from router.model.api_keys import Scope
from router.model.campaigns import Campaign
from router.model.elsewhere import COMMERCIAL
from router.model.errors import Conflict, Invalid, NotFound
from router.model.forms import consents
from router.model.intake import Agreed
from router.model.phone import unbroken
from router.model.vault import hash_token
from router.store import receipts
from router.store.receipts import Agreements, Kept
from router.web.api import authorised
from router.web.doors import Doors, doors
from router.web.gate import page, peer, require, same_origin
from router.web.lead_body import kept, user_agent
from router.web.parsing import read_form

routes = web.RouteTableDef()

PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


async def _of_lead(request: web.Request) -> Agreements:
    """The lead's receipts. Raises NotFound, NotSignedIn, Forbidden."""
    number = request.match_info["lead"]
    async with doors(request).book.reading() as r:
        found = await receipts.of_lead(r.session, int(number)) if len(number) < 19 else None
    if found is None:
        raise NotFound("There is no such lead.")
    return found


@routes.get(r"/receipts/{lead:\d+}")
async def receipts_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    found = await _of_lead(request)
    return page(
        request, "receipts/lead.html", signed.agent.locale, headers=PRIVATE, agent=signed.agent,
        csrf=signed.session.csrf, found=found, zone=found.campaign.timezone,
    )


@routes.get(r"/v1/leads/{lead:\d+}/receipts")
async def receipts_json(request: web.Request) -> web.Response:
    """For a supervisor, or for a program with a key of the lead's campaign: another brand's lead is not there."""
    keyed = await authorised(request, Scope.read) if "Authorization" in request.headers else None
    if keyed is None:
        await require(request, Role.supervisor)
    found = await _of_lead(request)
    if keyed is not None and keyed.campaign.id != found.campaign.id:
        raise NotFound("There is no such lead.")
    body = {"lead": found.lead.id, "receipts": [_as_json(one) for one in found.receipts]}
    return web.Response(body=msgspec.json.encode(body), content_type="application/json", headers=PRIVATE)


def _as_json(kept: Kept) -> dict[str, object]:
    receipt = kept.receipt
    return {
        "id": receipt.id, "purposes": receipt.purposes, "text": receipt.text, "text_sha256": receipt.text_sha256,
        "text_sha256_recomputed": kept.recomputed, "intact": kept.intact, "version": receipt.version,
        "locale": receipt.locale, "method": receipt.method, "address": receipt.address,
        "user_agent": receipt.user_agent, "page": receipt.page, "given_at": receipt.given_at,
        "client_at": receipt.client_at, "last_used_at": kept.used_at,
        "withdrawn": [
            {"purpose": purpose, "at": one.at, "method": one.method, "agent": one.agent_id}
            for purpose, one in kept.withdrawn.items()
        ],
    }


async def _of_visitor(request: web.Request) -> Agreements:
    async with doors(request).book.reading() as r:
        found = await receipts.of_status(r.session, hash_token(request.match_info["token"]))
    if found is None:
        raise NotFound("This link does not lead anywhere. It may be incomplete, or no longer valid.")
    return found


@routes.get("/s/{token}/consent")
async def consent_page(request: web.Request) -> web.Response:
    """What the visitor agreed to with this request. Looking changes nothing."""
    found = await _of_visitor(request)
    async with doors(request).book.reading() as r:
        has_agreed = COMMERCIAL in await receipts.agreed(r.session, found.lead.contact_id)
    return page(
        request, "receipts/mine.html", found.lead.locale, headers=PRIVATE, found=found, zone=found.campaign.timezone,
        address=request.path, token=request.match_info["token"], brand=found.campaign.name,
        company=found.campaign.company_name, where=str(found.campaign.company.get("address", "")),
        phone=found.phone, phone_shown=unbroken(found.phone),
        offers=None if has_agreed else offers_text(doors(request), found.campaign, found.lead.locale),
    )


def offers_text(house: Doors, campaign: Campaign, locale: str) -> Agreed | None:
    """What is to be agreed to for offers, if this campaign asks for it at all."""
    texts = consents(campaign, locale, house.wording.say)
    return next((Agreed((one.purpose,), one.text, one.version) for one in texts if one.purpose == COMMERCIAL), None)


def as_read(text: Agreed | None, digest: str) -> Agreed:
    """The text if it is the one that was read, by its SHA-256 (hex). Raises Conflict when there is another by now."""
    if text is None or text.sha256 != digest:
        raise Conflict("This text has changed meanwhile. Load the page and read it again.")
    return text


@routes.post("/s/{token}/consent")
async def take_back(request: web.Request) -> web.Response:
    """Takes one purpose back. Pressing twice is pressing once."""
    same_origin(request)
    form = await read_form(request)
    purpose = form.get("purpose", "")
    if purpose not in PURPOSES:
        raise Invalid("This is not one of the choices.", pointer="/purpose")
    found = await _of_visitor(request)
    async with doors(request).book.writing() as w:
        await withdraw(w, found.lead.id, purpose, method="link")
    raise web.HTTPSeeOther(request.path)


@routes.post("/s/{token}/consent/give")
async def agree(request: web.Request) -> web.Response:
    """The visitor agrees to offers, later than with his request. Pressing twice is pressing once."""
    same_origin(request)
    form = await read_form(request)
    found = await _of_visitor(request)
    agreed = as_read(offers_text(doors(request), found.campaign, found.lead.locale), form.get("text", ""))
    way = consenting.Way(
        "link", address=kept(peer(request), found.campaign.keep_address), user_agent=user_agent(request),
        page="/s/consent", locale=found.lead.locale,
    )
    async with doors(request).book.writing() as w:
        await consenting.give(w, found.lead.id, agreed, way)
    raise web.HTTPSeeOther(request.path.removesuffix("/give"))
