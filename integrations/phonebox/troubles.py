"""What went wrong with the other side's answers, with the carrier's error numbers: its debugger."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

NOT_REACHED, ANSWERED_BADLY, NO_SUCH_VERB = 11205, 11200, 13200
MOST = 200


@dataclass(frozen=True)
class Trouble:
    """One failure, in a sentence. `about` is the call."""

    at: datetime
    code: int
    sentence: str
    about: str
    url: str = ""


class Troubles:
    """The latest MOST of them, newest first."""

    def __init__(self) -> None:
        self._known: deque[Trouble] = deque(maxlen=MOST)

    def add(self, trouble: Trouble) -> None:
        self._known.appendleft(trouble)

    def all(self) -> list[Trouble]:
        return list(self._known)
