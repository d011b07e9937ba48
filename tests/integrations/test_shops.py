"""The shops' payloads in our words."""

import pytest

from integrations.shops.shopify import Shopify
from integrations.shops.woocommerce import WooCommerce
from router.ports import CartChange, CartLine, CartMoved, Party, Phone, Webhook
from tests.parties import VECTOR, checkout, dumps, shopify_order, signed, woo

SIGNATURE = "P0M3XMPTtwSskhngXLY3elHJZ0+tT94TLNVzJxGRB/Q="


def moves(party: str, body: object, topic: str) -> list[CartMoved]:
    reader: Party = Shopify() if party == "shopify" else WooCommerce()
    return [event for event in reader.understand(signed(party, dumps(body), topic)) if isinstance(event, CartMoved)]


@pytest.mark.parametrize(("party", "header"), [
    (Shopify(), "x-shopify-hmac-sha256"), (WooCommerce(), "x-wc-webhook-signature"),
])
def test_the_signature_is_that_of_the_published_vector(party: Party, header: str) -> None:
    assert party.genuine(Webhook("", {header: SIGNATURE}, VECTOR), {"secret": "hush"})
    for body, given, secret in [
        (VECTOR + b"\n", SIGNATURE, "hush"), (VECTOR, SIGNATURE, "Hush"), (VECTOR, "", "hush"), (VECTOR, "é", "hush"),
        (VECTOR, SIGNATURE[:-1], "hush"), (VECTOR, SIGNATURE + " x", "hush"),
    ]:
        assert not party.genuine(Webhook("", {header: given}, body), {"secret": secret})


def test_the_buyers_number_is_looked_for_where_it_is_surest() -> None:
    body = checkout(
        sms_marketing_phone="1", phone="2", shipping_address={"phone": "3", "country_code": "ES"},
        billing_address={"phone": "4", "country_code": "FR"},
        customer={"phone": "5", "default_address": {"phone": "6", "country_code": "IT"}},
    )
    (moved,) = moves("shopify", body, "checkouts/update")
    assert [one.written for one in moved.phones] == ["1", "2", "3", "4", "5", "6"]
    assert moved.phones[2:4] == [Phone("3", "ES"), Phone("4", "FR")]


def test_a_checkouts_ids_stay_exact_and_its_money_is_minor_units() -> None:
    items = [{"title": "A", "quantity": 3, "price": "100"}, {"name": "B", "quantity": -1, "price": "x"}]
    body = checkout(id=2**80, currency="JPY", total_price="988", line_items=items)
    (moved,) = moves("shopify", body, "checkouts/create")
    assert moved.names[2] == f"id:{2**80}"
    assert (moved.total_minor, moved.lines) == (988, [CartLine("A", 3, 300), CartLine("B", 0, 0)])


@pytest.mark.parametrize("url", [
    "javascript:alert(1)", "data:text/html,x", "//x.example", "https://a@b.example/", 7, None,
])
def test_only_a_plain_web_address_is_a_recovery_link(url: object) -> None:
    (moved,) = moves("shopify", checkout(abandoned_checkout_url=url), "checkouts/create")
    assert moved.url == ""


def test_an_order_ends_its_checkout_by_whatever_name_it_tells() -> None:
    (moved,) = moves("shopify", shopify_order(), "orders/create")
    assert moved.change is CartChange.ordered
    assert list(moved.names) == ["tok123", "cart:eeafa272cebfd4b22385bc4b645e762c", "id:981820079255243537"]
    assert moves("shopify", {"id": 1, "source_name": "pos"}, "orders/create") == []


def test_a_cancelled_order_still_ends_its_checkout() -> None:
    ended, gone = moves("shopify", shopify_order(), "orders/cancelled")
    assert (ended.change, gone.change, gone.names) == (CartChange.ordered, CartChange.withdrawn, ["order:450789469"])


def test_one_event_under_two_topics_is_two_messages_and_a_retry_is_one() -> None:
    body = dumps(shopify_order())
    event = {"x-shopify-event-id": "e-1"}
    created = Shopify().dedupe_key(signed("shopify", body, "orders/create", **event))
    assert created == Shopify().dedupe_key(signed("shopify", body, "orders/create", **event))
    assert created != Shopify().dedupe_key(signed("shopify", body, "orders/paid", **event))
    assert created != Shopify().dedupe_key(signed("shopify", body + b" ", "orders/create", **event))


def test_a_woo_order_tells_its_attribution_and_where_to_pay() -> None:
    told = [{"key": f"_wc_order_attribution_{key}", "value": value} for key, value in {
        "utm_source": "google", "referrer": "https://g.example/", "session_entry": "https://woo.example/?gclid=abc"}.items()]
    (moved,) = moves("woocommerce", woo(meta_data=told, payment_url="https://woo.example/pay/727"), "order.updated")
    assert moved.url == "https://woo.example/pay/727"
    assert moved.source == {"gclid": "abc", "utm_source": "google", "page": "https://woo.example/?gclid=abc",
                            "referrer": "https://g.example/"}
    assert moved.phones == [Phone("(202) 555-0123", "US")]
