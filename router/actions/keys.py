"""Keys: made and revoked by an administrator, and what a program may do with one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from router.actions import elsewhere, merging
from router.actions.elsewhere import Judged, Origin
from router.actions.intake import take_in
from router.book import Writing
from router.model.api_keys import MOST_NAME, PREFIX, ApiKey, Scope
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.elsewhere import Fault, Told
from router.model.errors import Conflict, Forbidden, Invalid
from router.model.forms import plain
from router.model.imports import Outcome
from router.model.intake import Taken, Wanted
from router.model.leads import Lead
from router.model.merges import ClaimKind
from router.model.vault import hash_token, new_token
from router.store import api_keys, idempotency, merges
from router.store.merges import Claimed


async def make(w: Writing, agent_id: int, queue: Queue, name: str, scopes: Sequence[Scope]) -> tuple[ApiKey, str]:
    """A new key for the queue's campaign, and what the program shall hold: nobody can read it again.

    Raises Invalid with a pointer.
    """
    name = plain(name)
    if not 1 <= len(name) <= MOST_NAME:
        raise Invalid("Give the key a name, at most 80 characters.", pointer="/name")
    if not scopes:
        raise Invalid("Say what the key may do.", pointer="/scopes")
    token = PREFIX + new_token() + new_token()
    made = ApiKey(
        campaign_id=queue.campaign_id, queue_id=queue.id, name=name, key_hash=hash_token(token), ending=token[-4:],
        scopes=sorted({scope.value for scope in scopes}), created_by=agent_id, created_at=w.now,
    )
    w.session.add(made)
    await w.session.flush()
    w.fact("key.made", campaign_id=queue.campaign_id, subject_id=made.id, agent_id=agent_id, scopes=made.scopes)
    return made, token


async def revoke(w: Writing, key_id: int, agent_id: int) -> None:
    """From this commit on the key opens nothing. Revoking it again changes nothing. Raises Conflict for none."""
    key = await w.session.locked(ApiKey, key_id)
    if key is None:
        raise Conflict("There is no such key.")
    if key.revoked_at is not None:
        return
    key.revoked_at, key.revoked_by = w.now, agent_id
    await w.session.flush()
    w.fact("key.revoked", campaign_id=key.campaign_id, subject_id=key.id, agent_id=agent_id)


async def _use(w: Writing, key_id: int, scope: Scope) -> None:
    """Raises Forbidden when the key was revoked meanwhile."""
    key = await w.session.get(ApiKey, key_id)
    if key is None or not key.allows(scope):
        raise Forbidden("This key was revoked.")
    await api_keys.used(w.session, key_id, w.now)


async def take(w: Writing, key_id: int, wanted: Wanted, external_id: str = "") -> Taken:
    """A lead from a program. Its own id of the person unifies: who comes without a number is whom that id belongs to.

    With another number than that person's he stays a contact of his own, and a merge is proposed. Raises Forbidden
    when the key was revoked meanwhile, Raced.
    """
    await _use(w, key_id, Scope.write)
    if not external_id:
        (taken,) = await take_in(w, [wanted])
        return taken
    # Two requests with one new id wait for each other, or each would make a person.
    await w.session.lock_word(f"external:{wanted.campaign_id}:{external_id}")
    mac = w.vault.mac("claim", ClaimKind.external_id.value, external_id)
    owner_id = await merges.first_claimant(w.session, wanted.campaign_id, ClaimKind.external_id, mac)
    owner = None if owner_id is None else await w.session.get(Contact, owner_id)
    if owner is not None and not wanted.phone and owner.phone:
        wanted = replace(wanted, phone=owner.phone)
    if not wanted.phone:
        wanted = replace(wanted, work=None)
    (taken,) = await take_in(w, [wanted])
    if taken.replayed:
        return taken
    lead = vouched(await w.session.locked(Lead, taken.lead_id))
    if owner is not None and not wanted.phone:
        # Neither of the two has a number: one person, who is not called.
        lead.contact_id = owner.id
        await w.session.flush()
    one = Claimed(lead.id, lead.campaign_id, lead.contact_id, "")
    await merging.said(w, one, ClaimKind.external_id, external_id)
    return taken


@dataclass(frozen=True)
class Asked:
    """Quotes a program sends. `key` is its idempotency key, `sha256` guards it."""

    told: Sequence[Told]
    key: str | None
    sha256: bytes


async def take_quotes(
    w: Writing, key_id: int, queue: Queue, asked: Asked, refusing: Callable[[list[tuple[int, Fault]]], Invalid]
) -> tuple[list[dict[str, Any]], bool]:
    """Takes quotes from elsewhere in, all or none; what became of each, and whether that was answered before.

    Raises what `refusing` makes of the faults, each with its quote's place, Invalid when the key was used for something
    else, Forbidden when the program's key was revoked meanwhile.
    """
    await _use(w, key_id, Scope.quotes)
    campaign = vouched(await w.session.get(Campaign, queue.campaign_id))
    wrong = [(n, fault) for n, one in enumerate(asked.told) for fault in elsewhere.wrong(campaign, one, w.now)]
    if wrong:
        raise refusing(wrong)
    judged = await elsewhere.judge(w, campaign, asked.told)
    scope = f"quotes:{campaign.id}"
    if asked.key and (before := await idempotency.given(w.session, scope, asked.key)) is not None:
        if before.request_sha256 != asked.sha256:
            raise Invalid("This key was already used for another request.", pointer="/idempotency_key")
        return list(before.answer["quotes"]), True
    refused = [(n, Fault(one.field, one.reason)) for n, one in enumerate(judged) if one.outcome is Outcome.refused]
    if refused:
        raise refusing(refused)
    origin = Origin({"party": "api", "key": key_id}, f"key {key_id}")
    kept = await elsewhere.keep(w, campaign, queue, judged, [origin] * len(judged))
    answer = [_answer(one) for one in kept]
    if asked.key:
        await idempotency.keep(w.session, scope, asked.key, asked.sha256, {"quotes": answer}, w.now)
    return answer, False


def _answer(one: Judged) -> dict[str, Any]:
    return {"number": one.told.number, "outcome": one.outcome.value, "reason": one.reason, "quote": one.quote_id,
            "lead": one.lead_id}
