"""Terms: what a contract says besides its price. The campaign says what is usual, a quote what was agreed on."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from router.model.errors import Invalid

Words = Annotated[
    dict[Annotated[str, Meta(pattern="^(en|es|it|ru)$")], Annotated[str, Meta(min_length=1, max_length=2000)]],
    Meta(max_length=4),
]
MOST_MONTHS = 60
MOST_DAYS = 365
RETURN_COSTS = ("company", "customer", "nothing")
ReturnCost = Literal["company", "customer", "nothing"]


class Agreed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What may differ from quote to quote; None where nothing is said.

    `months` is the minimum duration (0: none), `starts_in_days` when the service begins, at most so many days after
    signing (0: that day). `express`: the customer asks that it begins before he can no longer withdraw. `return_cost`
    says who pays for sending goods back, "nothing" where there is nothing to send."""

    months: Annotated[int, Meta(ge=0, le=MOST_MONTHS)] | None = None
    starts_in_days: Annotated[int, Meta(ge=0, le=MOST_DAYS)] | None = None
    express: bool | None = None
    return_cost: ReturnCost | None = None


class Terms(Agreed, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a campaign's contracts say, each text by language: how one pays, what leaving early costs, what happens
    after the minimum duration, what is guaranteed, and where one complains."""

    payment: Words = {}
    leaving: Words = {}
    renewal: Words = {}
    guarantee: Words = {}
    complaints: Words = {}


NOT_SAID, NO_TERMS = Agreed(), Terms()
TEXTS = ("payment", "leaving", "renewal", "guarantee", "complaints")
"""The texts of `Terms`, in the order in which they are read."""


def read_terms(raw: Mapping[str, Any]) -> Terms:
    """A campaign's terms as they are stored."""
    return msgspec.convert(dict(raw), Terms)


def read_agreed(raw: Mapping[str, Any]) -> Agreed:
    """A quote's own terms as they are stored."""
    return msgspec.convert(dict(raw), Agreed)


def together(usual: Terms, agreed: Agreed) -> Terms:
    """The campaign's terms, with what was agreed on in their place."""
    said = {name: value for name in Agreed.__struct_fields__ if (value := getattr(agreed, name)) is not None}
    return msgspec.structs.replace(usual, **said)


def typed(form: Mapping[str, str]) -> Agreed:
    """The terms as an agent types them, in fields `months`, `starts_in_days`, `express`, `return_cost`; a field that is
    empty or not there says nothing. Raises Invalid with a pointer such as /terms/months."""
    cost = form.get("return_cost", "")
    if cost and cost not in RETURN_COSTS:
        raise Invalid("This is not one of the choices.", pointer="/terms/return_cost")
    return Agreed(
        months=_whole(form, "months", MOST_MONTHS), starts_in_days=_whole(form, "starts_in_days", MOST_DAYS),
        express=form.get("express") == "yes" if "months" in form or "express" in form else None,
        return_cost=msgspec.convert(cost, ReturnCost) if cost else None,
    )


def _whole(form: Mapping[str, str], name: str, most: int) -> int | None:
    written = form.get(name, "").strip()
    if not written:
        return None
    if not (written.isascii() and written.isdecimal() and len(written) < 6 and int(written) <= most):
        raise Invalid(
            "This should be a whole number from %(least)s to %(most)s.", pointer=f"/terms/{name}", least=0, most=most
        )
    return int(written)
