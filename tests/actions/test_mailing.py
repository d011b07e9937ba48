"""Mails to customers, over a real mail server: guarded, sealed, never twice, and ended by one press."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from router.actions import talking
from router.actions.arriving import arrived
from router.actions.bouncing import bounced
from router.actions.talking import TEXTS, Letter, Paper, send_mail
from router.actions.unsubscribing import unsubscribe
from router.book import Book
from router.courier import MAILS_AT_ONCE, Courier
from router.model.budgets import Budget
from router.model.cadences import Attempt
from router.model.campaigns import Campaign, Queue
from router.model.consent import Withdrawal
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import NotAllowedNow
from router.model.facts import Fact
from router.model.guard import Purpose
from router.model.leads import Lead
from router.model.suppressions import Suppression
from router.model.unsubscribes import Unsubscribe
from router.model.vault import hash_token, new_token
from router.ports import MailReturned
from router.store import addresses, blobs, facts
from router.unknowns import MAIL_PATIENCE, Unknowns
from tests import making
from tests.conftest import Clock, until
from tests.invariants import check
from tests.mailing import Server, catching
from tests.outside import RecordingCarrier, RecordingTrust
from tests.parties import HOSTILE, connector

ADDRESS = "carmen@example.com"
LINK = "http://127.0.0.1:8080/q/abcdefghijklmnopqrstuv"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with catching() as server:
        yield server


@pytest.fixture
def courier(book: Book, server: Server) -> Courier:
    return Courier(book, RecordingCarrier(), RecordingTrust(), "one", mail=server.mail)


@pytest.fixture
async def lead(book: Book) -> int:
    book.can_mail = True
    async with book.writing() as w:
        campaign = await making.campaign(w, mail_from="hola@luz.example")
        return (await making.lead(w, await making.queue(w, campaign), claims={"email": ADDRESS})).id


def letter(key: str = "nudge:1", purpose: Purpose = Purpose.commercial, **more: Any) -> Letter:
    return Letter("letter", "nudge", purpose, key, **{
        "values": {"subject": "Su oferta", "paragraphs": ["Hola, Carmen."], "label": "Ver la oferta"},
        "links": {"action": LINK}, **more,
    })


async def send(book: Book, lead: int, address: str = ADDRESS, words: Letter | None = None) -> Delivery:
    async with book.writing() as w:
        campaign, contact = await w.session.get(Campaign, 1), await w.session.get(Contact, 1)
        assert campaign is not None
        assert contact is not None
        return await send_mail(w, campaign, contact, address, words or letter(), lead_id=lead)


async def row(book: Book, delivery: Delivery) -> Delivery:
    async with book.reading() as r:
        await check(r.session)
        found = await r.session.get(Delivery, delivery.id)
    assert found is not None
    return found


async def told(book: Book, lead: int, prefix: str = "message.") -> list[str]:
    async with book.reading() as r:
        return [fact.kind for fact in await facts.of_lead(r.session, lead) if fact.kind.startswith(prefix)]


async def count(book: Book, noun: Any) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(noun)) or 0


async def suppressed(book: Book) -> list[tuple[str, str]]:
    async with book.reading() as r:
        return [(one.address, one.reason) for one in await r.session.scalars(select(Suppression))]


async def link_of(book: Book) -> Unsubscribe:
    async with book.reading() as r:
        (found,) = await r.session.scalars(select(Unsubscribe))
    assert isinstance(found, Unsubscribe)
    return found


async def press(book: Book) -> None:
    link = await link_of(book)
    async with book.writing() as w:
        await unsubscribe(w, link)


async def test_a_mail_is_a_sealed_row_with_the_guards_answer_and_costs_no_money(book: Book, lead: int) -> None:
    with book.hub.watch("courier") as watcher:
        made = await send(book, lead)
        assert await watcher.changed()
    delivery = await row(book, made)
    assert (delivery.kind, delivery.to_customer, delivery.attempt_id) == (DeliveryKind.mail, True, 1)
    token = book.vault.token("unsubscribe", "1", ADDRESS)
    assert delivery.sealed_text is not None
    said = book.vault.open(TEXTS, delivery.sealed_text).decode()
    assert LINK in said
    assert f"/u/{token}" in said
    assert (await link_of(book)).token_hash == hash_token(token)
    for shown in (delivery.shown_text, str(delivery.order)):
        assert LINK not in shown
        assert token not in shown
    assert delivery.shown_text.startswith("Su oferta\n\nHola, Carmen.")
    assert "[link]" in delivery.shown_text
    assert await count(book, Budget) == 0
    async with book.reading() as r:
        attempt = await r.session.get(Attempt, 1)
        assert attempt is not None
        assert (attempt.channel, attempt.verdict) == ("mail", "allow")


async def test_the_database_refuses_a_mail_without_the_guards_answer(book: Book, lead: int) -> None:
    with pytest.raises(IntegrityError, match="guarded"):
        async with book.writing() as w:
            w.session.add(Delivery(
                kind=DeliveryKind.mail, ref=new_token(), dedupe_key="x", order={}, due_at=w.now, created_at=w.now,
                to_customer=True,
            ))


async def test_it_arrives_once_with_its_link_and_its_papers_and_its_words_are_wiped(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    async with book.writing() as w:
        sha256 = await blobs.keep(w.session, b"%PDF-1.7", "application/pdf", w.now)
    made = await send(book, lead, words=letter(papers=[Paper("Oferta.pdf", "application/pdf", sha256)]))
    assert await courier.sweep() == 1
    assert await courier.sweep() == 0
    (mail,) = server.caught()
    done = await row(book, made)
    assert (done.state, done.sealed_text, done.tries) == (DeliveryState.done, None, 1)
    assert mail.sid in done.carrier_id
    record = mail.as_record()
    assert (record["from"], record["to"]) == ("Luz Clara <hola@luz.example>", [ADDRESS])
    assert record["message_id"] == f"<{made.ref}@luz.example>"
    assert record["unsubscribe"] in record["text"]
    assert record["unsubscribe"] in record["html"]
    assert LINK in record["text"]
    assert record["enclosures"] == ["Oferta.pdf"]
    assert await told(book, lead) == ["message.sent"]


async def test_what_is_no_offer_brings_no_link_that_ends_it(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    await send(book, lead, words=letter(purpose=Purpose.service))
    await courier.sweep()
    assert server.caught()[0].as_record()["unsubscribe"] == ""
    assert await count(book, Unsubscribe) == 0


async def test_without_a_mail_server_or_an_address_of_the_campaign_there_is_no_e_mail(book: Book, lead: int) -> None:
    book.can_mail = False
    with pytest.raises(NotAllowedNow, match="no e-mail here"):
        await send(book, lead)
    book.can_mail = True
    async with book.writing() as w:
        campaign = await w.session.get(Campaign, 1)
        assert campaign is not None
        campaign.mail_from = ""
    with pytest.raises(NotAllowedNow, match="no e-mail here"):
        await send(book, lead)
    assert await count(book, Attempt) == 0


async def test_the_guards_no_is_said_and_leaves_nothing(book: Book, lead: int) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone="+12025550101", reason="stop", created_at=w.now))
    with pytest.raises(NotAllowedNow) as caught:
        await send(book, lead)
    assert caught.value.values["rules"] == "suppressed.stop"
    assert await count(book, Delivery) == await count(book, Unsubscribe) == 0


@pytest.mark.parametrize("address", ["", "carmen", "a@b", "añá@example.com", "a@b.example\r\nBcc: c@d.example"])
async def test_what_cannot_be_written_to_is_refused_at_once(book: Book, lead: int, address: str) -> None:
    with pytest.raises(NotAllowedNow):
        await send(book, lead, address)


async def test_the_same_mail_twice_at_once_is_sent_once(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    ends = await asyncio.gather(*(send(book, lead) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(end, Delivery) for end in ends) == 1
    await courier.sweep()
    assert len(server.caught()) == 1


async def test_later_means_minutes_and_the_same_mail(
    book: Book, lead: int, server: Server, courier: Courier, clock: Clock
) -> None:
    made = await send(book, lead)
    server.fail("answer", "RCPT", 451)
    await courier.sweep()
    waiting = await row(book, made)
    assert (waiting.state, waiting.error) == (DeliveryState.pending, "451")
    clock.forward(59)
    assert await courier.sweep() == 0
    clock.forward(1)
    assert await courier.sweep() == 1
    assert [mail.header("Message-ID") for mail in server.caught()] == [f"<{made.ref}@luz.example>"]
    assert (await row(book, made)).state is DeliveryState.done


async def test_a_server_that_never_takes_it_is_not_asked_for_ever(
    book: Book, lead: int, server: Server, courier: Courier, clock: Clock
) -> None:
    made = await send(book, lead)
    server.fail("answer", "MAIL", 451, times=100)
    for _ in range(20):
        await courier.sweep()
        clock.forward(1800)
    failed = await row(book, made)
    assert (failed.state, failed.tries) == (DeliveryState.failed, DeliveryKind.mail.most_tries)
    assert await suppressed(book) == []


async def test_a_bounce_at_the_door_ends_mails_to_that_address_everywhere(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead)
    server.fail("answer", "RCPT", 550, words="5.1.1 no such user")
    await courier.sweep()
    failed = await row(book, made)
    assert (failed.state, failed.error, failed.sealed_text) == (DeliveryState.failed, "recipient:550", None)
    assert await told(book, lead) == ["message.failed"]
    assert await suppressed(book) == [(ADDRESS, "bounced")]
    async with book.reading() as r:
        attempt = await r.session.get(Attempt, 1)
        assert attempt is not None
        assert attempt.refunded_at is not None
        assert await addresses.address_of(r.session, 1) == ""
    with pytest.raises(NotAllowedNow) as caught:
        await send(book, lead, ADDRESS.upper(), letter("nudge:2"))
    assert caught.value.values["reason"] == "bounced"
    assert await count(book, Budget) == 0


async def test_a_refusal_of_our_words_says_nothing_of_the_address(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead)
    server.fail("answer", "BODY", 554, words="5.7.1 this looks like an offer")
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.failed
    assert await suppressed(book) == []


async def test_a_bounced_address_silences_nobody_who_has_no_number(book: Book, lead: int) -> None:
    async with book.writing() as w:
        assert await bounced(w, "X@Example.COM")
        assert not await bounced(w, "x@example.com")
        contact = await w.session.get(Contact, 1)
        assert contact is not None
        contact.phone = ""
    async with book.reading() as r:
        kinds = list(await r.session.scalars(select(Fact.kind).where(Fact.kind == "contact.suppressed")))
    assert len(kinds) == 1
    assert await send(book, lead), "a mail needs no number"


async def test_two_bounces_at_once_are_one(book: Book, lead: int) -> None:
    async def once() -> bool:
        async with book.writing() as w:
            return await bounced(w, ADDRESS)

    assert sorted(await asyncio.gather(once(), once(), once())) == [False, False, True]


@pytest.mark.parametrize("processed", [True, False])
async def test_a_mail_whose_answer_was_lost_is_never_sent_again_and_ends_in_sight(
    book: Book, lead: int, server: Server, courier: Courier, clock: Clock, processed: bool
) -> None:
    made, unknowns = await send(book, lead), Unknowns(book, RecordingCarrier())
    server.fail("drop", "BODY", processed=processed)
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown
    for _ in range(11):
        clock.forward(MAIL_PATIENCE.total_seconds() / 12)
        await unknowns.sweep()
        await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown
    clock.forward(MAIL_PATIENCE.total_seconds() / 6)
    await unknowns.sweep()
    await courier.sweep()
    ended = await row(book, made)
    assert (ended.state, ended.error, ended.sealed_text) == (DeliveryState.abandoned, "uncertain", None)
    assert len(server.caught()) == processed
    assert server.twice() == []
    async with book.reading() as r:
        attempt = await r.session.get(Attempt, 1)
        assert attempt is not None
        assert attempt.refunded_at is None


async def test_a_courier_that_dies_between_the_mail_and_its_answer_leaves_it_unknown(
    book: Book, lead: int, server: Server, courier: Courier, clock: Clock
) -> None:
    made = await send(book, lead)
    server.fail("delay", "BODY", seconds=60)
    dying = asyncio.create_task(courier.sweep())

    async def caught() -> bool:
        return bool(server.caught())

    await until(caught, "the mail")
    for task in [*courier._running, dying]:  # as a kill would: nothing is recorded any more
        task.cancel()
    await asyncio.gather(dying, *courier._running, return_exceptions=True)
    assert (await row(book, made)).state is DeliveryState.started
    other = Courier(book, RecordingCarrier(), RecordingTrust(), "two", mail=server.mail)
    clock.forward(DeliveryKind.mail.lease.total_seconds() + 1)
    await other.release()
    await other.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown
    assert (len(server.caught()), server.twice()) == (1, [])


async def test_mails_leave_room_for_messages(book: Book, lead: int, server: Server, courier: Courier) -> None:
    server.fail("delay", "MAIL", seconds=0.2, times=MAILS_AT_ONCE)
    for n in range(MAILS_AT_ONCE + 2):
        await send(book, lead, words=letter(f"nudge:{n}"))
    assert await courier.launch() == MAILS_AT_ONCE
    assert await courier.launch() == 0
    await courier.sweep()
    assert len(server.caught()) == MAILS_AT_ONCE + 2
    assert server.twice() == []


async def test_without_a_mail_server_what_was_queued_waits_for_one(book: Book, lead: int, clock: Clock) -> None:
    made = await send(book, lead)
    await Courier(book, RecordingCarrier(), RecordingTrust(), "one").sweep()
    assert ((await row(book, made)).state, (await row(book, made)).error) == (DeliveryState.pending, "no_server")


async def test_a_report_of_a_mail_server_marks_the_address_and_proves_that_the_mail_was_taken(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead)
    server.fail("drop", "BODY")
    await courier.sweep()
    for _ in range(2):
        async with book.writing() as w:
            await talking.mail_returned(w, 1, MailReturned(made.ref, "5.1.1", gone=True))
    done = await row(book, made)
    assert (done.state, done.error) == (DeliveryState.done, "5.1.1")
    assert await told(book, lead) == ["message.failed"]
    assert await suppressed(book) == [(ADDRESS, "bounced")]


async def test_a_report_comes_in_by_the_door_for_mail(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead)
    await courier.sweep()
    async with book.writing() as w:
        queue = await w.session.get(Queue, 1)
        assert queue is not None
        door = await connector(w, queue, "email")
        await arrived(w, door, MailReturned(made.ref, "5.1.1", gone=True))
    assert await suppressed(book) == [(ADDRESS, "bounced")]


async def test_a_report_of_a_full_mailbox_fails_the_mail_and_not_the_address(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead)
    await courier.sweep()
    async with book.writing() as w:
        await talking.mail_returned(w, 1, MailReturned(made.ref, "5.2.2", gone=False))
    assert await told(book, lead) == ["message.sent", "message.failed"]
    assert await suppressed(book) == []


async def test_a_report_of_another_campaigns_mail_or_of_nobodys_changes_nothing(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead)
    await courier.sweep()
    async with book.writing() as w:
        other = await making.campaign(w, "sol")
        await talking.mail_returned(w, other.id, MailReturned(made.ref, "5.1.1", gone=True))
        await talking.mail_returned(w, 1, MailReturned("x" * 22, "5.1.1", gone=True))
    assert await suppressed(book) == []
    assert await told(book, lead) == ["message.sent"]


async def test_one_press_takes_the_consent_back_and_a_second_changes_nothing(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    await send(book, lead)
    await courier.sweep()
    await press(book)
    await press(book)
    assert await count(book, Withdrawal) == 1
    assert (await told(book, lead, "consent."), await told(book, lead, "mail.")) == (
        ["consent.withdrawn"], ["mail.unsubscribed"])
    with pytest.raises(NotAllowedNow) as caught:
        await send(book, lead, words=letter("nudge:2"))
    assert caught.value.values["rules"] == "consent.commercial"
    await send(book, lead, words=letter("paper:1", Purpose.service))
    assert (await link_of(book)).used_at is not None


async def test_who_ends_it_while_a_mail_waits_for_its_next_try_does_not_get_it(
    book: Book, lead: int, server: Server, courier: Courier, clock: Clock
) -> None:
    made = await send(book, lead)
    server.fail("answer", "RCPT", 451)
    await courier.sweep()
    await press(book)
    clock.forward(600)
    await courier.sweep()
    failed = await row(book, made)
    assert (failed.state, failed.error, server.caught()) == (DeliveryState.failed, "unwanted", [])


async def test_a_mail_to_an_address_that_bounced_meanwhile_does_not_leave(
    book: Book, lead: int, server: Server, courier: Courier
) -> None:
    made = await send(book, lead, words=letter(purpose=Purpose.service))
    async with book.writing() as w:
        await bounced(w, ADDRESS)
    await courier.sweep()
    assert ((await row(book, made)).error, server.caught()) == ("unwanted", [])


async def test_the_newest_address_that_takes_mail_is_written_to(book: Book, lead: int, clock: Clock) -> None:
    async with book.writing() as w:
        first = await w.session.get(Lead, lead)
        assert first is not None
        for email in ("new@Пример.рф", "nonsense", "  newest@example.com "):
            clock.forward(60)
            w.session.add(Lead(
                campaign_id=1, site_id=None, contact_id=first.contact_id, intent=first.intent, claims={"email": email},
                source={}, locale="es", status_hash=hash_token(new_token()), created_at=clock.now,
            ))

    async def now() -> str:
        async with book.reading() as r:
            return await addresses.address_of(r.session, 1)

    assert await now() == "newest@example.com"
    order = ["newest@example.com", "new@xn--e1afmkfd.xn--p1ai", ADDRESS, ""]
    for gone, left in zip(["newest@example.com", "NEW@пример.рф", ADDRESS], order[1:], strict=True):
        async with book.writing() as w:
            await bounced(w, gone)
        assert await now() == left


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_words_stay_words(
    book: Book, lead: int, server: Server, courier: Courier, words: str
) -> None:
    words = words.replace("\x00", "").encode("utf-8", "replace").decode()  # as every door of ours takes them in
    async with book.writing() as w:
        campaign = await w.session.get(Campaign, 1)
        assert campaign is not None
        campaign.name = words
    values = {"subject": words, "paragraphs": [words], "label": words}
    await send(book, lead, words=letter(values=values))
    await courier.sweep()
    (mail,) = server.caught()
    assert mail.to == (ADDRESS,)
    assert {name.lower() for name in mail.message} == {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
        "list-unsubscribe", "list-unsubscribe-post",
    }
    assert "<script>" not in mail.html
