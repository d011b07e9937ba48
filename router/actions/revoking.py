"""Revoking: a customer withdraws from what he has signed, and has it acknowledged in writing at once.

Within the law's time his word ends the contract; what comes later is taken down, acknowledged, and decided by a person.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router import printing
from router.actions import certifying, nurturing, outgoing, trusting
from router.actions.offering import Speaker
from router.actions.signing import record
from router.book import Book, Reading, Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contract_withdrawals import ContractWithdrawal, WithdrawalState, ends_at, last_minute
from router.model.deliveries import DeliveryKind
from router.model.errors import Conflict
from router.model.evidence import canonical_json, instant
from router.model.phone import international
from router.model.quotes import Quote, QuoteState
from router.model.signings import SIGNED, Signing
from router.model.visitors import Visitor
from router.ports import Sealed, SealOrder
from router.store import alarms, blobs, signings
from router.store import contract_withdrawals as rows

SEAL = "seal_withdrawal"
"""The purpose of the delivery that seals an acknowledgement."""
ACKNOWLEDGE = "withdrawal.acknowledge"
"""The alarm that texts the acknowledgement (`router.actions.inviting.acknowledge`); its subject is the withdrawal."""
FORMAT = "hablemos-withdrawal/1"
OVER = "This contract cannot be withdrawn from here."


@dataclass(frozen=True)
class Declared:
    """A withdrawal as it is declared at `at`, with the law's time until `ends_at` (aware), printed."""

    signing_id: int
    at: datetime
    ends_at: datetime
    lines: list[dict[str, Any]]
    pdf: bytes = b""

    @property
    def in_time(self) -> bool:
        return self.at < self.ends_at


async def withdraw(book: Book, signing_id: int, visitor: Visitor) -> ContractWithdrawal:
    """The customer withdraws, once: a second time nothing happens. Printing happens in a thread between two short
    transactions. Raises Conflict when there is nothing (left) to withdraw from."""
    async with book.reading() as r:
        known = await rows.of_signing(r.session, signing_id)
        if known is not None:
            return known
        declared, locale, company, signed_at = await _read(r, signing_id)
    pdf = await asyncio.to_thread(printing.offer, declared.lines, locale, company, signed_at)
    async with book.writing() as w:
        return await declare(w, Declared(signing_id, declared.at, declared.ends_at, declared.lines, pdf), visitor)


async def _read(r: Reading, signing_id: int) -> tuple[Declared, str, str, datetime]:
    signing = await r.session.get(Signing, signing_id)
    if signing is None or signing.signed_at is None:
        raise Conflict(OVER)
    quote = vouched(await r.session.get(Quote, signing.quote_id))
    campaign = vouched(await r.session.get(Campaign, signing.campaign_id))
    ends = ends_at(signing.signed_at, campaign.country, campaign.timezone)
    speaker = Speaker(quote.locale, quote.currency, campaign.timezone)
    lines = _lines(speaker, campaign, quote, signing, r.now, ends)
    return Declared(signing_id, r.now, ends, lines), quote.locale, campaign.company_name, signing.signed_at


def _lines(
    speaker: Speaker, campaign: Campaign, quote: Quote, signing: Signing, at: datetime, ends: datetime
) -> list[dict[str, Any]]:
    say, company = speaker.say, campaign.company
    number = f"{quote.number}/{quote.version}"
    if at >= ends:
        after = say(
            "It came after the time in which no reasons are needed. A person decides on it and tells you; it has not "
            "been refused."
        )
    elif signing.begins_early:
        after = say(
            "The contract is ended. You owe, in proportion, what was provided until now at your express request; what "
            "you have paid beyond that is returned to you within 14 days."
        )
    else:
        after = say("The contract is ended. What you have paid is returned to you within 14 days.")
    found = (
        ("title", say("Acknowledgement of withdrawal"), number),
        ("company", say("Company"), campaign.company_name),
        ("company", say("Address"), str(company.get("address", ""))),
        ("company", say("Telephone"), international(str(company.get("phone", "")))),
        ("customer", say("Customer"), signing.name_typed),
        ("customer", say("Your telephone"), international(signing.phone)),
        ("customer", say("Signed on"), speaker.moment(vouched(signing.signed_at))),
        ("customer", say("Withdrawal declared"), speaker.moment(at)),
        ("customer", say("Time to withdraw until"), speaker.moment(last_minute(ends))),
        ("term", say("Your declaration"), say("I withdraw from the contract %(number)s.", number=number)),
        ("term", say("What follows"), after),
    )
    return [{"kind": kind, "label": label, "value": value} for kind, label, value in found if value]


async def declare(w: Writing, declared: Declared, visitor: Visitor) -> ContractWithdrawal:
    """Takes the declaration down. The race: two windows at once. The second waits for the first and finds its row."""
    signing = await w.session.locked(Signing, declared.signing_id)
    known = await rows.of_signing(w.session, declared.signing_id)
    if known is not None:
        return known
    if signing is None or signing.state not in SIGNED:
        raise Conflict(OVER)
    quote = vouched(await w.session.locked(Quote, signing.quote_id))
    state = WithdrawalState.taken if declared.in_time else WithdrawalState.late
    made = ContractWithdrawal(
        signing_id=signing.id, campaign_id=signing.campaign_id, lead_id=signing.lead_id, state=state, at=declared.at,
        ends_at=declared.ends_at, lines=declared.lines,
        pdf_sha256=await blobs.keep(w.session, declared.pdf, "application/pdf", w.now),
    )  # fmt: skip
    w.session.add(made)
    await w.session.flush()
    await record(w, signing, "withdrawn", {
        "declared_at": instant(declared.at), "ends_at": instant(declared.ends_at), "in_time": declared.in_time,
        "pdf_sha256": vouched(made.pdf_sha256).hex(), **visitor.as_data(),
    })  # fmt: skip
    if declared.in_time:
        await _end(w, quote, "withdrawn")
    else:
        w.fact("contractwithdrawal.late", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=made.id)
    await outgoing.post_about(w, signing, DeliveryKind.seal, f"seal-withdrawal:{made.id}", SEAL)
    await alarms.set_alarm(w.session, ACKNOWLEDGE, made.id, w.now)
    w.hint("alarms", "wallboard", f"agent:{quote.agent_id}")
    return made


async def _end(w: Writing, quote: Quote, reason: str) -> None:
    """The contract is no more. Its documents stay: what was signed was signed."""
    ended = await w.move(Quote, quote.id, to=QuoteState.withdrawn, ended_at=w.now, data={"reason": reason})
    if ended is None:
        raise Conflict(OVER)
    await nurturing.lead_ended(w, quote.lead_id, "withdrawn")


async def decide(w: Writing, withdrawal_id: int, accepted: bool, supervisor_id: int) -> ContractWithdrawal:
    """A supervisor decides on one that came late. Raises Conflict when somebody has, or it came in time."""
    found = await w.session.get(ContractWithdrawal, withdrawal_id)
    signing = None if found is None else await w.session.locked(Signing, found.signing_id)
    to = WithdrawalState.accepted if accepted else WithdrawalState.refused
    moved = await w.move(
        ContractWithdrawal, withdrawal_id, to=to, agent_id=supervisor_id, decided_at=w.now
    )
    if moved is None or signing is None:
        raise Conflict("This withdrawal was decided on already.")
    await record(w, signing, f"withdrawal.{to.value}", {"agent": supervisor_id})
    quote = vouched(await w.session.locked(Quote, signing.quote_id))
    if accepted:
        await _end(w, quote, "accepted")
    w.hint("wallboard", f"agent:{quote.agent_id}")
    return moved


async def acknowledgement_order(w: Writing, signing_id: int) -> SealOrder:
    """The acknowledgement to be sealed, with what it rests on attached. The law wants it without delay: it has the
    house's time, and waits for nobody who was chosen to give it. Raises Conflict when it is sealed already."""
    made = await rows.of_signing(w.session, signing_id)
    if made is None or made.sealed_sha256 is not None:
        raise Conflict("There is nothing to seal.")
    signing = vouched(await w.session.get(Signing, signing_id))
    attached = {
        "format": FORMAT, "lines": made.lines, "declared_at": instant(made.at), "ends_at": instant(made.ends_at),
        "contract_sha256": (signing.sealed_sha256 or b"").hex(), "chain_head": (signing.chain_head or b"").hex(),
    }
    return SealOrder(
        pdf=vouched(await blobs.content(w.session, made.pdf_sha256)), evidence=canonical_json(attached),
        keys=await certifying.keys_of(w), timestamp_serial=await signings.next_serial(w.session),
        reason="Acknowledgement of a withdrawal", location=w.public_url,
    )


async def acknowledged(w: Writing, signing_id: int, sealed: Sealed) -> None:
    """Keeps the sealed acknowledgement, once."""
    signing = vouched(await w.session.locked(Signing, signing_id))
    made = vouched(await rows.of_signing(w.session, signing_id))
    if made.sealed_sha256 is not None:
        return
    await trusting.seal_used(w, sealed.seal)
    made.sealed_sha256 = await blobs.keep(w.session, sealed.pdf, "application/pdf", w.now)
    await w.session.flush()
    await record(w, signing, "withdrawal.sealed", {"sha256": made.sealed_sha256.hex(), "level": sealed.level})
