"""What every request passes: a request id, security headers, one translation of errors, one log line."""

import logging
import os
import time
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from router.logs import request_id
from router.model import errors
from router.store.db import contended, lost_connection
from router.web.doors import doors
from router.web.gate import cookie_name
from router.web.leads import allow_origin
from router.wording import Wording, negotiate

log = logging.getLogger("hablemos.web")

STATUS: dict[type[errors.HouseError], int] = {
    errors.Invalid: 422,
    errors.Unreadable: 400,
    errors.UnknownType: 415,
    errors.TooLarge: 413,
    errors.TooSlow: 408,
    errors.NotSignedIn: 401,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Forbidden: 403,
    errors.NotAllowedNow: 429,
    errors.Busy: 503,
    errors.Locked: 423,
    errors.TooMany: 429,
    errors.SpendCapped: 429,
    errors.Closed: 403,
    errors.NumberRefused: 422,
    errors.ManyInvalid: 422,
    errors.ProofNeeded: 403,
}

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
}
PRIVATE = (
    "/desk", "/wallboard", "/q/", "/withdraw/", "/sales/", "/s/", "/login", "/setup", "/imports", "/merges", "/why/",
    "/d/", "/brochures",
)  # fmt: skip
"""Of what begins so no browser keeps a copy."""
REQUEST_ID = web.RequestKey("request id", str)
UNROUTED = {404: "There is no such page.", 405: "This address does not take such requests."}
RETRY_AFTER = {429: "60", 503: "2"}


def _as_house_error(error: Exception) -> tuple[int, errors.HouseError]:
    if isinstance(error, errors.HouseError):
        return STATUS.get(type(error), 400), error
    if isinstance(error, web.HTTPException):
        phrase = HTTPStatus(error.status).phrase
        known = errors.HouseError(UNROUTED.get(error.status, f"{phrase}."))
        known.code = phrase.lower().replace(" ", "-")
        return error.status, known
    if lost_connection(error):
        return 503, errors.Busy("The service cannot reach its database just now. Nothing was stored; please try again.")
    if contended(error):
        return 503, errors.Busy("Too much is happening at once. Nothing was stored; please try again.")
    broken = errors.HouseError("Something went wrong on our side. Nothing was stored; please try again.")
    broken.code = "internal"
    return 500, broken


def problem(status: int, error: errors.HouseError, locale: str, wording: Wording) -> web.Response:
    """The error as an RFC 9457 document."""
    said = wording.say(error.sentence, locale, **error.values)
    body: dict[str, Any] = {
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": error.code, "detail": said,
        "language": locale, **error.members,
    }
    faults = error.faults if isinstance(error, errors.ManyInvalid) else [error]
    if error.pointer is not None:
        body["errors"] = [
            {"pointer": one.pointer, "detail": wording.say(one.sentence, locale, **one.values)} for one in faults
        ]
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/problem+json")


def wants_page(request: web.Request) -> bool:
    accept = request.headers.get("Accept", "")
    return "text/html" in accept and "json" not in accept and "HX-Request" not in request.headers


def _way_on(request: web.Request) -> str:
    """Where an error page leads who works here: "desk", "login", or "" for everybody else."""
    if cookie_name(request) in request.cookies:
        return "desk"
    return "login" if request.path.startswith("/setup/") else ""


def answer(request: web.Request, error: Exception) -> web.Response:
    """The one place where an error becomes an answer: a problem document, or a page for a person."""
    status, known = _as_house_error(error)
    locale = negotiate(request.headers.get("Accept-Language"))
    wording = doors(request).wording
    if wants_page(request):
        said = wording.say(known.sentence, locale, **known.values)
        page = wording.page("errors/page.html", locale, status=status, sentence=said, way_on=_way_on(request))
        response = web.Response(text=page, status=status, content_type="text/html")
    else:
        response = problem(status, known, locale, wording)
    if known.retry_after is not None or status in RETRY_AFTER:
        response.headers["Retry-After"] = str(known.retry_after or RETRY_AFTER.get(status, 1))
    if status == 401 and request.path.startswith("/v1/"):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return response


def _route(request: web.Request) -> str:
    """The address with its tokens left out: only the route's pattern is logged."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "-"


@web.middleware
async def house(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives the request its id, translates errors, sets headers, writes one line without anything personal."""
    name = os.urandom(8).hex()
    marker = request_id.set(name)
    request[REQUEST_ID] = name
    began = time.perf_counter()
    status = 500
    try:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = answer(request, error)
        except Exception as error:
            response = answer(request, error)
            if response.status >= 500:
                log.error("request failed", exc_info=response.status == 500,
                          extra={"route": _route(request), "error": type(error).__name__})
        status = response.status
        return response
    except web.HTTPException as redirect:
        status = redirect.status
        raise
    finally:
        if log.isEnabledFor(logging.INFO):
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            log.info("request", extra={"method": request.method, "route": _route(request), "status": status,
                                       "ms": milliseconds})
        request_id.reset(marker)


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every response, streams included, before its head is sent; a handler's own value wins."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    path = request.path
    if path == "/v1/leads" or (path.startswith(("/s/", "/v1/sites/")) and response.status >= 400):
        allow_origin(request, response)  # errors too: the page has to read them
    if path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "public, max-age=300")
    elif path.startswith(PRIVATE):
        response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Request-Id", request.get(REQUEST_ID, "-"))
