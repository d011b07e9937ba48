"""The door for everybody who holds a document: what of it holds, line by line. Nothing sent here is stored.

Who has no file at hand may give the code printed on a certificate of evidence, or a file's SHA-256.
"""

import hashlib
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import BodyPartReader, web

from router.actions import trusting
from router.book import Reading
from router.findings import NOT_A_PDF, findings, unseen
from router.model.attestations import grouped, read_code
from router.model.deposits import Deposit
from router.model.errors import Invalid, TooLarge, TooMany, UnknownType, Unreadable
from router.model.evidence import EvidenceEvent, broken_at, instant
from router.model.ledger import Stamp
from router.model.phone import masked
from router.model.protection import network_of
from router.model.quotes import Quote
from router.model.rates import Counted, full, scopes
from router.model.signings import Signing
from router.ports import Check
from router.store import archives, attestations, authority, evidence, ledger, quotes, rates, signings
from router.web.doors import doors
from router.web.gate import peer
from router.web.offered import company_of
from router.web.parsing import read_bytes
from router.wording import negotiate

routes = web.RouteTableDef()

LARGEST = 10 * 1024 * 1024
SEALED = "PAdES B-T"
"""The level of every document as it was sealed; its archives have their own."""


@dataclass(frozen=True)
class Asked:
    """A file's bytes, or the code or the SHA-256 of one."""

    pdf: bytes = b""
    code: str | None = None
    sha256: bytes | None = None


@routes.get("/verify")
async def form(request: web.Request) -> web.Response:
    """Inert: a code in the address (it is in the picture on the certificate) only fills the form."""
    return await _page(request, [], code=grouped(read_code(request.query.get("code", "")) or ""))


@routes.post("/verify")
async def verify(request: web.Request) -> web.Response:
    """Takes a form with a file or a code, or the bare PDF; answers a page, or JSON to whoever asks for it. Raises
    TooMany when one network asks too often."""
    await _count(request)
    for_program = "json" in request.headers.get("Accept", "") or request.content_type == "application/pdf"
    try:
        asked = await _received(request)
    except Invalid as fault:
        if for_program:
            raise
        return await _page(request, [], fault=fault)
    lines = await _judged(request, asked)
    if not for_program and unseen(lines) == "not-a-pdf":
        return await _page(request, [], fault=Invalid(NOT_A_PDF, pointer="/file"))
    if for_program:
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


async def _count(request: web.Request) -> None:
    house = doors(request)
    scope = f"verify:{house.book.vault.token('rate', network_of(peer(request)))}"
    counted = [Counted("verify", scope, house.limits.documents)]
    async with house.book.writing() as w:
        standing, _ = await rates.draw(w.session, scopes([counted]), w.now)
    if full(counted, standing) is not None:
        raise TooMany("Too many documents were checked from here; please try again later.",
                      retry_after=house.limits.documents.seconds)  # fmt: skip


async def _received(request: web.Request) -> Asked:
    """What is asked about. Raises TooLarge, Unreadable, UnknownType, Invalid when there is nothing."""
    if request.content_type == "application/pdf":
        return _file(await read_bytes(request, LARGEST))
    if request.content_type == "multipart/form-data":
        return await _from_form(request)
    raise UnknownType("Send the document as application/pdf, or with the form.")


def _file(pdf: bytes) -> Asked:
    if not pdf:
        raise Invalid("Choose a PDF first.", pointer="/file")
    return Asked(pdf)


def _named(text: str) -> Asked:
    """The code or SHA-256 somebody typed. Raises Invalid."""
    digits = "".join(char for char in text.lower() if char not in " :\n\r\t")
    if re.fullmatch(r"[0-9a-f]{64}", digits):
        return Asked(sha256=bytes.fromhex(digits))
    code = read_code(text)
    if code is None:
        raise Invalid("This is neither a code of twelve characters nor a SHA-256.", pointer="/code")
    return Asked(code=code)


async def _from_form(request: web.Request) -> Asked:
    if (request.content_length or 0) > LARGEST + 64 * 1024:
        raise TooLarge("The document is larger than 10 MB.")
    pdf, named, text = b"", "", ""
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "file":
                pdf, named = await _part(part), part.filename or ""
            elif isinstance(part, BodyPartReader) and part.name == "code":
                text = (await part.read_chunk(200)).decode("utf-8", "replace").strip()
                break
    except (ValueError, AssertionError, RuntimeError, web.HTTPException) as error:
        raise Unreadable("The form cannot be read.") from error
    if named and not pdf:
        raise Invalid("This file is empty. Download it again, or choose another.", pointer="/file")
    return _named(text) if text and not pdf else _file(pdf)


async def _part(part: BodyPartReader) -> bytes:
    body = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        body += chunk
        if len(body) > LARGEST:
            raise TooLarge("The document is larger than 10 MB.")
    return bytes(body)


async def _judged(request: web.Request, asked: Asked) -> list[Check]:
    """The file's own lines stand only where there is a file."""
    async with doors(request).book.reading() as r:
        issued, signing = await _issued(r, asked)
        house = await _house(r, signing) if signing is not None else []
        crls = [one.content for one in await authority.crls(r.session)]
        trusted = await trusting.trusted(r.session)
    if not asked.pdf:
        return [issued, *house]
    inspection = await doors(request).trust.inspect(asked.pdf, doors(request).root_certificate, crls, trusted)
    return [issued, *inspection.checks, *house]


async def _issued(r: Reading, asked: Asked) -> tuple[Check, Signing | None]:
    """First of all: is it a file of ours, byte for byte? No reader of PDFs notices every change (the padding behind a
    signature, what follows the end)."""
    if asked.code is not None:
        kept = await attestations.by_code(r.session, asked.code)
        return await _found(r, "code", kept.signing_id if kept else None, {"code_typed": grouped(asked.code)})
    sha256 = asked.sha256 or hashlib.sha256(asked.pdf).digest()
    detail = {"sha256": sha256.hex()}
    if (kept := await attestations.by_sha256(r.session, sha256)) is not None:
        return await _found(r, "certificate", kept.signing_id, detail | {"level": SEALED})
    if (archive := await archives.by_sha256(r.session, sha256)) is not None:
        code = "identical" if archive.edition is None else "certificate"
        return await _found(r, code, archive.signing_id, detail | {"level": archive.level})
    signing = await signings.by_sealed(r.session, sha256)
    if signing is not None:
        return await _found(r, "identical", signing.id, detail | {"level": SEALED})
    offer = await quotes.by_pdf(r.session, sha256)
    code = "unknown" if offer is None else "unsigned-offer"
    return Check("issued", False, detail | {"code": code} | ({"quote": offer.number} if offer else {})), None


async def _found(
    r: Reading, code: str, signing_id: int | None, detail: Mapping[str, str]
) -> tuple[Check, Signing | None]:
    signing = await r.session.get(Signing, signing_id) if signing_id is not None else None
    quote = await r.session.get(Quote, signing.quote_id) if signing is not None else None
    if signing is None or quote is None or signing.signed_at is None:
        return Check("issued", False, {**detail, "code": "unknown-code" if code == "code" else "unknown"}), None
    return Check("issued", True, {
        **detail, "code": code, "quote": f"{quote.number}/{quote.version}", "signed_at": instant(signing.signed_at),
        "phone": masked(signing.phone), "signed_sha256": (signing.sealed_sha256 or b"").hex(),
    }), signing  # fmt: skip


async def _house(r: Reading, signing: Signing) -> list[Check]:
    """What our own records say of the signing: its events and their place in the ledger; whose telephone it was."""
    events = await evidence.of_signing(r.session, signing.id)
    given = [event.at for event in events if event.kind == "code.verified"]
    number = {"code": "proven" if given else "not-proven", "phone": masked(signing.phone)}
    return [
        await _chain(r, signing, events),
        Check("number", bool(given), number | ({"given_at": instant(given[-1])} if given else {})),
        *await _kept(r, signing),
    ]  # fmt: skip


async def _kept(r: Reading, signing: Signing) -> list[Check]:
    """Who else keeps its evidence, where somebody was to."""
    deposit = await r.session.get(Deposit, signing.id)
    if deposit is None:
        return []
    if deposit.received_at is None:
        return [Check("custody", False, {"code": "not-confirmed"})]
    return [Check("custody", True, {
        "code": f"kept-{deposit.given}", "keeper": deposit.keeper, "reference": deposit.reference,
        "deposited_sha256": (deposit.sha256 or b"").hex(), "time": instant(deposit.received_at),
    })]  # fmt: skip


async def _newest_anchor(r: Reading, lines: Sequence[int]) -> Stamp | None:
    """The timestamp over the last of these lines of the ledger that has one; most often the first asked about."""
    for n in reversed(lines):
        if (found := await ledger.anchor(r.session, n)) is not None:
            return found
    return None


async def _chain(r: Reading, signing: Signing, events: Sequence[EvidenceEvent]) -> Check:
    entries = await ledger.of_signing(r.session, signing.id)
    detail = {"events": str(len(events))}
    hashes = {event.seq: event.hash for event in events}
    if broken_at(events) is not None or any(hashes.get(one.seq) != one.event_hash for one in entries):
        return Check("chain", False, detail | {"code": "broken"})
    if not entries:
        return Check("chain", True, detail | {"code": "not-entered"})
    detail |= {"n": str(entries[-1].n)}
    anchor = await _newest_anchor(r, [one.n for one in entries])
    if anchor is None:
        return Check("chain", True, detail | {"code": "entered"})
    return Check("chain", True, detail | {
        "code": "anchored", "time": instant(anchor.at), "source": anchor.time_source,
    })  # fmt: skip


async def _page(
    request: web.Request, lines: Sequence[Check], code: str = "", fault: Invalid | None = None
) -> web.Response:
    locale, wording = negotiate(request.headers.get("Accept-Language")), doors(request).wording
    page = wording.page("sign/verify.html", locale, company=await _company(request),
                        lines=list(findings(lines, locale)), code=code, fingerprint=fingerprint(request),
                        wrong=wording.say(fault.sentence, locale, **fault.values) if fault else "",
                        wrong_field=(fault.pointer or "")[1:] if fault else "")  # fmt: skip
    status = HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK
    return web.Response(text=page, status=status, content_type="text/html", headers={"Cache-Control": "no-store"})


async def _company(request: web.Request) -> dict[str, str]:
    async with doors(request).book.reading() as r:
        return company_of(await signings.only_campaign(r.session))
