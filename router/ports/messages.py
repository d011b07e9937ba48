"""Messages, in both directions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Channel(StrEnum):
    """How a written message travels."""

    sms = "sms"
    whatsapp = "whatsapp"


@dataclass(frozen=True)
class MessageOrder:
    """A text message. `ref` is our own unguessable name of it; it comes back with every callback. `to` and `sender` are
    E.164 on every channel."""

    ref: str
    to: str
    sender: str
    text: str
    channel: Channel = Channel.sms


class MessageStage(StrEnum):
    queued = "queued"
    sent = "sent"
    delivered = "delivered"
    failed = "failed"


@dataclass(frozen=True)
class MessageMoved:
    """How far a message has come. `nobody`: there is nobody at this number who could read it."""

    ref: str
    carrier_id: str
    stage: MessageStage
    error_code: str = ""
    nobody: bool = False


_REFERENCE = re.compile(r"\[ref:\s{0,3}([A-Za-z0-9]{4,32})\s{0,3}\]", re.IGNORECASE)


@dataclass(frozen=True)
class MessageArrived:
    """A person wrote to us. `media` are pairs of address and media type, to be fetched with `Carrier.fetch`; `name` is
    what he calls himself there; `referral` is all the carrier told of the advertisement he came from, as it named it.
    """

    carrier_id: str
    sender: str
    to: str
    text: str
    channel: Channel = Channel.sms
    name: str = ""
    media: tuple[tuple[str, str], ...] = ()
    referral: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The code in "[ref:…]" that joins the message to a visit of our page; in capitals."""
        found = _REFERENCE.search(self.text)
        return found[1].upper() if found else ""
