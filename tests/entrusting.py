"""A house whose offers are signed elsewhere: the real adapters, courier, inbox and doors, and the providers' twin, with
real HTTP between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select

from integrations.http import client_session
from integrations.signers import providers
from integrations.signers.signbox import Held, Signbox
from router.actions import entrusting, inviting, quoting, signing
from router.alarms import Alarms
from router.book import Book, Writing
from router.courier import Courier
from router.envoy import Envoy
from router.inbox import Inbox
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.entrusted import Entrusted, EntrustedProof
from router.model.evidence import EvidenceEvent, broken_at
from router.model.facts import Fact
from router.model.quotes import Quote
from router.model.signing_accounts import SECRETS, ProviderName, SigningAccount
from router.model.signings import Signing
from router.ports import SignerAccount
from router.unknowns import Unknowns
from tests import closing
from tests.conftest import Clock
from tests.outside import RecordingCarrier, RecordingTrust
from tests.web.inside import inside

PROVIDERS = ("docuseal", "docusign", "signaturit")
EVENTS = {
    "docuseal": {"opened": "form.viewed", "signed": "form.completed", "declined": "form.declined"},
    "docusign": {"opened": "envelope-delivered", "signed": "envelope-completed", "declined": "envelope-declined"},
    "signaturit": {"opened": "document_opened", "signed": "document_completed", "declined": "document_declined"},
}
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def opened(provider: str, box: Signbox) -> SignerAccount:
    """The twin's account as an adapter takes it."""
    token = PEM if provider == "docusign" else box.token
    settings = {"account": box.account, "user": "u-1", "client": "c-1", "login": box.url}
    return SignerAccount(box.url, {"token": token, "secret": box.secret}, settings if provider == "docusign" else {})


async def account(w: Writing, campaign_id: int, provider: str, box: Signbox, **values: Any) -> SigningAccount:
    theirs = opened(provider, box)
    made = SigningAccount(
        campaign_id=campaign_id, provider=ProviderName(provider), key=f"{provider}KeyThatNobodyGuesses", url=theirs.url,
        sealed=w.vault.seal(SECRETS, msgspec.json.encode(dict(theirs.secrets))), settings=dict(theirs.settings),
        **values,
    )
    w.session.add(made)
    await w.session.flush()
    return made


class There:
    """What a test does and sees. `sale` is the offer, `held` the twin's side of it once it is there."""

    def __init__(self, book: Book, box: Signbox, clock: Clock, courier: Courier, unknowns: Unknowns) -> None:
        self.book, self.box, self.clock, self.courier, self.unknowns = book, box, clock, courier, unknowns
        self.carrier = RecordingCarrier()
        self.inbox = Inbox(book, self.carrier)
        self.alarms = Alarms(book, {
            entrusting.LOOK: entrusting.look, signing.EXPIRE: signing.expire, inviting.COPY: inviting.copy,
        })
        self.provider = ""
        self.url = ""
        self.sale = closing.Sale(0, 0, 0, "")
        self.signing_id = 0

    @property
    def held(self) -> Held:
        return self.box.only()

    async def send(self) -> Signing:
        """The agent sends the offer."""
        made = await quoting.send_offer(self.book, self.sale.quote_id, self.sale.agent_id)
        self.signing_id = made.id
        return made

    async def handed(self) -> Held:
        """Sent, and handed over."""
        await self.send()
        await self.courier.sweep()
        return self.held

    async def works(self) -> None:
        """The house does what is due."""
        for _ in range(4):
            await self.inbox.sweep()
            await self.courier.sweep()
        await self.alarms.sweep()
        await self.courier.sweep()

    async def happens(self, stage: str, **how: Any) -> list[int]:
        """It happens at the provider, which tells us of it, and the house hears."""
        self.box.move(self.held, stage)
        statuses = await self.tells(stage, **how)
        await self.works()
        return statuses

    async def tells(self, stage: str, **how: Any) -> list[int]:
        return await self.box.tell(self.held, EVENTS[self.provider].get(stage, stage), **how)

    async def signing(self) -> Signing:
        async with self.book.reading() as r:
            found = await r.session.get(Signing, self.signing_id)
        assert found is not None
        return found

    async def quote(self) -> Quote:
        return await closing.quote_of(self.book, await self.signing())

    async def row(self) -> Entrusted:
        async with self.book.reading() as r:
            found = await r.session.scalar(select(Entrusted).where(Entrusted.signing_id == self.signing_id))
        assert found is not None
        return found

    async def events(self, kind: str = "") -> list[EvidenceEvent]:
        """The signing's evidence, whose chain holds."""
        async with self.book.reading() as r:
            found = list(await r.session.scalars(
                select(EvidenceEvent).where(EvidenceEvent.signing_id == self.signing_id).order_by(EvidenceEvent.seq)))
        assert broken_at(found) is None
        return [one for one in found if kind in ("", one.kind)]

    async def proofs(self) -> list[EntrustedProof]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(EntrustedProof).order_by(EntrustedProof.id)))

    async def facts(self, kind: str) -> list[Fact]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(Fact).where(Fact.kind == kind).order_by(Fact.id)))

    async def deliveries(self, kind: DeliveryKind) -> list[DeliveryState]:
        async with self.book.reading() as r:
            found = await r.session.scalars(select(Delivery).where(Delivery.kind == kind).order_by(Delivery.id))
        return [one.state for one in found]


@asynccontextmanager
async def there(book: Book, clock: Clock, provider: str, **values: Any) -> AsyncIterator[There]:
    """A sale whose campaign has chosen this provider; `values` are its account's."""
    def now() -> datetime:
        return clock.now

    box = Signbox(clock=now)
    async with box.running(), client_session() as plain, client_session(guarded=True) as guarded:
        signers, trust = providers(plain, guarded), RecordingTrust()
        envoy = Envoy(signers, trust)
        carrier = RecordingCarrier()
        house = There(
            book, box, clock, Courier(book, carrier, trust, "test", envoy=envoy),
            Unknowns(book, carrier, envoy=envoy),
        )
        house.carrier, house.provider = carrier, provider
        async with inside(book, signers=signers, clock=now) as url:
            book.public_url = house.url = url
            house.sale = await closing.drafted(book)
            async with book.writing() as w:
                quote = await w.session.get(Quote, house.sale.quote_id)
                assert quote is not None
                made = await account(w, quote.campaign_id, provider, box, **values)
            box.hook_url = f"{url}/hooks/{provider}/{made.key}"
            yield house
