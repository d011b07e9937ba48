"""Texts and WhatsApp messages that come in, through the real SDK and the phonebox's real webhooks."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from router.book import Book
from router.model.attachments import Attachment, AttachmentState
from router.model.campaigns import Number, Queue
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, Message
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.inbox import InboxRow, InboxState
from router.model.leads import Intent, Lead
from router.model.suppressions import Suppression
from router.model.tasks import Task
from tests import making
from tests.conftest import until
from tests.inbound import CUSTOMER, OURS, PATIENCE, House, running, staffed

REFERRAL = {"SourceId": "120", "SourceType": "ad", "Headline": "Luz más barata", "CtwaClid": "ARA-1", "Body": "Hola"}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with running(book) as here:
        yield here


async def write(house: House, body: str = "", **more: Any) -> None:
    """Written on the telephone, and understood by the house."""
    await house.press("messages", **{"to": OURS, "body": body, **more})
    await settled(house, 1)


async def settled(house: House, count: int) -> None:
    """So many webhooks were understood, and none is left."""

    async def done() -> bool:
        rows = await house.rows(InboxRow, InboxRow.path.like("%/inbound%"))
        return len(rows) == count and all(row.state is InboxState.done for row in rows)

    await until(done, f"{count} messages to be understood", PATIENCE)


async def test_a_whatsapp_from_an_advertisement_is_a_lead_with_all_that_is_told_of_it(
    book: Book, house: House
) -> None:
    await staffed(book, agent=False)
    await write(house, "Quiero información", channel="whatsapp", name="Carmen ✨", referral=REFERRAL, media=["photo"])
    lead = await house.one(Lead)
    assert lead.intent is Intent.whatsapp
    assert lead.source["referral"] == {f"Referral{key}": value for key, value in REFERRAL.items()}
    assert lead.claims["name"] == "Carmen ✨"
    contact = await house.one(Contact)
    assert contact.phone == CUSTOMER
    thread, message = await house.one(Conversation), await house.one(Message)
    assert (thread.channel, thread.address, thread.lead_id) == (Channel.whatsapp, CUSTOMER, lead.id)
    assert message.text == "Quiero información"
    assert len(await house.rows(Task)) == 1
    kept = await house.until_row(Attachment, Attachment.state == AttachmentState.kept)
    assert (kept.media_type, message.media) == ("image/png", [{"url": kept.path, "type": "image/png"}])


async def test_a_reference_joins_the_message_to_the_visit(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    async with book.writing() as w:
        queue = await w.session.scalar(select(Queue))
        assert queue is not None
        visit = await making.lead(w, queue, "", source={"reference": "L7Q2", "utm_source": "google"})
    await write(house, "Hola, quiero info [ref:l7q2]", channel="whatsapp", name="Ana")
    (lead,) = await house.rows(Lead)
    assert lead.id == visit.id
    assert (await house.one(Contact)).phone == CUSTOMER
    assert (await house.one(Conversation)).lead_id == visit.id
    await house.press("messages", "+12025550156", to=OURS, body="[ref:L7Q2] me too", channel="whatsapp")
    await settled(house, 2)
    assert len(await house.rows(Lead)) == 2  # a reference is no secret: another number joins nobody's visit


async def test_a_known_person_keeps_his_contact_when_a_reference_joins_him(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    async with book.writing() as w:
        queue = await w.session.scalar(select(Queue))
        assert queue is not None
        before = await making.lead(w, queue, CUSTOMER)
        visit = await making.lead(w, queue, "", source={"reference": "AAAA1111"})
    await write(house, "[ref:AAAA1111]", channel="whatsapp")
    (joined,) = await house.rows(Lead, Lead.id == visit.id)
    assert joined.contact_id == before.contact_id


async def test_an_answer_goes_on_with_the_request_and_an_advertisement_begins_anew(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    await write(house, "Hola")
    await house.press("messages", to=OURS, body="¿Sigue ahí?")
    await settled(house, 2)
    assert len(await house.rows(Lead)) == 1
    assert len(await house.rows(Message)) == 2
    await house.press("messages", to=OURS, body="Otra cosa", channel="whatsapp", referral=REFERRAL)
    await settled(house, 3)
    assert len(await house.rows(Lead)) == 2


@pytest.mark.parametrize(
    "body", ["x" * 10_000, "Ünïcödé 🇪🇸 \u202eabc\u200b ‮", "<script>alert(1)</script>", "=1+1", " . ", "'; drop table"]
)
async def test_any_text_is_kept_as_it_was_written(book: Book, house: House, body: str) -> None:
    await staffed(book, agent=False)
    await write(house, body)
    assert (await house.one(Message)).text == body


@pytest.mark.parametrize("fields", [{"Body": ""}, {}, {"Body": "a\x00b"}, {"NumMedia": "99999999999"}])
async def test_empty_and_odd_messages_are_understood(book: Book, house: House, fields: dict[str, str]) -> None:
    await staffed(book, agent=False)
    about = {"MessageSid": "SM" + "a" * 32, "From": f"whatsapp:{CUSTOMER}", "To": f"whatsapp:{OURS}"}
    assert (await house.post("/hooks/carrier/inbound", {**about, **fields}))[0] == 204
    await settled(house, 1)
    assert len(await house.rows(Lead)) == 1


async def test_a_medium_alone_is_a_message(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    await write(house, media=["voice"])
    assert (await house.one(Message)).text == ""
    await house.until_row(Attachment, Attachment.state == AttachmentState.kept, Attachment.media_type == "audio/wav")


async def test_a_medium_elsewhere_is_never_asked_for(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    about = {"MessageSid": "SM" + "b" * 32, "From": CUSTOMER, "To": OURS, "Body": "mira", "NumMedia": "1"}
    evil = {"MediaUrl0": "http://169.254.169.254/latest", "MediaContentType0": "image/png"}
    await house.post("/hooks/carrier/inbound", {**about, **evil})
    await house.until_row(Attachment, Attachment.state == AttachmentState.missing)
    assert (await house.one(Message)).text == "mira"


async def test_a_number_that_is_not_ours_is_noted_and_nothing_breaks(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    await house.press("messages", to="+12025550199", body="hola")
    await settled(house, 1)
    (noted,) = await house.facts("message.unrouted")
    assert noted.data["reason"] == "unknown_number"
    assert await house.rows(Lead) == []


async def test_the_number_that_was_written_to_tells_the_campaign_and_the_source(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    async with book.writing() as w:
        other = await making.campaign(w, "gas", caller_id="+12025550101")
        line = await making.queue(w, other)
        w.session.add(Number(campaign_id=other.id, queue_id=line.id, phone="+12025550188", source="offline:bus-stop"))
    await house.press("messages", to="+12025550188", body="hola")
    await settled(house, 1)
    lead = await house.one(Lead)
    assert (lead.campaign_id, lead.source["offline"]) == (other.id, "bus-stop")


@pytest.mark.parametrize("word", ["STOP", "stop.", "«Baja»", " Basta!", "СТОП", "отписаться"])
@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
async def test_a_stop_word_ends_all_contact(book: Book, house: House, word: str, channel: str) -> None:
    await staffed(book, agent=False)
    await write(house, word, channel=channel)
    assert (await house.one(Suppression)).phone == CUSTOMER
    assert await house.rows(Message) == []


@pytest.mark.parametrize("text", ["Please stop calling", "No STOP", "stop " * 10])
async def test_a_stop_inside_a_sentence_is_a_sentence(book: Book, house: House, text: str) -> None:
    await staffed(book, agent=False)
    await write(house, text)
    assert await house.rows(Suppression) == []
    assert len(await house.rows(Message)) == 1


async def test_start_takes_stop_back_and_says_so_once(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    for count, word in enumerate(["Hola", "STOP", "START", "start"], 1):
        await house.press("messages", to=OURS, body=word)
        await settled(house, count)
    assert [one for one in await house.rows(Suppression) if one.lifted_at is None] == []
    (sent,) = await house.rows(Delivery, Delivery.kind == DeliveryKind.message)
    await house.until_row(Delivery, Delivery.id == sent.id, Delivery.state == DeliveryState.done)
    assert sent.purpose == "start"
    texts = [each["body"] for each in (await house.phone())["messages"] if each["direction"] == "inbound"]
    assert texts == ["You will receive messages from Luz Clara again. Answer STOP to end them."]
    assert [each.text for each in await house.rows(Message)][-1] == "start"  # nothing to take back: a message


async def test_start_lifts_only_what_stop_did(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    async with book.writing() as w:
        w.session.add(Suppression(phone=CUSTOMER, reason="asked", created_at=w.now))
    await write(house, "START")
    assert (await house.one(Suppression)).lifted_at is None


async def test_the_same_message_told_twice_is_one(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    house.box.faults.set({"duplicate": 1})
    await write(house, "Hola")
    await settled(house, 1)
    assert len(await house.rows(Message)) == 1
