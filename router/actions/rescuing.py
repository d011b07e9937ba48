"""Rescuing: carts that rest and orders that cannot be paid become leads; what is bought meanwhile is left alone.

A shop's words come twice, late and in any order. They only ever add up: names are joined, the newest contents win by
the shop's own clock, and of what became of a cart the furthest counts (`router.model.carts`). So any order of the same
words ends in the same cart.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from router.actions import guarding, inquiring, nurturing, presence
from router.actions.dispatch import RESERVATION_EXPIRE
from router.actions.intake import TASK_DUE
from router.actions.taking import common, given, number, source, take_in, uncallable
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.carts import (
    CART_DUE,
    CONSENT,
    DELAY_MINUTES,
    NO_BASIS,
    STALE_AFTER,
    Cart,
    CartState,
    basis_of,
    rank,
)
from router.model.connectors import Connector
from router.model.guard import PENDING_REST, Purpose, is_pending, may_contact, next_open
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Lead
from router.model.tasks import TIER_FRESH, Reservation, ReservationState, Task, TaskState
from router.ports import CartChange, CartMoved, Phone
from router.store import alarms, carts, connectors, leads
from router.store.connectors import Opening
from router.wording import negotiate

_ENDS = {CartChange.withdrawn: CartState.withdrawn, CartChange.ordered: CartState.ordered}
_NOTHING: dict[str, Any] = {"contents": {}, "lines": [], "total_minor": 0, "url": "", "digest": "", "changed_at": None}
"""What is kept of a person's cart once it needs no help: nothing."""


async def moved(w: Writing, connector: Connector, told: CartMoved) -> None:
    """One word of the shop about a cart."""
    names = list(dict.fromkeys(told.names))
    for name in sorted(names):
        await w.session.lock_word(f"cart:{connector.id}:{name}")
    known = list(await carts.of_names(w.session, connector.id, names))
    ended = max((one.state for one in known if one.state in _ENDS.values()), key=list(CartState).index, default=None)
    to = _ENDS.get(told.change)
    furthest = max((one for one in (ended, to) if one), key=list(CartState).index, default=None)
    if not known:
        known = [_made(w, connector, names)]
        await w.session.flush()
    for cart in known:
        cart.names = sorted({*cart.names, *names})
    await w.session.flush()
    if furthest is None:
        await _changed(w, connector, known[0], told)
    else:
        for cart in known:
            await _end(w, cart, furthest)


def _made(w: Writing, connector: Connector, names: list[str]) -> Cart:
    cart = Cart(
        connector_id=connector.id, campaign_id=connector.campaign_id, external_id=names[0], names=names,
        state=CartState.open, seen_at=w.now,
    )
    w.session.add(cart)
    return cart


async def _changed(w: Writing, connector: Connector, cart: Cart, told: CartMoved) -> None:
    """Takes over the newest contents; the cart rests anew from here."""
    contents = {
        "phones": [[one.written, one.country] for one in told.phones], "name": told.name, "email": told.email,
        "locale": told.locale, "accepts": list(told.accepts), "source": dict(told.source), "order": told.order,
    }
    lines = [{"label": one.label, "quantity": one.quantity, "minor": one.minor} for one in told.lines]
    whole = msgspec.json.encode([contents, lines, told.total_minor, told.currency, told.url, told.incident])
    digest = hashlib.sha256(whole).hexdigest()
    if cart.state is CartState.expired or (cart.digest and rank(told.at, digest) <= cart.newest):
        return
    cart.contents, cart.lines, cart.total_minor, cart.currency = contents, lines, told.total_minor, told.currency
    cart.url, cart.incident, cart.changed_at, cart.digest = told.url, told.incident, told.at, digest
    cart.seen_at = w.now
    if cart.waits:
        delay = timedelta(minutes=connector.settings.get("delay_minutes", DELAY_MINUTES))
        cart.due_at = w.now + delay
        await alarms.set_alarm(w.session, CART_DUE, cart.id, cart.due_at)
    if cart.lead_id is not None:
        lead = vouched(await w.session.locked(Lead, cart.lead_id))
        lead.claims = {**lead.claims, **_goods(cart)}
        w.fact("cart.changed", campaign_id=cart.campaign_id, lead_id=cart.lead_id, subject_id=cart.id)
    await w.session.flush()


async def _end(w: Writing, cart: Cart, to: CartState) -> None:
    """Bought, or thrown away: nobody calls about it any more. A call that is being put through goes on."""
    await alarms.cancel(w.session, CART_DUE, cart.id, w.now)
    ended = await w.move(Cart, cart.id, to, due_at=None, **_NOTHING)
    if ended is not None and ended.lead_id is not None:
        await nurturing.lead_ended(w, ended.lead_id, f"cart_{to.value}")
    # Who has asked for a call himself meanwhile waits in this very task.
    if ended is not None and ended.task_id is not None and not await carts.others_wait(w.session, ended):
        await _withdraw(w, ended.task_id, f"cart_{to.value}")


async def _withdraw(w: Writing, task_id: int, reason: str) -> None:
    waiting = (TaskState.queued, TaskState.scheduled)
    values: dict[str, Any] = {"ended_at": w.now, "data": {"reason": reason}}
    if await w.move(Task, task_id, TaskState.withdrawn, frm=waiting, **values) is not None:
        await alarms.cancel(w.session, TASK_DUE, task_id, w.now)
        w.hint("wallboard")
        return
    ringing = await carts.ringing(w.session, task_id)
    # The agent may accept this very moment: the reservation's own state decides who was sooner.
    if ringing is None or await w.move(Reservation, ringing.id, ReservationState.canceled, ended_at=w.now) is None:
        return
    await alarms.cancel(w.session, RESERVATION_EXPIRE, ringing.id, w.now)
    gone = await w.move(
        Task, task_id, TaskState.withdrawn, frm=(TaskState.reserved,), agent_id=None, held_until=None, **values
    )
    if gone is not None:
        await presence.release(w, ringing.agent_id, gone.kind)


async def due(w: Writing, cart_id: int) -> None:
    """A cart has rested long enough (an alarm's handler): it becomes a lead, and a call if one is lawful."""
    cart = await w.session.locked(Cart, cart_id)
    if cart is None or not cart.waits:
        return
    if w.now - cart.seen_at > STALE_AFTER:
        await w.move(Cart, cart.id, CartState.expired, due_at=None, **_NOTHING)
        return
    place = vouched(await connectors.opening(w.session, cart.connector_id))
    phone = number(place.campaign, [Phone(written, country) for written, country in cart.contents.get("phones", [])])
    basis = basis_of(cart.incident, cart.contents.get("accepts", []), place.connector.settings.get("basis", ""))
    reason = uncallable(place.campaign, phone) or ("" if basis else NO_BASIS)
    when = None
    if not reason:
        reason, when = await _decent(w, place.campaign, phone, basis)
    if reason and cart.lead_id is not None:
        return
    await _rescue(w, place, cart, _Rescue(phone, basis, reason, when))


@dataclass(frozen=True)
class _Rescue:
    """Whom to call about a cart, and why that is lawful; or for what `reason` nobody is called. `when` (aware) is the
    first decent moment, None for now."""

    phone: str
    basis: str
    reason: str = ""
    when: datetime | None = None


async def _rescue(w: Writing, place: Opening, cart: Cart, plan: _Rescue) -> None:
    taken = await _lead(w, place, cart, plan)
    values: dict[str, Any] = {"lead_id": taken.lead_id, "task_id": taken.task_id, "reason": plan.reason, "due_at": None}
    if cart.state is CartState.open:
        data = {"reason": plan.reason, "basis": plan.basis}
        await w.move(Cart, cart.id, CartState.rescued, data=data, **values)
    else:
        for name, value in values.items():
            setattr(cart, name, value)
        await w.session.flush()


async def _decent(w: Writing, campaign: Campaign, phone: str, basis: str) -> tuple[str, datetime | None]:
    """Why this number must not be called at all, and until when a call has to wait: we begin it, so nobody is called at
    night, whatever its purpose. Who is in a place nobody knows waits until a person has chosen one."""
    purpose = Purpose.commercial if basis == CONSENT else Purpose.service
    contact = await leads.contact_of_number(w.session, campaign.id, phone) or guarding.stranger(w, campaign, phone)
    snapshot, _ = await guarding.look(w.session, campaign, contact, purpose, w.now)
    snapshot = replace(
        snapshot, paused=campaign.paused, consents=snapshot.consents | {purpose.value},
        consented_at={**snapshot.consented_at, purpose.value: w.now},
    )
    verdict = may_contact(snapshot, w.now)
    await inquiring.want(w, snapshot, verdict)
    if is_pending(verdict):
        return "", w.now + PENDING_REST
    if verdict.word == "deny" and verdict.rules != ("zone.unknown",):
        return verdict.rules[0], None
    at = verdict.until or w.now
    opens = next_open(snapshot.pack, snapshot.zones, at, subdivisions=snapshot.subdivisions) or at
    return "", opens if opens > w.now else None


async def _lead(w: Writing, place: Opening, cart: Cart, plan: _Rescue) -> Taken:
    # A second lead of the same cart is made when only later a number or a basis was told.
    key = f"cart:{cart.external_id}" + ("" if cart.lead_id is None else ":callable")
    contents, connector = cart.contents, place.connector
    agreed: tuple[Agreed, ...] = ()
    if plan.basis == CONSENT:
        settings = connector.settings
        agreed = (Agreed(("commercial",), settings.get("consent_text", ""), settings.get("consent_version", "1")),)
    claims = given({"name": contents.get("name"), "email": contents.get("email")})
    return await take_in(w, Wanted(
        **{**common(w, place, key), "method": "checkout"}, phone=plan.phone, name=contents.get("name", ""),
        locale=negotiate(contents.get("locale"), place.campaign.locale), intent=cart.intent, agreed=agreed,
        work=None if plan.reason else Work(tier=TIER_FRESH, due_at=plan.when), claims=claims | _goods(cart),
        source=source(connector, contents.get("source", {})) | ({"basis": plan.basis} if plan.basis else {}),
        client_at=cart.changed_at, page=str(contents.get("source", {}).get("page", "")),
    ), plan.reason)


def _goods(cart: Cart) -> dict[str, Any]:
    """What the agent sees of it."""
    goods = {
        "cart": {
            "id": cart.external_id, "total_minor": cart.total_minor, "currency": cart.currency, "lines": cart.lines,
            "url": cart.url,
        }
    }
    if not cart.incident:
        return goods
    return goods | {
        "incident": {"reason": cart.incident, "order": cart.contents.get("order", ""), "url": cart.url}
    }
