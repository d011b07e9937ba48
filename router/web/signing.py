"""The customer's door: the offer and its signature, at /q. A GET never changes anything: scanners open links."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import web

from router.actions import asking_back, entrusted, holding, inviting, signing
from router.actions.resuming import Coming
from router.actions.signing import NOT_TICKED
from router.book import Reading, Writing
from router.failpoints import fail_here
from router.model.campaigns import Campaign
from router.model.errors import Conflict, Forbidden, Invalid
from router.model.holds import DEVICE_MEMORY
from router.model.quotes import Quote
from router.model.signings import (
    CONSENTS,
    SESSION_LIFE,
    CodeAnswer,
    DeclineReason,
    Signing,
    SigningState,
)
from router.model.vault import hash_token, new_token
from router.model.visitors import Visitor
from router.store import attestations, blobs, countersignatures, holds, signings
from router.web import evidence, offered
from router.web.doors import doors
from router.web.gate import peer, secure
from router.web.lead_body import kept, user_agent
from router.web.offered import Opened
from router.web.parsing import PUBLIC_BYTES, read_form
from router.wording import negotiate

routes = web.RouteTableDef()

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
SIGNATURE_BYTES = 96 * 1024
"""A drawing of 50 KB as text in a form, and the rest of it."""
CALL_ME = "Call me about this offer"
KNOWN_FOR = int(DEVICE_MEMORY.total_seconds())
Verb = Callable[[Writing, Signing, Mapping[str, str], Visitor], Awaitable[str]]


@routes.get("/q/-")
async def step(request: web.Request) -> web.Response:
    """The page of the step the customer is at."""
    return await _page(request)


@routes.get("/q/-/offer")
async def read_again(request: web.Request) -> web.Response:
    """The offer, whatever the step."""
    return await _page(request, template="sign/offer.html")


@routes.get("/q/-/offer.pdf")
async def offer_pdf(request: web.Request) -> web.Response:
    return await _document(request, lambda opened: opened.quote.pdf_sha256, ".pdf", "inline")


@routes.get("/q/-/signed.pdf")
async def signed_pdf(request: web.Request) -> web.Response:
    return await _document(request, lambda opened: opened.signing.sealed_sha256, "-signed.pdf", "attachment")


@routes.get("/q/-/certificate.pdf")
async def certificate_pdf(request: web.Request) -> web.Response:
    async with doors(request).book.reading() as r:
        opened = await _opened(request, r)
        content = None if opened is None else await evidence.certificate_of(r, opened.signing.id)
    return await _answered(request, opened, content, "-certificate.pdf")


@routes.post("/q/-/code")
async def ask_code(request: web.Request) -> web.Response:
    async def verb(w: Writing, held: Signing, form: Mapping[str, str], visitor: Visitor) -> str:
        if await holding.examine(w, held, visitor):
            return f"?note={CodeAnswer.held.value}"
        answer = await inviting.send_code(w, held)
        return "" if answer in (CodeAnswer.sent, CodeAnswer.closed) else f"?note={answer.value}"

    return await _act(request, verb)


@routes.post("/q/-/give")
async def give_code(request: web.Request) -> web.Response:
    async def verb(w: Writing, held: Signing, form: Mapping[str, str], visitor: Visitor) -> str:
        if form.get("code", "").strip():
            await signing.give_code(w, held, form["code"], visitor)
        return ""

    return await _act(request, verb)


@routes.post("/q/-/sign")
async def sign(request: web.Request) -> web.Response:
    async def verb(w: Writing, held: Signing, form: Mapping[str, str], visitor: Visitor) -> str:
        ticked = [consent.id for consent in CONSENTS if f"consent_{consent.id}" in form]
        if await holding.examine(w, held, visitor):
            return f"?note={CodeAnswer.held.value}"
        await signing.sign(w, held, form.get("name", ""), ticked, visitor, form.get("drawing", ""))
        fail_here("signed.before_commit")
        return ""

    answer = await _act(request, verb, SIGNATURE_BYTES)
    if answer.status == web.HTTPSeeOther.status_code:
        fail_here("signed")
    return answer


@routes.post("/q/-/decline")
async def decline(request: web.Request) -> web.Response:
    async def verb(w: Writing, held: Signing, form: Mapping[str, str], visitor: Visitor) -> str:
        given = form.get("reason", "")
        reason = DeclineReason(given) if given in list(DeclineReason) else DeclineReason.other
        await signing.decline(w, held, reason, visitor)
        return ""

    return await _act(request, verb)


@routes.post("/q/-/call")
async def call_me(request: web.Request) -> web.Response:
    """A call about this offer, by whoever made it."""

    async def verb(w: Writing, held: Signing, form: Mapping[str, str], visitor: Visitor) -> str:
        opened = await opened_of(w, held)
        if opened is None:
            return ""
        locale, keep = opened.quote.locale, opened.campaign.keep_address
        text = doors(request).wording.say(CALL_ME, locale)
        coming = Coming(text, locale, kept(visitor.ip, keep), user_agent(request), page="/q")
        asked = await asking_back.ask(w, held, visitor, coming)
        return "?note=called" if asked else "?note=calling"

    return await _act(request, verb)


@routes.get("/q/copy/{token}")
async def copy_landing(request: web.Request) -> web.Response:
    async with doors(request).book.reading() as r:
        opened = await _by_copy(request, r)
        certified = opened is not None and await attestations.of_signing(r.session, opened.signing.id) is not None
        counter = None if opened is None else await countersignatures.of_signing(r.session, opened.signing.id)
    if opened is None:
        return await gone(request)
    company, locale = offered.company_of(opened.campaign), opened.quote.locale
    page = doors(request).wording.page(
        "sign/copy.html", locale, company=company, token=request.match_info["token"], certified=certified,
        counter=counter, zone=opened.campaign.timezone,
    )
    return _html(page)


@routes.post("/q/copy/{token}")
async def copy(request: web.Request) -> web.Response:
    check_origin(request)
    async with doors(request).book.writing() as w:
        opened = await _by_copy(request, w)
        content = None if opened is None else await signing.fetch_copy(w, opened.signing, visitor_of(request))
    return await _answered(request, opened, content, "-signed.pdf")


@routes.post("/q/copy/{token}/certificate")
async def copy_of_certificate(request: web.Request) -> web.Response:
    check_origin(request)
    async with doors(request).book.reading() as r:
        opened = await _by_copy(request, r)
        content = None if opened is None else await evidence.certificate_of(r, opened.signing.id)
    return await _answered(request, opened, content, "-certificate.pdf")


@routes.post("/q/copy/{token}/evidence")
async def copy_of_evidence(request: web.Request) -> web.Response:
    check_origin(request)
    async with doors(request).book.reading() as r:
        opened = await _by_copy(request, r)
    return await gone(request) if opened is None else await evidence.bundle(request, opened.signing, by="customer")


@routes.get("/q/{token}")
async def landing(request: web.Request) -> web.Response:
    """Inert: who wrote, and a button. Nothing personal, so that a preview shows nothing."""
    token = request.match_info["token"]
    async with doors(request).book.reading() as r:
        opened = await opened_of(r, await signings.by_link(r.session, hash_token(token), r.now))
    if opened is None:
        return await _not_opened(request, token)
    company, locale, elsewhere = offered.company_of(opened.campaign), opened.quote.locale, opened.signing.is_entrusted
    page = doors(request).wording.page("sign/landing.html", locale, company=company, token=token, elsewhere=elsewhere)
    return _html(page)


@routes.post("/q/{token}")
async def open_offer(request: web.Request) -> web.Response:
    """Opens the offer in this browser: the link's secret is exchanged for a cookie and leaves the address bar."""
    check_origin(request)
    token, device = request.match_info["token"], request.cookies.get(_device_name(request), "")[:64] or new_token()
    visitor = replace(visitor_of(request), device=device)
    async with doors(request).book.writing() as w:
        elsewhere = await entrusted.opened_here(w, token, visitor)
        result = None if elsewhere else await signing.open_link(w, token, visitor)
        opened = await opened_of(w, elsewhere.signing) if elsewhere else None
    if elsewhere is not None and opened is not None:
        company, locale = offered.company_of(opened.campaign), opened.quote.locale
        return _html(doors(request).wording.page("sign/elsewhere.html", locale, company=company, offer=elsewhere))
    if result is None:
        return await _not_opened(request, request.match_info["token"])
    response = _see_other("/q/-")
    for name, secret, life in (
        (_cookie_name(request), result[1], int(SESSION_LIFE.total_seconds())),
        (_device_name(request), device, KNOWN_FOR),
    ):
        response.set_cookie(
            name, secret, max_age=life, path="/", httponly=True, secure=secure(request), samesite="Lax"
        )
    return response


async def _page(request: web.Request, template: str = "") -> web.Response:
    async with doors(request).book.reading() as r:
        opened = await _opened(request, r)
    if opened is None:
        return await gone(request)
    note = request.query.get("note", "")
    csrf = _csrf(request, opened.quote)
    return _html(offered.page(doors(request).wording, opened, r.now, csrf, template=template, note=note))


async def _document(
    request: web.Request, which: Callable[[Opened], bytes | None], ending: str, disposition: str
) -> web.Response:
    async with doors(request).book.reading() as r:
        opened = await _opened(request, r)
        content = None if opened is None else await blobs.content(r.session, which(opened))
    return await _answered(request, opened, content, ending, disposition)


async def _answered(
    request: web.Request, opened: Opened | None, content: bytes | None, ending: str, disposition: str = "attachment"
) -> web.Response:
    if opened is None or content is None:
        return await gone(request)
    return pdf_answer(content, f"{opened.quote.number}{ending}", disposition)


async def _act(request: web.Request, verb: Verb, most_bytes: int = PUBLIC_BYTES) -> web.Response:
    """One act of the customer: from our own page, with the form's secret; then back to the page of the step. It counts
    from the moment at which the request began to arrive."""
    check_origin(request)
    began = asyncio.get_running_loop().time()
    form = await read_form(request, most_bytes)
    opened: Opened | None = None
    try:
        async with doors(request).book.writing() as w:
            since = timedelta(seconds=asyncio.get_running_loop().time() - began)
            opened = await _opened(request, w, since)
            if opened is None:
                return await gone(request)
            if not hmac.compare_digest(_csrf(request, opened.quote).encode(), form.get("csrf", "").encode()):
                raise Forbidden("This form is too old. Please open the link in your text message again.")
            query = await verb(w, opened.signing, form, replace(visitor_of(request), since=since))
    except Invalid as error:
        assert opened is not None  # noqa: S101  only the verb looks at the fields
        return await _marked(request, form, error)
    except Conflict:
        return _see_other("/q/-")  # it has moved on meanwhile: the page says where it stands
    return _see_other(f"/q/-{query}")


async def _marked(request: web.Request, form: Mapping[str, str], error: Invalid) -> web.Response:
    """The signature's page again, with what was typed and every fault marked."""
    async with doors(request).book.reading() as r:
        opened = await _opened(request, r)
    if opened is None or opened.signing.state is not SigningState.verified:
        return _see_other("/q/-")
    faults = {error.pointer or "": error}
    for consent in CONSENTS:
        if consent.required and f"consent_{consent.id}" not in form:
            faults[f"/consents/{consent.id}"] = Invalid(NOT_TICKED)
    csrf = _csrf(request, opened.quote)
    return _html(offered.page(doors(request).wording, opened, r.now, csrf, form=form, errors=faults), status=422)


async def _opened(request: web.Request, r: Reading | Writing, since: timedelta = timedelta(0)) -> Opened | None:
    """What is open in this browser, or was when the request began so long ago."""
    cookie = cookie_of(request)
    return await opened_of(r, await signings.by_cookie(r.session, hash_token(cookie), r.now - since))


async def _by_copy(request: web.Request, r: Reading | Writing) -> Opened | None:
    """What the link to the copy is to."""
    return await opened_of(r, await signings.by_copy(r.session, hash_token(request.match_info["token"])))


async def opened_of(r: Reading | Writing, found: Signing | None) -> Opened | None:
    if found is None:
        return None
    quote = await r.session.get(Quote, found.quote_id)
    campaign = await r.session.get(Campaign, found.campaign_id)
    if quote is None or campaign is None:
        return None
    return Opened(found, quote, campaign, held=bool(await holds.open_of(r.session, quote.id)))


async def _not_opened(request: web.Request, token: str) -> web.Response:
    """Who holds the link of an offer that was replaced is told so; to everybody else all links look alike."""
    async with doors(request).book.reading() as r:
        opened = await opened_of(r, await signings.replaced(r.session, hash_token(token)))
    if opened is None:
        return await gone(request)
    company, locale = offered.company_of(opened.campaign), opened.quote.locale
    return _html(doors(request).wording.page("sign/replaced.html", locale, company=company), status=410)


async def gone(request: web.Request) -> web.Response:
    """One page for every link that opens nothing: unknown, guessed, used, expired, cut off. It tells nothing apart."""
    async with doors(request).book.reading() as r:
        only = await signings.only_campaign(r.session)
    locale = negotiate(request.headers.get("Accept-Language"), only.locale if only else None)
    page = doors(request).wording.page("sign/gone.html", locale, company=offered.company_of(only))
    return _html(page, status=404)


def check_origin(request: web.Request) -> None:
    """Refuses what another site's page sends. Our pages send no referrer, for which browsers say `Origin: null`; so the
    origin alone is no proof here, and a form's secret or a link's is asked for as well. Raises Forbidden."""
    public = urlsplit(doors(request).public_url)
    ours = {None, "null", f"{public.scheme}://{public.netloc}", f"{request.scheme}://{request.host}"}
    if request.headers.get("Origin") not in ours:
        raise Forbidden("This page may not do that here.")
    if request.headers.get("Sec-Fetch-Site") not in (None, "same-origin", "none"):
        raise Forbidden("This page may not do that here.")


def _csrf(request: web.Request, quote: Quote) -> str:
    """A form's secret: bound to this browser's cookie and to the very words of the offer it was shown beside."""
    cookie = cookie_of(request)
    return doors(request).book.vault.mac("sign-form", cookie, (quote.canonical_sha256 or b"").hex()).hex()


def cookie_of(request: web.Request) -> str:
    """The secret of the offer that is open in this browser, "" where none is."""
    return request.cookies.get(_cookie_name(request), "")


def _cookie_name(request: web.Request) -> str:
    return "__Host-signing" if secure(request) else "signing"


def _device_name(request: web.Request) -> str:
    return "__Host-device" if secure(request) else "device"


def visitor_of(request: web.Request) -> Visitor:
    device = request.cookies.get(_device_name(request), "")[:64]
    return Visitor(peer(request), request.headers.get("User-Agent", ""), device)


def _see_other(path: str) -> web.Response:
    return web.Response(status=web.HTTPSeeOther.status_code, headers={**PRIVATE, "Location": path})


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=PRIVATE)


def pdf_answer(content: bytes, name: str, disposition: str) -> web.Response:
    headers = {**PRIVATE, "Content-Disposition": f'{disposition}; filename="{name}"'}
    return web.Response(body=content, content_type="application/pdf", headers=headers)
