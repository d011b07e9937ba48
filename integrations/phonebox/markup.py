"""The carrier's markup for calls: read strictly, into verbs. What is wrong with it has the carrier's error number."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

LONGEST = 64 * 1024
UNREADABLE, SCHEMA = 12100, 12200
"""The carrier's numbers for markup that is no XML, and for verbs and attributes it does not know."""

_HOOK = "action method"
_RECORD = (
    "action method timeout finishOnKey maxLength playBeep trim recordingStatusCallback recordingStatusCallbackMethod "
    "recordingStatusCallbackEvent transcribe transcribeCallback"
)
_CONFERENCE = (
    "muted beep startConferenceOnEnter endConferenceOnExit waitUrl waitMethod maxParticipants record region coach trim "
    "statusCallback statusCallbackEvent statusCallbackMethod recordingStatusCallback recordingStatusCallbackMethod "
    "recordingStatusCallbackEvent jitterBufferSize participantLabel eventCallbackUrl"
)
# Verb: attributes, and what may stand inside. Those the phonebox does not play are known all the same.
KNOWN: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(attributes.split()), frozenset(inside.split()))
    for name, attributes, inside in (
        ("Response", "", "Say Play Gather Dial Record Redirect Hangup Reject Pause"),
        ("Say", "voice loop language", ""),
        ("Play", "loop digits", ""),
        ("Pause", "length", ""),
        ("Gather", f"{_HOOK} input timeout finishOnKey numDigits actionOnEmptyResult language hints", "Say Play Pause"),
        ("Record", _RECORD, ""),
        ("Redirect", "method", ""),
        ("Hangup", "", ""),
        ("Reject", "reason", ""),
        ("Dial", f"{_HOOK} timeout hangupOnStar timeLimit callerId record answerOnBridge ringTone", "Conference"),
        ("Conference", _CONFERENCE, ""),
    )
}


class BadMarkup(Exception):
    """It cannot be followed. `code` is the carrier's error number."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


@dataclass(frozen=True)
class Verb:
    """One step of a script."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    inside: tuple["Verb", ...] = ()

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def number(self, name: str, default: int, highest: int) -> int:
        """A whole number from 0 on; the carrier takes its default for what is none."""
        text = self.get(name)
        return min(int(text), highest) if re.fullmatch(r"[0-9]{1,9}", text) else default

    def flag(self, name: str, default: bool) -> bool:
        return {"true": True, "false": False}.get(self.get(name).lower(), default)


def read(markup: bytes) -> list[Verb]:
    """The verbs in order. Raises BadMarkup."""
    # Entities are the one thing in XML that can hurt the reader, and no answer needs them.
    if len(markup) > LONGEST or b"<!DOCTYPE" in markup or b"<!ENTITY" in markup:
        raise BadMarkup("The answer is too long, or declares a document type", UNREADABLE)
    try:
        root = ElementTree.fromstring(markup)  # noqa: S314  without entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadMarkup(f"The answer is not XML: {error}", UNREADABLE) from error
    if root.tag != "Response":
        raise BadMarkup("The answer's outermost element is not Response", UNREADABLE)
    return list(_verb(root).inside)


def _verb(element: ElementTree.Element) -> Verb:
    attributes, inside = KNOWN[element.tag]
    if unknown := set(element.attrib) - attributes:
        raise BadMarkup(f"{element.tag} has no attribute {sorted(unknown)[0]}", SCHEMA)
    for child in element:
        if child.tag not in inside:
            raise BadMarkup(f"{element.tag} may not hold {child.tag}", SCHEMA)
    children = tuple(_verb(child) for child in element)
    return Verb(element.tag, dict(element.attrib), (element.text or "").strip(), children)
