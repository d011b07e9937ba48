"""Replying: what an agent says, how a talk in the browser ends, and how it goes on by another way."""

from router import ports
from router.actions import conversing, dispatch, meeting, presence, talking, wrapping
from router.actions.talking import Text
from router.book import Writing
from router.model.base import vouched
from router.model.calls import Call
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, ConversationState, Direction, Message
from router.model.errors import Conflict, NotFound
from router.model.guard import Purpose
from router.model.leads import Lead
from router.model.tasks import TIER_NOW, WITHOUT_TELEPHONE, Disposition, Task, TaskKind, TaskState
from router.store import conversations, tasks

NOT_SENT = "This conversation is over, or somebody else has it. Nothing was sent."
CHAT_OVER = "This conversation is over, or somebody else has it."
BY_TELEPHONE = (Channel.sms, Channel.whatsapp)


async def say(w: Writing, conversation_id: int, agent_id: int, text: str, client_id: str | None = None) -> Message:
    """The agent's words, in the thread's own channel: a text to a telephone is a delivery with the guard's answer.

    The same `client_id` again is the same message. Raises Invalid, NotFound, NotAllowedNow; Conflict when the thread
    is closed, or its person is with somebody else.
    """
    words = conversing.words(text)
    thread = await w.session.locked(Conversation, conversation_id)
    if thread is None:
        raise NotFound("There is no such conversation.")
    before = await conversations.known(
        w.session, contact_id=thread.contact_id, lead_id=thread.lead_id, client_id=client_id, external_id=None
    )
    if before is not None:
        return before
    held = await tasks.held_by(w.session, agent_id, thread.contact_id)
    if thread.state is not ConversationState.open or held is None:
        raise Conflict(NOT_SENT)
    message = vouched(await conversations.add(w.session, {
        "conversation_id": thread.id, "direction": Direction.outgoing, "text": words, "at": w.now, "media": [],
        "agent_id": agent_id, "client_id": client_id,
    }))
    if thread.channel is not Channel.web_chat:
        await _send(w, thread, message)
    thread.agent_id, thread.answered, thread.last_at = agent_id, True, w.now
    await w.session.flush()
    await conversations.read(w.session, thread.id, message.id)
    w.fact("conversation.said", campaign_id=thread.campaign_id, lead_id=thread.lead_id, subject_id=thread.id,
           agent_id=agent_id, message=message.id, channel=thread.channel.value)
    w.hint(f"agent:{agent_id}")
    return message


async def _send(w: Writing, thread: Conversation, message: Message) -> None:
    if thread.channel not in BY_TELEPHONE:
        raise Conflict("Mail cannot be answered from here.")
    campaign = vouched(await w.session.get(Campaign, thread.campaign_id))
    contact = vouched(await w.session.get(Contact, thread.contact_id))
    if thread.channel is Channel.whatsapp and not campaign.whatsapp:
        raise Conflict("This campaign has no number on WhatsApp.")
    text = Text(
        message.text, message.text, "chat", Purpose.requested, f"message:{message.id}",
        channel=ports.Channel(thread.channel.value),
    )
    delivery = await talking.send_text(w, campaign, contact, text, lead_id=thread.lead_id)
    message.delivery_id = delivery.id


async def read(w: Writing, conversation_id: int, agent_id: int, up_to: int) -> None:
    """The agent has seen the thread up to this message. Raises NotFound when it is not his to read."""
    thread = await w.session.locked(Conversation, conversation_id)
    if thread is None or await tasks.held_by(w.session, agent_id, thread.contact_id) is None:
        raise NotFound("There is no such conversation.")
    await conversations.read(w.session, conversation_id, up_to)
    w.hint(f"agent:{agent_id}")


async def _own(w: Writing, task_id: int, agent_id: int) -> Task:
    task = await w.session.locked(Task, task_id)
    if (
        task is None or task.agent_id != agent_id or task.state is not TaskState.engaged
        or task.kind not in WITHOUT_TELEPHONE
    ):
        raise Conflict(CHAT_OVER)
    return task


async def finish(w: Writing, task_id: int, agent_id: int) -> None:
    """The agent ends a chat or a video talk; he then says how it went. Raises Conflict."""
    await _over(w, await _own(w, task_id, agent_id))


async def _over(w: Writing, task: Task) -> None:
    await conversing.close(w, task)
    await meeting.end(w, task)
    await wrapping.begin_task(w, task)
    w.hint(f"agent:{task.agent_id}", "wallboard")


async def leave(w: Writing, task_id: int) -> None:
    """The visitor leaves: who was not answered yet waits no more, a talk is over. Done again, it changes nothing."""
    task = await w.session.get(Task, task_id)
    if task is None or task.kind not in WITHOUT_TELEPHONE:
        return
    if await dispatch.abandon(w, task_id, and_then=lambda gone: _left(w, gone)):
        return
    task = vouched(await w.session.locked(Task, task_id))
    if task.state is TaskState.engaged:
        await _over(w, task)


async def _left(w: Writing, task: Task) -> None:
    await conversing.close(w, task)
    await meeting.end(w, task)


async def ask_to_meet(w: Writing, lead: Lead) -> Task | None:
    """A video task for a request that has none, e.g. because its person was waiting by another link when it came; None
    when he still is."""
    queue = await conversations.queue_of_lead(w.session, lead)
    if queue is None:
        return None
    made = await conversing.enqueue(
        w, queue, TaskKind.video, TIER_NOW, campaign_id=lead.campaign_id, lead_id=lead.id, contact_id=lead.contact_id
    )
    return None if made is None else vouched(await w.session.locked(Task, made))


async def call_instead(w: Writing, task_id: int, agent_id: int) -> Call:
    """The talk goes on by telephone: the same agent calls the person now. Raises Conflict."""
    task = await _own(w, task_id, agent_id)
    await _number(w, task)
    await _left(w, task)
    await wrapping.goes_on(w, task, Disposition.callback)
    call = await _call_task(w, task)
    if await w.move(Task, call.id, TaskState.reserved, frm=(TaskState.queued,), agent_id=agent_id) is None:
        raise Conflict(CALLED_ALREADY)
    await presence.exchange(w, agent_id, task.kind, call.kind)
    return await dispatch.connect(w, call, agent_id)


CALLED_ALREADY = "This person is being called already."


async def _call_task(w: Writing, task: Task) -> Task:
    """The person's waiting call, or a new one that goes on from this task, with its age."""
    queue = await tasks.queue_of(w.session, task)
    made = await conversing.enqueue(
        w, queue, TaskKind.call, TIER_NOW, campaign_id=task.campaign_id, lead_id=task.lead_id,
        contact_id=task.contact_id, since_ms=task.since_ms, continues=task.id,
    )
    if made is not None:
        return vouched(await w.session.locked(Task, made))
    for waiting in await tasks.live_of_contact(w.session, task.contact_id):
        if waiting.kind is TaskKind.call and waiting.state is TaskState.queued:
            return waiting
    raise Conflict(CALLED_ALREADY)


async def write_instead(w: Writing, task_id: int, agent_id: int, channel: Channel) -> Conversation:
    """The chat goes on by text message or WhatsApp, with the same agent. Raises Conflict."""
    task = await _own(w, task_id, agent_id)
    contact = await _number(w, task)
    if channel not in BY_TELEPHONE or task.kind is not TaskKind.chat:
        raise Conflict("A chat goes on by text message or by WhatsApp only.")
    for other in await conversations.of_task(w.session, task):
        if other.channel is Channel.web_chat:
            await w.move(Conversation, other.id, ConversationState.closed, closed_at=w.now,
                         data={"goes_on": channel.value})
    thread = await conversing.thread_of(
        w, channel, campaign_id=task.campaign_id, contact_id=contact.id, lead_id=task.lead_id, address=contact.phone
    )
    thread.agent_id, thread.last_at = agent_id, w.now
    await w.session.flush()
    w.hint(f"agent:{agent_id}")
    return thread


async def _number(w: Writing, task: Task) -> Contact:
    contact = vouched(await w.session.get(Contact, task.contact_id))
    if not contact.phone:
        raise Conflict("This person has given no telephone number. Ask for it in the chat.")
    return contact
