"""Countersigning: a supervisor who did not write the offer looks at what its customer has signed, and signs it for the
company, or says why not. The courier has the signature made, as it has seals made.

A refusal leaves what the customer signed as it is: whether there is a contract is not for this program to say.
"""

from datetime import datetime, timedelta

from router.actions import attesting, certifying, choosing_services, outgoing, trusting
from router.actions.attesting import AFTER_DECISION
from router.book import Writing
from router.model.agents import Agent
from router.model.archives import Archive
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.countersignatures import (
    LONGEST_NOTE,
    Countersignature,
    CountersignatureState,
    RefusalReason,
    archive_from,
)
from router.model.deliveries import GIVEN_UP, DeliveryKind
from router.model.errors import Conflict, Forbidden, Invalid, NotAllowedNow, NotFound
from router.model.evidence import instant
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing
from router.ports import CountersignOrder, Sealed
from router.store import alarms, archives, blobs, deliveries, evidence, signings
from router.store import countersignatures as rows

SEAL = "countersign"
"""The purpose of the delivery that has it made."""
TELL = "countersignature.tell"
"""The alarm that tells the customer (`router.actions.inviting.tell_countersigned`); its subject is the
countersignature."""
LATE = "countersignature.late"
"""The alarm that asks whether what was decided is made (`late`)."""
LATE_AFTER = timedelta(minutes=5)
NOTHING = "There is nothing to countersign."
DECIDED = "Somebody else has decided on this countersignature already."
OWN = "Who wrote an offer cannot countersign it."
WITHDRAWN = "The customer has withdrawn: there is nothing to countersign any more."


async def ask(w: Writing, signing: Signing, sealed: Sealed) -> datetime:
    """What was just sealed is to be countersigned, if its campaign asks for that; when it may be archived. The caller
    holds the signing's lock."""
    campaign = vouched(await w.session.get(Campaign, signing.campaign_id))
    if not campaign.countersign:
        return w.now
    row = Countersignature(
        signing_id=signing.id, campaign_id=signing.campaign_id, lead_id=signing.lead_id,
        state=CountersignatureState.waiting, asked_at=w.now,
    )  # fmt: skip
    w.session.add(row)
    await w.session.flush()
    await evidence.append(w.session, signing, w.now, "countersign.asked", {})
    w.fact("countersignature.waiting", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=row.id)
    w.hint("wallboard")
    return archive_from(w.now, sealed.until)


async def approve(w: Writing, quote_id: int, supervisor_id: int) -> Countersignature:
    """A supervisor countersigns for the company. The race: two of them at once; one moves the row, the other is told.

    Raises NotFound, Forbidden, Conflict.
    """
    signing, quote, row = await _to_decide(w, quote_id, supervisor_id)
    supervisor = vouched(await w.session.get(Agent, supervisor_id))
    moved = await w.move(
        Countersignature, row.id, to=CountersignatureState.approved, agent_id=supervisor_id, decided_at=w.now,
        name=supervisor.name, role=supervisor.role.value,
    )  # fmt: skip
    if moved is None:
        raise Conflict(DECIDED)
    await evidence.append(w.session, signing, w.now, "countersign.approved", {
        "agent": supervisor_id, "name": moved.name, "role": moved.role,
    })  # fmt: skip
    await _order(w, signing, f"countersign:{moved.id}")
    await alarms.set_alarm(w.session, LATE, moved.id, w.now + LATE_AFTER)
    w.hint("wallboard", f"signing:{signing.id}", f"agent:{quote.agent_id}")
    return moved


async def refuse(w: Writing, quote_id: int, supervisor_id: int, reason: str, note: str = "") -> Countersignature:
    """A supervisor says that the company does not countersign. The customer is told why. Raises NotFound, Forbidden,
    Invalid, Conflict."""
    if reason not in list(RefusalReason):
        raise Invalid("Please choose a reason.", pointer="/reason")
    if len(note) > LONGEST_NOTE:
        raise Invalid("This should be at most %(longest)s characters long.", pointer="/note", longest=LONGEST_NOTE)
    signing, quote, row = await _to_decide(w, quote_id, supervisor_id)
    supervisor = vouched(await w.session.get(Agent, supervisor_id))
    moved = await w.move(
        Countersignature, row.id, to=CountersignatureState.refused, agent_id=supervisor_id, decided_at=w.now,
        name=supervisor.name, role=supervisor.role.value, reason=reason, note=note.strip(), data={"reason": reason},
    )  # fmt: skip
    if moved is None:
        raise Conflict(DECIDED)
    await evidence.append(w.session, signing, w.now, "countersign.refused", {
        "agent": supervisor_id, "name": moved.name, "role": moved.role, "reason": reason,
    })  # fmt: skip
    await _decided(w, signing, moved, quote)
    return moved


async def _to_decide(w: Writing, quote_id: int, supervisor_id: int) -> tuple[Signing, Quote, Countersignature]:
    """What a supervisor may decide on, the signing's lock held."""
    live = await signings.live_of_quote(w.session, quote_id)
    signing = None if live is None else await w.session.locked(Signing, live.id)
    row = None if signing is None else await rows.of_signing(w.session, signing.id)
    if signing is None or row is None or signing.sealed_sha256 is None:
        raise NotFound(NOTHING)
    quote = vouched(await w.session.get(Quote, quote_id))
    if quote.agent_id == supervisor_id:
        raise Forbidden(OWN)
    if row.state is not CountersignatureState.waiting:
        raise Conflict(DECIDED)
    if quote.state is QuoteState.withdrawn:
        raise Conflict(WITHDRAWN)
    return signing, quote, row


async def _order(w: Writing, signing: Signing, dedupe_key: str) -> None:
    await outgoing.post_about(w, signing, DeliveryKind.seal, dedupe_key, SEAL)


async def late(w: Writing, countersignature_id: int) -> None:
    """Asks whether what was decided is made (an alarm's handler). If not, that is told each time, and it is ordered
    again where the last order was given up."""
    row = await w.session.locked(Countersignature, countersignature_id)
    if row is None or row.state is not CountersignatureState.approved:
        return
    signing = vouched(await w.session.get(Signing, row.signing_id))
    if signing.sealed_sha256 is None:
        return
    newest = await deliveries.newest_seal(w.session, row.signing_id, SEAL)
    again = newest is None or newest.state in GIVEN_UP
    if again:
        await _order(w, signing, f"countersign:{row.id}:{newest.id if newest else 0}")
    w.fact("countersign.late", campaign_id=row.campaign_id, lead_id=row.lead_id, subject_id=row.id, again=again)
    await alarms.set_alarm(w.session, LATE, row.id, w.now + LATE_AFTER)


async def order(w: Writing, signing_id: int) -> CountersignOrder:
    """What is to be countersigned: the newest version of the document. Raises NotAllowedNow when nothing is (left)."""
    signing = await w.session.get(Signing, signing_id)
    row = await rows.of_signing(w.session, signing_id)
    if signing is None or row is None or row.state is not CountersignatureState.approved:
        raise NotAllowedNow(NOTHING)
    if signing.sealed_sha256 is None:  # forgotten meanwhile
        raise NotAllowedNow(NOTHING)
    quote = vouched(await w.session.get(Quote, signing.quote_id))
    return CountersignOrder(
        pdf=(await _newest(w, signing))[1], keys=await certifying.keys_of(w),
        timestamp_serial=await signings.next_serial(w.session), name=row.name,
        reason=f"Offer {quote.number}/{quote.version}: countersigned for the company as {row.role}",
        location=w.public_url, time=await choosing_services.time_of(w, signing.campaign_id),
    )  # fmt: skip


async def _newest(w: Writing, signing: Signing) -> tuple[bytes, bytes]:
    """The SHA-256 and the bytes of the newest version of a sealed document."""
    newest = await archives.newest(w.session, signing.id)
    sha256 = vouched(newest.sha256 if newest else signing.sealed_sha256)
    return sha256, vouched(await blobs.content(w.session, sha256))


async def countersigned(w: Writing, signing_id: int, sealed: Sealed) -> None:
    """Keeps the countersigned document as the newest version, once; a second worker's is dropped. It is archived the
    next night, as its certificate ends before that of any archive.

    The race: the night's archiving came in between. What does not follow the newest version is made again.
    """
    signing = vouched(await w.session.locked(Signing, signing_id))
    row = vouched(await rows.of_signing(w.session, signing_id))
    if row.state is not CountersignatureState.approved or signing.sealed_sha256 is None:
        return
    base_sha256, base = await _newest(w, signing)
    if not sealed.pdf.startswith(base) or len(sealed.pdf) == len(base):
        await _order(w, signing, f"countersign:{row.id}:{base_sha256.hex()}")
        return
    await trusting.seal_used(w, sealed.seal)
    sha256 = await blobs.keep(w.session, sealed.pdf, "application/pdf", w.now)
    w.session.add(Archive(
        signing_id=signing.id, base_sha256=base_sha256, sha256=sha256, level=signing.level,
        time_source=sealed.time_source, until=None, created_at=w.now,
    ))  # fmt: skip
    moved = vouched(await w.move(
        Countersignature, row.id, to=CountersignatureState.made, sha256=sha256, level=sealed.level,
        time_source=sealed.time_source, made_at=w.now,
        data={"level": sealed.level, "time_source": sealed.time_source},
    ))  # fmt: skip
    await evidence.append(w.session, signing, w.now, "countersigned", {
        "sha256": sha256.hex(), "level": sealed.level, "time_source": sealed.time_source, "agent": moved.agent_id,
        "name": moved.name, "role": moved.role, "decided_at": instant(vouched(moved.decided_at)),
    })  # fmt: skip
    await alarms.cancel(w.session, LATE, row.id, w.now)
    await _decided(w, signing, moved, vouched(await w.session.get(Quote, signing.quote_id)))


async def _decided(w: Writing, signing: Signing, row: Countersignature, quote: Quote) -> None:
    """What follows either way: archiving waits no longer, the certificate of evidence tells of it, the customer too."""
    signing.archive_at = w.now
    await w.session.flush()
    await attesting.order(w, signing, edition=AFTER_DECISION)
    await alarms.set_alarm(w.session, TELL, row.id, w.now)
    w.hint("wallboard", f"signing:{signing.id}", f"agent:{quote.agent_id}", "alarms")
