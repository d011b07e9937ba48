"""The providers' local twin: DocuSeal's, DocuSign's and Signaturit's addresses in one, and the messages of five.

It signs when it is told to, and misbehaves when it is told to: answers that get lost, faults, messages twice, in
another order, late, or forged. It trusts whoever reaches it: bind it to loopback.
"""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from integrations.http import serving

REF = "request_id"
LARGEST = 40 * 1024 * 1024


@dataclass
class Held:
    """An offer as a provider holds it. `stage` is ours: sent, opened, signed, declined, expired, canceled. `word` is
    shown in its place when it is set."""

    name: str
    provider: str
    ref: str
    pdf: bytes
    phone: str
    hook_url: str
    wanted: dict[str, Any]
    stage: str = "sent"
    word: str = ""
    signed: bytes = b""
    proved: bool = True
    reminded: int = 0
    times: dict[str, str] = field(default_factory=dict)


def signed_at_the_end(pdf: bytes) -> bytes:
    """A signature that leaves the document's bytes as they were, and adds its own after them."""
    return pdf + b"\n% signed in the twin\n"


def now() -> datetime:
    return datetime.now(UTC)


class Signbox:
    """`held` by the provider's name of it. `faults` are answered first, one each: a status, 0 for none, or "lose":
    it is done, and the connection breaks. `log` are requests as (method, path, query, body), `answers` what was
    answered as (method, path, status, body). `clock` dates what it does and its messages."""

    def __init__(
        self, token: str = "token-of-the-account", secret: str = "s3cr3t-of-the-hooks",  # noqa: S107
        *, account: str = "acc", clock: Callable[[], datetime] = now,
    ) -> None:
        self.held: dict[str, Held] = {}
        self.faults: list[int | str] = []
        self.log: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[str, str, int, bytes]] = []
        self.assertions: list[str] = []
        self.sign_with: Callable[[bytes], bytes] = signed_at_the_end
        self.url = ""
        self.hook_url = ""
        self.token, self.secret, self.account = token, secret, account
        self._clock = clock
        self._numbers = itertools.count(101)

    # What happens at the provider

    def only(self) -> Held:
        """The one offer it holds."""
        (one,) = self.held.values()
        return one

    def move(self, held: Held, stage: str) -> None:
        """The signer, or time, moves it."""
        held.stage = stage
        held.times[stage] = self._clock().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        if stage == "signed":
            held.signed = self.sign_with(held.pdf)

    def asked(self, method: str, part: str) -> int:
        """How many requests of this method had this in their path."""
        return sum(one[0] == method and part in one[1] for one in self.log)

    # What it tells

    def message(self, held: Held, event: str) -> bytes:
        """What the provider posts about this event."""
        at = self._clock().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        if held.provider == "docuseal":
            data = {"id": 7, "submission_id": int(held.name), "external_id": held.ref, "status": held.stage}
            return json.dumps({"event_type": event, "timestamp": at, "data": data}).encode()
        if held.provider == "docusign":
            data = {"accountId": self.account, "userId": "u", "envelopeId": held.name}
            body = {"event": event, "apiVersion": "v2.1", "retryCount": 0, "generatedDateTime": at, "data": data}
            return json.dumps(body).encode()
        return json.dumps({"type": event, "created_at": at, "document": {"id": f"doc-{held.name}"}}).encode()

    async def tell(
        self, held: Held, event: str, *, body: bytes | None = None, secret: str = "", at: datetime | None = None,
        times: int = 1, to: str = "",
    ) -> list[int]:
        """Posts it so many times; what was answered. Another `secret` forges it, another `at` delays it."""
        content = self.message(held, event) if body is None else body
        headers = signed_headers(held.provider, content, secret or self.secret, at or self._clock())
        sent = {"Content-Type": "application/json", **headers}
        statuses = []
        async with aiohttp.ClientSession() as session:
            for _ in range(times):
                async with session.post(to or held.hook_url or self.hook_url, data=content, headers=sent) as answer:
                    statuses.append(answer.status)
        return statuses

    # What it answers

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST, middlewares=[self._around])
        envelopes = f"/restapi/v2.1/accounts/{self.account}/envelopes"
        app.add_routes([
            web.post("/submissions/pdf", self._seal_create), web.get("/submissions", self._seal_list),
            web.get(r"/submissions/{name:\d+}", self._seal_one), web.delete(r"/submissions/{name:\d+}", self._seal_end),
            web.get(r"/submissions/{name:\d+}/documents", self._seal_documents),
            web.get("/submitters", self._seal_find), web.put(r"/submitters/{name:\d+}", self._seal_remind),
            web.get("/file/{name}/{what}", self._file),
            web.post("/oauth/token", self._token), web.get(f"/restapi/v2.1/accounts/{self.account}", self._me),
            web.post(envelopes, self._sign_create), web.get(envelopes, self._sign_find),
            web.get(f"{envelopes}/{{name}}", self._sign_one), web.put(f"{envelopes}/{{name}}", self._sign_change),
            web.get(f"{envelopes}/{{name}}/documents/{{what}}", self._sign_document),
            web.get(f"{envelopes}/{{name}}/audit_events", self._sign_events),
            web.post("/v3/signatures.json", self._turit_create), web.get("/v3/signatures.json", self._turit_find),
            web.get(r"/v3/signatures/{name}.json", self._turit_one),
            web.patch("/v3/signatures/{name}/cancel.json", self._turit_cancel),
            web.post("/v3/signatures/{name}/reminder.json", self._turit_remind),
            web.get("/v3/signatures/{name}/documents/{document}/download/{what}", self._turit_download),
        ])
        return app

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serves until left; the address, without a slash at its end."""
        async with serving(self.app(), host, port) as self.url:
            yield self.url

    @web.middleware
    async def _around(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        # A form with files can be read once only.
        body = b"" if request.content_type.startswith("multipart/") else await request.read()
        self.log.append((request.method, request.path, dict(request.query), body))
        fault = self.faults.pop(0) if self.faults and request.path != "/oauth/token" else None
        if isinstance(fault, int) and fault:
            return web.json_response({"error": "told to fail"}, status=fault)
        if not self._may_enter(request):
            return web.json_response({"error": "Not authenticated"}, status=401)
        answer: web.Response = await handler(request)
        if fault == "lose":
            assert request.transport is not None  # noqa: S101  it is being served
            request.transport.close()
        told = answer.body if isinstance(answer.body, bytes) else b""
        self.answers.append((request.method, request.path, answer.status, told))
        return answer

    def _may_enter(self, request: web.Request) -> bool:
        if request.path == "/oauth/token" or request.path.startswith("/file/"):
            return True
        given = request.headers.get("X-Auth-Token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given in (self.token, "token-for-a-jwt")

    def _keep(self, provider: str, name: str, **values: Any) -> Held:
        held = Held(name, provider, **values)
        self.held[name] = held
        held.times["sent"] = self._clock().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return held

    def _one(self, request: web.Request) -> Held:
        held = self.held.get(request.match_info["name"])
        if held is None:
            raise web.HTTPNotFound(text='{"error": "Not found"}', content_type="application/json")
        return held

    # DocuSeal

    async def _seal_create(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        signer, document = wanted["submitters"][0], wanted["documents"][0]
        held = self._keep(
            "docuseal", str(next(self._numbers)), ref=signer.get("external_id", ""), phone=signer.get("phone", ""),
            pdf=base64.b64decode(document["file"]), hook_url="", wanted=wanted,
        )
        if not wanted.get("send_sms"):
            held.stage = "awaiting"
        return web.json_response({
            **self._submission(held), "submitters": [{**self._submitter(held), "embed_src": self._link(held)}],
            "expire_at": wanted["expire_at"], "schema": [], "fields": [],
        })

    def _link(self, held: Held) -> str:
        return f"{self.url}/s/slug{held.name}"

    def _submission(self, held: Held) -> dict[str, Any]:
        words = {"signed": "completed", "declined": "declined", "expired": "expired"}
        return {
            "id": int(held.name), "name": held.wanted["name"], "source": "api", "submitters_order": "preserved",
            "status": held.word or words.get(held.stage, "pending"), "created_at": held.times["sent"],
        }

    def _submitter(self, held: Held) -> dict[str, Any]:
        words = {"signed": "completed", "declined": "declined", "opened": "opened", "awaiting": "awaiting"}
        times, at = held.times, held.times["sent"]
        return {
            "id": int(held.name) + 9000, "uuid": f"0954d146-db8c-4772-aafe-{int(held.name):012d}", "email": "",
            "slug": f"slug{held.name}", "sent_at": at, "opened_at": times.get("opened"),
            "completed_at": times.get("signed"), "declined_at": times.get("declined"), "created_at": at,
            "updated_at": at, "name": held.wanted["submitters"][0]["name"], "phone": held.phone,
            "external_id": held.ref, "metadata": held.wanted["submitters"][0].get("metadata", {}),
            "status": words.get(held.stage, "sent"), "values": [], "preferences": {}, "role": "Customer",
        }

    async def _seal_one(self, request: web.Request) -> web.Response:
        held = self._one(request)
        shown = self._submitter(held)
        submitter = {key: one for key, one in shown.items() if key not in ("preferences", "metadata")}
        signed = [{"name": "offer", "url": f"{self.url}/file/{held.name}/signed"}] if held.signed else []
        proved = held.signed and held.proved
        return web.json_response({
            **self._submission(held), "slug": f"sub{held.name}", "combined_document_url": None,
            "audit_log_url": f"{self.url}/file/{held.name}/audit" if proved else None,
            "updated_at": held.times["sent"], "completed_at": held.times.get("signed"),
            "archived_at": held.times.get("canceled"), "metadata": {}, "documents": signed,
            "submitters": [{**submitter, "submission_id": int(held.name), "documents": signed}],
            "created_by_user": {"id": 1, "first_name": "Ana", "last_name": "Ruiz", "email": "ana@example.com"},
            "submission_events": [],
        })

    async def _seal_documents(self, request: web.Request) -> web.Response:
        held = self._one(request)
        documents = [{"name": "offer", "url": f"{self.url}/file/{held.name}/signed"}]
        return web.json_response({"id": int(held.name), "documents": documents if held.signed else []})

    async def _seal_end(self, request: web.Request) -> web.Response:
        held = self._one(request)
        self.move(held, "canceled")
        return web.json_response({"id": int(held.name), "archived_at": held.times["canceled"]})

    async def _seal_list(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [], "pagination": {"count": 0, "next": None, "prev": None}})

    async def _seal_find(self, request: web.Request) -> web.Response:
        found = [held for held in self.held.values() if held.ref == request.query.get("external_id")]
        data = [self._listed(held) for held in found]
        count = {"count": len(data), "next": None, "prev": None}
        return web.json_response({"data": data, "pagination": count})

    async def _seal_remind(self, request: web.Request) -> web.Response:
        held = self.held[str(int(request.match_info["name"]) - 9000)]
        held.reminded += 1
        changed = {key: one for key, one in self._listed(held).items() if key != "submission_events"}
        return web.json_response({**changed, "embed_src": self._link(held)})

    def _listed(self, held: Held) -> dict[str, Any]:
        return {**self._submitter(held), "submission_id": int(held.name), "submission_events": [], "documents": []}

    async def _file(self, request: web.Request) -> web.Response:
        held = self._one(request)
        return _pdf(held.signed if request.match_info["what"] == "signed" else _proof("audit log"))

    # DocuSign

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.assertions.append(str(form["assertion"]))
        return web.json_response({"access_token": "token-for-a-jwt", "token_type": "Bearer", "expires_in": 3600})

    async def _me(self, request: web.Request) -> web.Response:
        return web.json_response({"accountName": "Luz Clara SL"})

    async def _sign_create(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        signer = wanted["recipients"]["signers"][0]
        fields = {one["name"]: one["value"] for one in wanted["customFields"]["textCustomFields"]}
        phone = "+{countryCode}{number}".format(**signer["phoneNumber"])
        held = self._keep(
            "docusign", f"e387553d-cbb7-4924-abd8-{next(self._numbers):012d}", ref=fields.get(REF, ""), phone=phone,
            pdf=base64.b64decode(wanted["documents"][0]["documentBase64"]), wanted=wanted,
            hook_url=wanted["eventNotification"]["url"],
        )
        made = {"envelopeId": held.name, "status": "sent", "uri": f"/envelopes/{held.name}"}
        return web.json_response(made, status=201)

    def _envelope(self, held: Held) -> dict[str, Any]:
        words = {"opened": "delivered", "signed": "completed", "canceled": "voided"}
        word = held.word or words.get(held.stage, held.stage)
        times = {f"{words.get(stage, stage)}DateTime": at for stage, at in held.times.items()}
        fields = [{"name": REF, "value": held.ref}]
        reason = "Envelope has expired." if held.stage == "expired" else "taken back"
        return {
            "envelopeId": held.name, "status": "voided" if held.stage == "expired" and not held.word else word,
            "voidedReason": reason, "customFields": {"textCustomFields": fields, "listCustomFields": []}, **times,
        }

    async def _sign_find(self, request: web.Request) -> web.Response:
        wanted = request.query.get("custom_field", "").partition("=")[2]
        found = [self._envelope(held) for held in self.held.values() if held.ref == wanted]
        return web.json_response({"resultSetSize": str(len(found)), "envelopes": found})

    async def _sign_one(self, request: web.Request) -> web.Response:
        held = self._one(request)
        signers = [{"recipientId": "1", "status": "autoresponded" if held.stage == "bounced" else "sent"}]
        if held.stage == "bounced":
            return web.json_response({**self._envelope(held), "status": "sent", "recipients": {"signers": signers}})
        return web.json_response({**self._envelope(held), "recipients": {"signers": signers}})

    async def _sign_change(self, request: web.Request) -> web.Response:
        held, wanted = self._one(request), await request.json()
        if request.query.get("resend_envelope"):
            held.reminded += 1
        elif wanted.get("status") == "voided":
            if held.stage in ("signed", "declined", "canceled", "expired"):
                return web.json_response({"errorCode": "ENVELOPE_CANNOT_VOID_INVALID_STATE"}, status=400)
            self.move(held, "canceled")
        return web.json_response({"envelopeId": held.name})

    async def _sign_document(self, request: web.Request) -> web.Response:
        held = self._one(request)
        if not held.signed or not (held.proved or request.match_info["what"] == "1"):
            return web.json_response({"errorCode": "DOCUMENT_DOES_NOT_EXIST"}, status=404)
        return _pdf(held.signed if request.match_info["what"] == "1" else _proof("certificate of completion"))

    async def _sign_events(self, request: web.Request) -> web.Response:
        self._one(request)
        return web.json_response({"auditEvents": [{"eventFields": [{"name": "Action", "value": "Signed"}]}]})

    # Signaturit

    async def _turit_create(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["files[0]"]
        assert isinstance(file, web.FileField)  # noqa: S101  the adapter sends one
        held = self._keep(
            "signaturit", f"sig-{next(self._numbers)}", ref=str(form.get(f"data[{REF}]", "")),
            phone=str(form.get("recipients[0][phone]", "")), pdf=file.file.read(),
            hook_url=str(form.get("events_url", "")), wanted={key: str(one) for key, one in form.items()},
        )
        return web.json_response(self._signature(held))

    def _signature(self, held: Held) -> dict[str, Any]:
        words = {"sent": "ready", "opened": "ready", "signed": "completed"}
        opened = held.times.get("opened")
        events = [{"type": "document_opened", "created_at": opened}] if opened else []
        document = {
            "id": f"doc-{held.name}", "status": held.word or words.get(held.stage, held.stage), "events": events,
            "file": {"name": "offer.pdf", "pages": 1},
        }
        return {
            "id": held.name, "created_at": held.times["sent"], "data": [{"key": REF, "value": held.ref}],
            "documents": [document],
        }

    async def _turit_find(self, request: web.Request) -> web.Response:
        found = [held for held in self.held.values() if held.ref == request.query.get(REF)]
        return web.json_response([self._signature(held) for held in found])

    async def _turit_one(self, request: web.Request) -> web.Response:
        return web.json_response(self._signature(self._one(request)))

    async def _turit_cancel(self, request: web.Request) -> web.Response:
        held = self._one(request)
        if held.stage in ("signed", "declined", "canceled", "expired"):
            return web.json_response({"status_code": 400}, status=400)
        self.move(held, "canceled")
        return web.json_response(self._signature(held))

    async def _turit_remind(self, request: web.Request) -> web.Response:
        held = self._one(request)
        held.reminded += 1
        return web.json_response(self._signature(held))

    async def _turit_download(self, request: web.Request) -> web.Response:
        held = self._one(request)
        if not held.signed or not (held.proved or request.match_info["what"] == "signed"):
            return web.json_response({"status_code": 404}, status=404)
        return _pdf(held.signed if request.match_info["what"] == "signed" else _proof("audit trail"))


def signed_headers(scheme: str, body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
    """The headers by which each of five providers vouches for a body; none for who does not sign, or signs inside."""

    def mac(content: bytes) -> bytes:
        return hmac.new(secret.encode(), content, hashlib.sha256).digest()

    seconds = str(int(at.timestamp()))
    match scheme:
        case "docusign":
            return {"X-DocuSign-Signature-1": base64.b64encode(mac(body)).decode()}
        case "yousign":
            return {"X-Yousign-Signature-256": f"sha256={mac(body).hex()}", "X-Yousign-Issued-At": seconds}
        case "docuseal":
            return {"X-Docuseal-Signature": f"{seconds}.{mac(seconds.encode() + b'.' + body).hex()}"}
        case "documenso":
            return {"X-Documenso-Secret": secret}
        case _:
            return {}


def dropbox_form(event: str, secret: str, at: datetime) -> bytes:
    """What Dropbox Sign posts: a form with the event inside, signed inside."""
    seconds = str(int(at.timestamp()))
    made = hmac.new(secret.encode(), (seconds + event).encode(), hashlib.sha256).hexdigest()
    told = {"event": {"event_time": seconds, "event_type": event, "event_hash": made}}
    return urlencode({"json": json.dumps(told)}).encode()


def _pdf(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="application/pdf")


def _proof(what: str) -> bytes:
    return b"%PDF-1.4\n% " + what.encode() + b"\n%%EOF\n"
