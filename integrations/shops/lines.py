"""The lines of a cart or an order, bounded."""

from collections.abc import Mapping
from typing import Any

from router.model import foreign
from router.ports import CartLine

MOST_LINES = 50
_WHOLE = ("line_price", "total")


def lines(body: Mapping[str, Any], currency: str) -> list[CartLine]:
    """The first MOST_LINES of them. Where no price of the whole line is told, that of one piece is multiplied."""
    return [_line(one, currency) for one in foreign.parts(body, "line_items", MOST_LINES)]


def _line(one: Mapping[str, Any], currency: str) -> CartLine:
    quantity = foreign.count(one.get("quantity"))
    whole = next((foreign.raw(one[field]) for field in _WHOLE if foreign.raw(one.get(field))), None)
    minor = foreign.minor(one.get("price"), currency) * quantity if whole is None else foreign.minor(whole, currency)
    label = foreign.words(one.get("title")) or foreign.words(one.get("name"))
    return CartLine(label, quantity, min(minor, foreign.MOST_MINOR))
