"""hablemos: a self-hosted remote-sales contact centre."""

import gc

GARBAGE = 20_000
"""How many new objects make the collector look. The usual 700 make it look hundreds of times a second, and a sixth of
a start is spent looking at what was imported and stays."""

gc.set_threshold(GARBAGE, 20, 50)
