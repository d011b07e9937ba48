"""Suppressing: whom not to contact any more, why, and how far that reaches. It counts from its commit, in every
replica: the guard reads it in the very transaction that would contact him, under the same locks."""

from collections.abc import Sequence
from datetime import datetime

from router.book import Writing
from router.model.base import vouched
from router.model.calls import Call, Leg
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Invalid
from router.model.suppressions import INVALID_SOFT, REACHES, About, Suppression
from router.store import number_searches, suppressions

BY_HAND = ("asked", "complaint", "legal_hold")
"""What a supervisor may write down of a person himself."""


async def lock(w: Writing, contact: Contact) -> None:
    """Takes the locks under which the guard asks about this person and his number; always in this order."""
    person = f"person:{contact.merged_into or contact.id}"
    await w.session.lock_words([person, contact.phone] if contact.phone else [person])


async def suppress(
    w: Writing, contact: Contact, reason: str, *, lead_id: int | None = None, agent_id: int | None = None,
    channel: str = "",
) -> None:
    """From this commit on the guard denies what the reason concerns: the number, the person, or the two together.

    `channel` narrows it to one. Who gave no number has none to be denied; his person can be.
    """
    scope = REACHES[reason]
    persons = {contact.id: contact.merged_into or contact.id}
    if scope.about is About.both and contact.phone:
        # Whoever has his number with another brand is he.
        for known in await suppressions.with_number(w.session, contact.phone):
            other = vouched(await w.session.get(Contact, known))
            persons[other.id] = other.merged_into or other.id
    roots = [f"person:{root}" for root in sorted(set(persons.values()))]
    await w.session.lock_words([*roots, contact.phone] if contact.phone else roots)
    until = w.now + scope.lasts if scope.lasts else None
    for phone, person in _rows(contact, scope.about, sorted(persons)):
        w.session.add(Suppression(
            phone=phone, contact_id=person, reason=reason, created_at=w.now, until=until,
            channel=channel or scope.channel,
        ))
    w.fact("contact.suppressed", campaign_id=contact.campaign_id, lead_id=lead_id, subject_id=contact.id,
           agent_id=agent_id, reason=reason, channel=channel or scope.channel, until=_said(until))
    await number_searches.look_again(w.session, sorted(persons), w.now)


def _rows(contact: Contact, about: About, persons: Sequence[int]) -> list[tuple[str, int | None]]:
    """What is written down: number and contact of each row."""
    number, person, pair = (contact.phone, None), ("", contact.id), (contact.phone, contact.id)
    rows: dict[About, list[tuple[str, int | None]]] = {
        About.number: [number], About.person: [person], About.pair: [pair],
        About.both: [number, *(("", one) for one in persons)],
    }
    return [row for row in rows[about] if row[0] or (row[1] and about is not About.pair)]


def _said(until: datetime | None) -> str | None:
    return until.isoformat() if until else None


async def suppress_number(w: Writing, phone: str, reason: str, *, channel: str = "", told: str = "") -> None:
    """The same for a number (E.164) that belongs to several persons, or to none we know. `told` is the channel by which
    it was said."""
    known = await suppressions.with_number(w.session, phone)
    contacts = [vouched(await w.session.get(Contact, one)) for one in known]
    roots = sorted({one.merged_into or one.id for one in contacts})
    await w.session.lock_words([*(f"person:{root}" for root in roots), phone])
    scope = REACHES[reason]
    until = w.now + scope.lasts if scope.lasts else None
    persons: list[tuple[str, int | None]] = [("", one.id) for one in contacts] if scope.about is About.both else []
    for number, person in [(phone, None), *persons]:
        w.session.add(Suppression(
            phone=number, contact_id=person, reason=reason, created_at=w.now, until=until,
            channel=channel or scope.channel,
        ))
    w.fact("contact.suppressed", reason=reason, channel=told, until=_said(until))
    await number_searches.look_again(w.session, known, w.now)


async def by_supervisor(w: Writing, contact: Contact, reason: str, agent_id: int) -> None:
    """A supervisor writes down what a person said elsewhere. Raises Invalid for what is not his to say."""
    if reason not in BY_HAND:
        raise Invalid("This is not one of the choices.", pointer="/reason")
    await suppress(w, contact, reason, agent_id=agent_id)


async def lift(w: Writing, suppression_id: int, agent_id: int) -> None:
    """A supervisor takes one back. Raises Conflict when it is lifted already."""
    lifted = await suppressions.lift(w.session, suppression_id, agent_id, w.now)
    if lifted is None:
        raise Conflict("This has been lifted already.")
    w.fact("contact.resumed", subject_id=lifted.contact_id, agent_id=agent_id, reason=lifted.reason,
           suppression=lifted.id)


async def nobody_there(w: Writing, delivery: Delivery) -> None:
    """The carrier says for certain that there is nobody at this number: it is not tried again on this channel."""
    phone = str(delivery.order.get("to", ""))
    if not delivery.to_customer or not phone:
        return
    channel = "call" if delivery.kind is DeliveryKind.leg else str(delivery.order.get("channel", "sms"))
    await suppress_number(w, phone, "invalid", channel=channel)


async def not_reached(w: Writing, leg: Leg) -> None:
    """A customer's leg failed before it rang. So many in a row, and there is nobody at this number."""
    if not leg.came_in and await suppressions.failures_in_a_row(w.session, leg.address, INVALID_SOFT):
        await suppress_number(w, leg.address, "invalid", channel="call")


async def dropped(w: Writing, call: Call, leg: Leg) -> None:
    """The person answered, and nobody of ours was there: his number rests."""
    await suppress_number(w, leg.address, "dropped_call")
    w.fact("silence.answered", lead_id=call.lead_id, subject_id=call.id, agent_id=call.agent_id)
