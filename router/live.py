"""Live: who is watching what. A hint says that an audience's state changed; the watcher reads it anew.

A watcher's queue is the set of audiences told since it last looked: it is bounded by what it watches, and a slow
screen misses nothing but intermediate states.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable


class Closing(Exception):
    """The process is stopping; streams end so that their browsers connect elsewhere."""


class Watcher:
    """One screen, or one worker, and what it watches."""

    def __init__(self, hub: "Hub", audiences: Iterable[str]) -> None:
        self._hub = hub
        self.audiences = frozenset(audiences)
        self._told: set[str] = set()
        self._something = asyncio.Event()

    def _tell(self, audience: str) -> None:
        self._told.add(audience)
        self._something.set()

    async def changed(self) -> frozenset[str]:
        """Waits until something watched has changed; what. Raises Closing when the process stops."""
        await self._something.wait()
        self._something.clear()
        if self._hub.closing:
            raise Closing
        told, self._told = frozenset(self._told), set()
        return told

    def __enter__(self) -> "Watcher":
        self._hub.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.remove(self)


class Hub:
    """All watchers of this process. `replica` names the process, so that it ignores the echo of its own hints."""

    def __init__(self) -> None:
        self.replica = secrets.token_hex(6)
        self.closing = False
        self._watchers: dict[str, set[Watcher]] = {}
        self._callbacks: dict[str, list[Callable[[], None]]] = {}

    def watch(self, *audiences: str) -> Watcher:
        """A watcher, to be entered with `with`."""
        return Watcher(self, audiences)

    def on(self, audience: str, callback: Callable[[], None]) -> None:
        """Calls back whenever the audience is told; for the house's own workers."""
        self._callbacks.setdefault(audience, []).append(callback)

    def add(self, watcher: Watcher) -> None:
        if self.closing:
            watcher._something.set()
        for audience in watcher.audiences:
            self._watchers.setdefault(audience, set()).add(watcher)

    def remove(self, watcher: Watcher) -> None:
        for audience in watcher.audiences:
            watchers = self._watchers.get(audience, set())
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(audience, None)

    def tell(self, audiences: Iterable[str]) -> None:
        for audience in audiences:
            for watcher in self._watchers.get(audience, ()):
                watcher._tell(audience)
            for callback in self._callbacks.get(audience, ()):
                callback()

    def tell_everybody(self) -> None:
        """After the line of hints was down: everything may have changed."""
        self.tell([*self._watchers, *(word for word in self._callbacks if word not in self._watchers)])

    def close(self) -> None:
        """Ends every watcher's wait."""
        self.closing = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher._something.set()

    @property
    def watched(self) -> int:
        return len({watcher for watchers in self._watchers.values() for watcher in watchers})
