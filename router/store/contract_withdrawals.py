"""Contract withdrawals as queries."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from router.model.campaigns import Campaign
from router.model.contract_withdrawals import ContractWithdrawal, WithdrawalState
from router.model.quotes import Quote
from router.model.signings import Signing
from router.store.db import ReadSession

MOST_SHOWN = 20


async def of_signing(session: ReadSession, signing_id: int) -> ContractWithdrawal | None:
    """What the customer declared about this signing, if he did."""
    return await session.scalar(select(ContractWithdrawal).where(ContractWithdrawal.signing_id == signing_id))


async def by_link(session: ReadSession, link_hash: bytes) -> Signing | None:
    """The signing behind the link in the text that acknowledges its withdrawal."""
    return await session.scalar(
        select(Signing).join(ContractWithdrawal, ContractWithdrawal.signing_id == Signing.id)
        .where(ContractWithdrawal.link_hash == link_hash)
    )


class Late(NamedTuple):
    """A withdrawal that came after its time and waits for a person, without a word of its customer."""

    withdrawal: ContractWithdrawal
    number: str
    zone: str


async def late(session: ReadSession) -> Sequence[Late]:
    """Those that wait for a person, who waits longest first."""
    rows = await session.rows(
        select(ContractWithdrawal, Quote.number, Campaign.timezone)
        .join(Signing, Signing.id == ContractWithdrawal.signing_id).join(Quote, Quote.id == Signing.quote_id)
        .join(Campaign, Campaign.id == ContractWithdrawal.campaign_id)
        .where(ContractWithdrawal.state == WithdrawalState.late).order_by(ContractWithdrawal.id).limit(MOST_SHOWN)
    )
    return [Late(row[0], row[1], row[2]) for row in rows]
