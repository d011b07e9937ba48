"""The door of programs: leads from server to server, with a key of the campaign."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta
from msgspec.structs import replace

from router.actions import keys
from router.actions.intake import unraced
from router.model.api_keys import PREFIX, Scope
from router.model.campaigns import Campaign, Queue
from router.model.errors import Forbidden, Invalid, NotFound, NotSignedIn
from router.model.forms import plain, read_answers
from router.model.intake import Taken, Wanted, Work
from router.model.leads import Intent
from router.model.phone import e164
from router.model.progress import progress
from router.model.tasks import TIER_FRESH, TIER_LIST, TIER_NOW
from router.model.vault import hash_token, new_token
from router.store import api_keys, configuration
from router.store.api_keys import Keyed
from router.web.doors import doors
from router.web.lead_body import (
    Consent,
    Long,
    Preferred,
    Short,
    Source,
    Touches,
    agreed,
    claims_of,
    digest_of,
    idempotency_key,
    sealed,
)
from router.web.parsing import read_json, row_id, understand
from router.wording import negotiate

routes = web.RouteTableDef()


class KeyedLead(msgspec.Struct, forbid_unknown_fields=True):
    """A lead as a program posts it. `external_id` is its own name of the person: whoever comes with the same one is the
    same person of this campaign. Without a `phone` the lead is kept, and nobody is called."""

    consent: Consent
    phone: Annotated[str, Meta(max_length=40)] = ""
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    external_id: Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f]*\Z")] = ""
    intent: Literal["call_now", "form", "email", "cart", "incident", "in_person", "list"] = "form"
    queue: Annotated[str, Meta(max_length=64)] = ""
    name: Short = ""
    email: Short = ""
    message: Long = ""
    locale: Annotated[str, Meta(max_length=16)] = ""
    page: Long = ""
    referrer: Long = ""
    consented_at: datetime | None = None
    source: Source = msgspec.field(default_factory=Source)
    touch: Touches = msgspec.field(default_factory=Touches)
    fields: Annotated[dict[str, Any], Meta(max_length=60)] = {}
    preferred: Preferred = msgspec.field(default_factory=Preferred)
    test: bool = False


class LeadTaken(msgspec.Struct):
    """`attached`: the person waits for a call already, and is not rung twice. `status_url` is for the person's eyes."""

    lead: int
    status_url: str
    attached: bool = False
    called: bool = False


class LeadState(msgspec.Struct):
    """How a lead stands. `state` is what its person's own page says, `outcome` what the agent said at the end."""

    lead: int
    intent: str
    created_at: datetime
    state: str
    outcome: str | None
    attached_to: int | None


_WORK = {
    "call_now": Work(tier=TIER_NOW),
    "list": Work(tier=TIER_LIST),
}


async def authorised(request: web.Request, scope: Scope) -> Keyed:
    """The key this request carries. Raises NotSignedIn for none or an unknown one, Forbidden when it may not."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token.startswith(PREFIX) or len(token) > 100:
        raise NotSignedIn("Send a valid key: Authorization: Bearer …")
    async with doors(request).book.reading() as r:
        found = await api_keys.by_hash(r.session, hash_token(token))
    if found is None:
        raise NotSignedIn("Send a valid key: Authorization: Bearer …")
    if not found.key.allows(scope):
        raise Forbidden("This key may not do that.")
    return found


@routes.post("/v1/campaigns/{key}/leads")
async def post_lead(request: web.Request) -> web.Response:
    keyed = await authorised(request, Scope.write)
    if request.match_info["key"] != keyed.campaign.key:
        raise Forbidden("This key is not for this campaign.")
    raw = await read_json(request)
    body = understand(raw, KeyedLead)
    queue = await queue_named(request, keyed, body.queue)
    wanted = _wanted(request, keyed.campaign, queue, body, raw)

    async def take() -> Taken:
        async with doors(request).book.writing() as w:
            return await keys.take(w, keyed.key.id, wanted, body.external_id.strip())

    taken = await unraced(take)
    if taken.mismatch:
        raise Invalid("This key was already used for another request.", pointer="/idempotency_key")
    answer = LeadTaken(
        taken.lead_id, f"{doors(request).public_url}/s/{taken.token}", taken.attached, taken.task_id is not None
    )
    headers = {"Idempotent-Replayed": "true"} if taken.replayed else {}
    return web.Response(
        body=msgspec.json.encode(answer), status=201, content_type="application/json", headers=headers
    )


async def queue_named(request: web.Request, keyed: Keyed, name: str) -> Queue:
    """The campaign's queue of this name, the key's own for none. Raises Invalid."""
    if not name or name == keyed.queue.key:
        return keyed.queue
    async with doors(request).book.reading() as r:
        found = await configuration.queue(r.session, keyed.campaign.id, name)
    if found is None:
        raise Invalid("The campaign has no queue of this name.", pointer="/queue")
    return found


def _wanted(request: web.Request, campaign: Campaign, queue: Queue, body: KeyedLead, raw: dict[str, Any]) -> Wanted:
    phone = e164(body.phone, body.country or campaign.country) if body.phone.strip() else ""
    _agreed_enough(body)
    open_answers, secret_answers = read_answers(campaign, body.fields)
    vault = doors(request).book.vault
    key, scope = idempotency_key(request, "/idempotency_key"), f"campaign:{campaign.id}"
    wanted = Wanted(
        line=queue.line, phone=phone,
        name=plain(body.name), locale=negotiate(body.locale, campaign.locale), intent=Intent(body.intent),
        method="api", status_token=vault.token("status", scope, key) if key else new_token(),
        work=None if body.test else _WORK.get(body.intent, Work(tier=TIER_FRESH)), agreed=agreed(body.consent),
        claims=claims_of(body), source=_source(body), page=body.page, fields=open_answers,
        sealed_fields=sealed(vault, secret_answers),
        client_at=body.consented_at if body.consented_at and body.consented_at.tzinfo else None,
        scope=scope, key=key, request_sha256=digest_of(raw),
    )
    # Without a number there is nobody to call, unless the sender's own id of the person tells it.
    return wanted if phone or body.external_id.strip() else replace(wanted, work=None)


def _agreed_enough(body: KeyedLead) -> None:
    """Raises Invalid when the person has not agreed to what the intent does."""
    if not body.consent.text.strip() and not any(text.strip() for text in body.consent.texts.values()):
        raise Invalid("Send the text the person agreed to.", pointer="/consent/text")
    needed = "commercial" if body.intent in ("list", "cart") else "requested"
    if needed not in body.consent.purposes:
        raise Invalid("The person has not agreed to this kind of contact.", pointer="/consent/purposes")


def _source(body: KeyedLead) -> dict[str, Any]:
    source: dict[str, Any] = {**msgspec.to_builtins(body.source), **msgspec.to_builtins(body.touch), "party": "api"}
    source |= {name: value for name in ("page", "referrer") if (value := getattr(body, name))}
    return source | ({"test": True} if body.test else {})


@routes.get(r"/v1/leads/{id:\d{1,19}}")
async def get_lead(request: web.Request) -> web.Response:
    """How a lead of the key's own campaign stands; any other is not found."""
    keyed = await authorised(request, Scope.read)
    number = row_id(request, NotFound("There is no such lead."))
    async with doors(request).book.reading() as r:
        found = await api_keys.lead_of(r.session, keyed.campaign.id, number)
    if found is None:
        raise NotFound("There is no such lead.")
    lead, task = found
    state = LeadState(
        lead=lead.id, intent=lead.intent.value, created_at=lead.created_at,
        state=progress(task.state, None, task.disposition).value if task else "kept",
        outcome=task.disposition.value if task and task.disposition else None, attached_to=lead.attached_to,
    )
    return web.Response(body=msgspec.json.encode(state), content_type="application/json")
