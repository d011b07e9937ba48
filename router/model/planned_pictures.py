"""The picture of a plan as SVG: a row for each day, a field for each hour. Pure; light and dark as the page is."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from html import escape
from zoneinfo import ZoneInfo

from router.model.planning import Count, Forecast, Hour

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 104, 110, 84, 16
ROW = 34
DEEPEST = 0.5
"""How much colour the fullest hour has: figures stay readable on it."""

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24 } .soft { fill: #57606a; font-size: 12px }
.title { font-size: 14px } .field { fill: #0b5fff } .grid { stroke: #d0d7de } .texts { font-size: 11px; fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft, .texts { fill: #b1bac4 } .field { fill: #79a8ff } .grid { stroke: #3d444d } }
"""


def shown(count: Count, point: str = ".") -> str:
    """A mean as people read it: none as nothing, small ones with a decimal behind `point`."""
    if count.mean < 0.05:
        return ""
    return f"{count.mean:.1f}".replace(".", point) if count.mean < 9.95 else f"{count.mean:.0f}"


def both(hour: Hour) -> Count:
    """Texts and mails together."""
    return Count(hour.texts.mean + hour.mails.mean)


def planned(
    title: str, legend: str, forecast: Forecast, days: Sequence[str], columns: tuple[str, str], *, point: str = "."
) -> str:
    """The calls of every hour, below them texts and mails; at the right the day's calls and the agents its fullest hour
    needs. `days` name the rows, `columns` the two at the right, `legend` says what the figures are: what is written
    comes from whoever asks for it, in his language, and so does the decimal `point`."""
    rows = by_day(forecast)
    first, last = span(forecast)
    wide = (WIDTH - LEFT - RIGHT) / (last - first)
    fullest = max((hour.calls.mean for hour in forecast.hours), default=0.0) or 1.0
    high = TOP + ROW * len(rows) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        f'<text class="soft" x="16" y="46">{escape(legend)}</text>',
    ]
    for number in range(first, last):
        parts.append(_text("soft", LEFT + wide * (number - first + 0.5), TOP - 10, f"{number:02d}"))
    for place, one in enumerate(columns):
        parts.append(_text("soft", WIDTH - RIGHT + 22 + 62 * place, TOP - 10, one))
    for place, ((_, hours), name) in enumerate(zip(rows, days, strict=True)):
        y = TOP + ROW * place
        parts.append(f'<line class="grid" x1="16" x2="{WIDTH - 12}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="16" y="{y + 21}">{escape(name)}</text>')
        for at, hour in hours:
            parts += _field(hour, LEFT + wide * (at - first), y, wide, hour.calls.mean / fullest, point)
        calls = Count(sum(hour.calls.mean for _, hour in hours))
        needed = max(hour.needed for _, hour in hours)
        parts.append(_text("", WIDTH - RIGHT + 22, y + 21, shown(calls, point)))
        parts.append(_text("", WIDTH - RIGHT + 84, y + 21, str(needed or "")))
    return "\n".join([*parts, "</svg>"])


def _text(css: str, x: float, y: float, said: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(said)}</text>'


def _field(hour: Hour, x: float, y: float, wide: float, share: float, point: str) -> Iterator[str]:
    if share:
        yield (f'<rect class="field" x="{x + 1:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{ROW - 2}" '
               f'fill-opacity="{DEEPEST * share:.2f}"/>')
    if said := shown(hour.calls, point):
        yield _text("", x + wide / 2, y + 15, said)
    if said := shown(both(hour), point):
        yield _text("texts", x + wide / 2, y + 28, said)


def by_day(forecast: Forecast) -> list[tuple[date, list[tuple[int, Hour]]]]:
    """The hours by their day on the plan's wall, each with the hour its clock shows."""
    found: dict[date, list[tuple[int, Hour]]] = {}
    for hour in forecast.hours:
        local = wall(hour.start, forecast.zone)
        found.setdefault(local.date(), []).append((local.hour, hour))
    return list(found.items())


def span(forecast: Forecast) -> tuple[int, int]:
    """From which hour of the clock to which there is anything at all."""
    full = [wall(hour.start, forecast.zone).hour for hour in forecast.hours if not hour.is_empty]
    return min(full, default=9), max(full, default=17) + 1


def wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone))
