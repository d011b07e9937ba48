"""Sealed offers are archived at night, once, by whoever comes first, and stay the ones we issued."""

import asyncio
import dataclasses
import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from integrations.trust import EmbeddedTrust
from integrations.trust.services import OutsideTime
from router.actions import archiving, bundling, certifying, recurring, sealing, signing
from router.alarms import Alarms
from router.app import alarms_of
from router.book import Book
from router.courier import Courier
from router.model import bundles
from router.model.alarms import Alarm
from router.model.archives import RENEW_BEFORE, Archive
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import Conflict, NotAllowedNow
from router.model.evidence import EvidenceEvent, broken_at
from router.model.signings import Signing
from router.ports import Refused, Stamps
from router.store import archives, attestations, blobs
from router.store import evidence as chain
from tests import closing, making
from tests.benchmarks.sealing import ready_to_sign as ready
from tests.conftest import Clock
from tests.integrations.timestamping import outside
from tests.outside import RecordingCarrier
from tests.web.customer import visiting


class House:
    """A book with its authority, and what works in it: alarms and a courier."""

    def __init__(self, book: Book, trust: EmbeddedTrust, clock: Clock) -> None:
        self.book, self.trust, self.clock = book, trust, clock
        self.courier = Courier(book, RecordingCarrier(), trust, "one")
        self.alarms = Alarms(book, alarms_of(trust))
        self.root = b""

    async def open(self) -> "House":
        self.clock.now = datetime.now(UTC)  # the seal's own clock is the machine's
        self.root = await sealing.ensure_authority(self.book, self.trust, "Luz Clara SL")
        await sealing.ensure_jobs(self.book, self.trust)
        return self

    async def sealed(self, **values: object) -> Signing:
        held = await closing.signed(self.book, **values)
        async with self.book.writing() as w:
            order = await sealing.seal_order(w, held.id)
        made = await self.trust.seal(order)
        async with self.book.writing() as w:
            await sealing.sealed(w, held.id, made)
        return await closing.now(self.book, held)

    async def night(self) -> None:
        """The nightly work becomes due, though the clock stays with the machine's."""
        async with self.book.writing() as w:
            await recurring.roll(w)
            await w.session.execute(
                text("update alarms set due_at = :now where kind = any(:kinds) and state = 'pending'"),
                {"now": w.now, "kinds": [archiving.ARCHIVE, certifying.KEEP_UP]},
            )
        await self.alarms.sweep()

    async def deliveries(self, *, of_certificates: bool = False) -> list[Delivery]:
        async with self.book.reading() as r:
            found = await r.session.scalars(
                select(Delivery).where(Delivery.kind == DeliveryKind.archive).order_by(Delivery.id)
            )
        return [one for one in found if ("edition" in one.order) is of_certificates]

    async def versions(self, held: Signing) -> list[Archive]:
        async with self.book.reading() as r:
            found = await r.session.scalars(
                select(Archive).where(Archive.signing_id == held.id, Archive.edition.is_(None)).order_by(Archive.id)
            )
        return list(found)

    async def order(self, held: Signing, stamps: Stamps = Stamps.own) -> Delivery:
        async with self.book.writing() as w:
            locked = await w.session.locked(Signing, held.id)
            assert locked is not None
            await archiving._order(w, locked, stamps, w.now)
        return (await self.deliveries())[-1]

    async def content(self, sha256: bytes | None) -> bytes:
        async with self.book.reading() as r:
            found = await blobs.content(r.session, sha256)
        assert found is not None
        return found


@pytest.fixture
async def house(book: Book, trust: EmbeddedTrust, clock: Clock) -> House:
    return await House(book, trust, clock).open()


async def test_at_night_a_sealed_offer_is_archived_and_its_level_rises(house: House) -> None:
    held = await house.sealed()
    await house.night()
    await house.courier.sweep()
    done, (version,) = await closing.now(house.book, held), await house.versions(held)
    assert (done.level, version.level, done.sealed_sha256) == ("PAdES B-LTA", "PAdES B-LTA", held.sealed_sha256)
    assert done.archive_at == version.until - RENEW_BEFORE
    before, after = await house.content(held.sealed_sha256), await house.content(version.sha256)
    assert after.startswith(before)
    assert all(one.holds for one in (await house.trust.inspect(after, house.root)).checks)
    async with house.book.reading() as r:
        events = await chain.of_signing(r.session, held.id)
        facts = await r.session.rows(text("select data from facts where kind = 'signing.archived'"))
    (archived,) = [one for one in events if one.kind == "archived"]
    assert archived.data["sha256"] == version.sha256.hex()
    assert broken_at(events) is None
    assert [row[0]["level"] for row in facts] == ["PAdES B-LTA"]


async def test_a_certificate_of_evidence_is_archived_too_and_stays_the_one_we_issued(house: House) -> None:
    held = await closing.sealed(house.book, house.trust)
    await house.night()
    house.clock.forward(2)  # one after the other
    await house.courier.sweep()
    async with house.book.reading() as r:
        made = await attestations.of_signing(r.session, held.id)
        newest = await archives.certificate(r.session, held.id)
        events = await chain.of_signing(r.session, held.id)
    assert made is not None
    assert newest != made.sha256
    assert made.level == "PAdES B-LTA"
    before, after = await house.content(made.sha256), await house.content(newest)
    assert after.startswith(before)
    assert all(one.holds for one in (await house.trust.inspect(after, house.root)).checks)
    assert {one.kind for one in events} >= {"archived", "certificate.archived"}
    files = bundles.unpack((await bundling.make(house.book, house.trust, held.id)).content)
    assert files["certificate.pdf"] == after
    assert bundles.disagreements(files) == []
    assert bundles.disagreements(files | {"certificate.pdf": before}) == ["certificate.pdf"]
    async with visiting(house.book, house.trust, house.root) as browser:
        for pdf in (before, after):
            async with browser.session.post(browser.url + "/verify", data=pdf, headers={
                "Content-Type": "application/pdf"}) as answer:
                lines = (await answer.json())["lines"]
            assert (lines[0]["detail"]["code"], all(one["holds"] for one in lines)) == ("certificate", True)
    await house.night()
    house.clock.forward(2)  # one after the other
    await house.courier.sweep()
    assert (len(await house.deliveries()), len(await house.deliveries(of_certificates=True))) == (1, 1)


async def test_a_certificate_sealed_while_the_time_outside_was_away_gets_it_at_night(
    house: House, tmp_path: Path
) -> None:
    with outside(tmp_path / "tsa") as authority:
        away = EmbeddedTrust(time=OutsideTime(("http://127.0.0.1:9/tsa",), authority.root))
        back = EmbeddedTrust(time=OutsideTime((authority.url,), authority.root))
        await away.start()
        await back.start()
        try:
            held = await closing.sealed(house.book, away)
            async with house.book.reading() as r:
                made = await attestations.of_signing(r.session, held.id)
            assert made is not None
            assert made.time_source == "internal"
            at_night = House(house.book, back, house.clock)
            await at_night.night()
            house.clock.forward(2)
            await at_night.courier.sweep()
        finally:
            await away.stop()
            await back.stop()
    async with house.book.reading() as r:
        later = await attestations.of_signing(r.session, held.id)
    assert later is not None
    assert (later.time_source, later.level) == ("external", "PAdES B-LTA")


async def test_the_next_nights_add_nothing(house: House) -> None:
    held = await house.sealed()
    for _ in range(3):
        await house.night()
        await house.courier.sweep()
    assert len(await house.versions(held)) == 1
    assert len(await house.deliveries()) == 1


async def test_a_nights_documents_fall_due_one_after_the_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "AT_ONCE", 2)
    async with house.book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
    for number in range(3):
        await ready(house.book, queue, number)
    async with house.book.writing() as w:
        await w.session.execute(text("update signings set archive_at = :now"), {"now": w.now})
    async with house.book.writing() as w:
        await archiving.order_due(w, 7, outside=False)
        began = w.now
    assert [one.due_at - began for one in await house.deliveries()] == [timedelta(0), archiving.SPACING]
    async with house.book.reading() as r:
        (again,) = await r.session.scalars(
            select(Alarm).where(Alarm.kind == archiving.ARCHIVE, Alarm.subject_id == 7)
        )
    assert again.due_at == began + 2 * archiving.SPACING


async def test_two_workers_archiving_at_once_keep_one_version(house: House) -> None:
    held = await house.sealed()
    delivery = await house.order(held)

    async def work(later: timedelta) -> None:
        async with house.book.writing() as w:
            order = await archiving.archive_order(w, delivery)
        made = await house.trust.archive(order)
        async with house.book.writing() as w:
            await archiving.archived(w, delivery, dataclasses.replace(made, until=made.until + later))

    await asyncio.gather(*(work(timedelta(days=days)) for days in range(3)))
    (version,) = await house.versions(held)
    async with house.book.reading() as r:
        told = await r.session.scalars(select(EvidenceEvent).where(EvidenceEvent.kind == "archived"))
    assert [one.data["sha256"] for one in told] == [version.sha256.hex()]
    async with house.book.writing() as w:
        with pytest.raises(NotAllowedNow):
            await archiving.archive_order(w, delivery)


async def test_an_archiving_whose_worker_died_half_way_is_done_once_by_the_next(house: House, clock: Clock) -> None:
    held = await house.sealed()
    await house.night()
    async with house.book.writing() as w:
        await w.session.execute(text(
            "update deliveries set state = 'started', fence = 1, owner = 'dead', started_at = :now, lease_until = :now "
            "where kind = 'archive'"), {"now": w.now})  # fmt: skip
    await house.courier.release()
    clock.forward(3)
    await house.courier.sweep()
    assert [one.state for one in await house.deliveries()] == [DeliveryState.done]
    assert len(await house.versions(held)) == 1


async def test_a_version_that_lasts_no_longer_is_not_kept(house: House, clock: Clock) -> None:
    held = await house.sealed()
    await house.night()
    await house.courier.sweep()
    (first,) = await house.versions(held)
    delivery = await house.order(held)
    async with house.book.writing() as w:
        await w.session.execute(text("update archives set until = :soon"), {"soon": w.now + timedelta(days=100)})
        order = await archiving.archive_order(w, delivery)
    made = await house.trust.archive(order)
    async with house.book.writing() as w:
        await w.session.execute(text("update archives set until = :until"), {"until": made.until})
        await archiving.archived(w, delivery, made)
    assert [one.sha256 for one in await house.versions(held)] == [first.sha256]


async def test_a_version_is_renewed_before_its_timestamp_expires(house: House) -> None:
    held = await house.sealed()
    await house.night()
    await house.courier.sweep()
    async with house.book.writing() as w:
        await w.session.execute(text("update archives set until = :soon"), {"soon": w.now + timedelta(days=170)})
        await w.session.execute(text("update signings set archive_at = :now"), {"now": w.now})
    await house.night()
    await house.courier.sweep()
    first, second = await house.versions(held)
    assert second.base_sha256 == first.sha256
    assert (await house.content(second.sha256)).startswith(await house.content(first.sha256))
    done = await closing.now(house.book, held)
    assert done.archive_at == second.until - RENEW_BEFORE


async def test_without_a_list_of_today_nothing_is_archived_and_all_is_tried_again(house: House) -> None:
    held = await house.sealed()
    delivery = await house.order(held)
    async with house.book.writing() as w:
        await w.session.execute(text("update crls set next_update = :now where issuer = 'root'"), {"now": w.now})
        with pytest.raises(Conflict):
            await archiving.archive_order(w, delivery)
    await house.courier.sweep()
    assert [one.state for one in await house.deliveries()] == [DeliveryState.pending]
    assert (await closing.now(house.book, held)).level == "PAdES B-T"


async def test_the_copy_is_the_newest_version_and_both_are_known_as_issued(house: House) -> None:
    held = await house.sealed()
    await house.night()
    await house.courier.sweep()
    (version,) = await house.versions(held)
    async with house.book.writing() as w:
        given = await signing.fetch_copy(w, held, closing.CUSTOMER)
    assert given is not None
    assert hashlib.sha256(given).digest() == version.sha256
    async with visiting(house.book, house.trust, house.root) as browser:
        for sha256, level in ((held.sealed_sha256, "PAdES B-T"), (version.sha256, "PAdES B-LTA")):
            headers = {"Content-Type": "application/pdf", "Accept": "application/json"}
            pdf = await house.content(sha256)
            async with browser.session.post(browser.url + "/verify", data=pdf, headers=headers) as answer:
                said = await answer.json()
            assert said["identical"] is True
            levels = [line["detail"]["level"] for line in said["lines"] if "level" in line["detail"]]
            assert levels == [level] * 2  # that of the seal, and the line about the level
            assert all(line["holds"] for line in said["lines"])


async def test_an_offer_that_was_never_sealed_is_not_archived(house: House) -> None:
    held = await closing.signed(house.book)
    delivery = await house.order(held)
    async with house.book.writing() as w:
        with pytest.raises(NotAllowedNow):
            await archiving.archive_order(w, delivery)
    await house.night()
    await house.courier.sweep()
    assert await house.versions(held) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, the outside authority, is missing")
async def test_a_seal_made_while_nobody_outside_answered_gets_the_outside_time_later(
    book: Book, clock: Clock, tmp_path: Path
) -> None:
    with outside(tmp_path / "outside") as authority:
        trust = EmbeddedTrust(time=OutsideTime((authority.url,), authority.root))
        await trust.start()
        try:
            house = await House(book, trust, clock).open()
            authority.mood = "down"
            held = await house.sealed()
            assert (held.level, held.time_source) == ("PAdES B-T", "internal")
            async with book.reading() as r:
                alarm = (await r.session.scalars(select(Alarm).where(Alarm.kind == archiving.STAMP)))[0]
            assert alarm.due_at > clock()
            authority.mood = "well"
            clock.forward(700)
            await house.alarms.sweep()
            await house.courier.sweep()
            done, (version,) = await closing.now(book, held), await house.versions(held)
            assert (done.level, done.time_source) == ("PAdES B-LTA", "external")
            seen = await trust.inspect(await house.content(version.sha256), house.root)
            assert all(one.holds for one in seen.checks)
        finally:
            await trust.stop()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, the outside authority, is missing")
async def test_while_nobody_outside_answers_the_night_archives_with_our_own_time_and_asks_again(
    book: Book, clock: Clock, tmp_path: Path
) -> None:
    with outside(tmp_path / "outside") as authority:
        trust = EmbeddedTrust(time=OutsideTime((authority.url,), authority.root, first=False))
        await trust.start()
        try:
            house = await House(book, trust, clock).open()
            held = await house.sealed()
            authority.mood = "down"
            await house.night()
            await house.courier.sweep()
            done = await closing.now(book, held)
            assert (done.level, done.time_source) == ("PAdES B-LTA", "internal")
            assert done.archive_at is not None
            assert done.archive_at <= clock() + timedelta(days=1)
            authority.mood = "well"
            clock.forward(24 * 3600)
            async with book.writing() as w:
                await archiving.order_due(w, 0, outside=True)
            delivery = (await house.deliveries())[-1]
            assert delivery.order == {"stamps": "outside"}
            async with book.writing() as w:
                order = await archiving.archive_order(w, delivery)
            with pytest.raises(Refused):  # left alone for a minute since it did not answer
                await trust.archive(order)
        finally:
            await trust.stop()


async def test_archives_are_found_by_their_bytes(house: House) -> None:
    async with house.book.reading() as r:
        assert await archives.by_sha256(r.session, bytes(32)) is None
        assert await archives.newest(r.session, 1) is None
