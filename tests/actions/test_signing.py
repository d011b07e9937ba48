"""The ceremony: each step once, in order, counted, and bound to its evidence."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from router.actions import inviting, sealing, signing
from router.book import Book
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Invalid
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.quotes import QuoteState
from router.model.signings import CodeAnswer, DeclineReason, Given, Signing, SigningState
from router.model.suppressions import Suppression
from router.ports import MessageStage
from router.store import evidence
from tests import closing
from tests.closing import CUSTOMER
from tests.conftest import Clock


async def events(book: Book, held: Signing) -> list[str]:
    async with book.reading() as r:
        found = await evidence.of_signing(r.session, held.id)
    assert broken_at(found) is None
    return [event.kind for event in found]


async def facts(book: Book, kind: str) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(Fact).where(Fact.kind == kind)) or 0


async def give(book: Book, held: Signing, code: str) -> Given:
    async with book.writing() as w:
        return await signing.give_code(w, held, code, CUSTOMER)


async def ask(book: Book, held: Signing) -> CodeAnswer:
    async with book.writing() as w:
        return await inviting.send_code(w, held)


async def test_the_whole_way_leaves_one_fact_a_step_and_an_unbroken_chain(book: Book) -> None:
    held = await closing.signed(book)
    quote = await closing.quote_of(book, held)
    assert (held.state, quote.state) == (SigningState.signed, QuoteState.signed)
    assert [consent["id"] for consent in held.consents] == ["offer", "data"]
    assert await events(book, held) == ["offer.sent", "link.opened", "code.sent", "code.verified", "signed"]
    for kind in ("quote.frozen", "quote.sent", "quote.opened", "quote.signed", "signing.opened", "signing.code_sent",
                 "signing.verified", "signing.signed"):  # fmt: skip
        assert await facts(book, kind) == 1, kind


async def test_the_signature_orders_one_seal_and_silences_the_quiet(book: Book) -> None:
    held = await closing.signed(book)
    async with book.reading() as r:
        seals = await r.session.scalars(select(Delivery).where(Delivery.kind == DeliveryKind.seal))
        pending = await r.session.rows(text("select kind from alarms where state = 'pending'"))
    assert [(seal.signing_id, seal.to_customer) for seal in seals] == [(held.id, False)]
    assert [row.kind for row in pending] == [sealing.LATE]


@pytest.mark.parametrize(
    ("order", "state"),
    [
        (["sent", "delivered"], SigningState.delivered),
        (["delivered", "sent"], SigningState.delivered),
        (["delivered", "failed"], SigningState.delivered),
        (["failed"], SigningState.undeliverable),
        (["failed", "delivered"], SigningState.delivered),
        (["queued"], SigningState.created),
    ],
)
async def test_callbacks_move_the_offer_forwards_in_whatever_order(
    book: Book, order: list[str], state: SigningState
) -> None:
    _, held = await closing.sent(book)
    for stage in order:
        async with book.writing() as w:
            await signing.message_moved(w, held.id, "offer", MessageStage(stage))
    assert (await closing.now(book, held)).state is state


async def test_a_late_callback_never_closes_an_opened_offer(book: Book) -> None:
    held = await closing.opened(book)
    for stage in (MessageStage.sent, MessageStage.failed):
        async with book.writing() as w:
            await signing.message_moved(w, held.id, "offer", stage)
    assert (await closing.now(book, held)).state is SigningState.opened


async def test_our_messages_never_make_a_quote_fresh_but_the_customer_does(book: Book, clock: Clock) -> None:
    _, held = await closing.sent(book)
    began = clock.now
    clock.forward(60)
    async with book.writing() as w:
        await signing.message_moved(w, held.id, "offer", MessageStage.delivered)
    assert (await closing.quote_of(book, held)).idle_base == began
    async with book.writing() as w:
        await signing.open_link(w, await closing.token(book), CUSTOMER)
    assert (await closing.quote_of(book, held)).idle_base == began + timedelta(seconds=60)


async def test_a_wrong_code_is_counted_and_the_right_one_still_works(book: Book) -> None:
    held = await closing.coded(book)
    right = await closing.code(book)
    assert await give(book, held, closing.other_code(right)) is Given.wrong
    assert (await closing.now(book, held)).tries == 1
    assert await give(book, held, f" {right[:3]} {right[3:]} ") is Given.right
    assert await give(book, held, right) is Given.closed


async def test_five_wrong_codes_kill_the_code_and_ten_lock_the_offer_for_good(book: Book, clock: Clock) -> None:
    held = await closing.coded(book)
    wrong = closing.other_code(await closing.code(book))
    assert [await give(book, held, wrong) for _ in range(5)] == [Given.wrong] * 5
    assert await give(book, held, await closing.code(book)) is Given.dead
    clock.forward(31)
    assert await ask(book, held) is CodeAnswer.sent
    wrong = closing.other_code(await closing.code(book))
    assert [await give(book, held, wrong) for _ in range(5)] == [Given.wrong] * 4 + [Given.locked]
    assert await give(book, held, await closing.code(book)) is Given.locked
    assert await ask(book, held) is CodeAnswer.closed
    async with book.writing() as w:
        assert await signing.open_link(w, await closing.token(book), CUSTOMER) is None
    assert (await closing.now(book, held)).state is SigningState.locked
    assert (await events(book, held))[-1] == "locked"


async def test_ten_guesses_at_once_use_up_five_tries_and_no_more(book: Book) -> None:
    held = await closing.coded(book)
    wrong = closing.other_code(await closing.code(book))
    answers = await asyncio.gather(*(give(book, held, wrong) for _ in range(10)))
    assert sorted(answers) == [Given.dead] * 5 + [Given.wrong] * 5
    assert (await closing.now(book, held)).tries == 5
    assert (await events(book, held)).count("code.wrong") == 5


async def test_a_code_dies_with_its_time_and_with_its_successor(book: Book, clock: Clock) -> None:
    held = await closing.coded(book)
    first = await closing.code(book)
    clock.forward(31)
    assert await ask(book, held) is CodeAnswer.sent
    if first != await closing.code(book):
        assert await give(book, held, first) is Given.wrong
    clock.forward(301)
    assert await give(book, held, await closing.code(book)) is Given.dead


async def test_codes_have_pauses_between_them_and_there_are_four(book: Book, clock: Clock) -> None:
    held = await closing.opened(book)
    assert await ask(book, held) is CodeAnswer.sent
    for pause in (30, 60, 120):
        clock.forward(pause - 1)
        assert await ask(book, held) is CodeAnswer.wait
        clock.forward(1)
        assert await ask(book, held) is CodeAnswer.sent
    clock.forward(3600)
    assert await ask(book, held) is CodeAnswer.none_left
    assert len(await closing.texts(book, "code")) == 4


async def test_two_requests_for_a_code_at_once_send_one(book: Book) -> None:
    held = await closing.opened(book)
    assert sorted(await asyncio.gather(ask(book, held), ask(book, held))) == [CodeAnswer.sent, CodeAnswer.wait]


async def test_the_code_names_offer_company_and_amount_and_is_shown_to_nobody_else(book: Book) -> None:
    held = await closing.coded(book)
    (body,) = await closing.texts(book, "code")
    code = await closing.code(book)
    assert body.endswith(f"\n\n@127.0.0.1 #{code}")
    number = (await closing.quote_of(book, held)).number
    for word in (number, "Luz Clara SL", "49,01 €", "29,90 €/mes", "a nadie, tampoco al agente"):
        assert word in body
    async with book.reading() as r:
        shown = await r.session.scalar(select(Delivery.shown_text).where(Delivery.purpose == "code"))
        journal = await r.session.scalars(select(Fact))
        chain = await r.session.rows(text("select data::text from evidence"))
    assert shown is not None
    assert "[code]" in shown
    assert code not in shown + "".join(str(fact.data) for fact in journal) + "".join(row[0] for row in chain)


@pytest.mark.parametrize("change", ["total_month = 1", "canonical_sha256 = '\\x00'"])
async def test_a_code_is_bound_to_the_words_and_the_amount(book: Book, change: str) -> None:
    held = await closing.coded(book)
    async with book.writing() as w:
        await w.session.execute(text(f"update quotes set {change}"))  # noqa: S608
    assert await give(book, held, await closing.code(book)) is Given.wrong


async def test_a_number_that_may_not_be_texted_gets_no_code_and_that_is_recorded(book: Book) -> None:
    held = await closing.opened(book)
    async with book.writing() as w:
        w.session.add(Suppression(phone=held.phone, reason="stop", created_at=w.now))
    assert await ask(book, held) is CodeAnswer.refused
    assert (await events(book, held))[-1] == "code.refused"
    assert await facts(book, "guard.deny") == 1


async def test_opening_again_starts_over_so_that_a_second_device_proves_possession_itself(book: Book) -> None:
    held = await closing.verified(book)
    async with book.writing() as w:
        assert await signing.open_link(w, await closing.token(book), CUSTOMER) is not None
    assert (await closing.now(book, held)).state is SigningState.opened
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, CUSTOMER)


@pytest.mark.parametrize(
    ("name", "consents", "pointer"),
    [
        ("", ("offer", "data"), "/name"), ("x" * 121, ("offer", "data"), "/name"),
        ("a\u202eb", ("offer", "data"), "/name"),
        ("Carmen", ("data",), "/consents/offer"), ("Carmen", ("offer",), "/consents/data"),
        ("Carmen", (), "/consents/offer"),
    ],
)  # fmt: skip
async def test_without_name_or_consent_nothing_is_signed(book: Book, name: str, consents: Any, pointer: str) -> None:
    held = await closing.verified(book)
    with pytest.raises(Invalid) as refused:
        async with book.writing() as w:
            await signing.sign(w, held, name, consents, CUSTOMER)
    assert refused.value.pointer == pointer
    assert (await closing.now(book, held)).state is SigningState.verified


async def test_two_signatures_at_once_are_one(book: Book) -> None:
    held = await closing.verified(book)

    async def sign(name: str) -> str:
        async with book.writing() as w:
            return (await signing.sign(w, held, name, closing.CONSENTS, CUSTOMER)).name_typed

    first, second = await asyncio.gather(sign("Carmen Ruiz"), sign("Otra Persona"))
    assert first == second
    assert await facts(book, "quote.signed") == 1
    assert (await events(book, held)).count("signed") == 1
    async with book.reading() as r:
        seals = await r.session.scalars(select(Delivery).where(Delivery.kind == DeliveryKind.seal))
    assert len(seals) == 1


async def test_who_waits_too_long_after_the_code_needs_a_new_one(book: Book, clock: Clock) -> None:
    held = await closing.verified(book)
    clock.forward(601)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, CUSTOMER)
    assert await ask(book, held) is CodeAnswer.sent


async def test_an_offer_is_declined_once_with_a_reason_in_codes(book: Book) -> None:
    held = await closing.opened(book)
    async with book.writing() as w:
        assert await signing.decline(w, held, DeclineReason.price, CUSTOMER)
    async with book.writing() as w:
        assert not await signing.decline(w, held, DeclineReason.price, CUSTOMER)
    assert (await closing.now(book, held)).state is SigningState.declined
    assert (await closing.quote_of(book, held)).state is QuoteState.declined


async def test_an_offer_ends_with_its_time_and_not_before(book: Book, clock: Clock) -> None:
    held = await closing.opened(book)
    async with book.writing() as w:
        await signing.expire(w, held.id)
    assert (await closing.now(book, held)).state is SigningState.opened
    clock.forward(15 * 86_400)
    assert await ask(book, held) is CodeAnswer.closed
    async with book.writing() as w:
        await signing.expire(w, held.id)
    assert (await closing.now(book, held)).state is SigningState.expired
    assert (await closing.quote_of(book, held)).state is QuoteState.expired


async def test_signed_declined_and_expired_at_once_have_one_end(book: Book) -> None:
    held = await closing.verified(book)

    async def sign() -> object:
        async with book.writing() as w:
            return await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, CUSTOMER)

    async def decline() -> object:
        async with book.writing() as w:
            return await signing.decline(w, held, DeclineReason.later, CUSTOMER)

    await asyncio.gather(*(act() for _ in range(4) for act in (sign, decline)), return_exceptions=True)
    ends = [await facts(book, f"signing.{end}") for end in ("signed", "declined")]
    assert sorted(ends) == [0, 1]
    assert await facts(book, f"quote.{'signed' if ends[0] else 'declined'}") == 1


async def test_an_edited_event_breaks_the_chain_at_its_place(book: Book) -> None:
    held = await closing.signed(book)
    async with book.reading() as r:
        chain = list(await evidence.of_signing(r.session, held.id))
    chain[2].data = {**chain[2].data, "place": 9}
    assert broken_at(chain) == 3
    assert broken_at(chain[:1] + chain[3:]) == 2
    async with book.reading() as r:
        missing_first = list(await evidence.of_signing(r.session, held.id))[1:]
    assert broken_at(missing_first) == 1


async def test_a_commercial_consent_given_at_signing_is_a_receipt_the_guard_reads(book: Book) -> None:
    held = await closing.verified(book)
    async with book.writing() as w:
        await signing.sign(w, held, "Carmen Ruiz", (*closing.CONSENTS, "commercial"), CUSTOMER)
    async with book.reading() as r:
        rows = await r.session.rows(text("select purposes, method from receipts where method = 'signing'"))
    assert [tuple(row) for row in rows] == [(["commercial"], "signing")]
