"""A visitor's browser on the landing page: what he does there, what he sees, and what its console complained of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect
from sqlalchemy import func, select

from router.book import Book
from router.model.agents import Agent
from router.model.leads import Lead
from router.model.tasks import Task, TaskState
from tests import making
from tests.web.visiting import House, visiting

EVERYTHING = ["call", "later", "chat", "whatsapp", "video", "tel"]
WHATSAPP = "+34600000009"

_HEAR = """
window.heard = [];
const names = ["ready", "open", "close", "step", "submit", "accepted", "calling", "connected", "scheduled", "error"];
for (const name of names)
  document.addEventListener("hablemos:" + name, (event) => heard.push([name, event.detail]));
"""


@dataclass
class Visit:
    page: Page
    house: House
    agent: Agent | None
    complaints: list[str] = field(default_factory=list)

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    async def fill(self, phone: str = "600 00 00 01", *, agree: bool = True, later: bool = False) -> None:
        await self.page.get_by_role("button", name="Llámeme ahora").click()
        await self.page.get_by_label("Su número de teléfono").fill(phone)
        await self.page.get_by_label("Nombre (opcional)").fill("Carmen")
        if agree:
            await self.page.get_by_role("checkbox").first.check()
        if later:
            await self.page.get_by_role("checkbox").nth(1).check()

    async def press(self, name: str = "Llámeme ahora") -> None:
        await self.dialog.get_by_role("button", name=name).click()

    async def sees(self, words: str) -> None:
        await expect(self.dialog.get_by_role("status")).to_contain_text(words, timeout=10_000)

    async def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """The events of the page's document, so far."""
        return [(name, detail) for name, detail in await self.page.evaluate("heard")]

    async def leads(self) -> int:
        async with self.house.book.reading() as r:
            return await r.session.scalar(select(func.count()).select_from(Lead)) or 0

    async def lead(self) -> Lead:
        async with self.house.book.reading() as r:
            lead = await r.session.scalar(select(Lead).order_by(Lead.id.desc()))
        assert lead
        return lead

    async def move(self, to: TaskState, agent: Agent | None = None) -> None:
        async with self.house.book.writing() as w:
            task = await w.session.scalar(select(Task))
            assert task
            assert await w.move(Task, task.id, to=to, agent_id=agent.id if agent else task.agent_id)


@asynccontextmanager
async def on_the_page(
    book: Book, browser: Browser, *, lang: str = "es", staffed: bool = True, query: str = "", width: int = 390,
    dark: bool = False, **house: Any,
) -> AsyncIterator[Visit]:
    """A visitor whose widget is ready, on a page in `lang`; `house` is what `visiting` takes."""
    house = {"site": {"actions": EVERYTHING}, "whatsapp": WHATSAPP, **house}
    async with visiting(book, **house) as open_house:
        agent = None
        if staffed:
            async with book.writing() as w:
                agent = await making.agent(w, "ana")
        page = await browser.new_page(
            locale=lang, timezone_id="Europe/Madrid", viewport={"width": width, "height": 844},
            color_scheme="dark" if dark else "light",
        )
        visit = Visit(page, open_house, agent)

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visit.complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        await page.add_init_script(_HEAR)
        await page.goto(f"{open_house.page}/?lang={lang}{query}")
        await expect(page.locator("hablemos-widget button").first).to_be_visible()
        yield visit
        await page.close()
