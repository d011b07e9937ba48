"""The envoy: what the courier does at third parties of trust, and how it looks at what they give."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from router.actions.depositing import BUNDLE, DepositOrder
from router.actions.entrusted import holds
from router.actions.entrusting import Errand
from router.model.blobs import MAX_BYTES
from router.model.deliveries import DeliveryKind
from router.outcomes import Answer, Performed
from router.ports import (
    Artefact,
    Custodians,
    Heard,
    ProviderRef,
    Refused,
    SignatureProvider,
    SignStage,
    TrustProvider,
    Uncertain,
)

log = logging.getLogger(__name__)


class Envoy:
    """Speaks with the providers by their names, and with keepers of evidence. `trust` reads documents of strangers."""

    def __init__(
        self, signers: Mapping[str, SignatureProvider], trust: TrustProvider, keepers: Custodians | None = None
    ) -> None:
        self._signers = signers
        self._trust = trust
        self._keepers = keepers

    async def do(self, kind: DeliveryKind, errand: Errand) -> Answer:
        """One errand. Raises Refused, Uncertain."""
        signer = self._signer(errand)
        match kind:
            case DeliveryKind.entrust:
                if errand.request is None:
                    raise Refused("there is nothing to sign", permanent=True, code="order")
                made = await signer.create(errand.account, errand.request)
                return Performed(made.foreign_id, link=made.link)
            case DeliveryKind.enquire:
                return Performed(errand.foreign_id, heard=await self._hear(signer, errand))
            case DeliveryKind.revoke:
                try:
                    await signer.cancel(errand.account, errand.foreign_id, errand.reason)
                except Uncertain as uncertain:
                    # To be taken back twice does no harm.
                    raise Refused(str(uncertain), permanent=False, code="uncertain") from uncertain
                return Performed(errand.foreign_id)
            case _:
                await signer.resend(errand.account, errand.foreign_id)
                return Performed(errand.foreign_id)

    async def find(self, errand: Errand) -> ProviderRef | None:
        """Whether the provider has what we are unsure of. Raises Refused, Uncertain."""
        return await self._signer(errand).find(errand.account, errand.ref, errand.since)

    async def deposit(self, order: DepositOrder) -> Answer:
        """Gives evidence to its keeper. Raises Refused, Uncertain."""
        if self._keepers is None:
            raise Refused("no keeper is spoken with here", permanent=False, code="provider")
        content = order.content if order.gives == BUNDLE else None
        receipt = await self._keepers(order.account).deposit(order.sha256, content)
        return Performed(receipt=receipt)

    def _signer(self, errand: Errand) -> SignatureProvider:
        signer = self._signers.get(errand.provider)
        if signer is None:
            raise Refused("this provider is not spoken here", permanent=False, code="provider")
        return signer

    async def _hear(self, signer: SignatureProvider, errand: Errand) -> Heard:
        """The status; and, of what is signed, the document and its proofs, as far as we have not got them."""
        status, level = await signer.status(errand.account, errand.foreign_id), signer.capabilities.level
        if status.stage is not SignStage.signed:
            return Heard(status, level)
        signed, found = None, ""
        if errand.fetch_signed:
            signed = await signer.fetch_signed(errand.account, errand.foreign_id)
            found = await self._found(signed, errand.offer)
        proofs = await self._proofs(signer, errand) if errand.fetch_proofs else ()
        return Heard(status, level, signed, found, proofs, proved=bool(proofs))

    async def _found(self, signed: bytes, offer: bytes) -> str:
        """How our offer stands in the document. A stranger's document is read where it can do no harm."""
        said = None if signed.startswith(offer) else await self._trust.read(signed)
        return await asyncio.to_thread(holds, signed, said, offer)

    async def _proofs(self, signer: SignatureProvider, errand: Errand) -> Sequence[Artefact]:
        """They may come later than the signature, which never waits for them."""
        try:
            found = await signer.fetch_evidence(errand.account, errand.foreign_id)
        except (Refused, Uncertain) as error:
            log.info("no proofs yet", extra={"provider": errand.provider, "error": str(error)})
            return ()
        return [one for one in found if len(one.content) <= MAX_BYTES]
