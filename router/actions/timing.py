"""Timing: a customer's calendar, when he may be called, and what is known of when he answers."""

from zoneinfo import ZoneInfo

from router.actions import guarding
from router.book import Writing
from router.model.best_time import HALF_LIFE, Caller, band_of, hours_of
from router.model.calendars import calendar
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import windows
from router.model.hours import Opening
from router.model.outcomes import ANSWERED
from router.model.pacing import AHEAD, Times
from router.model.phone import country_of
from router.model.protection import kind_of
from router.model.tasks import Disposition
from router.store import cadences


def zone_of(campaign: Campaign, contact: Contact) -> str:
    """On whose wall (IANA) he looks, as far as it is known. Of several zones it is the campaign's, if that is one."""
    zones = guarding.lives_in(contact).zones
    return campaign.timezone if not zones or campaign.timezone in zones else zones[0]


def calendar_of(campaign: Campaign, contact: Contact) -> Opening:
    """The person's calendar, by which delays are counted. A campaign that is always open counts every hour."""
    country = contact.country or country_of(contact.phone) or campaign.country
    part = contact.subdivision.removeprefix(f"{country}-")
    return calendar(zone_of(campaign, contact), country, part, always=campaign.rule_pack == "demo")


async def times_of(w: Writing, campaign: Campaign, contact: Contact) -> Times:
    """What bounds when something may be done about this person."""
    zone = zone_of(campaign, contact)
    pack, zones, parts = await guarding.window_of(w.session, campaign, contact)
    lawful = list(windows(pack, zones, w.now, w.now + AHEAD, subdivisions=parts))
    kind = kind_of(contact.phone)
    return Times(
        calendar_of(campaign, contact), lawful,
        Caller(
            zone, hours_of(await cadences.own_moments(w.session, contact.id), zone),
            await cadences.tried_bands(w.session, contact.id, w.now),
            await cadences.rates(w.session, kind.country, str(kind.type)),
        ),
    )  # fmt: skip


async def count(w: Writing, campaign: Campaign, contact: Contact, disposition: Disposition) -> None:
    """Counts a call under its country, line, weekday and part of the day, if it says whether he answers then."""
    zone = zone_of(campaign, contact)
    answered, band = ANSWERED.get(disposition), band_of(w.now, zone)
    if answered is None or not band:
        return
    kind = kind_of(contact.phone)
    weekday = w.now.astimezone(ZoneInfo(zone)).weekday()
    await cadences.count_answer(
        w.session, cadences.Place(kind.country, str(kind.type), weekday, band), answered, w.now,
        HALF_LIFE.total_seconds(),
    )
