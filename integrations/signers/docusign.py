"""DocuSign eSignature, REST 2.1, by JWT grant. Judged by its documentation, never run against the real service.

The signer gets DocuSign's own text message (a paid option there). `settings`: `account` and `user` (GUIDs), `client`
(the integration key), `login` (the host that gives tokens), `workflow` (an identity verification by a code sent to the
telephone, if the account has one). `secrets`: `token` is the private RSA key (PEM), `secret` signs what Connect sends.
"""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from integrations.signers import schemes
from integrations.signers.calls import Answered, Caller, missing, name_given, named, pdf
from router.model import foreign
from router.model.errors import Unreadable
from router.model.phone import parted
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

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REF = "request_id"
TOKEN_SECONDS = 3000
"""A token is good for an hour; it is asked for anew ten minutes before."""
_STAGES = {
    "sent": SignStage.sent, "delivered": SignStage.opened, "completed": SignStage.signed,
    "declined": SignStage.declined, "voided": SignStage.canceled, "timedout": SignStage.expired,
}
"""DocuSign calls delivered what its signer has opened. "signed" is on its way to completed, and moves nothing."""
_EVENTS = ("sent", "delivered", "completed", "declined", "voided")


class DocuSign:
    """Implements `router.ports.SignatureProvider`. Keeps the tokens it was given, by account and key."""

    capabilities = Capabilities(
        level="SES", sends=True, links=False, proves_number=True,
        judged_by="its documentation; never run against the real service",
    )

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._tokens: dict[tuple[str, str, str], tuple[str, float]] = {}

    def wrong(self, account: SignerAccount) -> str:
        lacks = missing(account, secrets=("token", "secret"), settings=("account", "user", "client", "login"))
        return lacks or ("" if _key(account) is not None else "needs a token that is a private RSA key (PEM)")

    async def check(self, account: SignerAccount) -> None:
        await self._ask(account, "GET", "")

    async def create(self, account: SignerAccount, request: SignRequest) -> ProviderRef:
        answer = await self._ask(account, "POST", "/envelopes", doing=True, json=_wanted(account, request))
        name = name_given(answer.json().get("envelopeId"))
        return ProviderRef(name)

    async def find(self, account: SignerAccount, ref: str, since: datetime) -> ProviderRef | None:
        query = {
            "custom_field": f"{REF}={ref}", "include": "custom_fields",
            "from_date": (since - timedelta(hours=1)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        found = (await self._ask(account, "GET", "/envelopes", params=query)).json()
        for envelope in foreign.parts(found, "envelopes", 20):
            fields = foreign.parts(foreign.part(envelope, "customFields"), "textCustomFields")
            ours = any(one.get("name") == REF and one.get("value") == ref for one in fields)
            if ours and (name := named(envelope.get("envelopeId"))):
                return ProviderRef(name)
        return None

    async def status(self, account: SignerAccount, foreign_id: str) -> ProviderStatus:
        answer = await self._ask(account, "GET", f"/envelopes/{foreign_id}", params={"include": "recipients"})
        found = answer.json()
        signer = next(foreign.parts(foreign.part(found, "recipients"), "signers", 1), {})
        word, hers = foreign.words(found.get("status")), foreign.words(signer.get("status"))
        stage = _STAGES.get(word)
        if stage is SignStage.sent and hers == "autoresponded":
            stage = SignStage.undeliverable
        if stage is SignStage.canceled and foreign.words(found.get("voidedReason")).startswith("Envelope has expired"):
            stage = SignStage.expired
        at = next((at for one in ("completed", "declined", "voided", "delivered", "sent")
                   if (at := foreign.moment(found.get(f"{one}DateTime")))), None)
        return ProviderStatus(stage, f"{word}/{hers}", at, answer.body)

    async def cancel(self, account: SignerAccount, foreign_id: str, reason: str) -> None:
        await self._ask(
            account, "PUT", f"/envelopes/{foreign_id}", doing=True, json={"status": "voided", "voidedReason": reason}
        )

    async def resend(self, account: SignerAccount, foreign_id: str) -> None:
        await self._ask(
            account, "PUT", f"/envelopes/{foreign_id}", doing=True, params={"resend_envelope": "true"}, json={}
        )

    async def fetch_signed(self, account: SignerAccount, foreign_id: str) -> bytes:
        return pdf((await self._ask(account, "GET", f"/envelopes/{foreign_id}/documents/1")).body)

    async def fetch_evidence(self, account: SignerAccount, foreign_id: str) -> Sequence[Artefact]:
        certificate = await self._ask(account, "GET", f"/envelopes/{foreign_id}/documents/certificate")
        events = await self._ask(account, "GET", f"/envelopes/{foreign_id}/audit_events")
        return (
            Artefact("docusign-certificate-of-completion.pdf", "application/pdf", pdf(certificate.body)),
            Artefact("docusign-audit-events.json", "application/json", events.body),
        )

    def verify_webhook(self, hook: Webhook, secrets: Mapping[str, str], now: datetime) -> Hint | Reject:
        if not schemes.docusign(hook.body, hook.headers, secrets):
            return Reject("signature")
        try:
            body = foreign.read(hook.body)
        except Unreadable:
            return Reject("unreadable", unsigned=False)
        data = foreign.part(body, "data")
        name = named(data.get("envelopeId")) or named(body.get("envelopeId"))
        if not name:
            return Reject("names-nothing", unsigned=False)
        event, at = foreign.words(body.get("event")), foreign.words(body.get("generatedDateTime"))
        # A retry counts itself in the body.
        return Hint(f"{event} {name} {at}" if at else foreign.digest(hook.body), event, name)

    def webhook_reply(self) -> HookReply:
        return HookReply(200)

    async def _ask(
        self, account: SignerAccount, method: str, path: str, *, doing: bool = False, **options: Any
    ) -> Answered:
        url = f"{account.url}/restapi/v2.1/accounts/{account.settings.get('account', '')}{path}"
        headers = {"Authorization": f"Bearer {await self._token(account)}"}
        try:
            return await self._caller.ask(method, url, doing=doing, headers=headers, **options)
        except Refused as refused:
            if refused.code == "401":
                self._tokens.pop(_who(account), None)
            raise

    async def _token(self, account: SignerAccount) -> str:
        token, until = self._tokens.get(_who(account), ("", 0.0))
        if time.monotonic() < until:
            return token
        answer = await self._caller.ask(
            "POST", f"{_login(account)}/oauth/token", data={"grant_type": GRANT, "assertion": assertion(account)}
        )
        token = foreign.raw(answer.json().get("access_token"))
        if not token:
            raise Refused("the provider gave no token", permanent=False, code="token")
        self._tokens[_who(account)] = (token, time.monotonic() + TOKEN_SECONDS)
        return token


def assertion(account: SignerAccount) -> str:
    """The JWT (RS256) by which the account asks for a token. Raises Refused for a key that is none."""
    key = _key(account)
    if key is None:
        raise Refused("the account's key cannot be read", permanent=True, code="key")
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": account.settings.get("client", ""), "sub": account.settings.get("user", ""),
        "aud": _login(account).partition("://")[2], "iat": now, "exp": now + 3600,
        "scope": "signature impersonation",
    }
    signed = ".".join(_packed(json.dumps(one).encode()) for one in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{signed}.{_packed(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _key(account: SignerAccount) -> rsa.RSAPrivateKey | None:
    try:
        key = serialization.load_pem_private_key(account.secrets.get("token", "").encode(), password=None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) else None


def _login(account: SignerAccount) -> str:
    host = account.settings.get("login", "")
    return host if "://" in host else f"https://{host}"


def _who(account: SignerAccount) -> tuple[str, str, str]:
    return _login(account), account.settings.get("user", ""), foreign.digest(account.secrets.get("token", "").encode())


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _wanted(account: SignerAccount, request: SignRequest) -> dict[str, Any]:
    country, number = parted(request.phone)
    signer: dict[str, Any] = {
        "recipientId": "1", "routingOrder": "1", "name": request.signer, "deliveryMethod": "SMS",
        "phoneNumber": {"countryCode": country, "number": number},
        "tabs": {"signHereTabs": [{"documentId": "1", "pageNumber": "1", "xPosition": "70", "yPosition": "775"}]},
    }
    if workflow := account.settings.get("workflow", ""):
        signer["identityVerification"] = {"workflowId": workflow, "inputOptions": [{
            "name": "phone_number_list", "valueType": "PhoneNumberList",
            "phoneNumberList": [{"countryCodePrefix": country, "number": number}],
        }]}
    return {
        "status": "sent", "emailSubject": request.subject[:100],
        "documents": [{
            "documentId": "1", "name": request.title, "fileExtension": "pdf",
            "documentBase64": base64.b64encode(request.pdf).decode(),
        }],
        "recipients": {"signers": [signer]},
        "customFields": {"textCustomFields": [
            {"name": REF, "value": request.ref, "show": "false", "required": "false"}
        ]},
        "notification": {"useAccountDefaults": "false", "expirations": {
            "expireEnabled": "true", "expireAfter": str(request.days), "expireWarn": "0"}},
        "eventNotification": {
            "url": request.hook_url, "includeHMAC": "true", "requireAcknowledgment": "true", "loggingEnabled": "true",
            "envelopeEvents": [{"envelopeEventStatusCode": one} for one in _EVENTS],
            "eventData": {"version": "restv2.1", "format": "json"},
        },
    }
