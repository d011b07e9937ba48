"""What can be asked of calls, conferences, participants and messages."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from integrations.phonebox import shapes
from integrations.phonebox.bodies import Form, bad, callback_url, first, flag, needed, number
from integrations.phonebox.exchange import NotPossible
from integrations.phonebox.legs import Callback, Leg, LegState, is_address
from integrations.phonebox.messages import Message
from integrations.phonebox.rest import ID, Answer, Asked, Verb
from integrations.phonebox.switchboard import Switchboard

LONGEST_RING, LONGEST_CALL = 600, 86_400  # seconds; the carrier's limits
LARGEST_PAGE = 1000
LONGEST_MARKUP = 4000
_CALL_STATES = frozenset(state.value for state in LegState)


class Verbs:
    def __init__(self, board: Switchboard, account: str) -> None:
        self._board, self._account = board, account

    def table(self) -> dict[tuple[str, str], Verb]:
        call, room, message = rf"Calls/{ID}\.json", rf"Conferences/{ID}\.json", rf"Messages/{ID}\.json"
        people = rf"Conferences/{ID}/Participants\.json"
        person = rf"Conferences/{ID}/Participants/{ID}\.json"
        return {
            ("POST", r"Calls\.json"): self.place_call,
            ("GET", r"Calls\.json"): self.list_calls,
            ("GET", call): self.fetch_call,
            ("POST", call): self.update_call,
            ("DELETE", call): self.delete_call,
            ("GET", r"Conferences\.json"): self.list_rooms,
            ("GET", room): self.fetch_room,
            ("POST", room): self.update_room,
            ("POST", people): self.add_participant,
            ("GET", people): self.list_participants,
            ("GET", person): self.fetch_participant,
            ("POST", person): self.update_participant,
            ("DELETE", person): self.kick_participant,
            ("POST", r"Messages\.json"): self.send_message,
            ("GET", r"Messages\.json"): self.list_messages,
            ("GET", message): self.fetch_message,
            ("POST", message): self.update_message,
            ("DELETE", message): self.delete_message,
        }

    def _leg(self, form: Form) -> Leg:
        to, caller = needed(form, "To", code=21201), needed(form, "From", code=21213)
        if not is_address(to):
            raise NotPossible("The phone number you are attempting to call is not valid.", code=21211, status=400)
        if not is_address(caller):
            raise NotPossible("The source phone number provided is not valid.", code=21212, status=400)
        events = form.get("StatusCallbackEvent", [])
        return Leg(
            to,
            caller,
            self._board.now(),
            callback=Callback.wanted(callback_url(form, "StatusCallback"), events, "completed"),
            ring_seconds=number(form, "Timeout", 60, LONGEST_RING),
            longest_seconds=number(form, "TimeLimit", 14_400, LONGEST_CALL),
        )

    def place_call(self, asked: Asked) -> Answer:
        leg = self._leg(asked.form)
        if not any(first(asked.form, name) for name in ("Url", "Twiml", "ApplicationSid")):
            raise NotPossible("Url parameter is required.", code=21205, status=400)
        return 201, shapes.call(self._board.exchange.place(leg), self._account)

    def list_calls(self, asked: Asked) -> Answer:
        state = asked.query.get("Status", "")
        if state and state not in _CALL_STATES:
            raise bad("Status is not a call's status")
        wanted = {"to": asked.query.get("To"), "caller": asked.query.get("From"), "state": state or None}
        legs = [leg for leg in self._board.exchange.legs.values() if _matches(leg, wanted)]
        legs = [leg for leg in legs if _within(leg.answered_at or leg.placed_at, asked.query, "StartTime")]
        return 200, self._page("calls", [shapes.call(leg, self._account) for leg in reversed(legs)], asked)

    def fetch_call(self, asked: Asked) -> Answer:
        return 200, shapes.call(self._board.exchange.find_leg(asked.ids[0]), self._account)

    def update_call(self, asked: Asked) -> Answer:
        leg, state = self._board.exchange.find_leg(asked.ids[0]), first(asked.form, "Status")
        if not state and (first(asked.form, "Twiml") or first(asked.form, "Url")):
            self._redirect(leg, asked.form)
            return 200, shapes.call(leg, self._account)
        if state not in ("completed", "canceled"):
            raise bad("Status must be completed or canceled")
        self._board.exchange.end_leg(leg.sid, self._board.now(), cancel_only=state == "canceled")
        return 200, shapes.call(leg, self._account)

    def _redirect(self, leg: Leg, form: Form) -> None:
        """A live call follows other markup from now on."""
        if leg.state is not LegState.in_progress or not self._board.scripts:
            raise NotPossible("Call is not in-progress. Cannot redirect.", code=21220, status=400)
        url = callback_url(form, "Url")
        markup = b"" if url else first(form, "Twiml").encode()
        if len(markup) > LONGEST_MARKUP:
            raise NotPossible("Twiml is too long", code=21218, status=400)
        self._board.scripts.go_on(self._board, leg, url=url, markup=markup)

    def delete_call(self, asked: Asked) -> Answer:
        asked.noted["sid"] = asked.ids[0]
        self._board.exchange.forget_leg(asked.ids[0])
        return 204, None

    def list_rooms(self, asked: Asked) -> Answer:
        wanted = {"name": asked.query.get("FriendlyName"), "state": asked.query.get("Status")}
        rooms = [room for room in self._board.exchange.rooms.values() if _matches(room, wanted)]
        for name in ("DateCreated", "DateUpdated"):
            rooms = [
                room
                for room in rooms
                if _within(room.created_at if name == "DateCreated" else room.updated_at, asked.query, name)
            ]
        records = [shapes.conference(room, self._account) for room in reversed(rooms)]
        return 200, self._page("conferences", records, asked)

    def fetch_room(self, asked: Asked) -> Answer:
        return 200, shapes.conference(self._board.exchange.find_room(asked.ids[0]), self._account)

    def update_room(self, asked: Asked) -> Answer:
        room = self._board.exchange.find_room(asked.ids[0])
        if (state := first(asked.form, "Status")) not in ("", "completed"):
            raise bad("Status must be completed")
        if state:
            room = self._board.exchange.end_room(room.sid, self._board.now())
        return 200, shapes.conference(room, self._account)

    def add_participant(self, asked: Asked) -> Answer:
        form, leg = asked.form, self._leg(asked.form)
        leg.label = first(form, "Label")
        leg.muted = bool(flag(form, "Muted"))
        leg.starts_room = flag(form, "StartConferenceOnEnter") is not False
        leg.ends_room = bool(flag(form, "EndConferenceOnExit"))
        hook = callback_url(form, "ConferenceStatusCallback")
        events = form.get("ConferenceStatusCallbackEvent", [])
        self._board.exchange.place_into(asked.ids[0], leg, Callback.wanted(hook, events, "start end"))
        asked.noted |= {"room": leg.room or "", "room_name": leg.room_name}
        return 201, shapes.participant(leg, self._account)

    def list_participants(self, asked: Asked) -> Answer:
        room, query = self._board.exchange.find_room(asked.ids[0]), {k: [v] for k, v in asked.query.items()}
        muted, held, coaching = (flag(query, name) for name in ("Muted", "Hold", "Coaching"))
        people = [
            shapes.participant(leg, self._account)
            for leg in room.live_legs
            if muted in (None, leg.muted) and held in (None, leg.on_hold) and not coaching
        ]
        return 200, self._page("participants", people, asked)

    def fetch_participant(self, asked: Asked) -> Answer:
        _, leg = self._board.exchange.find_participant(*asked.ids)
        return 200, shapes.participant(leg, self._account)

    def update_participant(self, asked: Asked) -> Answer:
        room, leg = self._board.exchange.find_participant(*asked.ids)
        hold, muted, ends = (flag(asked.form, name) for name in ("Hold", "Muted", "EndConferenceOnExit"))
        self._board.exchange.change_participant(room, leg, self._board.now(), hold=hold, muted=muted, ends_room=ends)
        return 200, shapes.participant(leg, self._account)

    def kick_participant(self, asked: Asked) -> Answer:
        _, leg = self._board.exchange.find_participant(*asked.ids)
        asked.noted["sid"] = leg.sid
        self._board.exchange.end_leg(leg.sid, self._board.now(), kicked=True)
        return 204, None

    def send_message(self, asked: Asked) -> Answer:
        form = asked.form
        to = needed(form, "To", code=21604)
        sender = first(form, "From") or needed(form, "MessagingServiceSid", code=21603)
        message = Message(to, sender, first(form, "Body"), self._board.now())
        message.callback_url = callback_url(form, "StatusCallback")
        return 201, shapes.message(self._board.post.send(message), self._account)

    def list_messages(self, asked: Asked) -> Answer:
        wanted = {"to": asked.query.get("To"), "sender": asked.query.get("From")}
        found = [each for each in self._board.post.messages.values() if _matches(each, wanted)]
        found = [each for each in found if _within(each.sent_at or each.created_at, asked.query, "DateSent")]
        found.sort(key=lambda each: each.created_at, reverse=True)
        return 200, self._page("messages", [shapes.message(each, self._account) for each in found], asked)

    def fetch_message(self, asked: Asked) -> Answer:
        return 200, shapes.message(self._board.post.find(asked.ids[0]), self._account)

    def update_message(self, asked: Asked) -> Answer:
        message = self._board.post.find(asked.ids[0])
        if first(asked.form, "Status") == "canceled":
            self._board.post.cancel(message.sid, self._board.now())
        elif "Body" in asked.form and not first(asked.form, "Body"):
            message.body = ""
        else:
            raise bad("Only an empty Body or the Status canceled can be set")
        return 200, shapes.message(message, self._account)

    def delete_message(self, asked: Asked) -> Answer:
        asked.noted["sid"] = asked.ids[0]
        self._board.post.forget(asked.ids[0])
        return 204, None

    def _page(self, key: str, records: Sequence[shapes.Record], asked: Asked) -> shapes.Record:
        size = number({"PageSize": [asked.query.get("PageSize", "")]}, "PageSize", 50, LARGEST_PAGE)
        page = asked.query.get("Page", "0")
        if not (page.isascii() and page.isdecimal() and len(page) < 7):
            raise bad("Page must be a number")
        return shapes.page(key, records, asked.path, asked.query, number=int(page), size=size)


def _matches(thing: object, wanted: dict[str, str | None]) -> bool:
    return all(value is None or getattr(thing, name) == value for name, value in wanted.items())


def _within(moment: datetime, query: dict[str, str], name: str) -> bool:
    """Whether a time fits `name`, `name<` and `name>`: a day, or a moment of ISO 8601. Both ends belong to it."""
    exact, until, since = (query.get(name + sign) for sign in ("", "<", ">"))
    second = moment.replace(microsecond=0)
    fits: list[tuple[str | None, Callable[[datetime, datetime], bool]]] = [
        (exact, lambda start, end: start <= second < end),
        (until, lambda start, end: second < end),
        (since, lambda start, end: second >= start),
    ]
    return all(not text or fit(*_span(text, name)) for text, fit in fits)


def _span(text: str, name: str) -> tuple[datetime, datetime]:
    try:
        if len(text) == 10:
            start = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return start, start + timedelta(days=1)
        start = datetime.fromisoformat(text)
        start = start.replace(tzinfo=start.tzinfo or UTC)
        return start, start + timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise bad(f"{name} is not a date") from None
