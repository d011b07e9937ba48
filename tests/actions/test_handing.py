"""Documents sent to the person an agent talks with: guarded, once for a press, opened by presses, forgotten."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from router.actions import erasing, opening, stocking, suppressing, talking
from router.actions import handing as verbs
from router.book import Book
from router.model.base import vouched
from router.model.brochures import Brochure
from router.model.cadence_rules import Way
from router.model.cadences import Attempt
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, ConversationState
from router.model.deliveries import DeliveryKind, DeliveryState
from router.model.errors import Conflict, HouseError, Invalid, NotAllowedNow
from router.model.handouts import Handout, HandoutItem
from router.model.leads import Lead
from router.model.tasks import Task, TaskState
from router.model.vault import hash_token
from router.ports import MessageMoved, MessageStage
from router.store import screens
from tests import handing, making
from tests.conftest import Clock

WHATSAPP = {"whatsapp": "+34910000001"}
MAIL = {"mail_from": "hola@luz.example"}


async def wrote_on_whatsapp(book: Book, talk: handing.Talk) -> None:
    async with book.writing() as w:
        lead = vouched(await w.session.get(Lead, talk.lead_id))
        thread = Conversation(
            campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=lead.id, channel=Channel.whatsapp,
            state=ConversationState.open, created_at=w.now, last_at=w.now,
        )
        w.session.add(thread)
        await w.session.flush()
        await w.session.execute(text(
            "insert into messages (conversation_id, direction, text, at, media) "
            "values (:id, 'incoming', 'hola', :at, '[]')"
        ), {"id": thread.id, "at": w.now})


async def ways(book: Book, talk: handing.Talk) -> dict[Way, bool]:
    async with book.reading() as r:
        task = vouched(await r.session.get(Task, talk.task_id))
        found = await verbs.ways(r.session, task, r.now, can_mail=book.can_mail)
    return {way: verdict.allowed for way, verdict in found.items()}


async def test_a_text_with_one_link_goes_to_the_person_as_service(book: Book) -> None:
    talk = await handing.talking(book, "Tarifas 2027", "Condiciones")
    handout = await handing.hand(book, talk)
    (delivery,) = await handing.deliveries(book)
    said, link = await handing.text_of(book, delivery), await handing.link(book)
    assert said.startswith("Luz Clara SL: aqui tiene lo que nos pidio")
    assert (delivery.to_customer, delivery.order["to"]) == (True, "+12025550101")
    assert link not in delivery.shown_text
    assert "[link]" in delivery.shown_text
    assert handout.token_hash == hash_token(link.removeprefix("/d/"))
    assert handout.delivery_id == delivery.id
    async with book.reading() as r:
        attempt = vouched(await r.session.get(Attempt, delivery.attempt_id))
        assert (attempt.purpose, attempt.verdict) == ("service", "allow")
    (fact,) = await handing.told(book)
    assert fact.kind == "handout.sent"
    assert fact.data == {"way": "sms", "brochures": sorted(talk.brochures, reverse=True)}
    assert [one.place for one in await handing.items(book)] == [1, 2]


async def test_the_link_ends_when_the_campaign_says(book: Book, clock: Clock) -> None:
    talk = await handing.talking(book, campaign={"handout_days": 3})
    assert (await handing.hand(book, talk)).expires_at == clock.now + timedelta(days=3)


async def test_one_press_twice_sends_once_and_the_next_press_sends_again(book: Book) -> None:
    talk = await handing.talking(book)
    first = await handing.hand(book, talk)
    assert (await handing.hand(book, talk)).id == first.id
    assert len(await handing.deliveries(book)) == 1
    again = await handing.hand(book, talk, after=first.id)
    assert again.id != first.id
    assert len(await handing.deliveries(book)) == 2


async def test_two_presses_at_the_same_moment_send_once(book: Book) -> None:
    talk = await handing.talking(book)
    found = await asyncio.gather(*(handing.hand(book, talk) for _ in range(6)))
    assert len({one.id for one in found}) == 1
    assert len(await handing.deliveries(book)) == 1
    assert [one.kind for one in await handing.told(book)] == ["handout.sent"]


async def test_what_the_guard_refuses_leaves_nothing_behind(book: Book) -> None:
    talk = await handing.talking(book)
    async with book.writing() as w:
        contact = vouched(await w.session.scalar(select(Contact)))
        await suppressing.suppress(w, contact, "asked")
    assert await ways(book, talk) == {Way.sms: False}
    with pytest.raises(NotAllowedNow):
        await handing.hand(book, talk)
    async with book.reading() as r:
        for noun in (Handout, HandoutItem):
            assert await r.session.scalar(select(func.count()).select_from(noun)) == 0
    assert await handing.told(book) == []


async def test_who_gave_no_number_and_no_address_cannot_be_sent_anything(book: Book) -> None:
    talk = await handing.talking(book, phone="")
    assert await ways(book, talk) == {}
    for way in (Way.sms, Way.whatsapp, Way.email):
        with pytest.raises(NotAllowedNow):
            await handing.hand(book, talk, way)


async def test_it_goes_by_whatsapp_only_to_who_wrote_to_us_there_within_a_day(book: Book, clock: Clock) -> None:
    talk = await handing.talking(book, campaign=WHATSAPP)
    with pytest.raises(NotAllowedNow):
        await handing.hand(book, talk, Way.whatsapp)
    await wrote_on_whatsapp(book, talk)
    assert await ways(book, talk) == {Way.sms: True, Way.whatsapp: True}
    await handing.hand(book, talk, Way.whatsapp)
    (delivery,) = await handing.deliveries(book)
    assert (delivery.order["channel"], delivery.order["sender"]) == ("whatsapp", "+34910000001")
    clock.now += timedelta(days=1, seconds=1)
    assert await ways(book, talk) == {Way.sms: True}


@pytest.mark.parametrize(("names", "subject"), [
    (["Tarifas <b>2027</b>"], "Documento: Tarifas <b>2027</b>"), (["A", "B"], "Documentos de Luz Clara SL"),
])
async def test_it_goes_by_mail_with_the_names_and_the_link(book: Book, names: list[str], subject: str) -> None:
    book.can_mail = True
    talk = await handing.talking(book, *names, campaign=MAIL, claims={"email": "carmen@example.com"}, phone="")
    assert await ways(book, talk) == {Way.email: True}
    await handing.hand(book, talk, Way.email)
    (delivery,) = await handing.deliveries(book)
    assert (delivery.kind, delivery.order["to"]) == (DeliveryKind.mail, "carmen@example.com")
    async with book.writing() as w:
        order = await talking.mail_order(w, delivery)
    assert order.subject == subject
    assert await handing.link(book) in order.html
    assert await handing.link(book) not in delivery.shown_text
    assert "<b>2027" not in order.html
    assert "23 de diciembre de 2026" in order.text
    assert order.unsubscribe_url == ""


@pytest.mark.parametrize(("state", "may"), [
    (TaskState.engaged, True), (TaskState.wrapping, True), (TaskState.connecting, False), (TaskState.reserved, False),
    (TaskState.closed, False),
])
async def test_it_is_sent_in_a_talk_and_after_it_and_at_no_other_time(book: Book, state: TaskState, may: bool) -> None:
    talk = await handing.talking(book, state=state)
    if may:
        await handing.hand(book, talk)
    else:
        with pytest.raises(Conflict):
            await handing.hand(book, talk)
    assert len(await handing.deliveries(book)) == may


async def test_only_who_talks_with_the_person_sends(book: Book) -> None:
    talk = await handing.talking(book)
    async with book.writing() as w:
        other = await making.agent(w, "eva")
    with pytest.raises(Conflict):
        await handing.hand(book, handing.Talk(other.id, talk.lead_id, talk.task_id, talk.brochures))
    with pytest.raises(Conflict):
        await handing.hand(book, handing.Talk(talk.agent_id, talk.lead_id, 99, talk.brochures))


async def test_only_the_campaign_s_own_documents_in_use_are_sent(book: Book) -> None:
    talk = await handing.talking(book, "A", "B")
    async with book.writing() as w:
        elsewhere = await handing.stocked(w, (await making.campaign(w, "otra")).id, "C")
        await stocking.retire(w, talk.brochures[0], talk.agent_id)
    wrong: list[tuple[list[int], type[HouseError]]] = [
        (talk.brochures, Conflict), (elsewhere, Conflict), ([0], Conflict), ([], Invalid), (list(range(1, 8)), Invalid)]
    for chosen, refused in wrong:
        with pytest.raises(refused):
            await handing.hand(book, talk, chosen=chosen)
    assert await handing.deliveries(book) == []
    await handing.hand(book, talk, chosen=[talk.brochures[1], talk.brochures[1]])
    assert [one.brochure_id for one in await handing.items(book)] == [talk.brochures[1]]


async def moved(book: Book, stage: MessageStage, **more: Any) -> None:
    (delivery,) = await handing.deliveries(book)
    async with book.writing() as w:
        await talking.message_moved(w, MessageMoved(ref=delivery.ref, carrier_id="SM1", stage=stage, **more))


async def test_that_the_message_arrived_is_told_once(book: Book) -> None:
    talk = await handing.talking(book)
    await handing.hand(book, talk)
    for stage in (MessageStage.sent, MessageStage.delivered, MessageStage.delivered):
        await moved(book, stage)
    assert [one.kind for one in await handing.told(book)] == ["handout.sent", "handout.delivered"]
    assert (await handing.latest(book)).delivered_at is not None


async def test_that_the_message_did_not_arrive_is_told_once_and_shown(book: Book) -> None:
    talk = await handing.talking(book)
    await handing.hand(book, talk)
    for _ in range(2):
        await moved(book, MessageStage.failed, error_code="30005")
    assert [one.kind for one in await handing.told(book)] == ["handout.sent", "handout.undelivered"]
    handout = await handing.latest(book)
    assert (handout.failed_at is not None, handout.delivered_at) == (True, None)


async def opened(book: Book, place: int = 1) -> None:
    async with book.writing() as w:
        handout = vouched(await w.session.scalar(select(Handout)))
        await opening.opened(w, handout, place, "Telephone/1")


async def test_openings_are_counted_for_each_document_and_the_first_is_told_apart(book: Book, clock: Clock) -> None:
    talk = await handing.talking(book, "A", "B")
    await handing.hand(book, talk)
    for place in (2, 2, 1, 9):
        clock.forward(11)
        await opened(book, place)
    assert await handing.opens(book) == [1, 2]
    a, b = (one.brochure_id for one in await handing.items(book))
    assert [(one.kind, one.data) for one in await handing.told(book)][1:] == [
        ("handout.opened", {"brochure": b, "opens": 1}), ("handout.reopened", {"brochure": b, "opens": 2}),
        ("handout.opened", {"brochure": a, "opens": 1}),
    ]


async def test_the_same_press_again_is_no_second_opening(book: Book, clock: Clock) -> None:
    await handing.hand(book, await handing.talking(book))
    clock.forward(5)
    for _ in range(3):
        await opened(book)
        clock.forward(3)
    assert await handing.opens(book) == [1]


async def test_an_opening_that_reaches_two_replicas_at_once_is_counted_once(book: Book, clock: Clock) -> None:
    await handing.hand(book, await handing.talking(book))
    clock.forward(5)
    await asyncio.gather(*(opened(book) for _ in range(8)))
    assert await handing.opens(book) == [1]
    assert [one.kind for one in await handing.told(book)] == ["handout.sent", "handout.opened"]


async def test_desks_are_told_of_an_opening_the_sender_s_and_that_of_who_has_the_person_now(
    book: Book, clock: Clock
) -> None:
    talk = await handing.talking(book)
    await handing.hand(book, talk)
    clock.forward(5)
    async with book.writing() as w:
        eva = await making.agent(w, "eva")
        await w.session.execute(update(Task).values(agent_id=eva.id))
    async with book.writing() as w:
        await opening.opened(w, vouched(await w.session.scalar(select(Handout))), 1, "Telephone/1")
        assert {f"agent:{talk.agent_id}", f"agent:{eva.id}"} <= w.audiences


async def test_the_desk_shows_how_far_it_has_come(book: Book, clock: Clock) -> None:
    talk = await handing.talking(book, "A")
    await handing.hand(book, talk)
    await moved(book, MessageStage.delivered)
    for _ in range(2):
        clock.forward(20)
        await opened(book)
    async with book.reading() as r:
        work = vouched((await screens.desk(r.session, talk.agent_id, r.now)).work)
    (handed,) = work.handed
    assert [(one.brochure.name, one.item.opens) for one in handed.items] == [("A", 2)]
    assert work.can_hand
    about = [entry.fact.kind for entry in work.timeline if work.handed_in(entry.fact)]
    assert about == ["handout.opened", "handout.delivered", "handout.sent"]


async def test_with_the_person_his_links_are_gone_and_the_documents_stay(book: Book) -> None:
    talk = await handing.talking(book)
    await handing.hand(book, talk)
    async with book.writing() as w:
        for state in (TaskState.wrapping, TaskState.closed):
            await w.move(Task, talk.task_id, state)
        await w.session.execute(text("update deliveries set state = :done"), {"done": DeliveryState.done.value})
    async with book.writing() as w:
        await erasing.erase(w, vouched(await w.session.scalar(select(Contact))).id)
    async with book.reading() as r:
        for noun, left in ((Handout, 0), (HandoutItem, 0), (Brochure, 1)):
            assert await r.session.scalar(select(func.count()).select_from(noun)) == left
        rows = await r.session.rows(text("select count(*) from blobs"))
    assert rows[0][0] == 1


async def test_facts_say_nothing_of_the_person_and_nothing_of_the_link(book: Book, clock: Clock) -> None:
    talk = await handing.talking(book, "Secreto")
    await handing.hand(book, talk)
    clock.forward(5)
    await opened(book)
    said = str([fact.data for fact in await handing.told(book)])
    for word in ("Carmen", "12025550101", "Secreto", (await handing.link(book))[3:]):
        assert word not in said
