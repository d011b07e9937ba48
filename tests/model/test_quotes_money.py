"""Money in integers: exact nets, one rounding of each tax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.errors import Invalid
from router.model.money import MOST_LINES, MOST_QUANTITY, MOST_UNIT, Line, Period, check, rounded, summed

LINE = Line("x", 1, 100, 2100)
AMOUNTS = st.integers(-MOST_UNIT, MOST_UNIT)
SOME_LINES = st.lists(
    st.builds(Line, st.just("x"), st.integers(1, MOST_QUANTITY), AMOUNTS, st.sampled_from([0, 400, 1000, 2100]),
              st.sampled_from(Period)), min_size=1, max_size=MOST_LINES)  # fmt: skip


@pytest.mark.parametrize(("top", "bottom", "result"), [(5, 10, 1), (-5, 10, -1), (4, 10, 0), (15, 10, 2), (0, 3, 0)])
def test_halves_are_rounded_away_from_zero(top: int, bottom: int, result: int) -> None:
    assert rounded(top, bottom) == result


def test_tax_is_rounded_once_on_the_sum_of_its_rate_and_not_line_by_line() -> None:
    lines = [Line("a", 1, 10, 2100), Line("b", 1, 10, 2100), Line("c", 1, 10, 2100), Line("d", 1, 100, 1000)]
    found = summed(lines, Period.once)
    assert [(tax.rate_bp, tax.base, tax.amount) for tax in found.taxes] == [(1000, 100, 10), (2100, 30, 6)]
    assert (found.net, found.total) == (130, 146)


def test_what_is_paid_monthly_and_once_is_never_added_up() -> None:
    lines = [Line("a", 2, 500, 2100, Period.month), Line("b", 1, 900, 2100, Period.once)]
    assert (summed(lines, Period.month).total, summed(lines, Period.once).total) == (1210, 1089)


@given(SOME_LINES)
def test_totals_are_nets_and_taxes_whatever_the_order_and_fit_the_database(lines: list[Line]) -> None:
    for period in Period:
        found = summed(lines, period)
        assert found == summed(list(reversed(lines)), period)
        assert sum(tax.base for tax in found.taxes) == found.net
        assert all(abs(tax.amount * 10_000 - tax.base * tax.rate_bp) <= 5_000 for tax in found.taxes)
        assert abs(found.total) < 2**63


@pytest.mark.parametrize(
    ("lines", "pointer"),
    [
        ([], "/lines"),
        ([LINE] * 51, "/lines"),
        ([Line("x", 0, 1, 0)], "/lines/0/quantity"),
        ([LINE, Line("x", MOST_QUANTITY + 1, 1, 0)], "/lines/1/quantity"),
        ([Line("x", True, 1, 0)], "/lines/0/quantity"),
        ([Line("x", 1, MOST_UNIT + 1, 0)], "/lines/0/unit_minor"),
        ([Line("x", 1, 1.5, 0)], "/lines/0/unit_minor"),  # type: ignore[arg-type]
        ([Line("x", 1, 1, -1)], "/lines/0/tax_bp"),
        ([Line("x", 1, 1, 10_001)], "/lines/0/tax_bp"),
        ([Line("x", 1, -1, 0)], "/lines"),
    ],
)
def test_what_is_no_quote_is_refused_by_its_field(lines: list[Line], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(lines)
    assert refused.value.pointer == pointer
