"""Signing in and out, and the one-time link that makes the first administrator."""

import re
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

from router.actions import presence
from router.model.agents import Agent, Role, Wish
from router.model.errors import Conflict, Invalid, NotAllowedNow, NotFound
from router.model.sessions import SESSION_LIFE
from router.store import agents, sessions
from router.web.doors import doors
from router.web.gate import cookie_name, page, peer, require, same_origin, secure
from router.web.parsing import read_form
from router.web.passwords import LONGEST, SHORTEST, hashed, matches
from router.wording import negotiate

routes = web.RouteTableDef()

PAIR_TRIES, ADDRESS_TRIES, LOGIN_TRIES = 5, 30, 100
"""Failed tries in fifteen minutes: of one login from one address, from one address, of one login from anywhere. The
last is high, so that a stranger cannot lock an agent out."""

class Tries(NamedTuple):
    """What a try is counted under."""

    pair: str
    address: str
    login: str


_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
_GONE = "This link is not valid any more."


def safe_next(wanted: str) -> str:
    """Where to go after the login: a path of ours and nothing else."""
    return wanted if re.fullmatch(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}", wanted) else "/desk"


def _locale(request: web.Request) -> str:
    return negotiate(request.headers.get("Accept-Language"))


@routes.get("/login")
async def login_page(request: web.Request) -> web.Response:
    following = safe_next(request.query.get("next", ""))
    return page(request, "desk/login.html", _locale(request), next=following, login="", wrong=False)


@routes.post("/login")
async def sign_in(request: web.Request) -> web.StreamResponse:
    """The same answer, after the same time, whether the login is unknown, disabled, or the password wrong."""
    same_origin(request)
    form = await read_form(request)
    login, following = form.get("login", "").strip()[:100], safe_next(form.get("next", ""))
    tries = Tries(f"pair:{login}:{peer(request)}", f"address:{peer(request)}", f"login:{login}")
    await _count(request, tries)
    async with doors(request).book.reading() as r:
        agent = await agents.by_login(r.session, login)
    active = agent if agent is not None and agent.disabled_at is None else None
    if not await matches(active.password_hash if active else None, form.get("password", "")) or active is None:
        return page(
            request, "desk/login.html", _locale(request), status=HTTPStatus.UNAUTHORIZED, next=following, login=login,
            wrong=True,
        )
    return await _welcome(request, active, following, tries)


async def _count(request: web.Request, tries: Tries) -> None:
    """Counts the try before it is made: many at once gain nothing. Raises NotAllowedNow."""
    limits = dict(zip(tries, (PAIR_TRIES, ADDRESS_TRIES, LOGIN_TRIES), strict=True))
    async with doors(request).book.writing() as w:
        counts = await sessions.count_tries(w.session, list(limits), w.now)
    if any(counts[scope] > most for scope, most in limits.items()):
        raise NotAllowedNow("Too many tries to sign in. Wait a quarter of an hour and try again.")


async def _welcome(request: web.Request, agent: Agent, following: str, tries: Tries | None = None) -> web.Response:
    """A new session under a new name; the one the browser brought along, if any, ends. Only failures stay counted: an
    office behind one address signs in every morning."""
    async with doors(request).book.writing() as w:
        await sessions.close_session(w.session, request.cookies.get(cookie_name(request), ""))
        if tries is not None:
            await sessions.succeeded(w.session, tries.pair, [tries.address, tries.login])
        opened = await sessions.open_session(w.session, agent.id, w.now)
        w.fact("agent.signed_in", subject_id=agent.id, agent_id=agent.id)
    response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": following})
    response.set_cookie(
        cookie_name(request), opened.token, max_age=int(SESSION_LIFE.total_seconds()), path="/", httponly=True,
        secure=secure(request), samesite="Lax",
    )
    return response


@routes.post("/logout")
async def sign_out(request: web.Request) -> web.Response:
    """Ends the session; who leaves is off, so that no telephone rings at an empty chair."""
    signed = await require(request, Role.agent)
    async with doors(request).book.writing() as w:
        await sessions.close_session(w.session, request.cookies.get(cookie_name(request), ""))
        await presence.set_wish(w, signed.agent.id, Wish.off)
        w.fact("agent.signed_out", subject_id=signed.agent.id, agent_id=signed.agent.id)
        w.hint(f"agent:{signed.agent.id}")
    response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/login"})
    response.del_cookie(cookie_name(request), path="/", secure=secure(request), httponly=True, samesite="Lax")
    return response


@routes.get("/setup/{token}")
async def setup_page(request: web.Request) -> web.Response:
    await _check_link(request)
    return page(request, "desk/setup.html", _locale(request), shortest=SHORTEST, longest=LONGEST, fault=None, form={})


async def _check_link(request: web.Request) -> None:
    async with doors(request).book.reading() as r:
        if not await sessions.setup_link_open(r.session, request.match_info["token"], r.now):
            raise NotFound(_GONE)


@routes.post("/setup/{token}")
async def set_up(request: web.Request) -> web.StreamResponse:
    """Makes the first administrator. The link is used up in the same transaction."""
    same_origin(request)
    await _check_link(request)
    form = await read_form(request)
    try:
        name, login, password = _first_administrator(form)
    except Invalid as fault:
        return page(
            request, "desk/setup.html", _locale(request), status=HTTPStatus.UNPROCESSABLE_ENTITY, shortest=SHORTEST,
            longest=LONGEST, fault=fault, form=form,
        )
    password_hash = await hashed(password)
    async with doors(request).book.writing() as w:
        if not await sessions.use_setup_link(w.session, request.match_info["token"], w.now):
            raise NotFound(_GONE)
        if await agents.by_login(w.session, login) is not None:
            raise Conflict("This login is taken.")
        agent = Agent(login=login, name=name, role=Role.admin, password_hash=password_hash, address=f"client:{login}",
                      locale=_locale(request))
        w.session.add(agent)
        await w.session.flush()
        w.fact("agent.created", subject_id=agent.id, agent_id=agent.id, role=Role.admin.value)
    return await _welcome(request, agent, "/desk")


def _first_administrator(form: dict[str, str]) -> tuple[str, str, str]:
    """Name, login and password. Raises Invalid naming the field."""
    name, login, password = form.get("name", "").strip(), form.get("login", "").strip(), form.get("password", "")
    if not 1 <= len(name) <= 100:
        raise Invalid("Write your name, at most 100 characters.", pointer="/name")
    if not _LOGIN.fullmatch(login):
        raise Invalid("A login has 2 to 40 small letters, digits, dots or dashes.", pointer="/login")
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid("A password has at least 10 characters.", pointer="/password")
    return name, login, password
