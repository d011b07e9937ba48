"""A third party of trust that fails one time after the other: it is left alone, its work waits without being given up,
supervisors see it, and one request tries it again."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from router.actions import outgoing, resting, revoking
from router.book import Book
from router.model.base import vouched
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.facts import Fact
from router.model.pausing import PAUSE, TRY_TAKES, pause_after
from router.model.signing_accounts import SigningAccount
from router.model.signings import SigningState
from router.model.trust_accounts import TrustAccount
from router.ports import NO_TIME, Refused, Uncertain
from router.store import trust_accounts
from tests.actions.test_services_chosen import House, authority, house, keeping  # noqa: F401  fixtures
from tests.conftest import Clock
from tests.entrusting import There, there
from tests.integrations.timestamping import Outside

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, the outside authority, is missing")


async def told(book: Book) -> list[str]:
    async with book.reading() as r:
        return list(await r.session.scalars(
            select(Fact.kind).where(Fact.kind.in_(("provider.paused", "provider.tried", "provider.works")))
            .order_by(Fact.id)))


async def account(book: Book, noun: Any) -> Any:
    async with book.reading() as r:
        return vouched(await r.session.scalar(select(noun)))


async def delivery(book: Book, kind: DeliveryKind) -> Delivery:
    async with book.reading() as r:
        return vouched(await r.session.scalar(select(Delivery).where(Delivery.kind == kind).order_by(Delivery.id)))


async def fails_until_it_pauses(house: House) -> TrustAccount:  # noqa: F811
    for _ in range(resting.FAILURES):
        await house.courier.sweep()
        house.clock.forward(20)
    found = await account(house.book, TrustAccount)
    assert isinstance(found, TrustAccount)
    return found


async def test_a_time_authority_that_fails_is_left_alone_and_nothing_is_given_up(
    house: House, authority: Outside  # noqa: F811
) -> None:
    await house.takes_time_of(authority)
    authority.mood = "down"
    resting_now = await fails_until_it_pauses(house)
    assert (resting_now.failures, resting_now.pauses) == (resting.FAILURES, 1)
    asked = authority.asked
    for _ in range(3):
        await house.courier.sweep()
    waiting = await delivery(house.book, DeliveryKind.seal)
    assert (authority.asked, waiting.state, waiting.error) == (asked, DeliveryState.pending, "resting")
    assert (waiting.tries, waiting.due_at) == (resting.FAILURES, resting_now.paused_until)
    async with house.book.reading() as r:
        (seen,) = await trust_accounts.failing(r.session)
    assert (seen.service, seen.name) == ("time", "127.0.0.1")
    assert await told(house.book) == ["provider.paused"]


async def test_one_request_tries_it_again_and_a_failure_makes_the_pause_twice_as_long(
    house: House, authority: Outside  # noqa: F811
) -> None:
    await house.takes_time_of(authority)
    authority.mood = "down"
    until = (await fails_until_it_pauses(house)).paused_until
    for pauses in (1, 2):
        house.clock.now = vouched(until)
        asked = authority.asked
        await house.courier.sweep()
        now = await account(house.book, TrustAccount)
        until = now.paused_until
        assert (authority.asked - asked, now.pauses, until) == (1, pauses + 1, house.clock.now + pause_after(pauses))
    authority.mood = "well"
    house.clock.now = until
    await house.works()
    assert (await house.signing()).state is SigningState.completed
    now = await account(house.book, TrustAccount)
    assert (now.failing_since, now.failures, now.pauses) == (None, 0, 0)
    assert await told(house.book) == ["provider.paused", *(["provider.tried", "provider.paused"] * 2),
                                      "provider.tried", "provider.works"]


async def test_while_one_tries_the_others_wait_for_what_becomes_of_it(
    house: House, authority: Outside  # noqa: F811
) -> None:
    await house.takes_time_of(authority)
    authority.mood = "down"
    house.clock.now = vouched((await fails_until_it_pauses(house)).paused_until)
    seal = await delivery(house.book, DeliveryKind.seal)
    async with house.book.writing() as w:
        assert await resting.closed_until(w, seal) is None
    async with house.book.writing() as w:
        assert await resting.closed_until(w, seal) == house.clock.now + TRY_TAKES


async def test_an_answer_between_the_failures_starts_the_count_anew(house: House) -> None:  # noqa: F811
    async with keeping(house) as store:
        store.faults = [503] * (resting.FAILURES - 1)
        await house.courier.sweep()
        for _ in range(12):
            house.clock.forward(60)
            await house.courier.sweep()
        assert len(store.kept) == 1
    now = await account(house.book, TrustAccount)
    assert (now.failures, now.failing_since) == (0, None)
    assert await told(house.book) == []


async def test_a_keeper_that_fails_waits_for_his_turn_too(house: House) -> None:  # noqa: F811
    async with keeping(house) as store:
        store.faults = [503] * resting.FAILURES
        await fails_until_it_pauses(house)
        async with house.book.reading() as r:
            (seen,) = await trust_accounts.failing(r.session)
        assert (seen.service, seen.name) == ("custody", "Notaría 1")
        await house.works(timedelta(minutes=16))
        assert len(store.kept) == 1
    async with house.book.reading() as r:
        assert await trust_accounts.failing(r.session) == []


@pytest.fixture
async def elsewhere(book: Book, clock: Clock) -> AsyncIterator[There]:
    async with there(book, clock, "docuseal") as made:
        yield made


async def test_a_provider_of_signatures_that_fails_is_left_alone_and_takes_the_offer_later(elsewhere: There) -> None:
    await elsewhere.send()
    token, elsewhere.box.token = elsewhere.box.token, "another"  # it answers 401 to all
    for _ in range(resting.FAILURES):
        await elsewhere.courier.sweep()
        elsewhere.clock.forward(130)
        elsewhere.clock.now -= timedelta(seconds=100)
    now = await account(elsewhere.book, SigningAccount)
    assert (now.failures, now.paused_until is not None) == (resting.FAILURES, True)
    tries = (await delivery(elsewhere.book, DeliveryKind.entrust)).tries
    await elsewhere.courier.sweep()
    waiting = await delivery(elsewhere.book, DeliveryKind.entrust)
    assert (waiting.tries, waiting.state, waiting.error) == (tries, DeliveryState.pending, "resting")
    elsewhere.box.token = token
    elsewhere.clock.now = now.paused_until
    await elsewhere.courier.sweep()
    assert (await delivery(elsewhere.book, DeliveryKind.entrust)).state is DeliveryState.done
    assert (await account(elsewhere.book, SigningAccount)).failing_since is None


async def test_what_is_the_documents_own_matter_is_no_fault_of_the_provider(elsewhere: There) -> None:
    await elsewhere.handed()
    asked = await delivery(elsewhere.book, DeliveryKind.entrust)
    async with elsewhere.book.writing() as w:
        for code in ("no-document", "no-evidence", "stalled", "untold", "provider"):
            for _ in range(resting.FAILURES):
                await resting.answered(w, asked, Refused("x", permanent=False, code=code))
    assert (await account(elsewhere.book, SigningAccount)).failures == 0
    async with elsewhere.book.writing() as w:
        for fault in (Uncertain("x"), Refused("x", permanent=False, code="503")):
            await resting.answered(w, asked, fault)
    assert (await account(elsewhere.book, SigningAccount)).failures == 2
    async with elsewhere.book.writing() as w:
        await resting.answered(w, asked, Refused("x", permanent=True, code="422"))
    assert (await account(elsewhere.book, SigningAccount)).failures == 0


async def test_a_seal_that_fails_here_is_not_laid_at_the_authoritys_door(
    house: House, authority: Outside  # noqa: F811
) -> None:
    await house.takes_time_of(authority)
    seal = await delivery(house.book, DeliveryKind.seal)
    async with house.book.writing() as w:
        for fault in (Uncertain("x"), Refused("x", permanent=False, code="worker-lost")):
            await resting.answered(w, seal, fault)
        assert (await w.session.rows(text("select failures from trust_accounts")))[0][0] == 0
        await resting.answered(w, seal, Refused("x", permanent=False, code=NO_TIME))
    assert (await account(house.book, TrustAccount)).failures == 1


async def test_an_acknowledgement_of_a_withdrawal_waits_for_nobody_and_proves_nothing_of_the_authority(
    house: House, authority: Outside  # noqa: F811
) -> None:
    await house.takes_time_of(authority)
    authority.mood = "down"
    await fails_until_it_pauses(house)
    async with house.book.writing() as w:
        made = await outgoing.post(
            w, DeliveryKind.seal, "ack", {}, signing_id=house.held.id, campaign_id=house.held.campaign_id,
            purpose=revoking.SEAL,
        )
        assert await resting.closed_until(w, made) is None
        await resting.answered(w, made, None)
    assert (await account(house.book, TrustAccount)).failing_since is not None


def test_the_first_pause_is_a_minute() -> None:
    assert pause_after(0) == PAUSE == timedelta(minutes=1)
