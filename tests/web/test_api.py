"""The door of programs: keys, leads from server to server, and its description."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from router.actions import keys
from router.book import Book
from router.model.api_keys import ApiKey, Scope
from router.model.contacts import Contact
from router.model.idempotency import IdempotencyKey
from router.model.leads import Lead
from router.model.merges import Merge
from router.model.tasks import Task
from router.model.vault import hash_token
from router.web import evidence as doors_of_evidence
from router.web import openapi
from router.web import pki as doors_of_pki
from router.web import verify as doors_of_verify
from tests import making
from tests.invariants import check
from tests.web.visiting import House, visiting

BODY: dict[str, Any] = {
    "phone": "+1 202 555 0101", "name": "Ana", "intent": "call_now",
    "consent": {"purposes": ["requested"], "text": "Llámenme", "version": "3"},
}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


@pytest.fixture
async def key(house: House) -> str:
    return await made(house, [Scope.write, Scope.read])


async def made(house: House, scopes: list[Scope]) -> str:
    async with house.book.writing() as w:
        if await w.session.get(ApiKey, 1) is None:
            await making.agent(w, "root")
        _, token = await keys.make(w, 1, house.queue, "crm", scopes)
        return token


@asynccontextmanager
async def asked(house: House, method: str, path: str, key: str = "", **values: Any) -> AsyncIterator[Any]:
    headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **values.pop("headers", {})}
    async with aiohttp.ClientSession() as session, session.request(
        method, house.url + path, headers=headers, **values
    ) as answer:
        yield answer


async def post(house: House, key: str, body: Any = None, path: str = "/v1/campaigns/luz/leads", **headers: str) -> Any:
    async with asked(house, "POST", path, key, json=BODY if body is None else body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None), dict(answer.headers)


async def all_of(house: House, noun: Any) -> Any:
    async with house.book.reading() as r:
        await check(r.session)
        return await r.session.scalars(select(noun).order_by(noun.id))


async def test_a_lead_with_a_key_is_taken_and_its_state_is_told(house: House, key: str) -> None:
    status, answer, _ = await post(house, key)
    assert (status, answer["called"]) == (201, True)
    async with asked(house, "GET", f"/v1/leads/{answer['lead']}", key) as told:
        state = await told.json()
    assert (state["state"], state["intent"], state["outcome"]) == ("waiting", "call_now", None)
    (lead,) = await all_of(house, Lead)
    assert (lead.source["party"], lead.status_hash) == ("api", hash_token(answer["status_url"].rpartition("/")[2]))


async def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(house: House, key: str) -> None:
    first = await post(house, key, **{"Idempotency-Key": "order-4711"})
    again = await post(house, key, **{"Idempotency-Key": "order-4711"})
    assert (again[0], again[1]["lead"], again[1]["status_url"]) == (201, first[1]["lead"], first[1]["status_url"])
    assert again[2]["Idempotent-Replayed"] == "true"
    other = await post(house, key, {**BODY, "name": "Eva"}, **{"Idempotency-Key": "order-4711"})
    assert (other[0], other[1]["errors"][0]["pointer"]) == (422, "/idempotency_key")
    assert len(await all_of(house, Lead)) == 1
    async with house.book.reading() as r:
        assert len(await r.session.scalars(select(IdempotencyKey))) == 1


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer hbk_wrong", "Basic aGJrXw==", "Bearer hbk_é", "bearer hbk_" + "x" * 500]
)
async def test_without_a_known_key_nothing_is_said(house: House, key: str, header: str) -> None:
    async with asked(house, "POST", "/v1/campaigns/luz/leads", json=BODY, headers={"Authorization": header}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "not-signed-in")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert await all_of(house, Lead) == []


async def test_a_key_opens_its_own_campaign_and_what_it_may_do(house: House, key: str) -> None:
    async with house.book.writing() as w:
        other = await making.lead(w, await making.queue(w, await making.campaign(w, "otra")), "+12025550177")
    assert (await post(house, key, path="/v1/campaigns/otra/leads"))[0] == 403
    assert (await post(house, key, path="/v1/campaigns/none/leads"))[0] == 403
    async with asked(house, "GET", f"/v1/leads/{other.id}", key) as answer:
        assert answer.status == 404
    reader = await made(house, [Scope.read])
    assert (await post(house, reader))[0] == 403


async def test_a_revoked_key_opens_nothing_from_its_commit_on(house: House, key: str) -> None:
    async with house.book.writing() as w:
        await keys.revoke(w, 1, 1)
    assert (await post(house, key))[0] == 401
    (row,) = await all_of(house, ApiKey)
    assert key.encode() not in (row.key_hash, row.name.encode())
    assert row.key_hash == hash_token(key)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"phone": "803123456", "country": "ES"}, "/phone"),
        ({"phone": "banana"}, "/phone"),
        ({"consent": {"purposes": ["requested"], "text": ""}}, "/consent/text"),
        ({"consent": {"purposes": ["commercial"], "text": "x"}}, "/consent/purposes"),
        ({"intent": "list"}, "/consent/purposes"),
        ({"intent": "video"}, "/intent"),
        ({"queue": "nowhere"}, "/queue"),
        ({"external_id": "x" * 200}, "/external_id"),
        ({"surprise": 1}, "/surprise"),
        ({"fields": {"unasked": 1}}, "/fields/unasked"),
        ({"name": 7}, "/name"),
    ],
)
async def test_what_is_wrong_is_named(house: House, key: str, change: dict[str, Any], pointer: str) -> None:
    status, problem, _ = await post(house, key, {**BODY, **change})
    assert (status, problem["errors"][0]["pointer"]) == (422, pointer)
    assert await all_of(house, Lead) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"phone":"\\ud800"}', b'{"a":1,"a":2}', b"9" * 70_000])
async def test_no_body_breaks_the_door(house: House, key: str, body: bytes) -> None:
    async with asked(house, "POST", "/v1/campaigns/luz/leads", key, data=body,
                     headers={"Content-Type": "application/json"}) as answer:
        assert answer.status in (400, 413, 422)


async def test_a_program_s_own_id_unifies_who_comes_without_a_number(house: House, key: str) -> None:
    await post(house, key, {**BODY, "external_id": "crm-1"})
    status, answer, _ = await post(house, key, {**BODY, "external_id": "crm-1", "phone": ""})
    assert (status, answer["attached"]) == (201, True)
    assert [lead.contact_id for lead in await all_of(house, Lead)] == [1, 1]
    for _ in range(2):
        assert (await post(house, key, {**BODY, "external_id": "crm-2", "phone": ""}))[1]["called"] is False
    assert len({lead.contact_id for lead in (await all_of(house, Lead))[2:]}) == 1


async def test_a_program_s_own_id_with_another_number_only_proposes(house: House, key: str) -> None:
    await post(house, key, {**BODY, "external_id": "crm-1"})
    await post(house, key, {**BODY, "external_id": "crm-1", "phone": "+12025550102"})
    assert [lead.contact_id for lead in await all_of(house, Lead)] == [1, 2]
    (proposed,) = await all_of(house, Merge)
    assert (proposed.into_id, proposed.from_id, proposed.kind.value) == (1, 2, "external_id")
    assert len(await all_of(house, Task)) == 2
    assert [contact.merged_into for contact in await all_of(house, Contact)] == [None, None]


async def test_a_public_door_takes_no_ids_of_programs(house: House) -> None:
    async with asked(house, "POST", "/v1/leads", json={"site": "landing", **BODY, "external_id": "crm-1"}) as answer:
        assert answer.status in (400, 403, 422)
    assert await all_of(house, Lead) == []


async def test_the_description_names_every_shape_it_refers_to(house: House) -> None:
    async with asked(house, "GET", "/openapi.json") as answer:
        text = await answer.text()
    document = json.loads(text)
    shapes = document["components"]["schemas"]
    referred = {part.partition('"')[0] for part in text.replace(" ", "").split('"$ref":"#/components/schemas/')[1:]}
    assert referred <= set(shapes)
    assert {"KeyedLead", "LeadBody", "LeadState", "Problem"} <= set(shapes)
    assert document["paths"]["/v1/campaigns/{key}/leads"]["post"]["security"] == [{"key": []}]


async def test_the_doors_of_evidence_stand_in_the_description_as_they_are(house: House) -> None:
    async with asked(house, "GET", "/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    evidence = paths["/v1/quotes/{id}/evidence"]["get"]
    assert list(evidence["responses"]["200"]["content"]) == ["application/zip"]
    assert evidence["security"] == [{"key": []}]
    checked = paths["/verify"]["post"]
    assert list(checked["requestBody"]["content"]) == ["application/pdf"]
    assert checked["security"] == []
    described = {(one.method.upper(), one.path) for one in openapi.OPERATIONS}
    there = {(one.method, re.sub(r":[^{}]*(\{[^{}]*\})?[^{}]*\}", "}", getattr(one, "path", "")))
             for module in (doors_of_evidence, doors_of_pki, doors_of_verify) for one in module.routes}
    assert {one for one in there if one[1].startswith("/v1/")} <= described
    assert {one for one in described if one[1].startswith(("/pki", "/verify"))} <= there


@pytest.mark.parametrize("locale", ["en", "es", "it", "ru"])
async def test_the_docs_are_readable_in_every_language(house: House, locale: str) -> None:
    async with asked(house, "GET", "/docs", headers={"Accept-Language": locale}) as answer:
        page = await answer.text()
    assert answer.status == 200
    assert f'lang="{locale}"' in page
    assert all(f"{one.method.upper()} {one.path}" in page for one in openapi.OPERATIONS)
