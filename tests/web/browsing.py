"""The browser by which pages are tried, where one is installed, and how thoroughly."""

import os
import shutil

from router.wording import LOCALES

THOROUGH = bool(os.environ.get("HABLEMOS_TEST_EVERYTHING"))
LANGUAGES = LOCALES if THOROUGH else ("ru",)
"""In which languages pages are looked at: the longest, unless everything is asked for."""

PICTURES = os.environ.get("HABLEMOS_TEST_PICTURES")
"""A folder to which pages are photographed, to be looked at."""
CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome",
))), None)
"""The browser without windows first: it takes a third of the processor time for a page."""

FLAGS = ("--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required")
