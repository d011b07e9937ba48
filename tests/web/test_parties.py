"""The foreign parties' doors on a real socket: genuine or 403, stored before it is answered, each event once."""

import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from router.book import Book
from router.model.connectors import Connector
from router.model.inbox import InboxRow
from router.model.leads import Lead
from tests import making
from tests.parties import (
    Listening,
    checkout,
    connector,
    dumps,
    google,
    mac,
    meta,
    signed,
    woo,
)
from tests.web.inside import inside

MAIL = b"From: a@b.example\r\nSubject: Hi\r\n\r\nHello\r\n"
GOOD: dict[str, tuple[bytes, str]] = {
    "google_ads": (dumps(google()), ""),
    "meta": (dumps(meta(555)), ""),
    "shopify": (dumps(checkout()), "checkouts/create"),
    "woocommerce": (dumps(woo()), "order.created"),
    "email": (MAIL, ""),
}


@pytest.fixture
async def ours(book: Book) -> dict[str, Connector]:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        return {party: await connector(w, queue, party, secrets={"verify_token": "open sesame", "token": "T"})
                for party in GOOD}


@pytest.fixture
async def http(book: Book) -> AsyncIterator[aiohttp.ClientSession]:
    async with inside(book) as url, aiohttp.ClientSession(url) as session:
        yield session


async def post(
    http: aiohttp.ClientSession, ours: dict[str, Connector], party: str, body: bytes, topic: str = "", **headers: str
) -> int:
    hook = signed(party, body, topic, **headers)
    address = f"/hooks/{party}/{ours[party].key}"
    sent = {"Content-Type": "application/json", **hook.headers}
    async with http.post(address, data=body, headers=sent, allow_redirects=False) as answer:
        return answer.status


async def rows(book: Book) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(InboxRow)) or 0


@pytest.mark.parametrize("party", GOOD)
async def test_a_genuine_request_is_stored_as_it_came_and_answered_200(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector], party: str
) -> None:
    body, topic = GOOD[party]
    with book.hub.watch("inbox") as watcher:
        for _ in range(3):
            assert await post(http, ours, party, body, topic) == 200
        assert await watcher.changed() == {"inbox"}
    async with book.reading() as r:
        (row,) = await r.session.scalars(select(InboxRow))
    assert (row.source, row.body) == (f"{party}:{ours[party].id}", body)
    assert ours[party].key not in row.path
    assert not {"x-shopify-hmac-sha256", "x-wc-webhook-signature", "x-hub-signature-256"} & set(row.headers)


@pytest.mark.parametrize("party", GOOD)
async def test_a_changed_body_a_wrong_secret_or_no_signature_is_refused(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector], party: str, caplog: pytest.LogCaptureFixture
) -> None:
    body, topic = GOOD[party]
    address = f"/hooks/{party}/{ours[party].key}"
    wrong = dumps(google(google_key="other")) if party == "google_ads" else body
    forged = signed(party, wrong + b" ", topic).headers
    for sent in (forged, {}, {name: "" for name in forged}, {name: "sha256=zz\u20ac" for name in forged}):
        async with http.post(address, data=wrong, headers={**sent, "Content-Type": "application/json"}) as answer:
            assert answer.status == 403
    assert await rows(book) == 0
    assert "Ana" not in caplog.text
    assert ours[party].key not in caplog.text


async def test_googles_body_without_a_readable_key_is_refused(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector]
) -> None:
    for body in (b"", b"nonsense", b"[1]", b"{}", b"\xff\xfe", b"[" * 90_000, dumps(google(google_key=None)),
                 dumps(google(google_key=True)), dumps(google(google_key={"a": 1}))):
        assert await post(http, ours, "google_ads", body) == 403
    assert await rows(book) == 0


async def test_the_shops_unsigned_ping_is_answered_exactly_200_and_kept_nowhere(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector]
) -> None:
    address = f"/hooks/woocommerce/{ours['woocommerce'].key}"
    async with http.post(address, data={"webhook_id": "7"}) as answer:
        assert answer.status == 200
    for other in (b"webhook_id=7&x=1", b"webhook_id=", b"webhook_id=7; drop"):
        async with http.post(address, data=other) as answer:
            assert answer.status == 403
    assert await rows(book) == 0


async def test_the_shops_deliveries_of_one_second_are_told_apart_and_its_replays_are_not(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector]
) -> None:
    same = {"X-WC-Webhook-Delivery-ID": "one-id-for-both"}
    for body in (woo(), woo(id=728), woo(status="processing"), woo()):
        assert await post(http, ours, "woocommerce", dumps(body), "order.updated", **same) == 200
    assert await rows(book) == 3


async def test_metas_challenge_is_given_back_to_who_knows_the_token(
    http: aiohttp.ClientSession, ours: dict[str, Connector]
) -> None:
    address = f"/hooks/meta/{ours['meta'].key}"
    good = {"hub.mode": "subscribe", "hub.verify_token": "open sesame", "hub.challenge": "1158201444"}
    async with http.get(address, params=good) as answer:
        assert (answer.status, await answer.text(), answer.content_type) == (200, "1158201444", "text/plain")
    for change in ({"hub.verify_token": "guess"}, {"hub.mode": "unsubscribe"}, {"hub.verify_token": ""},
                   {"hub.challenge": "x" * 300}, {"hub.challenge": "a\nb"}):
        async with http.get(address, params={**good, **change}) as answer:
            assert answer.status == 403
    async with http.get(f"/hooks/meta/{ours['shopify'].key}", params=good) as answer:
        assert answer.status == 404


async def test_a_key_opens_only_its_own_partys_door_and_only_while_it_is_open(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector]
) -> None:
    body, topic = GOOD["shopify"]
    sent = dict(signed("shopify", body, topic).headers)
    for place in (f"woocommerce/{ours['shopify'].key}", "shopify/" + "a" * 22, "shopify/short", "nobody/" + "a" * 22):
        async with http.post(f"/hooks/{place}", data=body, headers=sent) as answer:
            assert answer.status == 404
    async with book.writing() as w:
        door = await w.session.get(Connector, ours["shopify"].id)
        assert door is not None
        door.closed = True
    assert await post(http, ours, "shopify", body, topic) == 404
    assert await rows(book) == 0


async def test_the_secret_before_still_opens_while_it_is_changed(book: Book, http: aiohttp.ClientSession) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        door = await connector(w, queue, "meta", secrets={"secret": "the new one", "previous": "hush"})
    body = dumps(meta(555))
    for secret, status in (("the new one", 200), ("hush", 200), ("an old one", 403)):
        sent = {"X-Hub-Signature-256": f"sha256={mac(body, secret).hex()}"}
        async with http.post(f"/hooks/meta/{door.key}", data=body, headers=sent) as answer:
            assert answer.status == status


async def test_too_much_or_compressed_is_refused_before_it_is_read(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector]
) -> None:
    assert await post(http, ours, "shopify", b" " * (256 * 1024 + 1), "orders/create") == 413
    bomb = gzip.compress(b"0" * 50_000_000)
    assert await post(http, ours, "shopify", bomb, "orders/create", **{"Content-Encoding": "gzip"}) == 415
    assert await rows(book) == 0


async def test_signed_nonsense_is_stored_and_answered_and_becomes_nothing(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector], caplog: pytest.LogCaptureFixture
) -> None:
    house = Listening(book)
    bodies: list[bytes] = [b"", b"null", b"[]", b"\xff", json.dumps("x").encode(), b"[" * 90_000, b'{"entry": 7}',
                           b'{"entry":[{"changes":[{"field":"leadgen","value":{"leadgen_id":"../../me"}}]}]}']
    with caplog.at_level(logging.CRITICAL):
        for party in ("meta", "shopify", "woocommerce", "email"):
            for body in bodies:
                topic = "order.created" if party == "woocommerce" else "orders/paid"
                assert await post(http, ours, party, body, topic) == 200
        await house.inbox.sweep()
    assert await house.count(Lead) == 0


async def test_a_day_of_every_door_end_to_end(
    book: Book, http: aiohttp.ClientSession, ours: dict[str, Connector], clock: Any
) -> None:
    house = Listening(book)
    for party, (body, topic) in GOOD.items():
        assert await post(http, ours, party, body, topic) == 200
    await house.inbox.sweep()
    clock.forward(46 * 60)
    await house.alarms.sweep()
    assert [lead.source["party"] for lead in await house.leads()] == ["google_ads", "email", "shopify", "woocommerce"]
    assert await house.count(InboxRow, InboxRow.fetching.is_(True)) == 1
