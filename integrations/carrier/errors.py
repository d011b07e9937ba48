"""What the carrier's refusals mean: no for ever, no for now, or nobody knows."""

from collections.abc import Iterator
from contextlib import contextmanager

from twilio.base.exceptions import TwilioException
from twilio.http.response import Response

from router.ports import OutsideError, Refused, Uncertain

# Numbers from the carrier's error list. The list grows without notice: a code that is not here follows its status.
PERMANENT = frozenset(
    {
        13223, 13224, 13225, 13227,  # the number called is invalid, not supported, blocked, or not permitted
        21201, 21211, 21214, 21216, 21217,  # no or impossible destination
        21210, 21212, 21213, 21219, 21606, 21659,  # the sender is missing, not ours, or cannot do this
        21215, 21408, 21612,  # geographic permission, unreachable by this sender
        21602, 21605, 21617,  # empty or too long text
        21608,  # trial account, number not verified
        21610,  # the person replied STOP
        21614,  # not a mobile number
        30004, 30005, 30006, 30007, 30034,  # blocked, unknown, landline, filtered, sender not registered
    }
)  # fmt: skip
PASSING = frozenset(
    {
        20003,  # authentication: heals when the operator mends the tokens
        20429, 14107, 21611,  # too many requests, or this sender's queue is full
        30001, 30002, 30003, 30008, 30017, 30022,  # queue, suspended, handset off, unknown, congestion, rate
    }
)  # fmt: skip
NOBODY = frozenset({13223, 13224, 21211, 21214, 21217, 21614, 30005, 30006})
"""There is nobody at this number who could be reached in this way: it is no number, no mobile, or not in use."""
_PASSING_STATUS = frozenset({401, 409, 423, 425, 429})


def is_permanent(status: int, code: int) -> bool:
    """Whether asking the same again cannot help."""
    if code in PERMANENT:
        return True
    return code not in PASSING and status not in _PASSING_STATUS


def outside_error(status: int, code: int, *, reading: bool) -> OutsideError:
    """Our word for an answer with this HTTP status and error code. A read changes nothing, so it is never uncertain."""
    reason = f"the carrier answered {status}, code {code}"
    if status >= 500 or status in {0, 408}:
        return Refused(reason, permanent=False, code=str(code)) if reading else Uncertain(reason)
    return Refused(reason, permanent=is_permanent(status, code), code=str(code), nobody=code in NOBODY)


def status_and_code(error: TwilioException) -> tuple[int, int]:
    """HTTP status and error code of any of the SDK's errors; 0 where there is none."""
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    for argument in error.args:  # an error while paging carries only the response
        if isinstance(argument, Response):
            status = argument.status_code
    status = status if isinstance(status, int) else 0
    return status, code if isinstance(code, int) else status


@contextmanager
def our_errors(*, reading: bool = False, absent: bool = False) -> Iterator[None]:
    """Let nothing out but Refused and Uncertain; with `absent`, a 404 means "gone already" and is no error."""
    try:
        yield
    except OutsideError:
        raise
    except TwilioException as error:
        status, code = status_and_code(error)
        if not (absent and status == 404):
            raise outside_error(status, code, reading=reading) from error
    except Exception as error:  # an answer the SDK could not read: done, perhaps
        reason = f"the carrier's answer cannot be read ({type(error).__name__})"
        if reading:
            raise Refused(reason, permanent=False) from error
        raise Uncertain(reason) from error
