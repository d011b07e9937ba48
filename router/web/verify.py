"""The door for everybody who holds a document: what of it holds, line by line. Nothing sent here is stored."""

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from aiohttp import BodyPartReader, web

from router.book import Reading
from router.model.errors import Invalid, TooLarge, UnknownType, Unreadable
from router.model.evidence import instant
from router.model.phone import masked
from router.model.quotes import Quote
from router.model.signings import Signing
from router.store import archives, authority, quotes, signings
from router.web.doors import doors
from router.web.offered import company_of
from router.web.parsing import read_bytes
from router.wording import Wording, moment, negotiate

routes = web.RouteTableDef()

LARGEST = 10 * 1024 * 1024
SEALED = "PAdES B-T"
"""The level of every document as it was sealed; its archives have their own."""

TITLES = {
    "issued": "The very file we issued", "integrity": "Unchanged under the seal",
    "revisions": "Nothing added after the seal", "signer": "Who sealed it",
    "trust": "The seal belongs to this company", "time": "When it was sealed",
    "level": "Kind of seal",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One question about a document and its answer; `detail` are codes and values."""

    name: str
    holds: bool
    detail: Mapping[str, str] = field(default_factory=dict)


@routes.get("/verify")
async def form(request: web.Request) -> web.Response:
    return await _page(request, [])


@routes.post("/verify")
async def verify(request: web.Request) -> web.Response:
    """Takes a form with a file, or the bare PDF; answers a page, or JSON to whoever asks for it."""
    pdf = await _received(request)
    lines = await _judged(request, pdf)
    if "json" in request.headers.get("Accept", "") or request.content_type == "application/pdf":
        body = {
            "identical": lines[0].holds,
            "lines": [{"name": line.name, "holds": line.holds, "detail": dict(line.detail)} for line in lines],
        }
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")
    return await _page(request, lines)


@routes.get("/verify/root.pem")
@routes.get("/pki/root.pem")
async def root(request: web.Request) -> web.Response:
    headers = {"Content-Disposition": 'attachment; filename="root.pem"', "X-SHA256": fingerprint(request)}
    return web.Response(body=doors(request).root_certificate, content_type="application/x-pem-file", headers=headers)


def fingerprint(request: web.Request) -> str:
    """SHA-256 of the root certificate's DER, in hexadecimal pairs."""
    der = ssl.PEM_cert_to_DER_cert(doors(request).root_certificate.decode())
    return hashlib.sha256(der).digest().hex(":").upper()


async def _received(request: web.Request) -> bytes:
    """The document. Raises TooLarge, Unreadable, UnknownType, Invalid when there is none."""
    if request.content_type == "application/pdf":
        pdf = await read_bytes(request, LARGEST)
    elif request.content_type == "multipart/form-data":
        pdf = await _from_form(request)
    else:
        raise UnknownType("Send the document as application/pdf, or with the form.")
    if not pdf:
        raise Invalid("Choose a PDF first.", pointer="/file")
    return pdf


async def _from_form(request: web.Request) -> bytes:
    if (request.content_length or 0) > LARGEST + 64 * 1024:
        raise TooLarge("The document is larger than 10 MB.")
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "file":
                return await _part(part)
    except (ValueError, AssertionError, RuntimeError, web.HTTPException) as error:
        raise Unreadable("The form cannot be read.") from error
    raise Invalid("Choose a PDF first.", pointer="/file")


async def _part(part: BodyPartReader) -> bytes:
    body = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        body += chunk
        if len(body) > LARGEST:
            raise TooLarge("The document is larger than 10 MB.")
    return bytes(body)


async def _judged(request: web.Request, pdf: bytes) -> list[Line]:
    async with doors(request).book.reading() as r:
        issued = await _issued(r, hashlib.sha256(pdf).digest())
        crls = [one.content for one in await authority.crls(r.session)]
    inspection = await doors(request).trust.inspect(pdf, doors(request).root_certificate, crls)
    return [issued, *(Line(check.name, check.holds, check.detail) for check in inspection.checks)]


async def _issued(r: Reading, sha256: bytes) -> Line:
    """First of all: is it a file of ours, byte for byte? No reader of PDFs notices every change (the padding behind a
    signature, what follows the end)."""
    archive = await archives.by_sha256(r.session, sha256)
    if archive is None:
        signing = await signings.by_sealed(r.session, sha256)
    else:
        signing = await r.session.get(Signing, archive.signing_id)
    quote = None if signing is None else await r.session.get(Quote, signing.quote_id)
    detail = {"sha256": sha256.hex()}
    if signing is None or quote is None or signing.signed_at is None:
        offer = await quotes.by_pdf(r.session, sha256)
        code = "unknown" if offer is None else "unsigned-offer"
        return Line("issued", False, detail | {"code": code} | ({"quote": offer.number} if offer else {}))
    return Line("issued", True, detail | {
        "code": "identical", "quote": f"{quote.number}/{quote.version}", "signed_at": instant(signing.signed_at),
        "phone": masked(signing.phone), "level": archive.level if archive else SEALED,
    })  # fmt: skip


SENTENCES = {
    ("issued", "identical"): "Byte for byte the signed offer %(quote)s, signed at %(signed_at)s, number %(phone)s.",
    ("issued", "unsigned-offer"): "This is our offer %(quote)s as it was sent, before any signature. It binds nobody.",
    ("issued", "unknown"): "We did not issue a file with exactly these bytes.",
    ("integrity", "intact"): "What the seal covers is as it was when it was sealed.",
    ("integrity", "digest-mismatch"): "The content was changed after it was sealed.",
    ("integrity", "signature-mismatch"): "The seal does not fit its certificate.",
    ("integrity", "not-all-covered"): "The seal does not cover the whole document.",
    ("revisions", "nothing-after"): "The seal covers the file to its last byte.",
    ("revisions", "archived-after"): "After the seal only timestamps were added that make the document last.",
    ("revisions", "changed-after"): "%(bytes_after)s bytes were added after the seal.",
    ("signer", "signed-by"): "%(organization)s (%(common_name)s).",
    ("signer", "signature-mismatch"): "The certificate names somebody, but the seal was not made with its key.",
    ("trust", "our-root"): "The certificate leads to the root certificate below.",
    ("trust", "own-seal"): "The certificate is this company's own, issued by another authority.",
    ("trust", "revoked"): "The certificate had been revoked when the document was sealed.",
    ("time", "stamped"): "%(time)s, by the timestamp service %(authority)s (%(source)s).",
    ("time", "no-timestamp"): "The seal carries no timestamp.",
    ("time", "revoked"): "The certificate of the timestamp service has been revoked.",
    ("time", "mismatch"): "The timestamp does not belong to this seal.",
    ("level", "reached"): "%(level)s.",
    ("level", "lasting"): "%(level)s: the document outlasts its certificates, by a timestamp of %(time)s (%(source)s).",
    ("level", "not-reached"): "%(level)s, but it does not hold as a whole.",
}  # fmt: skip
"""By line and code. Values are put in after the translation."""

ANYWHERE = {
    "not-a-pdf": "This is not a PDF.",
    "too-large": "The document is too large to be looked at.",
    "took-too-long": "The document took too long to be looked at.",
    "unreadable": "The document cannot be read.",
    "no-seal": "The document carries no seal.",
    "other-form": "The seal is of a form we do not issue.",
}


def _sentence(wording: Wording, line: Line, locale: str) -> str:
    code = line.detail.get("code", "")
    text = SENTENCES.get((line.name, code)) or ANYWHERE.get(code) or "It does not lead to a root certificate we know."
    said = wording.say(text, locale)
    values = {key: _shown(wording, key, value, locale) for key, value in line.detail.items()}
    try:
        return said % values
    except KeyError:
        return said


def _shown(wording: Wording, key: str, value: str, locale: str) -> str:
    if key == "source":
        return wording.say(value, locale)
    if key in ("time", "signed_at") and value:
        return moment(datetime.fromisoformat(value), "UTC", locale)
    return value


async def _page(request: web.Request, lines: Sequence[Line]) -> web.Response:
    locale, wording = negotiate(request.headers.get("Accept-Language")), doors(request).wording
    shown = [
        {"title": wording.say(TITLES.get(line.name, line.name), locale), "holds": line.holds,
         "sentence": _sentence(wording, line, locale)}
        for line in lines
    ]  # fmt: skip
    page = wording.page("sign/verify.html", locale, company=await _company(request), lines=shown,
                        fingerprint=fingerprint(request))  # fmt: skip
    return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})


async def _company(request: web.Request) -> dict[str, str]:
    async with doors(request).book.reading() as r:
        return company_of(await signings.only_campaign(r.session))
