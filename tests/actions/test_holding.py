"""Offers that look as if their seller were signing them: held, looked at, let go; and whose sale a signed one is."""

from typing import Any

import pytest
from sqlalchemy import select, update

from router.actions import crediting, holding, inviting, quoting, signing
from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Invalid
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.holds import HoldReason
from router.model.signing_accounts import ProviderName, SigningAccount
from router.model.signings import CodeAnswer, Signing, SigningState
from router.model.tasks import Task
from router.model.visitors import Visitor
from router.store import credits, evidence, holds
from tests import closing, making
from tests.closing import CUSTOMER
from tests.conftest import Clock


async def why(book: Book, held: Signing) -> list[HoldReason]:
    async with book.reading() as r:
        return list(await holds.open_of(r.session, held.quote_id))


async def facts(book: Book, kind: str) -> list[dict[str, Any]]:
    async with book.reading() as r:
        found = await r.session.scalars(select(Fact).where(Fact.kind == kind).order_by(Fact.id))
    return [fact.data for fact in found]


async def another(book: Book, phone: str) -> Signing:
    """An offer to another customer of the same agent."""
    async with book.writing() as w:
        agent = vouched(await w.session.scalar(select(Agent)))
        task = vouched(await w.session.scalar(select(Task).order_by(Task.id).limit(1)))
        queue = vouched(await w.session.scalar(select(Queue)))
        lead = await making.lead(w, queue, phone)
        await making.task(w, queue, lead, agent_id=task.agent_id)
        quote = await quoting.draft(w, agent_id=agent.id, lead_id=lead.id, lines=closing.LINES)
    return await quoting.send_offer(book, quote.id, agent.id)


async def open_it(book: Book, held: Signing, visitor: Visitor) -> Signing:
    """Opened in this visitor's browser, by whatever link."""
    token = (await closing.links(book))[held.phone]
    async with book.writing() as w:
        opened = await signing.open_link(w, token, visitor)
    assert opened is not None
    return opened[0]


async def ask(book: Book, held: Signing) -> CodeAnswer:
    async with book.writing() as w:
        return await inviting.send_code(w, held)


async def test_an_ordinary_offer_is_held_by_nothing(book: Book) -> None:
    held = await closing.signed(book)
    assert await why(book, held) == []
    assert await facts(book, "hold.made") == []


async def test_an_offer_opened_from_the_office_gets_no_code_until_a_supervisor_lets_it_go(book: Book) -> None:
    held = await closing.opened(book, campaign={"office_networks": ["203.0.113.0/24", "2001:db8::/32"]})
    assert await why(book, held) == [HoldReason.office_network]
    assert await ask(book, held) is CodeAnswer.held
    assert await closing.texts(book, "code") == []
    async with book.writing() as w:
        await holding.release(w, held.quote_id, 1)
    assert await ask(book, held) is CodeAnswer.sent
    async with book.writing() as w:
        assert not await holding.examine(w, held, CUSTOMER), "what was looked at holds it no second time"
    assert await facts(book, "hold.made") == [{"reason": "office_network"}]
    assert await facts(book, "hold.released") == [{"reasons": ["office_network"]}]
    async with book.reading() as r:
        chain = await evidence.of_signing(r.session, held.id)
    assert broken_at(chain) is None
    assert [event.kind for event in chain] == ["offer.sent", "link.opened", "held", "released", "code.sent"]


async def test_what_becomes_odd_after_the_code_is_held_before_the_signature(book: Book) -> None:
    held = await closing.verified(book, campaign={"office_networks": ["198.51.100.7"]})
    office = Visitor("198.51.100.7", CUSTOMER.user_agent)
    async with book.writing() as w:
        assert await holding.examine(w, held, office)
    with pytest.raises(Conflict, match="looks at this offer"):
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, office)
    assert (await closing.now(book, held)).state is SigningState.verified


async def test_a_browser_that_was_another_customers_is_held(book: Book, clock: Clock) -> None:
    _, first = await closing.sent(book)
    await open_it(book, first, Visitor("8.8.8.8", "A", device="same"))
    second = await open_it(book, await another(book, "+12025550102"), Visitor("9.9.9.9", "B", device="same"))
    third = await open_it(book, await another(book, "+12025550103"), Visitor("8.8.4.4", "A", device="other"))
    assert [await why(book, one) for one in (first, second, third)] == [[], [HoldReason.shared_device], []]
    clock.forward(91 * 86_400)
    async with book.writing() as w:
        await holds.forget_devices(w.session, w.now)
        assert await holds.others_on(w.session, "+12025550109", b"x", w.now) == 0


async def test_four_customers_in_a_day_with_one_kind_of_browser_on_one_network_are_looked_at(book: Book) -> None:
    _, first = await closing.sent(book)
    seen = [await open_it(book, first, Visitor("8.8.8.1", "A"))]
    for last in range(2, 6):
        other = await another(book, f"+1202555010{last}")
        seen.append(await open_it(book, other, Visitor("8.8.8.9" if last < 5 else "8.8.9.9", "A")))
    assert [await why(book, one) for one in seen] == [[], [], [], [HoldReason.alike], []]


async def test_behind_a_proxy_nobody_is_alike(book: Book) -> None:
    _, first = await closing.sent(book)
    seen = [await open_it(book, first, Visitor("10.0.0.1", "A"))]
    for last in range(2, 6):
        seen.append(await open_it(book, await another(book, f"+1202555010{last}"), Visitor("10.0.0.1", "A")))
    assert [await why(book, one) for one in seen] == [[]] * 5


async def test_the_fourth_offer_to_a_number_is_held_but_no_revision(book: Book) -> None:
    sale, first = await closing.sent(book)
    async with book.writing() as w:
        revised = await quoting.supersede(w, quote_id=sale.quote_id, agent_id=sale.agent_id, lines=closing.LINES)
    made = [await quoting.send_offer(book, revised.id, sale.agent_id)]
    for _ in range(3):
        async with book.writing() as w:
            quote = await quoting.draft(w, agent_id=sale.agent_id, lead_id=sale.lead_id, lines=closing.LINES)
        made.append(await quoting.send_offer(book, quote.id, sale.agent_id))
    assert [await why(book, one) for one in (first, *made)] == [[], [], [], [], [HoldReason.many_offers]]


async def test_an_offer_to_an_agents_own_telephone_is_held(book: Book) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        await w.session.execute(update(Agent).values(address=sale.phone))
    assert await why(book, await quoting.send_offer(book, sale.quote_id, sale.agent_id)) == [HoldReason.our_number]


@pytest.mark.parametrize(("number", "held"), [("+12025550101", []), ("+12025550199", [HoldReason.other_number])])
async def test_the_offer_goes_to_the_number_that_was_talked_to(book: Book, number: str, held: list[HoldReason]) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        call = Call(
            task_id=task.id, lead_id=sale.lead_id, agent_id=sale.agent_id, state=CallState.talking, room="r",
            room_ref="r", created_at=w.now, talking_at=w.now,
        )
        w.session.add(call)
        await w.session.flush()
        w.session.add(Leg(call_id=call.id, role="customer", ref="l", address=number, created_at=w.now))
    sent = await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    assert await why(book, sent) == held
    async with book.reading() as r:
        first = (await evidence.of_signing(r.session, sent.id))[0]
    assert first.data["call"] == {"id": call.id, "direction": "outbound"}


async def test_what_a_third_party_shall_take_goes_there_only_when_it_is_let_go(book: Book) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        await w.session.execute(update(Agent).values(address=sale.phone))
        campaign = vouched(await w.session.scalar(select(Campaign)))
        w.session.add(SigningAccount(
            campaign_id=campaign.id, provider=ProviderName.docuseal, key="k" * 24, url="http://127.0.0.1:1", sealed=b"",
        ))  # fmt: skip
    held = await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    gone = select(Delivery.kind).where(Delivery.signing_id == held.id)
    async with book.writing() as w:
        assert list(await w.session.scalars(gone)) == []
        await inviting.release(w, sale.quote_id, sale.agent_id)
    async with book.reading() as r:
        assert list(await r.session.scalars(gone)) == [DeliveryKind.entrust]
    assert (await closing.now(book, held)).is_entrusted


async def test_a_number_that_changes_after_the_offer_was_sent_gets_no_code(book: Book) -> None:
    held = await closing.opened(book)
    async with book.writing() as w:
        await w.session.execute(update(Contact).values(phone="+12025550177"))
    assert await ask(book, held) is CodeAnswer.refused
    assert await closing.texts(book, "code") == []


async def test_a_supervisor_lets_an_offer_go_once(book: Book) -> None:
    held = await closing.opened(book)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await holding.release(w, held.quote_id, 1)


async def test_a_signed_quote_is_its_authors_sale_until_a_supervisor_splits_it(book: Book) -> None:
    held = await closing.signed(book)
    author = vouched((await closing.quote_of(book, held)).agent_id)
    assert await facts(book, "sale.credited") == [{"owner": author, "shares": {str(author): 100}, "reason": "author"}]
    async with book.writing() as w:
        other = await making.agent(w, "sol")
    async with book.writing() as w:
        await crediting.split(w, held.quote_id, {author: 60, other.id: 40}, "helped", supervisor_id=other.id)
    assert (await facts(book, "sale.credited"))[1] == {
        "owner": author, "shares": {str(author): 60, str(other.id): 40}, "reason": "helped",
    }
    async with book.reading() as r:
        shares = await credits.of_quote(r.session, held.quote_id)
    assert [(one.agent.id, one.percent) for one in shares] == [(author, 60), (other.id, 40)]


@pytest.mark.parametrize(
    ("shares", "reason", "pointer"),
    [
        ({1: 99}, "helped", "/shares"), ({1: 101}, "helped", "/shares"), ({1: 100, 99: 0}, "helped", "/shares"),
        ({}, "helped", "/shares"), ({99: 100}, "helped", "/shares"), ({1: 100}, "she asked me to", "/reason"),
        ({1: 150, 2: -50}, "helped", "/shares"), ({place: 20 for place in range(1, 6)}, "helped", "/shares"),
    ],
)  # fmt: skip
async def test_shares_that_make_no_whole_are_refused(
    book: Book, shares: dict[int, int], reason: str, pointer: str
) -> None:
    held = await closing.signed(book)
    with pytest.raises(Invalid) as refused:
        async with book.writing() as w:
            await crediting.split(w, held.quote_id, shares, reason, supervisor_id=1)
    assert refused.value.pointer == pointer


async def test_what_is_not_signed_is_nobodys_sale(book: Book) -> None:
    held = await closing.verified(book)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await crediting.split(w, held.quote_id, {1: 100}, "helped", supervisor_id=1)
    async with book.reading() as r:
        assert await credits.of_quote(r.session, held.quote_id) == []
