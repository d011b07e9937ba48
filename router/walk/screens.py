"""Live screens as their people see them, kept up to date by a stream: the agent's desk, and the wallboard."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from router.walk.addresses import Addresses
from router.walk.browser import Answer, Bell, Browser, Wrong, hold
from router.walk.markup import Element, Form, read
from router.walk.phone import Phone

STEPS = ("sent", "delivered", "opened", "code sent", "signed", "sealed")
"""The steps of a signing as the desk lists them, in its order."""
AGAIN_SECONDS = 0.2


class Screen:
    """A page whose regions the stream replaces. `shown` is all the HTML that ever stood on it."""

    def __init__(self, browser: Browser, address: str, bell: Bell) -> None:
        self.browser, self.address, self.bell = browser, address, bell
        self.shown: list[str] = []
        self.regions: dict[str, Element] = {}
        self.csrf, self.beat, self.stream, self.beats = "", "", "", 0

    @asynccontextmanager
    async def open(self) -> "AsyncIterator[Screen]":
        """Loads the page and listens to its stream until the block ends, coming back as the page's script does."""
        page = await self.load()
        hold(page.status == 200, f"{self.address} answered {page.status}")
        listening = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def load(self) -> Answer:
        answer = await self.browser.get(self.address)
        body = answer.page.first("body")
        if answer.status == 200 and body is not None:
            self.csrf, self.beat, self.stream = body["data-csrf"], body["data-beat"], body["data-stream"]
            self._take(answer.text)
        return answer

    def _take(self, html: str) -> None:
        self.shown.append(html)
        for section in read(html).all("section", where=lambda one: one.has("data-version")):
            self.regions[section["id"]] = section
            self.noticed(section["id"], section)
        self.bell.ring()

    def noticed(self, name: str, region: Element) -> None:
        """A region looks different now."""

    def ever_showed(self, word: str) -> bool:
        return any(word in html for html in self.shown)

    async def _listen(self) -> None:
        while True:
            try:
                async for event in self.browser.events(self._whole(self.stream)):
                    if event.name == "ping":
                        await self._answer_ping()
                    elif not event.name:
                        self._take(event.data)
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            except Exception as fault:
                self.bell.fail(fault)
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _answer_ping(self) -> None:
        if self.beat:
            await self.browser.post(self._whole(self.beat), b"", X_CSRF=self.csrf)
        self.beats += 1
        self.bell.ring()

    def _whole(self, path: str) -> str:
        return "/".join(self.address.split("/")[:3]) + path

    async def answers_pings(self, *, more: bool = False) -> None:
        """Waits for an answered ping; for one `more` than so far, if asked to."""
        so_far = self.beats if more else 0
        await self.sees("an answered ping", lambda: self.beats > so_far)

    async def press(self, button: Element, **typed: str) -> Answer:
        """Presses a button, or sends a form, that asks with htmx; what comes back is put on the screen."""
        values = {**(json.loads(button["hx-vals"]) if button.has("hx-vals") else {}), **typed}
        answer = await self.browser.post(
            self._whole(button["hx-post"]), values, X_CSRF=self.csrf, HX_Request="true", Accept="text/html"
        )
        if answer.status == 200:
            self._take(answer.text)
        return answer

    async def sees(self, what: str, look: Callable[[], Any], seconds: float = 10.0) -> Any:
        return await self.bell.until(look, f"{what} on {self.address.rpartition('/')[2]}", seconds)


class Desk(Screen):
    """An agent at the desk. `rings` are the moments (of `time.perf_counter`) at which a ring came up, by its name;
    `reached` are the places in STEPS at which the signings on the screen were seen to stand."""

    def __init__(self, browser: Browser, service: str, phone: Phone, bell: Bell) -> None:
        super().__init__(browser, f"{service}/desk", bell)
        self.phone, self.login = phone, phone.number.removeprefix("client:")
        self.rings: dict[str, float] = {}
        self.reached: list[int] = []

    def noticed(self, name: str, region: Element) -> None:
        if name == "work" and (ring := self._ring()) is not None:
            self.rings.setdefault(ring["data-ring"], time.perf_counter())
        if name == "progress":
            self.reached += [place for place in self.standing() if self.reached[-1:] != [place]]

    def _ring(self) -> Element | None:
        return self.regions["work"].first(where=lambda one: one.has("data-ring"))

    def doing(self) -> str:
        """What the agent is doing, in the house's word for it."""
        states = self.regions["me"].of_class("state")
        return next(iter(states[0].classes - {"state"}), "") if states else ""

    def person(self) -> str:
        """The name of the person whose work lies on the desk."""
        names = self.regions["person"].of_class("name")
        return names[0].text if names else ""

    def number(self) -> str:
        numbers = self.regions["person"].of_class("number")
        digits = [sign for sign in numbers[0].text if sign.isdigit()] if numbers else []
        return f"+{''.join(digits)}"

    def rings_for(self, number: str = "") -> bool:
        """Whether it rings for this person's number, or for anybody."""
        return self._ring() is not None and number in ("", self.number())

    def standing(self) -> list[int]:
        """At which of STEPS the signings on the screen stand."""
        found = []
        for listed in self.regions["progress"].of_class("steps"):
            items = list(listed.all("li"))
            found += [place for place, item in enumerate(items) if item.has("aria-current")]
        return found

    def button(self, name: str) -> Element:
        found = next((one for region in self.regions.values() if (one := region.by_id(name))), None)
        if found is None:
            raise Wrong(f"there is no button {name} on {self.login}'s desk")
        return found

    async def do(self, name: str) -> None:
        """Presses a button that must be there and must work."""
        answer = await self.press(self.button(name))
        hold(answer.status == 200, f"{self.login}'s button {name} answered {answer.status}: {answer.text[:200]}")

    async def becomes(self, doing: str, seconds: float = 15.0) -> None:
        await self.sees(f"{self.login} {doing}", lambda: self.doing() == doing, seconds)

    async def leaves(self, doing: str) -> None:
        await self.sees(f"{self.login} no longer {doing}", lambda: self.doing() != doing, 30)

    def quote_form(self) -> Form:
        found = self.regions["offer"].by_id("quote-form")
        if found is None:
            raise Wrong("there is no form for a quote on the desk")
        return Form(found)


class Wallboard(Screen):
    """The supervisor's board."""

    def figure(self, region: str, place: int = 0) -> str:
        """The large figure at this place of a region."""
        figures = [one.text for one in self.regions[region].all("p") if one.classes & {"huge", "large"}]
        return figures[place] if place < len(figures) else ""

    def people(self, doing: str) -> list[str]:
        """Who is doing this, by name."""
        lines = self.regions["team"].of_class(doing)
        return [name.text for line in lines for name in line.of_class("person")]


async def sign_in(browser: Browser, addresses: Addresses, login: str, next_page: str) -> Answer:
    """Asks for a page, is led to the login, and comes back to the page signed in."""
    asked = await browser.get(f"{addresses.service}{next_page}")
    form = asked.page.form_to("/login")
    if form is None:
        raise Wrong(f"{next_page} does not ask a stranger to sign in ({asked.status})")
    answer = await browser.submit(asked, form, login=login, password=addresses.password)
    hold(answer.status == 200 and answer.url.endswith(next_page), f"{login} could not sign in ({answer.status})")
    return answer
