"""A time authority outside, asked for one token over a digest (RFC 3161 over HTTP). Whoever shows the token says to
which root it leads: that is not looked at here."""

# mypy: allow-untyped-calls, no-warn-return-any, allow-subclassing-any
# asn1crypto carries no types.

import secrets

import aiohttp
from asn1crypto import cms, core, tsp

from integrations.http import read_answer
from router.ports import Refused

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
GRANTED = (0, 1)


class _Reply(core.Sequence):
    """A reply whose token may be missing, as it is when it is refused; asn1crypto's own demands one."""

    _fields = [("status", tsp.PKIStatusInfo), ("time_stamp_token", cms.ContentInfo, {"optional": True})]  # noqa: RUF012


class TimeAuthority:
    """Implements `router.ports.TimeProvider`. With a `user` it is asked as HTTP's basic authentication has it."""

    judged_by = "RFC 3161 and openssl's own authority; never run against a service one pays for"

    def __init__(self, session: aiohttp.ClientSession, url: str, user: str = "", password: str = "") -> None:
        self._session = session
        self._url = url
        self._auth = aiohttp.BasicAuth(user, password, "utf-8") if user else None

    async def timestamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        nonce = secrets.randbits(63)
        imprint = tsp.MessageImprint({"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest})
        query = tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "nonce": nonce, "cert_req": True})
        try:
            async with self._session.post(
                self._url, data=query.dump(), headers={"Content-Type": QUERY, "Accept": REPLY}, allow_redirects=False,
                auth=self._auth,
            ) as answer:
                status, body = answer.status, await read_answer(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refused(type(error).__name__, permanent=False, code="network") from None
        if status != 200:
            raise Refused(f"the time authority answered {status}", permanent=False, code=str(status))
        return _token(body, imprint.dump(), nonce)


def _token(body: bytes, imprint: bytes, nonce: int) -> bytes:
    """The token of a reply, if it is about our digest and answers our question. Raises Refused."""
    try:
        reply = _Reply.load(body, strict=True)
        granted = int(reply["status"]["status"]) in GRANTED
        token = reply["time_stamp_token"]
        info = token["content"]["encap_content_info"]["content"].parsed if granted else None
        ours = info is not None and info["message_imprint"].dump() == imprint and info["nonce"].native == nonce
        found: bytes = token.dump() if ours else b""
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused("the time authority's reply cannot be read", permanent=False, code="reply") from None
    if not granted:
        raise Refused("the time authority gave no token", permanent=False, code="rejected")
    if not found:
        raise Refused("the token is about something else", permanent=False, code="imprint")
    return found
