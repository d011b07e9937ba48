"""Packs for tests, made of the text a file would have."""

from router.model.packs import Pack, read, shipped

STANDARD, DEMO = shipped()["standard"], shipped()["demo"]

HEAD = """
key = "{key}"
version = 1
about = "Made by a test."
in_force = {in_force}
expires = {expires}
zone = "{zone}"
country = "{country}"
extends = []
"""
ALL_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BASE = """
[consent]
id = "some-consent"
words = "Consent."
source = "a test"
verified = true
[fraud]
id = "some-fraud"
words = "Fraud."
source = "a test"
verified = true
codes_day = 6
any_day = 1000
"""


def text(
    rules: str = "", *, key: str = "some", country: str = "ES", zone: str = "Europe/Madrid", base: str = BASE,
    in_force: str = "2020-01-01", expires: str = "2099-12-31",
) -> str:
    head = HEAD.format(key=key, country=country, zone=zone, in_force=in_force, expires=expires)
    return head + base + rules


def made(rules: str = "", **head: str) -> Pack:
    """A pack with a consent rule and no others than these."""
    return read({f"{head.get('key', 'some')}.toml": text(rules, **head)})[head.get("key", "some")]


def rule(kind: str, id: str, body: str, *, week: dict[str, list[list[str]]] | None = None) -> str:
    """One rule as the file has it."""
    said = f'[[{kind}]]\nid = "{id}"\nwords = "Words of {id}."\nsource = "a test"\nverified = true\n{body}\n'
    if week is not None:
        said += f"[{kind}.week]\n" + "".join(f"{day} = {_pairs(of)}\n" for day, of in week.items())
    return said


def _pairs(of: list[list[str]]) -> str:
    return "[" + ", ".join(f'["{left}", "{right}"]' for left, right in of) + "]"


def weekly(days: set[int], opens: str, closes: str) -> str:
    """An hours rule with the same window on some ISO weekdays."""
    week = {name: [[opens, closes]] if place in days else [] for place, name in enumerate(ALL_DAYS, 1)}
    return rule("hours", "some-hours", "", week=week)
