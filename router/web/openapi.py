"""The programs' door described: `/openapi.json` for programs, `/docs` for people, both from the types that are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from router.web.api import KeyedLead, LeadState, LeadTaken
from router.web.doors import doors
from router.web.elsewhere import DocumentKept, QuotesBody, QuotesTaken
from router.web.lead_body import LeadBody
from router.wording import negotiate

routes = web.RouteTableDef()

REF = "#/components/schemas/{name}"


class Fault(msgspec.Struct):
    """One field that is wrong: `pointer` (RFC 6901) names it."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, omit_defaults=True):
    """What every refusal answers (RFC 9457). `code` is stable, `detail` a sentence for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    language: str
    errors: list[Fault] = []


class WidgetTaken(msgspec.Struct):
    """What a landing page is answered; for some intents there is more."""

    lead: int
    status_url: str
    stream_url: str


class VerifiedLine(msgspec.Struct):
    """One question about a document and whether it holds; `detail` are a code and values."""

    name: str
    holds: bool
    detail: dict[str, str]


class Verified(msgspec.Struct):
    """What holds of a document, line by line; `identical`: it is, to the byte, one we issued."""

    identical: bool
    lines: list[VerifiedLine]


_FAULTS: Mapping[int, str] = {
    400: "The body cannot be read.", 401: "No key, or an unknown one.", 403: "The key may not do this.",
    404: "There is no such thing.", 409: "It has moved on.", 413: "The body is too large.",
    415: "The body is not of a type this door reads.",
    422: "A field is wrong; its pointer says which.", 429: "Too often; Retry-After says when.",
    503: "Try again in a moment.",
}


@dataclass(frozen=True)
class Operation:
    """One thing a program can ask for. `scope` is what its key must be allowed; "" needs none. `document` is the media
    type of a body that is no JSON, `gives` that of an answer without a shape."""

    method: str
    path: str
    name: str
    summary: str
    answer: type[msgspec.Struct] | None
    status: int
    body: type[msgspec.Struct] | None = None
    scope: str = ""
    faults: Sequence[int] = ()
    keyed: bool = False
    document: str = ""
    gives: str = ""


OPERATIONS = (
    Operation(
        "post", "/v1/campaigns/{key}/leads", "postKeyedLead", "Send a lead from your server.", LeadTaken, 201,
        body=KeyedLead, scope="leads:write", faults=(400, 401, 403, 413, 415, 422, 503), keyed=True,
    ),
    Operation(
        "get", "/v1/leads/{id}", "getLead", "Ask how a lead of your campaign stands.", LeadState, 200,
        scope="leads:read", faults=(401, 403, 404),
    ),
    Operation(
        "post", "/v1/quotes", "postQuotes",
        "Send quotes that were made elsewhere, with their persons' consent; or have offers made of them.",
        QuotesTaken, 201, body=QuotesBody, scope="quotes:write", faults=(400, 401, 403, 413, 415, 422, 503), keyed=True,
    ),
    Operation(
        "post", "/v1/quotes/{id}/pdf", "postQuoteDocument", "Send the PDF a quote of yours came with, as the body.",
        DocumentKept, 201, document="application/pdf", scope="quotes:write",
        faults=(401, 403, 404, 409, 413, 415, 422, 503),
    ),
    Operation(
        "get", "/v1/quotes/{id}/evidence", "getEvidence",
        "Take all the evidence of a signed quote of your campaign as one ZIP; VERIFY.md in it says how to check it.",
        None, 200, scope="quotes:write", faults=(401, 403, 404, 429, 503), gives="application/zip",
    ),
    Operation(
        "post", "/verify", "verifyDocument",
        "Ask what holds of a sealed PDF, which is the body. Nobody needs a key, and nothing is stored.",
        Verified, 200, document="application/pdf", faults=(400, 413, 415, 422, 429, 503),
    ),
    Operation(
        "get", "/pki/root.pem", "getRoot", "The root certificate to which our seals lead, PEM.", None, 200,
        gives="application/x-pem-file",
    ),
    Operation(
        "get", "/pki/issuing.crl", "getRevoked", "The list of seals that were taken back, DER.", None, 200,
        faults=(404,), gives="application/pkix-crl",
    ),
    Operation(
        "get", "/pki/seals.pem", "getSeals", "The company's own seals under other roots, PEM.", None, 200,
        gives="application/x-pem-file",
    ),
    Operation(
        "post", "/v1/leads", "postLead", "Send a lead from a landing page, with the page's public key.", WidgetTaken,
        201, body=LeadBody, faults=(400, 403, 413, 415, 422, 429, 503), keyed=True,
    ),
)


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(name=name)}}}


def _described(one: Operation) -> dict[str, Any]:
    names = [part.strip("{}") for part in one.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if name == "id" else "string"}}
        for name in names
    ]
    if one.keyed:
        parameters.append({
            "name": "Idempotency-Key", "in": "header", "required": False,
            "description": "The same key gives the same answer, and nothing is made twice.",
            "schema": {"type": "string", "minLength": 8, "maxLength": 128},
        })
    problems = {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}}
    content = _json(one.answer.__name__) if one.answer is not None else {one.gives: {}}
    answers: dict[str, Any] = {str(one.status): {"description": "Done.", "content": content}}
    answers |= {str(fault): {"description": _FAULTS[fault], "content": problems} for fault in one.faults}
    described: dict[str, Any] = {
        "operationId": one.name, "summary": one.summary, "parameters": parameters, "responses": answers,
        "security": [{"key": []}] if one.scope else [],
    }
    if one.body is not None:
        described["requestBody"] = {"required": True, "content": _json(one.body.__name__)}
    if one.document:
        described["requestBody"] = {"required": True, "content": {one.document: {}}}
    return described


@cache
def _shapes() -> dict[str, Any]:
    types = [Problem, *(kind for one in OPERATIONS for kind in (one.body, one.answer) if kind is not None)]
    _, shapes = msgspec.json.schema_components(types, ref_template=REF)
    return dict(shapes)


def document(public_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hablemos", "version": "1", "description": "Leads and quotes in, and how leads stand."},
        "servers": [{"url": public_url}],
        "paths": paths,
        "components": {
            "schemas": _shapes(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key of the campaign."}},
        },
    }


@routes.get("/openapi.json")
async def openapi(request: web.Request) -> web.Response:
    body = msgspec.json.encode(document(doors(request).public_url))
    return web.Response(body=body, content_type="application/json", headers={"Access-Control-Allow-Origin": "*"})


@dataclass(frozen=True)
class Field:
    """A field of a body, as people read it."""

    name: str
    kind: str
    required: bool
    about: str


def _kind(shape: Mapping[str, Any]) -> str:
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    if "anyOf" in shape:
        return " | ".join(_kind(one) for one in shape["anyOf"] if one.get("type") != "null")
    if "enum" in shape:
        return " | ".join(str(one) for one in shape["enum"])
    kind = str(shape.get("type", "any"))
    return f"{_kind(shape['items'])}[]" if kind == "array" and "items" in shape else kind


def _limits(shape: Mapping[str, Any]) -> str:
    words = {"minLength": "≥ {}", "maxLength": "≤ {}", "maxItems": "≤ {}", "maxProperties": "≤ {}", "pattern": "{}"}
    return ", ".join(words[name].format(shape[name]) for name in words if name in shape)


def fields_of(name: str) -> list[Field]:
    """The fields of a shape in their order."""
    shape = _shapes()[name]
    needed = shape.get("required", [])
    return [
        Field(field, _kind(one), field in needed, _limits(one)) for field, one in shape.get("properties", {}).items()
    ]


@routes.get("/docs")
async def docs(request: web.Request) -> web.Response:
    """Plain HTML: readable without a script."""
    locale = negotiate(request.headers.get("Accept-Language"))
    bodies = sorted(
        name for name, shape in _shapes().items() if shape.get("type") == "object" and shape.get("properties")
    )
    text = doors(request).wording.page(
        "api/docs.html", locale, operations=OPERATIONS, public_url=doors(request).public_url,
        shapes={name: (fields_of(name), _shapes()[name].get("description", "")) for name in bodies}, faults=_FAULTS,
    )
    return web.Response(text=text, content_type="text/html")
