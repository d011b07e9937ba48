from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser

from tests.web.browsing import connected, running_chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from running_chromium(tmp_path_factory.mktemp("chromium"))


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with connected(chromium) as browser:
        yield browser
