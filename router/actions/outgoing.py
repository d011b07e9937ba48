"""Outgoing: what leaves the house is a row first. The courier carries it."""

from typing import Any

from router.book import Writing
from router.model.calls import Call, Leg
from router.model.deliveries import Delivery, DeliveryKind
from router.model.signings import Signing
from router.model.stations import LONGEST_LEG, Station
from router.model.vault import new_token
from router.store import deliveries


async def post(w: Writing, kind: DeliveryKind, dedupe_key: str, order: dict[str, Any], **columns: Any) -> Delivery:
    """Queues an effect, due at once. `dedupe_key` makes it once: the database refuses a second row."""
    delivery = Delivery(
        kind=kind, ref=new_token(), dedupe_key=dedupe_key, order=order, due_at=w.now, created_at=w.now,
        **{"to_customer": False, **columns},
    )
    w.session.add(delivery)
    await w.session.flush()
    w.fact(
        "delivery.pending", campaign_id=delivery.campaign_id, lead_id=delivery.lead_id, subject_id=delivery.id,
        what=kind.value, purpose=delivery.purpose,
    )
    w.hint("courier")
    return delivery


async def post_about(
    w: Writing, signing: Signing, kind: DeliveryKind, dedupe_key: str, purpose: str,
    order: dict[str, Any] | None = None, **columns: Any,
) -> Delivery:
    """Queues an effect that is about a signing."""
    return await post(
        w, kind, dedupe_key, order or {}, campaign_id=signing.campaign_id, lead_id=signing.lead_id,
        signing_id=signing.id, purpose=purpose, **columns,
    )


async def place_leg(
    w: Writing, call: Call, caller_id: str, role: str, address: str, *, ring_seconds: int, attempt_id: int | None = None
) -> Leg:
    """Records a leg and queues its placing. A customer's leg needs the guard's attempt, and ends the room when it
    leaves, unless the agent stays on the line there."""
    leg = Leg(call_id=call.id, role=role, ref=new_token(), address=address, created_at=w.now)
    w.session.add(leg)
    await w.session.flush()
    order = {
        "ref": leg.ref, "room": call.room, "room_ref": call.room_ref, "role": role, "to": address,
        "caller_id": caller_id, "ring_seconds": ring_seconds,
        "ends_room": role == "customer" and call.station_id is None, "shared_room": call.station_id is not None,
    }
    await post(
        w, DeliveryKind.leg, f"leg:{leg.id}", order, to_customer=role == "customer", lead_id=call.lead_id,
        call_id=call.id, leg_id=leg.id, attempt_id=attempt_id, station_id=call.station_id,
    )
    return leg


async def place_standing_leg(w: Writing, station: Station, caller_id: str, *, ring_seconds: int) -> None:
    """Queues the call to the telephone of an agent who means to stay on the line."""
    order = {
        "ref": station.ref, "room": station.room, "room_ref": station.room_ref, "role": "agent", "to": station.address,
        "caller_id": caller_id, "ring_seconds": ring_seconds, "ends_room": False, "shared_room": True,
        "longest_seconds": int(LONGEST_LEG.total_seconds()),
    }
    await post(w, DeliveryKind.leg, f"station:{station.id}", order, station_id=station.id)


async def end_station(w: Writing, station: Station) -> None:
    """Hangs up everybody in the station's room, once."""
    order = {"room": station.room}
    await post(w, DeliveryKind.end_room, f"end_room:station:{station.id}", order, station_id=station.id)


async def end_standing_leg(w: Writing, station: Station) -> None:
    """Hangs up the agent's own telephone alone. Asked again, it changes nothing."""
    order, once = {"carrier_id": station.carrier_id}, f"end_leg:station:{station.id}"
    if station.carrier_id and not await deliveries.known(w.session, once):
        await post(w, DeliveryKind.end_leg, once, order, station_id=station.id)


async def end_room(w: Writing, call: Call, why: str = "ended") -> None:
    """Hangs up everybody in the call's room, once for each reason. It may be done twice without harm."""
    order = {"room": call.room}
    await post(w, DeliveryKind.end_room, f"end_room:{call.id}:{why}", order, lead_id=call.lead_id, call_id=call.id,
               station_id=call.station_id)


async def end_leg(w: Writing, call: Call, leg: Leg) -> None:
    """Hangs up one leg. Asked again, it changes nothing."""
    order, once = {"carrier_id": leg.carrier_id}, f"end_leg:{leg.id}"
    if not await deliveries.known(w.session, once):
        await post(w, DeliveryKind.end_leg, once, order, lead_id=call.lead_id, call_id=call.id,
                   station_id=call.station_id)


async def hold(w: Writing, call: Call, leg: Leg, on: bool) -> None:
    """Puts one leg on hold, or takes it back."""
    order = {"room": call.room, "carrier_id": leg.carrier_id, "on": on}
    await post(w, DeliveryKind.hold, f"hold:{new_token()}", order, lead_id=call.lead_id, call_id=call.id,
               station_id=call.station_id)


async def fetch_caller(w: Writing, call: Call, carrier_id: str, ref: str, address: str) -> Leg:
    """Records the leg of a caller who waits on the line, and queues his being put into the call's room."""
    leg = Leg(
        call_id=call.id, role="customer", ref=new_token(), address=address, created_at=w.now, carrier_id=carrier_id,
        came_in=True,
    )
    w.session.add(leg)
    await w.session.flush()
    order = {
        "carrier_id": carrier_id, "ref": ref, "room": call.room, "room_ref": call.room_ref,
        "ends_room": call.station_id is None,
    }
    await post(
        w, DeliveryKind.put_through, f"put_through:{leg.id}", order, lead_id=call.lead_id, call_id=call.id,
        leg_id=leg.id, station_id=call.station_id,
    )
    return leg
