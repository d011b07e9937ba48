"""Visitors: who acts at a customer's door, as the server sees him."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Visitor:
    """`device` is the secret in his browser's long-lived cookie, "" when it keeps none. `since` is how long ago what he
    does was begun: a form on a slow line takes its time."""

    ip: str
    user_agent: str
    device: str = ""
    since: timedelta = timedelta(0)

    def as_data(self) -> dict[str, str]:
        clean = "".join(char for char in self.user_agent if char.isprintable())
        return {"ip": self.ip[:64], "user_agent": clean[:300]}
