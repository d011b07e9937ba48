"""Zones: a number alone says little, and what a person said himself says most."""

from datetime import UTC, datetime, timedelta

import pytest

from router.model.windows import next_open, windows
from router.model.zones import UNKNOWN, Evidence, ZoneSource, evidence, of_address, of_number
from tests.model.packing import made, weekly

EVERY_DAY = set(range(1, 8))
NINE_TO_NINE, NINE_TO_EIGHT = (made(weekly(EVERY_DAY, "09:00", closes)) for closes in ("21:00", "20:00"))
NOVEMBER = datetime(2026, 11, 25, tzinfo=UTC)


def common_hours(phone: str, closes: str = "21:00") -> float:
    """Hours of one November day that are decent wherever this number may be."""
    pack = NINE_TO_NINE if closes == "21:00" else NINE_TO_EIGHT
    found = windows(pack, of_number(phone), NOVEMBER, NOVEMBER + timedelta(days=1))
    return sum((end - start).total_seconds() for start, end in found) / 3600


@pytest.mark.parametrize(
    ("phone", "zones", "hours"),
    [
        ("+34600000001", 2, 11.0),  # Madrid and the Canaries
        ("+351912345678", 2, 11.0),
        ("+447400123456", 4, 12.0),  # four names of one clock
        ("+79161234567", 16, 2.0),
        ("+18005550123", 42, 1.5),  # evening in Newfoundland, the next morning in Guam
        ("+18504444444", 1, 12.0),
        ("+34910000000", 1, 12.0),
        ("+881612345678", 0, 0.0),  # a satellite: Etc/Unknown
        ("no number", 0, 0.0),
        ("", 0, 0.0),
    ],
)
def test_the_window_of_a_number_is_what_all_its_zones_share(phone: str, zones: int, hours: float) -> None:
    assert len(of_number(phone)) == zones
    assert common_hours(phone) == hours


def test_an_australian_mobile_may_be_in_eight_zones() -> None:
    assert len(of_number("+61412345678")) == 8
    assert common_hours("+61412345678", "20:00") == 6.5


def test_a_spanish_mobile_is_called_from_ten_in_madrid() -> None:
    assert next_open(NINE_TO_NINE, of_number("+34600000001"), NOVEMBER) == NOVEMBER.replace(hour=9)


def test_what_is_known_of_a_person_counts_in_this_order() -> None:
    known = {
        "phone": "+34910000000", "browser": "Europe/Rome", "connection": "IT", "country": "ES",
        "postcode": "35001", "stated": "America/Lima",
    }
    seen = []
    for name in ("stated", "postcode", "country", "browser", "phone"):
        seen.append(evidence(**known)[:2])
        del known[name]
        if name == "postcode":
            # A country of several zones says nothing that outweighs the browser in another one.
            known["country"] = ""
    assert seen == [
        (("America/Lima",), ZoneSource.stated),
        (("Atlantic/Canary",), ZoneSource.address),
        (("Europe/Rome",), ZoneSource.browser),
        (("Europe/Rome",), ZoneSource.browser),
        (("Europe/Madrid",), ZoneSource.number),
    ]
    assert evidence(connection="IT") == UNKNOWN


def test_the_better_the_evidence_the_surer() -> None:
    found = [
        evidence(stated="Europe/Madrid"), evidence(country="IT"),
        evidence(browser="Europe/Madrid", connection="ES"), evidence(phone="+34910000000"),
        evidence(phone="+34600000001"), evidence(phone="+881612345678"),
    ]
    sure = [one.confidence for one in found]
    assert sure == sorted(set(sure), reverse=True)


@pytest.mark.parametrize(
    ("known", "zones"),
    [
        ({"browser": "America/New_York", "connection": "ES", "phone": "+34910000000"}, ("Europe/Madrid",)),
        ({"browser": "America/New_York", "phone": "+34910000000"}, ("Europe/Madrid",)),
        ({"browser": "America/New_York", "connection": "US", "phone": "+34910000000"}, ("America/New_York",)),
        ({"browser": "Etc/Unknown", "phone": "+34910000000"}, ("Europe/Madrid",)),
        ({"browser": "../../etc/passwd", "stated": "Mars/Olympus"}, ()),
    ],
)
def test_a_browser_whose_connection_comes_from_elsewhere_says_nothing(
    known: dict[str, str], zones: tuple[str, ...]
) -> None:
    assert evidence(**known).zones == zones


def test_a_number_held_far_from_the_address_leaves_the_zones_of_both() -> None:
    found = evidence(phone="+34910000000", country="IT")
    assert found == Evidence(("Europe/Rome",), ZoneSource.address, 0.9)
    florida = evidence(phone="+12125550177", country="US", subdivision="US-CA")
    assert (florida.zones, florida.source) == (("America/Los_Angeles",), ZoneSource.address)
    assert set(evidence(phone="+34910000000", country="US").zones) > {"Europe/Madrid", "America/New_York"}


def test_several_names_of_one_clock_are_as_good_as_one() -> None:
    assert evidence(country="DE").confidence == evidence(country="IT").confidence
    assert evidence(phone="+447400123456").confidence == evidence(phone="+34910000000").confidence
    assert evidence(country="ES").confidence < evidence(phone="+34910000000").confidence


@pytest.mark.parametrize("phone", ["+34900123456", "+18005550123", "+881612345678"])
def test_a_toll_free_number_or_a_satellite_is_nowhere_and_a_person_must_choose(phone: str) -> None:
    assert evidence(phone=phone) == UNKNOWN
    assert evidence(phone=phone, country="IT").zones == ("Europe/Rome",)


@pytest.mark.parametrize(
    ("address", "zones"),
    [
        (("ES", "", "28001"), ("Europe/Madrid",)),
        (("ES", "", "38001"), ("Atlantic/Canary",)),
        (("ES", "ES-CN", ""), ("Atlantic/Canary",)),
        (("PT", "", "9500-150"), ("Atlantic/Azores",)),
        (("PT", "", "9000-001"), ("Atlantic/Madeira",)),
        (("US", "US-FL", ""), ("America/New_York", "America/Chicago")),
        (("XX", "", ""), ()),
    ],
)
def test_an_address_knows_its_islands_and_its_states(address: tuple[str, str, str], zones: tuple[str, ...]) -> None:
    assert of_address(*address) == zones
