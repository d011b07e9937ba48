"""Offers beyond the ordinary: discounts a supervisor approves, terms, secret answers, revisions and copies."""

import asyncio
import io
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from pypdf import PdfReader
from sqlalchemy import select

from router.actions import copying, offering, quoting, signing
from router.actions.quoting import Besides
from router.book import Book
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.calls import Call, CallState
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Forbidden, ManyInvalid, NotAllowedNow, NotFound
from router.model.facts import Fact
from router.model.forms import FIELDS
from router.model.leads import Lead
from router.model.money import MOST_LINES, MOST_QUANTITY, MOST_UNIT, Line, Period
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import Task
from router.model.terms import Agreed
from router.model.vault import hash_token
from router.ports import Channel
from router.store import blobs, signings
from tests import closing, making
from tests.conftest import Clock

PRODUCTS = [{"key": "fibra", "label": "Fibra", "unit_minor": 3000, "tax_bp": 2100, "period": "month"}]
LIMITED = {"products": PRODUCTS, "discount_bp": 1000}
CHEAP = [Line("Fibra", 1, 2500, 2100, Period.month)]


async def quote(book: Book, quote_id: int) -> Quote:
    async with book.reading() as r:
        return vouched(await r.session.get(Quote, quote_id))


async def chief(book: Book) -> int:
    async with book.writing() as w:
        return (await making.agent(w, "jefa", role=Role.supervisor)).id


async def kinds(book: Book, prefix: str) -> list[str]:
    async with book.reading() as r:
        found = await r.session.scalars(select(Fact.kind).where(Fact.kind.startswith(prefix)).order_by(Fact.id))
    return list(found)


async def asked(book: Book, **values: Any) -> closing.Sale:
    """A quote that waits for a supervisor."""
    sale = await closing.drafted(book, campaign=LIMITED, lines=CHEAP, **values)
    assert await quoting.submit(book, sale.quote_id, sale.agent_id) is None
    return sale


async def test_within_his_limit_an_agent_sends_by_himself(book: Book) -> None:
    sale = await closing.drafted(book, campaign=LIMITED, lines=[Line("Fibra", 1, 2700, 2100, Period.month)])
    assert await quoting.submit(book, sale.quote_id, sale.agent_id) is not None
    assert ((await quote(book, sale.quote_id)).discount_bp, await kinds(book, "quote.awaiting")) == (1000, [])


async def test_above_it_the_quote_waits_and_nothing_is_sent_until_a_supervisor_approves(
    book: Book, clock: Clock
) -> None:
    sale = await asked(book)
    waiting = await quote(book, sale.quote_id)
    assert (waiting.state, waiting.discount_bp, waiting.over_limit) == (QuoteState.awaiting, 1667, True)
    assert await quoting.submit(book, sale.quote_id, sale.agent_id) is None  # asked twice, asked once
    with pytest.raises(Conflict):
        await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    assert await closing.texts(book, "offer") == []
    boss = await chief(book)
    clock.forward(3600)
    async with book.writing() as w:
        with pytest.raises(Forbidden):
            await quoting.approve(w, quote_id=sale.quote_id, agent_id=sale.agent_id)
        approved = await quoting.approve(w, quote_id=sale.quote_id, agent_id=boss)
    assert (approved.state, approved.approved_by) == (QuoteState.approved, boss)
    assert approved.valid_until == clock.now + timedelta(days=14)
    assert await quoting.submit(book, sale.quote_id, sale.agent_id) is not None
    assert await kinds(book, "quote.") == [
        "quote.draft", "quote.awaiting", "quote.approved", "quote.frozen", "quote.sent"
    ]


async def test_no_way_leads_around_the_supervisor(book: Book) -> None:
    sale = await closing.drafted(book, campaign=LIMITED, lines=CHEAP)
    with pytest.raises(Conflict):
        await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    assert (await quote(book, sale.quote_id)).state is QuoteState.draft
    assert await closing.texts(book, "offer") == []


async def test_approved_and_refused_at_once_one_wins_and_the_other_is_told(book: Book) -> None:
    sale, boss = await asked(book), await chief(book)

    async def decide(verb: Any) -> QuoteState:
        async with book.writing() as w:
            return (await verb(w, quote_id=sale.quote_id, agent_id=boss)).state  # type: ignore[no-any-return]

    ends = await asyncio.gather(*(decide(verb) for verb in (quoting.approve, quoting.refuse) * 2),
                                return_exceptions=True)
    won = [end for end in ends if isinstance(end, QuoteState)]
    assert len(won) == 1
    assert len([end for end in ends if isinstance(end, Conflict)]) == 3
    assert (await quote(book, sale.quote_id)).state is won[0]


async def test_an_agents_own_limit_counts_before_the_campaigns_and_supervisors_have_none(book: Book) -> None:
    sale, boss = await closing.drafted(book, campaign=LIMITED, lines=CHEAP), await chief(book)
    async with book.writing() as w:
        agent = vouched(await w.session.locked(Agent, sale.agent_id))
        agent.discount_bp = 2000
        await w.session.flush()
        for writer in (sale.agent_id, boss):
            made = await quoting.draft(w, agent_id=writer, lead_id=sale.lead_id, lines=CHEAP)
            assert (made.discount_bp, made.over_limit) == (1667, False)


async def test_what_the_catalogue_does_not_have_can_need_a_supervisor(book: Book) -> None:
    sale = await closing.drafted(book, campaign={**LIMITED, "catalogue_only": True}, lines=[Line("Otra", 1, 1, 0)])
    assert (await quote(book, sale.quote_id)).over_limit


async def test_nobody_is_asked_about_an_offer_that_could_not_be_sent(book: Book) -> None:
    sale = await closing.drafted(book, campaign={**LIMITED, "terms": {}}, lines=CHEAP)
    with pytest.raises(ManyInvalid):
        await quoting.submit(book, sale.quote_id, sale.agent_id)
    assert (await quote(book, sale.quote_id)).state is QuoteState.draft


async def test_a_discount_is_said_in_the_offer(book: Book) -> None:
    _, held = await closing.sent(book, campaign={"products": PRODUCTS}, lines=CHEAP)
    sent = await closing.quote_of(book, held)
    (line,) = [one for one in sent.canonical or [] if one["kind"] == "line"]
    assert "nuestro precio de tarifa: 30,00" in line["value"]


async def test_terms_agreed_on_stand_in_the_place_of_the_campaigns(book: Book) -> None:
    besides = Besides(Agreed(months=24, starts_in_days=0, express=True))
    _, held = await closing.sent(book, besides=besides)
    said = {one["item"]: one["value"] for one in (await closing.quote_of(book, held)).canonical or []}
    assert (said["months"], said["leaving"], said["start"]) == ("24", "40 €.", "El día de la firma")
    assert "empezará antes de que termine el plazo" in said["express"]
    assert said["later_start"].startswith("El servicio empieza cuando termina")


async def test_an_offer_on_the_line_is_valid_for_half_an_hour_and_names_its_call(book: Book, clock: Clock) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        for talking_at in (w.now, None):
            w.session.add(Call(
                task_id=task.id, lead_id=task.lead_id, agent_id=sale.agent_id,
                room=f"r{talking_at}", room_ref=f"f{talking_at}", created_at=w.now, talking_at=talking_at,
                **({"state": CallState.ended, "ended_at": w.now} if talking_at else {"state": CallState.agent_leg}),
            ))
            await w.session.flush()
        made = await quoting.write(w, task, closing.LINES, agent_id=sale.agent_id, besides=Besides(on_line=True))
    held = await quoting.send_offer(book, made.id, sale.agent_id)
    assert held.expires_at == clock.now + timedelta(minutes=30)
    said = {one["item"]: one["value"] for one in (await quote(book, made.id)).canonical or []}
    assert said["call"] == f"número 1, con nuestro agente {sale.agent_id}"
    assert said["request"] == str(sale.lead_id)


async def test_answers_stand_in_the_offer_and_secret_ones_are_masked(book: Book) -> None:
    fields = [
        {"key": "cups", "labels": {"es": "CUPS"}, "secret": True},
        {"key": "pin", "labels": {"es": "PIN"}, "secret": True},
        {"key": "wish", "labels": {"es": "Deseo"}}, {"key": "inner", "labels": {"es": "Nota"}, "in_offer": False},
        {"key": "home", "labels": {"es": "Vivienda"}, "kind": "choice", "choices": {"h": {"es": "Casa"}}},
    ]
    sale = await closing.drafted(book, campaign={"fields": fields})
    async with book.writing() as w:
        lead = vouched(await w.session.locked(Lead, sale.lead_id))
        lead.fields = {"wish": "Sol 🌞 #let x $ ]", "home": "h", "inner": "no"}
        lead.sealed_fields = book.vault.seal(FIELDS, msgspec.json.encode({"cups": "ES0021000000001234", "pin": "4321"}))
    await quoting.send_offer(book, sale.quote_id, sale.agent_id)
    sent = await quote(book, sale.quote_id)
    said = {one["label"]: one["value"] for one in sent.canonical or [] if one["kind"] == "field"}
    assert said == {"CUPS": "••••1234", "PIN": "••••", "Deseo": "Sol � #let x $ ]", "Vivienda": "Casa"}
    assert "ES0021" not in str(sent.canonical)


async def test_an_offer_in_russian_stands_in_spanish_too_and_the_form_is_part_of_it(book: Book) -> None:
    _, held = await closing.sent(book, locale="ru", customer="Дмитрий Шостакович")
    sent = await closing.quote_of(book, held)
    async with book.reading() as r:
        pdf = vouched(await blobs.content(r.session, sent.pdf_sha256))
    text = " ".join("".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())
    for words in ("Образец формы отказа", "Modelo de formulario", "Дмитрий Шостакович", "Esta oferta en español"):
        assert words in text


@pytest.mark.parametrize(
    "name", ["#let x = 1 $y$ ]", "שלום דוד", "محمد علي", "Дмитрий", "W" * 120, "[link](x) *b* _i_ @a"]
)
async def test_no_name_is_markup_and_every_letter_arrives(book: Book, name: str) -> None:
    _, held = await closing.sent(book, customer=name)
    said = {one["item"]: one["value"] for one in (await closing.quote_of(book, held)).canonical or []}
    assert (said["customer"], said["form.name"]) == (name, name)


async def test_the_largest_numbers_there_are_are_printed_to_the_cent(book: Book) -> None:
    lines = [Line(f"Línea {n}", MOST_QUANTITY, MOST_UNIT, 10_000, Period.once) for n in range(MOST_LINES)]
    _, held = await closing.sent(book, lines=lines)
    assert (await closing.quote_of(book, held)).total_once == 2 * MOST_LINES * MOST_QUANTITY * MOST_UNIT


async def test_a_revision_while_a_supervisor_is_asked_takes_its_place(book: Book) -> None:
    sale = await asked(book)
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        made = await quoting.write(w, task, [Line("Fibra", 1, 3000, 2100, Period.month)], agent_id=sale.agent_id,
                                   revises=sale.quote_id, customer="Otra Persona")
    assert (made.version, made.over_limit, made.customer) == (2, False, "Otra Persona")
    assert (await quote(book, sale.quote_id)).state is QuoteState.superseded


async def test_a_quote_is_taken_back_while_a_supervisor_is_asked(book: Book) -> None:
    sale, boss = await asked(book), await chief(book)
    async with book.writing() as w:
        await quoting.void(w, quote_id=sale.quote_id, agent_id=sale.agent_id)
        with pytest.raises(Conflict):
            await quoting.approve(w, quote_id=sale.quote_id, agent_id=boss)
    assert (await quote(book, sale.quote_id)).state is QuoteState.void


async def test_only_a_quote_of_the_person_in_ones_hands_is_revised(book: Book) -> None:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        other = vouched(await w.session.locked(Quote, sale.quote_id))
        other.contact_id = (await making.lead(
            w, await making.queue(w, await making.campaign(w, "sol")), "+12025550177")).contact_id
        await w.session.flush()
        for revises in (sale.quote_id, 9_999):
            with pytest.raises(NotFound):
                await quoting.write(w, task, CHEAP, agent_id=sale.agent_id, revises=revises)


async def test_the_old_link_of_a_revised_offer_is_known_and_a_guessed_one_is_not(book: Book) -> None:
    sale, _ = await closing.sent(book)
    token = await closing.token(book)
    async with book.writing() as w:
        await quoting.supersede(w, quote_id=sale.quote_id, agent_id=sale.agent_id, lines=closing.LINES)
        assert await signing.open_link(w, token, closing.CUSTOMER) is None
    async with book.reading() as r:
        old = await signings.replaced(r.session, hash_token(token))
        assert old is not None
        assert await signings.replaced(r.session, hash_token("x" * 22)) is None


async def test_whatsapp_takes_the_link_only_from_who_has_just_written_there(book: Book) -> None:
    sale = await closing.drafted(book, campaign={"whatsapp": "+12025550100"})
    with pytest.raises(NotAllowedNow, match="24 hours"):
        await quoting.send_offer(book, sale.quote_id, sale.agent_id, channel=Channel.whatsapp)
    assert (await quote(book, sale.quote_id)).state is QuoteState.draft


async def test_a_copy_goes_by_mail_with_the_pdf_and_without_a_link(book: Book) -> None:
    book.can_mail = True
    sale, _ = await closing.sent(book, campaign={"mail_from": "hola@luzclara.example"})
    async with book.writing() as w:
        with pytest.raises(Conflict, match="No e-mail"):
            await copying.mail(w, quote_id=sale.quote_id, agent_id=sale.agent_id)
        lead = vouched(await w.session.locked(Lead, sale.lead_id))
        lead.claims = {"email": "carmen@example.org"}
        await w.session.flush()
        await copying.mail(w, quote_id=sale.quote_id, agent_id=sale.agent_id)
    async with book.reading() as r:
        mail = vouched(await r.session.scalar(select(Delivery).where(Delivery.kind == DeliveryKind.mail)))
    sent = await quote(book, sale.quote_id)
    assert mail.order["papers"] == [[f"{sent.number}-1.pdf", "application/pdf", (sent.pdf_sha256 or b"").hex()]]
    assert mail.order["to"] == "carmen@example.org"
    assert "/q/" not in book.vault.open("texts", mail.sealed_text or b"").decode()
    assert await kinds(book, "quote.mailed") == ["quote.mailed"]


async def test_opening_an_offer_once_more_is_told(book: Book, clock: Clock) -> None:
    await closing.sent(book)
    for _ in range(2):
        clock.forward(600)
        async with book.writing() as w:
            assert await signing.open_link(w, await closing.token(book), closing.CUSTOMER)
    assert await kinds(book, "quote.read") == ["quote.read"]


async def test_signed_declined_superseded_and_void_at_once_has_exactly_one_end(book: Book) -> None:
    held = await closing.verified(book)
    sold = await closing.quote_of(book, held)

    async def end(n: int) -> str:
        async with book.writing() as w:
            if n % 4 == 0:
                await signing.sign(w, held, "Carmen Ruiz", closing.CONSENTS, closing.CUSTOMER)
            elif n % 4 == 1 and not await signing.decline(w, held, signing.DeclineReason.price, closing.CUSTOMER):
                raise Conflict("late")
            elif n % 4 == 2:
                await quoting.supersede(w, quote_id=sold.id, agent_id=vouched(sold.agent_id), lines=closing.LINES)
            elif n % 4 == 3:
                await quoting.void(w, quote_id=sold.id, agent_id=vouched(sold.agent_id))
        return ("signed", "declined", "superseded", "void")[n % 4]

    ends = await asyncio.gather(*(end(n) for n in range(24)), return_exceptions=True)
    won = {one for one in ends if isinstance(one, str)}
    assert len(won) == 1
    assert all(isinstance(one, str | Conflict) for one in ends)
    assert (await closing.quote_of(book, held)).state.value in won
    async with book.reading() as r:
        alive = await r.session.scalars(select(Signing).where(Signing.state == SigningState.signed))
    assert len(alive) == (won == {"signed"})


def test_short_secrets_are_hidden_whole() -> None:
    assert [offering.masked(one) for one in ("1234567", "12345678")] == ["••••", "••••5678"]
