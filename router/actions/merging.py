"""Merging: two contacts that may be one person. A claim only proposes; a person decides, and can take it back.

Nothing a stranger posts moves anything: with my e-mail address and his number he gets a contact of his own, and an
agent gets a question. Numbers keep their own consent, caps and suppressions, whoever they belong to.
"""

from collections.abc import Sequence
from typing import Any

from router.actions import nurturing
from router.book import Writing
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.merges import ClaimKind, Merge, MergeState
from router.store import merges, number_searches
from router.store.facts import Entry
from router.store.merges import Claimed

READER = "merging"
"""The journal's reader that proposes merges."""
MOST_OPEN = 5
"""Open proposals to merge into one contact: an address that so many give tells nothing about who they are."""

_OVER = frozenset({"task.closed", "task.abandoned", "task.expired", "task.withdrawn", "lead.created", "lead.attached"})
READS = _OVER
"""The kinds of facts it needs."""


async def follow(w: Writing, entries: Sequence[Entry]) -> None:
    """Reads the journal: new leads are compared with what is known; what is over of a merged contact follows him."""
    for one in await merges.emails_of(w.session, [each.lead_id for each in entries
                                                  if each.kind == "lead.created" and each.lead_id]):
        await said(w, one, ClaimKind.email, one.email)
    over = sorted({each.lead_id for each in entries if each.kind in _OVER and each.lead_id})
    for merge_id in await merges.merged_of_leads(w.session, over) if over else []:
        merge = vouched(await w.session.locked(Merge, merge_id))
        if merge.state is MergeState.merged:
            await _go_over(w, merge)


async def said(w: Writing, one: Claimed, kind: ClaimKind, value: str) -> None:
    """The lead's person is said to have this address or id: whoever was said to have it before may be the same."""
    mac = w.vault.mac("claim", kind.value, value)
    first = await merges.first_claimant(w.session, one.campaign_id, kind, mac)
    await merges.claim(w.session, one, kind, mac, w.now)
    contact = vouched(await w.session.get(Contact, one.contact_id))
    if first is None or first == (contact.merged_into or contact.id):
        return
    proposed = await merges.propose(w.session, one, kind, first, w.now, MOST_OPEN)
    if proposed is not None:
        w.fact("merge.proposed", campaign_id=one.campaign_id, lead_id=one.lead_id, subject_id=proposed,
               because=kind.value)
        w.hint("wallboard")


async def merge(w: Writing, merge_id: int, agent_id: int) -> Merge:
    """The two are one: what is over of the later one goes to the elder, and what is under way follows when it is over.

    Raises Conflict when somebody was sooner, or one of them has been merged elsewhere meanwhile.
    """
    found = await _moved(w, merge_id, MergeState.merged, agent_id)
    # Both rows are locked in one order: two merges that share a contact wait for each other in a line.
    elder = vouched(await w.session.locked(Contact, found.into_id))
    later = vouched(await w.session.locked(Contact, found.from_id))
    if later.merged_into is not None or elder.merged_into is not None:
        raise Conflict("One of the two is merged with somebody else already. Undo that first.")
    for one in sorted({elder.id, later.id}):
        await w.session.lock_word(f"person:{one}")  # the guard asks what is known of a person under this lock
    pointed = await merges.point(w.session, later.id, elder.id)
    later.merged_into = elder.id
    await nurturing.merged(w, elder.id, later.id)
    await number_searches.look_again(w.session, [elder.id, later.id], w.now)
    found.moved = {"contacts": pointed}
    await w.session.flush()
    await _go_over(w, found)
    return found


async def _go_over(w: Writing, found: Merge) -> None:
    went = await merges.go_over(w.session, found.from_id, found.into_id)
    found.moved = {**found.moved, **{name: [*found.moved.get(name, []), *ids] for name, ids in went.items()}}
    await w.session.flush()


async def decline(w: Writing, merge_id: int, agent_id: int) -> None:
    """They are two: it is not proposed again. Raises Conflict."""
    await _moved(w, merge_id, MergeState.declined, agent_id)


async def undo(w: Writing, merge_id: int, agent_id: int) -> None:
    """Gives back exactly what went over. Raises Conflict while the elder is himself merged into a third."""
    found = await _moved(w, merge_id, MergeState.undone, agent_id)
    elder = vouched(await w.session.locked(Contact, found.into_id))
    later = vouched(await w.session.locked(Contact, found.from_id))
    if elder.merged_into is not None:
        raise Conflict("The two were merged with a third person afterwards. Undo that first.")
    later.merged_into = None
    await w.session.flush()
    await merges.go_back(w.session, found.moved, later.id, elder.id)
    await merges.point_back(w.session, found.moved.get("contacts", []), later.id, elder.id)
    found.moved = {}
    await w.session.flush()


async def _moved(w: Writing, merge_id: int, to: MergeState, agent_id: int) -> Merge:
    values: dict[str, Any] = {"decided_by": agent_id, "decided_at": w.now}
    found = await w.move(Merge, merge_id, to, data={"by": agent_id}, **values)
    if found is None:
        raise Conflict("Somebody has decided this meanwhile. Look at the page again.")
    w.hint("wallboard")
    return found
