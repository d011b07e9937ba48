"""Configuration as data: what `hablemos apply FILE.toml` may say."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.model.agents import Role

Key = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z0-9][a-z0-9_-]*$")]
Words = Annotated[str, Meta(min_length=1, max_length=200)]
E164 = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
Origin = Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Skill = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")]


class ProductPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A line an agent may pick: price without tax in minor units, tax in basis points, period "once" or "month"."""

    label: Words
    unit_minor: Annotated[int, Meta(ge=0, le=10**10)]
    tax_bp: Annotated[int, Meta(ge=0, le=10_000)] = 2100
    period: Annotated[str, Meta(pattern="^(once|month)$")] = "once"


class CompanyPlan(msgspec.Struct, forbid_unknown_fields=True):
    """Who the customer contracts with, as it stands on every page and document."""

    name: Words
    address: Words
    phone: E164
    email: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=200)]
    tax_id: Annotated[str, Meta(max_length=40)] = ""


class QueuePlan(msgspec.Struct, forbid_unknown_fields=True):
    """A line. Times in seconds."""

    key: Key
    name: Words
    skills: list[Skill] = []
    pool: Annotated[int, Meta(ge=1)] = 1
    ring_seconds: Seconds = 20
    connect_seconds: Seconds = 60
    wrap_seconds: Seconds = 60
    exclude_seconds: Seconds = 60
    target_seconds: Seconds = 20


class SitePlan(msgspec.Struct, forbid_unknown_fields=True):
    """A landing page; `queue` is the key of a queue of the same campaign."""

    key: Key
    name: Words
    queue: Key
    origins: Annotated[list[Origin], Meta(min_length=1)]
    phone: E164 | None = None


class CampaignPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A brand with its queues and landing pages. Times in seconds, money in minor units."""

    key: Key
    name: Words
    caller_id: E164
    sender: E164
    company: CompanyPlan
    queues: Annotated[list[QueuePlan], Meta(min_length=1)]
    sites: list[SitePlan] = []
    products: list[ProductPlan] = []
    locale: Annotated[str, Meta(pattern="^(en|es)$")] = "es"
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "ES"
    timezone: Words = "Europe/Madrid"
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    rule_pack: Key = "standard"
    consent_text: Annotated[str, Meta(max_length=2000)] = ""
    consent_version: Annotated[str, Meta(max_length=40)] = "1"
    stale_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] = 259_200
    quote_days: Annotated[int, Meta(ge=1, le=365)] = 14
    daily_spend_cap: Annotated[int, Meta(ge=0)] = 20_000


class AgentPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A user. `password` is needed the first time, or `password_hash` (Argon2id)."""

    login: Key
    name: Words
    role: Role = Role.agent
    address: Annotated[str, Meta(pattern=r"^(client:[A-Za-z0-9_]{1,60}|\+[1-9][0-9]{6,14})$")] = ""
    locale: Annotated[str, Meta(pattern="^(en|es)$")] = "es"
    skills: list[Skill] = []
    pool: Annotated[int, Meta(ge=1)] = 1
    password: Annotated[str, Meta(min_length=10, max_length=200)] | None = None
    password_hash: Annotated[str, Meta(pattern=r"^\$argon2id\$")] | None = None


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file."""

    campaigns: list[CampaignPlan] = []
    agents: list[AgentPlan] = []


class WrongFile(Exception):
    """The file cannot be applied. The message names the place and what it should be."""


def read(text: str) -> Plan:
    """A plan from TOML. Raises WrongFile with the line, or with the field."""
    try:
        return msgspec.toml.decode(text, type=Plan)
    except msgspec.ValidationError as error:
        raise WrongFile(str(error)) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise WrongFile(f"not TOML: {error}") from error


def columns(plan: msgspec.Struct, *without: str) -> dict[str, Any]:
    """The plan's fields as column values."""
    values: dict[str, Any] = msgspec.to_builtins(plan)
    return {name: value for name, value in values.items() if name not in without}
