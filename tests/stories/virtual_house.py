"""A house whose days pass in seconds: the real alarms and verbs on the real database, by a clock that jumps to whatever
is due next. Calls are taken at once and end as the lots say; with a courier texts and mails leave the house."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, text

from router.actions import guarding, listing, seeking, signing, suppressing, timing, wrapping
from router.actions.enrolling import QUOTE_CHECK
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.courier import Courier
from router.model.agents import Agent
from router.model.base import vouched
from router.model.best_time import Caller
from router.model.budgets import LEG_COST
from router.model.cadences import Attempt
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.guard import Purpose
from router.model.outcomes import ANSWERED
from router.model.planning import UNANSWERED_SECONDS, Contacted
from router.model.protection import kind_of
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import Disposition, Task, TaskState
from router.model.vault import hash_token
from router.model.zones import ZoneSource
from router.store import alarms, budgets, cadences
from tests import making
from tests.conftest import Clock
from tests.mailing import Server
from tests.outside import RecordingCarrier, RecordingTrust

CITIES = ("202", "212", "213", "305", "312", "415", "512", "617", "702", "818")

Outcome = Callable[[int, str, int, int, float], Disposition]
"""How a call ends: to whom, the cadence's key, the step, how often it was made, and the chance that he answers."""


def phone(number: int) -> str:
    """The numbers nobody has."""
    return f"+1{CITIES[number // 100]}55501{number % 100:02d}"


async def quotes(w: Writing, brand: Campaign, queue: Queue, many: int, *, spread: timedelta) -> None:
    """So many sent offers of as many persons: sent over this time before now, some opened once, each good for as long
    as the campaign says."""
    agent = await making.agent(w, "ana", ready=False)
    now = w.now
    for number in range(many):
        w.now = now - spread * (number / many)
        lead = await making.lead(w, queue, phone(number), claims={"email": f"customer{number}@example.com"})
        person = vouched(await w.session.get(Contact, lead.contact_id))
        person.zone, person.zone_source = "Europe/Madrid", ZoneSource.stated
        await making.task(w, queue, lead, state=TaskState.closed, disposition=Disposition.quote_sent)
        opened = number % 3 == 0
        quote = Quote(
            campaign_id=brand.id, contact_id=lead.contact_id, lead_id=lead.id, agent_id=agent.id, number=f"Q-{number}",
            state=QuoteState.opened if opened else QuoteState.sent, locale="es", currency="EUR", lines=[],
            total_once=number, total_month=0, valid_until=w.now + timedelta(days=brand.quote_days), created_at=w.now,
            idle_base=w.now, sent_at=w.now, last_open_at=w.now if opened else None,
        )
        w.session.add(quote)
        await w.session.flush()
        made = Signing(
            quote_id=quote.id, campaign_id=brand.id, contact_id=quote.contact_id, lead_id=quote.lead_id,
            state=SigningState.opened if opened else SigningState.delivered, phone=phone(number),
            link_hash=hash_token(f"link{number}"), expires_at=quote.valid_until, created_at=w.now,
        )
        w.session.add(made)
        await w.session.flush()
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, max(now, w.now + brand.stale_after))
        await alarms.set_alarm(w.session, signing.EXPIRE, made.id, made.expires_at)
    w.now = now


_NEXT = text(
    """
    select min(due_at), (select array_agg(id order by id) from tasks where kind = 'nurture' and state = 'queued')
    from alarms where state = 'pending'
    """
)
_WRITTEN = text("select exists (select from deliveries where state = 'pending')")
_STEP = text(
    """
    select c.key, s.n, s.tries from steps s join enrolments e on e.id = s.enrolment_id
      join cadences c on c.id = e.cadence_id where s.task_id = :task
    """
)
_MADE = text(
    """
    select at, channel, c.id from attempts a join contacts c on c.phone = a.phone where a.verdict = 'allow' order by at
    """
)


_BARS = {Disposition.do_not_call: "asked", Disposition.wrong_number: "wrong_number"}
"""What an agent's word writes down besides (`router.actions.wrapping`)."""


@dataclass(frozen=True)
class Post:
    """A mail server that catches everything, and a carrier that writes down what it was asked to send."""

    server: Server
    carrier: RecordingCarrier

    def counts(self) -> dict[str, int]:
        """What has left by now."""
        return {"text": len(self.carrier.of("send_message")), "mail": len(self.server.caught())}


@dataclass
class VirtualHouse:
    """`outcome` decides how calls end. With a `post` what is written leaves at once, and is noted in `left`: when, and
    by which way. `legs` are those of the last calls, by task."""

    book: Book
    clock: Clock
    outcome: Outcome
    post: Post | None = None
    over: list[tuple[datetime, int, Disposition]] = field(default_factory=list)
    left: list[tuple[datetime, str]] = field(default_factory=list)
    legs: dict[int, int] = field(default_factory=dict)

    async def live(self, until: datetime) -> None:
        """Until then (aware)."""
        ringing = Alarms(self.book, ALARMS)
        while True:
            async with self.book.reading() as r:
                due, waiting = (await r.session.rows(_NEXT))[0]
            for task_id in waiting or ():
                await self._take(task_id)
            if waiting:
                continue  # some may have been put off
            at = min((one for one in (due, self.over[0][0] if self.over else None) if one is not None), default=until)
            if at >= until:
                break
            self.clock.now = max(self.clock.now, at)
            if due is not None and due <= self.clock.now:
                await ringing.sweep()
            await self._send()
            while self.over and self.over[0][0] <= self.clock.now:
                _, task_id, outcome = heapq.heappop(self.over)
                await self._ends(task_id, outcome)
        self.clock.now = until

    async def _send(self) -> None:
        if self.post is None or not await self._written():
            return
        before = self.post.counts()
        await Courier(
            self.book, self.post.carrier, RecordingTrust(), "virtual", mail=self.post.server.mail
        ).sweep()
        for what, count in self.post.counts().items():
            self.left += [(self.clock.now, what)] * (count - before[what])

    async def _written(self) -> bool:
        async with self.book.reading() as r:
            return bool((await r.session.rows(_WRITTEN))[0][0])

    async def _take(self, task_id: int) -> None:
        """The call is taken by somebody at once, and dialled, if it may be."""
        async with self.book.writing() as w:
            if not await listing.may_ring(w, vouched(await w.session.get(Task, task_id))):
                return
            key, n, tries = (await w.session.rows(_STEP, {"task": task_id}))[0]
            for state in (TaskState.reserved, TaskState.connecting):
                task = vouched(await w.move(Task, task_id, state))
            contact = vouched(await w.session.get(Contact, task.contact_id))
            campaign = vouched(await w.session.get(Campaign, task.campaign_id))
            queue = vouched(await w.session.get(Queue, task.queue_id))
            allowed = await self._may_dial(w, campaign, contact, task)
            kind = kind_of(contact.phone)
            rates = await cadences.rates(w.session, kind.country, str(kind.type))
        outcome, seconds = Disposition.not_permitted, 0
        if allowed:
            chance = Caller(timing.zone_of(campaign, contact), rates=rates).chance(self.clock.now)
            outcome = self.outcome(contact.id, key, n, tries, chance)
            seconds = queue.handle_seconds if ANSWERED.get(outcome) else UNANSWERED_SECONDS
        heapq.heappush(self.over, (self.clock.now + timedelta(seconds=seconds), task_id, outcome))

    async def _may_dial(self, w: Writing, campaign: Campaign, contact: Contact, task: Task) -> bool:
        """As `router.actions.calling` asks: money first, then the guard."""
        scopes = await budgets.scopes_of(w.session, campaign, contact.phone, lead_id=task.lead_id, at=w.now)
        if not await budgets.room_for(w.session, w.now.date(), LEG_COST, scopes):
            return False
        attempt, verdict = await guarding.permit(
            w, campaign, contact, channel="call", purpose=Purpose.commercial, lead_id=task.lead_id,
            announced=await cadences.announcement_of(w.session, task),
        )
        if verdict.allowed:
            w.spend(LEG_COST, scopes)
            self.legs[task.id] = await self._rings(w, task, attempt)
        return verdict.allowed

    async def _rings(self, w: Writing, task: Task, attempt: Attempt) -> int:
        """The customer's leg, as a call leaves it: what the guard knows a busy tone by."""
        name = f"room-{attempt.id}"
        agent_id = vouched(await w.session.scalar(select(Agent.id).limit(1)))
        call = Call(task_id=task.id, lead_id=task.lead_id, agent_id=agent_id, state=CallState.ended, room=name,
                    room_ref=name, created_at=w.now, ended_at=w.now)
        w.session.add(call)
        await w.session.flush()
        leg = Leg(call_id=call.id, role="customer", ref=name, address=attempt.phone, created_at=w.now, ended_at=w.now)
        w.session.add(leg)
        await w.session.flush()
        w.session.add(Delivery(
            kind=DeliveryKind.leg, ref=name, dedupe_key=f"leg:{leg.id}", to_customer=True, order={}, due_at=w.now,
            created_at=w.now, state=DeliveryState.done, leg_id=leg.id, attempt_id=attempt.id,
        ))
        return leg.id

    async def _ends(self, task_id: int, outcome: Disposition) -> None:
        async with self.book.writing() as w:
            if outcome is Disposition.busy:
                vouched(await w.session.get(Leg, self.legs[task_id])).outcome = outcome.value
            if ANSWERED.get(outcome):
                assert await w.move(Task, task_id, TaskState.engaged)
                task = vouched(await w.session.get(Task, task_id))
                await wrapping.begin_task(w, task)
                if outcome in _BARS:
                    contact = vouched(await w.session.get(Contact, task.contact_id))
                    await suppressing.suppress(w, contact, _BARS[outcome], lead_id=task.lead_id)
                if outcome is Disposition.wrong_number:
                    task.agent_id = await w.session.scalar(select(Agent.id).limit(1))
                    await seeking.wrong_number(w, task)
                await wrapping.close_by_house(w, task_id, outcome)
            else:
                assert await wrapping.close_task(w, task_id, outcome)

    async def contacts(self) -> list[Contacted]:
        """What was done, from the attempts that were allowed."""
        async with self.book.reading() as r:
            rows = await r.session.rows(_MADE)
        return [Contacted(row[0], {"call": "call", "mail": "mail"}.get(row[1], "text"), row[2]) for row in rows]
