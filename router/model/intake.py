"""What a door asks of intake, and what it answers. Values only."""

from dataclasses import dataclass, field
from typing import Any

from router.model.leads import Intent


@dataclass(frozen=True)
class Wanted:
    """A lead as a door understood it: number in E.164, consent ticked, site known. `status_token` is given by the door,
    so that the answer can name the link; `key` is the caller's idempotency key, `request_sha256` guards it."""

    site_id: int
    campaign_id: int
    queue_id: int
    pool: int
    skills: list[str]
    phone: str
    name: str
    locale: str
    intent: Intent
    purposes: list[str]
    consent_text: str
    consent_version: str
    method: str
    status_token: str
    claims: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    address: str = ""
    user_agent: str = ""
    page: str = ""
    key: str | None = None
    request_sha256: bytes = b""


@dataclass(frozen=True)
class Taken:
    """`token` names the status link. `replayed`: the same key was answered before. `attached`: the person already waits
    for the same thing, so nobody is rung twice. `mismatch`: the key was used for another request."""

    lead_id: int
    token: str
    replayed: bool = False
    attached: bool = False
    mismatch: bool = False
