"""`/sales/{quote}`, for supervisors: whose sale a signed quote is, what became of its copy and of a withdrawal, and the
company's countersignature."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from router.actions import countersigning, crediting
from router.model.agents import Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.countersignatures import LONGEST_NOTE, REFUSALS
from router.model.credits import MOST_SHARES, SplitReason
from router.model.errors import Invalid, NotFound
from router.model.quotes import Quote
from router.model.signings import EXPRESS, Signing, asked_for
from router.store import contract_withdrawals, countersignatures, credits, evidence, signings
from router.web.doors import doors
from router.web.gate import page, require
from router.web.parsing import chosen_row, row_id, row_number

routes = web.RouteTableDef()
MISSING = NotFound("There is no such sale.")


@routes.get(r"/sales/{id:\d{1,19}}")
async def sale_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    async with doors(request).book.reading() as r:
        quote = await r.session.get(Quote, row_id(request, MISSING))
        signing = None if quote is None else await signings.live_of_quote(r.session, quote.id)
        if quote is None or signing is None or signing.signed_at is None:
            raise MISSING
        campaign = vouched(await r.session.get(Campaign, quote.campaign_id))
        values: dict[str, Any] = {
            "quote": quote, "signing": signing, "zone": campaign.timezone,
            "shares": await credits.of_quote(r.session, quote.id), "agents": await credits.agents(r.session),
            "withdrawal": await contract_withdrawals.of_signing(r.session, signing.id),
            "proven": await evidence.proves_copy(r.session, signing.id),
            "counter": await countersignatures.of_signing(r.session, signing.id),
            "company": campaign.company_name, "begins": _begins(quote, signing),
        }
    return page(
        request, "sales/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf,
        reasons=list(SplitReason), places=range(MOST_SHARES), may_split=quote.state in crediting.SOLD,
        refusals=REFUSALS, longest_note=LONGEST_NOTE, is_own=quote.agent_id == signed.agent.id, **values,
    )


@routes.post(r"/sales/{id:\d{1,19}}/countersign")
async def countersign(request: web.Request) -> web.Response:
    signed = await require(request, Role.supervisor)
    number = row_id(request, MISSING)
    async with doors(request).book.writing() as w:
        await countersigning.approve(w, number, signed.agent.id)
    raise web.HTTPSeeOther(f"/sales/{number}")


@routes.post(r"/sales/{id:\d{1,19}}/countersign/refuse")
async def refuse_to_countersign(request: web.Request) -> web.Response:
    """Fields `reason` and `note`."""
    signed = await require(request, Role.supervisor)
    number, form = row_id(request, MISSING), signed.form
    async with doors(request).book.writing() as w:
        await countersigning.refuse(w, number, signed.agent.id, form.get("reason", ""), form.get("note", ""))
    raise web.HTTPSeeOther(f"/sales/{number}")


def _begins(quote: Quote, signing: Signing) -> str:
    """When the service may begin: "early" at his express request, "later" without it; "" where neither was asked."""
    if not any(one.id == EXPRESS for one in asked_for(quote.canonical or [])):
        return ""
    return "early" if signing.begins_early else "later"


@routes.post(r"/sales/{id:\d{1,19}}")
async def split(request: web.Request) -> web.Response:
    """Fields `agent-0`, `percent-0`, `agent-1` …; an empty agent is no share."""
    signed = await require(request, Role.supervisor)
    number, shares = row_id(request, MISSING), _shares(signed.form)
    async with doors(request).book.writing() as w:
        await crediting.split(
            w, number, shares, signed.form.get("reason", ""), supervisor_id=signed.agent.id
        )
    raise web.HTTPSeeOther(f"/sales/{number}")


def _shares(form: Mapping[str, str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for place in range(MOST_SHARES):
        agent, percent = form.get(f"agent-{place}", ""), form.get(f"percent-{place}", "").strip()
        if not agent:
            continue
        number = chosen_row(agent, "/shares")
        if number in found:
            raise Invalid("Name each agent once.", pointer="/shares")
        found[number] = row_number(percent)  # what is no number is no share, which is refused
    return found
