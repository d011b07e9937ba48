"""Foreign parties as they really speak: their payloads, their signatures, and a house that listens to them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import func, select

from integrations.ads.google import GoogleAds
from integrations.ads.meta import Meta
from integrations.mail.inbound import InboundMail
from integrations.shops.shopify import Shopify
from integrations.shops.woocommerce import WooCommerce
from router.actions import intake, rescuing
from router.alarms import Alarms
from router.book import Book, Writing
from router.inbox import Inbox
from router.model.campaigns import Queue
from router.model.carts import CART_DUE, Cart
from router.model.connectors import SECRETS, Connector, PartyName
from router.model.facts import Fact
from router.model.leads import Lead
from router.model.tasks import Task
from router.ports import LeadSource, Party, Webhook
from router.store import inbox as rows
from tests.outside import RecordingCarrier

SECRET = "hush"
VECTOR = b'{"id":981820079255243537,"token":"123123123"}'
PARTIES: Mapping[str, Party] = {
    "google_ads": GoogleAds(), "meta": Meta(), "shopify": Shopify(), "woocommerce": WooCommerce(),
    "email": InboundMail(),
}
DELAY = 45 * 60
PHONE = "+12025550123"

HOSTILE = (
    "<script>alert(1)</script>", "=HYPERLINK(\"http://x\")", "\u202eevil\u202c", "a\x00b", "\ud800",
    "'; drop table leads;--",
    "{{7*7}}", "x" * 70_000, "עברית \u200f123", "\u200b", "%(name)s {0} {name}", "\r\nBcc: a@b.example", "👩‍👩‍👧",
)


async def connector(w: Writing, queue: Queue, party: str, **values: Any) -> Connector:
    """A party's door; `secrets` beside the one it signs with."""
    secrets = {"secret": SECRET, **values.pop("secrets", {})}
    made = Connector(
        campaign_id=queue.campaign_id, queue_id=queue.id, party=PartyName(party), sealed=w.vault.seal(
            SECRETS, msgspec.json.encode(secrets)),
        **{"name": party, "key": f"{party.replace('_', '')}KeyThatNobodyGuesses", "settings": {}, **values},
    )
    w.session.add(made)
    await w.session.flush()
    return made


def mac(body: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).digest()


def dumps(value: object) -> bytes:
    return json.dumps(value).encode()


def google(**changes: Any) -> dict[str, Any]:
    """A lead form's body, in the shape of Google's documentation."""
    columns = changes.pop("columns", {"FULL_NAME": "Ana Pérez", "PHONE_NUMBER": PHONE, "EMAIL": "ana@example.com"})
    return {
        "lead_id": "TeSter-123", "api_version": "1.0", "form_id": 40000000000, "campaign_id": 123456,
        "google_key": SECRET, "gcl_id": "Cj0K", "adgroup_id": 20000000000, "creative_id": 30000000000,
        "asset_group_id": 0, "lead_submit_time": "2026-11-23T11:59:00Z", "user_column_data": [
            {"column_id": key, "column_name": "", "string_value": value} for key, value in columns.items()],
        **changes,
    }


def meta(*ids: object, page: object = "1234567890", **changes: Any) -> dict[str, Any]:
    return {"object": "page", "entry": [{"id": page, "time": 1588890044, "changes": [
        {"field": "leadgen", "value": {
            "ad_id": "77", "form_id": 888, "leadgen_id": one, "created_time": 1588890044, "page_id": page, **changes}}
        for one in ids]}]}


def checkout(**changes: Any) -> dict[str, Any]:
    """A Shopify checkout, with what such a body usually holds."""
    return {
        "id": 981820079255243537, "token": "tok123", "cart_token": "eeafa272cebfd4b22385bc4b645e762c",
        "email": "bob@example.com", "phone": None, "buyer_accepts_marketing": True,
        "buyer_accepts_sms_marketing": False, "sms_marketing_phone": None, "created_at": "2026-11-23T12:00:00+00:00",
        "updated_at": "2026-11-23T12:00:00+00:00", "completed_at": None,
        "landing_site": "/ofertas?utm_source=ig&gclid=abc", "referring_site": "https://l.example/",
        "source_name": "web", "customer_locale": "es-ES",
        "currency": "USD", "total_price": "988.00", "new_field_of_next_year": {"a": [1]},
        "line_items": [{"key": "k", "title": "Panel", "quantity": 2, "price": "494.00", "line_price": "988.00",
                        "product_id": 2**60}],
        "billing_address": {"name": "Bob Biller", "phone": PHONE, "country_code": "US"}, "shipping_address": None,
        "customer": {"id": 603851970716743426, "phone": None, "first_name": "John", "last_name": "Smith",
                     "default_address": {"phone": "123-123-1234"}},
        "abandoned_checkout_url": "https://shop.example/checkouts/tok123/recover?key=secret",
        **changes,
    }


def shopify_order(**changes: Any) -> dict[str, Any]:
    return {
        "id": 450789469, "name": "#1001", "checkout_token": "tok123", "cart_token": "eeafa272cebfd4b22385bc4b645e762c",
        "checkout_id": 981820079255243537, "financial_status": "paid", "created_at": "2026-11-23T12:05:00+00:00",
        "updated_at": "2026-11-23T12:05:00+00:00", "currency": "USD", "total_price": "988.00", "phone": PHONE,
        "billing_address": {"name": "Bob Biller", "country_code": "US"}, "line_items": [], **changes,
    }


def woo(**changes: Any) -> dict[str, Any]:
    """A WooCommerce order as its REST interface shows it."""
    return {
        "id": 727, "number": "727", "order_key": "wc_order_58d2d042d1d", "status": "failed", "currency": "USD",
        "date_created_gmt": "2026-11-23T12:00:00", "date_modified_gmt": "2026-11-23T12:00:00", "date_paid_gmt": None,
        "total": "29.35",
        "billing": {"first_name": "John", "last_name": "Doe", "country": "US", "phone": "(202) 555-0123",
                    "email": "john@example.com"},
        "shipping": {}, "line_items": [{"id": 1, "name": "Woo Album", "quantity": 3, "price": 4.5, "total": "13.50"}],
        "meta_data": [], "payment_method": "card", **changes,
    }


def signed(party: str, body: bytes, topic: str = "", **headers: str) -> Webhook:
    """The request as the party itself would post it."""
    ours: dict[str, dict[str, str]] = {
        "google_ads": {},
        "meta": {"x-hub-signature-256": f"sha256={mac(body).hex()}"},
        "email": {"x-signature-256": f"sha256={mac(body).hex()}", "content-type": "message/rfc822"},
        "shopify": {"x-shopify-hmac-sha256": base64.b64encode(mac(body)).decode(), "x-shopify-topic": topic},
        "woocommerce": {"x-wc-webhook-signature": base64.b64encode(mac(body)).decode(), "x-wc-webhook-topic": topic,
                        "x-wc-webhook-source": "https://woo.example/"},
    }
    return Webhook("", {**ours[party], **headers}, body)


class Listening:
    """A house with its inbox and its alarms, for words of foreign parties without a socket between."""

    def __init__(self, book: Book, sources: Mapping[str, LeadSource] | None = None) -> None:
        self.book = book
        self.inbox = Inbox(book, RecordingCarrier(), parties=PARTIES, sources=sources or {})
        self.alarms = Alarms(book, {CART_DUE: rescuing.due, intake.TASK_DUE: intake.task_due})

    async def hear(self, connector: Connector, body: object, topic: str = "", **headers: str) -> None:
        """As the door does with a genuine request, and then the inbox."""
        hook = signed(connector.party.value, body if isinstance(body, bytes) else dumps(body), topic, **headers)
        party = PARTIES[connector.party.value]
        assert party.genuine(hook, {"secret": SECRET})
        async with self.book.writing() as w:
            await rows.put(
                w.session, w.now, connector.scope, party.dedupe_key(hook), path="", body=hook.body,
                headers={key: value for key, value in hook.headers.items() if key in party.keeps},
            )
        await self.inbox.sweep()

    async def leads(self) -> list[Lead]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Lead).order_by(Lead.id)))

    async def tasks(self) -> list[Task]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Task).order_by(Task.id)))

    async def carts(self) -> list[Cart]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Cart).order_by(Cart.id)))

    async def facts(self, kind: str) -> list[dict[str, Any]]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Fact.data).where(Fact.kind == kind).order_by(Fact.id)))

    async def count(self, noun: type[Any], *where: Any) -> int:
        async with self.book.reading() as r:
            return await r.session.scalar(select(func.count()).select_from(noun).where(*where)) or 0
