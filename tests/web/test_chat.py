"""The visitor's side of a chat and of a video room, at its doors."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from router.actions import conversing, dispatch, meeting, replying
from router.book import Book
from router.model.conversations import LONGEST_TEXT, Conversation, Message, Room, Side, Signal
from router.model.leads import Intent
from router.model.tasks import Task, TaskKind, TaskState
from router.model.vault import hash_token
from router.store import rooms
from router.web.turn import Turn
from tests import making
from tests.conftest import Clock
from tests.invariants import check
from tests.web.desking import Events
from tests.web.visiting import House, visiting

TOKEN = "t" * 22


@dataclass
class Visitor:
    house: House
    session: aiohttp.ClientSession

    @property
    def link(self) -> str:
        return f"{self.house.url}/s/{TOKEN}"

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        answer = await self.session.get(self.link + path, headers=headers, allow_redirects=False)
        await answer.read()
        return answer

    async def post(self, path: str, body: Any = None, **headers: str) -> aiohttp.ClientResponse:
        sent = {"Origin": self.house.url, **headers}
        data = {"data": body} if isinstance(body, bytes | str) else {"json": body} if body is not None else {}
        answer = await self.session.post(self.link + path, headers=sent, allow_redirects=False, **data)
        await answer.read()
        return answer

    async def say(self, text: str, client_id: str, **headers: str) -> aiohttp.ClientResponse:
        return await self.post("/messages", {"text": text, "client_id": client_id}, **headers)

    async def count(self, noun: Any) -> int:
        async with self.house.book.reading() as r:
            await check(r.session)
            return (await r.session.rows(select(func.count()).select_from(noun)))[0][0]


@pytest.fixture
async def visitor(book: Book) -> AsyncIterator[Visitor]:
    async with visiting(book) as house:
        async with book.writing() as w:
            lead = await making.lead(w, house.queue, intent=Intent.chat)
            lead.site_id, lead.status_hash, lead.locale = house.site.id, hash_token(TOKEN), "en"
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield Visitor(house, session)


async def test_a_message_is_posted_once_however_often_it_is_sent(visitor: Visitor) -> None:
    answers = await asyncio.gather(*(visitor.say("Hello", "one-and-only") for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201]
    assert len({(await answer.json())["id"] for answer in answers}) == 1
    assert await visitor.count(Message) == 1
    assert await visitor.count(Task) == 1


async def test_paging_gives_what_came_after_and_nothing_twice(visitor: Visitor) -> None:
    for n in range(3):
        await visitor.say(f"message {n}", f"client-{n}")
    first = await (await visitor.get("/messages")).json()
    assert [one["text"] for one in first["messages"]] == ["message 0", "message 1", "message 2"]
    assert first["state"] == "waiting"
    again = await (await visitor.get(f"/messages?after={first['after']}")).json()
    assert (again["messages"], again["after"]) == ([], first["after"])
    part = await (await visitor.get(f"/messages?after={first['messages'][0]['id']}")).json()
    assert len(part["messages"]) == 2


async def test_looking_changes_nothing(visitor: Visitor) -> None:
    for path in ("/messages", "/chat", "/video"):
        assert (await visitor.get(path)).status == 200
    for noun in (Conversation, Message, Task, Room):
        assert await visitor.count(noun) == 0


@pytest.mark.parametrize(("body", "status"), [
    ({"text": "", "client_id": "12345678"}, 422),
    ({"text": "\u200b", "client_id": "12345678"}, 422),
    ({"text": "x" * (LONGEST_TEXT + 1), "client_id": "12345678"}, 422),
    ({"text": "x" * 30_000, "client_id": "12345678"}, 422),
    ({"text": "Hello", "client_id": "short"}, 422),
    ({"text": "Hello", "client_id": "with a space"}, 422),
    ({"text": "Hello", "client_id": "12345678", "agent_id": 1}, 422),
    ({"text": 7, "client_id": "12345678"}, 422),
    (b'{"text": "a\\u0000b", "client_id": "12345678"}', 415),
    ([], 422),
])
async def test_what_is_no_message_is_refused_in_words(visitor: Visitor, body: Any, status: int) -> None:
    answer = await visitor.post("/messages", body)
    assert answer.status == status
    assert (await answer.json())["detail"]
    assert await visitor.count(Message) == 0


async def test_hostile_text_is_kept_and_shown_as_text(visitor: Visitor) -> None:
    hostile = "<script>alert(1)</script>\u202e{{7*7}}\u200b'\"`"
    assert (await visitor.say(hostile, "hostile-1")).status == 201
    page = await (await visitor.get("/chat")).text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\u202e{{7*7}}" in page
    seen = await (await visitor.get("/messages")).json()
    assert seen["messages"][0]["text"] == hostile


async def test_only_our_pages_and_the_sites_may_write_and_they_may_read_the_answer(visitor: Visitor) -> None:
    assert (await visitor.say("Hello", "client-1", Origin="https://evil.example")).status == 403
    site = await visitor.say("Hello", "client-1", Origin=visitor.house.page)
    assert site.status == 201
    assert site.headers["Access-Control-Allow-Origin"] == visitor.house.page
    refused = await visitor.say("", "client-2", Origin=visitor.house.page)
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (422, visitor.house.page)
    foreign = await visitor.get("/messages", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_who_writes_too_much_is_told_when_to_go_on(visitor: Visitor, clock: Clock) -> None:
    answers = [(await visitor.say(f"{n}", f"client-{n:03}")).status for n in range(21)]
    assert answers == [201] * 20 + [429]
    clock.forward(61)
    assert (await visitor.say("now", "client-099")).status == 201


async def test_a_token_that_leads_nowhere_is_told_the_same_everywhere(visitor: Visitor) -> None:
    for path in ("/messages", "/chat", "/chat/stream", "/video"):
        answer = await visitor.session.get(f"{visitor.house.url}/s/{'x' * 22}{path}")
        assert answer.status == 404


async def test_the_stream_brings_answers_and_how_it_stands(visitor: Visitor) -> None:
    await visitor.say("Hello", "client-1")
    async with visitor.session.get(visitor.link + "/chat/stream") as stream:
        events = Events(stream)
        first = json.loads((await events.next() or ("", ""))[1])
        assert ([one["text"] for one in first["messages"]], first["state"]) == (["Hello"], "waiting")
        async with visitor.house.book.writing() as w:
            ana = await making.agent(w)
            await dispatch.run_round(w, 1)
            await dispatch.accept(w, 1, ana.id)
        async with visitor.house.book.writing() as w:
            await replying.say(w, 1, ana.id, "Good day")
        told: list[str] = []
        while "Good day" not in told:
            event = json.loads((await events.next() or ("", ""))[1])
            told += [one["text"] for one in event["messages"]]
        assert told == ["Good day"]
        assert (event["state"], event["agent"]) == ("talking", "Ana")


async def test_leaving_takes_the_chat_out_of_the_queue_once(visitor: Visitor) -> None:
    await visitor.say("Hello", "client-1")
    assert (await visitor.post("/chat/leave", Accept="application/json")).status == 204
    assert (await visitor.post("/chat/leave")).status == 303
    async with visitor.house.book.reading() as r:
        (task,) = await r.session.scalars(select(Task))
    assert task.state is TaskState.abandoned
    assert (await (await visitor.get("/messages")).json())["state"] == "left"


# -- video -------------------------------------------------------------------------------------------------------------


async def test_joining_claims_the_room_and_brings_the_visitor_in_line(visitor: Visitor) -> None:
    answer = await visitor.post("/video/join")
    assert answer.status == 303
    cookie = answer.cookies["hablemos-room"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", f"/s/{TOKEN}/video")
    page = await visitor.get("/video")
    assert "camera=(self)" in page.headers["Permissions-Policy"]
    assert 'id="remote"' in await page.text()
    assert "camera=()" in (await visitor.get("/chat")).headers["Permissions-Policy"]
    async with visitor.house.book.reading() as r:
        (task,) = await r.session.scalars(select(Task))
    assert (task.kind, task.state) == (TaskKind.video, TaskState.queued)
    async with aiohttp.ClientSession() as other:
        sent = {"Origin": visitor.house.url}
        second = await other.post(visitor.link + "/video/join", headers=sent, allow_redirects=False)
        assert second.status == 409
        for path in ("/video/signal", "/video/beat", "/video/away", "/video/leave"):
            assert (await other.post(visitor.link + path, headers=sent, json={})).status == 404
        assert (await other.get(visitor.link + "/video/stream")).status == 404


async def test_another_page_cannot_join_for_the_visitor(visitor: Visitor) -> None:
    assert (await visitor.post("/video/join", Origin="https://evil.example")).status == 403
    assert await visitor.count(Room) == 0


async def test_a_signal_reaches_the_other_side_only_and_only_from_now_on(visitor: Visitor) -> None:
    await visitor.post("/video/join")
    async with visitor.house.book.writing() as w:
        await meeting.signal(w, 1, Side.agent, {"kind": "hello", "peer": "old"})
    async with visitor.session.get(visitor.link + "/video/stream") as stream:
        events = Events(stream)
        assert (await events.next() or ("", ""))[0] == "room"
        async with visitor.house.book.writing() as w:
            await meeting.signal(w, 1, Side.agent, {"kind": "hello", "peer": "new"})
        assert (await visitor.post("/video/signal", {"kind": "hello", "peer": "mine"})).status == 204
        name = ""
        while name != "signal":
            name, data = await events.next() or ("", "")
        assert json.loads(data)["peer"] == "new"
        async with visitor.house.book.writing() as w:
            await replying.leave(w, 1)
        while name != "over":
            name, _ = await events.next() or ("", "")
    assert await visitor.count(Signal) == 0
    assert (await visitor.post("/video/join")).status == 409, "a room is used once"


@pytest.mark.parametrize("body", [
    {"kind": "evil", "peer": "x"}, {"kind": "offer"}, {"kind": "offer", "peer": "x" * 65},
    {"kind": "candidate", "peer": "x", "candidate": {"candidate": "y" * 3000}},
    {"kind": "hello", "peer": "x", "more": 1},
])
async def test_what_is_no_signal_is_refused(visitor: Visitor, body: Any) -> None:
    await visitor.post("/video/join")
    assert (await visitor.post("/video/signal", body)).status == 422
    assert await visitor.count(Signal) == 0


async def test_signals_expire_and_a_room_holds_only_so_many(visitor: Visitor, clock: Clock) -> None:
    await visitor.post("/video/join")
    async with visitor.house.book.writing() as w:
        room = await w.session.locked(Room, 1)
        assert room is not None
        made = [await rooms.tell(w.session, room, Side.agent, {}, w.now) for _ in range(rooms.MOST_SIGNALS + 1)]
    assert made[-1] is None
    clock.forward(121)
    async with visitor.house.book.writing() as w:
        await meeting.signal(w, 1, Side.visitor, {})
    assert await visitor.count(Signal) == 1


async def test_a_room_ends_by_itself_after_some_hours(visitor: Visitor, clock: Clock) -> None:
    await visitor.post("/video/join")
    clock.forward(4 * 3600)
    assert (await visitor.post("/video/beat")).status == 409
    assert "is over" in await (await visitor.get("/video")).text()


async def test_the_relay_gets_a_password_that_ends_by_itself(clock: Clock) -> None:
    (server,) = Turn(("turn:turn.example.com:3478",), "a shared secret").servers("visitor-7", clock.now)
    assert re.fullmatch(r"\d{10}:visitor-7", str(server["username"]))
    assert int(str(server["username"]).partition(":")[0]) == int(clock.now.timestamp()) + 6 * 3600
    assert len(str(server["credential"])) == 28


async def test_a_chat_of_a_request_with_a_first_message_shows_it(visitor: Visitor) -> None:
    async with visitor.house.book.writing() as w:
        rows = await w.session.rows(select(Conversation.id))
        assert rows == []
        await conversing.opened(w, [1])
    assert await visitor.count(Conversation) == 1
