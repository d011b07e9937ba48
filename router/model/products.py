"""Products: what a campaign sells, what a line is below its price, and what might be sold besides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from router.model.money import Line, Period


@dataclass(frozen=True)
class Product:
    """`key` is "" for one that no rule speaks of. `unit_minor` is the price of one without tax, in minor units. Who
    takes it may want the products `suggests` besides, or one of `instead` in its place."""

    label: str
    unit_minor: int
    tax_bp: int
    period: Period
    key: str = ""
    suggests: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


class Way(StrEnum):
    """How a product is suggested: besides the other, or in its place."""

    besides = "besides"
    instead = "instead"


@dataclass(frozen=True)
class Suggestion:
    """`product` is suggested because `of` stands in the quote."""

    way: Way
    of: Product
    product: Product


def catalogue(raw: Sequence[Mapping[str, Any]]) -> list[Product]:
    """The campaign's products as they are stored."""
    return [
        Product(
            label=str(one.get("label", "")), unit_minor=int(one.get("unit_minor", 0)),
            tax_bp=int(one.get("tax_bp", 0)), period=Period(one.get("period", "once")), key=str(one.get("key", "")),
            suggests=tuple(one.get("suggests", ())), instead=tuple(one.get("instead", ())),
        )
        for one in raw
    ]


def product_of(line: Line, products: Sequence[Product]) -> Product | None:
    """The product a line sells: by its key, or by its very label, if it is paid as often."""
    label = line.label.casefold()
    return next((one for one in products if one.period is line.period and (
        (one.key and one.key == line.product) or one.label.casefold() == label)), None)


def priced(lines: Sequence[Line], products: Sequence[Product]) -> list[Line]:
    """The lines with what the catalogue says of them, whatever was said before: their product, its price and its
    tax."""
    made = []
    for line in lines:
        found = product_of(line, products)
        made.append(replace(
            line, product=found.key if found else "", list_minor=found.unit_minor if found else None,
            list_tax_bp=found.tax_bp if found else None,
        ))  # fmt: skip
    return made


def discount(lines: Sequence[Line]) -> int:
    """How far the lines are below the catalogue, in basis points rounded up, of what is paid once or of what is paid
    each month, whichever is more. Prices are compared with their taxes: who is asked for less tax than the product has
    pays less, and the company owes the rest. A line of its own is worth what it costs; one below zero is all discount.
    A price above the catalogue's makes up for nothing, and a tax above it neither."""
    return max(_below([line for line in lines if line.period is period]) for period in Period)


def _below(lines: Sequence[Line]) -> int:
    full = sum(line.quantity * max(_full(line), 0) for line in lines)
    off = sum(line.quantity * max(_full(line) - _asked(line), 0) for line in lines)
    return min(-(-off * 10_000 // full), 10_000) if full else 0


def _full(line: Line) -> int:
    """The price of one with its tax, as the catalogue has both, in ten-thousandths of the minor unit."""
    if line.unit_minor < 0:
        return 0
    price = line.unit_minor if line.list_minor is None else line.list_minor
    return price * (10_000 + (line.tax_bp if line.list_tax_bp is None else line.list_tax_bp))


def _asked(line: Line) -> int:
    """The same as the line has them."""
    own = line.tax_bp if line.list_tax_bp is None else line.list_tax_bp
    return line.unit_minor * (10_000 + min(line.tax_bp, own))


def off_catalogue(lines: Sequence[Line]) -> bool:
    """Whether something is sold that the catalogue does not have."""
    return any(line.list_minor is None and line.unit_minor >= 0 for line in lines)


def suggestions(lines: Sequence[Line], products: Sequence[Product]) -> list[Suggestion]:
    """What the rules suggest to who takes these lines: nothing that is among them, and each product once."""
    found: dict[str, Suggestion] = {}
    for one in _suggested(lines, products):
        found.setdefault(one.product.key, one)
    return list(found.values())


def _suggested(lines: Sequence[Line], products: Sequence[Product]) -> Iterator[Suggestion]:
    by_key = {one.key: one for one in products if one.key}
    taken = [found for line in lines if (found := product_of(line, products)) is not None]
    keys = {one.key for one in taken}
    for one in taken:
        for way, named in ((Way.instead, one.instead), (Way.besides, one.suggests)):
            yield from (Suggestion(way, one, by_key[key]) for key in named if key in by_key and key not in keys)
