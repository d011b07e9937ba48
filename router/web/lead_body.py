"""What a lead's body may say, as JSON or as a form, and how it is understood."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta

from router.model.errors import Invalid
from router.model.forms import FIELDS, plain, plain_lines, read_answers
from router.model.intake import Agreed, Wanted, Work
from router.model.leads import Intent
from router.model.phone import e164
from router.model.places import inhabited
from router.model.protection import network_of
from router.model.tasks import TIER_FRESH, TIER_NOW, TIER_PROMISE, TaskKind
from router.model.vault import Vault, hash_token, new_token
from router.store.sites import Landing
from router.web.doors import doors
from router.web.gate import peer
from router.wording import negotiate

Short = Annotated[str, Meta(max_length=200)]
Id = Annotated[str, Meta(max_length=500)]
Long = Annotated[str, Meta(max_length=2000)]
Key = Annotated[str, Meta(min_length=8, max_length=128, pattern=r"^[\x21-\x7e]+\Z")]
Purpose = Literal["requested", "commercial", "recording", "measurement"]


class Consent(msgspec.Struct, forbid_unknown_fields=True):
    """What the visitor ticked, with the text he saw: one `text` for all of it, or one in `texts` for each purpose."""

    purposes: Annotated[list[Purpose], Meta(max_length=4)]
    text: Long = ""
    version: Annotated[str, Meta(max_length=40)] = ""
    texts: Annotated[dict[Purpose, Long], Meta(max_length=4)] = {}


class Source(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Where the visitor came from: campaign parameters and click ids of his landing."""

    utm_source: Short = ""
    utm_medium: Short = ""
    utm_campaign: Short = ""
    utm_term: Short = ""
    utm_content: Short = ""
    utm_id: Short = ""
    gclid: Id = ""
    gbraid: Id = ""
    wbraid: Id = ""
    fbclid: Id = ""
    ttclid: Id = ""
    msclkid: Id = ""
    affiliate: Short = ""
    offline: Short = ""


class Touch(Source, forbid_unknown_fields=True, omit_defaults=True):
    """One visit: what brought him, the page he landed on, and when by his own clock."""

    landing: Long = ""
    referrer: Long = ""
    at: Annotated[str, Meta(max_length=40)] = ""


class Touches(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """His first visit and his last one."""

    first: Touch | None = None
    last: Touch | None = None


class Preferred(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How and when he would rather be reached; routing and nurturing honour it."""

    channel: Literal["", "phone", "whatsapp", "sms", "email", "video", "web_chat", "in_person"] = ""
    hour: Annotated[str, Meta(max_length=40)] = ""


class LeadBody(msgspec.Struct, forbid_unknown_fields=True):
    """A lead as a landing page posts it."""

    site: Annotated[str, Meta(min_length=1, max_length=64)]
    consent: Consent = msgspec.field(default_factory=lambda: Consent([]))
    phone: Annotated[str, Meta(max_length=40)] = ""
    intent: Intent = Intent.call_now
    name: Short = ""
    email: Short = ""
    message: Long = ""
    locale: Annotated[str, Meta(max_length=16)] = ""
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    page: Long = ""
    referrer: Long = ""
    client_request_id: Key | None = None
    client_time: datetime | None = None
    source: Source = msgspec.field(default_factory=Source)
    touch: Touches = msgspec.field(default_factory=Touches)
    fields: Annotated[dict[str, Any], Meta(max_length=60)] = {}
    preferred: Preferred = msgspec.field(default_factory=Preferred)
    slot: datetime | None = None
    hold: Short = ""
    tz: Annotated[str, Meta(max_length=64)] = ""
    continues: Short = ""
    form_token: Annotated[str, Meta(max_length=400)] = ""
    proof: Annotated[str, Meta(max_length=800)] = ""
    website: Short = ""
    test: bool = False


CALLED = (Intent.call_now, Intent.call_later, Intent.form, Intent.in_person)
"""What cannot be asked for without a number and without agreeing to be called."""

_WORK: Mapping[Intent, Work | None] = {
    Intent.call_now: Work(tier=TIER_NOW),
    Intent.call_later: Work(tier=TIER_PROMISE),
    Intent.form: Work(tier=TIER_FRESH),
    Intent.in_person: Work(tier=TIER_FRESH),
    Intent.chat: Work(TaskKind.chat),
    Intent.video: Work(TaskKind.video),
    Intent.whatsapp: None,
}
"""What an agent does about each intent of a public door. A WhatsApp message still has to come."""

_LISTS = frozenset({"consent.purposes"})
_TRUE = frozenset({"1", "true", "on", "yes"})


def from_form(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A form's pairs as a body: names with dots are nested (`source.utm_source`), `consent.purposes` may be given
    several times, empty values are left out. Raises Invalid when a name is both a value and a group."""
    body: dict[str, Any] = {}
    for name, value in pairs:
        if value == "" or name.count(".") > 3:
            continue
        *groups, last = name.split(".")
        inside = body
        for group in groups:
            inside = inside.setdefault(group, {})
            if not isinstance(inside, dict):
                raise Invalid("A field of this form is given in two ways.", pointer=f"/{group}")
        if name in _LISTS:
            inside.setdefault(last, []).append(value)
        elif name == "test":
            inside[last] = value.casefold() in _TRUE
        else:
            inside[last] = value
    return body


def kept(address: str, how: str) -> str:
    """An address as this campaign keeps it: "truncated" (IPv4 /24, IPv6 /48), "full" or "none"."""
    if how == "none":
        return ""
    if how == "full":
        return address
    network = network_of(address, six=48)
    return "" if network == "unknown" else network


def agreed(consent: Consent) -> tuple[Agreed, ...]:
    """One receipt for each box ticked; several purposes under one text are one receipt."""
    by_text: dict[str, list[str]] = {}
    for purpose in sorted(set(consent.purposes)):
        by_text.setdefault(consent.texts.get(purpose) or consent.text, []).append(purpose)
    return tuple(Agreed(tuple(purposes), text, consent.version) for text, purposes in by_text.items())


def number_of(body: LeadBody, landing: Landing) -> str:
    """The number in E.164; "" when none is needed and none given. Raises Invalid."""
    if not body.phone.strip():
        if body.intent in CALLED:
            raise Invalid("Please write the number we should call.", pointer="/phone")
        return ""
    return e164(body.phone, body.country or landing.doorway.country)


def work_of(body: LeadBody) -> Work | None:
    """What an agent shall do. Raises Invalid for what a public door does not take."""
    if body.intent not in _WORK:
        raise Invalid("This door does not take requests of this kind.", pointer="/intent")
    if body.intent in CALLED and "requested" not in body.consent.purposes:
        raise Invalid("Please agree to be called; we do not call without it.", pointer="/consent/purposes")
    if body.intent is Intent.call_later and not (body.hold or body.slot):
        raise Invalid("Please choose when we should call.", pointer="/slot")
    return None if body.test else _WORK[body.intent]


def reference_of(token: str) -> str:
    """What a WhatsApp text carries to be joined to this visit: eight characters, no secret."""
    digits = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = int.from_bytes(hashlib.sha256(b"reference:" + token.encode()).digest()[:8], "big")
    return "".join(digits[number // len(digits) ** place % len(digits)] for place in range(8))


def digest_of(asked: Any) -> bytes:
    """What guards an idempotency key: the same for the same request, in whatever order it names its fields."""
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).digest()


def idempotency_key(request: web.Request, pointer: str) -> str | None:
    """The key in the request's header. Raises Invalid with the pointer its door gives to the key."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    try:
        return msgspec.convert(header, Key)
    except msgspec.ValidationError as error:
        raise Invalid("Idempotency-Key should be 8 to 128 visible characters.", pointer=pointer) from error


def user_agent(request: web.Request) -> str:
    """A header may hold any bytes; those that are no UTF-8 arrive as surrogates, which no database takes."""
    return request.headers.get("User-Agent", "")[:300].encode("utf-8", "replace").decode()


def understood(
    request: web.Request, body: LeadBody, landing: Landing, *, method: str, key: str | None, digest: bytes
) -> Wanted:
    """The lead this body asks for. Raises Invalid with a pointer to what is wrong."""
    doorway = landing.doorway
    work = work_of(body)
    phone = number_of(body, landing)
    open_answers, secret_answers = read_answers(landing.campaign, body.fields, all_of_them=body.intent in CALLED)
    vault = doors(request).book.vault
    token = vault.token("status", body.site, key) if key else new_token()
    return Wanted(
        site_id=doorway.site_id,
        line=doorway.line,
        phone=phone,
        name=plain(body.name),
        locale=negotiate(body.locale, request.headers.get("Accept-Language"), doorway.locale),
        intent=body.intent,
        work=work,
        agreed=agreed(body.consent),
        method=method,
        status_token=token,
        claims=claims_of(body),
        source=_source(body, token),
        fields=open_answers,
        sealed_fields=sealed(vault, secret_answers),
        address=kept(peer(request), doorway.keep_address),
        user_agent=user_agent(request),
        page=body.page,
        client_at=body.client_time if body.client_time and body.client_time.tzinfo else None,
        hold=body.hold,
        zone=body.tz if inhabited(body.tz) else "",
        continues=hash_token(body.continues) if body.continues else b"",
        key=key,
        request_sha256=digest,
    )


def sealed(vault: Vault, answers: Mapping[str, str]) -> bytes | None:
    """Secret answers as they are kept; None when there are none."""
    return vault.seal(FIELDS, msgspec.json.encode(answers)) if answers else None


class Claiming(Protocol):
    """The part of a body in which somebody says who he is and what he wants."""

    name: str
    email: str
    message: str
    preferred: Preferred


def claims_of(body: Claiming) -> dict[str, Any]:
    """What he says, as a lead keeps it; without what he left empty."""
    said: dict[str, Any] = {
        "name": plain(body.name), "email": plain(body.email), "message": plain_lines(body.message),
        "preferred": msgspec.to_builtins(body.preferred),
    }
    return {name: value for name, value in said.items() if value}


def _source(body: LeadBody, token: str) -> dict[str, Any]:
    source: dict[str, Any] = {**msgspec.to_builtins(body.source), "page": body.page, "referrer": body.referrer}
    source |= msgspec.to_builtins(body.touch)
    if body.intent is Intent.whatsapp:
        source["reference"] = reference_of(token)
    if body.test:
        source["test"] = True
    return source
