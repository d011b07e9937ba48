"""`hablemos serve` whose public doors take everything from one address: a test is many visitors on one machine."""

import sys


def main() -> int:
    # Worker processes import this module anew; they need none of the house.
    from router.app import run, serve
    from router.model.rates import LENIENT
    from router.settings import Settings

    return run(serve(Settings.from_env(), limits=LENIENT))


if __name__ == "__main__":
    sys.exit(main())
