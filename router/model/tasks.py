"""Tasks and reservations: one unit of work for an agent, and one task held for one agent."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table
from router.model.campaigns import Line
from router.model.routing import Channel


class TaskState(State):
    scheduled = "scheduled"
    queued = "queued"
    reserved = "reserved"
    connecting = "connecting"
    engaged = "engaged"
    wrapping = "wrapping"
    closed = "closed"
    abandoned = "abandoned"
    expired = "expired"
    withdrawn = "withdrawn"

    @classmethod
    def moves(cls) -> Moves:
        return _TASK_MOVES


_TASK_MOVES = table(
    (TaskState.scheduled, "queued withdrawn expired"),
    (TaskState.queued, "reserved scheduled abandoned withdrawn expired"),
    (TaskState.reserved, "connecting queued abandoned withdrawn"),
    (TaskState.connecting, "engaged queued closed abandoned withdrawn"),
    (TaskState.engaged, "wrapping queued"),
    (TaskState.wrapping, "closed"),
)

HELD = (TaskState.reserved, TaskState.connecting, TaskState.engaged, TaskState.wrapping)


class TaskKind(StrEnum):
    """What there is to do: call the person who asked for it, nurture a quiet quote, answer in
    writing, meet by video."""

    call = "call"
    nurture = "nurture"
    chat = "chat"
    video = "video"


WITHOUT_TELEPHONE = (TaskKind.chat, TaskKind.video)
"""Work that is done in the browser: no leg is placed for it."""


_OCCUPIES = {
    TaskKind.call: Channel.call, TaskKind.nurture: Channel.call, TaskKind.chat: Channel.chat,
    TaskKind.video: Channel.video,
}


def occupies(kind: TaskKind) -> Channel:
    """What such a task occupies of its agent."""
    return _OCCUPIES[kind]


def kinds_in(channels: Collection[Channel]) -> str:
    """The kinds of tasks that occupy one of these channels, in words one after the other."""
    return " ".join(kind.value for kind in TaskKind if occupies(kind) in channels)


class Disposition(StrEnum):
    """The coded outcome of a task. `callback`: he asked to be called at another time. `voicemail`: a machine answered,
    and nothing was left on it. `hung_up`: he answered and was gone within seconds. `third_person`: somebody else
    answered, who was told nothing. `invalid_number`: nobody has this number. `failed`: the telephone network did."""

    sold = "sold"
    quote_sent = "quote_sent"
    callback = "callback"
    needs_information = "needs_information"
    not_interested = "not_interested"
    bought_elsewhere = "bought_elsewhere"
    not_eligible = "not_eligible"
    third_person = "third_person"
    voicemail = "voicemail"
    voicemail_left = "voicemail_left"
    hung_up = "hung_up"
    wrong_number = "wrong_number"
    invalid_number = "invalid_number"
    do_not_call = "do_not_call"
    no_answer = "no_answer"
    busy = "busy"
    failed = "failed"
    not_permitted = "not_permitted"
    unclassified = "unclassified"


BY_AGENT = (
    Disposition.sold,
    Disposition.quote_sent,
    Disposition.callback,
    Disposition.needs_information,
    Disposition.not_interested,
    Disposition.bought_elsewhere,
    Disposition.not_eligible,
    Disposition.third_person,
    Disposition.voicemail,
    Disposition.voicemail_left,
    Disposition.hung_up,
    Disposition.wrong_number,
    Disposition.do_not_call,
)

NOT_REACHED = (
    Disposition.third_person, Disposition.voicemail, Disposition.voicemail_left, Disposition.hung_up,
)
NEVER_AGAIN = (Disposition.wrong_number, Disposition.do_not_call)
TALKED = tuple(one for one in BY_AGENT if one not in (*NOT_REACHED, *NEVER_AGAIN))
"""What an agent can say, in the groups in which he is asked."""

TRANSFERRED = "transferred"
"""Why a task waits again that an agent has handed on."""
NOBODY_ELSE = datetime(9999, 1, 1, tzinfo=UTC)
"""Until when a task is kept that only its owner may take, be he there or not."""

TIER_NOW = 0
"""The customer asked to be called now (`TIERS` of the routing rules: lower is sooner)."""
TIER_PROMISE = 1
"""A promised call, from one minute before its time on."""
TIER_FRESH = 2
"""A fresh lead that is called, though nobody waits at the telephone: ad forms, carts, messages."""
TIER_HOT = 3
"""He is at his offer this very moment."""
TIER_LIST = 4
"""A person of an uploaded list: nobody asked for this call."""
TIER_EXPIRING = 5
TIER_STALE = 6
TIER_WIN_BACK = 7


def lane_of(
    line: Line, kind: TaskKind, tier: int, *, row: int = 0, skills: Sequence[str] | None = None
) -> str:
    """The lane's key: everything that decides who may take the task and in which class it stands. `skills` are what it
    needs at this row, the line's own unless given."""
    needs = "+".join(sorted(line.skills if skills is None else skills))
    return f"{line.campaign_id}/{line.queue_id}/{tier}/{line.rules_id or 0}.{row}/{kind.value}/{needs}"


def rank_of(line: Line, since_ms: int) -> int:
    """The order inside a lane of who has waited since then (milliseconds since 1970)."""
    return -since_ms if line.newest_first else since_ms


def placed(line: Line, kind: TaskKind, tier: int, since: datetime | int) -> dict[str, Any]:
    """The columns that say what a new task is and where it waits. `since` is when its person began to: aware, or
    milliseconds since 1970."""
    since_ms = since if isinstance(since, int) else int(since.timestamp() * 1000)
    return {
        "campaign_id": line.campaign_id, "queue_id": line.queue_id, "pool": line.pool, "kind": kind, "tier": tier,
        "skills": list(line.skills), "lane": lane_of(line, kind, tier), "rank": rank_of(line, since_ms),
        "rules_id": line.rules_id, "row": 0,
    }


class Task(Numbered):
    """One unit of work. Inside a lane the order is `rank`: the moment the person began to wait in milliseconds since
    1970, or minus that moment where the newest is first. `agent_id` is who holds it. `continues` names the task whose
    age this one carries on. `engaged_at` is since when the two write or see each other; a call has that time itself.

    `skills` are spelled out (`router.model.levels`). `rules_id` are the rules it was enqueued under, `row` is how far
    they have been relaxed. It is kept for the agent `prefers` until `prefers_until` if he is there, and for nobody else
    in any case if that is NOBODY_ELSE. `expected_at` is when its person
    was told somebody will be there, with `expected_present` agents there then."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("ix_tasks_lane", "pool", "lane", "rank", "id", postgresql_where=text("state = 'queued'")),
        Index("ix_tasks_held", "agent_id", postgresql_where=text(
            "state in ('reserved','connecting','engaged','wrapping')")),
        Index("one_waiting_task_per_person", "contact_id", "kind", unique=True, postgresql_where=text(
            "kind <> 'nurture' and state in ('queued','reserved','connecting','engaged')")),
        Index("ix_tasks_lead", "lead_id"),
        Index("ix_tasks_refused", "contact_id", postgresql_where=text("disposition = 'not_interested'")),
        Index("ix_tasks_list", "campaign_id", "id", postgresql_where=text("state = 'queued' and tier = 4")),
        Index(
            "one_voice_task_per_agent",
            "agent_id",
            unique=True,
            postgresql_where=text("kind <> 'chat' and state in ('connecting','engaged','wrapping')"),
        ),
        Index("one_live_nurture_per_quote", "quote_id", unique=True, postgresql_where=text(
            "kind = 'nurture' and state not in ('closed','abandoned','expired','withdrawn')")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    kind: Mapped[TaskKind]
    state: Mapped[TaskState]
    pool: Mapped[int]
    tier: Mapped[int]
    skills: Mapped[list[str]]
    lane: Mapped[str]
    rank: Mapped[int]
    enqueued_at: Mapped[datetime]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    quote_id: Mapped[int | None] = mapped_column(ForeignKey("quotes.id"), default=None)
    disposition: Mapped[Disposition | None] = mapped_column(default=None)
    continues: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"), default=None)
    held_until: Mapped[datetime | None] = mapped_column(default=None)
    engaged_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    rules_id: Mapped[int | None] = mapped_column(ForeignKey("rulesets.id"), default=None)
    row: Mapped[int] = mapped_column(default=0)
    prefers: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    prefers_until: Mapped[datetime | None] = mapped_column(default=None)
    expected_at: Mapped[datetime | None] = mapped_column(default=None)
    expected_present: Mapped[int] = mapped_column(default=0)

    @property
    def since_ms(self) -> int:
        """When its person began to wait, in milliseconds since 1970, whatever the order of its lane."""
        return abs(self.rank)

    def rank_at(self, since: datetime) -> int:
        """Its order in its lane if its person began to wait then (aware)."""
        since_ms = int(since.timestamp() * 1000)
        return -since_ms if self.rank < 0 else since_ms


def kept_for(line: Line, agent_id: int | None, now: datetime) -> dict[str, Any]:
    """The columns that keep a task for who last spoke with its person, as long as the line does that."""
    if agent_id is None or not line.owner_seconds:
        return {"prefers": None, "prefers_until": None}
    return {"prefers": agent_id, "prefers_until": now + timedelta(seconds=line.owner_seconds)}


class ReservationState(State):
    pending = "pending"
    accepted = "accepted"
    rejected = "rejected"
    missed = "missed"
    rescinded = "rescinded"
    canceled = "canceled"

    @classmethod
    def moves(cls) -> Moves:
        return _RESERVATION_MOVES


_RESERVATION_MOVES = table((ReservationState.pending, "accepted rejected missed rescinded canceled"))


class Reservation(Numbered):
    """One task held for one agent until `expires_at`; `why` are the reasons of the match, readable by a person.
    `preview`: he stays on the line, and the call is made at `expires_at` without a press."""

    __tablename__ = "reservations"
    __table_args__ = (
        Index("one_pending_reservation_per_task", "task_id", unique=True, postgresql_where=text("state = 'pending'")),
        Index("one_pending_reservation_per_agent", "agent_id", unique=True, postgresql_where=text("state = 'pending'")),
    )
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), index=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    state: Mapped[ReservationState]
    why: Mapped[list[dict[str, Any]]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    costs_turn: Mapped[bool] = mapped_column(default=True)
    preview: Mapped[bool] = mapped_column(default=False)


class Exclusion(Numbered):
    """This agent is not offered this task again until then: he has just rejected or missed it."""

    __tablename__ = "exclusions"
    __table_args__ = (Index(None, "task_id", "agent_id"),)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    until: Mapped[datetime]
