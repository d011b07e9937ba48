"""What every door needs, reached through one typed key of the application."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from aiohttp import web

from router.book import Batcher, Book
from router.live import Hub
from router.model.errors import NotFound
from router.model.intake import Brought, Taken
from router.model.protection import Asked, Verdict
from router.model.rates import STRICT, Limits
from router.ports import Carrier, Party, SignatureProvider, TrustProvider
from router.store.sites import Landing
from router.web.landings import Landings
from router.web.sources import Sources
from router.web.turn import Turn
from router.wording import Wording


def utc_now() -> datetime:
    return datetime.now(UTC)


class Wary:
    """The sites where somebody was refused a moment ago: their requests are weighed before they are taken in, for hope
    that fails costs more than it saves."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def of(self, site_id: int) -> bool:
        return time.monotonic() < self._until.get(site_id, 0.0)

    def begin(self, site_id: int) -> None:
        self._until[site_id] = time.monotonic() + self.SECONDS


@dataclass(frozen=True)
class Doors:
    """`public_url` is where customers and the carrier reach us, without a slash at its end; cookies are `Secure` when
    it is https. `softphone` is the page that plays an agent's telephone, shown inside the desk (demo).

    `limits` bound the public doors; `gatekeeper` weighs many of their requests in one transaction (without one, each is
    weighed in its own). `clock` (aware UTC) dates form tokens and challenges, which are checked by the same clock."""

    book: Book
    hub: Hub
    wording: Wording
    carrier: Carrier
    trust: TrustProvider
    intake: Batcher[Brought, Taken]
    public_url: str
    root_certificate: bytes
    softphone: str = ""
    behind_proxy: bool = False
    demo: bool = False
    parties: Mapping[str, Party] = field(default_factory=dict)
    signers: Mapping[str, SignatureProvider] = field(default_factory=dict)
    turn: Turn | None = None
    limits: Limits = STRICT
    gatekeeper: Batcher[Asked, Verdict] | None = None
    clock: Callable[[], datetime] = utc_now
    wary: Wary = field(default_factory=Wary)

    @cached_property
    def landings(self) -> Landings:
        """The landing pages by their keys."""
        return Landings(self.book)

    @cached_property
    def sources(self) -> Sources:
        """Where leads come from, by the codes of short links."""
        return Sources(self.book)


DOORS = web.AppKey("doors", Doors)


def doors(request: web.Request) -> Doors:
    return request.app[DOORS]


async def landing_here(request: web.Request, missing: NotFound | None = None) -> Landing:
    """The landing page whose key stands in the address. Raises `missing`, or a NotFound for programs."""
    landing = await doors(request).landings.by_key(request.match_info["key"])
    if landing is None:
        raise missing or NotFound("No landing page has this key.")
    return landing
