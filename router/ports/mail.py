"""E-mail that leaves the house."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

RECIPIENT = "recipient:"
"""Begins the code of a refusal that says the address takes no mail and never will; the party's own code follows."""


@dataclass(frozen=True)
class Enclosure:
    """A document that goes with a mail."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class MailOrder:
    """An e-mail to one person. `ref` is our own unguessable name of it: its Message-ID is made of it, so that whatever
    comes back can be tied to it. `sender` is the brand's address, `sender_name` what stands beside it. `text` and
    `html` say the same. `unsubscribe_url` takes a POST that ends such mails (RFC 8058); "" for what needs no such link.
    """

    ref: str
    to: str
    sender: str
    subject: str
    text: str
    html: str
    sender_name: str = ""
    unsubscribe_url: str = ""
    enclosures: Sequence[Enclosure] = ()


class Mail(Protocol):
    """A mail server that takes our mails. Every method raises Refused or Uncertain, nothing else."""

    async def send(self, order: MailOrder) -> str:
        """Hand the mail over; what the server calls it."""

    async def check(self) -> None:
        """Whether the server answers and lets us in; nothing is sent."""
