"""Contract withdrawals: a customer withdraws from what he has signed, within the time the law gives him or after it."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import holidays
from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table
from router.model.offers import WITHDRAWAL_DAYS

DAYS: dict[str, int] = {}
"""By country (ISO 3166), where the law gives another number of calendar days than WITHDRAWAL_DAYS. None is known to us
among the member states of the Union for contracts made on the telephone (to be checked by counsel)."""


class WithdrawalState(State):
    """`late` ones wait for a person: nothing is refused by the house itself."""

    taken = "taken"
    late = "late"
    accepted = "accepted"
    refused = "refused"

    @classmethod
    def moves(cls) -> Moves:
        return _MOVES


_MOVES = table((WithdrawalState.late, "accepted refused"))


class ContractWithdrawal(Numbered):
    """What a customer declared at `at`, when the law's time lasted until `ends_at`. `lines` are what he declared, as
    page and acknowledgement show it; `pdf_sha256` is the acknowledgement, `sealed_sha256` the same sealed. `link_hash`
    is of the token in the text that acknowledges it. `agent_id` decided on a late one."""

    __tablename__ = "contract_withdrawals"
    __table_args__ = (
        Index("ix_contract_withdrawals_late", "id", postgresql_where=text("state = 'late'")),
        Index(None, "campaign_id"),
    )
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), unique=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    state: Mapped[WithdrawalState]
    at: Mapped[datetime]
    ends_at: Mapped[datetime]
    lines: Mapped[list[dict[str, Any]]]
    link_hash: Mapped[bytes | None] = mapped_column(default=None, unique=True)
    pdf_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    sealed_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    decided_at: Mapped[datetime | None] = mapped_column(default=None)


def ends_at(signed_at: datetime, country: str, zone: str) -> datetime:
    """Until when (aware, exclusive) a contract signed then may be withdrawn from without reasons.

    The day of signing does not count, and the last day is whole (Regulation 1182/71 article 3); one that is a Saturday,
    a Sunday or a public holiday moves on to the next working day, which is the customer's advantage where a country
    counts more strictly. For goods the law counts from their delivery, later still: what comes after this moment is for
    a person to judge.
    """
    last = signed_at.astimezone(ZoneInfo(zone)).date() + timedelta(days=DAYS.get(country, WITHDRAWAL_DAYS))
    closed = _public_holidays(country, last.year)
    while last.weekday() >= 5 or last in closed:
        last += timedelta(days=1)
    begins = datetime.combine(last + timedelta(days=1), datetime.min.time(), ZoneInfo(zone))
    return begins.astimezone(signed_at.tzinfo)


def last_minute(ends: datetime) -> datetime:
    """The end of that time as people say it: 23:59 of the last day, not midnight of the next."""
    return ends - timedelta(minutes=1)


def _public_holidays(country: str, year: int) -> holidays.HolidayBase:
    try:
        return holidays.country_holidays(country, years=(year, year + 1))
    except NotImplementedError:
        return holidays.HolidayBase()
