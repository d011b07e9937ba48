"""Facts: the journal. One row for every change of state, written where the change is written."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from router.model.base import Base


class Xid8(UserDefinedType[Any]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class Fact(Base):
    """Ids, codes, amounts, times and reasons; never a customer's name, number or words. Rows are never changed."""

    __tablename__ = "facts"
    __table_args__ = (
        Index("ix_facts_commit_order", "xid", "id"),
        Index("uq_facts_lead_seq", "lead_id", "seq", unique=True),
        Index("ix_facts_kind_at", "kind", "at"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, init=False)
    xid: Mapped[Any] = mapped_column(Xid8, server_default=text("pg_current_xact_id()"), init=False)
    at: Mapped[datetime]
    kind: Mapped[str]
    campaign_id: Mapped[int | None] = mapped_column(default=None)
    lead_id: Mapped[int | None] = mapped_column(default=None)
    seq: Mapped[int | None] = mapped_column(default=None)
    subject_id: Mapped[int | None] = mapped_column(default=None)
    agent_id: Mapped[int | None] = mapped_column(default=None)
    data: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)


class Noted(NamedTuple):
    """A fact that is not written yet."""

    at: datetime
    kind: str
    campaign_id: int | None
    lead_id: int | None
    subject_id: int | None
    agent_id: int | None
    data: dict[str, Any]


class Consumer(Base):
    """How far a durable reader of the journal has come: a pair, in commit order."""

    __tablename__ = "consumers"
    name: Mapped[str] = mapped_column(primary_key=True)
    xid: Mapped[Any] = mapped_column(Xid8)
    fact_id: Mapped[int]
