"""Why somebody may not be contacted now, said as people say it, in their language."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from router.model.guard import Barred, Consulted, Purpose, Snapshot, Try, may_contact
from router.model.packs import shipped
from router.wording import LOCALES, explain, grounds

MADRID = ZoneInfo("Europe/Madrid")
SATURDAY = datetime(2026, 11, 28, 12, 0, tzinfo=MADRID)
WEDNESDAY = datetime(2026, 11, 25, 12, 0, tzinfo=MADRID)


def said(at: datetime, locale: str = "en", pack: str = "ES", **values: Any) -> str:
    known: dict[str, Any] = {
        "phone": "+34910000001", "purpose": Purpose.commercial, "zones": ("Europe/Madrid",),
        "consents": frozenset({"commercial"}), "caller_id": "+34910000000", **values,
    }
    return explain(may_contact(Snapshot(pack=shipped()[pack], **known), at), locale, "Europe/Madrid")


@pytest.mark.parametrize(("locale", "sentence"), [
    ("en", "not before Monday 09:00 in Madrid: weekend (ES-96.2)"),
    ("es", "no antes del lunes a las 09:00, hora de Madrid: fin de semana (ES-96.2)"),
    ("it", "non prima di lunedì alle 09:00, ora di Madrid: fine settimana (ES-96.2)"),
    ("ru", "не раньше: понедельник, 09:00 (Мадрид): выходной день (ES-96.2)"),
])
def test_a_weekend_is_explained_with_its_end_and_its_rule(locale: str, sentence: str) -> None:
    assert said(SATURDAY, locale) == sentence


def test_the_same_day_is_only_a_time_and_a_far_one_has_its_date() -> None:
    assert said(WEDNESDAY.replace(hour=7)) == "not before 09:00 in Madrid: outside calling hours (ES-96.2)"
    far = said(WEDNESDAY, barred=[Barred("dropped", WEDNESDAY + timedelta(days=9))])
    assert far == "not before Friday, December 4, 2026 12:00 in Madrid: this person must not be contacted"


def test_a_full_cap_is_told_beside_the_hours_that_decide_when_it_is_free() -> None:
    night = WEDNESDAY.replace(hour=20)
    tries = [Try(night - timedelta(hours=hours), Purpose.commercial, "call") for hours in (21, 23)]
    assert said(night, tries=tries) == (
        "not before Thursday 09:00 in Madrid: as many tries as allowed in 1 day: 2 (house-day); "
        "outside calling hours (ES-96.2)"
    )


def test_what_nobody_verified_is_marked_and_so_is_a_pack_that_has_expired() -> None:
    later = datetime(2028, 1, 5, 12, 30, tzinfo=MADRID)
    assert said(WEDNESDAY.replace(hour=13), pack="FR") == (
        "not before 14:00 in Madrid: outside calling hours (FR-D.223-9, strict reading)"
    )
    assert said(later.replace(hour=8)) == (
        "not before 10:00 in Madrid: the rules of this country expired on October 31, 2027, the strict ones hold; "
        "outside calling hours (standard-hours)"
    )


def test_a_denial_names_all_that_forbids() -> None:
    stale = {"robinson": Consulted(WEDNESDAY - timedelta(days=40), False)}
    assert said(WEDNESDAY, consents=frozenset(), registers=stale, zones=()) == (
        "not allowed: there is no consent to offers (ES-66.1.b); what the register Lista Robinson said on October 16, "
        "2026 is too old (ES-robinson, strict reading); the time zone is not known: choose one"
    )


EVERYTHING: list[dict[str, Any]] = [
    {}, {"barred": [Barred("stop")], "paused": True, "countries": frozenset({"US"}), "caller_id": ""},
    {"phone": "", "countries": frozenset({"US"}), "caller_id": "+34600000001", "taken_back": frozenset({"commercial"}),
     "consents": frozenset(), "customer_until": WEDNESDAY, "registers": {"robinson": Consulted(WEDNESDAY, True)}},
    {"refused_at": WEDNESDAY, "tries": [Try(WEDNESDAY, Purpose.service, "call")] * 20},
    {"refused_at": WEDNESDAY, "tries": [Try(WEDNESDAY, Purpose.commercial, "call")] * 9},
    {"purpose": Purpose.code, "tries": [Try(WEDNESDAY, Purpose.code, "sms")] * 7},
]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("pack", sorted(shipped()))
def test_every_refusal_has_words_in_every_language(pack: str, locale: str) -> None:
    moments = [WEDNESDAY, SATURDAY, SATURDAY.replace(month=12, day=24, hour=23), WEDNESDAY.replace(year=2026, month=5),
               WEDNESDAY.replace(year=2028)]
    for values in EVERYTHING:
        for at in moments:
            text = said(at, locale, pack, **values)
            assert text
            assert "\n" not in text
            assert "  " not in text
            for code in ("cap.", "suppressed.", "register.", "pack.", ".hours", ".weekend", "consent.", "caller."):
                assert code not in text, text


@pytest.mark.parametrize(("locale", "sentence"), [
    ("en", "allowed: within calling hours, not called too often, agreed to offers"),
    ("es", "permitido: dentro del horario, sin pasar del tope de llamadas, acepta ofertas"),
])
def test_what_permits_it_is_said_too(locale: str, sentence: str) -> None:
    assert said(WEDNESDAY, locale) == sentence


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("purpose", [one for one in Purpose if one is not Purpose.commercial])
def test_no_answer_that_permits_is_an_id(locale: str, purpose: Purpose) -> None:
    verdict = may_contact(Snapshot(pack=shipped()["ES"], phone="+34910000001", purpose=purpose), WEDNESDAY)
    assert verdict.rules == (f"purpose.{purpose}",)
    assert verdict.rules[0] not in grounds("allow", verdict.rules, verdict.detail, locale)


def test_an_old_answer_is_told_by_what_it_rested_on_without_its_end() -> None:
    assert grounds("defer", ["ES.weekend"], {"ES.weekend": {"rule": "ES-96.2", "verified": True}}, "en") == (
        "weekend (ES-96.2)")
    assert grounds("allow", ["ES.hours", "basis.business"], {}, "en") == "within calling hours, a company"
