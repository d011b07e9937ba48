"""Guarding: what is counted, locked and recorded when somebody is contacted, and what is asked once more before it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from router.actions import guarding, suppressing
from router.actions.hearing import message_arrived
from router.actions.intake import take_in
from router.actions.talking import Text, send_text
from router.actions.withdrawing import withdraw
from router.book import Book
from router.courier import Courier
from router.model.base import vouched
from router.model.cadences import Attempt
from router.model.campaigns import Campaign
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryState
from router.model.errors import Invalid
from router.model.guard import Purpose, Verdict
from router.model.intake import Wanted
from router.model.leads import Intent
from router.model.packs import shipped
from router.model.vault import new_token
from router.model.zones import ZoneSource
from router.ports import MessageArrived
from router.store import receipts
from router.store.db import contended
from tests import making
from tests.conftest import Clock
from tests.outside import RecordingCarrier, RecordingTrust

PHONE = "+12025550101"
SPANISH = "+34600000001"
COMMERCIAL = Purpose.commercial


@pytest.fixture
async def people(book: Book) -> None:
    """The same number with two brands."""
    async with book.writing() as w:
        for key in ("luz", "sol"):
            await making.lead(w, await making.queue(w, await making.campaign(w, key)), PHONE)


async def person(book: Book, phone: str = SPANISH, **campaign: object) -> int:
    async with book.writing() as w:
        made = await making.campaign(w, **{"rule_pack": "standard", **campaign})
        return (await making.lead(w, await making.queue(w, made), phone)).id


@pytest.mark.parametrize(("names", "country", "found"), [
    ("by_country", "ES", "ES"), ("by_country", "PT", "standard"), ("by_country", "", "standard"),
    ("demo", "ES", "demo"), ("IT", "ES", "IT"),
])
def test_a_campaign_names_a_pack_or_leaves_it_to_the_country(names: str, country: str, found: str) -> None:
    campaign = Campaign(key="luz", name="Luz", caller_id="", sender="", rule_pack=names)
    assert guarding.pack_for(shipped(), campaign, country) is shipped()[found]


async def ask(book: Book, contact_id: int = 1, channel: str = "call", purpose: Purpose = COMMERCIAL) -> Verdict:
    async with book.writing() as w:
        contact = vouched(await w.session.get(Contact, contact_id))
        campaign = vouched(await w.session.get(Campaign, contact.campaign_id))
        _, verdict = await guarding.permit(w, campaign, contact, channel=channel, purpose=purpose, lead_id=contact_id)
        return verdict


async def text_to(book: Book, purpose: Purpose = COMMERCIAL) -> None:
    async with book.writing() as w:
        contact = vouched(await w.session.get(Contact, 1))
        campaign = vouched(await w.session.get(Campaign, 1))
        await send_text(w, campaign, contact, Text("hola", "hola", "offer", purpose, "offer:1"), lead_id=1)


@pytest.mark.usefixtures("people")
async def test_fifty_at_once_on_one_number_never_exceed_its_cap(book: Book) -> None:
    """Two brands, by telephone and by text; the demo's cap is ten in 24 hours."""
    at_once = asyncio.Semaphore(9)  # connections, of ten

    async def one(n: int) -> str:
        async with at_once:
            return await tried(n)

    async def tried(n: int) -> str:
        try:
            return (await ask(book, 1 + n % 2, ("call", "sms", "whatsapp")[n % 3])).word
        except Exception as error:
            if not contended(error):
                raise
            return "busy"

    words = await asyncio.gather(*(one(n) for n in range(50)))
    assert words.count("allow") <= 10
    assert words.count("allow") == 10 or "busy" in words
    async with book.reading() as r:
        kept = await r.session.scalars(select(Attempt).where(Attempt.verdict == "allow"))
        assert len(kept) == words.count("allow")
        assert {one.contact_id for one in kept} == {1, 2}


@pytest.mark.usefixtures("people")
async def test_what_never_left_gives_its_place_back(book: Book) -> None:
    for _ in range(10):
        await ask(book)
    assert (await ask(book, 2)).rules == ("cap.day",)
    async with book.writing() as w:
        await guarding.refund(w, 3)
    assert (await ask(book, 2)).allowed


@pytest.mark.usefixtures("people")
async def test_an_answer_is_a_fact_with_its_rules_and_nothing_of_the_person(book: Book) -> None:
    await suppressed(book)
    await ask(book)
    async with book.reading() as r:
        (fact,) = await r.session.rows(text("select data::text, subject_id from facts where kind = 'guard.deny'"))
    assert '"suppressed.asked"' in fact[0]
    assert PHONE not in fact[0]
    assert fact[1] == 1


async def suppressed(book: Book) -> None:
    async with book.writing() as w:
        await suppressing.suppress(w, vouched(await w.session.get(Contact, 1)), "asked")


async def test_each_contact_names_the_receipt_it_relied_on_and_the_receipt_when_it_was_last_used(
    book: Book, clock: Clock
) -> None:
    lead_id = await person(book, PHONE)
    clock.now = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)  # half past ten in New York
    assert (await ask(book)).allowed
    used = clock.now
    clock.forward(3 * 3600)
    assert (await ask(book, purpose=Purpose.service)).allowed
    async with book.reading() as r:
        receipt = vouched(await r.session.scalar(select(Receipt)))
        assert [one.receipt_id for one in await r.session.scalars(select(Attempt).order_by(Attempt.id))] == [
            receipt.id, None]
        (kept,) = vouched(await receipts.of_lead(r.session, lead_id)).receipts
    assert kept.used_at == used


@pytest.mark.parametrize(("days", "rules", "relied_on"), [
    ([], ("consent.expired",), None), ([1_000], ("DE.hours", "DE.caps", "consent.commercial"), 2),
    ([1_826.1], ("consent.expired",), None), ([1_000, 1_200], ("DE.hours", "DE.caps", "consent.commercial"), 2),
])
async def test_a_newer_consent_is_relied_on_where_that_of_the_request_is_too_old(
    book: Book, clock: Clock, days: list[float], rules: tuple[str, ...], relied_on: int | None
) -> None:
    now = clock.now
    clock.now -= timedelta(days=1_826, seconds=1)
    await person(book, "+4930123456", rule_pack="by_country", countries=["DE"])
    clock.now = now
    await agreed(book, *days)
    assert (await ask(book)).rules == rules
    async with book.reading() as r:
        assert await r.session.scalar(select(Attempt.receipt_id)) == relied_on


async def agreed(book: Book, *days: float) -> None:
    """To offers, without a request, so many days ago."""
    async with book.writing() as w:
        for ago in days:
            w.session.add(Receipt(
                campaign_id=1, contact_id=1, lead_id=None, purposes=["commercial"], text="Ja", text_sha256="00",
                version="1", method="checkbox", address="", user_agent="", page="",
                given_at=w.now - timedelta(days=ago),
            ))
            await w.session.flush()


async def test_that_of_the_request_comes_first_while_it_counts(book: Book, clock: Clock) -> None:
    clock.now -= timedelta(days=9)
    await person(book, "+4930123456", rule_pack="by_country", countries=["DE"])
    clock.now += timedelta(days=9)
    await agreed(book, 3)
    assert (await ask(book)).allowed
    async with book.reading() as r:
        assert await r.session.scalar(select(Attempt.receipt_id)) == 1


@pytest.mark.parametrize("asked", ["stop", "withdraw", "late"])
async def test_what_may_not_leave_any_more_is_not_sent_and_not_counted(
    book: Book, clock: Clock, asked: str
) -> None:
    """Permitted, and then: he says stop, takes his consent back, or the hour passes while the courier was away."""
    lead_id = await person(book)
    clock.now = datetime(2026, 11, 23, 18, 59, tzinfo=UTC)
    await text_to(book)
    async with book.writing() as w:
        if asked == "stop":
            await message_arrived(w, MessageArrived("SM1", SPANISH, "+34910000000", "stop"))
        elif asked == "withdraw":
            await withdraw(w, lead_id, "commercial", method="link")
    clock.forward(61 if asked == "late" else 1)
    carrier = RecordingCarrier()
    await Courier(book, carrier, RecordingTrust(), "here").sweep()
    assert carrier.of("send_message") == []
    async with book.reading() as r:
        assert [one.state for one in await r.session.scalars(select(Delivery))] == [DeliveryState.failed]
        assert vouched(await r.session.scalar(select(Attempt))).refunded_at is not None


async def test_a_stop_in_the_same_moment_as_a_send_comes_before_it_or_after_it(book: Book, clock: Clock) -> None:
    """Whoever takes the number's lock first: what the journal says of the order is what happened."""
    await person(book)
    clock.now = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    await text_to(book)
    carrier = RecordingCarrier()

    async def stop() -> None:
        async with book.writing() as w:
            await message_arrived(w, MessageArrived("SM1", SPANISH, "+34910000000", "stop"))

    await asyncio.gather(Courier(book, carrier, RecordingTrust(), "here").sweep(), stop())
    async with book.reading() as r:
        said = [row[0] for row in await r.session.rows(text(
            "select kind from facts where kind in ('delivery.done', 'delivery.failed', 'contact.suppressed')"
            " or kind = 'delivery.started' order by id"))]
    if carrier.of("send_message"):
        assert said.index("delivery.started") < said.index("contact.suppressed")
    else:
        assert "delivery.failed" in said


async def test_a_stronger_word_on_where_somebody_lives_replaces_a_weaker_one(book: Book) -> None:
    await person(book)
    told = [("Europe/Madrid", ZoneSource.browser), ("Atlantic/Canary", ZoneSource.stated),
            ("Europe/Madrid", ZoneSource.browser), ("Europe/Madrid", ZoneSource.address)]
    async with book.writing() as w:
        contact = vouched(await w.session.get(Contact, 1))
        assert [await guarding.lives_by(w, contact, *one) for one in told] == [True, True, False, False]
        assert (contact.zone, contact.zone_source) == ("Atlantic/Canary", "stated")
        for nowhere in ("Etc/Unknown", "UTC", "Europe/Nowhere", ""):
            with pytest.raises(Invalid):
                await guarding.lives_by(w, contact, nowhere, ZoneSource.stated)


async def test_a_postcode_says_zone_and_holidays(book: Book) -> None:
    await person(book)
    async with book.writing() as w:
        contact = vouched(await w.session.get(Contact, 1))
        await guarding.lives_at(w, contact, "ES", "35001")
        assert (contact.zone, contact.zone_source, contact.subdivision) == ("Atlantic/Canary", "address", "ES-CN")


async def test_the_hour_must_be_decent_in_every_zone_the_person_may_be_in(book: Book, clock: Clock) -> None:
    """A Spanish mobile may be on the Canary Islands, where it is an hour earlier, until somebody says otherwise."""
    await person(book)
    clock.now = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)  # half past ten in Madrid
    put_off = await ask(book)
    assert (put_off.word, put_off.until) == ("defer", datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    async with book.writing() as w:
        await guarding.lives_by(w, vouched(await w.session.get(Contact, 1)), "Europe/Madrid", ZoneSource.browser)
    assert (await ask(book)).allowed


async def test_where_nobody_knows_the_clock_a_person_must_choose(book: Book, clock: Clock) -> None:
    await person(book, "+18002255288", countries=["US"])  # toll-free: from Guam to Bermuda
    assert (await ask(book)).rules == ("zone.unknown",)
    async with book.writing() as w:
        await guarding.lives_by(w, vouched(await w.session.get(Contact, 1)), "America/New_York", ZoneSource.stated)
    clock.now = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    assert (await ask(book)).allowed


async def test_a_refusal_counts_for_the_number_with_every_brand_of_ours(book: Book, clock: Clock) -> None:
    await person(book, PHONE)
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w, "sol", rule_pack="standard"))
        lead = await making.lead(w, queue, PHONE)
        task = await making.task(w, queue, lead)
        await w.session.execute(text(
            "update tasks set state = 'closed', disposition = 'not_interested', ended_at = :at where id = :id"
        ), {"at": w.now, "id": task.id})
    clock.now = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
    verdict = await ask(book)
    assert (verdict.word, verdict.rules[-1]) == ("defer", "quiet.refusal") or "quiet.refusal" in verdict.rules
    clock.forward(timedelta(days=91).total_seconds())
    assert "quiet.refusal" not in (await ask(book)).rules


async def test_a_browser_says_where_somebody_lives_until_he_says_so_himself(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))

    async def comes(zone: str) -> tuple[str, str]:
        async with book.writing() as w:
            await take_in(w, [Wanted(
                line=queue.line, phone=SPANISH, name="", locale="es", intent=Intent.call_now, method="widget",
                status_token=new_token(), work=None, zone=zone,
            )])
        async with book.reading() as r:
            contact = vouched(await r.session.get(Contact, 1))
            return contact.zone, contact.zone_source

    assert await comes("") == ("", "")
    assert await comes("Europe/Madrid") == ("Europe/Madrid", "browser")
    assert await comes("Atlantic/Canary") == ("Atlantic/Canary", "browser")
    assert await comes("") == ("Atlantic/Canary", "browser")
    async with book.writing() as w:
        await guarding.lives_by(w, vouched(await w.session.get(Contact, 1)), "Africa/Ceuta", ZoneSource.stated)
    assert await comes("Europe/Madrid") == ("Africa/Ceuta", "stated")
