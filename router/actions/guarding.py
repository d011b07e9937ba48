"""Guarding: may this person be contacted now? Asked when planned, when reserved, when it is done, where it is recorded,
and once more directly before it leaves the house."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from router.actions import inquiring, suppressing
from router.book import Writing
from router.model.base import vouched
from router.model.budgets import LEG_COST, MESSAGE_COST
from router.model.cadences import Attempt
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Invalid
from router.model.guard import (
    Barred,
    Channel,
    Consulted,
    Purpose,
    Snapshot,
    Try,
    Verdict,
    consent_ends,
    may_contact,
    next_open,
    once_announced,
)
from router.model.packs import BY_COUNTRY, Pack
from router.model.phone import country_of
from router.model.places import inhabited, part_of
from router.model.zones import CONFIDENCE, Evidence, ZoneSource, evidence, of_address, one_clock
from router.store import attempts, budgets, packs
from router.store.db import ReadSession

LATE = timedelta(minutes=1)
"""What leaves so long after it was permitted is asked about its caps and gaps, too."""


@dataclass(frozen=True)
class Bounds:
    """The rules a person is under, and all the places he may be in: zones (IANA) and parts of the country (ISO 3166-2),
    () for unknown."""

    pack: Pack
    zones: tuple[str, ...]
    subdivisions: tuple[str, ...]

    def opens(self, at: datetime, channel: Channel = Channel.call) -> datetime | None:
        """The first moment from `at` on at which he may be contacted by the clock; None if there is none."""
        return next_open(self.pack, self.zones, at, subdivisions=self.subdivisions, channel=channel)


def pack_for(known: Mapping[str, Pack], campaign: Campaign, country: str) -> Pack:
    """Which of these packs binds people of this country (ISO 3166) in this campaign."""
    return known.get(country, known["standard"]) if campaign.rule_pack == BY_COUNTRY else known[campaign.rule_pack]


def bounds(known: Mapping[str, Pack], campaign: Campaign, contact: Contact) -> Bounds:
    """What binds him, by these packs. His own address says in which country he is; else his number does."""
    country = contact.country or country_of(contact.phone) or campaign.country
    pack = pack_for(known, campaign, country)
    return Bounds(pack, lives_in(contact).zones, (contact.subdivision,) if contact.subdivision else ())


def lives_in(contact: Contact) -> Evidence:
    """By which clocks he may live, as far as he, his address, his browser and his number say."""
    said = {source: contact.zone for source in (ZoneSource.stated, ZoneSource.browser) if source == contact.zone_source}
    return evidence(
        stated=said.get(ZoneSource.stated, ""), browser=said.get(ZoneSource.browser, ""), country=contact.country,
        subdivision=contact.subdivision, postcode=contact.postcode, phone=contact.phone,
    )


async def window_of(
    session: ReadSession, campaign: Campaign, contact: Contact
) -> tuple[Pack, tuple[str, ...], tuple[str, ...]]:
    """The pack, the zones and the parts of the country that bind this person, for whoever plans."""
    found = bounds(await packs.in_force(session), campaign, contact)
    return found.pack, found.zones, found.subdivisions


async def opens_for(
    session: ReadSession, campaign: Campaign, contact: Contact, at: datetime, zone: str
) -> datetime | None:
    """The first moment from `at` (aware) on at which this person may be called by the clock; None if there is none.
    Where nobody knows by which he lives, it is that of `zone` (IANA)."""
    pack, zones, parts = await window_of(session, campaign, contact)
    return next_open(pack, zones or (zone,), at, subdivisions=parts)


async def look(
    session: ReadSession, campaign: Campaign, contact: Contact, purpose: Purpose, now: datetime, *,
    lead_id: int | None = None, channel: str = "call", promised: bool = False, announced: int | None = None,
) -> tuple[Snapshot, Mapping[str, attempts.Given]]:
    """All that the guard looks at, as it stands in this transaction, and the consents with their receipts. `announced`
    is the attempt of the text that announced the call in question."""
    bound, known = await _known(session, campaign, contact, now, lead_id, announced)
    consents = _consents(bound, known, Channel(channel), now)
    return _snapshot(
        bound, known, campaign, contact, purpose, consents=consents, channel=Channel(channel), promised=promised
    ), consents


async def look_ahead(
    session: ReadSession, campaign: Campaign, contact: Contact, now: datetime
) -> tuple[Snapshot, Mapping[Channel, Mapping[str, datetime]]]:
    """The same about an offer by telephone, whatever request it is about; and what he agreed to, and when, as it counts
    by each channel."""
    bound, known = await _known(session, campaign, contact, now)
    by = {channel: _consents(bound, known, channel, now) for channel in Channel}
    snapshot = _snapshot(
        bound, known, campaign, contact, Purpose.commercial, consents=by[Channel.call], channel=Channel.call
    )
    return snapshot, {channel: {what: one.at for what, one in consents.items()} for channel, consents in by.items()}


async def _known(
    session: ReadSession, campaign: Campaign, contact: Contact, now: datetime, lead_id: int | None = None,
    announced: int | None = None,
) -> tuple[Bounds, attempts.Known]:
    bound = bounds(await packs.in_force(session), campaign, contact)
    return bound, await attempts.known(
        session, contact.id, contact.phone, now, lead_id, announced=announced, within=_as_one(bound.pack)
    )


def _consents(bound: Bounds, known: attempts.Known, channel: Channel, now: datetime) -> dict[str, attempts.Given]:
    """What counts by this channel. A consent is about the number its person had then; what is written to an address is
    not about a number."""
    return {
        what: _relied_on(bound, meant, channel, now) for what, given in known.consents.items()
        if (meant := [one for one in given if not one.other_number or channel is Channel.mail])
    }


def _snapshot(
    bound: Bounds, known: attempts.Known, campaign: Campaign, contact: Contact, purpose: Purpose, *,
    consents: Mapping[str, attempts.Given], channel: Channel, promised: bool = False,
) -> Snapshot:
    return Snapshot(
        pack=bound.pack, phone=contact.phone, purpose=purpose, channel=channel, zones=bound.zones,
        subdivisions=bound.subdivisions,
        barred=[Barred(one.reason, one.until, one.channel) for one in known.barred],
        paused=campaign.paused and purpose is Purpose.commercial,
        consents=frozenset(consents), consented_at={what: one.at for what, one in consents.items()},
        taken_back=known.taken_back, customer_until=known.relation.signed_at, refused_at=known.relation.refused_at,
        countries=frozenset(campaign.countries or [campaign.country]),
        tries=[Try(one.at, Purpose(one.purpose), one.channel, one.with_call, one.busy) for one in known.tries],
        registers={
            # Of a file and an answer the newer one counts.
            one.register: Consulted(one.as_of, one.listed) for one in sorted(known.listed, key=lambda one: one.as_of)
        },
        asking=known.asking,
        caller_id=campaign.caller_id, promised=promised,
    )


def _relied_on(bound: Bounds, given: Sequence[attempts.Given], channel: Channel, now: datetime) -> attempts.Given:
    """The first of these consents that is not too old; where all are, the first."""
    def counts(one: attempts.Given) -> bool:
        ends = consent_ends(bound.pack, one.at, channel, bound.subdivisions)
        return ends is None or (ends[1] is not None and now <= ends[1])

    return next((one for one in given if counts(one)), given[0])


def _as_one(pack: Pack) -> timedelta:
    """For how long after it an announced call is one try with its announcement."""
    return timedelta(hours=pack.announcement.within_hours if pack.announcement is not None else 0)


def stranger(w: Writing, campaign: Campaign, phone: str) -> Contact:
    """Somebody of whom nothing but his number is known, to ask about. He is not stored."""
    nobody = Contact(campaign_id=campaign.id, phone=phone, name="", locale="", created_at=w.now)
    nobody.id = 0
    return nobody


async def ask_guard(
    w: Writing, campaign: Campaign, contact: Contact, purpose: Purpose, lead_id: int | None = None,
    *, channel: str = "call", promised: bool = False, announced: int | None = None,
) -> Verdict:
    """The guard's answer now. Asked when planned, when reserved, and again by `permit` when it is done. `lead_id` is
    the request it is about: what was agreed to with it may have been taken back since. `promised`: a callback he was
    promised, which the house's own caps do not keep back. `announced`: the attempt of the text that announced it.
    Registers that are asked number by number are asked of this one from now on, where their answer is needed."""
    await w.session.flush()
    snapshot, _ = await look(
        w.session, campaign, contact, purpose, w.now, lead_id=lead_id, channel=channel, promised=promised,
        announced=announced,
    )
    verdict = may_contact(snapshot, w.now)
    await inquiring.want(w, snapshot, verdict)
    return verdict


async def after_announcing(w: Writing, campaign: Campaign, contact: Contact, lead_id: int, at: datetime) -> Verdict:
    """The guard's answer, as far as it is known now, about a commercial call at that moment (aware) which a text
    announces now."""
    await w.session.flush()
    snapshot, _ = await look(w.session, campaign, contact, Purpose.commercial, w.now, lead_id=lead_id)
    return may_contact(once_announced(snapshot, w.now), at)


def told(w: Writing, verdict: Verdict, campaign: Campaign, purpose: Purpose, **values: object) -> None:
    """Records an answer of the guard: a fact with the ids of its rules, and nothing of the person."""
    w.fact(
        f"guard.{verdict.word}", campaign_id=campaign.id, purpose=purpose.value, rules=list(verdict.rules),
        until=verdict.until.isoformat() if verdict.until else None, pack=verdict.detail.get("pack"), **values,  # type: ignore[arg-type]
    )


async def permit(
    w: Writing, campaign: Campaign, contact: Contact, *, channel: str, purpose: Purpose, lead_id: int | None,
    promised: bool = False, announced: int | None = None,
) -> tuple[Attempt, Verdict]:
    """Asks the guard at the moment of doing it and records the answer, in one transaction under a lock on the number.

    An allowed attempt reserves its place in the number's caps, and names the receipt of the consent it relies on. The
    row's id must stand on the delivery: the database refuses a delivery to a customer without one.
    """
    await w.session.flush()
    await suppressing.lock(w, contact)
    snapshot, given = await look(
        w.session, campaign, contact, purpose, w.now, lead_id=lead_id, channel=channel, promised=promised,
        announced=announced,
    )
    verdict = may_contact(snapshot, w.now)
    relied_on = given.get(purpose.value) if verdict.allowed else None
    attempt = Attempt(
        campaign_id=campaign.id, lead_id=lead_id, phone=contact.phone, channel=channel, purpose=purpose.value,
        verdict=verdict.word, rules=list(verdict.rules), detail=verdict.detail, at=w.now, contact_id=contact.id,
        receipt_id=relied_on.receipt_id if relied_on else None, announced_by=announced,
    )
    w.session.add(attempt)
    await w.session.flush()
    told(w, verdict, campaign, purpose, lead_id=lead_id, subject_id=attempt.id, channel=channel)
    return attempt, verdict


async def still_permitted(w: Writing, delivery: Delivery) -> Verdict | None:
    """What a customer's delivery is told directly before it leaves: None, or the guard's answer that forbids it now.

    Between the permission and this moment he may have said stop, or its hour may have passed while the carrier or we
    were away. Who says stop holds the same locks: either this saw it, or it left before. The attempt's own place in the
    caps is not counted against itself; one that leaves late counts from when it leaves.
    """
    if not delivery.to_customer or delivery.attempt_id is None:
        return None
    attempt = vouched(await w.session.get(Attempt, delivery.attempt_id))
    if attempt.contact_id is None:
        return None  # made before persons were kept with it
    contact = vouched(await w.session.get(Contact, attempt.contact_id))
    campaign = vouched(await w.session.get(Campaign, attempt.campaign_id))
    await suppressing.lock(w, contact)
    purpose = Purpose(attempt.purpose)
    snapshot, _ = await look(
        w.session, campaign, contact, purpose, w.now, lead_id=attempt.lead_id, channel=attempt.channel,
        announced=attempt.announced_by,
    )
    mine = Try(attempt.at, purpose, attempt.channel)
    others = list(snapshot.tries)
    if mine in others:
        others.remove(mine)
    late = w.now - attempt.at > LATE
    # Until then others were counted with this one's place kept, so they say nothing against it.
    verdict = may_contact(replace(snapshot, tries=others if late else ()), w.now)
    if verdict.allowed:
        if late and purpose is Purpose.commercial:
            attempt.at = w.now
        return None
    told(w, verdict, campaign, purpose, lead_id=attempt.lead_id, subject_id=attempt.id, channel=attempt.channel,
         when="start", what=DeliveryKind(delivery.kind).value)
    return verdict


async def refund(w: Writing, attempt_id: int) -> None:
    """The try never reached a telephone: its place in the caps, and today's money, are free again."""
    attempt = await w.session.locked(Attempt, attempt_id)
    if attempt is None or attempt.refunded_at is not None:
        return
    attempt.refunded_at = w.now
    await w.session.flush()
    campaign = vouched(await w.session.get(Campaign, attempt.campaign_id))
    if attempt.at.date() == w.now.date():
        cost = {"call": LEG_COST, "mail": 0}.get(attempt.channel, MESSAGE_COST)
        scopes = await budgets.scopes_of(
            w.session, campaign, attempt.phone, lead_id=attempt.lead_id, at=attempt.at
        )
        w.spend(-cost, scopes)


async def lives_by(
    w: Writing, contact: Contact, zone: str, source: ZoneSource, *, agent_id: int | None = None
) -> bool:
    """Somebody says by which clock the person lives. A weaker word than the one we have changes nothing: False.

    Raises Invalid for what is no zone anybody lives in.
    """
    if not inhabited(zone):
        raise Invalid("This is not one of the choices.", pointer="/zone")
    had = CONFIDENCE[ZoneSource(contact.zone_source or "none")]
    if CONFIDENCE[source] < had or (contact.zone, contact.zone_source) == (zone, source.value):
        return False
    before = contact.zone_source
    contact.zone, contact.zone_source = zone, source.value
    await w.session.flush()
    w.fact("contact.zoned", campaign_id=contact.campaign_id, subject_id=contact.id, agent_id=agent_id,
           zone=zone, source=source.value, before=before)
    return True


async def lives_at(
    w: Writing, contact: Contact, country: str, postcode: str, *, subdivision: str = "", agent_id: int | None = None
) -> None:
    """Where he lives, as far as an address says: his country (ISO 3166) and postcode, and what follows for his clock
    and his holidays."""
    contact.country, contact.postcode = country, postcode
    contact.subdivision = subdivision or part_of(country, postcode)
    zone = of_address(country, contact.subdivision, postcode)
    await w.session.flush()
    w.fact("contact.placed", campaign_id=contact.campaign_id, subject_id=contact.id, agent_id=agent_id,
           country=country, subdivision=contact.subdivision)
    if one_clock(zone):
        await lives_by(w, contact, zone[0], ZoneSource.address, agent_id=agent_id)
