"""TURN: a relay for browsers that cannot reach each other, with credentials that end by themselves.

The user name is the moment of expiry (seconds since 1970) and a label, the password the HMAC-SHA1 of it under the
secret shared with the relay, in Base64: the scheme of coturn's `use-auth-secret`.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

LIFE = timedelta(hours=6)
"""Longer than a room lives: the relay asks for the credentials again in the middle of a talk."""


@dataclass(frozen=True)
class Turn:
    """`urls` are turn:, turns: or stun: addresses; `secret` is shared with the relay."""

    urls: tuple[str, ...]
    secret: str

    def servers(self, label: str, now: datetime) -> list[dict[str, object]]:
        """What a browser is given, good until `now` (aware) + LIFE."""
        username = f"{int((now + LIFE).timestamp())}:{label}"
        password = hmac.new(self.secret.encode(), username.encode(), hashlib.sha1).digest()
        return [{
            "urls": list(self.urls), "username": username, "credential": base64.b64encode(password).decode(),
        }]
