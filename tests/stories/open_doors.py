"""`hablemos serve` whose public doors take everything from one address: a test is many visitors on one machine."""

import asyncio
import sys

from router.app import serve
from router.model.rates import LENIENT
from router.settings import Settings

if __name__ == "__main__":
    sys.exit(asyncio.run(serve(Settings.from_env(), limits=LENIENT)))
