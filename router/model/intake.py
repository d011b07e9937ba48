"""What a door asks of intake, and what it answers. Values only."""

import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from router.model.campaigns import Line
from router.model.leads import Intent
from router.model.protection import Asked
from router.model.tasks import TIER_NOW, TaskKind


@lru_cache(500)
def _sha256(text: str) -> str:
    """Kept for a while: everybody of one page agrees to the same."""
    return hashlib.sha256(text.encode()).hexdigest()


class Agreed(msgspec.Struct, frozen=True):
    """One box that was ticked, or what stands for it: the purposes, and the text as it was shown."""

    purposes: tuple[str, ...]
    text: str
    version: str

    @property
    def sha256(self) -> str:
        return _sha256(self.text)


class Work(msgspec.Struct, frozen=True):
    """What an agent shall do about a lead. With `due_at` (aware) the task is scheduled until then, otherwise queued."""

    kind: TaskKind = TaskKind.call
    tier: int = TIER_NOW
    due_at: datetime | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A lead as a door understood it: number in E.164 or "", consent given, `line` known.

    `status_token` is given by the door, so that the answer can name the link; `key` is the caller's idempotency key,
    `request_sha256` guards it, `scope` says whose keys they are. Without `work` nothing is put before an agent yet.
    `claims` is what he says about himself, `fields` and `sealed_fields` his answers to the campaign's questions.
    `client_at` is the sender's own clock (aware), `zone` (IANA) that of his browser. `hold` names the slot held for a
    promised call, `continues` the SHA-256 of the status token of an earlier request, whose chat goes on with this
    person.
    """

    line: Line
    phone: str
    name: str
    locale: str
    intent: Intent
    method: str
    status_token: str
    agreed: tuple[Agreed, ...] = ()
    work: Work | None = Work()
    site_id: int | None = None
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    source: dict[str, Any] = msgspec.field(default_factory=dict)
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    sealed_fields: bytes | None = None
    address: str = ""
    user_agent: str = ""
    page: str = ""
    client_at: datetime | None = None
    hold: str = ""
    zone: str = ""
    continues: bytes = b""
    scope: str = ""
    key: str | None = None
    request_sha256: bytes = b""

    @property
    def campaign_id(self) -> int:
        return self.line.campaign_id


class Brought(msgspec.Struct, frozen=True):
    """What a public door brings: the lead, and what is weighed before it is let in; None when it was weighed already.
    """

    wanted: Wanted
    asked: Asked | None = None


class Taken(msgspec.Struct, frozen=True):
    """`token` names the status link. `task_id` is the task made for it, if one was. `replayed`: the same key was
    answered before. `attached`: the person already waits for the same thing, so nobody is rung twice. `mismatch`: the
    key was used for another request."""

    lead_id: int
    token: str
    task_id: int | None = None
    replayed: bool = False
    attached: bool = False
    mismatch: bool = False
