"""Cadencing: what a supervisor does about the plans themselves, and about who rests for want of a word."""

from typing import NamedTuple

from router.actions import enrolling
from router.book import Writing
from router.model.cadences import CadenceVersion, Enrolment, EnrolmentState
from router.model.errors import Conflict, NotFound
from router.store import cadences

MOST_MOVED = 200
"""So many are moved at once: a transaction is short."""


class Migrated(NamedTuple):
    """How many were moved, and how many are left: those whose call waits or is being made, and the rest of many."""

    moved: int
    left: int


async def migrate_enrolments(w: Writing, version_id: int, agent_id: int) -> Migrated:
    """Moves whoever is inside this version to the newest of the same cadence. What was done stays done; what was
    planned is planned anew. Whose call waits for an agent, or is being made, stays until it is over. Raises NotFound,
    Conflict when it is the newest already."""
    old = await w.session.get(CadenceVersion, version_id)
    if old is None:
        raise NotFound("There is no such version.")
    newest = await cadences.newest_version(w.session, old.cadence_id)
    if newest.id == old.id:
        raise Conflict("This is the newest version already.")
    inside = await cadences.inside_of(w.session, old.id)
    moved = 0
    for enrolment_id in inside[:MOST_MOVED]:
        enrolment = await w.session.locked(Enrolment, enrolment_id)
        if enrolment is None or enrolment.version_id != old.id:
            continue
        if enrolment.state in (EnrolmentState.active, EnrolmentState.paused):
            await _move(w, enrolment, newest, agent_id)
            moved += 1
    return Migrated(moved, len(inside) - moved)


async def _move(w: Writing, enrolment: Enrolment, newest: CadenceVersion, agent_id: int) -> None:
    if enrolment.state is EnrolmentState.active:
        await enrolling.drop_plans(w, enrolment, "migrated")
    before, enrolment.version_id = enrolment.version_id, newest.id
    enrolment.again = None
    await w.session.flush()
    w.fact("enrolment.migrated", campaign_id=enrolment.campaign_id, lead_id=enrolment.lead_id, subject_id=enrolment.id,
           agent_id=agent_id, before=before, version=newest.id)
    if enrolment.state is EnrolmentState.active:
        await enrolling.go_on(w, enrolment)


async def decide(w: Writing, enrolment_id: int, *, go_on: bool, agent_id: int) -> None:
    """Somebody rests because nobody said how his call went: a supervisor lets him go on, or out. Raises Conflict when
    that is decided already."""
    enrolment = await w.session.locked(Enrolment, enrolment_id)
    if enrolment is None or enrolment.state is not EnrolmentState.paused or enrolment.paused_reason not in UNDECIDED:
        raise Conflict("Somebody has decided this meanwhile. Look at the page again.")
    w.fact("enrolment.decided", campaign_id=enrolment.campaign_id, lead_id=enrolment.lead_id, subject_id=enrolment.id,
           agent_id=agent_id, go_on=go_on, reason=enrolment.paused_reason)
    if go_on:
        await enrolling.resume(w, enrolment)
    else:
        await enrolling.leave(w, enrolment, "dismissed")


UNDECIDED = ("unclassified", "complaint")
"""Rests that only a supervisor ends."""
