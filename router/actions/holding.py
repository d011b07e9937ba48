"""Holding: an offer that looks as if somebody else were signing it in its customer's place waits for a supervisor.

The seller is the likeliest to do so. What is held may be read; no code is sent for it, and nothing is signed.
"""

from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import Conflict
from router.model.holds import ALIKE_FROM, MOST_OFFERS, HoldReason, neighbourhood, within
from router.model.quotes import Quote
from router.model.signings import Signing
from router.model.vault import hash_token
from router.model.visitors import Visitor
from router.store import evidence, holds, signings

TRACE = "device-trace"
"""The vault's purpose for what tells browsers apart."""


async def examine(w: Writing, signing: Signing, visitor: Visitor | None = None) -> bool:
    """Looks at the offer, and at who has opened it; whether it is held now. Never raises: what was found must be
    committed."""
    locked = vouched(await w.session.locked(Signing, signing.id))
    quote = vouched(await w.session.get(Quote, locked.quote_id))
    found = await _looks(w, locked, visitor) if visitor is not None else await _sent(w, locked)
    fresh = await holds.add(w.session, quote.id, found, w.now)
    if fresh:
        await evidence.append(w.session, locked, w.now, "held", {"reasons": [reason.value for reason in fresh]})
        for reason in fresh:
            w.fact("hold.made", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
                   agent_id=quote.agent_id, reason=reason.value)  # fmt: skip
        w.hint("wallboard", f"signing:{locked.id}", f"agent:{quote.agent_id}")
    return bool(await holds.open_of(w.session, quote.id))


async def _sent(w: Writing, signing: Signing) -> list[HoldReason]:
    """What is odd about the number an offer is sent to."""
    talked = await holds.talked_to(w.session, signing.lead_id)
    odd = {
        HoldReason.our_number: await holds.is_an_agents(w.session, signing.phone),
        HoldReason.many_offers: await holds.offers_to(w.session, signing.phone, w.now) > MOST_OFFERS,
        HoldReason.other_number: talked is not None and talked != signing.phone,
    }
    return [reason for reason, holds_it in odd.items() if holds_it]


async def _looks(w: Writing, signing: Signing, visitor: Visitor) -> list[HoldReason]:
    """What is odd about the browser an offer is opened with."""
    campaign = vouched(await w.session.get(Campaign, signing.campaign_id))
    device, trace = hash_token(visitor.device) if visitor.device else b"", b""
    if near := neighbourhood(visitor.ip):
        trace = w.vault.mac(TRACE, near, visitor.as_data()["user_agent"])
    odd = {
        HoldReason.office_network: within(visitor.ip, campaign.office_networks),
        HoldReason.shared_device: bool(device) and await holds.others_on(w.session, signing.phone, device, w.now) > 0,
        HoldReason.alike: bool(trace)
        and await holds.others_alike(w.session, signing.phone, trace, w.now) >= ALIKE_FROM,
    }
    if device or trace:
        await holds.remember(w.session, signing.id, device, trace, w.now)
    return [reason for reason, holds_it in odd.items() if holds_it]


async def release(w: Writing, quote_id: int, agent_id: int) -> Signing:
    """A supervisor has looked at it: it may be signed. The signing, locked. Raises Conflict when nothing holds it (any
    more)."""
    live = await signings.live_of_quote(w.session, quote_id)
    signing = None if live is None else await w.session.locked(Signing, live.id)
    ended = await holds.end(w.session, quote_id, agent_id, w.now)
    if signing is None or not ended:
        raise Conflict("Nothing holds this offer any more.")
    reasons = [reason.value for reason in ended]
    await evidence.append(w.session, signing, w.now, "released", {"reasons": reasons, "agent": agent_id})
    quote = vouched(await w.session.get(Quote, quote_id))
    w.fact("hold.released", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote_id,
           agent_id=agent_id, reasons=reasons)  # fmt: skip
    w.hint("wallboard", f"signing:{signing.id}", f"agent:{quote.agent_id}")
    return signing
