"""Routing judged from outside: whatever agents, customers, carriers and clocks do, in any order, its rules hold.

After every step the invariants are asked for; after every quiet round nobody is left idle, nobody was overtaken without
cause, and what the ring says of it is true. At the end everything that waits is done within a few minutes.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from router.actions import calling, consulting, dispatch, presence, replying, stationing, transferring, wrapping
from router.book import Book, Writing
from router.live import Hub
from router.model.agents import Wish
from router.model.tasks import BY_AGENT
from router.model.vault import Vault
from router.ports import LegOutcome, LegRole, LegStage, RoomChange
from router.store import consultations
from router.store.db import make_engine
from tests.actions.floor import AGENTS, OUTCOMES, Floor, Ring, TaskRow
from tests.actions.judging import Bystander
from tests.conftest import PATIENT, Clock

EXAMPLES = int(os.environ.get("HABLEMOS_TEST_MACHINE", "0"))
"""How many days are played, at random. Without it a few, the same ones each time: a thousand take ten minutes."""

T = TypeVar("T")
AGENT = st.integers(1, AGENTS)
ANY = st.integers(0, 99)
BOOK = st.integers(0, 1)


class Day(RuleBasedStateMachine):
    """One day on the floor. `floor` and `loop` are given by the test."""

    floor: Floor
    loop: asyncio.AbstractEventLoop

    @initialize()
    def opens(self) -> None:
        self.bystander = Bystander(self.floor)
        self.floor.watched = self.bystander.learn
        self._run(self.floor.open())

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    def step(self, step: Coroutine[Any, Any, T]) -> T:
        """Does it, and looks at what came of it."""
        async def seen() -> T:
            done = await step
            await self.floor.look()
            return done

        return self._run(seen())

    @rule(leads=st.lists(st.tuples(
        st.integers(0, 7), st.sampled_from([0, 0, 0, 1, 1, 1, 2, 3]), st.integers(0, 1), st.integers(0, 9)
    ), min_size=1, max_size=5))
    def leads_arrive(self, leads: list[tuple[int, int, int, int]]) -> None:
        for person, queue, tier, later in leads:
            self.step(self.floor.arrive(person, queue, tier, chat=queue == 2, later=later == 9))
            self.floor.clock.forward(0.1)

    @rule(agent=AGENT, wish=st.sampled_from([*Wish, Wish.ready, Wish.ready]), book=BOOK)
    def an_agent_wishes(self, agent: int, wish: Wish, book: int) -> None:
        self.step(self.floor.do(lambda w: presence.set_wish(w, agent, wish), book))

    @rule(wish=st.sampled_from([Wish.paused, Wish.ready]))
    def the_whole_team_wishes(self, wish: Wish) -> None:
        self.step(self.floor.wish(wish))

    @rule()
    def everybody_works(self) -> None:
        self.step(self.floor.work())

    @rule(agent=AGENT)
    def a_browser_closes_or_opens(self, agent: int) -> None:
        self.floor.away ^= {agent}
        self.step(self.floor.beat())

    @rule(seconds=st.sampled_from([*[1, 6, 10, 31, 61, 110] * 3, 3600, -3600]))
    def time_passes(self, seconds: int) -> None:
        """Now and then an hour at once, or an hour back: somebody has set the server's clock."""
        self.step(self.floor.pass_time(seconds))

    @rule(book=BOOK)
    def a_round(self, book: int) -> None:
        before = self.floor.now_seen
        self.bystander.look_at(before)
        made = self._run(self.floor.round(book))
        self.bystander.judge(before, made, self.floor.now_seen)

    @rule()
    def two_rounds_at_once(self) -> None:
        self.step(self.floor.race(lambda w: dispatch.run_round(w, 1), lambda w: dispatch.run_round(w, 1)))

    @rule(books=st.sampled_from([(0,), (1,), (0, 1)]))
    def alarms_are_swept(self, books: tuple[int, ...]) -> None:
        self.step(self.floor.sweep(*books))

    def _ring(self, place: int) -> Ring:
        return self.floor.now_seen.rings[place % len(self.floor.now_seen.rings)]

    @precondition(lambda self: self.floor.now_seen.rings)
    @rule(place=ANY)
    def accepted_in_two_tabs(self, place: int) -> None:
        ring = self._ring(place)
        self.step(self.floor.race(
            lambda w: dispatch.accept(w, ring.id, ring.agent_id), lambda w: dispatch.accept(w, ring.id, ring.agent_id)))
        assert not self._run(self.floor.do(lambda w: dispatch.accept(w, ring.id, ring.agent_id))), "a stale tab"

    @precondition(lambda self: self.floor.now_seen.rings)
    @rule(place=ANY)
    def rejected(self, place: int) -> None:
        ring = self._ring(place)
        self.step(self.floor.do(lambda w: dispatch.reject(w, ring.id, ring.agent_id)))
        for verb in (dispatch.accept, dispatch.reject):
            assert not self._run(self.floor.do(lambda w, verb=verb: verb(w, ring.id, ring.agent_id)))

    @precondition(lambda self: self.floor.now_seen.rings)
    @rule(place=ANY, other=st.sampled_from(["expire", "reject", "abandon", "round", "absent"]), late=st.booleans())
    def accepted_in_the_same_moment_as(self, place: int, other: str, late: bool) -> None:
        ring = self._ring(place)
        if late:
            self._run(self.floor.pass_time(20))
        others = {
            "expire": lambda w: dispatch.expire(w, ring.id),
            "reject": lambda w: dispatch.reject(w, ring.id, ring.agent_id),
            "abandon": lambda w: dispatch.abandon(w, ring.task_id),
            "round": lambda w: dispatch.run_round(w, 1),
            "absent": dispatch.take_back_absent,
        }
        self.step(self.floor.race(lambda w: dispatch.accept(w, ring.id, ring.agent_id), others[other]))

    @precondition(lambda self: self.floor.now_seen.calls)
    @rule(place=ANY, twice=st.booleans())
    def a_telephone_answers(self, place: int, twice: bool) -> None:
        call = self.floor.now_seen.calls[place % len(self.floor.now_seen.calls)]

        async def answer() -> None:
            for leg in call.legs:
                if leg.delivery is not None:
                    await self.floor.place(leg)
                await self.floor.tell(leg, LegStage.answered, times=2 if twice else 1)

        self.step(answer())

    @precondition(lambda self: self.floor.now_seen.calls)
    @rule(place=ANY, outcome=st.sampled_from(OUTCOMES), times=st.integers(1, 2))
    def a_telephone_ends(self, place: int, outcome: Any, times: int) -> None:
        legs = [leg for call in self.floor.now_seen.calls for leg in call.legs if leg.delivery is None]
        if legs:
            self.step(self.floor.tell(legs[place % len(legs)], LegStage.ended, outcome, times=times))

    @precondition(lambda self: self.floor.now_seen.calls)
    @rule(place=ANY)
    def an_agent_hangs_up(self, place: int) -> None:
        call = self.floor.now_seen.calls[place % len(self.floor.now_seen.calls)]
        self.step(self.floor.do(lambda w: calling.hang_up(w, call.id, call.agent_id)))

    @rule(agent=AGENT, picks_up=st.sampled_from([LegOutcome.none, LegOutcome.none, LegOutcome.no_answer]))
    def an_agent_stays_on_the_line(self, agent: int, picks_up: LegOutcome) -> None:
        self.step(self.floor.stand(agent, picks_up))

    @precondition(lambda self: self.floor.now_seen.stations)
    @rule(place=ANY, how=st.sampled_from(["leaves", "hung up", "out of the room", "room over", "time", "twice"]))
    def who_stays_on_the_line_does_not_any_more(self, place: int, how: str) -> None:
        """By his own button, or by the carrier's word, which comes once or in two ways."""
        station = self.floor.now_seen.stations[place % len(self.floor.now_seen.stations)]
        if how == "leaves":
            self.step(self.floor.do(lambda w: stationing.close_line(w, station.agent_id)))
        elif how == "time":
            self.step(self.floor.do(lambda w: stationing.time_is_up(w, station.id)))
        if how in ("out of the room", "twice"):
            self.step(self.floor.tell_room(station, RoomChange.left, LegRole.agent))
        if how in ("hung up", "twice"):
            self.step(self.floor.tell_station(station, LegStage.ended, LegOutcome.completed))
        if how == "room over":
            self.step(self.floor.tell_room(station, RoomChange.ended))

    @rule(place=ANY, listed=st.booleans(), answers=st.sampled_from([True, True, False]), then=st.sampled_from([
        "hang up", "agent gone", "room over", "customer gone", "nothing"]))
    def a_call_joins_who_stays_on_the_line(self, place: int, listed: bool, answers: bool, then: str) -> None:
        """One whom somebody of a list is shown, and who is dialled without a press, or who accepts a fresh lead."""
        call = self._run(self.floor.join(place, listed=listed, answers=answers))
        station = next((one for one in self.floor.now_seen.stations if call and one.agent_id == call.agent_id), None)
        if call is None or station is None:
            return
        if then == "hang up":
            self.step(self.floor.do(lambda w: calling.hang_up(w, call.id, call.agent_id)))
        elif then == "agent gone":
            self.step(self.floor.tell_station(station, LegStage.ended, LegOutcome.completed, times=2))
        elif then == "room over":
            self.step(self.floor.tell_room(station, RoomChange.ended))
        elif then == "customer gone" and call.legs:
            self.step(self.floor.tell(call.legs[-1], LegStage.ended, LegOutcome.completed, times=2))

    @precondition(lambda self: self.floor.now_seen.stations)
    @rule()
    def the_carrier_hangs_up_whom_it_was_asked_to(self) -> None:
        self.step(self.floor.hang_ups())

    @rule(place=ANY, answers=st.booleans(), both=st.booleans(), then=st.sampled_from([
        "complete", "take back", "together", "leave", "hang up", "hand on", "nothing"]))
    def a_colleague_is_asked(self, place: int, answers: bool, both: bool, then: str) -> None:
        """About a call that has come about, and then this, or this and its opposite from a page that does not know yet;
        what comes later the other steps do."""
        call = self._run(self.floor.talk(place))
        if call is None:
            return
        others = [one for one in self.floor.now_seen.agents if one.id != call.agent_id]
        willing = [one for one in others if one.call_load == 0 and one.pool == 1 and one.wish == "ready"] or others
        agent = willing[place % len(willing)].id
        self.step(self.floor.do(lambda w: consulting.ask(w, call.id, call.agent_id, agent)))
        legs = next(one.legs for one in self.floor.now_seen.calls if one.id == call.id)
        if answers:
            for leg in legs:
                self.step(self.floor.answer(leg))

        async def leaves(w: Writing) -> None:
            asking = await consultations.live_with(w.session, agent)
            await consulting.leave(w, asking.about.id if asking else 0, agent)

        verbs = {
            "complete": lambda w: consulting.complete(w, call.id, call.agent_id),
            "take back": lambda w: consulting.take_back(w, call.id, call.agent_id),
            "together": lambda w: calling.hold(w, call.id, call.agent_id, False),
            "leave": leaves,
            "hang up": lambda w: calling.hang_up(w, call.id, call.agent_id),
            "hand on": lambda w: transferring.to_agent(w, call.task_id, call.agent_id, agent),
        }
        if then in verbs:
            self.step(self.floor.do(verbs[then]))
            if both:
                self.step(self.floor.do(verbs["complete" if then == "take back" else "take back"], 1))

    def _task(self, place: int, *states: str) -> TaskRow | None:
        found = [task for task in self.floor.now_seen.tasks if task.state in states]
        return found[place % len(found)] if found else None

    def _any(*states: str) -> Any:  # type: ignore[misc]
        return precondition(lambda self: self._task(0, *states) is not None)

    @_any("wrapping")
    @rule(place=ANY, disposition=st.sampled_from(BY_AGENT), late=st.booleans())
    def disposed_twice(self, place: int, disposition: Any, late: bool) -> None:
        task = self._task(place, "wrapping")
        assert task is not None
        if late:
            self.step(self.floor.pass_time(25))
        for _ in range(2):
            self.step(self.floor.do(lambda w: wrapping.dispose(w, task.id, task.agent_id or 0, disposition)))

    @_any("queued", "reserved", "engaged")
    @rule(place=ANY)
    def a_person_leaves(self, place: int) -> None:
        task = self._task(place, "queued", "reserved", "engaged")
        assert task is not None
        leave = replying.leave if task.kind == "chat" else dispatch.abandon
        self.step(self.floor.do(lambda w: leave(w, task.id)))

    @precondition(lambda self: self.floor.now_seen.threads)
    @rule(place=ANY, answer=st.booleans())
    def somebody_writes(self, place: int, answer: bool) -> None:
        threads = self.floor.now_seen.threads
        if threads and not answer:
            self.step(self.floor.write(threads[place % len(threads)]))
        elif mine := [one for one in threads if one.agent_id is not None]:
            one = mine[place % len(mine)]
            self.step(self.floor.do(lambda w: replying.say(w, one.id, one.agent_id or 0, "Aquí estoy")))

    @_any("engaged")
    @rule(place=ANY)
    def a_chat_is_finished(self, place: int) -> None:
        task = self._task(place, "engaged")
        assert task is not None
        self.step(self.floor.do(lambda w: replying.finish(w, task.id, task.agent_id or 0)))

    def teardown(self) -> None:
        if hasattr(self.floor, "now_seen"):
            self._run(self.floor.drain(most=60))


@pytest.fixture
async def floor(worker_database: str, book: Book, clock: Clock, vault: Vault) -> AsyncIterator[Floor]:
    engine = make_engine(worker_database, limits=PATIENT)
    yield Floor([book, Book(engine, Hub(), vault, book.public_url, clock=clock)], clock, worker_database)
    await engine.dispose()


@pytest.fixture
async def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_whatever_happens_in_whatever_order_the_rules_hold(floor: Floor, loop: asyncio.AbstractEventLoop) -> None:
    class Played(Day):
        pass

    Played.floor, Played.loop = floor, loop
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Played,
        settings=settings(
            max_examples=EXAMPLES or 6, stateful_step_count=50, deadline=None, derandomize=not EXAMPLES, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
        ),
    )
