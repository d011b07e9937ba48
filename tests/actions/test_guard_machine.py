"""The guard judged from outside: whatever people, agents and clocks do, nobody is contacted who must not be.

Two brands share four persons. The judge remembers what was said and counts for himself: he knows the rules of the pack
`standard` from its words, and nothing of the guard, its snapshot or its tables. What left the house is what the carrier
got and what was allowed to ring.
"""

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import text

from router.actions import guarding, merging, suppressing
from router.actions.hearing import message_arrived
from router.actions.talking import Text, send_text
from router.actions.withdrawing import withdraw
from router.book import Book
from router.courier import Courier
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.deliveries import DeliveryKind
from router.model.errors import Conflict, NotAllowedNow
from router.model.guard import Purpose
from router.model.leads import Lead
from router.model.merges import ClaimKind, Merge, MergeState
from router.model.tasks import TaskState
from router.ports import MessageArrived
from tests import making
from tests.conftest import Clock, emptied
from tests.outside import RecordingCarrier, RecordingTrust

EXAMPLES = int(os.environ.get("HABLEMOS_TEST_MACHINE", "0"))
NUMBERS = ("+34910000001", "+34600000002", "+12125550177")
PLACES = {
    "+34910000001": ["Europe/Madrid"], "+34600000002": ["Europe/Madrid", "Atlantic/Canary"],
    "+12125550177": ["America/New_York"],
}
"""By which clocks they may live, as people would say who know these numbers."""
PEOPLE = ((1, 0), (2, 0), (1, 1), (1, 2))
"""Brand and number of each: the first two are one number with two brands."""
START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)

T = TypeVar("T")
WHO = st.integers(1, len(PEOPLE))
RARE = st.integers(0, 5)
"""0 now and then: what ends all contact would soon leave nobody to be judged about."""
OTHER = st.integers(0, len(PEOPLE) - 2)


class Left(NamedTuple):
    """A contact that left the house."""

    at: datetime
    person: int
    purpose: str
    channel: str


@dataclass
class Judge:
    """What was said, and what left, by person (from 1). `same` are those found to be one."""

    agreed: set[int] = field(default_factory=set)
    silent_numbers: set[str] = field(default_factory=set)
    silent_persons: set[int] = field(default_factory=set)
    stopped: set[int] = field(default_factory=set)
    refused: dict[int, datetime] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def number(self, person: int) -> str:
        return NUMBERS[PEOPLE[person - 1][1]]

    def one(self, person: int) -> set[int]:
        """All that are this person."""
        root = self.same.get(person, person)
        return {each for each in range(1, len(PEOPLE) + 1) if self.same.get(each, each) == root}

    def judge(self, one: Left) -> None:
        """Whether this may have left, by all that was said until now and all that left before."""
        number = self.number(one.person)
        assert number not in self.silent_numbers, f"after stop: {one}"
        assert not self.one(one.person) & (self.silent_persons | self.stopped), f"after his word: {one}"
        if one.purpose == "commercial":
            assert one.person in self.agreed, f"without consent: {one}"
            for place in PLACES[number]:
                wall = one.at.astimezone(ZoneInfo(place))
                assert wall.weekday() < 5 and 10 <= wall.hour < 20, f"outside the window: {one}"  # noqa: PT018
            before = [
                each.at for each in self.left if each.purpose == "commercial" and self.number(each.person) == number
            ]
            for days, most in ((1, 2), (7, 4), (30, 8)):
                recent = [at for at in before if at > one.at - timedelta(days=days)]
                assert len(recent) < most, f"above the cap of {most} in {days} d: {one}"
            assert all(one.at - at >= timedelta(hours=2) for at in before), f"too soon: {one}"
            for each in range(1, len(PEOPLE) + 1):
                concerned = self.number(each) == number or each in self.one(one.person)
                if concerned and each in self.refused:
                    assert one.at - self.refused[each] >= timedelta(days=90), f"after a refusal: {one}"
        self.left.append(one)


class Days(RuleBasedStateMachine):
    """Some days of two brands. `book`, `clock`, `loop` and `url` are given by the test."""

    book: Book
    clock: Clock
    loop: asyncio.AbstractEventLoop
    url: str
    allowed = 0

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    @initialize()
    def opens(self) -> None:
        self.clock.now = START
        self.judge, self.carrier, self.texts, self.sent = Judge(), RecordingCarrier(), 0, dict[str, tuple[int, str]]()
        self.run(self._open())

    async def _open(self) -> None:
        await emptied(self.url)
        async with self.book.writing() as w:
            queues = [
                await making.queue(w, await making.campaign(w, key, rule_pack="standard")) for key in ("luz", "sol")
            ]
            for brand, number in PEOPLE:
                await making.lead(w, queues[brand - 1], NUMBERS[number])
            self.agent = (await making.agent(w, ready=False)).id
        self.queues = queues
        self.judge.agreed = set(range(1, len(PEOPLE) + 1))

    async def _who(self, w: Any, person: int) -> tuple[Campaign, Contact]:
        contact = vouched(await w.session.get(Contact, person))
        return vouched(await w.session.get(Campaign, contact.campaign_id)), contact

    @rule(person=WHO, purpose=st.sampled_from(["commercial", "commercial", "commercial", "requested"]))
    def calls(self, person: int, purpose: str) -> None:
        self.calls_of(person, purpose)

    def calls_of(self, person: int, purpose: str) -> None:
        async def call() -> None:
            async with self.book.writing() as w:
                campaign, contact = await self._who(w, person)
                _, verdict = await guarding.permit(
                    w, campaign, contact, channel="call", purpose=Purpose(purpose), lead_id=person
                )
            if verdict.allowed:
                type(self).allowed += 1
                self.judge.judge(Left(self.clock.now, person, purpose, "call"))

        self.run(call())

    @rule(person=WHO, purpose=st.sampled_from(["commercial", "commercial", "service"]), wait=st.sampled_from(
        [0, 0, 0, 60, 3600, 30_000]), stop=st.sampled_from([*[""] * 12, "before", "together", "withdraw"]))
    def texts_and_carries(self, person: int, purpose: str, wait: int, stop: str) -> None:
        """A text is allowed, and leaves when the courier comes: at once, or late, or in the moment of a stop word."""
        self.run(self._text(person, purpose))
        if stop == "before":
            self.run(self._stop(person))
        elif stop == "withdraw":
            self.run(self._withdraw(person))
        self.clock.forward(wait)
        if stop == "together":
            self.run(self._both(person))
        else:
            self.run(self._carry())

    async def _text(self, person: int, purpose: str) -> None:
        self.texts += 1
        try:
            async with self.book.writing() as w:
                campaign, contact = await self._who(w, person)
                made = await send_text(
                    w, campaign, contact, Text("x", "x", "offer", Purpose(purpose), f"text:{self.texts}"),
                    lead_id=person,
                )
                self.sent[made.ref] = person, purpose
        except NotAllowedNow:
            return

    async def _carry(self) -> None:
        await Courier(self.book, self.carrier, RecordingTrust(), "here").sweep()
        for order in self.carrier.of("send_message"):
            if order.ref in self.sent:
                person, purpose = self.sent.pop(order.ref)
                type(self).allowed += 1
                self.judge.judge(Left(self.clock.now, person, purpose, "sms"))

    async def _both(self, person: int) -> None:
        """The stop word and the sending at once: who was first stands in the journal, by the number's lock."""
        courier = Courier(self.book, self.carrier, RecordingTrust(), "here")
        async with self.book.writing() as w:
            before = (await w.session.rows(text("select coalesce(max(id), 0) from facts")))[0][0]
        await asyncio.gather(courier.sweep(), self._say(person, "stop"))
        async with self.book.writing() as w:
            rows = await w.session.rows(text(
                "select f.kind, d.ref from facts f left join deliveries d on d.id = f.subject_id and f.kind like 'del%'"
                " where f.id > :before and f.kind in ('delivery.started', 'contact.suppressed') order by f.id"
            ), {"before": before})
        went = {order.ref for order in self.carrier.of("send_message")}
        for kind, ref in rows:
            if kind == "contact.suppressed":
                self._hears_stop(person)
            elif ref in went and ref in self.sent:
                whom, purpose = self.sent.pop(ref)
                type(self).allowed += 1
                self.judge.judge(Left(self.clock.now, whom, purpose, "sms"))

    async def _say(self, person: int, word: str) -> None:
        async with self.book.writing() as w:
            await message_arrived(w, MessageArrived(
                f"SM{self.texts}{word}{self.clock.now.timestamp()}", self.judge.number(person), "+34910000000", word
            ))

    def _hears_stop(self, person: int) -> None:
        number = self.judge.number(person)
        self.judge.silent_numbers.add(number)
        self.judge.stopped |= {n for n in range(1, len(PEOPLE) + 1) if self.judge.number(n) == number}

    async def _stop(self, person: int) -> None:
        await self._say(person, "stop")
        self._hears_stop(person)

    @rule(person=WHO)
    def says_start(self, person: int) -> None:
        async def start() -> None:
            number = self.judge.number(person)
            self.judge.silent_numbers.discard(number)
            self.judge.stopped -= {n for n in range(1, len(PEOPLE) + 1) if self.judge.number(n) == number}
            await self._say(person, "start")

        # The house answers a start word once; that answer is a service, and leaves with the courier.
        self.run(start())
        self.run(self._forget_own_texts())

    async def _forget_own_texts(self) -> None:
        await Courier(self.book, RecordingCarrier(), RecordingTrust(), "here").sweep()
        gone = {row[0] for row in await self._refs()}
        self.sent = {ref: what for ref, what in self.sent.items() if ref not in gone}

    async def _refs(self) -> Any:
        async with self.book.writing() as w:
            return await w.session.rows(
                text("select ref from deliveries where kind = :kind and state <> 'pending'"),
                {"kind": DeliveryKind.message.value},
            )

    @rule(person=WHO, rare=RARE)
    def does_not_want_to_be_called(self, person: int, rare: int) -> None:
        if rare:
            return
        async def asked() -> None:
            async with self.book.writing() as w:
                _, contact = await self._who(w, person)
                await suppressing.suppress(w, contact, "asked")
            self.judge.silent_numbers.add(self.judge.number(person))
            self.judge.silent_persons.add(person)

        # A start word takes back a stop word, never this.
        self.run(asked())
        self.judge.silent_persons |= {
            n for n in range(1, len(PEOPLE) + 1) if self.judge.number(n) == self.judge.number(person)
        }

    @rule(person=WHO, rare=RARE)
    def is_not_interested(self, person: int, rare: int) -> None:
        if rare:
            return
        async def refuse() -> None:
            async with self.book.writing() as w:
                task = await making.task(w, self.queues[PEOPLE[person - 1][0] - 1], await self._lead(w, person),
                                         state=TaskState.scheduled)
                await w.session.execute(text(
                    "update tasks set state = 'closed', disposition = 'not_interested', ended_at = :at where id = :id"
                ), {"at": w.now, "id": task.id})
            self.judge.refused[person] = self.clock.now

        self.run(refuse())

    async def _lead(self, w: Any, person: int) -> Lead:
        return vouched(await w.session.get(Lead, person))

    async def _withdraw(self, person: int) -> None:
        async with self.book.writing() as w:
            await withdraw(w, person, "commercial", method="link")
        self.judge.agreed -= self.judge.one(person)

    @rule(person=WHO, rare=RARE)
    def takes_consent_back(self, person: int, rare: int) -> None:
        if rare:
            return
        self.run(self._withdraw(person))

    @rule(one=WHO, step=OTHER)
    def two_are_found_to_be_one(self, one: int, step: int) -> None:
        other = [n for n in range(1, len(PEOPLE) + 1) if n != one][step]
        into, later = min(one, other), max(one, other)

        async def merge() -> bool:
            try:
                async with self.book.writing() as w:
                    made = Merge(
                        campaign_id=1, into_id=into, from_id=later, lead_id=later, kind=ClaimKind.email,
                        state=MergeState.proposed, created_at=w.now,
                    )
                    w.session.add(made)
                    await w.session.flush()
                    await merging.merge(w, made.id, self.agent)
                return True
            except Conflict:
                return False

        if PEOPLE[one - 1][0] == PEOPLE[other - 1][0] and later not in self.judge.same and self.run(merge()):
            for each, root in list(self.judge.same.items()):
                if root == later:
                    self.judge.same[each] = into
            self.judge.same[later] = into

    @rule(person=WHO)
    def agrees_again(self, person: int) -> None:
        async def agree() -> None:
            async with self.book.writing() as w:
                _, contact = await self._who(w, person)
                w.session.add(Receipt(
                    campaign_id=contact.campaign_id, contact_id=person, lead_id=None, purposes=["commercial"],
                    text="Sí", text_sha256="00", version="1", method="voice", address="", user_agent="", page="",
                    given_at=w.now,
                ))
            self.judge.agreed.add(person)

        self.run(agree())

    @rule(seconds=st.sampled_from([61, 1800, 7200, 7201, 30_000, 86_400, 3 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds)

    @rule()
    def noon_of_another_day(self) -> None:
        self.clock.now = (self.clock.now + timedelta(days=1)).replace(hour=16, minute=0, second=0)

    @rule(person=WHO)
    def calls_twice(self, person: int) -> None:
        for _ in range(2):
            self.calls_of(person, "commercial")


@pytest.fixture
async def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_nothing_that_happens_contacts_somebody_who_must_not_be(
    book: Book, clock: Clock, loop: asyncio.AbstractEventLoop, worker_database: str
) -> None:
    class Played(Days):
        pass

    Played.book, Played.clock, Played.loop, Played.url = book, clock, loop, worker_database
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Played,
        settings=settings(
            max_examples=EXAMPLES or 12, stateful_step_count=30, deadline=None, derandomize=not EXAMPLES, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
        ),
    )
    assert Played.allowed > (EXAMPLES or 12), "what never contacts anybody is no guard"
