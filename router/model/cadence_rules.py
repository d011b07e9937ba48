"""Cadences as data: the steps of the plan for a quiet quote, and what contradicts itself in them.

A version's body is a `CadencePlan`. Published versions never change; whoever is inside finishes his.
"""

from collections import Counter
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.model.calendars import Unit

MOST_CALLS = MOST_MESSAGES = 4
"""In one cadence. The law's caps and the house's bind besides, across all cadences."""
MOST_STEPS = 20
LEAST_NOTICE, MOST_NOTICE = 5, 1_440
"""Minutes between a text that announces a call, and the call."""

Amount = Annotated[int, Meta(ge=0, le=1_000)]


class Way(StrEnum):
    """How a step reaches the person."""

    sms = "sms"
    email = "email"
    whatsapp = "whatsapp"
    call_task = "call_task"


class Band(StrEnum):
    """When in its day a call is due: at once, in a part of the day not tried before, or in the best there is."""

    any = "any"
    other = "other"
    best = "best"


class Skip(StrEnum):
    """Conditions under which a step is left out."""

    opened = "opened"
    not_opened = "not_opened"
    talked = "talked"
    replied = "replied"


class Start(StrEnum):
    """What begins a cadence: the reasons of `router.model.staleness`, and events that have no quiet quote."""

    sign_abandoned = "sign_abandoned"
    hot_reopen = "hot_reopen"
    opened_unsigned = "opened_unsigned"
    never_opened = "never_opened"
    expiring = "expiring"
    idle = "idle"
    expired_winback = "expired_winback"
    cart_abandoned = "cart_abandoned"
    no_show = "no_show"
    sold = "sold"


class StepPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step. It is due `delay` `unit`s after its `anchor`: the end of the step before ("prev_done"), the beginning
    of the cadence ("enrol"), the end of the offer ("valid_until", where the delay counts backwards), or the end of an
    earlier step ("step:2").

    `otherwise` are ways to take when the first is not open to this person. Within `window` (wall clock, from and to) if
    it is given. A step late by more than `not_after` business minutes is planned anew, not fired. Unless
    `wait_for_completion` the next step is counted from when this one began. `template` names the text (one of `TEXTS`;
    "offer_again" by itself), `needs` the purpose it is agreed to. A call waits `life` business minutes for an agent,
    then it is left out; 0: the house's own patience, after which it is hurried once. `tier` is where it waits among the
    others (0: by why the cadence began). A call with `announce_minutes` is announced by a text so long before it, if
    the guard allows the text, and the call after it; else it comes unannounced. Put off, it is announced once more.
    """

    n: Annotated[int, Meta(ge=1, le=99)]
    channel: Way
    anchor: Annotated[str, Meta(max_length=20)] = "prev_done"
    delay: Amount = 0
    unit: Unit = Unit.bh
    band: Band = Band.any
    window: tuple[Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")],
                  Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]] | None = None
    wait_for_completion: bool = True
    not_after: Annotated[int, Meta(ge=1, le=100_000)] = 480
    template: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,39}$")] | None = None
    needs: Annotated[str, Meta(pattern="^(commercial|service)$")] = "commercial"
    otherwise: list[Way] = []
    skip_if: list[Skip] = []
    stop_on: list[Skip] = []
    life: Annotated[int, Meta(ge=0, le=10_000)] = 0
    tier: Annotated[int, Meta(ge=0, le=7)] = 0
    announce_minutes: Annotated[int, Meta(ge=LEAST_NOTICE, le=MOST_NOTICE)] | None = None

    @property
    def is_call(self) -> bool:
        return self.channel is Way.call_task


class OutcomePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What follows from an outcome: `then` the next step, the same call `again` (at most `most` times, then the next),
    `pause`, `review` by a supervisor, or `exit`.

    `delays` are the least spans until the next call, by how often this outcome came in a row; the last one repeats.
    `soft_after`: so often in a row it counts as a no.
    """

    then: Annotated[str, Meta(pattern="^(next|again|pause|review|exit)$")]
    delays: list[tuple[Amount, Unit]] = []
    most: Annotated[int, Meta(ge=0, le=10)] = 0
    other_band: bool = False
    counts: bool = True
    soft_after: Annotated[int, Meta(ge=0, le=10)] = 0


class CadencePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A cadence as a file writes it. `on` is what begins it. `outcomes` replace rows of the house's table
    (`router.model.outcomes`) by their name."""

    key: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    on: Annotated[list[Start], Meta(min_length=1)]
    steps: Annotated[list[StepPlan], Meta(min_length=1)]
    outcomes: dict[str, OutcomePlan] = {}

    @property
    def ordered(self) -> list[StepPlan]:
        return sorted(self.steps, key=lambda step: step.n)

    def step(self, n: int) -> StepPlan | None:
        return next((step for step in self.steps if step.n == n), None)


TEXTS = frozenset({
    "offer_again", "offer_ends", "offer_questions", "goodbye", "cart_waits", "missed_you", "how_is_it",
})  # fmt: skip
"""The texts there are, each in every language (`templates/sms`)."""


class WrongCadence(ValueError):
    """A cadence that contradicts itself. `code` is stable: "twice", "anchor", "loop", "calls", "messages", "steps",
    "window", "way", "template", "outcome", "stop", "announce"."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def check(plan: CadencePlan, outcomes: frozenset[str] = frozenset()) -> CadencePlan:
    """The cadence itself. `outcomes` are the names that `plan.outcomes` may replace. Raises WrongCadence."""
    if len(plan.steps) > MOST_STEPS:
        raise WrongCadence("steps", f"a cadence has at most {MOST_STEPS} steps")
    for n, count in Counter(step.n for step in plan.steps).items():
        if count > 1:
            raise WrongCadence("twice", f"step {n} stands there twice")
    calls = sum(step.is_call for step in plan.steps)
    if calls > MOST_CALLS:
        raise WrongCadence("calls", f"{calls} calls are too many: at most {MOST_CALLS} in one cadence")
    if len(plan.steps) - calls > MOST_MESSAGES:
        raise WrongCadence("messages", f"{len(plan.steps) - calls} messages are too many: at most {MOST_MESSAGES}")
    for place, step in enumerate(plan.ordered):
        _check_step(step, {one.n for one in plan.ordered[:place]}, {one.n for one in plan.steps})
    if unknown := sorted(set(plan.outcomes) - outcomes):
        raise WrongCadence("outcome", f"{unknown[0]} is no outcome; they are {', '.join(sorted(outcomes))}")
    for name, outcome in plan.outcomes.items():
        if outcome.then == "again" and not (outcome.most and outcome.delays):
            raise WrongCadence("loop", f"outcome {name}: again needs most and delays, or it would never end")
    return plan


def _check_step(step: StepPlan, before: set[int], known: set[int]) -> None:
    word, _, number = step.anchor.partition(":")
    if word == "step":
        if not number.isdigit() or int(number) not in known:
            raise WrongCadence("anchor", f"step {step.n}: anchor: there is no step {number or '?'}")
        if int(number) not in before:
            raise WrongCadence("loop", f"step {step.n} waits for step {number}, which comes no sooner: a loop")
    elif step.anchor not in ("prev_done", "enrol", "valid_until"):
        raise WrongCadence("anchor", f"step {step.n}: anchor: {step.anchor} is none of prev_done, enrol, valid_until, "
                                     "step:N")
    if step.template is not None and (step.is_call or step.template not in TEXTS):
        raise WrongCadence("template", f"step {step.n}: template: the texts are {', '.join(sorted(TEXTS))}")
    if step.window is not None and step.window[0] >= step.window[1]:
        raise WrongCadence("window", f"step {step.n}: window: it ends before it begins")
    if (step.is_call and step.otherwise) or Way.call_task in step.otherwise or step.channel in step.otherwise:
        raise WrongCadence("way", f"step {step.n}: otherwise names other ways for a message")
    if step.announce_minutes is not None and not step.is_call:
        raise WrongCadence("announce", f"step {step.n}: announce_minutes: only a call is announced")
    if both := set(step.skip_if) & set(step.stop_on):
        raise WrongCadence("stop", f"step {step.n}: {sorted(both)[0]} cannot both skip it and end the cadence")


def as_body(plan: CadencePlan) -> dict[str, Any]:
    """The plan as it is stored, spelled out as the file did."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(plan))
    return body


@lru_cache(256)
def _read(body: bytes) -> CadencePlan:
    return msgspec.json.decode(body, type=CadencePlan)


def read_body(body: dict[str, Any]) -> CadencePlan:
    """A stored version."""
    return _read(msgspec.json.encode(body))


def _call(n: int, delay: int = 0, unit: Unit = Unit.bh, band: Band = Band.any, **more: Any) -> StepPlan:
    return StepPlan(n=n, channel=Way.call_task, delay=delay, unit=unit, band=band, **more)


def _text(n: int, template: str, delay: int = 0, unit: Unit = Unit.bh, way: Way = Way.sms, **more: Any) -> StepPlan:
    return StepPlan(n=n, channel=way, template=template, delay=delay, unit=unit, **more)


PRESETS: tuple[CadencePlan, ...] = (
    CadencePlan(
        key="at-hand", name="At the offer right now", on=[Start.sign_abandoned, Start.hot_reopen],
        steps=[_call(1, not_after=15, life=15), _call(2, 2, band=Band.other)],
    ),
    CadencePlan(
        key="after-quote", name="Read, not signed", on=[Start.opened_unsigned, Start.idle],
        steps=[
            _text(1, "offer_again"),
            _call(2, 4),
            _call(3, 1, Unit.bd, Band.other, announce_minutes=60),
            _text(4, "offer_questions", 1, Unit.bd, Way.email, otherwise=[Way.whatsapp]),
            _call(5, 2, Unit.bd, Band.best, announce_minutes=60),
            _text(6, "offer_ends", 2, Unit.bd, anchor="valid_until"),
            _call(7, 1, Unit.bd, Band.best, anchor="valid_until", tier=5, announce_minutes=60),
            _text(8, "goodbye", 4, way=Way.email, otherwise=[Way.sms]),
        ],
    ),
    CadencePlan(
        key="unread", name="Not read", on=[Start.never_opened],
        steps=[
            _text(1, "offer_again", way=Way.email, otherwise=[Way.whatsapp, Way.sms]),
            _call(2, 1, Unit.bd, skip_if=[Skip.talked]),
            _text(3, "offer_again", 1, Unit.bd, skip_if=[Skip.opened]),
            _call(4, 1, Unit.bd, Band.other),
            _call(5, 2, Unit.bd, Band.best),
            _text(6, "goodbye", 1, Unit.bd, way=Way.email, otherwise=[Way.sms]),
        ],
    ),
    CadencePlan(
        key="last-days", name="About to expire", on=[Start.expiring],
        steps=[
            _text(1, "offer_ends"),
            _call(2, 2, tier=5),
            _call(3, 4, band=Band.other, tier=5),
        ],
    ),
    CadencePlan(
        key="win-back", name="Expired", on=[Start.expired_winback],
        steps=[_call(1, 3, Unit.bd, Band.best, tier=7)],
    ),
    CadencePlan(
        key="checkout", name="Abandoned checkout", on=[Start.cart_abandoned],
        steps=[
            _text(1, "cart_waits", 1),
            _call(2, 1, Unit.bd, Band.other),
            _text(3, "cart_waits", 2, Unit.bd, Way.email, otherwise=[Way.whatsapp]),
        ],
    ),
    CadencePlan(
        key="no-show", name="Did not answer an arranged call", on=[Start.no_show],
        steps=[
            _text(1, "missed_you", 10, Unit.bmin),
            _call(2, 1, Unit.bd, Band.other),
            _call(3, 2, Unit.bd, Band.best),
        ],
    ),
    CadencePlan(
        key="cross-sell", name="After the sale", on=[Start.sold],
        steps=[
            _text(1, "how_is_it", 20, Unit.bd, way=Way.email, otherwise=[Way.sms]),
            _call(2, 3, Unit.bd, Band.best, tier=7),
        ],
    ),
)  # fmt: skip
"""What is done where a campaign's file says nothing."""

_PRESETS = {start: plan for plan in PRESETS for start in plan.on}


def preset(start: Start) -> CadencePlan:
    """The house's own cadence for this beginning."""
    return _PRESETS[start]
