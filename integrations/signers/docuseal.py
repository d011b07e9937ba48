"""DocuSeal, its own cloud or a server of one's own. Judged by its published specification, never by a real server.

Texting and the code on the telephone belong to its paid editions; without them the house texts the link itself
(`deliver = "house"`). What is signed is the offer with the signature drawn into its first page's margin.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from integrations.signers import schemes
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

ROLE, FIELD = "Customer", "Signature"
AREA = {"x": 0.11, "y": 0.93, "w": 0.45, "h": 0.05, "page": 1}
"""Where the signature goes, in shares of the page: the first page's lower margin, beside the page's number."""
_ENDED = {"completed": SignStage.signed, "declined": SignStage.declined, "expired": SignStage.expired}
_PENDING = {"sent": SignStage.sent, "opened": SignStage.opened}
_MOMENTS = ("completed_at", "declined_at", "opened_at", "sent_at")


class DocuSeal:
    """Implements `router.ports.SignatureProvider`."""

    capabilities = Capabilities(
        level="SES", sends=True, links=True, proves_number=True,
        judged_by="its specification; never run against a real server",
    )

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def wrong(self, account: SignerAccount) -> str:
        return missing(account, secrets=("token", "secret"))

    async def check(self, account: SignerAccount) -> None:
        await self._get(account, "/submissions", limit="1")

    async def create(self, account: SignerAccount, request: SignRequest) -> ProviderRef:
        answer = await self._caller.ask(
            "POST", f"{account.url}/submissions/pdf", doing=True, headers=_headers(account), json=_wanted(request)
        )
        found = answer.json()
        name = name_given(found.get("id"))
        return ProviderRef(name, _link(next(foreign.parts(found, "submitters", 1), {})))

    async def find(self, account: SignerAccount, ref: str, since: datetime) -> ProviderRef | None:
        found = await self._get(account, "/submitters", external_id=ref, limit="1")
        for submitter in foreign.parts(found, "data", 1):
            # A server that does not know the filter would show somebody else's.
            if submitter.get("external_id") == ref and (name := named(submitter.get("submission_id"))):
                return ProviderRef(name, _link(submitter))
        return None

    async def status(self, account: SignerAccount, foreign_id: str) -> ProviderStatus:
        answer = await self._caller.ask("GET", f"{account.url}/submissions/{foreign_id}", headers=_headers(account))
        found = answer.json()
        signer = next(foreign.parts(found, "submitters", 1), {})
        word, hers = foreign.words(found.get("status")), foreign.words(signer.get("status"))
        stage = _PENDING.get(hers) if word == "pending" else _ENDED.get(word)
        if found.get("archived_at") and stage is not SignStage.signed:
            stage = SignStage.canceled
        times = [*(foreign.moment(signer.get(one)) for one in _MOMENTS), foreign.moment(found.get("completed_at"))]
        return ProviderStatus(stage, f"{word}/{hers}", next((at for at in times if at), None), answer.body)

    async def cancel(self, account: SignerAccount, foreign_id: str, reason: str) -> None:
        await self._still_open(account, foreign_id)
        await self._caller.ask(
            "DELETE", f"{account.url}/submissions/{foreign_id}", doing=True, headers=_headers(account)
        )

    async def _still_open(self, account: SignerAccount, foreign_id: str) -> None:
        """Archiving what was signed would succeed, and hide it."""
        now = await self.status(account, foreign_id)
        if now.stage is not None and now.stage.ended:
            raise Refused("it has ended already", permanent=True, code=now.stage.value)

    async def resend(self, account: SignerAccount, foreign_id: str) -> None:
        found = await self._get(account, f"/submissions/{foreign_id}")
        signer = named(next(foreign.parts(found, "submitters", 1), {}).get("id"))
        await self._caller.ask(
            "PUT", f"{account.url}/submitters/{signer}", doing=True, headers=_headers(account), json={"send_sms": True}
        )

    async def fetch_signed(self, account: SignerAccount, foreign_id: str) -> bytes:
        found = await self._get(account, f"/submissions/{foreign_id}/documents")
        address = foreign.url(next(foreign.parts(found, "documents", 1), {}).get("url"))
        if not address:
            raise Refused("the document is not there yet", permanent=False, code="no-document")
        return pdf(await self._caller.document(account, address))

    async def fetch_evidence(self, account: SignerAccount, foreign_id: str) -> Sequence[Artefact]:
        answer = await self._caller.ask("GET", f"{account.url}/submissions/{foreign_id}", headers=_headers(account))
        address = foreign.url(answer.json().get("audit_log_url"))
        if not address:
            raise Refused("the audit log is not there yet", permanent=False, code="no-evidence")
        audit = pdf(await self._caller.document(account, address))
        return (
            Artefact("docuseal-audit-log.pdf", "application/pdf", audit),
            Artefact("docuseal-submission.json", "application/json", answer.body),
        )

    def verify_webhook(self, hook: Webhook, secrets: Mapping[str, str], now: datetime) -> Hint | Reject:
        if not schemes.docuseal(hook.body, hook.headers, secrets, now):
            return Reject("signature")
        try:
            body = foreign.read(hook.body)
        except Unreadable:
            return Reject("unreadable", unsigned=False)
        event, data = foreign.words(body.get("event_type")), foreign.part(body, "data")
        signer = next(foreign.parts(data, "submitters", 1), data)
        told = data.get("id") if event.startswith("submission.") else data.get("submission_id")
        name = named(told) or named(foreign.part(data, "submission").get("id"))
        ref = foreign.identifier(signer.get("external_id"))
        if not (name or ref):
            return Reject("names-nothing", unsigned=False)
        return Hint(f"{event} {foreign.digest(hook.body)}", event, name, ref)

    def webhook_reply(self) -> HookReply:
        return HookReply(200)

    async def _get(self, account: SignerAccount, path: str, **query: str) -> dict[str, Any]:
        answer = await self._caller.ask("GET", f"{account.url}{path}", headers=_headers(account), params=query)
        return answer.json()


def _headers(account: SignerAccount) -> dict[str, str]:
    return {"X-Auth-Token": account.secrets.get("token", "")}


def _link(signer: Mapping[str, Any]) -> str:
    return foreign.url(signer.get("embed_src"))


def _wanted(request: SignRequest) -> dict[str, Any]:
    signer: dict[str, Any] = {
        "name": request.signer, "role": ROLE, "phone": request.phone, "external_id": request.ref,
        "metadata": {"request_id": request.ref}, "require_phone_2fa": request.sends, "send_sms": request.sends,
        "send_email": False,
    }
    if request.email:
        signer["email"] = request.email
    return {
        "name": request.title, "send_email": False, "send_sms": request.sends,
        "expire_at": request.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "documents": [{
            "name": request.title, "file": base64.b64encode(request.pdf).decode(),
            "fields": [{"name": FIELD, "type": "signature", "role": ROLE, "required": True, "areas": [AREA]}],
        }],
        "submitters": [signer],
    }
