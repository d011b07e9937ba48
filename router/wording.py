"""Wording: pages and texts to people, from the templates, in the person's language.

Our own templates are Jinja; a campaign's own texts are only `{name}` placeholders and never reach Jinja.
"""

import io
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_location
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from router.model.guard import Verdict
from router.paths import TEMPLATES

LOCALES = ("en", "es", "it", "ru")
"""Languages in which every text exists; the first is the one the sources are written in."""


@lru_cache(2_000)
def negotiate(*wanted: str | None) -> str:
    """The best of our languages for an Accept-Language header or a tag; several are tried in turn."""
    for text in wanted:
        tags = [part.partition(";")[0].strip().replace("-", "_") for part in (text or "").split(",")[:10]]
        found = negotiate_locale([tag for tag in tags if re.fullmatch(r"[A-Za-z_]{2,16}", tag)], LOCALES)
        if found:
            return found
    return LOCALES[0]


def known(locale: str) -> str:
    """The locale itself if we speak it, else the first of ours."""
    return locale if locale in LOCALES else LOCALES[0]


def money(minor: int, currency: str, locale: str) -> str:
    """An amount in minor units, e.g. 4990 EUR in Spanish: "49,90 €"."""
    digits = get_currency_precision(currency)
    return format_currency(_scaled(minor, digits), currency, locale=known(locale))


def _scaled(minor: int, digits: int) -> Decimal:
    return Decimal(minor).scaleb(-digits)


def moment(at: datetime, zone: str, locale: str) -> str:
    """A promised time: day, time and zone, e.g. "Monday, December 7, 2026, 13:00 CET"."""
    there = at.astimezone(ZoneInfo(zone))
    return f"{format_date(there, 'full', locale=known(locale))}, {there:%H:%M} {zone_name(there)}"


def brief(at: datetime, zone: str, locale: str) -> str:
    """As `moment`, for a text message or a list, e.g. "Mon 7 Dec, 13:00 CET"."""
    there = at.astimezone(ZoneInfo(zone))
    return f"{format_datetime(there, 'EEE d MMM', locale=known(locale))}, {there:%H:%M} {zone_name(there)}"


def zone_name(there: datetime) -> str:
    """The letters of a local time's zone, else what it is ahead of UTC."""
    name = there.tzname() or ""
    return name if name.isalpha() else format_datetime(there, "ZZZZ", locale="en")


def city(zone: str, locale: str) -> str:
    """Where a zone's clock hangs, e.g. "Madrid"."""
    return get_timezone_location(ZoneInfo(zone), locale=known(locale), return_city=True) if zone else ""


def clock(at: datetime, zone: str, locale: str) -> str:
    """A time of today, to the second, with its zone, e.g. "13:00:30 CET"."""
    there = at.astimezone(ZoneInfo(zone))
    return f"{format_datetime(there, 'HH:mm:ss', locale=known(locale))} {zone_name(there)}"


def hour(at_ms: float, zone: str) -> str:
    """A moment (milliseconds since 1970) as a clock in `zone` shows it, e.g. "15:30"."""
    return f"{datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)):%H:%M}"


def day(at: date, locale: str) -> str:
    return format_date(at, "long", locale=known(locale))


def ago(seconds: float, locale: str) -> str:
    """A short relative span such as "3 min"."""
    return format_timedelta(max(1, round(seconds)), format="short", locale=known(locale), threshold=1.2)


def number(value: Any, locale: str) -> str:
    return format_decimal(value, locale=known(locale))


def span(seconds: float, locale: str) -> str:
    """How long something took, e.g. "3 min"."""
    return format_timedelta(round(seconds), format="short", locale=known(locale), threshold=2)


def percent(share: float, locale: str) -> str:
    return format_percent(share, locale=known(locale))


def rate(basis_points: int, locale: str) -> str:
    """Basis points as people read them, e.g. "12,5 %"."""
    return f"{number(Decimal(basis_points) / 100, locale)}\u00a0%"


def skill(key: str, locale: str) -> str:
    """A skill as people read it: a language by its name, anything else by its key."""
    if len(key) == 2 and (name := Locale.parse(known(locale)).languages.get(key)):
        return str(name)
    return key


def country(key: str, locale: str) -> str:
    """A country by its name and its two letters, e.g. "España (ES)"; anything else by its key."""
    name = Locale.parse(known(locale)).territories.get(key) if len(key) == 2 else None
    return f"{name} ({key})" if name else key


def language(locale: str) -> str:
    """The language's name in itself."""
    try:
        return Locale.parse(locale).get_display_name() or locale
    except (UnknownLocaleError, ValueError):
        return locale


def fill(text: str, values: Mapping[str, str]) -> str:
    """A campaign's own text with its `{name}` placeholders filled; unknown ones stay as they are."""
    return re.sub(r"\{([a-z_]{1,40})\}", lambda found: values.get(found.group(1), found.group(0)), text)


def _catalogue(folder: Path) -> Translations:
    merged = Catalog(locale=folder.name)
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            part = read_po(file, locale=folder.name)
        # The rule the sentences were written for: what a library knows of a language changes with its versions.
        if any(message.pluralizable for message in part):
            merged.mime_headers = [("Plural-Forms", part.plural_forms)]
        for message in part:
            if message.id:
                merged.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, merged)
    compiled.seek(0)
    return Translations(compiled)


class Wording:
    """All templates in all languages. `templates` is the folder they stand in."""

    def __init__(self, templates: Path) -> None:
        self._translations = {locale: _catalogue(templates / "locale" / locale) for locale in LOCALES}
        self._pages = {locale: self._environment(templates, locale, escape=True) for locale in LOCALES}
        self._texts = {locale: self._environment(templates, locale, escape=False) for locale in LOCALES}

    def _environment(self, templates: Path, locale: str, *, escape: bool) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=escape,  # noqa: S701  texts for telephones are not HTML
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_translations(self._translations[locale], newstyle=True)  # type: ignore[attr-defined]
        environment.globals["locale"] = locale
        environment.filters.update(
            money=lambda minor, currency: money(minor, currency, locale),
            moment=lambda at, zone: moment(at, zone, locale),
            brief=lambda at, zone: brief(at, zone, locale),
            clock=lambda at, zone: clock(at, zone, locale),
            city=lambda zone: city(zone, locale),
            day=lambda at: day(at, locale),
            hour=hour,
            ago=lambda seconds: ago(seconds, locale),
            number=lambda value: number(value, locale),
            span=lambda seconds: span(seconds, locale),
            percent=lambda share: percent(share, locale),
            rate=lambda basis_points: rate(basis_points, locale),
            skill=lambda key: skill(key, locale),
            country=lambda key: country(key, locale),
        )
        return environment

    def page(self, template: str, locale: str, **values: Any) -> str:
        """HTML; everything in `values` is escaped."""
        return self._pages[known(locale)].get_template(template).render(values)

    def text(self, template: str, locale: str, **values: Any) -> str:
        """Plain text, e.g. an SMS; lines are trimmed at the end."""
        return self._texts[known(locale)].get_template(template).render(values).strip()

    def mail(self, template: str, locale: str, **values: Any) -> tuple[str, str, str]:
        """Subject, plain text and HTML of a mail: of templates/email/, NAME.txt (whose block `subject` is one line) and
        NAME.html, in which everything in `values` is escaped."""
        plain = self._texts[known(locale)].get_template(f"email/{template}.txt")
        subject = "".join(plain.blocks["subject"](plain.new_context(values)))
        text = re.sub(r"\n{3,}", "\n\n", plain.render(values)).strip() + "\n"
        return " ".join(subject.split()), text, self.page(f"email/{template}.html", locale, **values)

    def say(self, sentence: str, locale: str, **values: Any) -> str:
        """One constant sentence of ours, in the person's language."""
        said = self._translations[known(locale)].gettext(sentence)
        return said % values if values else said


@cache
def wording() -> Wording:
    """The house's own templates, read once."""
    return Wording(TEMPLATES)


_RESTS = ("pack.", "cap.", "quiet.", "suppressed.", "fraud.")


def explain(verdict: Verdict, locale: str, zone: str) -> str:
    """Why somebody may not be contacted now, for people: "not before Monday 09:00 in Madrid: weekend (ES-96.2)".

    `zone` is the person's (IANA), whose clock is meant. Of a deferral are told the caps and rests that are full, and
    what decides when they are free."""
    told = verdict.rules
    if verdict.word == "defer":
        told = (*(rule for rule in told[:-1] if rule.startswith(_RESTS)), told[-1])
    return _explained(verdict.word, verdict.allowed, told, verdict.detail, locale, _when(verdict, locale, zone))


def grounds(word: str, rules: Sequence[str], detail: Mapping[str, Any], locale: str) -> str:
    """What an answer of the guard ("allow", "defer", "deny") rested on: "within calling hours, agreed to offers"."""
    return _explained("why", word == "allow", rules, detail, locale)


def why(rule: str, detail: Mapping[str, Any], locale: str) -> str:
    """What a rule of the guard forbids, without saying until when: "weekend (ES-96.2)"."""
    return grounds("deny", [rule], {rule: detail}, locale)


def _explained(
    word: str, allowed: bool, rules: Sequence[str], detail: Mapping[str, Any], locale: str,
    when: Mapping[str, str] = MappingProxyType({}),
) -> str:
    reasons = [(rule, rule.rpartition(".")[2], _shown(detail.get(rule, {}), locale)) for rule in rules]
    return wording().text("guard/explain.txt", locale, word=word, allowed=allowed, reasons=reasons, when=when)


DAYS = ("as_of", "counted_until", "expires", "in_force")


def _shown(detail: Mapping[str, Any], locale: str) -> Mapping[str, Any]:
    """The detail of a rule with its days as people read them."""
    days = {name: day(date.fromisoformat(detail[name][:10]), locale) for name in DAYS
            if name in detail}
    return {**detail, **days}


def _when(verdict: Verdict, locale: str, zone: str) -> Mapping[str, str]:
    """Day ("" for the day it is asked on), time and place; the day with its date when it is a week ahead or more."""
    if verdict.until is None:
        return {}
    where = ZoneInfo(zone)
    there, asked = verdict.until.astimezone(where), datetime.fromisoformat(verdict.detail["at"]).astimezone(where)
    ahead = (there.date() - asked.date()).days
    said = format_date(there, "EEEE" if ahead < 7 else "full", locale=known(locale))
    return {
        "day": said if ahead else "", "time": f"{there:%H:%M}",
        "place": city(zone, locale),
    }
