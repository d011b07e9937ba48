"""What the customer's pages say of an offer and its signing, gathered from the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.actions.inviting import amount
from router.model.campaigns import Campaign
from router.model.errors import Invalid
from router.model.offers import WITHDRAWAL_DAYS
from router.model.phone import international, masked
from router.model.quotes import Quote, QuoteState
from router.model.signings import SIGNED, DeclineReason, Signing, SigningState, asked_for
from router.wording import Wording, clock, moment

REASONS = {
    DeclineReason.price: "It costs too much",
    DeclineReason.later: "Not now, perhaps later",
    DeclineReason.elsewhere: "I found something else",
    DeclineReason.not_asked_for: "I did not ask for it",
    DeclineReason.other: "Another reason",
}


@dataclass(frozen=True)
class Opened:
    """An offer open in somebody's browser. `held`: a supervisor looks at it before it can be signed."""

    signing: Signing
    quote: Quote
    campaign: Campaign
    held: bool = False


def company_of(campaign: Campaign | None) -> dict[str, str]:
    """Who the company is and where a person answers; empty when no brand can be told from the address."""
    if campaign is None:
        return {"name": "", "address": "", "phone": "", "phone_shown": ""}
    found = {key: str(campaign.company.get(key, "")) for key in ("name", "address", "phone")}
    return {**found, "name": found["name"] or campaign.name, "phone_shown": international(found["phone"])}


def canonical_of(quote: Quote) -> dict[str, Any]:
    """The canonical lines by where they stand on the page, in their order."""
    lines = quote.canonical or []
    return {
        "title": lines[0] if lines else {"label": "", "value": ""},
        "validity": next((line for line in reversed(lines) if line["kind"] == "customer"), {"label": "", "value": ""}),
        "company": [line for line in lines if line["kind"] == "company"],
        "customer": [line for line in lines if line["kind"] == "customer"],
        "answers": [line for line in lines if line["kind"] == "field"],
        "lines": [line for line in lines if line["kind"] == "line"],
        "sums": [line for line in lines if line["kind"] in ("tax", "total")],
        "terms": [line for line in lines if line["kind"] == "term"],
        "form": [line for line in lines if line["kind"] == "form"],
        "also": [line for line in lines if line["kind"] == "also"],
    }


def template_of(signing: Signing) -> str:
    """The page for the state the signing is in."""
    if signing.state in SIGNED:
        return "sign/done.html"
    return {
        SigningState.opened: "sign/offer.html",
        SigningState.code_sent: "sign/code.html",
        SigningState.verified: "sign/name.html",
    }.get(signing.state, "sign/ended.html")


def page(
    wording: Wording, opened: Opened, now: datetime, csrf: str, *, template: str = "",
    form: Mapping[str, str] | None = None, errors: Mapping[str, Invalid] | None = None, note: str = "",
) -> str:
    """The customer's page of this moment. `errors` are by pointer, `form` is what he typed before them; `note` says
    what became of asking for a code."""
    signing, quote, locale = opened.signing, opened.quote, opened.quote.locale
    step = 1 if signing.state is SigningState.opened else 0
    return wording.page(
        template or template_of(signing), locale, step=step, csrf=csrf, company=company_of(opened.campaign),
        quote=canonical_of(quote), number=quote.number, amount=amount(quote), phone=masked(signing.phone),
        errors={at: wording.say(error.sentence, locale, **error.values) for at, error in (errors or {}).items()},
        typed=(form or {}).get("name", ""), consents=_consents(wording, opened, form or {}), note=note,
        held=opened.held,
        reasons=[(reason.value, wording.say(text, locale)) for reason, text in REASONS.items()],
        why="superseded" if quote.state is QuoteState.superseded else signing.state.value,
        sealed=signing.sealed_sha256 is not None, name=signing.name_typed,
        fingerprint=_grouped((quote.canonical_sha256 or b"").hex()), **_times(opened, now),
    )  # fmt: skip


def _times(opened: Opened, now: datetime) -> dict[str, Any]:
    signing, zone, locale = opened.signing, opened.campaign.timezone, opened.quote.locale
    again = signing.next_code_at()
    dies = signing.code_expires_at
    return {
        "alive": signing.code_hmac is not None and signing.code_alive(now),
        "expired": signing.state is SigningState.verified and (dies is None or now >= dies),
        "tried": signing.code_tries > 0, "left": signing.tries_left(),
        "alive_until": clock(dies, zone, locale) if dies else "",
        "next_code_at": clock(again, zone, locale) if again else None, "wait": again is not None and again > now,
        "signed_at": moment(signing.signed_at, zone, locale) if signing.signed_at else "",
    }  # fmt: skip


def _consents(wording: Wording, opened: Opened, form: Mapping[str, str]) -> list[dict[str, Any]]:
    values, locale = {"company": company_of(opened.campaign)["name"], "days": WITHDRAWAL_DAYS}, opened.quote.locale
    return [
        {"id": one.id, "required": one.required, "ticked": f"consent_{one.id}" in form,
         "text": wording.say(one.text, locale) % values,
         "without": wording.say(one.without, locale) if one.without else ""}
        for one in asked_for(opened.quote.canonical or [])
    ]  # fmt: skip


def _grouped(digest: str) -> str:
    """The first 16 hexadecimal digits in groups of four, to be compared by eye."""
    return " ".join(digest[at : at + 4] for at in range(0, 16, 4))
