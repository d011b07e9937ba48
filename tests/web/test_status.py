import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from router.book import Book
from router.model.agents import Agent
from router.model.calls import Call, CallState
from router.model.leads import Lead
from router.model.progress import Progress, progress
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.model.vault import hash_token, new_token
from router.web.places import STREAMS_PER_LEAD
from tests import making
from tests.web.visiting import House, visiting

JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html"}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Asked:
    """A lead of the landing page with its status link, its task and an agent."""

    def __init__(self, house: House, token: str, lead: Lead, task: Task, agent: Agent) -> None:
        self.url = f"{house.url}/s/{token}"
        self.book, self.lead, self.task, self.agent = house.book, lead, task, agent

    async def move(self, to: TaskState, **values: Any) -> None:
        async with self.book.writing() as w:
            assert await w.move(Task, self.task.id, to=to, **values)

    async def ring(self) -> None:
        await self.move(TaskState.reserved, agent_id=self.agent.id)

    async def call(self, state: CallState = CallState.agent_leg) -> None:
        async with self.book.writing() as w:
            w.session.add(Call(
                task_id=self.task.id, lead_id=self.lead.id, agent_id=self.agent.id, state=state, room=new_token(),
                room_ref=new_token(), created_at=w.now,
            ))
        await self.move(TaskState.connecting)


@pytest.fixture
async def asked(house: House) -> Asked:
    token = new_token()
    async with house.book.writing() as w:
        agent = await making.agent(w, "ana")
        agent.name = "Ana María Soler"
        lead = await making.lead(w, house.queue)
        lead.site_id, lead.status_hash = house.site.id, hash_token(token)
        task = await making.task(w, house.queue, lead)
    return Asked(house, token, lead, task, agent)


@asynccontextmanager
async def streaming(
    visitor: aiohttp.ClientSession, url: str, **headers: str
) -> AsyncIterator[tuple[aiohttp.ClientResponse, AsyncIterator[dict[str, Any]]]]:
    async with visitor.get(f"{url}/stream", headers=headers) as answer:
        async def events() -> AsyncIterator[dict[str, Any]]:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

        yield answer, events()


async def _next(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await anext(events)


async def test_the_visitor_reads_in_words_how_his_request_stands(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    said = []
    for step in (None, asked.ring, asked.call):
        if step:
            await step()
        said.append((await (await visitor.get(asked.url, headers=JSON)).json())["text"])
    await asked.move(TaskState.engaged)
    said.append((await (await visitor.get(asked.url, headers=JSON)).json())["text"])
    await asked.move(TaskState.wrapping)
    said.append((await (await visitor.get(asked.url, headers=JSON)).json())["text"])
    assert said == [
        "Estamos pasando su solicitud a un asesor.",
        "Suena el teléfono de Ana.",
        "Ana ha aceptado su llamada.",
        "Está hablando con Ana.",
        "Su llamada ha terminado. Gracias.",
    ]


async def test_the_visitor_is_told_which_number_calls_him(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    await asked.ring()
    await asked.call(CallState.customer_leg)
    state = await (await visitor.get(asked.url, headers=JSON)).json()
    assert state["state"] == "calling"
    assert "+34 910 00 00 00" in state["next"].replace("\u00a0", " ")


async def test_nobody_there_is_said_honestly(house: House, asked: Asked, visitor: aiohttp.ClientSession) -> None:
    async with house.book.writing() as w:
        agent = await w.session.locked(Agent, asked.agent.id)
        assert agent
        agent.heartbeat_at = None
    state = await (await visitor.get(asked.url, headers=JSON)).json()
    assert state["text"] == "Ahora mismo no hay nadie atendiendo. Guardamos su solicitud."


async def test_the_page_shows_company_number_and_what_happens_next(
    asked: Asked, visitor: aiohttp.ClientSession
) -> None:
    answer = await visitor.get(asked.url, headers=HTML)
    page = await answer.text()
    assert answer.status == 200
    assert "Luz Clara SL" in page
    assert "tel:+34910000000" in page
    assert 'http-equiv="refresh"' in page
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_page_shows_nothing_the_visitor_typed(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    await asked.ring()
    page = await (await visitor.get(asked.url, headers=HTML)).text()
    for personal in ("Carmen", "Ruiz", "600000001", "600 00", "Soler"):
        assert personal not in page


async def test_the_last_page_does_not_load_itself_again(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    await asked.ring()
    await asked.call()
    await asked.move(TaskState.closed, disposition=Disposition.no_answer)
    page = await (await visitor.get(asked.url, headers=HTML)).text()
    assert "No hemos podido localizarle." in page
    assert 'http-equiv="refresh"' not in page
    assert "data-stream" not in page


@pytest.mark.parametrize("token", ["x", "0" * 22, "a" * 3000, "%00", "%F0%9F%93%9E", "..%2F..%2Fetc", "%ED%A0%80"])
async def test_a_guessed_link_leads_nowhere(house: House, visitor: aiohttp.ClientSession, token: str) -> None:
    for tail in ("", "/stream"):
        answer = await visitor.get(f"{house.url}/s/{token}{tail}", headers=JSON)
        assert answer.status == 404
        assert (await answer.json())["detail"].startswith("This link does not lead anywhere.")


async def test_a_guessed_link_is_one_page_for_people(house: House, visitor: aiohttp.ClientSession) -> None:
    answer = await visitor.get(f"{house.url}/s/{'0' * 22}", headers={**HTML, "Accept-Language": "es"})
    assert answer.status == 404
    assert "Este enlace no lleva a ninguna parte." in await answer.text()


async def test_the_stream_begins_with_the_state_and_follows_it_to_its_end(
    asked: Asked, visitor: aiohttp.ClientSession
) -> None:
    async with streaming(visitor, asked.url) as (answer, events):
        assert answer.content_type == "text/event-stream"
        states = [(await _next(events))["state"]]
        for step in (asked.ring, asked.call):
            await step()
            states.append((await _next(events))["state"])
        await asked.move(TaskState.engaged)
        states.append((await _next(events))["state"])
        await asked.move(TaskState.wrapping)
        last = await _next(events)
        assert [*states, last["state"]] == ["waiting", "ringing", "accepted", "talking", "finished"]
        assert last["final"] is True
        with pytest.raises(StopAsyncIteration):
            await _next(events)


async def test_a_missed_ring_is_told_and_the_wait_goes_on(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    await asked.ring()
    async with streaming(visitor, asked.url) as (_, events):
        assert (await _next(events))["state"] == "ringing"
        await asked.move(TaskState.queued, agent_id=None)
        assert (await _next(events))["state"] == "waiting"


async def test_the_pages_stream_sends_the_pages_own_partial(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    await asked.ring()
    async with visitor.get(f"{asked.url}/stream?as=html") as answer:
        lines = [(await answer.content.readline()).decode() for _ in range(4)]
    assert lines[1].startswith("data: <div class=")
    assert (await (await visitor.get(asked.url, headers=HTML)).text()).count('data-state="ringing"') == 1


async def test_who_asked_twice_sees_the_call_he_already_waits_for(
    house: House, asked: Asked, visitor: aiohttp.ClientSession
) -> None:
    token = new_token()
    async with house.book.writing() as w:
        w.session.add(Lead(
            campaign_id=asked.lead.campaign_id, site_id=house.site.id, contact_id=asked.lead.contact_id,
            intent=asked.lead.intent, claims={}, source={}, locale="en", status_hash=hash_token(token),
            created_at=w.now, attached_to=asked.lead.id,
        ))
    async with streaming(visitor, f"{house.url}/s/{token}") as (_, events):
        assert (await _next(events))["state"] == "waiting"
        await asked.ring()
        assert (await _next(events))["text"] == "Ana\u2019s phone is ringing."


async def test_a_nurture_task_in_the_queue_is_not_the_visitors_wait(
    house: House, asked: Asked, visitor: aiohttp.ClientSession
) -> None:
    await asked.ring()
    await asked.call()
    await asked.move(TaskState.closed, disposition=Disposition.quote_sent)
    async with house.book.writing() as w:
        await making.task(w, house.queue, asked.lead, kind=TaskKind.nurture)
    state = await (await visitor.get(asked.url, headers=JSON)).json()
    assert state["state"] == "finished"


async def test_only_the_sites_own_pages_read_the_stream(
    house: House, asked: Asked, visitor: aiohttp.ClientSession
) -> None:
    async with streaming(visitor, asked.url, Origin=house.page) as (ours, _):
        assert ours.headers["Access-Control-Allow-Origin"] == house.page
    async with streaming(visitor, asked.url, Origin="https://evil.example") as (foreign, _):
        assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_a_link_followed_in_too_many_places_is_refused(asked: Asked, visitor: aiohttp.ClientSession) -> None:
    streams = [await visitor.get(f"{asked.url}/stream") for _ in range(STREAMS_PER_LEAD)]
    refused = await visitor.get(f"{asked.url}/stream", headers=JSON)
    assert [one.status for one in streams] == [200] * STREAMS_PER_LEAD
    assert refused.status == 429
    for one in streams:
        one.close()


async def test_a_browser_that_saw_the_last_state_is_told_not_to_come_back(
    asked: Asked, visitor: aiohttp.ClientSession
) -> None:
    await asked.move(TaskState.withdrawn)
    first = await visitor.get(f"{asked.url}/stream")
    line = (await first.content.readline()).decode()
    again = await visitor.get(f"{asked.url}/stream", headers={"Last-Event-ID": line.removeprefix("id: ").strip()})
    assert again.status == 204


async def test_streams_end_when_the_process_stops(house: House, asked: Asked, visitor: aiohttp.ClientSession) -> None:
    async with streaming(visitor, asked.url) as (_, events):
        await _next(events)
        house.book.hub.close()
        with pytest.raises(StopAsyncIteration):
            await _next(events)


@pytest.mark.parametrize("task", list(TaskState))
def test_every_state_of_a_task_can_be_told(task: TaskState) -> None:
    told = {progress(task, call, outcome) for call in (None, *CallState) for outcome in (None, *Disposition)}
    assert told
    assert all(one.final for one in told) or not any(one.final for one in told)
    assert progress(None, None, None) is Progress.waiting
