"""The number was somebody else's: the person's own is looked for, once, and what he agreed to does not go with it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from router.actions import (
    consenting,
    erasing,
    guarding,
    listing,
    merging,
    nurturing,
    quoting,
    resending,
    seeking,
    suppressing,
    wrapping,
)
from router.actions.consenting import Way
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.model.agents import Agent, Role
from router.model.alarms import Alarm, AlarmState
from router.model.base import vouched
from router.model.cadences import Enrolment, EnrolmentState
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.errors import Conflict, Forbidden, Invalid, NotAllowedNow, NotFound
from router.model.facts import Fact
from router.model.guard import Purpose, Verdict
from router.model.intake import Agreed
from router.model.leads import Lead
from router.model.merges import ClaimKind, Merge, MergeState
from router.model.number_searches import LOOK_AGAIN, SOUGHT_FOR, NumberSearch, SearchState
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.store import elsewhere, number_searches, packs, receipts, screens
from router.store.number_searches import Sought
from tests import closing, making
from tests.actions.test_cadences import PHONE, all_of, began, calls, ring, the_enrolment
from tests.actions.test_nurturing import another_quote
from tests.actions.test_resending import lost
from tests.conftest import Clock
from tests.invariants import check

RIGHT = "+12025550122"
MAIL = {"channel": "email", "template": "offer_again"}
OFFERS = Agreed(("commercial",), "Acepto ofertas.", "1")


async def wrong(
    book: Book, task_id: int, agent_id: int, disposition: Disposition = Disposition.wrong_number, *, judged: bool = True
) -> None:
    """The agent has talked with somebody about this task, and says whose number it was."""
    async with book.writing() as w:
        for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            await w.move(Task, task_id, state, agent_id=agent_id)
        held = vouched(await w.session.locked(Agent, agent_id))
        held.call_load = 1
        if vouched(await w.session.get(Task, task_id)).kind is TaskKind.chat:
            held.call_load, held.chat_load = 0, 1
        await w.session.flush()
        await wrapping.dispose(w, task_id, agent_id, disposition)
    if judged:
        async with book.reading() as r:
            await check(r.session)


async def called(book: Book, **values: Any) -> tuple[Lead, int]:
    """A person who was called at a number that is somebody else's, and the agent who did."""
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        agent = await making.agent(w)
        lead = await making.lead(w, queue, PHONE, **values)
        task = await making.task(w, queue, lead)
    await wrong(book, task.id, agent.id)
    return lead, agent.id


async def in_cadence(book: Book, clock: Clock, *steps: dict[str, Any]) -> tuple[Quote, int]:
    """A quiet quote whose call reached somebody else; he can be written to by mail in an hour."""
    book.can_mail = True
    quote = await began(book, clock, {}, *(steps or ({**MAIL, "delay": 1},)), mail_from="hola@luz.example")
    async with book.writing() as w:
        vouched(await w.session.get(Lead, quote.lead_id)).claims = {"email": "carmen@example.com"}
        agent = await making.agent(w)
    (task,) = await calls(book)
    await wrong(book, task.id, agent.id)
    return quote, agent.id


async def searches(book: Book) -> list[tuple[int, SearchState]]:
    return [(one.contact_id, one.state) for one in await all_of(book, NumberSearch)]


async def sought(book: Book, agent_id: int) -> list[Sought]:
    async with book.reading() as r:
        return list((await screens.desk(r.session, agent_id, r.now)).sought)


async def find(book: Book, agent_id: int, phone: str = RIGHT, search_id: int = 1) -> None:
    async with book.writing() as w:
        w.now += timedelta(seconds=10)
        await resending.found(w, search_id, agent_id, phone)


async def asked(book: Book, channel: str = "call") -> Verdict:
    """The guard, about an offer to the first person."""
    async with book.writing() as w:
        campaign, contact = vouched(await w.session.get(Campaign, 1)), vouched(await w.session.get(Contact, 1))
        return await guarding.ask_guard(w, campaign, contact, Purpose.commercial, channel=channel)


# It begins


async def test_a_wrong_number_opens_a_search_of_the_line_that_says_what_is_known(book: Book) -> None:
    lead, agent_id = await called(book, claims={"email": "carmen@example.com"}, source={"utm_source": "ads"})
    (search,) = await all_of(book, NumberSearch)
    assert (search.contact_id, search.lead_id, search.queue_id, search.quote_id, search.agent_id) == (
        lead.contact_id, lead.id, 1, None, None)
    (one,) = await sought(book, agent_id)
    assert (one.search.id, one.contact.id, one.lead.id, one.quote) == (1, lead.contact_id, lead.id, None)
    async with book.reading() as r:
        (fact,) = await r.session.scalars(select(Fact).where(Fact.kind == "numbersearch.open"))
    assert fact.data["reason"] == "wrong_number"


@pytest.mark.parametrize("disposition", [Disposition.do_not_call, Disposition.third_person, Disposition.voicemail])
async def test_no_other_outcome_opens_one(book: Book, disposition: Disposition) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        agent = await making.agent(w)
        task = await making.task(w, queue, await making.lead(w, queue, PHONE))
    await wrong(book, task.id, agent.id, disposition)
    assert await searches(book) == []


async def test_said_twice_even_of_two_contacts_that_are_one_person_it_is_one_search(book: Book) -> None:
    lead, agent_id = await called(book)
    async with book.writing() as w:
        queue = vouched(await w.session.get(Queue, 1))
        again = await making.task(w, queue, vouched(await w.session.get(Lead, lead.id)))
        other = await making.lead(w, queue, "+12025550133")
        vouched(await w.session.locked(Contact, other.contact_id)).merged_into = lead.contact_id
        third = await making.task(w, queue, other)
    await wrong(book, again.id, agent_id)
    await wrong(book, third.id, agent_id)
    assert await searches(book) == [(lead.contact_id, SearchState.open)]


async def test_said_at_once_by_two_agents_it_is_one_search(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        lead = await making.lead(w, queue, PHONE)
        agents = [await making.agent(w, login) for login in ("ana", "eva")]
        tasks = [
            await making.task(w, queue, lead, kind=kind, state=TaskState.wrapping, agent_id=agent.id)
            for agent, kind in zip(agents, (TaskKind.call, TaskKind.chat), strict=True)
        ]
    await asyncio.gather(*(
        wrong(book, task.id, agent.id, judged=False) for task, agent in zip(tasks, agents, strict=True)
    ))
    assert await searches(book) == [(lead.contact_id, SearchState.open)]


async def test_the_database_itself_keeps_a_person_from_being_looked_for_twice(book: Book) -> None:
    await called(book)
    async with book.writing() as w:
        task = vouched(await w.session.get(Task, 1))
        assert await number_searches.begin(w.session, {
            "campaign_id": 1, "lead_id": task.lead_id, "contact_id": 1, "queue_id": 1, "created_at": w.now}) is None


async def test_whoever_works_on_the_line_may_find_it_and_nobody_else(book: Book) -> None:
    await called(book)
    async with book.writing() as w:
        vouched(await w.session.locked(Queue, 1)).skills = ["it"]
        of_line = await making.agent(w, "eva", skills=["it", "solar"])
        unskilled = await making.agent(w, "sol", skills=["solar"])
        elsewhere_ = await making.agent(w, "luz", skills=["it"], pool=2, role=Role.supervisor)
    assert len(await sought(book, of_line.id)) == 1
    for other in (unskilled.id, elsewhere_.id):
        assert await sought(book, other) == []
        with pytest.raises(Forbidden):
            await find(book, other)
        with pytest.raises(Forbidden):
            async with book.writing() as w:
                await resending.dropped(w, 1, other)
    await find(book, of_line.id)
    assert await searches(book) == [(1, SearchState.found)]


# A number is found


async def test_the_number_that_was_found_is_the_persons_and_the_search_is_over(book: Book) -> None:
    _, agent_id = await called(book)
    await find(book, agent_id, "+1 (202) 555-0122")
    (contact,) = await all_of(book, Contact)
    assert (contact.phone, contact.renumbered_at is not None) == (RIGHT, True)
    assert await sought(book, agent_id) == []
    for again in (find(book, agent_id, "+12025550144"), find(book, agent_id)):
        with pytest.raises(Conflict):
            await again


async def test_consent_to_offers_does_not_go_to_another_number_by_itself_but_stays_for_mail(
    book: Book, clock: Clock
) -> None:
    lead, agent_id = await called(book)
    assert (await asked(book, "mail")).allowed
    await find(book, agent_id)
    assert (await asked(book)).rules == ("consent.commercial",)
    assert (await asked(book, "sms")).rules == ("consent.commercial",)
    assert (await asked(book, "mail")).allowed
    async with book.reading() as r:
        assert await receipts.agreed(r.session, lead.contact_id) == frozenset()
        assert (await elsewhere.persons(r.session, 1, [RIGHT]))[RIGHT].agreed == frozenset()
    clock.forward(60)
    async with book.writing() as w:
        assert await consenting.give(w, lead.id, OFFERS, Way("voice", agent_id)), "he is asked anew"
    assert (await asked(book)).allowed
    async with book.reading() as r:
        assert await receipts.agreed(r.session, lead.contact_id) == {"commercial"}
        assert (await elsewhere.persons(r.session, 1, [RIGHT]))[RIGHT].agreed == {"commercial"}


async def test_what_was_taken_back_before_stays_taken_back(book: Book) -> None:
    lead, agent_id = await called(book)
    async with book.writing() as w:
        await receipts.withdraw(w.session, lead, "commercial", method="agent", now=w.now, agent_id=agent_id)
    await find(book, agent_id)
    async with book.reading() as r:
        person = (await elsewhere.persons(r.session, 1, [RIGHT]))[RIGHT]
    assert (person.agreed, set(person.taken_back)) == (frozenset(), {"commercial"})


async def test_who_asked_to_be_called_at_the_wrong_number_did_not_ask_for_it_at_the_new_one(book: Book) -> None:
    lead, agent_id = await called(book)

    async def purpose() -> Purpose:
        async with book.writing() as w:
            task = await making.task(
                w, vouched(await w.session.get(Queue, 1)), lead, state=TaskState.closed, ended_at=w.now,
                disposition=Disposition.no_answer,
            )
            return await listing.purpose_of(w, task)

    assert await purpose() is Purpose.requested
    await find(book, agent_id)
    assert await purpose() is Purpose.commercial


async def test_the_desk_says_that_there_is_no_consent_at_the_new_number(book: Book) -> None:
    lead, agent_id = await called(book)

    async def shown() -> frozenset[str]:
        async with book.writing() as w:
            await making.task(w, vouched(await w.session.get(Queue, 1)), lead, agent_id=agent_id,
                              state=TaskState.engaged)
        async with book.reading() as r:
            return vouched((await screens.desk(r.session, agent_id, r.now)).work).purposes

    assert "commercial" in await shown()
    async with book.writing() as w:
        for task in await w.session.scalars(select(Task).where(Task.state == TaskState.engaged)):
            await w.move(Task, task.id, TaskState.wrapping)
            await w.move(Task, task.id, TaskState.closed, disposition=Disposition.sold, ended_at=w.now)
    await find(book, agent_id)
    assert await shown() == frozenset()


@pytest.mark.parametrize(("phone", "error"), [
    ("hello", Invalid), ("", Invalid), ("9" * 400, Invalid), ("+1900555010", Invalid), ("+881612345678", Invalid),
    (PHONE, Invalid), ("+12025550144", Conflict), ("+12025550155", NotAllowedNow), ("+12025550166", NotAllowedNow),
    ("+33123456789", NotAllowedNow),
])
async def test_what_is_no_number_for_this_person_changes_nothing(
    book: Book, phone: str, error: type[Exception]
) -> None:
    _, agent_id = await called(book)
    async with book.writing() as w:
        w.session.add(Contact(campaign_id=1, phone="+12025550144", name="Eva", locale="es", created_at=w.now))
        w.session.add(Suppression(phone="+12025550155", reason="stop", created_at=w.now))
        w.session.add(Suppression(phone="+12025550166", contact_id=1, reason="wrong_number", created_at=w.now))
    with pytest.raises(error):
        await find(book, agent_id, phone)
    assert (await all_of(book, Contact))[0].phone == PHONE
    assert await searches(book) == [(1, SearchState.open)]
    with pytest.raises(NotFound):
        await find(book, agent_id, search_id=9)


async def test_two_tabs_find_it_once(book: Book) -> None:
    _, agent_id = await called(book)
    ends = await asyncio.gather(
        find(book, agent_id), find(book, agent_id, "+12025550144"), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "NoneType"]
    async with book.reading() as r:
        assert len(list(await r.session.scalars(select(Fact).where(Fact.kind == "contact.renumbered")))) == 1


@pytest.mark.parametrize("taken", ["by_another_agent", "by_himself"])
async def test_two_who_are_given_the_same_number_at_once_are_told_so(book: Book, taken: str) -> None:
    """The second does not see the number of the first, whose transaction is open still."""
    _, agent_id = await called(book)
    if taken == "by_another_agent":
        async with book.writing() as w:
            queue = vouched(await w.session.get(Queue, 1))
            task = await making.task(w, queue, await making.lead(w, queue, "+12025550133"))
        await wrong(book, task.id, agent_id)
    async with book.writing() as w:
        if taken == "by_another_agent":
            await resending.found(w, 2, agent_id, RIGHT)
        else:
            await making.lead(w, vouched(await w.session.get(Queue, 1)), RIGHT)
        second = asyncio.create_task(find(book, agent_id))
        await waits(book, second)
    with pytest.raises(Conflict, match="Somebody else is known") as refused:
        await second
    assert refused.value.pointer == "/phone"
    assert [one.phone for one in await all_of(book, Contact)].count(RIGHT) == 1
    assert (await searches(book))[0] == (1, SearchState.open)


async def waits(book: Book, one: asyncio.Task[None]) -> None:
    """Until it waits for a lock that another transaction holds, or is over."""
    waiting = text("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
    while not one.done():
        async with book.reading() as r:
            if await r.session.rows(waiting):
                return


# Inside a cadence


async def test_a_cadence_goes_on_by_mail_meanwhile_and_calls_at_the_new_number_only_with_consent(
    book: Book, clock: Clock
) -> None:
    quote, agent_id = await in_cadence(book, clock, {**MAIL, "delay": 1}, {"delay": 1})
    assert [one.state for one in await all_of(book, Enrolment)] == [EnrolmentState.active]
    await find(book, agent_id)
    assert (await the_enrolment(book)).no_number, "no call, no text there"
    clock.forward(3600)
    await ring(book)
    assert [one.purpose for one in await all_of(book, Delivery)] == ["offer_again"]
    clock.forward(7200)
    await ring(book)
    assert len(await calls(book)) == 1, "the first one, at the wrong number"
    assert quote.contact_id == 1


async def test_where_no_consent_is_needed_the_cadence_calls_the_new_number(book: Book, clock: Clock) -> None:
    """As where a customer may be called about what is like what he has."""
    quote, agent_id = await in_cadence(book, clock, {**MAIL, "delay": 1}, {"delay": 1})
    async with book.writing() as w:
        pack = packs.of_program()["demo"].replace("version = 2", "version = 9", 1)
        pack = pack.replace("verified = true\n", "verified = true\nrelation_days = 365\n", 1)
        await packs.publish(w.session, "demo", 9, pack, w.now)
        bought = await another_quote(w, quote.contact_id, quote.lead_id, quote.campaign_id)
        w.session.add(Signing(
            quote_id=bought.id, campaign_id=1, contact_id=quote.contact_id, lead_id=quote.lead_id,
            state=SigningState.completed, phone=PHONE, link_hash=b"other", expires_at=w.now, created_at=w.now,
            signed_at=w.now,
        ))
    await find(book, agent_id)
    assert not (await the_enrolment(book)).no_number
    for _ in range(2):
        clock.forward(3600)
        await ring(book)
    assert [one.state for one in await calls(book)] == [TaskState.closed, TaskState.queued]


async def test_a_quote_is_watched_again_when_consent_is_given_for_the_new_number(book: Book, clock: Clock) -> None:
    quote, agent_id = await in_cadence(book, clock)
    clock.forward(7200)
    await ring(book)
    assert (await the_enrolment(book)).state is EnrolmentState.exited

    async def watched() -> bool:
        return any(one.kind == "quote.check" and one.state is AlarmState.pending for one in await all_of(book, Alarm))

    async with book.writing() as w:
        await w.session.execute(Alarm.__table__.delete())  # type: ignore[attr-defined]
    async with book.writing() as w:
        await consenting.give(w, quote.lead_id, Agreed(("service",), "Sí", "1"), Way("link"))
    assert not await watched(), "there is nobody to be called"
    await find(book, agent_id)
    assert await watched()
    await ring(book)
    async with book.writing() as w:
        await consenting.give(w, quote.lead_id, OFFERS, Way("voice", agent_id))
    assert await watched()


async def test_when_there_is_no_other_number_the_cadence_ends_with_that_reason(book: Book, clock: Clock) -> None:
    _, agent_id = await in_cadence(book, clock)
    async with book.writing() as w:
        await resending.dropped(w, 1, agent_id)
    assert await searches(book) == [(1, SearchState.dropped)]
    enrolment = await the_enrolment(book)
    assert (enrolment.state, enrolment.exit_reason) == (EnrolmentState.exited, "no_number_found")
    clock.forward(7200)
    await ring(book)
    assert await all_of(book, Delivery) == []
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await resending.dropped(w, 1, agent_id)


# Beside an offer's link


async def test_a_link_that_is_lost_afterwards_makes_the_search_the_offers_and_the_number_brings_both(
    book: Book
) -> None:
    sale, _ = await closing.sent(book)
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        contact = vouched(await w.session.get(Contact, task.contact_id))
        assert contact.phone == sale.phone
        await seeking.wrong_number(w, task)
    await lost(book)
    (search,) = await all_of(book, NumberSearch)
    assert (search.signing_id, search.quote_id, search.agent_id) == (1, sale.quote_id, sale.agent_id)
    (one,) = await sought(book, sale.agent_id)
    assert vouched(one.quote).id == sale.quote_id
    await find(book, sale.agent_id)
    assert [one.order["to"] for one in await all_of(book, Delivery)] == [sale.phone, RIGHT]
    assert await searches(book) == [(1, SearchState.found)]


async def test_while_the_number_for_an_offer_is_looked_for_no_second_search_begins(book: Book) -> None:
    sale, _ = await closing.sent(book)
    await lost(book)
    async with book.writing() as w:
        await seeking.wrong_number(w, vouched(await w.session.scalar(select(Task))))
    (search,) = await all_of(book, NumberSearch)
    assert (search.signing_id, search.queue_id) == (1, None)
    assert len(await sought(book, sale.agent_id)) == 1


async def test_nobody_looks_for_who_was_forgotten(book: Book) -> None:
    _, agent_id = await called(book)
    async with book.writing() as w:
        await erasing.erase(w, 1, agent_id=agent_id)
    assert await sought(book, agent_id) == []
    with pytest.raises(Conflict):
        await find(book, agent_id)


# It ends by itself


async def lapsed(book: Book, *, judged: bool = True) -> list[str]:
    """Why searches have ended by themselves, once what is due has been looked at."""
    await (ring(book) if judged else Alarms(book, ALARMS).sweep())
    async with book.reading() as r:
        return [one.data["reason"] for one in await r.session.scalars(
            select(Fact).where(Fact.kind == "numbersearch.lapsed").order_by(Fact.id))]


async def test_a_number_is_looked_for_a_month_and_no_longer(book: Book, clock: Clock) -> None:
    """The request came to nothing but the wrong number: it is open still."""
    _, agent_id = await called(book)
    clock.forward((SOUGHT_FOR - timedelta(days=1)).total_seconds())
    assert (await lapsed(book), len(await sought(book, agent_id))) == ([], 1)
    clock.forward(timedelta(days=1).total_seconds())
    assert await lapsed(book) == ["too_long"]
    assert (await searches(book), await sought(book, agent_id)) == ([(1, SearchState.lapsed)], [])
    (search,) = await all_of(book, NumberSearch)
    assert search.ended_at == clock.now
    with pytest.raises(Conflict):
        await find(book, agent_id)
    clock.forward(timedelta(days=40).total_seconds())
    assert await lapsed(book) == ["too_long"], "once"


async def forgotten(w: Writing) -> None:
    await erasing.erase(w, 1)


async def complained(w: Writing) -> None:
    await suppressing.suppress(w, vouched(await w.session.get(Contact, 1)), "complaint")


async def stopped(w: Writing) -> None:
    await suppressing.suppress_number(w, PHONE, "stop")


async def another_number(w: Writing) -> None:
    """By the search for an offer of his."""
    contact = vouched(await w.session.locked(Contact, 1))
    campaign = vouched(await w.session.get(Campaign, 1))
    await resending._renumber(w, campaign, contact, RIGHT, 1, 1)


async def a_better_known(w: Writing) -> None:
    """He was found to be somebody whose number is known."""
    await making.lead(w, vouched(await w.session.get(Queue, 1)), "+12025550133")
    await one_person(w)


async def one_person(w: Writing) -> None:
    found = Merge(campaign_id=1, into_id=1, from_id=2, lead_id=1, kind=ClaimKind.email, state=MergeState.proposed,
                  created_at=w.now)
    w.session.add(found)
    await w.session.flush()
    await merging.merge(w, found.id, 1)


async def no_interest(w: Writing) -> None:
    """He has written, and is not interested."""
    lead = vouched(await w.session.get(Lead, 1))
    task = await making.task(
        w, vouched(await w.session.get(Queue, 1)), lead, kind=TaskKind.chat, state=TaskState.wrapping)
    await wrapping.close_task(w, task.id, Disposition.not_interested)


@pytest.mark.parametrize(("what", "reason"), [
    (forgotten, "erased"), (complained, "suppressed"), (stopped, "suppressed"), (another_number, "renumbered"),
    (a_better_known, "merged"), (no_interest, "closed"),
])
async def test_it_ends_at_once_when_the_number_is_of_no_use_any_more(
    book: Book, clock: Clock, what: Any, reason: str
) -> None:
    await called(book)
    clock.forward(1)
    assert await lapsed(book) == []
    async with book.writing() as w:
        await what(w)
    assert await lapsed(book) == [reason]
    assert (await searches(book))[0] == (1, SearchState.lapsed)


async def other_without_number(w: Writing) -> None:
    await making.lead(w, vouched(await w.session.get(Queue, 1)), "")
    await one_person(w)


async def other_with_a_wrong_one(w: Writing) -> None:
    lead = await making.lead(w, vouched(await w.session.get(Queue, 1)), "+12025550133")
    await suppressing.suppress(w, vouched(await w.session.get(Contact, lead.contact_id)), "wrong_number")
    await one_person(w)


async def no_interest_but_an_offer(w: Writing) -> None:
    await another_quote(w, 1, 1, 1)
    await no_interest(w)


async def no_calls_for_a_while(w: Writing) -> None:
    await suppressing.suppress(w, vouched(await w.session.get(Contact, 1)), "dropped_call")


@pytest.mark.parametrize("what", [
    other_without_number, other_with_a_wrong_one, no_interest_but_an_offer, no_calls_for_a_while,
])
async def test_it_goes_on_as_long_as_the_number_would_be_of_use(book: Book, clock: Clock, what: Any) -> None:
    await called(book)
    clock.forward(1)
    async with book.writing() as w:
        await what(w)
    assert await lapsed(book) == []
    clock.forward(timedelta(days=2).total_seconds())
    assert await lapsed(book) == []
    assert (1, SearchState.open) in await searches(book)


async def test_a_quotes_end_ends_the_search_for_its_person_and_the_one_for_its_link(book: Book) -> None:
    sale, _ = await closing.sent(book)
    await lost(book)
    assert await lapsed(book, judged=False) == []
    async with book.writing() as w:
        await quoting.end(w, sale.quote_id)
    assert await lapsed(book, judged=False) == ["closed"]
    async with book.writing() as w:
        await seeking.wrong_number(w, vouched(await w.session.scalar(select(Task))))
    assert [state for _, state in await searches(book)] == [SearchState.lapsed, SearchState.open], "it bars no other"


async def test_a_link_that_is_opened_after_all_ends_the_search_for_its_number(book: Book, clock: Clock) -> None:
    await closing.sent(book)
    await lost(book)
    async with book.writing() as w:
        vouched(await w.session.locked(Signing, 1)).state = SigningState.opened
    clock.forward(LOOK_AGAIN.total_seconds())
    assert await lapsed(book, judged=False) == ["resent"]


async def test_when_the_last_quote_has_expired_the_number_is_not_looked_for(book: Book, clock: Clock) -> None:
    quote, _ = await in_cadence(book, clock)
    clock.forward(7200)
    assert await lapsed(book) == []
    async with book.writing() as w:
        await w.move(Quote, quote.id, QuoteState.expired, ended_at=w.now)
        await nurturing.quote_ended(w, quote.id, "expired")
    assert await lapsed(book) == ["closed"]


async def test_a_search_that_ends_waits_for_who_finds_the_number_in_the_same_moment(
    book: Book, clock: Clock
) -> None:
    _, agent_id = await called(book)
    clock.forward(SOUGHT_FOR.total_seconds())

    async def over() -> None:
        async with book.writing() as w:
            await seeking.look(w, 1)

    async with book.writing() as w:
        await resending.found(w, 1, agent_id, RIGHT)
        second = asyncio.create_task(over())
        await waits(book, second)
    await second
    assert (await searches(book), await lapsed(book)) == ([(1, SearchState.found)], [])


async def none_of_a_call(w: Writing) -> None:
    """Who gave no number has none that is wrong."""
    queue = await making.queue(w, await making.campaign(w))
    task = await making.task(w, queue, await making.lead(w, queue, ""), kind=TaskKind.chat)
    await seeking.wrong_number(w, task)


async def test_who_gave_no_number_is_not_looked_for(book: Book) -> None:
    async with book.writing() as w:
        await none_of_a_call(w)
    assert await searches(book) == []
