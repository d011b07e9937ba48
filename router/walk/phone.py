"""Telephones of the phonebox, answered and read as a person would."""

import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from router.walk.browser import Browser, Wrong

AREAS = ("202", "212", "213", "305", "312", "415", "512", "617", "702", "818")
TAKEN = frozenset({"+12025550100", "+12025550142"})
"""The company's own number, and the one a person who tries the demonstration is told to use."""
State = dict[str, Any]


class Phone:
    """One telephone: a number, or `client:name` for an agent's."""

    def __init__(self, browser: Browser, phonebox: str, number: str) -> None:
        self._browser, self._url, self.number = browser, f"{phonebox}/phones/{number.replace('+', '%2B')}", number

    async def state(self) -> State:
        return await self._json(f"{self._url}.json")

    async def until(self, seen: Callable[[State], Any], what: str, seconds: float = 15.0) -> Any:
        """Waits, by asking again whenever something changed, until `seen` gives something true. Raises Wrong."""
        deadline = time.monotonic() + seconds
        state = await self.state()
        while not (found := seen(state)):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Wrong(f"waited {seconds:g} s in vain for {what}")
            patience = max(1, min(15, round(left)))
            state = await self._json(f"{self._url}/events?after={state['version']}&seconds={patience}")
        return found

    async def ringing(self, seconds: float = 15.0) -> State:
        leg: State = await self.until(lambda state: leg_in(state, "ringing"), "the telephone to ring", seconds)
        return leg

    async def talking(self, seconds: float = 15.0) -> State:
        leg: State = await self.until(lambda state: leg_in(state, "in-progress"), "the telephone to be in use", seconds)
        return leg

    async def silent(self) -> None:
        """Waits until no call is on this telephone."""
        await self.until(lambda state: not state["legs"], "the call to end on the telephone")

    async def press(self, button: str) -> State:
        """Answer, decline or hang up."""
        answer = await self._browser.post(f"{self._url}/{button}", {}, Accept="application/json")
        if answer.status != 200:
            raise Wrong(f"the telephone's button {button} answered {answer.status}")
        state: State = answer.json()
        return state

    async def text_with(self, mark: str, *, after: int = 0) -> str:
        """The newest text that came with `mark` in it, passing over the `after` first texts."""
        found: str = await self.until(
            lambda state: next((body for body in reversed(came(state)[after:]) if mark in body), None),
            f"a text with {mark!r}",
        )
        return found

    async def _json(self, url: str) -> State:
        answer = await self._browser.get(url, Accept="application/json")
        if answer.status != 200:
            raise Wrong(f"the phonebox answered {answer.status}")
        state: State = answer.json()
        return state


def leg_in(state: State, word: str) -> State | None:
    """The call on this telephone that is in this state."""
    return next((leg for leg in state["legs"] if leg["state"] == word), None)


def came(state: State) -> list[str]:
    """The texts that came, oldest first."""
    messages = sorted(state["messages"], key=lambda each: each["at"])
    return [each["body"] for each in messages if each["direction"] == "inbound"]


def rang(leg: State) -> float:
    """How long this leg rang before it was answered, in seconds."""
    return (datetime.fromisoformat(leg["answered_at"]) - datetime.fromisoformat(leg["placed_at"])).total_seconds()


async def unused(browser: Browser, phonebox: str, count: int) -> list[Phone]:
    """Telephones nobody has called or written to yet, so that no limit on a number can stop the story.

    Only numbers of ten area codes that the numbering plan keeps for fiction, 555-0100 to 555-0199; the last twenty of
    each belong to persons the demonstration knows already.
    """
    numbers = [f"+1{area}55501{last:02d}" for area in AREAS for last in range(80)]
    random.shuffle(numbers)
    found: list[Phone] = []
    for number in numbers:
        phone = Phone(browser, phonebox, number)
        if number not in TAKEN and (state := await phone.state()) and not state["messages"] and not state["legs"]:
            found.append(phone)
            if len(found) == count:
                return found
    raise Wrong("every number kept for fiction was used already; take a new --data-dir")
