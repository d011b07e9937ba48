"""The customer with an offer: opens the link, reads, proves the telephone, signs, and keeps the copy."""

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin

from router.walk.browser import Answer, Browser, Wrong, hold
from router.walk.markup import Element, Form
from router.walk.papers import pairs
from router.walk.phone import Phone, came

LINK = re.compile(r"https?://\S+/q/(?!copy/)\S+")
COPY = re.compile(r"https?://\S+/q/copy/\S+")
CODE = re.compile(r"#(\d{6})\s*$")


@dataclass
class Customer:
    """`secrets` is what only this telephone was told: tokens of links, and codes."""

    browser: Browser
    phone: Phone
    name: str
    at: Answer = field(default_factory=lambda: Answer(0, {}, b"", ""))
    secrets: list[str] = field(default_factory=list)

    async def link(self) -> str:
        """The link of the offer, out of its text."""
        return self._found(LINK, await self.phone.text_with("/q/"))

    async def copy_link(self) -> str:
        return self._found(COPY, await self.phone.text_with("/q/copy/"))

    def _found(self, pattern: re.Pattern[str], text: str) -> str:
        found = pattern.search(text)
        if found is None:
            raise Wrong("the text carries no link")
        link = found[0].rstrip(".")
        self.secrets.append(link.rpartition("/")[2])
        return link

    async def open(self, link: str) -> None:
        """Loads the link's page and presses its button."""
        page = await self.browser.get(link)
        hold(page.status == 200, f"the offer's link answered {page.status}")
        self.at = await self._submit(page, f"/q/{link.rpartition('/')[2]}")
        hold(self.at.status == 200 and self.at.url.endswith("/q/-"), f"the offer did not open ({self.at.status})")

    async def _submit(self, page: Answer, action: str, **typed: str) -> Answer:
        return await self.browser.submit(page, self._form(page.page, action), **typed)

    def _form(self, page: Element, action: str) -> Form:
        form = page.form_to(action)
        if form is None:
            heading = page.first("h1")
            raise Wrong(f"the page {heading.text if heading else ''!r} has no form to {action}")
        return form

    def offer(self) -> list[tuple[str, str]]:
        return pairs(self.at.page)

    def total(self) -> str:
        """What the page says is to be paid."""
        return " ".join(one.text for one in self.at.page.of_class("total"))

    async def pdf(self, path: str) -> bytes:
        answer = await self.browser.get(urljoin(self.at.url, path))
        hold(answer.status == 200 and answer.body.startswith(b"%PDF-"), f"{path} is no PDF ({answer.status})")
        return answer.body

    async def ask_code(self) -> str:
        """Asks for a code, and reads it on the telephone."""
        before = sum(CODE.search(body) is not None for body in await self._texts())
        self.at = await self._submit(self.at, "/q/-/code")
        hold(self.at.status == 200, f"asking for a code answered {self.at.status}")
        codes = await self.phone.until(
            lambda state: [m[1] for body in came(state) if (m := CODE.search(body))][before:], "a code by text message"
        )
        self.secrets.append(codes[-1])
        return str(codes[-1])

    async def _texts(self) -> list[str]:
        return came(await self.phone.state())

    async def give(self, code: str) -> None:
        self.at = await self._submit(self.at, "/q/-/give", code=code)

    async def sign(self, *ticks: str) -> Answer:
        """Types the name, ticks what is named, and presses the button."""
        form = self._form(self.at.page, "/q/-/sign")
        boxes = {box["name"]: box["value"] for box in form.boxes()}
        left = {name: value for name, value in form.fields().items() if name not in boxes}
        ticked = {name: boxes[name] for name in (f"consent_{tick}" for tick in ticks)}
        self.at = await self.browser.post(urljoin(self.at.url, form.action), {**left, "name": self.name, **ticked})
        return self.at

    def marked(self) -> set[str]:
        """The boxes the page wants to have ticked."""
        return {
            box["name"].removeprefix("consent_") for box in self._form(self.at.page, "/q/-/sign").boxes()
            if box["aria-invalid"] == "true"
        }

    async def sealed(self) -> bytes:
        """The signed copy, from the page that shows it when it is sealed."""
        self.at = await self.browser.get(urljoin(self.at.url, "/q/-"))
        return await self.pdf("/q/-/signed.pdf")

    async def copy(self, link: str) -> bytes:
        """The signed copy by the link of the last text."""
        page = await self.browser.get(link)
        hold(page.status == 200 and not page.body.startswith(b"%PDF-"), "the copy's link is not an inert page")
        answer = await self._submit(page, f"/q/copy/{link.rpartition('/')[2]}")
        hold(answer.status == 200 and answer.body.startswith(b"%PDF-"), f"the copy is no PDF ({answer.status})")
        return answer.body

