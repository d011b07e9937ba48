"""Who plays: two agents, a supervisor, two customers. And the chapters of the story they play in."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from router.walk.addresses import Addresses
from router.walk.browser import Bell, Browser, Wrong, hold
from router.walk.customer import Customer
from router.walk.phone import Phone, rang
from router.walk.report import Report
from router.walk.screens import Desk, Wallboard
from router.walk.visitor import Status, Visitor


@dataclass
class Part:
    """One customer's part: the visitor of the landing page and the person with the telephone are the same."""

    visitor: Visitor
    customer: Customer
    status: Status = field(default_factory=Status)
    lead: dict[str, str] = field(default_factory=dict)
    quote: str = ""
    link: str = ""
    due: list[Decimal] = field(default_factory=list)
    signed: bytes = b""

    @property
    def phone(self) -> Phone:
        return self.customer.phone

    @property
    def name(self) -> str:
        return self.customer.name


@dataclass
class Cast:
    """Everybody, and what the story has come to. Browsers live as long as `stack`."""

    addresses: Addresses
    folder: Path
    report: Report
    stack: AsyncExitStack
    outsider: Browser
    bell: Bell = field(default_factory=Bell)
    parts: list[Part] = field(default_factory=list)
    desks: list[Desk] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    board: Wallboard | None = None

    @property
    def wallboard(self) -> Wallboard:
        if self.board is None:
            raise Wrong("nobody has opened the wallboard")
        return self.board

    async def browser(self) -> Browser:
        return await self.stack.enter_async_context(Browser.started())

    def telephone(self, number: str) -> Phone:
        return Phone(self.outsider, self.addresses.phonebox, number)

    def name_of(self, desk: Desk) -> str:
        """What the agent is called on everybody's screens."""
        return self.names[self.desks.index(desk)]


Step = Callable[[Cast, list[str]], Awaitable[None]]


class Chapter:
    """Steps in their order. A step puts what it saw into its list, for the display."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Step]] = []

    def step(self, name: str) -> Callable[[Step], Step]:
        def added(step: Step) -> Step:
            self.steps.append((name, step))
            return step

        return added


async def ring_for(cast: Cast, part: Part, seconds: float = 15.0) -> Desk:
    """The one desk at which it rings for this person. What an earlier story left behind is finished on the way."""

    def ringing() -> Desk | None:
        found = [one for one in cast.desks if one.rings_for()]
        return min(found, key=lambda one: not one.rings_for(part.phone.number), default=None)

    desk: Desk = await cast.bell.until(ringing, f"a ring for {part.name}", seconds)
    while not desk.rings_for(part.phone.number):
        await finish(cast, desk)
        desk = await cast.bell.until(ringing, f"a ring for {part.name}", seconds)
    hold(sum(one.rings_for(part.phone.number) for one in cast.desks) == 1, f"it rings for {part.name} at several desks")
    return desk


async def finish(cast: Cast, desk: Desk) -> None:
    """Takes work that is not this story's to its end, so that it does not come back.

    A refused button means that the house was sooner: what rang is over, the call has ended.
    """
    while (doing := desk.doing()) in ("ringing", "connecting", "talking", "wrapping"):
        if doing == "connecting":
            await _pick_up(cast, desk)
        else:
            name = {"ringing": "accept", "talking": "hangup"}.get(doing, "outcome-not_interested")
            answer = await desk.press(desk.button(name))
            hold(answer.status in (200, 409), f"{desk.login}'s button {name} answered {answer.status}")
        await desk.leaves(doing)


async def _pick_up(cast: Cast, desk: Desk) -> None:
    phone = cast.telephone(desk.number())
    try:
        await phone.ringing(5)
        await phone.press("answer")
    except Wrong:
        if desk.doing() == "connecting":
            await desk.do("hangup")


async def talk(cast: Cast, desk: Desk, part: Part) -> float:
    """From Accept to a conversation; the seconds it took without the time the telephones rang."""
    began = time.time()
    await desk.do("accept")
    agent = await desk.phone.talking()
    ringing = await part.phone.ringing()
    company = part.visitor.config["phone"]
    hold(ringing["from"] == company, "the customer's telephone shows another number than the company's")
    await part.phone.press("answer")
    customer = await part.phone.talking()
    hold(customer["room"] == agent["room"], "agent and customer are not in the same room")
    await desk.becomes("talking")
    bridged = datetime.fromisoformat(customer["answered_at"]).timestamp()
    return bridged - began - rang(agent) - rang(customer)


async def hang_up(desk: Desk, part: Part, outcome: str) -> None:
    """The agent ends the call and says how it went."""
    await desk.do("hangup")
    await desk.becomes("wrapping")
    await part.phone.silent()
    await desk.phone.silent()
    await desk.do(f"outcome-{outcome}")
    await desk.becomes("free")
