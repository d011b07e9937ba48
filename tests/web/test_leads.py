"""The door of landing pages, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select, text

from router.actions import conversing
from router.actions.admitting import admit
from router.book import Batcher, Book
from router.live import Hub
from router.model.campaigns import Campaign
from router.model.intake import Brought, Taken
from router.model.rates import LENIENT, Limit, Limits
from router.ports import Carrier, TrustProvider
from router.store.db import make_engine
from router.web import lead_body, leads, middleware, parsing
from router.web.doors import DOORS, Doors
from router.web.server import Server
from router.wording import wording
from tests import making
from tests.conftest import Clock
from tests.invariants import check

ORIGIN = "https://luz.example"
GOOD: dict[str, Any] = {
    "site": "landing",
    "phone": "+34 600 000 001",
    "name": "Añá 😀",
    "consent": {"purposes": ["requested"], "text": "Sí, llámenme", "version": "1"},
}
TABLES = ("contacts", "leads", "receipts", "tasks", "idempotency", "facts", "deliveries")


@dataclass
class Door:
    url: str
    http: aiohttp.ClientSession
    book: Book
    doors: Doors

    async def post(self, body: Any, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.http.post(f"{self.url}/v1/leads", data=raw, headers=sent) as response:
            return response.status, json.loads(await response.read()), dict(response.headers)

    async def raw(self, request: bytes, *, breaks_off: bool = False) -> bytes:
        """Whatever bytes, on a socket of their own; the first of what came back."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            await writer.drain()
            if breaks_off:
                writer.write_eof()
            async with asyncio.timeout(10):
                return await reader.read(4096)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def rows(self) -> dict[str, int]:
        async with self.book.reading() as r:
            await check(r.session)
            return {name: (await r.session.rows(text(f"select count(*) from {name}")))[0][0] for name in TABLES}  # noqa: S608


@pytest.fixture
def behind_proxy() -> bool:
    return False


@pytest.fixture
def limits() -> Limits:
    return LENIENT


@pytest.fixture
async def door(book: Book, behind_proxy: bool, limits: Limits) -> AsyncIterator[Door]:
    async with book.writing() as w:
        await making.site(w, await making.queue(w, await making.campaign(w)), origins=[ORIGIN])
    server, intake = Server("127.0.0.1", 0), Batcher[Brought, Taken](book, admit)
    doors = Doors(
        book=book,
        hub=book.hub,
        wording=wording(),
        carrier=cast(Carrier, None),
        trust=cast(TrustProvider, None),
        intake=intake,
        public_url=server.url,
        root_certificate=b"",
        behind_proxy=behind_proxy,
        limits=limits,
    )
    app = web.Application(middlewares=[middleware.house])
    app[DOORS] = doors
    app.add_routes(leads.routes)
    app.on_response_prepare.append(middleware.set_headers)
    await server.start(app)
    writer = asyncio.create_task(intake.run())
    async with aiohttp.ClientSession() as http:
        yield Door(server.url, http, book, doors)
    await server.stop()
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


def changed(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **values}.items() if value is not None}


def consenting(*purposes: Any, **values: Any) -> dict[str, Any]:
    return changed(consent={"purposes": list(purposes), "text": "Sí", "version": "1", **values})


async def test_a_lead_is_answered_201_with_its_status_link_after_the_commit(door: Door) -> None:
    status, answer, headers = await door.post(GOOD, Origin=ORIGIN)
    assert status == 201
    assert set(answer) == {"lead", "status_url", "stream_url"}
    assert answer["status_url"].startswith(door.url + "/s/")
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Idempotent-Replayed" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (await door.rows())["leads"] == 1


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"[" * 30_000, 400, None),
        (b'{"a":' + b"9" * 5000 + b"}", 400, None),
        (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), 400, None),
        (json.dumps(GOOD).encode().replace(b"600", b"\xff\xfe"), 400, None),
        (b'{"site":NaN}', 400, None),
        (b'{"site":1e400}', 400, None),
        (b'{"site":"\\ud800"}', 400, None),
        (b'{"site":"\\u0000"}', 400, None),
        (b'{"site":"a","site":"b"}', 400, None),
        (b"", 400, None),
        (json.dumps(GOOD).encode()[:-1], 400, None),
        (b"[]", 422, ""),
        (b" " * 1_000_000, 413, None),
        (changed(phone=5), 422, "/phone"),
        (changed(unknown=1), 422, "/unknown"),
        (changed(site=None), 422, "/site"),
        (changed(site="nobody"), 422, "/site"),
        (changed(site=["landing"]), 422, "/site"),
        (changed(site="x" * 65), 422, "/site"),
        (changed(phone=None), 422, "/phone"),
        (changed(phone="1234"), 422, "/phone"),
        (changed(phone="hola"), 422, "/phone"),
        (changed(phone="+34 803 123 456"), 422, "/phone"),
        (changed(phone="+881 612 345 678"), 422, "/phone"),
        (changed(phone="+44 70 1234 5678"), 422, "/phone"),
        (changed(phone="600000001", country="es"), 422, "/country"),
        (changed(phone="600000001", country="ES\n"), 422, "/country"),
        (changed(consent=None), 422, "/consent/purposes"),
        (consenting(), 422, "/consent/purposes"),
        (consenting("commercial"), 422, "/consent/purposes"),
        (consenting("requested", "everything"), 422, "/consent/purposes/1"),
        (consenting("requested", "commercial\n"), 422, "/consent/purposes/1"),
        (consenting("requested", extra=1), 422, "/consent/extra"),
        (consenting("requested", text="x" * 2001), 422, "/consent/text"),
        (changed(intent="fax"), 422, "/intent"),
        (changed(intent="email"), 422, "/intent"),
        (changed(intent="cart"), 422, "/intent"),
        (changed(intent="call_later"), 422, "/slot"),
        (changed(intent="call_later", slot="yesterday"), 422, "/slot"),
        (changed(intent="call_later", hold="made-up"), 409, "/slot"),
        (changed(fields={"iban": "x"}), 422, "/fields/iban"),
        (changed(fields={"a~b/c": "x"}), 422, "/fields/a~0b~1c"),
        (changed(touch={"first": {"utm": "x"}}), 422, "/touch/first/utm"),
        (changed(preferred={"channel": "pigeon"}), 422, "/preferred/channel"),
        (changed(client_time="noon"), 422, "/client_time"),
        (changed(test="yes"), 422, "/test"),
        (changed(name="x" * 201), 422, "/name"),
        (changed(source={"utm_source": 1}), 422, "/source/utm_source"),
        (changed(source={"utm": "x"}), 422, "/source/utm"),
        (changed(client_request_id="short"), 422, "/client_request_id"),
        (changed(client_request_id="12345678\n"), 422, "/client_request_id"),
        (changed(client_request_id="ñandú-ñandú"), 422, "/client_request_id"),
    ],
    ids=lambda value: (str(value)[:40]).encode("ascii", "replace").decode() if not isinstance(value, int) else None,
)
async def test_bad_input_is_told_by_field_and_stores_nothing(
    door: Door, body: Any, status: int, pointer: str | None
) -> None:
    with door.book.hub.watch("dispatch") as dispatch:
        got, problem, headers = await door.post(body, Origin=ORIGIN)
        assert got == status, problem
        assert headers["Content-Type"] == "application/problem+json"
        assert headers["Access-Control-Allow-Origin"] == ORIGIN, "the page has to read why"
        assert (problem["status"], bool(problem["code"]), bool(problem["detail"])) == (status, True, True)
        assert [one["pointer"] for one in problem.get("errors", [])] == ([pointer] if pointer is not None else [])
        assert not dispatch._something.is_set()
    assert set((await door.rows()).values()) == {0}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "application/json; charset=punycode"}, 415),
        ({"Content_Type": "application/json; charset=base64"}, 415),
        ({"Content_Type": "application/json; charset=utf-16"}, 415),
        ({"Content_Type": "application/xml"}, 415),
        ({"Content_Type": "multipart/form-data"}, 415),
        ({"Content_Type": ";;;"}, 415),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Idempotency_Key": "short"}, 422),
        ({"Idempotency_Key": "x" * 129}, 422),
        ({"Idempotency_Key": "with a space"}, 422),
    ],
    ids=str,
)
async def test_bad_headers_are_told_and_store_nothing(door: Door, headers: dict[str, str], status: int) -> None:
    got, problem, _ = await door.post(GOOD, **headers)
    assert (got, problem["status"]) == (status, status)
    assert set((await door.rows()).values()) == {0}


def request(*lines: bytes, body: bytes = b"") -> bytes:
    head = [b"POST /v1/leads HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Type: application/json", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


BODY = json.dumps(GOOD).encode()


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        (request(b"Content-Encoding: gzip", b"Content-Length: 4", body=b"junk"), {400, 415}),
        (request(b"Content-Encoding: deflate", b"Content-Length: 4", body=b"\x1f\x8b\x08\x00"), {400, 415}),
        (request(b"Transfer-Encoding: chunked", body=b"ZZZ\r\nhello\r\n0\r\n\r\n"), {400}),
        (request(b"Transfer-Encoding: chunked", body=b"5\r\nhel"), {0}),
        (request(b"Content-Encoding: br", b"Content-Length: 4", body=b"junk"), {400, 415}),
        (request(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), {400}),
        (request(b"Content-Length: 99999999", body=b"x"), {413}),
        (request(b"Content-Length: 0"), {400}),
        (request(b"Content-Length: -1"), {400}),
        (
            request(
                b"Transfer-Encoding: chunked", body=b"".join(b"4000\r\n" + b" " * 0x4000 + b"\r\n" for _ in range(9))
            ),
            {413},
        ),
    ],
    ids=[
        "junk as gzip",
        "junk as deflate",
        "bad chunks",
        "broken off",
        "brotli",
        "two lengths",
        "too long by its word",
        "nothing",
        "less than nothing",
        "too long by its chunks",
    ],
)
async def test_a_body_that_lies_about_itself_is_refused(door: Door, raw: bytes, statuses: set[int]) -> None:
    answer = await door.raw(raw, breaks_off=statuses == {0})
    assert (int(answer.split()[1]) if answer else 0) in statuses, answer[:200]
    assert set((await door.rows()).values()) == {0}


async def test_headers_of_any_bytes_do_not_break_the_door(door: Door) -> None:
    length = b"Content-Length: " + str(len(BODY)).encode()
    wild = [b"User-Agent: \xff\xfe\xed\xa0\x80", b"Accept-Language: \xff, es;q=\xfe", b"Referer: \xff"]
    answer = await door.raw(request(length, *wild, body=BODY))
    assert answer.split()[1] == b"201", answer[:300]
    answer = await door.raw(request(length, b"Idempotency-Key: \xff\xff\xff\xff\xff\xff\xff\xff", body=BODY))
    assert answer.split()[1] == b"422", answer[:300]
    answer = await door.raw(request(length, b"Origin: \xff", body=BODY))
    assert answer.split()[1] in (b"400", b"403"), answer[:300]
    assert (await door.rows())["leads"] == 1


async def test_a_body_that_does_not_come_is_told_so(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "SECONDS", 0.05)
    host, port = door.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request(b"Content-Length: 100", body=b'{"site":'))
    async with asyncio.timeout(10):
        assert (await reader.readline()).split()[1] == b"408"
    writer.close()


async def test_the_same_key_gives_the_same_answer_and_says_so(door: Door) -> None:
    body = changed(client_request_id="request-0001")
    first, again = await door.post(body), await door.post(body)
    assert (first[0], first[1]) == (again[0], again[1]) == (201, first[1])
    assert again[2]["Idempotent-Replayed"] == "true"
    assert (await door.rows())["leads"] == 1
    by_header = (
        await door.post(GOOD, Idempotency_Key="request-0002"),
        await door.post(GOOD, Idempotency_Key="request-0002"),
    )
    assert by_header[0][1] == by_header[1][1]
    other = await door.post(changed(phone="+34600000002"), Idempotency_Key="request-0002")
    assert (other[0], other[1]["errors"][0]["pointer"]) == (422, "/client_request_id")
    assert "status_url" not in other[1]


async def test_a_hundred_clicks_at_once_are_one_lead(door: Door) -> None:
    body = changed(client_request_id="request-0001")
    answers = await asyncio.gather(*(door.post(body) for _ in range(100)))
    assert {answer[0] for answer in answers} == {201}
    assert len({answer[1]["status_url"] for answer in answers}) == 1
    rows = await door.rows()
    assert (rows["leads"], rows["tasks"], rows["idempotency"]) == (1, 1, 1)


async def test_the_receipt_keeps_a_region_not_a_person(door: Door) -> None:
    await door.post(GOOD, User_Agent="x" * 1000)
    async with door.book.reading() as r:
        ((address, agent),) = await r.session.rows(text("select address, user_agent from receipts"))
    assert (address, len(agent)) == ("127.0.0.0/24", 300)
    assert lead_body.kept("2001:db8:1:2:3::4", "truncated") == "2001:db8:1::/48"
    assert lead_body.kept("::ffff:192.0.2.7", "truncated") == "192.0.2.0/24"
    assert lead_body.kept("not an address", "truncated") == lead_body.kept("", "truncated") == ""


@pytest.mark.parametrize("behind_proxy", [True])
async def test_behind_a_proxy_the_receipt_keeps_the_askers_region_not_the_proxys(door: Door) -> None:
    await door.post(GOOD, X_Forwarded_For="192.0.2.7, 203.0.113.9")
    async with door.book.reading() as r:
        ((address,),) = await r.session.rows(text("select address from receipts"))
    assert address == "203.0.113.0/24"


async def test_a_refusal_is_told_in_the_askers_language_with_its_values(door: Door) -> None:
    large = b" " * (parsing.PUBLIC_BYTES + 1)
    answer = await door.post(large, Accept_Language="es-ES,es;q=0.9")
    assert (answer[0], answer[1]["detail"]) == (413, f"El contenido pasa de {parsing.PUBLIC_BYTES} bytes.")


async def test_a_browser_may_ask_before_it_posts(door: Door) -> None:
    async with door.http.options(f"{door.url}/v1/leads", headers={"Origin": ORIGIN}) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "POST"
        assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]
    for method in ("GET", "PUT", "DELETE"):
        async with door.http.request(method, f"{door.url}/v1/leads") as response:
            assert (response.status, response.content_type) == (405, "application/problem+json")
            assert "POST" in response.headers["Allow"]


async def test_too_much_waiting_is_told_and_may_be_tried_again(door: Door) -> None:
    door.doors.intake._queue = asyncio.Queue(1)
    door.doors.intake._queue.put_nowait((cast(Brought, None), asyncio.get_running_loop().create_future()))
    status, problem, headers = await door.post(GOOD)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "busy", "2")


async def test_without_a_database_it_is_503_and_afterwards_it_works_without_a_restart(
    door: Door, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = make_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", connections=1)
    engine = door.book._engine
    monkeypatch.setattr(door.book, "_engine", gone)
    status, problem, headers = await door.post(GOOD)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "busy", "2")
    monkeypatch.setattr(door.book, "_engine", engine)
    assert (await door.post(GOOD))[0] == 201
    await gone.dispose()


async def test_when_every_connection_is_cut_the_next_request_finds_a_new_one(door: Door, admin_url: str) -> None:
    assert (await door.post(GOOD))[0] == 201
    other = make_engine(str(door.book._engine.url.render_as_string(hide_password=False)), connections=1)
    async with other.connect() as connection:
        await connection.execute(
            text(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    await other.dispose()
    assert (await door.post(changed(phone="+34600000002")))[0] == 201
    assert isinstance(door.book.hub, Hub)


async def test_a_fault_of_ours_is_an_honest_500_that_says_nothing_of_its_inside(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Brought) -> Taken:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(door.doors.intake, "ask", broken)
    status, problem, _ = await door.post(GOOD)
    assert (status, problem["code"]) == (500, "internal")
    assert "secret" not in json.dumps(problem)


FORM = "application/x-www-form-urlencoded"
FORM_BODY = (
    "site=landing&phone=600+000+001&name=Ana&consent.purposes=requested&consent.purposes=commercial&consent.version=3"
    "&consent.texts.requested=Ll%C3%A1menme&consent.texts.commercial=Ofertas&source.utm_source=radio&message="
)


async def test_a_form_is_read_like_json_and_leads_to_the_status_page(door: Door) -> None:
    async with door.http.post(
        f"{door.url}/v1/leads", data=FORM_BODY, headers={"Content-Type": FORM}, allow_redirects=False
    ) as answer:
        assert answer.status == 303
        assert answer.headers["Location"].startswith(f"{door.url}/s/")
    async with door.book.reading() as r:
        receipts = await r.session.rows(text("select purposes, text, version, method from receipts order by text"))
        ((source, phone),) = await r.session.rows(
            text("select source, phone from leads join contacts on contacts.id = leads.contact_id"))
    assert sorted(receipts) == [(["commercial"], "Ofertas", "3", "form"), (["requested"], "Llámenme", "3", "form")]
    assert (source["utm_source"], phone) == ("radio", "+34600000001")


async def test_a_form_that_says_two_things_under_one_name_is_refused(door: Door) -> None:
    status, problem, _ = await door.post(FORM_BODY.encode() + b"&source=x&source.utm_term=y", Content_Type=FORM)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/source")


async def test_json_as_plain_text_needs_no_permission_of_the_browser(door: Door) -> None:
    status, answer, _ = await door.post(GOOD, Content_Type="text/plain;charset=UTF-8", Origin=ORIGIN)
    assert (status, "lead" in answer) == (201, True)


async def test_a_chat_and_a_video_need_no_number_and_join_nobody(door: Door) -> None:
    chats = [await door.post({"site": "landing", "intent": "chat", "email": "ana@example.com"}) for _ in range(2)]
    video = await door.post({"site": "landing", "intent": "video"})
    assert [one[0] for one in (*chats, video)] == [201, 201, 201]
    assert chats[0][1]["chat_url"].endswith("/chat")
    assert video[1]["video_url"].endswith("/video")
    async with door.book.reading() as r:
        tasks = await r.session.rows(text("select kind, contact_id from tasks order by id"))
    assert [kind for kind, _ in tasks] == ["chat", "chat", "video"]
    assert len({person for _, person in tasks}) == 3


async def test_a_stranger_with_my_address_and_his_number_is_another_person(door: Door) -> None:
    await door.post(changed(email="ana@example.com"))
    await door.post(changed(email="ana@example.com", name="Añá 😀", phone="+34600000002"))
    async with door.book.reading() as r:
        rows = await r.session.rows(text("select contact_id, claims->>'email' from leads"))
    assert len({contact for contact, _ in rows}) == 2
    assert {email for _, email in rows} == {"ana@example.com"}


async def test_a_whatsapp_click_is_a_lead_with_a_reference_and_no_work_yet(door: Door) -> None:
    body = {"site": "landing", "intent": "whatsapp", "client_request_id": "whatsapp-0001"}
    first, again = await door.post(body), await door.post(body)
    assert first[1]["reference"] == again[1]["reference"]
    assert len(first[1]["reference"]) == 8
    async with door.book.reading() as r:
        ((source,),) = await r.session.rows(text("select source from leads"))
    assert source["reference"] == first[1]["reference"]
    assert (await door.rows())["tasks"] == 0


async def test_a_test_lead_rings_nobody(door: Door) -> None:
    assert (await door.post(changed(test=True)))[0] == 201
    rows = await door.rows()
    assert (rows["leads"], rows["tasks"]) == (1, 0)


async def test_first_and_last_touch_and_wishes_are_kept(door: Door) -> None:
    touch = {"first": {"utm_source": "tv", "landing": "https://a/"}, "last": {"gclid": "x" * 300}}
    await door.post(changed(touch=touch, preferred={"channel": "whatsapp", "hour": "18-20"}))
    async with door.book.reading() as r:
        ((source, claims),) = await r.session.rows(text("select source, claims from leads"))
    assert (source["first"], source["last"]) == (touch["first"], touch["last"])
    assert claims["preferred"] == {"channel": "whatsapp", "hour": "18-20"}


async def test_what_looks_like_something_else_is_shown_as_what_it_is(door: Door) -> None:
    await door.post(changed(name="\u202eanA\u200b\u2066 \u05d3\u05d5\u05d3\u0007", message="one\r\ntwo\u202e"))
    async with door.book.reading() as r:
        ((claims, name),) = await r.session.rows(
            text("select claims, contacts.name from leads join contacts on contacts.id = contact_id"))
    assert name == claims["name"] == "anA \u05d3\u05d5\u05d3"
    assert claims["message"] == "one\ntwo"


async def test_answers_to_the_campaigns_questions_are_checked_and_the_secret_ones_sealed(door: Door) -> None:
    fields: list[dict[str, Any]] = [
        {"key": "iban", "kind": "iban", "secret": True, "required": True, "labels": {"es": "IBAN"}},
        {"key": "people", "kind": "number", "labels": {"es": "Personas"}},
    ]
    async with door.book.writing() as w:
        campaign = (await w.session.scalars(select(Campaign)))[0]
        campaign.fields = fields
    missing = await door.post(changed(fields={"people": "3"}))
    assert (missing[0], missing[1]["errors"][0]["pointer"]) == (422, "/fields/iban")
    assert (await door.post(changed(fields={"iban": "ES91 2100 0418 4502 0005 1332", "people": 3})))[0] == 201
    async with door.book.reading() as r:
        ((opened, secret),) = await r.session.rows(text("select fields, sealed_fields from leads"))
    assert opened == {"people": "3"}
    assert b"2100" not in secret
    assert json.loads(door.book.vault.open("fields", secret)) == {"iban": "ES9121000418450200051332"}


async def test_who_goes_on_from_a_chat_with_his_number_takes_his_thread_along(door: Door) -> None:
    chat = await door.post({"site": "landing", "intent": "chat"})
    token = chat[1]["status_url"].rpartition("/")[2]
    async with door.book.writing() as w:
        await conversing.opened(w, [chat[1]["lead"]])
    went_on = await door.post(changed(continues=token))
    nowhere = await door.post(changed(phone="+34600000009", continues="x" * 22))
    assert [went_on[0], nowhere[0]] == [201, 201]
    async with door.book.reading() as r:
        ((person, thread, source),) = await r.session.rows(text(
            "select l.contact_id, c.contact_id, l.source from leads l, conversations c where l.id = :lead"),
            {"lead": went_on[1]["lead"]})
    assert person == thread
    assert source["continues"] == chat[1]["lead"]


@pytest.mark.parametrize("limits", [replace(LENIENT, number_day=Limit(1, 86_400))])
async def test_of_many_at_once_only_who_asks_too_often_is_refused_and_so_it_goes_on(door: Door) -> None:
    async def post(number: int, key: str = "") -> int:
        again = {"client_request_id": key} if key else {}
        status, _, _ = await door.post({**GOOD, "phone": f"+3460000000{number}", **again})
        return status

    keyed = await post(0, "first-time")
    assert sorted(await asyncio.gather(*(post(number) for number in (1, 1, 2, 3, 0)))) == [201, 201, 201, 429, 429]
    assert await asyncio.gather(post(1), post(4), post(0, "first-time")) == [429, 201, 201]
    assert keyed == 201
    rows = await door.rows()
    assert (rows["leads"], rows["contacts"], rows["idempotency"]) == (5, 5, 1)
    async with door.book.reading() as r:
        used = await r.session.rows(text("select scope, used from rates where scope like 'site:%'"))
    assert [row[1] for row in used] == [5]
