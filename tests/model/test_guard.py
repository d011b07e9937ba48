"""The guard: who may be contacted now, by which rule."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.model.guard import Barred, Channel, Consulted, Purpose, Snapshot, Try, may_contact, next_open, windows
from router.model.packs import shipped
from router.model.zones import of_number
from tests.model.packing import ALL_DAYS, made, rule

PACKS = shipped()
MADRID = ZoneInfo("Europe/Madrid")
WEDNESDAY = datetime(2026, 11, 25, 11, 0, tzinfo=MADRID)


def tried(*moments: datetime, purpose: Purpose = Purpose.commercial, channel: str = "call") -> list[Try]:
    return [Try(moment, purpose, channel) for moment in moments]


def ask(pack: str = "standard", purpose: Purpose = Purpose.commercial, at: datetime = WEDNESDAY, **values):  # type: ignore[no-untyped-def]
    known = {
        "phone": "+12025550101",
        "consents": frozenset({"requested", "commercial"}),
        "zones": ("Europe/Madrid",),
        **values,
    }
    return may_contact(Snapshot(pack=PACKS[pack], purpose=purpose, **known), at)


def test_the_demonstration_is_open_on_sunday_at_three_in_the_morning() -> None:
    verdict = ask("demo", at=datetime(2026, 11, 22, 3, 0, tzinfo=MADRID))
    assert verdict.allowed
    assert "demo.hours" in verdict.rules


@pytest.mark.parametrize(
    ("sunday", "opens"),
    [
        (datetime(2026, 11, 22, 3, 0, tzinfo=MADRID), datetime(2026, 11, 23, 10, 0, tzinfo=MADRID)),
        # The clocks go back on Sunday 25 October 2026 at 3:00, and forward on Sunday 28 March 2027 at 2:00.
        (datetime(2026, 10, 25, 2, 30, tzinfo=MADRID), datetime(2026, 10, 26, 10, 0, tzinfo=MADRID)),
        (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=MADRID), datetime(2026, 10, 26, 10, 0, tzinfo=MADRID)),
        (datetime(2027, 3, 28, 1, 59, tzinfo=MADRID), datetime(2027, 3, 29, 10, 0, tzinfo=MADRID)),
        (datetime(2027, 3, 26, 20, 0, tzinfo=MADRID), datetime(2027, 3, 29, 10, 0, tzinfo=MADRID)),
    ],
)
def test_the_standard_pack_waits_for_monday_at_ten_by_the_callees_clock(sunday: datetime, opens: datetime) -> None:
    verdict = ask(at=sunday.astimezone(UTC))
    assert verdict.word == "defer"
    assert verdict.rules[-1] == "standard.weekend"
    assert verdict.until is not None
    assert verdict.until.astimezone(UTC) == opens.astimezone(UTC)
    assert ask(at=verdict.until).allowed


@settings(max_examples=150, deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["Europe/Madrid", "America/Santiago", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia"]),
    st.sampled_from(["standard", "demo"]),
)
def test_a_deferral_ends_when_the_window_is_open_and_never_before_now(at: datetime, zone: str, pack: str) -> None:
    opens = next_open(PACKS[pack], (zone,), at)
    assert opens is not None
    assert opens >= at
    assert next_open(PACKS[pack], (zone,), opens) == opens
    local = opens.astimezone(ZoneInfo(zone))
    assert pack == "demo" or local.isoweekday() <= 5
    if pack == "demo":
        assert opens == at


def test_the_demonstration_calls_reserved_numbers_only() -> None:
    for purpose in Purpose:
        assert ask("demo", purpose, phone="+34600000001").rules == ("demo.number",)
        assert ask("demo", purpose, phone="+12025550101\n").rules == ("demo.number",)
    assert ask("demo").allowed


def test_the_demonstration_is_open_in_the_last_instant_of_the_day() -> None:
    assert ask("demo", at=datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=MADRID)).allowed


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_suppression_denies_every_purpose(purpose: Purpose) -> None:
    verdict = ask("demo", purpose, barred=[Barred("stop")])
    assert (verdict.word, verdict.rules, verdict.until) == ("deny", ("suppressed.stop",), None)


@pytest.mark.parametrize("purpose", [Purpose.requested, Purpose.code, Purpose.service])
def test_hours_caps_and_commercial_consent_bind_only_what_we_start(purpose: Purpose) -> None:
    tries = [WEDNESDAY - timedelta(minutes=minute) for minute in range(5)]
    verdict = ask(
        "standard", purpose, at=datetime(2026, 11, 22, 3, 0, tzinfo=MADRID), consents=frozenset(), tries=tried(*tries)
    )
    assert verdict.allowed
    assert verdict.rules == (f"purpose.{purpose}",)


def test_nothing_commercial_without_consent() -> None:
    assert ask(consents=frozenset({"requested"})).rules == ("consent.commercial",)


def test_a_third_try_in_a_day_waits_until_the_first_is_a_day_old() -> None:
    tries = [WEDNESDAY - timedelta(hours=20), WEDNESDAY - timedelta(hours=3)]
    verdict = ask(tries=tried(*tries))
    assert (verdict.word, verdict.rules) == ("defer", ("cap.day",))
    assert verdict.until == tries[0] + timedelta(days=1)


def test_a_fifth_try_in_a_week_waits_until_the_first_is_a_week_old() -> None:
    tries = [WEDNESDAY - timedelta(days=days) for days in (6, 5, 4, 2)]
    verdict = ask(tries=tried(*tries))
    assert verdict.rules == ("cap.week",)
    assert verdict.until == tries[0] + timedelta(days=7)


def test_two_tries_keep_their_distance() -> None:
    verdict = ask(tries=tried(WEDNESDAY - timedelta(hours=1)))
    assert verdict.rules == ("cap.gap",)
    assert verdict.until == WEDNESDAY + timedelta(hours=1)


def test_codes_are_bounded_by_number_even_when_asked_for() -> None:
    tries = [WEDNESDAY - timedelta(hours=hour) for hour in range(1, 7)]
    verdict = ask(purpose=Purpose.code, tries=tried(*tries, purpose=Purpose.code))
    assert verdict.rules == ("fraud.codes_day",)
    assert verdict.until == min(tries) + timedelta(days=1)
    assert ask(purpose=Purpose.service, tries=tried(*tries, purpose=Purpose.code)).allowed


@pytest.mark.parametrize("purpose", list(Purpose))
def test_whatever_the_purpose_a_number_is_tried_only_so_often_a_day(purpose: Purpose) -> None:
    verdict = ask(purpose=purpose, tries=tried(
        *(WEDNESDAY - timedelta(minutes=minute) for minute in range(1, 21)), purpose=Purpose.service
    ))
    assert "fraud.number_day" in verdict.rules
    assert verdict.word == "defer"


def test_the_latest_of_several_deferrals_decides_and_all_are_named() -> None:
    sunday = datetime(2026, 11, 22, 3, 0, tzinfo=MADRID)
    verdict = ask(at=sunday, tries=tried(sunday - timedelta(hours=1)))
    assert verdict.rules == ("cap.gap", "standard.weekend")
    assert verdict.until == datetime(2026, 11, 23, 10, 0, tzinfo=MADRID)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60 * 24 * 14), max_size=12), st.sampled_from(["standard", "demo"]))
def test_a_deferral_is_always_in_the_future(minutes: list[int], pack: str) -> None:
    tries = [WEDNESDAY - timedelta(minutes=minute) for minute in minutes]
    verdict = ask(pack, tries=tried(*tries))
    assert verdict.allowed or (verdict.until is not None and verdict.until > WEDNESDAY)


@pytest.mark.parametrize(
    ("phone", "countries", "rule"),
    [
        ("+34600000001", {"ES"}, ""),
        ("+12025550101", {"ES"}, "number.country"),
        ("+34803123456", {"ES"}, "number.number_type"),
        ("", {"ES"}, "number.number_type"),
        ("+12025550101", set(), ""),
    ],
)
def test_numbers_of_other_countries_and_dear_ones_are_called_for_no_purpose(
    phone: str, countries: set[str], rule: str
) -> None:
    for purpose in Purpose:
        verdict = ask(purpose=purpose, phone=phone, countries=frozenset(countries))
        assert verdict.allowed == (not rule)
        assert not rule or verdict.rules == (rule,)


# What a country adds

SATURDAY = datetime(2026, 11, 28, 12, 0, tzinfo=MADRID)
FRIDAY_NIGHT = datetime(2026, 11, 27, 21, 30, tzinfo=MADRID)


def spain(at: datetime = WEDNESDAY, **values):  # type: ignore[no-untyped-def]
    return ask("ES", at=at, **{"phone": "+34910000001", "caller_id": "+34910000000", **values})


def madrid(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MADRID)


def test_the_reasons_are_named_with_the_rule_of_the_file_and_its_source() -> None:
    verdict = spain(FRIDAY_NIGHT)
    assert verdict.rules == ("ES.hours", "ES.weekend")
    assert verdict.until == madrid("2026-11-30T09:00")
    assert verdict.detail["ES.weekend"] == {
        "rule": "ES-96.2", "source": "TRLGDCU art. 96.2, read", "verified": True, "zone": "Europe/Madrid",
        "day": "2026-11-28",
    }
    assert verdict.detail["pack"] == {"key": "ES", "version": PACKS["ES"].version}


def test_christmas_in_spain_lasts_until_the_monday_after() -> None:
    verdict = spain(madrid("2026-12-25T12:00"))
    assert verdict.rules == ("ES.holiday", "ES.weekend")
    assert verdict.until == madrid("2026-12-28T09:00")


@pytest.mark.parametrize(
    ("subdivisions", "rules"),
    [(("ES-CT",), ("ES.holiday",)), (("ES-MD",), ()), ((), ("ES.holiday",)), (("ES-MD", "ES-CT"), ("ES.holiday",)),
     (("ES-Q",), ("ES.holiday",))],
)
def test_a_holiday_of_one_part_counts_there_and_wherever_the_part_is_not_known(
    subdivisions: tuple[str, ...], rules: tuple[str, ...]
) -> None:
    saint_john = madrid("2027-06-24T12:00")
    verdict = spain(saint_john, subdivisions=subdivisions)
    assert verdict.allowed == (not rules)
    assert verdict.allowed or verdict.rules == rules


def test_the_day_before_a_holiday_has_hours_of_its_own_in_italy() -> None:
    rome = ZoneInfo("Europe/Rome")
    known = {
        "phone": "+390612345678", "zones": ("Europe/Rome",), "subdivisions": ("IT-RM",),
        "registers": {"rpo": Consulted(datetime(2026, 12, 20, tzinfo=UTC), False)},
    }
    eve = datetime(2026, 12, 24, 9, 30, tzinfo=rome)
    verdict = ask("IT", at=eve, **known)
    assert verdict.rules == ("IT.eve",)
    assert verdict.until == eve.replace(hour=10, minute=0)
    assert ask("IT", at=eve - timedelta(days=1), **known).allowed


def test_a_mobile_of_spain_is_called_when_it_is_decent_in_the_canaries_too() -> None:
    verdict = spain(madrid("2026-11-25T09:30"), zones=of_number("+34600000001"))
    assert verdict.until == madrid("2026-11-25T10:00")
    assert spain(madrid("2026-11-25T20:30"), zones=of_number("+34600000001")).allowed


def test_a_mobile_of_russia_is_called_two_hours_a_day() -> None:
    day = datetime(2026, 11, 25, tzinfo=UTC)
    (found,) = windows(PACKS["RU"], of_number("+79161234567"), day, day + timedelta(days=1))
    assert found == (day.replace(hour=7), day.replace(hour=9))


@pytest.mark.parametrize("zones", [(), ("Etc/Unknown",), ("Europe/Madrid", "Etc/Unknown"), ("../../etc/passwd",),
                                   of_number("+18005550123"), ("Pacific/Guam", "America/New_York")])
def test_who_may_be_anywhere_is_not_deferred_for_ever_but_a_person_must_choose(zones: tuple[str, ...]) -> None:
    verdict = ask("US", zones=zones, caller_id="+12025550101")
    assert (verdict.word, verdict.rules) == ("deny", ("zone.unknown",))
    assert ask("US", Purpose.requested, zones=zones).allowed
    assert ask("demo", zones=zones).allowed


def test_an_unknown_state_has_the_hours_of_all_of_them() -> None:
    east = ZoneInfo("America/New_York")
    known = {"zones": ("America/New_York",), "caller_id": "+12025550101"}
    morning = datetime(2026, 11, 25, 7, 0, tzinfo=east)
    assert ask("US", at=morning, subdivisions=("US-NY",), **known).until == morning.replace(hour=8)
    assert ask("US", at=morning, subdivisions=("US-KY",), **known).until == morning.replace(hour=10)
    (day,) = windows(PACKS["US"], ("America/New_York",), morning, morning + timedelta(hours=20))
    assert day == (morning.replace(hour=10), morning.replace(hour=17))


# Consent, registers and the number shown

TODAY = Consulted(WEDNESDAY - timedelta(hours=1), False)


@pytest.mark.parametrize(
    ("known", "rules"),
    [
        ({}, ("consent.commercial", "register.robinson.missing")),
        ({"registers": {"robinson": TODAY}}, ("consent.commercial",)),
        ({"customer_until": WEDNESDAY - timedelta(days=364)}, ("register.robinson.missing",)),
        ({"customer_until": WEDNESDAY - timedelta(days=364), "registers": {"robinson": TODAY}}, ()),
        ({"customer_until": WEDNESDAY + timedelta(days=90), "registers": {"robinson": TODAY}}, ()),
        ({"customer_until": WEDNESDAY - timedelta(days=366), "registers": {"robinson": TODAY}},
         ("consent.commercial",)),
        ({"customer_until": WEDNESDAY, "registers": {"robinson": Consulted(WEDNESDAY - timedelta(days=31), False)}},
         ("register.robinson.stale",)),
        ({"customer_until": WEDNESDAY, "registers": {"robinson": Consulted(TODAY.as_of, True)}},
         ("register.robinson.listed",)),
        ({"customer_until": WEDNESDAY, "registers": {"robinson": TODAY}, "taken_back": frozenset({"commercial"})},
         ("consent.withdrawn",)),
        ({"customer_until": WEDNESDAY, "registers": {"robinson": TODAY}, "channel": Channel.sms},
         ("consent.commercial",)),
    ],
)
def test_without_consent_a_relation_counts_until_a_year_after_and_the_register_is_asked(
    known: dict[str, object], rules: tuple[str, ...]
) -> None:
    verdict = spain(consents=frozenset(), **known)
    assert verdict.allowed == (not rules)
    assert verdict.rules == rules or (verdict.allowed and "basis.relation" in verdict.rules)
    assert spain(**{**known, "taken_back": frozenset()}).allowed, "with consent nobody need be asked"


def test_an_entry_in_italys_register_wipes_the_consent_before_it() -> None:
    known = {"phone": "+390612345678", "zones": ("Europe/Rome",),
             "registers": {"rpo": Consulted(WEDNESDAY - timedelta(days=2), True)}}
    for days, word in ((3, "deny"), (1, "allow")):
        given = {"commercial": WEDNESDAY - timedelta(days=days)}
        assert ask("IT", consented_at=given, **known).word == word
    assert ask("IT", **known).rules == ("register.rpo.listed",)
    assert ask("IT", consents=frozenset(), customer_until=WEDNESDAY - timedelta(days=30), **known).allowed
    assert not ask("IT", consents=frozenset(), customer_until=WEDNESDAY - timedelta(days=31), **known).allowed


GERMAN = {"phone": "+4930123456", "zones": ("Europe/Berlin",), "caller_id": "+4930123400"}
FIVE_YEARS = timedelta(days=1826)


@pytest.mark.parametrize(("ago", "word"), [(FIVE_YEARS, "allow"), (FIVE_YEARS + timedelta(seconds=1), "deny")])
def test_a_consent_counts_as_long_as_the_pack_says_and_is_named_when_it_has_ended(ago: timedelta, word: str) -> None:
    verdict = ask("DE", consented_at={"commercial": WEDNESDAY - ago}, **GERMAN)
    assert verdict.word == word
    french = {"phone": "+33123456789", "zones": ("Europe/Paris",)}
    assert ask("FR", consented_at={"commercial": WEDNESDAY - ago}, **french).allowed, "where the pack says nothing"
    if word == "deny":
        assert verdict.rules == ("consent.expired",)
        assert verdict.detail["consent.expired"]["rule"] == "DE-UWG-7a-age"
        assert verdict.detail["consent.expired"]["counted_until"] == (WEDNESDAY - timedelta(seconds=1)).isoformat()


def test_a_consent_nobody_knows_the_age_of_does_not_count_where_its_age_counts() -> None:
    assert ask("DE", **GERMAN).rules == ("consent.expired",)
    assert ask("DE", business=True, **GERMAN).allowed, "another basis does not grow old"
    assert ask("DE", purpose=Purpose.requested, **GERMAN).allowed


def busy_then(*waits: int, calls: str = "busy") -> list[Try]:
    """Calls up to now, so many minutes apart; each met a busy tone, or as `calls` says."""
    at, found = WEDNESDAY, list[Try]()
    for wait, how in zip(reversed(waits), reversed(calls.split()), strict=True):
        at -= timedelta(minutes=wait)
        found.append(Try(at, Purpose.commercial, "call", busy=how == "busy"))
    return found


OWN_GAP = rule("gaps", "own-gap", "minutes = 120\nhard = false\nbusy = 10")
AGREED: dict[str, Any] = {
    "phone": "+34910000001", "purpose": Purpose.commercial, "consents": frozenset({"commercial"}),
}


@pytest.mark.parametrize(("tries", "allowed"), [
    (busy_then(10), True), (busy_then(9), False), (busy_then(10, calls="missed"), False),
    (busy_then(10, 10, calls="busy busy"), False), (busy_then(10, 10, calls="busy missed"), False),
    (busy_then(130, 10, calls="missed busy"), True), (busy_then(10, 120, calls="busy missed"), True),
    ([*busy_then(20), Try(WEDNESDAY - timedelta(minutes=12), Purpose.commercial, "sms")], False),
])
def test_one_call_follows_a_busy_tone_after_ten_minutes_and_no_second(tries: list[Try], allowed: bool) -> None:
    verdict = may_contact(Snapshot(pack=made(OWN_GAP), tries=tries, **AGREED), WEDNESDAY)
    assert verdict.allowed == allowed
    assert allowed or verdict.rules == ("cap.gap",)
    later = max(one.at for one in tries) + timedelta(minutes=120)
    assert may_contact(Snapshot(pack=made(OWN_GAP), tries=tries, channel=Channel.sms, **AGREED), later).allowed
    text = may_contact(Snapshot(pack=made(OWN_GAP), tries=tries, channel=Channel.sms, **AGREED), WEDNESDAY)
    assert text.allowed == (later <= WEDNESDAY), "a text is no call"


def test_a_busy_tone_loosens_neither_a_cap_nor_a_gap_of_the_law() -> None:
    law = made(rule("gaps", "X-gap", "minutes = 60") + OWN_GAP)
    verdict = may_contact(Snapshot(pack=law, tries=busy_then(10), **AGREED), WEDNESDAY)
    assert verdict.until == WEDNESDAY + timedelta(minutes=50)
    assert ask(tries=[*busy_then(10), *tried(WEDNESDAY - timedelta(hours=5))]).rules[0] == "cap.day"


@pytest.mark.parametrize(("shown", "rule"), [("+34600000001", "caller.mobile"), ("", "caller.hidden"),
                                             ("+12025550101", "caller.mobile"), ("+34910000000", "")])
def test_spain_is_not_called_from_a_mobile_or_a_hidden_number(shown: str, rule: str) -> None:
    verdict = spain(caller_id=shown)
    assert verdict.allowed == (not rule)
    assert verdict.allowed or verdict.rules == (rule,)
    assert spain(caller_id=shown, channel=Channel.sms).allowed
    assert spain(caller_id=shown, purpose=Purpose.service).allowed


def test_all_denials_are_named_the_suppression_first() -> None:
    verdict = spain(
        SATURDAY, barred=[Barred("stop")], paused=True, consents=frozenset(), zones=(), caller_id="",
        countries=frozenset({"US"}),
    )
    assert verdict.rules == (
        "suppressed.stop", "number.country", "campaign.paused", "consent.commercial", "register.robinson.missing",
        "caller.hidden", "zone.unknown",
    )


@pytest.mark.parametrize(("channel", "only", "word"), [("", "call", "defer"), ("sms", "call", "allow"),
                                                       ("call", "call", "defer"), ("call", "mail", "allow")])
def test_a_suppression_with_an_end_waits_for_it_on_its_channel(channel: str, only: str, word: str) -> None:
    bars = [Barred("dropped", WEDNESDAY + timedelta(hours=72), channel)]
    for purpose in Purpose:
        verdict = ask(purpose=purpose, barred=bars, channel=Channel(only))
        assert verdict.word == word
    assert ask(barred=[Barred("dropped", WEDNESDAY, channel)]).allowed, "it has ended"


# Caps, rests and promises

def days_ago(*days: float, channel: str = "call") -> list[Try]:
    return tried(*(WEDNESDAY - timedelta(days=one) for one in days), channel=channel)


def test_a_promised_callback_exceeds_our_own_caps_but_not_those_of_the_law() -> None:
    paris = {"phone": "+33123456789", "zones": ("Europe/Paris",)}
    today = tried(*(WEDNESDAY - timedelta(minutes=minutes) for minutes in (30, 45)))
    assert ask("FR", tries=today, **paris).rules == ("cap.gap", "cap.day")
    assert ask("FR", tries=today, promised=True, **paris).allowed
    just_now = tried(WEDNESDAY - timedelta(minutes=4))
    assert ask("FR", tries=just_now, promised=True, **paris).until == WEDNESDAY + timedelta(minutes=6)
    four = days_ago(3, 9, 15, 21)
    assert ask("FR", tries=four, promised=True, **paris).rules[0] == "cap.month"
    assert ask("FR", tries=days_ago(3, 9, 15, 21, channel="sms"), promised=True, **paris).allowed


def test_after_a_refusal_france_has_sixty_days_of_rest_and_we_ninety() -> None:
    paris = {"phone": "+33123456789", "zones": ("Europe/Paris",)}
    for days, promised, allowed in ((59, True, False), (60, True, True), (60, False, False), (90, False, True)):
        verdict = ask("FR", refused_at=WEDNESDAY - timedelta(days=days), promised=promised, **paris)
        assert verdict.allowed == allowed, (days, promised)


def test_a_cap_that_is_free_again_at_night_waits_for_the_morning() -> None:
    at = madrid("2026-11-26T20:30")
    verdict = spain(at, tries=tried(at - timedelta(hours=22), at - timedelta(hours=23)))
    assert verdict.until == madrid("2026-11-27T09:00")
    assert verdict.rules == ("cap.day", "ES.hours")
    assert spain(verdict.until, tries=tried(at - timedelta(hours=22), at - timedelta(hours=23))).allowed


def test_only_the_channels_of_a_rule_bind_and_mail_needs_no_hour_but_consent() -> None:
    sunday = madrid("2026-11-29T03:00")
    assert spain(sunday, channel=Channel.mail, phone="", zones=()).allowed
    assert spain(sunday, channel=Channel.mail, phone="", zones=(), consents=frozenset()).word == "deny"
    for channel in (Channel.call, Channel.sms, Channel.whatsapp):
        assert spain(sunday, channel=channel).word == "defer"


# A pack's own days

@pytest.mark.parametrize(
    ("at", "rule", "opens"),
    [
        ("2027-10-29T09:30", "", "2027-10-29T09:30"),
        ("2027-11-03T09:30", "pack.expired", "2027-11-03T10:00"),
        ("2026-10-28T09:30", "pack.early", "2026-10-28T10:00"),
    ],
)
def test_outside_its_days_a_pack_is_bound_by_the_standard_too_and_says_so(at: str, rule: str, opens: str) -> None:
    verdict = spain(madrid(at))
    until = verdict.until or madrid(at)
    assert until == madrid(opens)
    assert [one for one in verdict.rules if one.startswith("pack.")] == [rule] * bool(rule)
    open_again = spain(until)
    assert open_again.allowed
    assert (rule in open_again.rules) == bool(rule)
    assert spain(madrid(at), purpose=Purpose.service).rules == ("purpose.service",)


def test_a_pack_that_expires_today_holds_until_midnight_of_its_country() -> None:
    pack = made(rule("hours", "X-1", "", week={day: [["00:00", "24:00"]] for day in ALL_DAYS}),
                expires="2026-11-25")
    known = {"phone": "+34910000001", "purpose": Purpose.commercial, "consents": frozenset({"commercial"}),
             "zones": ("Europe/Madrid",), "pack": pack}
    assert may_contact(Snapshot(**known), madrid("2026-11-25T23:59")).allowed
    verdict = may_contact(Snapshot(**known), madrid("2026-11-26T00:00"))
    assert verdict.rules == ("pack.expired", "standard.hours")
    assert verdict.until == madrid("2026-11-26T10:00")


# Clocks that jump

@pytest.mark.parametrize(
    ("zone", "opens", "at", "until"),
    [
        # Two o'clock does not come: three is the first moment inside the window.
        ("Europe/Madrid", "02:30", "2027-03-28T00:30+00:00", "2027-03-28T01:00+00:00"),
        # Half past two comes twice, and the hour before the second one is closed again.
        ("Europe/Madrid", "02:30", "2026-10-25T00:15+00:00", "2026-10-25T00:30+00:00"),
        ("Europe/Madrid", "02:30", "2026-10-25T01:10+00:00", "2026-10-25T01:30+00:00"),
        # Midnight does not come.
        ("Africa/Cairo", "00:30", "2027-04-29T21:30+00:00", "2027-04-29T22:00+00:00"),
        ("America/Santiago", "00:15", "2026-09-06T03:30+00:00", "2026-09-06T04:00+00:00"),
        # Eleven at night comes twice.
        ("America/Santiago", "23:30", "2027-04-04T02:10+00:00", "2027-04-04T02:30+00:00"),
        ("America/Santiago", "23:30", "2027-04-04T03:10+00:00", "2027-04-04T03:30+00:00"),
    ],
)
def test_the_wall_decides_when_the_clock_changes(zone: str, opens: str, at: str, until: str) -> None:
    hours = [[opens, "12:00" if opens < "12:00" else "24:00"]]
    pack = made(rule("hours", "X-1", "", week={day: hours for day in ALL_DAYS}))
    assert next_open(pack, (zone,), datetime.fromisoformat(at)) == datetime.fromisoformat(until)


@pytest.mark.parametrize(("hard", "announcement", "counts"), [
    ("true", True, 2), ("false", True, 1), ("false", False, 2),
])
def test_an_announcement_is_one_try_with_its_call_for_our_own_rules_alone(
    hard: str, announcement: bool, counts: int
) -> None:
    said = rule("announcement", "some-one", "hard = false\nwithin_hours = 36").replace("[[", "[").replace("]]", "]")
    cap = rule("caps", "some-cap", f"days = 1\nmost = 2\nhard = {hard}\nchannels = [\"call\", \"sms\"]")
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    known = Snapshot(
        pack=made((said if announcement else "") + cap), phone="+34910000001", purpose=Purpose.commercial,
        zones=("Europe/Madrid",), consents=frozenset({"commercial"}), tries=[
            Try(at - timedelta(hours=2), Purpose.commercial, "sms", with_call=True),
            Try(at - timedelta(hours=1), Purpose.commercial, "call"),
        ],
    )
    assert may_contact(known, at).allowed == (counts < 2)
