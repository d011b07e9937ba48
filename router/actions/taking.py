"""What every foreign lead has in common, whichever door it came by."""

from collections.abc import Mapping, Sequence
from typing import Any

from router.actions import intake
from router.book import Writing
from router.model.campaigns import Campaign
from router.model.carts import NO_PHONE
from router.model.connectors import Connector
from router.model.errors import Invalid
from router.model.intake import Taken, Wanted
from router.model.phone import e164
from router.model.protection import kind_of, refused_number
from router.ports import Phone
from router.store.connectors import Opening


def number(campaign: Campaign, phones: Sequence[Phone]) -> str:
    """The first of them that exists, in E.164; "" when there is none."""
    for one in phones:
        try:
            return e164(one.written, one.country or campaign.country)
        except Invalid:
            continue
    return ""


def uncallable(campaign: Campaign, phone: str) -> str:
    """Why this number is not called: there is none, it costs too much, or it is of a country we do not call; or ""."""
    if not phone:
        return NO_PHONE
    return refused_number(kind_of(phone), frozenset(campaign.countries or [campaign.country])) or ""


def common(w: Writing, place: Opening, external_id: str) -> dict[str, Any]:
    """Where a lead goes, and by what it is known if it is told again."""
    connector, queue = place.connector, place.queue
    return {
        "line": queue.line,
        "site_id": connector.site_id, "method": connector.party.value, "scope": connector.scope, "key": external_id,
        "status_token": w.vault.token("status", connector.scope, external_id),
    }


def given(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims that say something."""
    return {name: value for name, value in claims.items() if value}


def source(connector: Connector, told: Mapping[str, str]) -> dict[str, Any]:
    return {**told, "party": connector.party.value, "connector": connector.name}


async def take_in(w: Writing, wanted: Wanted, reason: str = "") -> Taken:
    """Stores the lead. `reason`: why there is nothing to do about it. Raises Raced."""
    taken = (await intake.take_in(w, [wanted]))[0]
    if reason and not taken.replayed:
        w.fact("lead.not_called", campaign_id=wanted.campaign_id, lead_id=taken.lead_id, subject_id=taken.lead_id,
               reason=reason)
    return taken
