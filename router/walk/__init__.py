"""The whole story played by an outsider: HTTP like browsers and telephones, and no function of ours.

Each step is checked by what an outsider sees. It waits on streams and long polls, never for a fixed time.
"""

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

import aiohttp

from router.walk.addresses import Addresses
from router.walk.browser import Browser, Wrong
from router.walk.calling import calling
from router.walk.cast import Cast, Step
from router.walk.opening import opening
from router.walk.report import Progress, Report
from router.walk.returning import returning
from router.walk.selling import selling

__all__ = ["Addresses", "Report", "play"]

CHAPTERS = (opening, calling, selling, returning)


async def play(addresses: Addresses, folder: Path, *, progress: TextIO) -> Report:
    """Plays all steps, or up to the first that does not hold, which the report names. What was signed is kept in a
    new folder `walk-N` below `folder`."""
    display, report = Progress(progress), Report()
    async with AsyncExitStack() as stack:
        outsider = await stack.enter_async_context(Browser.started())
        cast = Cast(addresses, _new_folder(folder), report, stack, outsider)
        steps = [one for chapter in CHAPTERS for one in chapter.steps]
        for name, step in steps:
            if not await _hold(display, cast, name, step):
                break
        report.ok = report.error is None
    display.say(_summary(report))
    return report


async def _hold(display: Progress, cast: Cast, name: str, step: Step) -> bool:
    """Plays a step; whether it held."""
    began = time.perf_counter()
    try:
        async with display.running(name) as seen:
            await step(cast, seen)
    except (Wrong, aiohttp.ClientError, TimeoutError, LookupError, ValueError, TypeError, OSError) as fault:
        cast.report.error = f"{name}: {str(fault) or type(fault).__name__}"
        return False
    cast.report.steps.append((name, round((time.perf_counter() - began) * 1000)))
    return True


def _new_folder(folder: Path) -> Path:
    number = 1
    while (made := folder / f"walk-{number}").exists():
        number += 1
    made.mkdir(parents=True)
    return made


def _summary(report: Report) -> str:
    if report.error is not None:
        return f"\nIt does not hold: {report.error}"
    return (
        f"\nAll {len(report.steps)} steps held. Request to ring {report.lead_to_ring_ms} ms; accept to both talking "
        f"{report.accept_to_bridge_ms} ms, ringing not counted.\nSigned document: {report.signed_pdf}"
    )
