"""Timestamps of others, asked in order, and never passed off as what they are not."""

import dataclasses
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.trust.archiving import archive
from integrations.trust.authority import make_authority
from integrations.trust.inspection import inspect
from integrations.trust.sealing import seal
from integrations.trust.services import Anchors, OutsideTime
from router.ports import Authority, Inspection, Refused, SealOrder, Stamps
from tests.integrations.archives import offer, order, sealed
from tests.integrations.timestamping import Outside, outside

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, the outside authority, is missing")
NOBODY = "http://127.0.0.1:9/tsa"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Company", datetime.now(UTC))


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Outside]:
    with outside(tmp_path / "first") as one:
        yield one


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Outside]:
    with outside(tmp_path / "second", "Second Time") as one:
        yield one


def time_of(*authorities: Outside, before: tuple[str, ...] = (), first: bool = True) -> OutsideTime:
    roots = b"".join(one.root for one in authorities)
    return OutsideTime((*before, *(one.url for one in authorities)), roots, first=first)


def seal_order(authority: Authority) -> SealOrder:
    return SealOrder(offer(), b"{}", authority.keys, 41, "Reason", "https://sign.example.com")


def anchors(authority: Authority, time: OutsideTime) -> Anchors:
    return Anchors(authority.keys.root_certificate, time=time.roots)


def line(seen: Inspection, name: str) -> dict[str, str]:
    return dict(next(one for one in seen.checks if one.name == name).detail)


def test_a_seal_carries_the_time_of_the_authority_outside(authority: Authority, first: Outside) -> None:
    time = time_of(first)
    made = seal(seal_order(authority), time)
    assert (made.level, made.time_source, made.outside_due) == ("PAdES B-T", "external", False)
    seen = inspect(made.pdf, anchors(authority, time))
    assert all(one.holds for one in seen.checks)
    assert (line(seen, "time")["source"], line(seen, "time")["authority"]) == ("external", "Outside Time Timestamp")


def test_when_the_first_does_not_answer_the_second_is_asked(
    authority: Authority, first: Outside, second: Outside
) -> None:
    time = time_of(first, second, before=(NOBODY,))
    first.mood = "down"
    made = seal(seal_order(authority), time)
    assert made.time_source == "external"
    assert line(inspect(made.pdf, anchors(authority, time)), "time")["authority"] == "Second Time Timestamp"
    asked = first.asked
    assert seal(seal_order(authority), time).time_source == "external"
    assert first.asked == asked  # left alone for a while


@pytest.mark.parametrize("mood", ["down", "nonsense"])
def test_when_nobody_outside_answers_our_own_time_is_given_and_called_so(
    authority: Authority, first: Outside, mood: str
) -> None:
    time = time_of(first)
    first.mood = mood
    made = seal(seal_order(authority), time)
    assert (made.level, made.time_source, made.outside_due) == ("PAdES B-T", "internal", True)
    assert line(inspect(made.pdf, anchors(authority, time)), "time")["source"] == "internal"


def test_a_token_that_leads_to_no_root_we_were_told_is_not_used(
    authority: Authority, first: Outside, second: Outside
) -> None:
    made = seal(seal_order(authority), dataclasses.replace(time_of(first), roots=second.root))
    assert first.asked
    assert made.time_source == "internal"


def test_both_means_our_own_time_at_once_and_the_outside_one_when_archived(
    authority: Authority, first: Outside
) -> None:
    time = time_of(first, first=False)
    made = seal(seal_order(authority), time)
    assert (made.time_source, made.outside_due, first.asked) == ("internal", True, 0)
    kept = archive(order(authority, made.pdf, stamps=Stamps.outside), anchors(authority, time), time)
    assert (kept.level, kept.time_source) == ("PAdES B-LTA", "external")
    seen = inspect(kept.pdf, anchors(authority, time))
    assert all(one.holds for one in seen.checks)
    assert (line(seen, "time")["source"], line(seen, "level")["source"]) == ("internal", "external")


def test_an_archive_is_stamped_by_ourselves_when_that_will_do_and_by_nobody_when_not(
    authority: Authority, first: Outside
) -> None:
    time = time_of(first)
    first.mood = "down"
    pdf = sealed(authority, offer())
    with pytest.raises(Refused) as refused:
        archive(order(authority, pdf, stamps=Stamps.outside), anchors(authority, time), time)
    assert (refused.value.permanent, refused.value.code) == (False, "no-timestamp")
    kept = archive(order(authority, pdf, stamps=Stamps.outside_or_own), anchors(authority, time), time)
    assert (kept.level, kept.time_source) == ("PAdES B-LTA", "internal")


def test_an_externally_stamped_seal_is_archived_too(authority: Authority, first: Outside) -> None:
    time = time_of(first)
    made = seal(seal_order(authority), time)
    kept = archive(order(authority, made.pdf, stamps=Stamps.outside_or_own), anchors(authority, time), time)
    assert (kept.level, kept.time_source) == ("PAdES B-LTA", "external")
    assert all(one.holds for one in inspect(kept.pdf, anchors(authority, time)).checks)
    blind = inspect(kept.pdf, Anchors(authority.keys.root_certificate))
    assert {one.name for one in blind.checks if not one.holds} == {"revisions", "time", "level"}
