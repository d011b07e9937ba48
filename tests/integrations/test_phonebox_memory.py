import json
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from integrations.phonebox.log import Log
from router.ports import LegFound, LegOutcome, LegStage, Refused
from tests.integrations.phoning import (
    ACCOUNT,
    CUSTOMER,
    OURS,
    TOKEN,
    Line,
    agent_leg,
    customer_leg,
    eventually,
    line,
    text,
)
from tests.integrations.specification import Judge


async def all_delivered(phones: Line) -> bool:
    messages = (await phones.phone(CUSTOMER))["messages"]
    return all(each["status"] == "delivered" for each in messages if each["direction"] == "inbound")


async def test_a_restart_keeps_the_inbox_and_what_can_be_found(tmp_path: Path) -> None:
    before, path = datetime.now(UTC), tmp_path / "asked.jsonl"
    async with line(log=path) as phones:
        sent = [await phones.carrier.send_message(text(f"Línea {count}\nñ ✓")) for count in range(3)]
        await phones.press(CUSTOMER, "messages", to=OURS, body="Gracias")
        await eventually(lambda: all_delivered(phones))
        await eventually(lambda: len([e for e in phones.box.log.read() if e["kind"] == "status"]) == 6)
        inbox = [(each["sid"], each["body"], each["status"]) for each in (await phones.phone(CUSTOMER))["messages"]]
    async with line(log=path) as phones:
        kept = (await phones.phone(CUSTOMER))["messages"]
        assert [(each["sid"], each["body"], each["status"]) for each in kept] == inbox
        assert sorted(await phones.carrier.find_messages(CUSTOMER, before)) == sorted(sent)
        assert phones.ear.heard == []


async def test_a_message_under_way_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    async with line(log=path, message_seconds=3600) as phones:
        await phones.carrier.send_message(text())
    async with line(log=path) as phones:
        await eventually(lambda: all_delivered(phones))


async def test_a_restart_ends_the_calls_and_their_rooms(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    async with line(log=path) as phones:
        agent = await phones.carrier.place_leg(agent_leg())
        customer = await phones.carrier.place_leg(customer_leg())
        await phones.rings(CUSTOMER)
    async with line(log=path) as phones:
        for leg in (agent, customer):
            assert await phones.carrier.find_leg(leg) == LegFound(leg, LegStage.ended, LegOutcome.completed)
        assert await phones.carrier.who_is_in("call-1-1") == []
        assert (await phones.phone(CUSTOMER))["legs"] == []
        await phones.carrier.end_room("call-1-1")
        again = await phones.carrier.place_leg(customer_leg())
        assert [each.carrier_id for each in await phones.carrier.who_is_in("call-1-1")] == [again]


async def test_a_stop_is_remembered_and_a_deleted_message_stays_deleted(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    owner = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with line(log=path) as phones:
        sid = await phones.carrier.send_message(text())
        await eventually(lambda: all_delivered(phones))
        url = f"{phones.box.url}/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"
        async with phones.person.delete(url, headers=owner) as response:
            assert response.status == 204
        await phones.press(CUSTOMER, "messages", to=OURS, body="STOP")
    async with line(log=path) as phones:
        assert [each["body"] for each in (await phones.phone(CUSTOMER))["messages"]] == ["STOP"]
        refused = None
        try:
            await phones.carrier.send_message(text())
        except Refused as error:
            refused = error.code
        assert refused == "21610"


async def test_every_request_is_in_the_log_with_its_form_and_outcome(tmp_path: Path) -> None:
    async with line(log=tmp_path / "asked.jsonl") as phones:
        sid = await phones.carrier.send_message(text("Hola ñ"))
        await phones.carrier.who_is_in("nowhere")
        (post,) = phones.asked("POST", "/Messages.json")
        assert (post["status"], post["sid"], post["form"]["Body"]) == (201, sid, ["Hola ñ"])
        (get,) = phones.asked("GET", "/Conferences.json")
        assert get["query"]["FriendlyName"] == "nowhere"
    assert (tmp_path / "asked.jsonl").stat().st_mode & 0o777 == 0o600


async def test_half_a_line_left_by_a_crash_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    await Log(path).add("status", sid="SM1", status="sent", error_code=None)
    with path.open("ab") as file:
        file.write(b'{"at": "2026-11-24T12:00:00+00:00", "kind": "re')
    await Log(path).add("status", sid="SM2", status="sent", error_code=None)
    assert [entry["sid"] for entry in Log(path).read()] == ["SM1", "SM2"]
    path.write_bytes(path.read_bytes() + b'[]\n5\n"x"\n\xff\n{}\n')
    assert len(Log(path).read()) == 2


async def test_the_records_have_every_field_the_specification_names() -> None:
    judge = Judge.load()
    async with line() as phones:
        await phones.carrier.place_leg(agent_leg())
        await phones.carrier.send_message(text())
        base, records = f"{phones.box.url}/2010-04-01/Accounts/{ACCOUNT}", {}
        owner = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        for key in ("calls", "conferences", "messages"):
            async with phones.person.get(f"{base}/{key.title()}.json", headers=owner) as response:
                records[key] = json.loads(await response.read())[key][0]
        people = f"{base}/Conferences/{records['conferences']['sid']}/Participants.json"
        async with phones.person.get(people, headers=owner) as response:
            records["participants"] = json.loads(await response.read())["participants"][0]
    for key, name in [
        ("calls", "call"),
        ("conferences", "conference"),
        ("participants", "conference.participant"),
        ("messages", "message"),
    ]:
        assert set(records[key]) == judge.fields(f"api.v2010.account.{name}")
