"""The express request that a service begins while its customer may still withdraw: a box of its own, never ticked
beforehand, and without it the service begins later."""

import hashlib
import re
from dataclasses import replace

import pytest

from integrations.trust import EmbeddedTrust
from router import printing
from router.actions import bundling, revoking, sealing, signing
from router.actions.quoting import Besides
from router.book import Book
from router.model import bundles
from router.model.offers import WITHDRAWAL_DAYS, canonical
from router.model.signings import EXPRESS, Signing, asked_for
from router.model.terms import Agreed
from router.store import evidence
from router.web.sales import _begins
from router.wording import LOCALES, wording
from tests import closing
from tests.closing import CUSTOMER
from tests.conftest import Clock
from tests.model.test_fitness import FULL, speaker
from tests.web.customer import visiting

EARLY = Besides(Agreed(starts_in_days=3, express=True))
SIGNED = {"name": "Carmen Ruiz", "consent_offer": "yes", "consent_data": "yes"}
BOX = re.compile(r'<input type="checkbox" id="consent_express"[^>]*>')


async def ids(book: Book, held: Signing) -> tuple[list[str], list[str]]:
    """The consents asked for and those given, as the evidence of the signature has them."""
    async with book.reading() as r:
        events = await evidence.of_signing(r.session, held.id)
    data = next(event.data for event in events if event.kind == "signed")
    return data["asked"], [one["id"] for one in data["consents"]]


@pytest.mark.parametrize("ticked", [True, False])
async def test_where_the_service_begins_early_a_box_asks_for_it_and_is_not_ticked(book: Book, ticked: bool) -> None:
    _, held = await closing.sent(book, besides=EARLY)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        await browser.post("/q/-/code")
        await browser.post("/q/-/give", {"code": await closing.code(book)})
        (box,) = BOX.findall(browser.page)
        assert "checked" not in box
        assert "required" not in box
        assert 'aria-describedby="express-without"' in box
        assert "Si la deja sin marcar" in browser.page
        wrong = await browser.post("/q/-/sign", {"name": "", **({"consent_express": "yes"} if ticked else {})})
        assert wrong.status == 422
        (box,) = BOX.findall(browser.page)
        assert ("checked" in box) is ticked
        await browser.post("/q/-/sign", {**SIGNED, **({"consent_express": "yes"} if ticked else {})})
        assert "Ha firmado" in browser.page
    done = await closing.now(book, held)
    assert done.begins_early is ticked
    asked, given = await ids(book, held)
    assert EXPRESS in asked
    assert (EXPRESS in given) is ticked
    assert _begins(await closing.quote_of(book, held), done) == ("early" if ticked else "later")
    for one in done.consents:
        assert one["sha256"] == hashlib.sha256(one["text"].encode()).hexdigest()
    told = [one["text"] for one in done.consents if one["id"] == EXPRESS]
    assert len(told) == ticked
    assert all(f"los {WITHDRAWAL_DAYS} días" in text and "no podré desistir" in text for text in told)


async def test_an_offer_that_begins_later_asks_for_nothing_and_takes_no_such_consent(book: Book) -> None:
    held = await closing.verified(book)
    async with visiting(book) as browser:
        await browser.get("/q/-")
        assert "consent_express" not in browser.page
    async with book.writing() as w:
        done = await signing.sign(w, held, "Carmen Ruiz", (*closing.CONSENTS, EXPRESS), CUSTOMER)
    assert not done.begins_early
    asked, given = await ids(book, held)
    assert EXPRESS not in (*asked, *given)
    assert _begins(await closing.quote_of(book, held), done) == ""


def test_a_third_party_has_no_box_so_its_document_says_the_request_itself() -> None:
    ours, theirs = (
        {line["item"]: line["value"] for line in canonical(replace(FULL, signed_with=other), speaker("es"))}
        for other in ("", "DocuSeal")
    )
    assert "later_start" in ours
    assert "later_start" not in theirs
    assert ours["express"] != theirs["express"]
    assert EXPRESS not in [one.id for one in asked_for([{"item": item} for item in theirs])]


@pytest.mark.parametrize("ticked", [True, False])
async def test_who_withdraws_owes_only_what_he_expressly_asked_for(book: Book, clock: Clock, ticked: bool) -> None:
    consents = (*closing.CONSENTS, *([EXPRESS] if ticked else []))
    held = await closing.signed(book, besides=EARLY, consents=consents)
    made = await revoking.withdraw(book, held.id, CUSTOMER)
    after = made.lines[-1]["value"]
    assert ("a petición expresa suya" in after) is ticked
    assert ("en proporción" in after) is ticked


async def test_certificate_and_bundle_hold_its_exact_words(book: Book, trust: EmbeddedTrust) -> None:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    held = await closing.sealed(book, trust, besides=EARLY, consents=(*closing.CONSENTS, EXPRESS))
    files = bundles.unpack((await bundling.make(book, trust, held.id)).content)
    text = next(one["text"] for one in held.consents if one["id"] == EXPRESS)
    assert text.startswith("Pido expresamente")
    assert files["consents/express.txt"].decode() == text
    assert bundles.disagreements(files) == []
    assert printing.squeezed(text) in printing.words(files["certificate.pdf"])


@pytest.mark.parametrize("locale", LOCALES)
def test_it_is_asked_for_in_every_language(locale: str) -> None:
    (one,) = [one for one in asked_for([{"item": "later_start"}]) if one.id == EXPRESS]
    said = wording().say(one.text, locale) % {"days": WITHDRAWAL_DAYS, "company": "x"}
    assert "14" in said
    assert locale == LOCALES[0] or said != one.text % {"days": WITHDRAWAL_DAYS}
    assert wording().say(one.without, locale)
