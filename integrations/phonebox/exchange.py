"""The exchange: calls and rooms as pure state. Time is an argument; what is to be told comes out as notices."""

from collections import Counter
from datetime import datetime, timedelta

from integrations.phonebox.legs import Callback, Leg, LegState, Notice, Room, RoomState, is_soft


class NotPossible(Exception):
    """The state does not allow it. `code` is the carrier's error code, `status` the HTTP status that goes with it."""

    def __init__(self, sentence: str, *, code: int, status: int) -> None:
        super().__init__(sentence)
        self.sentence, self.code, self.status = sentence, code, status


def not_found() -> NotPossible:
    return NotPossible("The requested resource was not found", code=20404, status=404)


class Exchange:
    """All calls and rooms of one account.

    A phone takes one call at a time, any more are busy. A soft phone answers by itself `soft_seconds` after it begins
    to ring; every phone begins to ring `dial_seconds` after it was called.
    """

    def __init__(self, account: str, *, soft_seconds: float = 0.3, dial_seconds: float = 0.02) -> None:
        self.account = account
        self.legs: dict[str, Leg] = {}
        self.rooms: dict[str, Room] = {}
        self.versions: Counter[str] = Counter()
        self._live: dict[str, Leg] = {}
        self._open: dict[str, Room] = {}
        self._soft = timedelta(seconds=soft_seconds)
        self._dial = timedelta(seconds=dial_seconds)
        self._notices: list[Notice] = []

    def take_notices(self) -> list[Notice]:
        """What has to be told since the last time, in order."""
        notices, self._notices = self._notices, []
        return notices

    def next_due(self) -> datetime | None:
        """When something happens by itself."""
        moments = [moment for leg in self._live.values() for moment in (leg.due_at, leg.answers_at) if moment]
        return min(moments, default=None)

    def tick(self, now: datetime) -> None:
        """Do what is due: begin to ring, let soft phones answer, end what rang or lasted too long."""
        for leg in list(self._live.values()):
            if leg.live and leg.answers_at and leg.answers_at <= now:
                self.answer(leg.sid, now)
            if leg.live and leg.due_at and leg.due_at <= now:
                self._due(leg, now)

    def _due(self, leg: Leg, now: datetime) -> None:
        if leg.state is LegState.queued:
            self._ring(leg, now)
        elif leg.state is LegState.ringing:
            self._end(leg, LegState.no_answer, now)
        else:
            self._end(leg, LegState.completed, now)

    def legs_of(self, address: str) -> list[Leg]:
        """The live calls to this phone."""
        return [leg for leg in self._live.values() if leg.phone == address]

    def find_leg(self, sid: str) -> Leg:
        if sid not in self.legs:
            raise not_found()
        return self.legs[sid]

    def find_room(self, sid_or_name: str) -> Room:
        room = self.rooms.get(sid_or_name) or self._open.get(sid_or_name)
        if room is None:
            raise not_found()
        return room

    def find_participant(self, room: str, sid_or_label: str) -> tuple[Room, Leg]:
        found = self.find_room(room)
        for leg in found.live_legs:
            if sid_or_label in (leg.sid, leg.label):
                return found, leg
        raise not_found()

    def place(self, leg: Leg) -> Leg:
        """Call somebody; the call goes nowhere when answered."""
        leg.due_at = leg.placed_at + self._dial
        self.legs[leg.sid] = self._live[leg.sid] = leg
        self._notices += leg.tell("initiated", self.account, leg.placed_at)
        return leg

    def call_in(self, leg: Leg) -> Leg:
        """A phone calls the other side; what happens is its script's to say. A phone in use cannot call."""
        leg.inbound, leg.state = True, LegState.ringing
        if self.legs_of(leg.phone):
            raise NotPossible("This phone is in use", code=21220, status=409)
        leg.due_at = leg.placed_at + timedelta(seconds=leg.ring_seconds)
        self.legs[leg.sid] = self._live[leg.sid] = leg
        self._changed(leg)
        return leg

    def pick_up(self, leg: Leg, now: datetime) -> None:
        """The script answers the call, if it has not yet."""
        if leg.state is LegState.ringing:
            self.answer(leg.sid, now)

    def turn_away(self, leg: Leg, state: LegState, now: datetime) -> None:
        """The script does not answer."""
        if leg.live:
            self._end(leg, state, now)

    def show(self, leg: Leg, **doing: str) -> None:
        """What the call's script does now."""
        leg.doing = doing
        self._changed(leg)

    def enter_room(self, name: str, leg: Leg, callback: Callback | None, now: datetime) -> Room:
        """A call that is answered goes into the room of this name, which is opened for it if need be."""
        room = self._room_of(name, callback, now)
        self._check_label(room, leg)
        leg.room, leg.room_name, leg.on_hold, leg.muted = room.sid, room.name, False, False
        if leg not in room.legs:
            room.legs.append(leg)
        self._join(room, leg, now)
        self._changed(leg)
        return room

    def leave_room(self, leg: Leg, now: datetime, why: str = "participant_updated_via_api") -> None:
        """Take a call out of its room; it lives on."""
        room = self.rooms.get(leg.room or "")
        if room is None:
            return
        leg.room = None
        self._leave(room, leg, why, now)
        self._end_if_over(room, leg, now, was_in=True, kicked=True)
        self._changed(leg)

    def _room_of(self, name: str, callback: Callback | None, now: datetime) -> Room:
        room = self._open.get(name) or self.rooms.get(name)
        if room and room.state is RoomState.completed:
            raise NotPossible("The conference has ended", code=20404, status=404)
        if room is None:
            room = Room(name, now, callback)
            self.rooms[room.sid] = self._open[name] = room
        return room

    def _check_label(self, room: Room, leg: Leg) -> None:
        if leg.label and any(other.label == leg.label and other is not leg for other in room.live_legs):
            raise NotPossible("Participant label is already in use in this conference", code=16025, status=400)

    def place_into(self, name: str, leg: Leg, callback: Callback | None) -> Leg:
        """Call somebody into the room of this id or name; an unknown or ended name opens a new room."""
        room = self._room_of(name, callback, leg.placed_at)
        self._check_label(room, leg)
        leg.room, leg.room_name = room.sid, room.name
        room.legs.append(leg)
        return self.place(leg)

    def _ring(self, leg: Leg, now: datetime) -> None:
        if any(other.state in (LegState.ringing, LegState.in_progress) for other in self.legs_of(leg.to)):
            self._end(leg, LegState.busy, now)
            return
        leg.state, leg.updated_at = LegState.ringing, now
        leg.due_at = now + timedelta(seconds=leg.ring_seconds)
        leg.answers_at = now + self._soft if is_soft(leg.to) else None
        self._changed(leg)
        self._notices += leg.tell("ringing", self.account, now)

    def answer(self, sid: str, now: datetime) -> None:
        leg = self._in_state(sid, LegState.ringing)
        leg.state, leg.updated_at, leg.answered_at, leg.answers_at = LegState.in_progress, now, now, None
        leg.due_at = now + timedelta(seconds=leg.longest_seconds)
        self._changed(leg)
        self._notices += leg.tell("answered", self.account, now)
        if leg.room:
            self._join(self.rooms[leg.room], leg, now)

    def _join(self, room: Room, leg: Leg, now: datetime) -> None:
        # A conference begins with the second person, provided somebody in it may begin one.
        begins = len(room.joined) > 1 and any(other.starts_room for other in room.joined)
        if room.state is RoomState.init and begins:
            room.state = RoomState.in_progress
            self._notices += room.tell("conference-start", self.account, now)
        room.updated_at = now
        self._notices += room.tell_of(leg, "participant-join", self.account, now)

    def decline(self, sid: str, now: datetime) -> None:
        """The person pressed Decline."""
        self._end(self._in_state(sid, LegState.ringing), LegState.busy, now)

    def hang_up(self, sid: str, now: datetime) -> None:
        """The person pressed Hang up."""
        self._end(self._in_state(sid, LegState.in_progress), LegState.completed, now)

    def end_leg(self, sid: str, now: datetime, *, cancel_only: bool = False, kicked: bool = False) -> Leg:
        """Whoever placed the call ends it. `cancel_only` leaves a call that was answered alone. Kicked out of a room, a
        call that came in goes on without it."""
        leg = self.find_leg(sid)
        if kicked and leg.inbound and leg.live:
            self.leave_room(leg, now)
            return leg
        if not leg.live:
            raise NotPossible("Call is not in-progress. Cannot redirect.", code=21220, status=400)
        if leg.state is not LegState.in_progress:
            self._end(leg, LegState.canceled, now)
        elif not cancel_only:
            self._end(leg, LegState.completed, now, kicked=kicked)
        return leg

    def _in_state(self, sid: str, state: LegState) -> Leg:
        leg = self.find_leg(sid)
        if leg.state is not state:
            raise NotPossible(f"The call is {leg.state}, not {state}", code=21220, status=409)
        return leg

    def _end(self, leg: Leg, state: LegState, now: datetime, *, kicked: bool = False) -> None:
        was_in = leg.state is LegState.in_progress
        self._close(leg, state, now)
        room = self.rooms.get(leg.room or "")
        if room and room.state is not RoomState.completed:
            if was_in:
                leg.room = None if leg.inbound else leg.room
                why = "participant_updated_via_api" if kicked else "participant_hung_up"
                self._leave(room, leg, why, now)
            self._end_if_over(room, leg, now, was_in=was_in, kicked=kicked)
        self._notices += leg.tell("completed", self.account, now)

    def _close(self, leg: Leg, state: LegState, now: datetime) -> None:
        leg.state, leg.updated_at, leg.ended_at = state, now, now
        leg.due_at = leg.answers_at = None
        self._live.pop(leg.sid, None)
        self._changed(leg)

    def _leave(self, room: Room, leg: Leg, why: str, now: datetime) -> None:
        more = {"ReasonParticipantLeft": why, "ParticipantCallStatus": leg.state.value}
        room.updated_at = now
        self._notices += room.tell_of(leg, "participant-leave", self.account, now, **more)

    def _end_if_over(self, room: Room, leg: Leg, now: datetime, *, was_in: bool, kicked: bool) -> None:
        manner = "kicked" if kicked else "left"
        if was_in and leg.ends_room:
            self._end_room(room, f"participant-with-end-conference-on-exit-{manner}", leg, now)
        elif (was_in and not room.joined) or not room.live_legs:
            self._end_room(room, f"last-participant-{manner}", leg, now)

    def end_room(self, sid: str, now: datetime) -> Room:
        room = self.find_room(sid)
        if room.state is not RoomState.completed:
            self._end_room(room, "conference-ended-via-api", None, now)
        return room

    def _end_room(self, room: Room, reason: str, by: Leg | None, now: datetime) -> None:
        ever_joined = any(leg.answered_at for leg in room.legs)
        room.state, room.reason, room.ended_by, room.updated_at = RoomState.completed, reason, by, now
        self._open.pop(room.name, None)
        why = "moderator_ended_conference" if by else "conference_ended_via_api"
        closed: list[Leg] = []
        for leg in room.live_legs:
            was_in = leg.state is LegState.in_progress
            if leg.inbound:
                leg.room = None
                self._leave(room, leg, why, now)
                self._changed(leg)
                continue
            self._close(leg, LegState.completed if was_in else LegState.canceled, now)
            closed.append(leg)
            if was_in:
                self._leave(room, leg, why, now)
        if ever_joined:
            more = {"ReasonConferenceEnded": reason}
            if by:
                more |= {"CallSidEndingConference": by.sid, "ParticipantLabelEndingConference": by.label}
            self._notices += room.tell("conference-end", self.account, now, **more)
        for leg in closed:
            self._notices += leg.tell("completed", self.account, now)

    def change_participant(self, room: Room, leg: Leg, now: datetime, **wanted: bool | None) -> None:
        """Set `hold`, `muted` or `ends_room`; None leaves it as it is. Each real change is told once."""
        if wanted.get("ends_room") is not None:
            leg.ends_room = bool(wanted["ends_room"])
        for name, attribute, event in (("hold", "on_hold", "hold"), ("muted", "muted", "mute")):
            on = wanted.get(name)
            if on is None or on is getattr(leg, attribute):
                continue
            setattr(leg, attribute, on)
            leg.updated_at = now
            self._changed(leg)
            if leg.state is LegState.in_progress:
                self._notices += room.tell_of(
                    leg, f"participant-{event}" if on else f"participant-un{event}", self.account, now
                )

    def remember_ended(self, leg: Leg, room_sid: str | None, now: datetime) -> None:
        """A call from before a restart: it has ended, and so has its room."""
        leg.state, leg.ended_at = LegState.completed, now
        self.legs[leg.sid] = leg
        if room_sid:
            room = self.rooms.setdefault(room_sid, Room(leg.room_name, leg.placed_at, None, sid=room_sid))
            room.state, room.reason, leg.room = RoomState.completed, "last-participant-left", room_sid
            room.legs.append(leg)

    def forget_leg(self, sid: str) -> None:
        """Delete the record of an ended call."""
        if self.find_leg(sid).live:
            raise NotPossible("A call that is not complete cannot be deleted", code=20009, status=409)
        del self.legs[sid]

    def _changed(self, leg: Leg) -> None:
        self.versions[leg.phone] += 1
