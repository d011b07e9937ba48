from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.carrier.twilio import TwilioCarrier
from integrations.http import client_session
from integrations.phonebox.faults import Fault
from router.ports import (
    LegFound,
    LegMoved,
    LegOutcome,
    LegRole,
    LegStage,
    MessageArrived,
    MessageMoved,
    MessageStage,
    Participant,
    Refused,
    RoomChange,
    RoomMoved,
    Uncertain,
)
from tests.integrations.phoning import ACCOUNT, CUSTOMER, OURS, Line, agent_leg, customer_leg, eventually, line, text
from tests.integrations.specification import SPECIFICATION, Judge

ROOM = "call-1-1"


@pytest.fixture(scope="module")
def specification() -> dict[str, Any] | None:
    return Judge.load().specification if SPECIFICATION.exists() else None


@pytest.fixture
async def phones(specification: dict[str, Any] | None) -> AsyncIterator[Line]:
    """The line, under the eyes of the carrier's own specification where that is at hand."""
    async with line(judge=Judge(specification) if specification else None) as here:
        yield here


async def bridged(phones: Line) -> tuple[str, str]:
    """Agent and customer talking in the room."""
    agent = await phones.carrier.place_leg(agent_leg())
    await phones.heard(RoomMoved("ref-room", ROOM, RoomChange.joined, LegRole.agent, agent))
    customer = await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    assert await phones.press(CUSTOMER, "answer") == 200
    await phones.heard(RoomMoved("ref-room", ROOM, RoomChange.joined, LegRole.customer, customer))
    return agent, customer


async def test_agent_and_customer_meet_talk_and_part(phones: Line) -> None:
    agent, customer = await bridged(phones)
    assert await phones.carrier.who_is_in(ROOM) == [
        Participant(agent, LegRole.agent),
        Participant(customer, LegRole.customer),
    ]
    assert await phones.carrier.find_leg(customer) == LegFound(customer, LegStage.answered)
    assert await phones.press(CUSTOMER, "hangup") == 200
    ended = LegMoved("ref-customer", customer, LegStage.ended, LegOutcome.completed)
    await phones.heard(ended, LegMoved("ref-agent", agent, LegStage.ended, LegOutcome.completed))
    await phones.heard(RoomMoved("ref-room", ROOM, RoomChange.ended))
    assert await phones.carrier.who_is_in(ROOM) == []
    of_customer = [event for event in phones.events() if isinstance(event, LegMoved) and event.ref == "ref-customer"]
    assert [event.stage for event in of_customer] == list(LegStage)


async def test_every_callback_is_genuine_and_has_a_key_of_its_own(phones: Line) -> None:
    await bridged(phones)
    await phones.carrier.end_room(ROOM)
    await phones.heard(RoomMoved("ref-room", ROOM, RoomChange.ended))
    assert all(phones.carrier.genuine(webhook) for webhook in phones.ear.heard)
    keys = [phones.carrier.dedupe_key(webhook) for webhook in phones.ear.heard]
    assert len(set(keys)) == len(keys)


async def test_hold_and_back_are_told_once_each(phones: Line) -> None:
    _, customer = await bridged(phones)
    for on in (True, True, False):
        await phones.carrier.hold(ROOM, customer, on=on)
        who = {person.carrier_id: person.on_hold for person in await phones.carrier.who_is_in(ROOM)}
        assert who[customer] is on
    await phones.heard(RoomMoved("ref-room", ROOM, RoomChange.unheld, LegRole.customer, customer))
    changes = [event.change for event in phones.events() if isinstance(event, RoomMoved)]
    assert changes.count(RoomChange.held) == changes.count(RoomChange.unheld) == 1


async def test_holding_somebody_in_an_ended_room_is_refused(phones: Line) -> None:
    with pytest.raises(Refused) as refused:
        await phones.carrier.hold("no-such-room", "CA" + "0" * 32, on=True)
    assert refused.value.permanent


async def test_ending_a_room_stops_the_ringing_too_and_twice_is_no_error(phones: Line) -> None:
    agent = await phones.carrier.place_leg(agent_leg())
    await phones.heard(RoomMoved("ref-room", ROOM, RoomChange.joined, LegRole.agent, agent))
    customer = await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    ringing = await phones.carrier.who_is_in(ROOM)
    assert Participant(customer, LegRole.customer) in ringing
    await phones.carrier.end_room(ROOM)
    await phones.heard(LegMoved("ref-customer", customer, LegStage.ended, LegOutcome.canceled))
    await phones.heard(LegMoved("ref-agent", agent, LegStage.ended, LegOutcome.completed))
    await phones.carrier.end_room(ROOM)
    assert (await phones.phone(CUSTOMER))["legs"] == []


async def test_ending_a_leg_works_while_it_rings_and_after_it_ended(phones: Line) -> None:
    leg = await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    await phones.carrier.end_leg(leg)
    await phones.heard(LegMoved("ref-customer", leg, LegStage.ended, LegOutcome.canceled))
    await phones.carrier.end_leg(leg)
    await phones.carrier.end_leg("CA" + "0" * 32)
    assert await phones.carrier.find_leg(leg) == LegFound(leg, LegStage.ended, LegOutcome.canceled)


async def test_declining_is_busy_and_silence_is_no_answer(phones: Line) -> None:
    declined = await phones.carrier.place_leg(customer_leg())
    await phones.rings(CUSTOMER)
    assert await phones.press(CUSTOMER, "decline") == 200
    await phones.heard(LegMoved("ref-customer", declined, LegStage.ended, LegOutcome.busy))
    silent = await phones.carrier.place_leg(customer_leg("call-1-2", ref="ref-2", ring_seconds=1))
    await phones.heard(LegMoved("ref-2", silent, LegStage.ended, LegOutcome.no_answer))


async def test_a_phone_in_a_call_is_busy_for_others(phones: Line) -> None:
    await bridged(phones)
    second = await phones.carrier.place_leg(customer_leg("call-2-1", ref="ref-2"))
    await phones.heard(LegMoved("ref-2", second, LegStage.ended, LegOutcome.busy))


async def test_a_call_ends_at_its_limit(phones: Line) -> None:
    leg = await phones.carrier.place_leg(agent_leg(longest_seconds=1))
    await phones.heard(LegMoved("ref-agent", leg, LegStage.ended, LegOutcome.completed))


async def test_a_room_may_be_named_in_any_script(phones: Line) -> None:
    leg = await phones.carrier.place_leg(agent_leg("sala ñ & ✓ #1?"))
    assert await phones.carrier.who_is_in("sala ñ & ✓ #1?") == [Participant(leg, LegRole.agent)]
    await phones.carrier.end_room("sala ñ & ✓ #1?")


async def test_impossible_numbers_are_refused_for_good() -> None:
    async with line() as phones:
        with pytest.raises(Refused) as refused:
            await phones.carrier.place_leg(customer_leg(to="+0"))
        assert (refused.value.permanent, refused.value.code) == (True, "21211")


async def test_a_message_is_told_until_it_is_delivered(phones: Line) -> None:
    before = datetime.now(UTC)
    sid = await phones.carrier.send_message(text("Su oferta: https://x.example/q/abc — código 123456"))
    await phones.heard(MessageMoved("ref-text", sid, MessageStage.delivered))
    stages = [event.stage for event in phones.events() if isinstance(event, MessageMoved)]
    assert stages == [MessageStage.sent, MessageStage.delivered]
    assert await phones.carrier.find_messages(CUSTOMER, before) == [sid]
    assert await phones.carrier.find_messages(CUSTOMER, before + timedelta(hours=1)) == []
    assert await phones.carrier.find_messages("+34600000002", before) == []
    (message,) = (await phones.phone(CUSTOMER))["messages"]
    assert (message["sid"], message["from"]) == (sid, OURS)


async def test_more_messages_than_fit_on_a_page_are_all_found(phones: Line) -> None:
    before = datetime.now(UTC)
    sent = {await phones.carrier.send_message(text(f"number {count}")) for count in range(60)}
    assert set(await phones.carrier.find_messages(CUSTOMER, before)) == sent


async def test_a_number_nothing_reaches_fails_with_its_code(phones: Line) -> None:
    phones.box.faults.undeliverable.add(CUSTOMER)
    sid = await phones.carrier.send_message(text())
    await phones.heard(MessageMoved("ref-text", sid, MessageStage.failed, "30003"))


async def test_a_person_who_wrote_stop_gets_no_more_until_start(phones: Line) -> None:
    assert await phones.press(CUSTOMER, "messages", to=OURS, body=" stop ") == 200
    with pytest.raises(Refused) as refused:
        await phones.carrier.send_message(text())
    assert (refused.value.permanent, refused.value.code) == (True, "21610")
    assert await phones.press(CUSTOMER, "messages", to=OURS, body="START") == 200
    await phones.carrier.send_message(text())


async def test_a_text_written_on_the_phone_reaches_us_signed(phones: Line) -> None:
    await phones.carrier.send_message(text())
    assert await phones.press(CUSTOMER, "messages", body="Sí ✓ <b>&") == 200

    def arrived() -> list[MessageArrived]:
        return [event for event in phones.events() if isinstance(event, MessageArrived)]

    (event,) = await eventually(arrived)
    assert (event.sender, event.to, event.text) == (CUSTOMER, OURS, "Sí ✓ <b>&")
    assert all(phones.carrier.genuine(webhook) for webhook in phones.ear.heard)


async def test_an_answer_lost_after_the_fact_is_uncertain_and_done_once(tmp_path: Path) -> None:
    async with line(log=tmp_path / "asked.jsonl") as phones:
        phones.box.faults.requests += [
            Fault("drop", "POST", "Participants"),
            Fault("drop", "POST", "Messages"),
        ]
        with pytest.raises(Uncertain):
            await phones.carrier.place_leg(customer_leg())
        (leg,) = await phones.carrier.who_is_in(ROOM)
        assert leg.role is LegRole.customer
        before = datetime.now(UTC)
        with pytest.raises(Uncertain):
            await phones.carrier.send_message(text())
        (sid,) = await phones.carrier.find_messages(CUSTOMER, before)
        assert [entry["sid"] for entry in phones.asked("POST", "/Participants.json")] == [leg.carrier_id]
        assert [entry["sid"] for entry in phones.asked("POST", "/Messages.json")] == [sid]


async def test_an_answer_that_comes_too_late_is_uncertain_and_done_once() -> None:
    async with line(total=0.5) as phones:
        phones.box.faults.requests.append(Fault("delay", "POST", "Participants", seconds=3600))
        with pytest.raises(Uncertain):
            await phones.carrier.place_leg(customer_leg())
        assert len(phones.asked("POST", "/Participants.json")) == 1
        assert len(await phones.carrier.who_is_in(ROOM)) == 1


async def test_too_many_requests_pass_in_the_end_and_only_one_call_is_made() -> None:
    async with line() as phones:
        phones.box.faults.requests.append(Fault("answer", "POST", status=429, times=2, processed=False))
        leg = await phones.carrier.place_leg(customer_leg())
        assert [each.carrier_id for each in await phones.carrier.who_is_in(ROOM)] == [leg]
        assert [entry["status"] for entry in phones.asked("POST", "/Participants.json")] == [429, 429, 201]


async def test_doubled_and_late_callbacks_keep_their_keys() -> None:
    async with line() as phones:
        phones.box.faults.duplicate, phones.box.faults.swap = 2, 1
        leg = await phones.carrier.place_leg(customer_leg())
        await phones.heard(LegMoved("ref-customer", leg, LegStage.ringing))
        await eventually(lambda: len(phones.ear.heard) == 3)
        stages = [event.stage for event in phones.events() if isinstance(event, LegMoved)]
        assert stages == [LegStage.ringing, LegStage.ringing, LegStage.placed]
        keys = [phones.carrier.dedupe_key(webhook) for webhook in phones.ear.heard]
        assert keys[0] == keys[1] != keys[2]


async def test_a_lost_callback_is_made_good_by_asking() -> None:
    async with line() as phones:
        phones.box.faults.drop = 1000
        leg = await phones.carrier.place_leg(agent_leg())

        async def answered() -> bool:
            return (await phones.carrier.find_leg(leg)).stage is LegStage.answered

        await eventually(answered)
        assert phones.ear.heard == []
        assert (await phones.carrier.who_is_in(ROOM))[0] == Participant(leg, LegRole.agent)


async def test_wrong_credentials_are_refused_for_now() -> None:
    async with line() as phones, client_session() as session:
        stranger = TwilioCarrier(
            session, account=ACCOUNT, tokens=("wrong",), public_url=phones.ear.url, base_url=phones.box.url
        )
        with pytest.raises(Refused) as refused:
            await stranger.send_message(text())
        assert (refused.value.permanent, refused.value.code) == (False, "20003")


def test_the_judge_finds_what_is_wrong() -> None:
    judge, base = Judge.load(), f"/2010-04-01/Accounts/{ACCOUNT}"
    good = {"To": [CUSTOMER], "From": [OURS], "Url": ["http://x.example/"]}
    judge.request("POST", f"{base}/Calls.json", {}, good)
    assert judge.violations == []
    bad_forms: list[dict[str, list[str]]] = [
        {"To": []},
        {"Timeout": ["soon"]},
        {"Record": ["True"]},
        {"StatusCallback": ["here"]},
        {"Unknown": ["x"]},
        {"CallReason": ["a", "b"]},
    ]
    for wrong in bad_forms:
        judge.request("POST", f"{base}/Calls.json", {}, {**good, **wrong})
        assert judge.violations, wrong
        judge.violations.clear()
    for path, status, body in (
        ("Calls.json", 200, b"{}"),
        ("Calls.json", 201, b'{"status": "weird"}'),
        ("Calls.json", 201, b'{"duration": 5}'),
        ("Calls.json", 201, b'{"sid": "CA1"}'),
        ("Calls.json", 201, b'{"date_created": "2026-11-24"}'),
        ("Calls.json", 201, b'{"invented": null}'),
    ):
        judge.answer("POST", f"{base}/{path}", status, body)
        assert judge.violations, body
        judge.violations.clear()
    judge.request("GET", f"{base}/Conferences/a-name/Participants.json", {}, {})
    judge.request("GET", f"{base}/Nothing.json", {}, {})
    assert ["a-name" in judge.violations[0], "no such path" in judge.violations[-1]] == [True, True]
