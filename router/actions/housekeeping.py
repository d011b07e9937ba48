"""Housekeeping: what is forgotten when its time is over, and the canary that tells whether alarms ring."""

from datetime import timedelta

from router.actions import erasing, protecting, recurring
from router.book import Writing
from router.store import alarms, holds, inbox, sessions
from router.store import recurring as rows

CANARY = "canary"
FORGET_ALARMS = "alarms.forget"
FORGET_SESSIONS = "sessions.forget"
EMPTY_INBOX = "inbox.empty"

KEEP_ALARMS = timedelta(days=30)
ALARMS_AT_ONCE = 2_000
"""Alarms forgotten in one transaction; the next one follows at once when there are more."""
KEEP_CANARIES = timedelta(days=2)
KEEP_MESSAGES = timedelta(days=30)
MESSAGES_AT_ONCE = 2_000
"""How long messages from outside are kept as they came, and how many are emptied in one transaction."""

JOBS = ((CANARY, "every 1 min"), (FORGET_ALARMS, "daily 03:30"), (FORGET_SESSIONS, "every 10 min"),
        (EMPTY_INBOX, "daily 03:50"), (erasing.SWEEP, "daily 04:10"))


async def ensure_jobs(w: Writing) -> None:
    """The house's own recurring work. Every replica says it at its start."""
    for name, rule in JOBS:
        await recurring.ensure(w, name, rule)


async def sing(w: Writing, recurring_id: int) -> None:
    """The canary: how late the alarm of this minute came, from due to done."""
    await rows.sing(w.session, recurring_id, w.now, KEEP_CANARIES)


async def forget_alarms(w: Writing, recurring_id: int) -> None:
    """Forgets alarms that were done or canceled a month ago, some at a time. Parked ones wait for a person and stay."""
    if await alarms.purge(w.session, w.now - KEEP_ALARMS, ALARMS_AT_ONCE) == ALARMS_AT_ONCE:
        await alarms.set_alarm(w.session, FORGET_ALARMS, recurring_id, w.now)
        w.hint("alarms")


async def empty_inbox(w: Writing, recurring_id: int) -> None:
    """Empties messages from outside that were understood a month ago, some at a time. Parked ones stay as they are."""
    if await inbox.empty(w.session, w.now - KEEP_MESSAGES, MESSAGES_AT_ONCE) == MESSAGES_AT_ONCE:
        await alarms.set_alarm(w.session, EMPTY_INBOX, recurring_id, w.now)
        w.hint("alarms")


async def forget_sessions(w: Writing, recurring_id: int) -> None:
    """Forgets sessions that are over, and what the public doors counted, and browsers not seen for long."""
    await sessions.sweep(w.session, w.now)
    await protecting.forget_old(w)
    await holds.forget_devices(w.session, w.now)
