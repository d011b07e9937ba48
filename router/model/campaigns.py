"""Campaigns, sites, queues: a brand and its rules, a landing page, a line."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Numbered
from router.model.packs import BY_COUNTRY


class Campaign(Numbered):
    """A brand: its voice, its numbers, its rules. The wall inside one deployment.

    `caller_id` and `sender` are E.164. Times of its people are in `timezone` (IANA). `stale_seconds`: how long a sent
    quote may rest before it is looked at. `rule_pack` names the calling rules, see `router.model.packs`.

    `fields` and `consents` are what its forms ask (`router.model.forms`). `countries` (ISO 3166, two letters) are those
    whose numbers are taken; none means its own `country`. `whatsapp` is its E.164 sender there, `mail_from` the address
    its mails come from; "" for no such channel. `keep_address` says how receipts keep a visitor's address: "truncated",
    "full" or "none". Who was promised a call is reminded of it `remind_minutes` before (0: not at all).
    `target_counts` says what counts towards its agents' targets: "sold" (shares of what was signed), or "talks".

    `terms` are those of its contracts (`router.model.terms`). An agent of his own may go `discount_bp` below the
    catalogue, in basis points, and sell what it has not unless `catalogue_only`; more is for a supervisor to approve.
    An offer that holds only while its person is on the line is valid for `line_minutes`.

    An offer opened from one of its `office_networks` (CIDR) is held for a supervisor. Where it says so, a supervisor
    is asked to `countersign` for the company what was signed and sealed. Of persons about whom nothing has happened for
    `retention_days` (0: no limit) only what evidence needs is kept; and of persons about whom nothing has happened for
    `evidence_days` since they last signed or withdrew (0: no limit) not even that. Links to documents that were sent in
    talks work for `handout_days`.
    """

    __tablename__ = "campaigns"
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    caller_id: Mapped[str]
    sender: Mapped[str]
    locale: Mapped[str] = mapped_column(default="es")
    country: Mapped[str] = mapped_column(default="ES")
    timezone: Mapped[str] = mapped_column(default="Europe/Madrid")
    currency: Mapped[str] = mapped_column(default="EUR")
    rule_pack: Mapped[str] = mapped_column(default=BY_COUNTRY)
    company: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    products: Mapped[list[dict[str, Any]]] = mapped_column(default_factory=list)
    consent_text: Mapped[str] = mapped_column(default="")
    consent_version: Mapped[str] = mapped_column(default="1")
    stale_seconds: Mapped[int] = mapped_column(default=259_200)
    quote_days: Mapped[int] = mapped_column(default=14)
    daily_spend_cap: Mapped[int] = mapped_column(default=20_000)
    paused: Mapped[bool] = mapped_column(default=False)
    fields: Mapped[list[dict[str, Any]]] = mapped_column(default_factory=list)
    consents: Mapped[list[dict[str, Any]]] = mapped_column(default_factory=list)
    countries: Mapped[list[str]] = mapped_column(default_factory=list)
    whatsapp: Mapped[str] = mapped_column(default="")
    keep_address: Mapped[str] = mapped_column(default="truncated")
    mail_from: Mapped[str] = mapped_column(default="")
    remind_minutes: Mapped[int] = mapped_column(default=60)
    target_counts: Mapped[str] = mapped_column(default="sold")
    terms: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    discount_bp: Mapped[int] = mapped_column(default=10_000)
    catalogue_only: Mapped[bool] = mapped_column(default=False)
    line_minutes: Mapped[int] = mapped_column(default=30)
    office_networks: Mapped[list[str]] = mapped_column(default_factory=list)
    retention_days: Mapped[int] = mapped_column(default=0)
    evidence_days: Mapped[int] = mapped_column(default=0)
    handout_days: Mapped[int] = mapped_column(default=30)
    countersign: Mapped[bool] = mapped_column(default=False)

    @property
    def company_name(self) -> str:
        """Who the customer deals with: the company, or the brand where none is named."""
        return str(self.company.get("name") or self.name)

    def phone_for(self, site: "Site | None") -> str:
        """The number to call (E.164): the landing page's own, or the company's; "" when there is none."""
        return (site.phone if site else "") or str(self.company.get("phone", ""))

    @property
    def privacy_url(self) -> str:
        """Its privacy policy; "" for what is no address of the web."""
        address = str(self.company.get("privacy_url", ""))
        return address if address.startswith(("https://", "http://")) else ""

    @property
    def stale_after(self) -> timedelta:
        return timedelta(seconds=self.stale_seconds)


class Site(Numbered):
    """A landing page with its public key and the origins its widget may post from.

    `actions` are the calls to action its widget shows, in order; `closed` turns all of them off but the number.
    Caps in minor units of the campaign's currency; 0 means the campaign's alone."""

    __tablename__ = "sites"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    origins: Mapped[list[str]]
    phone: Mapped[str] = mapped_column(default="")
    actions: Mapped[list[str]] = mapped_column(default_factory=lambda: ["call", "later"])
    closed: Mapped[bool] = mapped_column(default=False)
    daily_spend_cap: Mapped[int] = mapped_column(default=0)
    hourly_spend_cap: Mapped[int] = mapped_column(default=0)


class Number(Numbered):
    """A telephone number of ours (E.164): what is dialled tells the campaign. `source` is what its leads are said to
    come from, e.g. "offline:bus-stop"."""

    __tablename__ = "numbers"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    phone: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str] = mapped_column(default="")


class WrapMode(StrEnum):
    """What ends the time after the conversation: nothing is needed; its timer or the agent; the agent alone; both, the
    timer and his word. The last two have a hard end, after which a supervisor is told."""

    none = "none"
    timed = "timed"
    until_done = "until_done"
    timed_and_done = "timed_and_done"


class Ruleset(Numbered):
    """The rules a queue's tasks are given out by, in one version; never changed. A task keeps the one it was enqueued
    under. `body` is a `router.model.rules.RulesPlan`; `widens` are the ages in seconds at which its relaxation rows
    begin, but for the first."""

    __tablename__ = "rulesets"
    __table_args__ = (UniqueConstraint("queue_id", "version"),)
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    version: Mapped[int]
    body: Mapped[dict[str, Any]]
    widens: Mapped[list[int]]
    newest_first: Mapped[bool]
    created_at: Mapped[datetime]


NURTURE = "nurture"
"""The switch of all nurture: while it is off no nurture task is handed out."""


class Switch(Base):
    """Something a supervisor has turned off for the whole house; the row is there while it is off."""

    __tablename__ = "switches"
    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))


class Line(msgspec.Struct, frozen=True):
    """Where a task waits: a queue as it stands now, in values."""

    queue_id: int
    campaign_id: int
    pool: int = 1
    skills: Sequence[str] = ()
    rules_id: int | None = None
    newest_first: bool = False
    owner_seconds: int = 0


class Queue(Numbered):
    """A line: the skills it needs and its server timers, in seconds. `pool` joins queues that share agents.

    `hours`, `holidays` and `closures` say when it is open (`router.model.hours`), in the campaign's time zone.
    `handle_seconds` is how long a call takes with its wrap-up: what estimates and slots are reckoned with.

    `skills` are spelled out (`router.model.levels`). `rules_id` are the rules of tasks that come in from now on; none
    means the ordinary ones; `newest_first` and `owner_seconds` are of them. Whoever has waited `overflow_seconds` moves
    to the queue `overflow_id` (0: never), whoever has waited `expire_seconds` is given up (0: never).
    `wrap_most_seconds` is the hard end of a wrap-up. Where agents `pull`, nothing rings: they pick from the list.
    """

    __tablename__ = "queues"
    __table_args__ = (UniqueConstraint("campaign_id", "key"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    key: Mapped[str]
    name: Mapped[str]
    skills: Mapped[list[str]] = mapped_column(default_factory=list)
    pool: Mapped[int] = mapped_column(default=1)
    ring_seconds: Mapped[int] = mapped_column(default=20)
    connect_seconds: Mapped[int] = mapped_column(default=60)
    wrap_seconds: Mapped[int] = mapped_column(default=60)
    exclude_seconds: Mapped[int] = mapped_column(default=60)
    target_seconds: Mapped[int] = mapped_column(default=20)
    hours: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    holidays: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    closures: Mapped[list[str]] = mapped_column(default_factory=list)
    handle_seconds: Mapped[int] = mapped_column(default=600)
    slot_minutes: Mapped[int] = mapped_column(default=15)
    rules_id: Mapped[int | None] = mapped_column(
        ForeignKey("rulesets.id", use_alter=True, name="fk_queues_rules_id"), default=None
    )
    newest_first: Mapped[bool] = mapped_column(default=False)
    owner_seconds: Mapped[int] = mapped_column(default=0)
    wrap_mode: Mapped[WrapMode] = mapped_column(default=WrapMode.timed)
    wrap_most_seconds: Mapped[int] = mapped_column(default=600)
    overflow_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id"), default=None)
    overflow_seconds: Mapped[int] = mapped_column(default=0)
    expire_seconds: Mapped[int] = mapped_column(default=0)
    pull: Mapped[bool] = mapped_column(default=False)

    @property
    def line(self) -> Line:
        """What a task that comes in now is given."""
        return Line(
            self.id, self.campaign_id, self.pool, tuple(self.skills), self.rules_id, self.newest_first,
            self.owner_seconds,
        )
