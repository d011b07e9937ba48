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

from asn1crypto import cms
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data

from integrations.trust.certificates import certificates, trusting
from integrations.trust.services import OutsideTime

ANSWER_SECONDS = 5.0
REST_SECONDS = 60.0
SKEW = timedelta(minutes=5)

_resting: dict[str, float] = {}


class OutsideTimestamper(HTTPTimeStamper):
    """One authority. Raises TimestampRequestError for whatever keeps it from giving a good token."""

    def __init__(self, url: str, roots: bytes) -> None:
        super().__init__(url, timeout=ANSWER_SECONDS)
        self._roots = certificates(roots)

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        try:
            token = await super().async_timestamp(message_digest, md_algorithm)
            status = await validate_tst_signed_data(
                token["content"],
                trusting(self._roots),
                lambda algorithm: message_digest if algorithm == md_algorithm else b"",
            )
        except TimestampRequestError:
            raise
        except Exception as error:
            raise TimestampRequestError(f"no usable token ({type(error).__name__})") from error
        if not (status["intact"] and status["valid"] and status["validation_path"]):
            raise TimestampRequestError("the token does not lead to a root we trust")
        if abs(status["timestamp"] - datetime.now(UTC)) > SKEW:
            raise TimestampRequestError("the token's time is far from ours")
        return token


@lru_cache(maxsize=16)
def _stamper(url: str, roots: bytes) -> OutsideTimestamper:
    # Kept, because the first use of an authority costs a second token: it tells how long its tokens are.
    return OutsideTimestamper(url, roots)


def awake(outside: OutsideTime, within: float) -> Iterator[OutsideTimestamper]:
    """The authorities to be asked now, in their order, none begun after `within` seconds."""
    begun = time.monotonic()
    for url in outside.urls:
        now = time.monotonic()
        if now - begun <= within and _resting.get(url, 0.0) <= now:
            yield _stamper(url, outside.roots)


def leave_alone(stamper: OutsideTimestamper) -> None:
    """It gave no token: it is not asked for a while."""
    _resting[stamper.url] = time.monotonic() + REST_SECONDS
