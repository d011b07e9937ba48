"""Choosing signers: a file says who takes a campaign's signatures. Secrets are sealed, and no difference shows one."""

import ipaddress
from typing import Any

import msgspec

from router.actions.connecting import Line, change
from router.book import Writing
from router.model.campaigns import Campaign
from router.model.configuration import SigningPlan, WrongFile, columns
from router.model.signing_accounts import SECRETS, ProviderName, SigningAccount
from router.store import signing_accounts

EMBEDDED = "embedded"
USUAL = {
    ProviderName.docuseal: "https://api.docuseal.com", ProviderName.docusign: "https://www.docusign.net",
    ProviderName.signaturit: "https://api.signaturit.com",
}
_SECRETS = {"token": "token", "secret": "secret", "previous_secret": "previous"}
_DOCUSIGN = ("account", "user", "client", "login")
_COLUMNS = ("provider", "url", "deliver", "networks")


def check(plan: SigningPlan, thing: str) -> None:
    """Raises WrongFile for what would never work."""
    given = columns(plan)
    if plan.provider == EMBEDDED:
        if named := [name for name, value in given.items() if value and name not in ("provider", "deliver")]:
            raise WrongFile(f"{thing}: the house itself needs no {', '.join(named)}")
        return
    if plan.token is None or (plan.secret is None and plan.provider != ProviderName.signaturit):
        raise WrongFile(f"{thing}: {plan.provider} needs a token, and a secret for what it tells us")
    if plan.provider == ProviderName.docusign and not all(given[name] for name in _DOCUSIGN):
        raise WrongFile(f"{thing}: docusign needs {', '.join(_DOCUSIGN)}")
    if plan.deliver == "house" and plan.provider != ProviderName.docuseal:
        raise WrongFile(f"{thing}: {plan.provider} does not give us the signer's link; it has to deliver it itself")
    for network in plan.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise WrongFile(f"{thing}: networks: {network} is no network such as 203.0.113.0/24") from error


async def apply(w: Writing, campaign: Campaign, plan: SigningPlan, campaign_key: str) -> list[Line]:
    """Makes the campaign's offers go where the plan says; what changed. Raises WrongFile."""
    thing = f"signing {campaign_key}/{plan.provider}"
    check(plan, thing)
    before = await signing_accounts.chosen(w.session, campaign.id)
    lines: list[Line] = []
    if before is not None and before.provider != plan.provider:
        before.chosen = False
        await w.session.flush()
        lines.append((f"signing {campaign_key}", "provider", before.provider.value, plan.provider))
    if plan.provider == EMBEDDED:
        return lines
    if before is None:
        lines.append((f"signing {campaign_key}", "provider", EMBEDDED, plan.provider))
    return lines + await _put(w, campaign, plan, campaign_key, thing)


async def _put(w: Writing, campaign: Campaign, plan: SigningPlan, campaign_key: str, thing: str) -> list[Line]:
    provider, given = ProviderName(plan.provider), columns(plan)
    values: dict[str, Any] = {
        "url": plan.url or USUAL[provider], "house_sends": plan.deliver == "house", "networks": plan.networks,
        "settings": {name: value for name, value in columns(plan, *_COLUMNS, *_SECRETS).items() if value},
    }
    secrets = {name: given[field] for field, name in _SECRETS.items() if given[field] is not None}
    known = await signing_accounts.of_provider(w.session, campaign.id, provider)
    if known is None:
        key = w.vault.token("signing", campaign_key, plan.provider)
        sealed = w.vault.seal(SECRETS, msgspec.json.encode(secrets))
        w.session.add(SigningAccount(campaign_id=campaign.id, provider=provider, key=key, sealed=sealed, **values))
        await w.session.flush()
        return [(f"{thing}, which tells us at {w.public_url}/hooks/{plan.provider}/{key}", "", None, None)]
    lines = await change(w, known, values, (SECRETS, secrets), thing)
    known.chosen = True
    await w.session.flush()
    return lines
