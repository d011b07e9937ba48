"""WooCommerce: orders, and its unsigned ping. A cart is an order that is not paid yet.

Facts: `class-wc-webhook.php` of woocommerce/woocommerce.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from integrations.shops.lines import lines
from integrations.shops.signatures import genuine
from router.model import foreign
from router.model.errors import Unreadable
from router.ports import CartChange, CartMoved, PartyEvent, Phone, Webhook

_CARTS = frozenset({"pending", "checkout-draft"})
_INCIDENTS = frozenset({"failed", "on-hold"})
_PAID = frozenset({"processing", "completed", "refunded"})
_GONE = frozenset({"cancelled", "trash"})
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_TOPICS = frozenset({"order.created", "order.updated", "order.restored"})


class WooCommerce:
    """Implements `router.ports.Party`."""

    keeps: Sequence[str] = ("x-wc-webhook-topic", "x-wc-webhook-source")

    def ping(self, hook: Webhook) -> bool:
        # Sent once, when the shop's owner saves the webhook, and not signed.
        return _PING.fullmatch(hook.body) is not None and "x-wc-webhook-signature" not in hook.headers

    def genuine(self, hook: Webhook, secrets: Mapping[str, str]) -> bool:
        return genuine(hook.body, hook.headers.get("x-wc-webhook-signature", ""), secrets)

    def dedupe_key(self, hook: Webhook) -> str:
        # Not by the delivery's id: two deliveries of one second share it.
        try:
            body = foreign.read(hook.body)
        except Unreadable:
            body = {}
        topic = foreign.identifier(hook.headers.get("x-wc-webhook-topic", ""))
        name, changed = foreign.identifier(body.get("id")), foreign.identifier(body.get("date_modified_gmt"))
        return f"{topic} {name} {changed} {foreign.digest(hook.body)}"

    def understand(self, hook: Webhook) -> Sequence[PartyEvent]:
        topic, body = hook.headers.get("x-wc-webhook-topic", ""), foreign.read(hook.body)
        name = foreign.identifier(body.get("id"))
        if not name:
            return ()
        if topic == "order.deleted":
            return (CartMoved(CartChange.withdrawn, [f"order:{name}"]),)
        if topic not in _TOPICS:
            return ()
        status, at = foreign.raw(body.get("status")), foreign.moment(body.get("date_modified_gmt"), utc=True)
        if status in _PAID or foreign.raw(body.get("date_paid_gmt")) or foreign.raw(body.get("date_paid")):
            return (CartMoved(CartChange.ordered, [f"order:{name}"], at),)
        if status in _GONE:
            return (CartMoved(CartChange.withdrawn, [f"order:{name}"], at),)
        if status not in _CARTS | _INCIDENTS:
            return ()
        incident = status if status in _INCIDENTS else ""
        return (CartMoved(CartChange.open, [f"order:{name}"], at, incident, **_contents(hook, body, name)),)


def _contents(hook: Webhook, body: Mapping[str, Any], name: str) -> dict[str, Any]:
    currency, billing = foreign.currency(body.get("currency")), foreign.part(body, "billing")
    shipping = foreign.part(body, "shipping")
    phones = [(billing.get("phone"), billing), (shipping.get("phone"), shipping)]
    return {
        "order": foreign.words(body.get("number")) or name,
        "phones": [Phone(found, _country(person)) for number, person in phones if (found := foreign.words(number, 40))],
        "name": foreign.name_of(billing) or foreign.name_of(shipping),
        "email": foreign.words(billing.get("email")),
        "lines": lines(body, currency),
        "total_minor": foreign.minor(body.get("total"), currency),
        "currency": currency,
        "url": _payment_url(hook, body, name),
        "accepts": _accepts(body),
        "source": _source(body),
    }


def _country(person: Mapping[str, Any]) -> str:
    found = foreign.raw(person.get("country")).upper()
    return found if len(found) == 2 and found.isalpha() else ""


def _payment_url(hook: Webhook, body: Mapping[str, Any], name: str) -> str:
    """Where the buyer can pay: told by newer shops, else their usual address of it."""
    told = foreign.url(body.get("payment_url"))
    shop, key = foreign.url(hook.headers.get("x-wc-webhook-source", "")), foreign.identifier(body.get("order_key"))
    if told or not (shop and key and name.isdigit()):
        return told
    asked = urlencode({"pay_for_order": "true", "key": key})
    return foreign.url(f"{shop.rstrip('/')}/checkout/order-pay/{name}/?{asked}")


def _meta(body: Mapping[str, Any]) -> dict[str, str]:
    return {
        foreign.words(one.get("key")): foreign.words(one.get("value"), foreign.LONG)
        for one in foreign.parts(body, "meta_data")
    }


_ATTRIBUTION = "_wc_order_attribution_"
_MARKETING = ("marketing_opt_in", "_marketing_opt_in", "_wc_marketing_opt_in", "accepts_marketing")


def _accepts(body: Mapping[str, Any]) -> list[str]:
    known = _meta(body)
    return [box for box in _MARKETING if known.get(box, "").lower() in ("1", "yes", "true", "on")]


def _source(body: Mapping[str, Any]) -> dict[str, str]:
    told = {name.removeprefix(_ATTRIBUTION): value for name, value in _meta(body).items() if value}
    found = {"page": told.get("session_entry", ""), "referrer": foreign.url(told.get("referrer", ""))}
    utm = {name: told[name][: foreign.SHORT] for name in foreign.UTM if name in told}
    return {**foreign.attribution(found["page"]), **utm, **{name: value for name, value in found.items() if value}}
