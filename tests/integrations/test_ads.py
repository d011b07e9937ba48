"""The advertisers' payloads in our words, and the Graph API against its local twin."""

import json
from collections.abc import AsyncIterator

import pytest

from integrations.ads.google import GoogleAds
from integrations.ads.graphbox import Graphbox
from integrations.ads.meta import Graph, Meta
from integrations.http import client_session
from router.ports import LeadAnnounced, PartyLead, Phone, Refused, Webhook
from tests.parties import VECTOR, dumps, google, meta, signed


def understood(body: object) -> PartyLead:
    (event,) = GoogleAds().understand(Webhook("", {}, dumps(body)))
    assert isinstance(event, PartyLead)
    return event


def test_metas_signature_is_that_of_the_published_vector() -> None:
    good = "sha256=52e17465e37767c54d00b1126cdc0fda2cc8f65f0b37806f6ffcefe52f8cb803"
    party, secrets = Meta(), {"secret": "app_secret"}
    assert party.genuine(Webhook("", {"x-hub-signature-256": good}, VECTOR), secrets)
    assert not party.genuine(Webhook("", {"x-hub-signature-256": good}, VECTOR + b" "), secrets)
    assert not party.genuine(Webhook("", {"x-hub-signature-256": good[7:]}, VECTOR), secrets)
    assert not party.genuine(Webhook("", {"x-hub-signature-256": good}, VECTOR), {})


def test_googles_lead_is_read_with_its_ids_as_text_and_unknown_fields_passed_over() -> None:
    lead = understood(google(form_id=2**63 - 1, brand_new={"x": [1]}, lead_stage="NEW"))
    assert lead.external_id == "TeSter-123"
    assert (lead.name, lead.email, lead.phones[0].written) == ("Ana Pérez", "ana@example.com", "+12025550123")
    assert lead.source == {
        "form_id": "9223372036854775807", "campaign_id": "123456", "adgroup_id": "20000000000",
        "creative_id": "30000000000", "lead_stage": "NEW", "gclid": "Cj0K",
    }
    assert not lead.test


def test_a_name_in_two_parts_a_work_number_and_a_country_are_put_together() -> None:
    lead = understood(google(columns={
        "FIRST_NAME": "Ana", "LAST_NAME": "Pérez", "WORK_PHONE": "600 111 222", "COUNTRY": "es", "CITY": "Soria"}))
    assert (lead.name, list(lead.phones)) == ("Ana Pérez", [Phone("600 111 222", "ES")])
    assert lead.answers == {"COUNTRY": "es", "CITY": "Soria"}


def test_a_lead_without_an_id_is_known_by_its_body() -> None:
    assert len(understood(google(lead_id=None)).external_id) == 64
    assert understood(google(lead_id="x" * 500)).external_id != understood(google(lead_id="y" * 500)).external_id


def test_a_notice_names_several_leads_each_once_and_tests_apart() -> None:
    body = meta(1234567890123456789, "1234567890123456789", "444444444444", "abc", None, "1/../2")
    events = Meta().understand(signed("meta", dumps(body)))
    assert [type(event) for event in events] == [LeadAnnounced, PartyLead]
    first, test = events
    assert isinstance(first, LeadAnnounced)
    assert first.external_id == "1234567890123456789"
    assert json.loads(first.notice)["form_id"] == "888"
    assert isinstance(test, PartyLead)
    assert test.test


@pytest.fixture
def box() -> Graphbox:
    return Graphbox("page-token")


@pytest.fixture
async def graph(box: Graphbox) -> AsyncIterator[Graph]:
    async with box.running() as url, client_session() as session:
        yield Graph(session, url)


async def test_the_lead_is_fetched_and_its_ticked_boxes_are_told(box: Graphbox, graph: Graph) -> None:
    box.put("555", {"full_name": "Joe Example", "phone_number": "+34600111222", "q": "sí"}, ad_id="77", platform="ig",
            custom_disclaimer_responses=[{"checkbox_key": "offers", "is_checked": "1"},
                                         {"checkbox_key": "other", "is_checked": "0"}])
    answer = await graph.fetch("555", "page-token", "v21.0")
    lead = graph.understand("555", b'{"form_id":"888"}', answer)
    assert (lead.name, lead.phones[0].written, lead.answers) == ("Joe Example", "+34600111222", {"q": "sí"})
    assert (lead.ticked, lead.source) == (["offers"], {"form_id": "888", "ad_id": "77", "platform": "ig"})


async def test_metas_own_testing_tool_is_recognised(graph: Graph) -> None:
    answer = dumps({"field_data": [{"name": "full_name", "values": ["<test lead: dummy data for full_name>"]}]})
    assert graph.understand("5", b"{}", answer).test


@pytest.mark.parametrize(("status", "code", "permanent"), [
    (400, 100, True), (404, 803, True), (400, 190, False), (401, 190, False), (400, 4, False), (429, 0, False),
    (500, 1, False), (503, 2, False), (302, 0, True),
])
async def test_a_refusal_says_whether_asking_again_may_help(
    box: Graphbox, graph: Graph, status: int, code: int, permanent: bool
) -> None:
    box.faults = [(status, code)]
    with pytest.raises(Refused) as refused:
        await graph.fetch("555", "page-token", "v21.0")
    assert refused.value.permanent is permanent
    assert "page-token" not in repr(refused.value)


@pytest.mark.parametrize(("name", "token", "version"), [
    ("../me", "page-token", "v21.0"), ("5", "", "v21.0"), ("5", "page-token", "latest"),
    ("5?x=1", "page-token", "v1.0"),
])
async def test_nothing_is_asked_with_a_strange_id_version_or_no_token(
    box: Graphbox, graph: Graph, name: str, token: str, version: str
) -> None:
    with pytest.raises(Refused):
        await graph.fetch(name, token, version)
    assert box.asked == []


async def test_a_silent_graph_is_asked_again_later_and_the_token_stays_unsaid() -> None:
    async with client_session(total=1) as session:
        with pytest.raises(Refused) as refused:
            await Graph(session, "http://127.0.0.1:1").fetch("5", "page-token", "v21.0")
    assert not refused.value.permanent
    assert refused.value.__cause__ is None
    assert "page-token" not in repr(refused.value)
