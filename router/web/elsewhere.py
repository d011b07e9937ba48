"""`POST /v1/quotes`: quotes made elsewhere come in from server to server, with their persons and their consent."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from router.actions import issuing, keys
from router.actions.issuing import Wish
from router.book import Writing
from router.model.api_keys import Scope
from router.model.elsewhere import FAULTS, Fault, Proof, Standing, Told, phone_fault, totals
from router.model.errors import Invalid, ManyInvalid, NotFound, UnknownType
from router.model.forms import plain
from router.model.imports import CHUNK
from router.model.money import MOST_LINES, Line, Period
from router.model.phone import e164
from router.model.terms import NOT_SAID, Agreed
from router.store.api_keys import Keyed
from router.web.api import authorised, queue_named
from router.web.doors import doors
from router.web.lead_body import Long, Purpose, Short, digest_of, idempotency_key
from router.web.parsing import WEBHOOK_BYTES, read_bytes, read_json, row_id, understand

routes = web.RouteTableDef()


class QuoteConsent(msgspec.Struct, forbid_unknown_fields=True):
    """What the person agreed to: the words, or where they were said (`source`), and the day. Without words or source,
    or without the day, it is no receipt, and nobody is contacted with offers because of it."""

    purposes: Annotated[list[Purpose], Meta(max_length=4)]
    text: Long = ""
    source: Long = ""
    given_on: date | None = None
    page: Long = ""


class QuoteLine(msgspec.Struct, forbid_unknown_fields=True):
    """One line: the price of one without tax in minor units, the rate of tax in basis points (2100 is 21 %)."""

    label: Annotated[str, Meta(min_length=1, max_length=200)]
    unit_minor: int
    quantity: int = 1
    tax_bp: int = 0
    period: Literal["once", "month"] = "once"


class KeyedQuote(msgspec.Struct, forbid_unknown_fields=True):
    """A quote as another system made it. `number` is that system's own and tells quotes apart: the same one again is
    the same quote, of which only `state` and `valid_until` may change. Amounts are integers of the currency's minor
    unit: `lines` without tax, or the totals with it.

    With `issue` it becomes an offer of ours at once: its next version is made of the `lines` and the `terms`, holds the
    person's answers to the campaign's questions (`fields`), and is sent to be signed. It is refused as a whole when the
    offer would not say what the law asks for."""

    number: Annotated[str, Meta(min_length=1, max_length=80)]
    phone: Annotated[str, Meta(min_length=1, max_length=40)]
    name: Annotated[str, Meta(min_length=1, max_length=120)]
    sent_on: date
    once_minor: int = 0
    month_minor: int = 0
    lines: Annotated[list[QuoteLine], Meta(max_length=MOST_LINES)] = []
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    last_contact: date | None = None
    valid_until: date | None = None
    state: Standing = Standing.open
    owner: Short = ""
    locale: Annotated[str, Meta(max_length=16)] = ""
    consent: QuoteConsent | None = None
    issue: bool = False
    terms: Agreed = NOT_SAID
    fields: Annotated[dict[str, Any], Meta(max_length=60)] = {}


class QuotesBody(msgspec.Struct, forbid_unknown_fields=True):
    """One quote, or a batch: all of them are taken, or none. Calls about them go to the `queue`, or the key's own."""

    quotes: Annotated[list[KeyedQuote], Meta(min_length=1, max_length=CHUNK)]
    queue: Annotated[str, Meta(max_length=64)] = ""


class QuoteTaken(msgspec.Struct):
    """What became of one: `taken` (it is watched, and its person called when it is quiet), `kept` (nothing is done, the
    reason says why), `updated`, or `duplicate` (nothing was new). Where it was issued, `offer` is the quote that can be
    signed; when it could not be `sent` just now, `unsent_reason` is the code of why, and the same request tries again.
    """

    number: str
    outcome: str
    reason: str
    quote: int | None
    lead: int | None
    offer: int | None = None
    sent: bool | None = None
    unsent_reason: str = ""


class QuotesTaken(msgspec.Struct):
    """What became of each, in the order they were sent."""

    quotes: list[QuoteTaken]


class DocumentKept(msgspec.Struct):
    """The quote and the SHA-256 of its document, in hexadecimal digits."""

    quote: int
    sha256: str


DOCUMENT_BYTES, DOCUMENT_SECONDS = 10 * 1024 * 1024, 60
_POINTERS = {"sent": "sent_on", "once": "once_minor", "month": "month_minor", "consent_date": "consent/given_on"}


@routes.post("/v1/quotes")
async def post_quotes(request: web.Request) -> web.Response:
    keyed = await authorised(request, Scope.quotes)
    raw = await read_json(request, WEBHOOK_BYTES)
    body = understand(raw, QuotesBody)
    queue = await queue_named(request, keyed, body.queue)
    asked = keys.Asked(_all_told(keyed, body), idempotency_key(request, "/idempotency_key"), digest_of(raw))
    async with doors(request).book.writing() as w:
        answer, replayed = await keys.take_quotes(w, keyed.key.id, queue, asked, refusing)
        issued = await _issued(w, body.quotes, answer)
    for place, quote_id in issued.items():
        became = await issuing.send(doors(request).book, quote_id)
        answer[place] |= {"offer": quote_id, "sent": became.sent, "unsent_reason": became.reason}
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return web.Response(body=msgspec.json.encode({"quotes": answer}), status=200 if replayed else 201,
                        content_type="application/json", headers=headers)


async def _issued(w: Writing, wanted: Sequence[KeyedQuote], answer: Sequence[dict[str, Any]]) -> dict[int, int]:
    """The offers made of the quotes that are to be issued, by the quote's place. Raises ManyInvalid with pointers into
    the body, Conflict."""
    made = {}
    for place, (one, became) in enumerate(zip(wanted, answer, strict=True)):
        if one.issue:
            try:
                made[place] = (await issuing.issue(w, became["quote"], Wish(one.terms, one.fields))).id
            except Invalid as error:
                faults = error.faults if isinstance(error, ManyInvalid) else [error]
                raise ManyInvalid([_placed(fault, place) for fault in faults]) from error
    return made


def _placed(fault: Invalid, place: int) -> Invalid:
    pointer = fault.pointer or ""
    return Invalid(fault.sentence, pointer=pointer if pointer.startswith("/campaign") else f"/quotes/{place}{pointer}",
                   **fault.values)


@routes.post(r"/v1/quotes/{id:\d{1,19}}/pdf")
async def post_document(request: web.Request) -> web.Response:
    """The PDF a quote from elsewhere came with, as the body."""
    keyed = await authorised(request, Scope.quotes)
    if request.content_type != "application/pdf":
        raise UnknownType("Send the document as application/pdf.")
    content = await read_bytes(request, DOCUMENT_BYTES, seconds=DOCUMENT_SECONDS)
    quote_id = row_id(request, NotFound("There is no such quote."))
    async with doors(request).book.writing() as w:
        quote = await issuing.keep_document(w, keyed.campaign.id, quote_id, content)
    answer = DocumentKept(quote.id, (quote.foreign_pdf_sha256 or b"").hex())
    return web.Response(body=msgspec.json.encode(answer), status=201, content_type="application/json")


def _all_told(keyed: Keyed, body: QuotesBody) -> list[Told]:
    """The quotes as they are told. Raises ManyInvalid with a pointer to each telephone number that is none."""
    told, wrong = [], []
    for place, one in enumerate(body.quotes):
        if one.lines and (one.once_minor or one.month_minor):
            raise Invalid("Send lines or totals, not both.", pointer=f"/quotes/{place}/lines")
        try:
            told.append(_told(keyed, one))
        except Invalid as error:
            wrong.append((place, Fault("phone", phone_fault(error.sentence))))
    if wrong:
        raise refusing(wrong)
    return told


def _told(keyed: Keyed, one: KeyedQuote) -> Told:
    lines = tuple(Line(plain(line.label), line.quantity, line.unit_minor, line.tax_bp, Period(line.period))
                  for line in one.lines)
    amounts: dict[str, Any] = totals(lines) if lines else {"once": one.once_minor, "month": one.month_minor}
    said = one.consent or QuoteConsent([])
    return Told(
        number=plain(one.number), phone=e164(one.phone, one.country or keyed.campaign.country), name=plain(one.name),
        currency=one.currency or keyed.campaign.currency, sent_on=one.sent_on, lines=lines, **amounts,
        locale=plain(one.locale)[:2].lower(), last_contact=one.last_contact, valid_until=one.valid_until,
        standing=one.state, owner=one.owner.strip(),
        proof=Proof(tuple(sorted(set(said.purposes))), plain(said.text), plain(said.source), said.given_on,
                    plain(said.page)),
    )


def refusing(wrong: list[tuple[int, Fault]]) -> ManyInvalid:
    """The refusal that names each field by a pointer; the number before a fault is its quote's place."""
    faults = []
    for place, one in wrong:
        fault = FAULTS[one.reason]
        faults.append(Invalid(fault, pointer=f"/quotes/{place}/{_POINTERS.get(one.field, one.field)}"))
    return ManyInvalid(faults)
