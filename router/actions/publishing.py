"""Publishing: a country's rules in a new version. What it changes, and whom it would move, is shown before."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from router.actions import guarding
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.guard import Purpose, may_contact
from router.model.packs import Pack, WrongPack
from router.store import packs, planned
from router.store.db import ReadSession
from router.store.planned import Planned

MOST_LOOKED_AT = 2_000
"""Planned contacts that are asked about before a pack is published: the next ones."""


class Moved(NamedTuple):
    """A planned contact that the new rules treat otherwise: what it is, when it is planned (aware), and whether it is
    denied, or put off until then, by which rules; `word` is "allow" for what was barred and is not any more."""

    planned: Planned
    word: str
    until: datetime | None
    rules: tuple[str, ...]

    def __str__(self) -> str:
        to = f" → {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        what = f"{self.planned.what} {self.planned.subject_id}"
        return f"  {what}: {self.planned.at:%Y-%m-%d %H:%M} UTC: {self.word}{to} ({', '.join(self.rules)})"


@dataclass(frozen=True)
class Proposal:
    """A pack that could be published: what differs from the version in force, rule by rule, and whom it would move of
    the `looked_at` contacts that are planned next."""

    key: str
    version: int
    before: int | None
    differences: Sequence[str]
    moved: Sequence[Moved]
    looked_at: int

    def lines(self, most: int = 20) -> list[str]:
        """What is shown before somebody agrees."""
        was = f"version {self.before} → {self.version}" if self.before else f"version {self.version}, new"
        words = Counter((one.planned.what, one.word) for one in self.moved)
        sums = [f"{count} {what}: {word}" for (what, word), count in sorted(words.items())]
        more = len(self.moved) - most
        return [
            f"pack {self.key}: {was}", *self.differences,
            f"Of {self.looked_at} planned contacts it would move {len(self.moved)}" + (":" if sums else "."), *sums,
            *map(str, self.moved[:most]), *([f"  … and {more} more"] if more > 0 else []),
        ]


def is_pack(text: str) -> bool:
    """Whether a file is a pack, and no configuration. What is no TOML at all is neither."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return {"key", "version", "in_force", "expires"} <= raw.keys()


def _head(text: str) -> tuple[str, int]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongPack(f"the pack: {error}") from None
    key, version = raw.get("key"), raw.get("version")
    if not isinstance(key, str) or not isinstance(version, int):
        raise WrongPack("the pack: it has no key, or no version")
    return key, version


async def propose(session: ReadSession, text: str, now: datetime) -> Proposal:
    """What publishing this pack would do. Raises WrongPack, and Conflict when its version is not a newer one."""
    key, version = _head(text)
    bodies = await packs.bodies(session)
    old = packs.readable(bodies)
    new = _with(old, bodies, key, text)
    before = old[key].version if key in old else None
    if before is not None and version <= before and text != bodies[key]:
        raise Conflict("This version of the pack is published already. Give the changed file a higher one.")
    looked_at, moved = 0, list[Moved]()
    changed = {name for name, pack in new.items() if old.get(name) != pack}
    if changed:
        for one in await planned.contacts(session, now, MOST_LOOKED_AT):
            looked_at += 1
            if (found := await _moved(session, one, old, new, changed)) is not None:
                moved.append(found)
    same = text == bodies.get(key)
    return Proposal(key, version, before, [] if same else list(_differences(old.get(key), new[key])), moved, looked_at)


def _with(old: Mapping[str, Pack], bodies: Mapping[str, str], key: str, text: str) -> Mapping[str, Pack]:
    """The packs with this one among them. Raises WrongPack, also when whom it binds would be without rules."""
    new = packs.readable({**bodies, key: text})
    if key in old and new[key].part and not old[key].part:
        raise WrongPack(f"{key}.toml: part: campaigns may name it, so it cannot become a part of others")
    return new


async def _moved(
    session: ReadSession, one: Planned, old: Mapping[str, Pack], new: Mapping[str, Pack], changed: set[str]
) -> Moved | None:
    campaign = vouched(await session.get(Campaign, one.campaign_id))
    contact = vouched(await session.get(Contact, one.contact_id))
    is_now, will_be = guarding.bounds(old, campaign, contact), guarding.bounds(new, campaign, contact)
    if will_be.pack.key not in changed and is_now.pack == will_be.pack:
        return None
    if one.what == "promise":
        # He asked for it, so only the hours that may be promised bind it.
        opens = will_be.opens(one.at)
        if opens == one.at or is_now.opens(one.at) == opens:
            return None
        return Moved(one, "defer" if opens else "deny", opens, (f"{will_be.pack.key}.hours",))
    snapshot, _ = await guarding.look(session, campaign, contact, Purpose.commercial, one.at, lead_id=one.lead_id)
    before = may_contact(replace(snapshot, pack=is_now.pack), one.at)
    after = may_contact(replace(snapshot, pack=will_be.pack), one.at)
    if (before.word, before.until) == (after.word, after.until):
        return None
    return Moved(one, after.word, after.until, after.rules)


def _differences(old: Pack | None, new: Pack) -> Iterator[str]:
    """Rule by rule: what is new, gone, or says something else."""
    was = {rule.id: rule for rule in old.rules()} if old is not None else {}
    will = {rule.id: rule for rule in new.rules()}
    for field in ("about", "in_force", "expires", "reviewer", "zone", "only_numbers"):
        if old is not None and getattr(old, field) != getattr(new, field):
            yield f"~ {field}: {getattr(old, field)} → {getattr(new, field)}"
    for name in sorted(was.keys() - will.keys()):
        yield f"- {name}: {was[name].words}"
    for name, rule in will.items():
        if name not in was:
            yield f"+ {name}: {rule.words}"
            continue
        before, after = msgspec.to_builtins(was[name]), msgspec.to_builtins(rule)
        yield from (f"~ {name}: {what}: {before.get(what)!r} → {said!r}" for what, said in after.items()
                    if before.get(what) != said)


async def publish(w: Writing, text: str, agent_id: int | None = None) -> Any:
    """The pack is in force from this commit on, in every replica. What is planned for an hour it forbids is asked about
    when it is due, and moved then. Raises WrongPack, Conflict."""
    key, version = _head(text)
    await w.session.lock_word("packs")
    bodies = await packs.bodies(w.session)
    known = packs.readable(bodies)
    _with(known, bodies, key, text)
    newest = (await packs.newest(w.session)).get(key)
    if newest is not None and version <= newest:
        raise Conflict("This version of the pack is published already. Give the changed file a higher one.")
    made = await packs.publish(w.session, key, version, text, w.now, agent_id)
    before = known[key].version if key in known else None
    w.fact("pack.published", subject_id=made.id, agent_id=agent_id, key=key, version=version, before=before)
    w.hint("wallboard")
    return made


async def publish_shipped(w: Writing) -> list[str]:
    """What came with the program is published once, on an empty table; the packs of which the program has a newer
    version than is in force. They wait for somebody to look at them: `hablemos apply`."""
    await w.session.lock_word("packs")
    newest = await packs.newest(w.session)
    shipped = packs.of_program()
    if not newest:
        for key, text in shipped.items():
            made = await packs.publish(w.session, key, _head(text)[1], text, w.now)
            w.fact("pack.published", subject_id=made.id, key=key, version=made.version, before=None)
        return []
    return [key for key, text in shipped.items() if key not in newest or _head(text)[1] > newest[key]]
