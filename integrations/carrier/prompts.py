"""What a caller hears, as the carrier's markup. Always made by the SDK's builder: no text can become a verb."""

import re
from collections.abc import Callable
from typing import Any

from twilio.twiml import voice_response

from router.ports import EnterRoom, HangUp, LeaveMessage, Listen, Prompt, TurnAway

SDK: Any = voice_response  # it has no types
ROOM_EVENTS = ["start", "end", "join", "leave", "hold"]
VOICES = {"en": "en-GB", "es": "es-ES", "it": "it-IT", "ru": "ru-RU"}
"""The language each of ours is read aloud in."""
LONGEST_SAID = 4096
"""Characters of one sentence to be read aloud: the carrier's limit."""
SILENCE_SECONDS = 10
"""A spoken message is over after so much silence."""

_UNFIT = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What may not stand in XML."""

Hook = Callable[[str, str], str]


def render(prompt: Prompt, hook: Hook) -> bytes:
    """The answer to a voice webhook. `hook(door, ref)` is the address of one of our doors."""
    answer = SDK.VoiceResponse()
    match prompt.then:
        case TurnAway():
            answer.reject(reason="busy")
        case HangUp():
            _say(answer, prompt)
            answer.hangup()
        case Listen(ref, seconds):
            address = hook("turn", ref)
            gather = answer.gather(num_digits=1, timeout=seconds, action=address, method="POST", input="dtmf")
            _say(gather, prompt)
            answer.redirect(address, method="POST")
        case LeaveMessage(ref, longest):
            _say(answer, prompt)
            answer.record(
                max_length=longest, timeout=SILENCE_SECONDS, finish_on_key="#", play_beep=True, method="POST",
                action=hook("turn", ref), recording_status_callback=hook("recording", ref),
                recording_status_callback_event="completed",
            )  # fmt: skip
            answer.redirect(hook("turn", ref), method="POST")
        case EnterRoom(ref, room, room_ref):
            _say(answer, prompt)
            _enter(answer, room, hook("turn", ref), hook("room", room_ref))
    return str(answer).encode()


def room_markup(ref: str, room: str, room_ref: str, hook: Hook, *, ends_room: bool = True) -> str:
    """The markup that takes a live call into a room."""
    answer = SDK.VoiceResponse()
    _enter(answer, room, hook("turn", ref), hook("room", room_ref), ends_room)
    return str(answer)


def _enter(answer: Any, room: str, back: str, told: str, ends_room: bool = True) -> None:
    # What comes after the room is asked at `back`, so that a caller whose agent is lost goes on waiting.
    dial = answer.dial(action=back, method="POST")
    dial.conference(
        room, participant_label="customer", beep="false", start_conference_on_enter=True,
        end_conference_on_exit=ends_room, jitter_buffer_size="small", wait_url="", status_callback=told,
        status_callback_event=" ".join(ROOM_EVENTS),
    )  # fmt: skip


def _say(verb: Any, prompt: Prompt) -> None:
    for sentence in prompt.say:
        verb.say(_UNFIT.sub(" ", sentence)[:LONGEST_SAID], language=VOICES.get(prompt.locale, VOICES["en"]))
