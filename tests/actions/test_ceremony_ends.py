"""How a ceremony ends: once, whatever comes at the same moment; and what is told of it afterwards."""

import asyncio
import base64
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from router.actions import asking_back, inviting, proving, quoting, signing
from router.actions.resuming import Coming
from router.book import Book
from router.model.base import vouched
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, HouseError, Invalid
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.quotes import QuoteState
from router.model.signings import SIGNED, DeclineReason, SigningState
from router.model.tasks import TIER_NOW, Task, TaskState
from router.model.visitors import Visitor
from router.ports import MessageStage
from router.store import blobs, evidence, tasks
from router.store.db import contended, lost_connection
from tests import closing
from tests.closing import CUSTOMER
from tests.conftest import Clock
from tests.model.test_drawings import png, url

RACERS = ((0, 200), (1, 40), (2, 40), (3, 40))
"""Which of the four comes first, and how many run."""


async def facts(book: Book, *kinds: str) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(Fact).where(Fact.kind.in_(kinds))) or 0


def told(error: BaseException) -> bool:
    """Whether the door answers it in words: that somebody was first, or, on a busy machine, to try again."""
    return isinstance(error, HouseError) or lost_connection(error) or contended(error)


@pytest.mark.parametrize(("first", "racers"), RACERS)
async def test_two_hundred_who_sign_decline_expire_and_replace_one_offer_at_once_leave_one_end(
    book: Book, clock: Clock, first: int, racers: int
) -> None:
    held = await closing.verified(book)
    quote = await closing.quote_of(book, held)
    clock.now = held.expires_at - timedelta(seconds=1)
    async with book.writing() as w:
        locked = vouched(await w.session.locked(type(held), held.id))
        locked.code_expires_at = held.expires_at + timedelta(minutes=5)
    slow = Visitor(CUSTOMER.ip, CUSTOMER.user_agent, since=timedelta(seconds=5))

    async def sign() -> object:
        async with book.writing() as w:
            return await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, slow)

    async def decline() -> object:
        async with book.writing() as w:
            return await signing.decline(w, held, DeclineReason.price, CUSTOMER)

    async def expire() -> object:
        clock.now = held.expires_at + timedelta(seconds=1)
        async with book.writing() as w:
            return await signing.expire(w, held.id)

    async def supersede() -> object:
        async with book.writing() as w:
            return await quoting.supersede(
                w, quote_id=quote.id, agent_id=vouched(quote.agent_id), lines=closing.LINES
            )

    acts = (sign, decline, expire, supersede)
    answers = await asyncio.gather(*(acts[(first + n) % 4]() for n in range(racers)), return_exceptions=True)
    assert [one for one in answers if isinstance(one, BaseException) and not told(one)] == []
    ends = [f"signing.{state}" for state in ("signed", "declined", "expired", "void")]
    assert await facts(book, *ends) == 1
    assert await facts(book, "quote.signed", "quote.declined", "quote.expired", "quote.superseded") == 1
    now, quote = await closing.now(book, held), await closing.quote_of(book, held)
    signed = now.state in SIGNED
    assert signed == (quote.state is QuoteState.signed)
    async with book.reading() as r:
        seals = await r.session.scalars(select(Delivery).where(Delivery.kind == DeliveryKind.seal))
        chain = await evidence.of_signing(r.session, held.id)
    assert len(seals) == signed
    assert await facts(book, "sale.credited") == signed
    assert broken_at(chain) is None
    assert sum(one.kind in ("signed", "declined", "expired", "void") for one in chain) == 1


@pytest.mark.parametrize(
    ("begun_before", "arrives_after", "honoured"), [(1, 5, True), (1, 58, True), (0, 1, False), (1, 60, False)]
)
async def test_a_signature_begun_in_time_is_honoured_for_a_minute(
    book: Book, clock: Clock, begun_before: int, arrives_after: int, honoured: bool
) -> None:
    held = await closing.verified(book)
    async with book.writing() as w:
        locked = vouched(await w.session.locked(type(held), held.id))
        locked.expires_at = w.now + timedelta(seconds=100)
    clock.forward(100)
    async with book.writing() as w:
        await signing.expire(w, held.id)
    assert (await closing.now(book, held)).state is SigningState.verified, "his signature may be on its way"
    clock.forward(arrives_after)
    visitor = Visitor(CUSTOMER.ip, CUSTOMER.user_agent, since=timedelta(seconds=begun_before + arrives_after))
    if honoured:
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, visitor)
    else:
        with pytest.raises(Conflict):
            async with book.writing() as w:
                await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, visitor)
        clock.forward(61)
        async with book.writing() as w:
            await signing.expire(w, held.id)
    assert (await closing.now(book, held)).state is (SigningState.signed if honoured else SigningState.expired)


async def test_an_offer_nobody_has_typed_a_code_for_ends_on_time(book: Book, clock: Clock) -> None:
    held = await closing.coded(book)
    clock.now = held.expires_at
    async with book.writing() as w:
        await signing.expire(w, held.id)
    assert (await closing.now(book, held)).state is SigningState.expired


@pytest.mark.parametrize("stage", [None, MessageStage.sent, MessageStage.delivered])
async def test_the_agent_hears_when_no_receipt_came_and_the_offer_stays_open(
    book: Book, clock: Clock, stage: MessageStage | None
) -> None:
    _, held = await closing.sent(book)
    if stage is not None:
        async with book.writing() as w:
            await signing.message_moved(w, held.id, "offer", stage)
    clock.forward(120)
    async with book.writing() as w:
        await signing.unheard(w, held.id)
    silent = stage is not MessageStage.delivered
    assert await facts(book, "signing.unheard") == silent
    assert (await closing.now(book, held)).unheard(clock.now) == silent
    async with book.writing() as w:
        assert await signing.open_link(w, await closing.token(book), CUSTOMER) is not None
    assert not (await closing.now(book, held)).unheard(clock.now)


async def test_a_drawn_signature_is_kept_as_a_picture_bound_to_the_chain(book: Book) -> None:
    held = await closing.verified(book)
    with pytest.raises(Invalid):
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, CUSTOMER, "data:image/png;base64,AAAA")
    async with book.writing() as w:
        await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, CUSTOMER, url(png()))
    now = await closing.now(book, held)
    async with book.reading() as r:
        assert await blobs.content(r.session, now.drawing_sha256) == png()
        last = (await evidence.of_signing(r.session, held.id))[-1]
    assert last.data["drawing_sha256"] == vouched(now.drawing_sha256).hex()
    assert base64.b64encode(png()).decode() not in str(last.data)


COMING = Coming("Llámenme por esta oferta", "es", "", "Telephone/1", "/q")


async def finish(book: Book) -> None:
    """The conversation in which the offer was made is over."""
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        for state in (TaskState.wrapping, TaskState.closed):
            await w.move(Task, task.id, state)


async def test_who_asks_to_be_called_about_his_offer_is_called_by_its_author(book: Book, clock: Clock) -> None:
    held = await closing.opened(book)
    await finish(book)
    async with book.writing() as w:
        assert await asking_back.ask(w, held, CUSTOMER, COMING)
    async with book.writing() as w:
        assert not await asking_back.ask(w, held, CUSTOMER, COMING), "he waits already"
    quote = await closing.quote_of(book, held)
    async with book.reading() as r:
        task = vouched(await r.session.scalar(select(Task).order_by(Task.id.desc()).limit(1)))
        assert await tasks.asked_for(r.session, task.lead_id, task.contact_id)
    assert (task.state, task.tier, task.quote_id, task.prefers) == (
        TaskState.queued, TIER_NOW, quote.id, quote.agent_id,
    )
    assert task.prefers_until is not None
    assert task.prefers_until >= clock.now + timedelta(seconds=60)
    assert await facts(book, "quote.asked_about") == 1


async def test_who_is_talking_with_us_already_is_not_called_besides(book: Book) -> None:
    held = await closing.opened(book)
    async with book.writing() as w:
        assert not await asking_back.ask(w, held, CUSTOMER, COMING)


async def copied(book: Book) -> object:
    held = await closing.signed(book)
    async with book.writing() as w:
        sha256 = await blobs.keep(w.session, b"%PDF sealed", "application/pdf", w.now)
        await w.move(type(held), held.id, SigningState.sealed, sealed_sha256=sha256)
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    return held


@pytest.mark.parametrize("proof", ["", "sms of something else", "sms", "download"])
async def test_a_copy_that_nobody_says_has_arrived_is_told_after_a_day(book: Book, clock: Clock, proof: str) -> None:
    held = await copied(book)
    assert isinstance(held, signing.Signing)
    async with book.writing() as w:
        if proof == "download":
            await signing.fetch_copy(w, held, CUSTOMER)
        elif proof:
            purpose = "copy" if proof == "sms" else "code"
            await signing.message_moved(w, held.id, purpose, MessageStage.delivered)
    clock.forward(86_400)
    async with book.writing() as w:
        await proving.proof_due(w, held.id)
    assert await facts(book, "signing.copy_unproven") == (proof in ("", "sms of something else"))
