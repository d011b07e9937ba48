"""Packs: data with sources, read strictly. What is wrong with a file is said with the file and the rule."""

from datetime import date

import pytest

from router.model.packs import FOLDER, WrongPack, read, shipped
from tests.model.packing import BASE, made, rule, text

COUNTRIES = {"ES", "IT", "FR", "DE", "GB", "US", "BR", "MX", "RU"}


def announcement(body: str) -> str:
    return rule("announcement", "X-4", body).replace("[[", "[").replace("]]", "]")


DAY = {"mon": [["09:00", "18:00"]]}


def test_nine_countries_a_standard_and_a_demonstration_are_shipped() -> None:
    assert set(shipped()) == COUNTRIES | {"standard", "demo"}
    assert {pack.country for pack in shipped().values()} == COUNTRIES | {""}


@pytest.mark.parametrize("key", sorted(COUNTRIES))
def test_every_rule_of_a_country_has_words_and_a_source_and_says_whether_it_was_read(key: str) -> None:
    pack = shipped()[key]
    assert pack.reviewer == "", "nobody has reviewed it; who has is named here"
    assert pack.in_force <= date(2026, 11, 28) < pack.expires
    for one in pack.rules():
        assert one.id.startswith((f"{key}-", "house-"))
        assert one.words.endswith(".")
        read_by_us = "read" in one.source or one.source == "the house"
        assert read_by_us if one.verified else "not verified" in one.source or "one secondary source" in one.source or (
            "strict reading" in one.source
        ), one.id


BR_ONLY = rule("registers", "X-6", 'key = "x"\nmax_age_days = 7\nsubdivisions = ["BR-SP"]')
HOURS = rule("hours", "X-1", "", week=DAY)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (text(rule("hours", "X-1", "colour = 1", week=DAY)), "X-1: Object contains unknown field `colour`"),
        (text("[rule]\n"), "Object contains unknown field `rule`"),
        (text(rule("hours", "X-1", "", week={"mon": [["09:00", "14:00"], ["13:00", "18:00"]]})),
         "X-1: mon: two of its hours overlap"),
        (text(rule("hours", "X-1", "", week={"mon": [["22:00", "06:00"]]})), "X-1: mon: 22:00 to 06:00 ends"),
        (text(rule("hours", "X-1", "", week={"monday": []})), "X-1: 'monday' is no day"),
        (text(rule("hours", "X-1", "", week={"mon": [["9", "18:00"]]})), "X-1: mon: '9' is no time"),
        (text(rule("hours", "X-1", "", week={})), "X-1: week: no day at all"),
        (text(rule("hours", "X-1", "")), "X-1: Object missing required field `week`"),
        (text(HOURS.replace('source = "a test"', "")), "X-1: Object missing required field `source`"),
        (text(HOURS.replace('"a test"', '" "')), "X-1: it has no source"),
        (text(HOURS.replace("verified = true", "")), "X-1: Object missing required field `verified`"),
        (text(HOURS + HOURS), "X-1: there are two rules of this id"),
        (text(HOURS, zone="Europe/Sevilla"), "'Europe/Sevilla' is no time zone"),
        (text(HOURS, in_force="2026-02-01", expires="2026-01-31"), "it expires on 2026-01-31, before"),
        (text(HOURS, in_force="2026-02-30"), "Invalid date"),
        (text(HOURS, expires='"soon"'), "Invalid RFC3339 encoded date"),
        (text(HOURS).replace("version = 1", "version = 0"), "versions are counted from 1"),
        (text(HOURS).replace('key = "some"', 'key = "other"'), "its key is 'other'"),
        (text(HOURS) + 'key = "twice', ""),
        (text(rule("caps", "X-2", "days = 1\nmost = 0")), "X-2: most is less than 1"),
        (text(rule("caps", "X-2", "days = 1")), "X-2: Object missing required field `most`"),
        (text(rule("gaps", "X-3", "minutes = 60\npromised = 10")), "X-3: a promise does not shorten"),
        (text(announcement("within_hours = 36")), "X-4: the law counts as it is written"),
        (text(announcement("within_hours = 0\nhard = false")), "X-4: within_hours is less than 1"),
        (text(announcement("hard = false")), "X-4: Object missing required field `within_hours`"),
        (text(rule("gaps", "X-3", "minutes = 60\nbusy = 10")), "X-3: a busy tone does not shorten"),
        (text(rule("gaps", "X-3", "minutes = 60\nhard = false\nbusy = -1")), "X-3: busy is less than 0"),
        (text(rule("expiries", "X-4", "days = 0")), "X-4: days is less than 1"),
        (text(rule("caps", "X-2", 'days = 1\nmost = 2\nsubdivisions = ["US-FL"]')), "X-2: ['US-FL'] is no part"),
        (text(rule("caps", "X-2", 'days = 1\nmost = 2\nchannels = ["fax"]')), "X-2: Invalid enum value 'fax'"),
        (text(rule("caps", "X-2", "days = 1\nmost = 2\nchannels = []")), "X-2: it binds no channel"),
        (text(rule("holidays", "X-4", 'of = "part"'), country="XX"), "X-4: the holidays of 'XX'"),
        (text(rule("holidays", "X-4", 'of = "part"\nwindows = [["9:00"]]')), "X-4: windows: hours are pairs"),
        (text(base=""), "consent: nothing says what permits"),
        (text(base=BASE.partition("[fraud]")[0]), "fraud: nothing bounds"),
        (text(base=BASE.replace("[fraud]", "unlisted = true\n[fraud]")), "some-consent: it leans on registers"),
        (text(HOURS + rule("hours", "X-5", "", week={"tue": DAY["mon"]})), "X-1: its hours together leave no"),
        (text(BR_ONLY, base=BASE.replace("[fraud]", "unlisted = true\n[fraud]"), country="BR"),
         "some-consent: it leans on registers, and there is none for all"),
        (text().replace("extends", 'only_numbers = "("\nextends'), "only_numbers: '(' is no pattern"),
        (text().replace("extends = []", 'extends = ["none"]'), "extends: there is no pack 'none'"),
        ("hours = 7\n" + text(), ""),
        ("hours = [7]\n" + text(), ""),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_its_rule(page: str, said: str) -> None:
    with pytest.raises(WrongPack) as raised:
        read({"some.toml": page})
    assert str(raised.value).startswith(f"some.toml: {said}")


def test_packs_that_extend_each_other_are_refused_with_the_circle() -> None:
    pages = {
        f"{key}.toml": text(key=key).replace("extends = []", f'extends = ["{other}"]')
        for key, other in (("a", "b"), ("b", "c"), ("c", "b"))
    }
    with pytest.raises(WrongPack, match=r"b\.toml: extends: a circle, b → c → b"):
        read(pages)


def test_what_a_pack_extends_adds_its_rules_and_takes_none_away() -> None:
    both = read({
        "some.toml": text(HOURS).replace("extends = []", 'extends = ["base"]'),
        "base.toml": text(rule("caps", "X-2", "days = 1\nmost = 2"), key="base", base=BASE.replace("some", "base")),
    })
    assert [one.id for one in both["some"].rules()] == ["some-consent", "some-fraud", "X-1", "X-2"]


def test_an_id_that_is_inherited_is_not_given_again() -> None:
    with pytest.raises(WrongPack, match=r"some\.toml: X-1: there are two rules of this id"):
        read({
            "some.toml": text(HOURS).replace("extends = []", 'extends = ["base"]'),
            "base.toml": text(HOURS, key="base", base=BASE.replace("some", "base")),
        })


def test_hours_are_minutes_and_holidays_may_be_open() -> None:
    pack = made(HOURS + rule("holidays", "X-4", 'of = "country"\nwindows = [["10:00", "24:00"]]'))
    assert pack.hours[0].week[:2] == (((540, 1080),), ())
    assert (pack.holidays[0].windows, pack.holidays[0].before) == (((600, 1440),), None)


def test_a_pack_is_a_value() -> None:
    assert made(HOURS) == made(HOURS)
    assert hash(made(HOURS)) == hash(made(HOURS))
    assert made(HOURS) != made(HOURS, expires="2098-12-31")


def test_the_files_are_those_of_the_package() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(shipped()) | {"house"}
