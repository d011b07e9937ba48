"""Switches for tests: late, lost, refused and broken answers; lost, doubled and swapped callbacks."""

from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset({"delay", "drop", "answer"})
SMTP = "SMTP"
"""The method of what a mail client asks; its path is the verb, or GREETING, or BODY once the mail itself has come."""


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and path fit (an empty text fits all).

    `delay` waits `seconds` before answering; `drop` closes the connection instead of answering; `answer` answers
    `status`. `processed` says whether the request has its effect nevertheless. A mail client's requests have the method
    SMTP, which no empty text fits; one that was answered a refusal has no effect. `words` follow the status there.
    """

    kind: str
    method: str = ""
    path: str = ""
    status: int = 500
    seconds: float = 0.0
    times: int = 1
    processed: bool = True
    words: str = "not now"

    def fits(self, method: str, path: str) -> bool:
        method_fits = self.method == method or (not self.method and method != SMTP)
        return self.times > 0 and method_fits and self.path in path


@dataclass
class Faults:
    """`drop`, `duplicate` and `swap` count down: how many of the next callbacks are lost, sent twice, or held back
    until the next one about the same call, room or message has been sent. `undeliverable` numbers get no messages."""

    requests: list[Fault] = field(default_factory=list)
    drop: int = 0
    duplicate: int = 0
    swap: int = 0
    undeliverable: set[str] = field(default_factory=set)

    def next_for(self, method: str, path: str) -> Fault | None:
        """The fault for this request, used up by one."""
        for fault in self.requests:
            if fault.fits(method, path):
                fault.times -= 1
                return fault
        return None

    def use(self, name: str) -> bool:
        """Whether the callback switch `name` is on; counts it down."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0

    def set(self, wanted: dict[str, Any]) -> None:
        """Set from JSON of the same shape. Raises ValueError with a sentence."""
        requests = wanted.pop("requests", None)
        if unknown := set(wanted) - {"drop", "duplicate", "swap"}:
            raise ValueError(f"there is no switch {sorted(unknown)[0]!r}")
        if any(type(value) is not int or not 0 <= value <= 1_000_000 for value in wanted.values()):
            raise ValueError("drop, duplicate and swap are counts")
        faults = None if requests is None else _faults(requests)
        for name, value in wanted.items():
            setattr(self, name, value)
        if faults is not None:
            self.requests = faults


def _faults(wanted: object) -> list[Fault]:
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise ValueError("requests is a list of objects")
    faults = []
    for each in wanted:
        try:
            fault = Fault(**each)
        except TypeError:
            raise ValueError("a fault has kind, method, path, status, seconds, times, processed, words") from None
        if fault.kind not in KINDS or type(fault.times) is not int or fault.status not in range(200, 600):
            raise ValueError("kind is delay, drop or answer; times a count; status an HTTP status")
        if not isinstance(fault.seconds, int | float) or not 0 <= fault.seconds <= 3600:
            raise ValueError("seconds is a number from 0 to 3600")
        if not all(isinstance(each, str) for each in (fault.method, fault.path, fault.words)):
            raise ValueError("method, path and words are texts")
        faults.append(fault)
    return faults
