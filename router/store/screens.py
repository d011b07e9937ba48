"""Screens as queries: what the desk and the wallboard show, read in a few statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, exists, func, or_, select

from router.model.agents import HEARTBEAT_LEASE, WILLING, Agent, Wish
from router.model.calls import Call, CallState
from router.model.campaigns import Campaign, Queue, Site
from router.model.consent import Receipt, Withdrawal
from router.model.consultations import LIVE, Consultation
from router.model.contacts import Contact
from router.model.conversations import Room
from router.model.facts import Fact
from router.model.figures import BY_KEY, SERVICE, Figure, Tally
from router.model.holds import Hold
from router.model.leads import Lead
from router.model.promises import Promise
from router.model.quotes import UNSENT, Quote
from router.model.routing import Reason, takes
from router.model.signings import Signing, SigningState
from router.model.stations import Station
from router.model.tasks import (
    HELD,
    WITHOUT_TELEPHONE,
    Reservation,
    ReservationState,
    Task,
    TaskKind,
    TaskState,
    kinds_in,
    occupies,
)
from router.store import (
    brochures,
    consultations,
    conversations,
    figures,
    handouts,
    number_searches,
    occasions,
    promises,
    rooms,
    stations,
    targets,
    why,
)
from router.store.consultations import ConsultationView
from router.store.conversations import ThreadView
from router.store.db import ReadSession
from router.store.handouts import Handed
from router.store.number_searches import Sought
from router.store.occasions import Occasion
from router.store.picking import Pickable, to_pick
from router.store.promises import OwedTo

MOST_COUNTED = 1_000
"""A longer queue is shown as "more than 999": counting further would cost more than it tells."""
LAST_HOUR = timedelta(hours=1)
MEAN_WAIT = BY_KEY["asa"]
MOST_QUOTES = 12
MOST_COLLEAGUES = 50
MOST_FACTS = 60

TOLD = frozenset({
    "lead.created", "lead.attached", "task.queued", "call.talking", "call.ended", "task.closed", "task.abandoned",
    "quote.sent", "quote.declined", "quote.expired", "quote.superseded", "quote.withdrawn", "message.failed",
    "quote.awaiting", "quote.approved", "quote.void", "quote.mailed", "quote.read",
    "quote.imported", "quote.signed_elsewhere", "quote.snoozed", "quote.woken", "consent.given", "consent.withdrawn",
    "quote.resent", "contact.renumbered", "numbersearch.open",
    "numbersearch.dropped", "numbersearch.lapsed",
    "signing.delivered", "signing.opened", "signing.code_sent", "signing.signed", "signing.completed",
    "signing.undeliverable", "signing.unheard", "signing.locked", "signing.unfit", "signing.copy_unproven",
    "quote.asked_about", "hold.made", "hold.released", "contractwithdrawal.late", "enrolment.awaiting_agent",
    "step.announced",
    "contact.suppressed",
    "handout.sent", "handout.delivered", "handout.opened",
    "guard.deny", "guard.defer", "conversation.opened", "conversation.closed",
    "merge.proposed", "merge.merged", "merge.undone", "consultation.completed",
})
"""The facts a timeline tells; the others are the house's own business."""


class Doing(StrEnum):
    """What an agent is doing, in one word, for screens."""

    off = "off"
    paused = "paused"
    unreachable = "unreachable"
    resting = "resting"
    free = "free"
    ringing = "ringing"
    connecting = "connecting"
    consulted = "consulted"
    talking = "talking"
    wrapping = "wrapping"


_AT_WORK = {
    TaskState.reserved: Doing.ringing,
    TaskState.connecting: Doing.connecting,
    TaskState.engaged: Doing.talking,
    TaskState.wrapping: Doing.wrapping,
}


def doing(agent: Agent, task: TaskState | None, now: datetime, *, consulted: bool = False) -> Doing:
    """Work held comes first: an agent in a call whose browser is gone is still in a call."""
    if task in _AT_WORK:
        return _AT_WORK[task]
    if consulted:
        return Doing.consulted
    if agent.wish in (Wish.off, Wish.paused):
        return Doing(agent.wish.value)
    if not agent.present(now):
        return Doing.unreachable
    if agent.back_off_until is not None and agent.back_off_until > now:
        return Doing.resting
    return Doing.free


class Told(NamedTuple):
    """A fact of the timeline, and the name of the agent it belongs to, if any."""

    fact: Fact
    agent: str | None


@dataclass(frozen=True)
class QuoteView:
    """A quote and its latest signing. `held`: a supervisor looks at it before it can be signed."""

    quote: Quote
    signing: Signing | None
    held: bool = False


@dataclass(frozen=True)
class Work:
    """The task an agent holds, with all that is shown of it. `reservation` is there while it rings, `call` once there
    was one, `quote` when the task is about a quiet one, `occasion` when the house began it or promised it. `purposes`
    are what the person has agreed to be contacted for at his number, and not taken back. `handouts` are the documents
    he was sent; `can_hand`: there are some that could be sent him now."""

    task: Task
    lead: Lead
    contact: Contact
    campaign: Campaign
    queue: Queue
    site: Site | None
    reservation: Reservation | None
    call: Call | None
    receipts: Sequence[Receipt]
    quotes: Sequence[QuoteView]
    timeline: Sequence[Told]
    purposes: frozenset[str]
    threads: Sequence[ThreadView] = ()
    earlier: Sequence[ThreadView] = ()
    room: Room | None = None
    occasion: Occasion | None = None
    handouts: Sequence[Handed] = ()
    can_hand: bool = False

    @property
    def thread(self) -> ThreadView | None:
        """The open thread the agent writes in."""
        return next((one for one in self.threads if one.open), None)

    @property
    def about(self) -> Quote | None:
        return next((view.quote for view in self.quotes if view.quote.id == self.task.quote_id), None)

    @property
    def page(self) -> str:
        """The landing page as people name it: host and path, as the receipt of this request has them."""
        page = next((receipt.page for receipt in self.receipts if receipt.lead_id == self.lead.id), "")
        return page.partition("?")[0].partition("#")[0].partition("//")[2].rstrip("/") or page

    @property
    def sent(self) -> int:
        """How many quotes of this request have left the house. Drafts do not count: sending one may have failed."""
        return sum(view.quote.lead_id == self.lead.id and view.quote.sent_at is not None for view in self.quotes)

    @property
    def following(self) -> Sequence[QuoteView]:
        """The offers of this request whose way to the signature is worth watching."""
        return [view for view in self.quotes if view.signing is not None and view.quote.lead_id == self.lead.id][:3]

    @property
    def handed(self) -> Sequence[Handed]:
        """The documents sent about this request that are worth watching."""
        return [one for one in self.handouts if one.handout.lead_id == self.lead.id][:3]

    def handed_in(self, fact: Fact) -> Handed | None:
        """The handout a fact of the timeline is about."""
        is_one = fact.kind.startswith("handout.")
        return next((one for one in self.handouts if is_one and one.handout.id == fact.subject_id), None)

    @property
    def unsent(self) -> Sequence[Quote]:
        """The quotes of this request that were written and have not left the house."""
        return [view.quote for view in self.quotes if view.quote.lead_id == self.lead.id
                and view.quote.state in UNSENT][:3]


@dataclass(frozen=True)
class Targets:
    """To whom the agent could hand the person on: colleagues who are free for it, and lines of the campaign. Of the
    colleagues he can ask those first whose telephone is free (`askable`)."""

    agents: Sequence[tuple[int, str]] = ()
    askable: Sequence[tuple[int, str]] = ()
    queues: Sequence[tuple[int, str]] = ()


class Brief(NamedTuple):
    """Another task the agent holds, as a line of a list."""

    task: Task
    contact: Contact


@dataclass(frozen=True)
class DeskView:
    """`waiting` people wait in the agent's line, counted up to MOST_COUNTED. `why`
    says, while he is free, why what waits does not come to him; `names` are those of
    the agents they speak of. `helper` is the name of the supervisor who has said he comes to help.
    `promises` are the calls the agent has promised himself, `promised` is what the person in his hands was promised,
    `zone` (IANA) the one times are agreed on with that person in: the door fills it in, it is no query. `asked` is whom
    he asks about his call, or has asked last; `asking` is who asks him, about the work `about`. `station` is his
    staying on the line, or the last there was. `sought` are whose number he is to find: of offers whose
    link did not arrive, and of persons of his lines whose number was somebody else's."""

    agent: Agent
    doing: Doing
    waiting: int
    work: Work | None
    why: Sequence[Reason] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    others: Sequence[Brief] = ()
    targets: Targets = Targets()
    pickable: Sequence[Pickable] = ()
    helper: str = ""
    promises: Sequence[OwedTo] = ()
    promised: Promise | None = None
    zone: str = ""
    asked: ConsultationView | None = None
    asking: ConsultationView | None = None
    about: Work | None = None
    station: Station | None = None
    sought: Sequence[Sought] = ()

    @property
    def person(self) -> Work | None:
        """The work whose person is shown: the one he is asked about, or his own."""
        return self.about or self.work

    @property
    def why_idle(self) -> str:
        """Why nothing rings, as a code the screen puts in words."""
        if self.doing is not Doing.free:
            return self.doing.value
        if any(reason["code"] == "matching" for reason in self.why):
            return "matching"
        return "others" if self.waiting else "nobody"


_WEIGHT = {TaskState.engaged: 0, TaskState.connecting: 1, TaskState.wrapping: 2, TaskState.reserved: 3}


# Built once: putting a statement together costs as much as running it, and a ring waits for these.
_DESK = (
    select(Agent, Task, Lead, Contact, Campaign, Queue, Site, Reservation)
    .select_from(Agent)
    .outerjoin(Task, and_(Task.agent_id == Agent.id, Task.state.in_(HELD)))
    .outerjoin(Lead, Lead.id == Task.lead_id)
    .outerjoin(Contact, Contact.id == Task.contact_id)
    .outerjoin(Campaign, Campaign.id == Task.campaign_id)
    .outerjoin(Queue, Queue.id == Task.queue_id)
    .outerjoin(Site, Site.id == Lead.site_id)
    .outerjoin(Reservation, and_(
        Reservation.task_id == Task.id, Reservation.agent_id == Agent.id,
        Reservation.state == ReservationState.pending,
    ))
    .where(Agent.id == bindparam("agent"))
)
_QUEUED = (
    select(Task.id).where(Task.pool == bindparam("pool"), Task.state == TaskState.queued).limit(MOST_COUNTED)
    .subquery()
)
_WAITING = select(func.count()).select_from(_QUEUED)
_CALL = select(Call).where(Call.task_id == bindparam("task")).order_by(Call.id.desc()).limit(1)
_TAKEN_BACK = (
    select(func.array_agg(Withdrawal.purpose)).where(Withdrawal.receipt_id == Receipt.id).correlate(Receipt)
    .scalar_subquery()
)
_RECEIPTS = (
    select(Receipt, _TAKEN_BACK).where(Receipt.contact_id == bindparam("contact")).order_by(Receipt.id.desc()).limit(10)
)
_LATEST_SIGNING = select(func.max(Signing.id)).where(Signing.quote_id == Quote.id).correlate(Quote).scalar_subquery()
_QUOTES = (
    select(Quote, Signing, exists().where(Hold.quote_id == Quote.id, Hold.ended_at.is_(None)))
    .outerjoin(Signing, Signing.id == _LATEST_SIGNING)
    .where(or_(Quote.contact_id == bindparam("contact"), Quote.contact_id == bindparam("person")))
    .order_by(Quote.id.desc())
    .limit(MOST_QUOTES)
)
_LEADS = (
    select(Lead.id)
    .where(or_(Lead.contact_id == bindparam("contact"), Lead.contact_id == bindparam("person")))
    .order_by(Lead.created_at.desc())
    .limit(20)
)
_FACTS = (
    select(Fact, Agent.name)
    .outerjoin(Agent, Agent.id == Fact.agent_id)
    .where(
        Fact.lead_id.in_(_LEADS),
        Fact.kind.in_(sorted(TOLD)),
        ~and_(Fact.kind == "task.queued", Fact.data["reason"].astext.is_(None)),
    )
    .order_by(Fact.at.desc(), Fact.id.desc())
    .limit(MOST_FACTS)
)


async def desk(session: ReadSession, agent_id: int, now: datetime) -> DeskView:
    """What this agent's desk shows at `now` (aware)."""
    rows = await session.rows(_DESK, {"agent": agent_id})
    agent: Agent = rows[0][0]
    held = sorted((row for row in rows if row[1] is not None), key=lambda row: _before(row[1], agent.focus))
    waiting = (await session.rows(_WAITING, {"pool": agent.pool}))[0][0]
    work = await _work(session, tuple(held[0])[1:]) if held else None
    # Who is asked holds a call, but no task of it.
    asking = await consultations.live_with(session, agent_id) if agent.call_load else None
    about = await _asked_about(session, asking) if asking else None
    what = doing(agent, work.task.state if work else None, now, consulted=asking is not None)
    reasons: Sequence[Reason] = ()
    if what is Doing.free:
        reasons = await why.nothing_for(session, agent, now)
    names = await why.names(session, reasons)
    others = [Brief(row[1], row[3]) for row in sorted(held[1:], key=lambda row: row[1].id)]
    targets = await _targets(session, agent, work.task, now) if work and what is Doing.talking else Targets()
    helper = await session.scalar(select(Agent.name).where(Agent.id == agent.help_by)) if agent.help_by else None
    pickable = await to_pick(session, agent, now, kinds_in(takes(agent.candidate(now)))) if what is Doing.free else []
    owed = await promises.owed_to(session, agent_id)
    promised = (
        await promises.open_of_contact(session, work.contact.id) if work and what in (Doing.talking, Doing.wrapping)
        else None
    )
    in_call = work.call if work and what is Doing.talking else None
    asked = await consultations.latest_of_call(session, in_call.id) if in_call else None
    station = await stations.latest_of(session, agent_id)
    return DeskView(
        agent, what, waiting, work, reasons, names, others, targets, pickable, helper or "", owed, promised,
        asked=asked, asking=asking, about=about, station=station,
        sought=await number_searches.sought_by(session, agent),
    )


async def _asked_about(session: ReadSession, asking: ConsultationView) -> Work | None:
    rows = await session.rows(_DESK, {"agent": asking.about.asked_by})
    for row in rows:
        if row[1] is not None and row[1].id == asking.about.task_id:
            return await _work(session, tuple(row)[1:])
    return None


async def _targets(session: ReadSession, agent: Agent, task: Task, now: datetime) -> Targets:
    colleagues = await session.scalars(
        select(Agent).where(
            Agent.pool == task.pool, Agent.id != agent.id, Agent.wish.in_(WILLING),
            Agent.disabled_at.is_(None), Agent.heartbeat_at > now - HEARTBEAT_LEASE,
        ).order_by(Agent.name, Agent.id).limit(MOST_COLLEAGUES)
    )
    free = [(one.id, one.name) for one in colleagues if occupies(task.kind) in takes(one.candidate(now))]
    queues = await session.rows(
        select(Queue.id, Queue.name).where(Queue.campaign_id == task.campaign_id).order_by(Queue.name, Queue.id)
    )
    on_the_line = await stations.standing_among(session, [one for one, _ in free])
    askable = [one for one in free if one[0] not in on_the_line]
    return Targets(free, askable, [(row[0], row[1]) for row in queues])


def _before(task: Task, focus: int | None) -> tuple[bool, bool, int, int]:
    """A ring has to be seen at once; then comes what the agent has chosen to look at."""
    return task.state is not TaskState.reserved, task.id != focus, _WEIGHT[task.state], task.id


async def _work(session: ReadSession, nouns: tuple[Any, ...]) -> Work:
    """Quotes and timeline newest first, each quote with its latest signing."""
    task, lead, contact, campaign, queue, site, reservation = nouns
    of_contact = {"contact": contact.id}
    # Who was merged into another is one person with him: his history is theirs, his number and consent his own.
    of_person = {**of_contact, "person": contact.merged_into or contact.id}
    call = None if task.state is TaskState.reserved else await session.scalar(_CALL, {"task": task.id})
    receipts = await session.rows(_RECEIPTS, of_contact)
    agreed = frozenset(
        one for receipt, taken in receipts for one in receipt.purposes
        if one not in (taken or ()) and (contact.renumbered_at is None or receipt.given_at > contact.renumbered_at)
    )
    quotes = [QuoteView(row[0], row[1], row[2]) for row in await session.rows(_QUOTES, of_person)]
    timeline = [Told(row[0], row[1]) for row in await session.rows(_FACTS, of_person)]
    occasion = await occasions.occasion(session, task) if occasions.has_occasion(task) else None
    work = Work(
        task, lead, contact, campaign, queue, site, reservation, call, [row[0] for row in receipts], quotes, timeline,
        agreed, occasion=occasion,
    )
    # A ringing call is not to wait for what is only read when it is answered.
    if task.state is TaskState.reserved and task.kind not in WITHOUT_TELEPHONE:
        return work
    threads = await conversations.on_desk(session, task)
    earlier = await conversations.earlier(session, contact.id, [one.thread.id for one in threads])
    room = await rooms.find(session, task.id) if task.kind is TaskKind.video else None
    handed = await handouts.of_person(session, of_person["contact"], of_person["person"])
    can_hand = task.state in (TaskState.engaged, TaskState.wrapping) and await brochures.any_in_use(
        session, campaign.id
    )
    return replace(work, threads=threads, earlier=earlier, room=room, handouts=handed, can_hand=can_hand)


STEPS = ("sent", "delivered", "opened", "code_sent", "signed", "sealed")
_REACHED = {
    SigningState.created: -1, SigningState.sent: 0, SigningState.delivered: 1, SigningState.opened: 2,
    SigningState.code_sent: 3, SigningState.verified: 3, SigningState.signed: 4, SigningState.sealed: 5,
    SigningState.completed: 5,
}


def reached(signing: Signing) -> int:
    """The last of STEPS that was reached, as a place in the list; -1 for none. An ended ceremony got as far as its
    times tell."""
    if signing.state in _REACHED:
        return _REACHED[signing.state]
    if signing.signed_at is not None:
        return STEPS.index("signed")
    if signing.codes_sent:
        return STEPS.index("code_sent")
    return STEPS.index("opened") if signing.opened_at is not None else STEPS.index("sent")


@dataclass(frozen=True)
class AgentLine:
    """One agent on the wallboard. `since` is when the call or the task began, or when he became idle; `tasks` are those
    he holds, what he is most busy with first. `station` is there while he stays on the line, or is called to."""

    name: str
    doing: Doing
    since: datetime | None
    agent: Agent
    tasks: Sequence[Task] = ()
    station: Station | None = None


@dataclass(frozen=True)
class BoardView:
    """`oldest` is when the person waiting longest began to wait. The figures cover the last hour and are those of
    `router.model.figures`: people answered, the share of `service`, their mean wait, people who left before. `reached`
    is, by agent, what counts towards his target of the week."""

    waiting: int
    oldest: datetime | None
    target_seconds: int
    calls: int
    agents: Sequence[AgentLine]
    answered: int
    service_level: float | None
    abandoned: int
    answer_seconds: float | None
    by_doing: dict[Doing, int] = field(default_factory=dict)
    service: Figure = SERVICE
    reached: Mapping[int, float] = field(default_factory=dict)


async def board(session: ReadSession, now: datetime) -> BoardView:
    """What the wallboard shows at `now` (aware)."""
    some = select(Task.enqueued_at).where(Task.state == TaskState.queued).limit(MOST_COUNTED).subquery()
    oldest = (
        select(func.min(Task.enqueued_at)).where(Task.state == TaskState.queued).scalar_subquery()
    )
    target = select(func.min(Queue.target_seconds)).scalar_subquery()
    calls = (
        select(func.count()).select_from(Call).where(Call.ended_at.is_(None), Call.state == CallState.talking)
        .scalar_subquery()
    )
    head = (await session.rows(select(func.count(), oldest, target, calls).select_from(some)))[0]
    agents = await _agents(session, now)
    hour = Tally(now - LAST_HOUR, now, await figures.waits(session, now - LAST_HOUR, now))
    counts = {word: sum(line.doing is word for line in agents) for word in Doing}
    reached = await targets.reached(session, now) if any(line.agent.week_target for line in agents) else {}
    return BoardView(head[0], head[1], head[2] or 20, head[3], agents, hour.waits.answered, SERVICE.of(hour),
                     hour.waits.left, MEAN_WAIT.of(hour), counts, reached=reached)


async def _agents(session: ReadSession, now: datetime) -> list[AgentLine]:
    rows = await session.rows(
        select(
            Agent, Task, Call.talking_at, Call.created_at, Reservation.created_at, Consultation.created_at, Station
        )
        .select_from(Agent)
        .outerjoin(Task, and_(Task.agent_id == Agent.id, Task.state.in_(HELD)))
        .outerjoin(Call, and_(Call.agent_id == Agent.id, Call.ended_at.is_(None)))
        .outerjoin(Reservation, and_(
            Reservation.agent_id == Agent.id, Reservation.state == ReservationState.pending
        ))
        .outerjoin(Consultation, and_(Consultation.agent_id == Agent.id, Consultation.state.in_(LIVE)))
        .outerjoin(Station, and_(Station.agent_id == Agent.id, Station.ended_at.is_(None)))
        .where(Agent.disabled_at.is_(None))
        .order_by(Agent.name, Agent.id)
    )
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row[0].id, []).append(row)
    lines = [_line(of_agent, now) for of_agent in found.values()]
    order = [Doing.wrapping, Doing.talking, Doing.consulted, Doing.connecting, Doing.ringing]
    return sorted(lines, key=lambda line: (order.index(line.doing) if line.doing in order else 9, line.name))


def _line(rows: Sequence[Any], now: datetime) -> AgentLine:
    """One agent, of a row for each task he holds."""
    held = sorted((row[1] for row in rows if row[1] is not None), key=lambda task: (_WEIGHT[task.state], task.id))
    agent, _, talking, began, rang, consulted, station = rows[0]
    word = doing(agent, held[0].state if held else None, now, consulted=consulted is not None)
    since = {
        Doing.talking: talking or (held[0].engaged_at if held else None), Doing.connecting: began, Doing.ringing: rang,
        Doing.free: agent.idle_since, Doing.consulted: consulted,
    }
    return AgentLine(agent.name, word, since.get(word), agent, held, station)
