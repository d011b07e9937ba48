"""`python -m router` is `hablemos`."""

import sys

from router.cli import main

if __name__ == "__main__":
    sys.exit(main())
