"""A depository: a store that takes what is put under a name once and never changes it, such as WebDAV or an object
store with a lock on its objects. Judged by its local twin in the tests, never run against a keeper's own service.

What is put is named by its SHA-256, so that the same twice is one, and anybody can tell whether he got what was put.
"""

import hashlib
from email.utils import parsedate_to_datetime

import aiohttp

from integrations.http import read_answer
from router.model.evidence import canonical_json
from router.ports import CustodyAccount, CustodyReceipt, Refused, Uncertain

LONGEST_WORD = 1000


class Depository:
    """Implements `router.ports.CustodyProvider`. `url` without a slash at its end; `keeper` is who holds it, as a
    receipt names him."""

    judged_by = "its local twin; never run against a keeper's own service"

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str, keeper: str) -> None:
        self._session = session
        self._url = url
        self._token = token
        self._keeper = keeper

    @classmethod
    def of(cls, session: aiohttp.ClientSession, account: CustodyAccount) -> "Depository":
        return cls(session, account.url, account.token, account.keeper)

    async def check(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with self._session.head(self._url, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refused(type(error).__name__, permanent=False, code="network") from None
        # A store need not show what it holds: 404 and 405 are the answers of one that let us in.
        if status in (401, 403, 407) or status >= 500:
            raise Refused(f"the depository answered {status}", permanent=False, code=str(status))

    async def deposit(self, sha256: bytes, bundle: bytes | None) -> CustodyReceipt:
        if bundle is not None and hashlib.sha256(bundle).digest() != sha256:
            raise Refused("the bundle is not the one of this SHA-256", permanent=True, code="digest")
        name = f"{sha256.hex()}.zip" if bundle is not None else f"{sha256.hex()}.sha256"
        content = bundle if bundle is not None else f"{sha256.hex()}\n".encode()
        headers = {"Authorization": f"Bearer {self._token}", "If-None-Match": "*"}
        address = f"{self._url}/{name}"
        try:
            async with self._session.put(address, data=content, headers=headers, allow_redirects=False) as answer:
                status, told, said = answer.status, dict(answer.headers), await read_answer(answer)
        except aiohttp.ClientConnectorError as error:
            raise Refused(type(error).__name__, permanent=False, code="network") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Uncertain(type(error).__name__) from None
        # 412: it was there before; asked again after no certain answer, that is what we hoped for.
        if not (200 <= status < 300 or status == 412):
            raise Refused(f"the depository answered {status}", permanent=400 <= status < 500 and status not in (
                401, 403, 408, 409, 423, 425, 429), code=str(status))
        record = canonical_json({
            "status": status, "date": told.get("Date", ""), "etag": told.get("ETag", ""),
            "said": said.decode("utf-8", "replace")[:LONGEST_WORD],
        })
        try:
            at = parsedate_to_datetime(told["Date"])
        except (KeyError, ValueError):
            at = None
        return CustodyReceipt(self._keeper, address, record, at)
