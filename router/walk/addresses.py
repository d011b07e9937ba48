"""Where the walk goes, and as whom."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Addresses:
    """Addresses are origins without a slash at their ends. `site` is the landing page's public key; `agents` and
    `supervisor` are logins, all with the same password."""

    service: str
    phonebox: str
    landing: str
    site: str
    password: str = field(repr=False)
    agents: tuple[str, ...]
    supervisor: str
