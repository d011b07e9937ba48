"""`/contacts/{id}`: may he be contacted now, if not, why not and from when on; and by which clock he lives."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import available_timezones

from aiohttp import web

from router.actions import erasing, guarding, suppressing
from router.book import Reading, Writing
from router.model.agents import Role
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Forbidden, Invalid, NotFound
from router.model.guard import Channel, Purpose, Snapshot, consent_ends, may_contact
from router.model.packs import Expiry
from router.model.phone import country_of, unbroken
from router.model.zones import ZoneSource, of_address
from router.store import attempts, cadences, credits, signings, suppressions
from router.store.tasks import held_by
from router.web.doors import doors
from router.web.gate import Signed, page, require
from router.web.parsing import row_id, row_number
from router.wording import explain, grounds

routes = web.RouteTableDef()

MISSING = NotFound("There is no such person.")
SHOWN = (Channel.call, Channel.sms)


async def _person(r: Reading | Writing, signed: Signed, number: int) -> tuple[Contact, Campaign]:
    """The person, for who may look at him: a supervisor, or the agent who is with him or spoke with him last."""
    contact = await r.session.get(Contact, number)
    campaign = await r.session.get(Campaign, contact.campaign_id) if contact is not None else None
    if contact is None or campaign is None:
        raise MISSING
    agent = signed.agent
    if not agent.role.covers(Role.supervisor) and contact.agent_id != agent.id and (
        await held_by(r.session, agent.id, contact.id) is None
    ):
        raise Forbidden("You are not with this person.")
    return contact, campaign


@routes.get(r"/contacts/{id:\d{1,19}}")
async def person_page(request: web.Request) -> web.Response:
    signed = await require(request, Role.agent)
    async with doors(request).book.reading() as r:
        contact, campaign = await _person(r, signed, row_id(request, MISSING))
        values = await _values(r, contact, campaign, signed.agent.locale)
        supervisor = signed.agent.role.covers(Role.supervisor)
        sales = await credits.sales_of(r.session, contact.id) if supervisor else []
    return page(
        request, "contacts/page.html", signed.agent.locale, agent=signed.agent, csrf=signed.session.csrf,
        contact=contact, campaign=campaign, sales=sales, unbroken=unbroken, reasons=suppressing.BY_HAND, **values,
    )


async def _values(r: Reading, contact: Contact, campaign: Campaign, locale: str) -> Mapping[str, Any]:
    lives = guarding.lives_in(contact)
    zone = lives.zones[0] if lives.zones else campaign.timezone
    answers, agreed = [], None
    for channel in SHOWN:
        snapshot, _ = await guarding.look(r.session, campaign, contact, Purpose.commercial, r.now, channel=channel)
        verdict = may_contact(snapshot, r.now)
        answers.append((channel.value, verdict, explain(verdict, locale, zone)))
        agreed = agreed or _agreed(snapshot)
    persons = await suppressions.persons(r.session, contact.id)
    given = await attempts.answers(r.session, contact.id, contact.phone)
    return {
        "lives": lives, "zone": zone, "answers": answers, "agreed": agreed, "likely": _likely(contact, lives.zones),
        "all_zones": _all_zones(),
        "given": [(one, grounds(one.verdict, one.rules, one.detail, locale)) for one in given],
        "announced": await cadences.announced_with(r.session, [one.id for one in given]),
        "signed": await signings.sealed_of_contact(r.session, contact.id),
        "suppressed": await suppressions.of_person(r.session, contact.phone, persons), "now": r.now,
    }


class _Agreed(NamedTuple):
    """When the person agreed to offers, and until when that counts by which rule; none: until he takes it back."""

    at: datetime
    until: datetime | None
    rule: Expiry | None


def _agreed(seen: Snapshot) -> _Agreed | None:
    given = seen.consented_at.get(Purpose.commercial)
    if given is None:
        return None
    rule, until = consent_ends(seen.pack, given, seen.channel, seen.subdivisions) or (None, None)
    return _Agreed(given, until, rule)


def _likely(contact: Contact, zones: Sequence[str]) -> Sequence[str]:
    """What to choose from first: what his number allows, or else what there is in its country."""
    return zones or of_address(contact.country or country_of(contact.phone))


def _all_zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))


@routes.post(r"/contacts/{id:\d{1,19}}/zone")
async def choose_zone(request: web.Request) -> web.Response:
    """The person said by which clock he lives; or his country and postcode, which say it for him."""
    signed = await require(request, Role.agent)
    number = row_id(request, MISSING)
    async with doors(request).book.writing() as w:
        contact, _ = await _person(w, signed, number)
        if zone := signed.form.get("zone", ""):
            await guarding.lives_by(w, contact, zone, ZoneSource.stated, agent_id=signed.agent.id)
        country, postcode = signed.form.get("country", "").strip().upper(), signed.form.get("postcode", "").strip()
        if (country, postcode) != (contact.country, contact.postcode):
            await guarding.lives_at(w, contact, *_address(country, postcode), agent_id=signed.agent.id)
    raise web.HTTPSeeOther(f"/contacts/{number}")


def _address(country: str, postcode: str) -> tuple[str, str]:
    if country and not of_address(country):
        raise Invalid("This is not one of the choices.", pointer="/country")
    if len(postcode) > 12 or not all(each.isalnum() or each in " -" for each in postcode):
        raise Invalid("This is no postcode.", pointer="/postcode")
    return country, postcode


@routes.post(r"/contacts/{id:\d{1,19}}/suppress")
async def suppress(request: web.Request) -> web.Response:
    """A supervisor writes down that this person must not be contacted."""
    signed = await require(request, Role.supervisor)
    number = row_id(request, MISSING)
    async with doors(request).book.writing() as w:
        contact, _ = await _person(w, signed, number)
        await suppressing.by_supervisor(w, contact, signed.form.get("reason", ""), signed.agent.id)
    raise web.HTTPSeeOther(f"/contacts/{number}")


@routes.post(r"/contacts/{id:\d{1,19}}/lift")
async def lift(request: web.Request) -> web.Response:
    """A supervisor takes a suppression of this person or of his number back."""
    signed = await require(request, Role.supervisor)
    number = row_id(request, MISSING)
    given = row_number(signed.form.get("suppression", ""))
    async with doors(request).book.writing() as w:
        contact, _ = await _person(w, signed, number)
        persons = await suppressions.persons(w.session, contact.id)
        his = {one.id for one, _ in await suppressions.of_person(w.session, contact.phone, persons)}
        if given not in his:
            raise NotFound("There is no such thing.")
        await suppressing.lift(w, given, signed.agent.id)
    raise web.HTTPSeeOther(f"/contacts/{number}")


@routes.post(r"/contacts/{id:\d{1,19}}/erase")
async def erase(request: web.Request) -> web.Response:
    """A supervisor has the person forgotten; `sure` must say so."""
    signed = await require(request, Role.supervisor)
    number = row_id(request, MISSING)
    if signed.form.get("sure") != "yes":
        raise Invalid("Tick that you are sure: this cannot be undone.", pointer="/sure")
    async with doors(request).book.writing() as w:
        await erasing.erase(w, number, agent_id=signed.agent.id)
    raise web.HTTPSeeOther(f"/contacts/{number}")
