"""Signaturit, version 3 of its API. Judged by its documentation and its own SDK, never run against the real service.

Its messages are not signed: their address, made for one request alone, is all that vouches for them, so that they only
ever make us ask. The signer gets its text message and its code there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import aiohttp

from integrations.signers.calls import Caller, missing, name_given, named, pdf
from router.model import foreign
from router.model.errors import Unreadable
from router.ports import (
    Artefact,
    Capabilities,
    Hint,
    HookReply,
    ProviderRef,
    ProviderStatus,
    Refused,
    Reject,
    SignerAccount,
    SignRequest,
    SignStage,
    Webhook,
)

REF = "request_id"
MOST_FIELDS = 100
_STAGES = {
    "ready": SignStage.sent, "in_queue": None, "signing": SignStage.opened, "completed": SignStage.signed,
    "declined": SignStage.declined, "expired": SignStage.expired, "canceled": SignStage.canceled,
    "cancelled": SignStage.canceled, "error": SignStage.undeliverable,
}
_OPENED = frozenset({"document_opened"})


class Signaturit:
    """Implements `router.ports.SignatureProvider`."""

    capabilities = Capabilities(
        level="SES", sends=True, links=False, proves_number=True,
        judged_by="its documentation; never run against the real service",
    )

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def wrong(self, account: SignerAccount) -> str:
        return missing(account, secrets=("token",))

    async def check(self, account: SignerAccount) -> None:
        await self._caller.ask(
            "GET", f"{account.url}/v3/signatures.json", headers=_headers(account), params={"limit": "1"}
        )

    async def create(self, account: SignerAccount, request: SignRequest) -> ProviderRef:
        answer = await self._caller.ask(
            "POST", f"{account.url}/v3/signatures.json", doing=True, headers=_headers(account), data=_wanted(request)
        )
        name = name_given(answer.json().get("id"))
        return ProviderRef(name)

    async def find(self, account: SignerAccount, ref: str, since: datetime) -> ProviderRef | None:
        answer = await self._caller.ask(
            "GET", f"{account.url}/v3/signatures.json", headers=_headers(account), params={REF: ref, "limit": "20"}
        )
        for found in answer.items(20):
            name = named(found.get("id"))
            if name and _data(found.get("data")).get(REF) == ref:
                return ProviderRef(name)
        return None

    async def status(self, account: SignerAccount, foreign_id: str) -> ProviderStatus:
        found, raw = await self._signature(account, foreign_id)
        document = next(foreign.parts(found, "documents", 1), {})
        word = foreign.words(document.get("status")) or foreign.words(found.get("status"))
        events = list(foreign.parts(document, "events"))
        stage = _STAGES.get(word)
        if stage is SignStage.sent and any(one.get("type") in _OPENED for one in events):
            stage = SignStage.opened
        at = next((foreign.moment(one.get("created_at")) for one in reversed(events)), None)
        return ProviderStatus(stage, word, at, raw)

    async def cancel(self, account: SignerAccount, foreign_id: str, reason: str) -> None:
        await self._caller.ask(
            "PATCH", f"{account.url}/v3/signatures/{foreign_id}/cancel.json", doing=True, headers=_headers(account)
        )

    async def resend(self, account: SignerAccount, foreign_id: str) -> None:
        await self._caller.ask(
            "POST", f"{account.url}/v3/signatures/{foreign_id}/reminder.json", doing=True, headers=_headers(account)
        )

    async def fetch_signed(self, account: SignerAccount, foreign_id: str) -> bytes:
        return pdf(await self._download(account, foreign_id, "signed"))

    async def fetch_evidence(self, account: SignerAccount, foreign_id: str) -> Sequence[Artefact]:
        trail = pdf(await self._download(account, foreign_id, "audit_trail"))
        _, raw = await self._signature(account, foreign_id)
        return (
            Artefact("signaturit-audit-trail.pdf", "application/pdf", trail),
            Artefact("signaturit-signature.json", "application/json", raw),
        )

    def verify_webhook(self, hook: Webhook, secrets: Mapping[str, str], now: datetime) -> Hint | Reject:
        """Nothing in it is proved: the address was. What it says of itself only tells two of them apart."""
        try:
            event = foreign.words(foreign.read(hook.body).get("type"))
        except Unreadable:
            event = _form(hook.body).get("type", "")
        return Hint(foreign.digest(hook.body), foreign.words(event))

    def webhook_reply(self) -> HookReply:
        return HookReply(200)

    async def _signature(self, account: SignerAccount, foreign_id: str) -> tuple[dict[str, Any], bytes]:
        answer = await self._caller.ask(
            "GET", f"{account.url}/v3/signatures/{foreign_id}.json", headers=_headers(account)
        )
        return answer.json(), answer.body

    async def _download(self, account: SignerAccount, foreign_id: str, what: str) -> bytes:
        found, _ = await self._signature(account, foreign_id)
        document = named(next(foreign.parts(found, "documents", 1), {}).get("id"))
        if not document:
            raise Refused("the document is not there yet", permanent=False, code="no-document")
        url = f"{account.url}/v3/signatures/{foreign_id}/documents/{document}/download/{what}"
        return (await self._caller.ask("GET", url, headers=_headers(account))).body


def _headers(account: SignerAccount) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.secrets.get('token', '')}"}


def _data(value: object) -> dict[str, str]:
    """The request's own fields, told as an object or as a list of keys and values."""
    if isinstance(value, dict):
        return {str(key): foreign.raw(one) for key, one in value.items()}
    pairs = foreign.parts({"all": value}, "all", MOST_FIELDS)
    return {foreign.raw(one.get("key")): foreign.raw(one.get("value")) for one in pairs}


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _wanted(request: SignRequest) -> aiohttp.FormData:
    form = aiohttp.FormData()
    fields = {
        "name": request.title, "subject": request.subject, "delivery_type": "sms",
        "expire_time": str(min(request.days, 365)),
        "recipients[0][name]": request.signer, "recipients[0][phone]": request.phone,
        f"data[{REF}]": request.ref, "events_url": request.hook_url,
    }
    if request.email:
        fields["recipients[0][email]"] = request.email
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("files[0]", request.pdf, filename=f"{request.title}.pdf", content_type="application/pdf")
    return form
