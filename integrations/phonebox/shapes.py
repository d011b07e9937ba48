"""The carrier's JSON: records, pages of lists, errors."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from integrations.phonebox.legs import API_VERSION, Leg, LegState, Room, stamp
from integrations.phonebox.messages import MEANINGS, Message, plain
from integrations.phonebox.recordings import Recording

Record = dict[str, Any]


def base(account: str) -> str:
    return f"/{API_VERSION}/Accounts/{account}"


def call(leg: Leg, account: str) -> Record:
    uri = f"{base(account)}/Calls/{leg.sid}"
    return {
        "sid": leg.sid,
        "account_sid": account,
        "api_version": API_VERSION,
        "to": leg.to,
        "to_formatted": leg.to,
        "from": leg.shown_caller,
        "from_formatted": leg.shown_caller,
        "status": leg.state.value,
        "direction": leg.direction,
        "date_created": stamp(leg.placed_at),
        "date_updated": stamp(leg.updated_at),
        "start_time": stamp(leg.answered_at) if leg.answered_at else None,
        "end_time": stamp(leg.ended_at) if leg.ended_at else None,
        "duration": None if leg.live else str(leg.seconds),
        "queue_time": "0",
        "price": None,
        "price_unit": "USD",
        "parent_call_sid": None,
        "phone_number_sid": None,
        "answered_by": None,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {"events": f"{uri}/Events.json", "recordings": f"{uri}/Recordings.json"},
    }


def conference(room: Room, account: str) -> Record:
    uri = f"{base(account)}/Conferences/{room.sid}"
    return {
        "sid": room.sid,
        "account_sid": account,
        "api_version": API_VERSION,
        "friendly_name": room.name,
        "region": "us1",
        "status": room.state.value,
        "reason_conference_ended": room.reason,
        "call_sid_ending_conference": room.ended_by.sid if room.ended_by else None,
        "date_created": stamp(room.created_at),
        "date_updated": stamp(room.updated_at),
        "uri": f"{uri}.json",
        "subresource_uris": {"participants": f"{uri}/Participants.json", "recordings": f"{uri}/Recordings.json"},
    }


def participant(leg: Leg, account: str) -> Record:
    return {
        "account_sid": account,
        "call_sid": leg.sid,
        "conference_sid": leg.room,
        "label": leg.label or None,
        "call_sid_to_coach": None,
        "coaching": False,
        "muted": leg.muted,
        "hold": leg.on_hold,
        "start_conference_on_enter": leg.starts_room,
        "end_conference_on_exit": leg.ends_room,
        "status": leg.participant_status,
        "queue_time": "0",
        "date_created": stamp(leg.placed_at),
        "date_updated": stamp(leg.updated_at),
        "uri": f"{base(account)}/Conferences/{leg.room}/Participants/{leg.sid}.json",
    }


def recording(each: Recording, account: str) -> Record:
    uri = f"{base(account)}/Recordings/{each.sid}"
    return {
        "sid": each.sid,
        "account_sid": account,
        "api_version": API_VERSION,
        "call_sid": each.call_sid,
        "conference_sid": None,
        "channels": 1,
        "source": "RecordVerb",
        "status": "completed",
        "error_code": None,
        "encryption_details": None,
        "duration": str(each.seconds),
        "price": None,
        "price_unit": "USD",
        "start_time": stamp(each.at),
        "date_created": stamp(each.at),
        "date_updated": stamp(each.at),
        "media_url": uri,
        "uri": f"{uri}.json",
        "subresource_uris": {
            "add_on_results": f"{uri}/AddOnResults.json",
            "transcriptions": f"{uri}/Transcriptions.json",
        },
    }


def message(each: Message, account: str) -> Record:
    uri = f"{base(account)}/Messages/{each.sid}"
    service = each.sender if each.sender.startswith("MG") else None
    return {
        "sid": each.sid,
        "account_sid": account,
        "api_version": API_VERSION,
        "to": each.to,
        "from": None if service else each.sender,
        "messaging_service_sid": service,
        "body": each.body,
        "num_segments": str(each.segments),
        "num_media": str(len(each.enclosures)),
        "direction": "inbound" if each.inbound else "outbound-api",
        "status": each.status,
        "error_code": each.error_code,
        "error_message": MEANINGS.get(each.error_code or 0),
        "price": None,
        "price_unit": "USD",
        "date_created": stamp(each.created_at),
        "date_updated": stamp(each.updated_at),
        "date_sent": stamp(each.sent_at) if each.sent_at else None,
        "uri": f"{uri}.json",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }


def page(key: str, records: Sequence[Record], path: str, query: Mapping[str, str], *, number: int, size: int) -> Record:
    """One page of a list; `number` counts from 0."""
    kept = {name: value for name, value in query.items() if name not in ("Page", "PageSize", "PageToken")}

    def uri(wanted: int) -> str:
        return f"{path}?{urlencode({**kept, 'PageSize': size, 'Page': wanted})}"

    start = number * size
    shown = records[start : start + size]
    return {
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(shown) - 1),
        "uri": uri(number),
        "first_page_uri": uri(0),
        "previous_page_uri": uri(number - 1) if number else None,
        "next_page_uri": uri(number + 1) if start + size < len(records) else None,
        key: list(shown),
    }


def error(sentence: str, *, code: int, status: int) -> Record:
    return {
        "code": code,
        "message": sentence,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def phone(number: str, legs: Sequence[Leg], messages: Sequence[Message], version: int) -> Record:
    """A phone as its page and outsiders see it. Times are ISO 8601 in UTC."""
    return {
        "number": number,
        "version": version,
        "legs": [
            {
                "sid": leg.sid,
                "state": leg.state.value,
                "room": leg.room_name,
                "direction": "outbound" if leg.inbound else "inbound",
                "from": leg.caller,
                "to": leg.to,
                "doing": leg.doing,
                "on_hold": leg.on_hold,
                "placed_at": leg.placed_at.isoformat(),
                "answered_at": leg.answered_at.isoformat() if leg.answered_at else None,
            }
            for leg in legs
            if leg.state is not LegState.queued
        ],
        "messages": [
            {
                "sid": each.sid,
                "body": each.body,
                "at": each.created_at.isoformat(),
                "from": plain(each.sender),
                "to": plain(each.to),
                "channel": each.channel,
                "media": [enclosed.media_type for enclosed in each.enclosures],
                "direction": "outbound" if each.inbound else "inbound",
                "status": each.status,
            }
            for each in messages
        ],
    }
