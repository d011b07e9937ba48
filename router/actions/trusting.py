"""Trusting: whom readers of our documents trust besides the house's own root."""

import hashlib
import ssl

from router.book import Writing
from router.model.authority import SEAL_SLACK
from router.model.trust_accounts import ServiceName
from router.ports import Trusted, UsedSeal
from router.store import authority, trust_accounts
from router.store.db import ReadSession

END = b"-----END CERTIFICATE-----"


async def trusted(session: ReadSession) -> Trusted:
    """The timestamp authorities that were ever chosen, and the company's own seals that were ever in use."""
    accounts = await trust_accounts.of_service(session, ServiceName.time)
    return Trusted(
        time="\n".join(str(one.settings["roots"]) for one in accounts).encode(),
        seals=[UsedSeal(one.chain, one.last_used_at + SEAL_SLACK) for one in await authority.seals(session)],
    )


async def seal_used(w: Writing, chain: bytes) -> None:
    """Remembers a seal of the company's own (PEM, as in `UsedSeal`; empty is none): what it seals holds for good."""
    if not chain:
        return
    own = ssl.PEM_cert_to_DER_cert((chain.partition(END)[0] + END).strip().decode())
    if await authority.note_use(w.session, hashlib.sha256(own).digest(), chain, w.now):
        w.fact("authority.seal_used")
