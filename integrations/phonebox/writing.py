"""Reading what a phone's owner wants to send: a text or a WhatsApp message, with enclosures and an advertisement."""

from datetime import datetime

from aiohttp import web

from integrations.phonebox import enclosures
from integrations.phonebox.bodies import UNFIT, bad, read_fields, read_object
from integrations.phonebox.exchange import NotPossible
from integrations.phonebox.legs import PHONE
from integrations.phonebox.messages import WHATSAPP, Message

LONGEST_WRITTEN = 10_000
"""Characters a phone may send; longer than the carrier lets through to a phone."""
REFERRAL = {
    "Body", "Headline", "SourceId", "SourceType", "SourceUrl", "MediaId", "MediaContentType", "MediaUrl", "NumMedia",
    "CtwaClid",
}  # fmt: skip
"""What the carrier tells of the advertisement a WhatsApp message came from, each after the word Referral."""


async def read_message(request: web.Request, number: str, last: str, now: datetime) -> Message:
    """The message asked for: `body` or `media` or both, `to` (otherwise whoever wrote last), `channel` sms or whatsapp,
    `name` there, and `referral`. Raises NotPossible."""
    fields = await _fields(request)
    body, to = str(fields.get("body") or ""), "".join(str(fields.get("to") or "").split()) or last
    enclosed, channel = enclosures.read(fields.get("media")), str(fields.get("channel") or "sms")
    if not PHONE.fullmatch(to):
        raise NotPossible("'to' must be a number such as +34600000000", code=21211, status=400)
    if len(body) > LONGEST_WRITTEN or not (body.strip() or enclosed):
        raise NotPossible(f"'body' must have 1 to {LONGEST_WRITTEN} characters", code=21602, status=400)
    if channel not in ("sms", "whatsapp"):
        raise bad("'channel' is sms or whatsapp")
    if UNFIT.search(body):
        raise bad("A field holds a character that cannot be sent")
    prefix = WHATSAPP if channel == "whatsapp" else ""
    more = _more(fields) if prefix else {}
    return Message(prefix + to, prefix + number, body, now, enclosures=enclosed, more=more)


async def _fields(request: web.Request) -> dict[str, object]:
    if request.content_type == "application/json":
        return await read_object(request)
    fields: dict[str, object] = {**await read_fields(request)}
    given = {name.removeprefix("referral_"): fields.pop(name) for name in list(fields) if name.startswith("referral_")}
    return fields | {"referral": {name: value for name, value in given.items() if value}}


def _more(fields: dict[str, object]) -> dict[str, str]:
    name, referral = fields.get("name") or "", fields.get("referral") or {}
    if not isinstance(name, str) or len(name) > 200 or UNFIT.search(name):
        raise bad("'name' is a text of at most 200 characters")
    if not isinstance(referral, dict) or not set(referral) <= REFERRAL:
        raise bad(f"'referral' may hold {', '.join(sorted(REFERRAL))}")
    if any(not isinstance(value, str) or len(value) > 2000 or UNFIT.search(value) for value in referral.values()):
        raise bad("every field of 'referral' is a text of at most 2000 characters")
    more = {f"Referral{key}": str(value) for key, value in referral.items()}
    return more | ({"ProfileName": name} if name else {})
