"""Clicking: what visitors press on a landing page that leads out of it, to a telephone or to WhatsApp."""

from router.book import Writing
from router.model.rates import Counted, Limit, full, scopes
from router.store import rates
from router.store.sites import Landing

OF_NETWORK = Limit(30, 600)
OF_SITE = Limit(3_000, 600)
"""More clicks than these tell nothing: they are people's, and a page that is pressed by a program counts to here."""


async def clicked(w: Writing, landing: Landing, action: str, network: str) -> bool:
    """Records the click as a fact of its site, unless there were too many; whether it was. `network` (an HMAC, never
    an address) is whose clicks are counted together. They count for nothing else: who clicks may still ask for a call.
    """
    counted = (
        Counted("click", f"click:{network}", OF_NETWORK),
        Counted("click_site", f"click_site:{landing.site.id}", OF_SITE),
    )
    standing, _ = await rates.draw(w.session, scopes([counted]), w.now)
    if full(counted, standing) is not None:
        await rates.give_back(w.session, {one.scope: 1 for one in counted})
        return False
    w.fact("site.clicked", campaign_id=landing.campaign.id, subject_id=landing.site.id, action=action)
    return True
