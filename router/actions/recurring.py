"""Recurring: work that comes again is a row; whenever its alarm has rung, the next one is set."""

from collections.abc import Sequence
from datetime import datetime

from router.book import Writing
from router.model.recurring import Every, Recurring, Rule, rule_of
from router.store import alarms, recurring


async def ensure(w: Writing, name: str, rule: str, zone: str = "UTC") -> None:
    """From now on the alarm `name` rings by this rule, in the zone's wall time; for each period once, whatever the
    number of replicas. Its handler gets the row's number. Said again it changes nothing, with another rule it changes
    that. Raises ValueError for what is no rule."""
    next_at = rule_of(rule, zone).after(w.now)
    changed = await recurring.ensure(w.session, name, rule, zone, next_at)
    if changed is not None:
        await alarms.set_alarm(w.session, name, changed, next_at)
        w.fact("recurring.set", subject_id=changed, what=name, rule=rule, zone=zone)


async def drop(w: Writing, name: str) -> None:
    """It does not come again."""
    dropped = await recurring.drop(w.session, name)
    if dropped is not None:
        await alarms.cancel(w.session, name, dropped, w.now)
        w.fact("recurring.dropped", subject_id=dropped, what=name)


async def roll(w: Writing) -> int:
    """Sets the next alarm of whatever has none pending; how many.

    Periods that were missed are one run: as long as the alarm of one is overdue, no further one is set. Row and alarm
    are written together, so no period has two. After the clock was set back, what comes every so often comes within one
    period again; times of the wall clock stay, their day has had its run.
    """
    count = 0
    for row in [*await recurring.idle(w.session), *_strayed(await recurring.all_of(w.session), w.now)]:
        rule = _known_rule(row)
        if rule is not None:
            next_at = rule.after(w.now)
            await recurring.advance(w.session, row.id, next_at)
            await alarms.set_alarm(w.session, row.name, row.id, next_at)
            count += 1
    return count


def _strayed(rows: Sequence[Recurring], now: datetime) -> list[Recurring]:
    """Those that come every so often and are further ahead than that."""
    rules = [(row, _known_rule(row)) for row in rows]
    return [row for row, rule in rules if isinstance(rule, Every) and row.next_at - now > rule.period]


def _known_rule(row: Recurring) -> Rule | None:
    """None for a rule of a later version's: the replicas of that version set its alarm."""
    try:
        return rule_of(row.rule, row.zone)
    except ValueError:
        return None
