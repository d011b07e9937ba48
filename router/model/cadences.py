"""Cadences, enrolments, steps, attempts: the plan for a quiet quote, a person inside it, and every try to reach him."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Moves, Numbered, State, table


class EnrolmentState(State):
    active = "active"
    awaiting_agent = "awaiting_agent"
    paused = "paused"
    exited = "exited"

    @classmethod
    def moves(cls) -> Moves:
        return _ENROLMENT_MOVES


_ENROLMENT_MOVES = table(
    (EnrolmentState.active, "awaiting_agent paused exited"),
    (EnrolmentState.awaiting_agent, "active paused exited"),
    (EnrolmentState.paused, "active exited"),
)


class Cadence(Numbered):
    """A plan for whoever has gone quiet, of a campaign. Its steps stand in its versions; the newest holds for whoever
    begins. `preset`: the house's own, used where the campaign's file says nothing."""

    __tablename__ = "cadences"
    __table_args__ = (UniqueConstraint("campaign_id", "key"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    key: Mapped[str]
    name: Mapped[str]
    preset: Mapped[bool] = mapped_column(default=False)


class CadenceVersion(Numbered):
    """One version of a cadence, never changed: `body` is a `router.model.cadence_rules.CadencePlan`."""

    __tablename__ = "cadence_versions"
    __table_args__ = (UniqueConstraint("cadence_id", "version"),)
    cadence_id: Mapped[int] = mapped_column(ForeignKey("cadences.id"))
    version: Mapped[int]
    body: Mapped[dict[str, Any]]
    published_at: Mapped[datetime]


class Enrolment(Numbered):
    """A person inside a cadence, of one quiet quote or of something else that happened to a lead. `idle_base` is the
    epoch of the quiet: each cadence once for each.

    `reason` is why it began, `reasons` all that held then. `calls` and `messages` are those made that count. `outcomes`
    are how its calls ended, the latest last, and that he "talked" or "replied" besides; `not_before`, `other_band` and
    `again` (a step's number) are what the last call asks of the next. `no_number`: the telephone number is not his, or
    nobody's. `paused_reason` is why it rests, `resumed_at` when it last went on.
    """

    __tablename__ = "enrolments"
    __table_args__ = (
        UniqueConstraint("quote_id", "cadence_id", "idle_base"),
        Index("one_enrolment_per_event", "lead_id", "cadence_id", "idle_base", unique=True, postgresql_where=text(
            "quote_id is null")),
        Index("one_live_enrolment_per_person", "contact_id", unique=True, postgresql_where=text("state <> 'exited'")),
        Index("ix_enrolments_live", "version_id", postgresql_where=text("state <> 'exited'")),
        Index("ix_enrolments_lead", "lead_id"),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    quote_id: Mapped[int | None] = mapped_column(ForeignKey("quotes.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    state: Mapped[EnrolmentState]
    reason: Mapped[str]
    idle_base: Mapped[datetime]
    created_at: Mapped[datetime]
    cadence_id: Mapped[int | None] = mapped_column(ForeignKey("cadences.id"), default=None)
    version_id: Mapped[int | None] = mapped_column(ForeignKey("cadence_versions.id"), default=None)
    reasons: Mapped[list[str]] = mapped_column(default_factory=list)
    calls: Mapped[int] = mapped_column(default=0)
    messages: Mapped[int] = mapped_column(default=0)
    outcomes: Mapped[list[str]] = mapped_column(default_factory=list)
    not_before: Mapped[datetime | None] = mapped_column(default=None)
    other_band: Mapped[bool] = mapped_column(default=False)
    again: Mapped[int | None] = mapped_column(default=None)
    no_number: Mapped[bool] = mapped_column(default=False)
    paused_reason: Mapped[str] = mapped_column(default="")
    resumed_at: Mapped[datetime | None] = mapped_column(default=None)
    exit_reason: Mapped[str] = mapped_column(default="")
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class StepState(State):
    """`waiting`: its call waits for an agent, or is being made. `canceled` is not the end: whoever goes on has the step
    planned anew."""

    planned = "planned"
    waiting = "waiting"
    done = "done"
    skipped = "skipped"
    canceled = "canceled"

    @classmethod
    def moves(cls) -> Moves:
        return _STEP_MOVES


_STEP_MOVES = table(
    (StepState.planned, "planned waiting done skipped canceled"),
    (StepState.waiting, "planned done skipped canceled"),
    (StepState.canceled, "planned skipped"),
)


class Step(Numbered):
    """What is planned, or was done, of an enrolment: one row for each step of its version, so that none is done twice.

    `due_at` is when, `not_after` how late at most; `reason` is why it was put off, left out or canceled. `band` is the
    part of the day a call was made in, `outcome` how it ended, `tries` how often it was made. `announcement_id` is the
    attempt of the text that announced the call for `announced_for`, whatever became of it; `first_announcement_id` that
    of the one before, which named another moment. There are two at most.
    """

    __tablename__ = "steps"
    __table_args__ = (
        UniqueConstraint("enrolment_id", "n"),
        Index("ix_steps_task", "task_id", postgresql_where=text("task_id is not null")),
        Index(None, "announcement_id", unique=True, postgresql_where=text("announcement_id is not null")),
        Index(
            None, "first_announcement_id", unique=True, postgresql_where=text("first_announcement_id is not null")
        ),
        CheckConstraint("state <> 'done' or ended_at is not null", name="done_has_an_end"),
    )
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolments.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("cadence_versions.id"))
    n: Mapped[int]
    way: Mapped[str]
    state: Mapped[StepState]
    planned_at: Mapped[datetime]
    due_at: Mapped[datetime]
    not_after: Mapped[datetime]
    began_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"), default=None)
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"), default=None)
    reason: Mapped[str] = mapped_column(default="")
    outcome: Mapped[str] = mapped_column(default="")
    band: Mapped[str] = mapped_column(default="")
    tries: Mapped[int] = mapped_column(default=0)
    announcement_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"), default=None)
    announced_for: Mapped[datetime | None] = mapped_column(default=None)
    first_announcement_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"), default=None)

    @property
    def announcements(self) -> int:
        """How many texts announced the call."""
        return sum(one is not None for one in (self.announcement_id, self.first_announcement_id))


class AnswerRate(Base):
    """How often calls are answered in a country, on a kind of line, on a weekday (0: Monday), in a part of the day:
    tried and answered, older ones for less, as of `at` (`router.model.best_time`)."""

    __tablename__ = "answer_rates"
    country: Mapped[str] = mapped_column(primary_key=True)
    line: Mapped[str] = mapped_column(primary_key=True)
    weekday: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    band: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[float]
    answered: Mapped[float]
    at: Mapped[datetime]


class Attempt(Numbered):
    """The guard's recorded answer at the moment of a try: who, by which channel, for what purpose, by which rules.

    The row reserves the place in the number's caps. `refunded_at`: the try never left the house. `receipt_id` is the
    consent that was relied on, at `at`: it is kept as long as the law counts from its last use. `announced_by` is the
    attempt of the text that announced this call."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index(None, "phone", "at"),
        Index(None, "receipt_id", postgresql_where=text("receipt_id is not null")),
        Index(None, "announced_by", postgresql_where=text("announced_by is not null")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"))
    phone: Mapped[str]
    channel: Mapped[str]
    purpose: Mapped[str]
    verdict: Mapped[str]
    rules: Mapped[list[str]]
    detail: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    refunded_at: Mapped[datetime | None] = mapped_column(default=None)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), default=None)
    receipt_id: Mapped[int | None] = mapped_column(ForeignKey("receipts.id"), default=None)
    announced_by: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"), default=None)
