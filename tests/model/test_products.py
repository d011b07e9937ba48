"""What a line is below the catalogue, and what might be sold besides."""

import pytest

from router.model.money import Line, Period
from router.model.products import Product, Way, catalogue, discount, off_catalogue, priced, product_of, suggestions

FIBRE = Product("Fibra 600", 3000, 2100, Period.month, "fibra", ("wifi", "tv"), ("fibra-1g",))
FASTER = Product("Fibra 1 Gb", 4000, 2100, Period.month, "fibra-1g", ("wifi",))
WIFI = Product("Wifi Plus", 500, 2100, Period.month, "wifi")
TV = Product("TV", 900, 2100, Period.month, "tv", ("wifi",))
NAMELESS = Product("Alta", 9900, 2100, Period.once)
PRODUCTS = [FIBRE, FASTER, WIFI, TV, NAMELESS]


def line(label: str, unit: int, period: Period = Period.month, quantity: int = 1, product: str = "") -> Line:
    return Line(label, quantity, unit, 2100, period, product, 1)


def test_a_line_is_a_product_by_its_key_or_by_its_very_label_if_it_is_paid_as_often() -> None:
    assert product_of(line("Cualquiera", 1, product="fibra"), PRODUCTS) == FIBRE
    assert product_of(line("FIBRA 600", 1), PRODUCTS) == FIBRE
    assert product_of(line("Alta", 1, Period.once), PRODUCTS) == NAMELESS
    assert product_of(line("Fibra 600", 1, Period.once, product="fibra"), PRODUCTS) is None
    assert product_of(line("Otra cosa", 1), PRODUCTS) is None


def test_the_catalogue_decides_what_a_line_costs_there_whatever_was_said() -> None:
    made = priced([line("Fibra 600", 2500), line("Otra", 1, product="no")], PRODUCTS)
    assert [(one.product, one.list_minor, one.unit_minor) for one in made] == [("fibra", 3000, 2500), ("", None, 1)]


@pytest.mark.parametrize(
    ("lines", "below"),
    [
        ([line("Fibra 600", 3000)], 0),
        ([line("Fibra 600", 2700)], 1000),
        ([line("Fibra 600", 2699)], 1004),  # rounded up: a limit is never passed by rounding
        ([line("Fibra 600", 3300), line("TV", 810)], 231),  # a price above makes up for nothing
        ([line("Fibra 600", 3000), line("Descuento", -600)], 2000),
        ([line("Fibra 600", 3000), line("Alta", 0, Period.once)], 10_000),  # of what is paid once
        ([line("Otra", 100, Period.once), line("Descuento", -50, Period.once)], 5000),
        ([line("Otra", 0)], 0),
        ([line("Fibra 600", 1, quantity=10_000)], 9997),
    ],
)
def test_a_discount_is_counted_against_the_catalogue(lines: list[Line], below: int) -> None:
    assert discount(priced(lines, PRODUCTS)) == below


@pytest.mark.parametrize(
    ("unit", "tax", "below"),
    [
        (3000, 0, 1736),  # 3000 instead of 3630
        (3000, 1000, 910),
        (3630, 0, 0),  # the customer pays as much: nothing was given
        (2700, 0, 2562),  # both
        (3000, 2500, 0),
        (2700, 3500, 1000),  # more tax makes up for nothing
    ],
)
def test_less_tax_than_the_product_has_is_a_discount(unit: int, tax: int, below: int) -> None:
    assert discount(priced([Line("Fibra 600", 1, unit, tax, Period.month, "fibra")], PRODUCTS)) == below


def test_a_line_of_its_own_has_the_tax_it_says() -> None:
    assert discount(priced([Line("Otra", 1, 100, 0)], PRODUCTS)) == 0


def test_what_the_catalogue_does_not_have_is_known() -> None:
    assert not off_catalogue(priced([line("Fibra 600", 1), line("Descuento", -1)], PRODUCTS))
    assert off_catalogue(priced([line("Fibra 600", 1), line("Otra", 1)], PRODUCTS))


def test_rules_suggest_what_fits_once_and_nothing_that_is_taken() -> None:
    found = suggestions([line("Fibra 600", 1), line("TV", 1)], PRODUCTS)
    assert [(one.way, one.of.key, one.product.key) for one in found] == [
        (Way.instead, "fibra", "fibra-1g"), (Way.besides, "fibra", "wifi"),
    ]
    assert suggestions([line("Alta", 1, Period.once), line("Otra", 1)], PRODUCTS) == []


def test_an_old_catalogue_without_keys_is_read() -> None:
    assert catalogue([{"label": "Panel", "unit_minor": 18990, "tax_bp": 2100, "period": "once"}]) == [
        Product("Panel", 18990, 2100, Period.once)
    ]
