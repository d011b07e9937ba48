"""Choosing services: a file says who gives the time of a campaign's seals, and who keeps its evidence. Secrets are
sealed, and no difference shows one."""


import msgspec

from router.actions.connecting import Line, change
from router.book import Writing
from router.model.campaigns import Campaign
from router.model.configuration import CustodyPlan, TimePlan, WrongFile, columns
from router.model.trust_accounts import SECRETS, ServiceName, TrustAccount, are_certificates
from router.model.vault import Vault
from router.ports import CustodyAccount, TimeAccount
from router.store import trust_accounts

HOUSE = {ServiceName.time: "embedded", ServiceName.custody: "none"}
"""The providers' names for nobody outside."""
_SECRETS = {ServiceName.time: "password", ServiceName.custody: "token"}


def check(service: ServiceName, plan: TimePlan | CustodyPlan, thing: str) -> None:
    """Raises WrongFile for what would never work."""
    given = columns(plan)
    if plan.provider == HOUSE[service]:
        if named := [name for name, value in given.items() if value and name not in ("provider", "gives")]:
            raise WrongFile(f"{thing}: {plan.provider} needs no {', '.join(named)}")
        return
    if not plan.url:
        raise WrongFile(f"{thing}: {plan.provider} needs a url")
    if isinstance(plan, TimePlan):
        if not are_certificates(plan.roots):
            raise WrongFile(f"{thing}: roots should be the certificates (PEM) its timestamps lead to: what nobody can "
                            "verify is no time")
        if bool(plan.user) != bool(plan.password):
            raise WrongFile(f"{thing}: give a user and a password, or neither")
    elif not (plan.keeper and plan.token):
        raise WrongFile(f"{thing}: {plan.provider} needs a keeper, as receipts name him, and a token")


async def apply(
    w: Writing, campaign: Campaign, service: ServiceName, plan: TimePlan | CustodyPlan, campaign_key: str
) -> list[Line]:
    """Makes the campaign use what the plan says; what changed. Raises WrongFile."""
    thing = f"{service.value} {campaign_key}"
    check(service, plan, thing)
    before = await trust_accounts.chosen(w.session, campaign.id, service)
    lines: list[Line] = []
    if before is not None and before.url != plan.url:
        before.chosen = False
        await w.session.flush()
    old, new = (before.url if before else HOUSE[service]), plan.url or HOUSE[service]
    if old != new:
        lines.append((thing, "provider", old, new))
    return lines if plan.provider == HOUSE[service] else lines + await _put(w, campaign, service, plan, thing)


async def _put(
    w: Writing, campaign: Campaign, service: ServiceName, plan: TimePlan | CustodyPlan, thing: str
) -> list[Line]:
    secret, given = _SECRETS[service], columns(plan)
    settings = {name: value for name, value in columns(plan, "provider", "url", secret).items() if value}
    secrets = {secret: given[secret]} if given[secret] else {}
    named = f"{thing} at {plan.url}"
    known = await trust_accounts.at(w.session, campaign.id, service, plan.url)
    if known is None:
        w.session.add(TrustAccount(
            campaign_id=campaign.id, service=service, url=plan.url, settings=settings,
            sealed=w.vault.seal(SECRETS, msgspec.json.encode(secrets)),
        ))  # fmt: skip
        await w.session.flush()
        return [(named, "", None, None)]
    lines = await change(w, known, {"settings": settings}, (SECRETS, secrets), named)
    known.chosen = True
    await w.session.flush()
    return lines


def _secret(vault: Vault, account: TrustAccount) -> str:
    secrets = msgspec.json.decode(vault.open(SECRETS, account.sealed), type=dict[str, str])
    return secrets.get(_SECRETS[account.service], "")


def as_time(vault: Vault, account: TrustAccount) -> TimeAccount:
    """The account as a sealer takes it."""
    settings = account.settings
    return TimeAccount(
        account.url, str(settings["roots"]).encode(), str(settings.get("user", "")), _secret(vault, account)
    )


def as_custody(vault: Vault, account: TrustAccount) -> CustodyAccount:
    """The account as a keeper's adapter takes it."""
    return CustodyAccount(account.url, str(account.settings["keeper"]), _secret(vault, account))


def opened(vault: Vault, account: TrustAccount) -> TimeAccount | CustodyAccount:
    """The account with its secrets, as an adapter takes it."""
    return as_time(vault, account) if account.service is ServiceName.time else as_custody(vault, account)


async def time_of(w: Writing, campaign_id: int) -> TimeAccount | None:
    """Who alone gives the time of this campaign's seals; None when it is for the house to say."""
    account = await trust_accounts.chosen(w.session, campaign_id, ServiceName.time)
    return None if account is None else as_time(w.vault, account)
