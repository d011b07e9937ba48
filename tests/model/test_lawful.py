"""What the guard allows is lawful by a judge that was written from the packs' text, and what he forbids is not."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.model.guard import (
    Barred,
    Channel,
    Consulted,
    Purpose,
    Snapshot,
    Try,
    Verdict,
    may_contact,
    once_announced,
)
from router.model.packs import Pack, read, shipped
from tests import lawful
from tests.model.packing import ALL_DAYS, rule, text

PERSONS = int(os.environ.get("HABLEMOS_TEST_LAWFUL", "12"))
"""How many persons live through the year of each pack, and how often all is tried; a thousand take many minutes."""

NEW_YEAR = datetime(2026, 12, 1, tzinfo=UTC)
PLACES: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "ES": [(("Europe/Madrid",), ("ES-MD",)), (("Atlantic/Canary", "Europe/Madrid"), ()),
           (("Europe/Madrid",), ("ES-CT",)), (("Atlantic/Canary",), ("ES-CN",)), (("Europe/Madrid",), ("ES-X",))],
    "IT": [(("Europe/Rome",), ("IT-RM",)), (("Europe/Rome",), ()), (("Europe/Rome",), ("IT-MI", "IT-TO"))],
    "FR": [(("Europe/Paris",), ("FR-57",)), (("Europe/Paris",), ()), (("Europe/Paris",), ("FR-75",))],
    "DE": [(("Europe/Berlin",), ("DE-BY",)), (("Europe/Berlin",), ("DE-BE",)), (("Europe/Berlin",), ())],
    "GB": [(("Europe/London",), ("GB-SCT",)), (("Europe/London", "Europe/Jersey"), ())],
    "US": [(("America/New_York", "America/Chicago"), ("US-FL",)), (("America/Los_Angeles",), ("US-CA",)),
           (("America/Chicago",), ("US-AL",)), (("America/New_York", "America/Chicago", "America/Los_Angeles"), ()),
           (("America/New_York",), ("US-KY", "US-RI")), (("Pacific/Honolulu", "Pacific/Guam"), ())],
    "BR": [(("America/Sao_Paulo",), ("BR-SP",)), (("America/Manaus", "America/Rio_Branco"), ()),
           (("America/Sao_Paulo",), ("BR-RJ",))],
    "MX": [(("America/Mexico_City",), ()), (("America/Tijuana", "America/Cancun"), ())],
    "RU": [(("Europe/Moscow",), ()), (("Europe/Bucharest", "Europe/Moscow", "Asia/Vladivostok", "Asia/Kamchatka"), ())],
}
ANYWHERE: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("Europe/Madrid",), ()), (("Africa/Cairo",), ()), (("America/Santiago",), ()), (("Asia/Kathmandu",), ()),
    (("Australia/Lord_Howe", "Australia/Perth"), ()), (("America/Havana",), ()), ((), ()),
]
NUMBERS = {"ES": "+34910000001", "IT": "+390612345678", "FR": "+33123456789", "DE": "+4930123456",
           "GB": "+442079460000", "US": "+12025550101", "BR": "+551123456789", "MX": "+525512345678",
           "RU": "+74951234567", "demo": "+12025550101", "standard": "+351211234567"}


# The guard and the judge agree

moments = st.datetimes(datetime(2026, 10, 1), datetime(2028, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001


REGISTERS = ("robinson", "rpo", "tps", "us_dnc", "us_state_dnc", "nao_me_perturbe", "nao_me_ligue_sp", "repep")


@st.composite
def situations(draw: Any) -> tuple[str, dict[str, Any], datetime]:
    """Somebody who might well be contacted, but for up to three things that are otherwise than they should be."""
    key = draw(st.sampled_from(sorted(NUMBERS)))
    at = draw(moments)
    ago = st.integers(0, 35 * 24 * 60).map(lambda minutes: at - timedelta(minutes=minutes))
    zones, parts = draw(st.sampled_from(PLACES.get(key, ANYWHERE[:-1])))
    known: dict[str, Any] = {
        "phone": NUMBERS[key], "purpose": Purpose.commercial, "channel": Channel.call, "zones": zones,
        "subdivisions": parts, "consents": frozenset({"commercial"}), "caller_id": "+34910000000",
        "consented_at": {"commercial": at - timedelta(days=100)},
        "registers": {name: Consulted(at - timedelta(days=3), False) for name in REGISTERS},
        "tries": draw(st.lists(st.builds(
            Try, ago, st.sampled_from([Purpose.commercial] * 3 + list(Purpose)),
            st.sampled_from(["call", "call", "sms"]), st.booleans(), st.booleans(),
        ), max_size=5)),
    }
    bars = st.builds(
        Barred, st.just("stop"), st.none() | ago.map(lambda one: at + (at - one)), st.sampled_from(["", "sms", "call"])
    )
    others: dict[str, st.SearchStrategy[Any]] = {
        "phone": st.sampled_from(["+34600000001", "+881612345678", ""]),
        "purpose": st.sampled_from(list(Purpose)),
        "channel": st.sampled_from(list(Channel)),
        "zones": st.sampled_from([zones for zones, _ in ANYWHERE]),
        "subdivisions": st.just(()),
        "barred": st.lists(bars, min_size=1, max_size=2),
        "paused": st.just(True),
        "consents": st.just(frozenset()),
        "consented_at": (ago | st.integers(1700, 2000).map(lambda days: at - timedelta(days=days))).map(
            lambda one: {"commercial": one}) | st.just({}),
        "taken_back": st.just(frozenset({"commercial", "requested"})),
        "customer_until": ago | ago.map(lambda one: one - timedelta(days=345)),
        "refused_at": ago | ago.map(lambda one: one - timedelta(days=57)),
        "countries": st.sampled_from([frozenset({key}), frozenset({"ES", "US"})]),
        "registers": st.dictionaries(
            st.sampled_from(REGISTERS), st.builds(Consulted, ago, st.booleans()), min_size=3,
        ),
        "caller_id": st.sampled_from(["+34600000002", "+12025550101", ""]),
        "promised": st.just(True), "business": st.just(True),
    }
    for name in sorted(draw(st.sets(st.sampled_from(sorted(others)), max_size=3))):
        known[name] = draw(others[name])
    if draw(st.booleans()):
        known["business"], known["customer_until"] = True, known.get("customer_until", at)
    return key, known, at


def agree(key: str, seen: Snapshot, at: datetime, pages: lawful.Pages | None = None) -> Verdict:
    """The guard's verdict, which must be the judge's; and whose `until` must be the first lawful moment."""
    verdict = may_contact(seen, at)
    wrong = lawful.judge(seen, key, at, pages)
    assert verdict.allowed == (not wrong), (verdict, wrong)
    if verdict.until is None:
        return verdict
    assert verdict.until > at
    then = may_contact(seen, verdict.until)
    wrong = lawful.judge(seen, key, verdict.until, pages)
    assert then.word != "defer", (verdict, then)
    assert then.allowed == (not wrong), (verdict, wrong)
    step = max(timedelta(minutes=1), (verdict.until - at) / 50)
    moment = verdict.until - timedelta(seconds=1)
    while moment >= at:
        assert lawful.judge(seen, key, moment, pages), f"already lawful at {moment}, not only at {verdict.until}"
        moment -= step
    return verdict


@settings(max_examples=16 * PERSONS, deadline=None)
@given(situations())
def test_guard_and_judge_agree_on_every_pack_and_until_is_the_first_lawful_moment(
    situation: tuple[str, dict[str, Any], datetime],
) -> None:
    key, values, at = situation
    agree(key, Snapshot(pack=shipped()[key], **values), at)


half_hours = st.integers(0, 48).map(lambda half: f"{half // 2:02d}:{half % 2 * 30:02d}")
day_hours = st.lists(half_hours, min_size=2, max_size=4, unique=True).map(sorted).map(
    lambda some: [[left, right] for left, right in zip(some[::2], some[1::2], strict=False)]
)
weeks = st.dictionaries(st.sampled_from(ALL_DAYS), day_hours, min_size=2)
CHANGES = {
    "Europe/Madrid": [datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "Africa/Cairo": [datetime(2027, 4, 29, 22, tzinfo=UTC), datetime(2026, 10, 29, 21, tzinfo=UTC)],
    "America/Santiago": [datetime(2026, 9, 6, 4, tzinfo=UTC), datetime(2027, 4, 4, 3, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2027, 4, 3, 15, tzinfo=UTC)],
    "America/Havana": [datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2027, 3, 14, 5, tzinfo=UTC)],
}


@settings(max_examples=6 * PERSONS, deadline=None)
@given(
    st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes]),
    st.integers(-3 * 24 * 60, 24 * 60), st.lists(weeks, min_size=1, max_size=2),
    st.sampled_from(["", "Europe/Madrid", "America/New_York"]), st.booleans(),
    st.lists(st.integers(0, 5_000), max_size=4),
)
def test_they_agree_on_any_windows_while_the_clock_changes(
    place: tuple[str, datetime], minutes: int, hours: list[dict[str, list[list[str]]]], other: str, free: bool,
    tries: list[int],
) -> None:
    zone, change = place
    at = change + timedelta(minutes=minutes)
    rules = "".join(rule("hours", f"some-{place}", "", week=week) for place, week in enumerate(hours))
    rules += rule("holidays", "some-free", 'of = "part"\nwindows = []\nbefore = [["02:00", "12:30"]]') if free else ""
    rules += rule("caps", "some-cap", "days = 1\nmost = 2") + rule(
        "gaps", "some-gap", "minutes = 45\nhard = false\nbusy = 7")
    page = text(rules)
    try:
        pack = read({"some.toml": page})["some"]
    except ValueError:  # hours that leave no moment
        assume(False)
    agree("some", Snapshot(
        pack=pack, phone="+34910000001", purpose=Purpose.commercial, consents=frozenset({"commercial"}),
        zones=(zone, other) if other else (zone,),
        tries=[Try(at - timedelta(minutes=one), Purpose.commercial, "call", busy=one % 3 == 0) for one in tries],
    ), at, {"some": page})


def test_the_judge_knows_what_is_unlawful() -> None:
    known: dict[str, Any] = {
        "pack": shipped()["ES"], "phone": "+34910000001", "purpose": Purpose.commercial, "zones": ("Europe/Madrid",),
        "consents": frozenset({"commercial"}), "caller_id": "+34910000000",
    }
    saturday, monday = datetime(2026, 11, 28, 12, tzinfo=UTC), datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert lawful.judge(Snapshot(**known), "ES", monday) == []
    (said,) = lawful.judge(Snapshot(**known), "ES", saturday)
    assert "ES-96.2" in said
    assert lawful.judge(Snapshot(**{**known, "consents": frozenset()}), "ES", monday)


# A year

class Person:
    """Somebody with a quote, whose next moments are asked for all through a year, and whose every contact is judged."""

    def __init__(self, key: str, pack: Pack, seed: int) -> None:
        self.key, self.pack, self.draw = key, pack, random.Random(f"{key}-{seed}")  # noqa: S311
        self.zones, self.parts = self.draw.choice(PLACES.get(key, ANYWHERE[:-1]))
        self.at = NEW_YEAR + timedelta(minutes=self.draw.randrange(90 * 24 * 60))
        self.agreed = self.at - timedelta(days=self.draw.choice([0, 0, 0, self.draw.randint(100, 2_100)]))
        self.tries: list[Try] = []
        self.consents = frozenset({"commercial"}) if self.draw.random() < 0.8 else frozenset()
        ended = self.at + timedelta(days=self.draw.randint(-300, 300))
        self.customer_until = ended if self.draw.random() < 0.3 else None
        self.refused_at: datetime | None = None
        self.listed = self.draw.random() < 0.1
        self.business = self.draw.random() < 0.2

    def asks(self) -> Snapshot:
        recent = [one for one in self.tries if one.at > self.at - timedelta(days=30)]
        month = timedelta(days=30)
        imported = NEW_YEAR + (self.at - NEW_YEAR) // month * month
        keys = {register.key for register in self.pack.registers}
        return Snapshot(
            pack=self.pack, phone=NUMBERS[self.key], purpose=Purpose.commercial,
            channel=self.draw.choice([Channel.call, Channel.call, Channel.sms, Channel.whatsapp]),
            zones=self.zones, subdivisions=self.parts, consents=self.consents,
            consented_at={"commercial": self.agreed}, customer_until=self.customer_until, refused_at=self.refused_at,
            tries=recent, registers={one: Consulted(imported, self.listed) for one in keys},
            caller_id="+34910000000", promised=self.draw.random() < 0.15, business=self.business,
        )

    def lives(self, contact: Callable[[Snapshot, datetime], None]) -> None:
        end = NEW_YEAR + timedelta(days=365)
        while self.at < end:
            seen = self.asks()
            verdict = may_contact(seen, self.at)
            if verdict.until is not None:
                assert verdict.until > self.at
                self.at = verdict.until + timedelta(seconds=self.draw.choice([0, 0, 1, 3_600, 20_000]))
            elif verdict.allowed:
                seen = self.announces(seen, contact)
                contact(seen, self.at)
                busy = seen.channel == "call" and self.draw.random() < 0.3
                self.tries.append(Try(self.at, Purpose.commercial, seen.channel, busy=busy))
                self.answers()
            else:
                self.at += timedelta(days=self.draw.randint(3, 20))
                if self.draw.random() < 0.1:
                    self.consents, self.agreed = frozenset({"commercial"}), self.at  # anew

    def announces(self, seen: Snapshot, contact: Callable[[Snapshot, datetime], None]) -> Snapshot:
        """Some calls are announced, where the text may be sent and the call still comes in an hour."""
        text, then = replace(seen, channel=Channel.sms), self.at + timedelta(hours=1)
        after = once_announced(seen, self.at)
        if seen.channel is not Channel.call or self.draw.random() < 0.5:
            return seen
        if not may_contact(text, self.at).allowed or not may_contact(after, then).allowed:
            return seen
        contact(text, self.at)
        self.tries.append(after.tries[-1])
        self.at = then
        return after

    def answers(self) -> None:
        chance = self.draw.random()
        if chance < 0.03:
            self.refused_at = self.at
        elif chance < 0.04:
            self.consents = frozenset()
        self.at += timedelta(minutes=self.draw.choice([1, 5, 12, 60, 180, 600, 2_000, 6_000, 15_000]))


@pytest.mark.parametrize("key", sorted(NUMBERS))
def test_a_year_of_every_pack_is_lawful_without_exception(key: str) -> None:
    contacts: list[datetime] = []

    def contact(seen: Snapshot, at: datetime) -> None:
        assert lawful.judge(seen, key, at) == []
        contacts.append(at)

    for seed in range(PERSONS):
        Person(key, shipped()[key], seed).lives(contact)
    print(f"{key}: {PERSONS} persons, {len(contacts)} contacts, all lawful")
    assert len(contacts) > PERSONS, "a guard that forbids everything proves nothing"
    assert any(at > NEW_YEAR + timedelta(days=340) for at in contacts) or PERSONS < 12, "the pack had expired by then"
