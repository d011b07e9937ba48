"""Forms away from the landing page: `/kiosk/{key}` at a counter, `/register/{key}` for what was bought in a shop.

Both work without script. The counter's form is filled by whoever stands there, visitor or staff, and clears itself when
nobody touches it. A purchase is only kept; who wants to be called about it ticks that box.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from router.model.errors import HouseError, Invalid, NotFound, ProofNeeded
from router.model.forms import KINDS, ConsentText, Question, consents, plain, plain_lines, questions, read_answers
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Intent
from router.model.phone import e164, unbroken
from router.model.short_links import read_short_code
from router.model.tasks import TIER_FRESH
from router.model.vault import TOKEN_LENGTH, new_token
from router.store.sites import Landing
from router.web.doors import doors, landing_here
from router.web.gate import page, peer
from router.web.lead_body import digest_of, kept, sealed, user_agent
from router.web.leads import ask, ask_protected
from router.web.middleware import STATUS
from router.web.parsing import read_pairs
from router.web.protection import Posted, issue
from router.wording import LOCALES, language, negotiate

routes = web.RouteTableDef()

KIOSK = "offline:kiosk"
PURCHASE = "offline:purchase"
FIELD = "fields."
PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
LONGEST = {"name": 200, "email": 254, "message": 2000, "product": 200, "receipt": 80, "serial": 80, "r": 40}


@dataclass(frozen=True)
class Sheet:
    """One of the forms as it was filled in: `values` by field name, `ticked` the purposes agreed to."""

    landing: Landing
    locale: str
    values: Mapping[str, str] = field(default_factory=dict)
    ticked: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        return self.values.get(name, "")


async def _sheet(request: web.Request) -> Sheet:
    """The form, with what the request brings. Raises NotFound for an unknown key."""
    landing = await landing_here(request, NotFound("There is no such page."))
    pairs = await read_pairs(request) if request.method == "POST" else list(request.query.items())
    values = {name: value for name, value in pairs if name != "consent"}
    locale = negotiate(values.get("lang"), request.headers.get("Accept-Language"), landing.campaign.locale)
    return Sheet(landing, locale, values, frozenset(value for name, value in pairs if name == "consent"))


def _texts(request: web.Request, sheet: Sheet) -> list[ConsentText]:
    return consents(sheet.landing.campaign, sheet.locale, lambda text, locale: doors(request).wording.say(text, locale))


async def _show(
    request: web.Request, template: str, sheet: Sheet, *, fault: HouseError | None = None
) -> web.Response:
    house, landing = doors(request), sheet.landing
    campaign, phone = landing.campaign, landing.campaign.phone_for(landing.site)
    code = read_short_code(sheet.get("r")) if await house.sources.of(sheet.get("r"), landing.campaign.id) else ""
    given = issue(house, landing.site.key) if fault is None or not isinstance(fault, ProofNeeded) else fault.members
    asked: list[Question] = questions(landing.campaign, sheet.locale)
    response = page(
        request, template, sheet.locale, status=200 if fault is None else STATUS.get(type(fault), 400), headers=PRIVATE,
        sheet=sheet, fault=fault, asked=asked, consents=_texts(request, sheet), given=given,
        proof_needed=isinstance(fault, ProofNeeded), request_id=sheet.get("client_request_id") or new_token(),
        languages=[(one, language(one)) for one in LOCALES], code=code, again=_again(request),
        brand=campaign.name, company=campaign.company_name, where=str(campaign.company.get("address", "")),
        phone=phone, phone_shown=unbroken(phone) if phone else "", privacy_url=campaign.privacy_url, longest=LONGEST,
    )
    if fault is not None and fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response


def _again(request: web.Request) -> str:
    """The path of the form itself, from its page or from the page after it."""
    return request.path.removesuffix("/done")


@routes.get("/kiosk/{key}")
async def kiosk(request: web.Request) -> web.Response:
    return await _show(request, "kiosk/form.html", await _sheet(request))


@routes.post("/kiosk/{key}")
async def post_kiosk(request: web.Request) -> web.Response:
    sheet = await _sheet(request)
    try:
        wanted = await _walk_in(request, sheet)
        await _take(request, sheet, wanted)
    except HouseError as fault:
        return await _show(request, "kiosk/form.html", sheet, fault=fault)
    raise web.HTTPSeeOther(_done(request, sheet))


@routes.get("/kiosk/{key}/done")
async def kiosk_done(request: web.Request) -> web.Response:
    return await _show(request, "kiosk/done.html", await _sheet(request))


@routes.get("/register/{key}")
async def register(request: web.Request) -> web.Response:
    return await _show(request, "kiosk/register.html", await _sheet(request))


@routes.post("/register/{key}")
async def post_register(request: web.Request) -> web.Response:
    sheet = await _sheet(request)
    try:
        wanted = await _purchase(request, sheet)
        taken = await _take(request, sheet, wanted)
    except HouseError as fault:
        return await _show(request, "kiosk/register.html", sheet, fault=fault)
    raise web.HTTPSeeOther(f"{_done(request, sheet)}&t={taken.token}")


@routes.get("/register/{key}/done")
async def register_done(request: web.Request) -> web.Response:
    sheet = await _sheet(request)
    token = sheet.get("t")
    if not (len(token) == TOKEN_LENGTH and token.isascii() and token.isalnum()):
        sheet = Sheet(sheet.landing, sheet.locale, {**sheet.values, "t": ""})
    return await _show(request, "kiosk/registered.html", sheet)


def _done(request: web.Request, sheet: Sheet) -> str:
    return f"{request.path}/done?lang={sheet.locale}&r={read_short_code(sheet.get('r')) or ''}"


async def _walk_in(request: web.Request, sheet: Sheet) -> Wanted:
    """Who stands at the counter. Raises Invalid."""
    if not sheet.get("phone").strip():
        raise Invalid("Please write the number we should call.", pointer="/phone")
    return await _wanted(request, sheet, Door(Intent.in_person, "kiosk", KIOSK, Work(tier=TIER_FRESH)))


async def _purchase(request: web.Request, sheet: Sheet) -> Wanted:
    """What somebody bought. Nobody calls him about it unless he asks for that. Raises Invalid."""
    call = "requested" in sheet.ticked
    bought = {name: _line(sheet, name) for name in ("product", "receipt", "serial")}
    if not bought["product"]:
        raise Invalid("Please write what you bought.", pointer="/product")
    if not (bought["receipt"] or bought["serial"]):
        raise Invalid("Please write the number of the receipt, or the serial number.", pointer="/receipt")
    if not sheet.get("phone").strip() and (call or not sheet.get("email").strip()):
        raise Invalid("Please write your number, or an e-mail address if we should not call you.", pointer="/phone")
    work = Work(tier=TIER_FRESH) if call else None
    claims = {"purchase": {name: value for name, value in bought.items() if value}}
    return await _wanted(request, sheet, Door(Intent.form, "register", PURCHASE, work, claims))


@dataclass(frozen=True)
class Door:
    """What the leads of one form have in common; `claims` is what only this form asks."""

    intent: Intent
    method: str
    source: str
    work: Work | None
    claims: Mapping[str, Any] = field(default_factory=dict)


async def _wanted(request: web.Request, sheet: Sheet, door: Door) -> Wanted:
    landing, vault = sheet.landing, doors(request).book.vault
    campaign, key = landing.campaign, _key(sheet)
    said = {"name": _line(sheet, "name"), "email": _email(sheet), "message": _lines(sheet, "message")}
    answers = {name[len(FIELD) :]: value for name, value in sheet.values.items() if name.startswith(FIELD)}
    opened, secret = read_answers(campaign, answers) if door.intent is Intent.in_person else ({}, {})
    phone = sheet.get("phone").strip()
    piece = await doors(request).sources.of(sheet.get("promoter") or sheet.get("r"), campaign.id)
    if sheet.get("promoter").strip() and not piece:
        raise Invalid("We do not know this code. Please check it, or leave it empty.", pointer="/promoter")
    return Wanted(
        site_id=landing.site.id, line=landing.queue.line,
        phone=e164(phone, campaign.country) if phone else "", name=said["name"],
        locale=sheet.locale, intent=door.intent, work=door.work, method=door.method,
        agreed=_agreed(request, sheet, door.work),
        status_token=vault.token("status", landing.site.key, key), fields=opened, sealed_fields=sealed(vault, secret),
        claims={**{name: value for name, value in said.items() if value}, **door.claims},
        source={"offline": piece or door.source}, address=kept(peer(request), campaign.keep_address),
        user_agent=user_agent(request), page=f"{doors(request).public_url}{request.path}", key=key,
        request_sha256=_digest(sheet),
    )


def _agreed(request: web.Request, sheet: Sheet, work: Work | None) -> tuple[Agreed, ...]:
    """The boxes ticked, with the texts as they stand on the page. Raises Invalid when a call is wanted without one."""
    texts = _texts(request, sheet)
    for text in texts:
        if text.required and work is not None and text.purpose not in sheet.ticked:
            raise Invalid("Please agree to be called; we do not call without it.", pointer=f"/consent/{text.purpose}")
    if work is not None and "requested" not in sheet.ticked:
        raise Invalid("Please agree to be called; we do not call without it.", pointer="/consent/requested")
    return tuple(Agreed((one.purpose,), one.text, one.version) for one in texts if one.purpose in sheet.ticked)


async def _take(request: web.Request, sheet: Sheet, wanted: Wanted) -> Taken:
    """Stores it, once for each form that was opened, however often its button is pressed."""
    taken = await ask_protected(request, sheet.landing, wanted, Posted(
        phone=wanted.phone, form_token=sheet.get("form_token"), proof=sheet.get("proof"), website=sheet.get("website"),
        country=sheet.landing.campaign.country, key=wanted.key or "",
    ))
    if not taken.mismatch:
        return taken
    # The next person on the same page, called back from the browser's memory.
    key = new_token()
    token = doors(request).book.vault.token("status", sheet.landing.site.key, key)
    return await ask(request, replace(wanted, key=key, status_token=token))


def _digest(sheet: Sheet) -> bytes:
    """What was written, without what each page is given anew."""
    told = {name: value for name, value in sheet.values.items() if name not in {"form_token", "proof", "website"}}
    return digest_of([told, sorted(sheet.ticked)])


def _key(sheet: Sheet) -> str:
    given = sheet.get("client_request_id")
    usable = 8 <= len(given) <= 128 and given.isascii() and given.isprintable() and " " not in given
    return given if usable else new_token()


def _bounded(sheet: Sheet, name: str) -> str:
    text = sheet.get(name)
    if len(text) > LONGEST[name]:
        raise Invalid("This should be at most %(longest)s characters long.", pointer=f"/{name}", longest=LONGEST[name])
    return text


def _line(sheet: Sheet, name: str) -> str:
    return plain(_bounded(sheet, name))


def _lines(sheet: Sheet, name: str) -> str:
    return plain_lines(_bounded(sheet, name))


def _email(sheet: Sheet) -> str:
    text = _line(sheet, "email")
    read, fault = KINDS["email"]
    try:
        return read(text) if text else ""
    except ValueError as error:
        raise Invalid(fault, pointer="/email") from error
