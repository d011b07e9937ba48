"""Money: integers of the currency's minor unit, with one rule of rounding.

Rule: net amounts are exact (quantity times unit price). Tax is taken once per rate and period on the sum of the nets of
that rate, and rounded half away from zero to the minor unit. Totals are sums of these; nothing else is rounded.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from router.model.errors import Invalid

MOST_LINES = 50
LONGEST_LABEL = 200
MOST_QUANTITY = 10_000
MOST_UNIT = 1_000_000_000
"""Minor units. Fifty lines of the highest price in the highest quantity still fit into the database's integers."""
MOST_TAX = 10_000
"""Basis points: 100 %."""


class Period(enum.StrEnum):
    """How often a line is paid."""

    once = "once"
    month = "month"


@dataclass(frozen=True)
class Line:
    """`unit_minor` is the price of one without tax, in minor units, negative for a discount; `tax_bp` in basis
    points. `product` is the key of what it sells, `list_minor` the price and `list_tax_bp` the tax that has in the
    catalogue, None for a line of the agent's own."""

    label: str
    quantity: int
    unit_minor: int
    tax_bp: int
    period: Period = Period.once
    product: str = ""
    list_minor: int | None = None
    list_tax_bp: int | None = None

    @property
    def net(self) -> int:
        return self.quantity * self.unit_minor


@dataclass(frozen=True)
class Tax:
    """The tax of one rate: `base` is the sum of the nets it is taken on. Minor units."""

    rate_bp: int
    base: int
    amount: int


@dataclass(frozen=True)
class Sum:
    """What is paid in one period, in minor units; `taxes` by rising rate."""

    net: int
    taxes: tuple[Tax, ...]

    @property
    def total(self) -> int:
        return self.net + sum(tax.amount for tax in self.taxes)


def rounded(numerator: int, denominator: int) -> int:
    """The quotient rounded half away from zero; the denominator is positive."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -size if numerator < 0 else size


def summed(lines: Iterable[Line], period: Period) -> Sum:
    """What the lines of this period come to."""
    bases: dict[int, int] = {}
    for line in lines:
        if line.period is period:
            bases[line.tax_bp] = bases.get(line.tax_bp, 0) + line.net
    taxes = tuple(Tax(rate, bases[rate], rounded(bases[rate] * rate, 10_000)) for rate in sorted(bases))
    return Sum(sum(bases.values()), taxes)


def check(lines: Sequence[Line]) -> None:
    """Raises Invalid with a pointer to the field when the lines are no quote. Labels are looked at elsewhere."""
    if not 1 <= len(lines) <= MOST_LINES:
        raise Invalid("A quote has 1 to %(most)s lines.", pointer="/lines", most=MOST_LINES)
    for place, line in enumerate(lines):
        _within(line.quantity, 1, MOST_QUANTITY, f"/lines/{place}/quantity")
        _within(line.unit_minor, -MOST_UNIT, MOST_UNIT, f"/lines/{place}/unit_minor")
        _within(line.tax_bp, 0, MOST_TAX, f"/lines/{place}/tax_bp")
    if any(summed(lines, period).total < 0 for period in Period):
        raise Invalid("The total may not be below zero.", pointer="/lines")


def _within(value: int, least: int, most: int, pointer: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(
            "This should be a whole number from %(least)s to %(most)s.", pointer=pointer, least=least, most=most
        )
