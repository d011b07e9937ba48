"""Offers that a third party lets the customer sign: end to end over real HTTP, and everything that can go wrong."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from pypdf import PdfReader, PdfWriter
from sqlalchemy import func, select

from router import printing
from router.actions import entrusting, inviting, quoting, signing
from router.book import Book
from router.model.alarms import Alarm, AlarmState
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.entrusted import SEARCH_PATIENCE, pause
from router.model.errors import Conflict, NotAllowedNow
from router.model.inbox import InboxRow
from router.model.pausing import LONGEST_PAUSE
from router.model.quotes import Quote, QuoteState
from router.model.signing_accounts import SigningAccount
from router.model.signings import CodeAnswer, SigningState
from router.model.suppressions import Suppression
from router.store import blobs
from tests import closing
from tests.conftest import Clock
from tests.entrusting import PROVIDERS, There, account, there


@pytest.fixture(params=PROVIDERS)
async def each(request: pytest.FixtureRequest, book: Book, clock: Clock) -> AsyncIterator[There]:
    async with there(book, clock, request.param) as house:
        yield house


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[There]:
    async with there(book, clock, "docuseal") as made:
        yield made


async def at(house: There) -> tuple[SigningState, QuoteState]:
    return (await house.signing()).state, (await house.quote()).state


async def pending(book: Book, kind: str) -> list[Alarm]:
    async with book.reading() as r:
        return list(await r.session.scalars(
            select(Alarm).where(Alarm.kind == kind, Alarm.state == AlarmState.pending)))


async def content(book: Book, sha256: bytes | None) -> bytes:
    async with book.reading() as r:
        return await blobs.content(r.session, sha256) or b""


async def test_an_offer_is_handed_over_opened_signed_and_its_copy_sent_with_the_providers_proofs(
    each: There, book: Book
) -> None:
    held = await each.handed()
    assert (await at(each), held.phone) == ((SigningState.sent, QuoteState.sent), each.sale.phone)
    assert held.pdf == await content(book, (await each.quote()).pdf_sha256)
    assert await closing.texts(book, "code") == []
    assert await each.happens("opened") == [200]
    assert await at(each) == (SigningState.opened, QuoteState.opened)
    assert await each.happens("signed") == [200]
    await each.works()
    done, quote, row = await each.signing(), await each.quote(), await each.row()
    assert (done.state, quote.state) == (SigningState.completed, QuoteState.completed)
    assert (done.signed_at, done.time_source) == (each.clock.now, "provider")
    assert re.fullmatch("SES (DocuSeal|DocuSign|Signaturit)", done.level)
    assert await content(book, done.sealed_sha256) == held.signed
    assert ["/q/copy/" in one.text for one in each.carrier.of("send_message")] == [True]
    proofs = await each.proofs()
    assert [one.media_type for one in proofs] == ["application/pdf", "application/json"]
    for proof in proofs:
        assert hashlib.sha256(await content(book, proof.sha256)).digest() == proof.sha256
    assert (row.over_at, await pending(book, entrusting.LOOK)) == (each.clock.now, [])


async def test_the_evidence_lists_the_providers_documents_and_tells_what_it_is(each: There, book: Book) -> None:
    await each.handed()
    await each.happens("signed")
    bundle = json.loads(await content(book, (await each.signing()).evidence_sha256))
    assert bundle["provider"]["name"] == each.provider
    assert bundle["statement"].startswith("Electronic signature (SES) taken by ")
    assert bundle["signed_sha256"] == hashlib.sha256(each.held.signed).hexdigest()
    listed = {one["name"]: one["sha256"] for one in bundle["provider_documents"]}
    assert listed == {one.name: one.sha256.hex() for one in await each.proofs()}
    kinds = [one.kind for one in await each.events()]
    assert kinds.index("provider.created") < kinds.index("provider.hint") < kinds.index("provider.signed")
    assert "provider.proofs" in [event["kind"] for event in bundle["events"]]
    (signed,) = await each.events("provider.signed")
    assert signed.data["offer_found_by"] == "prefix"


async def test_the_offer_says_with_whom_it_is_signed(house: There, book: Book) -> None:
    await house.send()
    said = [line["value"] for line in (await house.quote()).canonical or []]
    assert any("DocuSeal" in text for text in said)


# What it tells us is a hint, and no more


async def test_a_message_told_many_times_is_one_hint_and_one_question(each: There, book: Book) -> None:
    await each.handed()
    each.box.move(each.held, "signed")
    assert await each.tells("signed", times=5) == [200] * 5
    asked = each.box.asked("GET", "")
    await each.works()
    async with book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(InboxRow)) == 1
    assert await each.deliveries(DeliveryKind.enquire) == [DeliveryState.done]
    assert len(await each.events("provider.hint")) == 1
    assert each.box.asked("GET", "") > asked


async def test_many_messages_before_we_have_asked_are_one_question(each: There) -> None:
    await each.handed()
    for event in ("opened", "signed", "declined"):
        await each.tells(event)
        each.clock.forward(1)
    await each.inbox.sweep()
    assert len(await each.events("provider.hint")) == 3
    assert await each.deliveries(DeliveryKind.enquire) == [DeliveryState.pending]


async def test_messages_in_the_wrong_order_end_where_the_provider_stands(each: There) -> None:
    await each.handed()
    for stage in ("opened", "signed"):
        each.box.move(each.held, stage)
        each.clock.forward(1)
    for stage in ("signed", "opened", "signed"):
        await each.tells(stage)
        each.clock.forward(1)
        await each.works()
    assert await at(each) == (SigningState.completed, QuoteState.completed)
    assert [fact.kind for fact in await each.facts("signing.opened")] == []


async def test_a_forged_message_is_refused_and_even_a_genuine_lie_moves_nothing(each: There, book: Book) -> None:
    await each.handed()
    if each.provider != "signaturit":
        assert await each.tells("signed", secret="guessed-secret") == [403]
    assert await each.tells("signed", to=f"{each.url}/hooks/{each.provider}/{'a' * 22}") == [404]
    await each.works()
    assert await each.deliveries(DeliveryKind.enquire) == []
    # Whoever knows the secret can make us ask, and that is all.
    assert await each.tells("signed") == [200]
    await each.works()
    assert await at(each) == (SigningState.sent, QuoteState.sent)
    assert each.box.asked("GET", each.held.name) == 1


async def test_an_old_message_of_docuseals_is_refused(house: There) -> None:
    await house.handed()
    assert await house.tells("opened", at=house.clock.now - timedelta(seconds=301)) == [403]
    assert await house.tells("opened", at=house.clock.now - timedelta(seconds=299)) == [200]


async def test_signaturits_unsigned_messages_are_taken_at_the_requests_own_address_alone(
    book: Book, clock: Clock
) -> None:
    async with there(book, clock, "signaturit") as house:
        await house.handed()
        assert house.held.hook_url != house.box.hook_url
        assert await house.tells("opened", to=house.box.hook_url) == [404]
        assert await house.tells("opened") == [200]


async def test_messages_are_taken_from_the_providers_networks_alone_where_they_are_named(
    book: Book, clock: Clock
) -> None:
    async with there(book, clock, "docuseal", networks=["203.0.113.0/24", "2001:db8::/32"]) as house:
        await house.handed()
        assert await house.tells("opened") == [404]


async def test_a_message_about_nobodys_offer_is_a_fact_and_nothing_else(house: There) -> None:
    held = await house.handed()
    body = house.box.message(held, "form.completed").replace(held.ref.encode(), b"unknown")
    await house.tells("signed", body=body.replace(f'"submission_id": {held.name}'.encode(), b'"submission_id": 999'))
    await house.works()
    assert len(await house.facts("provider.stranger")) == 1
    assert await house.deliveries(DeliveryKind.enquire) == []


async def test_a_provider_that_tells_nothing_is_asked_after_five_minutes_and_ever_more_rarely(
    each: There, book: Book
) -> None:
    await each.handed()
    waits = []
    for _ in range(6):
        (alarm,) = await pending(book, entrusting.LOOK)
        waits.append((alarm.due_at - each.clock.now).total_seconds() / 60)
        each.clock.now = alarm.due_at
        await each.works()
    assert waits == [5, 10, 20, 40, 60, 60]
    assert len(await each.deliveries(DeliveryKind.enquire)) == 6
    each.box.move(each.held, "signed")
    each.clock.now = (await pending(book, entrusting.LOOK))[0].due_at
    await each.works()
    await each.works()
    assert (await each.signing()).state is SigningState.completed
    assert pause(10_000) == timedelta(hours=1)


async def test_a_word_we_do_not_know_is_written_down_and_moves_nothing(each: There) -> None:
    await each.handed()
    await each.happens("opened")
    each.held.word = "under_review"
    await each.tells("opened", body=each.box.message(each.held, "odd"))
    each.clock.forward(600)
    await each.works()
    assert (await at(each))[0] is SigningState.opened
    assert (await each.row()).status.startswith("under_review")
    last = (await each.events("provider.status"))[-1]
    assert (last.data["stage"], last.data["raw"].startswith("under_review")) == (None, True)


async def test_what_is_older_than_we_know_is_written_down_and_moves_nothing(each: There) -> None:
    await each.handed()
    await each.happens("opened")
    moved = len(await each.facts("signing.opened"))
    each.box.move(each.held, "sent")
    each.clock.forward(301)
    await each.works()
    assert (await at(each), len(await each.facts("signing.opened"))) == (
        (SigningState.opened, QuoteState.opened), moved)


@pytest.mark.parametrize(("stage", "signing_state", "quote_state"), [
    ("declined", SigningState.declined, QuoteState.declined),
    ("expired", SigningState.expired, QuoteState.expired),
    ("canceled", SigningState.void, QuoteState.void),
])
async def test_what_ends_there_ends_here(
    each: There, stage: str, signing_state: SigningState, quote_state: QuoteState
) -> None:
    await each.handed()
    each.box.move(each.held, stage)
    each.clock.forward(301)
    await each.works()
    assert await at(each) == (signing_state, quote_state)
    assert (await each.row()).over_at is not None
    assert await each.deliveries(DeliveryKind.revoke) == []


# The document must be ours


async def signed_with(house: There, sign: Any) -> None:
    house.box.sign_with = sign
    await house.handed()
    await house.happens("signed")


def saved_anew(pdf: bytes) -> bytes:
    """What many providers do: the document is taken apart and written again, a page of their own after it."""
    writer = PdfWriter()
    for page in PdfReader(BytesIO(pdf)).pages:
        writer.add_page(page)
    writer.add_blank_page(200, 200)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def other_words(pdf: bytes) -> bytes:
    lines = [{"kind": "title", "label": "Oferta", "value": "otra"}, {"kind": "total", "label": "Total", "value": "1 €"}]
    return printing.offer(lines, "es", "Luz Clara SL", datetime(2026, 11, 23, tzinfo=UTC))


async def test_a_document_written_anew_is_known_by_its_words(each: There) -> None:
    await signed_with(each, saved_anew)
    assert (await each.signing()).state in (SigningState.sealed, SigningState.completed)
    (event,) = await each.events("provider.signed")
    assert event.data["offer_found_by"] == "words"


@pytest.mark.parametrize("sign", [
    other_words, lambda pdf: b"%PDF-1.7 junk", lambda pdf: b"%PDF-1.7\n" + pdf[:-200],
])
async def test_another_document_is_kept_and_told_but_signs_nothing(house: There, book: Book, sign: Any) -> None:
    await signed_with(house, sign)
    assert await at(house) == (SigningState.sent, QuoteState.sent)
    (fact,) = await house.facts("signing.unfit")
    assert fact.data["reason"] == "another_document"
    assert await content(book, (await house.row()).signed_sha256) == house.held.signed
    (event,) = await house.events("provider.signed")
    assert event.data["offer_found_by"] is None


# Handed over once, or not at all


async def test_an_offer_whose_answer_was_lost_is_found_and_not_handed_over_twice(each: There) -> None:
    await each.send()
    each.box.faults = ["lose"]
    await each.courier.sweep()
    assert await each.deliveries(DeliveryKind.entrust) == [DeliveryState.unknown]
    each.clock.forward(31)
    await each.unknowns.sweep()
    assert (await each.row()).foreign_id == each.held.name
    assert (await at(each))[0] is SigningState.sent
    each.clock.forward(600)
    await each.unknowns.sweep()
    await each.courier.sweep()
    assert len(each.box.held) == 1


async def test_an_offer_that_is_not_to_be_found_for_two_minutes_is_handed_over_again(each: There) -> None:
    await each.send()
    each.box.faults = [502]
    await each.courier.sweep()
    each.clock.forward(31)
    await each.unknowns.sweep()
    await each.courier.sweep()
    assert each.box.held == {}
    each.clock.forward(SEARCH_PATIENCE.total_seconds())
    await each.unknowns.sweep()
    await each.courier.sweep()
    assert ((await at(each))[0], len(each.box.held)) == (SigningState.sent, 1)


async def test_a_provider_that_does_not_say_is_searched_again_before_anything_else(house: There) -> None:
    await house.send()
    house.box.faults = ["lose", 500, 500]
    await house.courier.sweep()
    for _ in range(2):
        house.clock.forward(SEARCH_PATIENCE.total_seconds())
        await house.unknowns.sweep()
        await house.courier.sweep()
    assert await house.deliveries(DeliveryKind.entrust) == [DeliveryState.unknown]
    house.clock.forward(31)
    await house.unknowns.sweep()
    assert (await house.row()).foreign_id == house.held.name
    assert len(house.box.held) == 1


async def test_who_dies_after_handing_over_leaves_an_offer_that_is_found(house: There, book: Book) -> None:
    class Died(BaseException):
        pass

    signer = house.courier._envoy._signers["docuseal"]
    create = signer.create

    async def and_die(*given: Any) -> Any:
        await create(*given)
        raise Died

    signer.create = and_die  # type: ignore[method-assign]
    await house.send()
    await house.courier.sweep()
    house.clock.forward(61)
    await house.courier.release()
    house.clock.forward(31)
    await house.unknowns.sweep()
    assert (await house.row()).foreign_id == house.held.name
    assert len(house.box.held) == 1


async def test_a_hint_that_comes_before_we_know_its_name_is_not_lost(house: There) -> None:
    await house.send()
    house.box.faults = ["lose"]
    await house.courier.sweep()
    house.box.move(house.held, "signed")
    await house.tells("signed")
    await house.inbox.sweep()
    assert (await house.row()).hinted
    house.clock.forward(31)
    await house.unknowns.sweep()
    await house.works()
    assert (await house.signing()).state is SigningState.completed


async def test_a_provider_that_fails_is_told_and_our_own_ceremony_never_steps_in(each: There, book: Book) -> None:
    made = await each.send()
    each.box.faults = [503] * 8
    for _ in range(8):
        await each.courier.sweep()
        each.clock.forward(LONGEST_PAUSE.total_seconds())
    assert await each.deliveries(DeliveryKind.entrust) == [DeliveryState.failed]
    assert await at(each) == (SigningState.undeliverable, QuoteState.sent)
    (fact,) = await each.facts("signing.undeliverable")
    assert fact.data["reason"] == "provider.503"
    assert await each.deliveries(DeliveryKind.message) == []
    async with book.writing() as w:
        assert await inviting.send_code(w, made) is CodeAnswer.closed
    # A person sends it again, to the same provider.
    async with book.writing() as w:
        again = await quoting.send_again(w, quote_id=each.sale.quote_id, agent_id=each.sale.agent_id)
    each.signing_id = again.id
    await each.courier.sweep()
    assert ((await at(each))[0], len(each.box.held)) == (SigningState.sent, 1)


async def test_our_own_ceremony_is_closed_for_what_a_third_party_holds(house: There, book: Book) -> None:
    made = await house.send()
    async with book.writing() as w:
        held = await w.session.locked(type(made), made.id)
        assert held is not None
        held.state = SigningState.opened
        quote = await w.session.get(Quote, held.quote_id)
        assert quote is not None
        quote.state = QuoteState.opened
    async with book.writing() as w:
        assert await inviting.send_code(w, held) is CodeAnswer.closed
        kept = await w.session.locked(type(made), made.id)
        assert kept is not None
        kept.state, kept.code_expires_at = SigningState.verified, w.now + timedelta(minutes=5)
    async with book.writing() as w:
        with pytest.raises(Conflict, match="code has expired"):
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, closing.CUSTOMER)


async def test_who_may_not_be_texted_is_handed_to_nobody(house: There, book: Book) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone=house.sale.phone, reason="stop", created_at=w.now))
    with pytest.raises(NotAllowedNow):
        await house.send()
    assert (house.box.held, await house.deliveries(DeliveryKind.entrust)) == ({}, [])


async def test_who_says_stop_before_it_leaves_is_handed_to_nobody(each: There, book: Book) -> None:
    await each.send()
    async with book.writing() as w:
        w.session.add(Suppression(phone=each.sale.phone, reason="stop", created_at=w.now))
    await each.courier.sweep()
    assert each.box.held == {}
    assert (await at(each))[0] is SigningState.undeliverable


# Taken back, and too late


async def test_an_offer_taken_back_here_is_taken_back_there(each: There, book: Book) -> None:
    await each.handed()
    async with book.writing() as w:
        await quoting.void(w, quote_id=each.sale.quote_id, agent_id=each.sale.agent_id)
    await each.works()
    assert (each.held.stage, await each.deliveries(DeliveryKind.revoke)) == ("canceled", [DeliveryState.done])
    assert (await each.row()).over_at is not None


async def test_an_offer_taken_back_before_it_left_never_leaves(house: There, book: Book) -> None:
    await house.send()
    async with book.writing() as w:
        await quoting.void(w, quote_id=house.sale.quote_id, agent_id=house.sale.agent_id)
    await house.courier.sweep()
    assert house.box.held == {}


async def test_an_offer_taken_back_while_its_answer_was_lost_is_found_and_taken_back_there(
    each: There, book: Book
) -> None:
    await each.send()
    each.box.faults = ["lose"]
    await each.courier.sweep()
    async with book.writing() as w:
        await quoting.void(w, quote_id=each.sale.quote_id, agent_id=each.sale.agent_id)
    each.clock.forward(31)
    await each.unknowns.sweep()
    await each.works()
    assert each.held.stage == "canceled"


async def test_signed_there_while_it_was_taken_back_here_is_kept_and_told_and_binds_nobody(
    each: There, book: Book
) -> None:
    await each.handed()
    each.box.move(each.held, "signed")
    async with book.writing() as w:
        await quoting.void(w, quote_id=each.sale.quote_id, agent_id=each.sale.agent_id)
    await each.works()
    assert await at(each) == (SigningState.void, QuoteState.void)
    (fact,) = await each.facts("signing.unfit")
    assert fact.data["reason"] == "too_late"
    assert await content(book, (await each.row()).signed_sha256) == each.held.signed
    assert (len(await each.proofs()), each.held.stage) == (2, "signed")


async def test_at_the_offers_end_the_provider_is_asked_first(each: There, book: Book) -> None:
    await each.handed()
    each.clock.now = (await each.signing()).expires_at
    each.box.move(each.held, "signed")
    await each.works()
    assert (await each.signing()).state in (SigningState.sealed, SigningState.completed)


async def test_an_offer_that_was_not_signed_in_time_expires_on_both_sides(each: There, book: Book) -> None:
    await each.handed()
    each.clock.now = (await each.signing()).expires_at
    await each.works()
    await each.works()
    assert await at(each) == (SigningState.expired, QuoteState.expired)
    assert each.held.stage == "canceled"


async def test_proofs_that_come_later_are_fetched_later_and_the_signature_does_not_wait(
    each: There, book: Book
) -> None:
    held = await each.handed()
    held.proved = False
    await each.happens("signed")
    assert ((await each.signing()).state, await each.proofs()) == (SigningState.completed, [])
    assert (await each.row()).over_at is None
    held.proved = True
    each.clock.forward(301)
    await each.works()
    assert (len(await each.proofs()), (await each.row()).over_at) == (2, each.clock.now)
    assert each.box.asked("GET", "signed") + each.box.asked("GET", "documents/1") + each.box.asked(
        "GET", f"{held.name}/documents") >= 1


async def test_proofs_that_never_come_are_missed_after_two_days(house: There, book: Book) -> None:
    held = await house.handed()
    held.proved = False
    await house.happens("signed")
    house.clock.forward(2 * 86_400)
    await house.works()
    assert len(await house.facts("signing.unproved")) == 1
    assert await pending(book, entrusting.LOOK) == []


# The house texts the link itself


@pytest.fixture
async def ours(book: Book, clock: Clock) -> AsyncIterator[There]:
    async with there(book, clock, "docuseal", house_sends=True) as made:
        yield made


async def get(http: aiohttp.ClientSession, path: str, method: str = "GET") -> tuple[int, str]:
    async with http.request(method, path, allow_redirects=False, headers={"User-Agent": "Telephone/1"}) as answer:
        return answer.status, await answer.text()


async def test_the_houses_own_text_leads_over_its_own_page_to_the_providers(ours: There, book: Book) -> None:
    held = await ours.handed()
    assert held.wanted["send_sms"] is False
    await ours.courier.sweep()
    (text,) = ours.carrier.of("send_message")
    assert (text.to, ours.box.url in text.text) == (ours.sale.phone, False)
    token = re.search(rf"{ours.url}/q/([A-Za-z0-9]{{22}})", text.text)
    assert token is not None
    ours.clock.forward(300)
    async with aiohttp.ClientSession(ours.url) as http:
        status, page = await get(http, f"/q/{token[1]}")
        assert (status, "DocuSeal" in page, ours.box.url in page) == (200, False, False)
        status, page = await get(http, f"/q/{token[1]}", "POST")
    assert status == 200
    assert f'href="{ours.box.url}/s/slug{held.name}"' in page
    assert (await ours.signing()).state in (SigningState.created, SigningState.sent)
    assert len(await ours.events("link.opened")) == 1
    await ours.happens("signed")
    assert (await ours.signing()).state is SigningState.completed


async def test_the_signers_link_stands_nowhere_in_words(ours: There, book: Book) -> None:
    await ours.handed()
    async with book.reading() as r:
        facts = repr([one.data for one in await ours.facts("signing.created")])
        shown = repr([one.shown_text for one in await r.session.scalars(select(Delivery))])
    link = f"/s/slug{ours.held.name}"
    assert link not in facts + shown + repr([one.data for one in await ours.events()])
    assert link.encode() not in ((await ours.row()).sealed_link or b"")


async def test_our_page_asks_a_provider_that_gives_no_link_to_send_it_again_once(
    book: Book, clock: Clock
) -> None:
    async with there(book, clock, "docusign") as house:
        await house.handed()
        async with book.writing() as w:
            made = await w.session.locked(type(await house.signing()), house.signing_id)
            assert made is not None
            await inviting.text_link(w, made)
        await house.courier.sweep()
        token = house.carrier.of("send_message")[0].text
        path = re.search(r"/q/[A-Za-z0-9]{22}", token)
        assert path is not None
        clock.forward(300)
        async with aiohttp.ClientSession(house.url) as http:
            for _ in range(3):
                status, page = await get(http, path[0], "POST")
                assert (status, "DocuSign" in page) == (200, True)
        await house.courier.sweep()
        assert house.held.reminded == 1


async def test_a_campaign_that_chose_another_provider_leaves_what_was_entrusted_where_it_is(
    each: There, book: Book
) -> None:
    await each.handed()
    async with book.writing() as w:
        before = await w.session.scalar(select(SigningAccount))
        assert before is not None
        before.chosen = False
        await w.session.flush()
        await account(w, before.campaign_id, next(one for one in PROVIDERS if one != each.provider), each.box)
    await each.happens("signed")
    assert (await each.signing()).state is SigningState.completed
