"""Partial forms as queries: whether their visitor has been heard of since."""

from typing import Any

from sqlalchemy import select, text

from router.model.base import vouched
from router.model.campaigns import Site
from router.model.leads import Lead
from router.store.attempts import taken_back
from router.store.db import ReadSession, WriteSession, as_json

PARTIAL = "partial"


def scope_of(site_id: int) -> str:
    """The keys of partial forms, apart from those of whole ones."""
    return f"{PARTIAL}:{site_id}"


async def whole_form(session: ReadSession, site_id: int, visitor: str) -> bool:
    """Whether the form itself has come: it carries the visitor's id as its `client_request_id`."""
    return bool(await session.rows(
        text("select 1 from idempotency where scope = :scope and key = :key"),
        {"scope": f"lead:{site_id}", "key": visitor},
    ))


_MOVED_ON = text(
    """
    update leads set claims = leads.claims || jsonb_build_object('step', cast(:step as jsonb))
    from contacts c where leads.id = :lead_id and c.id = leads.contact_id and c.phone = :phone
    returning leads.id
    """
)


async def moved_on(session: WriteSession, lead_id: int, phone: str, step: dict[str, Any]) -> bool:
    """Notes the newest step; False when the id is used with another number, which is somebody else's doing."""
    return bool(await session.execute(_MOVED_ON, {"lead_id": lead_id, "phone": phone, "step": as_json(step)}))


async def helped(session: ReadSession, lead_id: int) -> bool:
    """Whether its timer has brought somebody to call him: nobody is called twice about one form."""
    return bool(await session.rows(
        text("select 1 from leads l where id = :id and (attached_to is not null or exists "
             "(select from tasks where lead_id = l.id))"),
        {"id": lead_id},
    ))


async def heard_since(session: ReadSession, lead: Lead) -> bool:
    """Whether the person has asked for anything else since, by this form or another door."""
    newer = await session.scalar(select(Lead.id).where(Lead.contact_id == lead.contact_id, Lead.id > lead.id).limit(1))
    visitor = str(lead.source.get("visitor", ""))
    return newer is not None or (lead.site_id is not None and await whole_form(session, lead.site_id, visitor))


async def may_call(session: ReadSession, lead: Lead) -> bool:
    """Whether what he agreed to still stands."""
    return "requested" not in await taken_back(session, lead.id)


async def queue_of(session: ReadSession, lead: Lead) -> int:
    """The queue of the landing page it was begun on."""
    return vouched(await session.get(Site, lead.site_id)).queue_id
