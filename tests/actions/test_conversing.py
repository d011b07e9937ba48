"""Conversations: what is written is kept once and answered by somebody, whoever comes late."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import calling, conversing, dispatch, meeting, presence, replying, wrapping
from router.actions.conversing import Heard
from router.actions.intake import take_in
from router.book import Book, Writing
from router.live import Hub
from router.model.agents import Agent
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, ConversationState, Message, Room, Side
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Invalid, NotFound
from router.model.intake import Wanted, Work
from router.model.leads import Intent, Lead
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskKind, TaskState
from router.model.vault import Vault, new_token
from router.store import conversations
from router.store.db import make_engine
from tests import making
from tests.conftest import Clock
from tests.invariants import check

PHONE = "+12025550101"


@dataclass
class Talk:
    """One visitor's chat, and an agent."""

    book: Book
    queue: Queue
    lead_id: int
    contact_id: int
    agent_id: int

    async def row(self, noun: Any, key: int) -> Any:
        async with self.book.reading() as r:
            return await r.session.get(noun, key)

    async def all(self, noun: Any) -> list[Any]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(noun).order_by(noun.id)))

    def heard(self, text: str, **values: Any) -> Heard:
        return Heard(**{
            "channel": Channel.web_chat, "campaign_id": self.queue.campaign_id, "queue": self.queue,
            "contact_id": self.contact_id, "lead_id": self.lead_id, "text": text, **values,
        })

    async def hear(self, text: str, book: Book | None = None, **values: Any) -> int:
        async with (book or self.book).writing() as w:
            thread = await conversing.heard(w, self.heard(text, **values))
        await self.check()
        return thread

    async def accept(self) -> Task:
        """The agent is rung and accepts."""
        async with self.book.writing() as w:
            await dispatch.run_round(w, 1)
        async with self.book.writing() as w:
            assert await dispatch.accept(w, (await ringing(w)).id, self.agent_id) is None
        await self.check()
        return (await self.all(Task))[-1]

    async def check(self) -> None:
        async with self.book.reading() as r:
            await check(r.session)


async def ringing(w: Writing) -> Reservation:
    (one,) = await w.session.scalars(select(Reservation).where(Reservation.state == ReservationState.pending))
    return one


@pytest.fixture
async def talk(book: Book) -> Talk:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        lead = await making.lead(w, queue, PHONE, intent=Intent.chat)
        agent = await making.agent(w)
    return Talk(book, queue, lead.id, lead.contact_id, agent.id)


@pytest.fixture
async def twin(worker_database: str, clock: Clock, vault: Vault) -> AsyncIterator[Book]:
    engine = make_engine(worker_database)
    yield Book(engine, Hub(), vault, "", clock=clock)
    await engine.dispose()


async def test_what_was_said_with_the_request_is_the_first_message(book: Book, talk: Talk) -> None:
    wanted = [
        Wanted(
            line=talk.queue.line, phone=phone, name="",
            locale="en", intent=Intent.chat, method="widget", status_token=new_token(),
            work=Work(kind=TaskKind.chat), claims={"message": said} if said else {},
        )
        for phone, said in (("", " Hello there "), ("", ""), ("+12025550107", "And me"))
    ]
    async with book.writing() as w:
        leads = [one.lead_id for one in await take_in(w, wanted)]
        await conversing.opened(w, leads)
    async with book.writing() as w:
        await conversing.opened(w, leads)
    assert {one.text for one in await talk.all(Message)} == {"Hello there", "And me"}
    assert sorted(one.lead_id for one in await talk.all(Conversation)) == sorted(leads)
    await talk.check()


async def test_a_chat_is_accepted_without_any_telephone(talk: Talk) -> None:
    await talk.hear("Hello")
    task = await talk.accept()
    assert (task.state, task.kind, task.agent_id) == (TaskState.engaged, TaskKind.chat, talk.agent_id)
    assert await talk.all(Delivery) == []
    (thread,) = await talk.all(Conversation)
    assert (thread.agent_id, thread.unread, thread.answered) == (talk.agent_id, 1, False)


async def test_an_answer_reads_what_came_before_it(talk: Talk) -> None:
    thread = await talk.hear("Hello")
    await talk.hear("Are you there?")
    await talk.accept()
    async with talk.book.writing() as w:
        await replying.say(w, thread, talk.agent_id, "  I am.\r\nHow can I help?\x07 ")
    await talk.check()
    assert (await talk.all(Message))[-1].text == "I am.\nHow can I help?"
    row = await talk.row(Conversation, thread)
    assert (row.unread, row.answered) == (0, True)
    assert len(await talk.all(Task)) == 1


async def test_the_same_answer_twice_is_one(talk: Talk) -> None:
    thread = await talk.hear("Hello")
    await talk.accept()

    async def say() -> int:
        async with talk.book.writing() as w:
            return (await replying.say(w, thread, talk.agent_id, "Good day", "once-only")).id

    assert len(set(await asyncio.gather(*(say() for _ in range(4))))) == 1
    assert len(await talk.all(Message)) == 2


async def test_two_browsers_posting_the_same_message_at_once_post_it_once(book: Book, twin: Book, talk: Talk) -> None:
    threads = await asyncio.gather(*(
        talk.hear("Hello", one, client_id="the-same-one") for one in (book, twin) * 4
    ))
    assert len(set(threads)) == 1
    assert len(await talk.all(Message)) == 1
    assert len(await talk.all(Task)) == 1


async def test_different_messages_at_once_are_all_kept_in_one_thread(book: Book, twin: Book, talk: Talk) -> None:
    await asyncio.gather(*(talk.hear(f"{n}", (book, twin)[n % 2], client_id=f"name-{n:04}") for n in range(12)))
    assert len(await talk.all(Message)) == 12
    assert [one.unread for one in await talk.all(Conversation)] == [12]
    assert len(await talk.all(Task)) == 1


async def test_a_repeated_text_message_is_one_even_after_its_thread_was_closed(talk: Talk) -> None:
    values = {"channel": Channel.sms, "address": PHONE, "external_id": "SM1"}
    first = await talk.hear("Hello", **values)
    task = await talk.accept()
    async with talk.book.writing() as w:
        await replying.finish(w, task.id, talk.agent_id)
    assert await talk.hear("Hello", **values) == first
    assert len(await talk.all(Message)) == 1
    second = await talk.hear("Again", **{**values, "external_id": "SM2"})
    assert second != first


async def test_what_is_written_after_the_end_begins_anew_with_another_agent_if_need_be(talk: Talk) -> None:
    first = await talk.hear("Hello")
    task = await talk.accept()
    async with talk.book.writing() as w:
        await replying.finish(w, task.id, talk.agent_id)
        with pytest.raises(Conflict):
            await replying.say(w, first, talk.agent_id, "One more thing")
    await talk.check()
    second = await talk.hear("One more question")
    assert second != first
    waiting = (await talk.all(Task))[-1]
    assert (waiting.state, waiting.kind) == (TaskState.queued, TaskKind.chat)
    async with talk.book.writing() as w:
        await wrapping.dispose(w, task.id, talk.agent_id, Disposition.not_interested)
    await talk.check()
    assert (await talk.row(Task, waiting.id)).state is TaskState.queued


async def test_a_stranger_with_my_number_has_a_chat_of_his_own_and_waits_for_his_turn(talk: Talk) -> None:
    mine = await talk.hear("My secret")
    async with talk.book.writing() as w:
        other = Lead(
            campaign_id=talk.queue.campaign_id, site_id=None, contact_id=talk.contact_id, claims={}, source={},
            locale="en", status_hash=b"1", created_at=w.now, intent=Intent.chat,
        )
        w.session.add(other)
        await w.session.flush()
    theirs = await talk.hear("Tell me all", lead_id=other.id)
    assert theirs != mine
    task = await talk.accept()
    async with talk.book.reading() as r:
        seen = [message.text for message, _ in await conversations.of_lead(r.session, other.id, 0)]
        on_desk = await conversations.on_desk(r.session, task)
    assert seen == ["Tell me all"]
    assert [view.thread.id for view in on_desk] == [mine]
    async with talk.book.writing() as w:
        await replying.finish(w, task.id, talk.agent_id)
    await talk.check()
    waiting = (await talk.all(Task))[-1]
    assert (waiting.state, waiting.lead_id) == (TaskState.queued, other.id)


async def test_who_leaves_before_an_answer_rings_nobody_any_more(talk: Talk) -> None:
    await talk.hear("Hello")
    async with talk.book.writing() as w:
        await dispatch.run_round(w, 1)
    (task,) = await talk.all(Task)
    assert task.state is TaskState.reserved
    for _ in range(2):
        async with talk.book.writing() as w:
            await replying.leave(w, task.id)
        await talk.check()
    assert (await talk.row(Task, task.id)).state is TaskState.abandoned
    assert (await talk.row(Agent, talk.agent_id)).load == 0
    assert [one.state for one in await talk.all(Conversation)] == [ConversationState.closed]


@pytest.mark.parametrize("how", ["away", "silent", "there", "never joined"])
async def test_a_visitor_who_has_left_his_room_is_not_accepted_any_more(book: Book, clock: Clock, how: str) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        lead = await making.lead(w, queue, PHONE, intent=Intent.video)
        task = await making.task(w, queue, lead, kind=TaskKind.video)
        agent = await making.agent(w)
        if how != "never joined":
            await meeting.join(w, task, "a browser")
        await dispatch.run_round(w, 1)
    clock.forward(14 if how != "silent" else 16)
    if how == "away":
        async with book.writing() as w:
            await meeting.left(w, 1, Side.visitor)
    async with book.writing() as w:
        await dispatch.accept(w, 1, agent.id)
    async with book.reading() as r:
        await check(r.session)
        held, now = await r.session.get(Reservation, 1), await r.session.get(Task, task.id)
        there, room = await r.session.get(Agent, agent.id), await r.session.get(Room, 1)
    assert held is not None
    assert now is not None
    assert there is not None
    assert room is not None
    if how in ("there", "never joined"):
        assert (held.state, now.state) == (ReservationState.accepted, TaskState.engaged)
    else:
        assert (held.state, now.state) == (ReservationState.canceled, TaskState.abandoned)
        assert (there.load, there.idle_since is not None, room.open(clock.now)) == (0, True, False)
        with pytest.raises(Conflict, match="taken back"):
            async with book.writing() as w:
                await dispatch.accept(w, 1, agent.id)


async def test_of_accepting_and_leaving_at_once_one_wins_and_nothing_is_left_over(
    book: Book, twin: Book, talk: Talk
) -> None:
    for _ in range(4):
        await talk.hear("Hello")
        async with book.writing() as w:
            await dispatch.run_round(w, 1)
            rings = await ringing(w)

        async def accept(held: int = rings.id) -> None:
            async with book.writing() as w:
                await dispatch.accept(w, held, talk.agent_id)

        async def leave(task: int = rings.task_id) -> None:
            async with twin.writing() as w:
                await replying.leave(w, task)

        results = await asyncio.gather(accept(), leave(), return_exceptions=True)
        assert all(one is None or isinstance(one, Conflict) for one in results), results
        await talk.check()
        async with book.writing() as w:
            await replying.leave(w, rings.task_id)
        task = await talk.row(Task, rings.task_id)
        assert task.state in (TaskState.abandoned, TaskState.wrapping)
        if task.state is TaskState.wrapping:
            async with book.writing() as w:
                await wrapping.dispose(w, task.id, talk.agent_id, Disposition.not_interested)
        await talk.check()


async def test_a_visitor_who_leaves_an_answered_chat_ends_it(talk: Talk) -> None:
    await talk.hear("Hello")
    task = await talk.accept()
    async with talk.book.writing() as w:
        await replying.leave(w, task.id)
    await talk.check()
    assert (await talk.row(Task, task.id)).state is TaskState.wrapping


async def test_a_chat_left_unanswered_by_a_gone_agent_goes_back_with_its_messages_and_its_age(
    talk: Talk, clock: Clock
) -> None:
    await talk.hear("Hello")
    task = await talk.accept()
    clock.forward(20)
    async with talk.book.writing() as w:
        assert await dispatch.take_back_absent(w) == 0
        eva = await making.agent(w, "eva")
    clock.forward(30)
    async with talk.book.writing() as w:
        await presence.beat(w, [eva.id])
        assert await dispatch.take_back_absent(w) == 1
    await talk.check()
    back = await talk.row(Task, task.id)
    assert (back.state, back.rank, back.agent_id) == (TaskState.queued, task.rank, None)
    talk.agent_id = eva.id
    again = await talk.accept()
    assert again.id == task.id
    async with talk.book.reading() as r:
        (view,) = await conversations.on_desk(r.session, again)
    assert [one.text for one in view.messages] == ["Hello"]


async def test_an_answered_chat_waits_for_its_gone_agent_until_it_is_forgotten(talk: Talk, clock: Clock) -> None:
    thread = await talk.hear("Hello")
    task = await talk.accept()
    async with talk.book.writing() as w:
        await replying.say(w, thread, talk.agent_id, "Good day")
    clock.forward(60)
    async with talk.book.writing() as w:
        assert await dispatch.take_back_absent(w) == 0
    assert (await talk.row(Task, task.id)).state is TaskState.engaged
    clock.forward(600)
    async with talk.book.writing() as w:
        await dispatch.take_back_absent(w)
    await talk.check()
    assert (await talk.row(Task, task.id)).state is TaskState.wrapping


async def test_a_message_during_a_call_of_the_same_person_makes_no_second_task(talk: Talk) -> None:
    async with talk.book.writing() as w:
        lead = await w.session.get(Lead, talk.lead_id)
        assert lead is not None
        await making.task(w, talk.queue, lead)
        await dispatch.run_round(w, 1)
        call = await dispatch.accept(w, 1, talk.agent_id)
        assert call is not None
    await talk.hear("The document is on its way", channel=Channel.sms, address=PHONE, external_id="SM1")
    assert len(await talk.all(Task)) == 1
    async with talk.book.writing() as w:
        await calling.hang_up(w, call.id, talk.agent_id)
    await talk.check()
    assert [one.kind for one in await talk.all(Task)] == [TaskKind.call, TaskKind.chat]


async def test_a_chat_goes_on_by_text_message_and_its_answers_pass_the_guard(talk: Talk) -> None:
    await talk.hear("Hello")
    task = await talk.accept()
    async with talk.book.writing() as w:
        thread = await replying.write_instead(w, task.id, talk.agent_id, Channel.sms)
        await replying.say(w, thread.id, talk.agent_id, "Here I go on")
    await talk.check()
    (message,) = await talk.all(Delivery)
    assert (message.kind, message.order["to"], message.to_customer) == (DeliveryKind.message, PHONE, True)
    assert (await talk.all(Message))[-1].delivery_id == message.id
    assert await talk.hear("Fine", channel=Channel.sms, address=PHONE, external_id="SM1") == thread.id
    assert len(await talk.all(Task)) == 1


async def test_a_chat_goes_on_by_telephone_with_the_same_agent(talk: Talk) -> None:
    await talk.hear("Hello")
    task = await talk.accept()
    async with talk.book.writing() as w:
        call = await replying.call_instead(w, task.id, talk.agent_id)
    await talk.check()
    assert (await talk.row(Task, task.id)).disposition is Disposition.callback
    now = await talk.row(Task, call.task_id)
    assert (now.state, now.kind, now.continues, now.agent_id) == (
        TaskState.connecting, TaskKind.call, task.id, talk.agent_id)
    assert (await talk.row(Agent, talk.agent_id)).load == 1


async def test_who_gave_no_number_is_not_called_and_not_suppressed(talk: Talk) -> None:
    async with talk.book.writing() as w:
        contact = await w.session.locked(Contact, talk.contact_id)
        assert contact is not None
        contact.phone = ""
    await talk.hear("Hello")
    task = await talk.accept()
    for verb in (
        lambda w: replying.call_instead(w, task.id, talk.agent_id),
        lambda w: replying.write_instead(w, task.id, talk.agent_id, Channel.sms),
    ):
        with pytest.raises(Conflict):
            async with talk.book.writing() as w:
                await verb(w)
    async with talk.book.writing() as w:
        await replying.finish(w, task.id, talk.agent_id)
        await wrapping.dispose(w, task.id, talk.agent_id, Disposition.do_not_call)
    await talk.check()


async def test_nobody_else_answers_reads_or_ends_a_chat(talk: Talk) -> None:
    thread = await talk.hear("Hello")
    task = await talk.accept()
    async with talk.book.writing() as w:
        eva = await making.agent(w, "eva")
    for verb, error in (
        (lambda w: replying.say(w, thread, eva.id, "Me"), Conflict),
        (lambda w: replying.finish(w, task.id, eva.id), Conflict),
        (lambda w: replying.read(w, thread, eva.id, 1), NotFound),
        (lambda w: replying.say(w, 99, talk.agent_id, "Me"), NotFound),
    ):
        with pytest.raises(error):
            async with talk.book.writing() as w:
                await verb(w)


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u2060\u00a0", "\x00\x01", "x" * 4001])
def test_what_says_nothing_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        conversing.words(text)


@pytest.mark.parametrize("text", [
    "<script>alert(1)</script>", "\u202egnp.exe", "\u05e9\u05dc\u05d5\u05dd", "a\u200bb",
    "\U0001f469\u200d\U0001f467", "x" * 4000,
])
def test_what_people_write_is_kept_as_it_is(text: str) -> None:
    assert conversing.words(text) == text
