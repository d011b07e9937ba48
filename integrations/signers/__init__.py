"""Third parties of trust: they let customers sign our offers. None was ever run against the real service."""

from collections.abc import Mapping

import aiohttp

from integrations.signers.calls import Caller
from integrations.signers.docuseal import DocuSeal
from integrations.signers.docusign import DocuSign
from integrations.signers.signaturit import Signaturit
from router.ports import SignatureProvider

__all__ = ["providers"]


def providers(session: aiohttp.ClientSession, guarded: aiohttp.ClientSession) -> Mapping[str, SignatureProvider]:
    """All of them by their names. `guarded` reaches what only they named: https, and nothing inside."""
    caller = Caller(session, guarded)
    return {"docuseal": DocuSeal(caller), "docusign": DocuSign(caller), "signaturit": Signaturit(caller)}
