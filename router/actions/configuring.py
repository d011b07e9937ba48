"""Configuring: a file's campaigns, queues, sites and agents become rows. Applying twice changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeVar
from zoneinfo import available_timezones

import holidays
import msgspec

from router.actions import choosing_services, choosing_signers, connecting, covering, inquiring, leaving, short_links
from router.book import Writing
from router.model.addresses import written
from router.model.agents import Agent, Role
from router.model.base import Numbered
from router.model.cadence_rules import CadencePlan, WrongCadence, check
from router.model.campaigns import Campaign, Number, Queue, Ruleset, Site
from router.model.configuration import AgentPlan, CampaignPlan, HolidaysPlan, HoursPlan, Plan, WrongFile, columns
from router.model.errors import Conflict
from router.model.holds import is_network
from router.model.levels import asked, owned
from router.model.outcomes import NAMES
from router.model.packs import BY_COUNTRY
from router.model.routing import PLAIN, Channel
from router.model.rules import ORDINARY, RulesPlan, Skills, as_body, circle
from router.model.trust_accounts import ServiceName
from router.store import agents, cadences, configuration, packs

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


def _check(plan: Plan, rule_packs: Collection[str], demo: bool) -> None:
    for campaign in plan.campaigns:
        for network in campaign.office_networks:
            if not is_network(network):
                raise WrongFile(f"campaign {campaign.key}: {network} is no office network like 203.0.113.0/24")
        if campaign.timezone not in available_timezones():
            raise WrongFile(f"campaign {campaign.key}: {campaign.timezone} is no time zone of the IANA database")
        if campaign.rule_pack not in (BY_COUNTRY, *rule_packs):
            known = ", ".join((BY_COUNTRY, *sorted(rule_packs)))
            raise WrongFile(f"campaign {campaign.key}: the rule packs are {known}")
        if campaign.rule_pack == "demo" and not demo:
            raise WrongFile(f"campaign {campaign.key}: the rule pack demo is always open and only for demonstrations")
        if campaign.mail_from and not written(campaign.mail_from):
            raise WrongFile(f"campaign {campaign.key}: mail_from should be an address such as hello@example.com")
        queues = {queue.key for queue in campaign.queues}
        for site in campaign.sites:
            if site.queue not in queues:
                raise WrongFile(f"site {site.key}: campaign {campaign.key} has no queue {site.queue}")
        for number in campaign.numbers:
            if number.queue not in queues:
                raise WrongFile(f"number {number.phone}: campaign {campaign.key} has no queue {number.queue}")
        _check_queues(campaign, plan.skills)
        _check_cadences(campaign)
        _check_products(campaign)
        for queue in campaign.queues:
            _check_hours(f"queue {campaign.key}/{queue.key}", queue.hours)
            _check_days(f"queue {campaign.key}/{queue.key}", queue.closures)
            _check_holidays(f"queue {campaign.key}/{queue.key}", queue.holidays)
        _check_once(f"campaign {campaign.key}: the question", [one.key for one in campaign.fields])
        _check_once(f"campaign {campaign.key}: the purpose", [one.purpose for one in campaign.consents])
        for question in campaign.fields:
            if (question.kind == "choice") != bool(question.choices):
                raise WrongFile(f"campaign {campaign.key}: field {question.key}: a choice needs choices, others none")
    _check_once("register", [one.name for one in plan.registers])
    for agent in plan.agents:
        _check_hours(f"agent {agent.login}", agent.shifts)
        _check_skills(f"agent {agent.login}", agent.skills, plan.skills)
        if not any(msgspec.structs.astuple(agent.capacity)):
            raise WrongFile(f"agent {agent.login}: capacity: whoever may hold nothing would never be given anything")


def _check_queues(campaign: CampaignPlan, known: Sequence[str]) -> None:
    """What their rules contradict themselves in, and whether who waits could go round in a circle."""
    queues = {queue.key: queue for queue in campaign.queues}
    for queue in campaign.queues:
        thing = f"queue {campaign.key}/{queue.key}"
        if (wrong := queue.rules.wrong(queue.skills)) is not None:
            raise WrongFile(f"{thing}: rules: {wrong}")
        for skills in (queue.skills, *(row.skills for row in queue.rules.rows)):
            _check_skills(thing, skills, known)
        if (queue.overflow is None) != (queue.overflow_seconds == 0):
            raise WrongFile(f"{thing}: overflow and overflow_seconds belong together")
        if queue.overflow is not None and queue.overflow not in queues:
            raise WrongFile(f"{thing}: overflow: campaign {campaign.key} has no queue {queue.overflow}")
        if queue.expire_seconds and queue.expire_seconds <= max((queue.overflow_seconds, *queue.rules.widens)):
            raise WrongFile(f"{thing}: expire_seconds: who waits would be given up before the rules have had effect")
        if queue.wrap_most_seconds < queue.wrap_seconds:
            raise WrongFile(f"{thing}: wrap_most_seconds should not be less than wrap_seconds")
    if way := circle({queue.key: queue.overflow for queue in campaign.queues if queue.overflow is not None}):
        raise WrongFile(f"campaign {campaign.key}: overflow goes round in a circle: {' → '.join(way)}")


def _check_products(campaign: CampaignPlan) -> None:
    """Whether each is known by its key alone, and the rules speak of products there are."""
    keys = [product.key for product in campaign.products if product.key]
    _check_once(f"campaign {campaign.key}: the product", keys)
    for product in campaign.products:
        for named in (*product.suggests, *product.instead):
            if named not in keys or named == product.key:
                raise WrongFile(f"campaign {campaign.key}: product {product.label}: it cannot suggest {named}")


def _check_cadences(campaign: CampaignPlan) -> None:
    """Whether each of them holds together, and none begins where another does."""
    _check_once(f"campaign {campaign.key}: the cadence", [one.key for one in campaign.cadences])
    _check_once(f"campaign {campaign.key}: cadences: the beginning", [on for one in campaign.cadences for on in one.on])
    for cadence in campaign.cadences:
        try:
            check(cadence, NAMES)
        except WrongCadence as wrong:
            raise WrongFile(f"cadence {campaign.key}/{cadence.key}: {wrong}") from wrong


def _check_skills(thing: str, skills: Skills, known: Sequence[str]) -> None:
    for skill in skills:
        if known and skill not in known:
            raise WrongFile(f"{thing}: skills: {skill} is not among the file's skills: {', '.join(known)}")


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
    _check(plan, await packs.names(w.session), demo)
    changes: list[Change] = []
    for campaign in plan.campaigns:
        await _apply_campaign(w, campaign, changes)
    for agent in plan.agents:
        await _apply_agent(w, agent, hashes, changes)
    for register in plan.registers:
        changes.extend(Change(*one) for one in await inquiring.apply(w, register))
    if changes:
        w.fact("configuration.applied", changes=len(changes))
        w.hint("dispatch", "wallboard")
    return changes


async def _apply_agent(w: Writing, plan: AgentPlan, hashes: Mapping[str, str], changes: list[Change]) -> None:
    known = await agents.by_login(w.session, plan.login)
    values = columns(plan, "password", "password_hash", "role", "address", "capacity", "disabled") | {
        "role": Role(plan.role), "address": plan.address or f"client:{plan.login}", "skills": owned(plan.skills),
        **{f"{channel}_capacity": many for channel, many in msgspec.structs.asdict(plan.capacity).items()},
    }
    thing = f"agent {plan.login}"
    if known is None:
        if plan.login not in hashes:
            raise WrongFile(f"{thing} is new and needs a password")
        made = await _put(w, None, Agent, values | {"password_hash": hashes[plan.login]}, thing, changes)
        await _disable(w, made, plan.disabled, changes)
        return
    shifts, ability = known.shifts, known.ability
    _check_held(known, values)
    await _put(w, known, Agent, values, thing, changes)
    if known.ability != ability:
        before, after = msgspec.to_builtins((ability, known.ability))
        w.fact("agent.changed", agent_id=known.id, subject_id=known.id, before=before, after=after)
    await _disable(w, known, plan.disabled, changes)
    if known.shifts != shifts:
        await covering.review(w, known.id)


async def _apply_campaign(w: Writing, plan: CampaignPlan, changes: list[Change]) -> None:
    known = await configuration.campaign(w.session, plan.key)
    campaign = await _put(
        w, known, Campaign, columns(
            plan, "queues", "sites", "numbers", "connectors", "links", "cadences", "signing", "time", "custody"
        ), f"campaign {plan.key}", changes,
    )
    queues: dict[str, Queue] = {}
    for queue in plan.queues:
        row = await configuration.queue(w.session, campaign.id, queue.key)
        values = columns(queue, "rules", "overflow") | {
            "campaign_id": campaign.id, "skills": asked(queue.skills), "wrap_mode": queue.wrap_mode,
            "newest_first": queue.rules.newest_first, "owner_seconds": queue.rules.owner_seconds,
        }
        thing = f"queue {plan.key}/{queue.key}"
        queues[queue.key] = await _put(w, row, Queue, values, thing, changes)
        await _apply_rules(w, queues[queue.key], queue.rules, thing, changes)
    for queue in plan.queues:
        onward = queues[queue.overflow].id if queue.overflow else None
        await _put(w, queues[queue.key], Queue, {"overflow_id": onward}, f"queue {plan.key}/{queue.key}", changes)
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
    for cadence in plan.cadences:
        await _apply_cadence(w, campaign, cadence, plan.key, changes)
    if plan.signing is not None:
        for one in await choosing_signers.apply(w, campaign, plan.signing, plan.key):
            changes.append(Change(*one))
    for service, chosen in ((ServiceName.time, plan.time), (ServiceName.custody, plan.custody)):
        if chosen is not None:
            for one in await choosing_services.apply(w, campaign, service, chosen, plan.key):
                changes.append(Change(*one))
    for link in plan.links:
        for one in await short_links.apply(w, campaign, link, plan.key):
            changes.append(Change(*one))


async def _apply_cadence(
    w: Writing, campaign: Campaign, cadence: CadencePlan, key: str, changes: list[Change]
) -> None:
    """Another plan is a new version; whoever is inside already finishes his."""
    made, before = await cadences.publish(w.session, campaign.id, cadence, w.now, is_preset=False)
    if before == made.version:
        return
    thing = f"cadence {key}/{cadence.key}"
    changes.append(Change(thing, "version", before, made.version) if before else Change(thing, "", None, None))
    w.fact("cadence.published", campaign_id=campaign.id, subject_id=made.cadence_id, version=made.version)


async def _apply_rules(w: Writing, queue: Queue, rules: RulesPlan, thing: str, changes: list[Change]) -> None:
    """Other rules are a new version; whoever waits already keeps the ones he came under."""
    now = await configuration.ruleset(w.session, queue)
    old = as_body(ORDINARY) if now is None else now.body
    new = as_body(rules)
    if old == new:
        return
    made = Ruleset(
        queue_id=queue.id, version=now.version + 1 if now else PLAIN.version + 1, body=new, widens=rules.widens,
        newest_first=rules.newest_first, created_at=w.now,
    )
    w.session.add(made)
    await w.session.flush()
    queue.rules_id = made.id
    await w.session.flush()
    for name in new:
        if old.get(name) != new[name]:
            changes.append(Change(thing, f"rules.{name}", old.get(name), new[name]))


async def _disable(w: Writing, agent: Agent, disabled: bool | None, changes: list[Change]) -> None:
    """What the file says of whether he may sign in; it may say nothing."""
    is_now = agent.disabled_at is not None
    if disabled is None or disabled is is_now:
        return
    try:
        await (leaving.disable if disabled else leaving.enable)(w, agent.id)
    except Conflict as error:
        raise WrongFile(f"agent {agent.login}: disabled: {error}") from error
    changes.append(Change(f"agent {agent.login}", "disabled", is_now, disabled))


def _check_held(known: Agent, values: Mapping[str, Any]) -> None:
    for channel in Channel:
        held = getattr(known, f"{channel.value}_load")
        if held > values[f"{channel.value}_capacity"]:
            raise WrongFile(f"agent {values['login']}: capacity: he holds {held} of channel {channel.value} just now")


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
