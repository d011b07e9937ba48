"""The counting of public doors: it holds across replicas, counts a request once, and who is refused uses nothing up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, text

from router.actions import guarding, protecting
from router.actions.intake import take_in
from router.actions.talking import Text, send_text
from router.book import Batcher, Book
from router.live import Hub
from router.model.budgets import Budget
from router.model.cadences import Attempt
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.errors import NotAllowedNow, NotFound
from router.model.facts import Fact
from router.model.guard import Purpose
from router.model.intake import Agreed, Wanted
from router.model.leads import Intent
from router.model.protection import Asked, Verdict, Why
from router.model.rates import LENIENT, STRICT, Counted, Limit, Rate
from router.model.refusals import Refusal, Silence
from router.model.tasks import Task, TaskState
from router.model.vault import new_token
from router.ports import LegStage
from router.store import budgets, protection, refusals, sites
from router.store.db import make_engine
from tests import making
from tests.actions.telephones import accepted
from tests.conftest import Clock


@pytest.fixture
async def site(book: Book) -> int:
    async with book.writing() as w:
        return (await making.site(w, await making.queue(w, await making.campaign(w)))).id


def asked(site: int, **values: Any) -> Asked:
    counted = tuple(
        Counted(kind, f"{kind}:{name}", getattr(STRICT, kind))
        for kind, name in values.pop("draws", {"address": "a"}).items()
    )
    return replace(Asked(site, STRICT, counted), **values)


async def weigh(book: Book, *requests: Asked) -> list[Verdict]:
    async with book.writing() as w:
        return await protecting.weigh(w, requests)


def whys(verdicts: Sequence[Verdict]) -> list[Why | None]:
    return [verdict.why for verdict in verdicts]


@asynccontextmanager
async def replica(url: str, book: Book, clock: Clock) -> AsyncIterator[Book]:
    """A process of its own, as the database sees it."""
    engine = make_engine(url)
    try:
        yield Book(engine, Hub(), book.vault, book.public_url, clock=clock)
    finally:
        await engine.dispose()


async def test_of_many_at_once_on_two_replicas_exactly_the_limit_is_let_through(
    book: Book, database_url: str, clock: Clock, site: int
) -> None:
    networks = [f"net{number}" for number in range(6)]
    async with replica(database_url, book, clock) as other:
        async def one(place: int) -> tuple[str, Why | None]:
            network = networks[place % 6]
            # Every request draws on several scopes, named in no common order.
            draws = {"prefix": f"p{place}", "address": network, "number_hour": f"n{place}", "site": "s"}
            order = dict(sorted(draws.items(), reverse=bool(place % 2)))
            (verdict,) = await weigh((book, other)[place % 2], asked(site, draws=order))
            return network, verdict.why

        answers = await asyncio.gather(*(one(place) for place in range(60)))
    for network in networks:
        let = [why for name, why in answers if name == network]
        assert let.count(None) == STRICT.address.most
        assert let.count(Why.address) == 10 - STRICT.address.most
    async with book.reading() as r:
        counted = {rate.scope: rate.used for rate in await r.session.scalars(select(Rate))}
        seen = await refusals.last_day(r.session, r.now)
    assert counted["site:s"] == 30, "who was refused used nothing up"
    assert seen == {site: {"address": 30}}


async def test_of_many_batches_at_once_exactly_the_limit_is_let_through(
    book: Book, database_url: str, clock: Clock, site: int
) -> None:
    async with replica(database_url, book, clock) as other:
        keepers = [Batcher[Asked, Verdict](one, protecting.weigh, most=7) for one in (book, other)]
        loops = [asyncio.create_task(keeper.run()) for keeper in keepers]
        verdicts = await asyncio.gather(*(
            keepers[place % 2].ask(asked(site, draws={"address": "a", "site": "s"})) for place in range(50)
        ))
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    assert whys(verdicts).count(None) == STRICT.address.most


async def test_a_window_begins_with_its_first_use_and_then_anew(book: Book, clock: Clock, site: int) -> None:
    for _ in range(5):
        assert whys(await weigh(book, asked(site))) == [None]
        clock.forward(60)
    (verdict,) = await weigh(book, asked(site))
    assert (verdict.why, verdict.retry_after) == (Why.address, 300)
    clock.forward(300)
    assert whys(await weigh(book, asked(site))) == [None]


async def test_a_number_is_let_through_twice_an_hour_and_four_times_a_day(
    book: Book, clock: Clock, site: int
) -> None:
    request = asked(site, draws={"number_hour": "n", "number_day": "n"})
    let = []
    for _ in range(5):
        let += whys(await weigh(book, request, request, request))
        clock.forward(3_601)
    assert let == [None, None, Why.number] * 2 + [Why.number] * 9
    clock.forward(86_400)
    assert whys(await weigh(book, request)) == [None]


async def test_the_same_key_counts_once_however_often_it_comes(book: Book, site: int) -> None:
    request = asked(site, key=Counted("key", "key:k", Limit(1, 86_400)))
    for _ in range(3):
        assert whys(await weigh(book, *[request] * 20)) == [None] * 20
    async with book.reading() as r:
        rate = await r.session.get(Rate, "address:a")
    assert rate is not None
    assert rate.used == 1


async def test_a_refused_request_may_come_again_under_its_key(book: Book, clock: Clock, site: int) -> None:
    await weigh(book, *[asked(site)] * 5)
    late = asked(site, key=Counted("key", "key:late", Limit(1, 86_400)))
    assert whys(await weigh(book, late, late)) == [Why.address, Why.address]
    clock.forward(600)
    assert whys(await weigh(book, late, late)) == [None, None]


async def test_a_proof_is_good_once_even_for_two_at_once_on_two_replicas(
    book: Book, database_url: str, clock: Clock, site: int
) -> None:
    nonce = Counted("proof", "proof:x", Limit(1, 600))

    def risky(place: int) -> Asked:
        return asked(site, draws={"address": f"a{place}"}, risk=3, bits=14, nonce=nonce)

    async with replica(database_url, book, clock) as other:
        answers = await asyncio.gather(*(weigh((book, other)[place % 2], risky(place)) for place in range(10)))
    found = [verdict for (verdict,) in answers]
    assert whys(found).count(None) == 1
    assert {verdict.bits for verdict in found if verdict.why is Why.proof} == {14}


async def test_a_proof_must_be_as_hard_as_the_risk(book: Book, site: int) -> None:
    def proving(bits: int, risk: int) -> Asked:
        return asked(site, draws={"address": new_token()}, risk=risk, bits=bits,
                     nonce=Counted("proof", f"proof:{new_token()}", Limit(1, 600)))

    easy, hard, none = await weigh(book, proving(14, 3), proving(14, 4), asked(site, risk=3))
    assert (easy.why, hard, none) == (None, Verdict(Why.proof, bits=16), Verdict(Why.proof, bits=14))


async def test_a_busy_network_makes_proofs_necessary_before_it_is_refused(book: Book, site: int) -> None:
    plain = [(await weigh(book, asked(site, risk=2)))[0] for _ in range(4)]
    assert whys(plain) == [None, None, Why.proof, Why.proof]


async def test_refusals_are_counted_by_site_code_and_hour_and_forgotten_after_a_week(
    book: Book, clock: Clock, site: int
) -> None:
    with book.hub.watch("wallboard") as board:
        await weigh(book, asked(site, refused=Why.honeypot), asked(site, refused=Why.honeypot),
                    asked(site, refused=Why.closed))
        assert await board.changed()
    clock.forward(3_600)
    await weigh(book, asked(site, refused=Why.honeypot))
    async with book.reading() as r:
        assert await refusals.last_day(r.session, r.now) == {site: {"honeypot": 3, "closed": 1}}
        assert len(await r.session.scalars(select(Refusal))) == 3
    clock.forward(86_400)
    async with book.reading() as r:
        assert await refusals.last_day(r.session, r.now) == {}
    clock.forward(8 * 86_400)
    async with book.writing() as w:
        await protecting.forget_old(w)
    async with book.reading() as r:
        assert not await r.session.scalars(select(Refusal))


async def test_ended_windows_and_spent_proofs_are_forgotten_and_open_ones_kept(
    book: Book, clock: Clock, site: int
) -> None:
    nonce = Counted("proof", "proof:x", Limit(1, 60))
    await weigh(book, asked(site, draws={"address": "a", "number_day": "n"}, nonce=nonce, bits=14))
    clock.forward(700)
    async with book.writing() as w:
        await protecting.forget_old(w)
    async with book.reading() as r:
        assert await r.session.scalars(select(Rate.scope)) == ["number_day:n"]


async def test_a_site_whose_money_is_spent_takes_no_more_until_the_hour_or_the_day_is_over(
    book: Book, clock: Clock, site: int
) -> None:
    clock.forward(1_800)
    async with book.writing() as w:
        w.session.add(Budget(scope=f"site:{site}@12", day=w.now.date(), used=95, cap=100))
        w.session.add(Budget(scope=f"site:{site}", day=w.now.date(), used=95, cap=200))
    hourly = asked(site, daily_cap=200, hourly_cap=100)
    assert await weigh(book, hourly) == [Verdict(Why.spend, 1_801)]
    assert await weigh(book, replace(hourly, hourly_cap=0)) == [Verdict()]
    assert await weigh(book, replace(hourly, daily_cap=100)) == [Verdict(Why.spend, 11 * 3_600 + 1_801)]
    clock.forward(1_800)
    assert await weigh(book, hourly) == [Verdict()]


async def test_a_call_draws_on_its_landing_pages_day_and_hour_and_gives_back_to_both(
    book: Book, clock: Clock
) -> None:
    line = await accepted(book)
    async with book.writing() as w:
        queue = (await w.session.scalars(select(Queue)))[0]
        site = await making.site(w, queue, daily_spend_cap=100, hourly_spend_cap=20)
        await w.session.execute(text("update leads set site_id = :site"), {"site": site.id})
    await line.place("agent")
    await line.say("agent", LegStage.answered)
    async with book.reading() as r:
        used = {row.scope: row.used for row in await r.session.scalars(select(Budget))}
    assert used[f"site:{site.id}"] == used[f"site:{site.id}@12"] == 10
    clock.forward(3_600)
    async with book.writing() as w:
        attempt = (await w.session.scalars(select(Attempt)))[0]
        await guarding.refund(w, attempt.id)
    async with book.reading() as r:
        used = {row.scope: row.used for row in await r.session.scalars(select(Budget))}
    assert set(used.values()) == {0}
    assert f"site:{site.id}@13" not in used, "it is given back to the hour it was taken from"


async def test_the_cap_of_a_landing_pages_hour_stops_a_message_and_says_so(book: Book) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w)
        queue = await making.queue(w, campaign)
        site = await making.site(w, queue, hourly_spend_cap=9)
        lead = await making.lead(w, queue)
        lead.site_id = site.id
    async with book.writing() as w:
        contact = await w.session.get(Contact, lead.contact_id)
        assert contact is not None
        await send_text(w, campaign, contact, Text("a", "a", "offer", Purpose.requested, "one"), lead_id=lead.id)
    with pytest.raises(NotAllowedNow, match="hour"):
        async with book.writing() as w:
            await send_text(w, campaign, contact, Text("b", "b", "offer", Purpose.requested, "two"), lead_id=lead.id)
    async with book.reading() as r:
        scopes = await budgets.scopes_of(r.session, campaign, contact.phone, lead_id=lead.id, at=r.now)
        assert list(scopes) == [f"number:{contact.phone}", f"site:{site.id}@12", f"campaign:{campaign.id}", "all"]


async def test_nothing_is_dialled_before_an_agent_accepted_and_is_on_the_line(book: Book, site: int) -> None:
    async with book.reading() as r:
        landing = await sites.by_key(r.session, "landing")
    assert landing is not None
    async with book.writing() as w:
        await take_in(w, [Wanted(
            line=landing.queue.line, phone="+12025550142",
            name="", locale="es", intent=Intent.call_now, method="widget", status_token=new_token(), site_id=site,
            agreed=(Agreed(("requested",), "Sí", "1"),),
        )])
    async with book.reading() as r:
        assert not await r.session.scalars(select(Delivery)), "a lead by itself makes nothing leave the house"
        assert [task.state for task in await r.session.scalars(select(Task))] == [TaskState.queued]


async def test_a_site_is_closed_and_opened_once_and_each_is_a_fact(book: Book, site: int) -> None:
    async with book.writing() as w:
        agent = await making.agent(w)
    for closed in (True, True, False, False):
        async with book.writing() as w:
            await protecting.set_closed(w, site, closed, agent.id)
    async with book.reading() as r:
        facts = await r.session.scalars(select(Fact).where(Fact.kind.startswith("site.")).order_by(Fact.id))
    assert [(fact.kind, fact.subject_id, fact.agent_id) for fact in facts] == [
        ("site.closed", site, agent.id), ("site.opened", site, agent.id)]
    with pytest.raises(NotFound):
        async with book.writing() as w:
            await protecting.set_closed(w, site + 1, True, agent.id)


async def _legs(book: Book, phones: Sequence[str], answered: int) -> None:
    async with book.writing() as w:
        queue = (await w.session.scalars(select(Queue)))[0]
        lead = await making.lead(w, queue, f"+1202555{len(phones):04d}")
        task = await making.task(w, queue, lead, state=TaskState.closed)
        agent = await making.agent(w, f"agent{phones[0][-4:]}{len(phones)}")
        call = Call(task_id=task.id, lead_id=lead.id, agent_id=agent.id, state=CallState.ended, room=new_token(),
                    room_ref=new_token(), created_at=w.now, ended_at=w.now)
        w.session.add(call)
        await w.session.flush()
        for place, phone in enumerate(phones):
            w.session.add(Leg(call_id=call.id, role="customer", ref=new_token(), address=phone, created_at=w.now,
                              ended_at=w.now, joined_at=w.now if place < answered else None))


async def test_a_prefix_where_nobody_answers_is_told_once_a_day_without_its_digits(
    book: Book, clock: Clock, site: int
) -> None:
    await _legs(book, [f"+3460012{n:04d}" for n in range(8)], answered=0)
    await _legs(book, [f"+3460013{n:04d}" for n in range(7)], answered=0)
    await _legs(book, [f"+3460014{n:04d}" for n in range(10)], answered=1)
    for _ in range(3):
        async with book.writing() as w:
            await protecting.watch_prefixes(w)
    async with book.reading() as r:
        facts = await r.session.scalars(select(Fact).where(Fact.kind == "prefix.silent"))
        (silence,) = await protection.silences(r.session, r.now)
    assert [fact.data for fact in facts] == [{"country": "ES", "digits": 7, "tried": 8, "answered": 0}]
    assert (silence.prefix, silence.tried, silence.answered, silence.country) == ("+3460012", 8, 0, "ES")
    known, other = await weigh(book, asked(site, prefix="+3460012"), asked(site, prefix="+3460013"))
    assert (known.why, other.why) == (Why.proof, None)
    clock.forward(86_400 + 60)
    async with book.writing() as w:
        await protecting.watch_prefixes(w)
    async with book.reading() as r:
        assert not await protection.silences(r.session, r.now)
        assert len(await r.session.scalars(select(Silence))) == 1
    assert whys(await weigh(book, asked(site, prefix="+3460012"))) == [None]


async def test_the_lenient_refuse_nothing_for_its_number(book: Book, site: int) -> None:
    counted = (Counted("address", "address:a", LENIENT.address), Counted("site", "site:s", LENIENT.site))
    many = [Asked(site, LENIENT, counted, risk=9)] * 300
    assert set(whys(await weigh(book, *many))) == {None}


async def test_windows_of_a_moved_clock_still_end(book: Book, clock: Clock, site: int) -> None:
    await weigh(book, *[asked(site)] * 5)
    clock.now -= timedelta(hours=3)
    (verdict,) = await weigh(book, asked(site))
    assert verdict.why is Why.address
    clock.now += timedelta(hours=3, minutes=10)
    assert whys(await weigh(book, asked(site))) == [None]
