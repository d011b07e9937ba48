"""A visitor of the landing page: leaves a number, and follows what happens with the request."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from router.walk.addresses import Addresses
from router.walk.browser import Answer, Bell, Browser, hold


@dataclass
class Visitor:
    """What the widget's script does, by the page's own doors."""

    browser: Browser
    addresses: Addresses
    config: dict[str, Any] = field(default_factory=dict)

    async def load_config(self) -> None:
        answer = await self.browser.get(
            f"{self.addresses.service}/v1/sites/{self.addresses.site}/widget", Origin=self.addresses.landing,
            Accept="*/*",
        )
        hold(answer.status == 200, f"the widget's configuration answered {answer.status}")
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        hold(allowed == self.addresses.landing, "the landing page may not read the widget's configuration")
        self.config = answer.json()

    def lead(self, phone: str, name: str, *, commercial: bool = False) -> dict[str, Any]:
        """The request as the form sends it."""
        wanted = ("requested", "commercial") if commercial else ("requested",)
        boxes = {box["purpose"]: box for box in self.config["consents"] if box["purpose"] in wanted}
        return {
            "site": self.addresses.site, "phone": phone, "intent": "call_now", "locale": "es", "name": name,
            "consent": {
                "purposes": list(boxes), "version": boxes["requested"]["version"],
                "texts": {purpose: box["text"] for purpose, box in boxes.items()},
            },
            "form_token": self.config["form_token"],
            "page": f"{self.addresses.landing}/", "referrer": "", "source": {"utm_source": "walk"},
        }

    async def post(self, body: Any, *, key: str = "", origin: str = "", **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        key = key or secrets.token_hex(16)
        said = {"Content_Type": "application/json", "Accept": "application/json", "Idempotency_Key": key}
        return await self.browser.post(
            f"{self.addresses.service}/v1/leads", raw, origin=origin or self.addresses.landing, **{**said, **headers}
        )

    async def preflight(self) -> Answer:
        """What a browser asks before it posts JSON to another origin."""
        return await self.browser.get(
            f"{self.addresses.service}/v1/leads", method="OPTIONS", Origin=self.addresses.landing,
            Access_Control_Request_Method="POST", Access_Control_Request_Headers="content-type,idempotency-key",
        )

    @asynccontextmanager
    async def following(self, lead: dict[str, Any]) -> "AsyncIterator[Status]":
        """Listens to the request's own stream until the block ends."""
        status = Status()
        listening = asyncio.create_task(status.listen(self.browser, lead["stream_url"], self.addresses.landing))
        try:
            yield status
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


@dataclass
class Status:
    """What the visitor was told, state by state."""

    told: list[dict[str, Any]] = field(default_factory=list)
    bell: Bell = field(default_factory=Bell)

    async def listen(self, browser: Browser, url: str, origin: str) -> None:
        while not (self.told and self.told[-1]["final"]):
            try:
                async for event in browser.events(url, Origin=origin):
                    self.told.append(json.loads(event.data))
                    self.bell.ring()
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(0.2)
            except Exception as fault:
                self.bell.fail(fault)
                return

    async def hears(self, state: str, word: str = "", seconds: float = 10.0) -> str:
        """The sentence of this state, with `word` in it. Raises Wrong when it does not come in time."""
        found: str = await self.bell.until(
            lambda: next((each["text"] for each in self.told if each["state"] == state and word in each["text"]), ""),
            f"the visitor's page to say {state} {word}", seconds,
        )
        return found
