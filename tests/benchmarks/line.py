"""Nobody answers → the next telephone rings, for an agent who stays on the line. Five seconds of it are hers to
look. Through the real SDK and the phonebox; the first telephone rings its full time in vain.

Run with `python -m tests.benchmarks.line [--quick]`.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from router import app
from router.book import Book
from router.embedded import EmbeddedPostgres
from router.live import Hub
from router.model.vault import Vault
from router.store.db import make_engine
from router.store.migrations import migrate
from tests.conftest import emptied
from tests.web.test_stationing import Running, next_rings, standing

GOAL = 10.0


async def main(quick: bool) -> int:
    took: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, EmbeddedPostgres(Path(folder)) as server:
        await migrate(server.url)
        for _ in range(1 if quick else 3):
            await emptied(server.url)
            engine = make_engine(server.url, connections=8)
            async with standing(Book(engine, Hub(), Vault("x" * 32), "", clock=Running())) as house:
                took.append(await next_rings(house, declines=False))
            await engine.dispose()
    worst = max(outside for outside, _ in took)
    for outside, inside in took:
        print(f"no answer → the next telephone rings: {outside:.2f} s outside, {inside:.2f} s from fact to fact")
    print(json.dumps({"name": "line", "seconds": round(worst, 2), "goal": GOAL, "ok": worst <= GOAL}))
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    sys.exit(app.run(main(parser.parse_args().quick)))
