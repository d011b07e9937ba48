"""Shopify: checkouts and orders. There is no word for "abandoned": a checkout is, when no order has come of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from integrations.shops.lines import lines
from integrations.shops.signatures import genuine
from router.model import foreign
from router.ports import CartChange, CartMoved, PartyEvent, Phone, Webhook

_CHECKOUTS = ("checkouts/create", "checkouts/update")
_ORDERS = (
    "orders/create", "orders/updated", "orders/paid", "orders/partially_paid", "orders/fulfilled", "orders/cancelled",
)  # fmt: skip
_FAILED = frozenset({"voided", "expired"})
"""Financial states of an order whose payment came to nothing; a pending one may be a bank transfer under way."""


class Shopify:
    """Implements `router.ports.Party`."""

    keeps: Sequence[str] = ("x-shopify-topic", "x-shopify-triggered-at")

    def ping(self, hook: Webhook) -> bool:
        return False

    def genuine(self, hook: Webhook, secrets: Mapping[str, str]) -> bool:
        return genuine(hook.body, hook.headers.get("x-shopify-hmac-sha256", ""), secrets)

    def dedupe_key(self, hook: Webhook) -> str:
        # One event may be told under several topics. The headers are not signed, the body is, so it counts too.
        topic, event = hook.headers.get("x-shopify-topic", ""), hook.headers.get("x-shopify-event-id", "")
        return f"{foreign.identifier(topic)} {foreign.identifier(event)} {foreign.digest(hook.body)}"

    def understand(self, hook: Webhook) -> Sequence[PartyEvent]:
        topic, body = hook.headers.get("x-shopify-topic", ""), foreign.read(hook.body)
        if topic in _CHECKOUTS:
            return _checkout(body)
        if topic == "checkouts/delete":
            names = _names(body, "token", "cart_token", "id")
            return (CartMoved(CartChange.withdrawn, names, _triggered(hook)),) if names else ()
        if topic in _ORDERS:
            return tuple(_order(body, topic))
        return ()


def _triggered(hook: Webhook) -> datetime | None:
    return foreign.moment(hook.headers.get("x-shopify-triggered-at", ""))


def _names(body: Mapping[str, Any], token: str, cart: str, number: str) -> list[str]:
    """What a checkout is known by. Its own token stands first."""
    kinds = (("", token), ("cart:", cart), ("id:", number))
    return [f"{kind}{found}" for kind, field in kinds if (found := foreign.identifier(body.get(field)))]


def _checkout(body: Mapping[str, Any]) -> Sequence[CartMoved]:
    names = _names(body, "token", "cart_token", "id")
    if not names:
        return ()
    if foreign.raw(body.get("completed_at")):
        return (CartMoved(CartChange.ordered, names, foreign.moment(body.get("updated_at"))),)
    return (CartMoved(CartChange.open, names, **_contents(body, foreign.url(body.get("abandoned_checkout_url")))),)


def _order(body: Mapping[str, Any], topic: str) -> Iterator[CartMoved]:
    """The checkout it came of is ordered, whatever becomes of the order; the order itself may go wrong."""
    at = foreign.moment(body.get("updated_at")) or foreign.moment(body.get("created_at"))
    checkout = _names(body, "checkout_token", "cart_token", "checkout_id")
    if checkout:
        yield CartMoved(CartChange.ordered, checkout, at)
    name = foreign.identifier(body.get("id"))
    if not name:
        return
    if topic == "orders/cancelled" or foreign.raw(body.get("cancelled_at")):
        yield CartMoved(CartChange.withdrawn, [f"order:{name}"], at)
        return
    status = foreign.raw(body.get("financial_status"))
    if status in _FAILED:
        yield CartMoved(
            CartChange.open, [f"order:{name}"], incident=status,
            order=foreign.words(body.get("name")) or name, **_contents(body, foreign.url(body.get("order_status_url"))),
        )
    elif topic != "orders/create":
        # A new order that goes well leaves nothing to remember; a later change may mend an incident.
        yield CartMoved(CartChange.ordered, [f"order:{name}"], at)


def _contents(body: Mapping[str, Any], url: str) -> dict[str, Any]:
    currency = foreign.currency(body.get("currency"))
    customer = foreign.part(body, "customer")
    people = [foreign.part(body, "shipping_address"), foreign.part(body, "billing_address"), customer,
              foreign.part(customer, "default_address")]
    return {
        "at": foreign.moment(body.get("updated_at")) or foreign.moment(body.get("created_at")),
        "phones": _phones(body, people),
        "name": next((found for one in people if (found := foreign.name_of(one))), ""),
        "email": foreign.words(body.get("email")) or foreign.words(customer.get("email")),
        "locale": foreign.words(body.get("customer_locale"), 16),
        "lines": lines(body, currency),
        "total_minor": foreign.minor(body.get("total_price"), currency),
        "currency": currency,
        "url": url,
        "accepts": [box for box in ("buyer_accepts_marketing", "buyer_accepts_sms_marketing") if body.get(box) is True],
        "source": _source(body),
    }


def _phones(body: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> list[Phone]:
    """In the order of how surely they are the buyer's own: for messages, of the checkout, then of the addresses."""
    country = next((found for one in people if (found := _country(one))), "")
    given = [(body.get("sms_marketing_phone"), country), (body.get("phone"), country)]
    given += [(one.get("phone"), _country(one) or country) for one in people]
    return [Phone(found, where) for number, where in given if (found := foreign.words(number, 40))]


def _country(person: Mapping[str, Any]) -> str:
    found = foreign.raw(person.get("country_code")).upper()
    return found if len(found) == 2 and found.isalpha() else ""


def _source(body: Mapping[str, Any]) -> dict[str, str]:
    landing, referrer = foreign.words(body.get("landing_site"), foreign.LONG), foreign.url(body.get("referring_site"))
    found = {"page": landing, "referrer": referrer, "shop": foreign.words(body.get("source_name"))}
    return {**foreign.attribution(landing), **{name: value for name, value in found.items() if value}}
