"""Letters: what a cadence writes by e-mail, as sentences that are translated where they are sent. Values only."""

from typing import NamedTuple


class Words(NamedTuple):
    """A mail's subject, its one paragraph, and what stands on its button ("" for none)."""

    subject: str
    paragraph: str
    label: str = ""


_READ = "Read the offer"

LETTERS = {
    "offer_again": Words(
        "Your offer %(number)s",
        "Your offer %(number)s over %(amount)s waits for you. You can read it and sign it on this page.", _READ,
    ),
    "offer_ends": Words(
        "Your offer %(number)s ends on %(day)s", "Your offer %(number)s over %(amount)s ends on %(day)s.", _READ
    ),
    "offer_questions": Words(
        "Your offer %(number)s: any questions?",
        "Is something about your offer %(number)s unclear? Answer this mail, or call us at %(phone)s.", _READ,
    ),
    "goodbye": Words(
        "Your offer %(number)s",
        "We will not bother you any more about your offer %(number)s. Until %(day)s it is here for you.", _READ,
    ),
    "cart_waits": Words("Your cart", "What you were about to buy is still in your cart.", "To the cart"),
    "missed_you": Words(
        "We called you", "We called you and did not reach you. Call us when it suits you: %(phone)s."
    ),
    "how_is_it": Words(
        "Is everything as you wished?",
        "Thank you for your trust. If you need something more, answer this mail or call us at %(phone)s.",
    ),
}  # fmt: skip
"""By the name of the text, as `router.model.cadence_rules.TEXTS` has them."""

ALONE = frozenset({"offer_questions", "offer_ends"})
"""Letters about an offer that say enough without a link to it: of an offer made elsewhere we have none."""
