"""The few errors of the house. Each has a stable code; `router.web` translates them to HTTP once."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType


class HouseError(Exception):
    """Something the caller may be told. `code` is stable, `pointer` names the field (RFC 6901) when there is one.

    `sentence` is a constant, so that it can be translated; `values` are put in for its `%(name)s` afterwards.
    """

    code = "error"
    retry_after: int | None = None
    """Seconds after which it may be tried again, when that is known."""
    members: Mapping[str, object] = MappingProxyType({})
    """What a program needs to go on; it stands in the problem document beside the sentence."""

    def __init__(self, sentence: str, *, pointer: str | None = None, **values: object) -> None:
        super().__init__(sentence % values if values else sentence)
        self.sentence = sentence
        self.pointer = pointer
        self.values = values


class Invalid(HouseError):
    """The input cannot be accepted as it is."""

    code = "invalid"


class Unreadable(HouseError):
    """The body is not what its type says: not JSON, not UTF-8, too deep, a key twice."""

    code = "unreadable"


class UnknownType(HouseError):
    """The body's type or encoding is not one this door reads."""

    code = "unknown-type"


class TooLarge(HouseError):
    """The body is larger than this door takes."""

    code = "too-large"


class TooSlow(HouseError):
    """The body did not arrive in time."""

    code = "too-slow"


class NotSignedIn(HouseError):
    """The asker has not said who he is."""

    code = "not-signed-in"


class NotFound(HouseError):
    """There is no such thing, or the asker may not know of it."""

    code = "not-found"


class Conflict(HouseError):
    """The thing has moved on; what was asked is no longer possible."""

    code = "conflict"


class Forbidden(HouseError):
    """The asker may not do this."""

    code = "forbidden"


class NotAllowedNow(HouseError):
    """A rule forbids it at this moment; `until` in the sentence says when it may be tried again."""

    code = "not-allowed-now"


class Busy(HouseError):
    """Too much is waiting, or the database is away; it may be tried again in a moment."""

    code = "busy"


class Locked(HouseError):
    """Too many tries; the thing is locked for good."""

    code = "locked"


class TooMany(HouseError):
    """Too often, or not now: it may be tried again after `retry_after` seconds."""

    code = "too-many"

    def __init__(self, sentence: str, *, retry_after: int, pointer: str | None = None, **values: object) -> None:
        super().__init__(sentence, pointer=pointer, **values)
        self.retry_after = retry_after


class SpendCapped(TooMany):
    """What the page may cost is used up for now."""

    code = "spend-cap"


class Closed(HouseError):
    """The page takes no requests; somebody switched it off."""

    code = "closed"


class ManyInvalid(Invalid):
    """Several fields cannot be accepted; each of `faults` says which one, and why."""

    def __init__(self, faults: Sequence[Invalid]) -> None:
        fault = faults[0]
        super().__init__(fault.sentence, pointer=fault.pointer, **fault.values)
        self.faults = faults


class NumberRefused(Invalid):
    """The number exists, but is of a kind or a country that is not called."""

    code = "number-refused"


class ProofNeeded(HouseError):
    """The request must bring a proof of work; `members` hold the challenge (`router.model.proofs`)."""

    code = "proof-needed"

    def __init__(
        self, sentence: str, *, members: Mapping[str, object], pointer: str | None = None, **values: object
    ) -> None:
        super().__init__(sentence, pointer=pointer, **values)
        self.members = members
