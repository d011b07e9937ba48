"""Pictures as SVG: figures that are looked at. Pure; light and dark as the reader's page is."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 56, 56
POINTS = 120

_STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1b1f24 } .soft { fill: #57606a; font-size: 12px }
.grid { stroke: #d0d7de } .seen { stroke: #0b5fff; stroke-width: 2.5; fill: none }
.expected { stroke: #57606a; stroke-dasharray: 5 5; stroke-width: 1.5; fill: none } .target { stroke: #b35900 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #3d444d } .seen { stroke: #79a8ff }
  .expected { stroke: #9198a1 } .target { stroke: #f0a35e } }
"""


def waits(
    title: str, answered: Sequence[float], offered: int, target_s: float, expected: Callable[[float], float] | None,
    legend: str = "",
) -> str:
    """The share of all arrivals that were answered within so many seconds. `answered` are their waits, rising;
    `expected` is what theory says of the same, or whatever it is compared with, if there is such. `legend` says which
    line is which, where that is no simulation against Erlang."""
    longest = max(4 * target_s, answered[int(len(answered) * 0.99)] if answered else 0.0)
    longest = 4 * target_s * math.ceil(longest / (4 * target_s))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(seconds: float, share: float) -> str:
        return f"{LEFT + wide * seconds / longest:.1f},{TOP + high * (1 - share):.1f}"

    def line(css: str, share: Callable[[float], float]) -> str:
        moments = [longest * point / POINTS for point in range(POINTS + 1)]
        return f'<polyline class="{css}" points="{" ".join(place(at, share(at)) for at in moments)}"/>'

    def seen(seconds: float) -> float:
        return bisect_right(answered, seconds) / offered if offered else 0.0

    at_target = seen(target_s)
    x, y = place(target_s, at_target).split(",")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}: {at_target:.1%} answered within {target_s:g} s"><style>{_STYLE}</style>',
        f'<text x="{LEFT}" y="26">{escape(title)}</text>',
        f'<text class="soft" x="{LEFT}" y="44">share of all arrivals that were answered within so many seconds</text>',
    ]
    for tenths in range(0, 11, 2):
        _, level = place(0, tenths / 10).split(",")
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level}" y2="{level}"/>')
        parts.append(f'<text class="soft" x="{LEFT - 8}" y="{level}" dy="4" text-anchor="end">{tenths * 10} %</text>')
    for quarter in range(5):
        across, _ = place(longest * quarter / 4, 0).split(",")
        parts.append(
            f'<text class="soft" x="{across}" y="{HEIGHT - BOTTOM + 22}" text-anchor="middle">'
            f"{longest * quarter / 4:.0f} s</text>"
        )
    if expected is not None:
        parts.append(line("expected", expected))
    parts += [
        line("seen", seen),
        f'<line class="target" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>',
        f'<text x="{float(x) + 8:.1f}" y="{float(y) + 22:.1f}">{at_target:.1%} within {target_s:g} s</text>',
        f'<text class="soft" x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end">'
        f"{escape(legend or _legend(expected))}</text></svg>",
    ]
    return "\n".join(parts)


def _legend(expected: object | None) -> str:
    return "simulated" if expected is None else "line: simulated, dashes: Erlang"
