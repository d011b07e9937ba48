"""A cadence judged from outside: whatever happens to a person, in any order, it ends, and nothing happens twice, out of
its version, or after its end."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from router.actions import cadencing, hearing, nurturing, wrapping
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.model.alarms import Alarm, AlarmState
from router.model.cadences import CadenceVersion, Enrolment, EnrolmentState, Step, StepState
from router.model.campaigns import Campaign
from router.model.errors import HouseError
from router.model.outcomes import NAMES
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from tests import making
from tests.actions.test_cadences import STALE, quiet, says
from tests.conftest import MONDAY_NOON, Clock, emptied
from tests.invariants import check

EXAMPLES = int(os.environ.get("HABLEMOS_TEST_MACHINE", "0"))
T = TypeVar("T")

PLAN: list[dict[str, Any]] = [
    {"channel": "sms"}, {"delay": 2}, {"channel": "sms", "delay": 1, "unit": "bd", "skip_if": ["opened"]},
    {"delay": 1, "unit": "bd", "band": "other", "wait_for_completion": False},
    {"channel": "sms", "delay": 2, "unit": "bd", "anchor": "valid_until"}, {"delay": 3, "band": "best"},
]  # fmt: skip

EVENTS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([60, 3_600, 9 * 3_600, 26 * 3_600, 5 * 86_400])),
    st.tuples(st.just("call"), st.sampled_from(sorted(NAMES))),
    st.tuples(
        st.sampled_from([
            "open", "write", "promise", "promise_over", "snooze", "information", "complain", "migrate", "pause",
            "go_on", "edit", "merge", "look",
        ]),
        st.just(""),
    ),
    st.tuples(st.sampled_from(["stop", "sign", "decline", "expire"]), st.just("")),
)  # fmt: skip


class Life:
    """A person with a quiet quote, to whom things happen."""

    def __init__(self, book: Book, clock: Clock) -> None:
        self.book, self.clock = book, clock

    async def begin(self) -> None:
        self.clock.now = MONDAY_NOON
        async with self.book.writing() as w:
            quote = await quiet(w, *PLAN)
            await making.lead(w, await making.queue(w, await self.brand(w), "other"), "+12025550102")
        self.quote_id, self.contact_id = quote.id, quote.contact_id
        self.clock.forward(STALE)
        await self.do(lambda w: nurturing.check_quote(w, quote.id))
        await self.ring()

    async def brand(self, w: Writing) -> Campaign:
        found = await w.session.get(Campaign, 1)
        assert found is not None
        return found

    async def do(self, verb: Callable[[Writing], Awaitable[object]]) -> None:
        """One verb in a transaction; refused by name is fine."""
        try:
            async with self.book.writing() as w:
                await verb(w)
        except HouseError:
            pass

    async def ring(self) -> None:
        await Alarms(self.book, ALARMS).sweep()

    async def happen(self, event: str, value: Any) -> None:
        await getattr(self, event)(value) if event in ("wait", "call") else await self.do(getattr(self, f"_{event}"))
        await self.ring()

    async def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)

    async def call(self, outcome: str) -> None:
        """The call that waits is made and ends like this."""
        async def made(w: Writing) -> None:
            waiting = await w.session.scalars(
                select(Task).where(Task.kind == TaskKind.nurture, Task.state == TaskState.queued)
            )
            for task in waiting:
                for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged, TaskState.wrapping):
                    await w.move(Task, task.id, state)
                await wrapping.close_task(w, task.id, Disposition(outcome))

        await self.do(made)

    async def _open(self, w: Writing) -> None:
        quote = await w.session.locked(Quote, self.quote_id)
        assert quote is not None
        quote.open_before_at, quote.last_open_at, quote.idle_base = quote.last_open_at, w.now, w.now
        await w.session.flush()
        await nurturing.at_hand(w, quote)

    async def _write(self, w: Writing) -> None:
        await nurturing.wrote(w, self.contact_id)

    async def _promise(self, w: Writing) -> None:
        await nurturing.promised(w, self.contact_id)

    async def _promise_over(self, w: Writing) -> None:
        await nurturing.promise_over(w, self.contact_id)

    async def _snooze(self, w: Writing) -> None:
        await nurturing.snooze(w, self.quote_id, w.now + timedelta(days=2), 1)

    async def _information(self, w: Writing) -> None:
        await nurturing.information_sent(w, self.contact_id)

    async def _complain(self, w: Writing) -> None:
        await nurturing.complained(w, self.contact_id)

    async def _edit(self, w: Writing) -> None:
        await making.cadence(w, await self.brand(w), *PLAN[:4], {"channel": "sms", "delay": 5, "template": "goodbye"})

    async def _migrate(self, w: Writing) -> None:
        await cadencing.migrate_enrolments(w, 1, 1)

    async def _pause(self, w: Writing) -> None:
        brand = await self.brand(w)
        brand.paused = not brand.paused

    async def _go_on(self, w: Writing) -> None:
        for enrolment in await w.session.scalars(select(Enrolment)):
            await cadencing.decide(w, enrolment.id, go_on=True, agent_id=1)

    async def _merge(self, w: Writing) -> None:
        await nurturing.merged(w, self.contact_id + 1, self.contact_id)

    async def _look(self, w: Writing) -> None:
        await nurturing.check_quote(w, self.quote_id)

    async def _stop(self, w: Writing) -> None:
        await hearing.message_arrived(w, says("STOP"))

    async def _sign(self, w: Writing) -> None:
        await self._ended(w, QuoteState.signed)

    async def _decline(self, w: Writing) -> None:
        await self._ended(w, QuoteState.declined)

    async def _expire(self, w: Writing) -> None:
        await self._ended(w, QuoteState.expired)

    async def _ended(self, w: Writing, state: QuoteState) -> None:
        quote = await w.session.locked(Quote, self.quote_id)
        assert quote is not None
        if quote.state in OPEN:
            quote.state, quote.ended_at = state, w.now
            await w.session.flush()
            await nurturing.quote_ended(w, quote.id, state.value)

    async def years_pass(self) -> None:
        """Every alarm rings at its time, however far; nobody does anything more."""
        for _ in range(400):
            async with self.book.reading() as r:
                due = await r.session.scalar(
                    select(Alarm.due_at).where(Alarm.state == AlarmState.pending).order_by(Alarm.due_at).limit(1)
                )
            if due is None or due > MONDAY_NOON + timedelta(days=300):
                return
            self.clock.now = max(self.clock.now, due)
            await self.ring()
        raise AssertionError("it never ends")

    async def judge(self) -> None:
        async with self.book.reading() as r:
            await check(r.session)
            enrolments = await r.session.scalars(select(Enrolment))
            steps = {step.id: step for step in await r.session.scalars(select(Step))}
            failed = await r.session.scalars(select(Alarm).where(Alarm.failures > 0))
            versions = {one.id for one in await r.session.scalars(select(CadenceVersion))}
            told = await r.session.rows(text(
                "select id, kind, subject_id, data from facts where kind ~ '^(step|enrolment)\\.' order by id"
            ))
        assert [alarm.kind for alarm in failed] == []
        assert [one.id for one in enrolments if one.state is not EnrolmentState.exited] == []
        assert not [step for step in steps.values() if step.state in (StepState.planned, StepState.waiting)]
        done = Counter(subject for _, kind, subject, _ in told if kind == "step.done")
        assert max(done.values(), default=0) <= 1, "a step was done twice"
        version: dict[int, int] = {}
        over: set[int] = set()
        for _, kind, subject, data in told:
            if kind in ("enrolment.active", "enrolment.migrated") and "version" in data:
                version[subject] = data["version"]
            elif kind == "enrolment.exited":
                over.add(subject)
            elif kind in ("step.planned", "step.waiting") or (kind == "step.done" and "way" in data):
                step = steps[subject]
                assert step.enrolment_id not in over, f"{kind} after the end"
                assert version[step.enrolment_id] in versions
                if kind != "step.planned":
                    body_version = version[step.enrolment_id]
                    assert step.version_id >= body_version or step.enrolment_id in over, "out of its version"


@pytest.fixture
async def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_whatever_happens_it_ends_and_nothing_happens_twice_or_after_it(
    worker_database: str, book: Book, clock: Clock, loop: asyncio.AbstractEventLoop
) -> None:
    def run(step: Coroutine[Any, Any, T]) -> T:
        return loop.run_until_complete(step)

    @settings(max_examples=EXAMPLES or 10, deadline=None, derandomize=not EXAMPLES, database=None,
              suppress_health_check=list(HealthCheck))
    @given(st.lists(EVENTS, max_size=14))
    def lived(events: list[tuple[str, Any]]) -> None:
        run(emptied(worker_database))
        life = Life(book, clock)
        run(life.begin())
        for event, value in events:
            run(life.happen(event, value))
        run(life.years_pass())
        run(life.judge())

    lived()
