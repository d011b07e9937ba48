"""The quote as an agent types it: lines with a label, a quantity, a price, a tax and how often it is paid."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from router.model.errors import Invalid
from router.model.money import MOST_LINES, Line, Period


def read_lines(form: Mapping[str, str]) -> list[Line]:
    """The lines that have a label, in their order. Fields are named as the line's, with its place: `label.0`.

    Raises Invalid with a pointer such as /lines/0/unit_minor.
    """
    lines = [_line(form, place) for place in range(MOST_LINES) if form.get(f"label.{place}", "").strip()]
    if not lines:
        raise Invalid("Write at least one line.", pointer="/lines/0/label")
    return lines


def _line(form: Mapping[str, str], place: int) -> Line:
    def field(name: str) -> str:
        return form.get(f"{name}.{place}", "").strip()

    quantity = field("quantity") or "1"
    if not (quantity.isascii() and quantity.isdecimal() and len(quantity) <= 9):
        raise Invalid("A quantity is a whole number.", pointer=f"/lines/{place}/quantity")
    if field("period") not in list(Period):
        raise Invalid("A price is paid once or each month.", pointer=f"/lines/{place}/period")
    return Line(
        label=field("label"),
        quantity=int(quantity),
        unit_minor=_hundredths(field("unit_minor"), f"/lines/{place}/unit_minor"),
        tax_bp=_hundredths(field("tax_bp"), f"/lines/{place}/tax_bp"),
        period=Period(field("period")),
    )


def _hundredths(written: str, pointer: str) -> int:
    """A decimal as people write it, with comma or point, in hundredths."""
    wrong = Invalid("Write a number such as 49,90.", pointer=pointer)
    if len(written) > 14:
        raise wrong
    try:
        value = Decimal(written.replace(",", ".")) * 100
    except InvalidOperation:
        raise wrong from None
    if not value.is_finite() or value != value.to_integral_value():
        raise wrong
    return int(value)
