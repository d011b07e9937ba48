"""What foreign parties tell becomes leads, once, in whatever order it comes, and nobody is rung without a reason."""

import logging
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import dispatch
from router.book import Book
from router.model.campaigns import Queue
from router.model.carts import CartState
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.conversations import Conversation, Message
from router.model.inbox import InboxRow, InboxState
from router.model.leads import Intent, Lead
from router.model.suppressions import Suppression
from router.model.tasks import TIER_FRESH, Reservation, ReservationState, Task, TaskKind, TaskState
from tests import making
from tests.conftest import Clock
from tests.invariants import check
from tests.parties import (
    DELAY,
    HOSTILE,
    PHONE,
    Listening,
    checkout,
    connector,
    google,
    meta,
    shopify_order,
    woo,
)


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        campaign = await making.campaign(w, fields=[
            {"key": "cups", "kind": "supply_point", "secret": True, "required": True, "labels": {}},
            {"key": "roof", "kind": "number", "labels": {}},
        ])
        return await making.queue(w, campaign)


@pytest.fixture
def house(book: Book) -> Listening:
    return Listening(book)


@pytest.fixture
async def shop(book: Book, queue: Queue) -> Any:
    async with book.writing() as w:
        return await connector(w, queue, "shopify", settings={"consent_text": "News by phone", "consent_version": "3"})


@pytest.fixture
async def woo_shop(book: Book, queue: Queue) -> Any:
    async with book.writing() as w:
        return await connector(w, queue, "woocommerce")


@pytest.fixture
async def ads(book: Book, queue: Queue) -> Any:
    async with book.writing() as w:
        return await connector(w, queue, "google_ads", settings={
            "consent_text": "We may call you.", "columns": {"q1": "field:cups", "q2": "field:roof", "q3": "message"}})


async def rest(house: Listening, clock: Clock, seconds: float = DELAY + 1) -> None:
    clock.forward(seconds)
    await house.alarms.sweep()


async def sound(house: Listening) -> None:
    async with house.book.reading() as r:
        await check(r.session)
        left = await r.session.scalars(select(InboxRow.state).where(InboxRow.state != InboxState.done))
    assert left == []


async def test_a_lead_form_becomes_a_fresh_call_with_its_source_and_its_consent(house: Listening, ads: Any) -> None:
    await house.hear(ads, google())
    (lead,), (task,) = await house.leads(), await house.tasks()
    assert (lead.intent, task.kind, task.tier, task.state) == (
        Intent.form, TaskKind.call, TIER_FRESH, TaskState.queued)
    assert lead.claims == {"name": "Ana Pérez", "email": "ana@example.com"}
    assert lead.source["party"] == "google_ads"
    assert (lead.source["gclid"], lead.source["form_id"]) == ("Cj0K", "40000000000")
    async with house.book.reading() as r:
        receipt = await r.session.scalar(select(Receipt))
        contact = await r.session.scalar(select(Contact))
    assert receipt is not None
    assert (receipt.purposes, receipt.text, receipt.method) == (["requested"], "We may call you.", "google_ads")
    assert contact is not None
    assert contact.phone == PHONE
    await sound(house)


async def test_the_same_lead_told_again_in_other_words_is_one_lead(house: Listening, ads: Any) -> None:
    for name in ("Ana", "Ana", "Anna"):
        await house.hear(ads, google(columns={"FULL_NAME": name, "PHONE_NUMBER": PHONE}))
    assert len(await house.leads()) == len(await house.tasks()) == 1


async def test_answers_go_to_the_campaigns_questions_and_a_wrong_one_refuses_nothing(
    house: Listening, ads: Any
) -> None:
    await house.hear(ads, google(columns={
        "PHONE_NUMBER": PHONE, "q1": "no supply point", "q2": "12,5", "q3": "After six", "q4": "yes"}))
    (lead,) = await house.leads()
    assert lead.fields == {"roof": "12.5"}
    assert lead.claims["message"] == "After six"
    assert lead.claims["answers"] == {"q4": "yes"}
    assert lead.sealed_fields is not None
    assert house.book.vault.open("fields", lead.sealed_fields) == b'{"cups":"no supply point"}'


@pytest.mark.parametrize(("phone", "reason"), [
    ("", "no_phone"), ("no idea", "no_phone"), ("+4930123456", "country"), ("+34803123456", "no_phone"),
])
async def test_without_a_number_we_call_there_is_a_lead_and_no_task(
    house: Listening, ads: Any, phone: str, reason: str
) -> None:
    await house.hear(ads, google(columns={"PHONE_NUMBER": phone, "EMAIL": "ana@example.com"}))
    assert len(await house.leads()) == 1
    assert await house.tasks() == []
    assert [fact["reason"] for fact in await house.facts("lead.not_called")] == [reason]
    await sound(house)


async def test_a_test_lead_is_kept_and_rings_nobody(house: Listening, ads: Any, book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        page = await connector(w, queue, "meta")
    await house.hear(ads, google(is_test=True))
    await house.hear(page, meta("444444444444", page="0"))
    await house.hear(page, meta(555, page=0))
    assert [lead.source["test"] for lead in await house.leads()] == ["yes", "yes", "yes"]
    assert await house.tasks() == []
    await sound(house)


async def test_a_resting_checkout_becomes_a_call_with_its_cart(house: Listening, shop: Any, clock: Clock) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    assert await house.leads() == []
    await rest(house, clock)
    (lead,), (task,), (cart,) = await house.leads(), await house.tasks(), await house.carts()
    assert (lead.intent, task.state, task.tier, cart.state) == (
        Intent.cart, TaskState.queued, TIER_FRESH, CartState.rescued)
    assert lead.claims["cart"] == {
        "id": "tok123", "total_minor": 98800, "currency": "USD",
        "lines": [{"label": "Panel", "quantity": 2, "minor": 98800}],
        "url": "https://shop.example/checkouts/tok123/recover?key=secret",
    }
    assert lead.claims["name"] == "Bob Biller"
    assert (lead.source["utm_source"], lead.source["basis"]) == ("ig", "consent")
    async with house.book.reading() as r:
        receipt = await r.session.scalar(select(Receipt))
    assert receipt is not None
    assert (receipt.purposes, receipt.method, receipt.text, receipt.version) == (
        ["commercial"], "checkout", "News by phone", "3")
    await sound(house)


async def test_every_change_of_a_checkout_lets_it_rest_anew(house: Listening, shop: Any, clock: Clock) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    await rest(house, clock, DELAY - 60)
    await house.hear(shop, checkout(updated_at="2026-11-23T12:40:00Z", total_price="1.00"), "checkouts/update")
    await rest(house, clock, 120)
    assert await house.leads() == []
    await house.hear(shop, checkout(updated_at="2026-11-23T12:10:00Z", total_price="9.00"), "checkouts/update")
    await rest(house, clock, DELAY)
    assert [lead.claims["cart"]["total_minor"] for lead in await house.leads()] == [100]


@pytest.mark.parametrize(("body", "topic"), [
    (shopify_order(), "orders/create"),
    (shopify_order(cart_token=None, checkout_id=None), "orders/create"),
    (shopify_order(checkout_token=None, checkout_id=None), "orders/create"),
    (checkout(completed_at="2026-11-23T12:05:00Z"), "checkouts/update"),
    ({"id": 981820079255243537}, "checkouts/delete"),
])
async def test_an_order_before_or_after_its_checkout_leaves_nobody_to_be_called(
    house: Listening, shop: Any, clock: Clock, body: dict[str, Any], topic: str
) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    await house.hear(shop, body, topic)
    late = checkout(token="tok9", cart_token="c9", id=9)
    await house.hear(shop, {**body, **{key: late[key] for key in ("token", "id") if key in body}}
                     | ({"checkout_token": "tok9", "cart_token": "c9", "checkout_id": 9} if "orders" in topic else {}),
                     topic)
    await house.hear(shop, late, "checkouts/create")
    await house.hear(shop, checkout(updated_at="2026-11-23T23:00:00Z"), "checkouts/update")
    await rest(house, clock)
    assert await house.leads() == []
    assert {cart.state for cart in await house.carts()} <= {CartState.ordered, CartState.withdrawn}
    assert [cart.contents for cart in await house.carts()] == [{}] * len(await house.carts())


async def test_an_order_takes_back_the_call_that_waits_or_rings(
    house: Listening, shop: Any, book: Book, clock: Clock
) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    await rest(house, clock)
    async with book.writing() as w:
        agent = await making.agent(w)
        assert await dispatch.run_round(w, 1) == 1
    await house.hear(shop, shopify_order(), "orders/create")
    assert [task.state for task in await house.tasks()] == [TaskState.withdrawn]
    async with book.reading() as r:
        held = await r.session.scalar(select(Reservation))
        assert held is not None
        assert held.state is ReservationState.canceled
        again = await r.session.get(type(agent), agent.id)
        assert again is not None
        assert again.load == 0
    await sound(house)


async def test_who_asked_for_a_call_himself_is_called_although_he_has_ordered(
    house: Listening, shop: Any, ads: Any, clock: Clock
) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    await rest(house, clock)
    await house.hear(ads, google())
    await house.hear(shop, shopify_order(), "orders/create")
    assert [task.state for task in await house.tasks()] == [TaskState.queued]
    assert [cart.state for cart in await house.carts()] == [CartState.ordered]
    await sound(house)


async def test_a_call_that_is_being_put_through_goes_on(
    house: Listening, shop: Any, book: Book, clock: Clock
) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    await rest(house, clock)
    async with book.writing() as w:
        agent = await making.agent(w)
        await dispatch.run_round(w, 1)
    async with book.writing() as w:
        held = await w.session.scalar(select(Reservation))
        assert held is not None
        await dispatch.accept(w, held.id, agent.id)
    await house.hear(shop, shopify_order(), "orders/create")
    assert [task.state for task in await house.tasks()] == [TaskState.connecting]
    assert [cart.state for cart in await house.carts()] == [CartState.ordered]
    await sound(house)


async def test_who_ticked_nothing_is_not_called_unless_the_merchant_has_a_basis(
    house: Listening, book: Book, queue: Queue, shop: Any, clock: Clock
) -> None:
    async with book.writing() as w:
        other = await connector(w, queue, "shopify", name="two", key="k" * 20, settings={"basis": "service"})
    body = checkout(buyer_accepts_marketing=False)
    await house.hear(shop, body, "checkouts/create")
    await rest(house, clock)
    assert await house.tasks() == []
    assert [fact["reason"] for fact in await house.facts("lead.not_called")] == ["no_basis"]
    await house.hear(other, body, "checkouts/create")
    await rest(house, clock)
    assert len(await house.leads()) == 2
    assert len(await house.tasks()) == 1
    assert await house.count(Receipt) == 0
    await sound(house)


async def test_a_number_told_only_later_is_called_then_and_once(house: Listening, shop: Any, clock: Clock) -> None:
    await house.hear(shop, checkout(billing_address=None, customer=None), "checkouts/create")
    await rest(house, clock)
    assert await house.tasks() == []
    for minute in (50, 55):
        await house.hear(shop, checkout(updated_at=f"2026-11-23T12:{minute}:00Z"), "checkouts/update")
        await rest(house, clock)
    assert len(await house.leads()) == 2
    assert [task.state for task in await house.tasks()] == [TaskState.queued]
    await sound(house)


async def test_nobody_is_called_at_night_about_a_cart(
    house: Listening, book: Book, shop: Any, queue: Queue, clock: Clock
) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w, "night", rule_pack="standard")
        door = await connector(w, await making.queue(w, campaign), "woocommerce", key="n" * 20)
    clock.forward(16 * 3600)  # 23:00 in New York, where his number is
    await house.hear(door, woo(), "order.updated")
    await rest(house, clock)
    (task,) = await house.tasks()
    assert task.state is TaskState.scheduled
    await rest(house, clock, 11 * 3600)
    assert [task.state for task in await house.tasks()] == [TaskState.queued]
    await house.hear(door, woo(status="processing", date_modified_gmt="2026-11-24T10:00:00"), "order.updated")
    assert [task.state for task in await house.tasks()] == [TaskState.withdrawn]
    await sound(house)


async def test_who_said_stop_is_not_called_about_a_cart(
    house: Listening, book: Book, shop: Any, clock: Clock
) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone=PHONE, reason="stop", created_at=w.now))
    await house.hear(shop, checkout(), "checkouts/create")
    await rest(house, clock)
    assert await house.tasks() == []
    assert [fact["reason"] for fact in await house.facts("lead.not_called")] == ["suppressed.stop"]


async def test_a_cart_found_days_later_is_let_go(house: Listening, shop: Any, clock: Clock) -> None:
    await house.hear(shop, checkout(), "checkouts/create")
    await rest(house, clock, 73 * 3600)
    assert await house.leads() == []
    assert [cart.state for cart in await house.carts()] == [CartState.expired]


@pytest.mark.parametrize(("status", "intent"), [
    ("failed", Intent.incident), ("on-hold", Intent.incident), ("pending", Intent.cart),
    ("checkout-draft", Intent.cart),
])
async def test_an_unpaid_order_becomes_an_incident_or_a_cart(
    house: Listening, woo_shop: Any, clock: Clock, status: str, intent: Intent
) -> None:
    accepts = [{"key": "marketing_opt_in", "value": "yes"}]
    await house.hear(woo_shop, woo(status=status, meta_data=accepts), "order.updated")
    await rest(house, clock)
    (lead,), (task,) = await house.leads(), await house.tasks()
    assert (lead.intent, task.state) == (intent, TaskState.queued)
    assert lead.claims["cart"]["total_minor"] == 2935
    url = "https://woo.example/checkout/order-pay/727/?pay_for_order=true&key=wc_order_58d2d042d1d"
    assert lead.claims["cart"]["url"] == url
    if intent is Intent.incident:
        assert lead.claims["incident"] == {"reason": status, "order": "727", "url": url}
    await sound(house)


@pytest.mark.parametrize(("changes", "topic"), [
    ({"status": "processing"}, "order.updated"), ({"status": "completed"}, "order.updated"),
    ({"status": "pending", "date_paid_gmt": "2026-11-23T12:01:00"}, "order.updated"),
    ({"status": "cancelled"}, "order.updated"), ({}, "order.deleted"),
])
async def test_a_paid_or_cancelled_order_needs_no_help_even_when_told_first(
    house: Listening, woo_shop: Any, clock: Clock, changes: dict[str, Any], topic: str
) -> None:
    await house.hear(woo_shop, woo(date_modified_gmt="2026-11-23T12:01:00", **changes), topic)
    await house.hear(woo_shop, woo(), "order.created")
    await rest(house, clock)
    assert await house.leads() == []
    await sound(house)


async def test_a_voided_order_of_shopify_is_an_incident_until_it_is_mended(
    house: Listening, shop: Any, clock: Clock
) -> None:
    await house.hear(shop, shopify_order(financial_status="voided"), "orders/updated")
    await rest(house, clock)
    (lead,) = await house.leads()
    assert (lead.intent, lead.claims["incident"]["order"]) == (Intent.incident, "#1001")
    await house.hear(shop, shopify_order(updated_at="2026-11-23T14:00:00Z"), "orders/paid")
    assert [task.state for task in await house.tasks()] == [TaskState.withdrawn]


MAIL = (
    b"From: =?utf-8?q?Jos=C3=A9?= <jose@example.com>\r\nTo: hola@luz.example\r\nSubject: =?utf-8?b?wr9QcmVjaW8/?=\r\n"
    b"Message-ID: <1@example.com>\r\nDate: Mon, 23 Nov 2026 13:00:00 +0100\r\nContent-Type: text/plain; charset=latin-1"
    b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xbfCu\xe1nto cuesta?\r\n"
)


async def test_a_mail_becomes_a_lead_that_is_answered_in_writing(house: Listening, book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        box = await connector(w, queue, "email")
    await house.hear(box, MAIL)
    await house.hear(box, MAIL + b"\r\n")  # the same message by another way
    (lead,), (task,) = await house.leads(), await house.tasks()
    assert (lead.intent, task.kind) == (Intent.email, TaskKind.chat)
    assert lead.claims == {"name": "José", "email": "jose@example.com", "subject": "¿Precio?"}
    async with book.reading() as r:
        texts = await r.session.scalars(select(Message.text))
    assert texts == ["¿Precio?\n\n¿Cuánto cuesta?"]
    await sound(house)


async def test_a_second_mail_goes_on_with_the_thread_of_its_address(
    house: Listening, book: Book, queue: Queue
) -> None:
    async with book.writing() as w:
        box = await connector(w, queue, "email")
    await house.hear(box, MAIL)
    await house.hear(box, MAIL.replace(b"<1@", b"<2@"))
    assert len(await house.leads()) == len(await house.tasks()) == await house.count(Conversation) == 1
    assert await house.count(Message) == 2


async def test_hostile_words_in_every_field_break_nothing_and_look_harmless(
    house: Listening, book: Book, queue: Queue, ads: Any, shop: Any, woo_shop: Any, clock: Clock
) -> None:
    async with book.writing() as w:
        box = await connector(w, queue, "email")
    for number, nasty in enumerate(HOSTILE):
        phone = f"+120255501{number:02}"
        await house.hear(ads, google(lead_id=nasty, lead_stage=nasty, gcl_id=nasty, columns={
            "PHONE_NUMBER": phone, "FULL_NAME": nasty, "EMAIL": nasty, nasty: nasty, "q1": nasty, "q2": nasty}))
        body = {key: nasty if isinstance(value, str) else value for key, value in checkout().items()} | {
            "token": f"t{number}", "cart_token": nasty, "id": nasty,
            "line_items": [{"title": nasty, "price": nasty}, nasty],
            "billing_address": {"name": nasty, "phone": phone, "country_code": nasty}, "note": nasty}
        await house.hear(shop, body, "checkouts/create")
        await house.hear(woo_shop, woo(
            id=number + 1, number=nasty, order_key=nasty, currency=nasty, total=nasty, line_items=nasty,
            billing={"first_name": nasty, "phone": phone, "country": nasty, "email": nasty},
            meta_data=[{"key": nasty, "value": {nasty: nasty}},
                       {"key": "_wc_order_attribution_referrer", "value": nasty}],
        ), "order.created")
        raw = nasty.encode("utf-8", "replace")[:5000]
        head = b"From: a%d@b.example\r\nSubject: " % number + raw + b"\r\nContent-Type: text/html\r\n\r\n"
        await house.hear(box, head + b"<p>x</p><script>bad()</script>" + raw)
    await rest(house, clock)
    leads = await house.leads()
    assert len(leads) == 4 * len(HOSTILE)
    said = repr([(lead.claims, lead.source, lead.fields) for lead in leads])
    assert not {"\\u202e", "\\x00", "\\u200b", "\\ud800"} & {said[i:i + 6] for i in range(len(said))}
    assert "bad()" not in said
    assert all(lead.claims["cart"]["url"] == "" or lead.claims["cart"]["url"].startswith("http")
               for lead in leads if "cart" in lead.claims)
    await sound(house)


async def test_what_cannot_be_read_is_parked_at_once_and_visible(
    house: Listening, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        await house.hear(shop, b"[" * 100_000, "orders/create")
    assert await house.count(InboxRow, InboxRow.state == InboxState.parked) == 1
    assert [fact["reason"] for fact in await house.facts("inbox.parked")] == ["unreadable"]


async def test_a_topic_or_status_nobody_knows_yet_is_let_pass(house: Listening, shop: Any, woo_shop: Any) -> None:
    await house.hear(shop, {"id": 1}, "products/create")
    await house.hear(shop, {}, "checkouts/create")
    await house.hear(woo_shop, woo(status="new-status"), "order.updated")
    await house.hear(woo_shop, {"action": "x", "arg": 1}, "action.x")
    assert await house.count(Lead) == 0
    assert await house.count(Task) == 0
    await sound(house)
