"""`hablemos serve` whose public doors take everything from one address: a test is many visitors on one machine."""

import sys

from router.app import run, serve
from router.model.rates import LENIENT
from router.settings import Settings

if __name__ == "__main__":
    sys.exit(run(serve(Settings.from_env(), limits=LENIENT)))
