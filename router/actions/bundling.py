"""Bundling: all the evidence of a signing as one ZIP that needs none of our programs to be believed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from router.actions import certifying, trusting
from router.book import Book
from router.model import bundles, ledger
from router.model.authority import ISSUING
from router.model.base import vouched
from router.model.bundles import MANIFEST, STAMP, epoch, event_line, pretty_json
from router.model.calls import Call
from router.model.campaigns import Campaign
from router.model.consent import Receipt
from router.model.deliveries import Delivery
from router.model.deposits import Deposit
from router.model.errors import Conflict
from router.model.evidence import EvidenceEvent, canonical_json, instant
from router.model.ledger import Entry, Stamp
from router.model.quotes import Quote
from router.model.signings import Signing
from router.ports import Parts, SignaturePart, StampOrder, Trusted, TrustProvider
from router.store import archives, authority, blobs, deposits, evidence, signings
from router.store import ledger as ledgers
from router.store.db import ReadSession
from router.wording import LOCALES, moment, wording

NOT_SEALED = "The document is not sealed yet."


@dataclass(frozen=True)
class Bundle:
    """A ZIP and the name it is saved under."""

    name: str
    content: bytes


@dataclass(frozen=True)
class _Anchored:
    """The ledger from the signing's last line that is under a timestamp to the line that has it."""

    lines: Sequence[Entry]
    stamp: Stamp


@dataclass(frozen=True)
class Material:
    """All a bundle is made of, as of one moment. `sealed_bytes` are how many of `signed` were the document when it was
    sealed, before timestamps were added."""

    quote: Quote
    campaign: Campaign
    signing: Signing
    events: Sequence[EvidenceEvent]
    offer: bytes
    signed: bytes
    sealed_bytes: int
    evidence: bytes
    certificate: bytes | None
    messages: Sequence[Delivery]
    call: Mapping[str, Any]
    root: bytes
    crls: Mapping[str, bytes]
    anchored: _Anchored | None
    trusted: Trusted
    deposit: Deposit | None
    files: dict[str, bytes] = field(default_factory=dict)


async def make(book: Book, trust: TrustProvider, signing_id: int) -> Bundle:
    """The bundle as things stand. Asked for again, with nothing new in the evidence, it is the same to the byte.

    Raises Conflict before the document is sealed; Refused when no timestamp is to be had just now.
    """
    async with book.reading() as r:
        found = await read(r.session, signing_id)
    signed = await trust.parts(found.signed, found.root, found.trusted)
    certificate = await trust.parts(found.certificate, found.root, found.trusted) if found.certificate else None
    files = contents(found, signed, certificate)
    files[MANIFEST] = bundles.manifest(files)
    stamp = await stamped(book, trust, hashlib.sha256(files[MANIFEST]).digest())
    files[STAMP] = stamp.token
    return Bundle(f"{found.quote.number}-{found.quote.version}-evidence.zip", bundles.pack(files))


async def stamped(book: Book, trust: TrustProvider, digest: bytes, n: int | None = None) -> Stamp:
    """The timestamp on a digest, made once. Two at once make two, of which one is kept. Raises Refused."""
    async with book.writing() as w:
        kept = await ledgers.stamp(w.session, digest)
        if kept is not None:
            return kept
        order = StampOrder(digest, await certifying.keys_of(w), await signings.next_serial(w.session))
    made = await trust.stamp(order)
    async with book.writing() as w:
        await w.session.lock_word("stamps")
        kept = await ledgers.stamp(w.session, digest)
        if kept is not None:
            return kept
        stamp = Stamp(digest=digest, token=made.token, time_source=made.time_source, at=made.at, created_at=w.now, n=n)
        w.session.add(stamp)
    return stamp


async def read(session: ReadSession, signing_id: int) -> Material:
    """Raises Conflict before the document is sealed."""
    signing = await session.get(Signing, signing_id)
    if signing is None or signing.sealed_sha256 is None:
        raise Conflict(NOT_SEALED)
    quote = vouched(await session.get(Quote, signing.quote_id))
    newest = await archives.newest(session, signing.id)
    sealed = vouched(await blobs.content(session, signing.sealed_sha256))
    return Material(
        quote=quote, campaign=vouched(await session.get(Campaign, signing.campaign_id)), signing=signing,
        events=await evidence.of_signing(session, signing.id),
        offer=vouched(await blobs.content(session, quote.pdf_sha256)),
        signed=vouched(await blobs.content(session, newest.sha256)) if newest else sealed, sealed_bytes=len(sealed),
        evidence=vouched(await blobs.content(session, signing.evidence_sha256)),
        certificate=await blobs.content(session, await archives.certificate(session, signing.id)),
        messages=await evidence.messages(session, signing.id), call=await _call(session, quote),
        root=vouched(await authority.find(session)).root_certificate,
        crls={one.issuer: one.content for one in await authority.crls(session)},
        anchored=await _anchored(session, signing.id), trusted=await trusting.trusted(session),
        deposit=await deposits.received(session, signing.id),
    )  # fmt: skip


async def _anchored(session: ReadSession, signing_id: int) -> _Anchored | None:
    newest = await ledgers.newest_anchor(session)
    under = [one for one in await ledgers.of_signing(session, signing_id) if newest and one.n <= (newest.n or 0)]
    if not under:
        return None
    stamp = vouched(await ledgers.anchor(session, under[-1].n))
    return _Anchored(await ledgers.stretch(session, under[-1].n, stamp.n or 0), stamp)


async def _call(session: ReadSession, quote: Quote) -> dict[str, Any]:
    """The call the offer was made in, and what allowed it."""
    call = await session.get(Call, quote.call_id) if quote.call_id is not None else None
    rung = await evidence.rung(session, call.id) if call is not None else None
    allowed = rung.attempt if rung is not None else None
    return {
        "call_id": call.id if call is not None else None,
        "agent": call.agent_id if call is not None else quote.agent_id,
        "direction": None if rung is None else "in" if rung.leg.came_in else "out",
        "number": rung.leg.address if rung is not None else None,
        "shown_number": rung.caller_id or None if rung is not None else None,
        "carrier_id": rung.leg.carrier_id or None if rung is not None else None,
        "started": _at(call.created_at) if call is not None else None,
        "talking": _at(call.talking_at) if call is not None else None,
        "ended": _at(call.ended_at) if call is not None else None,
        "allowed_by": None if allowed is None else {
            "verdict": allowed.verdict, "rules": allowed.rules, "purpose": allowed.purpose, "at": _at(allowed.at),
            "receipt": allowed.receipt_id,
        },
        "receipts": [_receipt(one) for one in await signings.receipts(session, quote.lead_id)],
    }  # fmt: skip


def _receipt(one: Receipt) -> dict[str, Any]:
    return {
        "receipt": one.id, "purposes": one.purposes, "text": one.text, "text_sha256": one.text_sha256,
        "version": one.version, "method": one.method, "given_at": _at(one.given_at),
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def contents(found: Material, signed: Parts, certificate: Parts | None) -> dict[str, bytes]:
    """The files by their names, without the list of them."""
    files = {
        "offer.pdf": found.offer, "offer-lines.json": canonical_json(found.quote.canonical),
        "signed.pdf": found.signed, "evidence.json": found.evidence,
        "events.jsonl": b"".join(event_line(event) + b"\n" for event in found.events),
        "snapshot.html": snapshot(found).encode(), "call.json": pretty_json(found.call),
        "tsa/seal.tst": _token(signed.seal), "pki/root.pem": found.root, "pki/seal.pem": signed.certificate,
    }  # fmt: skip
    if found.certificate is not None and certificate is not None:
        files |= {"certificate.pdf": found.certificate, "tsa/certificate.tst": _token(certificate.seal)}
    files |= {f"consents/{one['id']}.txt": str(one["text"]).encode() for one in found.signing.consents}
    files |= {f"sms/{place}-{one.purpose}.json": pretty_json(_message(found, one))
              for place, one in enumerate(found.messages, 1)}
    files |= {f"tsa/archive-{place}.tst": _token(one) for place, one in enumerate(signed.archives, 1)}
    if signed.countersignature is not None:
        files["tsa/countersignature.tst"] = _token(signed.countersignature)
    files |= {f"pki/{issuer}.crl": content for issuer, content in found.crls.items()}
    files |= _certificates([signed, *([certificate] if certificate else [])])
    if found.deposit is not None:
        files["custody.json"] = pretty_json(_kept(found.deposit))
    if found.anchored is not None:
        lines = "".join(f"{ledger.said(entry)}\n" for entry in found.anchored.lines)
        files |= {"ledger.txt": lines.encode(), "tsa/ledger.tst": found.anchored.stamp.token}
    return files | _instructions(found, signed, certificate, len(files))


def _kept(deposit: Deposit) -> dict[str, Any]:
    """The keeper's receipt: `record` is his own word, as it came."""
    return {
        "keeper": deposit.keeper, "reference": deposit.reference, "given": deposit.given,
        "sha256": (deposit.sha256 or b"").hex(), "kept_at": _at(deposit.kept_at),
        "received_at": _at(deposit.received_at), "record": (deposit.record or b"").decode("utf-8", "replace"),
    }


def _certificates(parts: Sequence[Parts]) -> Iterator[tuple[str, bytes]]:
    roots = list(dict.fromkeys(one for part in parts for one in part.roots))
    issuers = list(dict.fromkeys(one for part in parts for one in part.issuers))
    yield "pki/trusted.pem", b"".join(roots)
    yield "pki/issuers.pem", b"".join(issuers)
    for place, one in enumerate(roots[1:], 2):
        yield f"pki/root-{place}.pem", one


def _token(part: SignaturePart) -> bytes:
    offset, length = part.token
    return part.cms[offset : offset + length]


def _message(found: Material, one: Delivery) -> dict[str, Any]:
    """A text's receipt. What secret it held stands in it as [link] or [code]."""
    stages = [{"stage": event.kind, "at": instant(event.at)} for event in found.events
              if event.kind.startswith("sms.") and event.data.get("purpose") == one.purpose]
    return {
        "purpose": one.purpose, "channel": str(one.order.get("channel", "sms")), "to": one.order.get("to"),
        "sender": one.order.get("sender"), "provider_id": one.carrier_id or None, "state": one.state.value,
        "error": one.error or None, "tries": one.tries, "queued_at": _at(one.created_at),
        "handed_over_at": _at(one.started_at), "ended_at": _at(one.ended_at), "text": one.shown_text,
        "reported": stages,
    }  # fmt: skip


def snapshot(found: Material) -> str:
    """The page as it was shown, from the same lines: nothing in it is clicked, runs, or is fetched from elsewhere."""
    quote = found.quote
    return wording().page(
        "evidence/snapshot.html", quote.locale, lines=quote.canonical or [],
        fingerprint=(quote.canonical_sha256 or b"").hex(),
    )


def _instructions(found: Material, signed: Parts, certificate: Parts | None, others: int) -> dict[str, bytes]:
    """How to check all of it, in English and in the language of the offer."""
    locales = list(dict.fromkeys((LOCALES[0], found.quote.locale)))
    counter = signed.countersignature
    seals = [_shown("signed", signed.seal, "signed", "seal")]
    seals += [_shown("certificate", certificate.seal, "certificate", "certificate")] if certificate else []
    seals += [_shown("countersignature", counter, "signed", "countersignature")] if counter else []
    values = {
        "offer": f"{found.quote.number}/{found.quote.version}", "files": others + len(locales) + 2,
        "offer_bytes": len(found.offer), "sealed_bytes": found.sealed_bytes,
        "seals": seals, "certified": certificate is not None, "countersigned": counter is not None,
        "archives": [_shown(f"archive-{place}", part) for place, part in enumerate(signed.archives, 1)],
        "head": found.events[-1].hash.hex(), "anchor": found.anchored, "house": signed.house and ISSUING in found.crls,
        "now": epoch(signed.seal.at), "genesis": "0" * 64, "internal": found.signing.time_source != "external",
        "deposit": found.deposit, "deposited": (found.deposit.sha256 or b"").hex() if found.deposit else "",
    }  # fmt: skip
    if found.anchored is not None:
        values |= {
            "ledger_previous": found.anchored.lines[0].previous.hex(),
            "ledger_event": found.anchored.lines[0].event_hash.hex(), "anchor_time": epoch(found.anchored.stamp.at),
        }
    return {
        "VERIFY.md" if locale == LOCALES[0] else f"VERIFY.{locale}.md": (wording().text(
            "evidence/verify.txt", locale, when=moment(signed.seal.at, found.campaign.timezone, locale), **values
        ) + "\n").encode()
        for locale in locales
    }  # fmt: skip


def _shown(name: str, part: SignaturePart, file: str = "signed", token: str = "") -> dict[str, Any]:
    """Where everything stands in its `file`, as head and tail count: bytes from 1. `token` is the timestamp's file."""
    _, before, after, rest = part.byte_range
    return {
        "name": name, "file": file, "token": token or name, "before": before, "after": after + 1, "rest": rest,
        "digits": before + 2, "digit_count": 2 * len(part.cms), "value_at": part.value[0] + 1,
        "value_length": part.value[1], "token_at": part.token[0] + 1, "token_length": part.token[1],
        "time": epoch(part.at),
    }
