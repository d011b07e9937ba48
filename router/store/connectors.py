"""Connectors as queries."""

from dataclasses import dataclass

from sqlalchemy import select

from router.model.campaigns import Campaign, Queue
from router.model.connectors import Connector, PartyName
from router.model.conversations import Channel, Conversation, ConversationState
from router.store.db import ReadSession


@dataclass(frozen=True)
class Opening:
    """A connector with the campaign and the queue behind it."""

    connector: Connector
    queue: Queue
    campaign: Campaign


async def by_key(session: ReadSession, party: str, key: str) -> Connector | None:
    """The connector with this address. A key opens only its own party's door."""
    if party not in set(PartyName):
        return None
    return await session.scalar(select(Connector).where(Connector.key == key, Connector.party == PartyName(party)))


async def by_name(session: ReadSession, campaign_id: int, name: str) -> Connector | None:
    return await session.scalar(
        select(Connector).where(Connector.campaign_id == campaign_id, Connector.name == name)
    )


async def opening(session: ReadSession, connector_id: int) -> Opening | None:
    rows = await session.rows(
        select(Connector, Queue, Campaign)
        .join(Queue, Queue.id == Connector.queue_id)
        .join(Campaign, Campaign.id == Connector.campaign_id)
        .where(Connector.id == connector_id)
    )
    return Opening(rows[0][0], rows[0][1], rows[0][2]) if rows else None


async def open_mail(session: ReadSession, campaign_id: int, address: str) -> Conversation | None:
    """The open thread with this mail address, the latest if there are several."""
    return await session.scalar(
        select(Conversation)
        .where(
            Conversation.campaign_id == campaign_id, Conversation.channel == Channel.email,
            Conversation.state == ConversationState.open, Conversation.address == address,
        )
        .order_by(Conversation.id.desc())
        .limit(1)
    )
