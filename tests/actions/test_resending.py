"""The link of an offer that did not arrive: sent once another way, else its number is found by the offer's owner."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import quoting, resending, signing
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, ConversationState, Direction, Message
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Forbidden, Invalid, NotAllowedNow, NotFound
from router.model.leads import Lead
from router.model.number_searches import NumberSearch, SearchState
from router.model.signings import Signing, SigningState
from router.model.suppressions import Suppression
from router.model.visitors import Visitor
from router.ports import Channel as Carried
from router.ports import MessageStage
from router.store import screens
from tests import closing, making
from tests.closing import Sale
from tests.conftest import Clock

RIGHT = "+12025550122"
MAIL = {"mail_from": "hola@luz.example"}


async def lost(book: Book, signing_id: int = 1, purpose: str = "offer") -> None:
    """The carrier says that the message with the link was not delivered, and the house hears of it."""
    async with book.writing() as w:
        await signing.message_moved(w, signing_id, purpose, MessageStage.failed)
    await Alarms(book, ALARMS).sweep()


async def all_of(book: Book, noun: Any) -> list[Any]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(noun).order_by(noun.id)))


async def others(book: Book) -> list[Delivery]:
    return [one for one in await all_of(book, Delivery) if one.dedupe_key.startswith("undelivered:")]


async def has_address(book: Book, sale: Sale) -> None:
    book.can_mail = True
    async with book.writing() as w:
        lead = vouched(await w.session.locked(Lead, sale.lead_id))
        lead.claims = {"email": "carmen@example.com"}


async def test_it_is_sent_once_by_mail_with_a_link_that_opens_the_offer(book: Book, clock: Clock) -> None:
    sale, held = await closing.sent(book, campaign=MAIL)
    await has_address(book, sale)
    await lost(book)
    (mail,) = await others(book)
    assert (mail.kind, mail.attempt_id is not None, mail.order["to"]) == (
        DeliveryKind.mail, True, "carmen@example.com")
    assert "[link]" in mail.shown_text
    assert await all_of(book, NumberSearch) == []
    token = book.vault.token("again", str(held.id))
    assert token not in mail.shown_text
    async with book.writing() as w:
        opened = await signing.open_link(w, token, Visitor("", ""))
    assert opened is not None
    await Alarms(book, ALARMS).sweep()
    assert len(await others(book)) == 1


async def test_when_that_does_not_arrive_either_its_owner_is_to_find_the_number_once(book: Book) -> None:
    sale, held = await closing.sent(book, campaign=MAIL)
    await has_address(book, sale)
    for purpose in ("offer", "offer_mail", "offer_mail"):
        await lost(book, purpose=purpose)
    assert len(await others(book)) == 1
    (search,) = await all_of(book, NumberSearch)
    assert (search.signing_id, search.agent_id, search.state) == (held.id, sale.agent_id, SearchState.open)


async def test_it_goes_by_whatsapp_to_who_wrote_to_us_there_a_moment_ago(book: Book) -> None:
    sale, _ = await closing.sent(book, campaign={"whatsapp": "+34910000001"})
    async with book.writing() as w:
        lead = vouched(await w.session.get(Lead, sale.lead_id))
        await wrote(w, lead)
    await lost(book)
    (message,) = await others(book)
    assert (message.order["channel"], message.order["sender"]) == ("whatsapp", "+34910000001")


async def wrote(w: Writing, lead: Lead) -> None:
    made = Conversation(campaign_id=lead.campaign_id, lead_id=lead.id, contact_id=lead.contact_id,
                        channel=Channel.whatsapp, state=ConversationState.open, created_at=w.now, last_at=w.now)
    w.session.add(made)
    await w.session.flush()
    w.session.add(Message(conversation_id=made.id, direction=Direction.incoming, text="Hola", at=w.now))


async def test_what_was_sent_by_whatsapp_first_goes_by_sms(book: Book) -> None:
    sale = await closing.drafted(book, campaign={"whatsapp": "+34910000001"})
    async with book.writing() as w:
        await wrote(w, vouched(await w.session.get(Lead, sale.lead_id)))
    await quoting.send_offer(book, sale.quote_id, sale.agent_id, channel=Carried.whatsapp)
    await lost(book)
    (message,) = await others(book)
    assert (message.order["to"], "channel" in message.order, message.purpose) == (sale.phone, False, "offer_sms")


async def test_without_another_way_or_without_leave_the_number_is_sought(book: Book) -> None:
    sale, _ = await closing.sent(book, campaign=MAIL)
    await has_address(book, sale)
    async with book.writing() as w:
        w.session.add(Suppression(phone="", address="carmen@example.com", reason="bounced", created_at=w.now))
    await lost(book)
    assert await others(book) == []
    assert len(await all_of(book, NumberSearch)) == 1


async def test_with_the_right_number_the_task_ends_and_the_offer_is_sent_there(book: Book) -> None:
    sale, _ = await closing.sent(book)
    await lost(book)
    async with book.reading() as r:
        desk = await screens.desk(r.session, sale.agent_id, r.now)
    assert [one.search.id for one in desk.sought] == [1]
    async with book.writing() as w:
        await resending.found(w, 1, sale.agent_id, RIGHT)
    old, new = await all_of(book, Signing)
    assert (old.state, new.state, new.phone) == (SigningState.void, SigningState.created, RIGHT)
    assert [one.phone for one in await all_of(book, Contact)] == [RIGHT]
    assert [one.order["to"] for one in await all_of(book, Delivery)] == [sale.phone, RIGHT]
    assert [one.state for one in await all_of(book, NumberSearch)] == [SearchState.found]
    async with book.reading() as r:
        assert (await screens.desk(r.session, sale.agent_id, r.now)).sought == []
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await resending.found(w, 1, sale.agent_id, "+12025550133")
    await lost(book, signing_id=2)
    assert [one.signing_id for one in await all_of(book, NumberSearch)] == [1, 2], "the new link is another matter"


async def test_what_is_no_other_number_changes_nothing(book: Book) -> None:
    sale, _ = await closing.sent(book)
    await lost(book)
    async with book.writing() as w:
        stranger = await making.agent(w, "sol")
        w.session.add(Contact(campaign_id=1, phone="+12025550144", name="Eva", locale="es", created_at=w.now))
        w.session.add(Suppression(phone="+12025550155", reason="stop", created_at=w.now))
    for search, agent, written, error in (
        (1, sale.agent_id, "hello", Invalid), (1, sale.agent_id, sale.phone, Invalid),
        (1, sale.agent_id, "+12025550144", Conflict), (1, sale.agent_id, "+12025550155", NotAllowedNow),
        (1, stranger.id, RIGHT, Forbidden), (9, sale.agent_id, RIGHT, NotFound),
    ):
        with pytest.raises(error):
            async with book.writing() as w:
                await resending.found(w, search, agent, written)
    assert [one.state for one in await all_of(book, NumberSearch)] == [SearchState.open]
    assert (await all_of(book, Contact))[0].phone == sale.phone
    with pytest.raises(Forbidden):
        async with book.writing() as w:
            await resending.dropped(w, 1, stranger.id)
    async with book.writing() as w:
        await resending.dropped(w, 1, sale.agent_id)
    assert [one.state for one in await all_of(book, NumberSearch)] == [SearchState.dropped]


async def test_two_tabs_send_it_once(book: Book) -> None:
    sale, _ = await closing.sent(book)
    await lost(book)

    async def find() -> None:
        async with book.writing() as w:
            await resending.found(w, 1, sale.agent_id, RIGHT)

    ends = await asyncio.gather(find(), find(), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "NoneType"]
    assert len(await all_of(book, Signing)) == 2
