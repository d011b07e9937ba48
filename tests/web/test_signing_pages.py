"""The customer's pages: read, a code, a name, signed; and what scanners, strangers and the late see."""

from typing import Any

import pytest
from sqlalchemy import text

from router.actions import inviting, signing
from router.book import Book
from router.model.money import Line
from router.model.signings import SigningState
from router.store import blobs
from tests import closing
from tests.conftest import Clock
from tests.web.customer import visiting

NAME = '<script>alert("x")</script> O\'Brien & Söhne'


async def state(book: Book) -> list[tuple[Any, ...]]:
    """Everything a visit could change."""
    async with book.reading() as r:
        rows = await r.session.rows(text(
            "select s.state, s.chain_length, s.tries, s.codes_sent, s.cookie_hash, q.state, q.idle_base, "
            "(select count(*) from facts), (select count(*) from deliveries) "
            "from signings s join quotes q on q.id = s.quote_id"
        ))
    return [tuple(row) for row in rows]


async def test_the_customer_reads_takes_a_code_types_a_name_and_has_signed(book: Book) -> None:
    _, held = await closing.sent(book)
    async with visiting(book) as browser:
        answer = await browser.get(f"/q/{await closing.token(book)}")
        assert answer.status == 200
        answer = await browser.post(f"/q/{await closing.token(book)}")
        assert (answer.status, answer.headers["Location"]) == (303, "/q/-")
        assert "Paso 1 de 3" in browser.page
        assert "29,90\u00a0€" in browser.page
        pdf = await browser.get("/q/-/offer.pdf")
        assert pdf.content_type == "application/pdf"
        await browser.post("/q/-/code")
        assert "Paso 2 de 3" in browser.page
        await browser.post("/q/-/give", {"code": closing.other_code(await closing.code(book))})
        assert "Le quedan 4 intentos" in browser.page
        await browser.post("/q/-/give", {"code": await closing.code(book)})
        assert "Firmar y contratar con obligación de pago" in browser.page
        answer = await browser.post("/q/-/sign", {"name": "Carmen Ruiz", "consent_data": "yes"})
        assert answer.status == 422
        assert browser.page.count("Marque esta casilla") == 1
        assert 'value="Carmen Ruiz"' in browser.page
        fields = {"name": "Carmen Ruiz", "consent_data": "yes", "consent_offer": "yes", "csrf": browser.secret}
        await browser.post("/q/-/sign", fields)
        assert "Ha firmado" in browser.page
        assert (await browser.post("/q/-/sign", fields)).status == 303
    assert (await closing.now(book, held)).state is SigningState.signed


async def test_scanners_that_open_every_link_change_nothing(book: Book) -> None:
    await closing.sent(book)
    token, before = await closing.token(book), await state(book)
    async with visiting(book) as browser:
        for path in (f"/q/{token}", "/q/-", "/q/-/offer.pdf", "/q/-/signed.pdf", f"/q/copy/{token}"):
            for _ in range(2):
                await browser.get(path, **{"User-Agent": "Link preview"})
            async with browser.session.head(browser.url + path) as answer:
                assert answer.status in {200, 404}
    assert await state(book) == before


async def test_pages_of_an_open_offer_change_nothing_when_they_are_read_again(book: Book) -> None:
    await closing.sent(book)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        before = await state(book)
        for path in ("/q/-", "/q/-/offer", "/q/-/offer.pdf", "/q/-?note=wait"):
            assert (await browser.get(path)).status == 200
        assert await state(book) == before


async def test_the_landing_page_says_nothing_personal(book: Book) -> None:
    sale, _ = await closing.sent(book)
    async with visiting(book) as browser:
        answer = await browser.get(f"/q/{await closing.token(book)}")
    for word in ("Carmen", "Ruiz", sale.phone, "29,90", "Fibra"):
        assert word not in browser.page
    assert "noindex" in browser.page
    assert answer.headers["X-Robots-Tag"].startswith("noindex")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Luz Clara SL" in browser.page
    assert 'href="tel:+34910000000"' in browser.page


async def test_unknown_guessed_expired_used_and_cut_links_show_one_same_page(book: Book, clock: Clock) -> None:
    await closing.signed(book)
    used = await closing.token(book)
    pages, statuses = set(), set()
    async with visiting(book) as browser:
        for link in (used, "A" * 22, used[:-1], "%00", "x" * 500, "copy", "-%2f", f"copy/{'B' * 22}", "-"):
            statuses.add((await browser.get(f"/q/{link}")).status)
            pages.add(browser.page)
        statuses.add((await browser.post(f"/q/{used}")).status)
        pages.add(browser.page)
    assert statuses == {404}
    assert len(pages) == 1
    assert "Este enlace no abre ninguna oferta" in pages.pop()


async def test_an_expired_link_opens_nothing_even_before_its_alarm_has_run(book: Book, clock: Clock) -> None:
    await closing.sent(book)
    clock.forward(15 * 86_400)
    async with visiting(book) as browser:
        assert (await browser.get(f"/q/{await closing.token(book)}")).status == 404
        assert (await browser.post(f"/q/{await closing.token(book)}")).status == 404


async def test_too_many_wrong_codes_say_plainly_that_the_offer_is_locked(book: Book, clock: Clock) -> None:
    await closing.sent(book)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        for _ in range(2):
            await browser.post("/q/-/code")
            for _ in range(5):
                await browser.post("/q/-/give", {"code": closing.other_code(await closing.code(book))})
            clock.forward(61)
        assert "Esta oferta está bloqueada" in browser.page


async def test_asking_for_codes_too_fast_says_when(book: Book) -> None:
    await closing.sent(book)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        await browser.post("/q/-/code")
        await browser.post("/q/-/code")
        assert "Puede pedir un código nuevo a partir de las 13:00:30" in browser.page


async def test_declining_ends_it(book: Book) -> None:
    _, held = await closing.sent(book)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        await browser.post("/q/-/decline", {"reason": "nonsense"})
        assert "Ha rechazado la oferta" in browser.page
        await browser.get("/q/-")
        assert "Ha rechazado la oferta" in browser.page
    assert (await closing.now(book, held)).state is SigningState.declined


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_another_sites_form_is_refused(book: Book, headers: dict[str, str]) -> None:
    _, held = await closing.sent(book)
    async with visiting(book) as browser:
        assert (await browser.post(f"/q/{await closing.token(book)}", None, **headers)).status == 403
        await browser.post(f"/q/{await closing.token(book)}")
        assert (await browser.post("/q/-/decline", None, **headers)).status == 403
    assert (await closing.now(book, held)).state is SigningState.opened


async def test_a_form_without_its_secret_is_refused(book: Book) -> None:
    _, held = await closing.sent(book)
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        for wrong in ("", "00", "ñ", "0" * 64):
            assert (await browser.post("/q/-/code", {"csrf": wrong})).status == 403
    assert (await closing.now(book, held)).state is SigningState.opened


async def test_the_cookie_is_out_of_scripts_reach_and_host_bound_over_https(book: Book) -> None:
    await closing.sent(book)
    async with visiting(book) as browser:
        answer = await browser.post(f"/q/{await closing.token(book)}")
        plain = answer.headers["Set-Cookie"]
    async with visiting(book, public_url="https://firma.example") as browser:
        answer = await browser.post(f"/q/{await closing.token(book)}")
        bound = answer.headers["Set-Cookie"]
    assert plain.startswith("signing=")
    assert bound.startswith("__Host-signing=")
    assert "Secure" in bound
    for cookie in (plain, bound):
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


async def test_a_second_browser_takes_the_offer_over_from_the_first(book: Book) -> None:
    await closing.sent(book)
    async with visiting(book) as first, visiting(book) as second:
        await first.post(f"/q/{await closing.token(book)}")
        await second.post(f"/q/{await closing.token(book)}")
        assert (await first.get("/q/-")).status == 404
        assert (await second.get("/q/-")).status == 200


async def test_what_people_typed_is_text_on_every_page(book: Book) -> None:
    await closing.sent(book, customer=NAME, lines=[Line("<img src=x onerror=alert(1)> {{ 7*7 }}", 1, 100, 0)])
    async with visiting(book) as browser:
        await browser.post(f"/q/{await closing.token(book)}")
        assert "&lt;img src=x onerror=alert(1)&gt; {{ 7*7 }}" in browser.page
        assert "<img" not in browser.page
        await browser.post("/q/-/code")
        await browser.post("/q/-/give", {"code": await closing.code(book)})
        await browser.post("/q/-/sign", {"name": '"><script>alert(2)</script>', "consent_offer": "yes"})
        assert "<script>alert" not in browser.page
        await browser.post("/q/-/sign", {"name": NAME, "consent_offer": "yes", "consent_data": "yes"})
        assert "&lt;script&gt;alert" in browser.page
        assert "<script>alert" not in browser.page


async def test_the_link_to_the_copy_gives_the_very_bytes_and_only_to_an_act(book: Book) -> None:
    held = await closing.signed(book)
    async with book.writing() as w:
        sealed = await blobs.keep(w.session, b"%PDF sealed", "application/pdf", w.now)
        await w.session.execute(text("update signings set sealed_sha256 = :sha, state = 'sealed'"), {"sha": sealed})
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    token = await closing.token(book, "copy")
    async with visiting(book) as browser:
        before = await state(book)
        assert (await browser.get(f"/q/copy/{token}")).status == 200
        assert "Carmen" not in browser.page
        assert await state(book) == before
        async with browser.session.post(f"{browser.url}/q/copy/{token}") as answer:
            assert await answer.read() == b"%PDF sealed"
            assert answer.headers["Content-Disposition"].startswith("attachment")


async def test_two_opened_at_once_leave_one_browser(book: Book) -> None:
    await closing.sent(book)
    token = await closing.token(book)
    async with book.writing() as w:
        first = await signing.open_link(w, token, closing.CUSTOMER)
    async with book.writing() as w:
        second = await signing.open_link(w, token, closing.CUSTOMER)
    assert first is not None
    assert second is not None
    assert first[1] != second[1]
