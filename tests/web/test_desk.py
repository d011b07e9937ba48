import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from router.actions import calling, dispatch, meeting, presence, replying, wrapping
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.calls import Leg
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.conversations import Side
from router.model.errors import Invalid
from router.model.money import Line, Period
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import TIER_HOT, Disposition, Reservation, Task, TaskKind, TaskState
from router.model.vault import hash_token, new_token
from router.ports import LegMoved, LegStage
from router.store import screens
from router.web import desk
from router.web.quote_form import read_lines
from tests import making
from tests.conftest import Clock
from tests.web.desking import Browser, House, browsing, ring, working

HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}"


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en")


@pytest.fixture
async def browser(house: House, ana: Agent) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def test_a_ring_shows_who_from_where_and_how_long(house: House, browser: Browser, ana: Agent) -> None:
    held = await ring(house, ana)
    _, page = await browser.get("/desk")
    assert "Carmen Ruiz" in page
    assert f"/desk/reservations/{held.id}/accept" in page
    assert 'data-since="2026-11-23T12:00:00+00:00"' in page
    assert 'data-until="2026-11-23T12:00:20+00:00"' in page


async def test_a_hostile_name_is_shown_and_not_obeyed(house: House, browser: Browser, ana: Agent) -> None:
    await ring(house, ana, HOSTILE)
    _, page = await browser.get("/desk")
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "{{7*7}}" in page


async def test_accepting_answers_with_the_desk_as_it_is_then(house: House, browser: Browser, ana: Agent) -> None:
    held = await ring(house, ana)
    status, answer = await browser.post(f"/desk/reservations/{held.id}/accept")
    assert status == 200
    assert "Your telephone rings" in answer
    assert answer.count("<hx-partial ") == len(desk.REGIONS)


async def test_a_second_accept_is_told_in_words(house: House, browser: Browser, ana: Agent) -> None:
    held = await ring(house, ana)
    await browser.post(f"/desk/reservations/{held.id}/accept")
    status, answer = await browser.post(f"/desk/reservations/{held.id}/accept")
    assert status == 409
    assert "already answered" in answer


async def test_a_ring_of_another_agent_cannot_be_answered(house: House, browser: Browser, ana: Agent) -> None:
    held = await ring(house, await house.agent("bea"))
    assert (await browser.post(f"/desk/reservations/{held.id}/accept"))[0] == 409
    assert (await browser.post("/desk/reservations/9999999999999999999/accept"))[0] == 404


async def test_a_rejected_ring_leaves_the_desk(house: House, browser: Browser, ana: Agent) -> None:
    held = await ring(house, ana)
    status, answer = await browser.post(f"/desk/reservations/{held.id}/reject")
    assert status == 200
    assert "Carmen Ruiz" not in answer


async def test_the_agent_says_what_he_wants(house: House, browser: Browser, ana: Agent) -> None:
    assert (await browser.post("/desk/state", {"wish": "paused"}))[0] == 200
    assert (await browser.post("/desk/state", {"wish": "asleep"}))[0] == 422
    async with house.book.reading() as r:
        found = await r.session.get(Agent, ana.id)
    assert found is not None
    assert found.wish is Wish.paused


async def test_the_outcome_ends_the_wrap_up(house: House, browser: Browser, ana: Agent) -> None:
    held = await ring(house, ana)
    async with house.book.writing() as w:
        for state in (TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            await w.move(Task, held.task_id, state)
    status, _ = await browser.post(f"/desk/tasks/{held.task_id}/dispose", {"disposition": "not_interested"})
    assert status == 200
    async with house.book.reading() as r:
        task = await r.session.get(Task, held.task_id)
    assert task is not None
    assert task.disposition is Disposition.not_interested
    assert (await browser.post(f"/desk/tasks/{held.task_id}/dispose", {"disposition": "sold"}))[0] == 409


async def test_the_quote_form_looks_the_same_from_the_first_second_of_the_call_to_the_wrap_up(
    house: House, browser: Browser, ana: Agent
) -> None:
    held = await ring(house, ana)
    versions = []
    for state in (TaskState.connecting, TaskState.engaged, TaskState.wrapping):
        async with house.book.writing() as w:
            await w.move(Task, held.task_id, state)
        _, page = await browser.get("/desk")
        versions.append(re.search(r'id="offer" data-version="(\w+)"', page)[1])  # type: ignore[index]
    assert len(set(versions)) == 1


async def test_the_way_to_the_signature_is_shown_without_link_or_code(
    house: House, browser: Browser, ana: Agent
) -> None:
    held = await ring(house, ana)
    link = new_token()
    async with house.book.writing() as w:
        task = await w.move(Task, held.task_id, TaskState.connecting)
        assert task is not None
        quote = Quote(
            campaign_id=task.campaign_id, contact_id=task.contact_id, lead_id=task.lead_id, agent_id=ana.id,
            number="2026-0007", state=QuoteState.opened, locale="es", currency="EUR", lines=[], total_once=4990,
            total_month=0, valid_until=w.now, created_at=w.now, sent_at=w.now,
        )
        w.session.add(quote)
        await w.session.flush()
        w.session.add(Signing(
            quote_id=quote.id, campaign_id=task.campaign_id, contact_id=task.contact_id, lead_id=task.lead_id,
            state=SigningState.code_sent, phone="+12025550101", link_hash=hash_token(link), expires_at=w.now,
            created_at=w.now, codes_sent=1,
        ))
    _, page = await browser.get("/desk")
    steps = page[page.index('class="steps"'):page.index("</ol>", page.index('class="steps"'))]
    assert steps.count('class="past"') == 4
    assert 'aria-current="step"' in steps[steps.index("Opened"):steps.index("Code sent")]
    assert link not in page


async def test_a_partial_holds_no_secret_and_reads_the_same_a_moment_later(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    held = await ring(house, ana)
    await browser.post(f"/desk/reservations/{held.id}/accept")
    _, first = await browser.post("/desk/state", {"wish": "ready"})
    clock.forward(7)
    _, second = await browser.post("/desk/state", {"wish": "ready"})
    assert first == second
    assert browser.csrf not in first
    assert browser.cookie not in first


async def test_the_desk_may_show_the_telephone_and_nothing_else(book: Book) -> None:
    async with working(book, softphone="http://127.0.0.1:8081") as house, browsing(house) as browser:
        await house.agent()
        await browser.sign_in()
        async with browser._session.get(f"{house.url}/desk") as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert 'src="http://127.0.0.1:8081/phones/client:ana"' in page
    assert policy.endswith("frame-src http://127.0.0.1:8081")
    assert "frame-ancestors 'none'" in policy


async def test_why_nothing_rings_is_said(house: House, ana: Agent, clock: Clock) -> None:
    async def why() -> str:
        async with house.book.reading() as r:
            return (await screens.desk(r.session, ana.id, r.now)).why_idle

    assert await why() == "nobody"
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        await making.task(w, house.queue, lead, skills=["italian"])
    assert await why() == "others"
    async with house.book.writing() as w:
        await making.task(w, house.queue, await making.lead(w, house.queue, "+12025550102"))
    assert await why() == "matching"
    clock.forward(60)
    assert await why() == "unreachable"


def _fields(**changed: str) -> dict[str, str]:
    typed = {"label.0": "Panel", "quantity.0": "2", "unit_minor.0": "49,90", "tax_bp.0": "21", "period.0": "once"}
    return {**typed, **changed}


def test_a_quote_is_read_as_people_write_it() -> None:
    assert read_lines(_fields()) == [Line("Panel", 2, 4990, 2100)]
    assert read_lines(_fields(**{"unit_minor.0": "-10.5", "period.0": "month"})) == [
        Line("Panel", 2, -1050, 2100, Period.month)
    ]


@pytest.mark.parametrize(
    ("name", "written"),
    [("label.0", " "), ("quantity.0", "two"), ("quantity.0", "1.5"), ("unit_minor.0", "NaN"),
     ("unit_minor.0", "1e9999"), ("unit_minor.0", "1.234,50"), ("unit_minor.0", "0,001"), ("unit_minor.0", ""),
     ("tax_bp.0", "-"),
     ("period.0", "week"), ("quantity.0", "\N{ARABIC-INDIC DIGIT ONE}"), ("unit_minor.0", "Infinity")],
)
def test_what_is_no_quote_is_refused_by_the_name_of_its_field(name: str, written: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_lines(_fields(**{name: written}))
    assert refused.value.pointer == f"/lines/0/{name[:-2]}"


async def test_who_holds_several_tasks_chooses_which_one_he_sees_and_a_ring_comes_first(
    house: House, browser: Browser, ana: Agent
) -> None:
    async with house.book.writing() as w:
        locked = await w.session.locked(Agent, ana.id)
        assert locked is not None
        locked.chat_capacity = 3
        await w.session.flush()
        chats = []
        for n, name in enumerate(("First One", "Second One")):
            lead = await making.lead(w, house.queue, f"+1202555070{n}")
            contact = await w.session.locked(Contact, lead.contact_id)
            assert contact is not None
            contact.name = name
            chats.append(await making.task(w, house.queue, lead, kind=TaskKind.chat))
    for chat in chats:
        async with house.book.writing() as w:
            await dispatch.run_round(w, 1)
        async with house.book.writing() as w:
            (held,) = await w.session.scalars(select(Reservation).where(Reservation.task_id == chat.id))
            await dispatch.accept(w, held.id, ana.id)
    _, page = await browser.get("/desk")
    assert '<h1 class="name">First One</h1>' in page
    assert "Also with me" in page
    status, page = await browser.post(f"/desk/tasks/{chats[1].id}/focus")
    assert (status, '<h1 class="name">Second One</h1>' in page, "First One" in page) == (200, True, True)
    async with house.book.writing() as w:
        call = await making.task(w, house.queue, await making.lead(w, house.queue, "+12025550709"))
        await dispatch.run_round(w, 1)
    _, page = await browser.get("/desk")
    assert 'data-ring="' in page
    assert (await browser.post(f"/desk/tasks/{call.id + 1}/focus"))[0] == 409


async def test_a_chat_is_handed_on_from_the_desk(house: House, browser: Browser, ana: Agent) -> None:
    async with house.book.writing() as w:
        eva = await making.agent(w, "eva")
        chat = await making.task(w, house.queue, await making.lead(w, house.queue), kind=TaskKind.chat)
        locked = await w.session.locked(Agent, eva.id)
        assert locked is not None
        locked.wish = Wish.paused
        await w.session.flush()
        await dispatch.run_round(w, 1)
        (held,) = await w.session.scalars(select(Reservation).where(Reservation.task_id == chat.id))
        await dispatch.accept(w, held.id, ana.id)
        locked.wish, locked.idle_since = Wish.ready, w.now
    _, page = await browser.get("/desk")
    assert f'id="to-agent-{eva.id}"' in page
    assert f'id="to-queue-{house.queue.id}"' in page
    for wrong in ({}, {"agent": "x"}, {"queue": "9" * 25}, {"queue": "²"}):
        assert (await browser.post(f"/desk/tasks/{chat.id}/transfer", wrong))[0] == 409
    assert (await browser.post(f"/desk/tasks/{chat.id}/transfer", {"agent": str(eva.id)}))[0] == 200
    assert (await browser.post(f"/desk/tasks/{chat.id}/transfer", {"agent": str(eva.id)}))[0] == 409
    async with house.book.reading() as r:
        task = await r.session.get(Task, chat.id)
    assert task is not None
    assert (task.state, task.prefers) == (TaskState.queued, eva.id)


async def test_what_may_be_picked_is_listed_and_taken_with_one_click(
    house: House, browser: Browser, ana: Agent
) -> None:
    async with house.book.writing() as w:
        queue = await w.session.locked(Queue, house.queue.id)
        assert queue is not None
        queue.pull = True
        chat = await making.task(w, house.queue, await making.lead(w, house.queue), kind=TaskKind.chat)
    _, page = await browser.get("/desk")
    assert f'id="pick-{chat.id}"' in page
    assert "1 waits to be picked." in page
    status, page = await browser.post(f"/desk/tasks/{chat.id}/pick")
    assert (status, "In a chat" in page) == (200, True)
    assert (await browser.post(f"/desk/tasks/{chat.id}/pick"))[0] == 409


async def test_who_may_not_be_called_when_he_is_picked_leaves_the_list(
    house: House, browser: Browser, ana: Agent
) -> None:
    async with house.book.writing() as w:
        vouched(await w.session.locked(Queue, house.queue.id)).pull = True
        vouched(await w.session.locked(Campaign, house.queue.campaign_id)).rule_pack = "standard"
        quiet = await making.task(
            w, house.queue, await making.lead(w, house.queue), kind=TaskKind.nurture, tier=TIER_HOT
        )
    assert f'id="pick-{quiet.id}"' in (await browser.get("/desk"))[1]
    status, answer = await browser.post(f"/desk/tasks/{quiet.id}/pick")
    assert (status, "may not be called now" in answer) == (409, True)
    assert f'id="pick-{quiet.id}"' not in (await browser.get("/desk"))[1]
    async with house.book.reading() as r:
        task = vouched(await r.session.get(Task, quiet.id))
    assert (task.state in (TaskState.scheduled, TaskState.withdrawn), task.agent_id) == (True, None)


async def test_who_accepts_a_video_call_whose_visitor_has_left_reads_so(
    house: House, browser: Browser, ana: Agent
) -> None:
    async with house.book.writing() as w:
        talk = await making.task(w, house.queue, await making.lead(w, house.queue), kind=TaskKind.video)
        await meeting.join(w, talk, "a browser")
        await dispatch.run_round(w, 1)
        await meeting.left(w, 1, Side.visitor)
    status, told = await browser.post("/desk/reservations/1/accept")
    assert (status, "The person has left meanwhile." in told) == (409, True)
    _, page = await browser.get("/desk")
    assert 'data-ring="' not in page


async def test_a_colleague_is_asked_from_the_desk_and_only_by_telephone(
    house: House, browser: Browser, ana: Agent
) -> None:
    async with house.book.writing() as w:
        chat = await making.task(w, house.queue, await making.lead(w, house.queue), kind=TaskKind.chat)
        await dispatch.run_round(w, 1)
        await dispatch.accept(w, 1, ana.id)
        eva = await making.agent(w, "eva")
    _, page = await browser.get("/desk")
    assert "You can ask a colleague first only in a telephone call." in page
    assert 'id="ask-first"' not in page
    for path in ("calls/1/consult", "calls/1/complete", "calls/1/takeback", "consultations/1/leave"):
        assert (await browser.post(f"/desk/{path}", {"agent": str(eva.id)}))[0] == 409
        assert (await browser.post(f"/desk/{path}", {"agent": str(eva.id)}, **{"X-CSRF": "another"}))[0] == 403
    async with house.book.writing() as w:
        await replying.finish(w, chat.id, ana.id)
        await wrapping.dispose(w, chat.id, ana.id, Disposition.sold)
        call = await making.task(w, house.queue, await making.lead(w, house.queue, "+12025550102"))
        await presence.set_wish(w, eva.id, Wish.paused)
        await dispatch.run_round(w, 1)
        (held,) = await w.session.scalars(select(Reservation).where(Reservation.task_id == call.id))
        made = await dispatch.accept(w, held.id, ana.id)
        assert made is not None
        await presence.set_wish(w, eva.id, Wish.ready)
    for role in ("agent", "customer"):
        async with house.book.writing() as w:
            (leg,) = await w.session.scalars(select(Leg).where(Leg.role == role))
            await calling.on_event(w, LegMoved(leg.ref, f"id-{role}", LegStage.answered))
    _, page = await browser.get("/desk")
    assert f'id="ask-{eva.id}"' in page
    for wrong in ({}, {"agent": "x"}, {"agent": str(ana.id)}, {"agent": "9" * 25}):
        assert (await browser.post(f"/desk/calls/{made.id}/consult", wrong))[0] == 409
    status, page = await browser.post(f"/desk/calls/{made.id}/consult", {"agent": str(eva.id)})
    assert (status, 'id="takeback"' in page, 'id="hangup"' in page) == (200, True, False)
    assert (await browser.post(f"/desk/calls/{made.id}/hold", {"on": "0"}))[0] == 409
    status, page = await browser.post(f"/desk/calls/{made.id}/takeback")
    assert (status, 'id="hangup"' in page) == (200, True)
