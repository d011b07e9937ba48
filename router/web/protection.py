"""The protection of public doors: what a page is given, and what a request must pass before it makes a lead.

The order: the site's switch, the request's origin, the hidden field, the form token's age, the number's kind and
country, the site's spending, the rates by network, number, prefix and site, and last a proof of work, if the risk asks
for one. Each refusal is counted for the wallboard under its own code; to the visitor all rates and the hidden field
look alike, so that nobody learns whether a number is known. A request let through under an idempotency key is let
through again under it, without counting.

Policy for clients without a form token (programs, plain forms): they are taken as long as nothing else speaks against
them, and asked for a proof when their network, number or prefix becomes busy: `403` with the code `proof-needed`, the
members `proof` (`challenge`, `bits`) and `form_token`. The client solves it (`router.model.proofs`) and sends the
same request again with both.
"""

import asyncio
import hashlib
import math
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from router.actions import protecting
from router.model.errors import Busy, Closed, Forbidden, NumberRefused, ProofNeeded, SpendCapped, TooMany
from router.model.phone import e164, international
from router.model.proofs import challenge, form_token, read_form_token, read_proof
from router.model.protection import (
    Asked,
    Form,
    Verdict,
    Why,
    kind_of,
    network_of,
    prefix_of,
    refused_number,
    risk_of_form,
)
from router.model.rates import Counted, Limit
from router.model.vault import Vault
from router.store.db import cut_connection
from router.store.sites import Landing
from router.web.doors import Doors, doors
from router.web.gate import peer

HONEYPOT_SECONDS = 600
"""What a filled hidden field is told to wait: as long as an ordinary visitor whose network was busy."""

class Posted(msgspec.Struct, frozen=True):
    """What a request brings along for its protection. `phone` in E.164, or as it was written (`country` is assumed
    where none is written), or "" where none is needed. `website` is the hidden field, which people leave empty. `key`
    is its idempotency key, if it has one."""

    phone: str = ""
    form_token: str = ""
    proof: str = ""
    website: str = ""
    country: str = ""
    key: str = ""


def issue(house: Doors, site_key: str) -> dict[str, Any]:
    """What a page is given: a form token, and a challenge to be solved ahead, while the visitor writes.

    `{"form_token": "…", "proof": {"challenge": "…", "bits": 14, "expires_in": 7200}}`, to be sent back as the fields
    `form_token` and `proof` (`router.model.proofs` has the sum). An unsolved challenge costs nothing: most requests
    need no proof.
    """
    limits = house.limits
    return _given(house, site_key, bits=limits.first_bits, life=limits.form_oldest)


def _given(house: Doors, site_key: str, *, bits: int, life: int) -> dict[str, Any]:
    vault, now = house.book.vault, house.clock()
    return {
        "form_token": form_token(vault, site_key, now),
        "proof": {
            "challenge": challenge(vault, site_key, now, bits=bits, life=life), "bits": bits, "expires_in": life,
        },
    }


async def protect(request: web.Request, landing: Landing, posted: Posted) -> None:
    """Lets the request through, or raises Closed, Forbidden, NumberRefused, TooMany, SpendCapped, ProofNeeded; Invalid
    for what is no number; Busy. To be asked last, when the request is otherwise in order: what is let through counts.
    """
    await let_in(doors(request), landing, asked_of(request, landing, posted))


async def let_in(house: Doors, landing: Landing, asked: Asked) -> None:
    """Lets this request through, or raises what `protect` raises."""
    verdict = await _weigh(house, asked)
    if verdict.why is not None:
        _refuse(house, landing, verdict)


async def count_refusal(request: web.Request, landing: Landing, error: Forbidden | NumberRefused) -> None:
    """Counts what other code refused on the way to `protect`: a foreign origin, or a kind of number (`e164`)."""
    why = Why.origin if isinstance(error, Forbidden) else Why.number_type
    await _weigh(doors(request), Asked(landing.site.id, doors(request).limits, refused=why))


async def _weigh(house: Doors, asked: Asked) -> Verdict:
    if house.gatekeeper is not None:
        try:
            return await house.gatekeeper.ask(asked)
        except asyncio.QueueFull as error:
            raise Busy("Too many requests are waiting. Nothing was stored; please try again.") from error
    try:
        return await _weigh_alone(house, asked)
    except Exception as error:
        if not cut_connection(error):
            raise
        return await _weigh_alone(house, asked)


async def _weigh_alone(house: Doors, asked: Asked) -> Verdict:
    async with house.book.writing() as w:
        return (await protecting.weigh(w, [asked]))[0]


def asked_of(request: web.Request, landing: Landing, posted: Posted) -> Asked:
    """What is weighed of this request. Raises Invalid for what is no number."""
    house, site = doors(request), landing.doorway
    limits, vault, now = house.limits, house.book.vault, house.clock()
    form = read_form_token(vault, site.key, posted.form_token, now, limits)
    phone, kind = "", None
    refused = _refused(request, landing, posted, form)
    if refused is None and posted.phone.strip():
        try:
            phone = e164(posted.phone, posted.country or site.country)
        except NumberRefused:
            refused = Why.number_type
        else:
            kind = kind_of(phone)
            refused = refused_number(kind, site.countries)
    if refused is not None:
        return Asked(site.site_id, limits, refused=refused)
    proven = read_proof(vault, site.key, posted.proof, now) if posted.proof else None
    number = vault.mac("rate", phone).hex() if phone else ""
    key = hashlib.sha256(f"{site.key}\0{posted.key}\0{number}".encode()).hexdigest() if posted.key else ""
    return Asked(
        site_id=site.site_id,
        limits=limits,
        counted=_counted(house, network_of(peer(request)), prefix_of(phone), number, site.site_id),
        key=Counted("key", f"key:{key}", Limit(1, limits.key_life)) if key else None,
        nonce=Counted("proof", f"proof:{proven.nonce}", Limit(1, proven.seconds)) if proven else None,
        bits=proven.bits if proven else 0,
        risk=risk_of_form(form, kind),
        prefix=prefix_of(phone),
        daily_cap=site.daily_spend_cap if phone else 0,
        hourly_cap=site.hourly_spend_cap if phone else 0,
    )


def _refused(request: web.Request, landing: Landing, posted: Posted, form: Form) -> Why | None:
    """What refuses a request without any counting, its number apart."""
    if landing.doorway.closed:
        return Why.closed
    if not _at_home(request, landing):
        return Why.origin
    if posted.website.strip():
        return Why.honeypot
    return Why.too_quick if form is Form.too_young else None


def _at_home(request: web.Request, landing: Landing) -> bool:
    """Whether it comes from one of the site's pages, from our own form, or from no page at all."""
    origin = request.headers.get("Origin")
    if origin is None or origin in landing.doorway.origins:
        return True
    public = urlsplit(doors(request).public_url)
    return origin == f"{public.scheme}://{public.netloc}"


def _counted(house: Doors, network: str, prefix: str, number: str, site_id: int) -> tuple[Counted, ...]:
    """`number` is an HMAC, "" where none is needed."""
    limits, vault = house.limits, house.book.vault
    address = Counted("address", f"address:{_hidden(vault, network)}", limits.address)
    site = Counted("site", f"site:{site_id}", limits.site)
    if not number:
        return address, site
    return (
        address,
        Counted("number_hour", f"number_hour:{number}", limits.number_hour),
        Counted("number_day", f"number_day:{number}", limits.number_day),
        Counted("prefix", f"prefix:{_hidden(vault, prefix)}", limits.prefix),
        site,
    )


@lru_cache(5_000)
def _hidden(vault: Vault, counted: str) -> str:
    """What a scope says of a network or a prefix, which come again and again: an HMAC, never themselves."""
    return vault.mac("rate", counted).hex()


def _refuse(house: Doors, landing: Landing, verdict: Verdict) -> NoReturn:
    """Says why with what the visitor can do next: the number to call, and when to come again."""
    campaign, limits = landing.campaign, house.limits
    number = campaign.phone_for(landing.site) or campaign.caller_id
    phone = international(number)
    seconds = HONEYPOT_SECONDS if verdict.why is Why.honeypot else verdict.retry_after
    match verdict.why:
        case Why.closed:
            raise Closed("This page takes no requests at the moment. Please call us at %(phone)s.", phone=phone)
        case Why.origin:
            raise Forbidden("This page may not post leads here.")
        case Why.too_quick:
            raise TooMany(
                "That was very quick. Please press the button again in a moment.",
                retry_after=max(1, math.ceil(limits.form_youngest)),
            )
        case Why.number_type:
            raise NumberRefused(
                "We cannot call this kind of number. Please write another one, or call us at %(phone)s.",
                pointer="/phone", phone=phone,
            )
        case Why.country:
            raise NumberRefused(
                "We do not call numbers of this country. Please write another one, or call us at %(phone)s.",
                pointer="/phone", phone=phone,
            )
        case Why.proof:
            raise ProofNeeded(
                "Your browser has to work something out before we take this request. If it does not, please call us at "
                "%(phone)s.",
                members=_given(house, landing.site.key, bits=verdict.bits, life=limits.proof_life), phone=phone,
            )
        case Why.spend:
            raise SpendCapped(
                "We cannot call from this page at the moment. Please call us at %(phone)s, or try again in "
                "%(minutes)s min.",
                retry_after=seconds, phone=phone, minutes=math.ceil(seconds / 60),
            )
        case _:
            raise TooMany(
                "There were many requests just now. Please call us at %(phone)s, or try again in %(minutes)s min.",
                retry_after=seconds, phone=phone, minutes=math.ceil(seconds / 60),
            )
