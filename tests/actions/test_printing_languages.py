"""The offer is printed in every language: the font draws it, and the paper says what the page says."""

import pytest

from router import printing
from router.actions.offering import Speaker
from router.model.offers import canonical
from router.wording import LOCALES
from tests.model.test_offers import OFFER


@pytest.mark.parametrize("locale", LOCALES)
def test_an_offer_is_printed_word_for_word_in_every_language(locale: str) -> None:
    lines = canonical(OFFER, Speaker(locale, "EUR", "Europe/Madrid"))
    assert not printing.undrawable("".join(line["label"] + line["value"] for line in lines))
    assert printing.offer(lines, locale, "Luz Clara SL", OFFER.written_at).startswith(b"%PDF-")
