"""The quote as an agent types it: lines with a label, a quantity, a price, a tax and how often it is paid."""

import re
from collections.abc import Mapping

from router.model.errors import Invalid
from router.model.money import MOST_LINES, Line, Period

_DECIMAL = re.compile(r"(?P<minus>[-\u2212])?(?P<whole>[0-9]{1,10})(?:[.,](?P<rest>[0-9]{1,2}))?")


def read_lines(form: Mapping[str, str]) -> list[Line]:
    """The lines that have a label, in their order. Fields are named as the line's, with its place: `label.0`.

    Raises Invalid with a pointer such as /lines/0/unit_minor; the number counts the lines that have a label.
    """
    written = [place for place in range(MOST_LINES) if form.get(f"label.{place}", "").strip()]
    lines = [_line(form, place, number) for number, place in enumerate(written)]
    if not lines:
        raise Invalid("Write at least one line.", pointer="/lines/0/label")
    return lines


def _line(form: Mapping[str, str], place: int, number: int) -> Line:
    def field(name: str) -> str:
        return form.get(f"{name}.{place}", "").strip()

    quantity = field("quantity") or "1"
    if not (quantity.isascii() and quantity.isdecimal() and len(quantity) <= 9):
        raise Invalid("A quantity is a whole number.", pointer=f"/lines/{number}/quantity")
    if field("period") not in list(Period):
        raise Invalid("A price is paid once or each month.", pointer=f"/lines/{number}/period")
    return Line(
        label=field("label"),
        quantity=int(quantity),
        unit_minor=_hundredths(field("unit_minor"), f"/lines/{number}/unit_minor"),
        tax_bp=_hundredths(field("tax_bp"), f"/lines/{number}/tax_bp"),
        period=Period(field("period")),
        product=field("product")[:64],
    )


def _hundredths(written: str, pointer: str) -> int:
    """A decimal as people write it, with comma or point and at most two decimals, in hundredths."""
    found = _DECIMAL.fullmatch(written)
    if found is None:
        raise Invalid("Write a number such as 49,90.", pointer=pointer)
    hundredths = int(found["whole"]) * 100 + int((found["rest"] or "").ljust(2, "0"))
    return -hundredths if found["minus"] else hundredths
