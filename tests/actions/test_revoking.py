"""Withdrawing from a contract: once, in time or late, acknowledged under seal, and never refused by a machine."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from integrations.trust import EmbeddedTrust
from router.actions import inviting, revoking, sealing
from router.book import Book
from router.courier import Courier
from router.model.base import vouched
from router.model.contract_withdrawals import ContractWithdrawal, WithdrawalState
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import Conflict
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.quotes import QuoteState
from router.model.signings import Signing, SigningState
from router.printing import words
from router.store import blobs, evidence
from router.store import contract_withdrawals as rows
from tests import closing
from tests.closing import CUSTOMER
from tests.conftest import Clock
from tests.outside import RecordingCarrier


async def made(book: Book, held: Signing) -> ContractWithdrawal:
    async with book.reading() as r:
        return vouched(await rows.of_signing(r.session, held.id))


async def events(book: Book, held: Signing) -> list[str]:
    async with book.reading() as r:
        found = await evidence.of_signing(r.session, held.id)
    assert broken_at(found) is None
    return [event.kind for event in found]


async def test_who_withdraws_in_time_has_ended_the_contract_and_has_it_in_writing(book: Book, clock: Clock) -> None:
    held = await closing.signed(book)
    clock.forward(3 * 86_400)
    declared = await revoking.withdraw(book, held.id, CUSTOMER)
    assert declared.state is WithdrawalState.taken
    assert declared.at == clock.now
    assert (await closing.quote_of(book, held)).state is QuoteState.withdrawn
    assert (await closing.now(book, held)).state is SigningState.signed, "what was signed was signed"
    async with book.reading() as r:
        said = words(vouched(await blobs.content(r.session, declared.pdf_sha256)))
        seals = await r.session.scalars(select(Delivery).where(Delivery.purpose == revoking.SEAL))
    for word in ("Acusededesistimiento", "CarmenRuiz", "26denoviembrede2026", "Desistodelcontrato"):
        assert word in said
    assert [(one.kind, one.to_customer) for one in seals] == [(DeliveryKind.seal, False)]
    assert (await events(book, held))[-1] == "withdrawn"
    async with book.writing() as w:
        await inviting.acknowledge(w, declared.id)
    async with book.writing() as w:
        await inviting.acknowledge(w, declared.id)
    (body,) = await closing.texts(book, "withdrawal")
    assert "ha desistido del contrato" in body
    assert "/withdraw/" in body


async def test_two_windows_at_once_withdraw_once(book: Book) -> None:
    held = await closing.signed(book)
    both = await asyncio.gather(*(revoking.withdraw(book, held.id, CUSTOMER) for _ in range(6)))
    assert len({one.id for one in both}) == 1
    async with book.reading() as r:
        kinds = select(func.count()).select_from(Fact).where(Fact.kind == "quote.withdrawn")
        assert await r.session.scalar(kinds) == 1


@pytest.mark.parametrize("accepted", [True, False])
async def test_what_comes_late_is_decided_by_a_person(book: Book, clock: Clock, accepted: bool) -> None:
    held = await closing.signed(book)
    clock.forward(40 * 86_400)
    declared = await revoking.withdraw(book, held.id, CUSTOMER)
    assert declared.state is WithdrawalState.late
    assert (await closing.quote_of(book, held)).state is QuoteState.signed
    async with book.reading() as r:
        said = words(vouched(await blobs.content(r.session, declared.pdf_sha256)))
        waiting = await rows.late(r.session)
    assert "noseharechazado" in said
    assert [one.withdrawal.id for one in waiting] == [declared.id]
    async with book.writing() as w:
        await revoking.decide(w, declared.id, accepted, 1)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await revoking.decide(w, declared.id, not accepted, 1)
    ended = QuoteState.withdrawn if accepted else QuoteState.signed
    assert (await closing.quote_of(book, held)).state is ended
    assert (await made(book, held)).state is (WithdrawalState.accepted if accepted else WithdrawalState.refused)
    async with book.reading() as r:
        assert await rows.late(r.session) == []


async def test_what_is_not_signed_cannot_be_withdrawn_from(book: Book) -> None:
    held = await closing.verified(book)
    with pytest.raises(Conflict):
        await revoking.withdraw(book, held.id, CUSTOMER)


async def test_one_who_withdrew_before_his_copy_was_sent_gets_it_all_the_same(book: Book) -> None:
    held = await closing.signed(book)
    await revoking.withdraw(book, held.id, CUSTOMER)
    async with book.writing() as w:
        sealed = await blobs.keep(w.session, b"%PDF sealed", "application/pdf", w.now)
        await w.move(Signing, held.id, SigningState.sealed, sealed_sha256=sealed)
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    assert len(await closing.texts(book, "copy")) == 1
    assert (await closing.quote_of(book, held)).state is QuoteState.withdrawn


async def test_the_acknowledgement_is_sealed_by_the_courier_and_found_good(
    book: Book, trust: EmbeddedTrust, clock: Clock
) -> None:
    root = await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.signed(book)
    declared = await revoking.withdraw(book, held.id, CUSTOMER)
    courier = Courier(book, RecordingCarrier(), trust, "test")
    clock.now = datetime.now(UTC) + timedelta(seconds=1)
    await courier.sweep()
    sealed = vouched((await made(book, held)).sealed_sha256)
    async with book.reading() as r:
        content = vouched(await blobs.content(r.session, sealed))
        plain = vouched(await blobs.content(r.session, declared.pdf_sha256))
        states = await r.session.scalars(select(Delivery.state).where(Delivery.kind == DeliveryKind.seal))
    assert set(states) == {DeliveryState.done}
    assert content.startswith(plain)
    found = await trust.inspect(content, root)
    assert all(check.holds for check in found.checks), found.checks
    assert {"withdrawal.sealed", "sealed"} <= set(await events(book, held))
