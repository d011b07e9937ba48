"""What was agreed to, shown as it was, and taken back by who gave it."""

import hashlib
import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from sqlalchemy import func, select, text

from router.book import Book
from router.model.agents import Role
from router.model.api_keys import PREFIX, ApiKey
from router.model.consent import Receipt, Withdrawal
from router.model.leads import Lead
from router.model.vault import hash_token, new_token
from tests import making
from tests.web.offline import supervising
from tests.web.visiting import House, visiting

HTML = {"Accept": "text/html"}
WORDS = "Quiero que me llamen <b>hoy</b> & mañana."


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def agreed(house: House, token: str, words: str = WORDS) -> Lead:
    """A lead with two receipts: one of two purposes, and one for recordings whose text is `words`."""
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        lead.site_id, lead.status_hash = house.site.id, hash_token(token)
        w.session.add(Receipt(
            campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=lead.id, purposes=["recording"],
            text=words, text_sha256=hashlib.sha256(WORDS.encode()).hexdigest(), version="2026-11", method="widget",
            address="203.0.113.0/24", user_agent="Firefox", page="https://luz.example/solar", given_at=w.now,
            locale="es",
        ))
        return lead


async def taken_back(house: House) -> int:
    async with house.book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(Withdrawal)) or 0


async def test_a_supervisor_sees_the_receipts_of_a_lead_as_they_were(house: House) -> None:
    lead = await agreed(house, new_token())
    async with supervising(house) as browser:
        status, page = await browser.get(f"/receipts/{lead.id}")
        assert status == 200
        for said in ("Quiero que me llamen &lt;b&gt;hoy&lt;/b&gt; &amp; mañana.", "203.0.113.0/24", "2026-11",
                     "https://luz.example/solar", "Firefox", "The text is the one agreed to."):
            assert said in page
        assert "Spanish" in page
        # The other receipt's hash is not that of its text.
        assert page.count("The text is not the one agreed to.") == 1
        assert (await browser.get("/receipts/999999"))[0] == 404
        assert (await browser.get(f"/receipts/{'9' * 30}"))[0] == 404
        status, body = await browser.get(f"/v1/leads/{lead.id}/receipts", Accept="application/json")
        found = json.loads(body)["receipts"]
        assert [(one["purposes"], one["intact"]) for one in found] == [
            (["requested", "commercial"], False), (["recording"], True),
        ]
        assert found[1]["text"] == WORDS


async def test_receipts_are_not_for_strangers_or_agents(house: House, visitor: aiohttp.ClientSession) -> None:
    lead = await agreed(house, new_token())
    for path in (f"/receipts/{lead.id}", f"/v1/leads/{lead.id}/receipts"):
        answer = await visitor.get(house.url + path, headers={"Accept": "application/json"})
        assert answer.status == 401
    async with supervising(house, role=Role.agent) as browser:
        assert (await browser.get(f"/receipts/{lead.id}"))[0] == 403


async def test_the_visitor_sees_what_he_agreed_to_and_looking_changes_nothing(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    token = new_token()
    await agreed(house, token)
    answer = await visitor.get(f"{house.url}/s/{token}/consent?purpose=commercial", headers=HTML)
    page = await answer.text()
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert '<html lang="es">' in page
    assert page.count("<button") == 3
    assert await taken_back(house) == 0


async def test_he_takes_one_purpose_back_and_pressing_twice_is_pressing_once(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    token = new_token()
    lead = await agreed(house, token)
    url = f"{house.url}/s/{token}/consent"
    for _ in range(2):
        answer = await visitor.post(
            url, data={"purpose": "commercial"}, headers={"Origin": house.url}, allow_redirects=False
        )
        assert (answer.status, answer.headers["Location"]) == (303, f"/s/{token}/consent")
    assert await taken_back(house) == 1
    page = await (await visitor.get(url, headers=HTML)).text()
    assert page.count("<button") == 3, "two to withdraw, and one to agree again"
    async with supervising(house) as browser:
        _, body = await browser.get(f"/v1/leads/{lead.id}/receipts", Accept="application/json")
    assert [(one["purpose"], one["method"]) for one in json.loads(body)["receipts"][0]["withdrawn"]] == [
        ("commercial", "link")
    ]


async def test_only_our_own_page_takes_consent_back(house: House, visitor: aiohttp.ClientSession) -> None:
    token = new_token()
    await agreed(house, token)
    url = f"{house.url}/s/{token}/consent"
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        answer = await visitor.post(url, data={"purpose": "commercial"}, headers=headers, allow_redirects=False)
        assert answer.status == 403
    own = {"Origin": house.url}
    assert (await visitor.post(url, data={"purpose": "everything"}, headers=own)).status == 422
    assert (await visitor.post(url, data={}, headers=own)).status == 422
    stranger = f"{house.url}/s/{new_token()}/consent"
    assert (await visitor.get(stranger)).status == 404
    assert (await visitor.post(stranger, data={"purpose": "commercial"}, headers=own)).status == 404
    assert await taken_back(house) == 0


async def test_a_program_reads_the_receipts_of_its_own_brand(house: House, visitor: aiohttp.ClientSession) -> None:
    lead = await agreed(house, new_token())
    async with house.book.writing() as w:
        admin = await making.agent(w, "root", role=Role.admin)
        other = await making.queue(w, await making.campaign(w, "other"))
        held = []
        for number, queue in enumerate((house.queue, other)):
            held.append(PREFIX + str(number) * 30)
            w.session.add(ApiKey(
                campaign_id=queue.campaign_id, queue_id=queue.id, name="CRM", key_hash=hash_token(held[-1]),
                ending="0000", scopes=["leads:read"], created_by=admin.id, created_at=w.now,
            ))
    url = f"{house.url}/v1/leads/{lead.id}/receipts"
    answers = [await visitor.get(url, headers={"Authorization": f"Bearer {key}"}) for key in (*held, PREFIX + "x" * 30)]
    assert [answer.status for answer in answers] == [200, 404, 401]
    assert len((await answers[0].json())["receipts"]) == 2


async def test_a_text_that_was_tampered_with_is_seen(house: House) -> None:
    lead = await agreed(house, new_token())
    async with house.book.writing() as w:
        await w.session.execute(text("set local session_replication_role = replica"))
        await w.session.execute(text("update receipts set text = 'Todo' where purposes = '{recording}'"))
    async with supervising(house) as browser:
        _, page = await browser.get(f"/receipts/{lead.id}")
    assert page.count("The text is not the one agreed to.") == 2


async def receipts_count(house: House) -> int:
    async with house.book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(Receipt)) or 0


async def test_who_took_his_consent_to_offers_back_gives_it_again_on_the_same_page(
    house: House, visitor: aiohttp.ClientSession
) -> None:
    token = new_token()
    await agreed(house, token)
    address, ours = f"{house.url}/s/{token}/consent", {"Origin": house.url}
    page = await (await visitor.get(address, headers=HTML)).text()
    assert "/consent/give" not in page, "he has agreed already"
    await visitor.post(address, data={"purpose": "commercial"}, headers=ours)
    page = await (await visitor.get(address, headers=HTML)).text()
    (digest,) = re.findall(r'name="text" value="(\w{64})"', page)
    for _ in range(2):
        answer = await visitor.post(f"{address}/give", data={"text": digest}, headers=ours, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, f"/s/{token}/consent")
    assert await receipts_count(house) == 3
    assert "/consent/give" not in await (await visitor.get(address, headers=HTML)).text()


async def test_nobody_agrees_to_a_text_he_has_not_read(house: House, visitor: aiohttp.ClientSession) -> None:
    token = new_token()
    await agreed(house, token)
    address = f"{house.url}/s/{token}/consent/give"
    for page, origin, said, status in (
        (address, house.url, "0" * 64, 409), (address, house.url, "", 409), (address, "https://evil.example", "", 403),
        (f"{house.url}/s/{new_token()}/consent/give", house.url, "0" * 64, 404),
    ):
        headers = {"Accept": "application/json", "Origin": origin}
        assert (await visitor.post(page, data={"text": said}, headers=headers)).status == status
    assert await receipts_count(house) == 2
