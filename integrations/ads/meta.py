"""Meta's lead ads: a signed notice with ids only; the lead itself is fetched through the Graph API."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from integrations.ads.forms import lead
from integrations.http import AnswerTooLong, read_answer
from router.model import foreign
from router.model.errors import Unreadable
from router.ports import LeadAnnounced, PartyEvent, PartyLead, Refused, Webhook

MOST_ENTRIES, MOST_CHANGES, MOST_ANSWERS = 100, 100, 100
FIELDS = (
    "created_time,id,ad_id,adset_id,campaign_id,form_id,field_data,platform,is_organic,custom_disclaimer_responses"
)
_IDS = ("page_id", "form_id", "ad_id", "adgroup_id", "adset_id", "campaign_id", "platform")
_NUMBER = re.compile(r"[0-9]{1,40}")
_TEST_ID = re.compile(r"4{9,}")
_SIGNATURE = re.compile(r"sha256=([0-9a-fA-F]{64})")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_PASSING_CODES = frozenset({1, 2, 4, 17, 32, 102, 190, 341, 368, 613})
"""Graph's codes for "later", for too many calls, and for a token that the operator can renew."""


class Meta:
    """Implements `router.ports.Party`."""

    keeps: Sequence[str] = ()

    def ping(self, hook: Webhook) -> bool:
        return False

    def genuine(self, hook: Webhook, secrets: Mapping[str, str]) -> bool:
        # Over the bytes as they came: the sender escapes letters in its own way.
        given = _SIGNATURE.fullmatch(hook.headers.get("x-hub-signature-256", ""))
        return given is not None and foreign.signed(hook.body, bytes.fromhex(given[1]), secrets)

    def dedupe_key(self, hook: Webhook) -> str:
        return foreign.digest(hook.body)

    def understand(self, hook: Webhook) -> Sequence[PartyEvent]:
        """Every lead named, once: to be fetched, or a test that has nothing to fetch."""
        found: dict[str, PartyEvent] = {}
        for entry in foreign.parts(foreign.read(hook.body), "entry", MOST_ENTRIES):
            page = foreign.identifier(entry.get("id"))
            for change in foreign.parts(entry, "changes", MOST_CHANGES):
                value = foreign.part(change, "value")
                name = foreign.identifier(value.get("leadgen_id"))
                if change.get("field") == "leadgen" and _NUMBER.fullmatch(name):
                    found.setdefault(name, _announced(name, value, page))
        return tuple(found.values())


def _announced(name: str, value: Mapping[str, Any], page: str) -> PartyEvent:
    source = {key: found for key in _IDS if (found := foreign.identifier(value.get(key)))}
    if page == "0" or _TEST_ID.fullmatch(name):
        return PartyLead(name, source=source, test=True, at=foreign.moment(value.get("created_time")))
    return LeadAnnounced(name, json.dumps(source).encode())


class Graph:
    """Implements `router.ports.LeadSource`. `base_url` without a slash at its end."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url

    async def fetch(self, external_id: str, token: str, version: str) -> bytes:
        if not (_NUMBER.fullmatch(external_id) and _VERSION.fullmatch(version) and token):
            raise Refused("no token, or no version such as v21.0", permanent=False, code="settings")
        # The token travels in the query: nothing of the client's errors, which name the address, is passed on.
        try:
            async with self._session.get(
                f"{self._base_url}/{version}/{external_id}", params={"fields": FIELDS, "access_token": token},
                allow_redirects=False,
            ) as answer:
                status, body = answer.status, await read_answer(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            code = "answer" if isinstance(error, AnswerTooLong) else "network"
            raise Refused(type(error).__name__, permanent=False, code=code) from None
        if status != 200:
            raise _refused(status, body)
        return body

    def understand(self, external_id: str, notice: bytes, answer: bytes) -> PartyLead:
        body = foreign.read(answer)
        answers: dict[str, str] = {}
        for one in foreign.parts(body, "field_data", MOST_ANSWERS):
            values = one.get("values")
            given = [foreign.text(value) for value in values[:MOST_ANSWERS]] if isinstance(values, list) else []
            if name := foreign.words(one.get("name")):
                answers[name] = ", ".join(value for value in given if value)
        source = {name: found for name in _IDS if (found := foreign.words(body.get(name)))}
        return lead(
            external_id, answers, source={**foreign.read(notice), **source}, ticked=_ticked(body),
            # What Meta's own testing tool fills in.
            test=any(value.startswith("<test lead:") for value in answers.values()),
            at=foreign.moment(body.get("created_time")),
        )


def _ticked(body: Mapping[str, Any]) -> list[str]:
    return [
        foreign.words(one.get("checkbox_key"))
        for one in foreign.parts(body, "custom_disclaimer_responses", MOST_ANSWERS)
        if foreign.raw(one.get("is_checked")) in ("1", "true") or one.get("is_checked") is True
    ]


def _refused(status: int, body: bytes) -> Refused:
    try:
        code = foreign.count(foreign.part(foreign.read(body), "error").get("code"))
    except Unreadable:
        code = 0
    passing = status >= 500 or status in (401, 408, 429) or code in _PASSING_CODES
    return Refused(f"the Graph API answered {status}, code {code}", permanent=not passing, code=str(code or status))
