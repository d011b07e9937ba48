"""`/withdraw/{token}`: withdrawing from a signed contract, in two steps, by the link to the signed copy, the link that
acknowledges a withdrawal, or ("-") in the browser that signed. A GET changes nothing."""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from router.actions import revoking
from router.book import Reading, Writing
from router.model.contract_withdrawals import ContractWithdrawal, ends_at, last_minute
from router.model.errors import Forbidden
from router.model.phone import masked
from router.model.signings import SIGNED
from router.model.vault import hash_token
from router.store import blobs, contract_withdrawals, signings
from router.web import offered
from router.web.doors import doors
from router.web.offered import Opened
from router.web.parsing import read_form
from router.web.signing import PRIVATE, check_origin, cookie_of, gone, opened_of, pdf_answer, visitor_of
from router.wording import moment

routes = web.RouteTableDef()
HERE = "-"
TITLE = ("title", "company")


@routes.get("/withdraw/{token}")
async def first_step(request: web.Request) -> web.Response:
    """What may be withdrawn from, until when, and how; or what became of it."""
    standing = await _standing(request)
    return await gone(request) if standing is None else _page(request, *standing)


@routes.post("/withdraw/{token}")
async def second_step(request: web.Request) -> web.Response:
    """Without `confirm` it asks once more; with it the withdrawal is declared."""
    check_origin(request)
    form = await read_form(request)
    standing = await _standing(request)
    if standing is None:
        return await gone(request)
    found, made, _ = standing
    if not hmac.compare_digest(_csrf(request).encode(), form.get("csrf", "").encode()):
        raise Forbidden("This form is too old. Please open the link in your text message again.")
    if made is None and "confirm" not in form:
        return _page(request, *standing, confirming=True)
    if made is None:
        await revoking.withdraw(doors(request).book, found.signing.id, visitor_of(request))
    raise web.HTTPSeeOther(f"/withdraw/{request.match_info['token']}")


@routes.post("/withdraw/{token}/acknowledgement")
async def acknowledgement(request: web.Request) -> web.Response:
    """The sealed acknowledgement."""
    check_origin(request)
    async with doors(request).book.reading() as r:
        found = await _found(request, r)
        made = None if found is None else await contract_withdrawals.of_signing(r.session, found.signing.id)
        content = None if made is None else await blobs.content(r.session, made.sealed_sha256)
    if found is None or content is None:
        return await gone(request)
    return pdf_answer(content, f"{found.quote.number}-withdrawal.pdf", "attachment")


async def _standing(request: web.Request) -> tuple[Opened, ContractWithdrawal | None, datetime] | None:
    """The contract, its withdrawal if there is one, and when it was looked at (aware)."""
    async with doors(request).book.reading() as r:
        found = await _found(request, r)
        if found is None:
            return None
        return found, await contract_withdrawals.of_signing(r.session, found.signing.id), r.now


async def _found(request: web.Request, r: Reading | Writing) -> Opened | None:
    token = request.match_info["token"]
    if token == HERE:
        signing = await signings.by_cookie(r.session, hash_token(cookie_of(request)), r.now)
    else:
        signing = await signings.by_copy(r.session, hash_token(token)) or await contract_withdrawals.by_link(
            r.session, hash_token(token)
        )
    return await opened_of(r, signing) if signing is not None and signing.state in SIGNED else None


def _ends(found: Opened) -> datetime:
    assert found.signing.signed_at is not None  # noqa: S101  its state says so
    return ends_at(found.signing.signed_at, found.campaign.country, found.campaign.timezone)


def _page(
    request: web.Request, found: Opened, made: ContractWithdrawal | None, now: datetime, *, confirming: bool = False
) -> web.Response:
    zone, locale = found.campaign.timezone, found.quote.locale
    values: Mapping[str, Any] = {
        "company": offered.company_of(found.campaign), "number": f"{found.quote.number}/{found.quote.version}",
        "name": found.signing.name_typed, "phone": masked(found.signing.phone), "made": made,
        "late": now >= _ends(found),
        "signed_at": moment(found.signing.signed_at, zone, locale) if found.signing.signed_at else "",
        "ends_at": moment(last_minute(_ends(found)), zone, locale), "at": moment(made.at, zone, locale) if made else "",
        "lines": [line for line in made.lines if line["kind"] not in TITLE] if made else [],
        "confirming": confirming, "csrf": _csrf(request), "address": f"/withdraw/{request.match_info['token']}",
    }
    text = doors(request).wording.page("sign/withdraw.html", locale, **values)
    return web.Response(text=text, content_type="text/html", headers=PRIVATE)


def _csrf(request: web.Request) -> str:
    """The form's secret: bound to the link, or to the browser that signed."""
    token = request.match_info["token"]
    return doors(request).book.vault.mac("withdraw-form", cookie_of(request) if token == HERE else token).hex()
