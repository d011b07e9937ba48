"""Makes the nouns a test needs, in the database, as the house itself would."""

from typing import Any

import msgspec
from msgspec.structs import replace

from router.book import Writing
from router.model.agents import Agent, Role, Wish
from router.model.cadence_rules import CadencePlan, check
from router.model.cadences import CadenceVersion
from router.model.campaigns import Campaign, Queue, Ruleset, Site
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.leads import Intent, Lead
from router.model.outcomes import NAMES
from router.model.rules import RulesPlan, as_body
from router.model.tasks import Task, TaskKind, TaskState, placed
from router.model.vault import hash_token, new_token
from router.store import cadences

COMPANY = {
    "name": "Luz Clara SL", "address": "Calle Mayor 1, 28013 Madrid", "phone": "+34910000000",
    "email": "hola@luzclara.example", "tax_id": "B00000000", "privacy_url": "https://luzclara.example/privacidad",
}
TERMS = {
    "months": 0, "starts_in_days": 14, "return_cost": "nothing",
    "payment": {"en": "By direct debit.", "es": "Por domiciliación.", "it": "Con addebito.", "ru": "Со счёта."},  # noqa: RUF001
    "leaving": {"en": "40 €.", "es": "40 €.", "it": "40 €.", "ru": "40 €."},
    "renewal": {"en": "From month to month.", "es": "Mes a mes.", "it": "Di mese in mese.", "ru": "Помесячно."},
    "guarantee": {"en": "Three years.", "es": "Tres años.", "it": "Tre anni.", "ru": "Три года."},
    "complaints": {"en": "At the shop.", "es": "En la tienda.", "it": "In negozio.", "ru": "В магазине."},  # noqa: RUF001
}
"""What a campaign's contracts say: nothing an offer lacks."""


async def campaign(w: Writing, key: str = "luz", **values: Any) -> Campaign:
    made = Campaign(
        key=key, name="Luz Clara", company=dict(COMPANY),
        **{"caller_id": "+34910000000", "sender": "+34910000000", "rule_pack": "demo", "countries": ["ES", "US"],
           "terms": dict(TERMS), **values},
    )
    w.session.add(made)
    await w.session.flush()
    return made


async def queue(w: Writing, campaign: Campaign, key: str = "ventas", **values: Any) -> Queue:
    made = Queue(campaign_id=campaign.id, key=key, name="Ventas", **values)
    w.session.add(made)
    await w.session.flush()
    return made


async def site(w: Writing, queue: Queue, key: str = "landing", **values: Any) -> Site:
    made = Site(
        campaign_id=queue.campaign_id, queue_id=queue.id, key=key, name="Landing",
        **{"origins": ["http://127.0.0.1:8082"], "phone": "+34910000000", **values},
    )
    w.session.add(made)
    await w.session.flush()
    return made


async def agent(w: Writing, login: str = "ana", *, ready: bool = True, **values: Any) -> Agent:
    """An agent; `ready` ones are eligible at the moment of the transaction."""
    made = Agent(
        login=login, name=login.title(), password_hash="!",
        **{"address": f"client:{login}", "role": Role.agent, "wish": Wish.ready if ready else Wish.off,
           "idle_since": w.now if ready else None, "heartbeat_at": w.now if ready else None, **values},
    )
    w.session.add(made)
    await w.session.flush()
    return made


async def lead(w: Writing, queue: Queue, phone: str = "+12025550101", **values: Any) -> Lead:
    """A lead with its contact and a receipt for being called and for commercial contact."""
    contact = Contact(campaign_id=queue.campaign_id, phone=phone, name="Carmen Ruiz", locale="es", created_at=w.now)
    w.session.add(contact)
    await w.session.flush()
    made = Lead(
        campaign_id=queue.campaign_id, site_id=None, contact_id=contact.id, locale="es",
        status_hash=hash_token(new_token()), created_at=w.now,
        **{"intent": Intent.call_now, "claims": {}, "source": {}, **values},
    )
    w.session.add(made)
    await w.session.flush()
    w.session.add(Receipt(
        campaign_id=queue.campaign_id, contact_id=contact.id, lead_id=made.id, purposes=["requested", "commercial"],
        text="Sí", text_sha256="00", version="1", method="checkbox", address="", user_agent="", page="", given_at=w.now,
    ))
    return made


async def task(w: Writing, queue: Queue, lead: Lead, **values: Any) -> Task:
    """A queued task of the lead."""
    line = replace(queue.line, skills=tuple(values.pop("skills", queue.skills)))
    where = placed(line, values.pop("kind", TaskKind.call), values.pop("tier", 0), w.now)
    made = Task(
        lead_id=lead.id, contact_id=lead.contact_id, enqueued_at=w.now,
        **{"state": TaskState.queued, **where, **values},
    )
    w.session.add(made)
    await w.session.flush()
    return made


async def cadence(w: Writing, campaign: Campaign, *steps: dict[str, Any], **plan: Any) -> CadenceVersion:
    """The campaign's cadence from now on, as its file would say it: for any quiet quote, unless `on` says otherwise."""
    numbered = [{"n": place, "channel": "call_task", **step} for place, step in enumerate(steps, 1)]
    written = msgspec.convert({
        "key": "ours", "name": "Ours", "steps": numbered,
        "on": ["sign_abandoned", "hot_reopen", "opened_unsigned", "never_opened", "expiring", "idle"], **plan,
    }, CadencePlan)
    made, _ = await cadences.publish(w.session, campaign.id, check(written, NAMES), w.now, is_preset=False)
    return made


async def rules(w: Writing, queue: Queue, **plan: Any) -> Ruleset:
    """The queue's rules from now on, as a file would say them."""
    written = msgspec.convert(plan, RulesPlan)
    assert written.wrong(queue.skills) is None
    known = await w.session.get(Ruleset, queue.rules_id) if queue.rules_id else None
    made = Ruleset(
        queue_id=queue.id, version=known.version + 1 if known else 2, body=as_body(written), widens=written.widens,
        newest_first=written.newest_first, created_at=w.now,
    )
    w.session.add(made)
    await w.session.flush()
    values = {"rules_id": made.id, "newest_first": written.newest_first, "owner_seconds": written.owner_seconds}
    for row in {queue, await w.session.get(Queue, queue.id)}:
        for column, value in values.items():
            setattr(row, column, value)
    await w.session.flush()
    return made
