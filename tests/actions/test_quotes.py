"""Quoting: written by who may, frozen once, sent once."""

import asyncio
import hashlib
import re
from typing import Any

import pytest
from sqlalchemy import func, select, text

from router.actions import quoting, signing
from router.book import Book
from router.model import offers
from router.model.agents import Role
from router.model.alarms import Alarm, AlarmState
from router.model.deliveries import Delivery
from router.model.errors import Conflict, Forbidden, Invalid, ManyInvalid, NotAllowedNow, NotFound
from router.model.facts import Fact
from router.model.money import Line
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.suppressions import Suppression
from router.model.vault import hash_token
from router.store import blobs
from tests import closing, making
from tests.conftest import Clock


async def count(book: Book, noun: type[Any]) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(noun)) or 0


async def test_a_sent_offer_is_frozen_with_its_words_its_pdf_and_their_hashes(book: Book) -> None:
    sale, held = await closing.sent(book)
    quote = await closing.quote_of(book, held)
    assert (quote.state, quote.customer) == (QuoteState.sent, "Carmen Ruiz")
    assert re.fullmatch(r"2026-\d{4,}", quote.number)
    assert (quote.total_month, quote.total_once) == (2990, 4901)
    assert quote.canonical is not None
    assert quote.canonical_sha256 == offers.digest(quote.canonical)
    async with book.reading() as r:
        pdf = await blobs.content(r.session, quote.pdf_sha256)
    assert pdf is not None
    assert hashlib.sha256(pdf).digest() == quote.pdf_sha256
    assert (held.state, held.phone, held.expires_at) == (SigningState.created, sale.phone, quote.valid_until)


async def test_the_link_stands_in_the_encrypted_text_alone(book: Book) -> None:
    _, held = await closing.sent(book)
    token = await closing.token(book)
    assert held.link_hash == hash_token(token)
    async with book.reading() as r:
        delivery = await r.session.scalar(select(Delivery).where(Delivery.purpose == "offer"))
        facts = await r.session.scalars(select(Fact))
    assert delivery is not None
    assert "[link]" in delivery.shown_text
    assert token not in delivery.shown_text + str(delivery.order) + "".join(str(fact.data) for fact in facts)
    assert f"{book.public_url}/q/{token}" in (await closing.texts(book, "offer"))[0]


async def test_alarms_are_set_for_the_quiet_and_for_the_end(book: Book, clock: Clock) -> None:
    _, held = await closing.sent(book)
    async with book.reading() as r:
        alarms = await r.session.scalars(select(Alarm).where(Alarm.state == AlarmState.pending))
    subjects = {alarm.kind: alarm.subject_id for alarm in alarms}
    assert subjects == {"quote.check": held.quote_id, "signing.expire": held.id, "signing.unheard": held.id}
    assert (await closing.quote_of(book, held)).idle_base == clock.now


async def test_sending_twice_is_the_same_offer(book: Book) -> None:
    sale, held = await closing.sent(book)
    again = await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    assert again.id == held.id
    assert (await count(book, Signing), await count(book, Delivery)) == (1, 1)


async def test_two_clicks_on_send_at_once_make_one_signing_and_one_text(book: Book) -> None:
    sale = await closing.drafted(book)
    both = await asyncio.gather(*(quoting.send_offer(book, sale.quote_id, sale.agent_id) for _ in range(4)))
    assert len({held.id for held in both}) == 1
    assert (await count(book, Signing), await count(book, Delivery)) == (1, 1)


async def test_only_who_talks_with_the_person_or_a_supervisor_may_write_a_quote(book: Book) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        stranger = await making.agent(w, "eva")
        chief = await making.agent(w, "jefa", role=Role.supervisor)
        gone = await making.agent(w, "ido", disabled_at=w.now, role=Role.admin)
    async with book.writing() as w:
        for agent in (stranger, gone):
            with pytest.raises(Forbidden):
                await quoting.draft(w, agent_id=agent.id, lead_id=sale.lead_id, lines=closing.LINES)
        assert await quoting.draft(w, agent_id=chief.id, lead_id=sale.lead_id, lines=closing.LINES)
        with pytest.raises(NotFound):
            await quoting.draft(w, agent_id=chief.id, lead_id=9_999, lines=closing.LINES)
    with pytest.raises(Forbidden):
        await quoting.send_offer(book, sale.quote_id, stranger.id)
    with pytest.raises(NotFound):
        await quoting.send_offer(book, 9_999, chief.id)


@pytest.mark.parametrize(
    ("values", "named", "pointer"),
    [
        ({"lines": [Line("Fibra 漢", 1, 100, 0)]}, r"U\+6F22 CJK UNIFIED IDEOGRAPH-6F22", "/lines/0/label"),
        ({"customer": "Carmen 🌸"}, r"U\+1F338 CHERRY BLOSSOM", "/customer"),
        ({"customer": "Carmen \u202e"}, r"U\+202E RIGHT-TO-LEFT OVERRIDE", "/customer"),
        ({"lines": [Line("x", 0, 100, 0)]}, "whole number", "/lines/0/quantity"),
    ],
)
async def test_what_cannot_be_shown_is_refused_by_name_when_it_is_written(
    book: Book, values: dict[str, Any], named: str, pointer: str
) -> None:
    with pytest.raises(Invalid, match=named) as refused:
        await closing.drafted(book, **values)
    assert refused.value.pointer == pointer
    assert await count(book, Quote) == 0


async def test_a_company_that_does_not_say_who_it_is_cannot_send_an_offer(book: Book) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        await w.session.execute(text('update campaigns set company = \'{"name": "Luz Clara SL"}\''))
    with pytest.raises(ManyInvalid) as refused:
        await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    missing = ("tax_id", "address", "phone", "email", "privacy_url")
    assert {fault.pointer for fault in refused.value.faults} == {f"/campaign/company/{one}" for one in missing}
    assert await count(book, Signing) == 0


async def test_a_number_that_may_not_be_texted_leaves_the_quote_a_draft(book: Book) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        w.session.add(Suppression(phone=sale.phone, reason="stop", created_at=w.now))
    with pytest.raises(NotAllowedNow):
        await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    async with book.reading() as r:
        quote = await r.session.get(Quote, sale.quote_id)
    assert quote is not None
    assert quote.state is QuoteState.draft
    assert await count(book, Signing) == 0


async def test_a_draft_past_its_validity_is_not_sent(book: Book, clock: Clock) -> None:
    sale = await closing.drafted(book)
    clock.forward(15 * 86_400)
    with pytest.raises(Conflict):
        await quoting.send_offer(book, sale.quote_id, sale.agent_id)


async def test_a_quote_taken_back_kills_its_link(book: Book) -> None:
    sale, held = await closing.sent(book)
    async with book.writing() as w:
        assert (await quoting.void(w, quote_id=sale.quote_id, agent_id=sale.agent_id)).state is QuoteState.void
        assert await signing.open_link(w, await closing.token(book), closing.CUSTOMER) is None
    assert (await closing.now(book, held)).state is SigningState.void
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await quoting.void(w, quote_id=sale.quote_id, agent_id=sale.agent_id)


async def test_a_revision_keeps_the_number_and_ends_the_old_version(book: Book) -> None:
    sale, held = await closing.sent(book)
    number = (await closing.quote_of(book, held)).number
    async with book.writing() as w:
        new = await quoting.supersede(w, quote_id=sale.quote_id, agent_id=sale.agent_id, lines=closing.LINES[:1])
    held = await quoting.send_offer(book, new.id, sale.agent_id)
    quote = await closing.quote_of(book, held)
    assert (quote.number, quote.version, quote.state) == (number, 2, QuoteState.sent)
    async with book.reading() as r:
        old = await r.session.get(Quote, sale.quote_id)
    assert old is not None
    assert old.state is QuoteState.superseded


async def test_a_lost_text_is_sent_again_with_a_new_link_and_the_old_one_is_dead(book: Book) -> None:
    sale, held = await closing.sent(book)
    old = await closing.token(book)
    async with book.writing() as w:
        again = await quoting.send_again(w, quote_id=sale.quote_id, agent_id=sale.agent_id)
    new = await closing.token(book)
    assert again.id != held.id
    async with book.writing() as w:
        assert await signing.open_link(w, old, closing.CUSTOMER) is None
        assert await signing.open_link(w, new, closing.CUSTOMER) is not None


async def test_signed_and_superseded_at_once_one_wins_and_the_other_is_told(book: Book) -> None:
    held = await closing.verified(book)
    quote = await closing.quote_of(book, held)

    async def sign() -> str:
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, closing.CUSTOMER)
        return "signed"

    async def supersede() -> str:
        async with book.writing() as w:
            await quoting.supersede(w, quote_id=quote.id, agent_id=quote.agent_id, lines=closing.LINES)
        return "superseded"

    ends = await asyncio.gather(sign(), supersede(), return_exceptions=True)
    winner = [end for end in ends if isinstance(end, str)]
    assert len(winner) == 1
    assert len([end for end in ends if isinstance(end, Conflict)]) == 1
    assert (await closing.quote_of(book, held)).state.value == winner[0]
