"""A public door under its protection, over real HTTP: what is let through, what is refused, and what is said."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select, update

from router.actions import protecting
from router.book import Batcher, Book
from router.model.campaigns import Campaign, Queue, Site
from router.model.errors import Forbidden
from router.model.intake import Brought, Taken
from router.model.proofs import solve
from router.model.protection import Asked, Verdict
from router.model.rates import LENIENT, STRICT, Limit, Limits, Rate
from router.ports import Carrier, TrustProvider
from router.store import refusals
from router.web import middleware
from router.web.doors import DOORS, Doors, doors
from router.web.parsing import read_json
from router.web.protection import Posted, count_refusal, issue, protect
from router.web.server import Server
from router.wording import wording
from tests import making
from tests.conftest import Clock

ORIGIN = "https://luz.example"
PHONE = "+34600000001"


async def knock(request: web.Request) -> web.Response:
    """A door that does nothing but be protected."""
    landing = await doors(request).landings.by_key("landing")
    assert landing is not None
    body = await read_json(request)
    if body.pop("foreign", False):
        error = Forbidden("This page may not post leads here.")
        await count_refusal(request, landing, error)
        raise error
    await protect(request, landing, Posted(**body))
    return web.json_response({"in": True}, status=201)


@dataclass
class Door:
    url: str
    http: aiohttp.ClientSession
    doors: Doors
    clock: Clock

    async def knock(self, *, ip: str = "203.0.113.9", **posted: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        headers = {name.replace("_", "-"): posted.pop(name) for name in list(posted) if name[0].isupper()}
        sent = {"Content-Type": "application/json", "Origin": ORIGIN, "X-Forwarded-For": f"10.9.9.9, {ip}", **headers}
        sent = {name: value for name, value in sent.items() if value}
        async with self.http.post(f"{self.url}/v1/leads", data=json.dumps(posted), headers=sent) as answer:
            return answer.status, json.loads(await answer.read()), dict(answer.headers)

    async def ok(self, **posted: Any) -> int:
        return (await self.knock(**posted))[0]

    def token(self) -> str:
        """A form token whose form has been looked at for a while."""
        token = str(issue(self.doors, "landing")["form_token"])
        self.clock.forward(5)
        return token

    async def counts(self) -> dict[str, int]:
        async with self.doors.book.reading() as r:
            return (await refusals.last_day(r.session, r.now)).get(1, {})

    async def site(self, **values: Any) -> None:
        async with self.doors.book.writing() as w:
            await w.session.execute(update(Site).values(**values))
        self.doors.landings._known.clear()


@asynccontextmanager
async def opened(
    book: Book, clock: Clock, limits: Limits = STRICT, *, proxy: bool = True, batched: bool = True
) -> AsyncIterator[Door]:
    keeper = Batcher[Asked, Verdict](book, protecting.weigh) if batched else None
    server = Server("127.0.0.1", 0)
    made = Doors(
        book=book, hub=book.hub, wording=wording(), carrier=cast(Carrier, None), trust=cast(TrustProvider, None),
        intake=cast(Batcher[Brought, Taken | Verdict], None), public_url=server.url, root_certificate=b"",
        behind_proxy=proxy, limits=limits, gatekeeper=keeper, clock=clock,
    )
    app = web.Application(middlewares=[middleware.house])
    app[DOORS] = made
    app.router.add_post("/v1/leads", knock)
    app.on_response_prepare.append(middleware.set_headers)
    await server.start(app)
    loop = asyncio.create_task(keeper.run()) if keeper else None
    async with aiohttp.ClientSession() as http:
        yield Door(server.url, http, made, clock)
    await server.stop()
    if loop is not None:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


@pytest.fixture
async def door(book: Book, clock: Clock) -> AsyncIterator[Door]:
    async with book.writing() as w:
        campaign = await making.campaign(w, countries=[])
        await making.site(w, await making.queue(w, campaign), origins=[ORIGIN])
    async with opened(book, clock) as door:
        yield door


async def test_a_visitor_with_a_form_is_let_through_without_any_sum(door: Door) -> None:
    status, answer, _ = await door.knock(phone=PHONE, form_token=door.token())
    assert (status, answer) == (201, {"in": True})
    assert await door.counts() == {}


async def test_a_plain_program_is_let_through_as_long_as_nothing_speaks_against_it(door: Door) -> None:
    assert await door.ok(phone=PHONE, Origin="") == 201
    assert await door.ok(phone="+34600110002", Origin="") == 201
    status, problem, headers = await door.knock(phone="+34600220003", Origin="")
    assert (status, problem["code"]) == (403, "proof-needed")
    assert "+34 910 00 00 00" in problem["detail"]
    assert set(problem["proof"]) == {"challenge", "bits", "expires_in"}
    assert "Retry-After" not in headers
    proof = solve(problem["proof"]["challenge"], problem["proof"]["bits"])
    door.clock.forward(2)
    again = {"phone": "+34600220003", "Origin": "", "form_token": problem["form_token"], "proof": proof}
    assert await door.ok(**again) == 201
    assert await door.ok(**{**again, "phone": "+34600330004", "form_token": ""}) == 403, "a proof is good once"
    assert await door.counts() == {"proof": 2}


async def test_a_challenge_given_with_the_page_may_be_solved_ahead(door: Door) -> None:
    given = issue(door.doors, "landing")
    assert given["proof"]["bits"] == STRICT.first_bits
    proof = solve(given["proof"]["challenge"], given["proof"]["bits"])
    for number in range(2):
        assert await door.ok(phone=f"+346001{number}0000") == 201
    assert await door.ok(phone="+34600990000") == 403
    assert await door.ok(phone="+34600990000", proof=proof) == 201


async def test_a_closed_page_says_which_number_to_call(door: Door) -> None:
    await door.site(closed=True)
    status, problem, _ = await door.knock(phone=PHONE, Accept_Language="es")
    assert (status, problem["code"]) == (403, "closed")
    assert "+34 910 00 00 00" in problem["detail"]
    assert problem["language"] == "es"
    assert await door.counts() == {"closed": 1}


async def test_a_filled_hidden_field_and_every_rate_are_refused_with_the_same_words(door: Door) -> None:
    token = door.token()
    trap = await door.knock(phone=PHONE, website="https://buy.example", form_token=token)
    for number in range(5):
        assert await door.ok(phone=f"+3460{number}110000", form_token=token) == 201
    full = await door.knock(phone="+34609110000", form_token=token)
    assert (trap[0], full[0]) == (429, 429)
    assert trap[1] == full[1], "a program learns nothing from how it was found out"
    assert trap[2]["Retry-After"] == full[2]["Retry-After"] == "600"
    assert await door.counts() == {"honeypot": 1, "address": 1}


async def test_a_number_that_is_known_is_answered_like_any_other(door: Door) -> None:
    async with door.doors.book.writing() as w:
        queue = (await w.session.scalars(select(Queue)))[0]
        await making.lead(w, queue, PHONE)
    token = door.token()
    known = [await door.knock(phone=PHONE, form_token=token, ip="198.51.100.1") for _ in range(3)]
    other = [await door.knock(phone="+34611000001", form_token=token, ip="192.0.2.1") for _ in range(3)]
    assert [answer[:2] for answer in known] == [answer[:2] for answer in other]
    assert [answer[0] for answer in known] == [201, 201, 429]


async def test_a_number_is_taken_twice_an_hour_from_wherever_it_is_posted(door: Door) -> None:
    token = door.token()
    found = [await door.ok(phone=PHONE, form_token=token, ip=f"198.51.{place}.1") for place in range(4)]
    assert found == [201, 201, 429, 429]
    assert await door.counts() == {"number": 2}


async def test_numbers_alike_are_taken_ten_times_an_hour_and_asked_for_proofs_before(door: Door) -> None:
    token, found = door.token(), []
    for place in range(14):
        posted = {"phone": f"+346000200{place:02d}", "form_token": token, "ip": f"198.51.{place}.1"}
        status, problem, _ = await door.knock(**posted)
        if problem.get("code") == "proof-needed":
            proof = solve(problem["proof"]["challenge"], problem["proof"]["bits"])
            status, problem, _ = await door.knock(**posted, proof=proof)
        found.append(status)
    assert found == [201] * 10 + [429] * 4
    assert (await door.counts())["prefix"] == 4


async def test_neighbours_in_ipv6_and_ipv4_in_ipv6s_clothes_are_one_network(door: Door) -> None:
    token = door.token()
    for place in range(5):
        assert await door.ok(phone=f"+3461{place}000000", form_token=token, ip=f"2001:db8:1:2::{place + 1}") == 201
    assert await door.ok(phone="+34619000000", form_token=token, ip="2001:db8:1:2:ffff::1") == 429
    assert await door.ok(phone="+34619000000", form_token=token, ip="2001:db8:1:3::1") == 201
    for place in range(5):
        ip = f"198.51.100.{place}" if place % 2 else f"::ffff:198.51.100.{place}"
        assert await door.ok(phone=f"+3462{place}000000", form_token=token, ip=ip) == 201
    assert await door.ok(phone="+34629000000", form_token=token, ip="::ffff:198.51.100.77") == 429


async def test_without_a_proxy_what_the_visitor_writes_about_his_address_does_not_count(
    door: Door, book: Book, clock: Clock
) -> None:
    async with opened(book, clock, proxy=False) as bare:
        token = bare.token()
        found = [await bare.ok(phone=f"+3463{place}000000", form_token=token, ip=f"192.0.{place}.1")
                 for place in range(6)]
    assert found == [201] * 5 + [429]


async def test_behind_a_proxy_only_the_last_hop_counts(door: Door) -> None:
    token = door.token()
    found = []
    for place in range(6):
        forged = {"X_Forwarded_For": f"192.0.{place}.1, 203.0.113.200"}
        found.append(await door.ok(phone=f"+3463{place}000000", form_token=token, **forged))
    assert found == [201] * 5 + [429]


@pytest.mark.parametrize(
    ("phone", "code"),
    [("+33612345678", "country"), ("+12025550142", "country"), ("+447012345678", "number_type"),
     ("+34803123456", "number_type"), ("803 123 456", "number_type"), ("+881612345678", "number_type"),
     ("1234", ""), ("hola", "")],
)
async def test_numbers_of_other_countries_and_kinds_are_refused_by_field(door: Door, phone: str, code: str) -> None:
    status, problem, _ = await door.knock(phone=phone, form_token=door.token())
    assert status == 422
    assert problem["errors"][0]["pointer"] == "/phone"
    if not code:
        assert (problem["code"], await door.counts()) == ("invalid", {}), "a slip of the pen is no refusal"
        return
    assert problem["code"] == "number-refused"
    assert "+34 910 00 00 00" in problem["detail"].replace("\u00a0", " ")
    assert await door.counts() == {code: 1}


async def test_a_campaign_may_take_numbers_of_several_countries(door: Door) -> None:
    async with door.doors.book.writing() as w:
        await w.session.execute(update(Campaign).values(countries=["FR", "PT"]))
    token = door.token()
    assert await door.ok(phone="+33612345678", form_token=token) == 201
    assert await door.ok(phone="0612345678", country="FR", form_token=token, ip="192.0.2.1") == 201
    assert await door.ok(phone=PHONE, form_token=token) == 422, "its own country is not in its list"


async def test_too_quick_is_told_when_to_press_again_and_nothing_is_used_up(door: Door) -> None:
    token = str(issue(door.doors, "landing")["form_token"])
    status, problem, headers = await door.knock(phone=PHONE, form_token=token)
    assert (status, problem["code"], headers["Retry-After"]) == (429, "too-many", "2")
    door.clock.forward(2)
    assert await door.ok(phone=PHONE, form_token=token) == 201


async def test_an_old_or_forged_form_is_not_the_visitors_end(door: Door) -> None:
    token = door.token()
    door.clock.forward(3 * 3_600)
    assert await door.ok(phone=PHONE, form_token=token) == 201, "a page left open over lunch"
    status, problem, _ = await door.knock(phone="+34610000000", form_token=token[:-1] + "!", ip="192.0.2.1")
    assert (status, problem["code"]) == (403, "proof-needed")


async def test_the_same_request_again_is_let_through_and_counted_once(door: Door) -> None:
    posted = {"phone": PHONE, "form_token": door.token(), "key": "request-0001"}
    answers = await asyncio.gather(*(door.ok(**posted) for _ in range(30)))
    assert answers == [201] * 30
    async with door.doors.book.reading() as r:
        used = {rate.scope.partition(":")[0]: rate.used for rate in await r.session.scalars(select(Rate))}
    assert used == {"address": 1, "number_hour": 1, "number_day": 1, "prefix": 1, "site": 1, "key": 1}
    assert await door.ok(**{**posted, "phone": "+34611000000"}) == 201, "another number under the key counts anew"


async def test_no_number_and_no_address_stands_in_the_counts(door: Door) -> None:
    await door.ok(phone=PHONE, form_token=door.token())
    async with door.doors.book.reading() as r:
        scopes = " ".join(await r.session.scalars(select(Rate.scope)))
    assert PHONE not in scopes
    assert "600000001" not in scopes
    assert "203.0.113" not in scopes


async def test_a_foreign_page_is_refused_and_counted_wherever_it_is_found_out(door: Door) -> None:
    assert await door.ok(phone=PHONE, Origin="https://evil.example") == 403
    assert await door.ok(phone=PHONE, Origin="null") == 403
    assert await door.ok(phone=PHONE, foreign=True) == 403
    assert await door.counts() == {"origin": 3}
    assert await door.ok(phone=PHONE, Origin=door.url, form_token=door.token()) == 201, "our own form"


async def test_a_page_overrun_by_the_world_is_refused_for_a_while(book: Book, clock: Clock, door: Door) -> None:
    limits = replace(LENIENT, site=Limit(3, 600))
    async with opened(book, clock, limits, batched=False) as narrow:
        found = [await narrow.ok(phone=f"+3463{place}000000", ip=f"192.0.{place}.1") for place in range(4)]
        status, problem, _ = await narrow.knock(phone=PHONE)
    assert found == [201, 201, 201, 429]
    assert (status, problem["code"]) == (429, "too-many")
    assert await door.counts() == {"site": 2}


async def test_a_page_whose_budget_is_spent_says_when_it_may_call_again(door: Door) -> None:
    await door.site(hourly_spend_cap=9)
    status, problem, headers = await door.knock(phone=PHONE, form_token=door.token())
    assert (status, problem["code"]) == (429, "spend-cap")
    assert "+34 910 00 00 00" in problem["detail"]
    assert 3_500 < int(headers["Retry-After"]) <= 3_601
    assert await door.ok(form_token=door.token()) == 201, "a chat costs no call"
    assert await door.counts() == {"spend": 1}


async def test_a_person_without_script_reads_the_refusal_as_a_page(door: Door) -> None:
    await door.site(closed=True)
    headers = {"Origin": door.url, "Accept": "text/html", "Content-Type": "application/json"}
    async with door.http.post(f"{door.url}/v1/leads", data="{}", headers=headers) as answer:
        page = await answer.text()
    assert answer.status == 403
    assert "+34 910 00 00 00" in page


@pytest.mark.parametrize("field", ["phone", "form_token", "proof", "website", "key", "country"])
@pytest.mark.parametrize("value", ["", " ", "\u202e٣", "🙂" * 200, "1." * 2_000, "'; drop table rates; --", "+" * 40])
async def test_nothing_that_is_brought_along_breaks_the_door(door: Door, field: str, value: str) -> None:
    posted = {"phone": PHONE, "form_token": door.token()} | {field: value}
    status, problem, _ = await door.knock(**posted)
    assert status in (201, 403, 422, 429), problem
