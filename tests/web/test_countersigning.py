"""The pages of the company's countersignature: the wallboard's list, the sale's page, the customer's copy, /verify."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from markupsafe import escape
from sqlalchemy import text

from integrations.trust import EmbeddedTrust
from router.actions import countersigning, inviting, sealing
from router.book import Book
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.countersignatures import CountersignatureState
from router.model.signings import Signing
from router.store import countersignatures
from router.wording import LOCALES, wording
from tests import closing
from tests.web.customer import Browser, visiting
from tests.web.desking import PASSWORD_HASH, House, browsing, working


@pytest.fixture
async def root(book: Book, trust: EmbeddedTrust) -> bytes:
    made = await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    return made


@pytest.fixture
async def held(book: Book, trust: EmbeddedTrust, root: bytes) -> Signing:
    return await closing.sealed(book, trust, campaign={"key": "otra", "countersign": True})


@pytest.fixture
async def house(book: Book, trust: EmbeddedTrust, held: Signing) -> AsyncIterator[House]:
    """Eva and Sol are supervisors, Sol wrote the offer; Leo is an agent."""
    async with working(book, trust=trust) as opened:
        async with book.writing() as w:
            for login, role in (("eva", Role.supervisor), ("leo", Role.agent)):
                w.session.add(Agent(
                    login=login, name=login.title(), role=role, password_hash=PASSWORD_HASH, address=f"client:{login}",
                ))  # fmt: skip
            await w.session.execute(
                text("update agents set role = 'supervisor', login = 'sol', name = 'Sol', password_hash = :known "
                     "where login = 'ana'"), {"known": PASSWORD_HASH})  # fmt: skip
        yield opened


async def state(book: Book, held: Signing) -> CountersignatureState:
    async with book.reading() as r:
        return vouched(await countersignatures.of_signing(r.session, held.id)).state


async def test_a_supervisor_finds_it_on_the_wallboard_and_countersigns_by_one_button(
    house: House, book: Book, held: Signing
) -> None:
    at = f"/sales/{held.quote_id}"
    async with browsing(house) as eva:
        await eva.sign_in("eva")
        _, board = await eva.get("/wallboard")
        assert f'href="{at}"' in board
        assert f'id="countersign-{held.quote_id}"' in board
        _, page = await eva.get(at)
        assert f"/desk/quotes/{held.quote_id}/signed.pdf" in page
        assert f'action="{at}/countersign"' in page
        assert (await eva.post(f"{at}/countersign"))[0] == 303
        assert (await eva.post(f"{at}/countersign"))[0] == 409
        assert (await eva.post(f"{at}/countersign/refuse", {"reason": "other"}))[0] == 409
        _, page = await eva.get(at)
        assert f'action="{at}/countersign"' not in page
        _, board = await eva.get("/wallboard")
        assert f'id="countersign-{held.quote_id}"' not in board
    assert await state(book, held) is CountersignatureState.approved


async def test_neither_its_author_nor_an_agent_nor_a_wrong_number_gets_in(
    house: House, book: Book, held: Signing
) -> None:
    at = f"/sales/{held.quote_id}/countersign"
    async with browsing(house) as sol, browsing(house) as leo:
        await sol.sign_in("sol")
        await leo.sign_in("leo")
        _, page = await sol.get(f"/sales/{held.quote_id}")
        assert f'action="{at}"' not in page
        assert (await sol.post(at))[0] == 403
        assert (await sol.post(f"{at}/refuse", {"reason": "other"}))[0] == 403
        assert (await leo.post(at))[0] == 403
        for number in ("999", "9" * 19):
            assert (await sol.post(f"/sales/{number}/countersign"))[0] == 404
    assert await state(book, held) is CountersignatureState.waiting


async def test_a_refusal_needs_a_reason_and_its_note_is_never_markup(house: House, book: Book, held: Signing) -> None:
    at = f"/sales/{held.quote_id}"
    async with browsing(house) as eva:
        await eva.sign_in("eva")
        for wrong in ({}, {"reason": "no such"}, {"reason": "other", "note": "x" * 501}):
            assert (await eva.post(f"{at}/countersign/refuse", wrong))[0] == 422
        note = "<script>alert(1)</script>"
        assert (await eva.post(f"{at}/countersign/refuse", {"reason": "mistake", "note": note}))[0] == 303
        _, page = await eva.get(at)
        assert note not in page
        assert "&lt;script&gt;" in page
    assert await state(book, held) is CountersignatureState.refused


async def test_the_customers_copy_says_how_it_stands(
    book: Book, trust: EmbeddedTrust, root: bytes, held: Signing
) -> None:
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    first = await closing.token(book, "copy")
    async with visiting(book, trust, root) as browser:
        await browser.get(f"/q/copy/{first}")
        assert "Falta la contrafirma de la empresa" in browser.page
        eva = await closing.supervisor(book, "pia")
        async with book.writing() as w:
            row = await countersigning.approve(w, held.quote_id, eva)
        await closing.countersignature_made(book, trust, held)
        async with book.writing() as w:
            await inviting.tell_countersigned(w, row.id)
        wanted = await closing.newest_version(book, held)
        for token in (first, await closing.token(book, "countersigned")):
            await browser.get(f"/q/copy/{token}")
            assert "La empresa lo contrafirmó el" in browser.page
            async with browser.session.post(f"{browser.url}/q/copy/{token}") as answer:
                assert await answer.read() == wanted
            assert (await browser.get(f"/withdraw/{token}")).status == 200


@pytest.mark.parametrize("locale", LOCALES)
async def test_verify_gives_it_a_line_of_its_own_in_every_language(
    book: Book, trust: EmbeddedTrust, root: bytes, held: Signing, locale: str
) -> None:
    by = await closing.supervisor(book, "pia")
    async with book.writing() as w:
        await countersigning.approve(w, held.quote_id, by)
    await closing.countersignature_made(book, trust, held)
    pdf = await closing.newest_version(book, held)
    async with visiting(book, trust, root) as browser:
        headers = {"Content-Type": "application/pdf", "Accept": "application/json"}
        async with browser.session.post(f"{browser.url}/verify", data=pdf, headers=headers) as answer:
            said = await answer.json()
        assert said["identical"] is True
        assert all(line["holds"] for line in said["lines"])
        (line,) = [line for line in said["lines"] if line["name"] == "countersignature"]
        assert (line["detail"]["name"], line["detail"]["organization"]) == ("Pia", "Luz Clara SL")
        page = await _shown(browser, pdf, locale)
    for words in ("Countersigned by the company", "After the seal only the company's countersignature was added."):
        assert str(escape(wording().say(words, locale))) in page
    assert "Pia" in page


async def _shown(browser: Browser, pdf: bytes, locale: str) -> str:
    form = aiohttp.FormData()
    form.add_field("file", pdf, filename="a.pdf", content_type="application/pdf")
    headers = {"Accept-Language": locale}
    async with browser.session.post(f"{browser.url}/verify", data=form, headers=headers) as answer:
        return await answer.text()
