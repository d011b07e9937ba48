"""Bouncing: an address that takes no mail is written to no more."""

from router.book import Writing
from router.store import addresses

BOUNCED = "bounced"


async def bounced(w: Writing, address: str) -> bool:
    """The address takes no mail, says a mail server: nobody of any campaign writes to it again. False when that was
    known."""
    fresh = await addresses.suppress(w.session, address, BOUNCED, w.now)
    if fresh:
        w.fact("contact.suppressed", reason=BOUNCED, channel="mail")
    return fresh
