"""What messages and recordings hold, fetched from the carrier with the account's key, and only from the carrier."""

import re

import aiohttp
from yarl import URL

from integrations.http import AddressNotAllowed, AnswerTooLong, check_address, client_session, read_answer
from router.model.blobs import MAX_BYTES
from router.ports import Media, Refused

HOSTS = frozenset({"api.twilio.com", "media.twiliocdn.com", "mcs.us1.twilio.com"})
SECONDS = 40.0
_TYPE = re.compile(r"(?:image|audio|video|text|application)/[a-z0-9.+-]{1,80}")
OPAQUE = "application/octet-stream"
# What a browser would run or render as a page is kept as bytes without a meaning.
_ACTIVE = re.compile(r".*(?:html|xml|javascript|ecmascript)")


class MediaStore:
    """A key is shown only to the carrier's own hosts, or to `base_url`. It may point on to a store of its own, which is
    asked without the key, and never inside."""

    def __init__(self, session: aiohttp.ClientSession, *, account: str, token: str, base_url: str | None) -> None:
        self._session = session
        self._headers = {"Authorization": aiohttp.encode_basic_auth(account, token)}
        self._origin = URL(base_url).origin() if base_url else None

    async def fetch(self, url: str) -> Media:
        """Raises Refused. Reading changes nothing, so it is never uncertain."""
        try:
            wanted = self._own(url)
            limits = aiohttp.ClientTimeout(total=SECONDS, connect=5.0)
            async with self._session.get(
                wanted, headers=self._headers, allow_redirects=False, timeout=limits
            ) as response:
                onward = response.headers.get("Location", "") if response.status in (301, 302, 303, 307, 308) else ""
                if not onward:
                    return await _taken(response)
            return await _elsewhere(wanted.join(URL(onward)))
        except Refused:
            raise
        except AnswerTooLong as error:
            raise Refused("the medium is too large", permanent=True, code="too_large") from error
        except (AddressNotAllowed, ValueError) as error:
            raise Refused("the medium is not at the carrier's", permanent=True, code="address") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refused("the medium cannot be fetched", permanent=False, code=type(error).__name__) from error

    def _own(self, url: str) -> URL:
        wanted = URL(url, encoded=True)
        if self._origin is not None and wanted.is_absolute() and wanted.origin() == self._origin:
            return wanted
        if wanted.scheme != "https" or wanted.host not in HOSTS or wanted.explicit_port not in (None, 443):
            raise AddressNotAllowed("not the carrier's address")
        return wanted


async def _elsewhere(url: URL) -> Media:
    check_address(url)
    async with (
        client_session(guarded=True, total=SECONDS, connect=5.0, connections=1) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return await _taken(response)


async def _taken(response: aiohttp.ClientResponse) -> Media:
    if response.status != 200:
        # A recording may be told of before it can be had: not found is no for now.
        permanent = 400 <= response.status < 500 and response.status not in (401, 404, 408, 425, 429)
        raise Refused(f"the medium's host answered {response.status}", permanent=permanent, code=str(response.status))
    kind = response.content_type.lower()
    known = _TYPE.fullmatch(kind) and not _ACTIVE.fullmatch(kind)
    return Media(await read_answer(response, MAX_BYTES), kind if known else OPAQUE)
