"""The phonebox's mail server and its pages: what was caught can be read, and can do nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from integrations.mail.transport import SmtpMail
from integrations.phonebox import Phonebox
from router.paths import TEMPLATES
from router.ports import Uncertain
from tests.integrations.phoning import ACCOUNT, QUICK, TOKEN
from tests.mailing import order

HOSTILE = '<script>document.title = "caught"</script><img src="http://x.example/p.png"><a href="http://x.example/">go</a>'


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Phonebox]:
    box = Phonebox(account=ACCOUNT, token=TOKEN, templates=TEMPLATES, log=tmp_path / "asked.jsonl", **QUICK)
    await box.start()
    yield box
    await box.stop()


async def read(url: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text(), response.headers.get("Content-Security-Policy", "")


async def send(box: Phonebox, **more: str) -> None:
    mail = SmtpMail(box.smtp_url)
    await mail.send(order(**more))
    await mail.close()


async def test_a_mail_is_listed_and_read_as_text_and_as_a_page_that_can_do_nothing(box: Phonebox) -> None:
    await send(box, subject="Año <b>", text="Ver http://127.0.0.1/q/abc <i>", html=HOSTILE)
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}/mails.json") as response:
        (mail,) = await response.json()
    status, listed, _ = await read(f"{box.url}/mails", Accept="text/html")
    assert status == 200
    assert "Año &lt;b&gt;" in listed
    assert f'/mails/{mail["sid"]}' in listed
    _, page, policy = await read(f"{box.url}/mails/{mail['sid']}", Accept="text/html")
    assert 'href="http://127.0.0.1/q/abc"' in page
    assert "&lt;i&gt;" in page
    assert "<script>document" not in page
    assert "frame-src 'self'" in policy
    _, inside, policy = await read(f"{box.url}/mails/{mail['sid']}/html")
    assert HOSTILE in inside
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy + page


async def test_mails_are_found_by_who_got_them_and_none_by_a_wrong_name(box: Phonebox) -> None:
    await send(box, ref="1" * 22, to="ana@example.com")
    await send(box, ref="2" * 22, to="eva@example.com")
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}/mails.json?to=EVA@example.com") as response:
        assert [one["to"] for one in await response.json()] == [["eva@example.com"]]
    for path in ("/mails/EM1", "/mails/EM1.json", "/mails/EM1/html", "/mails/%00"):
        assert (await read(box.url + path))[0] == 404


@pytest.mark.parametrize(("language", "words"), [("en", "All mails"), ("es", "Todos los correos"),
                                                 ("it", "Tutta la posta"), ("ru", "Все письма")])  # noqa: RUF001
async def test_the_pages_speak_four_languages(box: Phonebox, language: str, words: str) -> None:
    await send(box)
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}/mails.json") as response:
        (mail,) = await response.json()
    assert words in (await read(f"{box.url}/mails/{mail['sid']}", **{"Accept-Language": language}))[1]


async def test_its_switches_are_set_over_http_and_its_log_tells_what_it_took(box: Phonebox) -> None:
    fault = {"kind": "drop", "method": "SMTP", "path": "BODY"}
    async with aiohttp.ClientSession() as session, session.post(
        f"{box.url}/faults", json={"requests": [fault]}
    ) as response:
        assert response.status == 200
    with pytest.raises(Uncertain):
        await send(box)
    assert [one["message_id"] for one in box.log.read() if one["kind"] == "mail"] == [f"<{'r' * 22}@luz.example>"]


async def test_mails_survive_a_restart(box: Phonebox, tmp_path: Path) -> None:
    await send(box, subject="Hola")
    await box.stop()
    await box.start()
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}/mails.json") as response:
        assert [one["subject"] for one in await response.json()] == ["Hola"]


async def test_a_fault_that_fits_every_request_fits_no_mail(box: Phonebox) -> None:
    async with aiohttp.ClientSession() as session, session.post(
        f"{box.url}/faults", json={"requests": [{"kind": "drop"}]}
    ) as response:
        assert response.status == 200
    await send(box)
