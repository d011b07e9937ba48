"""What every door needs, reached through one typed key of the application."""

from dataclasses import dataclass
from functools import cached_property

from aiohttp import web

from router.book import Batcher, Book
from router.live import Hub
from router.model.intake import Taken, Wanted
from router.ports import Carrier, TrustProvider
from router.web.landings import Landings
from router.wording import Wording


@dataclass(frozen=True)
class Doors:
    """`public_url` is where customers and the carrier reach us, without a slash at its end; cookies are `Secure` when
    it is https. `softphone` is the page that plays an agent's telephone, shown inside the desk (demo)."""

    book: Book
    hub: Hub
    wording: Wording
    carrier: Carrier
    trust: TrustProvider
    intake: Batcher[Wanted, Taken]
    public_url: str
    root_certificate: bytes
    softphone: str = ""
    behind_proxy: bool = False
    demo: bool = False

    @cached_property
    def landings(self) -> Landings:
        """The landing pages by their keys."""
        return Landings(self.book)


DOORS = web.AppKey("doors", Doors)


def doors(request: web.Request) -> Doors:
    return request.app[DOORS]
