"""Campaigns that buy the time of their seals, or who keeps their evidence: by the real courier, over real HTTP, from
authorities and keepers that are there, away, and back again."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from integrations.custody.depository import Depository
from integrations.http import client_session
from integrations.trust import EmbeddedTrust
from router.actions import bundling, choosing_services, depositing, recurring, sealing, trusting
from router.actions.archiving import ARCHIVE
from router.alarms import Alarms
from router.app import alarms_of, services_answer
from router.book import Book
from router.courier import Courier
from router.envoy import Envoy
from router.model import bundles
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.configuration import CustodyPlan, TimePlan
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.deposits import LATE_AFTER, Deposit
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.signings import Signing, SigningState
from router.model.trust_accounts import ServiceName
from router.store import archives, attestations, blobs, evidence, trust_accounts
from tests import closing
from tests.actions.test_bundling import TOOLS, followed
from tests.conftest import Clock
from tests.integrations.timestamping import Outside, outside
from tests.keeping import Store, door
from tests.outside import RecordingCarrier
from tests.web.customer import visiting

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, the outside authority, is missing")
KEEPER = "Notaría 1"


class House:
    """A book with its authority and what works in it, and a signing of its only campaign."""

    def __init__(self, book: Book, trust: EmbeddedTrust, clock: Clock, courier: Courier) -> None:
        self.book, self.trust, self.clock, self.courier = book, trust, clock, courier
        self.alarms = Alarms(book, alarms_of(trust))
        self.root = b""
        self.held: Signing

    async def chooses(self, service: ServiceName, plan: TimePlan | CustodyPlan) -> None:
        async with self.book.writing() as w:
            campaign = vouched(await w.session.scalar(select(Campaign)))
            await choosing_services.apply(w, campaign, service, plan, campaign.key)

    async def takes_time_of(self, authority: Outside, **values: Any) -> None:
        await self.chooses(ServiceName.time, TimePlan(
            provider="rfc3161", url=authority.url, roots=authority.root.decode(), **values))

    async def has_keeper(self, url: str, **values: Any) -> None:
        await self.chooses(ServiceName.custody, CustodyPlan(
            provider="depository", url=f"{url}/vault", keeper=KEEPER, token="let-me-in", **values))

    async def works(self, after: timedelta = timedelta(0)) -> None:
        self.clock.now += after
        await self.courier.sweep()
        await self.alarms.sweep()
        await self.courier.sweep()

    async def signing(self) -> Signing:
        return await closing.now(self.book, self.held)

    async def events(self, kind: str) -> list[dict[str, Any]]:
        async with self.book.reading() as r:
            found = await evidence.of_signing(r.session, self.held.id)
        assert broken_at(found) is None
        return [one.data for one in found if one.kind == kind]

    async def facts(self, kind: str) -> list[dict[str, Any]]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Fact.data).where(Fact.kind == kind).order_by(Fact.id)))

    async def orders(self, kind: DeliveryKind) -> list[tuple[DeliveryState, str]]:
        async with self.book.reading() as r:
            found = await r.session.scalars(select(Delivery).where(Delivery.kind == kind).order_by(Delivery.id))
        return [(one.state, one.error) for one in found]

    async def content(self, sha256: bytes | None) -> bytes:
        async with self.book.reading() as r:
            return vouched(await blobs.content(r.session, sha256))

    async def deposit(self) -> Deposit:
        async with self.book.reading() as r:
            return vouched(await r.session.get(Deposit, self.held.id))

    async def sources(self, pdf: bytes) -> tuple[dict[str, bool], str]:
        """Which lines hold, for whoever trusts whom we do; and whose time it is."""
        async with self.book.reading() as r:
            trusted = await trusting.trusted(r.session)
        seen = await self.trust.inspect(pdf, self.root, (), trusted)
        return {one.name: one.holds for one in seen.checks}, next(
            one.detail["source"] for one in seen.checks if one.name == "time")


@pytest.fixture
async def house(book: Book, trust: EmbeddedTrust, clock: Clock) -> AsyncIterator[House]:
    clock.now = datetime.now(UTC)  # the seal's own clock is the machine's
    async with client_session() as session:
        envoy = Envoy({}, trust, partial(Depository.of, session))
        made = House(book, trust, clock, Courier(book, RecordingCarrier(), trust, "one", envoy=envoy))
        made.root = await sealing.ensure_authority(book, trust, "Luz Clara SL")
        await sealing.ensure_jobs(book, trust)
        made.held = await closing.signed(book)
        yield made


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[Outside]:
    with outside(tmp_path / "first", "Chosen Time") as one:
        yield one


@asynccontextmanager
async def keeping(house: House, **values: Any) -> AsyncIterator[Store]:
    store = Store()
    async with door(store.take) as url:
        await house.has_keeper(url, **values)
        yield store


HOLDS = dict.fromkeys(("integrity", "revisions", "signer", "trust", "time", "level"), True)


async def test_seal_certificate_and_archive_carry_the_time_of_who_was_chosen(house: House, authority: Outside) -> None:
    await house.takes_time_of(authority)
    await house.works()
    held = await house.signing()
    assert (held.state, held.time_source) == (SigningState.completed, "external")
    assert (await house.events("sealed"))[0]["time_by"] == "127.0.0.1"
    async with house.book.reading() as r:
        certificate = vouched(await attestations.of_signing(r.session, held.id))
    assert certificate.time_source == "external"
    async with house.book.writing() as w:
        await recurring.roll(w)
        await w.session.execute(text("update alarms set due_at = :now where kind = :kind and state = 'pending'"),
                                {"now": w.now, "kind": ARCHIVE})
    await house.works()
    async with house.book.reading() as r:
        archive = vouched(await archives.newest(r.session, held.id))
    assert (archive.level, archive.time_source) == ("PAdES B-LTA", "external")
    for sha256 in (held.sealed_sha256, certificate.sha256, archive.sha256):
        assert await house.sources(await house.content(sha256)) == (HOLDS, "external")


async def test_while_it_is_away_nothing_is_sealed_that_is_told_and_then_it_is(house: House, authority: Outside) -> None:
    await house.takes_time_of(authority)
    authority.mood = "down"
    await house.works()
    assert await house.orders(DeliveryKind.seal) == [(DeliveryState.pending, "no-timestamp")]
    await house.works(sealing.LATE_AFTER)
    assert len(await house.facts("seal.late")) == 1
    assert (await house.signing()).state is SigningState.signed
    authority.mood = "well"
    await house.works(timedelta(minutes=20))
    held = await house.signing()
    assert (held.state, held.level, held.time_source) == (SigningState.completed, "PAdES B-T", "external")


async def test_what_it_stamped_holds_when_another_is_chosen_and_not_for_who_knows_neither(
    house: House, authority: Outside
) -> None:
    await house.takes_time_of(authority)
    await house.works()
    pdf = await house.content((await house.signing()).sealed_sha256)
    await house.chooses(ServiceName.time, TimePlan(provider="embedded"))
    assert await house.sources(pdf) == (HOLDS, "external")
    strict = {one.name: one.holds for one in (await house.trust.inspect(pdf, house.root)).checks}
    assert (strict["trust"], strict["time"]) == (True, False)
    async with visiting(house.book, house.trust, house.root) as browser, browser.session.post(
        browser.url + "/verify", data=pdf, headers={"Content-Type": "application/pdf"}
    ) as answer:
        assert all(line["holds"] for line in (await answer.json())["lines"])


async def test_without_an_account_nobody_is_asked_and_nobody_gets_anything(house: House, authority: Outside) -> None:
    await house.works()
    assert (await house.signing()).time_source == "internal"
    assert authority.asked == 0
    assert await house.orders(DeliveryKind.deposit) == []


async def test_a_keeper_gets_the_bundle_and_his_receipt_becomes_evidence(house: House) -> None:
    async with keeping(house) as store:
        await house.works()
    (name, given), = store.kept.items()
    digest = hashlib.sha256(given).hexdigest()
    assert name == f"/vault/{digest}.zip"
    assert {"signed.pdf", "certificate.pdf", "events.jsonl"} <= set(bundles.unpack(given))
    (event,) = await house.events("deposited")
    deposit = await house.deposit()
    assert (event["keeper"], event["sha256"], event["given"]) == (KEEPER, digest, "bundle")
    assert event["record_sha256"] == hashlib.sha256(deposit.record or b"").hexdigest()
    assert await house.content(deposit.sha256) == given
    files = bundles.unpack((await bundling.make(house.book, house.trust, house.held.id)).content)
    assert json.loads(files["custody.json"])["reference"].endswith(name)
    assert bundles.disagreements(files) == []
    forged = files | {"custody.json": files["custody.json"].replace(b"201", b"200")}
    assert bundles.disagreements(forged) == ["custody.json"]
    assert bundles.disagreements({one: files[one] for one in files if one != "custody.json"}) == ["custody.json"]


@pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")
async def test_the_bundle_says_how_to_check_the_receipt_and_the_chosen_time(
    house: House, authority: Outside, tmp_path: Path
) -> None:
    await house.takes_time_of(authority)
    async with keeping(house):
        await house.works()
    packed = (await bundling.make(house.book, house.trust, house.held.id)).content
    for name in ("VERIFY.md", "VERIFY.es.md"):
        folder = tmp_path / name
        folder.mkdir()
        wanted, said_ok, said = followed(packed, folder, name)
        assert said_ok == wanted >= 8, said
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert KEEPER in archive.read("VERIFY.es.md").decode()


async def test_the_roots_of_authorities_this_document_does_not_lead_to_are_not_in_its_bundle(
    house: House, authority: Outside, tmp_path: Path
) -> None:
    with outside(tmp_path / "other", "Other Time") as other:
        await house.takes_time_of(other)
        await house.takes_time_of(authority)
    await house.works()
    files = bundles.unpack((await bundling.make(house.book, house.trust, house.held.id)).content)
    assert authority.root.strip() in files["pki/trusted.pem"]
    assert other.root.strip() not in files["pki/trusted.pem"]


async def test_who_gets_the_digest_alone_gets_nothing_else(house: House) -> None:
    async with keeping(house, gives="digest") as store:
        await house.works()
    ((name, given),) = store.kept.items()
    deposit = await house.deposit()
    digest = (deposit.sha256 or b"").hex()
    assert (name, given) == (f"/vault/{digest}.sha256", f"{digest}\n".encode())
    assert hashlib.sha256(await house.content(deposit.sha256)).digest() == deposit.sha256


async def test_a_keeper_who_is_away_gets_the_same_bytes_later_and_a_supervisor_can_know(house: House) -> None:
    async with keeping(house) as store:
        store.faults = [503, 503]
        await house.works()
        first = (await house.deposit()).sha256
        assert await house.orders(DeliveryKind.deposit) == [(DeliveryState.pending, "503")]
        async with visiting(house.book, house.trust, house.root) as browser:
            pdf = await house.content((await house.signing()).sealed_sha256)
            headers = {"Content-Type": "application/pdf"}
            async with browser.session.post(browser.url + "/verify", data=pdf, headers=headers) as answer:
                line = (await answer.json())["lines"][-1]
            assert (line["name"], line["holds"], line["detail"]["code"]) == ("custody", False, "not-confirmed")
            await house.works(timedelta(minutes=5))
            await house.works(timedelta(minutes=5))
            async with browser.session.post(browser.url + "/verify", data=pdf, headers=headers) as answer:
                line = (await answer.json())["lines"][-1]
            assert (line["holds"], line["detail"]["code"], line["detail"]["keeper"]) == (True, "kept-bundle", KEEPER)
    assert hashlib.sha256(next(iter(store.kept.values()))).digest() == first
    assert len(store.kept) == 1


async def test_what_was_given_up_is_told_and_given_again(house: House) -> None:
    async with keeping(house) as store:
        store.faults = [400]
        await house.works()
        assert await house.orders(DeliveryKind.deposit) == [(DeliveryState.failed, "400")]
        await house.works(LATE_AFTER)
    assert [one["again"] for one in await house.facts("custody.late")] == [True]
    assert await house.orders(DeliveryKind.deposit) == [(DeliveryState.failed, "400"), (DeliveryState.done, "")]
    assert len(await house.events("deposited")) == 1
    assert len(store.kept) == 1


async def test_two_couriers_deposit_one_bundle_and_one_receipt(house: House) -> None:
    async with keeping(house) as store:
        await house.works()
        async with house.book.writing() as w:
            await w.session.execute(update(Deposit).values(received_at=None))
            delivery = vouched(await w.session.scalar(select(Delivery).where(Delivery.kind == DeliveryKind.deposit)))
            order = await depositing.deposit_order(w, delivery)
        again = await depositing.bundled(house.book, house.trust, order)
        assert len(store.kept) == 1
        assert again.content == next(iter(store.kept.values()))


async def test_the_doctor_tries_each_and_says_that_nobody_has_seen_the_real_one(
    house: House, authority: Outside
) -> None:
    await house.takes_time_of(authority)
    async with keeping(house):
        async def said() -> list[tuple[bool, str]]:
            async with house.book.reading() as r:
                found = [(key, one, choosing_services.opened(house.book.vault, one))
                         for key, one in await trust_accounts.every(r.session)]
            return [one async for one in services_answer(found)]

        well = await said()
        authority.mood = "down"
        ill = await said()
    assert [one for one, _ in well] == [True] * 4
    assert sum("never run against" in words for _, words in well) == 2
    assert [one for one, _ in ill] == [False, True, True, True]
    assert "500" in ill[0][1]
