"""Timestamps of authorities outside, by RFC 3161 over HTTP. Imported by the workers only.

A token is looked at before it is used: it must be about our digest, lead to a root we were told to trust, and tell a
time near ours. Whoever did not answer is left alone for a minute, so that not every seal waits for it.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from asn1crypto import cms
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data

from integrations.http import client_session
from integrations.trust.asked_time import TimeAuthority
from integrations.trust.certificates import certificates, leads_to_a_root, trusting
from integrations.trust.services import OutsideTime
from router.ports import Refused, TimeAccount

ANSWER_SECONDS = 5.0
REST_SECONDS = 60.0
SKEW = timedelta(minutes=5)

_resting: dict[str, float] = {}


class OutsideTimestamper(TimeStamper):
    """One authority. Raises TimestampRequestError for whatever keeps it from giving a good token."""

    def __init__(self, account: TimeAccount) -> None:
        super().__init__()
        self.account = account
        self._roots = certificates(account.roots)

    @property
    def host(self) -> str:
        return urlsplit(self.account.url).hostname or ""

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        try:
            token = await self._asked(message_digest, md_algorithm)
            status = await validate_tst_signed_data(
                token["content"],
                trusting(self._roots),
                lambda algorithm: message_digest if algorithm == md_algorithm else b"",
            )
        except Refused as refused:
            raise TimestampRequestError(str(refused)) from refused
        except Exception as error:
            raise TimestampRequestError(f"no usable token ({type(error).__name__})") from error
        if not (status["intact"] and status["valid"] and leads_to_a_root(status)):
            raise TimestampRequestError("the token does not lead to a root we trust")
        if abs(status["timestamp"] - datetime.now(UTC)) > SKEW:
            raise TimestampRequestError("the token's time is far from ours")
        return token

    async def _asked(self, digest: bytes, algorithm: str) -> cms.ContentInfo:
        one = self.account
        async with client_session(total=ANSWER_SECONDS) as session:
            authority = TimeAuthority(session, one.url, one.user, one.password)
            return cms.ContentInfo.load(await authority.timestamp(digest, algorithm))


@lru_cache(maxsize=16)
def _stamper(account: TimeAccount) -> OutsideTimestamper:
    # Kept, because the first use of an authority costs a second token: it tells how long its tokens are.
    return OutsideTimestamper(account)


def asked(chosen: TimeAccount | None, house: OutsideTime | None, within: float) -> Iterator[OutsideTimestamper]:
    """Who is to be asked for the time, in this order: who was chosen alone, else the `house`'s own choice. Whether a
    chosen one is left alone for a while, is decided where it was chosen."""
    if chosen is not None:
        yield _stamper(chosen)
    elif house is not None:
        yield from awake(house, within)


def awake(outside: OutsideTime, within: float) -> Iterator[OutsideTimestamper]:
    """The authorities to be asked now, in their order, none begun after `within` seconds."""
    begun = time.monotonic()
    for url in outside.urls:
        now = time.monotonic()
        if now - begun <= within and _resting.get(url, 0.0) <= now:
            yield _stamper(TimeAccount(url, outside.roots))


def leave_alone(stamper: OutsideTimestamper) -> None:
    """It gave no token: it is not asked for a while."""
    _resting[stamper.account.url] = time.monotonic() + REST_SECONDS
