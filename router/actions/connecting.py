"""Connecting: a file's connectors become rows. Their secrets are sealed, and no difference ever shows one."""

from typing import Any

import msgspec

from router.book import Writing
from router.model.campaigns import Campaign
from router.model.configuration import ConnectorPlan, WrongFile, columns
from router.model.connectors import SECRETS, Connector, PartyName
from router.model.signing_accounts import SigningAccount
from router.model.trust_accounts import TrustAccount
from router.store import configuration, connectors

_SECRETS = {"secret": "secret", "previous_secret": "previous", "verify_token": "verify_token", "token": "token"}
_COLUMNS = ("name", "party", "queue", "site", "closed")
HIDDEN = "•••"

Line = tuple[str, str, Any, Any]
"""A thing, its field, the old value and the new one; see `configuring.Change`."""


def check(plan: ConnectorPlan, thing: str) -> None:
    """Raises WrongFile for what would never work."""
    if (plan.queue is None) == (plan.site is None):
        raise WrongFile(f"{thing}: name either a queue or a site")
    if plan.party == PartyName.meta and not (plan.verify_token and plan.token):
        raise WrongFile(f"{thing}: Meta needs a verify_token and a token")
    if plan.party in (PartyName.google_ads, PartyName.meta) and not plan.consent_text:
        raise WrongFile(f"{thing}: consent_text should be what the form tells people before they send it")
    if plan.party == PartyName.woocommerce and set(plan.secret + (plan.previous_secret or "")) & set("&<>\"'"):
        raise WrongFile(f"{thing}: WooCommerce rewrites secrets with & < > and quotes before it signs; use others")


async def apply(w: Writing, campaign: Campaign, plan: ConnectorPlan, campaign_key: str) -> list[Line]:
    """Makes one connector say what the plan says; what changed. Raises WrongFile."""
    thing = f"connector {campaign_key}/{plan.name}"
    check(plan, thing)
    values: dict[str, Any] = {
        **await _place(w, campaign, plan, thing), "party": PartyName(plan.party), "closed": plan.closed,
        "settings": columns(plan, *_COLUMNS, *_SECRETS),
    }
    given = columns(plan)
    secrets = {name: given[field] for field, name in _SECRETS.items() if given[field] is not None}
    known = await connectors.by_name(w.session, campaign.id, plan.name)
    if known is None:
        key = w.vault.token("connector", campaign_key, plan.name)
        sealed = w.vault.seal(SECRETS, msgspec.json.encode(secrets))
        w.session.add(Connector(campaign_id=campaign.id, name=plan.name, key=key, sealed=sealed, **values))
        await w.session.flush()
        return [(f"{thing} at {w.public_url}/hooks/{plan.party}/{key}", "", None, None)]
    if known.party != plan.party:
        raise WrongFile(f"{thing} is one of {known.party.value}; give a connector of another party another name")
    return await change(w, known, values, (SECRETS, secrets), thing)


async def change(
    w: Writing, known: Connector | SigningAccount | TrustAccount, values: dict[str, Any],
    secrets: tuple[str, dict[str, Any]], thing: str,
) -> list[Line]:
    """Makes the account at another party what the file says of it, and tells what that changed. `secrets` are the
    word they are sealed under, and they themselves."""
    under, said = secrets
    lines: list[Line] = []
    for name, value in values.items():
        if (old := getattr(known, name)) != value:
            setattr(known, name, value)
            lines.append((thing, name, old, value))
    # What is sealed looks different each time, so the words are compared, not their seals.
    if msgspec.json.decode(w.vault.open(under, known.sealed)) != said:
        known.sealed = w.vault.seal(under, msgspec.json.encode(said))
        lines.append((thing, "secrets", HIDDEN, f"{HIDDEN} (changed)"))
    await w.session.flush()
    return lines


async def _place(w: Writing, campaign: Campaign, plan: ConnectorPlan, thing: str) -> dict[str, int | None]:
    if plan.site is not None:
        site = await configuration.site(w.session, plan.site)
        if site is None or site.campaign_id != campaign.id:
            raise WrongFile(f"{thing}: the campaign has no site {plan.site}")
        return {"queue_id": site.queue_id, "site_id": site.id}
    queue = await configuration.queue(w.session, campaign.id, plan.queue or "")
    if queue is None:
        raise WrongFile(f"{thing}: the campaign has no queue {plan.queue}")
    return {"queue_id": queue.id, "site_id": None}
