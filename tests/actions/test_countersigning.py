"""The company countersigns what its customer signed: once, by somebody who did not write the offer, or says why not."""

import asyncio
import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from integrations.trust import EmbeddedTrust
from router import printing, verifying
from router.actions import attesting, bundling, countersigning, erasing, inviting, revoking, sealing, signing
from router.alarms import Alarms
from router.app import alarms_of
from router.book import Book
from router.courier import Courier
from router.model import bundles
from router.model.archives import RENEW_BEFORE, Archive
from router.model.base import vouched
from router.model.blobs import Blob
from router.model.countersignatures import (
    ARCHIVE_WAITS,
    BEFORE_EXPIRY,
    REFUSALS,
    Countersignature,
    CountersignatureState,
    RefusalReason,
    archive_from,
)
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import Conflict, Forbidden, Invalid, NotAllowedNow, NotFound
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.quotes import QuoteState
from router.model.signings import Signing, SigningState
from router.model.suppressions import Suppression
from router.ports import Sealed
from router.store import attestations, evidence
from router.store import countersignatures as rows
from router.wording import LOCALES, wording
from tests import closing
from tests.actions.test_bundling import followed, needs_tools
from tests.actions.test_erasing import talked_over
from tests.conftest import Clock
from tests.integrations.test_archiving import House
from tests.outside import RecordingCarrier

ASKED = {"countersign": True}
MADE, REFUSED = CountersignatureState.made, CountersignatureState.refused


@pytest.fixture
async def house(book: Book, trust: EmbeddedTrust, clock: Clock) -> House:
    return await House(book, trust, clock).open()


async def carried(house: House) -> None:
    """The courier carries all that is due, and once more what a busy machine made it put off."""
    for _ in range(2):
        await house.courier.sweep()
        house.clock.forward(5)


async def row_of(book: Book, held: Signing) -> Countersignature:
    async with book.reading() as r:
        return vouched(await rows.of_signing(r.session, held.id))


async def approve(book: Book, held: Signing, by: int) -> Countersignature:
    async with book.writing() as w:
        return await countersigning.approve(w, held.quote_id, by)


async def kinds(book: Book, held: Signing) -> list[str]:
    async with book.reading() as r:
        return [event.kind for event in await evidence.of_signing(r.session, held.id)]


async def lines(house: House, pdf: bytes) -> dict[str, bool]:
    return {check.name: check.holds for check in (await house.trust.inspect(pdf, house.root)).checks}


async def test_where_the_campaign_asks_for_it_a_sealed_offer_waits_for_a_supervisor(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    row = await row_of(house.book, held)
    assert row.state is CountersignatureState.waiting
    async with house.book.reading() as r:
        (waiting,) = await rows.waiting(r.session)
        told = await r.session.scalars(select(Fact).where(Fact.kind == "countersignature.waiting"))
    assert (waiting.quote.id, waiting.author, waiting.since) == (held.quote_id, "Ana", row.asked_at)
    assert [one.subject_id for one in told] == [row.id]
    assert (await kinds(house.book, held))[-1] == "countersign.asked"


async def test_where_it_does_not_nothing_waits(house: House) -> None:
    held = await house.sealed()
    async with house.book.reading() as r:
        assert await rows.of_signing(r.session, held.id) is None
    by = await closing.supervisor(house.book)
    with pytest.raises(NotFound):
        await approve(house.book, held, by)


async def test_the_countersigned_copy_begins_with_the_sealed_one_and_names_the_supervisor(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    by = await closing.supervisor(house.book)
    await approve(house.book, held, by)
    await carried(house)
    row, pdf = await row_of(house.book, held), await closing.newest_version(house.book, held)
    assert (row.state, row.agent_id, row.name, row.role, row.level) == (MADE, by, "Sol", "supervisor", "PAdES B-T")
    assert pdf.startswith(await house.content(held.sealed_sha256))
    assert row.sha256 == hashlib.sha256(pdf).digest()
    seen = await house.trust.inspect(pdf, house.root)
    assert all(check.holds for check in seen.checks)
    line = seen.checks[-1].detail
    assert (seen.checks[-1].name, line["name"]) == ("countersignature", "Sol")
    assert line["reason"].endswith("countersigned for the company as supervisor")
    assert {"countersign.asked", "countersign.approved", "countersigned"} <= set(await kinds(house.book, held))
    async with house.book.reading() as r:
        events = await evidence.of_signing(r.session, held.id)
        facts = await r.session.scalars(select(Fact).where(Fact.kind.like("countersign%")))
    assert broken_at(events) is None
    assert "Sol" not in json.dumps([fact.data for fact in facts])


async def test_the_author_cannot_countersign_his_own_offer_and_nobody_what_is_not_there(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    quote = await closing.quote_of(house.book, held)
    for verb in (countersigning.approve, countersigning.refuse):
        args = ("other",) if verb is countersigning.refuse else ()
        with pytest.raises(Forbidden):
            async with house.book.writing() as w:
                await verb(w, quote.id, vouched(quote.agent_id), *args)  # type: ignore[operator]
        with pytest.raises(NotFound):
            async with house.book.writing() as w:
                await verb(w, 999, vouched(quote.agent_id), *args)  # type: ignore[operator]
    assert (await row_of(house.book, held)).state is CountersignatureState.waiting


async def test_of_many_supervisors_at_once_one_decides_and_the_others_are_told(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    them = [await closing.supervisor(house.book, f"sol{place}") for place in range(6)]

    async def decide(place: int) -> object:
        async with house.book.writing() as w:
            if place % 2:
                return await countersigning.refuse(w, held.quote_id, them[place], "mistake")
            return await countersigning.approve(w, held.quote_id, them[place])

    answers = await asyncio.gather(*(decide(place) for place in range(6)), return_exceptions=True)
    assert sum(isinstance(one, Countersignature) for one in answers) == 1
    assert sum(isinstance(one, Conflict) for one in answers) == 5
    await carried(house)
    row = await row_of(house.book, held)
    assert row.state in (MADE, REFUSED)
    decided = ("countersign.approved", "countersign.refused")
    assert sum(kind in decided for kind in await kinds(house.book, held)) == 1
    assert len(await house.versions(held)) == (row.state is MADE)


async def test_a_row_that_was_moved_meanwhile_moves_no_second_time(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    row = await row_of(house.book, held)
    async with house.book.writing() as w:
        assert await w.move(Countersignature, row.id, to=REFUSED) is not None
    async with house.book.writing() as w:
        assert await w.move(Countersignature, row.id, to=CountersignatureState.approved) is None


async def test_killed_between_the_decision_and_its_revision_it_is_made_once(house: House, clock: Clock) -> None:
    held = await house.sealed(campaign=ASKED)
    await approve(house.book, held, await closing.supervisor(house.book))
    async with house.book.writing() as w:
        await w.session.execute(text(
            "update deliveries set state = 'started', fence = 1, owner = 'dead', started_at = :now, lease_until = :now "
            "where purpose = 'countersign'"), {"now": w.now})  # fmt: skip
    await house.courier.release()
    clock.forward(3)
    others = [Courier(house.book, RecordingCarrier(), house.trust, name) for name in ("two", "three")]
    await asyncio.gather(house.courier.sweep(), *(one.sweep() for one in others))
    assert (await row_of(house.book, held)).state is MADE
    assert len(await house.versions(held)) == 1
    assert (await kinds(house.book, held)).count("countersigned") == 1


async def test_two_workers_at_once_keep_one_revision(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    await approve(house.book, held, await closing.supervisor(house.book))

    async def work() -> None:
        async with house.book.writing() as w:
            order = await countersigning.order(w, held.id)
        made = await house.trust.seal(order)
        async with house.book.writing() as w:
            await countersigning.countersigned(w, held.id, made)

    await asyncio.gather(*(work() for _ in range(3)))
    assert len(await house.versions(held)) == 1
    async with house.book.writing() as w:
        with pytest.raises(NotAllowedNow):
            await countersigning.order(w, held.id)


async def test_one_given_up_is_ordered_again_and_told(house: House, clock: Clock) -> None:
    held = await house.sealed(campaign=ASKED)
    row = await approve(house.book, held, await closing.supervisor(house.book))
    for again in (False, True):
        clock.now += countersigning.LATE_AFTER
        async with house.book.writing() as w:
            if again:
                await w.session.execute(update(Delivery).where(Delivery.purpose == countersigning.SEAL).values(
                    state=DeliveryState.failed))
            await countersigning.late(w, row.id)
    async with house.book.reading() as r:
        found = await r.session.scalars(select(Delivery).where(Delivery.purpose == countersigning.SEAL))
        told = await r.session.scalars(select(Fact.data).where(Fact.kind == "countersign.late").order_by(Fact.id))
    assert len(found) == 2
    assert [one["again"] for one in told] == [False, True]
    await carried(house)
    async with house.book.writing() as w:
        await countersigning.late(w, row.id)
    assert (await row_of(house.book, held)).state is MADE


async def test_the_night_waits_for_it_and_then_archives_both(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    await house.night()
    await carried(house)
    assert await house.versions(held) == []
    assert held.archive_at == (await row_of(house.book, held)).asked_at + ARCHIVE_WAITS
    await approve(house.book, held, await closing.supervisor(house.book))
    await carried(house)
    await house.night()
    await carried(house)
    counter, archive = await house.versions(held)
    assert (counter.until, archive.level) == (None, "PAdES B-LTA")
    done = await closing.now(house.book, held)
    assert (done.level, done.archive_at) == ("PAdES B-LTA", vouched(archive.until) - RENEW_BEFORE)
    seen = await house.trust.inspect(await closing.newest_version(house.book, held), house.root)
    assert [check.name for check in seen.checks if not check.holds] == []
    assert seen.checks[-1].detail["level"] == "PAdES B-LTA"


async def test_it_waits_no_longer_than_its_limit_and_what_comes_later_is_archived_again(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    async with house.book.writing() as w:
        await w.session.execute(text("update signings set archive_at = :now"), {"now": w.now})
    await house.night()
    await carried(house)
    assert [one.level for one in await house.versions(held)] == ["PAdES B-LTA"]
    await approve(house.book, held, await closing.supervisor(house.book))
    await carried(house)
    assert all((await lines(house, await closing.newest_version(house.book, held))).values())
    assert (await closing.now(house.book, held)).level == "PAdES B-LTA"
    await house.night()
    await carried(house)
    assert [one.until is None for one in await house.versions(held)] == [False, True, False]
    assert all((await lines(house, await closing.newest_version(house.book, held))).values())


async def test_a_revision_overtaken_by_the_nights_archiving_is_made_again(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    await approve(house.book, held, await closing.supervisor(house.book))
    async with house.book.writing() as w:
        early = await countersigning.order(w, held.id)
    made = await house.trust.seal(early)
    delivery = await house.order(held)
    async with house.book.writing() as w:
        await w.session.execute(update(Delivery).where(Delivery.purpose == countersigning.SEAL).values(
            state=DeliveryState.done))
    await carried(house)
    assert [one.level for one in await house.versions(held)] == ["PAdES B-LTA"], delivery
    async with house.book.writing() as w:
        await countersigning.countersigned(w, held.id, made)
    assert (await row_of(house.book, held)).state is CountersignatureState.approved
    await carried(house)
    assert (await row_of(house.book, held)).state is MADE
    assert all((await lines(house, await closing.newest_version(house.book, held))).values())


def test_nothing_waits_until_the_seals_certificate_expires() -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert archive_from(now, None) == now + ARCHIVE_WAITS
    assert archive_from(now, now + timedelta(days=700)) == now + ARCHIVE_WAITS
    assert archive_from(now, now + timedelta(days=5)) == now + timedelta(days=5) - BEFORE_EXPIRY
    assert archive_from(now, now + timedelta(days=1)) == now


async def test_the_seal_says_how_long_its_certificate_lasts(house: House) -> None:
    held = await closing.signed(house.book)
    async with house.book.writing() as w:
        order = await sealing.seal_order(w, held.id)
    made = await house.trust.seal(order)
    assert made.until == house.trust.expiries(order.keys)["seal"]


async def test_the_customer_gets_the_countersigned_copy_and_it_must_be_proven_anew(
    house: House, clock: Clock
) -> None:
    held = await house.sealed(campaign=ASKED)
    await house.alarms.sweep()
    first = await closing.token(house.book, "copy")
    async with house.book.writing() as w:
        assert await signing.fetch_copy(w, held, closing.CUSTOMER) is not None
        assert await evidence.proves_copy(w.session, held.id)
    await approve(house.book, held, await closing.supervisor(house.book))
    await carried(house)
    await house.alarms.sweep()
    (said,) = await closing.texts(house.book, "countersigned")
    assert "contrafirmado su oferta" in said
    second = await closing.token(house.book, "countersigned")
    assert second != first
    async with house.book.reading() as r:
        assert not await evidence.proves_copy(r.session, held.id)
    async with house.book.writing() as w:
        await inviting.tell_countersigned(w, (await row_of(house.book, held)).id)
        copy = await signing.fetch_copy(w, held, closing.CUSTOMER)
        assert await evidence.proves_copy(w.session, held.id)
    assert copy == await closing.newest_version(house.book, held)
    assert len(await closing.texts(house.book, "countersigned")) == 1


async def test_a_refusal_keeps_what_was_signed_and_tells_the_customer_why(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    by = await closing.supervisor(house.book)
    with pytest.raises(Invalid):
        async with house.book.writing() as w:
            await countersigning.refuse(w, held.quote_id, by, "no such reason")
    with pytest.raises(Invalid):
        async with house.book.writing() as w:
            await countersigning.refuse(w, held.quote_id, by, "other", "x" * 501)
    async with house.book.writing() as w:
        await countersigning.refuse(w, held.quote_id, by, "mistake", " The price is of last year. ")
    await house.alarms.sweep()
    (said,) = await closing.texts(house.book, "not_countersigned")
    assert "la oferta contiene un error nuestro" in said
    row, done = await row_of(house.book, held), await closing.now(house.book, held)
    assert (row.state, row.note) == (REFUSED, "The price is of last year.")
    assert (done.sealed_sha256, done.state) == (held.sealed_sha256, SigningState.completed)
    assert (await closing.quote_of(house.book, held)).state is QuoteState.completed
    async with house.book.reading() as r:
        (fact,) = await r.session.scalars(select(Fact).where(Fact.kind == "countersignature.refused"))
        assert await rows.waiting(r.session) == []
        events = await evidence.of_signing(r.session, held.id)
    assert fact.data["reason"] == "mistake"
    told = json.dumps([fact.data, *(event.data for event in events)])
    assert "last year" not in told, "the customer may have the evidence, and programs the facts"
    with pytest.raises(Conflict):
        await approve(house.book, held, by)
    await house.night()
    await carried(house)
    assert [one.level for one in await house.versions(held)] == ["PAdES B-LTA"]


async def test_who_has_withdrawn_waits_for_nothing(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    await revoking.withdraw(house.book, held.id, closing.CUSTOMER)
    async with house.book.reading() as r:
        assert await rows.waiting(r.session) == []
    with pytest.raises(Conflict):
        await approve(house.book, held, await closing.supervisor(house.book))


@pytest.mark.parametrize("decision", ["countersigned", "refused"])
async def test_the_certificate_is_made_once_more_and_tells_of_the_decision(house: House, decision: str) -> None:
    held = await closing.sealed(house.book, house.trust, campaign=ASKED)
    by = await closing.supervisor(house.book)
    async with house.book.reading() as r:
        first = vouched(await attestations.of_signing(r.session, held.id))
    if decision == "countersigned":
        await approve(house.book, held, by)
        await closing.countersignature_made(house.book, house.trust, held)
    else:
        async with house.book.writing() as w:
            await countersigning.refuse(w, held.quote_id, by, "other")
        await closing.attested(house.book, house.trust, held)
    async with house.book.reading() as r:
        second = vouched(await attestations.of_signing(r.session, held.id))
        old, new = await attestations.by_sha256(r.session, first.sha256), await attestations.by_code(
            r.session, first.code)
    assert old is not None
    assert (first.edition, second.edition, second.code) == (1, 2, first.code)
    assert new is not None
    assert new.sha256 == second.sha256
    words = printing.words(await house.content(second.sha256))
    wanted = {"countersigned": ("Contrafirmado por", "Sol (supervisor)", "Contrafirmado por la empresa"),
              "refused": ("No contrafirmado", "Sol (supervisor)", "una persona le explicará el motivo")}[decision]
    assert [one for one in wanted if printing.squeezed(one) not in words] == []
    asked = printing.words(await house.content(first.sha256))
    assert printing.squeezed("La contrafirma de la empresa") in asked
    async with house.book.writing() as w:
        delivery = vouched(await w.session.scalar(select(Delivery).where(
            Delivery.kind == DeliveryKind.attest).order_by(Delivery.id).limit(1)))
        with pytest.raises(NotAllowedNow):
            await attesting.material(w, delivery)


@needs_tools
async def test_the_bundle_holds_it_and_its_own_text_checks_it(house: House, tmp_path: object) -> None:
    held = await closing.countersigned(house.book, house.trust)
    for archived in (False, True):
        if archived:
            await house.night()
            await carried(house)
        packed = (await bundling.make(house.book, house.trust, held.id)).content
        files = bundles.unpack(packed)
        assert "tsa/countersignature.tst" in files
        assert bundles.disagreements(files) == []
        assert [line for line in await verifying.lines(house.trust, packed, house.root) if not line.holds] == []
        for name in ("VERIFY.md", "VERIFY.es.md"):
            folder = tmp_path / f"{archived}-{name}"  # type: ignore[operator]
            folder.mkdir()
            wanted, said_ok, said = followed(packed, folder, name)
            assert said_ok == wanted, said
    assert "contrafirma" in files["VERIFY.es.md"].decode()
    assert shutil.which("pdfsig")
    earlier = bundles.disagreements({**files, "signed.pdf": await house.content(held.sealed_sha256)})
    assert earlier == ["signed.pdf"]


async def test_a_campaign_that_asks_no_more_still_has_what_waits_decided(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    async with house.book.writing() as w:
        await w.session.execute(text("update campaigns set countersign = false"))
    await approve(house.book, held, await closing.supervisor(house.book))
    await carried(house)
    assert (await row_of(house.book, held)).state is MADE


async def test_bytes_that_do_not_follow_the_sealed_document_are_never_kept(house: House) -> None:
    held = await house.sealed(campaign=ASKED)
    await approve(house.book, held, await closing.supervisor(house.book))
    for wrong in (b"%PDF-1.7 other", await house.content(held.sealed_sha256)):
        async with house.book.writing() as w:
            await countersigning.countersigned(w, held.id, Sealed(wrong, "PAdES B-T", "internal"))
        async with house.book.reading() as r:
            assert await r.session.scalars(select(Archive)) == []
        async with house.book.writing() as w:
            await w.session.execute(text("delete from deliveries where dedupe_key like 'countersign:%:%'"))


async def test_what_may_not_be_texted_now_is_told_later(house: House) -> None:
    held, by = await house.sealed(campaign=ASKED), await closing.supervisor(house.book)
    async with house.book.writing() as w:
        await countersigning.refuse(w, held.quote_id, by, "other")
        w.session.add(Suppression(phone=held.phone, reason="stop", created_at=w.now))
    with pytest.raises(NotAllowedNow):
        async with house.book.writing() as w:
            await inviting.tell_countersigned(w, (await row_of(house.book, held)).id)
    assert (await row_of(house.book, held)).told_at is None


@pytest.mark.parametrize("locale", LOCALES)
def test_every_reason_is_told_in_every_language(locale: str) -> None:
    assert set(REFUSALS) == set(RefusalReason)
    said = {wording().say(words, locale) for words in REFUSALS.values()}
    assert len(said) == len(REFUSALS)
    assert locale == LOCALES[0] or not said & set(REFUSALS.values())


def test_the_alarms_of_the_house_are_heard(trust: EmbeddedTrust, book: Book) -> None:
    assert {countersigning.TELL, countersigning.LATE} <= set(alarms_of(trust))
    assert Alarms(book, alarms_of(trust))


async def test_what_was_countersigned_is_forgotten_with_the_rest(house: House, clock: Clock) -> None:
    held = await closing.countersigned(house.book, house.trust, campaign={"evidence_days": 1827})
    await talked_over(house.book)
    async with house.book.writing() as w:
        await w.session.execute(text("update deliveries set state = 'done'"))
    clock.now += timedelta(days=1828)
    async with house.book.writing() as w:
        await erasing.sweep(w, 1)
    async with house.book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Blob)) == 0
    row = await row_of(house.book, held)
    assert (row.state, row.sha256, row.copy_hash) == (MADE, None, None)


async def test_what_was_forgotten_waits_for_nobody(house: House, clock: Clock) -> None:
    held = await house.sealed(campaign={**ASKED, "evidence_days": 1827})
    await talked_over(house.book)
    async with house.book.writing() as w:
        await w.session.execute(text("update deliveries set state = 'done'"))
    clock.now += timedelta(days=1828)
    async with house.book.writing() as w:
        await erasing.sweep(w, 1)
    async with house.book.reading() as r:
        assert await rows.waiting(r.session) == []
    with pytest.raises(NotFound):
        await approve(house.book, held, await closing.supervisor(house.book))
