"""Any order of any of the words about one cart, told once or more, ends in the same cart."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from router.actions import rescuing
from router.book import Book, Writing
from router.model.carts import Cart, CartState
from router.model.connectors import Connector
from router.model.tasks import TaskState
from router.ports import CartMoved
from router.store import carts
from tests import making
from tests.parties import PARTIES, checkout, connector, dumps, shopify_order, signed

WORDS = [
    ("checkouts/create", checkout()),
    ("checkouts/update", checkout(updated_at="2026-11-23T12:10:00Z", total_price="10.00")),
    ("checkouts/update", checkout(updated_at="2026-11-23T12:10:00Z", total_price="11.00")),
    ("checkouts/update", checkout(updated_at="2026-11-23T23:00:00Z", total_price="12.00")),
    ("checkouts/update", checkout(completed_at="2026-11-23T12:20:00Z")),
    ("orders/create", shopify_order(cart_token=None, checkout_id=None)),
    ("orders/create", shopify_order(checkout_token=None, checkout_id=None)),
    ("checkouts/delete", {"id": 981820079255243537}),
]
DUE = len(WORDS)


async def _told(w: Writing, door: Connector, order: Sequence[int]) -> None:
    for number in order:
        if number == DUE:
            for cart in await carts.of_names(w.session, door.id, ["tok123"]):
                await rescuing.due(w, cart.id)
            continue
        topic, body = WORDS[number]
        for event in PARTIES["shopify"].understand(signed("shopify", dumps(body), topic)):
            assert isinstance(event, CartMoved)
            await rescuing.moved(w, door, event)


async def _ends(book: Book, door: Connector, order: Sequence[int]) -> dict[str, Any]:
    """What is left when these were told in this order; nothing of it stays."""

    class Undo(Exception):
        pass

    found: dict[str, Any] = {}
    try:
        async with book.writing() as w:
            await _told(w, door, order)
            known = await carts.of_names(w.session, door.id, ["tok123"])
            rows = await w.session.rows(text("select state, count(*) from tasks group by state"))
            due = await w.session.rows(text("select kind from alarms where state = 'pending'"))
            found = {
                # An order told first, without the checkout that joins its names, may have left a row for each of them.
                "names": sorted({name for cart in known for name in cart.names}),
                "carts": list({(cart.state, cart.digest): _shown(cart) for cart in known}.values()),
                "tasks": {row[0]: row[1] for row in rows},
                "due": len([one for one in due if one[0] == "cart.due"]),
            }
            raise Undo
    except Undo:
        return found


def _shown(cart: Cart) -> dict[str, Any]:
    return {"state": cart.state, "contents": cart.contents, "total": cart.total_minor, "lines": cart.lines,
            "url": cart.url, "digest": cart.digest}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_order_of_any_words_ends_in_the_same_cart(book: Book, data: st.DataObject) -> None:
    door = await _door(book)
    words = data.draw(st.lists(st.sampled_from(range(len(WORDS))), max_size=8))
    once = sorted(set(words))
    expected, found = await _ends(book, door, once), await _ends(book, door, data.draw(st.permutations(words)))
    assert found == expected
    if set(once) & {4, 5, 6}:
        assert not found["due"]
        assert all(cart["state"] is CartState.ordered and cart["contents"] == {} for cart in found["carts"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.sampled_from(range(DUE + 1)), min_size=1, max_size=10))
async def test_whenever_the_timer_fires_an_ordered_cart_leaves_no_call_and_none_is_called_twice(
    book: Book, order: list[int]
) -> None:
    found = await _ends(book, await _door(book), order)
    assert sum(found["tasks"].values()) <= 1
    if set(order) & {4, 5, 6, 7}:
        assert set(found["tasks"]) <= {TaskState.withdrawn}


async def _door(book: Book) -> Connector:
    async with book.writing() as w:
        known = await w.session.get(Connector, 1)
        if known is not None:
            return known
        return await connector(w, await making.queue(w, await making.campaign(w)), "shopify")


async def test_the_words_above_really_make_a_call_when_nothing_is_ordered(book: Book) -> None:
    found = await _ends(book, await _door(book), [0, 1, DUE])
    assert found["tasks"] == {TaskState.queued: 1}
