"""The lines of an inspection, always all six and in one order, also for what could not be read."""

from router.ports import Check, Inspection

NAMES = ("integrity", "revisions", "signer", "trust", "time", "level")


def unread(code: str) -> Inspection:
    """Nothing holds, for one reason: not-a-pdf, too-large, took-too-long, unreadable or no-seal."""
    return Inspection(sealed=False, checks=[Check(name, False, {"code": code}) for name in NAMES])
