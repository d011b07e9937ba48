"""The demonstration with a quote that goes quiet sooner; plays the walk so many times and prints each report's JSON."""

import json
import sys
from pathlib import Path

QUIET = "stale_seconds = 4"


async def main(data_dir: Path, times: int) -> None:
    # Worker processes import this module anew; they need none of the house.
    from router import demo, walk

    plan = demo.PLAN.replace("stale_seconds = 10", QUIET)
    assert QUIET in plan
    async with demo.demonstration(data_dir, 0, plan=plan) as running:
        where = walk.Addresses(
            running.service, running.phonebox, running.landing, demo.SITE, demo.PASSWORD, ("ana", "bruno"), "sofia"
        )
        for _ in range(times):
            report = await walk.play(where, data_dir / "walks", progress=sys.stderr)
            print("report", json.dumps(report.as_json()), flush=True)


if __name__ == "__main__":
    from router.app import run

    run(main(Path(sys.argv[1]), int(sys.argv[2])))
