"""How providers of signatures prove that a message is theirs: over the bytes as they came, compared in constant time.

`secrets` hold "secret" and, while it is changed, "previous". Headers are in lower case. Nothing here raises.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qs

from router.model import foreign
from router.model.errors import Unreadable

TOLERANCE_SECONDS = 300
MOST_KEYS = 20
_DOCUSEAL = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")
_YOUSIGN = re.compile(r"sha256=([0-9a-f]{64})")
DROPBOX_ANSWER = "Hello API Event Received"
"""The exact words Dropbox Sign waits for."""


def docusign(body: bytes, headers: Mapping[str, str], secrets: Mapping[str, str]) -> bool:
    """DocuSign Connect: base64 of the HMAC-SHA256 of the body, one header for each key in use; one that fits is enough.
    The key is used as text."""
    fits = [
        foreign.signed(body, given, secrets)
        for place in range(1, MOST_KEYS + 1)
        if (given := _base64(headers.get(f"x-docusign-signature-{place}", "")))
    ]
    return any(fits)


def yousign(body: bytes, headers: Mapping[str, str], secrets: Mapping[str, str]) -> bool:
    """Yousign: "sha256=" and the HMAC-SHA256 of the body in hexadecimal. The time it names beside is not signed."""
    given = _YOUSIGN.fullmatch(headers.get("x-yousign-signature-256", ""))
    return given is not None and foreign.signed(body, bytes.fromhex(given[1]), secrets)


def docuseal(body: bytes, headers: Mapping[str, str], secrets: Mapping[str, str], now: datetime) -> bool:
    """DocuSeal: "<seconds since 1970>.<HMAC-SHA256 of those, a dot and the body, in hexadecimal>", not older or newer
    than five minutes. The secret is used whole, with its "whsec_". Read in its source; it is not documented."""
    given = _DOCUSEAL.fullmatch(headers.get("x-docuseal-signature", ""))
    if given is None:
        return False
    fits = foreign.signed(given[1].encode() + b"." + body, bytes.fromhex(given[2]), secrets)
    return fits and abs(now.timestamp() - int(given[1])) <= TOLERANCE_SECONDS


def documenso(headers: Mapping[str, str], secrets: Mapping[str, str]) -> bool:
    """Documenso: the secret itself, in a header. It proves that the sender knows it, and nothing of the body."""
    given = headers.get("x-documenso-secret", "").encode("utf-8", "surrogateescape")
    return any([hmac.compare_digest(given, secret.encode()) for secret in foreign.secret_words(secrets)])


def dropbox(body: bytes, secrets: Mapping[str, str]) -> bool:
    """Dropbox Sign: inside the JSON of the form field `json`, HMAC-SHA256 of the event's time and type, keyed with the
    API key. The rest of the body is not authenticated."""
    try:
        event = foreign.part(foreign.read(dropbox_json(body)), "event")
    except Unreadable:
        return False
    said = foreign.raw(event.get("event_time")) + foreign.raw(event.get("event_type"))
    given = foreign.raw(event.get("event_hash")).encode("utf-8", "replace")
    return any([
        hmac.compare_digest(given, hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest().encode())
        for secret in foreign.secret_words(secrets)
    ])


def dropbox_json(body: bytes) -> bytes:
    """The form's field `json`; empty when there is none."""
    try:
        found = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20).get("json", [""])
    except ValueError:
        return b""
    return found[0].encode()


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii", "replace"), validate=True)
    except ValueError:
        return b""
