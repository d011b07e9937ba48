"""Providers of signatures: how they sign what they tell, and each adapter against the twin, over HTTP."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from aiohttp import web

from integrations.http import client_session, serving
from integrations.signers import providers, schemes
from integrations.signers.calls import Caller
from integrations.signers.signbox import Signbox, dropbox_form, signed_headers
from router.ports import Hint, Refused, Reject, SignatureProvider, SignRequest, SignStage, Uncertain, Webhook
from tests.entrusting import KEY, PROVIDERS, opened
from tests.integrations.docuseal_specification import docuseal

SECRETS = {"secret": "s3cr3t"}
BODY = b'{"a":1}'
AT = datetime.fromtimestamp(1_700_000_000, UTC)
PDF = b"%PDF-1.7\nthe offer\n%%EOF\n"

VECTORS = {
    "docusign": {"x-docusign-signature-1": "1CknQ0BJ4LjHPOiHBiI4zBxrtmRL/mbmbY3Q8wuFZ54="},
    "yousign": {
        "x-yousign-signature-256": "sha256=d42927434049e0b8c73ce887062238cc1c6bb6644bfe66e66d8dd0f30b85679e"},
    "docuseal": {
        "x-docuseal-signature": "1700000000.8dbbbbf4523b10bbb793e74d854144c45acccc2d233667b1c06b805b6ded8a84"},
}


def genuine(scheme: str, body: bytes, headers: dict[str, str], secrets: dict[str, str], now: datetime = AT) -> bool:
    return {
        "docusign": lambda: schemes.docusign(body, headers, secrets),
        "yousign": lambda: schemes.yousign(body, headers, secrets),
        "docuseal": lambda: schemes.docuseal(body, headers, secrets, now),
        "documenso": lambda: schemes.documenso(headers, secrets),
    }[scheme]()


@pytest.mark.parametrize("scheme", VECTORS)
def test_a_published_vector_is_genuine_and_any_change_of_it_is_not(scheme: str) -> None:
    (name, value), = VECTORS[scheme].items()
    assert genuine(scheme, BODY, {name: value}, SECRETS)
    assert genuine(scheme, BODY, {name: value}, {"secret": "new", "previous": "s3cr3t"})
    assert not genuine(scheme, BODY + b" ", {name: value}, SECRETS)
    assert not genuine(scheme, BODY, {name: value}, {"secret": "other"})
    assert not genuine(scheme, BODY, {name: value}, {})
    for broken in ("", value[:-1], value + "0", value.upper() + "\u20ac", "sha256=", "1700000000."):
        assert not genuine(scheme, BODY, {name: broken}, SECRETS)
    assert not genuine(scheme, BODY, {}, SECRETS)


def test_dropboxs_vector_is_genuine_though_its_body_proves_nothing() -> None:
    right = "ea9da88047a2f8b919cd227d58532270c85631f592cfd7b8723b8d3996e0a5fa"
    form = dropbox_form("signature_request_signed", "s3cr3t", AT)
    assert right.encode() in form
    assert schemes.dropbox(form, SECRETS)
    assert not schemes.dropbox(form.replace(b"request_signed", b"request_viewed"), SECRETS)
    assert not schemes.dropbox(form, {"secret": "other"})
    for broken in (b"", b"json=", b"json=%7B%7D", b"\xff\xfe", b"json=[" + b"[" * 5_000):
        assert not schemes.dropbox(broken, SECRETS)


def test_documensos_header_is_the_secret_itself() -> None:
    assert schemes.documenso({"x-documenso-secret": "s3cr3t"}, SECRETS)
    assert not schemes.documenso({"x-documenso-secret": "s3cr3"}, SECRETS)
    assert not schemes.documenso({"x-documenso-secret": ""}, {})


def test_one_of_docusigns_keys_is_enough_whichever_header_it_is_in() -> None:
    right = VECTORS["docusign"]["x-docusign-signature-1"]
    assert schemes.docusign(BODY, {"x-docusign-signature-1": "bm9uZQ==", "x-docusign-signature-2": right}, SECRETS)
    assert not schemes.docusign(BODY, {"x-docusign-signature-0": right}, SECRETS)


@pytest.mark.parametrize(("seconds", "taken"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_what_docuseal_signed_is_good_for_five_minutes(seconds: int, taken: bool) -> None:
    now = AT + timedelta(seconds=seconds)
    assert schemes.docuseal(BODY, VECTORS["docuseal"], SECRETS, now) is taken


@pytest.mark.parametrize("scheme", ["docusign", "yousign", "docuseal", "documenso"])
def test_the_twin_signs_as_the_providers_do(scheme: str) -> None:
    headers = {name.lower(): value for name, value in signed_headers(scheme, BODY, "s3cr3t", AT).items()}
    assert genuine(scheme, BODY, headers, SECRETS)


@pytest.fixture
async def box() -> AsyncIterator[Signbox]:
    box = Signbox()
    async with box.running():
        yield box


@pytest.fixture
async def known(box: Signbox) -> AsyncIterator[dict[str, SignatureProvider]]:
    async with client_session() as session, client_session(guarded=True) as guarded:
        yield dict(providers(session, guarded))


def wanted(ref: str = "OurOwnNameOfIt12345678", **values: Any) -> SignRequest:
    now = datetime.now(UTC)
    return SignRequest(
        ref=ref, pdf=PDF, title="2026-0001-1", subject="Luz Clara: your offer", signer="Carmen Ruiz",
        locale="es", asked_at=now, expires_at=now + timedelta(days=14),
        **{"phone": "+34600111222", "hook_url": "https://sales.example/hooks/x/y", **values},
    )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_offer_is_handed_over_found_again_signed_and_fetched_with_its_proofs(
    box: Signbox, known: dict[str, SignatureProvider], provider: str
) -> None:
    signer, account = known[provider], opened(provider, box)
    assert signer.wrong(account) == ""
    await signer.check(account)
    began = datetime.now(UTC)
    assert await signer.find(account, "OurOwnNameOfIt12345678", began) is None
    made = await signer.create(account, wanted())
    held = box.only()
    assert (held.pdf, held.phone, held.ref) == (PDF, "+34600111222", "OurOwnNameOfIt12345678")
    again = await signer.find(account, "OurOwnNameOfIt12345678", began)
    assert again is not None
    assert (again.foreign_id, await signer.find(account, "another", began)) == (made.foreign_id, None)
    stages = [(await signer.status(account, made.foreign_id)).stage]
    for stage in ("opened", "signed"):
        box.move(held, stage)
        stages.append((await signer.status(account, made.foreign_id)).stage)
    assert stages == [SignStage.sent, SignStage.opened, SignStage.signed]
    assert await signer.fetch_signed(account, made.foreign_id) == held.signed
    proofs = await signer.fetch_evidence(account, made.foreign_id)
    assert [one.media_type for one in proofs] == ["application/pdf", "application/json"]
    assert all(one.name.startswith(provider) for one in proofs)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_offer_is_taken_back_once_and_what_was_signed_never(
    box: Signbox, known: dict[str, SignatureProvider], provider: str
) -> None:
    signer, account = known[provider], opened(provider, box)
    first = await signer.create(account, wanted())
    await signer.resend(account, first.foreign_id)
    assert box.only().reminded == 1
    await signer.cancel(account, first.foreign_id, "superseded")
    assert (await signer.status(account, first.foreign_id)).stage is SignStage.canceled
    box.held.clear()
    second = await signer.create(account, wanted("another"))
    box.move(box.only(), "signed")
    with pytest.raises(Refused) as refused:
        await signer.cancel(account, second.foreign_id, "superseded")
    assert refused.value.permanent
    assert (await signer.status(account, second.foreign_id)).stage is SignStage.signed


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("fault", "error", "permanent"), [
    (500, Uncertain, None), (502, Uncertain, None), (503, Refused, False), (429, Refused, False),
    (422, Refused, True), (400, Refused, True), ("lose", Uncertain, None),
])
async def test_a_failure_says_whether_the_offer_may_have_been_taken(
    box: Signbox, known: dict[str, SignatureProvider], provider: str, fault: int | str, error: Any, permanent: Any
) -> None:
    box.faults = [fault]
    with pytest.raises(error) as raised:
        await known[provider].create(opened(provider, box), wanted())
    if permanent is not None:
        assert raised.value.permanent is permanent
    assert len(box.held) == (1 if fault == "lose" else 0)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_who_only_reads_is_never_uncertain(
    box: Signbox, known: dict[str, SignatureProvider], provider: str
) -> None:
    account = opened(provider, box)
    made = await known[provider].create(account, wanted())
    for fault in (500, "lose"):
        box.faults = [fault, fault]
        with pytest.raises(Refused) as refused:
            await known[provider].status(account, made.foreign_id)
        assert not refused.value.permanent
        box.faults = []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_changes_something_is_not_asked_again_behind_our_back(
    box: Signbox, known: dict[str, SignatureProvider], provider: str
) -> None:
    account = opened(provider, box)
    made = await known[provider].create(account, wanted())
    box.faults = ["lose"] if provider != "docuseal" else [0, "lose"]
    with pytest.raises(Uncertain):
        await known[provider].resend(account, made.foreign_id)
    assert box.only().reminded == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_word_that_is_not_known_has_no_stage(
    box: Signbox, known: dict[str, SignatureProvider], provider: str
) -> None:
    account = opened(provider, box)
    made = await known[provider].create(account, wanted(sends=provider != "docuseal"))
    box.only().word = "on_hold"
    status = await known[provider].status(account, made.foreign_id)
    assert (status.stage, status.raw.partition("/")[0]) == (None, "on_hold")


async def test_docuseals_requests_and_answers_are_as_its_specification_says(
    box: Signbox, known: dict[str, SignatureProvider]
) -> None:
    judge, signer, account = docuseal(), known["docuseal"], opened("docuseal", box)
    await signer.check(account)
    made = await signer.create(account, wanted(sends=False))
    assert made.link == f"{box.url}/s/slug{made.foreign_id}"
    await signer.find(account, "OurOwnNameOfIt12345678", datetime.now(UTC))
    await signer.status(account, made.foreign_id)
    await signer.resend(account, made.foreign_id)
    box.move(box.only(), "signed")
    await signer.fetch_signed(account, made.foreign_id)
    await signer.fetch_evidence(account, made.foreign_id)
    await signer.create(account, wanted("another"))
    await signer.cancel(account, str(int(made.foreign_id) + 1), "void")
    for method, path, query, body in box.log:
        if not path.startswith("/file/"):
            judge.request(method, path, query, body)
    for method, path, status, body in box.answers:
        if not path.startswith("/file/"):
            judge.answer(method, path, status, body)
    assert "\n".join(judge.violations) == ""
    assert judge.operations == {
        "GET /submissions", "POST /submissions/pdf", "GET /submitters", "GET /submissions/{id}", "PUT /submitters/{id}",
        "GET /submissions/{id}/documents", "DELETE /submissions/{id}",
    }


async def test_docusign_is_asked_for_a_token_by_a_key_it_can_check_and_only_once(
    box: Signbox, known: dict[str, SignatureProvider]
) -> None:
    account = opened("docusign", box)
    await known["docusign"].check(account)
    await known["docusign"].check(account)
    (assertion,) = box.assertions
    claims = jwt.decode(assertion, KEY.public_key(), algorithms=["RS256"], audience=box.url.partition("://")[2])
    assert (claims["iss"], claims["sub"], claims["scope"]) == ("c-1", "u-1", "signature impersonation")
    box.faults = [401]
    with pytest.raises(Refused):
        await known["docusign"].check(account)
    await known["docusign"].check(account)
    assert len(box.assertions) == 2


async def test_the_accounts_token_goes_to_no_other_place_and_nothing_inside_is_fetched(
    box: Signbox, known: dict[str, SignatureProvider]
) -> None:
    """A document may be kept at a third place: it is fetched over https and from outside, or not at all."""
    account = opened("docuseal", box)
    made = await known["docuseal"].create(account, wanted())
    held = box.only()
    box.move(held, "signed")
    other = Signbox()
    async with other.running():
        box.url = other.url  # from now on it names documents there
        with pytest.raises(Refused) as refused:
            await known["docuseal"].fetch_signed(account, made.foreign_id)
    assert (refused.value.code, other.log) == ("address", [])


async def test_a_document_at_a_third_place_is_asked_for_without_the_accounts_secrets(box: Signbox) -> None:
    given: list[str | None] = []

    async def document(request: web.Request) -> web.Response:
        given.append(request.headers.get("X-Auth-Token"))
        if "again" in request.path:
            raise web.HTTPFound(f"{box.url}/file/101/signed")
        return web.Response(body=PDF)

    app = web.Application()
    app.router.add_get("/{name}", document)
    account = opened("docuseal", box)
    async with serving(app) as away, client_session() as session:
        # Both sessions are plain here: only the header is looked at.
        caller = Caller(session, session)
        assert await caller.document(account, f"{away}/signed", {"X-Auth-Token": "token"}) == PDF
        with pytest.raises(Refused):
            await caller.document(account, f"{away}/again", {"X-Auth-Token": "token"})
    assert given == [None, None]
    assert box.asked("GET", "/file/101/signed") == 1


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 90_000, b'{"data": 7}', b'{"data": {"id": {}}, "event": []}',
    b'{"data": {"submission_id": "../1", "envelopeId": " "}}', b'{"type": 5}',
])
async def test_hostile_messages_are_rejected_or_read_safely(
    known: dict[str, SignatureProvider], provider: str, body: bytes
) -> None:
    headers = {key.lower(): value for key, value in signed_headers(provider, body, "s3cr3t", AT).items()}
    found = known[provider].verify_webhook(Webhook("", headers, body), SECRETS, AT)
    assert isinstance(found, Reject | Hint)
    assert (isinstance(found, Reject) and not found.unsigned) if provider != "signaturit" else isinstance(found, Hint)


async def test_docusigns_retries_are_one_event_and_the_next_event_is_another(
    known: dict[str, SignatureProvider],
) -> None:
    def told(**changes: Any) -> Hint:
        body = json.dumps({
            "event": "envelope-completed", "retryCount": 0, "generatedDateTime": "2026-11-23T12:00:00Z",
            "data": {"envelopeId": "e-1"}, **changes,
        }).encode()
        headers = {key.lower(): value for key, value in signed_headers("docusign", body, "s3cr3t", AT).items()}
        found = known["docusign"].verify_webhook(Webhook("", headers, body), SECRETS, AT)
        assert isinstance(found, Hint)
        return found

    assert told().key == told(retryCount=3).key
    assert len({told().key, told(event="envelope-sent").key, told(generatedDateTime="2026-11-23T12:00:01Z").key}) == 3
