"""Until when one may withdraw: whole days on the wall of the country, never ending on a day of rest."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from router.model.contract_withdrawals import ends_at

MADRID = ZoneInfo("Europe/Madrid")


def at(*when: int) -> datetime:
    """A moment on Madrid's wall."""
    return datetime(*when, tzinfo=MADRID)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("signed", "first_moment_too_late"),
    [
        (at(2026, 11, 24, 13, 0), at(2026, 12, 10)),  # the 8th of December is closed in Spain
        (at(2026, 11, 10, 0, 0, 1), at(2026, 11, 25)),
        (at(2026, 11, 10, 23, 59, 59), at(2026, 11, 25)),
        (at(2026, 10, 15, 12, 0), at(2026, 10, 30)),  # over the night in which clocks are set back
        (at(2026, 10, 17, 12, 0), at(2026, 11, 3)),  # a Saturday's fortnight ends on a Saturday
        (at(2026, 12, 18, 12, 0), at(2027, 1, 5)),  # New Year's Day, and a weekend after it
    ],
)
def test_the_time_to_withdraw_in_spain(signed: datetime, first_moment_too_late: datetime) -> None:
    found = ends_at(signed, "ES", "Europe/Madrid")
    assert found == first_moment_too_late


def test_a_country_whose_holidays_nobody_knows_still_has_weekends() -> None:
    found = ends_at(datetime(2026, 10, 17, 12, 0, tzinfo=MADRID), "XX", "Europe/Madrid")
    assert found == datetime(2026, 11, 3, tzinfo=MADRID)
