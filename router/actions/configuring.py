"""Configuring: a file's campaigns, queues, sites and agents become rows. Applying twice changes nothing."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeVar
from zoneinfo import available_timezones

import holidays
import msgspec

from router.actions import connecting, short_links
from router.book import Writing
from router.model.agents import Agent, Role
from router.model.base import Numbered
from router.model.campaigns import Campaign, Number, Queue, Site
from router.model.configuration import CampaignPlan, HolidaysPlan, HoursPlan, Plan, WrongFile, columns
from router.model.guard import PACKS
from router.store import agents, configuration

N = TypeVar("N", bound=Numbered)


class Change(NamedTuple):
    """One line of the difference: `old` is None for what is made new."""

    thing: str
    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.old is None and self.field == "":
            return f"+ {self.thing}"
        return f"~ {self.thing}: {self.field}: {self.old!r} → {self.new!r}"


def _check(plan: Plan, demo: bool) -> None:
    for campaign in plan.campaigns:
        if campaign.timezone not in available_timezones():
            raise WrongFile(f"campaign {campaign.key}: {campaign.timezone} is no time zone of the IANA database")
        if campaign.rule_pack not in PACKS:
            raise WrongFile(f"campaign {campaign.key}: the rule packs are {', '.join(sorted(PACKS))}")
        if campaign.rule_pack == "demo" and not demo:
            raise WrongFile(f"campaign {campaign.key}: the rule pack demo is always open and only for demonstrations")
        queues = {queue.key for queue in campaign.queues}
        for site in campaign.sites:
            if site.queue not in queues:
                raise WrongFile(f"site {site.key}: campaign {campaign.key} has no queue {site.queue}")
        for number in campaign.numbers:
            if number.queue not in queues:
                raise WrongFile(f"number {number.phone}: campaign {campaign.key} has no queue {number.queue}")
        for queue in campaign.queues:
            _check_hours(f"queue {campaign.key}/{queue.key}", queue.hours)
            _check_days(f"queue {campaign.key}/{queue.key}", queue.closures)
            _check_holidays(f"queue {campaign.key}/{queue.key}", queue.holidays)
        _check_once(f"campaign {campaign.key}: the question", [one.key for one in campaign.fields])
        _check_once(f"campaign {campaign.key}: the purpose", [one.purpose for one in campaign.consents])
        for asked in campaign.fields:
            if (asked.kind == "choice") != bool(asked.choices):
                raise WrongFile(f"campaign {campaign.key}: field {asked.key}: a choice needs choices, others have none")
    for agent in plan.agents:
        _check_hours(f"agent {agent.login}", agent.shifts)


def _check_hours(thing: str, hours: HoursPlan) -> None:
    for day, spans in msgspec.structs.asdict(hours).items():
        flat = [clock for span in spans for clock in span]
        if flat != sorted(set(flat)):
            raise WrongFile(f"{thing}: {day}: the hours should follow each other, e.g. 09:00 to 14:00, 16:00 to 20:00")


def _check_days(thing: str, days: Sequence[str]) -> None:
    for day in days:
        try:
            date.fromisoformat(day)
        except ValueError as error:
            raise WrongFile(f"{thing}: closures: {day} is no day of the calendar") from error


def _check_holidays(thing: str, plan: HolidaysPlan) -> None:
    known = holidays.list_supported_countries()
    if plan.country and plan.country not in known:
        raise WrongFile(f"{thing}: holidays: the country {plan.country} is not known")
    if plan.subdivision and plan.subdivision not in known.get(plan.country, ()):
        raise WrongFile(f"{thing}: holidays: {plan.country or 'no country'} has no subdivision {plan.subdivision}")


def _check_once(thing: str, keys: Sequence[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise WrongFile(f"{thing} {key} stands there twice")


async def apply(w: Writing, plan: Plan, hashes: Mapping[str, str], *, demo: bool = False) -> list[Change]:
    """Makes the database say what the plan says; what changed. Nothing is removed.

    `hashes` are the password hashes by login, made by the caller: hashing is slow. To see the difference first, roll
    back. Raises WrongFile.
    """
    _check(plan, demo)
    changes: list[Change] = []
    for campaign in plan.campaigns:
        await _apply_campaign(w, campaign, changes)
    for agent in plan.agents:
        known = await agents.by_login(w.session, agent.login)
        values = columns(agent, "password", "password_hash", "role", "address") | {
            "role": Role(agent.role), "address": agent.address or f"client:{agent.login}",
        }
        if known is None and agent.login not in hashes:
            raise WrongFile(f"agent {agent.login} is new and needs a password")
        if known is None:
            values["password_hash"] = hashes[agent.login]
        await _put(w, known, Agent, values, f"agent {agent.login}", changes)
    if changes:
        w.fact("configuration.applied", changes=len(changes))
        w.hint("dispatch", "wallboard")
    return changes


async def _apply_campaign(w: Writing, plan: CampaignPlan, changes: list[Change]) -> None:
    known = await configuration.campaign(w.session, plan.key)
    campaign = await _put(
        w, known, Campaign, columns(plan, "queues", "sites", "numbers", "connectors", "links"), f"campaign {plan.key}",
        changes,
    )
    queues: dict[str, Queue] = {}
    for queue in plan.queues:
        row = await configuration.queue(w.session, campaign.id, queue.key)
        values = columns(queue) | {"campaign_id": campaign.id}
        queues[queue.key] = await _put(w, row, Queue, values, f"queue {plan.key}/{queue.key}", changes)
    for site in plan.sites:
        found = await configuration.site(w.session, site.key)
        if found is not None and found.campaign_id != campaign.id:
            raise WrongFile(f"site {site.key} belongs to another campaign")
        values = columns(site, "queue", "phone") | {
            "campaign_id": campaign.id, "queue_id": queues[site.queue].id, "phone": site.phone or plan.company.phone,
        }
        await _put(w, found, Site, values, f"site {site.key}", changes)
    for number in plan.numbers:
        ours = await configuration.number(w.session, number.phone)
        if ours is not None and ours.campaign_id != campaign.id:
            raise WrongFile(f"number {number.phone} belongs to another campaign")
        values = columns(number, "queue") | {"campaign_id": campaign.id, "queue_id": queues[number.queue].id}
        await _put(w, ours, Number, values, f"number {number.phone}", changes)
    for connector in plan.connectors:
        for one in await connecting.apply(w, campaign, connector, plan.key):
            changes.append(Change(*one))
    for link in plan.links:
        for one in await short_links.apply(w, campaign, link, plan.key):
            changes.append(Change(*one))


async def _put(
    w: Writing, known: N | None, noun: type[N], values: dict[str, Any], thing: str, changes: list[Change]
) -> N:
    if known is None:
        made = noun(**values)
        w.session.add(made)
        changes.append(Change(thing, "", None, None))
        await w.session.flush()
        return made
    for name, value in values.items():
        old = getattr(known, name)
        if old != value:
            setattr(known, name, value)
            changes.append(Change(thing, name, old, value))
    await w.session.flush()
    return known
