from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from integrations.phonebox.exchange import Exchange, NotPossible
from integrations.phonebox.legs import Callback, Leg, LegState, RoomState

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CALLS = Callback("http://x.example/call", frozenset(["initiated", "ringing", "answered", "completed"]))
ROOMS = Callback("http://x.example/room", frozenset(["start", "end", "join", "leave", "hold", "mute"]))


class Time:
    """An exchange and its time, moved by hand."""

    def __init__(self) -> None:
        self.exchange = Exchange("AC" + "0" * 32, soft_seconds=1, dial_seconds=1)
        self.now = NOON

    def forward(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += timedelta(seconds=1)
            self.exchange.tick(self.now)

    def call(self, to: str, label: str = "", *, ends: bool = False, room: str = "room", ring: float = 20) -> Leg:
        leg = Leg(to, "+34910000000", self.now, label=label, callback=CALLS, ends_room=ends, ring_seconds=ring)
        return self.exchange.place_into(room, leg, ROOMS)

    def told(self) -> list[str]:
        """The events told since the last time, in short."""
        return [
            f"{fields.get('ParticipantLabel', '')} {event}".strip()
            if (event := (fields := notice.fields).get("StatusCallbackEvent"))
            else fields["CallStatus"]
            for notice in self.exchange.take_notices()
        ]

    def talking(self) -> tuple[Leg, Leg]:
        agent = self.call("client:ana", "agent")
        self.forward(2)
        customer = self.call("+34600000001", "customer", ends=True)
        self.forward(1)
        self.exchange.answer(customer.sid, self.now)
        return agent, customer


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_room_starts_with_the_second_person(time: Time) -> None:
    agent, _ = time.talking()
    told = time.told()
    assert told[:4] == ["initiated", "ringing", "in-progress", "agent participant-join"]
    assert told[-3:] == ["in-progress", "conference-start", "customer participant-join"]
    assert time.exchange.find_room("room").state is RoomState.in_progress
    assert time.exchange.find_room(agent.room or "").name == "room"


def test_the_room_ends_with_the_one_who_ends_it(time: Time) -> None:
    agent, customer = time.talking()
    time.told()
    time.exchange.hang_up(customer.sid, time.now)
    room = time.exchange.rooms[agent.room or ""]
    assert room.reason == "participant-with-end-conference-on-exit-left"
    assert (room.ended_by, agent.state, room.live_legs) == (customer, LegState.completed, [])
    assert time.told() == [
        "customer participant-leave",
        "agent participant-leave",
        "conference-end",
        "completed",
        "completed",
    ]


def test_an_agent_who_leaves_leaves_the_customer_in_the_room(time: Time) -> None:
    agent, customer = time.talking()
    time.exchange.hang_up(agent.sid, time.now)
    assert customer.state is LegState.in_progress
    time.exchange.end_leg(customer.sid, time.now, kicked=True)
    assert time.exchange.rooms[agent.room or ""].reason == "participant-with-end-conference-on-exit-kicked"


def test_the_last_who_leaves_ends_the_room_and_stops_the_ringing(time: Time) -> None:
    agent = time.call("client:ana", "agent")
    time.forward(2)
    customer = time.call("+34600000001", "customer")
    time.forward(1)
    time.exchange.hang_up(agent.sid, time.now)
    assert customer.state is LegState.canceled
    assert time.exchange.rooms[agent.room or ""].reason == "last-participant-left"


def test_a_room_nobody_joined_ends_without_a_word(time: Time) -> None:
    leg = time.call("+34600000001", ring=3)
    time.forward(4)
    assert leg.state is LegState.no_answer
    assert time.exchange.rooms[leg.room or ""].state is RoomState.completed
    assert time.told() == ["initiated", "ringing", "no-answer"]


def test_an_ended_rooms_name_opens_a_new_room(time: Time) -> None:
    first = time.call("+34600000001")
    time.exchange.end_room("room", time.now)
    second = time.call("+34600000001")
    assert first.room != second.room
    assert first.state is LegState.canceled


def test_a_call_that_is_over_moves_no_more(time: Time) -> None:
    leg = time.call("+34600000001")
    time.forward(1)
    time.exchange.decline(leg.sid, time.now)
    for move in (time.exchange.answer, time.exchange.decline, time.exchange.hang_up, time.exchange.end_leg):
        with pytest.raises(NotPossible):
            move(leg.sid, time.now)
    time.forward(100)
    assert leg.state is LegState.busy


def test_only_one_call_rings_on_a_phone(time: Time) -> None:
    first, second = time.call("+34600000001", room="a"), time.call("+34600000001", room="b")
    time.forward(1)
    assert (first.state, second.state) == (LegState.ringing, LegState.busy)


def test_a_label_in_use_is_refused(time: Time) -> None:
    time.call("+34600000001", "customer")
    with pytest.raises(NotPossible) as refused:
        time.call("+34600000002", "customer")
    assert refused.value.code == 16025


def test_canceling_leaves_a_call_that_was_answered_alone(time: Time) -> None:
    agent, _ = time.talking()
    time.exchange.end_leg(agent.sid, time.now, cancel_only=True)
    assert agent.state is LegState.in_progress


def test_the_time_limit_ends_a_call(time: Time) -> None:
    leg = time.call("client:ana")
    leg.longest_seconds = 5
    time.forward(8)
    assert (leg.state, leg.seconds) == (LegState.completed, 5)


def test_the_first_participants_callback_is_the_rooms(time: Time) -> None:
    time.call("client:ana", "agent")
    leg = Leg("client:eva", "+34910000000", time.now)
    time.exchange.place_into("room", leg, Callback("http://other.example", ROOMS.events))
    time.forward(2)
    rooms = [notice for notice in time.exchange.take_notices() if "ConferenceSid" in notice.fields]
    assert {notice.url for notice in rooms} == {ROOMS.url}
    assert [notice.fields["SequenceNumber"] for notice in rooms] == ["0", "1", "2"]


def test_events_nobody_asked_for_are_not_told(time: Time) -> None:
    leg = Leg("client:ana", "+34910000000", time.now, callback=Callback.wanted("http://x.example", [], "completed"))
    time.exchange.place(leg)
    time.forward(3)
    time.exchange.hang_up(leg.sid, time.now)
    (notice,) = time.exchange.take_notices()
    assert (notice.fields["CallStatus"], notice.fields["SequenceNumber"]) == ("completed", "0")
    assert (notice.fields["CallDuration"], notice.fields["Duration"]) == ("1", "1")


@pytest.mark.parametrize("order", list(permutations(["agent", "customer", "api", "limit"], 3)))
def test_however_a_call_ends_everybody_is_out_once(order: tuple[str, ...]) -> None:
    time = Time()
    agent, customer = time.talking()
    ends: dict[str, Callable[[], object]] = {
        "agent": lambda: time.exchange.hang_up(agent.sid, time.now),
        "customer": lambda: time.exchange.hang_up(customer.sid, time.now),
        "api": lambda: time.exchange.end_room(agent.room or "", time.now),
        "limit": lambda: time.forward(3),
    }
    for each in order:
        try:
            ends[each]()
        except NotPossible:
            continue
    if "customer" in order or "api" in order:
        told = time.told()
        assert told.count("completed") == 2
        assert told.count("conference-end") == 1
        assert told.count("agent participant-leave") == told.count("customer participant-leave") == 1
        assert time.exchange.next_due() is None
