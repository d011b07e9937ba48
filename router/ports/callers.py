"""Who calls us, and what he hears."""

from dataclasses import dataclass

from router.ports.legs import LegOutcome, LegStage


@dataclass(frozen=True)
class CallArrived:
    """Somebody calls one of our numbers and waits to be told what happens. `caller` is as the carrier shows it, which
    need not be a number."""

    carrier_id: str
    caller: str
    dialled: str
    forwarded_from: str = ""


@dataclass(frozen=True)
class CallerTurned:
    """A caller has heard what we said, or left the room, and asks what now. `key` is the one he pressed, if any;
    `gone`: he has hung up meanwhile."""

    ref: str
    carrier_id: str
    key: str = ""
    gone: bool = False


@dataclass(frozen=True)
class CallerMoved:
    """A call that came in has moved on; `carrier_id` is what names it."""

    carrier_id: str
    stage: LegStage
    outcome: LegOutcome = LegOutcome.none


@dataclass(frozen=True)
class MessageSpoken:
    """A caller has left a spoken message of so many seconds, to be fetched at `url`."""

    ref: str
    carrier_id: str
    url: str
    seconds: int


@dataclass(frozen=True)
class Listen:
    """Say it, wait `seconds` for one key, and ask us again at the caller's own address `ref`."""

    ref: str
    seconds: int


@dataclass(frozen=True)
class EnterRoom:
    """Join this room; whoever comes in leaves it for the address `ref`."""

    ref: str
    room: str
    room_ref: str


@dataclass(frozen=True)
class LeaveMessage:
    """Record what he says, `longest_seconds` at most, and ask us again."""

    ref: str
    longest_seconds: int


@dataclass(frozen=True)
class TurnAway:
    """Do not pick up: the caller hears the busy tone, and pays nothing."""


@dataclass(frozen=True)
class HangUp:
    """End the call."""


Next = Listen | EnterRoom | LeaveMessage | TurnAway | HangUp


@dataclass(frozen=True)
class Prompt:
    """What a caller hears, in `locale`, and what happens then."""

    then: Next
    say: tuple[str, ...] = ()
    locale: str = "en"


@dataclass(frozen=True)
class JoinOrder:
    """A caller who waits is put into a room. `ref` is the address he asks at when he comes out of it; the
    room ends with him if it is his (`ends_room`)."""

    carrier_id: str
    ref: str
    room: str
    room_ref: str
    ends_room: bool = True


@dataclass(frozen=True)
class Media:
    """A picture, a document, a spoken message: its bytes and its media type as the carrier says."""

    content: bytes
    media_type: str
