"""Do-not-call registers that are asked number by number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

NOBODYS = "+12025550100"
"""A number for fiction: to ask about it tells the register of nobody."""


@dataclass(frozen=True)
class RegisterDoor:
    """Where a register is asked, with the `secret` it knows us by; `settings` are the adapter's own."""

    url: str
    secret: str
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def probe(self) -> str:
        """The number (E.164) that is asked about when the door is only tried."""
        return self.settings.get("probe") or NOBODYS


@dataclass(frozen=True)
class RegisterAnswer:
    """Whether the register lists the number. `as_of` is of when its data are, `until` how long it says that this holds
    (both aware; None where it does not say)."""

    listed: bool
    as_of: datetime | None = None
    until: datetime | None = None


class Register(Protocol):
    """A register's door. Asking twice does no harm."""

    async def ask(self, door: RegisterDoor, phone: str) -> RegisterAnswer:
        """What the register says of a number (E.164). An answer that does not say yes or no is none.

        Raises Refused, `permanent` when asking again will not help, and Uncertain when there was no answer; nothing
        else. What it raises names neither the number nor the secret.
        """
