"""Who may take the evidence of a signature out of the house, and by which door."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from sqlalchemy import select

from integrations.trust import EmbeddedTrust
from router.actions import inviting, sealing
from router.book import Book
from router.model import bundles
from router.model.agents import Agent, Role
from router.model.api_keys import PREFIX, ApiKey, Scope
from router.model.campaigns import Queue
from router.model.signings import Signing
from router.model.vault import hash_token
from router.web import evidence
from tests import closing
from tests.web.customer import visiting
from tests.web.desking import Browser, House, browsing, working

KEY = PREFIX + "k" * 40


@pytest.fixture
async def trust(book: Book, trust: EmbeddedTrust) -> EmbeddedTrust:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    return trust


@pytest.fixture
async def held(book: Book, trust: EmbeddedTrust) -> Signing:
    return await closing.sealed(book, trust, campaign={"key": "otra"})


@pytest.fixture
async def house(book: Book, trust: EmbeddedTrust) -> AsyncIterator[House]:
    async with working(book, trust=trust) as opened:
        yield opened


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as opened:
        yield opened


async def taken(browser: Browser, path: str) -> tuple[int, bytes]:
    url, session = browser._house.url, browser._session
    async with session.get(url + path, allow_redirects=False) as answer:
        return answer.status, await answer.read()


async def test_a_supervisor_takes_document_certificate_and_bundle(
    held: Signing, house: House, browser: Browser
) -> None:
    await house.agent("sofia", role=Role.supervisor)
    await browser.sign_in("sofia")
    for name, head in (("signed.pdf", b"%PDF"), ("certificate.pdf", b"%PDF"), ("evidence.zip", b"PK")):
        status, content = await taken(browser, f"/desk/quotes/{held.quote_id}/{name}")
        assert (status, content[: len(head)]) == (200, head), name
    assert bundles.disagreements(bundles.unpack(content)) == []
    assert (await taken(browser, "/desk/quotes/999/evidence.zip"))[0] == 404


async def test_an_agent_and_a_stranger_take_nothing(held: Signing, house: House, browser: Browser) -> None:
    paths = [f"/desk/quotes/{held.quote_id}/{name}" for name in ("signed.pdf", "certificate.pdf", "evidence.zip")]
    assert {(await taken(browser, path))[0] for path in paths} == {401}
    await house.agent("sofia")
    await browser.sign_in("sofia")
    assert {(await taken(browser, path))[0] for path in paths} == {403}


async def key_of(book: Book, campaign_id: int, token: str) -> None:
    async with book.writing() as w:
        queue = (await w.session.scalars(select(Queue).where(Queue.campaign_id == campaign_id)))[0]
        agent = (await w.session.scalars(select(Agent)))[0]
        w.session.add(ApiKey(
            campaign_id=campaign_id, queue_id=queue.id, name="crm", key_hash=hash_token(token), ending=token[-4:],
            scopes=[Scope.quotes.value], created_by=agent.id, created_at=w.now,
        ))  # fmt: skip


async def test_a_program_takes_the_bundle_of_its_own_campaign_only(book: Book, held: Signing, house: House) -> None:
    await key_of(book, held.campaign_id, KEY)
    await key_of(book, house.queue.campaign_id, KEY + "x")
    async with aiohttp.ClientSession() as session:
        for key, expected in ((KEY, 200), (KEY + "x", 404), (KEY + "y", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            async with session.get(f"{house.url}/v1/quotes/{held.quote_id}/evidence", headers=headers) as answer:
                assert answer.status == expected


async def test_the_customer_takes_them_where_the_signed_copy_is(
    book: Book, trust: EmbeddedTrust, held: Signing
) -> None:
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    token = await closing.token(book, "copy")
    async with visiting(book, trust) as browser:
        await browser.get(f"/q/copy/{token}")
        assert f"/q/copy/{token}/certificate" in browser.page
        for what, head in (("certificate", b"%PDF"), ("evidence", b"PK")):
            async with browser.session.post(f"{browser.url}/q/copy/{token}/{what}") as answer:
                assert (await answer.read()).startswith(head)
            async with browser.session.get(f"{browser.url}/q/copy/{token}/{what}") as answer:
                assert answer.status in (404, 405)
            async with browser.session.post(f"{browser.url}/q/copy/{'A' * 22}/{what}") as answer:
                assert answer.status == 404


async def test_the_bundle_is_not_made_without_end(
    held: Signing, house: House, browser: Browser
) -> None:
    await house.agent("sofia", role=Role.supervisor)
    await browser.sign_in("sofia")
    path = f"/desk/quotes/{held.quote_id}/evidence.zip"
    answers = [(await taken(browser, path))[0] for _ in range(evidence.OF_SIGNING.most + 1)]
    assert answers == [200] * evidence.OF_SIGNING.most + [429]
