"""Live: watchers hear of what they watch, miss nothing, and end when the process stops."""

import asyncio

import pytest

from router.live import Closing, Hub


async def test_a_watcher_hears_what_it_watches_and_only_that() -> None:
    hub = Hub()
    with hub.watch("agent:1", "wallboard") as watcher:
        hub.tell(["agent:2", "agent:1"])
        hub.tell(["wallboard"])
        assert await watcher.changed() == {"agent:1", "wallboard"}
        waiting = asyncio.create_task(watcher.changed())
        hub.tell(["agent:2"])
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.tell(["agent:1"])
        assert await waiting == {"agent:1"}


async def test_a_slow_watcher_is_told_once_of_a_thousand_changes() -> None:
    hub = Hub()
    with hub.watch("lead:1") as watcher:
        for _ in range(1000):
            hub.tell(["lead:1"])
        assert await watcher.changed() == {"lead:1"}
        assert not watcher._something.is_set()


async def test_who_has_left_is_forgotten() -> None:
    hub = Hub()
    with hub.watch("a"), hub.watch("a", "b"):
        assert hub.watched == 2
    assert hub.watched == 0
    hub.tell(["a", "b"])


async def test_closing_ends_every_wait_also_of_those_who_come_later() -> None:
    hub = Hub()
    with hub.watch("a") as early:
        waiting = asyncio.create_task(early.changed())
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(Closing):
            await waiting
    with hub.watch("a") as late, pytest.raises(Closing):
        async with asyncio.timeout(5):
            await late.changed()


async def test_after_a_lost_line_everybody_looks_again() -> None:
    hub, called = Hub(), []
    hub.on("dispatch", lambda: called.append("dispatch"))
    hub.on("a", lambda: called.append("a"))
    with hub.watch("a") as watcher:
        hub.tell_everybody()
        assert await watcher.changed() == {"a"}
    assert sorted(called) == ["a", "dispatch"]
