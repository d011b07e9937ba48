"""What the walk found: step by step on a terminal, and as a whole at the end."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass
class Report:
    """`ok` only when every step held. Paths are of files; times in milliseconds."""

    ok: bool = False
    steps: list[tuple[str, int]] = field(default_factory=list)
    lead_to_ring_ms: int | None = None
    accept_to_bridge_ms: int | None = None
    signed_pdf: str | None = None
    evidence: str | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        found = {
            "ok": self.ok, "steps": [{"name": name, "ms": ms} for name, ms in self.steps],
            "lead_to_ring_ms": self.lead_to_ring_ms, "accept_to_bridge_ms": self.accept_to_bridge_ms,
            "signed_pdf": self.signed_pdf, "evidence": self.evidence,
        }
        return found if self.error is None else {**found, "error": self.error}


class Progress:
    """One line a step: its milliseconds and what was seen. On a terminal the running step turns a wheel."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._live = out, out.isatty()

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[list[str]]:
        """Gives a list; what is put into it is told as seen."""
        seen: list[str] = []
        began = time.perf_counter()
        wheel = asyncio.create_task(self._turn(name)) if self._live else None
        mark = "✗"
        try:
            yield seen
            mark = "✓"
        finally:
            if wheel is not None:
                wheel.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await wheel
                print("\r\x1b[K", end="", file=self._out)
            told = f" — {'; '.join(seen)}" if seen else ""
            self.say(f"{mark} {1000 * (time.perf_counter() - began):6.0f} ms  {name}{told}")

    async def _turn(self, name: str) -> None:
        for spoke in itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"):
            print(f"\r\x1b[K{spoke} {name} …", end="", file=self._out, flush=True)
            await asyncio.sleep(0.1)
