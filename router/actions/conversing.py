"""Conversing: what people write to us, by any channel, and who is to answer it.

Locks are taken in one order: the person's live tasks, then the thread, then the counters at the commit.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.actions import nurturing
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.conversations import (
    LONGEST_TEXT,
    Channel,
    Conversation,
    ConversationState,
    Direction,
    Message,
)
from router.model.errors import Busy, Invalid
from router.model.tasks import TIER_FRESH, TIER_NOW, WITHOUT_TELEPHONE, Task, TaskKind, TaskState, kept_for, placed
from router.store import conversations, tasks


@dataclass(frozen=True)
class Heard:
    """What somebody wrote. `lead_id` is the request it belongs to, `queue` the line that answers. `address` is where it
    came from (E.164, a mail address; "" for a chat). `external_id` is the network's name of it, `client_id` that of
    the browser which posted it: the same one twice is one message."""

    channel: Channel
    campaign_id: int
    queue: Queue
    contact_id: int
    lead_id: int
    text: str
    address: str = ""
    media: Sequence[Mapping[str, Any]] = ()
    external_id: str | None = None
    client_id: str | None = None


def words(text: str) -> str:
    """A text as it is kept: without control characters and space around it. Raises Invalid when nothing is to be seen
    of it, or it is too long."""
    kept = "".join(
        each for each in text.replace("\r\n", "\n").replace("\r", "\n")
        if each in "\n\t" or unicodedata.category(each) != "Cc"
    ).strip()
    if not any(unicodedata.category(each)[0] not in "CZ" for each in kept):
        raise Invalid("Please write something first.", pointer="/text")
    if len(kept) > LONGEST_TEXT:
        raise Invalid("A message may have %(most)s characters. Please send it in parts.", pointer="/text",
                      most=LONGEST_TEXT)
    return kept


async def opened(w: Writing, lead_ids: Sequence[int]) -> None:
    """Opens the chats of leads that have none yet; what each said when it came is its first message.

    One statement for the whole batch, for who takes leads in. Done again, it changes nothing.
    """
    for conversation_id, lead_id, campaign_id in await conversations.open_chats(w.session, lead_ids, w.now):
        w.fact("conversation.opened", campaign_id=campaign_id, lead_id=lead_id, subject_id=conversation_id,
               channel=Channel.web_chat.value)


async def heard(w: Writing, said: Heard) -> int:
    """Stores an incoming message in the person's thread, and sees to it that somebody answers; the thread's id."""
    message, _ = await hear(w, said)
    return message.conversation_id


async def hear(w: Writing, said: Heard) -> tuple[Message, bool]:
    """The message as it is stored, and whether it is new."""
    if (before := await _before(w, said)) is not None:
        return before, False
    live = await tasks.live_of_contact(w.session, said.contact_id)
    thread = await thread_of(
        w, said.channel, campaign_id=said.campaign_id, contact_id=said.contact_id, lead_id=said.lead_id,
        address=said.address,
    )
    # Asked again under the thread's lock: the same message may just have come by another way.
    if (before := await _before(w, said)) is not None:
        return before, False
    message = vouched(await conversations.add(w.session, {
        "conversation_id": thread.id, "direction": Direction.incoming, "text": said.text, "at": w.now,
        "media": [dict(one) for one in said.media], "client_id": said.client_id, "external_id": said.external_id,
    }))
    thread.unread, thread.answered, thread.last_at = thread.unread + 1, False, w.now
    await w.session.flush()
    w.fact("conversation.heard", campaign_id=thread.campaign_id, lead_id=thread.lead_id, subject_id=thread.id,
           message=message.id, channel=thread.channel.value)
    if not any(one.kind in WITHOUT_TELEPHONE or one.state in _BUSY for one in live):
        await _ask_for_answer(w, said.queue, thread)
    await nurturing.wrote(w, said.contact_id)
    w.hint(*(f"agent:{one.agent_id}" for one in live if one.agent_id is not None))
    return message, True


_BUSY = (TaskState.connecting, TaskState.engaged)
"""An agent is with the person, by whatever way: he sees what is written."""


async def _before(w: Writing, said: Heard) -> Message | None:
    return await conversations.known(
        w.session, contact_id=said.contact_id, lead_id=said.lead_id, client_id=said.client_id,
        external_id=said.external_id,
    )


async def thread_of(
    w: Writing, channel: Channel, *, campaign_id: int, contact_id: int, lead_id: int, address: str
) -> Conversation:
    """The open thread, locked; a new one if there is none. Another transaction may open or close it meanwhile."""
    for _ in range(3):
        found = await conversations.open_thread(
            w.session, channel, contact_id=contact_id, lead_id=lead_id, address=address
        )
        if found is not None:
            return found
        made = await conversations.make(w.session, {
            "campaign_id": campaign_id, "contact_id": contact_id, "lead_id": lead_id, "channel": channel,
            "state": ConversationState.open, "address": address, "created_at": w.now, "last_at": w.now, "unread": 0,
            "read_to": 0, "answered": True,
        })
        if made is not None:
            w.fact("conversation.opened", campaign_id=campaign_id, lead_id=lead_id, subject_id=made,
                   channel=channel.value)
    raise Busy("Too much is happening at once. Nothing was stored; please try again.")


async def _ask_for_answer(w: Writing, queue: Queue, thread: Conversation) -> None:
    """A task to answer the thread. Its person may wait already: then nothing is added."""
    await enqueue(
        w, queue, TaskKind.chat, TIER_NOW if thread.channel is Channel.web_chat else TIER_FRESH,
        campaign_id=thread.campaign_id, lead_id=thread.lead_id, contact_id=thread.contact_id,
    )


async def enqueue(
    w: Writing, queue: Queue, kind: TaskKind, tier: int, *, campaign_id: int, lead_id: int, contact_id: int,
    since_ms: int | None = None, continues: int | None = None,
) -> int | None:
    """A new waiting task's id; None when its person waits for the same already. `since_ms` is another task's age."""
    contact = vouched(await w.session.get(Contact, contact_id))
    task_id = await tasks.enqueue(w.session, {
        **placed(queue.line, kind, tier, since_ms or w.now), **kept_for(queue.line, contact.agent_id, w.now),
        "lead_id": lead_id, "contact_id": contact_id,
        "state": TaskState.queued, "enqueued_at": w.now, "continues": continues,
    })
    if task_id is not None:
        w.fact("task.queued", campaign_id=campaign_id, lead_id=lead_id, subject_id=task_id, tier=tier)
        w.hint("dispatch", "wallboard")
    return task_id


async def resume(w: Writing, over: Task) -> None:
    """A task of the person is over: if a thread of his still waits for an answer, somebody else is asked."""
    live = await tasks.live_of_contact(w.session, over.contact_id)
    if any(one.kind in WITHOUT_TELEPHONE or one.state in _BUSY for one in live):
        return
    thread = await conversations.unanswered(w.session, over)
    if thread is not None:
        await _ask_for_answer(w, await tasks.queue_of(w.session, over), thread)


async def taken(w: Writing, task: Task, agent_id: int | None) -> None:
    """The agent who answers the task's threads from now on; None: nobody does."""
    if task.kind is TaskKind.chat:
        await opened(w, [task.lead_id])
    for thread in await conversations.of_task(w.session, task):
        locked = vouched(await w.session.locked(Conversation, thread.id))
        locked.agent_id = agent_id
    await w.session.flush()


async def close(w: Writing, task: Task) -> None:
    """Ends the threads this task is about. What is written afterwards begins a new one."""
    for thread in await conversations.of_task(w.session, task):
        await w.move(Conversation, thread.id, ConversationState.closed, closed_at=w.now)
