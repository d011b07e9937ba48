"""Anybody may ask of a document what holds."""

import hashlib
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import typst
from sqlalchemy import text

from integrations.trust import EmbeddedTrust
from router.actions import sealing
from router.book import Book
from router.model.rates import Limit, Limits
from router.store import attestations, blobs, ledger
from tests import closing
from tests.web.customer import Browser, visiting

BARE = typst.compile(b"= A letter")


@dataclass
class Issued:
    browser: Browser
    pdf: bytes
    offer: bytes
    number: str
    certificate: bytes
    code: str

    async def ask(self, pdf: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/pdf", "Accept": "application/json"}
        async with self.browser.session.post(self.browser.url + "/verify", data=pdf, headers=headers) as answer:
            assert answer.status == 200
            said: dict[str, Any] = await answer.json()
        return said

    async def fails(self, pdf: bytes) -> list[str]:
        said = await self.ask(pdf)
        return [line["name"] for line in said["lines"] if not line["holds"]]


@pytest.fixture
async def issued(book: Book, trust: EmbeddedTrust) -> AsyncIterator[Issued]:
    root = await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.sealed(book, trust)
    quote = await closing.quote_of(book, held)
    async with book.reading() as r:
        kept = await attestations.of_signing(r.session, held.id)
        assert kept is not None
        pdfs = [await blobs.content(r.session, sha256) or b"" for sha256 in (
            held.sealed_sha256, quote.pdf_sha256, kept.sha256)]
    async with visiting(book, trust, root) as browser:
        yield Issued(browser, pdfs[0], pdfs[1], quote.number, pdfs[2], kept.code)


async def test_a_file_of_ours_holds_in_every_line(issued: Issued) -> None:
    said = await issued.ask(issued.pdf)
    assert said["identical"] is True
    assert [line["name"] for line in said["lines"]] == [
        "issued", "integrity", "revisions", "signer", "trust", "time", "level", "chain", "number",
    ]  # fmt: skip
    assert all(line["holds"] for line in said["lines"])
    assert said["lines"][0]["detail"]["quote"] == f"{issued.number}/1"
    assert "+12025550101" not in str(said)


async def test_a_flipped_byte_anywhere_is_reported(issued: Issued) -> None:
    for place in range(0, len(issued.pdf), max(1, len(issued.pdf) // 12)):
        changed = bytearray(issued.pdf)
        changed[place] ^= 1
        assert "issued" in await issued.fails(bytes(changed))


async def test_appended_junk_and_an_unsigned_offer_are_told_apart(issued: Issued) -> None:
    assert {"issued", "revisions"} <= set(await issued.fails(issued.pdf + b"\n% more"))
    said = await issued.ask(issued.offer)
    assert said["identical"] is False
    assert said["lines"][0]["detail"]["code"] == "unsigned-offer"
    assert all(not line["holds"] for line in said["lines"])


async def test_the_page_says_it_in_words_with_a_sign_for_each_line(issued: Issued) -> None:
    form = aiohttp.FormData()
    form.add_field("file", issued.pdf, filename="a.pdf", content_type="application/pdf")
    headers = {"Accept": "text/html", "Accept-Language": "es"}
    async with issued.browser.session.post(issued.browser.url + "/verify", data=form, headers=headers) as answer:
        page = await answer.text()
    assert answer.status == 200
    assert page.count('class="holds"') == 9
    assert page.count("se cumple</p>") == 9
    assert issued.number in page
    assert "firma electrónica simple con evidencias reforzadas" in page


async def test_the_root_certificate_is_there_with_its_fingerprint(issued: Issued) -> None:
    for path in ("/verify/root.pem", "/pki/root.pem"):
        async with issued.browser.session.get(issued.browser.url + path) as answer:
            pem = await answer.read()
        assert pem.startswith(b"-----BEGIN CERTIFICATE-----")
    await issued.browser.get("/verify")
    assert answer.headers["X-SHA256"] in issued.browser.page


async def test_what_is_no_document_is_refused_and_nothing_is_stored(issued: Issued, book: Book) -> None:
    url, post = issued.browser.url + "/verify", issued.browser.session.post
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    for body, headers, status in (
        (b"", {"Content-Type": "application/pdf"}, 422),
        (b"x", {"Content-Type": "text/plain"}, 415),
        (b"garbage", broken, 400),
        (b"--x\r\n\r\n\r\n--x--\r\n", broken, 422),
        (b"", {"Content-Type": "multipart/form-data"}, 400),
        (b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n", broken, 400),
        (b"x" * (10 * 1024 * 1024 + 1), {"Content-Type": "application/pdf"}, 413),
    ):
        async with post(url, data=io.BytesIO(body), headers=headers) as answer:
            assert answer.status == status, (body[:20], headers)
    assert "not-a-pdf" in str(await issued.ask(b"hello"))
    async with book.reading() as r:
        assert await blobs.content(r.session, hashlib.sha256(b"hello").digest()) is None


async def test_who_chose_nothing_or_mistyped_stays_on_the_form(issued: Issued) -> None:
    url, headers = issued.browser.url + "/verify", {"Accept": "text/html", "Accept-Language": "en"}
    for code, field, said in (("", "file", "Choose a PDF first."), ("ABC", "code", "This is neither a code")):
        form = aiohttp.FormData({"code": code})
        form.add_field("file", b"", filename="", content_type="application/octet-stream")
        async with issued.browser.session.post(url, data=form, headers=headers) as answer:
            page = await answer.text()
        assert answer.status == 422
        assert said in page
        assert re.search(rf'<input id="{field}"[^>]*aria-invalid="true"', page)
        assert page.count("aria-invalid") == 1


@pytest.mark.parametrize(("content", "status", "said"), [
    (b"hello", 422, "This is not a PDF. Choose the PDF itself"),
    (b"", 422, "This file is empty. Download it again"),
    (BARE, 200, "The document carries no seal, so nothing in it can be checked."),
    (b"%PDF-1.7 and so on", 200, "The document cannot be read. Perhaps it did not arrive whole"),
], ids=["a text", "an empty file", "no seal", "a piece"])
async def test_what_nothing_can_be_said_of_is_told_once_with_what_to_do_next(
    issued: Issued, content: bytes, status: int, said: str
) -> None:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="letter.pdf", content_type="application/pdf")
    headers = {"Accept": "text/html", "Accept-Language": "en"}
    async with issued.browser.session.post(issued.browser.url + "/verify", data=form, headers=headers) as answer:
        page = await answer.text()
    assert answer.status == status
    assert page.count(said) == 1
    assert page.count('class="fails"') == (2 if status == 200 else 0)
    assert page.count("aria-invalid") == (0 if status == 200 else 1)


async def test_a_document_of_some_megabytes_is_read_from_the_form(issued: Issued) -> None:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(issued.pdf + b"\0" * 3_000_000), filename="a.pdf", content_type="application/pdf")
    async with issued.browser.session.post(
        issued.browser.url + "/verify", data=form, headers={"Accept": "application/json"}
    ) as answer:
        said = await answer.json()
    assert answer.status == 200
    assert said["identical"] is False


async def asked(browser: Browser, typed: str) -> tuple[int, dict[str, Any]]:
    """A code or a SHA-256 typed into the form."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("file", b"", filename="", content_type="application/octet-stream")
    form.add_field("code", typed)
    headers = {"Accept": "application/json"}
    async with browser.session.post(browser.url + "/verify", data=form, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_the_certificate_is_ours_too_and_its_code_leads_to_it(issued: Issued) -> None:
    said = await issued.ask(issued.certificate)
    assert all(line["holds"] for line in said["lines"])
    assert said["lines"][0]["detail"]["code"] == "certificate"
    await issued.browser.get(f"/verify?code={issued.code}")
    assert f'value="{issued.code[:4]}-{issued.code[4:8]}-{issued.code[8:]}"' in issued.browser.page
    status, said = await asked(issued.browser, issued.code.lower())
    assert status == 200
    assert [(line["name"], line["holds"]) for line in said["lines"]] == [
        ("issued", True), ("chain", True), ("number", True)
    ]  # fmt: skip
    assert said["lines"][0]["detail"]["signed_sha256"] == hashlib.sha256(issued.pdf).hexdigest()
    assert said["lines"][2]["detail"]["phone"] == "+12•••101"


async def test_a_sha256_is_enough_and_what_is_unknown_says_so(issued: Issued) -> None:
    _, said = await asked(issued.browser, hashlib.sha256(issued.pdf).hexdigest().upper())
    assert said["identical"] is True
    for typed, code in (("A" * 12, "unknown-code"), ("0" * 64, "unknown")):
        _, said = await asked(issued.browser, typed)
        assert [(line["name"], line["detail"]["code"]) for line in said["lines"]] == [("issued", code)]
    assert (await asked(issued.browser, "hello"))[0] == 422


async def test_the_line_about_the_ledger_says_where_it_stands_and_when_it_was_tampered_with(
    issued: Issued, book: Book
) -> None:
    async def chain() -> tuple[bool, str]:
        line = next(line for line in (await issued.ask(issued.pdf))["lines"] if line["name"] == "chain")
        return line["holds"], line["detail"]["code"]

    assert await chain() == (True, "not-entered")
    async with book.writing() as w:
        assert await ledger.enter(w.session) > 0
    assert await chain() == (True, "entered")
    async with book.writing() as w:
        await w.session.execute(text("alter table evidence disable trigger user"))
        await w.session.execute(text("delete from evidence where seq = (select max(seq) from evidence)"))
        await w.session.execute(text("alter table evidence enable trigger user"))
    assert await chain() == (False, "broken")


async def test_one_network_may_not_ask_without_end(issued: Issued, book: Book) -> None:
    limits = Limits(documents=Limit(3, 600))
    async with visiting(book, limits=limits) as browser:
        assert [(await asked(browser, "A" * 12))[0] for _ in range(4)] == [200, 200, 200, 429]
