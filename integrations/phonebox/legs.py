"""What the phonebox knows of calls and rooms, and how it words their callbacks. Names are the carrier's."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum

API_VERSION = "2010-04-01"
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
WITHHELD = "anonymous"
SOFT_PHONE = re.compile(r"client:[A-Za-z0-9_.-]{1,64}")


class LegState(StrEnum):
    queued = "queued"
    ringing = "ringing"
    in_progress = "in-progress"
    completed = "completed"
    busy = "busy"
    failed = "failed"
    no_answer = "no-answer"
    canceled = "canceled"


LIVE = frozenset({LegState.queued, LegState.ringing, LegState.in_progress})
# The SIP answer that goes with each end of a call.
_SIP = {
    LegState.completed: "200",
    LegState.busy: "486",
    LegState.failed: "404",
    LegState.no_answer: "487",
    LegState.canceled: "487",
}
_PARTICIPANT_STATUS = {
    LegState.queued: "queued",
    LegState.ringing: "ringing",
    LegState.in_progress: "connected",
    LegState.completed: "complete",
}


class RoomState(StrEnum):
    init = "init"
    in_progress = "in-progress"
    completed = "completed"


def new_sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def stamp(moment: datetime) -> str:
    """RFC 2822 in UTC, as the carrier's 2010 interface writes times."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0))


def is_address(text: str) -> bool:
    """Whether this is a phone (E.164) or a soft phone (`client:name`)."""
    return bool(PHONE.fullmatch(text) or SOFT_PHONE.fullmatch(text))


def is_soft(address: str) -> bool:
    return address.startswith("client:")


@dataclass(frozen=True)
class Callback:
    """Where to tell of which events."""

    url: str
    events: frozenset[str]

    @classmethod
    def wanted(cls, url: str, events: Iterable[str], default: str) -> "Callback | None":
        names = frozenset(name for text in events for name in text.split())
        return cls(url, names or frozenset(default.split())) if url else None


@dataclass(frozen=True)
class Notice:
    """A callback to be delivered. Those of one subject are delivered in order."""

    subject: str
    url: str
    fields: dict[str, str]


@dataclass
class Leg:
    """One call. Ring time and time limit in seconds; `room` is the id of its room, if it is in one or goes into one.

    `inbound`: a phone of ours called the other side, whose script the call follows; `doing` is what its phone shows of
    that. Such a call outlives its rooms.
    """

    to: str
    caller: str
    placed_at: datetime
    sid: str = field(default_factory=lambda: new_sid("CA"))
    room: str | None = None
    room_name: str = ""
    label: str = ""
    callback: Callback | None = None
    ring_seconds: float = 60.0
    longest_seconds: float = 14_400.0
    starts_room: bool = True
    ends_room: bool = False
    muted: bool = False
    on_hold: bool = False
    state: LegState = LegState.queued
    updated_at: datetime = field(init=False)
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    answers_at: datetime | None = None
    told: int = 0
    inbound: bool = False
    withheld: bool = False
    doing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.updated_at = self.placed_at

    @property
    def phone(self) -> str:
        """The phone of this phonebox that the call is on."""
        return self.caller if self.inbound else self.to

    @property
    def shown_caller(self) -> str:
        return WITHHELD if self.withheld else self.caller

    @property
    def direction(self) -> str:
        return "inbound" if self.inbound else "outbound-api"

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def participant_status(self) -> str:
        return _PARTICIPANT_STATUS.get(self.state, "failed")

    @property
    def seconds(self) -> int:
        """Whole seconds of talk."""
        if not self.answered_at or not self.ended_at:
            return 0
        return max(0, int((self.ended_at - self.answered_at).total_seconds()))

    def tell(self, event: str, account: str, now: datetime) -> list[Notice]:
        """The callback for this event, if it was asked for."""
        if self.callback is None or event not in self.callback.events:
            return []
        status = "initiated" if event == "initiated" else self.state.value
        fields = {
            **self.about(account),
            "CallStatus": status,
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self.told),
            "Timestamp": stamp(now),
        }
        if not self.live:
            minutes = -(-self.seconds // 60)
            fields |= {"CallDuration": str(self.seconds), "Duration": str(minutes), "SipResponseCode": _SIP[self.state]}
        self.told += 1
        return [Notice(self.sid, self.callback.url, fields)]

    def about(self, account: str) -> dict[str, str]:
        """The fields every webhook of this call begins with."""
        return {
            "CallSid": self.sid,
            "AccountSid": account,
            "ApiVersion": API_VERSION,
            "Direction": self.direction,
            "From": self.shown_caller,
            "Caller": self.shown_caller,
            "To": self.to,
            "Called": self.to,
            "CallStatus": self.state.value,
        }


@dataclass
class Room:
    """A conference. Its callback is the one of whoever was placed first."""

    name: str
    created_at: datetime
    callback: Callback | None
    sid: str = field(default_factory=lambda: new_sid("CF"))
    state: RoomState = RoomState.init
    legs: list[Leg] = field(default_factory=list)
    updated_at: datetime = field(init=False)
    reason: str | None = None
    ended_by: Leg | None = None
    told: int = 0

    def __post_init__(self) -> None:
        self.updated_at = self.created_at

    @property
    def joined(self) -> list[Leg]:
        return [leg for leg in self.live_legs if leg.state is LegState.in_progress]

    @property
    def live_legs(self) -> list[Leg]:
        return [leg for leg in self.legs if leg.live and leg.room == self.sid]

    def tell(self, event: str, account: str, now: datetime, **more: str) -> list[Notice]:
        """The callback for this event (its full name), if its kind was asked for."""
        kind = {"unhold": "hold", "unmute": "mute"}.get(word := event.partition("-")[2], word)
        if self.callback is None or kind not in self.callback.events:
            return []
        fields = {
            "ConferenceSid": self.sid,
            "FriendlyName": self.name,
            "AccountSid": account,
            "StatusCallbackEvent": event,
            "SequenceNumber": str(self.told),
            "Timestamp": stamp(now),
            **more,
        }
        self.told += 1
        return [Notice(self.sid, self.callback.url, fields)]

    def tell_of(self, leg: Leg, event: str, account: str, now: datetime, **more: str) -> list[Notice]:
        about = {
            "CallSid": leg.sid,
            "ParticipantLabel": leg.label,
            "Muted": str(leg.muted).lower(),
            "Hold": str(leg.on_hold).lower(),
            "Coaching": "false",
            "EndConferenceOnExit": str(leg.ends_room).lower(),
            "StartConferenceOnEnter": str(leg.starts_room).lower(),
        }
        return self.tell(event, account, now, **about, **more)
