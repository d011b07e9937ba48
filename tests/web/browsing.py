"""One Chromium for a worker's tests, where one is installed; every test has a profile of its own in it."""

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from router.wording import LOCALES

THOROUGH = bool(os.environ.get("HABLEMOS_TEST_EVERYTHING"))
LANGUAGES = LOCALES if THOROUGH else ("ru",)
"""In which languages pages are looked at: the longest, unless everything is asked for."""

PICTURES = os.environ.get("HABLEMOS_TEST_PICTURES")
"""A folder to which pages are photographed, to be looked at."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"),
)


def running_chromium(profile: Path) -> Iterator[str]:
    """The address by which the browser is driven."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"DevTools listening on (ws://\S+)", line):
                    yield found[1]
                    break
        finally:
            process.kill()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Browser]:
    """The running browser. What a test opened in it is closed at its end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(address)
        try:
            yield browser
        finally:
            for context in browser.contexts:
                await context.close()
