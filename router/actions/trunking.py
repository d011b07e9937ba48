"""Trunking: when calls on a line fail at the carrier one after the other, dialling on it pauses, and is tried again.

What waits is no try of its person's: nothing is counted, nobody is rung for nothing. What calls us, and what is
written, goes on.
"""

from datetime import datetime

from router.book import Writing
from router.model.campaigns import Campaign
from router.model.pausing import TRY_TAKES
from router.model.trunks import FAILURES, WITHIN, Trunk
from router.store import trunks


async def closed_until(w: Writing, campaign: Campaign) -> datetime | None:
    """Until when nobody is dialled on the campaign's line; None when somebody may be. After a pause whoever asks first
    is the one who tries."""
    trunk = await trunks.failing_one(w.session, campaign.caller_id)
    if trunk is None:
        return None
    until = trunk.closed_until(w.now)
    if until is None:
        trunk.trying_until = w.now + TRY_TAKES
        await w.session.flush()
        _told(w, "trunk.tried", trunk, campaign)
    return until


async def failed(w: Writing, campaign: Campaign) -> datetime | None:
    """A number could not be dialled; until when dialling pauses, if it does."""
    trunk = await trunks.locked(w.session, campaign.caller_id)
    if trunk.failing_since is None:
        if await trunks.failed(w.session, campaign.caller_id, w.now - WITHIN) < FAILURES:
            return None
    elif trunk.paused_until is not None and trunk.paused_until > w.now:
        return trunk.paused_until  # it was dialled before the pause
    until = trunk.pause(w.now)
    await w.session.flush()
    _told(w, "trunk.paused", trunk, campaign, until=until.isoformat(), pauses=trunk.pauses)
    return until


async def works(w: Writing, campaign: Campaign) -> None:
    """Somebody was reached, or his telephone was found busy or rang: the line is as it should be."""
    trunk = await trunks.failing_one(w.session, campaign.caller_id)
    if trunk is None:
        return
    trunk.go_on()
    await w.session.flush()
    _told(w, "trunk.works", trunk, campaign)
    w.hint("dispatch")


def _told(w: Writing, kind: str, trunk: Trunk, campaign: Campaign, **said: str | int) -> None:
    w.fact(kind, campaign_id=campaign.id, subject_id=trunk.id, lead_id=None, agent_id=None, **said)
    w.hint("wallboard")
