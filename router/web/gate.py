"""The gate of every page for people who work here: who asks, whether he may, and whether it is really he who asks."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from aiohttp import web

from router.model.agents import Agent, Role
from router.model.errors import Forbidden, NotSignedIn
from router.model.sessions import Session
from router.store import sessions
from router.web.doors import doors
from router.web.parsing import read_form

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Signed:
    """Who is signed in. `form` are the fields of the request's form, read once; empty when it had none."""

    agent: Agent
    session: Session
    form: Mapping[str, str] = field(default_factory=dict)


def cookie_name(request: web.Request) -> str:
    """Over https the name itself makes browsers refuse a cookie set from a sister domain or in the clear."""
    return "__Host-hablemos" if secure(request) else "hablemos"


def secure(request: web.Request) -> bool:
    return doors(request).public_url.startswith("https://")


def peer(request: web.Request) -> str:
    """The asker's address. Behind a proxy it is the last in X-Forwarded-For: what stands before it, the asker wrote."""
    if doors(request).behind_proxy:
        hops = [hop.strip() for hop in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")]
        if hops[-1]:
            return hops[-1]
    return request.remote or ""


def same_origin(request: web.Request) -> None:
    """A changing request must say that it comes from a page of ours. Raises Forbidden when it does not."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if origin is None and site is None:
        raise Forbidden("This request does not say which page it comes from.")
    if site not in (None, "same-origin") or (origin is not None and not from_our_page(request, origin)):
        raise Forbidden("This page may not do that here.")


def from_our_page(request: web.Request, origin: str) -> bool:
    """Whether this origin is our own."""
    public = urlsplit(doors(request).public_url)
    if origin == f"{public.scheme}://{public.netloc}":
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc == request.host


def not_embedded(request: web.Request) -> None:
    """A stream is read by our own pages only. Raises Forbidden."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site") not in (None, "same-origin", "none") or (
        origin is not None and not from_our_page(request, origin)
    ):
        raise Forbidden("This page may not read that.")


async def require(request: web.Request, role: Role) -> Signed:
    """Who is signed in, with at least this role.

    A changing request must come from our own page and carry the session's CSRF word in `X-CSRF` or the field `csrf`.
    A page asked for by nobody leads to the login. Raises NotSignedIn, Forbidden.
    """
    signed = await asker(request, role)
    if request.method in SAFE:
        return signed
    return confirmed(request, signed, await read_form(request) if request.content_type == FORM else {})


async def asker(request: web.Request, role: Role) -> Signed:
    """Who is signed in, with at least this role, as `require` says it; but whether a changing request carries the CSRF
    word is still to be `confirmed`, once its body has been read."""
    changing = request.method not in SAFE
    if changing:
        same_origin(request)
    token = request.cookies.get(cookie_name(request), "")
    async with doors(request).book.reading() as r:
        found = await sessions.signed_in(r.session, token, r.now) if token else None
    if found is None:
        if not changing and "text/html" in request.headers.get("Accept", "") and "HX-Request" not in request.headers:
            raise web.HTTPSeeOther(f"/login?next={quote(request.path_qs, safe='')}")
        raise NotSignedIn("Sign in first.")
    agent, session = found
    if not agent.role.covers(role):
        raise Forbidden("Your role does not cover this page.")
    return Signed(agent, session)


def confirmed(request: web.Request, signed: Signed, form: Mapping[str, str]) -> Signed:
    """The same with the fields of his form. Raises Forbidden when neither they nor the head carry the CSRF word."""
    given = request.headers.get("X-CSRF") or form.get("csrf", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), signed.session.csrf.encode()):
        raise Forbidden("The page is out of date. Load it again.")
    return Signed(signed.agent, signed.session, form)


def page(
    request: web.Request, template: str, locale: str, *, status: int = 200, headers: Mapping[str, str] | None = None,
    **values: object,
) -> web.Response:
    """A page. It tells our own pages where a request came from: without that a browser sends `Origin: null`."""
    text = doors(request).wording.page(template, locale, **values)
    sent = {"Referrer-Policy": "same-origin", **(headers or {})}
    return web.Response(text=text, status=status, content_type="text/html", headers=sent)
