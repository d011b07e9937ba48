import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from integrations.phonebox.pages import codes
from tests.integrations.phoning import ACCOUNT, CUSTOMER, OURS, TOKEN, Line, customer_leg, eventually, line, text

PAGE = {"Accept": "text/html"}
HOSTILE = '<script>alert(1)</script>" onmouseover="x {{ 7*7 }} \u202e'


@pytest.fixture
async def phones() -> AsyncIterator[Line]:
    async with line() as here:
        yield here


async def get(phones: Line, path: str, **headers: str) -> tuple[int, str]:
    async with phones.person.get(phones.box.url + path, headers=headers) as response:
        return response.status, await response.text()


async def post(phones: Line, path: str, **options: Any) -> tuple[int, Any]:
    async with phones.person.post(phones.box.url + path, allow_redirects=False, **options) as response:
        body = await response.read()
        return response.status, json.loads(body) if response.content_type == "application/json" else body


async def test_the_page_rings_with_buttons_and_words(phones: Line) -> None:
    await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    status, page = await get(phones, f"/phones/%2B{CUSTOMER[1:]}", **PAGE)
    assert status == 200
    assert 'data-state="ringing"' in page
    assert all(word in page for word in ("Ringing", "Answer", "Decline", OURS))
    assert "Hang up" not in page
    assert await phones.press(CUSTOMER, "answer") == 200
    _, page = await get(phones, f"/phones/{CUSTOMER}", **PAGE)
    assert "In a call" in page
    assert "Hang up" in page


async def test_the_page_speaks_spanish_to_spaniards(phones: Line) -> None:
    _, page = await get(phones, f"/phones/{CUSTOMER}", **PAGE, **{"Accept-Language": "xx, es-ES;q=0.9, en"})
    assert '<html lang="es">' in page
    assert "Sin llamada" in page


async def test_the_inbox_is_newest_first_with_links_and_codes(phones: Line) -> None:
    await phones.carrier.send_message(text("Su oferta: http://127.0.0.1:8080/q/aB3?x=1&y=2"))
    await phones.carrier.send_message(text("Su código es 123456."))
    _, page = await get(phones, f"/phones/{CUSTOMER}", **PAGE)
    assert page.index("123456") < page.index("Su oferta")
    link = re.search(r'<a href="([^"]+)" rel="([^"]+)" target="_blank">', page)
    assert link
    assert link[1] == "http://127.0.0.1:8080/q/aB3?x=1&amp;y=2"
    assert "noreferrer" in link[2]
    assert 'data-copy="123456"><b>123456</b><span>Copy</span>' in page


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Code 123456", ["123456"]),
        ("123456 and 123456, or 0042", ["123456", "0042"]),
        ("https://x.example/123456 and +34600123456", []),
        ("1.250,00 EUR, 12:30, 2026-11-24, 123", []),
        ("código: 9876.", ["9876"]),
    ],
)
def test_codes_are_found_and_amounts_and_links_are_not(words: str, found: list[str]) -> None:
    assert codes(words) == found


async def test_a_hostile_text_stays_a_text(phones: Line) -> None:
    await phones.carrier.send_message(text(f"{HOSTILE} javascript:alert(1)"))
    _, page = await get(phones, f"/phones/{CUSTOMER}", **PAGE)
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert 'href="javascript' not in page
    assert '" onmouseover' not in page


async def test_the_pages_forbid_foreign_scripts_and_frames(phones: Line) -> None:
    async with phones.person.get(f"{phones.box.url}/phones/{CUSTOMER}") as response:
        policy = response.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors http://127.0.0.1:* http://localhost:*" in policy
    for path in ("/static/phonebox.js", "/static/phonebox.css"):
        assert (await get(phones, path))[0] == 200


async def test_the_index_lists_the_phones_and_opens_any(phones: Line) -> None:
    assert "No phone has been called yet" in (await get(phones, "/"))[1]
    await phones.carrier.send_message(text())
    assert f'href="/phones/{CUSTOMER}"' in (await get(phones, "/"))[1]
    status, page = await get(phones, "/phones?number=%2B34+600+000+002", **PAGE)
    assert (status, "+34600000002" in page) == (200, True)


async def test_a_form_without_script_leads_back_to_the_page(phones: Line) -> None:
    await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    status, _ = await post(phones, f"/phones/{CUSTOMER}/answer", data={}, headers=PAGE)
    assert status == 303
    assert (await phones.phone(CUSTOMER))["legs"][0]["state"] == "in-progress"


async def test_a_button_for_nothing_says_so(phones: Line) -> None:
    for button in ("answer", "decline", "hangup"):
        status, answer = await post(phones, f"/phones/{CUSTOMER}/{button}")
        assert (status, answer["code"], answer["status"]) == (409, 21220, 409)
    await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    assert await phones.press(CUSTOMER, "answer", sid="CA" + "0" * 32) == 409
    assert await phones.press(CUSTOMER, "answer") == 200
    assert await phones.press(CUSTOMER, "answer") == 409


@pytest.mark.parametrize(
    "options",
    [
        {"data": b"[" * 60_000, "headers": {"Content-Type": "application/json"}},
        {"data": b'{"body": 5}', "headers": {"Content-Type": "application/json"}},
        {"data": b'{"body": "\\ud800", "to": "+34910000000"}', "headers": {"Content-Type": "application/json"}},
        {"data": b"[1]", "headers": {"Content-Type": "application/json"}},
        {"data": b"\xff", "headers": {"Content-Type": "application/json"}},
        {"data": b"body=%FF", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": b"body=a%00b&to=%2B34910000000", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": b"a=1&" * 500, "headers": {"Content-Type": "application/x-www-form-urlencoded; charset=punycode"}},
        {"data": b"x" * 100_000, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"data": b"x", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}},
        {"json": {"to": OURS, "body": ""}},
        {"json": {"to": OURS, "body": "x" * 10_001}},
        {"json": {"to": "nobody", "body": "x"}},
        {"json": {"body": "an answer to nobody"}},
    ],
)
async def test_bad_texts_are_refused_with_a_sentence(phones: Line, options: dict[str, Any]) -> None:
    status, answer = await post(phones, f"/phones/{CUSTOMER}/messages", **options)
    assert 400 <= status < 500
    assert answer["message"]
    assert (await phones.phone(CUSTOMER))["messages"] == []


@pytest.mark.parametrize("number", ["nobody", "+0", "34600000001", "client:", "+34600000001x", "%00", "client:a b"])
async def test_what_is_no_phone_has_no_page(phones: Line, number: str) -> None:
    for path in (f"/phones/{number}", f"/phones/{number}.json", f"/phones/{number}/events"):
        assert (await get(phones, path))[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
    ],
)
async def test_other_sites_press_no_buttons(phones: Line, headers: dict[str, str]) -> None:
    status, _ = await post(phones, f"/phones/{CUSTOMER}/messages", json={"to": OURS, "body": "x"}, headers=headers)
    assert status == 403
    assert (await phones.phone(CUSTOMER))["messages"] == []


async def test_the_phones_own_page_may(phones: Line) -> None:
    headers = {"Origin": phones.box.url, "Sec-Fetch-Site": "same-origin"}
    status, _ = await post(phones, f"/phones/{CUSTOMER}/messages", json={"to": OURS, "body": "x"}, headers=headers)
    assert status == 200


async def test_a_foreign_name_for_our_loopback_reads_nothing(phones: Line) -> None:
    assert (await get(phones, f"/phones/{CUSTOMER}.json", Host="rebinding.example"))[0] == 403


async def test_waiting_for_news_ends_with_the_news(phones: Line) -> None:
    phone = await phones.phone(CUSTOMER)
    await phones.carrier.place_leg(customer_leg())
    path = f"/phones/{CUSTOMER}/events?after={phone['version']}"
    news = json.loads((await get(phones, path))[1])
    assert news["version"] != phone["version"]
    assert [leg["state"] for leg in news["legs"]] == ["ringing"]
    quiet = json.loads((await get(phones, f"/phones/{CUSTOMER}/events?after={news['version']}&seconds=0"))[1])
    assert quiet["version"] == news["version"]


@pytest.mark.parametrize(
    "query", ["after=x", "after=-5", "seconds=26", "seconds=x", f"after={'9' * 5000}", f"after={'0' * 5000}"]
)
async def test_waiting_for_nonsense_is_refused(phones: Line, query: str) -> None:
    assert (await get(phones, f"/phones/{CUSTOMER}/events?{query}"))[0] == 400


async def test_the_stream_begins_with_the_present_and_goes_on_with_the_news(phones: Line) -> None:
    async with phones.person.get(
        f"{phones.box.url}/phones/{CUSTOMER}/events", headers={"Accept": "text/event-stream"}
    ) as stream:
        first = await _event(stream)
        assert first["legs"] == []
        assert "No call" in first["parts"]["calls"]
        await phones.carrier.place_leg(customer_leg())
        assert "Ringing" in (await _event(stream))["parts"]["calls"]
        await phones.press(CUSTOMER, "decline")
        assert "No call" in (await _event(stream))["parts"]["calls"]
        await phones.box.stop()  # ends the stream; the line stops once more, which is harmless


async def _event(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    while True:
        line = await stream.content.readline()
        if line.startswith(b"data: {"):
            state: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return state


async def test_the_rest_door_speaks_the_carriers_errors(phones: Line) -> None:
    base = f"/2010-04-01/Accounts/{ACCOUNT}"
    owner = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    form = {"To": CUSTOMER, "From": OURS}
    for path, options, status, code in [
        (f"{base}/Messages.json", {"data": form}, 401, 20003),
        (f"{base}/Messages.json", {"data": form, "headers": {"Authorization": "Basic ñ"}}, 401, 20003),
        (f"{base}/Messages.json", {"data": form, "headers": {"Authorization": "Bearer x"}}, 401, 20003),
        (f"{base}/Messages.json", {"data": {"From": OURS}, "headers": owner}, 400, 21604),
        (f"{base}/Messages.json", {"data": form, "headers": owner}, 400, 21602),
        (f"{base}/Messages.json", {"data": {**form, "Body": "x" * 1601}, "headers": owner}, 400, 21617),
        (f"{base}/Messages.json", {"data": {**form, "Body": "x", "StatusCallback": "x"}, "headers": owner}, 400, 21609),
        (f"{base}/Calls.json", {"data": form, "headers": owner}, 400, 21205),
        (f"{base}/Calls.json", {"data": {**form, "Timeout": "soon"}, "headers": owner}, 400, 20001),
        (f"{base}/Calls.json", {"json": form, "headers": owner}, 415, 20001),
        (f"{base}/Calls/CA{'0' * 32}.json", {"data": {}, "headers": owner}, 404, 20404),
        (f"{base}/Nothing.json", {"data": form, "headers": owner}, 404, 20404),
        (f"{base}/Conferences.json", {"data": form, "headers": owner}, 405, 20004),
        (f"/2010-04-01/Accounts/AC{'9' * 32}/Messages.json", {"data": form, "headers": owner}, 404, 20404),
        ("/2010-04-01/", {"data": form, "headers": owner}, 404, 20404),
    ]:
        answered, body = await post(phones, path, **options)
        assert (answered, body["code"], body["status"]) == (status, code, status)
        assert body["more_info"].endswith(f"/{code}")
        assert body["message"]


@pytest.mark.parametrize(
    "query",
    ["PageSize=0", "PageSize=1001", "PageSize=x", "Page=-1", "Page=٣", "DateSent=x", "DateSent>=0000-00-00"],
)
async def test_lists_refuse_nonsense(phones: Line, query: str) -> None:
    owner = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    await phones.carrier.send_message(text())
    status, _ = await get(phones, f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?{query}", **owner)
    assert status == 400


async def test_fault_switches_are_for_tests_only(phones: Line) -> None:
    assert (await post(phones, "/faults", json={"drop": 1, "undeliverable": [CUSTOMER]}))[0] == 200
    assert (phones.box.faults.drop, phones.box.faults.undeliverable) == (1, {CUSTOMER})
    for nonsense in (
        {"drop": -1},
        {"drop": True},
        {"unknown": 1},
        {"requests": 5},
        {"requests": [{"kind": "x"}]},
        {"requests": [{"kind": "drop", "nonsense": 1}]},
        {"requests": [{"kind": "delay", "seconds": "x"}]},
        {"undeliverable": 5},
    ):
        assert (await post(phones, "/faults", json=nonsense))[0] == 400
    requests = [{"kind": "answer", "method": "POST", "status": 500, "processed": False}]
    assert (await post(phones, "/faults", json={"requests": requests}))[0] == 200
    async with line(test_switches=False) as plain:
        assert (await post(plain, "/faults", json={"drop": 1}))[0] == 404


async def test_a_callback_that_finds_no_connection_is_tried_once_more_and_hinders_nobody(phones: Line) -> None:
    owner = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    form = {"To": CUSTOMER, "From": OURS, "Body": "x", "StatusCallback": "http://127.0.0.1:1/x"}
    await post(phones, f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form, headers=owner)
    sid = await phones.carrier.send_message(text())

    async def delivered() -> bool:
        return {each["status"] for each in (await phones.phone(CUSTOMER))["messages"]} == {"delivered"}

    await eventually(delivered)
    await eventually(lambda: sum(sid in webhook.body.decode() for webhook in phones.ear.heard) == 2)
