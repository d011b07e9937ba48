"""Attesting: the certificate of evidence of a signing, drawn from its chain of events and nothing else, and sealed."""

import io
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import segno

from router import printing
from router.actions import certifying, choosing_services, depositing, outgoing, trusting
from router.actions.offering import Speaker, drawn_text
from router.book import Writing
from router.model.attestations import Attestation, code_of, grouped
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.countersignatures import REFUSALS, RefusalReason
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import NotAllowedNow
from router.model.evidence import EvidenceEvent, canonical_json, exported, instant
from router.model.phone import masked
from router.model.quotes import Quote
from router.model.signings import Signing
from router.model.trust_accounts import ServiceName
from router.ports import Sealed, SealKeys, SealOrder, TimeAccount
from router.store import attestations, authority, blobs, evidence, signings, trust_accounts
from router.wording import moment

FORMAT = "hablemos-certificate/1"
CODE = "attestation"
"""The vault's purpose for the codes printed on certificates."""
NO_CERTIFICATE = "There is nothing to certify."
AT_SEALING, AFTER_DECISION = 1, 2
"""The editions of a certificate."""

EVENTS = {
    "offer.sent": "The offer was sent to be signed",
    "sms.queued": "Text message handed to the telephone company",
    "sms.sent": "Text message sent",
    "sms.delivered": "Text message delivered",
    "sms.failed": "Text message not delivered",
    "link.opened": "The link was opened by its button",
    "code.sent": "One-time code sent to the number",
    "code.refused": "One-time code not sent",
    "code.wrong": "A wrong code was given",
    "code.verified": "The right code was given",
    "locked": "Locked after too many wrong codes",
    "signed": "Signed",
    "sealed": "Sealed by the company",
    "copy.sent": "The link to the signed copy was sent",
    "copy.downloaded": "The signed copy was downloaded",
    "archived": "A timestamp was added that makes the document last",
    "certified": "The certificate of evidence was made",
    "certificate.archived": "A timestamp was added that makes the certificate last",
    "deposited": "The evidence was given to a keeper outside of the company",
    "mail.sent": "E-mail sent",
    "mail.delivered": "E-mail delivered",
    "mail.failed": "E-mail not delivered",
    "whatsapp.sent": "WhatsApp message sent",
    "whatsapp.delivered": "WhatsApp message delivered",
    "whatsapp.failed": "WhatsApp message not delivered",
    "call.asked": "The person asked to be called",
    "held": "Held until a supervisor had looked at it",
    "released": "A supervisor looked at it and released it",
    "declined": "The offer was declined",
    "expired": "The time of the offer was over",
    "void": "The offer was taken back",
    "copy.mailed": "The signed document was sent by e-mail",
    "withdrawn": "The customer withdrew from the contract",
    "withdrawal.sealed": "The acknowledgement of the withdrawal was sealed",
    "withdrawal.accepted": "The late withdrawal was accepted",
    "withdrawal.refused": "The late withdrawal was refused",
    "provider.chosen": "A third party was chosen to take the signature",
    "provider.created": "The third party has the offer",
    "provider.failed": "The third party did not take the offer",
    "provider.hint": "The third party told that something had changed",
    "provider.status": "The third party said how far it had come",
    "provider.signed": "The signed document came from the third party",
    "provider.proofs": "The third party gave its proofs",
    "provider.not_sent": "The link could not be sent",
    "provider.revoke": "The third party took the offer back for us",
    "provider.remind": "The third party reminded the signer",
    "countersign.asked": "The company's countersignature was asked for",
    "countersign.approved": "A supervisor decided to countersign",
    "countersign.refused": "The company did not countersign",
    "countersigned": "Countersigned by the company",
}
"""What happened, in words, by the kind of event: all that can be written."""

ROLES = {"supervisor": "supervisor", "admin": "administrator"}
INTERNAL = (
    "The time comes from the company's own timestamp service. That proves form and order; it is not the word of a "
    "third party."
)
EXTERNAL = "The time comes from a timestamp service outside of the company."
NOT_QUALIFIED = (
    "This is neither an advanced nor a qualified electronic signature. The seal is the company's; the signer is tied "
    "to the document by the one-time code sent to the number above, by what was shown, and by the events below."
)


@dataclass(frozen=True)
class Material:
    """All a certificate is made of. `drawn_at` (aware) is its date; `root` the authority's root certificate (PEM);
    `time` gives its timestamp where it was chosen to; `keeper` is who will get the evidence, "" for nobody."""

    signing: Signing
    quote: Quote
    campaign: Campaign
    events: Sequence[EvidenceEvent]
    offer_bytes: int
    root: bytes
    code: str
    drawn_at: datetime
    public_url: str
    keys: SealKeys
    serial: int
    time: TimeAccount | None = None
    keeper: str = ""

    @property
    def speaker(self) -> Speaker:
        return Speaker(self.quote.locale, self.quote.currency, self.campaign.timezone)

    @property
    def known_as(self) -> str:
        return f"{self.quote.number}/{self.quote.version}"


async def order(w: Writing, signing: Signing, edition: int = AT_SEALING) -> None:
    """Queues the certificate of what has just been sealed, or decided on, once for each edition."""
    key = f"attest:{signing.id}" if edition == AT_SEALING else f"attest:{signing.id}:{edition}"
    await outgoing.post_about(w, signing, DeliveryKind.attest, key, "attest", {"edition": edition})


async def _is_made(w: Writing, delivery: Delivery) -> bool:
    """Whether there is this edition, or a later one, which tells of more."""
    kept = await attestations.of_signing(w.session, vouched(delivery.signing_id))
    return kept is not None and kept.edition >= _edition(delivery)


def _edition(delivery: Delivery) -> int:
    return int(str(delivery.order.get("edition", AT_SEALING)))


async def material(w: Writing, delivery: Delivery) -> Material:
    """What the certificate is drawn from, as of now. Raises NotAllowedNow when there is one, or nothing is sealed."""
    signing = await w.session.get(Signing, delivery.signing_id)
    if signing is None or signing.sealed_sha256 is None:
        raise NotAllowedNow(NO_CERTIFICATE)
    if await _is_made(w, delivery):
        raise NotAllowedNow(NO_CERTIFICATE)
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    root = vouched(await authority.find(w.session)).root_certificate
    keeper = await trust_accounts.chosen(w.session, signing.campaign_id, ServiceName.custody)
    return Material(
        signing=signing, quote=quote, campaign=vouched(await w.session.get(Campaign, signing.campaign_id)),
        events=await evidence.of_signing(w.session, signing.id),
        offer_bytes=len(await blobs.content(w.session, quote.pdf_sha256) or b""), root=root,
        code=code_of(w.vault.mac(CODE, str(signing.id))), drawn_at=w.now, public_url=w.public_url,
        keys=await certifying.keys_of(w), serial=await signings.next_serial(w.session),
        time=await choosing_services.time_of(w, signing.campaign_id),
        keeper=str(keeper.settings["keeper"]) if keeper is not None else "",
    )  # fmt: skip


def drawn(found: Material) -> SealOrder:
    """The certificate printed, with the events it tells of attached, to be sealed. Takes some 50 ms: call it in a
    thread and in no transaction."""
    said = contents(found)
    pdf = printing.certificate(said, found.quote.locale, said["author"], found.drawn_at)
    attached = {
        "format": FORMAT, "offer": found.known_as, "code": found.code,
        "signed_sha256": (found.signing.sealed_sha256 or b"").hex(), "events": exported(found.events),
    }
    return SealOrder(
        pdf=pdf, evidence=canonical_json(attached), keys=found.keys, timestamp_serial=found.serial,
        reason=f"Certificate of evidence of offer {found.known_as}", location=found.public_url, time=found.time,
    )


async def attested(w: Writing, delivery: Delivery, sealed: Sealed) -> None:
    """Stores the certificate once; a second worker's is dropped."""
    signing = await w.session.locked(Signing, delivery.signing_id)
    if signing is None or await _is_made(w, delivery):
        return
    await trusting.seal_used(w, sealed.seal)
    if (before := await attestations.of_signing(w.session, signing.id)) is not None:
        before.archive_at = None  # what is told of no more need not last
    sha256 = await blobs.keep(w.session, sealed.pdf, "application/pdf", w.now)
    w.session.add(Attestation(
        signing_id=signing.id, edition=_edition(delivery), sha256=sha256,
        code=code_of(w.vault.mac(CODE, str(signing.id))), level=sealed.level, time_source=sealed.time_source,
        created_at=w.now, archive_at=w.now,
    ))  # fmt: skip
    await evidence.append(w.session, signing, w.now, "certified", {
        "sha256": sha256.hex(), "level": sealed.level, "time_source": sealed.time_source,
    })  # fmt: skip
    w.fact("signing.certified", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id)
    if before is None:
        await depositing.order(w, signing)
    w.hint(f"signing:{signing.id}")


def contents(found: Material) -> dict[str, Any]:
    """What the certificate says, in the language of the offer: sections of pairs, the timeline, the way to check it."""
    say, address = found.speaker.say, f"{found.public_url}/verify"
    company = str(found.campaign.company.get("name") or found.campaign.name)
    said: dict[str, Any] = _drawable({
        "title": say("Certificate of evidence"), "subtitle": f"{say('Offer')} {found.known_as}", "author": company,
        "statements": [
            say("Simple electronic signature with reinforced evidence (one-time code by text message) and the "
                "company's seal."),
            say(NOT_QUALIFIED), say(EXTERNAL if found.signing.time_source == "external" else INTERNAL),
        ],
        "sections": [
            {"title": say("Who"), "pairs": _who(found, company)},
            {"title": say("What was shown"), "pairs": _what(found)},
            {"title": say("How it was signed"), "pairs": _how(found)},
            *([{"title": say("The company's countersignature"), "pairs": pairs}] if (pairs := _counter(found)) else []),
        ],
        "timeline": {"title": say("What happened, in order"), "rows": [_told(found, event) for event in found.events]},
        "checking": {
            "title": say("How to check it"), "address": address, "code": grouped(found.code),
            "qr": _qr(f"{address}?code={found.code}"),
            "alt": say("A code that leads to the page where this certificate is checked"),
            "sentence": say(
                "Open %(address)s and give this code, or the file itself. Without us: any program that reads PAdES "
                "seals checks the file against the root certificate.", address=address,
            ),
            "pairs": [(say("Fingerprint of the root certificate (SHA-256)"), _fingerprint(found.root)), *_kept(found)],
        },
    })  # fmt: skip
    return said


def _who(found: Material, company: str) -> list[tuple[str, str]]:
    say, said = found.speaker.say, found.campaign.company
    pairs = [(say("Company"), company)]
    pairs += [(say(label), str(said[key])) for key, label in (("tax_id", "Tax number"), ("address", "Address"))
              if said.get(key)]
    pairs += [
        (say("Signed by"), found.signing.name_typed), (say("Telephone"), masked(found.signing.phone)),
    ]  # fmt: skip
    if found.quote.agent_id is not None:
        pairs.append((say("Agent"), str(found.quote.agent_id)))
    if found.quote.call_id is not None:
        pairs.append((say("Telephone call"), str(found.quote.call_id)))
    return pairs


def _what(found: Material) -> list[tuple[str, str]]:
    say, signing, quote = found.speaker.say, found.signing, found.quote
    totals = [(line["label"], line["value"]) for line in quote.canonical or [] if line["kind"] == "total"]
    return [
        *totals,
        (say("The page as it was shown: SHA-256 of its lines"), (quote.canonical_sha256 or b"").hex()),
        (say("The offer as PDF: SHA-256"), (quote.pdf_sha256 or b"").hex()),
        (say("The signed document: SHA-256"), (signing.sealed_sha256 or b"").hex()),
        (say("The offer's bytes, with which the signed document begins"), str(found.offer_bytes)),
        (say("Kind of seal"), signing.level),
    ]  # fmt: skip


def _kept(found: Material) -> list[tuple[str, str]]:
    if not found.keeper:
        return []
    return [(found.speaker.say("Also kept by"), found.speaker.say(
        "%(keeper)s, who is given the evidence as soon as this certificate is made. The receipt stands in the "
        "evidence.", keeper=found.keeper,
    ))]  # fmt: skip


def _how(found: Material) -> list[tuple[str, str]]:
    say, signing = found.speaker.say, found.signing
    pairs = [(say("One-time code sent to the number"), _when(found, "code.sent")),
             (say("The right code was given"), _when(found, "code.verified")),
             (say("Signed"), _when(found, "signed"))]  # fmt: skip
    consents = [(say("Agreed to"), f"{one['text']} (SHA-256 {one['sha256']})") for one in signing.consents]
    return [pair for pair in pairs if pair[1]] + consents


def _counter(found: Material) -> list[tuple[str, str]]:
    """What became of the company's countersignature; empty where none was asked for."""
    say, last = found.speaker.say, {event.kind: event for event in found.events if event.kind.startswith("countersign")}
    if (made := last.get("countersigned")) is not None:
        return [
            (say("Countersigned by"), _decider(found, made)),
            (say("Countersigned"), _when(found, "countersigned")),
            (say("The countersigned document: SHA-256"), str(made.data["sha256"])),
            (say("Kind of countersignature"), str(made.data["level"])),
        ]  # fmt: skip
    if (refused := last.get("countersign.refused")) is not None:
        return [
            (say("Not countersigned"), _when(found, "countersign.refused")),
            (say("Decided by"), _decider(found, refused)),
            (say("Reason"), say(REFUSALS[RefusalReason(refused.data["reason"])])),
        ]
    return [(say("Asked for"), _when(found, "countersign.asked"))] if last else []


def _decider(found: Material, event: EvidenceEvent) -> str:
    return f"{event.data['name']} ({found.speaker.say(ROLES.get(event.data['role'], event.data['role']))})"


def _when(found: Material, kind: str) -> str:
    """When this happened last; "" when it did not."""
    times = [event.at for event in found.events if event.kind == kind]
    return moment(times[-1], found.campaign.timezone, found.quote.locale) if times else ""


def _told(found: Material, event: EvidenceEvent) -> dict[str, str]:
    """An event: when (UTC, to the second), what, from where; and the hash that binds it to the ones before."""
    words = EVENTS.get(event.kind)
    where = [str(event.data[key]) for key in ("ip", "user_agent") if event.data.get(key)]
    return {
        "at": instant(event.at)[:19].replace("T", " "), "what": found.speaker.say(words) if words else event.kind,
        "where": " · ".join(where), "hash": event.hash.hex(),
    }


def _qr(address: str) -> str:
    drawing = io.BytesIO()
    segno.make(address, error="m").save(drawing, kind="svg", border=2, xmldecl=False)
    return drawing.getvalue().decode()


def _fingerprint(root: bytes) -> str:
    return sha256(ssl.PEM_cert_to_DER_cert(root.decode())).digest().hex(":").upper()


def _drawable(value: Any) -> Any:
    """The same with what no font of ours can draw blotted out: a name typed, or what a browser calls itself."""
    if isinstance(value, str):
        return drawn_text(value)
    if isinstance(value, Mapping):
        return {key: one if key == "qr" else _drawable(one) for key, one in value.items()}
    return [_drawable(one) for one in value]
