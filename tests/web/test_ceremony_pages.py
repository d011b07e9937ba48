"""The customer's pages besides signing: held, called about, drawn on, withdrawn from; and what staff see of it all."""

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from sqlalchemy import select, text, update

from router.actions import inviting, quoting, revoking, signing
from router.book import Book
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.quotes import QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import Task, TaskState
from router.ports import Sealed
from router.store import blobs
from router.web.routes import make_app
from tests import closing, making
from tests.closing import CUSTOMER
from tests.conftest import Clock
from tests.model.test_drawings import png, url
from tests.web.customer import visiting
from tests.web.desking import PASSWORD_HASH, Browser, House, browsing, ring, working
from tests.web.test_signing_pages import state
from tests.web.visiting import visiting as all_doors

CONSENTS = {"consent_offer": "yes", "consent_data": "yes"}


async def test_the_customer_draws_besides_typing_his_name(book: Book) -> None:
    _, held = await closing.sent(book)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        await browser.post("/q/-/code")
        await browser.post("/q/-/give", {"code": await closing.code(book)})
        assert "Dibuje su firma, si quiere" in browser.page
        wrong = await browser.post("/q/-/sign", {"name": "Carmen", "drawing": "nonsense", **CONSENTS})
        assert wrong.status == 422
        assert "No se puede leer el dibujo" in browser.page
        big = await browser.post("/q/-/sign", {"name": "Carmen", "drawing": "x" * 100_000, **CONSENTS})
        assert big.status == 413
        await browser.get("/q/-")
        await browser.post("/q/-/sign", {"name": "Carmen", "drawing": url(png(600, 200)), **CONSENTS})
        assert "Ha firmado" in browser.page
    assert (await closing.now(book, held)).drawing_sha256 is not None


async def test_a_held_offer_can_be_read_and_says_that_somebody_looks_at_it(book: Book) -> None:
    _, held = await closing.sent(book, campaign={"office_networks": ["127.0.0.0/8"]})
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        assert "una persona de nuestro equipo revisa esta oferta" in browser.page
        assert "Enviarme el código" not in browser.page
        assert "oficina" not in browser.page
        answer = await browser.post("/q/-/code")
        assert answer.headers["Location"] == "/q/-?note=held"
        await browser.post("/q/-/decline", {"reason": "price"})
    assert await closing.texts(book, "code") == []
    assert (await closing.now(book, held)).state is SigningState.declined


async def test_a_browser_is_known_again_by_a_cookie_out_of_scripts_reach(book: Book) -> None:
    await closing.sent(book)
    async with visiting(book, public_url="https://firma.example") as browser:
        answer = await browser.post(f"/q/{await closing.token(book)}")
    bound = answer.headers.getall("Set-Cookie")[1]
    assert bound.startswith("__Host-device=")
    for word in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/"):
        assert word in bound
    async with book.reading() as r:
        kept = (await r.session.rows(text("select device_hash from seen_devices")))[0][0]
    assert re.search(r"__Host-device=(\w{22})", bound)[1].encode() not in kept  # type: ignore[index]


async def test_the_customer_asks_to_be_called_about_his_offer(book: Book) -> None:
    await closing.sent(book)
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        for to in (TaskState.wrapping, TaskState.closed):
            await w.move(Task, task.id, to)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        await browser.post("/q/-/call")
        assert "Le llamaremos" in browser.page
        await browser.get("/q/-")
        await browser.post("/q/-/call")
        assert "Ya espera nuestra llamada" in browser.page
    async with book.reading() as r:
        rows = await r.session.rows(text("select text, method, page from receipts order by id desc limit 1"))
    assert tuple(rows[0]) == ("Llámenme por esta oferta", "status_link", "/q")


async def copied(book: Book) -> str:
    """Signed and sealed; the secret in the link to the copy."""
    held = await closing.signed(book)
    async with book.writing() as w:
        sealed = await blobs.keep(w.session, b"%PDF sealed", "application/pdf", w.now)
        await w.move(Signing, held.id, SigningState.sealed, sealed_sha256=sealed)
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    return await closing.token(book, "copy")


async def test_a_contract_is_withdrawn_from_in_two_steps_and_acknowledged(book: Book) -> None:
    token = await copied(book)
    async with visiting(book) as browser:
        before = await state(book)
        assert (await browser.get(f"/withdraw/{token}")).status == 200
        assert "Paso 1 de 2" in browser.page
        await browser.post(f"/withdraw/{token}")
        assert "Confirmar desistimiento" in browser.page
        assert await state(book) == before, "asked once more, and nothing changed"
        await browser.post(f"/withdraw/{token}", {"confirm": "yes"})
        assert "queda sin efecto por su desistimiento" in browser.page
        assert "Su acuse se está sellando" in browser.page
        assert (await browser.post(f"/withdraw/{token}/acknowledgement")).status == 404
        async with book.writing() as w:
            signing_id = vouched(await w.session.scalar(select(Signing.id)))
            await revoking.acknowledged(w, signing_id, Sealed(b"%PDF acknowledged", "PAdES B-T", "internal"))
        async with book.writing() as w:
            await inviting.acknowledge(w, 1)
        (said,) = await closing.texts(book, "withdrawal")
        link = re.search(r"/withdraw/(\w{22})", said)
        assert link
        await browser.get(f"/withdraw/{link[1]}")
        async with browser.session.post(f"{browser.url}/withdraw/{link[1]}/acknowledgement") as answer:
            assert await answer.read() == b"%PDF acknowledged"
    async with book.reading() as r:
        assert (await r.session.rows(text("select state from quotes")))[0][0] == QuoteState.withdrawn.value


async def test_the_browser_that_signed_can_withdraw_too_and_a_stranger_cannot(book: Book) -> None:
    held = await closing.verified(book)
    async with visiting(book) as browser, visiting(book) as stranger:
        await browser.post(f"/q/{await closing.token(book)}")
        assert (await browser.get("/withdraw/-")).status == 404, "nothing is signed yet"
        await browser.post("/q/-/code", None)
        async with book.writing() as w:
            await w.session.execute(update(Signing).values(state=SigningState.signed, signed_at=w.now))
        async with book.writing() as w:
            await w.session.execute(text("update quotes set state = 'signed'"))
        assert (await browser.get("/withdraw/-")).status == 200
        for link in ("-", "A" * 22, "%00", "x" * 500):
            assert (await stranger.get(f"/withdraw/{link}")).status == 404
            assert (await stranger.post(f"/withdraw/{link}", {"confirm": "yes"})).status == 404
        assert (await browser.post("/withdraw/-", {"confirm": "yes", "csrf": "0" * 64})).status == 403
        foreign = await browser.post("/withdraw/-", {"confirm": "yes"}, Origin="https://evil.example")
        assert foreign.status == 403
        await browser.get("/withdraw/-")
        await browser.post("/withdraw/-", {"confirm": "yes"})
        assert "Su desistimiento" in browser.page
    assert (await closing.quote_of(book, held)).state is QuoteState.withdrawn


async def test_a_late_withdrawal_is_taken_down_and_says_that_it_is_not_refused(book: Book, clock: Clock) -> None:
    token = await copied(book)
    clock.forward(40 * 86_400)
    async with visiting(book) as browser:
        await browser.get(f"/withdraw/{token}")
        assert "El plazo ha terminado" in browser.page
        await browser.post(f"/withdraw/{token}")
        await browser.post(f"/withdraw/{token}", {"confirm": "yes"})
        assert "no se ha rechazado" in browser.page


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


async def signed_in(house: House, name: str, role: Role = Role.agent) -> Agent:
    return await house.agent(name, role=role, locale="en", ready=role is Role.agent)


async def offered(house: House, agent: Agent) -> Signing:
    """An offer to the person with whom this agent talks."""
    held = await ring(house, agent)
    async with house.book.writing() as w:
        for to in (TaskState.connecting, TaskState.engaged):
            await w.move(Task, held.task_id, to)
    async with house.book.writing() as w:
        task = vouched(await w.session.get(Task, held.task_id))
        quote = await quoting.draft(w, agent_id=agent.id, lead_id=task.lead_id, lines=closing.LINES)
    return await quoting.send_offer(house.book, quote.id, agent.id)


STREAMS = ("/desk/stream", "/wallboard/stream")
NOT_STAFFS = (
    "/q/", "/withdraw/", "/s/", "/r/", "/w.js", "/w/", "/f/", "/kiosk/", "/register/", "/u/", "/hooks/", "/setup/",
    "/v1/sites/",
)  # fmt: skip
"""Doors of customers and visitors."""


def doors_of(app: web.Application) -> list[str]:
    """Every page and answer that staff and programs can ask for, about whatever is number 1."""
    found = {route.resource.canonical for route in app.router.routes() if route.method == "GET" and route.resource}
    named = {re.sub(r"\{\w+\}", "1", path) for path in found if not path.startswith(NOT_STAFFS)}
    no_text = re.compile(r"stream|/static|[.](pdf|png|crl)$")
    return sorted(path for path in named if not no_text.search(path))


async def everything(browser: Browser, paths: list[str]) -> str:
    """All that somebody can see, as it is sent."""
    said = [(await browser.get(path))[1] for path in paths]
    for path in STREAMS:
        async with browser.stream(path) as events:
            for _ in range(7):
                event = await events.next()
                said.append(event[1] if event else "")
    return "\n".join(said)


async def test_staff_see_each_step_and_never_a_link_or_a_code(book: Book) -> None:
    secrets, seen = [], ""
    async with all_doors(book) as house, browsing(house) as agent, browsing(house) as supervisor:  # type: ignore[arg-type]
        async with book.writing() as w:
            ana = await making.agent(w, "ana", locale="en")
            sol = await making.agent(w, "sol", role=Role.admin, ready=False)
            ana.password_hash = sol.password_hash = PASSWORD_HASH
        await agent.sign_in("ana")
        await supervisor.sign_in("sol")
        paths = doors_of(make_app(house.doors))
        assert {"/desk", "/wallboard", "/contacts/1", "/sales/1", "/receipts/1", "/why/1", "/v1/leads/1"} <= set(paths)

        async def look() -> str:
            _, desk = await agent.get("/desk")
            said = await everything(supervisor, paths) + desk
            async with agent.stream("/desk/stream") as events:
                return said + await events.region("progress")

        held = await offered(house, ana)  # type: ignore[arg-type]
        secrets.append(await closing.token(book))
        seen += await look()
        async with book.writing() as w:
            opened = await signing.open_link(w, secrets[0], CUSTOMER)
        assert opened is not None
        secrets.append(opened[1])
        async with book.writing() as w:
            await inviting.send_code(w, held)
        secrets.append(await closing.code(book))
        seen += await look()
        assert "Code sent" in seen
        async with book.writing() as w:
            await signing.give_code(w, held, secrets[2], CUSTOMER)
        async with book.writing() as w:
            await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, CUSTOMER)
        async with book.writing() as w:
            sealed = await blobs.keep(w.session, b"%PDF sealed", "application/pdf", w.now)
            await w.move(Signing, held.id, SigningState.sealed, sealed_sha256=sealed)
        async with book.writing() as w:
            await inviting.copy(w, held.id)
        secrets.append(await closing.token(book, "copy"))
        seen += await look()
    assert len(seen) > 100_000
    assert "Carmen Ruiz" in seen
    # A code's six digits may stand inside a digest or a time; not by themselves.
    assert [secret for secret in secrets if re.search(rf"(?<![0-9a-zA-Z.]){secret}(?![0-9a-zA-Z])", seen)] == []


async def test_a_supervisor_sees_what_is_held_and_why_and_lets_it_go_or_ends_it(house: House, book: Book) -> None:
    ana, _ = await signed_in(house, "ana"), await signed_in(house, "sol", Role.supervisor)
    async with book.writing() as w:
        await w.session.execute(update(Campaign).values(office_networks=["203.0.113.0/24"]))
    held = await offered(house, ana)
    async with book.writing() as w:
        await signing.open_link(w, await closing.token(book), CUSTOMER)
    async with browsing(house) as agent, browsing(house) as supervisor:
        await agent.sign_in("ana")
        await supervisor.sign_in("sol")
        _, desk = await agent.get("/desk")
        assert "A supervisor looks at this offer" in desk
        assert "own network" not in desk, "who may have done it is not told what gave him away"
        _, board = await supervisor.get("/wallboard")
        assert "own network" in board
        assert (await agent.post(f"/wallboard/quotes/{held.quote_id}/release"))[0] == 403
        assert (await supervisor.post(f"/wallboard/quotes/{held.quote_id}/release"))[0] == 200
        assert (await supervisor.post(f"/wallboard/quotes/{held.quote_id}/release"))[0] == 409
        _, board = await supervisor.get("/wallboard")
        assert "is held" not in board
        assert (await supervisor.post(f"/wallboard/quotes/{held.quote_id}/void"))[0] == 200
        assert (await supervisor.post("/wallboard/quotes/999/void"))[0] == 404
    assert (await closing.now(book, held)).state is SigningState.void


async def test_a_supervisor_shares_a_sale_and_an_agent_cannot(house: House, book: Book) -> None:
    ana, sol = await signed_in(house, "ana"), await signed_in(house, "sol", Role.supervisor)
    held = await offered(house, ana)
    async with book.writing() as w:
        await w.session.execute(update(Signing).values(state=SigningState.signed, signed_at=w.now))
        await w.session.execute(text("update quotes set state = 'signed'"))
    fields = {"agent-0": str(ana.id), "percent-0": "70", "agent-1": str(sol.id), "percent-1": "30", "reason": "helped"}
    at = f"/sales/{held.quote_id}"
    async with browsing(house) as agent, browsing(house) as supervisor:
        await agent.sign_in("ana")
        await supervisor.sign_in("sol")
        assert (await agent.get(at))[0] == 403
        assert (await agent.post(at, fields))[0] == 403
        assert (await supervisor.post(at, fields))[0] == 303
        _, page = await supervisor.get(at)
        assert "70 %" in page
        for wrong in ({"percent-0": "x"}, {"percent-0": "71"}, {"agent-1": str(ana.id)}, {"reason": "no such"}):
            assert (await supervisor.post(at, {**fields, **wrong}))[0] == 422
        assert (await supervisor.get("/sales/999"))[0] == 404
        assert (await supervisor.post("/sales/999", fields))[0] == 404


async def test_a_supervisor_decides_on_a_late_withdrawal(house: House, book: Book, clock: Clock) -> None:
    ana, _ = await signed_in(house, "ana"), await signed_in(house, "sol", Role.supervisor)
    held = await offered(house, ana)
    async with book.writing() as w:
        await w.session.execute(update(Signing).values(
            state=SigningState.signed, signed_at=w.now, name_typed="Carmen Ruiz"))
        await w.session.execute(text("update quotes set state = 'signed'"))
    clock.forward(40 * 86_400)
    made = await revoking.withdraw(book, held.id, CUSTOMER)
    async with browsing(house) as supervisor:
        await supervisor.sign_in("sol")
        _, board = await supervisor.get("/wallboard")
        assert "after the time for it" in board
        assert (await supervisor.post(f"/wallboard/withdrawals/{made.id}/accept"))[0] == 200
        assert (await supervisor.post(f"/wallboard/withdrawals/{made.id}/refuse"))[0] == 409
        assert (await supervisor.post("/wallboard/withdrawals/999/accept"))[0] == 409
    assert (await closing.quote_of(book, held)).state is QuoteState.withdrawn
