from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Playwright, async_playwright

from tests.web.browsing import CHROMIUM, FLAGS


@pytest.fixture(scope="session")
async def driver() -> AsyncIterator[Playwright]:
    """One for all tests of a worker: starting it takes most of a second."""
    async with async_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
async def chromium(driver: Playwright) -> AsyncIterator[Browser]:
    async with await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as chromium:
        yield chromium


@pytest.fixture
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The worker's Chromium. Each context is a profile of its own, and is closed when the test ends."""
    yield chromium
    for context in chromium.contexts:
        await context.close()
