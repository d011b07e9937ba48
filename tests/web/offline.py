"""What the tests of links, counters and receipts share: the whole house, a supervisor signed in, links in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from router.actions import short_links
from router.model.agents import Role
from router.model.base import vouched
from router.model.campaigns import Site
from router.model.short_links import ShortLink
from tests import making
from tests.web import desking
from tests.web.desking import PASSWORD_HASH, Browser, browsing
from tests.web.visiting import House


async def make_link(house: House, piece: str = "bus-stop", **values: Any) -> ShortLink:
    async with house.book.writing() as w:
        site = vouched(await w.session.get(Site, house.site.id))
        return await short_links.make(w, site, piece=piece, **{"name": "Bus stop", "target": "form", **values})


@asynccontextmanager
async def supervising(house: House, *, role: Role = Role.supervisor, locale: str = "en") -> AsyncIterator[Browser]:
    """Somebody of this role, signed in."""
    async with house.book.writing() as w:
        agent = await making.agent(w, "sol", role=role, locale=locale)
        agent.password_hash = PASSWORD_HASH
    async with browsing(cast(desking.House, house)) as browser:
        assert (await browser.sign_in("sol"))[0] == 303
        yield browser
