"""Copying: the offer to read, by e-mail. It holds no link: only the telephone it was made out to can sign."""

from router.actions import quoting, talking
from router.actions.inviting import amount
from router.actions.talking import Letter, Paper
from router.book import Writing
from router.model.base import vouched
from router.model.errors import Conflict
from router.model.guard import Purpose
from router.model.phone import masked
from router.model.quotes import OPEN, Quote
from router.store import addresses, quotes
from router.wording import wording

COPY = "offer_copy"
SUBJECT = "Your offer %(number)s"
PARAGRAPHS = (
    "Here is your offer %(number)s over %(amount)s, to read at leisure.",
    "Nothing is signed by this mail. If you want the offer, open the link in the message we sent to the telephone "
    "%(phone)s.",
)


async def mail(w: Writing, *, quote_id: int, agent_id: int) -> Quote:
    """Sends the frozen offer as a PDF to the person's own address. Raises NotFound, Forbidden, Conflict when there is
    nothing to be sent, NotAllowedNow when he may not be written to."""
    await quoting.own(w.session, quote_id, agent_id)
    quote = vouched(await w.session.locked(Quote, quote_id))
    if quote.state not in OPEN or quote.pdf_sha256 is None:
        raise Conflict("This offer cannot be sent again.")
    found = vouched(await quotes.parties(w.session, quote.lead_id))
    address = await addresses.address_of(w.session, found.contact.id)
    if not address:
        raise Conflict("No e-mail address of this person is known.")
    values = {"number": quote.number, "amount": amount(quote), "phone": masked(found.contact.phone)}
    say = wording().say
    letter = Letter(
        "letter", COPY, Purpose.service, f"{COPY}:{quote.id}:{w.now.isoformat()}",
        values={"subject": say(SUBJECT, quote.locale, **values),
                "paragraphs": [say(one, quote.locale, **values) for one in PARAGRAPHS]},
        papers=[Paper(f"{quote.number}-{quote.version}.pdf", "application/pdf", quote.pdf_sha256)],
    )
    await talking.send_mail(w, found.campaign, found.contact, address, letter, lead_id=quote.lead_id)
    w.fact("quote.mailed", campaign_id=quote.campaign_id, lead_id=quote.lead_id, subject_id=quote.id,
           agent_id=agent_id)  # fmt: skip
    w.hint(f"agent:{quote.agent_id}")
    return quote
